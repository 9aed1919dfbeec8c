/* The reference implementation: every operator against values worked out by hand, the windowed ones
 * against formulas of another form too, and the graph interpreter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ref/ref.h"
#include "rng.h"

enum { VALUES_MAX = 32 };

/* A graph of a few lines. The first nodes are its inputs, whose values stand one after the other,
 * the last is its output. The parameters of all nodes stand one after the other too. */
typedef struct Case {
    Op op;
    const char *nodes;
    uint32_t inputs;
    int64_t batch;
    float in[VALUES_MAX], param[VALUES_MAX];
    int count; /* of the values wanted */
    double want[VALUES_MAX];
} Case;

#define V(...)                                                                                     \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define IN(C, H, W) "%1 = input() c=" #C " h=" #H " w=" #W " : \"x\"\n"
#define SECOND(C, H, W) "%2 = input() c=" #C " h=" #H " w=" #W " : \"y\"\n"
#define THIRD(C, H, W) "%3 = input() c=" #C " h=" #H " w=" #W " : \"z\"\n"
#define N ": \"n\"\n"
#define UNARY(ID, LINE, COUNT, X, Y)                                                               \
    {                                                                                              \
        OP_##ID, IN(1, 1, COUNT) "%2 = " LINE N, 1, 1, X, V(0), COUNT, Y                           \
    }

