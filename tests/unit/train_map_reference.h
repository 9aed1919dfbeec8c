/* What the map kernels of training mean: plain loops in double precision over logical maps
 * [c][h][w], from the formulas. */
#ifndef CNNC_TEST_TRAIN_MAP_REFERENCE_H
#define CNNC_TEST_TRAIN_MAP_REFERENCE_H
#include "family/family.h"
#include <math.h>
#include <string.h>

/* Logical operands of one image, the batch that is divided by, and the result, zeroed. */
typedef struct MapRef {
    const Kernel *k;
    const float *dy, *x; /* in and extra 0; of losses logits and targets */
    const float *weight; /* LN_DX: may be NULL */
    int64_t batch;
    double *out;
} MapRef;

static inline void ref_max_dx(const MapRef *r, int64_t c)
{
    const Kernel *k = r->k;
    const float *x = r->x + c * k->out.h * k->out.w;
    for (int64_t o = 0; o < k->in.h * k->in.w; o++) {
        int64_t best = -1;
        for (int64_t tap = 0; tap < k->kh * k->kw; tap++) {
            int64_t y = o / k->in.w * k->sh - k->pt + tap / k->kw * k->dh;
            int64_t at = o % k->in.w * k->sw - k->pl + tap % k->kw * k->dw;
            if (y < 0 || y >= k->out.h || at < 0 || at >= k->out.w)
                continue;
            at += y * k->out.w;
            if (best < 0 || x[at] > x[best] || isnan(x[at]))
                best = at;
        }
        if (best >= 0)
            r->out[c * k->out.h * k->out.w + best] += r->dy[c * k->in.h * k->in.w + o];
    }
}

/* The cells of window i of an axis, and the number its mean is divided by. */
typedef struct MeanAxis {
    int64_t lo, hi;
    double count;
} MeanAxis;

static inline MeanAxis mean_axis(const Kernel *k, bool rows, int64_t i)
{
    int64_t n = rows ? k->out.h : k->out.w, grid = rows ? k->in.h : k->in.w;
    if (k->pool == POOL_ADAPTIVE_AVG) {
        int64_t lo = i * n / grid, hi = ((i + 1) * n + grid - 1) / grid;
        return (MeanAxis){lo, hi, (double)(hi - lo)};
    }
    MeanAxis a = {n, 0, 0};
    int64_t first = i * (rows ? k->sh : k->sw) - (rows ? k->pt : k->pl);
    for (int64_t at = first; at < first + (rows ? k->kh : k->kw); at++) {
        bool inside = at >= 0 && at < n;
        bool padded = at < n + (rows ? k->pb : k->pr);
        a.count += k->pool == POOL_AVG ? inside : padded;
        if (inside && at < a.lo)
            a.lo = at;
        if (inside)
            a.hi = at + 1;
    }
    return a;
}

static inline void ref_mean_dx(const MapRef *r, int64_t c)
{
    const Kernel *k = r->k;
    for (int64_t oy = 0; oy < k->in.h; oy++)
        for (int64_t ox = 0; ox < k->in.w; ox++) {
            MeanAxis ay = mean_axis(k, true, oy), ax = mean_axis(k, false, ox);
            double dy = r->dy[(c * k->in.h + oy) * k->in.w + ox];
            for (int64_t y = ay.lo; y < ay.hi; y++)
                for (int64_t x = ax.lo; x < ax.hi; x++)
                    r->out[(c * k->out.h + y) * k->out.w + x] += dy / (ay.count * ax.count);
        }
}

