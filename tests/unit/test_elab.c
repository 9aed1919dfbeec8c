/* From small sources to graphs worked out by hand: chains, blocks, values, parameters, imports,
 * names, origins; and errors with their places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "elab/elab.h"
#include "elab_cases.h"

static Session session;
static Arena arena;
static Overlay files[4];

static int up(void **state)
{
    (void)state;
    session_init(&session, NULL);
    arena_init(&arena, &session.oom, 0);
    return 0;
}

static int down(void **state)
{
    (void)state;
    arena_free(&arena);
    session_free(&session);
    return 0;
}

/* A session of its own for the next source; what lies in `arena` stays. */
static void again(void)
{
    session_free(&session);
    session_init(&session, NULL);
    session.overlays = files;
}

static void file(size_t i, const char *path, const char *text)
{
    files[i] = (Overlay){path, text, strlen(text)};
    session.overlays = files;
    session.overlay_count = i + 1;
}

static const char *errors(void)
{
    const char *text = "";
    for (uint32_t i = 0; i < session.diags.all.len; i++) {
        const Diag *d = &session.diags.all.at[i];
        if (d->level != SEV_ERROR)
            continue;
        LineCol at = {0};
        if (d->span.src != 0)
            at = source_line_col(source_get(&session.sources, d->span.src), d->span.lo);
        text = arena_printf(&arena, "%s%u:%u %s %s\n", text, at.line, at.col,
                            diag_info[d->code].code, d->text);
    }
    return text;
}

/* The net called `name` (NULL: the last) of a text that is /mem/main.cnn. */
static Elab *elaborate(const char *text, const char *name, const ElabOptions *opt)
{
    NetRef net;
    file(0, "/mem/main.cnn", text);
    const char *spec = name ? arena_printf(&arena, "/mem/main.cnn:%s", name) : "/mem/main.cnn";
    if (!elab_find(&session, spec, &net))
        return NULL;
    Elab *e = elab_net(&session, &arena, net, opt);
    if (e) {
        const char *bad = graph_verify(&e->graph);
        if (bad)
            fail_msg("%s\n%s", bad, text);
    }
    return e;
}

static Elab *good(const char *text, const ElabOptions *opt)
{
    Elab *e = elaborate(text, NULL, opt);
    if (!e)
        fail_msg("%s\n%s", text, errors());
    return e;
}

/* "%2 conv(%1) c=4 k=3x3 s.0.conv 4x8x8": a line of graph_print without quotes, and the shape. */
static const char *nodes_of(const Elab *e, uint32_t from)
{
    Buf graph = {0}, out = {0};
    graph_print(&e->graph, &graph);
    assert_true(buf_ok(&graph));
    for (char *line = strchr(graph.at, '\n') + 1; *line == '%';) {
        char *end = strchr(line, '\n'), *name = strstr(line, " : \""), *op = strstr(line, " = ");
        uint32_t id = (uint32_t)strtoul(line + 1, NULL, 10);
        const Shape *s = &e->shape[id];
        assert_true(name != NULL && op != NULL && name < end);
        if (id >= from) {
            buf_printf(&out, "%%%u %.*s %.*s ", id, (int)(name - op - 3), op + 3,
                       (int)(end - name - 5), name + 4);
            if (s->flat)
                buf_printf(&out, "%ld\n", (long)s->c);
            else
                buf_printf(&out, "%ldx%ldx%ld\n", (long)s->c, (long)s->h, (long)s->w);
        }
        line = end + 1;
    }
    const char *text = arena_strdup(&arena, out.at ? out.at : "");
    buf_free(&graph);
    buf_free(&out);
    return text;
}

static const char *source_of(const Build *b)
{
    const char *head = strstr(b->items, "head ") ? "" : "head y = identity";
    return arena_printf(&arena, "%s\nnet n { input x[3, 8, 8]\n%s\n%s }\n", b->decls, b->items,
                        head);
}