static const Case cases[] = {
    {OP_INPUT, IN(2, 1, 2), 1, 1, V(1, 2, 3, 4), V(0), 4, V(1, 2, 3, 4)},
    {OP_CONV, IN(1, 3, 3) "%2 = conv(%1) c=1 k=2x2 pad=0,0,0,0 " N, 1, 1,
     V(1, 2, 3, 4, 5, 6, 7, 8, 9), V(1, 2, 3, 4, 10), 4, V(47, 57, 77, 87)},
    /* the padding that is the default: half the kernel on all sides */
    {OP_CONV, IN(1, 3, 3) "%2 = conv(%1) c=1 k=3x3 stride=2x2 bias=false " N, 1, 1,
     V(1, 2, 3, 4, 5, 6, 7, 8, 9), V(1, 1, 1, 1, 1, 1, 1, 1, 1), 4, V(12, 16, 24, 28)},
    {OP_CONV, IN(2, 1, 2) "%2 = conv(%1) c=2 k=1x1 groups=2 bias=false " N, 1, 1, V(1, 2, 3, 4),
     V(2, 3), 4, V(2, 4, 9, 12)},
    {OP_CONV, IN(4, 1, 1) "%2 = conv(%1) c=2 k=1x1 groups=2 bias=false " N, 1, 1, V(1, 2, 3, 4),
     V(1, 10, 100, 1000), 2, V(21, 4300)},
    {OP_CONV, IN(1, 1, 4) "%2 = conv(%1) c=1 k=1x2 dilation=1x2 pad=0,0,0,0 bias=false " N, 1, 1,
     V(1, 2, 3, 4), V(1, 10), 2, V(31, 42)},
    {OP_CONV, IN(1, 1, 3) "%2 = conv(%1) c=1 k=1x2 pad=same_upper bias=false " N, 1, 1, V(1, 2, 3),
     V(1, 10), 3, V(21, 32, 3)},
    {OP_CONV, IN(1, 2, 1) "%2 = conv(%1) c=1 k=2x1 pad=1,0,0,0 bias=false " N, 1, 1, V(1, 2),
     V(1, 10), 2, V(10, 21)},
    {OP_CONVT, IN(1, 2, 2) "%2 = convt(%1) c=1 k=2x2 stride=2x2 " N, 1, 1, V(1, 2, 3, 4),
     V(1, 2, 3, 4, 0.5), 16,
     V(1.5, 2.5, 2.5, 4.5, 3.5, 4.5, 6.5, 8.5, 3.5, 6.5, 4.5, 8.5, 9.5, 12.5, 12.5, 16.5)},
    {OP_CONVT, IN(1, 1, 2) "%2 = convt(%1) c=1 k=1x3 stride=1x2 pad=0,0,1,1 bias=false " N, 1, 1,
     V(1, 10), V(1, 2, 3), 3, V(2, 13, 20)},
    {OP_CONVT, IN(2, 1, 1) "%2 = convt(%1) c=2 k=1x1 bias=false " N, 1, 1, V(1, 2),
     V(1, 10, 100, 1000), 2, V(201, 2010)},
    {OP_CONVT, IN(4, 1, 1) "%2 = convt(%1) c=2 k=1x1 groups=2 bias=false " N, 1, 1, V(1, 2, 3, 4),
     V(1, 10, 100, 1000), 2, V(21, 4300)},
    {OP_DENSE, IN(2, 1, 2) "%2 = flatten(%1) : \"f\"\n%3 = dense(%2) c=2 " N, 1, 1, V(1, 2, 3, 4),
     V(1, 0, 0, 0, 1, 1, 1, 1, 0.5, -1), 2, V(1.5, 9)},
    {OP_DENSE, IN(2, 1, 2) "%2 = dense(%1) c=1 bias=false " N, 1, 1, V(1, 2, 3, 4), V(1, 10), 2,
     V(31, 42)},
    {OP_MAXPOOL, IN(1, 3, 3) "%2 = maxpool(%1) k=2x2 ceil_mode=true " N, 1, 1,
     V(1, 2, 3, 4, 5, 6, 7, 8, 9), V(0), 4, V(5, 6, 8, 9)},
    {OP_MAXPOOL, IN(1, 3, 3) "%2 = maxpool(%1) k=2x2 " N, 1, 1, V(1, 2, 3, 4, 5, 6, 7, 8, 9), V(0),
     1, V(5)},
    /* padding is less than any value, not zero */
    {OP_MAXPOOL, IN(1, 2, 2) "%2 = maxpool(%1) k=3x3 stride=2x2 pad=same " N, 1, 1,
     V(-1, -2, -3, -4), V(0), 1, V(-1)},
    {OP_MAXPOOL, IN(1, 1, 4) "%2 = maxpool(%1) k=1x2 stride=1x1 dilation=1x2 " N, 1, 1,
     V(1, 5, 3, 2), V(0), 2, V(3, 5)},
    {OP_AVGPOOL, IN(1, 2, 2) "%2 = avgpool(%1) k=2x2 pad=1,1,1,1 " N, 1, 1, V(1, 2, 3, 4), V(0), 4,
     V(0.25, 0.5, 0.75, 1)},
    {OP_AVGPOOL, IN(1, 2, 2) "%2 = avgpool(%1) k=2x2 pad=1,1,1,1 count_include_pad=false " N, 1, 1,
     V(1, 2, 3, 4), V(0), 4, V(1, 2, 3, 4)},
    {OP_AVGPOOL, IN(1, 3, 3) "%2 = avgpool(%1) k=2x2 ceil_mode=true " N, 1, 1,
     V(1, 2, 3, 4, 5, 6, 7, 8, 9), V(0), 4, V(3, 4.5, 7.5, 9)},
    /* the last window has a value, a padding and an overhang, which is not counted */
    {OP_AVGPOOL, IN(1, 1, 4) "%2 = avgpool(%1) k=1x3 stride=1x2 pad=0,0,1,1 ceil_mode=true " N, 1,
     1, V(1, 2, 3, 4), V(0), 3, V(1, 3, 2)},
    {OP_AVGPOOL, IN(1, 1, 4) "%2 = avgpool(%1) k=1x3 stride=1x3 pad=0,0,1,0 ceil_mode=true " N, 1,
     1, V(1, 2, 3, 4), V(0), 2, V(1, 3.5)},
    {OP_GAP, IN(2, 2, 2) "%2 = gap(%1) " N, 1, 1, V(1, 2, 3, 4, 5, 6, 7, 12), V(0), 2, V(2.5, 7.5)},
    {OP_ADAPTIVE_AVGPOOL, IN(1, 1, 5) "%2 = adaptive_avgpool(%1) k=1x2 " N, 1, 1, V(1, 2, 3, 4, 5),
     V(0), 2, V(2, 4)},
    {OP_ADAPTIVE_AVGPOOL, IN(1, 1, 2) "%2 = adaptive_avgpool(%1) k=1x3 " N, 1, 1, V(2, 4), V(0), 3,
     V(2, 3, 4)},
    {OP_BN, IN(2, 1, 1) "%2 = bn(%1) eps=0.5 " N, 1, 2, V(3, 6, 1, 10),
     V(2, 3, 1, -1, 1, 2, 3.5, 15.5), 4, V(3, 2, 1, 5)},
    {OP_BN, IN(1, 1, 2) "%2 = bn(%1) eps=0.5 scale=false " N, 1, 1, V(3, -1), V(1, 1, 3.5), 2,
     V(2, 0)},
    {OP_LN, IN(2, 1, 2) "%2 = ln(%1) eps=3 " N, 1, 1, V(1, 5, 3, 5), V(2, 4, 1, 0), 4,
     V(0, 1, 2, 0)},
    {OP_LRN, IN(3, 1, 1) "%2 = lrn(%1) size=3 alpha=3 beta=1 " N, 1, 1, V(1, 2, 3), V(0), 3,
     V(1.0 / 6, 2.0 / 15, 3.0 / 14)},
    /* an even size reaches further down than up */
    {OP_LRN, IN(3, 1, 1) "%2 = lrn(%1) size=2 alpha=2 beta=1 " N, 1, 1, V(1, 2, 3), V(0), 3,
     V(0.5, 1.0 / 3, 3.0 / 14)},
    {OP_LRN, IN(1, 1, 2) "%2 = lrn(%1) size=1 alpha=3 beta=0.5 k=6 " N, 1, 1, V(1, 0), V(0), 2,
     V(1.0 / 3, 0)},
    UNARY(RELU, "relu(%1) ", 3, V(-1, 0, 2), V(0, 0, 2)),
    UNARY(RELU6, "relu6(%1) ", 3, V(-1, 3, 7), V(0, 3, 6)),
    UNARY(LEAKY, "leaky(%1) slope=0.25 ", 3, V(-4, 0, 2), V(-1, 0, 2)),
    UNARY(LEAKY, "leaky(%1) ", 2, V(-100, 100), V(-1, 100)),
    UNARY(SILU, "silu(%1) ", 3, V(0, 1, -2), V(0, 0.7310585786300049, -0.2384058440442351)),
    UNARY(HSWISH, "hswish(%1) ", 6, V(-4, -3, 0, 1, 3, 4), V(0, 0, 0, 2.0 / 3, 3, 4)),
    UNARY(HSIGMOID, "hsigmoid(%1) ", 4, V(-4, 0, 1, 4), V(0, 0.5, 2.0 / 3, 1)),
    UNARY(GELU, "gelu(%1) ", 3, V(0, 1, -2), V(0, 0.8413447460685429, -0.0455002638963584)),
    UNARY(SIGMOID, "sigmoid(%1) ", 3, V(0, 1, -2), V(0.5, 0.7310585786300049, 0.1192029220221176)),
    UNARY(TANH, "tanh(%1) ", 3, V(0, 1, -0.5), V(0, 0.7615941559557649, -0.4621171572600098)),
    UNARY(SCALE, "scale(%1) by=-2 ", 3, V(0, 1, -2), V(0, -2, 4)),
    /* per position, over the channels; large values do not overflow */
    {OP_SOFTMAX, IN(3, 1, 2) "%2 = softmax(%1) " N, 1, 1, V(1000, 7, 1001, 7, 1002, 7), V(0), 6,
     V(0.0900305731703805, 1.0 / 3, 0.2447284710547977, 1.0 / 3, 0.6652409557748219, 1.0 / 3)},
    {OP_ADD, IN(2, 1, 2) SECOND(2, 1, 2) THIRD(2, 1, 2) "%4 = add(%1, %2, %3) " N, 3, 1,
     V(1, 2, 3, 4, 10, 20, 30, 40, 100, 200, 300, 400), V(0), 4, V(111, 222, 333, 444)},
    {OP_ADD, IN(2, 1, 1) SECOND(2, 1, 2) "%3 = add(%1, %2) " N, 2, 2,
     V(1, 2, 3, 4, 10, 20, 30, 40, 50, 60, 70, 80), V(0), 8, V(11, 21, 32, 42, 53, 63, 74, 84)},
    {OP_MUL, IN(2, 1, 2) SECOND(2, 1, 1) "%3 = mul(%1, %2) " N, 2, 1, V(1, 2, 3, 4, 10, 100), V(0),
     4, V(10, 20, 300, 400)},
    {OP_MUL, IN(1, 1, 2) "%2 = mul(%1, %1, %1) " N, 1, 1, V(2, -3), V(0), 2, V(8, -27)},
    {OP_LAYER_SCALE, IN(2, 1, 2) "%2 = layer_scale(%1) " N, 1, 1, V(1, 2, 3, 4), V(2, 3), 4,
     V(2, 4, 9, 12)},
    {OP_CONCAT, IN(1, 1, 1) SECOND(2, 1, 1) "%3 = concat(%1, %2) " N, 2, 2, V(1, 2, 3, 4, 5, 6),
     V(0), 6, V(1, 3, 4, 2, 5, 6)},
    {OP_SLICE, IN(3, 1, 1) "%2 = slice(%1) from=1 to=3 " N, 1, 2, V(1, 2, 3, 4, 5, 6), V(0), 4,
     V(2, 3, 5, 6)},
    {OP_ZEROPAD, IN(1, 1, 1) "%2 = zeropad(%1) top=1 left=2 right=1 " N, 1, 1, V(5), V(0), 8,
     V(0, 0, 0, 0, 0, 0, 5, 0)},
    {OP_CROP, IN(1, 3, 3) "%2 = crop(%1) top=1 right=1 " N, 1, 1, V(1, 2, 3, 4, 5, 6, 7, 8, 9),
     V(0), 4, V(4, 5, 7, 8)},
    {OP_CROP, IN(1, 3, 3) "%2 = crop(%1) bottom=2 left=1 " N, 1, 1, V(1, 2, 3, 4, 5, 6, 7, 8, 9),
     V(0), 2, V(2, 3)},
    {OP_UPSAMPLE, IN(1, 1, 2) "%2 = upsample(%1) by=2x3 " N, 1, 1, V(1, 2), V(0), 12,
     V(1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2)},
    /* half-pixel centres: weights 0, 1/4, 3/4, 1 of the second value */
    {OP_UPSAMPLE, IN(1, 2, 2) "%2 = upsample(%1) by=2x2 bilinear=true " N, 1, 1, V(0, 4, 8, 12),
     V(0), 16, V(0, 1, 3, 4, 2, 3, 5, 6, 6, 7, 9, 10, 8, 9, 11, 12)},
    {OP_SPACE_TO_DEPTH, IN(1, 2, 4) "%2 = space_to_depth(%1) by=2 " N, 1, 1,
     V(1, 2, 3, 4, 5, 6, 7, 8), V(0), 8, V(1, 3, 2, 4, 5, 7, 6, 8)},
    {OP_SHUFFLE, IN(6, 1, 1) "%2 = shuffle(%1) groups=2 " N, 1, 1, V(1, 2, 3, 4, 5, 6), V(0), 6,
     V(1, 4, 2, 5, 3, 6)},
    {OP_FLATTEN, IN(2, 1, 2) "%2 = flatten(%1) " N, 1, 1, V(1, 2, 3, 4), V(0), 4, V(1, 2, 3, 4)},
    UNARY(DROPOUT, "dropout(%1) p=0.9 ", 3, V(1, 2, 3), V(1, 2, 3)),
    UNARY(DROP_PATH, "drop_path(%1) p=0.9 ", 3, V(1, 2, 3), V(1, 2, 3)),
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* ---- running a graph given as text ---- */

typedef struct Net {
    OomHandler oom;
    Arena arena;
    Graph g;
    Shape *shape;
} Net;

static void net_open(Net *net, const char *nodes, uint32_t inputs)
{
    char text[2048];
    uint32_t lines = 0;
    for (const char *s = nodes; *s != 0; s++)
        lines += *s == '\n';
    int len = snprintf(text, sizeof text, "graph \"t\"\n%s", nodes);
    for (uint32_t i = 1; i <= inputs; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "in \"i%u\" %%%u\n", i, i);
    len +=
        snprintf(text + len, sizeof text - (size_t)len, "out \"o\" %%%u from %%1 primary\n", lines);
    arena_init(&net->arena, &net->oom, 0);
    const char *err = graph_read(&net->g, &net->arena, text, (size_t)len);
    if (err != NULL)
        fail_msg("%s\n%s", err, text);
    NodeId at;
    ShapeError bad;
    if (!shape_all(&net->g, &net->arena, &net->shape, &at, &bad))
        fail_msg("%s\n%s", bad.text, text);
}

static Shape net_result(const Net *net)
{
    return net->shape[net->g.outs.at[0].node.v];
}

/* Hands out parameters from one array in the order they are asked for. */
typedef struct Params {
    const float *next;
    int asked;
    const char *missing; /* a name to refuse */
} Params;

static const float *next_param(void *ctx, const char *name, const ParamSpec *spec)
{
    Params *p = ctx;
    p->asked++;
    if (p->missing != NULL && strcmp(name, p->missing) == 0)
        return NULL;
    const float *at = p->next;
    p->next += param_count(spec);
    return at;
}

static double *net_run(Net *net, int64_t batch, const float *in, Params *p)
{
    const float *ins[4];
    double *out[4];
    const char *err = NULL;
    for (uint32_t i = 0; i < net->g.ins.len; i++) {
        ins[i] = in;
        in += batch * shape_count(net->shape[net->g.ins.at[i].node.v]);
    }
    RefRun r = {
        .g = &net->g, .shape = net->shape, .params = {.get = next_param, .ctx = p}, .batch = batch};
    if (!ref_run(&r, ins, out, &err))
        fail_msg("%s", err);
    return out[0];
}

static void expect_values(const double *got, const double *want, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= 1e-13 * fmax(1, fabs(want[i]))))
            fail_msg("%s value %lld: %.17g, expected %.17g", what, (long long)i, got[i], want[i]);
}

