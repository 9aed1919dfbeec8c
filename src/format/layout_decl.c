/* Declarations, items and statements: one a line. */
#include "format/layout.h"

static const AstNode *node(const Layout *l, AstId n)
{
    return ast_node(l->t, n);
}

static AstId kid(const Layout *l, AstId n, uint32_t i)
{
    return ast_kid(l->t, n, i);
}

static void declaration(Layout *l, AstId n);

/* "{", an entry a line, "}". */
static void braces(Layout *l, AstId list, void (*entry)(Layout *, AstId))
{
    uint32_t n = list.v == 0 ? 0 : node(l, list)->kid_count;
    lay_add(l, DOC_SPACE);
    lay_begin(l, DOC_GROUP);
    lay_expect(l, "{");
    lay_add(l, DOC_IN);
    for (uint32_t i = 0; i < n; i++) {
        lay_add(l, DOC_HARD);
        entry(l, kid(l, list, i));
    }
    lay_close(l, n > 0 ? DOC_HARD : DOC_SOFT, "}");
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
        lay_add(l, DOC_HARD);
    }
}

/* A word and the name after it. */
static void headline(Layout *l, const char *word)
{
    lay_expect(l, word);
    lay_add(l, DOC_SPACE);
    lay_token(l);
}

static void parameter(Layout *l, AstId n)
{
    lay_token(l);
    lay_expect(l, ":");
    lay_add(l, DOC_SPACE);
    bool list = lay_next_is(l, "[");
    for (int i = 0; i < (list ? 3 : 1); i++)
        lay_token(l);
    if (kid(l, n, 1).v != 0) {
        lay_add(l, DOC_SPACE);
        lay_expect(l, "=");
        lay_add(l, DOC_SPACE);
        lay_expr(l, kid(l, n, 1));
    }
}

static void parameters(Layout *l, AstId list)
{
    if (lay_next_is(l, "("))
        lay_list(l, list, parameter, NULL);
}

static void arguments(Layout *l, AstId list)
{
    if (lay_next_is(l, "("))
        lay_list(l, list, lay_arg, NULL);
}

static void import(Layout *l, AstId n)
{
    headline(l, "import");
    while (lay_next_is(l, ".")) {
        lay_token(l);
        lay_token(l);
    }
    if (node(l, n)->sym2 != NULL) {
        lay_add(l, DOC_SPACE);
        headline(l, "as");
    }
}

static void stage(Layout *l, AstId n)
{
    annotations(l, kid(l, n, 0));
    headline(l, "stage");
    arguments(l, kid(l, n, 1));
    lay_add(l, DOC_SPACE);
    lay_begin(l, DOC_GROUP);
    lay_mark(l, MARK_BRACE);
    lay_expect(l, "{");
    lay_add(l, DOC_IN);
    lay_add(l, DOC_LINE);
    lay_chain(l, kid(l, n, 2), true);
    lay_close(l, DOC_LINE, "}");
    lay_end(l);
}

static void choice(Layout *l, AstId n)
{
    AstId other = kid(l, n, 2);
    lay_expect(l, "if");
    lay_add(l, DOC_SPACE);
    lay_expr(l, kid(l, n, 0));
    braces(l, kid(l, n, 1), declaration);
    if (other.v == 0)
        return;
    lay_add(l, DOC_SPACE);
    lay_expect(l, "else");
    if (lay_next_is(l, "if")) {
        lay_add(l, DOC_SPACE);
        choice(l, kid(l, other, 0));
    } else {
        braces(l, other, declaration);
    }
}

static void requirement(Layout *l, AstId n)
{
    lay_begin(l, DOC_GROUP);
    lay_expect(l, "require");
    lay_add(l, DOC_SPACE);
    lay_expr(l, kid(l, n, 0));
    lay_expect(l, ",");
    lay_add(l, DOC_IN);
    lay_add(l, DOC_LINE);
    lay_token(l);
    lay_add(l, DOC_OUT);
    lay_end(l);
}

static void row(Layout *l, AstId n)
{
    const AstNode *x = node(l, n);
    if (x->kind == AST_IGNORE) {
        headline(l, "ignore");
        return;
    }
    lay_token(l);
    if (x->kind == AST_PAIR) {
        lay_assign(l, kid(l, n, 0), MARK_PAIR);
        return;
    }
    lay_add(l, DOC_SPACE);
    lay_mark(l, MARK_PAIR);
    lay_expect(l, "=");
    lay_add(l, DOC_SPACE);
    lay_token(l);
}

static void network(Layout *l, AstId n)
{
    annotations(l, kid(l, n, 0));
    headline(l, "net");
    bool plain = !lay_next_is(l, "(");
    parameters(l, kid(l, n, 1));
    if (node(l, n)->kind == AST_NETALIAS)
        lay_assign(l, kid(l, n, 2), plain ? MARK_NET : -1);
    else
        braces(l, kid(l, n, 2), declaration);
}

static void block(Layout *l, AstId n)
{
    annotations(l, kid(l, n, 0));
    headline(l, "block");
    parameters(l, kid(l, n, 1));
    if (node(l, n)->flags & AF_SHORT)
        lay_assign(l, kid(l, kid(l, kid(l, n, 2), 0), 0), -1);
    else
        braces(l, kid(l, n, 2), declaration);
}

static void declaration(Layout *l, AstId n)
{
    const AstNode *x = node(l, n);
    switch (x->kind) {
    case AST_IMPORT: import(l, n); break;
    case AST_LET:
        headline(l, "let");
        lay_assign(l, kid(l, n, 0), MARK_LET);
        break;
    case AST_FN:
        headline(l, "let");
        parameters(l, kid(l, n, 0));
        lay_assign(l, kid(l, n, 1), -1);
        break;
    case AST_BLOCK: block(l, n); break;
    case AST_BIND:
    case AST_OUT:
        lay_token(l);
        lay_assign(l, kid(l, n, 0), MARK_BIND);
        break;
    case AST_REQUIRE: requirement(l, n); break;
    case AST_NET:
    case AST_NETALIAS: network(l, n); break;
    case AST_INPUT:
        annotations(l, kid(l, n, 0));
        headline(l, "input");
        lay_list(l, kid(l, n, 1), lay_expr, NULL);
        arguments(l, kid(l, n, 2));
        break;
    case AST_STAGE: stage(l, n); break;
    case AST_HEAD:
        annotations(l, kid(l, n, 0));
        headline(l, "head");
        arguments(l, kid(l, n, 1));
        lay_assign(l, kid(l, n, 2), -1);
        break;
    case AST_IFITEM: choice(l, n); break;
    case AST_TRAIN:
    case AST_REFINE:
        lay_token(l);
        braces(l, n, row);
        break;
    case AST_NAMES:
        headline(l, "names");
        braces(l, n, row);
        break;
    default: l->failed = true; break;
    }
}

void lay_file(Layout *l)
{
    AstId root = l->t->root;
    for (uint32_t i = 0; i < node(l, root)->kid_count; i++) {
        declaration(l, kid(l, root, i));
        lay_add(l, DOC_HARD);
    }
}
