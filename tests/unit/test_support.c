/* The support layer: memory, text, names, places, messages and files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "support/diag.h"
#include "support/fs.h"
#include "support/intern.h"
#include "support/temp.h"
#include "rng.h"

static OomHandler oom;
static Arena arena;

static int arena_up(void **state)
{
    (void)state;
    arena_init(&arena, &oom, 0);
    return 0;
}

static int arena_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* Objects neither overlap nor lose their values, whatever the order of small and large ones. */
static void test_arena_objects(void **state)
{
    (void)state;
    enum { N = 2000 };
    static unsigned char *at[N];
    static size_t size[N];
    if (setjmp(oom.env) != 0)
        fail_msg("out of memory");
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++) {
            size[i] = rng_mix(7, i) % (i % 50 == 0 ? 200000 : 300);
            at[i] = arena_alloc(&arena, size[i]);
            assert_int_equal((uintptr_t)at[i] % 16, 0);
            for (size_t k = 0; k < size[i]; k++)
                assert_int_equal(at[i][k], 0);
            memset(at[i], (int)(i % 251), size[i]);
        }
        for (size_t i = 0; i < N; i++)
            for (size_t k = 0; k < size[i]; k++)
                if (at[i][k] != i % 251)
                    fail_msg("object %zu was overwritten at byte %zu", i, k);
        arena_reset(&arena);
        assert_int_equal(arena.used, 0);
    }
}

static void test_arena_limit(void **state)
{
    (void)state;
    Arena a;
    arena_init(&a, &oom, 1000);
    volatile int taken = 0;
    if (setjmp(oom.env) == 0) {
        for (;;) {
            arena_alloc(&a, 100); /* takes 112 */
            taken++;
        }
    }
    assert_int_equal(oom.over_limit, 1);
    assert_int_equal(taken, 8);
    arena_reset(&a);
    if (setjmp(oom.env) == 0)
        arena_alloc(&a, 1000 - 8); /* the limit counts what is used now; 1000 rounds to 992 */
    else
        fail_msg("a reset arena is empty");
    arena_free(&a);
}

static void test_arena_huge(void **state)
{
    (void)state;
    static const size_t n[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 8 + 1}, by[] = {1, 3, 8};
    for (volatile int i = 0; i < 3; i++) {
        oom.over_limit = -1;
        if (setjmp(oom.env) == 0) {
            arena_array(&arena, n[i], by[i]);
            fail_msg("an array of %zu * %zu bytes", n[i], by[i]);
        }
        assert_int_equal(oom.over_limit, 1);
    }
}

static void test_arena_no_memory(void **state)
{
    (void)state;
    Arena a;
    arena_init(&a, &oom, 0);
    volatile int taken = 0;
    oom.over_limit = -1;
    arena_fail_after(3);
    if (setjmp(oom.env) == 0)
        for (;;) {
            memset(arena_alloc(&a, 60000), 1, 60000);
            taken++;
        }
    assert_int_equal(taken, 2);
    assert_int_equal(oom.over_limit, 0);
    if (setjmp(oom.env) == 0)
        arena_alloc(&a, 60000); /* the hook fires once */
    else
        fail_msg("the hook fired twice");
    arena_free(&a);
}

static void test_arena_text(void **state)
{
    (void)state;
    if (setjmp(oom.env) != 0)
        fail_msg("out of memory");
    assert_string_equal(arena_strndup(&arena, "abcdef", 3), "abc");
    assert_string_equal(arena_strdup(&arena, ""), "");
    assert_string_equal(arena_printf(&arena, "%d-%s", -5, "x"), "-5-x");
    assert_int_equal(strlen(arena_printf(&arena, "%*d", 100000, 1)), 100000);
}