static void test_hand_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        const Case *c = &cases[i];
        Net net;
        net_open(&net, c->nodes, c->inputs);
        assert_int_equal(net.g.nodes.at[net.g.nodes.len - 1].op, c->op);
        assert_int_equal(c->batch * shape_count(net_result(&net)), c->count);
        Params p = {.next = c->param};
        double *out = net_run(&net, c->batch, c->in, &p);
        expect_values(out, c->want, c->count, c->nodes);
        free(out);
        arena_free(&net.arena);
    }
}

static void test_every_operator_has_a_case(void **state)
{
    (void)state;
    for (int op = OP_NONE + 1; op < OP_COUNT; op++) {
        /* those of training graphs: test_grad.c */
        int found = (op_info[op].flags & OPF_INTERNAL) != 0;
        for (size_t i = 0; i < CASES; i++)
            found += (int)cases[i].op == op;
        if (found == 0)
            fail_msg("no case for %s", op_info[op].name);
    }
}

/* A NaN must not be lost on the way: compiled code that makes one is to be found out. */
static void test_nan_stays(void **state)
{
    (void)state;
    static const char *const line[] = {
        "relu(%1) ",   "relu6(%1) ",      "leaky(%1) ",         "silu(%1) ",
        "hswish(%1) ", "hsigmoid(%1) ",   "gelu(%1) ",          "sigmoid(%1) ",
        "tanh(%1) ",   "scale(%1) by=0 ", "maxpool(%1) k=1x2 ", "avgpool(%1) k=1x2 ",
        "gap(%1) ",    "softmax(%1) ",    "add(%1, %1) ",       "mul(%1, %1) "};
    for (size_t i = 0; i < sizeof line / sizeof line[0]; i++) {
        char nodes[256];
        snprintf(nodes, sizeof nodes, "%s%%2 = %s" N, IN(1, 1, 2), line[i]);
        Net net;
        net_open(&net, nodes, 1);
        const float in[2] = {NAN, 1};
        double *out = net_run(&net, 1, in, &(Params){0});
        if (!isnan(out[0]))
            fail_msg("%s gives %g", line[i], out[0]);
        free(out);
        arena_free(&net.arena);
    }
}

