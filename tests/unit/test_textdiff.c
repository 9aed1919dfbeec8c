/* Line differences: what they say is true, they are small, and the unified form can be applied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "rng.h"
#include "support/textdiff.h"

enum { MOST = 4096 };

static OomHandler oom;
static Arena arena;

static TextSide side(const char *text)
{
    return (TextSide){"x", text, strlen(text)};
}

/* The start of line i of a text; the end of the text for the line after the last. */
static const char *line(const char *text, uint32_t i)
{
    for (; i > 0 && *text != '\0'; i--) {
        const char *end = strchr(text, '\n');
        text = end != NULL ? end + 1 : text + strlen(text);
    }
    return text;
}

static uint32_t lines_of(const char *text)
{
    uint32_t n = 0;
    for (; *text != '\0'; n++)
        text = line(text, 1);
    return n;
}

static void copy_lines(Buf *out, const char *text, uint32_t at, uint32_t n)
{
    const char *from = line(text, at);
    buf_addn(out, from, (size_t)(line(from, n) - from));
}

/* Rebuilds the new text from the old one and the hunks; the number of changed lines. */
static uint32_t apply_hunks(const char *old, const char *new, const TextHunks *h, Buf *out)
{
    uint32_t at = 0, changed = 0;
    for (uint32_t i = 0; i < h->all.len; i++) {
        TextHunk x = h->all.at[i];
        assert_true(x.old_len + x.new_len > 0 && x.old_at >= at);
        assert_true(i == 0 || x.old_at > at); /* or it would be one with the hunk before */
        copy_lines(out, old, at, x.old_at - at);
        copy_lines(out, new, x.new_at, x.new_len);
        at = x.old_at + x.old_len;
        changed += x.old_len + x.new_len;
    }
    copy_lines(out, old, at, lines_of(old) - at);
    return changed;
}

/* What `patch` does with a unified diff, believing only the numbers of its hunks' heads. */
static void apply_unified(const char *old, const char *diff, Buf *out)
{
    uint32_t at = 0;
    if (*diff == '\0') {
        buf_add(out, old);
        return;
    }
    assert_true(strncmp(diff, "--- x\n+++ x\n@@ ", 15) == 0);
    for (diff = line(diff, 2); *diff != '\0';) {
        long v[4] = {0, 1, 0, 1};
        char *end = (char *)diff + 3;
        assert_true(strncmp(diff, "@@ -", 4) == 0);
        for (int i = 0; i < 4; i += 2) {
            v[i] = labs(strtol(end, &end, 10));
            if (*end == ',')
                v[i + 1] = strtol(end + 1, &end, 10);
        }
        assert_true(strncmp(end, " @@\n", 4) == 0);
        uint32_t start = (uint32_t)(v[1] > 0 ? v[0] - 1 : v[0]);
        copy_lines(out, old, at, start - at);
        at = start;
        for (diff = line(diff, 1); v[1] > 0 || v[3] > 0; diff = line(diff, 1)) {
            const char *next = line(diff, 1);
            bool bare = *next == '\\';
            size_t n = (size_t)(next - diff) - 1 - (bare ? 1 : 0);
            if (*diff != '+') {
                assert_memory_equal(line(old, at), diff + 1, n);
                at++;
                v[1]--;
            }
            if (*diff != '-') {
                buf_addn(out, diff + 1, n);
                v[3]--;
            }
            if (bare)
                diff = next;
        }
        assert_true(v[1] == 0 && v[3] == 0);
    }
    copy_lines(out, old, at, lines_of(old) - at);
}

/* Changed lines of a best script, by the table of longest common subsequences. */
static uint32_t fewest(const char *old, const char *new)
{
    enum { LINES = 64 };
    static uint32_t t[LINES][LINES];
    uint32_t n = lines_of(old), m = lines_of(new);
    for (uint32_t i = 0; i <= n; i++)
        for (uint32_t k = 0; k <= m; k++) {
            if (i == 0 || k == 0) {
                t[i][k] = i + k;
                continue;
            }
            const char *x = line(old, i - 1), *y = line(new, k - 1);
            size_t len = (size_t)(line(x, 1) - x);
            t[i][k] = t[i - 1][k] < t[i][k - 1] ? t[i - 1][k] + 1 : t[i][k - 1] + 1;
            if (len == (size_t)(line(y, 1) - y) && memcmp(x, y, len) == 0 &&
                t[i - 1][k - 1] < t[i][k])
                t[i][k] = t[i - 1][k - 1];
        }
    return t[n][m];
}

static uint32_t check(const char *old, const char *new)
{
    TextHunks h;
    Buf by_hunks = {0}, diff = {0}, by_diff = {0};
    if (setjmp(oom.env) != 0)
        fail_msg("out of memory");
    textdiff_lines(&arena, side(old), side(new), &h);
    uint32_t changed = apply_hunks(old, new, &h, &by_hunks);
    assert_string_equal(by_hunks.at != NULL ? by_hunks.at : "", new);
    textdiff_unified(&arena, side(old), side(new), false, &diff);
    apply_unified(old, diff.at != NULL ? diff.at : "", &by_diff);
    assert_string_equal(by_diff.at != NULL ? by_diff.at : "", new);
    buf_free(&by_hunks);
    buf_free(&by_diff);
    buf_free(&diff);
    arena_reset(&arena);
    return changed;
}