static void test_vec(void **state)
{
    (void)state;
    VEC(uint32_t) v = {0};
    if (setjmp(oom.env) != 0)
        fail_msg("out of memory");
    for (uint32_t i = 0; i < 10000; i++) {
        vec_push(&arena, &v, i * 7);
        assert_int_equal(vec_last(&v), i * 7);
    }
    assert_int_equal(v.len, 10000);
    assert_true(v.cap >= v.len && v.cap < 3 * v.len);
    for (uint32_t i = 0; i < v.len; i++)
        assert_int_equal(v.at[i], i * 7);
    vec_reserve(&arena, &v, 50000);
    assert_true(v.cap >= 50000);
    assert_int_equal(v.at[9999], 9999 * 7);
}

static void test_intern(void **state)
{
    (void)state;
    enum { N = 5000 };
    static Sym first[N];
    char text[32];
    if (setjmp(oom.env) != 0)
        fail_msg("out of memory");
    Intern *in = intern_new(&arena);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "name%d", i);
        first[i] = intern(in, text);
        assert_string_equal(first[i], text);
        assert_ptr_not_equal(first[i], text);
    }
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "name%d and more", i);
        assert_ptr_equal(intern_n(in, text, strcspn(text, " ")), first[i]);
    }
    assert_ptr_not_equal(intern(in, "name"), first[0]);
    assert_ptr_equal(intern(in, ""), intern_n(in, "x", 0));
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"stride", "dilation", "groups", "pad", "k", "bias"};
    static const char *const pairs[][2] = {
        {"strid", "stride"}, {"sride", "stride"},      {"stirde", "stride"},
        {"stride", NULL},    {"dilatoin", "dilation"}, {"dialtoin", "dilation"},
        {"group", "groups"}, {"pda", "pad"},           {"kernel", NULL},
        {"", NULL},          {"zzzzzz", NULL},         {"bais", "bias"},
        {"strxxxde", NULL},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *got = intern_nearest(pairs[i][0], words, 6);
        if (pairs[i][1] == NULL ? got != NULL : got == NULL || strcmp(got, pairs[i][1]) != 0)
            fail_msg("'%s' is near '%s'", pairs[i][0], got ? got : "nothing");
    }
    char longest[200];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    const char *const one[] = {longest};
    assert_null(intern_nearest(longest + 1, one, 1));
    assert_null(intern_nearest("a", words, 0));
}

static void test_buf(void **state)
{
    (void)state;
    Buf b = {0};
    buf_add(&b, "ab");
    buf_addc(&b, 'c');
    buf_pad(&b, '-', 3);
    buf_pad(&b, '-', -3);
    buf_addn(&b, "defg", 2);
    buf_printf(&b, "%04d", 42);
    assert_string_equal(b.at, "abc---de0042");
    assert_int_equal(b.len, 12);
    for (int i = 0; i < 10000; i++)
        buf_printf(&b, "%d,", i);
    assert_int_equal(b.len, strlen(b.at));
    assert_string_equal(b.at + b.len - 5, "9999,");
    assert_true(buf_ok(&b));
    buf_addn(&b, "x", SIZE_MAX / 2);
    assert_false(buf_ok(&b));
    size_t len = b.len;
    buf_add(&b, "more");
    assert_int_equal(b.len, len);
    buf_free(&b);
    assert_null(b.at);
}

static void expect_json(const char *in, const char *out)
{
    Buf b = {0};
    buf_json_string(&b, in);
    assert_string_equal(b.at, out);
    buf_free(&b);
}

