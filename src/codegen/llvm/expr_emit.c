#include "codegen/llvm/expr_emit.h"
#include "codegen/llvm/math.h"

enum { LOGISTIC_COST = 16 };

static int node_cost(ExprOp op)
{
    switch (op) {
    case EX_DIV:
    case EX_SQRT: return 4;
    case EX_EXP: return 16;
    case EX_TANH: return 32;
    case EX_ERF: return 18;
    case EX_ARG:
    case EX_CONST: return 0;
    default: return 1;
    }
}

static const ExprNode *node_at(const ExprPool *p, ExprId id)
{
    return &p->nodes.at[id.v];
}

/* Whether the node divides by 1 + e^-y, and y. */
static bool is_logistic(const ExprPool *p, const ExprNode *x, ExprId *y)
{
    if (x->op != EX_DIV)
        return false;
    const ExprNode *sum = node_at(p, x->b);
    if (sum->op != EX_ADD)
        return false;
    const ExprNode *power = node_at(p, sum->a), *one = node_at(p, sum->b);
    if (power->op != EX_EXP || one->op != EX_CONST || one->value != 1)
        return false;
    const ExprNode *minus = node_at(p, power->a);
    *y = minus->a;
    return minus->op == EX_NEG;
}

static int number(Emit *e, const ExprPool *p, ExprId id, int depth, ExprCode *out, uint32_t *ids)
{
    if (!id.v || e->err[0])
        return 0;
    for (int i = 0; i < out->n; i++)
        if (ids[i] == id.v)
            return i;
    if (depth > EXPR_MAX_NODES) {
        emit_fail(e, "an elementwise expression is too deep for one kernel");
        return 0;
    }
    const ExprNode *x = node_at(p, id);
    ExprId right = x->b;
    bool logistic = is_logistic(p, x, &right);
    int a = number(e, p, x->a, depth + 1, out, ids);
    int b = number(e, p, right, depth + 1, out, ids);
    int c = number(e, p, x->c, depth + 1, out, ids);
    if (e->err[0])
        return 0;
    if (out->n == EXPR_MAX_NODES || (x->op == EX_ARG && x->arg >= EXPR_MAX_ARGS)) {
        emit_fail(e, "an elementwise expression is too large for one kernel");
        return 0;
    }
    ids[out->n] = id.v;
    out->node[out->n].op = x->op;
    out->node[out->n].logistic = logistic;
    out->node[out->n].a = a;
    out->node[out->n].b = b;
    out->node[out->n].c = c;
    out->node[out->n].value = x->value;
    out->node[out->n].arg = x->arg;
    if (x->op == EX_ARG)
        out->uses[x->arg] = true;
    out->cost += logistic ? LOGISTIC_COST : node_cost(x->op);
    return out->n++;
}

bool expr_code(Emit *e, const ExprPool *p, ExprId root, ExprCode *out)
{
    uint32_t ids[EXPR_MAX_NODES];
    out->n = out->cost = 0;
    for (int i = 0; i < EXPR_MAX_ARGS; i++)
        out->uses[i] = false;
    if (!root.v)
        out->uses[0] = true;
    else
        number(e, p, root, 0, out, ids);
    return !e->err[0];
}

static LLVMValueRef select_positive(Emit *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c)
{
    LLVMValueRef zero = emit_real(LLVMTypeOf(a), 0.0);
    return LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealOGT, a, zero, ""), b, c, "");
}

LLVMValueRef expr_emit(Emit *e, const ExprCode *code, LLVMTypeRef type, const LLVMValueRef *args)
{
    if (!code->n)
        return args[0];
    LLVMValueRef v[EXPR_MAX_NODES] = {0};
    for (int i = 0; i < code->n; i++) {
        LLVMValueRef a = v[code->node[i].a], b = v[code->node[i].b], c = v[code->node[i].c];
        switch (code->node[i].op) {
        case EX_ARG: v[i] = args[code->node[i].arg]; break;
        case EX_CONST: v[i] = emit_real(type, code->node[i].value); break;
        case EX_ADD: v[i] = emit_fadd(e, a, b); break;
        case EX_SUB: v[i] = emit_fsub(e, a, b); break;
        case EX_MUL: v[i] = emit_fmul(e, a, b); break;
        case EX_DIV:
            v[i] = code->node[i].logistic ? math_logistic(e, a, b) : emit_fdiv(e, a, b);
            break;
        case EX_MIN: v[i] = emit_fmin(e, a, b); break;
        case EX_MAX: v[i] = emit_fmax(e, a, b); break;
        case EX_NEG: v[i] = LLVMBuildFNeg(e->b, a, ""); break;
        case EX_SQRT: v[i] = emit_sqrt(e, a); break;
        case EX_EXP: v[i] = math_exp(e, a); break;
        case EX_TANH: v[i] = math_tanh(e, a); break;
        case EX_ERF: v[i] = math_erf(e, a); break;
        case EX_SELECT_GT0: v[i] = select_positive(e, a, b, c); break;
        case EX_NONE: v[i] = emit_real(type, 0.0); break;
        }
    }
    return v[code->n - 1];
}
