#include "driver/train_step.h"
#include "big.h"
#include "plan/recompute.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static OptimSpec optimizer(const TrainSpec *s)
{
    static const OptimKind kind[TRAIN_CALL_COUNT] = {[TRAIN_SGD] = OPTIM_SGD,
                                                     [TRAIN_ADAM] = OPTIM_ADAM,
                                                     [TRAIN_ADAMW] = OPTIM_ADAMW,
                                                     [TRAIN_RMSPROP] = OPTIM_RMSPROP,
                                                     [TRAIN_LAMB] = OPTIM_LAMB};
    const OptimizerSpec *o = &s->optimizer;
    return (OptimSpec){.kind = kind[o->kind],
                       .momentum = o->momentum,
                       .nesterov = o->nesterov,
                       .beta1 = o->beta1,
                       .beta2 = o->beta2,
                       .eps = o->eps,
                       .alpha = o->alpha,
                       .tf = o->tf,
                       .decay = o->decay,
                       .max_norm = s->clip > 0 ? s->clip : o->max_norm,
                       .average = s->ema,
                       .accumulate = (int)s->accumulate};
}

static const char *build_graph(TrainStep *t, Run *r, const Net *n, const TrainSpec *spec)
{
    static const LossKind kind[TRAIN_CALL_COUNT] = {[TRAIN_CROSS_ENTROPY] = LOSS_CROSS_ENTROPY,
                                                    [TRAIN_BCE] = LOSS_BINARY,
                                                    [TRAIN_MSE] = LOSS_SQUARED};
    TrainLoss loss[TRAIN_LOSSES];
    for (uint32_t i = 0; i < spec->loss_count; i++)
        loss[i] = (TrainLoss){kind[spec->loss[i].kind], spec->loss[i].output, spec->loss[i].weight,
                              spec->loss[i].smoothing};
    const char *bad = grad_build(&t->graph, &r->net_arena, &n->an, loss, (int)spec->loss_count);
    if (bad != NULL)
        return bad;
    t->heads = n->elab->graph.outs.len;
    t->losses = t->graph.losses.len;
    grad_analysis(&t->graph, &r->net_arena, &n->an, &t->an);
    fuse_run(&t->code.fusion, &r->net_arena, &t->an);
    return fuse_verify(&t->code.fusion);
}

static int plan(TrainStep *t, Run *r, const Net *n, PlanRecompute recompute)
{
    Target target;
    Buf text = {0};
    int code = native_open(&t->code, r, cli_get(r->cli, OPT_TARGET_CPU), &target);
    if (code != EXIT_FINE)
        return code;
    target.exact_conv = cli_has(r->cli, OPT_EXACT_CONV);
    double start = front_seconds();
    const char *bad = plan_build_training(&t->code.plan, &r->net_arena, &t->an, &t->code.fusion,
                                          &target, &t->graph, &t->optim);
    if (bad != NULL)
        return front_fail(r, EXIT_LIMIT, "'%s' cannot be planned: %s", n->elab->graph.name, bad);
    plan_recompute(&t->code.plan, recompute);
    bad = plan_verify(&t->code.plan);
    if (bad != NULL)
        return front_fail(r, front_blame(EXIT_INTERNAL, bad), "planning made an invalid plan: %s",
                          bad);
    stage_time(r, "plan", start);
    native_say_units(r, &t->code.plan, n->elab->graph.name);
    if (stage_wanted(r, STAGE_FUSE))
        fuse_print(&t->code.fusion, &text);
    code = stage_show(r, STAGE_FUSE, n->elab->graph.name, &text);
    text = (Buf){0};
    if (code == EXIT_FINE && stage_wanted(r, STAGE_PLAN))
        plan_print(&t->code.plan, &text);
    return code == EXIT_FINE ? stage_show(r, STAGE_PLAN, n->elab->graph.name, &text) : code;
}

static int aligned(Run *r, float **out, size_t bytes, const char *what)
{
    if (cnnrt_big_alloc((void **)out, bytes > 0 ? bytes : 64) == 0)
        return EXIT_FINE;
    *out = NULL;
    return front_fail(r, EXIT_LIMIT, "out of memory: %s take %.1f MB", what, (double)bytes / 1e6);
}

