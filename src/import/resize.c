/* Resampling with Pillow's arithmetic: triangle filter widened by the scale, weights rounded to 22
 * bits, first along rows and then along columns with 8 bits in between. */
#include "import/image.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHT_BITS = 32 - 8 - 2, SIDE_MAX = 100 * 1000 * 1000 };

/* For each output index of the window: first input index, how many, and their weights. */
typedef struct Taps {
    int64_t *first, *n;
    int32_t *weight; /* per output index `most` places */
    int64_t most;
} Taps;

static void taps_free(Taps *t)
{
    free(t->first);
    free(t->n);
    free(t->weight);
}

static int64_t bounded(double v, int64_t max)
{
    int64_t i = (int64_t)v;
    return i < 0 ? 0 : i > max ? max : i;
}

static void taps_row(Taps *t, int64_t at, double *w, double centre, double reach, int64_t in)
{
    double sum = 0;
    int64_t lo = bounded(centre - reach + 0.5, in), n = bounded(centre + reach + 0.5, in) - lo;
    for (int64_t i = 0; i < n; i++) {
        double x = fabs(((double)(i + lo) - centre + 0.5) * (1.0 / reach));
        w[i] = x < 1.0 ? 1.0 - x : 0.0;
        sum += w[i];
    }
    t->first[at] = lo;
    t->n[at] = n;
    for (int64_t i = 0; i < n; i++)
        t->weight[at * t->most + i] =
            (int32_t)(0.5 + (sum != 0.0 ? w[i] / sum : w[i]) * (1 << WEIGHT_BITS));
}

static bool taps_make(Taps *t, int64_t in, int64_t out, int64_t from, int64_t count)
{
    double scale = (double)in / (double)out, reach = scale < 1.0 ? 1.0 : scale;
    int64_t places;
    *t = (Taps){.most = (int64_t)ceil(reach) * 2 + 1};
    if (__builtin_mul_overflow(count, t->most, &places))
        return false;
    double *w = calloc((size_t)t->most, sizeof *w);
    t->first = calloc((size_t)count, sizeof *t->first);
    t->n = calloc((size_t)count, sizeof *t->n);
    t->weight = calloc((size_t)places, sizeof *t->weight);
    bool ok = w != NULL && t->first != NULL && t->n != NULL && t->weight != NULL;
    for (int64_t i = 0; ok && i < count; i++)
        taps_row(t, i, w, ((double)(from + i) + 0.5) * scale, reach, in);
    free(w);
    return ok;
}

static uint8_t clip(int32_t sum)
{
    sum >>= WEIGHT_BITS;
    return sum < 0 ? 0 : sum > 255 ? 255 : (uint8_t)sum;
}

static void along_row(const Taps *t, const uint8_t *in, uint8_t *out, int64_t count, int channels)
{
    for (int64_t x = 0; x < count; x++)
        for (int c = 0; c < channels; c++) {
            const uint8_t *p = in + t->first[x] * channels + c;
            int32_t sum = 1 << (WEIGHT_BITS - 1);
            for (int64_t i = 0; i < t->n[x]; i++)
                sum += p[i * channels] * t->weight[x * t->most + i];
            *out++ = clip(sum);
        }
}

/* One output row from n rows of `row` bytes. */
static void along_column(const int32_t *weight, int64_t n, const uint8_t *in, uint8_t *out,
                         int64_t row)
{
    for (int64_t b = 0; b < row; b++) {
        int32_t sum = 1 << (WEIGHT_BITS - 1);
        for (int64_t i = 0; i < n; i++)
            sum += in[i * row + b] * weight[i];
        out[b] = clip(sum);
    }
}

/* The rows of the input which the window needs, resized along x. */
static bool rows_make(const uint8_t *in, int64_t in_w, int64_t first, int64_t rows, int channels,
                      ImageWindow to, uint8_t *out)
{
    Taps t = {0};
    const int64_t pitch = in_w * channels, narrow = to.ww * channels;
    bool same = to.w == in_w, ok = same || taps_make(&t, in_w, to.w, to.x, to.ww);
    for (int64_t y = 0; ok && y < rows; y++) {
        const uint8_t *row = in + (first + y) * pitch;
        if (same)
            memcpy(out + y * narrow, row + to.x * channels, (size_t)narrow);
        else
            along_row(&t, row, out + y * narrow, to.ww, channels);
    }
    taps_free(&t);
    return ok;
}

bool image_resize(const uint8_t *in, int64_t in_w, int64_t in_h, int channels, ImageWindow to,
                  uint8_t *out)
{
    Taps t = {0};
    if (to.w > SIDE_MAX || to.h > SIDE_MAX || to.x < 0 || to.y < 0 || to.ww < 1 || to.wh < 1 ||
        to.x > to.w - to.ww || to.y > to.h - to.wh || in_w < 1 || in_h < 1)
        return false;
    if (to.h == in_h)
        return rows_make(in, in_w, to.y, to.wh, channels, to, out);
    if (!taps_make(&t, in_h, to.h, to.y, to.wh)) {
        taps_free(&t);
        return false;
    }
    int64_t first = t.first[0], rows = t.first[to.wh - 1] + t.n[to.wh - 1] - first;
    int64_t pitch = to.ww * channels, bytes;
    uint8_t *middle = __builtin_mul_overflow(rows, pitch, &bytes) ? NULL : malloc((size_t)bytes);
    bool ok = middle != NULL && rows_make(in, in_w, first, rows, channels, to, middle);
    for (int64_t y = 0; ok && y < to.wh; y++)
        along_column(t.weight + y * t.most, t.n[y], middle + (t.first[y] - first) * pitch,
                     out + y * pitch, pitch);
    free(middle);
    taps_free(&t);
    return ok;
}