/* ---- windows against formulas of another form ---- */

static float *random_values(const char *name, int64_t n)
{
    float *v = malloc((size_t)n * sizeof *v);
    assert_non_null(v);
    uint64_t key = rng_key(name, 7);
    for (int64_t i = 0; i < n; i++)
        v[i] = 2 * rng_uniform(key, (uint64_t)i) - 1;
    return v;
}

typedef struct ConvCase {
    int64_t batch, ic, ih, iw, oc, kh, kw, sh, sw, dh, dw, top, bottom, left, right, groups;
} ConvCase;

static const ConvCase conv_cases[] = {
    {2, 4, 9, 7, 6, 3, 2, 2, 1, 1, 2, 1, 0, 2, 1, 2}, /* everything uneven */
    {1, 3, 17, 13, 8, 5, 5, 3, 2, 2, 1, 4, 4, 0, 3, 1},
    {1, 6, 5, 5, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 6},     /* depthwise */
    {2, 8, 6, 5, 4, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2},     /* the map as one row */
    {2, 8, 1, 1, 4, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2},     /* a single value */
    {1, 2, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},     /* padding around a 1x1 kernel */
    {1, 2, 2, 2, 3, 7, 7, 1, 1, 1, 1, 5, 4, 3, 6, 1},     /* windows mostly in the padding */
    {1, 2, 5, 5, 2, 1, 1, 3, 3, 1, 1, 0, 0, 0, 0, 1},     /* stride larger than the kernel */
    {1, 32, 40, 40, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, /* work for several threads */
};

/* One value by the definition, read from a map that is zero outside. */
static double conv_value_by_definition(const ConvCase *k, const float *in, const float *weight,
                                       int64_t n, int64_t o, int64_t y, int64_t x)
{
    int64_t per = k->ic / k->groups, group = o * k->groups / k->oc;
    double sum = 0;
    for (int64_t ky = 0; ky < k->kh; ky++)
        for (int64_t kx = 0; kx < k->kw; kx++)
            for (int64_t i = 0; i < per; i++) {
                int64_t r = y * k->sh + ky * k->dh - k->top, q = x * k->sw + kx * k->dw - k->left;
                double v = r < 0 || q < 0 || r >= k->ih || q >= k->iw
                               ? 0
                               : in[((n * k->ic + group * per + i) * k->ih + r) * k->iw + q];
                sum += v * weight[((o * per + i) * k->kh + ky) * k->kw + kx];
            }
    return sum;
}

static void conv_net(Net *net, const ConvCase *k)
{
    char nodes[512];
    snprintf(nodes, sizeof nodes,
             "%%1 = input() c=%d h=%d w=%d : \"x\"\n%%2 = conv(%%1) c=%d k=%dx%d stride=%dx%d "
             "dilation=%dx%d pad=%d,%d,%d,%d groups=%d " N,
             (int)k->ic, (int)k->ih, (int)k->iw, (int)k->oc, (int)k->kh, (int)k->kw, (int)k->sh,
             (int)k->sw, (int)k->dh, (int)k->dw, (int)k->top, (int)k->bottom, (int)k->left,
             (int)k->right, (int)k->groups);
    net_open(net, nodes, 1);
}

static void test_conv_by_definition(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof conv_cases / sizeof conv_cases[0]; i++) {
        const ConvCase *k = &conv_cases[i];
        Net net;
        conv_net(&net, k);
        Shape s = net_result(&net);
        int64_t weights = k->oc * k->ic / k->groups * k->kh * k->kw;
        float *in = random_values("in", k->batch * k->ic * k->ih * k->iw);
        float *param = random_values("param", weights + k->oc);
        double *out = net_run(&net, k->batch, in, &(Params){.next = param}), *at = out;
        for (int64_t n = 0; n < k->batch; n++)
            for (int64_t o = 0; o < s.c; o++)
                for (int64_t p = 0; p < s.h * s.w; p++) {
                    double want = param[weights + o] +
                                  conv_value_by_definition(k, in, param, n, o, p / s.w, p % s.w);
                    if (fabs(*at - want) > 1e-12)
                        fail_msg("conv case %d: %g, expected %g", (int)i, *at, want);
                    at++;
                }
        free(out);
        free(in);
        free(param);
        arena_free(&net.arena);
    }
}