/* Every string of random bytes gives JSON that an independent reader accepts. */
static void test_json_strings(void **state)
{
    (void)state;
    expect_json("a\"b\\c\n\t", "\"a\\\"b\\\\c\\u000a\\u0009\"");
    expect_json("h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80",
                "\"h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80\"");
    expect_json("\xC0\xAF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");                 /* overlong */
    expect_json("\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""); /* a surrogate */
    expect_json("x\xE2\x82", "\"x\xEF\xBF\xBD\xEF\xBF\xBD\"");               /* cut short */
    for (uint64_t round = 0; round < 2000; round++) {
        char text[24];
        for (size_t i = 0; i < sizeof text - 1; i++) {
            uint64_t r = rng_mix(round, i);
            text[i] = (char)(r % 3 ? 0x80 | (r >> 8 & 0x7F) : 1 + (r >> 8) % 126);
        }
        text[sizeof text - 1] = 0;
        Buf b = {0};
        buf_json_string(&b, text);
        json_t *j = json_loads(b.at, JSON_DECODE_ANY, NULL);
        if (j == NULL)
            fail_msg("not JSON: %s", b.at);
        json_decref(j);
        buf_free(&b);
    }
}

static void expect_place(const Source *s, uint32_t at, uint32_t line, uint32_t col)
{
    LineCol lc = source_line_col(s, at);
    assert_int_equal(lc.line, line);
    assert_int_equal(lc.col, col);
}

static void test_source(void **state)
{
    (void)state;
    static const char text[] = "ab\n\xC3\xA9\xE2\x82\xACx\r\n\nlast";
    SourceMap m = {.arena = &arena};
    uint32_t len, id = source_add(&m, "a.cnn", text, sizeof text - 1);
    const Source *s = source_get(&m, id);
    assert_string_equal(s->path, "a.cnn");
    assert_int_equal(s->lines, 4);
    expect_place(s, 0, 1, 1);
    expect_place(s, 2, 1, 3);
    expect_place(s, 3, 2, 1);
    expect_place(s, 5, 2, 2);
    expect_place(s, 8, 2, 3);
    expect_place(s, 11, 3, 1);
    expect_place(s, 12, 4, 1);
    expect_place(s, 16, 4, 5);
    expect_place(s, 99, 4, 5);
    const char *line = source_line(s, 2, &len);
    assert_int_equal(len, 6);
    assert_memory_equal(line, "\xC3\xA9\xE2\x82\xACx", 6);
    source_line(s, 3, &len);
    assert_int_equal(len, 0);
    assert_memory_equal(source_line(s, 4, &len), "last", 4);
    assert_int_equal(len, 4);
    source_line(s, 0, &len);
    assert_int_equal(len, 0);
    source_line(s, 5, &len);
    assert_int_equal(len, 0);
    assert_null(source_get(&m, 0));
    assert_null(source_get(&m, id + 1));
    id = source_add(&m, "empty", "", 0);
    expect_place(source_get(&m, id), 0, 1, 1);
}

static void test_spans(void **state)
{
    (void)state;
    Span a = {1, 5, 9}, b = {1, 2, 6}, other = {2, 0, 99};
    Span j = span_join(a, b);
    assert_true(j.src == 1 && j.lo == 2 && j.hi == 9);
    j = span_join(SPAN_NONE, b);
    assert_true(j.src == 1 && j.lo == 2 && j.hi == 6);
    j = span_join(a, SPAN_NONE);
    assert_true(j.src == 1 && j.lo == 5 && j.hi == 9);
    j = span_join(a, other);
    assert_true(j.src == 1 && j.lo == 5 && j.hi == 9);
}

typedef struct Session {
    SourceMap sources;
    Diags diags;
} Session;

static void session_start(Session *s, const char *text)
{
    *s = (Session){.sources = {.arena = &arena}};
    diags_init(&s->diags, &arena, &s->sources);
    source_add(&s->sources, "n.cnn", text, strlen(text));
}

static void expect_render(const Diags *d, DiagFormat f, const char *want)
{
    Buf b = {0};
    diag_render(d, &b, f, false);
    assert_true(buf_ok(&b));
    assert_string_equal(b.at, want);
    buf_free(&b);
}

static void test_diag_levels(void **state)
{
    (void)state;
    Session s;
    session_start(&s, "x");
    Diags *d = &s.diags;
    assert_int_equal(diag_level(d, W_UNUSED), SEV_WARNING);
    assert_int_equal(diag_level(d, E_UNPRODUCTIVE), SEV_ERROR);
    assert_true(diag_set_level(d, "unused", SEV_ERROR));
    assert_int_equal(diag_level(d, W_UNUSED), SEV_ERROR);
    assert_true(diag_set_level(d, "E0503", SEV_ALLOW));
    assert_int_equal(diag_level(d, E_UNPRODUCTIVE), SEV_ALLOW);
    assert_int_equal(diag(d, E_UNPRODUCTIVE, SPAN_NONE, "gone"), UINT32_MAX);
    assert_false(diag_set_level(d, "E0101", SEV_ALLOW)); /* errors have no level */
    assert_false(diag_set_level(d, "nonsense", SEV_ALLOW));
    assert_int_equal(diag_level(d, E_SYNTAX), SEV_ERROR);
    /* "warnings" are those that are warnings when it is said; what comes later wins */
    assert_true(diag_set_level(d, "underutilized", SEV_WARNING));
    assert_true(diag_set_level(d, "saturated", SEV_ALLOW));
    assert_true(diag_set_level(d, "warnings", SEV_ERROR));
    assert_int_equal(diag_level(d, W_SHADOWS_OP), SEV_ERROR);
    assert_int_equal(diag_level(d, E_UNDERUTILIZED), SEV_ERROR);
    assert_int_equal(diag_level(d, W_SATURATED), SEV_ALLOW);
    assert_true(diag_set_level(d, "shadows-operator", SEV_WARNING));
    assert_int_equal(diag_level(d, W_SHADOWS_OP), SEV_WARNING);
    assert_true(diag_set_level(d, "warnings", SEV_ALLOW));
    assert_int_equal(diag_level(d, W_SHADOWS_OP), SEV_ALLOW);
    assert_true(diag_set_level(d, "warnings", SEV_WARNING));
    assert_int_equal(diag_level(d, W_SATURATED), SEV_WARNING);
    assert_int_equal(diag_level(d, E_UNPRODUCTIVE), SEV_ALLOW); /* not one of them */
    assert_false(diag_failed(d));
    assert_int_equal(d->all.len, 0);
}

/* The same message twice is one; after a rewind it counts as new. */
static void test_diag_repeats_and_rewind(void **state)
{
    (void)state;
    enum { N = 3000 };
    Session s;
    session_start(&s, "x");
    Diags *d = &s.diags;
    char name[16];
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < N; i++) {
            snprintf(name, sizeof name, "v%u", i / 2);
            uint32_t at = diag(d, i % 2 ? W_UNUSED : E_UNDEFINED, (Span){1, 0, 1},
                               i % 2 ? "input" : name, name);
            assert_int_equal(at, round ? UINT32_MAX : i);
        }
    assert_int_equal(d->errors, N / 2);
    assert_int_equal(d->warnings, N / 2);
    assert_int_equal(diag(d, E_UNDEFINED, (Span){1, 0, 0}, "v0"), N);
    diag_rewind(d, 101);
    assert_int_equal(d->errors, 51);
    assert_int_equal(d->warnings, 50);
    assert_int_equal(diag(d, E_UNDEFINED, (Span){1, 0, 1}, "v50"), UINT32_MAX); /* kept */
    assert_int_equal(diag(d, E_UNDEFINED, (Span){1, 0, 1}, "v51"), 101);        /* forgotten */
    assert_int_equal(diag(d, E_UNDEFINED, (Span){1, 0, 1}, "v51"), UINT32_MAX);
    diag_rewind(d, 0);
    assert_false(diag_failed(d));
    assert_int_equal(diag(d, E_UNDEFINED, (Span){1, 0, 1}, "v51"), 0);
    assert_true(diag_failed(d));
}

