/* Weights of dense layers come from main memory, which nothing else asks for while they are
 * awaited, and convolutions before them leave it alone: these fetch the weights ahead
 * (docs/kernels.md). */
#include "plan/lower.h"

enum {
    FEWEST = 1 << 15, /* floats of weights that are worth it */
    FMAS_PER_LINE = 16,
    LINE = 16 /* floats */
};

/* A run of floats that is still to be fetched. */
typedef struct Wanted {
    int64_t first, end;
} Wanted;

static bool can_fetch(const Kernel *k)
{
    return k->family == FAM_CONV && k->tile.flat && k->tile.winograd == 0 && k->groups <= 1 &&
           k->in.layout == LAYOUT_BLOCKED && k->fetch == 0 && k->extra_count < KERNEL_MAX_EXTRA;
}

/* Steps and packing that named kernel `from` name `to`, which packs alike. */
static void rename_kernel(Plan *p, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < p->steps.len; i++)
        if (p->steps.at[i].kernel == from)
            p->steps.at[i].kernel = to;
    for (uint32_t i = 0; i < p->packs.len; i++)
        if (p->packs.at[i].kernel == from)
            p->packs.at[i].kernel = to;
}

/* The step fetches the first of what is wanted, as much as it can without waiting. */
static void fetch(Planner *s, PlanStep *step, Wanted *w)
{
    const Target *t = &s->p->target;
    Plan *p = s->p;
    uint32_t old = step->kernel;
    Kernel k = p->kernels.at[old].k;
    int64_t blocks = family_fetch_blocks(&k, t) * step->units, lines = (w->end - w->first) / LINE;
    int64_t most = (int64_t)t->vl * k.tile.ocv * k.tile.px / FMAS_PER_LINE;
    int64_t each = (lines + blocks - 1) / blocks;
    k.fetch = (int)(each < most ? each : most);
    if (k.fetch < 1)
        return;
    k.extra[k.extra_count++] = KARG_AHEAD;
    step->args[KERNEL_ARG_EXTRA + k.extra_count - 1] = (PlanOperand){SPACE_WEIGHTS, 0, w->first};
    w->first += k.fetch * blocks * LINE;
    p->kernels.at[old].uses--;
    step->kernel = plan_find_kernel(s, &k, p->kernels.at[old].tuned);
    if (s->failed == NULL && p->kernels.at[old].uses == 0) {
        rename_kernel(p, old, step->kernel);
        p->kernels.at[old] = p->kernels.at[p->kernels.len - 1];
        rename_kernel(p, p->kernels.len - 1, old);
        p->kernels.len--;
    }
}

void plan_ahead(Planner *s)
{
    Plan *p = s->p;
    Wanted w = {0};
    if (p->target.kind != TARGET_CPU || p->on_state || p->train != NULL)
        return;
    for (uint32_t i = p->steps.len; i-- > 0 && s->failed == NULL;) {
        PlanStep *step = &p->steps.at[i];
        const Kernel *k = &p->kernels.at[step->kernel].k;
        int64_t floats = family_weight_floats(k, &p->target);
        if (k->family == FAM_DENSE && floats >= FEWEST) {
            int64_t first = step->args[KERNEL_ARG_W].offset;
            bool apart = w.end <= w.first || w.first < first || w.first - first > 2 * floats;
            w = (Wanted){first, apart ? first + floats : w.end};
        } else if (w.end > w.first && can_fetch(k)) {
            fetch(s, step, &w);
        }
    }
}
