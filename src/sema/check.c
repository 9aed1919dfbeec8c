/* Declarations, statements and items of a module. */
#include "sema/check.h"
#include <string.h>

static Type declared_type(Checker *c, AstId param)
{
    const AstNode *t = node_at(c->m, kid_at(c->m, param, 0));
    if (t->kind != AST_TYPE)
        return TYPE(UNKNOWN);
    Type type = type_by_name(t->sym, (t->flags & AF_LIST) != 0);
    if (type.kind != TY_UNKNOWN)
        return type;
    static const char *const names[] = {"int",  "real", "bool",  "str",
                                        "size", "pad",  "layer", "tensor"};
    uint32_t d = diag(&c->s->diags, E_UNDEFINED, t->span, t->sym);
    diag_nearest(&c->s->diags, d, t->name_span, t->sym, names, sizeof names / sizeof *names);
    diag_help(&c->s->diags, d, SPAN_NONE,
              "types are int, real, bool, str, size, pad, layer, tensor and lists of them: [int]");
    return type;
}

static void check_params(Checker *c, AstId list)
{
    for (uint32_t i = 0; i < kid_count(c->m, list); i++) {
        AstId p = kid_at(c->m, list, i);
        const AstNode *n = node_at(c->m, p);
        if (n->kind != AST_PARAM)
            continue;
        Type t = declared_type(c, p);
        if (kid_count(c->m, p) > 1 && kid_at(c->m, p, 1).v != 0)
            check_as(c, kid_at(c->m, p, 1), t);
        scope_declare(c, n->sym, LOCAL_PARAM, t, p, n->name_span);
    }
}

static void check_fn(Checker *c, AstId n)
{
    AstId inside = c->inside;
    uint32_t mark = c->locals.len;
    c->inside = n;
    check_params(c, kid_at(c->m, n, 0));
    c->m->result[n.v] = check_expr(c, kid_at(c->m, n, 1));
    scope_close(c, mark);
    c->inside = inside;
}

static void check_let(Checker *c, AstId n)
{
    c->m->result[n.v] = check_expr(c, kid_at(c->m, n, 0));
}

static void check_require(Checker *c, AstId n)
{
    check_as(c, kid_at(c->m, n, 0), TYPE(BOOL));
}

/* A LET or FN that is local; checked before its name is visible. */
static void check_local(Checker *c, AstId n)
{
    const AstNode *x = node_at(c->m, n);
    if (x->kind == AST_FN) {
        check_fn(c, n);
        scope_declare(c, x->sym, LOCAL_FN, TYPE(FUNCTION), n, x->name_span);
    } else {
        check_let(c, n);
        scope_declare(c, x->sym, LOCAL_BINDING, c->m->result[n.v], n, x->name_span);
    }
}

static void check_statement(Checker *c, AstId n, bool *out)
{
    const AstNode *x = node_at(c->m, n);
    switch ((AstKind)x->kind) {
    case AST_LET:
    case AST_FN: check_local(c, n); break;
    case AST_BIND: {
        Type t = check_expr(c, kid_at(c->m, n, 0));
        scope_declare(c, x->sym, LOCAL_BINDING, t, n, x->name_span);
        break;
    }
    case AST_OUT:
        if (*out)
            diag(&c->s->diags, E_VALUE, x->span, "out is set twice");
        *out = true;
        check_as(c, kid_at(c->m, n, 0), TYPE(TENSOR));
        break;
    case AST_REQUIRE: check_require(c, n); break;
    default: *out = *out || x->kind == AST_POISON; break;
    }
}

static void check_block(Checker *c, AstId n)
{
    AstId inside = c->inside, stmts = kid_at(c->m, n, 2);
    uint32_t mark = c->locals.len;
    bool in_block = c->in_block, in_chain = c->in_chain, in_stage = c->in_stage, out = false;
    c->inside = n;
    c->in_block = true;
    c->in_chain = c->in_stage = false;
    check_annotations(c, kid_at(c->m, n, 0));
    check_params(c, kid_at(c->m, n, 1));
    for (uint32_t i = 0; i < kid_count(c->m, stmts); i++)
        check_statement(c, kid_at(c->m, stmts, i), &out);
    if (!out)
        diag(&c->s->diags, E_NO_OUT, node_at(c->m, n)->name_span, node_at(c->m, n)->sym);
    scope_close(c, mark);
    c->in_block = in_block;
    c->in_chain = in_chain;
    c->in_stage = in_stage;
    c->inside = inside;
}

/* Named arguments of `input`, `stage` and `head` lines. */
typedef struct Option {
    const char *name;
    Type type;
} Option;

