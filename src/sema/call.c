/* What is called or applied, with which arguments; chains. */
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

bool check_reference(Checker *c, AstId n, Type *out)
{
    Callee f;
    if (!resolve(c, n, &f))
        return false;
    *out = value_of(&f);
    return true;
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
            check_mismatch(c, kid_at(c->m, kid_at(c->m, args, (uint32_t)slot[k]), 0),
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
            check_mismatch(c, value, TYPE(REAL), t);
        }
        if (t.kind == TY_REAL || (t.kind == TY_UNKNOWN && join.kind == TY_INT))
            join = t;
    }
    if (b->most >= 0 && n > (uint32_t)b->most)
        diag(&c->s->diags, E_ARG_COUNT, span, b->name, b->most, (int)n);
    if (n < (uint32_t)b->least)
        diag(&c->s->diags, E_ARG_MISSING, span, b->name, "its argument");
    return b->result == 'I' ? TYPE(INT) : b->result == 'R' ? TYPE(REAL) : join;
}

Type check_call(Checker *c, AstId n)
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
