/* One rule per entry of the elem column of ops.def. */
#include "transform/fuse_expr.h"

/* The node whose attributes a rule may ask for. */
typedef struct Attrs {
    const Graph *g;
    NodeId n;
} Attrs;
typedef ExprId ElemRule(ExprPool *p, const Attrs *at, ExprId x);

static double real_of(const Attrs *at, int attr)
{
    return graph_attr(at->g, at->n, attr)->r;
}

static ExprId elem_none(ExprPool *p, const Attrs *at, ExprId x)
{
    (void)p;
    (void)at;
    (void)x;
    return (ExprId){0};
}

static ExprId elem_relu(ExprPool *p, const Attrs *at, ExprId x)
{
    (void)at;
    return expr_binary(p, EX_MAX, x, expr_const(p, 0));
}

static ExprId elem_relu6(ExprPool *p, const Attrs *at, ExprId x)
{
    return expr_binary(p, EX_MIN, elem_relu(p, at, x), expr_const(p, 6));
}

static ExprId elem_leaky(ExprPool *p, const Attrs *at, ExprId x)
{
    ExprId slope = expr_const(p, real_of(at, AT_LEAKY_slope));
    return expr_select_gt0(p, x, x, expr_binary(p, EX_MUL, x, slope));
}

/* 1 + exp(-x): what the sigmoid divides by. */
static ExprId sigmoid_below(ExprPool *p, ExprId x)
{
    ExprId e = expr_unary(p, EX_EXP, expr_unary(p, EX_NEG, x));
    return expr_binary(p, EX_ADD, e, expr_const(p, 1));
}

static ExprId elem_sigmoid(ExprPool *p, const Attrs *at, ExprId x)
{
    (void)at;
    return expr_binary(p, EX_DIV, expr_const(p, 1), sigmoid_below(p, x));
}

static ExprId elem_silu(ExprPool *p, const Attrs *at, ExprId x)
{
    (void)at;
    return expr_binary(p, EX_DIV, x, sigmoid_below(p, x));
}

/* min(max(x + 3, 0), 6) */
static ExprId hard_ramp(ExprPool *p, ExprId x)
{
    ExprId up = expr_binary(p, EX_ADD, x, expr_const(p, 3));
    ExprId low = expr_binary(p, EX_MAX, up, expr_const(p, 0));
    return expr_binary(p, EX_MIN, low, expr_const(p, 6));
}

static ExprId elem_hsigmoid(ExprPool *p, const Attrs *at, ExprId x)
{
    (void)at;
    return expr_binary(p, EX_MUL, hard_ramp(p, x), expr_const(p, 1.0 / 6));
}

static ExprId elem_hswish(ExprPool *p, const Attrs *at, ExprId x)
{
    (void)at;
    ExprId up = expr_binary(p, EX_MUL, x, hard_ramp(p, x));
    return expr_binary(p, EX_MUL, up, expr_const(p, 1.0 / 6));
}

static ExprId elem_gelu(ExprPool *p, const Attrs *at, ExprId x)
{
    (void)at;
    ExprId z = expr_binary(p, EX_MUL, x, expr_const(p, 0.70710678118654752440));
    ExprId cdf2 = expr_binary(p, EX_ADD, expr_unary(p, EX_ERF, z), expr_const(p, 1));
    return expr_binary(p, EX_MUL, expr_binary(p, EX_MUL, x, expr_const(p, 0.5)), cdf2);
}

static ExprId elem_tanh(ExprPool *p, const Attrs *at, ExprId x)
{
    (void)at;
    return expr_unary(p, EX_TANH, x);
}

static ExprId elem_scale(ExprPool *p, const Attrs *at, ExprId x)
{
    return expr_binary(p, EX_MUL, x, expr_const(p, real_of(at, AT_SCALE_by)));
}

static ElemRule *const rule_of[OP_COUNT] = {
#define OP(ID, NAME, IN, SHAPE, RF, COST, FAMILY, ELEM, GRAD, FLAGS, DOC) [OP_##ID] = elem_##ELEM,
#include "ops/ops.def"
};

ExprId fuse_expr_unary(ExprPool *p, const Graph *g, NodeId n, ExprId x)
{
    return rule_of[graph_node(g, n)->op](p, &(Attrs){g, n}, x);
}
