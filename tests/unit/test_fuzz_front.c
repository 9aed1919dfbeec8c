/* The front end against damaged sources: library texts with bytes and words changed at random are
 * parsed, checked and elaborated. Nothing may crash, hang, be refused without a diagnostic, or end
 * in a graph that does not hold together. The seed is fixed; FUZZ_ROUNDS and FUZZ_SEED run more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "analysis/analysis.h"
#include "elab/elab.h"
#include "sema/sema.h"
#include "sema/stdlib_data.h"
#include <jansson.h>
#include "support/fs.h"
#include "rng.h"

enum { MOST_TEXT = 1 << 16, MOST_WORDS = 1 << 14, SECONDS = 60 };

/* What a network of the library does not use. */
static const char features[] =
    "import std.blocks as b\n"
    "let widths = [4, 8] + [12]\n"
    "let up(c: int, by: real = 1.5) = max(4, int(c * by) // 4 * 4)\n"
    "block cell(before: tensor, c: int, act: layer = relu) {\n"
    "  require in.c % 1 == 0, \"whole\"\n"
    "  a = in -> conv(c, k=1x3, pad=[0, 0, 1, 1]) -> act\n"
    "  out = concat(a, before -> conv(c, k=1)) -> drop_path(0.1 * block.i / block.n)\n"
    "}\n"
    "block twice(f: layer) = f -> f\n"
    "net n(deep: bool = true, k: size = 3x1, res: int = 48) {\n"
    "  block local(c: int, stride: int = stage.stride) = conv(up(c), k=k, stride=stride) -> bn\n"
    "  input image[3, res, res + 4](mean=[0.5, 0.5, 0.5], std=[0.2, 0.2, 0.2], resize=50)\n"
    "  input other[3, 24, 26]\n"
    "  @allow(saturated, \"why\")\n"
    "  stage s1(stride=2) { local(widths[0]) * 2 as early -> (relu -> conv(4, k=1)) * 2 when deep "
    "}\n"
    "  stage s2 { cell(prev, 6, act=leaky(0.25)) -> cell(prev, 6) -> twice(twice(relu)) }\n"
    "  if deep and early.rf < 30 { stage s3(stride=2) { maxpool(3, stride=2, pad=same_upper) } }\n"
    "  else { stage s3 { if deep { relu } else { tanh } } }\n"
    "  stage u(from=s3, up=2) { upsample(2) -> concat(s2, other) -> add(early -> conv(22, k=1)) }\n"
    "  head aux(from=s1) = gap -> flatten -> dense(2)\n"
    "  head logits = avgpool(2) -> gap -> flatten -> dense(5)\n"
    "  names t { \"s1.*.conv\" = \"a.*\" ignore \"*.bn\" }\n"
    "  train { epochs = 3 loss = cross_entropy(logits) + 0.3 * cross_entropy(aux) }\n"
    "}\n"
    "net m = n(false, res=64)\n";

/* Words that are put where others were. */
static const char *const evil[] = {
    "0",
    "1",
    "-1",
    "2",
    "7",
    "100000",
    "9223372036854775807",
    "-9223372036854775807",
    "0.0",
    "1e308",
    "3x1",
    "2147483648x1",
    "\"\"",
    "true",
    "in",
    "out",
    "prev",
    "stage",
    "block",
    "stage.stride",
    "block.i",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    "=",
    "->",
    "*",
    "* 30",
    "* 100000",
    "/",
    "//",
    "%",
    "-",
    "not",
    "and",
    "if",
    "else",
    "when",
    "as",
    "let",
    "net",
    "input",
    "head",
    "require",
    "@",
    "import",
    "from",
    "conv",
    "relu",
    "concat",
    "in.c",
    "in.h",
    "in.rf",
    "[]",
    "identity",
    "n",
    "c",
};

typedef struct Word {
    uint32_t at, len;
} Word;

static char text[MOST_TEXT * 2];
static size_t text_len;
static char path[] = "/tmp/cnnc-fuzz-XXXXXX.cnn";
static uint64_t key, drawn;
static bool keep = true; /* the source that was being read, unless all went well */

static uint32_t below(uint32_t n)
{
    return n == 0 ? 0 : (uint32_t)(rng_mix(key, drawn++) % n);
}

