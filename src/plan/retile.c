/* Tiles that were measured, for kernels as narrow.c leaves them: what was measured reads and writes
 * the same maps. Tiles on matrix units say how weights are packed, and so where all of them lie.
 *
 * needs: all steps and tensors, no steps that pack. keeps: steps, their order, tensors. breaks:
 * indices of kernels, offsets of weights. */
#include "plan/lower.h"

static bool any_narrow(const Plan *p)
{
    for (uint32_t i = 0; i < p->kernels.len; i++)
        if (p->kernels.at[i].k.narrow != 0)
            return true;
    return false;
}

static void choose_again(Planner *s)
{
    Plan *p = s->p;
    const PlanKernel *before = p->kernels.at;
    p->kernels.at = NULL;
    p->kernels.len = p->kernels.cap = 0;
    for (uint32_t i = 0; i < p->steps.len; i++) {
        PlanStep *step = &p->steps.at[i];
        Kernel k = before[step->kernel].k;
        bool tuned = plan_choose_tile(s, &k);
        step->kernel = plan_find_kernel(s, &k, tuned);
        step->units = family_units(&k, &p->target);
    }
}

/* The region of weights that begins at an offset. */
static PackJob *region_at(const Plan *p, int64_t offset)
{
    uint32_t low = 0, high = p->packs.len; /* they lie in their order */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (p->packs.at[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    return &p->packs.at[low];
}

static void place_again(Planner *s)
{
    Plan *p = s->p;
    int64_t *to = arena_new_n(p->arena, int64_t, (size_t)p->packs.len + 1), end = 0;
    for (uint32_t i = 0; i < p->steps.len; i++)
        for (int arg = 0; arg < KERNEL_ARGS; arg++)
            if (p->steps.at[i].args[arg].space == SPACE_WEIGHTS)
                region_at(p, p->steps.at[i].args[arg].offset)->kernel = p->steps.at[i].kernel;
    for (uint32_t i = 0; i < p->packs.len; i++) {
        PackJob *job = &p->packs.at[i];
        to[i] = end;
        if (job->kind == PACK_WEIGHTS)
            job->floats = family_weight_floats(&p->kernels.at[job->kernel].k, &p->target);
        end += plan_round(job->floats); /* both at most 2^60 */
        if (end > FAMILY_LIMIT / 8)
            s->failed = "the weights are too large";
        if (s->failed != NULL)
            return;
    }
    for (uint32_t i = 0; i < p->steps.len; i++)
        for (int arg = 0; arg < KERNEL_ARGS; arg++) {
            PlanOperand *o = &p->steps.at[i].args[arg];
            if (o->space == SPACE_WEIGHTS)
                o->offset = to[region_at(p, o->offset) - p->packs.at];
        }
    for (uint32_t i = 0; i < p->packs.len; i++)
        p->packs.at[i].offset = to[i];
    p->weight_floats = end;
}

void plan_retile(Planner *s)
{
    if (s->tiles == NULL || s->p->on_state || !any_narrow(s->p))
        return;
    choose_again(s);
    if (s->failed == NULL)
        place_again(s);
}
