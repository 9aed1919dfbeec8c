/* Fusion in training graphs. Normalised maps are not stored: the backward pass needs the map before
 * the normalisation anyway, and the rest is two operations per value. Gradients go on through
 * activations and normalisations in the epilogue of what made them. */
#include "transform/fuse_expr.h"
#include "transform/fuse_group.h"

ExprId fuse_root(const Fuser *s, const FuseGroup *g)
{
    return g->root.v != 0 ? g->root : expr_arg(&s->f->exprs, 0);
}

bool fuse_has_room(const FuseGroup *g, uint32_t n)
{
    return g->operands.len + n <= FUSE_MAX_OPERANDS;
}

ExprId fuse_operand(Fuser *s, FuseGroup *g, OperandKind kind, NodeId n, ChannelFill fill)
{
    for (uint32_t i = 0; i < g->operands.len; i++) {
        const FuseOperand *o = &g->operands.at[i];
        if (o->kind == kind && o->node.v == n.v && o->fill == fill)
            return expr_arg(&s->f->exprs, i + 1);
    }
    vec_push(s->f->arena, &g->operands, ((FuseOperand){.kind = kind, .node = n, .fill = fill}));
    return expr_arg(&s->f->exprs, g->operands.len);
}

ExprId fuse_value(Fuser *s, FuseGroup *g, NodeId n)
{
    if (s->virtual[n.v])
        return fuse_inline(s, g, n);
    if (g->anchor.v == 0 && n.v == g->in.v)
        return expr_arg(&s->f->exprs, 0);
    return fuse_operand(s, g, same_map(s, n, g->result) ? OPERAND_MAP : OPERAND_GATE, n, 0);
}

static uint32_t value_room(const Fuser *s, NodeId n)
{
    enum { SCALE_SHIFT_AND_MAP = 3 };
    return s->virtual[n.v] && op_of(s, n) == OP_BN_APPLY ? SCALE_SHIFT_AND_MAP : 1;
}

uint32_t fuse_room(const Fuser *s, NodeId n)
{
    uint32_t room = op_of(s, n) == OP_BN_DX ? 4 : op_of(s, n) == OP_BN_APPLY ? 2 : 0;
    if (op_of(s, n) == OP_BN_APPLY || op_of(s, n) == OP_BN_DX)
        return room;
    for (uint32_t i = 1; i < graph_node(s->g, n)->in_count; i++)
        room += value_room(s, fuse_input(s, n, i));
    return room > 0 ? room : 1;
}

bool fuse_is_training(const Fuser *s, NodeId n)
{
    switch (op_of(s, n)) {
    case OP_BN_APPLY:
    case OP_BN_DX:
    case OP_ELEM_GRAD:
    case OP_LAYER_SCALE_DX:
    case OP_GAP_DX: return true;
    case OP_MASK: return graph_attr(s->g, n, AT_MASK_per_image)->i != 0;
    default: return false;
    }
}

/* Whether u reads its i-th input element by element, as part of an expression. */
static bool reads_elements(const Fuser *s, NodeId u, uint32_t i)
{
    Op op = op_of(s, u);
    if (op == OP_BN_APPLY)
        return i == 0;
    if (op == OP_BN_DX)
        return i < 2;
    if (op == OP_GAP_DX || op == OP_BN)
        return false;
    return fuse_is_training(s, u) || (op_info[op].flags & OPF_ELEM) != 0;
}

NodeId fuse_input(const Fuser *s, NodeId n, uint32_t i)
{
    NodeId in = input_of(s, n, i);
    if (op_of(s, n) != OP_ELEM_GRAD || i != 1)
        return in;
    NodeId owner = graph_owner(s->g, n);
    switch (op_of(s, owner)) {
    case OP_RELU:
    case OP_RELU6: return s->f->alias[owner.v];
    case OP_LEAKY:
        return graph_attr(s->g, owner, AT_LEAKY_slope)->r > 0 ? s->f->alias[owner.v] : in;
    default: return in;
    }
}