static inline void ref_upsample_dx(const MapRef *r, int64_t c)
{
    const Kernel *k = r->k;
    bool smooth = k->copy == COPY_BILINEAR_DX;
    for (int64_t o = 0; o < k->in.h * k->in.w; o++) {
        int64_t oy = o / k->in.w, ox = o % k->in.w, y0 = oy / k->by_h, x0 = ox / k->by_w;
        double dy = r->dy[c * k->in.h * k->in.w + o], fy = 0, fx = 0;
        double *to = r->out + c * k->out.h * k->out.w;
        if (smooth) {
            double sy = fmax(((double)oy + 0.5) / (double)k->by_h - 0.5, 0);
            double sx = fmax(((double)ox + 0.5) / (double)k->by_w - 0.5, 0);
            y0 = (int64_t)sy;
            x0 = (int64_t)sx;
            fy = sy - (double)y0;
            fx = sx - (double)x0;
        }
        int64_t y1 = y0 + 1 < k->out.h ? y0 + 1 : y0, x1 = x0 + 1 < k->out.w ? x0 + 1 : x0;
        to[y0 * k->out.w + x0] += dy * (1 - fy) * (1 - fx);
        to[y0 * k->out.w + x1] += dy * (1 - fy) * fx;
        to[y1 * k->out.w + x0] += dy * fy * (1 - fx);
        to[y1 * k->out.w + x1] += dy * fy * fx;
    }
}

static inline void ref_copy_dx(const MapRef *r)
{
    const Kernel *k = r->k;
    int64_t plane = k->in.h * k->in.w, by = k->by_h;
    if (k->copy == COPY_NEAREST_DX || k->copy == COPY_BILINEAR_DX) {
        for (int64_t c = 0; c < k->out.c; c++)
            ref_upsample_dx(r, c);
    } else if (k->copy == COPY_CHANNELS_DX) {
        for (int64_t i = 0; i < k->count_c * plane; i++)
            r->out[k->dst_c * plane + i] = r->dy[k->src_c * plane + i];
    } else {
        for (int64_t i = 0; i < k->in.c * plane; i++) {
            int64_t c = i / plane, y = i % plane / k->in.w * by + c / by % by;
            int64_t x = i % k->in.w * by + c % by;
            r->out[(c / (by * by) * k->out.h + y) * k->out.w + x] = r->dy[i];
        }
    }
}

typedef struct RefMoments {
    double mean, scale;
} RefMoments;

static inline RefMoments ref_moments(const MapRef *r, int64_t p)
{
    const Kernel *k = r->k;
    int64_t plane = k->in.h * k->in.w;
    double mean = 0, var = 0;
    for (int64_t c = 0; c < k->in.c; c++)
        mean += r->x[c * plane + p] / (double)k->in.c;
    for (int64_t c = 0; c < k->in.c; c++)
        var += pow(r->x[c * plane + p] - mean, 2) / (double)k->in.c;
    return (RefMoments){mean, 1 / sqrt(var + k->eps)};
}

static inline void ref_ln_dx(const MapRef *r, int64_t p)
{
    const Kernel *k = r->k;
    int64_t plane = k->in.h * k->in.w, n = k->in.c;
    RefMoments m = ref_moments(r, p);
    double sum = 0, dot = 0;
    for (int64_t i = p; i < n * plane; i += plane) {
        double g = r->dy[i] * (r->weight ? r->weight[i / plane] : 1.0);
        sum += g / (double)n;
        dot += g * (r->x[i] - m.mean) * m.scale / (double)n;
    }
    for (int64_t i = p; i < n * plane; i += plane) {
        double g = r->dy[i] * (r->weight ? r->weight[i / plane] : 1.0);
        r->out[i] = m.scale * (g - sum - (r->x[i] - m.mean) * m.scale * dot);
    }
}

/* Added to out[c]. */
static inline void ref_ln_dw(const MapRef *r)
{
    int64_t plane = r->k->in.h * r->k->in.w;
    for (int64_t p = 0; p < plane; p++) {
        RefMoments m = ref_moments(r, p);
        for (int64_t c = 0; c < r->k->in.c; c++)
            r->out[c] += r->dy[c * plane + p] * (r->x[c * plane + p] - m.mean) * m.scale;
    }
}

static inline void ref_lrn_dx(const MapRef *r, int64_t p)
{
    const Kernel *k = r->k;
    int64_t plane = k->in.h * k->in.w, n = k->in.c;
    double a = k->alpha / (double)k->lrn_size;
    for (int64_t c = 0; c < n; c++) {
        double base = k->bias_k, v = (double)r->dy[c * plane + p] * r->x[c * plane + p];
        for (int64_t i = c - k->lrn_size / 2; i <= c + (k->lrn_size - 1) / 2; i++)
            if (i >= 0 && i < n)
                base += a * pow(r->x[i * plane + p], 2);
        r->out[c * plane + p] += r->dy[c * plane + p] * pow(base, -k->beta);
        for (int64_t i = c - k->lrn_size / 2; i <= c + (k->lrn_size - 1) / 2; i++)
            if (i >= 0 && i < n)
                r->out[i * plane + p] -=
                    2 * a * k->beta * r->x[i * plane + p] * v * pow(base, -k->beta - 1);
    }
}