static void test_diag_human(void **state)
{
    (void)state;
    Session s;
    session_start(&s, "net a {\n\th\xC3\xA9 = conv 3\r\n}\n");
    uint32_t at = diag(&s.diags, E_UNDEFINED, (Span){1, 15, 19}, "conv");
    diag_note(&s.diags, at, (Span){1, 4, 5}, "in net %s", "a");
    diag_help(&s.diags, at, SPAN_NONE, "there is a 'conv'");
    diag_fix(&s.diags, at, (Span){1, 15, 19}, "convt", "write it so");
    diag_note(&s.diags, UINT32_MAX, SPAN_NONE, "a note on nothing is dropped");
    diag(&s.diags, W_UNUSED, (Span){1, 0, 7}, "net", "a");
    expect_render(&s.diags, DIAG_HUMAN,
                  "n.cnn:1:1: warning[W0207]: net 'a' is never used [unused]\n"
                  "    1 | net a {\n"
                  "      | ^~~~~~~\n"
                  "n.cnn:2:7: error[E0201]: 'conv' is not defined\n"
                  "    2 |  h\xC3\xA9 = conv 3\n"
                  "      |       ^~~~\n"
                  "  n.cnn:1:5: note: in net a\n"
                  "    1 | net a {\n"
                  "      |     ^\n"
                  "  help: there is a 'conv'\n"
                  "  n.cnn:2:7: help: write it so\n"
                  "    2 |  h\xC3\xA9 = convt 3\n"
                  "      |       +++++\n"
                  "1 error, 1 warning\n");
    expect_render(&s.diags, DIAG_SHORT,
                  "n.cnn:1:1: warning[W0207]: net 'a' is never used\n"
                  "n.cnn:2:7: error[E0201]: 'conv' is not defined\n");
}

