/* Static types of expressions. */
#include "sema/check.h"
#include <string.h>

/* The type of what was checked before, without saying anything again. */
static Type type_again(Checker *c, AstId n)
{
    uint32_t mark = c->s->diags.all.len;
    Type t = check_expr(c, n);
    diag_rewind(&c->s->diags, mark);
    return t;
}

/* a / b where an int is wanted: certainly a // b when both are ints. */
static void help_division(Checker *c, uint32_t d, AstId n)
{
    AstId l = kid_at(c->m, n, 0), r = kid_at(c->m, n, 1);
    Type a = type_again(c, l), b = type_again(c, r);
    const Ast *t = c->m->ast;
    uint32_t from = node_at(c->m, l)->span.hi, to = node_at(c->m, r)->span.lo;
    for (uint32_t i = 0; i < t->tokens.len; i++) {
        Token k = t->tokens.at[i];
        if (k.kind == '/' && k.lo >= from && k.hi <= to && a.kind == TY_INT && b.kind == TY_INT &&
            !a.list && !b.list) {
            diag_fix(&c->s->diags, d, (Span){t->src, k.lo, k.hi}, "//",
                     "'//' divides whole numbers");
            return;
        }
    }
    diag_help(&c->s->diags, d, SPAN_NONE, "'//' divides whole numbers");
}

void check_mismatch(Checker *c, AstId n, Type want, Type have)
{
    const AstNode *x = node_at(c->m, n);
    uint32_t d = diag(&c->s->diags, E_TYPE, x->span, type_text(want), type_text(have));
    if (x->kind == AST_BINARY && x->op == BIN_DIV && want.kind == TY_INT && !want.list)
        help_division(c, d, n);
    else if (want.kind == TY_INT && have.kind == TY_REAL)
        diag_help(&c->s->diags, d, SPAN_NONE, "int(...), ceil(...) or round(...) make it whole");
}

void check_as(Checker *c, AstId n, Type want)
{
    Type have = check_expr(c, n);
    if (!type_fits(have, want))
        check_mismatch(c, n, want, have);
}

typedef struct FieldRule {
    TypeKind of;
    const char *name;
    TypeKind type;
} FieldRule;
static const FieldRule fields[] = {
    {TY_TENSOR, "c", TY_INT},  {TY_TENSOR, "h", TY_INT},     {TY_TENSOR, "w", TY_INT},
    {TY_TENSOR, "rf", TY_INT}, {TY_TENSOR, "jump", TY_REAL}, {TY_SIZE, "h", TY_INT},
    {TY_SIZE, "w", TY_INT},
};

static void no_field(Checker *c, const AstNode *x, const char *of, const char *const *names,
                     size_t n)
{
    uint32_t d = diag(&c->s->diags, E_NO_SUCH_FIELD, x->name_span, of, x->sym);
    Buf text = {0};
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s.%s", i ? ", " : "", names[i]);
    if (!diag_nearest(&c->s->diags, d, x->name_span, x->sym, names, n) && buf_ok(&text) && n > 0)
        diag_help(&c->s->diags, d, SPAN_NONE, "it has %s", text.at);
    buf_free(&text);
}

/* stage.stride, stage.i, block.i, block.n */
static Type context_field(Checker *c, const AstNode *x, bool stage)
{
    static const char *const stage_fields[] = {"stride", "i"}, *const block_fields[] = {"i", "n"};
    const char *const *names = stage ? stage_fields : block_fields;
    if (stage ? !c->in_block && !c->in_chain : !c->in_block) {
        diag(&c->s->diags, E_CONTEXT, x->span,
             arena_printf(&c->s->arena, "%s.%s", stage ? "stage" : "block", x->sym),
             stage ? "it is known inside stages and blocks" : "it is known inside blocks");
        return TYPE(UNKNOWN);
    }
    if (strcmp(x->sym, names[0]) == 0)
        return stage ? TYPE(UNKNOWN) : TYPE(INT); /* a stride is an int or a size */
    if (strcmp(x->sym, names[1]) == 0)
        return TYPE(INT);
    no_field(c, x, stage ? "stage" : "block", names, 2);
    return TYPE(UNKNOWN);
}

static Type check_field(Checker *c, AstId n)
{
    const AstNode *x = node_at(c->m, n), *of = node_at(c->m, kid_at(c->m, n, 0));
    const char *names[8];
    size_t count = 0;
    Type t;
    if (of->kind == AST_STAGECTX || of->kind == AST_BLOCKCTX)
        return context_field(c, x, of->kind == AST_STAGECTX);
    if (check_reference(c, n, &t))
        return t;
    t = check_expr(c, kid_at(c->m, n, 0));
    if (t.kind == TY_UNKNOWN)
        return t;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].of != t.kind || t.list)
            continue;
        if (strcmp(fields[i].name, x->sym) == 0)
            return (Type){fields[i].type, false};
        names[count++] = fields[i].name;
    }
    no_field(c, x, arena_printf(&c->s->arena, "a value of type %s", type_text(t)), names, count);
    return TYPE(UNKNOWN);
}

static bool numeric(Type t)
{
    return !t.list && (t.kind == TY_INT || t.kind == TY_REAL || t.kind == TY_UNKNOWN);
}

static Type check_arithmetic(Checker *c, AstOp op, AstId l, AstId r)
{
    Type a = check_expr(c, l), b = check_expr(c, r);
    if (a.list && b.list && op == BIN_ADD && type_fits(a, b))
        return a;
    if (!numeric(a))
        check_mismatch(c, l, TYPE(REAL), a);
    if (!numeric(b))
        check_mismatch(c, r, TYPE(REAL), b);
    if (!numeric(a) || !numeric(b))
        return TYPE(UNKNOWN);
    if (op == BIN_DIV)
        return TYPE(REAL);
    if (a.kind == TY_UNKNOWN || b.kind == TY_UNKNOWN)
        return a.kind == TY_REAL || b.kind == TY_REAL ? TYPE(REAL) : TYPE(UNKNOWN);
    return a.kind == TY_REAL || b.kind == TY_REAL ? TYPE(REAL) : TYPE(INT);
}

