/* Which nodes share a group: cases worked out by hand, and for random graphs an oracle that walks
 * each group back to what it reads and computes its value node by node. */
#include "fuse_cases.h"
#include "graph_build.h"
#include "plan_nets.h"
#include "plan_random.h"
#include "transform/fuse.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Fused {
    Graph g;
    Analysis an;
    Fusion f;
} Fused;

static void fuse_text(Fused *z, const char *text)
{
    const char *err = graph_read(&z->g, &arena, text, strlen(text));
    if (err)
        fail_msg("%s\n%s", err, text);
    z->an = analyse(&z->g);
    fuse_run(&z->f, &arena, &z->an);
}

static int check_case(const Case *c)
{
    Fused z;
    Buf got = {0};
    fuse_text(&z, arena_printf(&arena,
                               "graph \"t\"\n%%1 = input() c=16 h=8 w=8 : \"x\"\n%sin "
                               "\"x\" %%1\n%s",
                               c->nodes, c->heads));
    assert_null(fuse_verify(&z.f));
    fuse_print(&z.f, &got);
    assert_true(buf_ok(&got));
    int bad = strcmp(got.at, c->groups) != 0;
    if (bad)
        print_error("%s: got\n%swant\n%s", c->name, got.at, c->groups);
    buf_free(&got);
    return bad;
}

static void check_cases(const Case *c, size_t n)
{
    int bad = 0;
    for (size_t i = 0; i < n; i++)
        bad += check_case(&c[i]);
    assert_int_equal(bad, 0);
}

#define CASES(NAME)                                                                                \
    static void test_##NAME(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        check_cases(NAME, sizeof NAME / sizeof *NAME);                                             \
    }
CASES(epilogues)
CASES(uses)
CASES(merges)
CASES(gates)

/* The oracle. Of every group: the nodes between its result and what it reads, each once. */
typedef struct Walk {
    const Fused *z;
    const FuseGroup *g; /* the last group of the result */
    uint32_t *owner;    /* by node: group index + 1 that has computed it */
    double *value;      /* by stored node: some number */
    uint32_t self;
} Walk;

static NodeId in_of(const Walk *w, NodeId n, uint32_t i)
{
    return w->z->f.alias[graph_in(&w->z->g, n, i).v];
}

/* Another group's value, an input or a view: where the walk ends. */
static bool is_leaf(const Walk *w, NodeId n)
{
    Op op = graph_node(&w->z->g, n)->op;
    return op == OP_INPUT || op == OP_FLATTEN ||
           (w->z->f.group_of[n.v] != 0 && n.v != w->g->result.v);
}

static double channel(NodeId n, ChannelFill fill)
{
    return (double)((n.v * 7 + (uint32_t)fill * 3) % 11) / 8 - 0.5;
}

static double unary(const Graph *g, NodeId n, double x)
{
    double ramp = fmin(fmax(x + 3, 0), 6) / 6;
    switch (graph_node(g, n)->op) {
    case OP_RELU: return x > 0 ? x : 0;
    case OP_RELU6: return x < 0 ? 0 : x > 6 ? 6 : x;
    case OP_LEAKY: return x > 0 ? x : x * graph_attr(g, n, AT_LEAKY_slope)->r;
    case OP_SILU: return x / (1 + exp(-x));
    case OP_HSWISH: return x * ramp;
    case OP_HSIGMOID: return ramp;
    case OP_GELU: return x * 0.5 * erfc(-x / sqrt(2));
    case OP_SIGMOID: return 1 / (1 + exp(-x));
    case OP_TANH: return tanh(x);
    case OP_SCALE: return x * graph_attr(g, n, AT_SCALE_by)->r;
    case OP_LAYER_SCALE: return x * channel(n, FILL_GAMMA);
    default: fail_msg("%%%u: no elementwise operator inside a group", n.v); return 0;
    }
}

/* The value of node n inside the group, by the graph; every node inside is met exactly once. */
static double by_graph(Walk *w, NodeId n)
{
    const Graph *g = &w->z->g;
    const Node *node = graph_node(g, n);
    if (is_leaf(w, n))
        return w->value[n.v];
    if (w->owner[n.v] != 0)
        fail_msg("%%%u is computed by groups %u and %u", n.v, w->owner[n.v] - 1, w->self);
    w->owner[n.v] = w->self + 1;
    if (n.v == w->g->anchor.v) {
        if (w->g->gate.v != 0) { /* the product before it belongs to the group as well */
            NodeId product = in_of(w, n, 0);
            assert_int_equal(w->owner[product.v], 0);
            w->owner[product.v] = w->self + 1;
            double of_graph = w->value[in_of(w, product, 0).v] * w->value[in_of(w, product, 1).v];
            assert_true(of_graph == w->value[w->g->in.v] * w->value[w->g->gate.v]);
            assert_int_equal(graph_node(g, product)->op, OP_MUL);
        } else {
            assert_int_equal(in_of(w, n, 0).v, w->g->in.v);
        }
        double x = w->value[n.v];
        bool ln = node->op == OP_LN;
        return ln ? x * channel(n, FILL_LN_WEIGHT) + channel(n, FILL_LN_BIAS) : x;
    }
    double x = by_graph(w, in_of(w, n, 0));
    if (node->op == OP_BN && n.v == w->g->fold_bn.v) {
        assert_int_equal(in_of(w, n, 0).v, w->g->anchor.v);
        return x;
    }
    if (node->op == OP_BN)
        return x * channel(n, FILL_BN_SCALE) + channel(n, FILL_BN_SHIFT);
    if (node->op != OP_ADD && node->op != OP_MUL)
        return unary(g, n, x);
    for (uint32_t i = 1; i < node->in_count; i++) {
        double y = by_graph(w, in_of(w, n, i));
        x = node->op == OP_ADD ? x + y : x * y;
    }
    return x;
}

