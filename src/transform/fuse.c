/* Grouping of nodes around anchors. A group stores one value, its result; what lies between anchor
 * and result is used nowhere else. Groups run in the order of their results: all a group reads are
 * inputs of its nodes, hence results with smaller ids. */
#include "transform/fuse_group.h"
#include "transform/fuse_expr.h"

/* Whether the node's output is its input, element by element in the same order and shape. */
static bool is_identity(const Graph *g, const Shape *shape, NodeId n)
{
    const Node *node = graph_node(g, n);
    if (node->in_count != 1)
        return false;
    const Shape *in = &shape[graph_in(g, n, 0).v], *out = &shape[n.v];
    bool same = in->c == out->c && in->h == out->h && in->w == out->w;
    switch (node->op) {
    case OP_DROPOUT:
    case OP_DROP_PATH:
    case OP_CONCAT: return true;
    case OP_MASK: return graph_attr(g, n, AT_MASK_p)->r == 0;
    case OP_UNFLATTEN:
    case OP_FLATTEN: /* a vector already */
    case OP_SLICE:
    case OP_UPSAMPLE:
    case OP_ADAPTIVE_AVGPOOL: return same;
    case OP_SPACE_TO_DEPTH: return graph_attr(g, n, AT_SPACE_TO_DEPTH_by)->i == 1;
    case OP_ZEROPAD:
        return same && graph_attr(g, n, AT_ZEROPAD_top)->i == 0 &&
               graph_attr(g, n, AT_ZEROPAD_left)->i == 0;
    case OP_CROP:
        return same && graph_attr(g, n, AT_CROP_top)->i == 0 &&
               graph_attr(g, n, AT_CROP_left)->i == 0;
    default: return false;
    }
}

static bool is_contraction(Op op)
{
    return op == OP_CONV || op == OP_CONVT || op == OP_DENSE;
}

/* Whether a group can end in this operator and go on with an epilogue. */
static bool takes_epilogue(Op op)
{
    switch (op) {
    case OP_CONV:
    case OP_CONVT:
    case OP_DENSE:
    case OP_MAXPOOL:
    case OP_AVGPOOL:
    case OP_GAP:
    case OP_ADAPTIVE_AVGPOOL:
    case OP_BN:
    case OP_LN:
    case OP_LRN:
    case OP_SOFTMAX:
    case OP_CONV_DX:
    case OP_CONVT_DX:
    case OP_DENSE_DX: return true;
    default: return (op_info[op].flags & OPF_ELEM) != 0;
    }
}

static void affine(Fuser *s, FuseGroup *g, NodeId n, ChannelFill mul, ChannelFill add)
{
    ExprPool *p = &s->f->exprs;
    ExprId x = fuse_root(s, g);
    ExprId scaled = expr_binary(p, EX_MUL, x, fuse_operand(s, g, OPERAND_CHANNEL, n, mul));
    g->root = expr_binary(p, EX_ADD, scaled, fuse_operand(s, g, OPERAND_CHANNEL, n, add));
}

static bool absorb_bn(Fuser *s, FuseGroup *g, NodeId bn)
{
    if (!s->apart && g->anchor.v != 0 && g->result.v == g->anchor.v &&
        is_contraction(op_of(s, g->anchor))) {
        g->fold_bn = bn;
        return true;
    }
    if (!fuse_has_room(g, 2))
        return false;
    affine(s, g, bn, FILL_BN_SCALE, FILL_BN_SHIFT);
    return true;
}

/* The later producer of a sum takes it: its other operands are then there anyway. */
static bool left_to_other(const Fuser *s, NodeId mine, NodeId other)
{
    return other.v > mine.v && s->uses[other.v] == 1 && !s->output[other.v] &&
           takes_epilogue(op_of(s, other));
}

static bool absorb_merge(Fuser *s, FuseGroup *g, NodeId merge)
{
    const Node *node = graph_node(s->g, merge);
    ExprOp op = node->op == OP_ADD ? EX_ADD : EX_MUL;
    if (!same_map(s, g->result, merge) || !fuse_has_room(g, fuse_room(s, merge)))
        return false;
    for (uint32_t i = 0; i < node->in_count; i++) {
        NodeId o = input_of(s, merge, i);
        if (o.v != g->result.v && same_map(s, o, merge) && left_to_other(s, g->result, o))
            return false;
    }
    ExprId x = fuse_root(s, g);
    for (uint32_t i = 0; i < node->in_count; i++) {
        NodeId o = input_of(s, merge, i);
        if (o.v == g->result.v)
            continue;
        x = expr_binary(&s->f->exprs, op, x, fuse_value(s, g, o));
    }
    g->root = x;
    return true;
}

