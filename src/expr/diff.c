/* Derivatives of expressions, by forward accumulation: one sweep from operands to users. */
#include "expr/expr.h"

/* A derivative that is zero is the id 0: whole branches vanish without being built. */
typedef struct Diff {
    ExprPool *p;
    ExprId *d; /* by node */
} Diff;

static const ExprId zero = {0};

static ExprId sum(ExprPool *p, ExprId a, ExprId b)
{
    if (a.v == 0 || b.v == 0)
        return a.v == 0 ? b : a;
    return expr_binary(p, EX_ADD, a, b);
}

static ExprId negative(ExprPool *p, ExprId a)
{
    return a.v == 0 ? zero : expr_unary(p, EX_NEG, a);
}

static ExprId product(ExprPool *p, ExprId a, ExprId b)
{
    return a.v == 0 || b.v == 0 ? zero : expr_binary(p, EX_MUL, a, b);
}

static ExprId chosen(ExprPool *p, ExprId cond, ExprId yes, ExprId no)
{
    if (yes.v == 0 && no.v == 0)
        return zero;
    yes = yes.v == 0 ? expr_const(p, 0) : yes;
    return expr_select_gt0(p, cond, yes, no.v == 0 ? expr_const(p, 0) : no);
}

/* The factor of the inner derivative; e is the node itself. */
static ExprId outer(ExprPool *p, const ExprNode *n, ExprId e)
{
    ExprId one = expr_const(p, 1);
    switch (n->op) {
    case EX_SQRT: return expr_binary(p, EX_DIV, expr_const(p, 0.5), e);
    case EX_EXP: return e;
    case EX_TANH: return expr_binary(p, EX_SUB, one, expr_binary(p, EX_MUL, e, e));
    default: { /* erf: 2 / sqrt(pi) exp(-x^2) */
        ExprId square = expr_binary(p, EX_MUL, n->a, n->a);
        ExprId bell = expr_unary(p, EX_EXP, expr_unary(p, EX_NEG, square));
        return expr_binary(p, EX_MUL, bell, expr_const(p, 1.12837916709551257390));
    }
    }
}

static ExprId derive(Diff *s, ExprId e, uint32_t arg)
{
    ExprPool *p = s->p;
    ExprNode n = p->nodes.at[e.v]; /* by value: the pool grows */
    ExprId a = s->d[n.a.v], b = s->d[n.b.v];
    switch (n.op) {
    case EX_ARG: return n.arg == arg ? expr_const(p, 1) : zero;
    case EX_ADD: return sum(p, a, b);
    case EX_SUB: return sum(p, a, negative(p, b));
    case EX_NEG: return negative(p, a);
    case EX_MUL: return sum(p, product(p, a, n.b), product(p, b, n.a));
    case EX_DIV: { /* (a' - a r b') r with r = 1/b: one division, and no square of b, which would
                      overflow first */
        if (a.v == 0 && b.v == 0)
            return zero;
        ExprId r = expr_binary(p, EX_DIV, expr_const(p, 1), n.b);
        ExprId moved = product(p, expr_binary(p, EX_MUL, n.a, r), b);
        return expr_binary(p, EX_MUL, sum(p, a, negative(p, moved)), r);
    }
    case EX_MAX: return chosen(p, expr_binary(p, EX_SUB, n.a, n.b), a, b);
    case EX_MIN: return chosen(p, expr_binary(p, EX_SUB, n.b, n.a), a, b);
    case EX_SELECT_GT0: return chosen(p, n.a, b, s->d[n.c.v]);
    case EX_SQRT:
    case EX_EXP:
    case EX_TANH:
    case EX_ERF: return a.v == 0 ? zero : product(p, outer(p, &n, e), a);
    case EX_NONE:
    case EX_CONST: break;
    }
    return zero;
}

ExprId expr_differentiate(ExprPool *p, ExprId e, uint32_t arg)
{
    Diff s = {p, arena_new_n(p->arena, ExprId, (size_t)e.v + 1)};
    for (uint32_t i = 1; i <= e.v; i++)
        s.d[i] = derive(&s, (ExprId){i}, arg);
    return s.d[e.v].v == 0 ? expr_const(p, 0) : s.d[e.v];
}
