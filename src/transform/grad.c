/* Building the training graph: the forward graph again with what training adds, the losses, then
 * backwards through it. */
#include "transform/grad.h"
#include "transform/grad_rules.h"
#include "analysis/cost.h"
#include <string.h>

static Graph *graph_of(Grad *s)
{
    return &s->t->g;
}

static const char *name_for(Grad *s, NodeId n, const char *what)
{
    return arena_printf(s->arena, "%s^%s", graph_node(&s->t->g, n)->name, what);
}

/* Appends a node and its shape. */
static NodeId append(Grad *s, Op op, const AttrVal *attrs, const NodeId *in, uint32_t nin,
                     const char *name, uint32_t origin)
{
    Shape out = {0};
    ShapeError err;
    Shape *ins = arena_new_n(s->arena, Shape, nin + 1);
    for (uint32_t i = 0; i < nin; i++)
        ins[i] = s->shape.at[in[i].v];
    if (!shape_infer(op, attrs, ins, nin, &out, &err) && s->failed == NULL)
        s->failed = arena_printf(s->arena, "%s: %s", name, err.text);
    NodeId n = graph_add(graph_of(s), op, attrs, in, nin, name, origin);
    vec_push(s->arena, &s->shape, out);
    return n;
}

NodeId grad_add(Grad *s, Op op, const AttrVal *attrs, const NodeId *in, uint32_t nin, NodeId n,
                const char *what)
{
    uint32_t origin = graph_node(&s->t->g, n)->origin;
    return append(s, op, attrs, in, nin, name_for(s, n, what), origin);
}

NodeId grad_own(Grad *s, Op op, NodeId n, Shape shape, const NodeId *in, uint32_t nin,
                const char *what)
{
    AttrVal at[] = {[AT_BACKWARD_of] = attr_int(n.v),
                    [AT_BACKWARD_c] = attr_int(shape.c),
                    [AT_BACKWARD_h] = attr_int(shape.h),
                    [AT_BACKWARD_w] = attr_int(shape.w),
                    [AT_BACKWARD_flat] = attr_bool(shape.flat)};
    return grad_add(s, op, at, in, nin, n, what);
}

bool grad_wanted(const Grad *s, NodeId n, uint32_t i)
{
    return s->needs[graph_in(&s->t->g, n, i).v];
}

void grad_input(Grad *s, NodeId n, uint32_t i, NodeId dx)
{
    NodeId in = graph_in(&s->t->g, n, i);
    if (s->needs[in.v])
        vec_push(s->arena, &s->parts[in.v], dx);
}

/* Batch normalisation by the statistics of the batch itself. */
static NodeId copy_bn(Grad *s, const Node *node, const AttrVal *attrs, NodeId x)
{
    Shape v = {s->shape.at[x.v].c, 1, 1, true};
    AttrVal at[] = {attr_int(x.v), attr_int(v.c), attr_int(1), attr_int(1), attr_bool(true)};
    NodeId mean = append(s, OP_CHANNEL_MEAN, at, &x, 1,
                         arena_printf(s->arena, "%s^mean", node->name), node->origin);
    NodeId var = append(s, OP_CHANNEL_VAR, at, (NodeId[]){x, mean}, 2,
                        arena_printf(s->arena, "%s^var", node->name), node->origin);
    NodeId bn =
        append(s, OP_BN_APPLY, attrs, (NodeId[]){x, mean, var}, 3, node->name, node->origin);
    vec_push(s->arena, &s->t->stats, ((StatUpdate){bn, mean, var}));
    return bn;
}

static NodeId copy_mask(Grad *s, const Node *node, double p, NodeId x, NodeId id)
{
    AttrVal at[] = {[AT_MASK_p] = attr_real(p),
                    [AT_MASK_key] = attr_int(id.v),
                    [AT_MASK_per_image] = attr_bool(node->op == OP_DROP_PATH)};
    return append(s, OP_MASK, at, &x, 1, node->name, node->origin);
}

