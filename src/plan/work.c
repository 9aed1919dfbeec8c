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
    return (double)s->macs;
}

PlanWork plan_work(const Plan *p, uint32_t step, int64_t batch)
{
    const PlanStep *s = &p->steps.at[step];
    const Kernel *k = &p->kernels.at[s->kernel].k;
    double images = s->whole ? 1 : (double)batch;
    PlanWork w = {.macs = images * step_macs(k, s), .bytes = -1};
    if (p->train != NULL || p->on_state)
        return w;
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
