/* The state of a training step, and what its steps find there. */
#include "plan/train.h"
#include <stdio.h>
#include <string.h>

int64_t plan_state_add(Planner *s, int64_t floats)
{
    Plan *p = s->p;
    int64_t at = p->weight_floats;
    p->weight_floats += plan_round(floats); /* both at most 2^60 */
    if (p->weight_floats > FAMILY_LIMIT / 8 && s->failed == NULL)
        s->failed = "the parameters are too large";
    if (s->failed != NULL)
        p->weight_floats = at;
    return at;
}

PlanOperand plan_state_at(int64_t offset)
{
    return (PlanOperand){SPACE_WEIGHTS, 0, offset};
}

int64_t plan_padded(const Planner *s, int64_t c)
{
    int64_t vl = s->p->target.vl;
    return (c + vl - 1) / vl * vl;
}

const PlanParam *plan_param(const Planner *s, NodeId n, const char *suffix)
{
    const Plan *p = s->p;
    uint32_t first = s->train->first[n.v];
    ParamSpec spec[PARAM_MAX];
    int count = params_of(s->g, n, s->an->shape, spec);
    for (uint32_t i = first; first != 0 && i <= p->state.params.len; i++) {
        const PlanParam *q = &p->state.params.at[i - 1];
        if (q->node.v == n.v && q->which < count && strcmp(spec[q->which].suffix, suffix) == 0)
            return q;
    }
    return NULL;
}

int64_t plan_gradient(const Planner *s, NodeId n)
{
    uint32_t i = s->train->grad_of[n.v];
    return i == 0 ? -1 : s->p->state.grad + s->p->state.params.at[i - 1].offset;
}

int plan_extra(Draft *d, ArgKind kind, PlanOperand o, int64_t step, int hyper)
{
    int i = d->k.extra_count++;
    d->k.extra[i] = kind;
    d->k.extra_step[i] = step;
    d->k.hyper[i] = hyper;
    d->args[KERNEL_ARG_EXTRA + i] = o;
    return i;
}

int64_t plan_step_of(const Planner *s, Value v)
{
    return s->p->tensors.at[v.tensor - 1].floats;
}

int plan_extra_value(const Planner *s, Draft *d, ArgKind kind, Value v)
{
    int i = plan_extra(d, kind, plan_operand(s, v), plan_step_of(s, v), 0);
    d->k.extra_pixel[i] = v.pixel;
    return i;
}

typedef enum Part { PART_DECAYED, PART_PLAIN, PART_STATISTIC, PARTS } Part;

/* Weight decay spares biases and the factors of normalisations: whatever has one dimension. */
static Part part_of(const ParamSpec *spec)
{
    if (!spec->trainable)
        return PART_STATISTIC;
    return spec->ndim > 1 ? PART_DECAYED : PART_PLAIN;
}

static void add_param(Planner *s, NodeId n, int which, const ParamSpec *spec)
{
    Plan *p = s->p;
    int64_t floats = param_count(spec);
    const char *name = arena_printf(p->arena, "%s.%s", graph_node(s->g, n)->name, spec->suffix);
    if (floats > FAMILY_LIMIT / 8) {
        s->failed = "the parameters are too large";
        return;
    }
    Part part = part_of(spec);
    PlanParam q = {.node = n,
                   .which = which,
                   .name = name,
                   .offset = plan_state_add(s, floats),
                   .floats = floats,
                   .trained = part != PART_STATISTIC,
                   .decayed = part == PART_DECAYED};
    for (q.ndim = 0; q.ndim < spec->ndim; q.ndim++)
        q.dims[q.ndim] = spec->dims[q.ndim];
    vec_push(p->arena, &p->state.params, q);
    if (s->train->first[n.v] == 0)
        s->train->first[n.v] = p->state.params.len;
}

/* The statistics of a bn_apply: it has the names of the bn that it stands for, but they are no
 * parameters of its own rule's list when the rule is bn, which lists all four. */
static void add_part(Planner *s, Part part)
{
    for (uint32_t v = 1; v < s->train->t->forward_end; v++) {
        ParamSpec spec[PARAM_MAX];
        NodeId n = {v};
        if (graph_owner(s->g, n).v != v)
            continue;
        int count = params_of(s->g, n, s->an->shape, spec);
        for (int i = 0; i < count && s->failed == NULL; i++)
            if (part_of(&spec[i]) == part)
                add_param(s, n, i, &spec[i]);
    }
}

static void find_gradients(Planner *s)
{
    const TrainGraph *t = s->train->t;
    for (uint32_t i = 0; i < t->params.len; i++)
        for (uint32_t k = 0; k < s->p->state.params.len; k++) {
            const PlanParam *q = &s->p->state.params.at[k];
            if (q->node.v == t->params.at[i].node.v && q->which == t->params.at[i].which)
                s->train->grad_of[t->params.at[i].grad.v] = k + 1;
        }
    for (uint32_t i = 0; i < t->stats.len; i++)
        s->train->bn_of[t->stats.at[i].var.v] = t->stats.at[i].bn;
}

void plan_new_training(Planner *s, const TrainGraph *train)
{
    Plan *p = s->p;
    uint32_t n = s->g->nodes.len;
    TrainPlan *t = arena_new_n(p->arena, TrainPlan, 1);
    *t = (TrainPlan){.t = train,
                     .first = arena_new_n(p->arena, uint32_t, n),
                     .grad_of = arena_new_n(p->arena, uint32_t, n),
                     .bn_of = arena_new_n(p->arena, NodeId, n),
                     .norm = arena_new_n(p->arena, int64_t, n),
                     .back = arena_new_n(p->arena, int64_t, n),
                     .lines = arena_new_n(p->arena, LineSums, n),
                     .gate = arena_new_n(p->arena, Value, n)};
    expr_init(&t->exprs, p->arena);
    s->train = t;
    p->train = train;
    p->on_state = true;
    for (uint32_t v = 0; v < n; v++)
        t->norm[v] = t->back[v] = -1;
}

