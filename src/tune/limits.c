#include "tune/limits.h"

enum { PARTS = 64 /* units: dealt out evenly to any sensible number of threads */ };
enum { ROUNDS = 4000 };
static const int64_t least = 1 << 20, most = INT64_C(1) << 30; /* bytes */

static PlanOperand region(Plan *p, int64_t floats)
{
    PlanTensor t = {.space = SPACE_ARENA, .floats = floats, .offset = p->arena_floats};
    vec_push(p->arena, &p->tensors, t);
    p->arena_floats += floats;
    return (PlanOperand){SPACE_ARENA, p->tensors.len, 0};
}

static void add_step(Plan *p, const Kernel *k, PlanOperand in, PlanOperand out)
{
    PlanKernel entry = {.k = *k, .key = "", .uses = 1};
    PlanStep step = {.kernel = p->kernels.len, .units = k->slices, .name = "", .whole = true};
    step.args[KERNEL_ARG_IN] = in;
    step.args[KERNEL_ARG_OUT] = out;
    vec_push(p->arena, &p->kernels, entry);
    vec_push(p->arena, &p->steps, step);
}

static Kernel kernel(Family f, int64_t in, int64_t out)
{
    return (Kernel){.family = f,
                    .in = {LAYOUT_PLANAR, in, 1, 1},
                    .out = {LAYOUT_PLANAR, out, 1, 1},
                    .gate_arg = -1,
                    .whole = true,
                    .positions = ROUNDS,
                    .slices = PARTS};
}

void limits_build(LimitsPlan *x, Arena *a, const Target *t, int64_t bytes)
{
    *x = (LimitsPlan){.plan = {.arena = a, .target = *t}};
    Plan *p = &x->plan;
    x->an.g = &x->graph;
    p->an = &x->an;
    int64_t step = (int64_t)PARTS * STREAM_AT_ONCE * t->vl, vectors = (int64_t)PARTS * t->vl;
    bytes = bytes < least ? least : bytes > most ? most : bytes;
    /* two halves, for copies from one to the other */
    int64_t half = bytes / (int64_t)sizeof(float) / 2 / step * step;
    PlanOperand rows = region(p, vectors), all = region(p, 2 * half), second = all;
    second.offset = half;
    Kernel peak = kernel(FAM_PEAK, 2 * t->vl, vectors);
    Kernel read = kernel(FAM_STREAM, 2 * half, vectors), copy = kernel(FAM_STREAM, half, half);
    add_step(p, &peak, all, rows);
    add_step(p, &read, all, rows);
    add_step(p, &copy, all, second);
    x->work[LIMIT_PEAK] = 2.0 * (double)(PEAK_CHAINS * ROUNDS * vectors);
    x->work[LIMIT_READ] = x->work[LIMIT_COPY] = (double)(2 * half) * sizeof(float);
}