static bool absorb(Fuser *s, FuseGroup *g, NodeId u)
{
    ExprPool *p = &s->f->exprs;
    switch (op_of(s, u)) {
    case OP_BN: return absorb_bn(s, g, u);
    case OP_LAYER_SCALE:
        if (!fuse_has_room(g, 1))
            return false;
        g->root = expr_binary(p, EX_MUL, fuse_root(s, g),
                              fuse_operand(s, g, OPERAND_CHANNEL, u, FILL_GAMMA));
        return true;
    case OP_ADD:
    case OP_MUL: return absorb_merge(s, g, u);
    case OP_BN_APPLY:
    case OP_BN_DX:
    case OP_ELEM_GRAD:
    case OP_LAYER_SCALE_DX:
    case OP_MASK: return fuse_absorb_training(s, g, u);
    default: {
        ExprId e = fuse_expr_unary(p, s->g, u, fuse_root(s, g));
        if (e.v != 0)
            g->root = e;
        return e.v != 0;
    }
    }
}

static void extend(Fuser *s, FuseGroup *g)
{
    while (s->uses[g->result.v] == 1 && !s->output[g->result.v]) {
        NodeId u = s->user[g->result.v];
        if (s->claimed[u.v] || !absorb(s, g, u))
            return;
        s->claimed[u.v] = true;
        g->result = u;
    }
}

static bool is_pointwise_conv(const Fuser *s, NodeId n)
{
    const Node *node = graph_node(s->g, n);
    if (node->op == OP_DENSE)
        return !shape_of(s, graph_in(s->g, n, 0))->flat;
    if (node->op != OP_CONV || graph_attr(s->g, n, AT_CONV_groups)->i != 1)
        return false;
    Window w = graph_window(s->g, n);
    const Shape *in = shape_of(s, graph_in(s->g, n, 0));
    Pad pad = shape_resolve_pad(&w, in->h, in->w);
    return w.k.h == 1 && w.k.w == 1 && w.stride.h == 1 && w.stride.w == 1 && pad.top == 0 &&
           pad.bottom == 0 && pad.left == 0 && pad.right == 0;
}

/* mul(map, 1x1) whose only reader is a pointwise convolution. */
static bool becomes_gate(const Fuser *s, NodeId mul)
{
    const Node *node = graph_node(s->g, mul);
    if (node->op != OP_MUL || node->in_count != 2 || s->uses[mul.v] != 1 || s->output[mul.v] ||
        !is_pointwise_conv(s, s->user[mul.v]) || is_point(shape_of(s, mul)))
        return false;
    NodeId a = input_of(s, mul, 0), b = input_of(s, mul, 1);
    NodeId map = is_point(shape_of(s, a)) ? b : a, gate = map.v == a.v ? b : a;
    return same_map(s, map, mul) && is_point(shape_of(s, gate)) &&
           shape_of(s, gate)->c == shape_of(s, map)->c && op_of(s, map) != OP_INPUT;
}

static FuseGroup new_group(const Fuser *s, NodeId anchor, NodeId result, NodeId in)
{
    FuseGroup g = {.anchor = anchor, .result = result, .in = in};
    if (in.v != 0 && s->gated[in.v]) {
        NodeId a = input_of(s, in, 0), b = input_of(s, in, 1);
        bool a_is_gate = is_point(shape_of(s, a));
        g.in = a_is_gate ? b : a;
        g.gate = a_is_gate ? a : b;
    }
    return g;
}

static void push_group(Fuser *s, FuseGroup g)
{
    vec_push(s->f->arena, &s->f->groups, g);
}

/* Whether a value can be the one that a group is read along. */
static bool can_lead(const Fuser *s, NodeId n, NodeId in)
{
    return same_map(s, in, n) && !s->virtual[in.v];
}

enum { MERGE_ROOM = 3 }; /* operands of a value that is computed where it is read */

/* A sum or product by itself; more operands than a kernel takes go through the result in turns. */
static void start_merge(Fuser *s, NodeId n)
{
    const Node *node = graph_node(s->g, n);
    ExprOp op = node->op == OP_ADD ? EX_ADD : EX_MUL;
    uint32_t first = 0;
    while (first + 1 < node->in_count && !can_lead(s, n, input_of(s, n, first)))
        first++;
    FuseGroup g = new_group(s, NODE_NONE, n, input_of(s, n, first));
    ExprId x = fuse_root(s, &g);
    for (uint32_t i = 0; i < node->in_count; i++) {
        if (i == first)
            continue;
        if (!fuse_has_room(&g, s->virtual[input_of(s, n, i).v] ? MERGE_ROOM : 1)) {
            g.root = x;
            push_group(s, g);
            g = new_group(s, NODE_NONE, n, n);
            x = fuse_root(s, &g);
        }
        x = expr_binary(&s->f->exprs, op, x, fuse_value(s, &g, input_of(s, n, i)));
    }
    g.root = x;
    if (g.in.v != n.v) /* results between turns must stay this node's */
        extend(s, &g);
    push_group(s, g);
}

