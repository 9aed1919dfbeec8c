/* Maps as bf16 in memory: half of what a network reads and writes. A map is where every kernel that
 * writes or reads it can, so that none is converted between two kernels; inputs and outputs of the
 * network are not, nor what becomes an output by a copy. Only in plans whose contractions round to
 * bf16 in any case. What is summed over a batch, statistics, losses, gradients of parameters, is in
 * the state of a training step and stays as it is.
 *
 * needs: all steps and tensors, no offsets in the arena. keeps: steps, their order and weights.
 * breaks: indices of kernels. */
#include "plan/lower.h"

static bool suits(const PlanTensor *t)
{
    return t->space == SPACE_ARENA && t->map.layout == LAYOUT_CHANNELS &&
           t->map.c % CUDA_NARROW == 0;
}

static int64_t pixel_of(const Kernel *k, int arg)
{
    return arg == KERNEL_ARG_OUT  ? k->out_pixel
           : arg == KERNEL_ARG_IN ? k->in_pixel
                                  : k->extra_pixel[arg - KERNEL_ARG_EXTRA];
}

static bool is_map(int arg)
{
    return arg == KERNEL_ARG_OUT || arg == KERNEL_ARG_IN ||
           (arg >= KERNEL_ARG_EXTRA && arg < KERNEL_ARG_SCRATCH);
}

static bool given_out(const Kernel *k, const PlanStep *s)
{
    return k->family == FAM_COPY && s->args[KERNEL_ARG_OUT].space == SPACE_OUTPUT;
}

/* Those that some step cannot take so are none. */
static void choose(const Plan *p)
{
    for (uint32_t i = 0; i < p->tensors.len; i++)
        p->tensors.at[i].narrow = suits(&p->tensors.at[i]);
    for (uint32_t i = 0; i < p->steps.len; i++) {
        const PlanStep *s = &p->steps.at[i];
        const Kernel *k = &p->kernels.at[s->kernel].k;
        for (int arg = 0; arg < KERNEL_ARGS; arg++) {
            const PlanOperand *o = &s->args[arg];
            if (o->tensor == 0)
                continue;
            bool takes = is_map(arg) && cuda_may_be_narrow(k, arg) && !given_out(k, s) &&
                         o->offset % CUDA_NARROW == 0 && pixel_of(k, arg) % CUDA_NARROW == 0;
            PlanTensor *t = &p->tensors.at[o->tensor - 1];
            t->narrow = t->narrow && takes;
        }
    }
}

static void set_step(Kernel *k, int arg, int64_t step)
{
    if (arg == KERNEL_ARG_OUT)
        k->out_step = step;
    else if (arg == KERNEL_ARG_IN)
        k->in_step = step;
    else
        k->extra_step[arg - KERNEL_ARG_EXTRA] = step;
}

static Kernel narrowed(const Plan *p, PlanStep *s, const Kernel *from)
{
    Kernel k = *from;
    for (int arg = 0; arg < KERNEL_ARGS; arg++) {
        PlanOperand *o = &s->args[arg];
        if (o->tensor == 0 || !p->tensors.at[o->tensor - 1].narrow)
            continue;
        k.narrow |= 1u << arg;
        set_step(&k, arg, 2 * p->tensors.at[o->tensor - 1].floats);
        o->offset /= 2;
    }
    return k;
}

void plan_narrow(Planner *s)
{
    Plan *p = s->p;
    if (p->target.kind != TARGET_CUDA || p->target.dtype != DTYPE_BF16)
        return;
    choose(p);
    for (uint32_t i = 0; i < p->tensors.len; i++) {
        PlanTensor *t = &p->tensors.at[i];
        if (t->narrow)
            t->floats = plan_round((map_floats(t->map, p->target.vl) + 1) / 2);
    }
    const PlanKernel *before = p->kernels.at;
    uint32_t count = p->kernels.len, *now = arena_new_n(p->arena, uint32_t, (size_t)count + 1);
    p->kernels.at = NULL;
    p->kernels.len = p->kernels.cap = 0;
    for (uint32_t i = 0; i < p->steps.len; i++) {
        PlanStep *step = &p->steps.at[i];
        Kernel k = narrowed(p, step, &before[step->kernel].k);
        uint32_t old = step->kernel;
        step->kernel = now[old] = plan_find_kernel(s, &k, before[old].tuned);
    }
    for (uint32_t i = 0; i < p->packs.len; i++) /* of kernels that differ in maps, any */
        p->packs.at[i].kernel = now[p->packs.at[i].kernel];
}