static uint32_t words_of(Word *w)
{
    uint32_t n = 0;
    for (size_t i = 0; i < text_len && n < MOST_WORDS;) {
        size_t len =
            strspn(text + i, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
        if (text[i] == ' ' || text[i] == '\n') {
            i++;
            continue;
        }
        if (len == 0)
            len = text[i] == '-' && text[i + 1] == '>' ? 2 : 1;
        w[n++] = (Word){(uint32_t)i, (uint32_t)len};
        i += len;
    }
    return n;
}

/* Puts `len` bytes in place of `cut` bytes at `at`. */
static void splice(size_t at, size_t cut, const char *with, size_t len)
{
    if (at + cut > text_len || text_len - cut + len >= MOST_TEXT)
        return;
    memmove(text + at + len, text + at + cut, text_len - at - cut);
    memcpy(text + at, with, len);
    text_len += len - cut;
    text[text_len] = '\0';
}

static void put_word(Word w, const char *with, size_t len)
{
    char padded[256];
    if (len + 2 > sizeof padded)
        return;
    padded[0] = padded[len + 1] = ' ';
    memcpy(padded + 1, with, len);
    splice(w.at, w.len, padded, len + 2);
}

static void damage(void)
{
    static Word w[MOST_WORDS];
    char copy[200];
    uint32_t n = words_of(w), a = below(n), b = below(n);
    if (n == 0)
        return;
    size_t len = w[b].len < sizeof copy ? w[b].len : sizeof copy;
    memcpy(copy, text + w[b].at, len);
    switch (below(9)) {
    case 0: /* a byte of any value */ text[below((uint32_t)text_len)] = (char)below(256); break;
    case 1: /* a byte of the printable ones */
        text[below((uint32_t)text_len)] = (char)(' ' + below(95));
        break;
    case 2: splice(w[a].at, w[a].len, "", 0); break;
    case 3: /* a stretch of words away */
        b = a + below(12) < n ? a + below(12) : n - 1;
        b = b < a ? a : b;
        splice(w[a].at, w[b].at + w[b].len - w[a].at, " ", 1);
        break;
    case 4: /* a stretch twice */
        b = a + 6 < n ? a + 6 : n - 1;
        len = w[b].at + w[b].len - w[a].at;
        len = len < sizeof copy ? len : sizeof copy;
        memcpy(copy, text + w[a].at, len);
        splice(w[a].at, 0, copy, len);
        break;
    case 5:
    case 6: put_word(w[a], copy, len); break;
    default: {
        const char *e = evil[below(sizeof evil / sizeof *evil)];
        put_word(w[a], e, strlen(e));
    }
    }
}

static void hung(int signal_number)
{
    static const char said[] = "# the front end hangs; the source is left in /tmp/cnnc-fuzz-*\n";
    (void)signal_number;
    if (write(STDERR_FILENO, said, sizeof said - 1) < 0)
        _exit(2);
    abort();
}

/* Every form of the messages can be made, documents are well-formed, and edits are inside their
 * sources. */
static void check_messages(const Diags *d, const char *path)
{
    Buf out[4] = {0};
    for (int f = DIAG_HUMAN; f <= DIAG_SARIF; f++) {
        diag_render(d, &out[f], (DiagFormat)f, f == DIAG_HUMAN);
        assert_true(buf_ok(&out[f]));
        if (f != DIAG_JSON && f != DIAG_SARIF)
            continue;
        json_t *doc = json_loadb(out[f].at, out[f].len, 0, NULL);
        if (doc == NULL)
            fail_msg("form %d is no JSON: %s", f, path);
        json_decref(doc);
    }
    for (int f = DIAG_HUMAN; f <= DIAG_SARIF; f++)
        buf_free(&out[f]);
    for (uint32_t i = 0; i < d->all.len; i++)
        for (uint32_t k = 0; k < d->all.at[i].notes.len; k++) {
            const DiagNote *n = &d->all.at[i].notes.at[k];
            const Source *src = source_get(d->sources, n->edit_span.src);
            if (n->edit_text != NULL &&
                (src == NULL || n->edit_span.lo > n->edit_span.hi || n->edit_span.hi > src->len))
                fail_msg("an edit outside its source: %s", path);
        }
}

/* Parses, checks and elaborates the file; the number of nets that became graphs. */
static int front_end(void)
{
    static Session s;
    static Arena net_arena;
    volatile int built = 0;
    memset(&s, 0, sizeof s);
    memset(&net_arena, 0, sizeof net_arena);
    if (setjmp(s.oom.env) == 0) {
        NetRef *nets;
        session_init(&s, NULL);
        arena_init(&net_arena, &s.oom, (size_t)1 << 30);
        uint32_t count = elab_nets(&s, path, &nets), first = below(count), tried = 0;
        for (uint32_t i = 0; i < count && tried < 3; i++) {
            NetRef net = nets[(first + i) % count];
            if (!net.concrete)
                continue;
            Analysis an;
            NodeId at;
            ShapeError err;
            ElabOptions opt = {0};
            uint32_t errors = s.diags.errors;
            Elab *e = elab_net(&s, &net_arena, net, &opt);
            tried++;
            if (e == NULL && s.diags.errors == errors && errors == 0)
                fail_msg("refused without a diagnostic: %s", path);
            if (e != NULL) {
                const char *broken = graph_verify(&e->graph);
                if (broken != NULL)
                    fail_msg("an invalid graph: %s: %s", broken, path);
                if (!analysis_run(&net_arena, &e->graph, &an, &at, &err))
                    fail_msg("the analysis fails: %s: %s", err.text, path);
                built++;
            }
            arena_reset(&net_arena);
        }
        check_messages(&s.diags, path);
    }
    arena_free(&net_arena);
    session_free(&s);
    return built;
}

static long from_environment(const char *name, long otherwise)
{
    const char *v = getenv(name);
    return v != NULL ? strtol(v, NULL, 10) : otherwise;
}

static void test_damaged_sources(void **state)
{
    (void)state;
    long rounds = from_environment("FUZZ_ROUNDS", 1500), built = 0;
    key = rng_key("front", (uint64_t)from_environment("FUZZ_SEED", 1));
    signal(SIGALRM, hung);
    for (long i = 0; i < rounds; i++) {
        const char *err, *from = features;
        drawn = (uint64_t)i << 20;
        uint32_t which = below(cnnc_std_file_count * 2);
        if (which < cnnc_std_file_count)
            from = (const char *)cnnc_std_files[which].text;
        text_len = strlen(from);
        assert_true(text_len < MOST_TEXT);
        memcpy(text, from, text_len + 1);
        for (uint32_t k = i == 0 ? 0 : 1 + below(1 + below(5)); k > 0; k--)
            damage();
        assert_true(fs_write_all(path, text, text_len, false, &err));
        alarm(SECONDS);
        built += front_end();
        alarm(0);
    }
    /* the damage must leave enough whole for elaboration to be reached */
    assert_true(built > rounds / 10);
    keep = false;
}

static int setup(void **state)
{
    (void)state;
    int fd = mkstemps(path, 4);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return keep ? 0 : unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_damaged_sources)};
    return cmocka_run_group_tests_name("fuzz_front", tests, setup, teardown);
}
