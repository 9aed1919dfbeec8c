/* Operators that move values, and those that are the identity in inference. */
#include "ref/ref_ops.h"
#include <math.h>
#include <string.h>

static void copy(double *to, const double *from, int64_t n)
{
    memcpy(to, from, (size_t)n * sizeof *to);
}

/* The same values in the same order; the shape alone may differ. */
static void same_values(const RefCall *c)
{
    copy(c->out->data, c->in[0].data, c->batch * shape_count(c->out->shape));
}

/* The value bound to the input stands in for an operand. */
void ref_INPUT(const RefCall *c)
{
    same_values(c);
}

/* [c][h][w] in this order is what PyTorch's flatten gives too. */
void ref_FLATTEN(const RefCall *c)
{
    same_values(c);
}

/* What survives training is scaled by 1 / (1 - p) there ("inverted dropout"), so that nothing is
 * left to do in inference. */
void ref_DROPOUT(const RefCall *c)
{
    same_values(c);
}

void ref_DROP_PATH(const RefCall *c)
{
    same_values(c);
}

void ref_CONCAT(const RefCall *c)
{
    double *to = c->out->data;
    for (int64_t n = 0; n < c->batch; n++)
        for (uint32_t i = 0; i < c->nin; i++) {
            int64_t count = shape_count(c->in[i].shape);
            copy(to, c->in[i].data + n * count, count);
            to += count;
        }
}

void ref_SLICE(const RefCall *c)
{
    int64_t from = ref_attr(c, AT_SLICE_from)->i, count = shape_count(c->out->shape);
    for (int64_t n = 0; n < c->batch; n++)
        copy(c->out->data + n * count, ref_plane(c->in, n, from), count);
}

/* out(y, x) = in(y - top, x - left), zero where that is outside the map. */
static void border(const RefCall *c, int64_t top, int64_t left)
{
    Shape in = c->in[0].shape, out = c->out->shape;
    for (int64_t i = 0; i < c->batch * out.c; i++) {
        const double *from = c->in[0].data + i * in.h * in.w;
        double *to = c->out->data + i * out.h * out.w;
        for (int64_t y = -top; y < out.h - top; y++)
            for (int64_t x = -left; x < out.w - left; x++)
                *to++ = y >= 0 && y < in.h && x >= 0 && x < in.w ? from[y * in.w + x] : 0;
    }
}

void ref_ZEROPAD(const RefCall *c)
{
    border(c, ref_attr(c, AT_ZEROPAD_top)->i, ref_attr(c, AT_ZEROPAD_left)->i);
}

void ref_CROP(const RefCall *c)
{
    border(c, -ref_attr(c, AT_CROP_top)->i, -ref_attr(c, AT_CROP_left)->i);
}

/* Where output position i of an axis enlarged by `by` looks: a weighted mean of two neighbours.
 * Pixel centres lie at half-integers and the border is repeated: PyTorch's align_corners=False,
 * ONNX's half_pixel. */
typedef struct Between {
    int64_t lo, hi;
    double part; /* of hi */
} Between;

static Between between(int64_t i, int64_t by, int64_t in)
{
    double at = fmax(0, ((double)i + 0.5) / (double)by - 0.5);
    int64_t lo = (int64_t)at;
    return (Between){lo, lo + 1 < in ? lo + 1 : in - 1, at - (double)lo};
}

static double bilinear(const double *in, int64_t width, Between y, Between x)
{
    double above = in[y.lo * width + x.lo] * (1 - x.part) + in[y.lo * width + x.hi] * x.part;
    double below = in[y.hi * width + x.lo] * (1 - x.part) + in[y.hi * width + x.hi] * x.part;
    return above * (1 - y.part) + below * y.part;
}

void ref_UPSAMPLE(const RefCall *c)
{
    Shape in = c->in[0].shape, out = c->out->shape;
    Size2 by = ref_attr(c, AT_UPSAMPLE_by)->size;
    bool smooth = ref_attr(c, AT_UPSAMPLE_bilinear)->i != 0;
    for (int64_t i = 0; i < c->batch * out.c; i++) {
        const double *from = c->in[0].data + i * in.h * in.w;
        double *to = c->out->data + i * out.h * out.w;
        for (int64_t y = 0; y < out.h; y++)
            for (int64_t x = 0; x < out.w; x++)
                *to++ = smooth
                            ? bilinear(from, in.w, between(y, by.h, in.h), between(x, by.w, in.w))
                            : from[y / by.h * in.w + x / by.w];
    }
}

/* Output channel (ch * by + dy) * by + dx is channel ch at rows y * by + dy, columns x * by + dx:
 * PyTorch's pixel_unshuffle. */
void ref_SPACE_TO_DEPTH(const RefCall *c)
{
    Shape in = c->in[0].shape, out = c->out->shape;
    int64_t by = ref_attr(c, AT_SPACE_TO_DEPTH_by)->i;
    for (int64_t n = 0; n < c->batch; n++)
        for (int64_t o = 0; o < out.c; o++) {
            int64_t dy = o / by % by, dx = o % by;
            const double *from = ref_plane(c->in, n, o / (by * by));
            double *to = ref_plane(c->out, n, o);
            for (int64_t y = 0; y < out.h; y++)
                for (int64_t x = 0; x < out.w; x++)
                    *to++ = from[(y * by + dy) * in.w + x * by + dx];
        }
}

/* Channels as a table with a row per group are read column by column (Zhang et al. 2018,
 * ShuffleNet, section 3.1). */
void ref_SHUFFLE(const RefCall *c)
{
    Shape s = c->out->shape;
    int64_t groups = ref_attr(c, AT_SHUFFLE_groups)->i, per_group = s.c / groups;
    for (int64_t n = 0; n < c->batch; n++)
        for (int64_t o = 0; o < s.c; o++)
            copy(ref_plane(c->out, n, o), ref_plane(c->in, n, o % groups * per_group + o / groups),
                 s.h * s.w);
}
