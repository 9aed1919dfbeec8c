/* What every kernel family means: plain loops in double precision over logical maps [c][h][w]. */
#ifndef CNNC_TEST_KERNEL_REFERENCE_H
#define CNNC_TEST_KERNEL_REFERENCE_H
#include "family/family.h"
#include <math.h>

/* Logical operands. Weights are [o][i][kh][kw], i counted inside the group; DENSE [o][c][h][w];
 * DEPTHWISE [c][kh][kw]. */
typedef struct Operands {
    const float *in, *weights, *bias;
    const float *extra[KERNEL_MAX_EXTRA]; /* MAP [c][h][w], else [c] */
} Operands;

/* An operand of a contraction, as its kernel takes it. */
static inline double ref_operand(const Kernel *k, double v)
{
    return dtype_round(k->tile.cuda.dtype, (float)v);
}

static inline double map_at(const Kernel *k, const Operands *o, int64_t c, int64_t y, int64_t x)
{
    if (y < 0 || y >= k->in.h || x < 0 || x >= k->in.w)
        return 0;
    double v = o->in[(c * k->in.h + y) * k->in.w + x];
    return ref_operand(k, k->gate_arg >= 0 ? v * o->extra[k->gate_arg][c] : v);
}

static inline double ref_conv(const Kernel *k, const Operands *o, int64_t c, int64_t y, int64_t x)
{
    int64_t per_in = k->in.c / k->groups, group = c / (k->out.c / k->groups);
    double sum = k->has_bias ? o->bias[c] : 0;
    for (int64_t i = 0; i < per_in; i++)
        for (int64_t ky = 0; ky < k->kh; ky++)
            for (int64_t kx = 0; kx < k->kw; kx++)
                sum += ref_operand(k, o->weights[((c * per_in + i) * k->kh + ky) * k->kw + kx]) *
                       map_at(k, o, group * per_in + i, y * k->sh - k->pt + ky * k->dh,
                              x * k->sw - k->pl + kx * k->dw);
    return sum;
}

static inline double ref_convt(const Kernel *k, const Operands *o, int64_t c, int64_t y, int64_t x)
{
    int64_t per_in = k->in.c / k->groups, group = c / (k->out.c / k->groups);
    double sum = k->has_bias ? o->bias[c] : 0;
    for (int64_t i = 0; i < per_in; i++)
        for (int64_t iy = 0; iy < k->in.h; iy++)
            for (int64_t ix = 0; ix < k->in.w; ix++) {
                int64_t ky = y + k->pt - iy * k->sh, kx = x + k->pl - ix * k->sw;
                if (ky < 0 || kx < 0 || ky % k->dh || kx % k->dw || ky / k->dh >= k->kh ||
                    kx / k->dw >= k->kw)
                    continue;
                int64_t at = ((c * per_in + i) * k->kh + ky / k->dh) * k->kw + kx / k->dw;
                sum += ref_operand(k, o->weights[at]) * map_at(k, o, group * per_in + i, iy, ix);
            }
    return sum;
}

static inline double ref_depthwise(const Kernel *k, const Operands *o, int64_t c, int64_t y,
                                   int64_t x)
{
    double sum = k->has_bias ? o->bias[c] : 0;
    for (int64_t ky = 0; ky < k->kh; ky++)
        for (int64_t kx = 0; kx < k->kw; kx++)
            sum += o->weights[(c * k->kh + ky) * k->kw + kx] *
                   map_at(k, o, c, y * k->sh - k->pt + ky * k->dh, x * k->sw - k->pl + kx * k->dw);
    return sum;
}

/* Of the input of a depthwise convolution from dy, the input here. */
static inline double ref_depthwise_dx(const Kernel *k, const Operands *o, int64_t c, int64_t y,
                                      int64_t x)
{
    double sum = 0;
    for (int64_t ky = 0; ky < k->kh; ky++)
        for (int64_t kx = 0; kx < k->kw; kx++) {
            int64_t oy = y + k->pt - ky * k->dh, ox = x + k->pl - kx * k->dw;
            if (oy % k->sh == 0 && ox % k->sw == 0)
                sum += o->weights[(c * k->kh + ky) * k->kw + kx] *
                       map_at(k, o, c, oy / k->sh, ox / k->sw);
        }
    return sum;
}

static inline double ref_dense(const Kernel *k, const Operands *o, int64_t c)
{
    int64_t n = k->in.c * k->in.h * k->in.w;
    double sum = k->has_bias ? o->bias[c] : 0;
    for (int64_t i = 0; i < n; i++)
        sum += ref_operand(k, o->weights[c * n + i]) * ref_operand(k, o->in[i]);
    return sum;
}

static inline double ref_mean(const Kernel *k, const Operands *o, int64_t c, int64_t y0, int64_t y1,
                              int64_t x0, int64_t x1)
{
    double sum = 0;
    for (int64_t y = y0; y < y1; y++)
        for (int64_t x = x0; x < x1; x++)
            sum += map_at(k, o, c, y, x);
    return sum / (double)((y1 - y0) * (x1 - x0));
}

static inline double ref_pool(const Kernel *k, const Operands *o, int64_t c, int64_t y, int64_t x)
{
    if (k->pool == POOL_ADAPTIVE_AVG)
        return ref_mean(k, o, c, y * k->in.h / k->out.h,
                        ((y + 1) * k->in.h + k->out.h - 1) / k->out.h, x * k->in.w / k->out.w,
                        ((x + 1) * k->in.w + k->out.w - 1) / k->out.w);
    double top = -INFINITY, sum = 0;
    int64_t cells = 0, padded = 0;
    for (int64_t ky = 0; ky < k->kh; ky++)
        for (int64_t kx = 0; kx < k->kw; kx++) {
            int64_t iy = y * k->sh - k->pt + ky * k->dh, ix = x * k->sw - k->pl + kx * k->dw;
            padded += iy < k->in.h + k->pb && ix < k->in.w + k->pr;
            if (iy < 0 || iy >= k->in.h || ix < 0 || ix >= k->in.w)
                continue;
            double v = map_at(k, o, c, iy, ix);
            top = v > top ? v : top;
            sum += v;
            cells++;
        }
    if (k->pool == POOL_MAX)
        return top;
    return sum / (double)(k->pool == POOL_AVG ? cells : padded);
}