void plan_open_training(Planner *s, const TrainGraph *train, const OptimSpec *optim)
{
    Plan *p = s->p;
    plan_new_training(s, train);
    add_part(s, PART_DECAYED);
    p->state.decayed = p->weight_floats;
    add_part(s, PART_PLAIN);
    p->state.trained = p->weight_floats;
    add_part(s, PART_STATISTIC);
    p->state.kept = p->weight_floats;
    plan_optimizer_state(s, optim);
    p->state.grad = plan_state_add(s, p->state.trained);
    find_gradients(s);
    plan_find_lines(s);
}

void plan_close_training(Planner *s, const OptimSpec *optim)
{
    plan_optimizer(s, optim);
    plan_packs_first(s);
}

void plan_packs_first(Planner *s)
{
    Plan *p = s->p;
    uint32_t packs = s->train->packs.len, steps = p->steps.len;
    for (uint32_t i = 0; i < steps; i++)
        vec_push(p->arena, &s->train->packs, p->steps.at[i]);
    p->steps.len = 0;
    for (uint32_t i = 0; i < packs + steps; i++)
        vec_push(p->arena, &p->steps, s->train->packs.at[i]);
    p->forward = packs;
    p->backward += packs;
    p->update += packs;
}

void plan_finish_early(Planner *s, Draft *d)
{
    Plan *p = s->p;
    plan_finish_step(s, d);
    if (s->failed == NULL)
        vec_push(p->arena, &s->train->packs, p->steps.at[--p->steps.len]);
}

/* The step that brings the weights of d, which is complete, into the order of its kernel. */
static PlanOperand pack(Planner *s, const Draft *d, const PlanParam *weight)
{
    const Plan *p = s->p;
    Draft own = {.k = d->k, .node = weight->node};
    PlanOperand to = plan_state_at(plan_state_add(s, family_weight_floats(&d->k, &p->target)));
    own.k.family = FAM_PACK;
    own.k.packs = d->k.family;
    own.k.pack_o = d->pack_o;
    own.k.pack_i = d->pack_i;
    own.k.pack_flip = d->pack_flip;
    own.k.whole = true;
    own.k.has_bias = false;
    own.k.root = (ExprId){0};
    own.k.extra_count = own.k.root_count = 0;
    own.k.gate_arg = -1;
    own.k.in_step = own.k.out_step = own.k.in_pixel = own.k.out_pixel = 0;
    own.args[KERNEL_ARG_OUT] = to;
    own.args[KERNEL_ARG_IN] = plan_state_at(weight->offset);
    plan_finish_early(s, &own);
    return to;
}

/* Where a vector of channels lies. */
static int64_t channel_at(Planner *s, const FuseOperand *o)
{
    static const char *const suffix[] = {
        [FILL_LN_WEIGHT] = "weight", [FILL_LN_BIAS] = "bias", [FILL_GAMMA] = "gamma"};
    int64_t padded = plan_padded(s, s->an->shape[o->node.v].c);
    switch (o->fill) {
    case FILL_NORM_SCALE:
    case FILL_NORM_SHIFT:
        return s->train->norm[o->node.v] +
               padded * (o->fill == FILL_NORM_SCALE ? NORM_SCALE : NORM_SHIFT);
    case FILL_BN_SCALE:
    case FILL_BN_SHIFT: {
        int64_t at = plan_running_norm(s, o->node);
        return at < 0 ? at : at + padded * (o->fill == FILL_BN_SCALE ? NORM_SCALE : NORM_SHIFT);
    }
    case FILL_BACK_A:
    case FILL_BACK_B:
    case FILL_BACK_C:
        return s->train->back[graph_owner(s->g, o->node).v] +
               padded * (int64_t)(o->fill - FILL_BACK_A);
    case FILL_LN_WEIGHT:
    case FILL_LN_BIAS:
    case FILL_GAMMA: {
        const PlanParam *q = plan_param(s, o->node, suffix[o->fill]);
        return q != NULL ? q->offset : -1;
    }
    default: return -1;
    }
}

void plan_place_state(Planner *s, Draft *d)
{
    const FuseGroup *g = d->group;
    Kernel *k = &d->k;
    if (g == NULL)
        return;
    NodeId owner = g->anchor.v != 0 ? graph_owner(s->g, g->anchor) : NODE_NONE;
    const PlanParam *weight = owner.v != 0 ? plan_param(s, owner, "weight") : NULL;
    const PlanParam *bias = owner.v != 0 ? plan_param(s, owner, "bias") : NULL;
    if (weight != NULL && family_weight_floats(k, &s->p->target) > 0)
        d->args[KERNEL_ARG_W] = pack(s, d, weight);
    if (bias != NULL && k->has_bias)
        d->args[KERNEL_ARG_BIAS] = plan_state_at(bias->offset);
    for (uint32_t i = 0; i < g->operands.len; i++) {
        if (g->operands.at[i].kind != OPERAND_CHANNEL)
            continue;
        int64_t at = channel_at(s, &g->operands.at[i]);
        if (at < 0 && s->failed == NULL)
            s->failed = "a vector of channels is used before it is computed";
        d->args[KERNEL_ARG_EXTRA + i] = plan_state_at(at);
    }
}
