/* Printing and comparing trees. */
#include "syntax/ast.h"

const char *const ast_op_text[] = {NULL,
                                   [UN_NEG] = "-",
                                   [UN_NOT] = "not",
                                   [BIN_ADD] = "+",
                                   [BIN_SUB] = "-",
                                   [BIN_MUL] = "*",
                                   [BIN_DIV] = "/",
                                   [BIN_IDIV] = "//",
                                   [BIN_MOD] = "%",
                                   [BIN_EQ] = "==",
                                   [BIN_NE] = "!=",
                                   [BIN_LT] = "<",
                                   [BIN_GT] = ">",
                                   [BIN_LE] = "<=",
                                   [BIN_GE] = ">=",
                                   [BIN_AND] = "and",
                                   [BIN_OR] = "or"};

const char *const ast_kind_name[AST_KIND_COUNT] = {
#define AST(KIND, NAME, KIDS) [AST_##KIND] = NAME,
#include "syntax/ast.def"
};

static void print_literal(const AstNode *n, Buf *out)
{
    if (n->kind == AST_INT)
        buf_printf(out, " %lld", (long long)n->i);
    else if (n->kind == AST_REAL) {
        buf_addc(out, ' ');
        buf_real(out, n->r);
    } else if (n->kind == AST_SIZE)
        buf_printf(out, " %lldx%lld", (long long)n->size[0], (long long)n->size[1]);
    else if (n->kind == AST_BOOL)
        buf_add(out, n->i ? " true" : " false");
}

static void print_node(const Ast *t, AstId id, int depth, Buf *out, bool spans)
{
    const AstNode *n = ast_node(t, id);
    buf_pad(out, ' ', 2 * depth);
    if (id.v == 0) {
        buf_add(out, "-\n");
        return;
    }
    buf_add(out, ast_kind_name[n->kind]);
    if (n->op != 0)
        buf_printf(out, " %s", ast_op_text[n->op]);
    print_literal(n, out);
    if (n->sym != NULL) {
        buf_addc(out, ' ');
        buf_json_string(out, n->sym);
    }
    if (n->sym2 != NULL) {
        buf_add(out, n->kind == AST_RENAME ? " = " : " as ");
        buf_json_string(out, n->sym2);
    }
    if (n->flags & AF_QUOTED)
        buf_add(out, " quoted");
    if (n->flags & AF_LIST)
        buf_add(out, " list");
    if (spans)
        buf_printf(out, " @%u-%u", n->span.lo, n->span.hi);
    buf_addc(out, '\n');
    for (uint32_t i = 0; i < n->kid_count; i++)
        print_node(t, ast_kid(t, id, i), depth + 1, out, spans);
}

void ast_print(const Ast *t, Buf *out, bool spans)
{
    print_node(t, t->root, 0, out, spans);
}

static bool equal(const Ast *a, AstId x, const Ast *b, AstId y)
{
    const AstNode *n = ast_node(a, x), *m = ast_node(b, y);
    if (n->kind != m->kind || n->op != m->op || n->sym != m->sym || n->sym2 != m->sym2 ||
        (n->flags & ~AF_ARGS) != (m->flags & ~AF_ARGS) || n->kid_count != m->kid_count)
        return false;
    bool same = n->kind == AST_REAL   ? n->r == m->r
                : n->kind == AST_SIZE ? n->size[0] == m->size[0] && n->size[1] == m->size[1]
                                      : n->i == m->i;
    for (uint32_t i = 0; same && i < n->kid_count; i++)
        same = equal(a, ast_kid(a, x, i), b, ast_kid(b, y, i));
    return same;
}

bool ast_equal(const Ast *a, const Ast *b)
{
    return equal(a, a->root, b, b->root);
}
