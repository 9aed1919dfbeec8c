/* Whole optimizers as kernels, several steps of two parameters against the passes interpreted in
 * double. Include after cmocka.h, with OPTIM_MOST defined. */
#ifndef CNNC_TEST_OPTIM_KERNELS_H
#define CNNC_TEST_OPTIM_KERNELS_H
#include "optim_run.h"
#include "train_rig.h"

enum { PARAMS = 2, STEPS = 3, OPTIM_ROOM = (OPTIM_MOST + 15) / 16 * 16 };
#define LR 0.01

/* Kernels by their place in the rig's model. */
typedef struct Compiled {
    uint32_t norm, pass[OPTIM_PASSES];
} Compiled;

/* The buffers of a parameter: what an operand of a pass is read from and stored to. */
typedef struct Buffers {
    _Alignas(64) float p[OPTIM_ROOM];
    float g[OPTIM_ROOM], slot[2][OPTIM_ROOM], mean[OPTIM_ROOM], trust;
} Buffers;

static OptimSpec spec;
static OptimParam param[PARAMS];
static Buffers buffers[PARAMS];
/* aligned as every operand of a kernel is */
static _Alignas(64) float partial[PARAMS * 64 * 2];
static _Alignas(64) float clip_factor;
static const int64_t lengths[PARAMS] = {OPTIM_MOST, 37};

static ArgKind kind_of(OptimOperand what)
{
    switch (what) {
    case OPTIM_HYPER_SLOT: return KARG_HYPER;
    case OPTIM_SUM: return KARG_TERM;
    case OPTIM_CLIP:
    case OPTIM_TRUST: return KARG_SCALAR;
    default: return KARG_MAP;
    }
}

/* Where a result goes: to the argument that names the same operand, or to OUT. */
static int place_in(const OptimPass *pass, OptimArg to)
{
    for (int i = 0; i < pass->arg_count && pass->kind == OPTIM_UPDATE; i++)
        if (pass->arg[i].what == to.what && pass->arg[i].index == to.index)
            return i == 0 ? KERNEL_ARG_IN : KERNEL_ARG_EXTRA + i - 1;
    return KERNEL_ARG_OUT;
}

/* slices: sums that a FINISH concludes from. */
static uint32_t add_pass(Rig *rig, const OptimPass *pass, int64_t n, int slices)
{
    static const Family family[] = {[OPTIM_SUMS] = FAM_FLAT_SUMS,
                                    [OPTIM_FINISH] = FAM_FLAT_FINISH,
                                    [OPTIM_UPDATE] = FAM_UPDATE};
    Kernel k = whole_kernel(rig, family[pass->kind], run_map(n), run_map(n));
    k.slices = pass->kind == OPTIM_FINISH ? slices : 0;
    for (int i = 1; i < pass->arg_count; i++)
        extra(rig, &k, kind_of(pass->arg[i].what), pass->arg[i].index);
    for (int r = 0; r < pass->root_count; r++)
        root(&k, pass->root[r], place_in(pass, pass->to[r]));
    suite_add(&rig->s, k);
    return rig->s.plan.kernels.len - 1;
}

static int units_of(Rig *rig, uint32_t kernel_index)
{
    return (int)rig->s.plan.steps.at[kernel_index].units;
}

static float *buffer_of(Buffers *b, OptimArg a)
{
    switch (a.what) {
    case OPTIM_PARAM: return b->p;
    case OPTIM_GRAD: return b->g;
    case OPTIM_SLOT: return b->slot[a.index];
    case OPTIM_MEAN: return b->mean;
    case OPTIM_CLIP: return &clip_factor;
    case OPTIM_TRUST: return &b->trust;
    case OPTIM_SUM: return partial;
    case OPTIM_HYPER_SLOT: break;
    }
    return NULL;
}

/* The test's own: compiles all passes; runs one of them. */
static void load_passes(Rig *rig);
static void launch_pass(Rig *rig, uint32_t at, float **args, const CnnrtRun *run);

static void run_pass(Rig *rig, const OptimPass *pass, uint32_t at, Buffers *b, float *sums,
                     const CnnrtRun *run)
{
    float *args[KERNEL_ARGS + 1] = {NULL};
    args[KERNEL_ARG_OUT] = pass->kind == OPTIM_SUMS     ? sums
                           : pass->kind == OPTIM_FINISH ? buffer_of(b, pass->to[0])
                                                        : NULL;
    for (int i = 0; i < pass->arg_count; i++)
        args[i == 0 ? KERNEL_ARG_IN : KERNEL_ARG_EXTRA + i - 1] = buffer_of(b, pass->arg[i]);
    args[KERNEL_ARG_RUN] = (float *)(uintptr_t)run;
    launch_pass(rig, at, args, run);
}