static NodeId copy_node(Grad *s, const Graph *from, NodeId id)
{
    const Node *node = graph_node(from, id);
    const AttrVal *attrs = graph_attr(from, id, 0);
    NodeId *in = arena_new_n(s->arena, NodeId, node->in_count + 1);
    for (uint32_t i = 0; i < node->in_count; i++)
        in[i] = s->t->node_of[graph_in(from, id, i).v];
    switch (node->op) {
    case OP_BN: return copy_bn(s, node, attrs, in[0]);
    case OP_DROPOUT: return copy_mask(s, node, attrs[AT_DROPOUT_p].r, in[0], id);
    case OP_DROP_PATH: return copy_mask(s, node, attrs[AT_DROP_PATH_p].r, in[0], id);
    default: return append(s, node->op, attrs, in, node->in_count, node->name, node->origin);
    }
}

static void copy_forward(Grad *s, const Analysis *an)
{
    const Graph *from = an->g;
    Graph *g = graph_of(s);
    for (uint32_t v = 1; v < from->nodes.len; v++)
        if (an->live[v] || graph_node(from, (NodeId){v})->op == OP_INPUT)
            s->t->node_of[v] = copy_node(s, from, (NodeId){v});
    for (uint32_t i = 0; i < from->ins.len; i++) {
        GraphInput in = from->ins.at[i];
        in.node = s->t->node_of[in.node.v];
        vec_push(s->arena, &g->ins, in);
    }
    for (uint32_t i = 0; i < from->outs.len; i++) {
        GraphOutput out = from->outs.at[i];
        out.node = s->t->node_of[out.node.v];
        out.source = s->t->node_of[out.source.v];
        vec_push(s->arena, &g->outs, out);
    }
}

/* The input that brings a head's targets; one for all of its losses. */
static NodeId target_of(Grad *s, const GraphOutput *head)
{
    const char *name = arena_printf(s->arena, "target.%s", head->name);
    Graph *g = graph_of(s);
    for (uint32_t i = 0; i < g->ins.len; i++)
        if (strcmp(g->ins.at[i].name, name) == 0)
            return g->ins.at[i].node;
    Shape z = s->shape.at[head->node.v];
    AttrVal at[] = {attr_int(z.c), attr_int(z.h), attr_int(z.w)};
    NodeId n = append(s, OP_INPUT, at, NULL, 0, name, 0);
    vec_push(s->arena, &g->ins, ((GraphInput){.name = name, .node = n}));
    s->t->targets++;
    return n;
}

static void output(Grad *s, NodeId n, const char *name)
{
    vec_push(s->arena, &graph_of(s)->outs, ((GraphOutput){.name = name, .node = n, .source = n}));
}

static const Op loss_op[] = {
    [LOSS_CROSS_ENTROPY] = OP_LOSS_CE, [LOSS_BINARY] = OP_LOSS_BCE, [LOSS_SQUARED] = OP_LOSS_MSE};
static const Op loss_grad[] = {[LOSS_CROSS_ENTROPY] = OP_LOSS_CE_DX,
                               [LOSS_BINARY] = OP_LOSS_BCE_DX,
                               [LOSS_SQUARED] = OP_LOSS_MSE_DX};

static void add_losses(Grad *s, const TrainLoss *loss, int count)
{
    for (int i = 0; i < count; i++) {
        GraphOutput head = graph_of(s)->outs.at[loss[i].head];
        NodeId in[] = {head.node, target_of(s, &head)};
        AttrVal at[] = {attr_real(loss[i].weight), attr_real(loss[i].smoothing)};
        const char *name = arena_printf(s->arena, "loss.%d", i);
        NodeId n = append(s, loss_op[loss[i].kind], at, in, 2, name, 0);
        vec_push(s->arena, &s->t->losses, n);
        output(s, n, name);
    }
}

static void find_needs(Grad *s)
{
    const Graph *g = &s->t->g;
    for (uint32_t v = 1; v < g->nodes.len; v++) {
        const Node *n = &g->nodes.at[v];
        ParamSpec spec[PARAM_MAX];
        int count = params_of(g, (NodeId){v}, s->shape.at, spec);
        for (int i = 0; i < count; i++)
            s->needs[v] |= spec[i].trainable;
        for (uint32_t i = 0; i < n->in_count; i++)
            s->needs[v] |= s->needs[graph_in(g, (NodeId){v}, i).v];
    }
}