static void check_options(Checker *c, const char *what, AstId args, const Option *opt, uint32_t n)
{
    const char *names[8];
    bool seen[8] = {false};
    for (uint32_t i = 0; i < n; i++)
        names[i] = opt[i].name;
    for (uint32_t i = 0; i < kid_count(c->m, args); i++) {
        AstId arg = kid_at(c->m, args, i);
        const AstNode *x = node_at(c->m, arg);
        uint32_t k = 0;
        if (x->sym == NULL) {
            diag(&c->s->diags, E_ARG_COUNT, x->span, what, 0, (int)kid_count(c->m, args));
            continue;
        }
        while (k < n && strcmp(opt[k].name, x->sym) != 0)
            k++;
        if (k == n) {
            uint32_t d = diag(&c->s->diags, E_ARG_UNKNOWN, x->name_span, what, x->sym);
            diag_nearest(&c->s->diags, d, x->name_span, x->sym, names, n);
            continue;
        }
        if (seen[k])
            diag(&c->s->diags, E_ARG_TWICE, x->span, x->sym);
        seen[k] = true;
        check_as(c, kid_at(c->m, arg, 0), opt[k].type);
    }
}

static void check_input(Checker *c, AstId n)
{
    static const Option options[] = {{"mean", {TY_REAL, true}},
                                     {"std", {TY_REAL, true}},
                                     {"resize", {TY_INT, false}},
                                     {"crop", {TY_INT, false}}};
    const AstNode *x = node_at(c->m, n);
    AstId dims = kid_at(c->m, n, 1);
    check_annotations(c, kid_at(c->m, n, 0));
    for (uint32_t i = 0; i < kid_count(c->m, dims); i++)
        check_as(c, kid_at(c->m, dims, i), TYPE(INT));
    if (kid_count(c->m, dims) != 3)
        diag(&c->s->diags, E_VALUE, x->span,
             arena_printf(&c->s->arena,
                          "an input has 3 dimensions [channels, height, width], not %u",
                          kid_count(c->m, dims)));
    check_options(c, "input", kid_at(c->m, n, 2), options, 4);
    scope_declare(c, x->sym, LOCAL_INPUT, TYPE(TENSOR), n, x->name_span);
}

static void check_stage(Checker *c, AstId n, bool head)
{
    static const Option stage_options[] = {
        {"stride", {TY_SIZE, false}}, {"up", {TY_SIZE, false}}, {"from", {TY_TENSOR, false}}};
    const AstNode *x = node_at(c->m, n);
    bool in_chain = c->in_chain, in_stage = c->in_stage;
    check_annotations(c, kid_at(c->m, n, 0));
    check_options(c, head ? "head" : "stage", kid_at(c->m, n, 1),
                  head ? &stage_options[2] : stage_options, head ? 1 : 3);
    c->in_chain = true;
    c->in_stage = !head;
    check_chain(c, kid_at(c->m, n, 2));
    c->in_chain = in_chain;
    c->in_stage = in_stage;
    scope_declare(c, x->sym, head ? LOCAL_HEAD : LOCAL_STAGE, TYPE(TENSOR), n, x->name_span);
}

static void check_items(Checker *c, AstId list);

/* Both arms may declare the same names; what either declares is visible below. */
static void check_if(Checker *c, AstId n)
{
    uint32_t mark = c->locals.len;
    check_as(c, kid_at(c->m, n, 0), TYPE(BOOL));
    check_items(c, kid_at(c->m, n, 1));
    uint32_t then_end = c->locals.len;
    if (kid_at(c->m, n, 2).v == 0)
        return;
    for (uint32_t i = mark; i < then_end; i++)
        c->locals.at[i].other_arm = true;
    check_items(c, kid_at(c->m, n, 2));
    for (uint32_t i = mark; i < then_end; i++)
        c->locals.at[i].other_arm = false;
}

static void check_item(Checker *c, AstId n)
{
    const AstNode *x = node_at(c->m, n);
    switch ((AstKind)x->kind) {
    case AST_INPUT: check_input(c, n); break;
    case AST_STAGE:
    case AST_HEAD: check_stage(c, n, x->kind == AST_HEAD); break;
    case AST_LET:
    case AST_FN: check_local(c, n); break;
    case AST_BLOCK:
        check_block(c, n);
        scope_declare(c, x->sym, LOCAL_BLOCK, TYPE(LAYER), n, x->name_span);
        break;
    case AST_REQUIRE: check_require(c, n); break;
    case AST_IFITEM: check_if(c, n); break;
    case AST_TRAIN:
    case AST_REFINE: check_section(c, n); break;
    default: break;
    }
}

static void check_items(Checker *c, AstId list)
{
    for (uint32_t i = 0; i < kid_count(c->m, list); i++)
        check_item(c, kid_at(c->m, list, i));
}