/* The same by the group's expression; `own` is its first argument when that is its own turn before,
 * or what the anchor computes. */
static double by_expr(const Walk *w, const FuseGroup *g)
{
    double args[FUSE_MAX_OPERANDS + 1] = {w->value[g->anchor.v ? g->anchor.v : g->in.v]};
    for (uint32_t i = 0; i < g->operands.len; i++) {
        const FuseOperand *o = &g->operands.at[i];
        if (o->kind == OPERAND_CHANNEL) {
            args[i + 1] = channel(o->node, o->fill);
            continue;
        }
        const Shape *from = &w->z->an.shape[o->node.v], *to = &w->z->an.shape[g->result.v];
        bool same = from->h == to->h && from->w == to->w;
        assert_true(from->c == to->c && same == (o->kind == OPERAND_MAP));
        args[i + 1] = w->value[o->node.v];
    }
    return g->root.v ? expr_eval(&w->z->f.exprs, g->root, args) : args[0];
}

static void check_oracle(const Fused *z, const char *name)
{
    const Fusion *f = &z->f;
    Walk w = {.z = z,
              .owner = arena_new_n(&arena, uint32_t, z->g.nodes.len),
              .value = arena_new_n(&arena, double, z->g.nodes.len)};
    for (uint32_t i = 1; i < z->g.nodes.len; i++)
        w.value[i] = (double)(rng_mix(rng_key(name, i), i) >> 40) / 8388608 - 1;
    for (uint32_t i = 0; i < f->groups.len; i++) {
        const FuseGroup *g = &f->groups.at[i];
        double turn = by_expr(&w, g), before = w.value[g->result.v];
        w.g = g;
        w.self = i;
        assert_true(i == 0 || f->groups.at[i - 1].result.v <= g->result.v);
        if (i + 1 < f->groups.len && f->groups.at[i + 1].result.v == g->result.v) {
            w.value[g->result.v] = turn; /* the next turn goes on from there */
            continue;
        }
        assert_int_equal(f->group_of[g->result.v], i + 1);
        double want = by_graph(&w, g->result);
        if (!(fabs(turn - want) <= 1e-9 * (1 + fabs(want))))
            fail_msg("%s: %%%u is %g, its group gives %g", name, g->result.v, want, turn);
        w.value[g->result.v] = before;
    }
    for (uint32_t i = 1; i < z->g.nodes.len; i++) {
        Op op = graph_node(&z->g, (NodeId){i})->op;
        bool computed = z->an.live[i] && f->alias[i].v == i && op != OP_INPUT && op != OP_FLATTEN;
        if (computed != (w.owner[i] != 0))
            fail_msg("%s: %%%u %s", name, i, computed ? "is in no group" : "is in a group");
    }
}

typedef struct Tally {
    uint32_t folded, gated, turns, inside;
} Tally;

static void count_kinds(const Fusion *f, Tally *t)
{
    for (uint32_t i = 0; i < f->groups.len; i++) {
        const FuseGroup *g = &f->groups.at[i];
        t->folded += g->fold_bn.v != 0;
        t->gated += g->gate.v != 0;
        t->turns += g->in.v == g->result.v;
        t->inside += g->anchor.v != 0 && g->anchor.v != g->result.v;
    }
}

static void test_nets(void **state)
{
    (void)state;
    Tally t = {0};
    for (int i = 0; i < PLAN_NETS; i++) {
        Fused z;
        fuse_text(&z, plan_nets[i].text);
        const char *bad = fuse_verify(&z.f);
        if (bad)
            fail_msg("%s: %s", plan_nets[i].name, bad);
        check_oracle(&z, plan_nets[i].name);
        count_kinds(&z.f, &t);
    }
    assert_true(t.folded > 5 && t.gated > 0 && t.turns > 0 && t.inside > 10);
}

static void test_random_graphs(void **state)
{
    (void)state;
    Tally t = {0};
    for (uint64_t seed = 0; seed < 400; seed++) {
        RandomNet r;
        Fused z, again;
        Buf a = {0}, b = {0};
        random_net(&r, seed);
        fuse_text(&z, r.text.at);
        const char *bad = fuse_verify(&z.f);
        if (bad)
            fail_msg("seed %d: %s\n%s", (int)seed, bad, r.text.at);
        check_oracle(&z, arena_printf(&arena, "seed %d", (int)seed));
        count_kinds(&z.f, &t);
        fuse_text(&again, r.text.at);
        fuse_print(&z.f, &a);
        fuse_print(&again.f, &b);
        assert_string_equal(a.at, b.at);
        buf_free(&a);
        buf_free(&b);
        buf_free(&r.text);
        arena_reset(&arena);
    }
    assert_true(t.folded > 50 && t.inside > 300); /* the graphs meet what is to be tested */
}

