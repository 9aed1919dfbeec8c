/* Expressions, arguments, steps and chains. */
#include "format/layout.h"

static const AstNode *node(const Layout *l, AstId n)
{
    return ast_node(l->t, n);
}

static AstId kid(const Layout *l, AstId n, uint32_t i)
{
    return ast_kid(l->t, n, i);
}

static uint32_t hash(uint32_t h, Sym name)
{
    for (; name != NULL && *name != '\0'; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return (h ^ '.') * 16777619u;
}

/* The i-th argument aligns with those in the same place that have the same name, if any. */
static void column(Layout *l, AstId arg, uint32_t i, const LayRow *row)
{
    DocItem x = {.kind = DOC_MARK, .mark = (DocMark)(MARK_ARG + i - 1), .row = row->broken};
    x.key = hash(row->layer, node(l, arg)->sym);
    vec_push(l->a, &l->doc, x);
}

static bool is_number(const Layout *l, AstId n)
{
    const AstNode *x = node(l, n);
    if (x->kind == AST_UNARY && x->op == UN_NEG)
        x = node(l, kid(l, n, 0));
    return x->kind == AST_INT || x->kind == AST_REAL || x->kind == AST_SIZE;
}

void lay_list(Layout *l, AstId list, void (*entry)(Layout *, AstId), const LayRow *row)
{
    uint32_t n = list.v == 0 ? 0 : node(l, list)->kid_count;
    bool square = lay_next_is(l, "["), numbers = square;
    for (uint32_t i = 0; i < n; i++)
        numbers = numbers && is_number(l, kid(l, list, i));
    lay_begin(l, DOC_GROUP);
    lay_expect(l, square ? "[" : "(");
    lay_add(l, DOC_IN);
    for (uint32_t i = 0; i < n; i++) {
        bool fill = numbers && i > 0; /* as many as a line holds */
        if (fill)
            lay_begin(l, DOC_GROUP);
        lay_add(l, i == 0 ? DOC_SOFT : DOC_LINE);
        if (row != NULL && i > 0 && i <= MARK_ARGS)
            column(l, kid(l, list, i), i, row);
        entry(l, kid(l, list, i));
        bool comma = lay_next_is(l, ",");
        if (comma)
            lay_token(l);
        if (fill)
            lay_end(l);
        if (comma && i + 1 == n)
            lay_break(l); /* who ends a list with a comma wants it one entry a line */
    }
    lay_close(l, DOC_SOFT, square ? "]" : ")");
    lay_end(l);
}

void lay_arg(Layout *l, AstId n)
{
    if (node(l, n)->sym != NULL) {
        lay_token(l);
        lay_expect(l, "=");
    }
    lay_expr(l, kid(l, n, 0));
}

/* Operators of one level break together: those of a looser one before those of a tighter one. */
static int level(int op)
{
    return op == BIN_OR ? 0 : op == BIN_AND ? 1 : op >= BIN_EQ ? 2 : op <= BIN_SUB ? 3 : 4;
}

static void binary(Layout *l, AstId n)
{
    AstId left = kid(l, n, 0);
    bool same = node(l, left)->kind == AST_BINARY &&
                level(node(l, left)->op) == level(node(l, n)->op) &&
                lay_next_at(l) == node(l, left)->span.lo;
    if (same) {
        binary(l, left);
    } else {
        lay_expr(l, left);
        lay_add(l, DOC_IN);
    }
    lay_add(l, DOC_LINE);
    lay_token(l);
    lay_add(l, DOC_SPACE);
    lay_expr(l, kid(l, n, 1));
}

static void choice(Layout *l, AstId value)
{
    lay_add(l, DOC_SPACE);
    lay_expect(l, "{");
    lay_add(l, DOC_IN);
    lay_add(l, DOC_LINE);
    lay_expr(l, value);
    lay_close(l, DOC_LINE, "}");
}

/* All choices on one line, or each on its own. */
static void condition(Layout *l, AstId n)
{
    lay_begin(l, DOC_GROUP);
    for (;; n = kid(l, n, 2)) {
        lay_expect(l, "if");
        lay_add(l, DOC_SPACE);
        lay_expr(l, kid(l, n, 0));
        choice(l, kid(l, n, 1));
        lay_add(l, DOC_SPACE);
        lay_expect(l, "else");
        if (l->failed || !lay_next_is(l, "if"))
            break;
        lay_add(l, DOC_SPACE);
    }
    choice(l, kid(l, n, 2));
    lay_end(l);
}

static void bare_expr(Layout *l, AstId n)
{
    const AstNode *x = node(l, n);
    switch (x->kind) {
    case AST_LISTLIT: lay_list(l, n, lay_expr, NULL); break;
    case AST_IF: condition(l, n); break;
    case AST_CHAIN: lay_chain(l, n, false); break;
    case AST_FIELD:
        lay_expr(l, kid(l, n, 0));
        lay_expect(l, ".");
        lay_token(l);
        break;
    case AST_INDEX:
        lay_expr(l, kid(l, n, 0));
        lay_begin(l, DOC_GROUP);
        lay_expect(l, "[");
        lay_add(l, DOC_IN);
        lay_add(l, DOC_SOFT);
        lay_expr(l, kid(l, n, 1));
        lay_close(l, DOC_SOFT, "]");
        lay_end(l);
        break;
    case AST_CALL:
        lay_expr(l, kid(l, n, 0));
        lay_list(l, kid(l, n, 1), lay_arg, NULL);
        break;
    case AST_UNARY:
        lay_token(l);
        if (x->op == UN_NOT)
            lay_add(l, DOC_SPACE);
        lay_expr(l, kid(l, n, 0));
        break;
    case AST_BINARY:
        lay_begin(l, DOC_GROUP);
        binary(l, n);
        lay_add(l, DOC_OUT);
        lay_end(l);
        break;
    default: lay_token(l); break; /* a literal or a name */
    }
}

static bool parenthesized(const Layout *l, AstId n)
{
    return lay_next_is(l, "(") && lay_next_at(l) < node(l, n)->span.lo;
}

/* The tree has no parentheses: they are the tokens that stand before a node's first one. */
void lay_expr(Layout *l, AstId n)
{
    uint32_t count = 0;
    if (!parenthesized(l, n)) {
        bare_expr(l, n);
        return;
    }
    lay_begin(l, DOC_GROUP);
    for (; !l->failed && parenthesized(l, n); count++)
        lay_token(l);
    lay_add(l, DOC_IN);
    lay_add(l, DOC_SOFT);
    bare_expr(l, n);
    lay_close(l, DOC_SOFT, ")");
    while (--count > 0)
        lay_expect(l, ")");
    lay_end(l);
}

static void annotations(Layout *l, AstId list)
{
    uint32_t n = list.v == 0 ? 0 : node(l, list)->kid_count;
    for (uint32_t i = 0; i < n; i++) {
        lay_expect(l, "@");
        lay_token(l);
        if (lay_next_is(l, "("))
            lay_list(l, kid(l, kid(l, list, i), 0), lay_arg, NULL);
        lay_add(l, DOC_SPACE);
    }
}

static void times(Layout *l, AstId n, bool star)
{
    if (n.v == 0)
        return;
    lay_add(l, DOC_SPACE);
    if (star)
        lay_mark(l, MARK_STAR);
    lay_expect(l, "*");
    lay_add(l, DOC_SPACE);
    lay_expr(l, n);
}

/* A condition goes to a line of its own before the arguments are broken. */
static void when_and_name(Layout *l, AstId when, bool named)
{
    if (when.v != 0) {
        lay_add(l, DOC_IN);
        lay_add(l, DOC_LINE);
        lay_expect(l, "when");
        lay_add(l, DOC_SPACE);
        lay_expr(l, when);
    }
    if (named) {
        lay_add(l, DOC_SPACE);
        lay_expect(l, "as");
        lay_add(l, DOC_SPACE);
        lay_token(l);
    }
    if (when.v != 0)
        lay_add(l, DOC_OUT);
}

static uint32_t layer_hash(const Layout *l, AstId n)
{
    const AstNode *x = node(l, n);
    return hash(x->kind == AST_FIELD ? layer_hash(l, kid(l, n, 0)) : 2166136261u, x->sym);
}

/* `stage`: the first one of a stage. */
static void step(Layout *l, AstId n, bool stage)
{
    const AstNode *x = node(l, n);
    bool group = x->kind == AST_GROUP;
    AstId when = kid(l, n, group ? 2 : 4);
    if (when.v != 0)
        lay_begin(l, DOC_TAIL);
    if (group) {
        lay_begin(l, DOC_GROUP);
        lay_expect(l, "(");
        lay_add(l, DOC_IN);
        lay_add(l, DOC_SOFT);
        lay_chain(l, kid(l, n, 0), false);
        lay_close(l, DOC_SOFT, ")");
        lay_end(l);
    } else {
        LayRow row = {layer_hash(l, kid(l, n, 1)), stage ? 0 : when.v != 0 ? 2 : 1};
        bool bare = node(l, kid(l, n, 0))->kid_count == 0;
        annotations(l, kid(l, n, 0));
        lay_expr(l, kid(l, n, 1));
        if (x->flags & AF_ARGS)
            lay_list(l, kid(l, n, 2), lay_arg, bare ? &row : NULL);
    }
    times(l, kid(l, n, group ? 1 : 3), stage);
    when_and_name(l, when, x->sym2 != NULL);
    if (when.v != 0)
        lay_end(l);
}

void lay_chain(Layout *l, AstId n, bool stage)
{
    uint32_t count = node(l, n)->kid_count, from = 1;
    lay_begin(l, DOC_GROUP);
    if (kid(l, n, 0).v != 0)
        lay_expr(l, kid(l, n, 0));
    else
        step(l, kid(l, n, from++), stage);
    lay_add(l, DOC_IN);
    for (uint32_t i = from; i < count; i++) {
        lay_add(l, DOC_LINE);
        lay_expect(l, "->");
        lay_add(l, DOC_SPACE);
        step(l, kid(l, n, i), false);
    }
    lay_add(l, DOC_OUT);
    lay_end(l);
}

void lay_assign(Layout *l, AstId value, int mark)
{
    const AstNode *x = node(l, value);
    bool chain = x->kind == AST_CHAIN, source = chain && kid(l, value, 0).v != 0;
    lay_begin(l, source ? DOC_GROUP : chain && x->kid_count > 2 ? DOC_ASSIGN : DOC_HUG);
    lay_add(l, DOC_SPACE);
    if (mark >= 0)
        lay_mark(l, (DocMark)mark);
    lay_expect(l, "=");
    if (source) {
        lay_add(l, DOC_SPACE);
        lay_expr(l, value);
        lay_end(l);
        return;
    }
    lay_add(l, DOC_IN_BROKEN);
    lay_add(l, DOC_LINE);
    if (chain)
        lay_chain(l, value, false);
    else
        lay_expr(l, value);
    lay_add(l, DOC_OUT_BROKEN);
    lay_end(l);
}
