/* How the kernels of a network for GPUs are launched: what a runtime needs beside the PTX. */
#include "driver/artifact.h"
#include "plan/work.h"
#include <inttypes.h>

bool artifact_is_cuda(const Artifact *x)
{
    return x->variants[0].native.plan.target.kind == TARGET_CUDA;
}

/* An operand, in floats: where image 0 of it lies. In the arena offsets count for every image of
 * the batch, `inner` once. */
static void launch_argument(const Plan *p, const PlanOperand *o, bool last, Buf *out)
{
    static const char *const space[] = {
        [SPACE_NONE] = "none",   [SPACE_INPUT] = "input",     [SPACE_OUTPUT] = "output",
        [SPACE_ARENA] = "arena", [SPACE_WEIGHTS] = "weights", [SPACE_SCRATCH] = "scratch"};
    const PlanTensor *t = o->tensor != 0 ? &p->tensors.at[o->tensor - 1] : NULL;
    bool arena = t != NULL && o->space == SPACE_ARENA;
    buf_printf(out, "{\"space\": \"%s\"", space[o->space]);
    if (t != NULL && !arena)
        buf_printf(out, ", \"index\": %" PRIu32, t->index);
    buf_printf(out, ", \"offset\": %" PRId64, arena ? t->offset : o->offset);
    if (arena && o->offset != 0)
        buf_printf(out, ", \"inner\": %" PRId64, o->offset);
    buf_printf(out, "}%s", last ? "" : ", ");
}

/* What a step has to do, for a batch b: macs * b multiplications, bytes * b + bytes_once bytes. */
static void launch_work(const Plan *p, uint32_t step, Buf *out)
{
    PlanWork one = plan_work(p, step, 1), two = plan_work(p, step, 2);
    buf_printf(out, ", \"macs\": %.0f, \"bytes\": %.0f, \"bytes_once\": %.0f", two.macs - one.macs,
               two.bytes - one.bytes, 2 * one.bytes - two.bytes);
}

static void launch_step(const char *prefix, const Plan *p, uint32_t step, bool last, Buf *out)
{
    const PlanStep *s = &p->steps.at[step];
    const Kernel *k = &p->kernels.at[s->kernel].k;
    Launch l = family_launch(k, &p->target);
    int final = KERNEL_ARG_OUT;
    for (int i = 0; i < KERNEL_ARGS; i++)
        if (kernel_has_arg(k, &p->target, i))
            final = i;
    buf_add(out, "    {\"name\": ");
    buf_json_string(out, s->name);
    buf_printf(out, ", \"kernel\": \"%s_k%" PRIu32 "\", \"items\": %" PRId64, prefix, s->kernel,
               l.items);
    buf_printf(out, ", \"per_block\": %" PRId64 ", \"rows\": %" PRId64 ", \"threads\": %d",
               l.per_block, l.rows, l.threads);
    buf_printf(out, ", \"shared\": %" PRId64 "%s%s, \"family\": \"%s\"", l.shared,
               l.once ? ", \"once\": true" : "", kernel_reads_run(k) ? ", \"run\": true" : "",
               family_name[k->family]);
    if (l.in.channels > 0)
        buf_printf(out,
                   ", \"tensor\": {\"channels\": %" PRId64 ", \"rows\": %" PRId64
                   ", \"step\": %" PRId64 ", \"box\": [%d, %d]}",
                   l.in.channels, l.in.rows, l.in.step, k->tile.cuda.k, k->tile.cuda.m);
    launch_work(p, step, out);
    buf_add(out, ",\n     \"arguments\": [");
    for (int i = 0; i <= final; i++)
        if (kernel_has_arg(k, &p->target, i))
            launch_argument(p, &s->args[i], i == final, out);
    buf_printf(out, "]}%s\n", last ? "" : ",");
}

static void launch_all(const char *key, const char *prefix, const Plan *p, Buf *out)
{
    buf_printf(out, "  \"%s\": [\n", key);
    for (uint32_t i = 0; i < p->steps.len; i++)
        launch_step(prefix, p, i, i + 1 == p->steps.len, out);
    buf_add(out, "  ],\n");
}

void artifact_launches(const Artifact *x, Buf *out)
{
    Buf prefix = {0};
    launch_all("launches", x->prefix, &x->variants[0].native.plan, out);
    if (x->step == NULL)
        return;
    buf_printf(&prefix, "%s_train", x->prefix);
    launch_all("step_launches", prefix.at != NULL ? prefix.at : "", &x->step->code.plan, out);
    buf_free(&prefix);
}