/* Places outside the text, empty and many-line ranges give output without bad reads. */
static void test_diag_odd_places(void **state)
{
    (void)state;
    Session s;
    session_start(&s, "ab\ncd");
    diag(&s.diags, E_SYNTAX, SPAN_NONE, "nowhere");
    diag(&s.diags, E_SYNTAX, (Span){1, 1, 5}, "two lines");
    diag(&s.diags, E_SYNTAX, (Span){1, 5, 5}, "the end");
    diag(&s.diags, E_SYNTAX, (Span){1, 99, 200}, "outside");
    diag(&s.diags, E_SYNTAX, (Span){9, 0, 1}, "no such file");
    expect_render(&s.diags, DIAG_HUMAN,
                  "error[E0101]: nowhere\n"
                  "n.cnn:1:2: error[E0101]: two lines\n"
                  "    1 | ab\n"
                  "      |  ^\n"
                  "n.cnn:2:3: error[E0101]: the end\n"
                  "    2 | cd\n"
                  "      |   ^\n"
                  "n.cnn:2:3: error[E0101]: outside\n"
                  "    2 | cd\n"
                  "      |   ^\n"
                  "error[E0101]: no such file\n"
                  "5 errors\n");
}

static void test_diag_error_limit(void **state)
{
    (void)state;
    Session s;
    session_start(&s, "abcdefghi");
    s.diags.error_limit = 2;
    for (uint32_t i = 9; i > 0; i--) /* shown in the order of the text */
        diag(&s.diags, E_STRAY_CHAR, (Span){1, i - 1, i}, "here");
    Buf b = {0};
    diag_render(&s.diags, &b, DIAG_HUMAN, true);
    assert_non_null(strstr(b.at, "n.cnn:1:2: "));
    assert_null(strstr(b.at, "n.cnn:1:3: "));
    assert_non_null(strstr(b.at, "9 errors (7 more not shown"));
    assert_non_null(strstr(b.at, "\x1b[1;31m"));
    buf_free(&b);
}