static void say_memory(const TrainStep *t, Run *r, const Net *n, size_t state, size_t work)
{
    const Plan *p = &t->code.plan;
    double plain = 4e-6 * (double)(p->plain_floats - p->arena_floats) * (double)t->batch;
    const char *saved = "";
    if (r->quiet)
        return;
    if (cli_has(r->cli, OPT_RECOMPUTE))
        saved = arena_printf(&r->net_arena, " (%.1f MB without --recompute; %.1f %% more MACs)",
                             1e-6 * (double)work + plain,
                             100 * (double)p->again_macs / (3 * (double)n->an.macs));
    front_note(r,
               "'%s': a step of %" PRId64
               " images takes %.1f MB: %.1f MB of activations%s, %.1f MB of parameters, "
               "gradients and what the optimizer keeps",
               n->elab->graph.name, t->batch, (double)(work + state) / 1e6, (double)work / 1e6,
               saved, (double)state / 1e6);
}

static int allocate(TrainStep *t, Run *r, const Net *n, int threads)
{
    const Plan *p = &t->code.plan;
    size_t state = (size_t)p->weight_floats * sizeof(float);
    size_t work = cnnrt_workspace_size(t->code.model, (int)t->batch, threads);
    bool device = p->target.kind == TARGET_CUDA;
    say_memory(t, r, n, state,
               device ? (size_t)(p->arena_floats * t->batch) * sizeof(float) : work);
    int code = aligned(r, &t->state, state, "parameters, gradients and the optimizer's values");
    if (code == EXIT_FINE)
        code = aligned(r, &t->workspace, work, "activations");
    if (code != EXIT_FINE)
        return code;
    memset(t->state, 0, state);
    for (int s = 0; s < p->state.slots; s++)
        for (int64_t i = 0; i < p->state.trained; i++)
            t->state[p->state.slot[s] + i] = (float)p->state.slot_start[s];
    for (uint32_t i = 0; i < t->heads + t->losses; i++) {
        NodeId out = t->graph.g.outs.at[i].node;
        size_t bytes = (size_t)(shape_count(t->graph.shape[out.v]) * t->batch) * sizeof(float);
        code = aligned(r, &t->out[i], bytes, "outputs");
        if (code != EXIT_FINE)
            return code;
    }
    int status = cnnrt_create(&t->ctx, t->code.model, t->state, threads, t->workspace, work);
    return status == CNNRT_OK ? EXIT_FINE : native_failure(r, t->code.model, status);
}

static int plan_step(TrainStep *t, Run *r, const Net *n, const TrainSpec *spec,
                     PlanRecompute recompute)
{
    *t = (TrainStep){.optim = optimizer(spec), .batch = spec->batch};
    const char *bad = optim_check(&t->optim);
    if (bad != NULL)
        return front_fail(r, EXIT_USAGE, "the optimizer: %s", bad);
    if (n->elab->graph.outs.len > 64)
        return front_fail(r, EXIT_LIMIT, "more than 64 heads");
    double start = front_seconds();
    bad = build_graph(t, r, n, spec);
    if (bad != NULL)
        return front_fail(r, EXIT_REFUSED, "'%s' cannot be trained: %s", n->elab->graph.name, bad);
    stage_time(r, "gradients", start);
    return plan(t, r, n, recompute);
}

int train_step_plan(TrainStep *t, Run *r, const Net *n, const TrainSpec *spec)
{
    const char *level = cli_get(r->cli, OPT_RECOMPUTE);
    PlanRecompute recompute = level == NULL               ? RECOMPUTE_NONE
                              : strcmp(level, "all") == 0 ? RECOMPUTE_ALL
                                                          : RECOMPUTE_CHEAP;
    return plan_step(t, r, n, spec, recompute);
}

