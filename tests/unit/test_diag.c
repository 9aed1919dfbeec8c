/* What messages are made of: characters, parts of sources that are removed, near names, @allow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "support/diag.h"
#include "support/intern.h"
#include "support/utf8.h"

static OomHandler oom;
static Arena arena;
static SourceMap sources;
static Diags diags;

static int up(void **state)
{
    (void)state;
    arena_init(&arena, &oom, 0);
    sources = (SourceMap){.arena = &arena};
    diags_init(&diags, &arena, &sources);
    return setjmp(oom.env);
}

static int down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* Every sequence of two bytes, and the borders of the longer ones, against the ranges of RFC 3629.
 */
static void test_utf8_wellformed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int len;
        uint32_t code;
    } rows[] = {{"\x7F", 1, 0x7F},           {"\xC2\x80", 2, 0x80},
                {"\xDF\xBF", 2, 0x7FF},      {"\xE0\xA0\x80", 3, 0x800},
                {"\xE0\x9F\xBF", 0, 0},      {"\xED\x9F\xBF", 3, 0xD7FF},
                {"\xED\xA0\x80", 0, 0}, /* a surrogate */
                {"\xEF\xBF\xBF", 3, 0xFFFF}, {"\xF0\x90\x80\x80", 4, 0x10000},
                {"\xF0\x8F\xBF\xBF", 0, 0},  {"\xF4\x8F\xBF\xBF", 4, 0x10FFFF},
                {"\xF4\x90\x80\x80", 0, 0},  {"\xF8\x88\x80\x80", 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *end = rows[i].text + strlen(rows[i].text);
        assert_int_equal(utf8_len(rows[i].text, end), rows[i].len);
        if (rows[i].len == 0)
            continue;
        assert_int_equal(utf8_code(rows[i].text, rows[i].len), rows[i].code);
        if (rows[i].len > 1) /* cut short */
            assert_int_equal(utf8_len(rows[i].text, end - 1), 0);
    }
    for (int a = 0x80; a < 0x100; a++)
        for (int b = 0; b < 0x100; b++) {
            const char two[] = {(char)a, (char)b};
            bool good = a >= 0xC2 && a <= 0xDF && b >= 0x80 && b <= 0xBF;
            assert_int_equal(utf8_len(two, two + 2), good ? 2 : 0);
        }
}

static void test_utf8_shown(void **state)
{
    (void)state;
    const char text[] = "a\t\x1b[1m\xC3\xA9\xC2\x9B\xE2\x80\xAE\xFF\xE4\xB8\x96";
    Buf shown = {0}, line = {0};
    utf8_add_shown(&shown, text);
    assert_string_equal(shown.at, "a\\x09\\x1b[1m\xC3\xA9\\u{009b}\\u{202e}\\xff\xE4\xB8\x96");
    utf8_add_line(&line, text, sizeof text - 1);
    assert_string_equal(line.at, "a  [1m\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xE4\xB8\x96");
    assert_int_equal(utf8_count(text, sizeof text - 1), 11);
    assert_int_equal(utf8_count(line.at, line.len), 11); /* carets stay below what they mean */
    buf_free(&shown);
    buf_free(&line);
}

static void test_source_removal(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part, *left;
    } rows[] = {{"ab\nxx\ncd\n", "xx", "ab\ncd\n"},
                {"ab\n  xx \t\ncd", "xx", "ab\ncd"},
                {"ab\nxx", "xx", "ab\n"},
                {"xx\nab", "xx", "ab"},
                {"a xx b", "xx", "a b"},
                {"xx # why\nb", "xx", "# why\nb"},
                {"a\n  xx b\n", "xx", "a\n  b\n"},
                {"ab\r\nxx\r\ncd", "xx", "ab\r\ncd"},
                {"a xx\nb", "xx", "a \nb"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t src = source_add(&sources, "r", rows[i].text, strlen(rows[i].text));
        const Source *s = source_get(&sources, src);
        uint32_t at = (uint32_t)(strstr(rows[i].text, rows[i].part) - rows[i].text);
        Span gone = source_removal(s, (Span){src, at, at + (uint32_t)strlen(rows[i].part)});
        char *left = arena_printf(&arena, "%.*s%s", (int)gone.lo, s->text, s->text + gone.hi);
        assert_string_equal(left, rows[i].left);
    }
}

