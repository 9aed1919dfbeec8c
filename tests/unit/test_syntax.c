/* Tokens, every production of the grammar, places of nodes and errors, recovery, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "syntax/parse.h"
#include "syntax_cases.h"

static OomHandler oom;
static Arena arena;
static SourceMap sources;
static Diags diags;
static Intern *names;

static int up(void **state)
{
    (void)state;
    arena_init(&arena, &oom, 0);
    names = intern_new(&arena);
    return 0;
}

static int down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static const Ast *parse_n(const char *text, size_t len)
{
    sources = (SourceMap){.arena = &arena};
    diags_init(&diags, &arena, &sources);
    return parse_file(&arena, names, &diags, &sources, source_add(&sources, "t.cnn", text, len));
}

static const Ast *parse(const char *text)
{
    return parse_n(text, strlen(text));
}

/* The tree on one line: (kind "name" kids...), lists in [], leaves as they are written. */
static void show(const Ast *t, AstId id, Buf *out)
{
    const AstNode *n = ast_node(t, id);
    bool list = n->kind == AST_LIST;
    switch (n->kind) {
    case AST_NONE: buf_addc(out, '-'); return;
    case AST_INT: buf_printf(out, "%lld", (long long)n->i); return;
    case AST_REAL: buf_printf(out, "%g", n->r); return;
    case AST_SIZE:
        buf_printf(out, "%lldx%lld", (long long)n->size[0], (long long)n->size[1]);
        return;
    case AST_BOOL: buf_add(out, n->i ? "true" : "false"); return;
    case AST_STRING: buf_printf(out, "'%s'", n->sym); return;
    case AST_NAME: buf_add(out, n->sym); return;
    case AST_ARG:
        if (n->sym)
            buf_printf(out, "%s=", n->sym);
        show(t, ast_kid(t, id, 0), out);
        return;
    default: break;
    }
    buf_add(out, list ? "[" : "(");
    if (!list)
        buf_add(out, n->op ? ast_op_text[n->op] : ast_kind_name[n->kind]);
    if (n->sym)
        buf_printf(out, " \"%s\"", n->sym);
    if (n->sym2)
        buf_printf(out, " as \"%s\"", n->sym2);
    buf_printf(out, "%s%s%s%s", n->flags & AF_QUOTED ? " quoted" : "",
               n->flags & AF_LIST ? " list" : "", n->flags & AF_SHORT ? " short" : "",
               n->flags & AF_ARGS ? " args" : "");
    for (uint32_t i = 0; i < n->kid_count; i++) {
        if (i > 0 || !list)
            buf_addc(out, ' ');
        show(t, ast_kid(t, id, i), out);
    }
    buf_add(out, list ? "]" : ")");
}

static const char *shown(const Ast *t, AstId id)
{
    Buf b = {0};
    show(t, id, &b);
    assert_true(buf_ok(&b));
    const char *text = arena_strdup(&arena, b.at);
    buf_free(&b);
    return text;
}

/* "line:column code message" of every diagnostic, a line each. */
static const char *errors(void)
{
    const char *text = "";
    for (uint32_t i = 0; i < diags.all.len; i++) {
        const Diag *d = &diags.all.at[i];
        LineCol at = source_line_col(source_get(&sources, d->span.src), d->span.lo);
        text = arena_printf(&arena, "%s%u:%u %s %s\n", text, at.line, at.col,
                            diag_info[d->code].code, d->text);
    }
    return text;
}

/* Every row parses without an error; `wrap` holds %s, the tree is that of the kid at `path`. */
static void check_rows(const Row *rows, size_t n, const char *before, const char *after,
                       const char *path)
{
    int bad = 0;
    for (size_t i = 0; i < n; i++) {
        const Ast *t = parse(arena_printf(&arena, "%s%s%s", before, rows[i].text, after));
        AstId id = t->root;
        if (diags.all.len > 0) {
            print_error("%s: %s", rows[i].text, errors());
            bad++;
            continue;
        }
        for (const char *p = path; *p; p++)
            id = ast_kid(t, id, (uint32_t)(*p - '0'));
        const char *got = shown(t, id);
        if (strcmp(got, rows[i].want) != 0) {
            print_error("%s\n  is   %s\n  not  %s\n", rows[i].text, got, rows[i].want);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}
#define CHECK_ROWS(ROWS, BEFORE, AFTER, PATH)                                                      \
    check_rows(ROWS, sizeof(ROWS) / sizeof *(ROWS), BEFORE, AFTER, PATH)

static void test_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        const char *text = arena_printf(&arena, "let a = 1\n  %s\n", tokens[i].text);
        const Ast *t = parse(text);
        const Token *k = NULL;
        for (uint32_t j = 0; j < t->tokens.len; j++)
            if (t->tokens.at[j].lo == 12)
                k = &t->tokens.at[j];
        if (!k || k->kind != tokens[i].kind || k->hi != 12 + strlen(tokens[i].text))
            fail_msg("%s: token %d to %u", tokens[i].text, k ? k->kind : 0, k ? k->hi : 0);
    }
    for (const char *c = "-+*/%<>=(){}[],.:@"; *c; c++) {
        const Ast *t = parse(arena_printf(&arena, "%c", *c));
        assert_int_equal(t->tokens.at[0].kind, *c);
        assert_int_equal(t->tokens.at[0].hi, 1);
    }
}