static void check_builds(const Build *b, size_t n)
{
    int bad = 0;
    for (size_t i = 0; i < n; i++) {
        again();
        const char *text = source_of(&b[i]);
        Elab *e = elaborate(text, NULL, NULL);
        const char *got = e ? nodes_of(e, 2) : errors();
        if (strcmp(got, b[i].want) != 0) {
            print_error("%s\n is\n%s not\n%s", text, got, b[i].want);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static void test_chains(void **state)
{
    (void)state;
    check_builds(chains, sizeof chains / sizeof *chains);
}

static void test_blocks(void **state)
{
    (void)state;
    check_builds(blocks, sizeof blocks / sizeof *blocks);
}

static void test_numbers(void **state)
{
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        again();
        Build b = {"", arena_printf(&arena, "stage s { conv(%s, 1) }", numbers[i].expr), NULL};
        Elab *e = elaborate(source_of(&b), NULL, NULL);
        int64_t got = e ? e->shape[2].c : -1;
        if (got != numbers[i].value) {
            print_error("%s is %ld, not %ld %s\n", numbers[i].expr, (long)got,
                        (long)numbers[i].value, e ? "" : errors());
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static void test_wrong(void **state)
{
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        again();
        const char *text = source_of(&wrong[i]);
        Elab *e = elaborate(text, NULL, NULL);
        const char *said = errors();
        if (e || strcmp(said, wrong[i].want) != 0) {
            print_error("%s\n is  %s\n not %s\n", text, e ? "a graph" : said, wrong[i].want);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static void test_parameters(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        const WithParams *p = &parameters[i];
        ElabOptions opt = {.params = p->params, .input = {p->input[0], p->input[1], p->input[2]}};
        while (p->params[opt.param_count])
            opt.param_count++;
        again();
        Elab *e = elaborate(sized, p->net, &opt);
        assert_string_equal(e ? nodes_of(e, 1) : errors(), p->want);
    }
}

static void test_nets(void **state)
{
    (void)state;
    NetRef *nets;
    file(0, "/mem/main.cnn", sized);
    assert_int_equal(elab_nets(&session, "/mem/main.cnn", &nets), 5);
    static const char *const name[] = {"n", "sq", "wide", "wider", "open"};
    for (int i = 0; i < 5; i++) {
        assert_string_equal(nets[i].name, name[i]);
        assert_int_equal(nets[i].concrete, i != 4);
    }
    NetRef last;
    assert_true(elab_find(&session, "/mem/main.cnn", &last)); /* the last that needs nothing */
    assert_string_equal(last.name, "wider");
    assert_true(elab_find(&session, "resnet18", &last));
    assert_string_equal(last.name, "resnet18");
}

static void test_ports(void **state)
{
    (void)state;
    Elab *e = good("net n {\n"
                   "  input a[3, 4, 6](mean=[0.5, 0.25, 0], std=[1, 2, 4], resize=32, crop=28)\n"
                   "  input b[2, 4, 6]\n"
                   "  stage s { concat(b) -> conv(4, 1) }\n"
                   "  head p(from=s) = relu\n  stage t { tanh }\n  head q = gap\n}\n",
                   NULL);
    const Graph *g = &e->graph;
    assert_string_equal(g->name, "n");
    assert_int_equal(g->ins.len, 2);
    assert_int_equal(g->outs.len, 2);
    const GraphInput *a = &g->ins.at[0];
    assert_string_equal(a->name, "a");
    assert_true(a->has_norm && a->mean[1] == 0.25 && a->std[2] == 4);
    assert_true(a->resize == 32 && a->crop == 28 && !g->ins.at[1].has_norm);
    /* %1 a, %2 b, %3 concat, %4 conv, %5 relu, %6 tanh, %7 gap */
    assert_true(g->ins.at[1].node.v == 2 && g->outs.at[0].node.v == 5);
    assert_true(g->outs.at[0].source.v == 4 && !g->outs.at[0].primary);
    assert_string_equal(g->outs.at[1].name, "q");
    assert_true(g->outs.at[1].node.v == 7 && g->outs.at[1].source.v == 6 && g->outs.at[1].primary);
    assert_int_equal(e->shape[3].c, 5);
}

/* Instances: the net, its stages and heads, their steps, the blocks they call. */
static void test_instances(void **state)
{
    (void)state;
    static const struct {
        InstKind kind;
        const char *name, *path;
        uint32_t parent, index, in, out;
    } want[] = {
        {INST_NET, "n", NULL, 0, 0, 0, 0},   {INST_STAGE, "s", "s", 0, 0, 1, 5},
        {INST_STEP, "b", "s.0", 1, 0, 1, 3}, {INST_BLOCK, "b", "s.0", 2, 0, 1, 3},
        {INST_STEP, "b", "s.1", 1, 1, 3, 5}, {INST_BLOCK, "b", "s.1", 4, 0, 3, 5},
        {INST_STAGE, "t", "t", 0, 1, 5, 6},  {INST_STEP, "gap", "t.0", 6, 0, 5, 6},
        {INST_HEAD, "h", "h", 0, 0, 6, 7},
    };
    Elab *e = good("block b = relu -> tanh\nnet n { input x[3, 8, 8]\n stage s { b * 2 }\n"
                   " stage t { gap }\n head h = flatten }\n",
                   NULL);
    assert_int_equal(e->insts.len, sizeof want / sizeof *want);
    for (uint32_t i = 0; i < e->insts.len; i++) {
        const Inst *t = &e->insts.at[i];
        bool path = want[i].path ? t->path && !strcmp(t->path, want[i].path) : !t->path;
        if (t->kind != want[i].kind || strcmp(t->name, want[i].name) != 0 || !path ||
            t->parent != want[i].parent || t->index != want[i].index ||
            (i > 0 && (t->in.v != want[i].in || t->out.v != want[i].out)))
            fail_msg("%u: %d %s %s %u %u %u %u", i, t->kind, t->name, t->path ? t->path : "-",
                     t->parent, t->index, t->in.v, t->out.v);
    }
}

static const char *text_of(Span s)
{
    return arena_strndup(&arena, source_get(&session.sources, s.src)->text + s.lo, s.hi - s.lo);
}

/* The literals of a set as written, with commas. */
static const char *literals(const Elab *e, uint32_t set)
{
    const char *out = "";
    for (uint32_t i = 0; i < e->litsets.at[set].n; i++) {
        const AstNode *n = elab_literal(&session, e->lits.at[e->litsets.at[set].at[i]]);
        out = arena_printf(&arena, "%s%s%s", out, i ? "," : "", text_of(n->span));
    }
    return out;
}

static void test_origins(void **state)
{
    (void)state;
    Elab *e = good("let w = [40, 50]\nblock b(c: int, k: size = 7) = conv(c * 2, k)\n"
                   "net n(deep: bool = true) { input x[3, 8, 9]\n"
                   "  stage s { b(w[1] + 6) * 11 when deep -> b(12, 3x1) }\n  head h = gap }\n",
                   NULL);
    const Origin *o = &e->origins.at[graph_node(&e->graph, (NodeId){2})->origin];
    assert_string_equal(text_of(o->span), "conv(c * 2, k)");
    assert_string_equal(text_of(o->instance), "b(w[1] + 6) * 11 when deep");
    const char *c = literals(e, o->attrs[AT_CONV_c]); /* the index may decide, too */
    assert_true(strstr(c, "50") && strstr(c, "6") && strstr(c, "2") && !strstr(c, "40"));
    assert_string_equal(literals(e, o->attrs[AT_CONV_k]), "7");
    assert_string_equal(literals(e, o->attrs[AT_CONV_stride]), "");
    const char *s = literals(e, o->structure);
    assert_true(strcmp(s, "true,11") == 0 || strcmp(s, "11,true") == 0);
    o = &e->origins.at[graph_node(&e->graph, (NodeId){13})->origin];
    assert_string_equal(literals(e, o->attrs[AT_CONV_k]), "3x1");
    assert_string_equal(literals(e, o->structure), "");
    o = &e->origins.at[graph_node(&e->graph, (NodeId){1})->origin];
    assert_string_equal(literals(e, o->attrs[AT_INPUT_w]), "9");
}

/* Another value for a literal, everywhere it is used. */
static void test_overrides(void **state)
{
    (void)state;
    static const char text[] = "net n { input x[3, 8, 8]\n"
                               "  stage s(stride=2) { conv(4, 5, stride=stage.stride) * 2 }\n"
                               "  head h = gap }\n";
    Elab *e = good(text, NULL);
    const Origin *o = &e->origins.at[graph_node(&e->graph, (NodeId){2})->origin];
    LitOverride over[2] = {{.i = 6}, {.is_size = true, .size = {3, 1}}};
    for (int i = 0; i < 2; i++) {
        uint32_t set = o->attrs[i == 0 ? AT_CONV_c : AT_CONV_k];
        assert_int_equal(e->litsets.at[set].n, 1);
        over[i].lit = e->lits.at[e->litsets.at[set].at[0]];
    }
    LitRef stride;
    assert_true(elab_stage_stride_literal(&session, e->insts.at[1].span, &stride));
    assert_string_equal(text_of(elab_literal(&session, stride)->span), "2");
    assert_null(elab_literal(&session, (LitRef){99, stride.node}));
    NetRef net;
    assert_true(elab_find(&session, "/mem/main.cnn", &net));
    e = elab_net(&session, &arena, net, &(ElabOptions){.overrides = over, .override_count = 2});
    assert_non_null(e);
    assert_string_equal(nodes_of(e, 2), "%2 conv(%1) c=6 k=3x1 stride=2x2 s.0.conv 6x4x4\n"
                                        "%3 conv(%2) c=6 k=3x1 s.1.conv 6x4x4\n"
                                        "%4 gap(%3) h.gap 6x1x1\n");
}

static void check_imports(const char *main_text, const char *a, const char *b, const char *want)
{
    again();
    file(0, "/mem/main.cnn", main_text);
    file(1, "/mem/a.cnn", a);
    file(2, "/mem/b.cnn", b);
    NetRef net;
    Elab *e = NULL;
    if (elab_find(&session, "/mem/main.cnn", &net))
        e = elab_net(&session, &arena, net, NULL);
    assert_string_equal(e ? nodes_of(e, 2) : errors(), want);
}

static void test_imports(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof imports / sizeof *imports; i++)
        check_imports(imports[i].text, imports[i].a, imports[i].b, imports[i].want);
}

static void test_names(void **state)
{
    (void)state;
    Elab *e = good("net n { input x[3, 8, 8]\n"
                   "  stage s1 { conv(4, 1) -> @name(\"given.conv\") conv(4, 1) -> bn }\n"
                   "  head fc = gap -> flatten -> dense(2)\n"
                   "  names t { \"s1.*.conv\" = \"layer.{2*+1}.c\" \"s*.*.bn\" = \"l*.n*\"\n"
                   "            ignore \"*.num\" } }\n",
                   NULL);
    static const char *const rows[][2] = {{"s1.0.conv.weight", "layer.1.c.weight"},
                                          {"s1.1.conv.bias", "given.conv.bias"},
                                          {"s1.4.conv.bias", "layer.9.c.bias"},
                                          {"s1.2.bn.running_mean", "l1.n2.running_mean"},
                                          {"s1.2.bnx.weight", NULL},
                                          {"fc.dense.weight", NULL}};
    assert_int_equal(e->names.len, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *got = elab_name_theirs(&arena, &e->names.at[0], rows[i][0]);
        if ((got == NULL) != (rows[i][1] == NULL) || (got && strcmp(got, rows[i][1]) != 0))
            fail_msg("%s is %s", rows[i][0], got ? got : "nothing");
    }
    assert_true(elab_name_ignored(&e->names.at[0], "a.b.num"));
    assert_false(elab_name_ignored(&e->names.at[0], "a.b.num2"));
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_chains),     TEST(test_blocks),    TEST(test_numbers), TEST(test_wrong),
        TEST(test_parameters), TEST(test_nets),      TEST(test_ports),   TEST(test_instances),
        TEST(test_origins),    TEST(test_overrides), TEST(test_imports), TEST(test_names),
    };
    return cmocka_run_group_tests_name("elab", tests, NULL, NULL);
}