/* The transpose A' of a linear map A is defined by <A x, y> = <x, A' y>. */
static void test_convt_is_the_transpose(void **state)
{
    (void)state;
    static const ConvCase list[] = {
        {2, 4, 9, 7, 6, 3, 2, 2, 3, 1, 1, 1, 1, 1, 0, 2},
        {1, 3, 8, 8, 5, 4, 4, 2, 2, 1, 1, 1, 1, 1, 1, 1},
        {1, 4, 7, 5, 4, 3, 3, 1, 1, 1, 1, 2, 0, 1, 1, 4},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        const ConvCase *k = &list[i];
        Net conv, convt;
        conv_net(&conv, k);
        Shape s = net_result(&conv);
        char nodes[512];
        snprintf(nodes, sizeof nodes,
                 "%%1 = input() c=%d h=%d w=%d : \"x\"\n%%2 = convt(%%1) c=%d k=%dx%d "
                 "stride=%dx%d pad=%d,%d,%d,%d groups=%d bias=false " N,
                 (int)s.c, (int)s.h, (int)s.w, (int)k->ic, (int)k->kh, (int)k->kw, (int)k->sh,
                 (int)k->sw, (int)k->top, (int)k->bottom, (int)k->left, (int)k->right,
                 (int)k->groups);
        net_open(&convt, nodes, 1);
        assert_true(shape_equal(net_result(&convt), conv.shape[1]));
        int64_t nx = k->batch * shape_count(conv.shape[1]), ny = k->batch * shape_count(s);
        int64_t weights = k->oc * k->ic / k->groups * k->kh * k->kw;
        float *x = random_values("x", nx), *y = random_values("y", ny);
        float *param = random_values("w", weights + k->oc);
        memset(param + weights, 0, (size_t)k->oc * sizeof *param);
        double *ax = net_run(&conv, k->batch, x, &(Params){.next = param});
        double *aty = net_run(&convt, k->batch, y, &(Params){.next = param});
        double left = 0, right = 0, size = 0;
        for (int64_t j = 0; j < ny; j++)
            left += ax[j] * y[j];
        for (int64_t j = 0; j < nx; j++) {
            right += x[j] * aty[j];
            size += fabs(x[j] * aty[j]);
        }
        assert_true(size > 1 && fabs(left - right) < 1e-12 * size);
        free(ax);
        free(aty);
        free(x);
        free(y);
        free(param);
        arena_free(&conv.arena);
        arena_free(&convt.arena);
    }
}

