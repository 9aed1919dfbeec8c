/* The plan as text: one line a step, then what memory it takes. */
#include "plan/plan.h"

static void print_operand(const Plan *p, const PlanOperand *o, Buf *out)
{
    switch (o->space) {
    case SPACE_NONE: return;
    case SPACE_WEIGHTS: buf_printf(out, "w+%lld", (long long)o->offset); return;
    case SPACE_SCRATCH: buf_add(out, "scratch"); return;
    case SPACE_INPUT: buf_printf(out, "in%u", (unsigned)p->tensors.at[o->tensor - 1].index); break;
    case SPACE_OUTPUT:
        buf_printf(out, "out%u", (unsigned)p->tensors.at[o->tensor - 1].index);
        break;
    case SPACE_ARENA: buf_printf(out, "t%u", (unsigned)o->tensor); break;
    }
    if (o->offset != 0)
        buf_printf(out, "+%lld", (long long)o->offset);
}

static void print_step(const Plan *p, uint32_t i, Buf *out)
{
    const PlanStep *s = &p->steps.at[i];
    buf_printf(out, "%3u  ", (unsigned)i);
    print_operand(p, &s->args[KERNEL_ARG_OUT], out);
    buf_printf(out, " = k%u(", (unsigned)s->kernel);
    bool first = true;
    for (int arg = KERNEL_ARG_IN; arg < KERNEL_ARGS; arg++) {
        if (s->args[arg].space == SPACE_NONE)
            continue;
        if (!first)
            buf_add(out, ", ");
        first = false;
        print_operand(p, &s->args[arg], out);
    }
    buf_printf(out, ")  %s  ", s->name);
    if (p->target.kind == TARGET_CPU) {
        buf_printf(out, "units=%lld\n", (long long)s->units);
        return;
    }
    Launch l = family_launch(&p->kernels.at[s->kernel].k, &p->target);
    buf_printf(out, "grid=%lld/%lld", (long long)l.items, (long long)l.per_block);
    if (l.rows > 1)
        buf_printf(out, "x%lld", (long long)l.rows);
    buf_printf(out, " threads=%d", l.threads);
    if (l.shared > 0)
        buf_printf(out, " shared=%lld", (long long)l.shared);
    buf_addc(out, '\n');
}

PlanContractions plan_contractions(const Plan *p)
{
    PlanContractions c = {0};
    for (uint32_t i = 0; i < p->steps.len; i++) {
        const Kernel *k = &p->kernels.at[p->steps.at[i].kernel].k;
        c.all += cuda_contraction(k);
        c.units += cuda_contraction(k) && cuda_on_matrix_units(k);
    }
    return c;
}

static void print_target(const Plan *p, Buf *out)
{
    const Target *t = &p->target;
    if (t->kind == TARGET_CPU) {
        buf_printf(out, "target %s, %d lanes\n", t->cpu, t->vl);
        return;
    }
    buf_printf(out, "target %s, for each image of a batch items/items per block\n", t->cpu);
    PlanContractions c = plan_contractions(p);
    if (t->dtype != DTYPE_FP32)
        buf_printf(out, "%s on matrix units in %u of %u contractions\n", dtype_info[t->dtype].name,
                   (unsigned)c.units, (unsigned)c.all);
}

void plan_print(const Plan *p, Buf *out)
{
    print_target(p, out);
    buf_add(out, "kernels\n");
    for (uint32_t i = 0; i < p->kernels.len; i++)
        buf_printf(out, "%3u  x%u  %s%s\n", (unsigned)i, (unsigned)p->kernels.at[i].uses,
                   p->kernels.at[i].key, p->kernels.at[i].tuned ? " (tuned)" : "");
    buf_add(out, "steps\n");
    for (uint32_t i = 0; i < p->steps.len; i++)
        print_step(p, i, out);
    buf_add(out, "tensors\n");
    for (uint32_t i = 0; i < p->tensors.len; i++) {
        const PlanTensor *t = &p->tensors.at[i];
        if (t->space == SPACE_ARENA)
            buf_printf(out, "%3u  at=%lld floats=%lld steps=%u..%u%s\n", (unsigned)i + 1,
                       (long long)t->offset, (long long)t->floats, (unsigned)t->first_step,
                       (unsigned)t->last_step, t->narrow ? " bf16" : "");
    }
    buf_printf(out,
               "arena %lld floats an image (largest live set %lld), weights %lld, scratch %lld\n",
               (long long)p->arena_floats, (long long)p->live_peak, (long long)p->weight_floats,
               (long long)p->scratch_floats);
}