static void check_net(Checker *c, AstId n)
{
    const AstNode *x = node_at(c->m, n);
    uint32_t mark = c->locals.len;
    c->inside = n;
    check_annotations(c, kid_at(c->m, n, 0));
    check_params(c, kid_at(c->m, n, 1));
    if (x->kind == AST_NET) {
        check_items(c, kid_at(c->m, n, 2));
    } else {
        AstId value = kid_at(c->m, n, 2);
        Type t = check_expr(c, value);
        if (t.kind != TY_NET && t.kind != TY_UNKNOWN)
            diag(&c->s->diags, E_TYPE, node_at(c->m, value)->span, "net", type_text(t));
    }
    scope_close(c, mark);
    c->inside = AST_NIL;
}

typedef struct Walk {
    const Checker *c;
    uint32_t *first; /* by node: its first reference in `order`; those of the next node follow */
    uint32_t *order; /* references by the node they come from */
    uint32_t *next;  /* by node: the reference to be followed next */
    AstId *open;     /* the nodes the walk is in, one referring to the next */
    uint8_t *state;  /* by node: 0 not seen, 1 open, 2 done */
} Walk;

static Walk sort_edges(Session *s, const Checker *c)
{
    uint32_t n = c->m->ast->nodes.len;
    Walk w = {.c = c};
    w.first = arena_new_n(&s->arena, uint32_t, (size_t)n + 1);
    w.next = arena_new_n(&s->arena, uint32_t, n);
    w.order = arena_new_n(&s->arena, uint32_t, (size_t)c->edges.len + 1);
    w.open = arena_new_n(&s->arena, AstId, n);
    w.state = arena_new_n(&s->arena, uint8_t, n);
    for (uint32_t i = 0; i < c->edges.len; i++)
        w.first[c->edges.at[i].from.v + 1]++;
    for (uint32_t v = 0; v < n; v++) {
        w.first[v + 1] += w.first[v];
        w.next[v] = w.first[v];
    }
    for (uint32_t i = 0; i < c->edges.len; i++)
        w.order[w.next[c->edges.at[i].from.v]++] = i;
    memcpy(w.next, w.first, n * sizeof *w.next);
    return w;
}

/* Depth-first over the references between declarations; an edge back to an open one is recursion.
 * Not recursive itself: a file may have a million declarations. */
static void find_cycles(Walk *w, AstId from)
{
    uint32_t depth = 0;
    w->state[from.v] = 1;
    w->open[depth++] = from;
    while (depth > 0) {
        AstId at = w->open[depth - 1];
        if (w->next[at.v] == w->first[at.v + 1]) {
            w->state[at.v] = 2;
            depth--;
            continue;
        }
        Edge e = w->c->edges.at[w->order[w->next[at.v]++]];
        if (w->state[e.to.v] == 1) {
            diag(&w->c->s->diags, E_RECURSION, e.span, node_at(w->c->m, e.to)->sym);
        } else if (w->state[e.to.v] == 0) {
            w->state[e.to.v] = 1;
            w->open[depth++] = e.to;
        }
    }
}

void module_check(Session *s, Module *m)
{
    Checker c = {.s = s, .m = m};
    m->result = arena_new_n(&s->arena, Type, m->ast->nodes.len);
    for (uint32_t i = 0; i < kid_count(m, m->ast->root); i++) {
        AstId n = kid_at(m, m->ast->root, i);
        const AstNode *x = node_at(m, n);
        bool declares = x->kind == AST_LET || x->kind == AST_FN || x->kind == AST_BLOCK ||
                        x->kind == AST_NET || x->kind == AST_NETALIAS;
        if (declares && op_by_name(x->sym) != OP_NONE)
            diag(&s->diags, W_SHADOWS_OP, x->name_span, x->sym);
        c.inside = n;
        if (x->kind == AST_LET)
            check_let(&c, n);
        else if (x->kind == AST_FN)
            check_fn(&c, n);
        else if (x->kind == AST_BLOCK)
            check_block(&c, n);
        else if (x->kind == AST_NET || x->kind == AST_NETALIAS)
            check_net(&c, n);
    }
    Walk w = sort_edges(s, &c);
    for (uint32_t i = 0; i < m->decls.len; i++)
        if (w.state[m->decls.at[i].node.v] == 0)
            find_cycles(&w, m->decls.at[i].node);
    for (uint32_t i = 0; i < m->imports.len; i++) {
        const Import *in = &m->imports.at[i];
        if (in->used || in->module == NULL)
            continue;
        uint32_t d = diag(&s->diags, W_UNUSED, in->span, "import",
                          in->alias != NULL ? in->alias : in->written);
        diag_fix(&s->diags, d, source_removal(source_get(&s->sources, in->span.src), in->span), "",
                 "remove it");
    }
}
