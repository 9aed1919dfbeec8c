#include "plan/work.h"
#include "plan/lower.h"

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Floats read of the input of one image: rows and columns between windows are not. */
static int64_t input_floats(const Kernel *k, const Target *t)
{
    MapDesc m = k->in;
    if (k->family == FAM_COPY && k->copy == COPY_CHANNELS)
        m.c = k->count_c;
    else if (k->family == FAM_COPY && k->copy == COPY_BORDER) {
        m.h = at_most(m.h, k->out.h);
        m.w = at_most(m.w, k->out.w);
    } else if (k->kh > 0 && k->kw > 0) {
        m.h = at_most(m.h, k->out.h * k->kh);
        m.w = at_most(m.w, k->out.w * k->kw);
    }
    return map_floats(m, t->vl);
}

static int64_t output_floats(const Kernel *k, const Target *t)
{
    MapDesc m = k->out;
    if (k->family == FAM_COPY && k->copy == COPY_CHANNELS)
        m.c = k->count_c;
    return map_floats(m, t->vl);
}

static double step_macs(const Kernel *k, const PlanStep *s)
{
    enum { PRODUCTS = 36 /* of a tile of F(4x4, 3x3) */ };
    if (k->family == FAM_CONV && k->tile.winograd > 0)
        return (double)PRODUCTS * (double)family_winograd_tiles(k) * (double)k->in.c *
               (double)k->out.c;
    if (k->family == FAM_CONV_DW || k->family == FAM_DEPTHWISE_DW) {
        double per_out = k->family == FAM_CONV_DW ? (double)k->in.c / (double)k->groups : 1;
        return per_out * (double)k->kh * (double)k->kw * (double)k->dy.c * (double)k->dy.h *
               (double)k->dy.w;
    }
    return (double)s->macs;
}

/* How many images of an operand a step goes over: a whole one over that of every image, or over one
 * for all, by its step. */
static double images_of(const PlanStep *s, int64_t image_step, double batch)
{
    return s->whole && image_step == 0 ? 1 : batch;
}

/* Floats of extra operand i of a kernel on a training state. */
static double state_extra(const PlanStep *s, const Kernel *k, const Target *t, int i, double batch)
{
    double images = images_of(s, k->extra_step[i], batch);
    bool own_size = k->extra_step[i] != 0 && k->extra_pixel[i] == 0; /* not always the output's */
    int64_t channels = map_blocks(i == k->gate_arg ? k->in : k->out, t->vl) * t->vl;
    switch (k->extra[i]) {
    case KARG_MAP:
        return images * (double)(own_size ? k->extra_step[i] : map_floats(k->out, t->vl));
    case KARG_GATE: return images * (double)channels;
    case KARG_CHANNEL: return (double)channels;
    default: return 0; /* a value or so; a result, which the roots count */
    }
}

/* The same of all operands: packed weights, runs of parameters, sums in parts, maps. */
static double state_floats(const Plan *p, const PlanStep *s, const Kernel *k, double batch)
{
    const Target *t = &p->target;
    Kernel packed = *k;
    packed.family = k->packs;
    if (k->family == FAM_PACK) /* read and written */
        return 2 * (double)family_weight_floats(&packed, t);
    double sum = 0, out = (double)output_floats(k, t);
    if (s->args[KERNEL_ARG_IN].space != SPACE_NONE)
        sum += images_of(s, k->in_step, batch) * (double)input_floats(k, t);
    if (k->family == FAM_UPDATE || k->family == FAM_FINISH) /* each root to an operand */
        sum += k->root_count * out;
    else if (s->args[KERNEL_ARG_OUT].space != SPACE_NONE)
        sum += images_of(s, k->out_step, batch) * out;
    if (s->args[KERNEL_ARG_W].space != SPACE_NONE)
        sum += (double)family_weight_floats(k, t);
    if (s->args[KERNEL_ARG_BIAS].space != SPACE_NONE)
        sum += (double)family_bias_floats(k, t);
    for (int i = 0; i < k->extra_count; i++)
        sum += state_extra(s, k, t, i, batch);
    return sum;
}

PlanWork plan_work(const Plan *p, uint32_t step, int64_t batch)
{
    const PlanStep *s = &p->steps.at[step];
    const Kernel *k = &p->kernels.at[s->kernel].k;
    double images = images_of(s, k->in_step, (double)batch);
    PlanWork w = {.macs = images * step_macs(k, s)};
    if (p->train != NULL || p->on_state) {
        w.bytes = sizeof(float) * state_floats(p, s, k, (double)batch);
        return w;
    }
    double maps = 0, weights = 0;
    for (int arg = 0; arg < KERNEL_ARG_SCRATCH; arg++) {
        int64_t floats = arg == KERNEL_ARG_IN    ? input_floats(k, &p->target)
                         : arg == KERNEL_ARG_OUT ? output_floats(k, &p->target)
                                                 : plan_operand_floats(k, &p->target, arg);
        if (s->args[arg].space == SPACE_WEIGHTS)
            weights += (double)floats;
        else if (s->args[arg].space != SPACE_NONE)
            maps += (double)floats;
    }
    w.bytes = sizeof(float) * (weights + images * maps);
    return w;
}
