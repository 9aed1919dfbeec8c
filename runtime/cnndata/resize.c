/* Resampling with Pillow's arithmetic: triangle filter widened by the scale, weights rounded to 22
 * bits, first along rows and then along columns with 8 bits in between. */
#include "pixels.h"
#include <math.h>
#include <string.h>

enum { WEIGHT_BITS = 32 - 8 - 2, SIDE_BY_SIDE = 32 };

/* For each output index of the window: first input index, how many, and their weights. */
typedef struct Taps {
    int64_t *first, *n;
    int32_t *weight; /* per output index `most` places */
    int64_t most;
} Taps;

void cnndata_resizer_free(CnndataResizer *r)
{
    cnndata_scratch_free(&r->taps[0]);
    cnndata_scratch_free(&r->taps[1]);
    cnndata_scratch_free(&r->row);
    cnndata_scratch_free(&r->middle);
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

/* The taps of `count` output indices from `from` on, in the memory `mem`. */
static bool taps_make(Taps *t, int64_t in, int64_t out, int64_t from, int64_t count,
                      CnndataScratch *mem, CnndataScratch *row)
{
    double scale = (double)in / (double)out, reach = scale < 1.0 ? 1.0 : scale;
    int64_t bytes;
    *t = (Taps){.most = (int64_t)ceil(reach) * 2 + 1};
    if (__builtin_mul_overflow(t->most, (int64_t)sizeof *t->weight, &bytes) ||
        __builtin_add_overflow(bytes, (int64_t)(2 * sizeof *t->first), &bytes) ||
        __builtin_mul_overflow(bytes, count, &bytes))
        return false;
    double *w = cnndata_scratch(row, (size_t)t->most * sizeof *w);
    t->first = cnndata_scratch(mem, (size_t)bytes);
    if (w == NULL || t->first == NULL)
        return false;
    t->n = t->first + count;
    t->weight = (int32_t *)(void *)(t->n + count);
    for (int64_t i = 0; i < count; i++)
        taps_row(t, i, w, ((double)(from + i) + 0.5) * scale, reach, in);
    return true;
}

static uint8_t clip(int32_t sum)
{
    sum >>= WEIGHT_BITS;
    return sum < 0 ? 0 : sum > 255 ? 255 : (uint8_t)sum;
}

/* The same for three channels: each weight is read once. */
static void along_row_rgb(const Taps *t, const uint8_t *in, uint8_t *out, int64_t count)
{
    for (int64_t x = 0; x < count; x++) {
        const uint8_t *p = in + t->first[x] * 3;
        const int32_t *w = t->weight + x * t->most;
        int32_t r = 1 << (WEIGHT_BITS - 1), g = r, b = r;
        for (int64_t i = 0; i < t->n[x]; i++, p += 3) {
            r += p[0] * w[i];
            g += p[1] * w[i];
            b += p[2] * w[i];
        }
        *out++ = clip(r);
        *out++ = clip(g);
        *out++ = clip(b);
    }
}

static void along_row(const Taps *t, const uint8_t *in, uint8_t *out, int64_t count, int channels)
{
    if (channels == 3) {
        along_row_rgb(t, in, out, count);
        return;
    }
    for (int64_t x = 0; x < count; x++)
        for (int c = 0; c < channels; c++) {
            const uint8_t *p = in + t->first[x] * channels + c;
            int32_t sum = 1 << (WEIGHT_BITS - 1);
            for (int64_t i = 0; i < t->n[x]; i++)
                sum += p[i * channels] * t->weight[x * t->most + i];
            *out++ = clip(sum);
        }
}

/* One output row from n rows of `row` bytes, `pitch` bytes apart. */
static void along_column(const int32_t *weight, int64_t n, const uint8_t *in, int64_t pitch,
                         uint8_t *out, int64_t row)
{
    int64_t b = 0;
    for (; b + SIDE_BY_SIDE <= row; b += SIDE_BY_SIDE) { /* becomes vectors */
        int32_t sum[SIDE_BY_SIDE];
        for (int k = 0; k < SIDE_BY_SIDE; k++)
            sum[k] = 1 << (WEIGHT_BITS - 1);
        for (int64_t i = 0; i < n; i++)
            for (int k = 0; k < SIDE_BY_SIDE; k++)
                sum[k] += in[i * pitch + b + k] * weight[i];
        for (int k = 0; k < SIDE_BY_SIDE; k++)
            out[b + k] = clip(sum[k]);
    }
    for (; b < row; b++) {
        int32_t sum = 1 << (WEIGHT_BITS - 1);
        for (int64_t i = 0; i < n; i++)
            sum += in[i * pitch + b] * weight[i];
        out[b] = clip(sum);
    }
}

/* The rows [first, first + rows) of the input, resized along x. */
static bool rows_make(const CnndataPixels *in, int64_t first, int64_t rows, CnndataWindow to,
                      uint8_t *out, CnndataResizer *r)
{
    Taps t = {0};
    const int64_t narrow = to.ww * in->c;
    bool same = to.w == in->w;
    if (!same && !taps_make(&t, in->w, to.w, to.x, to.ww, &r->taps[0], &r->row))
        return false;
    for (int64_t y = 0; y < rows; y++) {
        const uint8_t *row = in->at + (first + y) * in->pitch;
        if (same)
            memcpy(out + y * narrow, row + to.x * in->c, (size_t)narrow);
        else
            along_row(&t, row, out + y * narrow, to.ww, in->c);
    }
    return true;
}

bool cnndata_resize(const CnndataPixels *in, CnndataWindow to, uint8_t *out, CnndataResizer *r)
{
    Taps t = {0};
    if (to.w > CNNDATA_SIDE_MAX || to.h > CNNDATA_SIDE_MAX || to.x < 0 || to.y < 0 || to.ww < 1 ||
        to.wh < 1 || to.x > to.w - to.ww || to.y > to.h - to.wh || in->w < 1 || in->h < 1)
        return false;
    if (to.h == in->h)
        return rows_make(in, to.y, to.wh, to, out, r);
    if (!taps_make(&t, in->h, to.h, to.y, to.wh, &r->taps[1], &r->row))
        return false;
    int64_t first = t.first[0], rows = t.first[to.wh - 1] + t.n[to.wh - 1] - first;
    int64_t pitch = to.ww * in->c, bytes;
    uint8_t *middle = __builtin_mul_overflow(rows, pitch, &bytes)
                          ? NULL
                          : cnndata_scratch(&r->middle, (size_t)bytes);
    if (middle == NULL || !rows_make(in, first, rows, to, middle, r))
        return false;
    for (int64_t y = 0; y < to.wh; y++)
        along_column(t.weight + y * t.most, t.n[y], middle + (t.first[y] - first) * pitch, pitch,
                     out + y * pitch, pitch);
    return true;
}
