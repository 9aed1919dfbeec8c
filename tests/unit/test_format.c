/* The formatter on whole sources: it is idempotent, changes nothing but white space, moves no
 * comment across a token, and does not care how the source was laid out. FMT_ALL=1 puts a comment
 * after every single token of the library; without it a sample is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "format/format.h"
#include "sema/stdlib_data.h"
#include "support/fs.h"
#include "rng.h"

static OomHandler oom;
static Arena arena; /* of one test case */
static uint64_t key, drawn;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(rng_mix(key, drawn++) % n);
}

static const Ast *parse(const char *text, size_t len, Intern *names, Buf *errors)
{
    SourceMap *sources = arena_new(&arena, SourceMap);
    Diags *diags = arena_new(&arena, Diags);
    sources->arena = &arena;
    diags_init(diags, &arena, sources);
    const Ast *t =
        parse_file(&arena, names, diags, sources, source_add(sources, "x.cnn", text, len));
    if (diags->errors > 0 && errors != NULL)
        buf_printf(errors, "%s", diags->all.at[0].text);
    return diags->errors == 0 ? t : NULL;
}

static uint32_t visible(const Ast *t, uint32_t i)
{
    const Token *k = &t->tokens.at[i];
    uint32_t n = k->hi - k->lo;
    while (k->kind == TOKEN_COMMENT && n > 0 && strchr(" \t\r", t->text[k->lo + n - 1]) != NULL)
        n--;
    return n;
}

/* Whether token i stands on the line of the one before it. */
static bool same_line(const Ast *t, uint32_t i)
{
    return i > 0 && memchr(t->text + t->tokens.at[i - 1].hi, '\n',
                           t->tokens.at[i].lo - t->tokens.at[i - 1].hi) == NULL;
}

static void compare(const char *before, const Ast *x, const Ast *y)
{
    assert_int_equal(x->tokens.len, y->tokens.len);
    for (uint32_t i = 0; i < x->tokens.len; i++) {
        const Token *a = &x->tokens.at[i], *b = &y->tokens.at[i];
        if (a->kind != b->kind || visible(x, i) != visible(y, i) ||
            memcmp(x->text + a->lo, y->text + b->lo, visible(x, i)) != 0)
            fail_msg("token %u changed:\n%s", i, before);
        if (a->kind == TOKEN_COMMENT && same_line(x, i) != same_line(y, i))
            fail_msg("comment %u changed its line:\n%s\n--- became\n%s", i, before, y->text);
    }
    if (!ast_equal(x, y))
        fail_msg("another tree:\n%s", before);
}

/* What holds for every result, whatever it says. */
static void check_shape(const char *s, size_t len)
{
    if (len == 0)
        return;
    assert_true(s[len - 1] == '\n' && *s != '\n');
    for (size_t i = 1; i < len; i++) {
        if (s[i] != '\n')
            continue;
        if (strchr(" \t\r", s[i - 1]) != NULL)
            fail_msg("blanks at the end of a line:\n%s", s);
        if (i > 1 && s[i - 1] == '\n' && s[i - 2] == '\n')
            fail_msg("two empty lines:\n%s", s);
        if (s[i - 1] == '\n' && (i + 1 == len || i < 2 || strchr("{([", s[i - 2]) != NULL))
            fail_msg("an empty line after an opening bracket or at the end:\n%s", s);
    }
}

/* Formats the text, checks all that must hold, and gives the result, in the arena. */
static const char *format(const char *text, size_t len)
{
    Buf out = {0}, again = {0}, errors = {0};
    Intern *names = intern_new(&arena);
    const Ast *t = parse(text, len, names, &errors);
    if (t == NULL)
        fail_msg("%s:\n%s", errors.at, text);
    if (!format_ast(t, &arena, names, &out))
        fail_msg("refused its own result:\n%s", text);
    const char *made = arena_strndup(&arena, out.at != NULL ? out.at : "", out.len);
    const Ast *u = parse(made, out.len, names, &errors);
    if (u == NULL)
        fail_msg("the result does not parse: %s:\n%s\n--- became\n%s", errors.at, text, made);
    compare(text, t, u);
    check_shape(made, out.len);
    assert_true(format_ast(u, &arena, names, &again));
    if (again.len != out.len || (out.len > 0 && memcmp(again.at, out.at, out.len) != 0))
        fail_msg("formatted twice:\n%s\n--- became\n%s\n--- and then\n%s", text, made,
                 again.at != NULL ? again.at : "");
    buf_free(&out);
    buf_free(&again);
    return made;
}