int train_step_memory(Run *r, const Net *n, const TrainSpec *spec, bool json, Buf *out)
{
    static const char *const name[] = {"none", "cheap", "all"};
    TrainStep t;
    int code = plan_step(&t, r, n, spec, RECOMPUTE_NONE);
    if (code != EXIT_FINE)
        return code;
    const Plan plain = t.code.plan;
    double forward = (double)n->an.macs;
    buf_add(out, json ? "[" : "# activations        MB a batch   of plain  more MACs\n");
    for (int level = RECOMPUTE_NONE; level <= RECOMPUTE_ALL; level++) {
        Plan p = plain;
        plan_recompute(&p, (PlanRecompute)level);
        double floats = (double)p.arena_floats, batch = (double)spec->batch;
        if (json)
            buf_printf(out,
                       "%s{\"recompute\":\"%s\",\"bytes_per_image\":%" PRId64
                       ",\"macs_again\":%" PRId64 "}",
                       level == 0 ? "" : ",", name[level], p.arena_floats * 4, p.again_macs);
        else
            buf_printf(out, "# %-17s %12.1f %9.1f%% %9.1f%%\n",
                       level == 0 ? "plain"
                                  : arena_printf(&r->net_arena, "--recompute=%s", name[level]),
                       floats * batch * 4e-6, 100 * floats / (double)p.plain_floats,
                       100 * (double)p.again_macs / (3 * forward));
    }
    buf_add(out, json ? "]" : "");
    native_close(&t.code);
    return EXIT_FINE;
}

int train_step_open(TrainStep *t, Run *r, const Net *n, const TrainSpec *spec, int threads)
{
    int code = train_step_plan(t, r, n, spec);
    if (code == EXIT_FINE)
        code = native_load(&t->code, r, n, (int)spec->batch);
    return code == EXIT_FINE ? allocate(t, r, n, threads) : code;
}

void train_step_close(TrainStep *t)
{
    cnnrt_destroy(t->ctx);
    for (uint32_t i = 0; i < t->heads + t->losses; i++)
        free(t->out[i]);
    free(t->state);
    free(t->workspace);
    native_close(&t->code);
    *t = (TrainStep){0};
}

int train_step_parameters(const TrainStep *t, Run *r, Parameters *p, float *to)
{
    const PlanState *s = &t->code.plan.state;
    ParamSource source = parameters_source(p);
    for (uint32_t i = 0; i < s->params.len; i++) {
        const PlanParam *q = &s->params.at[i];
        ParamSpec spec[PARAM_MAX];
        params_of(&t->graph.g, q->node, t->graph.shape, spec);
        const float *data = source.get(source.ctx, q->name, &spec[q->which]);
        if (data == NULL)
            return front_fail(r, EXIT_LIMIT, "no value for parameter '%s'", q->name);
        memcpy(to + q->offset, data, (size_t)q->floats * sizeof *data);
        param_release(&source, data);
    }
    return EXIT_FINE;
}

int train_step_init(TrainStep *t, Run *r, Parameters *p)
{
    const PlanState *s = &t->code.plan.state;
    int code = train_step_parameters(t, r, p, t->state);
    if (code != EXIT_FINE)
        return code;
    if (s->average >= 0)
        memcpy(t->state + s->average, t->state, (size_t)s->kept * sizeof(float));
    t->ahead = true;
    return EXIT_FINE;
}

int train_step_fetch(TrainStep *t)
{
    return cnnrt_fetch_weights(t->ctx, 0, t->code.plan.weight_floats);
}

static int send(TrainStep *t)
{
    int status = t->ahead ? cnnrt_send_weights(t->ctx, 0, t->code.plan.weight_floats) : CNNRT_OK;
    t->ahead = t->ahead && status != CNNRT_OK;
    return status;
}

/* Mean of the weighted losses of the last pass. */
static double loss_of(const TrainStep *t, int64_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < t->losses; i++)
        for (int64_t k = 0; k < n; k++)
            sum += t->out[t->heads + i][k];
    return sum / (double)n;
}

int train_step_run(TrainStep *t, int64_t n, const float *const *in, uint64_t seed, uint64_t step,
                   const float *hyper, bool update, double *loss)
{
    const Plan *p = &t->code.plan;
    int status = send(t);
    if (status == CNNRT_OK)
        status = cnnrt_set_run(t->ctx, seed, step, hyper);
    if (status == CNNRT_OK)
        status = cnnrt_run_steps(t->ctx, (int)n, in, t->out, 0, p->update, NULL);
    if (status != CNNRT_OK)
        return status;
    *loss = loss_of(t, n);
    if (!update || !isfinite(*loss))
        return CNNRT_OK;
    return cnnrt_run_steps(t->ctx, (int)n, in, t->out, p->update, p->steps.len, NULL);
}

