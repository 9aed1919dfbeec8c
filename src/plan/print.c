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

void plan_print(const Plan *p, Buf *out)
{
    if (p->target.kind == TARGET_CPU)
        buf_printf(out, "target %s, %d lanes\n", p->target.cpu, p->target.vl);
    else
        buf_printf(out, "target %s, for each image of a batch items/items per block\n",
                   p->target.cpu);
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
            buf_printf(out, "%3u  at=%lld floats=%lld steps=%u..%u\n", (unsigned)i + 1,
                       (long long)t->offset, (long long)t->floats, (unsigned)t->first_step,
                       (unsigned)t->last_step);
    }
    buf_printf(out,
               "arena %lld floats an image (largest live set %lld), weights %lld, scratch %lld\n",
               (long long)p->arena_floats, (long long)p->live_peak, (long long)p->weight_floats,
               (long long)p->scratch_floats);
}