/* Every pair of texts of up to five lines over two words, and some of three. */
static void test_all_small(void **state)
{
    (void)state;
    enum { N = 363 };
    static char text[N][16];
    uint32_t n = 0;
    for (uint32_t len = 0; len <= 5; len++) {
        uint32_t words = len < 4 ? 3 : 2, count = 1;
        for (uint32_t i = 0; i < len; i++)
            count *= words;
        for (uint32_t v = 0; v < count; v++, n++)
            for (uint32_t i = 0, left = v; i < len; i++, left /= words) {
                text[n][2 * i] = (char)('a' + left % words);
                text[n][2 * i + 1] = '\n';
            }
    }
    assert_true(n > 80 && n <= N);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < n; k++)
            assert_int_equal(check(text[i], text[k]), fewest(text[i], text[k]));
}

static void random_text(uint64_t key, uint32_t words, uint32_t most, char *out)
{
    uint32_t n = (uint32_t)(rng_mix(key, 0) % (most + 1));
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++)
        at += (size_t)sprintf(out + at, "w%u\n", (unsigned)(rng_mix(key, i + 1) % words));
    if (rng_mix(key, MOST) % 3 == 0 && at > 0)
        out[at - 1] = '\0'; /* the last line without its newline */
    out[at] = '\0';
}

static void test_random(void **state)
{
    (void)state;
    static char a[MOST], b[MOST];
    for (uint64_t i = 0; i < 2000; i++) {
        random_text(rng_key("old", i), 2 + (uint32_t)(i % 9), 60, a);
        random_text(rng_key("new", i), 2 + (uint32_t)(i % 9), 60, b);
        assert_int_equal(check(a, b), fewest(a, b));
    }
}

/* More differences than are looked for: the result is larger than need be, but true, and soon. */
static void test_too_different(void **state)
{
    (void)state;
    enum { LINES = 30000 };
    static char a[8 * LINES], b[8 * LINES];
    static size_t n, m;
    for (uint32_t i = 0; i < LINES; i++) {
        n += (size_t)sprintf(a + n, "%u\n", (unsigned)(rng_mix(1, i) % 500));
        m += (size_t)sprintf(b + m, "%u\n", (unsigned)(rng_mix(2, i) % 500));
    }
    TextHunks h;
    if (setjmp(oom.env) != 0)
        fail_msg("out of memory");
    textdiff_lines(&arena, (TextSide){"a", a, n}, (TextSide){"b", b, m}, &h);
    uint32_t at = 0, new_at = 0;
    const char *x = a, *y = b;
    for (uint32_t i = 0; i <= h.all.len; i++) {
        TextHunk k = i < h.all.len ? h.all.at[i] : (TextHunk){.old_at = LINES, .new_at = LINES};
        assert_int_equal(k.old_at - at, k.new_at - new_at);
        for (; at < k.old_at; at++, x = line(x, 1), y = line(y, 1))
            assert_memory_equal(x, y, (size_t)(line(x, 1) - x));
        at += k.old_len;
        new_at = k.new_at + k.new_len;
        x = line(x, k.old_len);
        y = line(y, k.new_len);
    }
    assert_true(*x == '\0' && *y == '\0');
    arena_reset(&arena);
}

static void test_unified_form(void **state)
{
    (void)state;
    static const char old[] = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15";
    static const char new[] = "1\n2\n3\n4\n5\nsix\n7\n8\n9\n10\n11\n12\n12b\n13\n14\n15\n";
    static const char diff[] = "--- old.cnn\n+++ new.cnn\n"
                               "@@ -3,13 +3,14 @@\n 3\n 4\n 5\n-6\n+six\n 7\n 8\n 9\n 10\n 11\n"
                               " 12\n+12b\n 13\n 14\n-15\n\\ No newline at end of file\n+15\n";
    static const char apart[] = "--- a\n+++ a\n@@ -1,4 +1,3 @@\n-1\n 2\n 3\n 4\n"
                                "@@ -8,3 +7,4 @@\n 8\n 9\n 10\n+11\n";
    Buf out = {0};
    if (setjmp(oom.env) != 0)
        fail_msg("out of memory");
    textdiff_unified(&arena, (TextSide){"old.cnn", old, sizeof old - 1},
                     (TextSide){"new.cnn", new, sizeof new - 1}, false, &out);
    assert_string_equal(out.at, diff);
    buf_free(&out);
    TextSide left = side("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n"),
             right = side("2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n");
    left.name = right.name = "a";
    textdiff_unified(&arena, left, right, false, &out);
    assert_string_equal(out.at, apart);
    buf_free(&out);
    textdiff_unified(&arena, left, left, false, &out);
    assert_int_equal(out.len, 0);
    textdiff_unified(&arena, side(""), side("a\n"), true, &out);
    assert_string_equal(out.at, "\x1b[1m--- x\n+++ x\x1b[0m\n\x1b[36m@@ -0,0 +1 @@\x1b[0m\n"
                                "\x1b[32m+a\x1b[0m\n");
    buf_free(&out);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unified_form),
        cmocka_unit_test(test_all_small),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_too_different),
    };
    return cmocka_run_group_tests_name("textdiff", tests, setup, teardown);
}
