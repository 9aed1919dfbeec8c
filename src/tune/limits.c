#include "tune/limits.h"

/* How a target's work is cut: parts, dealt out evenly to any sensible number of threads, or the
 * blocks of a GPU, of which each of its threads takes a vector; multiply-adds on the same
 * registers. */
typedef struct Cut {
    int parts, threads, rounds;
} Cut;

static Cut cut_for(const Target *t)
{
    return t->kind == TARGET_CUDA ? (Cut){.parts = 264, .threads = 256, .rounds = 512}
                                  : (Cut){.parts = 64, .threads = 1, .rounds = 4000};
}

static const int64_t least = 1 << 20, most = INT64_C(1) << 30; /* bytes */

/* Of the workspace; of a device among the weights, as those are what its memory can be filled with.
 */
static PlanOperand region(Plan *p, int64_t floats)
{
    if (p->target.kind == TARGET_CUDA) {
        p->weight_floats += floats;
        return (PlanOperand){SPACE_WEIGHTS, 0, p->weight_floats - floats};
    }
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

static Kernel kernel(const Target *t, Family f, int64_t in, int64_t out)
{
    Cut cut = cut_for(t);
    return (Kernel){.family = f,
                    .in = {LAYOUT_PLANAR, in, 1, 1},
                    .out = {LAYOUT_PLANAR, out, 1, 1},
                    .gate_arg = -1,
                    .whole = true,
                    .tile.cuda.threads = t->kind == TARGET_CUDA ? cut.threads : 0,
                    .positions = cut.rounds,
                    .slices = cut.parts};
}

void limits_build(LimitsPlan *x, Arena *a, const Target *t, int64_t bytes)
{
    *x = (LimitsPlan){.plan = {.arena = a, .target = *t}};
    Plan *p = &x->plan;
    x->an.g = &x->graph;
    p->an = &x->an;
    Cut cut = cut_for(t);
    int64_t vectors = (int64_t)cut.parts * cut.threads * t->vl, step = vectors * STREAM_AT_ONCE;
    bytes = bytes < least ? least : bytes > most ? most : bytes;
    /* two halves, for copies from one to the other */
    int64_t half = bytes / (int64_t)sizeof(float) / 2 / step * step;
    half = half > 0 ? half : step;
    PlanOperand rows = region(p, vectors), all = region(p, 2 * half), second = all;
    second.offset += half;
    Kernel peak = kernel(t, FAM_PEAK, 2 * t->vl, vectors);
    Kernel read = kernel(t, FAM_STREAM, 2 * half, vectors);
    Kernel copy = kernel(t, FAM_STREAM, half, half);
    add_step(p, &peak, all, rows);
    add_step(p, &read, all, rows);
    add_step(p, &copy, all, second);
    x->work[LIMIT_PEAK] = 2.0 * (double)PEAK_CHAINS * cut.rounds * (double)vectors;
    x->work[LIMIT_READ] = x->work[LIMIT_COPY] = (double)(2 * half) * sizeof(float);
}
