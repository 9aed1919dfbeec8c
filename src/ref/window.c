/* Operators with a window: convolution (which is cross-correlation, as everywhere in deep
 * learning), its transpose, pooling. Padding is resolved as for shapes (analysis/shape.h). */
#include "ref/ref_ops.h"
#include <math.h>

typedef struct Conv {
    const RefCall *c;
    Shape in, out;
    Window w;
    Pad pad;
    int64_t groups;
    const float *weight, *bias; /* bias may be NULL */
} Conv;

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The positions [lo, hi) of `out` for which 0 <= position * stride + shift < in. */
typedef struct Range {
    int64_t lo, hi;
} Range;

static Range inside(int64_t shift, int64_t stride, int64_t in, int64_t out)
{
    Range r = {shift < 0 ? ceil_div(-shift, stride) : 0,
               shift < in ? least(out, ceil_div(in - shift, stride)) : 0};
    return r;
}

static void fill(double *at, int64_t n, double v)
{
    for (int64_t i = 0; i < n; i++)
        at[i] = v;
}

/* out(y, x) += weight * in(y * stride + dy, x * stride + dx) where that is inside the map. */
static void add_tap(const Conv *v, double *restrict out, const double *restrict in, double weight,
                    int64_t dy, int64_t dx)
{
    Range ry = inside(dy, v->w.stride.h, v->in.h, v->out.h);
    Range rx = inside(dx, v->w.stride.w, v->in.w, v->out.w);
    int64_t step = v->w.stride.w;
    for (int64_t y = ry.lo; y < ry.hi; y++) {
        const double *from = in + (y * v->w.stride.h + dy) * v->in.w + dx;
        double *to = out + y * v->out.w;
        if (step == 1)
            for (int64_t x = rx.lo; x < rx.hi; x++)
                to[x] += weight * from[x];
        else
            for (int64_t x = rx.lo; x < rx.hi; x++)
                to[x] += weight * from[x * step];
    }
}

/* One channel of one image. weight is [out.c][in.c / groups][kh][kw]. */
static void conv_plane(void *ctx, int64_t unit)
{
    const Conv *v = ctx;
    int64_t n = unit / v->out.c, o = unit % v->out.c;
    int64_t per_group = v->in.c / v->groups, first = o / (v->out.c / v->groups) * per_group;
    double *out = v->c->out->data + unit * v->out.h * v->out.w;
    fill(out, v->out.h * v->out.w, v->bias ? v->bias[o] : 0);
    const float *weight = v->weight + o * per_group * v->w.k.h * v->w.k.w;
    for (int64_t i = 0; i < per_group; i++) {
        const double *in = ref_plane(v->c->in, n, first + i);
        for (int64_t ky = 0; ky < v->w.k.h; ky++)
            for (int64_t kx = 0; kx < v->w.k.w; kx++)
                add_tap(v, out, in, *weight++, ky * v->w.dilation.h - v->pad.top,
                        kx * v->w.dilation.w - v->pad.left);
    }
}

/* The same where kernel and map are 1x1: one sum. */
static void conv_value(void *ctx, int64_t unit)
{
    const Conv *v = ctx;
    int64_t n = unit / v->out.c, o = unit % v->out.c;
    int64_t per_group = v->in.c / v->groups, first = o / (v->out.c / v->groups) * per_group;
    const double *in = ref_plane(v->c->in, n, first);
    double sum = v->bias ? v->bias[o] : 0;
    for (int64_t i = 0; i < per_group; i++)
        sum += v->weight[o * per_group + i] * in[i];
    v->c->out->data[unit] = sum;
}

static Conv conv_of(const RefCall *c, int64_t groups, bool bias)
{
    Conv v = {.c = c,
              .in = c->in[0].shape,
              .out = c->out->shape,
              .w = graph_window(c->g, c->n),
              .groups = groups,
              .weight = c->param[0],
              .bias = bias ? c->param[1] : NULL};
    v.pad = shape_resolve_pad(&v.w, v.in.h, v.in.w);
    return v;
}

static double conv_work(const RefCall *c, Shape per_value, const Conv *v)
{
    return (double)c->batch * (double)shape_count(per_value) * (double)(v->w.k.h * v->w.k.w);
}

static void conv_run(Conv *v)
{
    const RefCall *c = v->c;
    bool point = v->w.k.h == 1 && v->w.k.w == 1 && v->w.stride.h == 1 && v->w.stride.w == 1 &&
                 v->in.h == v->out.h && v->in.w == v->out.w && v->pad.top == 0 && v->pad.left == 0;
    if (point) { /* the map is one row */
        v->in.w = v->out.w = v->in.h * v->in.w;
        v->in.h = v->out.h = 1;
    }
    int64_t per_group = v->in.c / v->groups;
    double work = conv_work(c, v->out, v) * (double)per_group;
    bool value = point && v->in.w == 1;
    ref_parallel(c->batch * v->out.c, work, value ? conv_value : conv_plane, v);
}

void ref_CONV(const RefCall *c)
{
    Conv v = conv_of(c, ref_attr(c, AT_CONV_groups)->i, ref_attr(c, AT_CONV_bias)->i != 0);
    conv_run(&v);
}

/* A fully connected layer is a 1x1 convolution; a vector is a 1x1 map. */
void ref_DENSE(const RefCall *c)
{
    Conv v = conv_of(c, 1, ref_attr(c, AT_DENSE_bias)->i != 0);
    conv_run(&v);
}

/* The transpose of a convolution: every input value adds its multiple of the kernel to the output
 * at (y * stride - pad). Weight is [in.c][out.c / groups][kh][kw], as in PyTorch. */