/* Every production of the grammar, and every kind of list, short. */
static const char grammar[] =
    "import std.blocks\n"
    "import std.a.b as b\n"
    "import \"a.cnn\"\n"
    "import \"b.cnn\" as q\n"
    "let a = 1\n"
    "let bc = -a + (2.5 * a - 3) // 4 % 5 / 1e-3\n"
    "let f(x: int, y: [real] = [1.0, 2.0],) = if x < 3 and not (a == 2) or x >= 1 { x } else if x "
    "!= 2 { y[0] } else { (x) }\n"
    "let g() = f(x=3x3, \"s\\\"\", true, false).c.h[1](2)\n"
    "block k = relu\n"
    "block m() = (bn -> relu) * 2 when a <= 1 as z -> b.conv * (2 + 1) as w\n"
    "@frozen\n"
    "@allow(saturated, \"why\")\n"
    "block n(c: int, act: layer = relu) {\n"
    "  require c > 0, \"message\"\n"
    "  let d = 3\n"
    "  y = in -> act -> @dtype(bf16) conv(c, k=3) * 2 when c > 1 as v\n"
    "  out = add(y, in -> conv(c), prev, stage.i, block.n) -> relu\n"
    "}\n"
    "block empty() {}\n"
    "net p(r: int = 3) = q.p(r)\n"
    "net pp = p()\n"
    "net o(r: int = 32) {\n"
    "  @name(\"x\")\n"
    "  input x[3, r, r](mean=[0.5], std=[1.0])\n"
    "  input y[1, 2, 3]\n"
    "  require r > 3, \"m\"\n"
    "  let e = 3\n"
    "  block l(c: int) = conv(c)\n"
    "  stage s1(stride=2) { l(3) * 2 }\n"
    "  @allow(unproductive, \"x\")\n"
    "  stage s2 { (l(3) -> l(4)) * 2 -> l(5) }\n"
    "  if r > 3 { stage a1 { relu } } else if r > 2 { stage b1 { relu } } else {}\n"
    "  head h(from=s1) = gap -> dense(3)\n"
    "  @frozen() head i = gap\n"
    "  train { epochs = 3 loss = cross_entropy(h) + 0.3 * cross_entropy(i) }\n"
    "  refine {}\n"
    "  names t { \"a\" = \"b\" ignore \"c\" }\n"
    "}\n";

static const char *source(uint32_t i, size_t *len)
{
    if (i == cnnc_std_file_count) {
        *len = sizeof grammar - 1;
        return grammar;
    }
    *len = cnnc_std_files[i].len;
    return (const char *)cnnc_std_files[i].text;
}

static void test_library_is_canonical(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < cnnc_std_file_count; i++) {
        size_t len;
        const char *text = source(i, &len);
        assert_string_equal(format(text, len), text);
        arena_reset(&arena);
    }
}

/* Texts between which no blank may be left out. */
static bool glue(const char *left, const char *right)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.";
    static const char sign[] = "-+*/%<>=!";
    return (strchr(word, *left) != NULL && strchr(word, *right) != NULL) ||
           (strchr(sign, *left) != NULL && strchr(sign, *right) != NULL);
}

static uint32_t newlines(const char *s, uint32_t n)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        count += s[i] == '\n';
    return count;
}

static void random_blanks(Buf *out, uint32_t most)
{
    static const char *const blanks[] = {" ", "  ", "\t", " \t ", "\r", "                    "};
    for (uint32_t n = below(most + 1); n > 0; n--)
        buf_add(out, blanks[below(sizeof blanks / sizeof *blanks)]);
}

/* The same tokens with other white space between them: comments stay on their lines, and empty
 * lines where there were some. */
static void shuffle(const Ast *t, Buf *out)
{
    for (uint32_t i = 0; i < t->tokens.len; i++) {
        const Token *k = &t->tokens.at[i];
        uint32_t from = i > 0 ? k[-1].hi : 0, lines = newlines(t->text + from, k->lo - from);
        bool comment = k->kind == TOKEN_COMMENT, after = i > 0 && k[-1].kind == TOKEN_COMMENT;
        random_blanks(out, 2);
        if (lines >= 2) {
            buf_add(out, "\n\n");
            random_blanks(out, 1);
            buf_add(out, below(2) == 0 ? "\n\n" : "");
        } else if (after || (comment && lines == 1)) {
            buf_add(out, below(2) == 0 ? "\r\n" : "\n");
        } else if (!comment && below(4) == 0) {
            buf_add(out, "\n");
        } else if (i > 0 && glue(t->text + from - 1, t->text + k->lo)) {
            buf_add(out, " ");
        }
        random_blanks(out, 2);
        buf_addn(out, t->text + k->lo, k->hi - k->lo);
        if (comment)
            random_blanks(out, 1);
    }
}

static void test_white_space_does_not_matter(void **state)
{
    (void)state;
    key = rng_key("shuffle", 1);
    drawn = 0;
    for (uint32_t round = 0; round < 5; round++)
        for (uint32_t i = 0; i <= cnnc_std_file_count; i++) {
            Buf text = {0};
            size_t len;
            const char *plain = source(i, &len);
            const char *want = format(plain, len);
            shuffle(parse(want, strlen(want), intern_new(&arena), NULL), &text);
            assert_true(buf_ok(&text));
            const char *got = format(text.at, text.len);
            if (strcmp(got, want) != 0)
                fail_msg("shuffled:\n%s\n--- became\n%s\n--- not\n%s", text.at, got, want);
            buf_free(&text);
            arena_reset(&arena);
        }
}