static inline void ref_softmax_dx(const MapRef *r, int64_t p)
{
    int64_t plane = r->k->in.h * r->k->in.w, n = r->k->in.c;
    double dot = 0;
    for (int64_t i = p; i < n * plane; i += plane)
        dot += (double)r->dy[i] * r->x[i];
    for (int64_t i = p; i < n * plane; i += plane)
        r->out[i] = r->x[i] * (r->dy[i] - dot);
}

static inline double ref_target(const MapRef *r, int64_t i)
{
    const Kernel *k = r->k;
    double classes = k->loss == LOSS_FORM_CE ? (double)k->in.c : 2;
    if (k->loss == LOSS_FORM_MSE)
        return r->x[i];
    return (1 - k->smoothing) * r->x[i] + k->smoothing / classes;
}

/* Of one position: the result is the loss (out[0]) or its slopes, both not yet averaged. */
static inline void ref_cross_entropy(const MapRef *r, int64_t p, bool slopes)
{
    int64_t plane = r->k->in.h * r->k->in.w, n = r->k->in.c, top = p;
    double rest = 0, all = 0;
    for (int64_t i = p; i < n * plane; i += plane)
        if (r->dy[i] > r->dy[top] || isnan(r->dy[top]))
            top = i;
    for (int64_t i = p; i < n * plane; i += plane) {
        rest += i == top ? 0 : exp((double)r->dy[i] - r->dy[top]);
        all += ref_target(r, i);
    }
    for (int64_t i = p; i < n * plane; i += plane) {
        double t = ref_target(r, i), below = (double)r->dy[top] - r->dy[i];
        if (slopes)
            r->out[i] = (all * exp(-below) - t - t * rest) / (1 + rest);
        else
            r->out[0] += t * (below + log1p(rest));
    }
}

static inline void ref_loss(const MapRef *r, bool slopes)
{
    const Kernel *k = r->k;
    int64_t plane = k->in.h * k->in.w, count = plane * k->in.c;
    double share = k->weight / (double)(k->loss == LOSS_FORM_CE ? plane : count);
    for (int64_t p = 0; p < plane && k->loss == LOSS_FORM_CE; p++)
        ref_cross_entropy(r, p, slopes);
    for (int64_t i = 0; i < count && k->loss != LOSS_FORM_CE; i++) {
        double z = r->dy[i], t = ref_target(r, i), loss = (z - t) * (z - t), slope = 2 * (z - t);
        if (k->loss == LOSS_FORM_BCE) {
            loss = (z > 0 ? z * (1 - t) : -z * t) + log1p(exp(-fabs(z)));
            slope = (1 - t) / (1 + exp(-z)) - t / (1 + exp(z));
        }
        r->out[slopes ? i : 0] += slopes ? slope : loss;
    }
    for (int64_t i = 0; i < (slopes ? count : 1); i++)
        r->out[i] *= slopes ? share / (double)r->batch : share;
}

static inline void ref_train_map(const MapRef *r)
{
    const Kernel *k = r->k;
    for (int64_t c = 0; c < k->out.c && k->family == FAM_POOL_DX; c++)
        (k->pool == POOL_MAX ? ref_max_dx : ref_mean_dx)(r, c);
    for (int64_t p = 0; p < k->out.h * k->out.w; p++)
        switch (k->family) {
        case FAM_LN_DX: ref_ln_dx(r, p); break;
        case FAM_LRN_DX: ref_lrn_dx(r, p); break;
        case FAM_SOFTMAX_DX: ref_softmax_dx(r, p); break;
        default: break;
        }
    if (k->family == FAM_COPY)
        ref_copy_dx(r);
    if (k->family == FAM_LN_DW)
        ref_ln_dw(r);
    if (k->family == FAM_LOSS || k->family == FAM_LOSS_DX)
        ref_loss(r, k->family == FAM_LOSS_DX);
}
#endif