static void convt_plane(void *ctx, int64_t unit)
{
    const Conv *v = ctx;
    int64_t n = unit / v->out.c, o = unit % v->out.c, group = o / (v->out.c / v->groups);
    int64_t ins = v->in.c / v->groups, outs = v->out.c / v->groups, kk = v->w.k.h * v->w.k.w;
    double *out = ref_plane(v->c->out, n, o);
    fill(out, v->out.h * v->out.w, v->bias ? v->bias[o] : 0);
    for (int64_t i = group * ins; i < (group + 1) * ins; i++) {
        const float *weight = v->weight + (i * outs + o % outs) * kk;
        const double *in = ref_plane(v->c->in, n, i);
        for (int64_t y = 0; y < v->in.h; y++)
            for (int64_t x = 0; x < v->in.w; x++)
                for (int64_t k = 0; k < kk; k++) {
                    int64_t oy = y * v->w.stride.h - v->pad.top + k / v->w.k.w;
                    int64_t ox = x * v->w.stride.w - v->pad.left + k % v->w.k.w;
                    if (oy >= 0 && oy < v->out.h && ox >= 0 && ox < v->out.w)
                        out[oy * v->out.w + ox] += in[y * v->in.w + x] * weight[k];
                }
    }
}

void ref_CONVT(const RefCall *c)
{
    Conv v = conv_of(c, ref_attr(c, AT_CONVT_groups)->i, ref_attr(c, AT_CONVT_bias)->i != 0);
    int64_t per_group = v.out.c / v.groups;
    double work = conv_work(c, v.in, &v) * (double)per_group;
    ref_parallel(c->batch * v.out.c, work, convt_plane, &v);
}

/* The largest of the window's values inside the map; a NaN wins, as in PyTorch. A dilated window
 * may meet the map nowhere and then gives -infinity, the neutral element. */
static double window_max(const double *in, Shape s, const Window *w, int64_t y0, int64_t x0)
{
    double best = -INFINITY;
    for (int64_t ky = 0; ky < w->k.h; ky++)
        for (int64_t kx = 0; kx < w->k.w; kx++) {
            int64_t y = y0 + ky * w->dilation.h, x = x0 + kx * w->dilation.w;
            if (y < 0 || y >= s.h || x < 0 || x >= s.w)
                continue;
            double v = in[y * s.w + x];
            if (v > best || isnan(v))
                best = v;
        }
    return best;
}

/* The sum over rows [y0, y1) and columns [x0, x1), all inside the map. */
static double box_sum(const double *in, int64_t width, Range y, Range x)
{
    double sum = 0;
    for (int64_t i = y.lo; i < y.hi; i++)
        for (int64_t j = x.lo; j < x.hi; j++)
            sum += in[i * width + j];
    return sum;
}

/* The divisor is PyTorch's: with count_include_pad the window's part inside the padded map (the
 * overhang of ceil_mode is never counted), else its part inside the map. */
static double window_mean(const double *in, Shape s, const Window *w, Pad p, bool count_pad,
                          int64_t y0, int64_t x0)
{
    Range y = {y0, least(y0 + w->k.h, s.h + p.bottom)};
    Range x = {x0, least(x0 + w->k.w, s.w + p.right)};
    int64_t padded = (y.hi - y.lo) * (x.hi - x.lo);
    y = (Range){most(y.lo, 0), least(y.hi, s.h)};
    x = (Range){most(x.lo, 0), least(x.hi, s.w)};
    int64_t real = (y.hi - y.lo) * (x.hi - x.lo);
    return box_sum(in, s.w, y, x) / (double)(count_pad ? padded : real);
}

static void pool(const RefCall *c, bool max, bool count_pad)
{
    Shape in = c->in[0].shape, out = c->out->shape;
    Window w = graph_window(c->g, c->n);
    Pad p = shape_resolve_pad(&w, in.h, in.w);
    for (int64_t i = 0; i < c->batch * out.c; i++) {
        const double *from = c->in[0].data + i * in.h * in.w;
        double *to = c->out->data + i * out.h * out.w;
        for (int64_t y = 0; y < out.h; y++)
            for (int64_t x = 0; x < out.w; x++) {
                int64_t y0 = y * w.stride.h - p.top, x0 = x * w.stride.w - p.left;
                *to++ = max ? window_max(from, in, &w, y0, x0)
                            : window_mean(from, in, &w, p, count_pad, y0, x0);
            }
    }
}

void ref_MAXPOOL(const RefCall *c)
{
    pool(c, true, false);
}

void ref_AVGPOOL(const RefCall *c)
{
    pool(c, false, ref_attr(c, AT_AVGPOOL_count_include_pad)->i != 0);
}

/* Output (i, j) of a k.h x k.w grid is the mean over rows floor(i H / k.h) to ceil((i + 1) H / k.h)
 * (exclusive), columns alike: windows may overlap by one, and repeat where k exceeds the map. */
static void grid_mean(const RefCall *c)
{
    Shape in = c->in[0].shape, out = c->out->shape;
    for (int64_t i = 0; i < c->batch * out.c; i++) {
        const double *from = c->in[0].data + i * in.h * in.w;
        double *to = c->out->data + i * out.h * out.w;
        for (int64_t y = 0; y < out.h; y++)
            for (int64_t x = 0; x < out.w; x++) {
                Range ry = {y * in.h / out.h, ceil_div((y + 1) * in.h, out.h)};
                Range rx = {x * in.w / out.w, ceil_div((x + 1) * in.w, out.w)};
                int64_t count = (ry.hi - ry.lo) * (rx.hi - rx.lo);
                *to++ = box_sum(from, in.w, ry, rx) / (double)count;
            }
    }
}

void ref_ADAPTIVE_AVGPOOL(const RefCall *c)
{
    grid_mean(c);
}

void ref_GAP(const RefCall *c)
{
    grid_mean(c);
}
