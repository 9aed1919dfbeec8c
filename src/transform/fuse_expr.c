#include "transform/fuse_expr.h"

static ExprId sigmoid_below(ExprPool *p, ExprId x)
{
    ExprId e = expr_unary(p, EX_EXP, expr_unary(p, EX_NEG, x));
    return expr_binary(p, EX_ADD, e, expr_const(p, 1));
}

/* min(max(x + 3, 0), 6) */
static ExprId hard_ramp(ExprPool *p, ExprId x)
{
    ExprId up = expr_binary(p, EX_ADD, x, expr_const(p, 3));
    ExprId low = expr_binary(p, EX_MAX, up, expr_const(p, 0));
    return expr_binary(p, EX_MIN, low, expr_const(p, 6));
}

static ExprId gelu(ExprPool *p, ExprId x)
{
    ExprId z = expr_binary(p, EX_MUL, x, expr_const(p, 0.70710678118654752440));
    ExprId cdf2 = expr_binary(p, EX_ADD, expr_unary(p, EX_ERF, z), expr_const(p, 1));
    return expr_binary(p, EX_MUL, expr_binary(p, EX_MUL, x, expr_const(p, 0.5)), cdf2);
}

ExprId fuse_expr_unary(ExprPool *p, const Graph *g, NodeId n, ExprId x)
{
    ExprId zero = expr_const(p, 0), six = expr_const(p, 6), sixth = expr_const(p, 1.0 / 6);
    switch (graph_node(g, n)->op) {
    case OP_RELU: return expr_binary(p, EX_MAX, x, zero);
    case OP_RELU6: return expr_binary(p, EX_MIN, expr_binary(p, EX_MAX, x, zero), six);
    case OP_LEAKY: {
        ExprId slope = expr_const(p, graph_attr(g, n, AT_LEAKY_slope)->r);
        return expr_select_gt0(p, x, x, expr_binary(p, EX_MUL, x, slope));
    }
    case OP_SILU: return expr_binary(p, EX_DIV, x, sigmoid_below(p, x));
    case OP_SIGMOID: return expr_binary(p, EX_DIV, expr_const(p, 1), sigmoid_below(p, x));
    case OP_HSWISH:
        return expr_binary(p, EX_MUL, expr_binary(p, EX_MUL, x, hard_ramp(p, x)), sixth);
    case OP_HSIGMOID: return expr_binary(p, EX_MUL, hard_ramp(p, x), sixth);
    case OP_GELU: return gelu(p, x);
    case OP_TANH: return expr_unary(p, EX_TANH, x);
    case OP_SCALE:
        return expr_binary(p, EX_MUL, x, expr_const(p, graph_attr(g, n, AT_SCALE_by)->r));
    default: return (ExprId){0};
    }
}
