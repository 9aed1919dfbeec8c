#include "tune/trial.h"
#include "rng.h"
#include <string.h>

enum { LINE = 16 };

static int64_t lines(int64_t floats)
{
    return (floats + LINE - 1) / LINE * LINE;
}

/* A region of the workspace. */
static PlanOperand in_arena(Plan *p, int64_t floats)
{
    PlanTensor t = {.space = SPACE_ARENA, .floats = lines(floats), .offset = p->arena_floats};
    vec_push(p->arena, &p->tensors, t);
    p->arena_floats += t.floats;
    return (PlanOperand){SPACE_ARENA, p->tensors.len, 0};
}

static PlanOperand in_weights(Plan *p, int64_t floats)
{
    PlanOperand o = {SPACE_WEIGHTS, 0, p->weight_floats};
    if (floats == 0)
        return (PlanOperand){0};
    p->weight_floats += lines(floats);
    return o;
}

/* Operand `arg` of all images, `step` elements apart, for a kernel of a GPU: its memory is filled
 * as weights are. */
static PlanOperand of_images(Plan *p, const Kernel *k, int arg, int64_t step, int batch)
{
    int64_t one = plan_operand_floats(k, &p->target, arg), others = (batch - 1) * step;
    if (cuda_is_narrow(k, arg))
        others = (others + 1) / 2;
    return in_weights(p, one > 0 ? others + one : 0);
}

static void place_on_device(Plan *p, const Kernel *k, int64_t weights, int batch,
                            PlanOperand args[KERNEL_ARGS])
{
    args[KERNEL_ARG_W] = in_weights(p, weights);
    args[KERNEL_ARG_OUT] = of_images(p, k, KERNEL_ARG_OUT, k->out_step, batch);
    args[KERNEL_ARG_IN] = of_images(p, k, KERNEL_ARG_IN, k->in_step, batch);
    if (k->has_bias)
        args[KERNEL_ARG_BIAS] = in_weights(p, family_bias_floats(k, &p->target));
    for (int i = 0; i < k->extra_count; i++)
        args[KERNEL_ARG_EXTRA + i] = of_images(p, k, KERNEL_ARG_EXTRA + i, k->extra_step[i], batch);
}

/* What every tile's step is given: weights as large as any tile packs them. */
static void place_operands(Plan *p, const Kernel *k, int64_t weights, PlanOperand args[KERNEL_ARGS])
{
    const Target *t = &p->target;
    int64_t wide = map_blocks(k->out, t->vl), channels = map_blocks(k->in, t->vl);
    channels = (channels > wide ? channels : wide) * t->vl;
    args[KERNEL_ARG_W] = in_weights(p, weights);
    args[KERNEL_ARG_OUT] = in_arena(p, map_floats(k->out, t->vl));
    args[KERNEL_ARG_IN] = in_arena(p, map_floats(k->in, t->vl));
    args[KERNEL_ARG_BIAS] = in_weights(p, family_bias_floats(k, t));
    for (int i = 0; i < k->extra_count; i++)
        switch (k->extra[i]) {
        case KARG_MAP: args[KERNEL_ARG_EXTRA + i] = in_arena(p, map_floats(k->out, t->vl)); break;
        case KARG_CHANNEL: args[KERNEL_ARG_EXTRA + i] = in_weights(p, channels); break;
        case KARG_GATE: args[KERNEL_ARG_EXTRA + i] = in_arena(p, channels); break;
        case KARG_RESULT: /* of sums: at most as many parts as rows */
            args[KERNEL_ARG_EXTRA + i] = in_arena(p, channels * k->out.h);
            break;
        case KARG_AHEAD: args[KERNEL_ARG_EXTRA + i] = in_weights(p, channels); break;
        default: break; /* of training steps, whose kernels are not tried */
        }
}

const char *trial_build(Trial *x, Arena *a, const Kernel *k, const Target *t, const Tile *tiles,
                        int count, int batch)
{
    *x = (Trial){.plan = {.arena = a, .target = *t}};
    Plan *p = &x->plan;
    x->an.g = &x->graph;
    p->an = &x->an;
    PlanOperand args[KERNEL_ARGS] = {0};
    int64_t weights = 0;
    for (int i = 0; i < count; i++) {
        PlanKernel entry = {.k = *k, .key = "", .uses = 1};
        entry.k.tile = tiles[i];
        int64_t packed = family_weight_floats(&entry.k, t), scratch = family_scratch(&entry.k, t);
        weights = packed > weights ? packed : weights;
        p->scratch_floats = scratch > p->scratch_floats ? scratch : p->scratch_floats;
        vec_push(a, &p->kernels, entry);
    }
    int64_t most = FAMILY_LIMIT / 64 / (batch > 1 ? batch : 1);
    if (weights > most || p->scratch_floats > most || map_floats(k->in, t->vl) > most ||
        map_floats(k->out, t->vl) > most || k->in_step > most || k->out_step > most)
        return "a kernel is too large";
    p->scratch_floats = lines(p->scratch_floats);
    x->weights = lines(weights);
    if (t->kind == TARGET_CUDA)
        place_on_device(p, k, weights, batch, args);
    else
        place_operands(p, k, weights, args);
    args[KERNEL_ARG_SCRATCH].space = p->scratch_floats > 0 ? SPACE_SCRATCH : SPACE_NONE;
    for (uint32_t i = 0; i < p->kernels.len; i++) {
        PlanStep step = {.kernel = i, .units = family_units(&p->kernels.at[i].k, t), .name = ""};
        for (int n = 0; n < KERNEL_ARGS; n++)
            step.args[n] = args[n];
        vec_push(a, &p->steps, step);
    }
    return NULL;
}

void trial_fill(float *to, int64_t count, float scale)
{
    uint64_t key = rng_key("trial", 1);
    for (int64_t i = 0; i < count; i++) {
        float u = 2 * rng_uniform(key, (uint64_t)i) - 1, v;
        uint32_t word;
        v = scale * (u > -0.01f && u < 0.01f ? 0.01f : u);
        memcpy(&word, &v, sizeof word); /* its upper half is a bf16: the lower one is another */
        word = (word & 0xFFFF0000) | word >> 16;
        memcpy(&to[i], &word, sizeof word);
    }
}
