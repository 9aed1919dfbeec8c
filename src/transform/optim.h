/* Optimizers as passes over the parameters: expressions over a parameter, its gradient, the
 * optimizer's state and what changes from step to step. Layouts, buffers and launches are the
 * planner's. */
#ifndef CNNC_OPTIM_H
#define CNNC_OPTIM_H
#include "cnnrt.h"
#include "expr/expr.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum OptimKind {
#define OPTIM(ID, NAME, SLOTS, MORE, USES, DOC) OPTIM_##ID,
#include "transform/optim.def"
    OPTIM_KINDS
} OptimKind;
extern const char *const optim_name[OPTIM_KINDS];
extern const char *const optim_doc[OPTIM_KINDS];
/* OPTIM_KINDS when no optimizer has that name. */
OptimKind optim_find(const char *name);

/* An optimizer's constants. Those its row in optim.def does not name are not read, except the last
 * three, which any optimizer takes. */
typedef struct OptimSpec {
    OptimKind kind;
    double momentum;
    bool nesterov;
    double beta1, beta2, eps;
    double alpha; /* RMSPROP: of the running mean of squares */
    bool tf;      /* RMSPROP: eps inside the root, that mean starts at one, and the rate is part of
                     the momentum */
    double decay; /* 0 = none */
    double max_norm; /* gradients are scaled down to this norm over all parameters; 0 = never */
    double average;  /* decay of a running mean of the parameters; 0 = none */
    int accumulate;  /* gradients are sums over so many batches of their means; 0 as 1 */
} OptimSpec;

/* What a run tells the passes at every step: places in CnnrtRun.hyper. */
typedef enum OptimHyper {
    OPTIM_LR,
    OPTIM_BIAS1,   /* 1 / (1 - beta1^t), t counted from 1 */
    OPTIM_BIAS2,   /* 1 / sqrt(1 - beta2^t) */
    OPTIM_SCALE,   /* 1 / accumulate */
    OPTIM_AVERAGE, /* 1 - average: the share of the new value, which float32 holds exactly enough */
    OPTIM_HYPERS
} OptimHyper;
/* What the runtime needs to compute them. */
CnnrtOptimizer optim_constants(const OptimSpec *s);
/* `step` updates have been made before. Writes out[0, OPTIM_HYPERS). */
void optim_hypers(const OptimSpec *s, double lr, int64_t step, float *out);

/* What an argument of a pass is, or a result's place. */
typedef enum OptimOperand {
    OPTIM_PARAM,
    OPTIM_GRAD,
    OPTIM_SLOT,       /* `index`-th slot */
    OPTIM_MEAN,       /* the running mean of the parameter */
    OPTIM_CLIP,       /* one float for all parameters: what gradients are multiplied with */
    OPTIM_TRUST,      /* one float per parameter */
    OPTIM_HYPER_SLOT, /* `index` is an OptimHyper */
    OPTIM_SUM,        /* FINISH: sum `index` of the pass before */
} OptimOperand;
typedef struct OptimArg {
    OptimOperand what;
    int index;
} OptimArg;

typedef enum OptimPassKind {
    OPTIM_SUMS,   /* sums of the roots over the elements; `to` means nothing */
    OPTIM_FINISH, /* one float per root, from the sums of the pass before */
    OPTIM_UPDATE, /* element by element; all roots are computed before any is stored */
} OptimPassKind;

enum { OPTIM_ARGS = 12, OPTIM_ROOTS = 4, OPTIM_PASSES = 4 };

/* Argument k of the roots is arg[k]. arg[0] is the parameter in SUMS and UPDATE (in `norm`, the
 * gradient), sum 0 in FINISH. */
typedef struct OptimPass {
    OptimPassKind kind;
    int arg_count, root_count;
    OptimArg arg[OPTIM_ARGS];
    ExprId root[OPTIM_ROOTS];
    OptimArg to[OPTIM_ROOTS];
} OptimPass;

/* All of a step. With has_clip: `norm` over every parameter, its sums added over all of them, then
 * `clip` once. Then pass[0, pass_count) for each parameter. */
typedef struct OptimProgram {
    int slots;
    const char *slot_name[2]; /* PyTorch's */
    double slot_start[2];     /* what every float of a slot is before the first step */
    bool has_clip;
    OptimPass norm, clip;
    int pass_count;
    OptimPass pass[OPTIM_PASSES];
} OptimProgram;

/* NULL, or why these constants make no optimizer. */
const char *optim_check(const OptimSpec *s);
/* Of a checked spec. decays: false for parameters that are spared of decay (norms, biases,
 * vectors); LAMB scales their steps by no ratio either. */
void optim_build(const OptimSpec *s, bool decays, ExprPool *p, OptimProgram *out);
/* The running mean of values that are not trained (statistics of batch normalisation). */
void optim_average(ExprPool *p, OptimPass *out);
#endif
