/* Static types of expressions and of what is applied to what. */
#include "sema/check.h"
#include <string.h>

/* What stands before an argument list. */
typedef enum CalleeKind {
    CALLEE_POISON,
    CALLEE_LAYER,
    CALLEE_FUNCTION,
    CALLEE_NET,
    CALLEE_BUILTIN,
    CALLEE_VALUE,
    CALLEE_IDENTITY
} CalleeKind;
typedef struct Callee {
    CalleeKind kind;
    Signature sig; /* LAYER, FUNCTION, NET */
    Op op;         /* LAYER of an operator */
    AstId node;    /* FUNCTION of this module: its declaration */
    const Module *module;
    Builtin builtin;
    Type type; /* VALUE */
    Span span;
    const char *name;
} Callee;

static void mismatch(Checker *c, AstId n, Type want, Type have)
{
    const AstNode *x = node_at(c->m, n);
    uint32_t d = diag(&c->s->diags, E_TYPE, x->span, type_text(want), type_text(have));
    if (x->kind == AST_BINARY && x->op == BIN_DIV && want.kind == TY_INT)
        diag_help(&c->s->diags, d, SPAN_NONE, "'//' divides whole numbers");
    else if (want.kind == TY_INT && have.kind == TY_REAL)
        diag_help(&c->s->diags, d, SPAN_NONE, "int(...), ceil(...) or round(...) make it whole");
}

void check_as(Checker *c, AstId n, Type want)
{
    Type have = check_expr(c, n);
    if (!type_fits(have, want))
        mismatch(c, n, want, have);
}

static void refer(Checker *c, AstId to, Span span)
{
    vec_push(&c->s->arena, &c->edges, ((Edge){c->inside, to, span}));
}

static Callee callee_of_decl(Checker *c, const Module *m, AstId node, Span span)
{
    const AstNode *d = node_at(m, node);
    Callee out = {.kind = CALLEE_VALUE, .module = m, .node = node, .span = span, .name = d->sym};
    if (m == c->m)
        refer(c, node, span);
    if (d->kind == AST_LET)
        return out;
    out.sig = signature_of_decl(&c->s->arena, m, node);
    out.kind = d->kind == AST_FN      ? CALLEE_FUNCTION
               : d->kind == AST_BLOCK ? CALLEE_LAYER
                                      : CALLEE_NET;
    return out;
}

static Callee callee_of_ref(Checker *c, Ref r, Sym name, Span span)
{
    Callee out = {.kind = CALLEE_POISON, .span = span, .name = name};
    switch (r.kind) {
    case REF_DECL: return callee_of_decl(c, r.module, r.node, span);
    case REF_OP:
        out.kind = CALLEE_LAYER;
        out.op = r.op;
        out.sig = signature_of_op(&c->s->arena, r.op);
        break;
    case REF_FUNCTION:
        out.kind = CALLEE_BUILTIN;
        out.builtin = r.function;
        break;
    case REF_IDENTITY: out.kind = CALLEE_IDENTITY; break;
    case REF_PADDING:
        out.kind = CALLEE_VALUE;
        out.type = TYPE(PAD);
        break;
    case REF_NONE: scope_undefined(c, name, span); break;
    }
    return out;
}

/* The declaration behind `name` or `alias.name`; false when n has another form. */
static bool resolve(Checker *c, AstId n, Callee *out)
{
    const AstNode *x = node_at(c->m, n);
    if (x->kind == AST_NAME) {
        Local *l = scope_find(c, x->sym);
        if (l != NULL && (l->kind == LOCAL_FN || l->kind == LOCAL_BLOCK))
            *out = callee_of_decl(c, c->m, l->node, x->span);
        else if (l != NULL)
            *out = (Callee){.kind = CALLEE_VALUE, .type = l->type, .span = x->span, .name = x->sym};
        else
            *out = callee_of_ref(c, module_lookup(c->m, x->sym), x->sym, x->span);
        return true;
    }
    if (x->kind != AST_FIELD || node_at(c->m, kid_at(c->m, n, 0))->kind != AST_NAME)
        return false;
    Sym alias = node_at(c->m, kid_at(c->m, n, 0))->sym;
    bool is_alias;
    if (scope_find(c, alias) != NULL)
        return false;
    Ref r = module_lookup_in(c->m, alias, x->sym, &is_alias);
    if (!is_alias)
        return false;
    if (r.kind == REF_NONE) {
        diag(&c->s->diags, E_NO_SUCH_FIELD, x->name_span,
             arena_printf(&c->s->arena, "module '%s'", alias), x->sym);
        *out = (Callee){.kind = CALLEE_POISON};
        return true;
    }
    *out = callee_of_ref(c, r, x->sym, x->span);
    return true;
}

static Type fn_result(const Callee *f);

