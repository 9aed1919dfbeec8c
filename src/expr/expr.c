/* Construction, evaluation and canonical text of the scalar expression IR. */
#include "expr/expr.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int operands;
} op_table[] = {
    [EX_NONE] = {"none", 0}, [EX_ARG] = {"arg", 0},   [EX_CONST] = {"const", 0},
    [EX_ADD] = {"add", 2},   [EX_SUB] = {"sub", 2},   [EX_MUL] = {"mul", 2},
    [EX_DIV] = {"div", 2},   [EX_MIN] = {"min", 2},   [EX_MAX] = {"max", 2},
    [EX_NEG] = {"neg", 1},   [EX_SQRT] = {"sqrt", 1}, [EX_EXP] = {"exp", 1},
    [EX_TANH] = {"tanh", 1}, [EX_ERF] = {"erf", 1},   [EX_SELECT_GT0] = {"select_gt0", 3},
};

static const ExprId none;

void expr_init(ExprPool *p, Arena *a)
{
    *p = (ExprPool){.arena = a};
    vec_push(a, &p->nodes, ((ExprNode){.op = EX_NONE}));
}

static const ExprNode *at(const ExprPool *p, ExprId e)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.ArraySubscript): operands are interned */
    return &p->nodes.at[e.v];
}

static bool node_equal(const ExprNode *x, const ExprNode *y)
{
    uint64_t vx, vy; /* bits, so that -0 and NaN are told apart and found again */
    memcpy(&vx, &x->value, sizeof vx);
    memcpy(&vy, &y->value, sizeof vy);
    return x->op == y->op && x->a.v == y->a.v && x->b.v == y->b.v && x->c.v == y->c.v && vx == vy &&
           x->arg == y->arg;
}

static uint32_t node_hash(const ExprNode *n)
{
    uint64_t v, h = 0xCBF29CE484222325ull;
    memcpy(&v, &n->value, sizeof v);
    const uint64_t part[] = {n->op, n->a.v, n->b.v, n->c.v, v, n->arg};
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        h = (h ^ part[i]) * 0x9E3779B97F4A7C15ull;
        h ^= h >> 29;
    }
    return (uint32_t)h;
}

static void table_grow(ExprPool *p)
{
    uint32_t cap = p->table_cap == 0 ? 64 : p->table_cap * 2;
    uint32_t *t = arena_new_n(p->arena, uint32_t, cap);
    for (uint32_t i = 1; i < p->nodes.len; i++) {
        uint32_t slot = node_hash(&p->nodes.at[i]) & (cap - 1);
        while (t[slot] != 0)
            slot = (slot + 1) & (cap - 1);
        t[slot] = i;
    }
    p->table = t;
    p->table_cap = cap;
}

static ExprId intern_node(ExprPool *p, ExprNode n)
{
    if (p->nodes.len * 2 >= p->table_cap)
        table_grow(p);
    uint32_t slot = node_hash(&n) & (p->table_cap - 1);
    for (; p->table[slot] != 0; slot = (slot + 1) & (p->table_cap - 1))
        if (node_equal(&p->nodes.at[p->table[slot]], &n))
            return (ExprId){p->table[slot]};
    p->table[slot] = p->nodes.len;
    vec_push(p->arena, &p->nodes, n);
    return (ExprId){p->nodes.len - 1};
}

ExprId expr_arg(ExprPool *p, uint32_t k)
{
    return intern_node(p, (ExprNode){.op = EX_ARG, .arg = k});
}

ExprId expr_const(ExprPool *p, double v)
{
    return intern_node(p, (ExprNode){.op = EX_CONST, .value = v});
}

static double apply(ExprOp op, double a, double b, double c)
{
    switch (op) {
    case EX_ADD: return a + b;
    case EX_SUB: return a - b;
    case EX_MUL: return a * b;
    case EX_DIV: return a / b;
    case EX_MIN: return a < b ? a : b;
    case EX_MAX: return a > b ? a : b;
    case EX_NEG: return -a;
    case EX_SQRT: return sqrt(a);
    case EX_EXP: return exp(a);
    case EX_TANH: return tanh(a);
    case EX_ERF: return erf(a);
    case EX_SELECT_GT0: return a > 0 ? b : c;
    case EX_NONE:
    case EX_ARG:
    case EX_CONST: break;
    }
    return NAN;
}