/* Broken by hand: %2 conv, %3 bn, %4 relu, %5 gap, %6 sigmoid, %7 product, %8 pointwise conv,
 * %9 sum, %10 joined. Groups: 0 %4, 1 %6, 2 %9, 3 %10. */
static const char breakable[] =
    "graph \"t\"\n%1 = input() c=16 h=8 w=8 : \"x\"\n" N(2, "conv(%1) c=16 k=3x3") N(3, "bn(%2)")
        N(4, "relu(%3)") N(5, "gap(%4)") N(6, "sigmoid(%5)") N(7, "mul(%4, %6)")
            N(8, "conv(%7) c=16 k=1x1") N(9, "add(%8, %4)") N(10, "concat(%9, %4)")
                N(11, "dropout(%10)") "in \"x\" %1\n" Y(11);

typedef struct Breakage {
    const char *want; /* a part of the message */
    void (*apply)(Fusion *f);
} Breakage;

#define BREAK(NAME, ...)                                                                           \
    static void break_##NAME(Fusion *f)                                                            \
    {                                                                                              \
        FuseGroup *g = f->groups.at;                                                               \
        (void)g;                                                                                   \
        __VA_ARGS__                                                                                \
    }
BREAK(order, FuseGroup t = g[0]; g[0] = g[1]; g[1] = t;)
BREAK(in_none, g[1].in = NODE_NONE;)
BREAK(in_inside, g[1].in = (NodeId){3};)
BREAK(in_far, g[1].in = (NodeId){1000};)
BREAK(in_alias, g[3].in = (NodeId){11};)
BREAK(no_result, g[2].result = NODE_NONE;)
BREAK(result_far, g[2].result = (NodeId){12};)
BREAK(anchor_late, g[2].anchor = (NodeId){10};)
BREAK(gate, g[2].gate = (NodeId){5};)
BREAK(joined, f->groups.at[3].in = (NodeId){4}; g[2].result = (NodeId){8};)
BREAK(operand, g[2].operands.at[0].node = (NodeId){7};)
BREAK(operand_none, g[2].operands.at[0].node = NODE_NONE;)
BREAK(channel_none, g[2].operands.at[0] = (FuseOperand){.kind = OPERAND_CHANNEL};)
BREAK(operands, for (int i = 0; i < FUSE_MAX_OPERANDS; i++)
                    vec_push(f->arena, &g[2].operands, g[2].operands.at[0]);)
BREAK(argument, g[0].root = expr_arg(&f->exprs, 1);)
BREAK(root_far, g[0].root = (ExprId){f->exprs.nodes.len};)
BREAK(fold, g[0].fold_bn = (NodeId){4};)
BREAK(fold_nothing, g[0].anchor = NODE_NONE;)
BREAK(last, f->groups.len--;)

static const Breakage breakages[] = {
    {"group 0 (%6) reads a value", break_order},
    {"group 1 (%6) reads a value", break_in_none},
    {"group 1 (%6) reads a value", break_in_inside},
    {"group 1 (%6) reads a value", break_in_far},
    {"group 3 (%10) reads a value", break_in_alias},
    {"group 2 (%0) has no valid result", break_no_result},
    {"group 2 (%12) has no valid result", break_result_far},
    {"group 2 (%9) has no valid result", break_anchor_late},
    {"group 2 (%9) has a gate", break_gate},
    {"group 3 (%10) joins a value", break_joined},
    {"group 2 (%9) has an operand", break_operand},
    {"group 2 (%9) has an operand", break_operand_none},
    {"group 2 (%9) has an operand", break_channel_none},
    {"group 2 (%9) has too many operands", break_operands},
    {"group 0 (%4) has an expression", break_argument},
    {"group 0 (%4) has an expression", break_root_far},
    {"group 0 (%4) folds something", break_fold},
    {"group 0 (%4) folds something", break_fold_nothing},
    {"head 'y' is not stored", break_last},
};

static void test_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof breakages / sizeof *breakages; i++) {
        Fused z;
        fuse_text(&z, breakable);
        assert_int_equal(z.f.groups.len, 4);
        assert_null(fuse_verify(&z.f));
        breakages[i].apply(&z.f);
        const char *got = fuse_verify(&z.f);
        if (!got || !strstr(got, breakages[i].want))
            fail_msg("%zu: got %s, want %s", i, got ? got : "nothing", breakages[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_epilogues), WITH_ARENA(test_uses), WITH_ARENA(test_merges),
        WITH_ARENA(test_gates),     WITH_ARENA(test_nets), WITH_ARENA(test_random_graphs),
        WITH_ARENA(test_broken),
    };
    return cmocka_run_group_tests_name("fuse", tests, NULL, NULL);
}
