/* What the kernels of train_case.h mean: their results in double, entered where they belong. */
#ifndef CNNC_TEST_TRAIN_REFERENCE_H
#define CNNC_TEST_TRAIN_REFERENCE_H
#include "train_case.h"

static inline double value_at(const TrainCase *c, int operand, int64_t at)
{
    return c->op[operand].initial[at];
}

/* Result r of float `at` of its operand. */
static inline void expect_at(TrainCase *c, int operand, int64_t at, double want, double slack)
{
    c->op[operand].want[at] = want;
    c->op[operand].slack[at] = slack;
}

/* Arguments that are one value for the whole kernel. */
static inline void fixed_args(const TrainCase *c, double args[1 + KERNEL_MAX_EXTRA])
{
    const Kernel *k = c->k;
    for (int i = 0; i < k->extra_count; i++) {
        if (k->extra[i] == KARG_SCALAR)
            args[i + 1] = value_at(c, KERNEL_ARG_EXTRA + i, 0);
        else if (k->extra[i] == KARG_HYPER)
            args[i + 1] = c->run.hyper[k->hyper[i]];
        else if (k->extra[i] == KARG_COUNT)
            args[i + 1] = (double)(c->run.batch * k->positions);
    }
}

static inline void sums_args(const TrainCase *c, int64_t n, int64_t ch, int64_t pixel,
                             double args[1 + KERNEL_MAX_EXTRA])
{
    const Kernel *k = c->k;
    int vl = c->t->vl;
    int64_t place = place_of(k->in, vl, ch, pixel);
    fixed_args(c, args);
    args[0] = value_at(c, KERNEL_ARG_IN, n * k->in_step + place);
    for (int i = 0; i < k->extra_count; i++) {
        int operand = KERNEL_ARG_EXTRA + i;
        if (k->extra[i] == KARG_MAP)
            args[i + 1] = value_at(c, operand, n * k->extra_step[i] + place);
        else if (k->extra[i] == KARG_GATE)
            args[i + 1] = value_at(c, operand, n * k->extra_step[i] + ch);
        else if (k->extra[i] == KARG_CHANNEL)
            args[i + 1] = value_at(c, operand, ch);
        else if (k->extra[i] == KARG_PIVOT)
            args[i + 1] = value_at(c, operand, place_of(k->in, vl, ch, 0));
    }
}

static inline void expect_sums(TrainCase *c)
{
    const Kernel *k = c->k;
    int64_t width = padded(k->in.c, c->t->vl), batch = c->run.batch;
    double args[1 + KERNEL_MAX_EXTRA];
    for (int64_t i = 0; i < out_floats(c); i++)
        expect_at(c, KERNEL_ARG_OUT, i, 0, INFINITY); /* padding lanes */
    for (int64_t j = 0; j < k->slices; j++)
        for (int64_t ch = 0; ch < k->in.c; ch++) {
            double sum[KERNEL_MAX_ROOTS] = {0}, size[KERNEL_MAX_ROOTS] = {0};
            for (int64_t n = batch * j / k->slices; n < batch * (j + 1) / k->slices; n++)
                for (int64_t p = 0; p < k->in.h * k->in.w; p++) {
                    sums_args(c, n, ch, p, args);
                    for (int r = 0; r < k->root_count; r++) {
                        double v = expr_eval(k->pool_expr, k->root_of[r], args);
                        sum[r] += v;
                        size[r] += fabs(v);
                    }
                }
            for (int r = 0; r < k->root_count; r++)
                expect_at(c, KERNEL_ARG_OUT, (j * k->root_count + r) * width + ch, sum[r],
                          1e-9 + 6e-7 * size[r]);
        }
}

static inline void finish_args(const TrainCase *c, int64_t ch, double args[1 + KERNEL_MAX_EXTRA])
{
    const Kernel *k = c->k;
    int64_t width = padded(k->out.c, c->t->vl), terms = k->in.c / (k->slices * width);
    double sum[KERNEL_MAX_ROOTS] = {0};
    for (int64_t j = 0; j < k->slices; j++)
        for (int64_t t = 0; t < terms; t++)
            sum[t] += value_at(c, KERNEL_ARG_IN, (j * terms + t) * width + ch);
    fixed_args(c, args);
    args[0] = sum[0];
    for (int i = 0; i < k->extra_count; i++) {
        int operand = KERNEL_ARG_EXTRA + i;
        if (k->extra[i] == KARG_TERM)
            args[i + 1] = sum[k->hyper[i]];
        else if (k->extra[i] == KARG_CHANNEL)
            args[i + 1] = value_at(c, operand, ch);
        else if (k->extra[i] == KARG_PIVOT)
            args[i + 1] = value_at(c, operand, place_of(k->dy, c->t->vl, ch, 0));
    }
}

