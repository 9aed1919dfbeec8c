/* Graphs: the text form goes there and back, the verifier sees every broken invariant, and no
 * damaged text gets past the reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>
#include "ir/graph.h"
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

static uint64_t seed, turn;

static uint64_t pick(uint64_t n)
{
    return rng_mix(seed, turn++) % n;
}

static AttrVal random_attr(const AttrInfo *info)
{
    if (!info->required && pick(3) == 0)
        return info->def;
    switch (info->type) {
    case ATTR_INT: return attr_int((int64_t)pick(pick(2) ? 5 : 1 << 30));
    case ATTR_BOOL: return attr_bool(pick(2));
    case ATTR_REAL:
        return attr_real(ldexp((double)pick(1ull << 53) - 0x1p52, (int)pick(400) - 250));
    case ATTR_SIZE: return attr_size((int64_t)pick(9), (int64_t)pick(70000));
    case ATTR_PAD:
        return attr_pad(pick(3) == 0 ? (Pad){.kind = PAD_SAME_SYM}
                        : pick(2)    ? (Pad){.kind = PAD_SAME_UP}
                                     : (Pad){PAD_EXPLICIT, (int64_t)pick(9), (int64_t)pick(9),
                                             (int64_t)pick(9), (int64_t)pick(9)});
    default: return (AttrVal){.type = ATTR_STR, .str = "text"};
    }
}

/* Names hold whatever a file may hold. */
static const char *random_name(uint32_t i)
{
    char text[32];
    size_t n = pick(8);
    for (size_t k = 0; k < n; k++)
        text[k] = (char)(1 + pick(255));
    text[n] = 0;
    return arena_printf(&arena, "%s.%u", text, i);
}

static void random_graph(Graph *g, uint64_t s)
{
    seed = s;
    turn = 0;
    graph_init(g, &arena, random_name(0));
    uint32_t n = 2 + (uint32_t)pick(30);
    for (uint32_t i = 1; i <= n; i++) {
        Op op = i == 1 || pick(10) == 0 ? OP_INPUT : (Op)(1 + pick(OP_COUNT - 1));
        const OpInfo *info = &op_info[op];
        AttrVal attrs[OP_MAX_ATTRS];
        NodeId in[8];
        uint32_t nin = info->inputs >= 0    ? (uint32_t)info->inputs
                       : info->inputs == -1 ? 2 + (uint32_t)pick(3)
                                            : 1 + (uint32_t)pick(4);
        for (int k = 0; k < info->attr_count; k++)
            attrs[k] = random_attr(&info->attrs[k]);
        if ((info->flags & OPF_BACKWARD) != 0)
            attrs[AT_BACKWARD_of] = attr_int(1 + (int64_t)pick(i - 1));
        for (uint32_t k = 0; k < nin; k++)
            in[k].v = 1 + (uint32_t)pick(i - 1);
        graph_add(g, op, attrs, in, nin, random_name(i), 0);
        if (op != OP_INPUT)
            continue;
        GraphInput x = {.name = random_name(i),
                        .node = {i},
                        .has_norm = pick(2),
                        .resize = (int64_t)pick(2) * 256,
                        .crop = (int64_t)pick(2) * 224};
        for (int k = 0; k < 4 && x.has_norm; k++) {
            x.mean[k] = (double)pick(1000) / 999;
            x.std[k] = (double)pick(1000) / 777 + 0.1;
        }
        vec_push(&arena, &g->ins, x);
    }
    uint32_t outs = 1 + (uint32_t)pick(3);
    for (uint32_t i = 0; i < outs; i++) {
        uint32_t v = 1 + (uint32_t)pick(n);
        GraphOutput o = {random_name(i), {v}, {1 + (uint32_t)pick(v)}, i + 1 == outs};
        vec_push(&arena, &g->outs, o);
    }
}