static NodeId total(Grad *s, NodeId n)
{
    NodeList *parts = &s->parts[n.v];
    if (parts->len == 1)
        return parts->at[0];
    return grad_add(s, OP_ADD, NULL, parts->at, parts->len, n, "d");
}

static void backward(Grad *s, const TrainLoss *loss)
{
    for (uint32_t i = 0; i < s->t->losses.len; i++) {
        NodeId n = s->t->losses.at[i], z = graph_in(&s->t->g, n, 0);
        NodeId in[] = {z, graph_in(&s->t->g, n, 1)};
        if (!s->needs[z.v]) {
            s->failed = arena_printf(s->arena, "no trained parameter leads to the head '%s'",
                                     graph_of(s)->outs.at[loss[i].head].name);
            return;
        }
        NodeId dz = grad_own(s, loss_grad[loss[i].kind], n, s->shape.at[z.v], in, 2, "dx");
        vec_push(s->arena, &s->parts[z.v], dz);
    }
    for (uint32_t v = s->t->forward_end; v-- > 1 && s->failed == NULL;) {
        NodeId n = {v};
        if (s->parts[v].len > 0)
            grad_rule(graph_node(&s->t->g, n)->op)(s, n, total(s, n));
    }
}

static void name_outputs(Grad *s)
{
    const Graph *g = &s->t->g;
    for (uint32_t i = 0; i < s->t->params.len; i++) {
        const ParamGrad *p = &s->t->params.at[i];
        ParamSpec spec[PARAM_MAX];
        params_of(g, p->node, s->shape.at, spec);
        output(s, p->grad,
               arena_printf(s->arena, "grad.%s.%s", graph_node(g, p->node)->name,
                            spec[p->which].suffix));
    }
    for (uint32_t i = 0; i < s->t->stats.len; i++) {
        const StatUpdate *u = &s->t->stats.at[i];
        const char *name = graph_node(g, u->bn)->name;
        output(s, u->mean, arena_printf(s->arena, "mean.%s", name));
        output(s, u->var, arena_printf(s->arena, "var.%s", name));
    }
}

const char *grad_build(TrainGraph *t, Arena *a, const Analysis *an, const TrainLoss *loss,
                       int loss_count)
{
    Grad s = {.t = t, .arena = a};
    *t = (TrainGraph){.node_of = arena_new_n(a, NodeId, an->g->nodes.len)};
    if (loss_count < 1)
        return "a training step needs a loss";
    graph_init(&t->g, a, an->g->name);
    vec_push(a, &s.shape, ((Shape){0}));
    copy_forward(&s, an);
    add_losses(&s, loss, loss_count);
    t->forward_end = t->g.nodes.len;
    s.needs = arena_new_n(a, bool, t->forward_end);
    s.parts = arena_new_n(a, NodeList, t->forward_end);
    if (s.failed == NULL) {
        find_needs(&s);
        backward(&s, loss);
    }
    if (s.failed == NULL)
        name_outputs(&s);
    t->shape = s.shape.at;
    return s.failed != NULL ? s.failed : graph_verify(&t->g);
}

void grad_analysis(TrainGraph *t, Arena *a, const Analysis *forward, Analysis *out)
{
    uint32_t n = t->g.nodes.len;
    *out = (Analysis){.g = &t->g,
                      .shape = t->shape,
                      .cost = arena_new_n(a, NodeCost, n),
                      .live = arena_new_n(a, bool, n),
                      .params = forward->params};
    t->g.outs.len = forward->g->outs.len + t->losses.len;
    for (uint32_t v = 1; v < n; v++) {
        out->live[v] = true;
        out->cost[v].macs = cost_macs(&t->g, graph_owner(&t->g, (NodeId){v}), t->shape);
        out->macs += out->cost[v].macs;
    }
}
