/* How a batch goes through each step of inference on processors (docs/kernels.md). */
#include "plan/lower.h"

enum { CACHED = 1 << 18 /* floats of weights that stay in a core's cache from image to image */ };

/* Whether each unit reads weights of its own. */
static bool has_panels(const Kernel *k)
{
    bool conv = k->family == FAM_CONV || k->family == FAM_CONVT;
    return k->family == FAM_DENSE || (conv && k->tile.split_oc);
}

void plan_order(Plan *p)
{
    if (p->target.kind != TARGET_CPU || p->on_state)
        return;
    for (uint32_t i = 0; i < p->steps.len; i++) {
        PlanStep *s = &p->steps.at[i];
        const Kernel *k = &p->kernels.at[s->kernel].k;
        bool many = plan_operand_floats(k, &p->target, KERNEL_ARG_W) > CACHED;
        s->order = many && has_panels(k) ? ORDER_UNIT : ORDER_IMAGE;
    }
}