static void expect_same(const Graph *a, const Graph *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->nodes.len, b->nodes.len);
    assert_int_equal(a->ins.len, b->ins.len);
    assert_int_equal(a->outs.len, b->outs.len);
    for (uint32_t i = 1; i < a->nodes.len; i++) {
        const Node *x = graph_node(a, (NodeId){i}), *y = graph_node(b, (NodeId){i});
        assert_int_equal(x->op, y->op);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->in_count, y->in_count);
        for (uint32_t k = 0; k < x->in_count; k++)
            assert_int_equal(graph_in(a, (NodeId){i}, k).v, graph_in(b, (NodeId){i}, k).v);
        for (int k = 0; k < op_info[x->op].attr_count; k++)
            assert_true(attr_equal(graph_attr(a, (NodeId){i}, k), graph_attr(b, (NodeId){i}, k)));
    }
    for (uint32_t i = 0; i < a->ins.len; i++) {
        const GraphInput *x = &a->ins.at[i], *y = &b->ins.at[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->node.v, y->node.v);
        assert_int_equal(x->resize, y->resize);
        assert_int_equal(x->crop, y->crop);
        assert_int_equal(x->has_norm, y->has_norm);
        assert_memory_equal(x->mean, y->mean, sizeof x->mean);
        assert_memory_equal(x->std, y->std, sizeof x->std);
    }
    for (uint32_t i = 0; i < a->outs.len; i++) {
        const GraphOutput *x = &a->outs.at[i], *y = &b->outs.at[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->node.v, y->node.v);
        assert_int_equal(x->source.v, y->source.v);
        assert_int_equal(x->primary, y->primary);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    for (uint64_t s = 1; s <= 500; s++) {
        Graph g, back;
        Buf text = {0}, again = {0};
        random_graph(&g, s);
        const char *err = graph_verify(&g);
        if (err != NULL)
            fail_msg("seed %d: %s", (int)s, err);
        graph_print(&g, &text);
        err = graph_read(&back, &arena, text.at, text.len);
        if (err != NULL)
            fail_msg("seed %d: %s in\n%s", (int)s, err, text.at);
        expect_same(&g, &back);
        graph_print(&back, &again);
        assert_string_equal(text.at, again.at);
        buf_free(&text);
        buf_free(&again);
        arena_reset(&arena);
    }
}

static const char small[] = "graph \"g\"\n"
                            "%1 = input() c=3 h=8 w=8 : \"image\"\n"
                            "%2 = conv(%1) c=4 k=3x3 : \"c1\"\n"
                            "%3 = bn(%2) : \"b1\"\n"
                            "%4 = add(%2, %3) : \"sum\"\n"
                            "in \"image\" %1\n"
                            "out \"out\" %4 from %3 primary\n";

static void small_graph(Graph *g)
{
    const char *err = graph_read(g, &arena, small, sizeof small - 1);
    if (err != NULL)
        fail_msg("%s", err);
}

static void test_print_form(void **state)
{
    (void)state;
    Graph g;
    Buf b = {0};
    small_graph(&g);
    graph_print(&g, &b);
    assert_string_equal(b.at, small);
    buf_free(&b);
}

static void test_window(void **state)
{
    (void)state;
    Graph g;
    static const char text[] =
        "graph \"g\"\n%1 = input() c=3 h=8 w=8 : \"x\"\n"
        "%2 = maxpool(%1) k=3x2 ceil_mode=true : \"p\"\n"
        "%3 = conv(%1) c=4 k=5x3 stride=2x1 dilation=1x2 pad=same_upper : \"c\"\n"
        "in \"x\" %1\nout \"o\" %3 from %3 primary\n";
    const char *err = graph_read(&g, &arena, text, sizeof text - 1);
    assert_null(err);
    Window w = graph_window(&g, (NodeId){2});
    assert_true(w.stride.h == 3 && w.stride.w == 2); /* the kernel's */
    assert_true(w.ceil_mode && w.dilation.h == 1 && w.pad.kind == PAD_EXPLICIT);
    w = graph_window(&g, (NodeId){3});
    assert_true(w.k.h == 5 && w.k.w == 3 && w.stride.h == 2 && w.stride.w == 1);
    assert_true(w.dilation.w == 2 && w.pad.kind == PAD_SAME_UP && !w.ceil_mode);
}

