/* One kernel against its reference: operands laid out and packed, units run in several orders, the
 * result compared value by value. */
#ifndef CNNC_TEST_KERNEL_CASE_H
#define CNNC_TEST_KERNEL_CASE_H
#include "cnnrt.h"
#include "kernel_memory.h"
#include "kernel_reference.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct Case {
    const Kernel *k;
    const Target *t;
    CnnrtKernel code;
    char message[256]; /* what is wrong */
    Operands ops;      /* logical */
    float *logical[5 + KERNEL_MAX_EXTRA];
    int logicals;
    Guarded in, weights, bias, scratch, extra[KERNEL_MAX_EXTRA];
} Case;

static inline float *case_logical(Case *c, int64_t n, const char *stream, float lo, float hi)
{
    float *p = malloc(sizeof(float) * (size_t)(n > 0 ? n : 1));
    if (!p)
        abort();
    fill_random(p, (size_t)n, stream, lo, hi);
    return c->logical[c->logicals++] = p;
}

static inline int64_t place_of(MapDesc m, int vl, int64_t c, int64_t pixel)
{
    int64_t plane = m.h * m.w;
    return m.layout == LAYOUT_PLANAR ? c * plane + pixel : (c / vl * plane + pixel) * vl + c % vl;
}

/* The padding lanes hold finite numbers that no sum over channels may meet. */
static inline Guarded case_map(MapDesc m, int vl, const float *logical, Side side)
{
    Guarded g = guarded_new((size_t)map_floats(m, vl), side);
    if (!g.at)
        abort();
    fill_random(g.at, g.floats, "padding", 50, 100);
    for (int64_t c = 0; c < m.c; c++)
        for (int64_t p = 0; p < m.h * m.w; p++)
            g.at[place_of(m, vl, c, p)] = logical[c * m.h * m.w + p];
    return g;
}

static inline Guarded case_vector(int64_t n, int vl, const float *logical, float padding, Side side)
{
    Guarded g = guarded_new((size_t)((n + vl - 1) / vl * vl), side);
    if (!g.at)
        abort();
    for (size_t i = 0; i < g.floats; i++)
        g.at[i] = (int64_t)i < n ? logical[i] : padding;
    return g;
}

static inline int64_t case_weight_count(const Kernel *k)
{
    if (k->family == FAM_DENSE)
        return k->out.c * k->in.c * k->in.h * k->in.w;
    if (k->family == FAM_DEPTHWISE || k->family == FAM_DEPTHWISE_DX)
        return k->out.c * k->kh * k->kw;
    if (k->family == FAM_CONV || k->family == FAM_CONVT)
        return k->out.c * (k->in.c / k->groups) * k->kh * k->kw;
    return 0;
}

static inline void pack_one_output(const Case *c, int64_t o)
{
    const Kernel *k = c->k;
    bool dense = k->family == FAM_DENSE;
    bool one = k->family == FAM_DEPTHWISE || k->family == FAM_DEPTHWISE_DX;
    int64_t per_in = dense ? k->in.c : one ? 1 : k->in.c / k->groups;
    int64_t h = dense ? k->in.h : k->kh, w = dense ? k->in.w : k->kw;
    int64_t first = dense || one ? 0 : o / (k->out.c / k->groups) * per_in;
    for (int64_t i = 0; i < per_in && k->tile.winograd > 0; i++) {
        double window[9], filter[36];
        for (int at = 0; at < 9; at++)
            window[at] = c->ops.weights[(o * per_in + i) * 9 + at];
        family_winograd_filter(window, filter);
        for (int at = 0; at < 36; at++)
            c->weights.at[family_weight_index(k, c->t, o, i, at / 6, at % 6)] = (float)filter[at];
    }
    for (int64_t i = 0; i < per_in && k->tile.winograd == 0; i++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++)
                family_put_weight(k, c->weights.at,
                                  family_weight_index(k, c->t, o, first + i, y, x),
                                  c->ops.weights[((o * per_in + i) * h + y) * w + x]);
}

static inline int64_t extra_count_of(const Kernel *k, int i)
{
    if (k->extra[i] == KARG_MAP)
        return k->out.c * k->out.h * k->out.w;
    if (k->extra[i] == KARG_RESULT)
        return k->out.c * family_row_blocks(k);
    return i == k->gate_arg ? k->in.c : k->out.c;
}