static Type value_of(const Callee *x)
{
    switch (x->kind) {
    case CALLEE_LAYER:
    case CALLEE_IDENTITY: return TYPE(LAYER);
    case CALLEE_FUNCTION:
    case CALLEE_BUILTIN: return TYPE(FUNCTION);
    case CALLEE_NET: return TYPE(NET);
    case CALLEE_VALUE: return x->node.v != 0 ? fn_result(x) : x->type;
    case CALLEE_POISON: break;
    }
    return TYPE(UNKNOWN);
}

/* Type of a LET or of what an FN computes; unknown before it was checked. */
static Type fn_result(const Callee *f)
{
    return f->module->result != NULL ? f->module->result[f->node.v] : TYPE(UNKNOWN);
}

/* Arguments against a signature. `applied`: a tensor flows in from the left. Returns whether the
 * layer is applied (to that tensor or to its first arguments). */
static bool check_args(Checker *c, const Callee *f, AstId args, Span span, bool applied)
{
    uint32_t n = kid_count(c->m, args), skip = 0;
    Type *types = arena_new_n(&c->s->arena, Type, n);
    int32_t *slot = arena_new_n(&c->s->arena, int32_t, f->sig.count);
    for (uint32_t i = 0; i < n; i++)
        types[i] = check_expr(c, kid_at(c->m, kid_at(c->m, args, i), 0));
    if (f->kind == CALLEE_LAYER) {
        bool many = f->op != OP_NONE && op_info[f->op].inputs < 0;
        while (skip < n && node_at(c->m, kid_at(c->m, args, skip))->sym == NULL &&
               (many || (skip == 0 && !applied)) &&
               ((types[skip].kind == TY_TENSOR && !types[skip].list) ||
                (many && types[skip].kind == TY_UNKNOWN)))
            skip++;
        /* an argument of unknown type may be the tensor */
        if (!applied && skip == 0 && n > 0 && types[0].kind == TY_UNKNOWN &&
            node_at(c->m, kid_at(c->m, args, 0))->sym == NULL)
            return true;
    }
    if (!args_bind(c->s, c->m, &f->sig, args, skip, slot))
        return true;
    bool whole = f->kind != CALLEE_LAYER || applied || skip > 0;
    for (uint32_t k = 0; k < f->sig.count; k++) {
        if (slot[k] < 0) {
            if (whole && f->sig.formals[k].required && f->kind != CALLEE_NET)
                args_missing(c->s, span, &f->sig, &f->sig.formals[k]);
            continue;
        }
        Type have = types[slot[k]];
        if (!type_fits(have, f->sig.formals[k].type))
            mismatch(c, kid_at(c->m, kid_at(c->m, args, (uint32_t)slot[k]), 0),
                     f->sig.formals[k].type, have);
    }
    return whole;
}

static Type check_builtin(Checker *c, const Callee *f, AstId args, Span span)
{
    const BuiltinInfo *b = &builtin_info[f->builtin];
    uint32_t n = kid_count(c->m, args);
    Type join = TYPE(INT);
    for (uint32_t i = 0; i < n; i++) {
        AstId arg = kid_at(c->m, args, i), value = kid_at(c->m, arg, 0);
        Type t = check_expr(c, value);
        if (node_at(c->m, arg)->sym != NULL)
            diag(&c->s->diags, E_ARG_UNKNOWN, node_at(c->m, arg)->name_span, b->name,
                 node_at(c->m, arg)->sym);
        if (f->builtin == BUILTIN_LEN) {
            if (!t.list && t.kind != TY_UNKNOWN)
                diag(&c->s->diags, E_TYPE, node_at(c->m, value)->span, "list", type_text(t));
        } else if (!type_fits(t, TYPE(REAL))) {
            mismatch(c, value, TYPE(REAL), t);
        }
        if (t.kind == TY_REAL)
            join = t;
        else if (t.kind == TY_UNKNOWN && join.kind == TY_INT)
            join = t;
    }
    if (b->most >= 0 && n > (uint32_t)b->most)
        diag(&c->s->diags, E_ARG_COUNT, span, b->name, b->most, (int)n);
    if (n < (uint32_t)b->least)
        diag(&c->s->diags, E_ARG_MISSING, span, b->name, "its argument");
    return b->result == 'I' ? TYPE(INT) : b->result == 'R' ? TYPE(REAL) : join;
}

