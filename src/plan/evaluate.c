/* A network for inference on the state of a training step: parameters change between runs, so the
 * plan's own first steps pack them. Batch normalisation is not folded into weights but applied as a
 * scale and a shift per channel, which those steps compute from the running statistics. */
#include "plan/train.h"
#include <stdio.h>
#include <string.h>

static const PlanParam *find(const PlanState *state, const char *name)
{
    for (uint32_t i = 0; i < state->params.len; i++)
        if (strcmp(state->params.at[i].name, name) == 0)
            return &state->params.at[i];
    return NULL;
}

/* The parameters of this graph's nodes where the training graph's of the same names lie. */
static void take_parameters(Planner *s, const PlanState *state)
{
    Plan *p = s->p;
    for (uint32_t v = 1; v < s->g->nodes.len && s->failed == NULL; v++) {
        ParamSpec spec[PARAM_MAX];
        NodeId n = {v};
        int count = s->an->live[v] ? params_of(s->g, n, s->an->shape, spec) : 0;
        for (int i = 0; i < count && s->failed == NULL; i++) {
            const char *name =
                arena_printf(p->arena, "%s.%s", graph_node(s->g, n)->name, spec[i].suffix);
            const PlanParam *trained = find(state, name);
            if (trained == NULL || trained->floats != param_count(&spec[i])) {
                s->failed = arena_printf(p->arena, "'%s' is not trained", name);
                return;
            }
            PlanParam q = *trained;
            q.node = n;
            q.which = i;
            vec_push(p->arena, &p->state.params, q);
            if (s->train->first[v] == 0)
                s->train->first[v] = p->state.params.len;
        }
    }
}

void plan_open_evaluation(Planner *s, const Plan *training)
{
    Plan *p = s->p;
    plan_new_training(s, NULL);
    p->on_state = true;
    p->weight_floats = training->weight_floats;
    p->state.kept = training->state.kept;
    take_parameters(s, &training->state);
}

/* scale = weight / sqrt(var + eps), shift = bias - mean * scale */
int64_t plan_running_norm(Planner *s, NodeId bn)
{
    ExprPool *e = &s->train->exprs;
    int64_t padded = plan_padded(s, s->an->shape[bn.v].c);
    const PlanParam *weight = plan_param(s, bn, "weight"), *bias = plan_param(s, bn, "bias");
    const PlanParam *mean = plan_param(s, bn, "running_mean");
    const PlanParam *var = plan_param(s, bn, "running_var");
    if (s->train->norm[bn.v] >= 0 || bias == NULL || mean == NULL || var == NULL)
        return s->train->norm[bn.v];
    int64_t at = plan_state_add(s, (NORM_SHIFT + 1) * padded);
    Draft d = {.node = bn, .k = {.family = FAM_UPDATE, .gate_arg = -1, .whole = true}};
    d.k.pool_expr = e;
    d.k.in = d.k.out = (MapDesc){LAYOUT_PLANAR, padded, 1, 1};
    d.args[KERNEL_ARG_IN] = plan_state_at(var->offset);
    d.args[KERNEL_ARG_OUT] = plan_state_at(at + NORM_SCALE * padded);
    plan_extra(&d, KARG_MAP, plan_state_at(bias->offset), 0, 0);
    plan_extra(&d, KARG_MAP, plan_state_at(mean->offset), 0, 0);
    plan_extra(&d, KARG_RESULT, plan_state_at(at + NORM_SHIFT * padded), 0, 0);
    ExprId eps = expr_const(e, graph_attr(s->g, bn, AT_BN_eps)->r);
    ExprId std = expr_unary(e, EX_SQRT, expr_binary(e, EX_ADD, expr_arg(e, 0), eps));
    ExprId factor = expr_const(e, 1);
    if (weight != NULL) {
        plan_extra(&d, KARG_MAP, plan_state_at(weight->offset), 0, 0);
        factor = expr_arg(e, 4);
    }
    ExprId scale = expr_binary(e, EX_DIV, factor, std);
    d.k.root_count = 2;
    d.k.root_of[0] = scale;
    d.k.root_to[0] = KERNEL_ARG_OUT;
    d.k.root_of[1] =
        expr_binary(e, EX_SUB, expr_arg(e, 1), expr_binary(e, EX_MUL, expr_arg(e, 2), scale));
    d.k.root_to[1] = KERNEL_ARG_EXTRA + 2;
    plan_finish_early(s, &d);
    return s->train->norm[bn.v] = at;
}