static inline void case_open(Case *c, Side side)
{
    const Kernel *k = c->k;
    int vl = c->t->vl;
    c->logicals = 0;
    c->ops.in = case_logical(c, k->in.c * k->in.h * k->in.w, "in", -1, 1);
    c->ops.weights = case_logical(c, case_weight_count(k), "weights", -0.5f, 0.5f);
    c->ops.bias = case_logical(c, k->out.c, "bias", -1, 1);
    c->in = case_map(k->in, vl, c->ops.in, side);
    c->weights = guarded_new((size_t)family_weight_floats(k, c->t), side);
    memset(c->weights.at, 0, c->weights.floats * sizeof(float));
    for (int64_t o = 0; o < k->out.c && case_weight_count(k); o++)
        pack_one_output(c, o);
    c->bias = case_vector(k->out.c, vl, c->ops.bias, 0, side);
    c->scratch = guarded_new((size_t)family_scratch(k, c->t), side);
    for (int i = 0; i < k->extra_count; i++) {
        char stream[] = {'e', (char)('0' + i), 0};
        float *p = case_logical(c, extra_count_of(k, i), stream, 0.25f, 1.5f);
        c->ops.extra[i] = p;
        bool gate = k->extra[i] == KARG_GATE;
        MapDesc parts = {LAYOUT_BLOCKED, k->out.c, family_row_blocks(k), 1};
        if (k->extra[i] == KARG_MAP || k->extra[i] == KARG_RESULT)
            c->extra[i] = case_map(k->extra[i] == KARG_MAP ? k->out : parts, vl, p, side);
        else
            c->extra[i] = case_vector(extra_count_of(k, i), vl, p, gate ? 60.0f : 0, side);
    }
}

static inline void case_close(Case *c)
{
    guarded_free(&c->in);
    guarded_free(&c->weights);
    guarded_free(&c->bias);
    guarded_free(&c->scratch);
    for (int i = 0; i < c->k->extra_count; i++)
        guarded_free(&c->extra[i]);
    for (int i = 0; i < c->logicals; i++)
        free(c->logical[i]);
}

typedef enum Order { AT_ONCE, ONE_BY_ONE_BACKWARDS, IN_TWO } Order;

static inline void case_run(const Case *c, float *out, Order order)
{
    const Kernel *k = c->k;
    CnnrtRun run = {.batch = 1};
    float *args[KERNEL_ARGS + 1] = {out, c->in.at, c->weights.at, k->has_bias ? c->bias.at : NULL};
    int64_t units = family_units(k, c->t);
    for (int i = 0; i < k->extra_count; i++)
        args[KERNEL_ARG_EXTRA + i] = c->extra[i].at;
    args[KERNEL_ARG_SCRATCH] = c->scratch.at;
    args[KERNEL_ARG_RUN] = (float *)&run;
    if (order == AT_ONCE) {
        c->code(args, 0, units);
    } else if (order == IN_TWO) {
        c->code(args, 0, units / 3);
        c->code(args, units / 3, units);
    } else {
        for (int64_t u = units; u-- > 0;)
            c->code(args, u, u + 1);
    }
}

/* Channels of the output that the kernel is to leave alone. */
static inline bool is_foreign(const Kernel *k, int64_t c)
{
    return k->family == FAM_COPY && k->copy == COPY_CHANNELS &&
           (c < k->dst_c || c >= k->dst_c + k->count_c);
}

static inline bool case_compare(Case *c, const float *out, float before)
{
    const Kernel *k = c->k;
    for (int64_t ch = 0; ch < k->out.c; ch++)
        for (int64_t y = 0; y < k->out.h; y++)
            for (int64_t x = 0; x < k->out.w; x++) {
                double got = out[place_of(k->out, c->t->vl, ch, y * k->out.w + x)];
                double want = is_foreign(k, ch) ? before : ref_kernel(k, &c->ops, ch, y, x);
                /* sums of the transformed are larger than what comes out */
                double allowed = (k->tile.winograd > 0 ? 1e-4 : 2e-5) * (1 + fabs(want));
                if (fabs(got - want) <= allowed)
                    continue;
                snprintf(c->message, sizeof c->message, "channel %d, row %d, column %d: %g, not %g",
                         (int)ch, (int)y, (int)x, got, want);
                return false;
            }
    bool last_is_ours = !is_foreign(k, k->out.c - 1);
    for (int64_t i = 0; i < map_floats(k->out, c->t->vl) && last_is_ours; i++)
        if (!isfinite(out[i])) {
            snprintf(c->message, sizeof c->message, "float %d of the output is not finite", (int)i);
            return false;
        }
    return true;
}