static Type check_call(Checker *c, AstId n)
{
    const AstNode *x = node_at(c->m, n);
    AstId callee = kid_at(c->m, n, 0), args = kid_at(c->m, n, 1);
    Callee f;
    if (!resolve(c, callee, &f))
        f = (Callee){.kind = CALLEE_VALUE,
                     .type = check_expr(c, callee),
                     .name = "this",
                     .span = node_at(c->m, callee)->span};
    switch (f.kind) {
    case CALLEE_LAYER: return check_args(c, &f, args, x->span, false) ? TYPE(TENSOR) : TYPE(LAYER);
    case CALLEE_FUNCTION: check_args(c, &f, args, x->span, false); return fn_result(&f);
    case CALLEE_NET: check_args(c, &f, args, x->span, false); return TYPE(NET);
    case CALLEE_BUILTIN: return check_builtin(c, &f, args, x->span);
    default: break;
    }
    bool tensor = false;
    for (uint32_t i = 0; i < kid_count(c->m, args); i++) {
        Type t = check_expr(c, kid_at(c->m, kid_at(c->m, args, i), 0));
        tensor = tensor || (i == 0 && (t.kind == TY_TENSOR || t.kind == TY_UNKNOWN));
    }
    Type t = value_of(&f);
    if (t.kind == TY_LAYER && !t.list)
        return tensor ? TYPE(TENSOR) : TYPE(LAYER);
    if (t.kind != TY_UNKNOWN)
        diag(&c->s->diags, E_NOT_LAYER, f.span, f.name, type_text(t));
    return TYPE(UNKNOWN);
}

static void check_step(Checker *c, AstId n)
{
    const AstNode *x = node_at(c->m, n);
    AstId callee = kid_at(c->m, n, 1), args = kid_at(c->m, n, 2);
    Callee f;
    check_annotations(c, kid_at(c->m, n, 0));
    if (!resolve(c, callee, &f))
        f = (Callee){.kind = CALLEE_VALUE,
                     .type = check_expr(c, callee),
                     .name = "this",
                     .span = node_at(c->m, callee)->span};
    if (f.kind == CALLEE_LAYER) {
        check_args(c, &f, args, x->span, true);
    } else {
        Type t = value_of(&f);
        for (uint32_t i = 0; i < kid_count(c->m, args); i++)
            check_expr(c, kid_at(c->m, kid_at(c->m, args, i), 0));
        if (t.kind != TY_UNKNOWN && (t.kind != TY_LAYER || t.list)) {
            uint32_t d = diag(&c->s->diags, E_NOT_LAYER, f.span, f.name,
                              arena_printf(&c->s->arena, "a value of type %s", type_text(t)));
            if (f.sig.span.src != 0)
                diag_note(&c->s->diags, d, f.sig.span, "'%s' is declared here", f.name);
        }
    }
    for (uint32_t k = 3; k < 5; k++)
        if (kid_at(c->m, n, k).v != 0)
            check_as(c, kid_at(c->m, n, k), k == 3 ? TYPE(INT) : TYPE(BOOL));
}

Type check_chain(Checker *c, AstId chain)
{
    AstId source = kid_at(c->m, chain, 0);
    if (source.v != 0)
        check_as(c, source, TYPE(TENSOR));
    for (uint32_t i = 1; i < kid_count(c->m, chain); i++) {
        AstId n = kid_at(c->m, chain, i);
        const AstNode *x = node_at(c->m, n);
        if (x->kind == AST_STEP) {
            check_step(c, n);
        } else if (x->kind == AST_GROUP) {
            check_chain(c, kid_at(c->m, n, 0));
            if (kid_at(c->m, n, 1).v != 0)
                check_as(c, kid_at(c->m, n, 1), TYPE(INT));
            if (kid_at(c->m, n, 2).v != 0)
                check_as(c, kid_at(c->m, n, 2), TYPE(BOOL));
        }
        if (x->sym2 != NULL && x->kind != AST_POISON)
            scope_declare(c, x->sym2, LOCAL_STEP, TYPE(TENSOR), n, x->name_span);
    }
    return TYPE(TENSOR);
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
    const char *near = intern_nearest(x->sym, names, n);
    Buf text = {0};
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s.%s", i ? ", " : "", names[i]);
    if (near != NULL)
        diag_fix(&c->s->diags, d, x->name_span, near, "did you mean '.%s'?", near);
    else if (buf_ok(&text) && n > 0)
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
    Callee f;
    if (of->kind == AST_STAGECTX || of->kind == AST_BLOCKCTX)
        return context_field(c, x, of->kind == AST_STAGECTX);
    if (resolve(c, n, &f))
        return value_of(&f);
    Type t = check_expr(c, kid_at(c->m, n, 0));
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
        mismatch(c, l, TYPE(REAL), a);
    if (!numeric(b))
        mismatch(c, r, TYPE(REAL), b);
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
            mismatch(c, l, TYPE(REAL), a);
        else if (!numeric(b))
            mismatch(c, r, TYPE(REAL), b);
    } else if (!type_fits(a, b) && !type_fits(b, a)) {
        mismatch(c, r, a, b);
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
    mismatch(c, second, a, b);
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
    Callee f;
    resolve(c, n, &f);
    return value_of(&f);
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
            mismatch(c, kid, TYPE(BOOL), t);
        else if (x->op == UN_NEG && !numeric(t))
            mismatch(c, kid, TYPE(REAL), t);
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
