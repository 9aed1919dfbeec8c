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

static void lay_column(Layout *l, uint32_t i, LayRow row)
{
    DocItem x = {.kind = DOC_MARK, .row = row == LAY_CHAIN_ROW};
    x.mark = (DocMark)((l->other ? MARK_OTHER_ARG : MARK_ARG) + i);
    vec_push(l->a, &l->doc, x);
}

void lay_list(Layout *l, AstId list, void (*entry)(Layout *, AstId), LayRow row)
{
    uint32_t n = list.v == 0 ? 0 : node(l, list)->kid_count;
    bool square = lay_next_is(l, "["), numbers = square;
    for (uint32_t i = 0; i < n; i++) {
        int kind = node(l, kid(l, list, i))->kind;
        numbers = numbers && (kind == AST_INT || kind == AST_REAL || kind == AST_SIZE);
    }
    lay_begin(l, DOC_GROUP);
    lay_expect(l, square ? "[" : "(");
    lay_add(l, DOC_IN);
    for (uint32_t i = 0; i < n; i++) {
        bool fill = numbers && i > 0; /* as many as a line holds */
        if (fill)
            lay_begin(l, DOC_GROUP);
        lay_add(l, i == 0 ? DOC_SOFT : DOC_LINE);
        if (row != LAY_NO_ROW && i > 0 && i < MARK_ARGS)
            lay_column(l, i, row);
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

static void binary(Layout *l, AstId n)
{
    AstId left = kid(l, n, 0);
    bool same = node(l, left)->kind == AST_BINARY && lay_next_at(l) == node(l, left)->span.lo;
    if (same)
        binary(l, left);
    else
        lay_expr(l, left);
    lay_add(l, DOC_LINE);
    lay_token(l);
    lay_add(l, DOC_SPACE);
    lay_expr(l, kid(l, n, 1));
}

static void condition(Layout *l, AstId n)
{
    lay_begin(l, DOC_GROUP);
    lay_expect(l, "if");
    lay_add(l, DOC_SPACE);
    lay_expr(l, kid(l, n, 0));
    for (uint32_t i = 1; i < 3; i++) {
        lay_add(l, DOC_SPACE);
        if (i == 2) {
            lay_expect(l, "else");
            lay_add(l, DOC_SPACE);
        }
        if (i == 2 && lay_next_is(l, "if")) {
            lay_expr(l, kid(l, n, 2));
            break;
        }
        lay_expect(l, "{");
        lay_add(l, DOC_IN);
        lay_add(l, DOC_LINE);
        lay_expr(l, kid(l, n, i));
        lay_close(l, DOC_LINE, "}");
    }
    lay_end(l);
}

static void bare_expr(Layout *l, AstId n)
{
    const AstNode *x = node(l, n);
    switch (x->kind) {
    case AST_LISTLIT: lay_list(l, n, lay_expr, LAY_NO_ROW); break;
    case AST_IF: condition(l, n); break;
    case AST_CHAIN: lay_chain(l, n, false); break;
    case AST_FIELD:
        lay_expr(l, kid(l, n, 0));
        lay_expect(l, ".");
        lay_token(l);
        break;
    case AST_INDEX:
        lay_expr(l, kid(l, n, 0));
        lay_expect(l, "[");
        lay_expr(l, kid(l, n, 1));
        lay_expect(l, "]");
        break;
    case AST_CALL:
        lay_expr(l, kid(l, n, 0));
        lay_list(l, kid(l, n, 1), lay_arg, LAY_NO_ROW);
        break;
    case AST_UNARY:
        lay_token(l);
        if (x->op == UN_NOT)
            lay_add(l, DOC_SPACE);
        lay_expr(l, kid(l, n, 0));
        break;
    case AST_BINARY:
        lay_begin(l, DOC_GROUP);
        lay_add(l, DOC_IN);
        binary(l, n);
        lay_add(l, DOC_OUT);
        lay_end(l);
        break;
    default: lay_token(l); break; /* a literal or a name */
    }
}

/* The tree has no parentheses: they are the tokens that stand before a node's first one. */
void lay_expr(Layout *l, AstId n)
{
    uint32_t count = 0;
    while (!l->failed && lay_next_is(l, "(") && lay_next_at(l) < node(l, n)->span.lo) {
        lay_token(l);
        count++;
    }
    bare_expr(l, n);
    for (; count > 0; count--)
        lay_expect(l, ")");
}

static void annotations(Layout *l, AstId list)
{
    uint32_t n = list.v == 0 ? 0 : node(l, list)->kid_count;
    for (uint32_t i = 0; i < n; i++) {
        lay_expect(l, "@");
        lay_token(l);
        if (lay_next_is(l, "("))
            lay_list(l, kid(l, kid(l, list, i), 0), lay_arg, LAY_NO_ROW);
        lay_add(l, DOC_SPACE);
    }
}

/* * n  when c  as name */
static void step_tail(Layout *l, AstId times, AstId when, bool named, bool star)
{
    if (times.v != 0) {
        lay_add(l, DOC_SPACE);
        if (star)
            lay_mark(l, MARK_STAR);
        lay_expect(l, "*");
        lay_add(l, DOC_SPACE);
        lay_expr(l, times);
    }
    if (when.v != 0) {
        lay_add(l, DOC_SPACE);
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
}

static bool same_layer(const Layout *l, AstId a, AstId b)
{
    const AstNode *x = node(l, a), *y = node(l, b);
    if (a.v == 0 || b.v == 0 || x->kind != y->kind || x->sym != y->sym)
        return false;
    return x->kind != AST_FIELD || same_layer(l, kid(l, a, 0), kid(l, b, 0));
}

/* Neighbouring rows that apply different layers must not share columns. */
static void note_layer(Layout *l, AstId layer)
{
    if (!same_layer(l, l->layer, layer))
        l->other = !l->other;
    l->layer = layer;
}

static void step(Layout *l, AstId n, LayRow row)
{
    const AstNode *x = node(l, n);
    if (x->kind == AST_GROUP) {
        lay_begin(l, DOC_GROUP);
        lay_expect(l, "(");
        lay_add(l, DOC_IN);
        lay_add(l, DOC_SOFT);
        lay_chain(l, kid(l, n, 0), false);
        lay_close(l, DOC_SOFT, ")");
        lay_end(l);
        step_tail(l, kid(l, n, 1), kid(l, n, 2), x->sym2 != NULL, row == LAY_STAGE_ROW);
        return;
    }
    annotations(l, kid(l, n, 0));
    lay_expr(l, kid(l, n, 1));
    if (row != LAY_NO_ROW)
        note_layer(l, kid(l, n, 1));
    if (x->flags & AF_ARGS)
        lay_list(l, kid(l, n, 2), lay_arg, row);
    step_tail(l, kid(l, n, 3), kid(l, n, 4), x->sym2 != NULL, row == LAY_STAGE_ROW);
}

void lay_chain(Layout *l, AstId n, bool stage)
{
    uint32_t count = node(l, n)->kid_count, from = 1;
    lay_begin(l, DOC_GROUP);
    if (kid(l, n, 0).v != 0)
        lay_expr(l, kid(l, n, 0));
    else
        step(l, kid(l, n, from++), count > 2 ? LAY_CHAIN_ROW : stage ? LAY_STAGE_ROW : LAY_NO_ROW);
    lay_add(l, DOC_IN);
    for (uint32_t i = from; i < count; i++) {
        lay_add(l, DOC_LINE);
        lay_expect(l, "->");
        lay_add(l, DOC_SPACE);
        step(l, kid(l, n, i), LAY_CHAIN_ROW);
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
