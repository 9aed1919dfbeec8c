/* Operators on values. */
#include "elab/elaborator.h"
#include <math.h>

static bool int_arithmetic(Elaborator *el, AstOp op, int64_t a, int64_t b, Span span, int64_t *out)
{
    bool over = false;
    if ((op == BIN_IDIV || op == BIN_MOD) && b == 0) {
        diag(&el->s->diags, E_DIV_ZERO, span);
        return false;
    }
    switch (op) {
    case BIN_ADD: over = __builtin_add_overflow(a, b, out); break;
    case BIN_SUB: over = __builtin_sub_overflow(a, b, out); break;
    case BIN_MUL: over = __builtin_mul_overflow(a, b, out); break;
    case BIN_IDIV: /* rounds down */
        over = a == INT64_MIN && b == -1;
        if (!over)
            *out = a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
        break;
    default: /* the remainder has the divisor's sign */
        *out = b == -1 ? 0 : a % b;
        if (*out != 0 && ((*out < 0) != (b < 0)))
            *out += b;
        break;
    }
    if (over)
        diag(&el->s->diags, E_OVERFLOW, span, ast_op_text[op]);
    return !over;
}

static bool real_arithmetic(Elaborator *el, AstOp op, double a, double b, Span span, double *out)
{
    if ((op == BIN_DIV || op == BIN_IDIV || op == BIN_MOD) && b == 0) {
        diag(&el->s->diags, E_DIV_ZERO, span);
        return false;
    }
    *out = op == BIN_ADD    ? a + b
           : op == BIN_SUB  ? a - b
           : op == BIN_MUL  ? a * b
           : op == BIN_DIV  ? a / b
           : op == BIN_IDIV ? floor(a / b)
                            : a - b * floor(a / b);
    if (isfinite(*out))
        return true;
    diag(&el->s->diags, E_VALUE, span, "the result is not a finite number");
    return false;
}

static bool is_number(const Value *v)
{
    return v->kind == V_INT || v->kind == V_REAL;
}

static Value arithmetic(Elaborator *el, AstOp op, const Value *a, const Value *b, Span span)
{
    Value v = {.ordinal = a->ordinal || b->ordinal, .lits = lits_union(el, a->lits, b->lits)};
    if (op == BIN_ADD && a->kind == V_LIST && b->kind == V_LIST) {
        Value *at = arena_new_n(el->a, Value, (size_t)a->list.n + b->list.n);
        for (uint32_t i = 0; i < a->list.n + b->list.n; i++)
            at[i] = i < a->list.n ? a->list.at[i] : b->list.at[i - a->list.n];
        v.kind = V_LIST;
        v.list.at = at;
        v.list.n = a->list.n + b->list.n;
        return v;
    }
    if (!is_number(a) || !is_number(b)) {
        diag(&el->s->diags, E_TYPE, span, "real", type_text(value_type(is_number(a) ? b : a)));
        return POISON;
    }
    bool ok;
    if (a->kind == V_INT && b->kind == V_INT && op != BIN_DIV) {
        v.kind = V_INT;
        ok = int_arithmetic(el, op, a->i, b->i, span, &v.i);
    } else {
        v.kind = V_REAL;
        ok = real_arithmetic(el, op, value_number(a), value_number(b), span, &v.r);
    }
    return ok ? v : POISON;
}

static Value compare(Elaborator *el, AstOp op, const Value *a, const Value *b, Span span)
{
    Value v = {.kind = V_BOOL,
               .ordinal = a->ordinal || b->ordinal,
               .lits = lits_union(el, a->lits, b->lits)};
    if (op == BIN_EQ || op == BIN_NE) {
        v.b = value_equal(a, b) == (op == BIN_EQ);
        return v;
    }
    if (!is_number(a) || !is_number(b)) {
        diag(&el->s->diags, E_TYPE, span, "real", type_text(value_type(is_number(a) ? b : a)));
        return POISON;
    }
    int order = value_order(a, b);
    v.b = op == BIN_LT   ? order < 0
          : op == BIN_GT ? order > 0
          : op == BIN_LE ? order <= 0
                         : order >= 0;
    return v;
}

Value eval_binary(Elaborator *el, Frame *f, AstId n)
{
    const AstNode *x = node_at(f->module, n);
    AstOp op = (AstOp)x->op;
    Type boolean = {TY_BOOL, false};
    if (op == BIN_AND || op == BIN_OR) {
        Value a = eval_as(el, f, kid_at(f->module, n, 0), boolean);
        if (a.kind == V_POISON || a.b == (op == BIN_OR))
            return a; /* decided */
        Value b = eval_as(el, f, kid_at(f->module, n, 1), boolean);
        b.lits = lits_union(el, a.lits, b.lits);
        b.ordinal = b.ordinal || a.ordinal;
        return b;
    }
    Value a = eval(el, f, kid_at(f->module, n, 0)), b = eval(el, f, kid_at(f->module, n, 1));
    if (a.kind == V_POISON || b.kind == V_POISON)
        return POISON;
    return op >= BIN_EQ && op <= BIN_GE ? compare(el, op, &a, &b, x->span)
                                        : arithmetic(el, op, &a, &b, x->span);
}

Value eval_unary(Elaborator *el, Frame *f, AstId n)
{
    const AstNode *x = node_at(f->module, n);
    if (x->op == UN_NOT) {
        Value v = eval_as(el, f, kid_at(f->module, n, 0), (Type){TY_BOOL, false});
        if (v.kind == V_BOOL)
            v.b = !v.b;
        return v;
    }
    Value v = eval(el, f, kid_at(f->module, n, 0)), zero = value_int(0);
    if (v.kind == V_REAL) {
        v.r = -v.r;
        return v;
    }
    return v.kind == V_POISON ? v : arithmetic(el, BIN_SUB, &zero, &v, x->span);
}