static void start_elem(Fuser *s, NodeId n)
{
    NodeId in = input_of(s, n, 0);
    FuseGroup g = new_group(s, NODE_NONE, n, s->virtual[in.v] ? fuse_leader(s, in) : in);
    if (s->virtual[in.v])
        g.root = fuse_value(s, &g, in);
    if (!absorb(s, &g, n))
        return; /* not reached: a fresh group has room for any one operator */
    extend(s, &g);
    push_group(s, g);
}

/* An elementwise operator of the backward pass by itself. */
static void start_training(Fuser *s, NodeId n)
{
    FuseGroup g = new_group(s, NODE_NONE, n, fuse_leader(s, n));
    g.root = fuse_inline(s, &g, n);
    extend(s, &g);
    push_group(s, g);
}

static void start_anchor(Fuser *s, NodeId n)
{
    FuseGroup g = new_group(s, n, n, input_of(s, n, 0));
    if (op_of(s, n) == OP_LN)
        affine(s, &g, n, FILL_LN_WEIGHT, FILL_LN_BIAS);
    if (takes_epilogue(op_of(s, n)))
        extend(s, &g);
    push_group(s, g);
}

static void visit(Fuser *s, NodeId n)
{
    Op op = op_of(s, n);
    if (op == OP_INPUT || op == OP_FLATTEN || s->claimed[n.v])
        return;
    s->claimed[n.v] = true;
    if (s->virtual[n.v])
        return;
    if (becomes_gate(s, n))
        s->gated[n.v] = true;
    else if (op == OP_ADD || op == OP_MUL)
        start_merge(s, n);
    else if (op == OP_BN || (op_info[op].flags & OPF_ELEM) != 0)
        start_elem(s, n);
    else if (fuse_is_training(s, n))
        start_training(s, n);
    else
        start_anchor(s, n);
}

static bool is_alias(const Fuser *s, NodeId n)
{
    return s->f->alias[n.v].v != n.v;
}

static void count_uses(Fuser *s)
{
    for (uint32_t i = 1; i < s->g->nodes.len; i++) {
        NodeId n = {i};
        if (!s->an->live[i] || is_alias(s, n))
            continue;
        for (uint32_t k = 0; k < graph_node(s->g, n)->in_count; k++) {
            NodeId from = fuse_input(s, n, k);
            s->uses[from.v] += s->virtual[i] ? 2 : 1;
            s->user[from.v] = n;
        }
    }
}

/* Stable by result: the groups of one node keep their turns. */
static void order_groups(Fuser *s)
{
    Fusion *f = s->f;
    uint32_t n = f->groups.len, nodes = s->g->nodes.len;
    uint32_t *start = arena_new_n(f->arena, uint32_t, (size_t)nodes + 1);
    FuseGroup *sorted = arena_new_n(f->arena, FuseGroup, n);
    for (uint32_t i = 0; i < n; i++)
        start[f->groups.at[i].result.v + 1]++;
    for (uint32_t i = 0; i < nodes; i++)
        start[i + 1] += start[i];
    for (uint32_t i = 0; i < n; i++)
        sorted[start[f->groups.at[i].result.v]++] = f->groups.at[i];
    for (uint32_t i = 0; i < n; i++) {
        f->groups.at[i] = sorted[i];
        f->group_of[sorted[i].result.v] = i + 1;
    }
}

static void run(Fusion *f, Arena *a, const Analysis *an, bool apart)
{
    const Graph *g = an->g;
    uint32_t n = g->nodes.len;
    *f = (Fusion){.arena = a, .g = g};
    expr_init(&f->exprs, a);
    f->alias = arena_new_n(a, NodeId, n);
    f->group_of = arena_new_n(a, uint32_t, n);
    Fuser s = {.f = f,
               .apart = apart,
               .g = g,
               .an = an,
               .uses = arena_new_n(a, uint32_t, n),
               .user = arena_new_n(a, NodeId, n),
               .output = arena_new_n(a, bool, n),
               .claimed = arena_new_n(a, bool, n),
               .gated = arena_new_n(a, bool, n),
               .virtual = arena_new_n(a, bool, n)};
    for (uint32_t i = 1; i < n; i++) {
        NodeId id = {i};
        f->alias[i] = is_identity(g, an->shape, id) ? f->alias[graph_in(g, id, 0).v] : id;
    }
    for (uint32_t i = 0; i < g->outs.len; i++)
        s.output[f->alias[g->outs.at[i].node.v].v] = true;
    fuse_find_virtual(&s);
    count_uses(&s);
    for (uint32_t i = 1; i < n; i++)
        if (an->live[i] && !is_alias(&s, (NodeId){i}))
            visit(&s, (NodeId){i});
    order_groups(&s);
}

void fuse_run(Fusion *f, Arena *a, const Analysis *an)
{
    run(f, a, an, false);
}

void fuse_run_apart(Fusion *f, Arena *a, const Analysis *an)
{
    run(f, a, an, true);
}