/* A mean over a window is a depthwise convolution with equal weights; without the padding, that
 * divided by the same convolution of ones. */
static void test_avgpool_is_a_convolution(void **state)
{
    (void)state;
    static const ConvCase k = {2, 3, 8, 7, 3, 3, 4, 2, 1, 1, 1, 0, 1, 2, 1, 3};
    Net conv, pool[2];
    conv_net(&conv, &k);
    for (int i = 0; i < 2; i++)
        net_open(&pool[i],
                 i ? IN(3, 8, 7) "%2 = avgpool(%1) k=3x4 stride=2x1 pad=0,1,2,1 " N
                   : IN(3, 8, 7) "%2 = avgpool(%1) k=3x4 stride=2x1 pad=0,1,2,1 "
                                 "count_include_pad=false " N,
                 1);
    float param[3 * 12 + 3] = {0};
    for (int i = 0; i < 3 * 12; i++)
        param[i] = 1;
    int64_t nx = 2 * 3 * 8 * 7, ny = 2 * shape_count(net_result(&conv));
    float *x = random_values("x", nx), *ones = random_values("x", nx);
    for (int64_t i = 0; i < nx; i++)
        ones[i] = 1;
    double *sum = net_run(&conv, 2, x, &(Params){.next = param});
    double *count = net_run(&conv, 2, ones, &(Params){.next = param});
    double *inside = net_run(&pool[0], 2, x, &(Params){0});
    double *all = net_run(&pool[1], 2, x, &(Params){0});
    for (int64_t i = 0; i < ny; i++) {
        assert_true(fabs(all[i] - sum[i] / 12) < 1e-14);
        assert_true(fabs(inside[i] - sum[i] / count[i]) < 1e-14);
    }
    double *results[] = {sum, count, inside, all};
    for (int i = 0; i < 4; i++)
        free(results[i]);
    free(x);
    free(ones);
    arena_free(&conv.arena);
    arena_free(&pool[0].arena);
    arena_free(&pool[1].arena);
}