/* One line per invariant: what is broken, and a piece of the message it must give. */
static const char *break_it(Graph *g, int which)
{
    Node *conv = &g->nodes.at[2], *bn = &g->nodes.at[3], *sum = &g->nodes.at[4];
    AttrVal *c = &g->attrs.at[conv->attr_first];
    switch (which) {
    case 0: bn->name = NULL; return "no name";
    case 1: bn->op = OP_NONE; return "no such operator";
    case 2: bn->op = OP_COUNT; return "no such operator";
    case 3: bn->in_count = 0; return "bn with 0 inputs";
    case 4: sum->in_count = 1; return "add with 1 inputs";
    case 5: sum->in_first = g->inputs.len - 1; return "inputs out of bounds";
    case 6: sum->in_first = UINT32_MAX; return "inputs out of bounds";
    case 7: g->inputs.at[bn->in_first].v = 3; return "not before it";
    case 8: g->inputs.at[bn->in_first].v = 4; return "not before it";
    case 9: g->inputs.at[bn->in_first].v = 0; return "not before it";
    case 10: conv->attr_count--; return "attributes out of bounds";
    case 11: bn->attr_first = g->attrs.len - 1; return "attributes out of bounds";
    case 12: c[AT_CONV_c].type = ATTR_BOOL; return "attribute c has the wrong type";
    case 13: c[AT_CONV_c].i = -1; return "attribute c is out of range";
    case 14: c[AT_CONV_groups].i = (1 << 30) + 1; return "attribute groups is out of range";
    case 15: c[AT_CONV_k].size.w = -1; return "attribute k is out of range";
    case 16: c[AT_CONV_stride].size.h = INT64_MAX; return "attribute stride is out of range";
    case 17: c[AT_CONV_pad] = attr_pad((Pad){.left = -1}); return "attribute pad is out of range";
    case 18: g->attrs.at[bn->attr_first].r = INFINITY; return "attribute eps is not finite";
    case 19: bn->name = conv->name; return "are both called c1";
    case 20: g->ins.len = 0; return "1 input nodes, 0 declared";
    case 21: g->ins.at[0].node.v = 2; return "input 0 is not an input node";
    case 22: g->ins.at[0].node.v = 99; return "input 0 is not an input node";
    case 23: g->outs.at[0].node.v = 5; return "output out does not exist";
    case 24: g->outs.at[0].node.v = 0; return "output out does not exist";
    case 25: g->outs.at[0].source.v = 0; return "output out does not exist";
    case 26: g->outs.at[0].node.v = 2; return "output out does not exist"; /* before its source */
    case 27: g->outs.at[0].primary = false; return "0 primary outputs";
    case 28: vec_push(g->arena, &g->outs, g->outs.at[0]); return "2 primary outputs";
    case 29: g->outs.len = 0; return "0 primary outputs";
    case 30:
        g->ins.at[0].has_norm = true;
        g->ins.at[0].std[2] = NAN;
        return "picture values";
    case 31: g->ins.at[0].crop = -1; return "picture values";
    default: return NULL;
    }
}

static void test_verifier(void **state)
{
    (void)state;
    for (int which = 0;; which++) {
        Graph g;
        small_graph(&g);
        assert_null(graph_verify(&g));
        const char *want = break_it(&g, which);
        if (want == NULL) {
            assert_int_equal(which, 32);
            return;
        }
        const char *got = graph_verify(&g);
        if (got == NULL || strstr(got, want) == NULL)
            fail_msg("break %d: '%s', not '%s'", which, got ? got : "nothing", want);
    }
}

/* Replaces the first `from` of the small graph by `to`; the reader must say `want`. */
static void expect_refused(const char *from, const char *to, const char *want)
{
    const char *at = strstr(small, from);
    assert_non_null(at);
    char *text = arena_printf(&arena, "%.*s%s%s", (int)(at - small), small, to, at + strlen(from));
    Graph g;
    const char *err = graph_read(&g, &arena, text, strlen(text));
    if (err == NULL || strstr(err, want) == NULL)
        fail_msg("%s -> %s: '%s', not '%s'", from, to, err ? err : "nothing", want);
}