static bool is_const(const ExprPool *p, ExprId e)
{
    return at(p, e)->op == EX_CONST;
}

static bool is_value(const ExprPool *p, ExprId e, double v)
{
    return is_const(p, e) && at(p, e)->value == v;
}

ExprId expr_unary(ExprPool *p, ExprOp op, ExprId a)
{
    if (is_const(p, a))
        return expr_const(p, apply(op, at(p, a)->value, 0, 0));
    if (op == EX_NEG && at(p, a)->op == EX_NEG)
        return at(p, a)->a;
    return intern_node(p, (ExprNode){.op = op, .a = a});
}

ExprId expr_binary(ExprPool *p, ExprOp op, ExprId a, ExprId b)
{
    if (is_const(p, a) && is_const(p, b))
        return expr_const(p, apply(op, at(p, a)->value, at(p, b)->value, 0));
    if ((op == EX_ADD || op == EX_MUL) && is_const(p, a)) { /* constants on the right */
        ExprId swap = a;
        a = b;
        b = swap;
    }
    if ((op == EX_ADD || op == EX_SUB) && is_value(p, b, 0))
        return a;
    if ((op == EX_MUL || op == EX_DIV) && is_value(p, b, 1))
        return a;
    if (op == EX_SUB && is_value(p, a, 0))
        return expr_unary(p, EX_NEG, b);
    if ((op == EX_MIN || op == EX_MAX) && a.v == b.v)
        return a;
    return intern_node(p, (ExprNode){.op = op, .a = a, .b = b});
}

ExprId expr_select_gt0(ExprPool *p, ExprId cond, ExprId yes, ExprId no)
{
    if (is_const(p, cond))
        return at(p, cond)->value > 0 ? yes : no;
    if (yes.v == no.v)
        return yes;
    return intern_node(p, (ExprNode){.op = EX_SELECT_GT0, .a = cond, .b = yes, .c = no});
}

/* Marks e and everything it needs; operands have smaller ids, so one downward sweep does. */
static unsigned char *needed(const ExprPool *p, ExprId e)
{
    unsigned char *need = calloc((size_t)e.v + 1, 1);
    if (need == NULL)
        return NULL;
    need[e.v] = 1;
    for (uint32_t i = e.v; i > 0; i--)
        if (need[i]) {
            const ExprNode *n = &p->nodes.at[i];
            need[n->a.v] = need[n->b.v] = need[n->c.v] = 1;
        }
    return need;
}

static ExprId rebuild(ExprPool *dst, const ExprNode *n, const ExprId *done, const ExprId *map)
{
    switch (op_table[n->op].operands) {
    case 1: return expr_unary(dst, n->op, done[n->a.v]);
    case 2: return expr_binary(dst, n->op, done[n->a.v], done[n->b.v]);
    case 3: return expr_select_gt0(dst, done[n->a.v], done[n->b.v], done[n->c.v]);
    default: break;
    }
    return n->op == EX_ARG ? map[n->arg] : expr_const(dst, n->value);
}

ExprId expr_substitute(ExprPool *dst, const ExprPool *src, ExprId e, const ExprId *map)
{
    if (e.v == 0)
        return none;
    ExprId *done = arena_new_n(dst->arena, ExprId, (size_t)e.v + 1);
    unsigned char *need = arena_array(dst->arena, (size_t)e.v + 1, 1);
    need[e.v] = 1;
    for (uint32_t i = e.v; i > 0; i--)
        if (need[i]) {
            const ExprNode *n = &src->nodes.at[i];
            need[n->a.v] = need[n->b.v] = need[n->c.v] = 1;
        }
    for (uint32_t i = 1; i <= e.v; i++)
        if (need[i]) {
            ExprNode n = src->nodes.at[i]; /* by value: src may be dst, which grows */
            done[i] = rebuild(dst, &n, done, map);
        }
    return done[e.v];
}