/* Grey as ITU-R 601 in 16 bits. */
static uint8_t *grey(const Image *im)
{
    int64_t n = im->w * im->h;
    uint8_t *out = malloc((size_t)n);
    for (int64_t i = 0; out != NULL && i < n; i++) {
        const uint8_t *p = im->rgb + 3 * i;
        out[i] = (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
    }
    return out;
}

/* Where a crop of `crop` begins in a side of `side`: half, ties to even, as Python rounds; negative
 * when the side is shorter and padding comes first. */
static int64_t crop_start(int64_t side, int64_t crop)
{
    if (crop > side)
        return -((crop - side) / 2);
    int64_t room = side - crop;
    return room % 2 == 0 ? room / 2 : room / 2 + (room / 2) % 2;
}

static void crop_axis(int64_t side, int64_t crop, int64_t *start, int64_t *len, int64_t *pad)
{
    int64_t at = crop_start(side, crop);
    *start = at < 0 ? 0 : at;
    *pad = at < 0 ? -at : 0;
    *len = crop > side ? side : crop;
}

/* The size the picture is resized to before the crop. */
static void target(const Image *im, const ImagePrep *p, int64_t *w, int64_t *h)
{
    if (p->resize == 0) {
        *w = p->crop > 0 ? im->w : p->w;
        *h = p->crop > 0 ? im->h : p->h;
    } else if (im->w <= im->h) {
        *w = p->resize;
        *h = p->resize * im->h / im->w;
    } else {
        *h = p->resize;
        *w = p->resize * im->w / im->h;
    }
}

static void to_floats(const ImagePrep *p, const uint8_t *pixels, ImageWindow to, int64_t pad_x,
                      int64_t pad_y, float *out)
{
    for (int64_t c = 0; c < p->c; c++) {
        float mean = p->has_norm ? (float)p->mean[c] : 0.0f;
        float std = p->has_norm ? (float)p->std[c] : 1.0f;
        float black = (0.0f - mean) / std;
        float *plane = out + c * p->h * p->w;
        for (int64_t i = 0; i < p->h * p->w; i++)
            plane[i] = black;
        for (int64_t y = 0; y < to.wh; y++)
            for (int64_t x = 0; x < to.ww; x++) {
                float v = (float)pixels[(y * to.ww + x) * p->c + c] / 255.0f;
                plane[(y + pad_y) * p->w + x + pad_x] = (v - mean) / std;
            }
    }
}

static const char *check(const Image *im, const ImagePrep *p, Arena *a)
{
    if (p->c != 3 && p->c != 1)
        return arena_printf(a, "a picture has 3 channels or 1, the input takes %" PRId64, p->c);
    if (p->h < 1 || p->w < 1 || p->h > SIDE_MAX || p->w > SIDE_MAX || p->h * p->w > SIDE_MAX ||
        im->w < 1 || im->h < 1)
        return "the size is out of range";
    if (p->resize < 0 || p->resize > SIDE_MAX || p->crop < 0)
        return "resize and crop must not be negative or huge";
    if (p->crop > 0 && (p->crop != p->h || p->crop != p->w))
        return arena_printf(a, "a crop of %" PRId64 " does not give %" PRId64 "x%" PRId64, p->crop,
                            p->h, p->w);
    for (int64_t c = 0; p->has_norm && c < p->c; c++)
        if (!isfinite(p->mean[c]) || !isfinite(p->std[c]) || (float)p->std[c] == 0.0f)
            return "the normalisation has a deviation of 0 or a value that is no number";
    return NULL;
}

bool image_prepare(const Image *im, const ImagePrep *p, float *out, Arena *a, const char **err)
{
    ImageWindow to = {0};
    int64_t pad_x, pad_y;
    *err = check(im, p, a);
    if (*err != NULL)
        return false;
    target(im, p, &to.w, &to.h);
    if (to.w > SIDE_MAX || to.h > SIDE_MAX) {
        *err = arena_printf(a, "%" PRId64 "x%" PRId64 " is too narrow to be resized", im->w, im->h);
        return false;
    }
    crop_axis(to.w, p->w, &to.x, &to.ww, &pad_x);
    crop_axis(to.h, p->h, &to.y, &to.wh, &pad_y);
    uint8_t *single = p->c == 1 ? grey(im) : NULL;
    uint8_t *pixels = malloc((size_t)(to.ww * to.wh * p->c));
    bool ok = pixels != NULL && (p->c == 3 || single != NULL) &&
              image_resize(p->c == 3 ? im->rgb : single, im->w, im->h, (int)p->c, to, pixels);
    if (ok)
        to_floats(p, pixels, to, pad_x, pad_y, out);
    else
        *err = "out of memory to resize the picture";
    free(single);
    free(pixels);
    return ok;
}