double train_step_gradient_norm(TrainStep *t)
{
    if (train_step_fetch(t) != CNNRT_OK)
        return NAN;
    const PlanState *s = &t->code.plan.state;
    double sum = 0, passes = s->sum >= 0 ? (double)s->optimizer.accumulate : 1;
    for (uint32_t i = 0; i < s->params.len; i++) {
        const PlanParam *q = &s->params.at[i];
        const float *g = t->state + (s->sum >= 0 ? s->sum : s->grad) + q->offset;
        for (int64_t k = 0; q->trained && k < q->floats; k++)
            sum += (double)g[k] * (double)g[k];
    }
    return sqrt(sum) / passes;
}

static bool all_finite(const float *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return false;
    return true;
}

static const char *bad_parameter(TrainStep *t, bool statistics)
{
    if (train_step_fetch(t) != CNNRT_OK)
        return NULL;
    const PlanState *s = &t->code.plan.state;
    for (uint32_t i = 0; i < s->params.len; i++)
        if ((s->params.at[i].trained || statistics) &&
            !all_finite(t->state + s->params.at[i].offset, s->params.at[i].floats))
            return s->params.at[i].name;
    return NULL;
}

const char *train_step_bad_parameter(TrainStep *t)
{
    return bad_parameter(t, true);
}

const char *train_step_not_finite(TrainStep *t, int64_t n, const float *const *in)
{
    const Plan *p = &t->code.plan;
    /* the pass has changed the statistics */
    const char *bad = bad_parameter(t, false);
    if (bad != NULL)
        return bad;
    for (uint32_t i = 0; i < p->backward && p->target.kind == TARGET_CPU; i++) {
        const PlanStep *s = &p->steps.at[i];
        const PlanOperand *o = &s->args[KERNEL_ARG_OUT];
        if (cnnrt_run_steps(t->ctx, (int)n, in, t->out, i, i + 1, NULL) != CNNRT_OK)
            return NULL;
        if (o->space != SPACE_ARENA)
            continue;
        const PlanTensor *to = &p->tensors.at[o->tensor - 1];
        for (int64_t k = 0; k < n; k++)
            if (!all_finite(t->workspace + to->offset * n + k * to->floats + o->offset,
                            map_floats(p->kernels.at[s->kernel].k.out, p->target.vl)))
                return s->name;
    }
    return NULL;
}

static const float *from_state(void *ctx, const char *name, const ParamSpec *spec)
{
    const TrainStep *t = ctx;
    const PlanState *s = &t->code.plan.state;
    (void)spec;
    for (uint32_t i = 0; i < s->params.len; i++)
        if (strcmp(s->params.at[i].name, name) == 0)
            return t->state + s->params.at[i].offset;
    return NULL;
}

static const float *from_average(void *ctx, const char *name, const ParamSpec *spec)
{
    const TrainStep *t = ctx;
    const float *plain = from_state(ctx, name, spec);
    return plain != NULL ? plain + t->code.plan.state.average : NULL;
}

ParamSource train_step_source(TrainStep *t, bool average)
{
    train_step_fetch(t); /* what fails here fails in the next pass, with a message */
    return (ParamSource){t, average ? from_average : from_state, NULL};
}

CnntrainTensor *train_step_tensors(const TrainStep *t, Run *r, size_t *count)
{
    const PlanState *s = &t->code.plan.state;
    CnntrainTensor *all = arena_new_n(&r->net_arena, CnntrainTensor, (size_t)s->params.len * 4 + 1);
    size_t n = 0;
    for (uint32_t i = 0; i < s->params.len; i++) {
        const PlanParam *q = &s->params.at[i];
        CnntrainTensor one = {.name = q->name, .ndim = q->ndim};
        memcpy(one.dims, q->dims, sizeof one.dims);
        one.data = t->state + q->offset;
        all[n++] = one;
        for (int k = 0; k < s->slots && q->trained; k++) {
            one.name = arena_printf(&r->net_arena, "optimizer.%s.%s", s->slot_name[k], q->name);
            one.data = t->state + s->slot[k] + q->offset;
            all[n++] = one;
        }
        if (s->average >= 0) {
            one.name = arena_printf(&r->net_arena, PARAMETERS_MEAN "%s", q->name);
            one.data = t->state + s->average + q->offset;
            all[n++] = one;
        }
    }
    *count = n;
    return all;
}