static void test_only_near_name(void **state)
{
    (void)state;
    const char *const names[] = {"relu", "relu6", "stride", "strides", "conv", "conv"};
    bool only;
    assert_string_equal(intern_nearest_of("strid", names, 6, &only), "stride");
    assert_true(only); /* "strides" is two edits away */
    assert_string_equal(intern_nearest_of("relu66", names, 6, &only), "relu6");
    assert_false(only);
    assert_string_equal(intern_nearest_of("conw", names, 6, &only), "conv");
    assert_true(only); /* the same name twice is one name */
    assert_null(intern_nearest_of("nothing", names, 6, &only));

    uint32_t src = source_add(&sources, "n", "relu66 conw", 11);
    uint32_t d = diag(&diags, E_UNDEFINED, (Span){src, 0, 6}, "relu66");
    assert_true(diag_nearest(&diags, d, (Span){src, 0, 6}, "relu66", names, 6));
    assert_true(diag_nearest(&diags, d, (Span){src, 7, 11}, "conw", names, 6));
    assert_true(diag_nearest(&diags, d, SPAN_NONE, "conw", names, 6));
    assert_false(diag_nearest(&diags, d, SPAN_NONE, "nothing", names, 6));
    assert_int_equal(diags.all.at[d].notes.len, 3);
    assert_false(diags.all.at[d].notes.at[0].certain);
    assert_true(diags.all.at[d].notes.at[1].certain);
    assert_null(diags.all.at[d].notes.at[2].edit_text); /* no place, no edit */
}

static void test_allow(void **state)
{
    (void)state;
    uint32_t src = source_add(&sources, "a", "0123456789", 10);
    DiagAllow outer = {.code = W_UNUSED, .at = {src, 0, 1}, .covers = {src, 0, 9}};
    DiagAllow inner = {.code = W_UNUSED, .at = {src, 2, 3}, .covers = {src, 2, 6}};
    diag_allow(&diags, outer);
    diag_allow(&diags, inner);
    assert_int_equal(diag_allow_at(&diags, inner.at, W_UNUSED), 2);
    assert_int_equal(diag_allow_at(&diags, inner.at, W_BIDI), 0);
    /* the innermost one counts, and only it is used */
    uint32_t at = diag(&diags, W_UNUSED, (Span){src, 3, 4}, "x", "y");
    assert_int_equal(diags.all.at[at].level, SEV_ALLOW);
    assert_int_equal(diags.all.at[at].allow, 2);
    assert_true(diags.allows.at[1].used);
    assert_false(diags.allows.at[0].used);
    assert_int_equal(diags.warnings, 0);
    /* another lint, another place, an error: not silenced */
    diag(&diags, W_SHADOWS_OP, (Span){src, 3, 4}, "x");
    diag(&diags, W_UNUSED, (Span){src, 8, 10}, "x", "y");
    diag(&diags, E_SYNTAX, (Span){src, 3, 4}, "x");
    assert_int_equal(diags.warnings, 2);
    assert_int_equal(diags.errors, 1);
    /* used also when the lint is off, so that it is not called useless */
    assert_true(diag_set_level(&diags, "unused", SEV_ALLOW));
    assert_int_equal(diag(&diags, W_UNUSED, (Span){src, 7, 8}, "x", "y"), UINT32_MAX);
    assert_true(diags.allows.at[0].used);
    diag_rewind(&diags, 0);
    assert_int_equal(diags.warnings + diags.errors, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_wellformed),
        cmocka_unit_test(test_utf8_shown),
        cmocka_unit_test_setup_teardown(test_source_removal, up, down),
        cmocka_unit_test_setup_teardown(test_only_near_name, up, down),
        cmocka_unit_test_setup_teardown(test_allow, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