/* Puts a comment after token i: on its line, on a line of its own, or set off by empty lines. */
static void add_comment(const Ast *t, uint32_t i, uint32_t from, Buf *out)
{
    static const char *const forms[] = {" # c\n", "\n# c\n", "\n\n\t# c \r\n\n\n", "# c\n# d\n"};
    buf_addn(out, t->text + from, t->tokens.at[i].hi - from);
    buf_add(out, t->tokens.at[i].kind == TOKEN_COMMENT ? "\n# c" : forms[below(4)]);
}

static void test_comment_after_every_token(void **state)
{
    (void)state;
    const bool all = getenv("FMT_ALL") != NULL;
    key = rng_key("comment", 1);
    drawn = 0;
    for (uint32_t i = 0; i <= cnnc_std_file_count; i++) {
        size_t len;
        const char *text = source(i, &len);
        uint32_t every = all || i == cnnc_std_file_count ? 1 : (uint32_t)(len / 400);
        for (uint32_t at = every > 1 ? below(every) : 0;;
             at += 1 + (every > 1 ? below(every) : 0)) {
            Buf with = {0};
            const Ast *t = parse(text, len, intern_new(&arena), NULL);
            assert_non_null(t);
            if (at >= t->tokens.len)
                break;
            add_comment(t, at, 0, &with);
            buf_addn(&with, t->text + t->tokens.at[at].hi, len - t->tokens.at[at].hi);
            assert_true(buf_ok(&with));
            format(with.at, with.len);
            buf_free(&with);
            arena_reset(&arena);
        }
        arena_reset(&arena);
    }
}

/* Many comments at once, up to one after every token. */
static void test_comments_everywhere(void **state)
{
    (void)state;
    key = rng_key("comments", 1);
    drawn = 0;
    for (uint32_t round = 0; round < 4; round++)
        for (uint32_t i = 0; i <= cnnc_std_file_count; i++) {
            Buf with = {0};
            size_t len;
            const char *text = source(i, &len);
            const Ast *t = parse(text, len, intern_new(&arena), NULL);
            assert_non_null(t);
            uint32_t from = 0, often = round == 0 ? 1 : 1 + below(40);
            for (uint32_t k = 0; k < t->tokens.len; k++)
                if (below(often) == 0) {
                    add_comment(t, k, from, &with);
                    from = t->tokens.at[k].hi;
                }
            buf_addn(&with, text + from, len - from);
            assert_true(buf_ok(&with));
            format(with.at, with.len);
            buf_free(&with);
            arena_reset(&arena);
        }
}

static void test_small_sources(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""},
        {"\n \r\n\t", ""},
        {"\xEF\xBB\xBF", ""},
        {"\xEF\xBB\xBFlet a=1", "let a = 1\n"},
        {"# only", "# only\n"},
        {"\n\n# one \r\n\n\n\n#two\r\n\n", "# one\n\n#two\n"},
        {"let a=1#c", "let a = 1  # c\n"},
    };
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(format(pairs[i][0], strlen(pairs[i][0])), pairs[i][1]);
    arena_reset(&arena);
}

/* What is not what the source was is noticed, not written: tokens out of order, one of another
 * kind, a tree with another value. */
static void test_defects_are_noticed(void **state)
{
    (void)state;
    static const char text[] = "let a = f(b, 3) + 1\n";
    for (uint32_t i = 0, n = 1; i <= n; i++) {
        Buf out = {0};
        Intern *names = intern_new(&arena);
        Ast *t = (Ast *)(uintptr_t)parse(text, sizeof text - 1, names, NULL);
        n = t->tokens.len;
        if (i + 1 < n) {
            Token first = t->tokens.at[i];
            t->tokens.at[i] = t->tokens.at[i + 1];
            t->tokens.at[i + 1] = first;
        } else if (i < n) {
            t->tokens.at[i].kind++;
        } else {
            for (uint32_t k = 1; k < t->nodes.len; k++)
                t->nodes.at[k].i += t->nodes.at[k].kind == AST_INT;
        }
        assert_false(format_ast(t, &arena, names, &out));
        buf_free(&out);
        arena_reset(&arena);
    }
}

/* Every test under the handler of exhausted memory. */
static void guarded(void **state)
{
    void (*body)(void **) = *state;
    if (setjmp(oom.env) != 0)
        fail_msg("out of memory");
    body(state);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, &oom, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

#define TEST(BODY)                                                                                 \
    {                                                                                              \
#BODY, guarded, NULL, NULL, (void *)(uintptr_t)BODY                                        \
    }
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_small_sources),
        TEST(test_defects_are_noticed),
        TEST(test_library_is_canonical),
        TEST(test_white_space_does_not_matter),
        TEST(test_comment_after_every_token),
        TEST(test_comments_everywhere),
    };
    return cmocka_run_group_tests_name("format", tests, setup, teardown);
}