static inline double ref_ln(const Kernel *k, const Operands *o, int64_t c, int64_t y, int64_t x)
{
    double mean = 0, var = 0;
    for (int64_t i = 0; i < k->in.c; i++)
        mean += map_at(k, o, i, y, x) / (double)k->in.c;
    for (int64_t i = 0; i < k->in.c; i++)
        var += pow(map_at(k, o, i, y, x) - mean, 2) / (double)k->in.c;
    return (map_at(k, o, c, y, x) - mean) / sqrt(var + k->eps);
}

static inline double ref_softmax(const Kernel *k, const Operands *o, int64_t c, int64_t y,
                                 int64_t x)
{
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < k->in.c; i++)
        top = fmax(top, map_at(k, o, i, y, x));
    for (int64_t i = 0; i < k->in.c; i++)
        sum += exp(map_at(k, o, i, y, x) - top);
    return exp(map_at(k, o, c, y, x) - top) / sum;
}

static inline double ref_lrn(const Kernel *k, const Operands *o, int64_t c, int64_t y, int64_t x)
{
    double sum = 0;
    int64_t first = c - k->lrn_size / 2;
    for (int64_t i = first; i < first + k->lrn_size; i++)
        if (i >= 0 && i < k->in.c)
            sum += pow(map_at(k, o, i, y, x), 2);
    return map_at(k, o, c, y, x) / pow(k->bias_k + k->alpha / (double)k->lrn_size * sum, k->beta);
}

static inline double ref_bilinear(const Kernel *k, const Operands *o, int64_t c, int64_t y,
                                  int64_t x)
{
    double sy = fmax(((double)y + 0.5) / (double)k->by_h - 0.5, 0);
    double sx = fmax(((double)x + 0.5) / (double)k->by_w - 0.5, 0);
    int64_t y0 = (int64_t)sy, x0 = (int64_t)sx;
    int64_t y1 = y0 + 1 < k->in.h ? y0 + 1 : y0, x1 = x0 + 1 < k->in.w ? x0 + 1 : x0;
    double fy = sy - (double)y0, fx = sx - (double)x0;
    return (1 - fy) * ((1 - fx) * map_at(k, o, c, y0, x0) + fx * map_at(k, o, c, y0, x1)) +
           fy * ((1 - fx) * map_at(k, o, c, y1, x0) + fx * map_at(k, o, c, y1, x1));
}

static inline double ref_copy(const Kernel *k, const Operands *o, int64_t c, int64_t y, int64_t x)
{
    int64_t r = k->by_h;
    switch (k->copy) {
    case COPY_CHANNELS: return map_at(k, o, c - k->dst_c + k->src_c, y, x);
    case COPY_BORDER: return map_at(k, o, c, y - k->pt, x - k->pl);
    case COPY_NEAREST: return map_at(k, o, c, y / k->by_h, x / k->by_w);
    case COPY_BILINEAR: return ref_bilinear(k, o, c, y, x);
    case COPY_SPACE_TO_DEPTH:
        return map_at(k, o, c / (r * r), y * r + c % (r * r) / r, x * r + c % r);
    case COPY_SHUFFLE:
        return map_at(k, o, c % k->groups * (k->in.c / k->groups) + c / k->groups, y, x);
    default: break;
    }
    return map_at(k, o, c, y, x);
}

/* The value at (c, y, x) of the output, epilogue included. */
static inline double ref_kernel(const Kernel *k, const Operands *o, int64_t c, int64_t y, int64_t x)
{
    double v = 0, args[1 + KERNEL_MAX_EXTRA] = {0};
    switch (k->family) {
    case FAM_CONV: v = ref_conv(k, o, c, y, x); break;
    case FAM_CONVT: v = ref_convt(k, o, c, y, x); break;
    case FAM_DEPTHWISE: v = ref_depthwise(k, o, c, y, x); break;
    case FAM_DEPTHWISE_DX: v = ref_depthwise_dx(k, o, c, y, x); break;
    case FAM_DENSE: v = ref_dense(k, o, c); break;
    case FAM_POOL: v = ref_pool(k, o, c, y, x); break;
    case FAM_GAP:
        v = ref_mean(k, o, c, 0, k->in.h, 0, k->in.w);
        v *= k->positions > 0 ? (double)(k->in.h * k->in.w) / (double)k->positions : 1;
        break;
    case FAM_ELEM: v = map_at(k, o, c, y, x); break;
    case FAM_LN: v = ref_ln(k, o, c, y, x); break;
    case FAM_SOFTMAX: v = ref_softmax(k, o, c, y, x); break;
    case FAM_LRN: v = ref_lrn(k, o, c, y, x); break;
    case FAM_COPY: v = ref_copy(k, o, c, y, x); break;
    default: break;
    }
    if (!k->root.v)
        return v;
    args[0] = v;
    for (int i = 0; i < k->extra_count; i++)
        if (i != k->gate_arg)
            args[i + 1] =
                o->extra[i][k->extra[i] == KARG_MAP ? (c * k->out.h + y) * k->out.w + x : c];
    return expr_eval(k->pool_expr, k->root, args);
}
#endif