static void set_up(void)
{
    for (int i = 0; i < PARAMS; i++) {
        OptimParam *x = &param[i];
        Buffers *b = &buffers[i];
        memset(b, 0, sizeof *b);
        x->n = (int)lengths[i];
        x->decays = i == 0;
        fill_random(b->p, (size_t)x->n, "p", -1, 1);
        memcpy(b->mean, b->p, sizeof b->p);
        for (int at = 0; at < x->n; at++)
            x->p[at] = (double)b->p[at];
    }
}

static void set_gradients(int step)
{
    for (int i = 0; i < PARAMS; i++) {
        char stream[] = {'g', (char)('0' + step), (char)('0' + i), 0};
        fill_random(buffers[i].g, (size_t)param[i].n, stream, -0.5f, 1.5f);
        for (int at = 0; at < param[i].n; at++)
            param[i].g[at] = (double)buffers[i].g[at];
    }
}

static void compare(const char *cpu, int step)
{
    for (int i = 0; i < PARAMS; i++)
        for (int at = 0; at < param[i].n; at++) {
            const OptimParam *x = &param[i];
            const Buffers *b = &buffers[i];
            const double want[] = {x->p[at], x->slot[0][at], x->slot[1][at], x->mean[at]};
            const float got[] = {b->p[at], b->slot[0][at], b->slot[1][at], b->mean[at]};
            for (int k = 0; k < 4; k++)
                if (!(fabs(got[k] - want[k]) <= 3e-6 * (1 + fabs(want[k]))))
                    fail_msg("%s, %s, step %d, parameter %d, value %d, operand %d: %.9g, not %.9g",
                             cpu, optim_name[spec.kind], step, i, at, k, (double)got[k], want[k]);
        }
}

/* One step of all parameters; the sums for clipping stand one after the other. */
static void compiled_step(Rig *rig, const Compiled *c, uint32_t clip, const CnnrtRun *run)
{
    int sums = 0;
    for (int i = 0; i < PARAMS && param[i].program.has_clip; i++) {
        run_pass(rig, &param[i].program.norm, c[i].norm, &buffers[i], partial + sums, run);
        sums += units_of(rig, c[i].norm);
    }
    if (param[0].program.has_clip)
        run_pass(rig, &param[0].program.clip, clip, &buffers[0], NULL, run);
    for (int i = 0; i < PARAMS; i++)
        for (int k = 0; k < param[i].program.pass_count; k++)
            run_pass(rig, &param[i].program.pass[k], c[i].pass[k], &buffers[i], partial, run);
}

static void compile(Rig *rig, Compiled *c, uint32_t *clip)
{
    int sums = 0;
    for (int i = 0; i < PARAMS; i++) {
        const OptimProgram *o = &param[i].program;
        int slices = 0;
        if (o->has_clip) {
            c[i].norm = add_pass(rig, &o->norm, lengths[i], 0);
            sums += units_of(rig, c[i].norm);
        }
        for (int k = 0; k < o->pass_count; k++) {
            bool ends = o->pass[k].kind == OPTIM_FINISH;
            c[i].pass[k] = add_pass(rig, &o->pass[k], ends ? 2 * slices : lengths[i], slices);
            slices = units_of(rig, c[i].pass[k]);
        }
    }
    if (param[0].program.has_clip)
        *clip = add_pass(rig, &param[0].program.clip, sums, sums);
}

static void on_rig(Rig *rig, const char *cpu)
{
    Compiled c[PARAMS];
    uint32_t clip = 0;
    CnnrtRun run = {.batch = 1};
    ExprPool *p = &rig->s.pool;
    set_up();
    optim_start(&spec, p, param, PARAMS);
    for (int i = 0; i < PARAMS; i++)
        for (int k = 0; k < 2; k++)
            for (int at = 0; at < param[i].n; at++)
                buffers[i].slot[k][at] = (float)param[i].program.slot_start[k];
    compile(rig, c, &clip);
    load_passes(rig);
    for (int step = 0; step < STEPS; step++) {
        set_gradients(step);
        optim_hypers(&spec, LR, step, run.hyper);
        optim_step(&spec, p, param, PARAMS, LR, step);
        compiled_step(rig, c, clip, &run);
        compare(cpu, step);
    }
}

static const OptimSpec specs[] = {
    {.kind = OPTIM_SGD, .momentum = 0.9, .nesterov = true, .decay = 0.01, .accumulate = 2},
    {.kind = OPTIM_ADAM, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .decay = 0.1},
    {.kind = OPTIM_ADAMW, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .decay = 0.1, .max_norm = 3},
    {.kind = OPTIM_RMSPROP, .alpha = 0.9, .eps = 1e-3, .momentum = 0.9, .tf = true},
    {.kind = OPTIM_LAMB, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .decay = 0.1, .max_norm = 5},
};
#endif