void fuse_find_virtual(Fuser *s)
{
    uint32_t n = s->g->nodes.len;
    uint32_t *readers = arena_new_n(s->f->arena, uint32_t, n);
    bool *other = arena_new_n(s->f->arena, bool, n); /* read in another manner */
    for (uint32_t i = 1; i < n; i++) {
        NodeId u = {i};
        if (!s->an->live[i] || s->f->alias[i].v != i)
            continue;
        for (uint32_t k = 0; k < graph_node(s->g, u)->in_count; k++) {
            NodeId from = fuse_input(s, u, k);
            readers[from.v]++;
            other[from.v] |= !reads_elements(s, u, k);
        }
    }
    for (uint32_t i = 1; i < n; i++) {
        Op op = op_of(s, (NodeId){i});
        bool stored = !s->an->live[i] || s->f->alias[i].v != i || s->output[i] || other[i] ||
                      (op != OP_GAP_DX && op != OP_BN_APPLY) || readers[i] < 2;
        s->virtual[i] = !stored && !s->virtual[input_of(s, (NodeId){i}, 0).v];
    }
}

/* What the derivative of n's operator, at a value, multiplies dy with. */
static ExprId slope(Fuser *s, NodeId n, ExprId x)
{
    ExprPool *p = &s->f->exprs;
    ExprId f = fuse_expr_unary(p, s->g, graph_owner(s->g, n), expr_arg(p, 0));
    return expr_substitute(p, p, expr_differentiate(p, f, 0), &x);
}

static ExprId channel(Fuser *s, FuseGroup *g, NodeId n, ChannelFill fill)
{
    return fuse_operand(s, g, OPERAND_CHANNEL, n, fill);
}

/* The value of n whose first input has the value x. */
static ExprId applied(Fuser *s, FuseGroup *g, NodeId n, ExprId x)
{
    ExprPool *p = &s->f->exprs;
    switch (op_of(s, n)) {
    case OP_BN_APPLY:
        x = expr_binary(p, EX_MUL, x, channel(s, g, n, FILL_NORM_SCALE));
        return expr_binary(p, EX_ADD, x, channel(s, g, n, FILL_NORM_SHIFT));
    case OP_BN_DX: {
        ExprId from_x = expr_binary(p, EX_MUL, fuse_value(s, g, input_of(s, n, 1)),
                                    channel(s, g, n, FILL_BACK_B));
        x = expr_binary(p, EX_MUL, x, channel(s, g, n, FILL_BACK_A));
        x = expr_binary(p, EX_ADD, x, from_x);
        return expr_binary(p, EX_ADD, x, channel(s, g, n, FILL_BACK_C));
    }
    case OP_ELEM_GRAD: {
        ExprId at = fuse_value(s, g, fuse_input(s, n, 1));
        return expr_binary(p, EX_MUL, x, slope(s, n, at));
    }
    case OP_LAYER_SCALE_DX:
        return expr_binary(p, EX_MUL, x, channel(s, g, graph_owner(s->g, n), FILL_GAMMA));
    case OP_MASK: return expr_binary(p, EX_MUL, x, fuse_operand(s, g, OPERAND_MASK, n, 0));
    default: { /* GAP_DX */
        const Shape *map = shape_of(s, n);
        return expr_binary(p, EX_MUL, x, expr_const(p, 1.0 / (double)(map->h * map->w)));
    }
    }
}

ExprId fuse_inline(Fuser *s, FuseGroup *g, NodeId n)
{
    return applied(s, g, n, fuse_value(s, g, input_of(s, n, 0)));
}

NodeId fuse_leader(const Fuser *s, NodeId n)
{
    for (uint32_t i = 0; i < graph_node(s->g, n)->in_count; i++) {
        NodeId in = fuse_input(s, n, i);
        if (reads_elements(s, n, i) && same_map(s, in, n) && !s->virtual[in.v])
            return in;
    }
    return NODE_NONE;
}

bool fuse_absorb_training(Fuser *s, FuseGroup *g, NodeId u)
{
    if (!fuse_is_training(s, u) || input_of(s, u, 0).v != g->result.v ||
        !fuse_has_room(g, fuse_room(s, u)))
        return false;
    g->root = applied(s, g, u, fuse_root(s, g));
    return true;
}