static void test_reader_refuses(void **state)
{
    (void)state;
    expect_refused("graph", "grape", "line 1: expected 'graph '");
    expect_refused("\"g\"", "\"g", "line 1: expected '\"'");
    expect_refused("\"g\"", "\"\\q\"", "unknown escape");
    expect_refused("\"g\"", "\"\\x00\"", "unknown escape");
    expect_refused("%2 = ", "%3 = ", "line 3: nodes must be numbered in order");
    expect_refused("%2 = ", "%-2 = ", "nodes must be numbered in order");
    expect_refused("%2 = ", "%2= ", "expected ' = '");
    expect_refused("conv", "konv", "unknown operator");
    expect_refused("conv", "none", "unknown operator");
    expect_refused("bn(%2)", "bn(%3)", "no such node");
    expect_refused("bn(%2)", "bn(%0)", "no such node");
    expect_refused("bn(%2)", "bn(%99999999999999999999)", "number too large");
    expect_refused("bn(%2)", "bn(%2,%1)", "expected ', '");
    expect_refused("bn(%2)", "bn()", "bn with 0 inputs");
    expect_refused("bn(%2)", "bn(%2, %1)", "bn with 2 inputs");
    expect_refused("bn(%2)", "bn(%2", "expected ', '");
    expect_refused(" c=4", "", "a required attribute is missing");
    expect_refused(" c=4", " c=4 c=4", "attribute given twice");
    expect_refused(" c=4", " color=4", "unknown attribute");
    expect_refused(" c=4", " c=", "expected a number");
    expect_refused(" c=4", " c=-4", "out of range");
    expect_refused(" c=4", " c=4.5", "expected ' '");
    expect_refused("3x3", "3*3", "expected 'x'");
    expect_refused("3x3", "3x3 bias=yes", "expected 'false'");
    expect_refused("3x3", "3x3 pad=1,2,3", "expected ','");
    expect_refused("bn(%2)", "bn(%2) eps=nan", "expected a number");
    expect_refused("bn(%2)", "bn(%2) eps=1e999", "not finite");
    expect_refused("bn(%2)", "bn(%2) eps=1e", "expected a number");
    expect_refused("\"b1\"\n", "\"b1\" \n", "expected '\n'");
    expect_refused("\"b1\"", "\"c1\"", "are both called");
    expect_refused("in \"image\" %1\n", "", "1 input nodes, 0 declared");
    expect_refused("in \"image\" %1", "in \"image\" %2", "is not an input node");
    expect_refused("in \"image\" %1", "in \"image\" %1 mean=1,2,3", "expected ','");
    expect_refused("in \"image\" %1", "in \"image\" %1 mean=1,2,3,4", "expected ' std='");
    expect_refused("in \"image\" %1", "in \"image\" %1 resize=-1", "picture values");
    expect_refused("in \"image\" %1", "in \"image\" %1 mean=1,2,3,1e999 std=1,1,1,1",
                   "picture values");
    expect_refused("from %3 ", "", "expected ' from '");
    expect_refused("from %3", "from %9", "no such node");
    expect_refused("primary", "", "expected '\n'");
    expect_refused(" primary", "", "0 primary outputs");
    expect_refused("out \"out\"", "nonsense", "expected a node, an input or an output");
}

/* A whole text is read; no beginning of it is, and none reads past its end. */
static void test_reader_cut_short(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof small - 1; n++) {
        char *exact = arena_alloc(&arena, n + 1);
        memcpy(exact, small, n);
        exact[n] = 'x'; /* not the reader's to see */
        Graph g;
        if (graph_read(&g, &arena, exact, n) == NULL)
            fail_msg("%zu bytes were enough", n);
    }
}

/* Random damage: the reader refuses, or what it read is whole and prints to what it reads. */
static void test_reader_fuzz(void **state)
{
    (void)state;
    static const char *const words[] = {"%", "9",  "\"",   "\n",   " ",           "=",
                                        "-", "x",  "same", "\\x",  "99999999999", "(",
                                        ")", ", ", " : ",  "conv", "1e9",         "nan"};
    int read = 0, refused = 0;
    for (uint64_t s = 1; s <= 4000; s++) {
        Graph g;
        Buf text = {0}, hurt = {0}, again = {0};
        random_graph(&g, s % 40 + 1);
        graph_print(&g, &text);
        seed = s;
        turn = 0;
        buf_addn(&hurt, text.at, text.len);
        for (uint64_t k = 1 + pick(3); k > 0; k--)
            hurt.at[pick(hurt.len)] = pick(2) ? (char)pick(256) : text.at[pick(text.len)];
        if (pick(2)) {
            const char *w = words[pick(sizeof words / sizeof *words)];
            hurt.len = pick(hurt.len);
            size_t at = hurt.len;
            buf_add(&hurt, w);
            buf_addn(&hurt, text.at + at, text.len - at);
        }
        Graph back;
        if (graph_read(&back, &arena, hurt.at, hurt.len) == NULL) {
            read++;
            assert_null(graph_verify(&back));
            graph_print(&back, &again);
            Graph third;
            const char *err = graph_read(&third, &arena, again.at, again.len);
            if (err != NULL)
                fail_msg("seed %d: %s in\n%s", (int)s, err, again.at);
            expect_same(&back, &third);
        } else {
            refused++;
        }
        buf_free(&text);
        buf_free(&hurt);
        buf_free(&again);
        arena_reset(&arena);
    }
    assert_true(read > 50 && refused > 1000);
}

#define WITH_ARENA(F) cmocka_unit_test_setup_teardown(F, arena_up, arena_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_round_trip),     WITH_ARENA(test_print_form),
        WITH_ARENA(test_window),         WITH_ARENA(test_verifier),
        WITH_ARENA(test_reader_refuses), WITH_ARENA(test_reader_cut_short),
        WITH_ARENA(test_reader_fuzz),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