static void test_expressions(void **state)
{
    (void)state;
    CHECK_ROWS(expressions, "let v = ", "", "00");
}

static void test_declarations(void **state)
{
    (void)state;
    CHECK_ROWS(declarations, "", "", "0");
}

static void test_items(void **state)
{
    (void)state;
    CHECK_ROWS(items, "net n { ", " }", "020");
}

static void test_steps(void **state)
{
    (void)state;
    CHECK_ROWS(steps, "net n { stage s { ", " } }",
               "020"
               "21");
}

/* A file is one declaration after the other, with comments anywhere and any line ends. */
static void test_layout(void **state)
{
    (void)state;
    CHECK_ROWS(layouts, "", "", "");
    const Ast *t = parse("# a\nlet b = 1 # c\r\n#d");
    int comments = 0;
    for (uint32_t i = 0; i < t->tokens.len; i++)
        comments += t->tokens.at[i].kind == TOKEN_COMMENT;
    assert_int_equal(comments, 3);
}

/* The text under the span of every node of a kind, in the order of the array. */
static void check_spans(const Ast *t, AstKind kind, const char *const *want, size_t n)
{
    size_t met = 0;
    for (uint32_t i = 1; i < t->nodes.len; i++) {
        const AstNode *k = &t->nodes.at[i];
        if (k->kind != kind)
            continue;
        assert_true(met < n);
        const char *got = arena_strndup(&arena, t->text + k->span.lo, k->span.hi - k->span.lo);
        assert_string_equal(got, want[met++]);
    }
    assert_int_equal(met, n);
}
#define SPANS(T, KIND, ...)                                                                        \
    check_spans(T, AST_##KIND, (const char *const[]){__VA_ARGS__},                                 \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void test_places(void **state)
{
    (void)state;
    const Ast *t = parse("# \xC3\xA4\n@a\nblock b(c: int = 1 + 2) = @x f( c ,k=2) * 3 when c -> "
                         "(g.h)\nlet s = \"\xC3\xB6\" + [1, 2]");
    assert_string_equal(errors(), "");
    SPANS(t, BINARY, "1 + 2", "\"\xC3\xB6\" + [1, 2]");
    SPANS(t, PARAM, "c: int = 1 + 2");
    SPANS(t, STEP, "@x f( c ,k=2) * 3 when c", "g.h");
    SPANS(t, ARG, "c", "k=2");
    SPANS(t, GROUP, "(g.h)");
    SPANS(t, CHAIN, "g.h", "@x f( c ,k=2) * 3 when c -> (g.h)");
    SPANS(t, ANNOT, "@a", "@x");
    SPANS(t, LISTLIT, "[1, 2]");
    SPANS(t, BLOCK, "@a\nblock b(c: int = 1 + 2) = @x f( c ,k=2) * 3 when c -> (g.h)");
    const AstNode *let = ast_node(t, ast_kid(t, t->root, 1));
    LineCol at = source_line_col(source_get(&sources, 1), let->name_span.lo);
    assert_true(at.line == 4 && at.col == 5);
    at = source_line_col(source_get(&sources, 1),
                         ast_node(t, ast_kid(t, ast_kid(t, t->root, 1), 0))->span.hi);
    assert_true(at.line == 4 && at.col == 21); /* the string's letter is one column */
}

/* What is said, and what is still in the tree. */
static void test_errors(void **state)
{
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const Ast *t = parse(wrong[i].text);
        const char *said = errors(), *tree = shown(t, t->root);
        if (strcmp(said, wrong[i].errors) != 0 || strcmp(tree, wrong[i].tree) != 0) {
            print_error("%s\n is   %s      %s\n not  %s      %s\n", wrong[i].text, said, tree,
                        wrong[i].errors, wrong[i].tree);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static int depth_of(const Ast *t, AstId id)
{
    int most = 0;
    for (uint32_t i = 0; i < ast_node(t, id)->kid_count; i++) {
        int d = depth_of(t, ast_kid(t, id, i));
        most = d > most ? d : most;
    }
    return most + 1;
}

static const char *repeated(const char *before, const char *part, int n, const char *after)
{
    size_t len = strlen(part), at = strlen(before);
    char *text = arena_alloc(&arena, at + len * (size_t)n + strlen(after) + 1);
    memcpy(text, before, at);
    for (int i = 0; i < n; i++, at += len)
        memcpy(text + at, part, len);
    strcpy(text + at, after);
    return text;
}

/* INT, UNARY each, LET, the list of declarations: 200 levels are 197 signs. */
static void test_limits(void **state)
{
    (void)state;
    const Ast *t = parse(repeated("let a = ", "-", AST_MAX_DEPTH - 3, "1\nlet b = 2"));
    assert_string_equal(errors(), "");
    assert_int_equal(depth_of(t, t->root), AST_MAX_DEPTH);
    t = parse(repeated("let a = ", "-", AST_MAX_DEPTH - 2, "1\nlet b = 2"));
    assert_int_equal(diags.all.len, 1);
    assert_int_equal(diags.all.at[0].code, E_TOO_DEEP);
    assert_true(depth_of(t, t->root) <= AST_MAX_DEPTH);
    assert_int_equal(ast_node(t, t->root)->kid_count, 2); /* b is still there */
    t = parse(repeated("let a = ", "not ", 20000, "true"));
    assert_int_equal(diags.all.at[0].code, E_TOO_DEEP);
    assert_true(depth_of(t, t->root) <= AST_MAX_DEPTH + 1);
    t = parse(repeated("let a = ", "(", 20000, "1"));
    assert_int_equal(diags.all.at[0].code, E_TOO_DEEP);
    assert_true(depth_of(t, t->root) <= AST_MAX_DEPTH + 1);
    t = parse(repeated("let a = 1", " + 1", 5000, "")); /* deep to the left */
    assert_int_equal(diags.all.len, 1);
    assert_true(depth_of(t, t->root) <= AST_MAX_DEPTH + 1);
    t = parse(repeated("let a = [1", ", 1", 50000, "]")); /* wide is not deep */
    assert_int_equal(diags.all.len, 0);
    assert_int_equal(ast_node(t, ast_kid(t, ast_kid(t, t->root, 0), 0))->kid_count, 50001);
    size_t most = (size_t)16 << 20;
    char *big = malloc(most + 1);
    assert_non_null(big);
    memset(big, '\n', most + 1);
    parse_n(big, most);
    assert_int_equal(diags.all.len, 0);
    parse_n(big, most + 1);
    assert_int_equal(diags.all.at[0].code, E_FILE_TOO_LARGE);
    free(big);
}

static void test_nul_bytes(void **state)
{
    (void)state;
    const Ast *t = parse_n("let a = 1 \0let b = 2", 20);
    assert_string_equal(errors(), "1:11 E0103 stray character 0x00\n");
    assert_string_equal(shown(t, t->root), "(file (let \"a\" 1) (let \"b\" 2))");
    t = parse_n("let a = \"x\0y\"", 13);
    assert_string_equal(errors(), "1:9 E0103 stray character 0x00 in a string\n");
    assert_string_equal(shown(t, t->root), "(file (let \"a\" 'xy'))");
}

/* Equal trees: of the same structure wherever their tokens stand. */
static void test_equal(void **state)
{
    (void)state;
    static const char base[] = "block b(c: [int] = [1, 2.5]) = conv(c, k=3x1) * 2 -> relu as r";
    static const char *const other[] = {
        "block d(c: [int] = [1, 2.5]) = conv(c, k=3x1) * 2 -> relu as r",
        "block b(c: int = [1, 2.5]) = conv(c, k=3x1) * 2 -> relu as r",
        "block b(c: [int] = [2, 2.5]) = conv(c, k=3x1) * 2 -> relu as r",
        "block b(c: [int] = [1, 2.25]) = conv(c, k=3x1) * 2 -> relu as r",
        "block b(c: [int] = [1, 2.5]) = conv(c, k=1x3) * 2 -> relu as r",
        "block b(c: [int] = [1, 2.5]) = conv(c, l=3x1) * 2 -> relu as r",
        "block b(c: [int] = [1, 2.5]) = conv(c, k=3x1) -> relu as r",
        "block b(c: [int] = [1, 2.5]) = conv(c, k=3x1) * 2 -> relu",
        "block b(c: [int] = [1, 2.5]) = conv(c, k=3x1) * 2 -> relu as s",
        "block b(c: [int] = [1, 2.5]) { out = in -> conv(c, k=3x1) * 2 -> relu as r }",
    };
    const Ast *t = parse(base);
    assert_true(ast_equal(t, parse("# again\nblock b ( c : [ int ] = [ 1 , 25e-1 , ] ) =\n conv(c,"
                                   "k=3x1,) * 2 -> relu() as r")));
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (ast_equal(t, parse(other[i])))
            fail_msg("equal to %s", other[i]);
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tokens), TEST(test_expressions), TEST(test_declarations), TEST(test_items),
        TEST(test_steps),  TEST(test_layout),      TEST(test_places),       TEST(test_errors),
        TEST(test_limits), TEST(test_nul_bytes),   TEST(test_equal),
    };
    return cmocka_run_group_tests_name("syntax", tests, NULL, NULL);
}