/* ---- graphs ---- */

static const char residual[] = "%1 = input() c=2 h=4 w=4 : \"x\"\n"
                               "%2 = conv(%1) c=2 k=3x3 : \"c1\"\n"
                               "%3 = relu(%2) : \"r1\"\n"
                               "%4 = conv(%1) c=7 k=1x1 : \"unused\"\n"
                               "%5 = gap(%3) : \"g\"\n"
                               "%6 = sigmoid(%5) : \"s\"\n"
                               "%7 = mul(%3, %6) : \"m\"\n"
                               "%8 = add(%7, %1) : \"a\"\n"
                               "%9 = flatten(%8) : \"f\"\n"
                               "%10 = dense(%9) c=3 : \"d\"\n";
enum { RESIDUAL_PARAMS = 2 * 2 * 9 + 2 + 3 * 32 + 3 };

/* The same net written out for one image. */
static void residual_by_hand(const float *x, const float *p, double out[3])
{
    static const ConvCase k = {1, 2, 4, 4, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    double m[32];
    for (int c = 0; c < 2; c++) {
        double mean = 0;
        for (int i = 0; i < 16; i++) {
            double v = p[36 + c] + conv_value_by_definition(&k, x, p, 0, c, i / 4, i % 4);
            m[c * 16 + i] = v > 0 ? v : 0;
            mean += m[c * 16 + i] / 16;
        }
        for (int i = 0; i < 16; i++)
            m[c * 16 + i] = m[c * 16 + i] / (1 + exp(-mean)) + x[c * 16 + i];
    }
    for (int o = 0; o < 3; o++) {
        out[o] = p[38 + 96 + o];
        for (int i = 0; i < 32; i++)
            out[o] += p[38 + o * 32 + i] * m[i];
    }
}

/* Two images give what each gives alone, and nodes no output needs ask for no parameters. */
static void test_residual_net(void **state)
{
    (void)state;
    Net net;
    net_open(&net, residual, 1);
    float *x = random_values("x", 2 * 32), *param = random_values("p", RESIDUAL_PARAMS);
    Params p = {.next = param};
    double *out = net_run(&net, 2, x, &p), want[6];
    residual_by_hand(x, param, want);
    residual_by_hand(x + 32, param, want + 3);
    expect_values(out, want, 6, "residual");
    assert_int_equal(p.asked, 4);
    assert_int_equal(p.next - param, RESIDUAL_PARAMS);
    free(out);
    free(x);
    free(param);
    arena_free(&net.arena);
}

typedef struct Seen {
    uint32_t count, last, stop_at;
    bool in_order;
} Seen;

static bool see(void *ctx, NodeId n, const RefTensor *value)
{
    Seen *s = ctx;
    s->in_order = s->in_order && n.v > s->last && value->data != NULL && value->shape.c > 0;
    s->last = n.v;
    s->count++;
    return n.v != s->stop_at;
}

static void test_progress_and_stop(void **state)
{
    (void)state;
    Net net;
    net_open(&net, residual, 1);
    float *x = random_values("x", 32), *param = random_values("p", RESIDUAL_PARAMS);
    const float *ins[] = {x};
    for (uint32_t stop = 0; stop <= 10; stop++) {
        Params p = {.next = param};
        Seen seen = {.in_order = true, .stop_at = stop};
        RefRun r = {.g = &net.g,
                    .shape = net.shape,
                    .params = {.get = next_param, .ctx = &p},
                    .batch = 1,
                    .after = see,
                    .after_ctx = &seen};
        double *out[1];
        const char *err = NULL;
        bool stops = stop != 0 && stop != 4; /* node 4 is not run */
        assert_int_equal(ref_run(&r, ins, out, &err), !stops);
        assert_true(seen.in_order);
        assert_int_equal(seen.count, !stops ? 9 : stop < 4 ? stop : stop - 1);
        assert_int_equal(out[0] == NULL, stops);
        assert_int_equal(err != NULL, stops);
        free(out[0]);
    }
    free(x);
    free(param);
    arena_free(&net.arena);
}

static void expect_failure(Net *net, const float *const *ins, Params *p, int64_t batch,
                           const char *want)
{
    RefRun r = {
        .g = &net->g, .shape = net->shape, .params = {.get = next_param, .ctx = p}, .batch = batch};
    double *out[1] = {(double *)1};
    const char *err = "";
    assert_false(ref_run(&r, ins, out, &err));
    assert_null(out[0]);
    if (strstr(err, want) == NULL)
        fail_msg("'%s' does not mention '%s'", err, want);
}

static void test_what_is_missing_is_named(void **state)
{
    (void)state;
    Net net;
    net_open(&net, residual, 1);
    float *x = random_values("x", 32), *param = random_values("p", RESIDUAL_PARAMS);
    static const char *const names[] = {"c1.weight", "c1.bias", "d.weight", "d.bias"};
    for (int i = 0; i < 4; i++)
        expect_failure(&net, (const float *const[]){x}, &(Params){param, 0, names[i]}, 1, names[i]);
    expect_failure(&net, (const float *const[]){NULL}, &(Params){.next = param}, 1, "x is missing");
    /* sizes are checked, not wrapped around */
    expect_failure(&net, (const float *const[]){x}, &(Params){.next = param}, INT64_MAX / 16,
                   "memory");
    free(x);
    free(param);
    arena_free(&net.arena);
}

/* A node may be the output several times, be read later on, and be an input. */
static void test_outputs_share_nodes(void **state)
{
    (void)state;
    static const char text[] =
        "graph \"t\"\n" IN(1, 1, 2) "%2 = scale(%1) by=3 : \"s\"\n"
                                    "%3 = add(%2, %2, %1) : \"a\"\nin \"x\" %1\n"
                                    "out \"p\" %2 from %1\nout \"q\" %3 from %1 primary\n"
                                    "out \"r\" %2 from %1\nout \"s\" %1 from %1\n";
    static const double want[4][2] = {{3, 6}, {7, 14}, {3, 6}, {1, 2}};
    Net net;
    arena_init(&net.arena, &net.oom, 0);
    const char *err = graph_read(&net.g, &net.arena, text, sizeof text - 1);
    assert_null(err);
    NodeId at;
    ShapeError bad;
    assert_true(shape_all(&net.g, &net.arena, &net.shape, &at, &bad));
    const float x[] = {1, 2}, *ins[] = {x};
    double *out[4];
    RefRun r = {.g = &net.g, .shape = net.shape, .params = {.get = next_param}, .batch = 1};
    assert_true(ref_run(&r, ins, out, &err));
    for (int i = 0; i < 4; i++) {
        expect_values(out[i], want[i], 2, "output");
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(out[i], out[j]);
    }
    for (int i = 0; i < 4; i++)
        free(out[i]);
    arena_free(&net.arena);
}

/* One operator by itself, as tests of other implementations call it. */
static void test_single_operator(void **state)
{
    (void)state;
    Net net;
    net_open(&net, IN(2, 1, 1) "%2 = layer_scale(%1) " N, 1);
    double values[] = {5, 7};
    RefTensor in = {net.shape[1], values}, out;
    const float gamma[] = {2, 0.5}, *params[] = {gamma};
    assert_true(ref_op(&net.g, (NodeId){2}, net.shape, &in, params, 1, &out));
    assert_true(shape_equal(out.shape, net.shape[2]));
    expect_values(out.data, (double[]){10, 3.5}, 2, "layer_scale");
    free(out.data);
    assert_true(ref_op(&net.g, (NodeId){1}, net.shape, &in, NULL, 1, &out));
    expect_values(out.data, values, 2, "input");
    free(out.data);
    assert_false(ref_op(&net.g, (NodeId){2}, net.shape, &in, params, INT64_MAX / 8, &out));
    assert_null(out.data);
    arena_free(&net.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_values),
        cmocka_unit_test(test_every_operator_has_a_case),
        cmocka_unit_test(test_nan_stays),
        cmocka_unit_test(test_conv_by_definition),
        cmocka_unit_test(test_convt_is_the_transpose),
        cmocka_unit_test(test_avgpool_is_a_convolution),
        cmocka_unit_test(test_residual_net),
        cmocka_unit_test(test_progress_and_stop),
        cmocka_unit_test(test_what_is_missing_is_named),
        cmocka_unit_test(test_outputs_share_nodes),
        cmocka_unit_test(test_single_operator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