double expr_eval(const ExprPool *p, ExprId e, const double *args)
{
    if (e.v == 0)
        return args[0];
    unsigned char *need = needed(p, e);
    double *val = calloc((size_t)e.v + 1, sizeof *val);
    double result = NAN;
    if (need != NULL && val != NULL) {
        for (uint32_t i = 1; i <= e.v; i++) {
            const ExprNode *n = &p->nodes.at[i];
            if (!need[i])
                continue;
            if (n->op == EX_ARG)
                val[i] = args[n->arg];
            else if (n->op == EX_CONST)
                val[i] = n->value;
            else
                val[i] = apply(n->op, val[n->a.v], val[n->b.v], val[n->c.v]);
        }
        result = val[e.v];
    }
    free(need);
    free(val);
    return result;
}

uint32_t expr_arg_count(const ExprPool *p, ExprId e)
{
    uint32_t count = 0;
    if (e.v == 0)
        return 0;
    unsigned char *need = needed(p, e);
    for (uint32_t i = 1; i <= e.v; i++) {
        const ExprNode *n = &p->nodes.at[i];
        /* Without memory for the marks every argument counts: a larger answer is safe. */
        if ((need == NULL || need[i]) && n->op == EX_ARG && n->arg >= count)
            count = n->arg + 1;
    }
    free(need);
    return count;
}

static void print_operand(const ExprPool *p, ExprId e, const uint32_t *number, Buf *out)
{
    const ExprNode *n = at(p, e);
    if (n->op == EX_ARG)
        buf_printf(out, "a%u", (unsigned)n->arg);
    else if (n->op == EX_CONST)
        buf_real(out, n->value);
    else
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): only operators have numbers */
        buf_printf(out, "t%u", (unsigned)number[e.v]);
}

static void print_node(const ExprPool *p, ExprId e, const uint32_t *number, Buf *out)
{
    const ExprNode *n = at(p, e);
    const ExprId operand[3] = {n->a, n->b, n->c};
    buf_printf(out, "%s(", op_table[n->op].name);
    for (int i = 0; i < op_table[n->op].operands; i++) {
        if (i > 0)
            buf_addc(out, ',');
        print_operand(p, operand[i], number, out);
    }
    buf_addc(out, ')');
}

/* One definition per shared node, numbered in the order a depth-first walk leaves them: the walk,
 * unlike ids, does not depend on what else the pool holds. */
void expr_print(const ExprPool *p, ExprId e, Buf *out)
{
    if (e.v == 0) {
        buf_add(out, "a0");
        return;
    }
    if (op_table[at(p, e)->op].operands == 0) {
        print_operand(p, e, NULL, out);
        return;
    }
    uint32_t *number = calloc((size_t)e.v + 1, sizeof *number);
    uint32_t *stack = calloc(3 * ((size_t)e.v + 1) + 1, sizeof *stack);
    if (number == NULL || stack == NULL) {
        out->failed = true;
        free(number);
        free(stack);
        return;
    }
    uint32_t top = 0, next = 1;
    stack[top++] = e.v;
    while (top > 0) {
        uint32_t i = stack[top - 1];
        const ExprNode *n = &p->nodes.at[i];
        const uint32_t operand[3] = {n->a.v, n->b.v, n->c.v};
        bool ready = true;
        for (int k = op_table[n->op].operands - 1; number[i] == 0 && k >= 0; k--)
            if (op_table[p->nodes.at[operand[k]].op].operands > 0 && number[operand[k]] == 0) {
                stack[top++] = operand[k];
                ready = false;
            }
        if (!ready)
            continue;
        top--;
        if (number[i] != 0)
            continue;
        number[i] = next++;
        if (i != e.v) {
            buf_printf(out, "t%u=", (unsigned)number[i]);
            print_node(p, (ExprId){i}, number, out);
            buf_addc(out, ';');
        }
    }
    print_node(p, e, number, out);
    free(number);
    free(stack);
}
