/* Optimizers as src/transform/optim.h has them, interpreted in double. */
#ifndef CNNC_TEST_OPTIM_RUN_H
#define CNNC_TEST_OPTIM_RUN_H
#include "cnnrt.h"
#include "rng.h"
#include "transform/optim.h"
#include <math.h>

#ifndef OPTIM_MOST
#define OPTIM_MOST 4 /* values of a parameter */
#endif

/* One parameter and all that belongs to it. */
typedef struct OptimParam {
    int n;
    bool decays;
    double p[OPTIM_MOST], g[OPTIM_MOST], slot[2][OPTIM_MOST], mean[OPTIM_MOST], trust;
    OptimProgram program;
} OptimParam;

/* A step's values for all parameters. */
typedef struct OptimStep {
    double clip, sum[OPTIM_ROOTS];
    float hyper[CNNRT_HYPER];
} OptimStep;

static inline double *operand_of(OptimParam *x, OptimStep *s, OptimArg a, int at)
{
    switch (a.what) {
    case OPTIM_PARAM: return &x->p[at];
    case OPTIM_GRAD: return &x->g[at];
    case OPTIM_SLOT: return &x->slot[a.index][at];
    case OPTIM_MEAN: return &x->mean[at];
    case OPTIM_CLIP: return &s->clip;
    case OPTIM_TRUST: return &x->trust;
    case OPTIM_SUM: return &s->sum[a.index];
    case OPTIM_HYPER_SLOT: break;
    }
    return NULL;
}

/* The roots of a pass at element `at`. */
static inline void roots_at(const ExprPool *p, const OptimPass *pass, OptimParam *x, OptimStep *s,
                            int at, double value[OPTIM_ROOTS])
{
    double args[OPTIM_ARGS] = {0};
    for (int i = 0; i < pass->arg_count; i++)
        args[i] = pass->arg[i].what == OPTIM_HYPER_SLOT ? (double)s->hyper[pass->arg[i].index]
                                                        : *operand_of(x, s, pass->arg[i], at);
    for (int r = 0; r < pass->root_count; r++)
        value[r] = expr_eval(p, pass->root[r], args);
}

/* Sums are added to s->sum. */
static inline void optim_pass(const ExprPool *p, const OptimPass *pass, OptimParam *x, OptimStep *s)
{
    double value[OPTIM_ROOTS];
    int n = pass->kind == OPTIM_FINISH ? 1 : x->n;
    for (int at = 0; at < n; at++) {
        roots_at(p, pass, x, s, at, value);
        for (int r = 0; r < pass->root_count; r++) {
            if (pass->kind == OPTIM_SUMS)
                s->sum[r] += value[r];
            else
                *operand_of(x, s, pass->to[r], at) = value[r];
        }
    }
}

static inline void optim_start(const OptimSpec *s, ExprPool *p, OptimParam *x, int count)
{
    for (int i = 0; i < count; i++) {
        optim_build(s, x[i].decays, p, &x[i].program);
        for (int k = 0; k < 2; k++)
            for (int at = 0; at < x[i].n; at++)
                x[i].slot[k][at] = x[i].program.slot_start[k];
        for (int at = 0; at < x[i].n; at++)
            x[i].mean[at] = x[i].p[at];
    }
}

/* One step of all parameters, whose gradients are in place. */
static inline void optim_step(const OptimSpec *spec, const ExprPool *p, OptimParam *x, int count,
                              double lr, int64_t step)
{
    OptimStep s = {0};
    optim_hypers(spec, lr, step, s.hyper);
    for (int i = 0; i < count && x[i].program.has_clip; i++)
        optim_pass(p, &x[i].program.norm, &x[i], &s);
    if (x[0].program.has_clip)
        optim_pass(p, &x[0].program.clip, &x[0], &s);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < x[i].program.pass_count; k++) {
            const OptimPass *pass = &x[i].program.pass[k];
            for (int r = 0; r < OPTIM_ROOTS && pass->kind == OPTIM_SUMS; r++)
                s.sum[r] = 0;
            optim_pass(p, pass, &x[i], &s);
        }
}

/* The gradients of the tests: value i at a step. */
static inline double test_gradient(int step, int i)
{
    return 4 * (double)rng_uniform(11, (uint64_t)(step * 8 + i)) - 1.5;
}
#endif