static Type check_binary(Checker *c, AstId n)
{
    AstOp op = (AstOp)node_at(c->m, n)->op;
    AstId l = kid_at(c->m, n, 0), r = kid_at(c->m, n, 1);
    if (op == BIN_AND || op == BIN_OR) {
        check_as(c, l, TYPE(BOOL));
        check_as(c, r, TYPE(BOOL));
        return TYPE(BOOL);
    }
    if (op < BIN_EQ || op > BIN_GE)
        return check_arithmetic(c, op, l, r);
    Type a = check_expr(c, l), b = check_expr(c, r);
    if (op != BIN_EQ && op != BIN_NE) {
        if (!numeric(a))
            check_mismatch(c, l, TYPE(REAL), a);
        else if (!numeric(b))
            check_mismatch(c, r, TYPE(REAL), b);
    } else if (!type_fits(a, b) && !type_fits(b, a)) {
        check_mismatch(c, r, a, b);
    } else if (a.kind == TY_TENSOR || a.kind == TY_FUNCTION || a.kind == TY_NET) {
        diag(&c->s->diags, E_VALUE, node_at(c->m, n)->span,
             arena_printf(&c->s->arena, "values of type %s cannot be compared", type_text(a)));
    }
    return TYPE(BOOL);
}

static Type join_types(Checker *c, Type a, AstId second, Type b)
{
    if (a.kind == TY_UNKNOWN && !a.list)
        return b;
    if (type_fits(b, a))
        return b.kind == TY_UNKNOWN || a.kind != TY_INT ? a : b.list == a.list ? a : b;
    if (type_fits(a, b))
        return b;
    check_mismatch(c, second, a, b);
    return TYPE(UNKNOWN);
}

static Type check_list(Checker *c, AstId n)
{
    Type t = TYPE(UNKNOWN);
    for (uint32_t i = 0; i < kid_count(c->m, n); i++) {
        AstId kid = kid_at(c->m, n, i);
        Type k = check_expr(c, kid);
        if (k.list) {
            diag(&c->s->diags, E_VALUE, node_at(c->m, kid)->span, "lists of lists do not exist");
            k = TYPE(UNKNOWN);
        }
        t = join_types(c, t, kid, k);
    }
    t.list = true;
    return t;
}

static Type check_index(Checker *c, AstId n)
{
    Type t = check_expr(c, kid_at(c->m, n, 0));
    check_as(c, kid_at(c->m, n, 1), TYPE(INT));
    if (!t.list && t.kind != TY_UNKNOWN)
        diag(&c->s->diags, E_TYPE, node_at(c->m, kid_at(c->m, n, 0))->span, "list", type_text(t));
    t.list = false;
    return t;
}

static Type check_name(Checker *c, AstId n)
{
    Type t = TYPE(UNKNOWN);
    check_reference(c, n, &t);
    return t;
}

static Type check_in(Checker *c, const AstNode *x)
{
    if (x->kind == AST_IN && (c->in_block || c->in_chain))
        return TYPE(TENSOR);
    if (x->kind == AST_PREV && c->in_stage)
        return TYPE(TENSOR);
    diag(&c->s->diags, E_CONTEXT, x->span, x->kind == AST_IN ? "in" : "prev",
         x->kind == AST_IN ? "only blocks, stages and heads are applied to something"
                           : "it is the input of the preceding step of a stage");
    return TYPE(UNKNOWN);
}

Type check_expr(Checker *c, AstId n)
{
    const AstNode *x = node_at(c->m, n);
    switch ((AstKind)x->kind) {
    case AST_INT: return TYPE(INT);
    case AST_REAL: return TYPE(REAL);
    case AST_STRING: return TYPE(STR);
    case AST_SIZE: return TYPE(SIZE);
    case AST_BOOL: return TYPE(BOOL);
    case AST_NAME: return check_name(c, n);
    case AST_IN:
    case AST_PREV: return check_in(c, x);
    case AST_STAGECTX:
    case AST_BLOCKCTX:
        diag(&c->s->diags, E_CONTEXT, x->span, x->kind == AST_STAGECTX ? "stage" : "block",
             x->kind == AST_STAGECTX ? "write stage.stride or stage.i"
                                     : "write block.i or block.n");
        return TYPE(UNKNOWN);
    case AST_LISTLIT: return check_list(c, n);
    case AST_FIELD: return check_field(c, n);
    case AST_INDEX: return check_index(c, n);
    case AST_CALL: return check_call(c, n);
    case AST_CHAIN: return check_chain(c, n);
    case AST_BINARY: return check_binary(c, n);
    case AST_UNARY: {
        AstId kid = kid_at(c->m, n, 0);
        Type t = check_expr(c, kid);
        if (x->op == UN_NOT && !type_fits(t, TYPE(BOOL)))
            check_mismatch(c, kid, TYPE(BOOL), t);
        else if (x->op == UN_NEG && !numeric(t))
            check_mismatch(c, kid, TYPE(REAL), t);
        return x->op == UN_NOT ? TYPE(BOOL) : t;
    }
    case AST_IF: {
        check_as(c, kid_at(c->m, n, 0), TYPE(BOOL));
        Type a = check_expr(c, kid_at(c->m, n, 1)), b = check_expr(c, kid_at(c->m, n, 2));
        return join_types(c, a, kid_at(c->m, n, 2), b);
    }
    default: return TYPE(UNKNOWN);
    }
}