static inline void expect_finish(TrainCase *c)
{
    const Kernel *k = c->k;
    double args[1 + KERNEL_MAX_EXTRA];
    for (int r = 0; r < k->root_count; r++) {
        for (int64_t ch = 0; ch < k->out.c; ch++) {
            finish_args(c, ch, args);
            double want = expr_eval(k->pool_expr, k->root_of[r], args);
            expect_at(c, k->root_to[r], ch, want, 4e-6 * (1 + fabs(want)));
        }
        for (int64_t i = k->out.c; i < map_floats(k->out, c->t->vl); i++)
            expect_at(c, k->root_to[r], i, 0, 1e-300);
    }
}

static inline void run_args(const TrainCase *c, int64_t at, double args[1 + KERNEL_MAX_EXTRA])
{
    fixed_args(c, args);
    args[0] = value_at(c, KERNEL_ARG_IN, at);
    for (int i = 0; i < c->k->extra_count; i++)
        if (c->k->extra[i] == KARG_MAP)
            args[i + 1] = value_at(c, KERNEL_ARG_EXTRA + i, at);
}

static inline void expect_update(TrainCase *c)
{
    const Kernel *k = c->k;
    double args[1 + KERNEL_MAX_EXTRA];
    for (int64_t at = 0; at < k->in.c; at++) {
        run_args(c, at, args);
        for (int r = 0; r < k->root_count; r++) {
            double want = expr_eval(k->pool_expr, k->root_of[r], args);
            expect_at(c, k->root_to[r], at, want, 4e-6 * (0.1 + fabs(want)));
        }
    }
}

static inline void expect_flat_sums(TrainCase *c)
{
    const Kernel *k = c->k;
    int64_t vl = c->t->vl, units = family_units(k, c->t), all = padded(k->in.c, (int)vl) / vl;
    double args[1 + KERNEL_MAX_EXTRA];
    for (int64_t u = 0; u < units; u++) {
        double sum[KERNEL_MAX_ROOTS] = {0}, size[KERNEL_MAX_ROOTS] = {0};
        int64_t hi = (u + 1) * all / units * vl;
        for (int64_t at = u * all / units * vl; at < hi && at < k->in.c; at++) {
            run_args(c, at, args);
            for (int r = 0; r < k->root_count; r++) {
                double v = expr_eval(k->pool_expr, k->root_of[r], args);
                sum[r] += v;
                size[r] += fabs(v);
            }
        }
        for (int r = 0; r < k->root_count; r++)
            expect_at(c, KERNEL_ARG_OUT, u * k->root_count + r, sum[r], 1e-9 + 6e-7 * size[r]);
    }
}

static inline void expect_flat_finish(TrainCase *c)
{
    const Kernel *k = c->k;
    double args[1 + KERNEL_MAX_EXTRA], sum[KERNEL_MAX_ROOTS] = {0};
    int64_t terms = k->in.c / k->slices;
    for (int64_t i = 0; i < k->in.c; i++)
        sum[i % terms] += value_at(c, KERNEL_ARG_IN, i);
    fixed_args(c, args);
    args[0] = sum[0];
    for (int i = 0; i < k->extra_count; i++)
        if (k->extra[i] == KARG_TERM)
            args[i + 1] = sum[k->hyper[i]];
    for (int r = 0; r < k->root_count; r++) {
        double want = expr_eval(k->pool_expr, k->root_of[r], args);
        expect_at(c, k->root_to[r], k->root_to[r] == KERNEL_ARG_OUT ? r : 0, want,
                  1e-6 * (0.1 + fabs(want)));
    }
}

static inline float kept(float x, double p, uint64_t key, uint64_t at)
{
    return rng_uniform(key, at) >= (float)p ? x / (1.0f - (float)p) : 0;
}

/* docs/random.md, in the arithmetic of the kernels: the same bits are due. */
static inline void expect_mask(TrainCase *c)
{
    const Kernel *k = c->k;
    int64_t plane = k->out.h * k->out.w;
    uint64_t key = rng_mix(rng_mix(c->run.seed, (uint64_t)k->mask_key), c->run.step);
    for (int64_t n = 0; n < c->run.batch; n++) {
        uint64_t image = rng_mix(key, (uint64_t)n);
        for (int64_t ch = 0; ch < padded(k->out.c, c->t->vl); ch++)
            for (int64_t p = 0; p < plane; p++) {
                int64_t place = place_of(k->out, c->t->vl, ch, p), at = n * k->out_step + place;
                if (k->per_image)
                    expect_at(c, KERNEL_ARG_OUT, at, kept(1, k->p, image, 0), 1);
                else if (ch >= k->out.c)
                    expect_at(c, KERNEL_ARG_OUT, at, 0, INFINITY);
                else
                    expect_at(c, KERNEL_ARG_OUT, at,
                              kept((float)value_at(c, KERNEL_ARG_IN, n * k->in_step + place), k->p,
                                   image, (uint64_t)(ch * plane + p)),
                              1);
            }
    }
}
#endif