/* What a kernel leaves of sums beside its output: all rows' of a channel are their sum. */
static inline bool case_sums(Case *c)
{
    const Kernel *k = c->k;
    int64_t parts = family_row_blocks(k);
    const float *at = c->extra[k->extra_count - 1].at;
    for (int64_t ch = 0; ch < k->out.c; ch++)
        for (int64_t part = 0; part < parts; part++) {
            int64_t from = part * k->tile.rb, to = from + k->tile.rb;
            double want = 0, got = at[(ch / c->t->vl * parts + part) * c->t->vl + ch % c->t->vl];
            for (int64_t y = from; y < to && y < k->out.h; y++)
                for (int64_t x = 0; x < k->out.w; x++)
                    want += ref_kernel(k, &c->ops, ch, y, x);
            if (fabs(got - want) <= 1e-4 * (1 + fabs(want)))
                continue;
            snprintf(c->message, sizeof c->message, "channel %d, part %d: the sum is %g, not %g",
                     (int)ch, (int)part, got, want);
            return false;
        }
    return true;
}

static inline bool operands_intact(const Case *c)
{
    bool ok = guarded_intact(&c->in) && guarded_intact(&c->weights) && guarded_intact(&c->bias) &&
              guarded_intact(&c->scratch);
    for (int i = 0; i < c->k->extra_count; i++)
        ok = ok && guarded_intact(&c->extra[i]);
    return ok;
}

/* Floats of the output's padding lanes, and the i-th of them, counted from the output's end. */
static inline int64_t padding_count(const Case *c)
{
    MapDesc m = c->k->out;
    return map_floats(m, c->t->vl) - m.c * m.h * m.w;
}

static inline int64_t padding_float(const Case *c, int64_t i)
{
    int64_t vl = c->t->vl, lanes = vl - c->k->out.c % vl;
    return i / lanes * vl + i % lanes;
}

/* One order of units on fresh output memory: right, and the same bits as `first`, which the first
 * order fills. */
static inline bool case_order(Case *c, Order order, Side side, Guarded *first)
{
    Guarded out = guarded_new((size_t)map_floats(c->k->out, c->t->vl), side);
    bool copies = c->k->family == FAM_COPY && c->k->copy == COPY_CHANNELS;
    float before = copies ? 777.0f : (float)NAN;
    for (size_t i = 0; i < out.floats; i++)
        out.at[i] = before;
    for (int64_t i = 0; !is_foreign(c->k, c->k->out.c - 1) && i < padding_count(c); i++)
        out.at[out.floats - 1 - (size_t)padding_float(c, i)] = (float)NAN;
    case_run(c, out.at, order);
    bool ok = case_compare(c, out.at, before) && (!c->k->summed || case_sums(c));
    if (ok && (!guarded_intact(&out) || !operands_intact(c))) {
        snprintf(c->message, sizeof c->message, "wrote outside of its buffers");
        ok = false;
    }
    if (ok && first->at && memcmp(out.at, first->at, out.floats * sizeof(float)) != 0) {
        snprintf(c->message, sizeof c->message, "another order of units gives other bits");
        ok = false;
    }
    if (first->at)
        guarded_free(&out);
    else
        *first = out;
    return ok;
}

/* A map operand (of ELEM: the input, too) in the very memory of the output. */
static inline bool case_in_place(Case *c)
{
    const Kernel *k = c->k;
    Guarded *shared = NULL;
    bool same = k->in.layout == k->out.layout;
    if (k->family == FAM_ELEM && same)
        shared = &c->in;
    for (int i = 0; i < k->extra_count && !shared; i++)
        if (k->extra[i] == KARG_MAP)
            shared = &c->extra[i];
    if (!shared || !family_in_place(k))
        return true;
    case_run(c, shared->at, ONE_BY_ONE_BACKWARDS);
    bool ok = case_compare(c, shared->at, 0);
    if (!ok) {
        char what[200];
        snprintf(what, sizeof what, "%.199s", c->message);
        snprintf(c->message, sizeof c->message, "in place: %s", what);
    }
    return ok;
}

/* False with c->message set. */
static inline bool case_check(Case *c)
{
    bool ok = true;
    for (int side = AGAINST_END; side <= AGAINST_START && ok; side++) {
        Guarded first = {0};
        case_open(c, (Side)side);
        for (int order = AT_ONCE; order <= IN_TWO && ok; order++)
            ok = case_order(c, (Order)order, (Side)side, &first);
        ok = ok && case_in_place(c);
        guarded_free(&first);
        case_close(c);
    }
    return ok;
}
#endif