static int64_t number_at(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

static void test_diag_json(void **state)
{
    (void)state;
    Session s;
    session_start(&s, "\xC3\xA9"
                      "bc\nxyz\n");
    uint32_t at = diag(&s.diags, W_UNUSED, (Span){1, 2, 7}, "x", "\"q\"\n");
    diag_fix(&s.diags, at, (Span){1, 5, 6}, "z\xFF", "repair");
    diag(&s.diags, E_SYNTAX, SPAN_NONE, "nowhere");
    Buf b = {0};
    diag_render(&s.diags, &b, DIAG_JSON, false);
    json_t *all = json_loads(b.at, 0, NULL);
    assert_int_equal(json_array_size(all), 2);
    json_t *first = json_array_get(all, 0), *x = json_array_get(all, 1);
    assert_true(json_is_null(json_object_get(first, "file")));
    assert_string_equal(json_string_value(json_object_get(first, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(x, "code")), "W0207");
    assert_string_equal(json_string_value(json_object_get(x, "lint")), "unused");
    assert_string_equal(json_string_value(json_object_get(x, "message")),
                        "x '\"q\"\n' is never used");
    assert_int_equal(number_at(x, "line"), 1);
    assert_int_equal(number_at(x, "column"), 2);
    assert_int_equal(number_at(x, "end_line"), 2);
    assert_int_equal(number_at(x, "end_column"), 3);
    json_t *note = json_array_get(json_object_get(x, "notes"), 0);
    json_t *edit = json_object_get(note, "edit");
    assert_int_equal(number_at(edit, "start"), 5);
    assert_int_equal(number_at(edit, "end"), 6);
    assert_string_equal(json_string_value(json_object_get(edit, "text")), "z\xEF\xBF\xBD");
    json_decref(all);
    buf_free(&b);
}

static char dir[] = "/tmp/cnnc-support-XXXXXX";

static int dir_up(void **state)
{
    (void)state;
    strcpy(dir + sizeof dir - 7, "XXXXXX");
    return mkdtemp(dir) == NULL;
}

static const char *in_dir(const char *name)
{
    static char path[4][300];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static int files(void)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static int dir_down(void **state)
{
    (void)state;
    DIR *d = opendir(dir);
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.')
            unlink(in_dir(e->d_name));
    closedir(d);
    return rmdir(dir);
}

static void expect_file(const char *path, const char *want)
{
    size_t len;
    const char *err = NULL;
    char *got = fs_read(path, SIZE_MAX, &len, &err);
    if (got == NULL)
        fail_msg("%s: %s", path, err);
    assert_int_equal(len, strlen(want));
    assert_string_equal(got, want);
    free(got);
}

/* The old file stands until the new one is whole; nothing else is left in the folder. */
static void test_fs_outputs(void **state)
{
    (void)state;
    const char *err = NULL, *path = in_dir("out");
    FsOut o;
    assert_true(fs_write_all(path, "old", 3, false, &err));
    chmod(path, 0640);
    assert_true(fs_open_out(&o, path, &err));
    fputs("new text", o.f);
    fflush(o.f);
    expect_file(path, "old");
    assert_int_equal(files(), 2);
    assert_true(fs_commit(&o, &err));
    expect_file(path, "new text");
    assert_int_equal(files(), 1);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_true(fs_open_out(&o, path, &err));
    fputs("half", o.f);
    fs_abandon(&o);
    expect_file(path, "new text");
    assert_int_equal(files(), 1);
}

static void test_fs_modes_and_links(void **state)
{
    (void)state;
    const char *err = NULL;
    struct stat st;
    mode_t mask = umask(027);
    assert_true(fs_write_all(in_dir("tool"), "x", 1, true, &err));
    assert_int_equal(stat(in_dir("tool"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    assert_true(fs_write_all(in_dir("plain"), "x", 1, false, &err));
    assert_int_equal(stat(in_dir("plain"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    umask(mask);
    assert_int_equal(symlink(in_dir("plain"), in_dir("link")), 0);
    assert_true(fs_write_all(in_dir("link"), "through", 7, false, &err));
    expect_file(in_dir("plain"), "through");
    assert_int_equal(lstat(in_dir("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(files(), 3);
}

static void expect_message(const char *err, const char *want)
{
    assert_non_null(err);
    if (strstr(err, want) == NULL)
        fail_msg("'%s' does not say '%s'", err, want);
}

/* The message is read after the call that sets it. */
#define expect_failure(OK, ERR, WANT) (assert_false(OK), expect_message((ERR), (WANT)))

static void test_fs_special_files(void **state)
{
    (void)state;
    size_t len;
    const char *err = NULL;
    assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0);
    expect_failure(fs_read(in_dir("pipe"), 100, &len, &err), err, "not a regular file");
    expect_failure(fs_read(dir, 100, &len, &err), err, "is a directory");
    expect_failure(fs_read("/dev/zero", 100, &len, &err), err, "not a regular file");
    expect_failure(fs_read(in_dir("none"), 100, &len, &err), err, "No such file");
    expect_failure(fs_map(dir, &err).data != NULL, err, "is a directory");
    expect_failure(fs_write_all(dir, "x", 1, false, &err), err, "is a directory");
    expect_failure(fs_write_all(in_dir("no/such"), "x", 1, false, &err), err, "No such file");
    expect_failure(fs_write_all("/dev/full", "x", 1, false, &err), err, "No space");
    assert_true(fs_write_all("/dev/null", "x", 1, false, &err));
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    assert_int_equal(files(), 1);
}

static void test_fs_limits(void **state)
{
    (void)state;
    size_t len;
    const char *err = NULL, *path = in_dir("ten");
    assert_true(fs_write_all(path, "0123456789", 10, false, &err));
    expect_failure(fs_read(path, 9, &len, &err), err, "larger than 9 bytes");
    for (int huge = 0; huge < 2; huge++) {
        char *got = fs_read(path, huge ? SIZE_MAX : 10, &len, &err);
        assert_non_null(got);
        assert_int_equal(len, 10);
        assert_string_equal(got, "0123456789");
        free(got);
    }
    FsMap m = fs_map(path, &err);
    assert_int_equal(m.len, 10);
    assert_memory_equal(m.data, "0123456789", 10);
    fs_unmap(&m);
    assert_true(fs_write_all(path, "", 0, false, &err));
    expect_file(path, "");
    m = fs_map(path, &err);
    assert_non_null(m.data);
    assert_int_equal(m.len, 0);
    fs_unmap(&m);
    /* a sparse file far past the limit is refused by its size, unread */
    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    expect_failure(fs_read(path, 1 << 20, &len, &err), err, "larger than 1048576 bytes");
}

static int spawn(const char *folder, const char *script, const char **err)
{
    return fs_spawn((const char *[]){"sh", "-c", script, NULL}, folder, err);
}

/* A child's temporary files go to the folder, and with it. */
static void test_fs_spawn(void **state)
{
    (void)state;
    const char *err = NULL;
    char folder[] = "/tmp/cnnc-spawn-XXXXXX";
    assert_true(temp_folder(folder));
    assert_int_equal(spawn(folder, "true", &err), 0);
    assert_int_equal(spawn(folder, "exit 7", &err), 7);
    assert_int_equal(fs_spawn((const char *[]){"no-such-program-here", NULL}, folder, &err), -1);
    assert_non_null(err);
    assert_int_equal(spawn(folder,
                           "for i in 1 2 3; do mktemp || exit 1; done >/dev/null; "
                           "test $(ls \"$TMPDIR\" | wc -l) = 3 && kill -9 $$",
                           &err),
                     -1);
    assert_string_equal(err, "killed by a signal");
    temp_remove_folder(folder);
    assert_int_equal(access(folder, F_OK), -1);
}

#define WITH_ARENA(F) cmocka_unit_test_setup_teardown(F, arena_up, arena_down)
#define WITH_DIR(F) cmocka_unit_test_setup_teardown(F, dir_up, dir_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_arena_objects),    cmocka_unit_test(test_arena_limit),
        WITH_ARENA(test_arena_huge),       cmocka_unit_test(test_arena_no_memory),
        WITH_ARENA(test_arena_text),       WITH_ARENA(test_vec),
        WITH_ARENA(test_intern),           WITH_ARENA(test_nearest),
        cmocka_unit_test(test_buf),        cmocka_unit_test(test_json_strings),
        WITH_ARENA(test_source),           cmocka_unit_test(test_spans),
        WITH_ARENA(test_diag_levels),      WITH_ARENA(test_diag_repeats_and_rewind),
        WITH_ARENA(test_diag_human),       WITH_ARENA(test_diag_odd_places),
        WITH_ARENA(test_diag_error_limit), WITH_ARENA(test_diag_json),
        WITH_DIR(test_fs_outputs),         WITH_DIR(test_fs_modes_and_links),
        WITH_DIR(test_fs_special_files),   WITH_DIR(test_fs_limits),
        cmocka_unit_test(test_fs_spawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
