/* Shapes against PyTorch's, costs by hand. */
#include "graph_build.h"
#include <math.h>
#include "rng.h"

/* Output sizes as PyTorch gives them; 0 where it refuses. */
static const struct {
    Op op;
    int64_t h, w;
    Size2 k, stride, dilation, pad;
    int ceil_mode;
    int64_t out_h, out_w;
} facts[] = {
    {OP_CONV, 10, 5, {3, 5}, {1, 4}, {1, 3}, {0, 0}, 0, 0, 0},
    {OP_CONV, 2, 6, {4, 2}, {4, 1}, {3, 1}, {0, 0}, 0, 0, 0},
    {OP_CONV, 7, 5, {2, 4}, {2, 1}, {1, 3}, {1, 0}, 0, 0, 0},
    {OP_CONV, 3, 1, {1, 2}, {2, 2}, {1, 2}, {0, 0}, 0, 0, 0},
    {OP_CONV, 9, 11, {2, 2}, {2, 4}, {2, 1}, {1, 1}, 0, 5, 3},
    {OP_CONV, 3, 3, {3, 1}, {3, 3}, {3, 3}, {0, 0}, 0, 0, 0},
    {OP_CONV, 2, 5, {3, 3}, {4, 3}, {1, 2}, {1, 0}, 0, 1, 1},
    {OP_CONV, 1, 5, {1, 3}, {4, 1}, {3, 2}, {0, 1}, 0, 1, 3},
    {OP_CONV, 10, 14, {1, 4}, {1, 2}, {3, 1}, {0, 0}, 0, 10, 6},
    {OP_CONV, 14, 8, {3, 5}, {3, 3}, {2, 1}, {1, 1}, 0, 4, 2},
    {OP_CONV, 1, 7, {1, 2}, {3, 3}, {1, 2}, {0, 0}, 0, 1, 2},
    {OP_CONV, 5, 11, {3, 3}, {2, 1}, {3, 1}, {1, 1}, 0, 1, 11},
    {OP_CONV, 3, 12, {1, 1}, {4, 1}, {1, 3}, {0, 0}, 0, 1, 12},
    {OP_CONV, 8, 11, {4, 2}, {1, 1}, {2, 2}, {0, 0}, 0, 2, 9},
    {OP_CONVT, 12, 10, {2, 4}, {1, 2}, {1, 1}, {1, 1}, 0, 11, 20},
    {OP_CONVT, 3, 1, {4, 3}, {2, 4}, {1, 1}, {2, 0}, 0, 4, 3},
    {OP_CONVT, 9, 8, {4, 3}, {4, 3}, {1, 1}, {1, 1}, 0, 34, 22},
    {OP_CONVT, 7, 3, {1, 4}, {2, 4}, {1, 1}, {0, 0}, 0, 13, 12},
    {OP_CONVT, 2, 8, {3, 5}, {3, 1}, {1, 1}, {1, 2}, 0, 4, 8},
    {OP_CONVT, 10, 11, {1, 3}, {3, 3}, {1, 1}, {0, 1}, 0, 28, 31},
    {OP_CONVT, 13, 12, {3, 3}, {2, 1}, {1, 1}, {1, 1}, 0, 25, 12},
    {OP_CONVT, 6, 11, {3, 4}, {3, 3}, {1, 1}, {1, 1}, 0, 16, 32},
    {OP_CONVT, 11, 6, {4, 3}, {2, 4}, {1, 1}, {1, 1}, 0, 22, 21},
    {OP_CONVT, 9, 3, {5, 2}, {2, 3}, {1, 1}, {1, 1}, 0, 19, 6},
    {OP_MAXPOOL, 12, 2, {4, 2}, {4, 3}, {3, 3}, {2, 1}, 1, 3, 1},
    {OP_MAXPOOL, 1, 4, {2, 5}, {4, 2}, {1, 3}, {0, 2}, 1, 0, 0},
    {OP_MAXPOOL, 1, 8, {2, 2}, {1, 2}, {1, 2}, {0, 1}, 0, 0, 0},
    {OP_MAXPOOL, 9, 1, {4, 4}, {3, 4}, {3, 3}, {0, 2}, 0, 0, 0},
    {OP_MAXPOOL, 4, 12, {3, 1}, {3, 4}, {2, 2}, {0, 0}, 0, 0, 0},
    {OP_MAXPOOL, 9, 10, {3, 1}, {3, 3}, {3, 2}, {1, 0}, 1, 3, 4},
    {OP_MAXPOOL, 7, 14, {5, 5}, {3, 4}, {1, 1}, {2, 1}, 1, 3, 4},
    {OP_MAXPOOL, 8, 4, {2, 5}, {1, 3}, {3, 1}, {1, 0}, 1, 7, 1},
    {OP_MAXPOOL, 10, 10, {5, 2}, {3, 4}, {2, 2}, {0, 1}, 1, 2, 3},
    {OP_MAXPOOL, 8, 12, {4, 4}, {2, 3}, {3, 2}, {1, 1}, 1, 1, 4},
    {OP_MAXPOOL, 1, 6, {3, 4}, {3, 2}, {2, 1}, {0, 2}, 1, 0, 0},
    {OP_MAXPOOL, 8, 4, {3, 1}, {2, 4}, {1, 2}, {1, 0}, 1, 5, 1},
    {OP_MAXPOOL, 13, 1, {2, 4}, {3, 2}, {3, 2}, {1, 1}, 1, 0, 0},
    {OP_MAXPOOL, 8, 9, {5, 1}, {1, 2}, {2, 2}, {2, 0}, 1, 4, 5},
    {OP_MAXPOOL, 5, 12, {5, 1}, {4, 3}, {2, 3}, {2, 0}, 0, 1, 4},
    {OP_MAXPOOL, 1, 5, {5, 4}, {1, 2}, {1, 2}, {1, 2}, 1, 0, 0},
    {OP_MAXPOOL, 12, 12, {4, 4}, {4, 4}, {3, 3}, {0, 1}, 1, 2, 2},
    {OP_MAXPOOL, 14, 13, {1, 3}, {1, 4}, {3, 2}, {0, 1}, 0, 14, 3},
    {OP_MAXPOOL, 3, 8, {5, 4}, {3, 2}, {2, 3}, {2, 0}, 0, 0, 0},
    {OP_MAXPOOL, 12, 4, {3, 1}, {1, 1}, {2, 3}, {1, 0}, 1, 10, 4},
    {OP_MAXPOOL, 12, 8, {1, 1}, {1, 2}, {3, 3}, {0, 0}, 1, 12, 4},
    {OP_MAXPOOL, 12, 8, {2, 2}, {2, 4}, {1, 1}, {0, 0}, 1, 6, 2},
    {OP_AVGPOOL, 2, 11, {4, 1}, {3, 1}, {1, 1}, {2, 0}, 1, 2, 11},
    {OP_AVGPOOL, 7, 10, {2, 1}, {4, 1}, {1, 1}, {1, 0}, 1, 2, 10},
    {OP_AVGPOOL, 6, 11, {3, 1}, {2, 3}, {1, 1}, {0, 0}, 1, 3, 4},
    {OP_AVGPOOL, 9, 10, {2, 3}, {1, 2}, {1, 1}, {1, 1}, 1, 10, 6},
    {OP_AVGPOOL, 3, 13, {2, 3}, {4, 4}, {1, 1}, {0, 0}, 1, 1, 4},
    {OP_AVGPOOL, 1, 11, {3, 1}, {1, 1}, {1, 1}, {0, 0}, 0, 0, 0},
    {OP_AVGPOOL, 7, 8, {4, 3}, {1, 1}, {1, 1}, {2, 1}, 0, 8, 8},
    {OP_AVGPOOL, 14, 3, {4, 2}, {1, 1}, {1, 1}, {2, 1}, 0, 15, 4},
    {OP_AVGPOOL, 3, 12, {5, 4}, {3, 2}, {1, 1}, {1, 1}, 1, 1, 6},
    {OP_AVGPOOL, 12, 6, {4, 4}, {2, 3}, {1, 1}, {2, 1}, 1, 7, 3},
    {OP_AVGPOOL, 7, 14, {3, 5}, {1, 2}, {1, 1}, {0, 1}, 0, 5, 6},
    {OP_AVGPOOL, 2, 1, {1, 2}, {2, 2}, {1, 1}, {0, 1}, 1, 1, 1},
    {OP_AVGPOOL, 11, 13, {3, 1}, {4, 4}, {1, 1}, {1, 0}, 1, 3, 4},
    {OP_AVGPOOL, 8, 8, {1, 2}, {2, 2}, {1, 1}, {0, 1}, 1, 4, 5},
};

static void set_attr(Op op, AttrVal *a, const char *name, AttrVal v)
{
    int i = op_attr_index(op, name);
    if (i >= 0)
        a[i] = v;
}

static void test_window_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        AttrVal a[OP_MAX_ATTRS];
        Op op = facts[i].op;
        Size2 p = facts[i].pad;
        defaults(op, a);
        set_attr(op, a, "c", attr_int(4));
        set_attr(op, a, "k", (AttrVal){ATTR_SIZE, {.size = facts[i].k}});
        set_attr(op, a, "stride", (AttrVal){ATTR_SIZE, {.size = facts[i].stride}});
        set_attr(op, a, "dilation", (AttrVal){ATTR_SIZE, {.size = facts[i].dilation}});
        set_attr(op, a, "pad", attr_pad((Pad){PAD_EXPLICIT, p.h, p.h, p.w, p.w}));
        set_attr(op, a, "ceil_mode", attr_bool(facts[i].ceil_mode));
        Shape in = {2, facts[i].h, facts[i].w, false}, out = {0};
        ShapeError err;
        bool ok = shape_infer(op, a, &in, 1, &out, &err);
        if (ok != (facts[i].out_h > 0))
            fail_msg("row %d: %s", (int)i, ok ? "a shape" : err.text);
        if (!ok) {
            assert_int_equal(err.kind, SHAPE_VANISHES);
            continue;
        }
        if (out.h != facts[i].out_h || out.w != facts[i].out_w)
            fail_msg("row %d: %dx%d", (int)i, (int)out.h, (int)out.w);
        assert_int_equal(out.c, op == OP_CONV || op == OP_CONVT ? 4 : 2);
    }
}

/* TensorFlow's SAME: ceil(in / stride) positions, an odd row of padding behind. */
static void test_same_padding(void **state)
{
    (void)state;
    for (int64_t in = 1; in < 30; in++)
        for (int64_t k = 1; k < 8; k++)
            for (int64_t s = 1; s < 5; s++) {
                Graph g;
                graph_init(&g, &arena, "g");
                NodeId x = input(&g, 1, in, in), n = conv3(&g, x, 1, k, s);
                g.attrs.at[graph_node(&g, n)->attr_first + AT_CONV_pad].pad.kind = PAD_SAME_UP;
                head(&g, "o", n, true);
                Analysis an = analyse(&g);
                assert_int_equal(an.shape[n.v].h, (in + s - 1) / s);
                Window w = graph_window(&g, n);
                Pad p = shape_resolve_pad(&w, in, in);
                assert_in_range(p.bottom - p.top, 0, 1);
                if (s == 1)
                    assert_int_equal(p.top + p.bottom, k - 1);
                w.pad.kind = PAD_SAME_SYM;
                p = shape_resolve_pad(&w, in, in);
                assert_true(p.top == (k - 1) / 2 && p.bottom == p.top && p.left == p.top);
                arena_reset(&arena);
            }
}

static void expect_shape(Op op, const AttrVal *attrs, const Shape *in, uint32_t nin, Shape want)
{
    Shape out;
    ShapeError err;
    if (!shape_infer(op, attrs, in, nin, &out, &err))
        fail_msg("%s: %s", op_info[op].name, err.text);
    if (!shape_equal(out, want))
        fail_msg("%s: %dx%dx%d", op_info[op].name, (int)out.c, (int)out.h, (int)out.w);
}

static void expect_no_shape(Op op, const AttrVal *attrs, const Shape *in, uint32_t nin,
                            ShapeFail kind)
{
    Shape out;
    ShapeError err;
    assert_false(shape_infer(op, attrs, in, nin, &out, &err));
    if (err.kind != kind || err.text[0] == 0)
        fail_msg("%s: kind %d, %s", op_info[op].name, err.kind, err.text);
}

#define ATTRS(...) ((AttrVal[]){__VA_ARGS__})
#define I(x) attr_int(x)

static void test_other_shapes(void **state)
{
    (void)state;
    const Shape m = {6, 8, 10, false}, v = {6, 1, 1, true}, gate = {6, 1, 1, false};
    const Shape two[] = {m, {4, 8, 10, false}}, gated[] = {gate, m};
    const Shape other[] = {m, {6, 8, 9, false}};
    expect_shape(OP_GAP, NULL, &m, 1, gate);
    expect_shape(OP_FLATTEN, NULL, &m, 1, (Shape){480, 1, 1, true});
    expect_shape(OP_ADAPTIVE_AVGPOOL, ATTRS(attr_size(3, 7)), &m, 1, (Shape){6, 3, 7, false});
    expect_shape(OP_DENSE, ATTRS(I(5), attr_bool(1)), &v, 1, (Shape){5, 1, 1, true});
    expect_shape(OP_DENSE, ATTRS(I(5), attr_bool(1)), &m, 1, (Shape){5, 8, 10, false});
    expect_shape(OP_CONCAT, NULL, two, 2, (Shape){10, 8, 10, false});
    expect_shape(OP_MUL, NULL, gated, 2, m);
    expect_shape(OP_SLICE, ATTRS(I(1), I(4)), &m, 1, (Shape){3, 8, 10, false});
    expect_shape(OP_ZEROPAD, ATTRS(I(1), I(2), I(3), I(4)), &m, 1, (Shape){6, 11, 17, false});
    expect_shape(OP_CROP, ATTRS(I(1), I(2), I(3), I(4)), &m, 1, (Shape){6, 5, 3, false});
    expect_shape(OP_UPSAMPLE, ATTRS(attr_size(2, 3), attr_bool(0)), &m, 1,
                 (Shape){6, 16, 30, false});
    expect_shape(OP_SPACE_TO_DEPTH, ATTRS(I(2)), &m, 1, (Shape){24, 4, 5, false});
    expect_shape(OP_SHUFFLE, ATTRS(I(3)), &m, 1, m);
    expect_shape(OP_SOFTMAX, NULL, &v, 1, v);

    expect_no_shape(OP_ADD, NULL, two, 2, SHAPE_MISMATCH);
    expect_no_shape(OP_ADD, NULL, other, 2, SHAPE_MISMATCH);
    expect_no_shape(OP_CONCAT, NULL, other, 2, SHAPE_MISMATCH);
    expect_no_shape(OP_GAP, NULL, &v, 1, SHAPE_MISMATCH);
    expect_no_shape(OP_SLICE, ATTRS(I(1), I(7)), &m, 1, SHAPE_BAD_ATTR);
    expect_no_shape(OP_SLICE, ATTRS(I(4), I(4)), &m, 1, SHAPE_BAD_ATTR);
    expect_no_shape(OP_CROP, ATTRS(I(4), I(4), I(0), I(0)), &m, 1, SHAPE_VANISHES);
    expect_no_shape(OP_SPACE_TO_DEPTH, ATTRS(I(4)), &m, 1, SHAPE_MISMATCH);
    expect_no_shape(OP_SHUFFLE, ATTRS(I(4)), &m, 1, SHAPE_GROUPS);
    expect_no_shape(OP_SHUFFLE, ATTRS(I(0)), &m, 1, SHAPE_GROUPS);
    expect_no_shape(OP_DENSE, ATTRS(I(0), attr_bool(1)), &v, 1, SHAPE_BAD_ATTR);
    expect_no_shape(OP_DENSE, ATTRS(I(-3), attr_bool(1)), &v, 1, SHAPE_BAD_ATTR);
    expect_no_shape(OP_DROPOUT, ATTRS(attr_real(1.0)), &m, 1, SHAPE_BAD_ATTR);
    expect_no_shape(OP_DROPOUT, ATTRS(attr_real(NAN)), &m, 1, SHAPE_BAD_ATTR);
    expect_no_shape(OP_UPSAMPLE, ATTRS(attr_size(1 << 20, 1 << 20), attr_bool(0)), &m, 1,
                    SHAPE_TOO_LARGE);
    expect_no_shape(OP_INPUT, ATTRS(I(1 << 30), I(1 << 30), I(1 << 30)), NULL, 0, SHAPE_TOO_LARGE);
    expect_no_shape(OP_INPUT, ATTRS(I(3), I(0), I(5)), NULL, 0, SHAPE_BAD_ATTR);
}

/* Attributes and maps of every size: an answer within limits or a refusal, never an overflow. */
static void test_shapes_of_anything(void **state)
{
    (void)state;
    static const int64_t sizes[] = {-1, 0, 1, 2, 3, 7, 224, 1 << 20, 1 << 30, INT64_MAX, INT64_MIN};
    uint64_t turn = 0;
    int fine = 0;
#define PICK() sizes[rng_mix(11, turn++) % 11]
    for (int round = 0; round < 60000; round++) {
        Op op = (Op)(1 + rng_mix(12, (uint64_t)round) % (OP_COUNT - 1));
        AttrVal a[OP_MAX_ATTRS];
        defaults(op, a);
        for (int k = 0; k < op_info[op].attr_count; k++)
            switch (rng_mix(13, turn++) % 3 ? (AttrType)-1 : a[k].type) {
            case ATTR_INT: a[k].i = PICK(); break;
            case ATTR_SIZE:
                a[k].size.h = PICK();
                a[k].size.w = PICK();
                break;
            case ATTR_PAD:
                a[k].pad = (Pad){.kind = (PadKind)(rng_mix(14, turn++) % 3)};
                a[k].pad.top = PICK();
                a[k].pad.right = PICK();
                break;
            default: break;
            }
        Shape in[3], out;
        for (int k = 0; k < 3; k++)
            in[k] = (Shape){1 + (int64_t)(rng_mix(15, turn++) % 300),
                            1 + (int64_t)(rng_mix(16, turn++) % 99999),
                            1 + (int64_t)(rng_mix(17, turn++) % 30000), false};
        ShapeError err;
        uint32_t nin = op_info[op].inputs < 0 ? 2 : (uint32_t)op_info[op].inputs;
        if (shape_infer(op, a, in, nin, &out, &err)) {
            fine++;
            assert_true(out.c >= 1 && out.h >= 1 && out.w >= 1);
            assert_true(shape_count(out) <= (int64_t)1 << 40);
        } else {
            assert_true(err.kind != SHAPE_OK && err.text[0] != 0);
        }
    }
    assert_true(fine > 10000);
}

static void expect_cost(const Analysis *an, NodeId n, int64_t params, int64_t macs)
{
    assert_int_equal(an->cost[n.v].params, params);
    assert_int_equal(an->cost[n.v].macs, macs);
}

static void test_costs(void **state)
{
    (void)state;
    Graph g;
    AttrVal a[OP_MAX_ATTRS];
    ParamSpec spec[PARAM_MAX];
    graph_init(&g, &arena, "g");
    NodeId x = input(&g, 3, 224, 224), stem = conv3(&g, x, 64, 7, 2), bn = plain(&g, OP_BN, stem);
    defaults(OP_CONV, a);
    a[AT_CONV_c] = attr_int(64);
    a[AT_CONV_k] = attr_size(3, 5);
    a[AT_CONV_groups] = attr_int(64);
    a[AT_CONV_bias] = attr_bool(false);
    NodeId depth = put(&g, OP_CONV, a, &bn, 1), ln = plain(&g, OP_LN, depth);
    NodeId scale = plain(&g, OP_LAYER_SCALE, ln), up = convt(&g, scale, 16, 4, 2, 1);
    NodeId per_position = dense(&g, up, 8);
    NodeId top = dense(&g, plain(&g, OP_FLATTEN, plain(&g, OP_GAP, per_position)), 10);
    defaults(OP_BN, a);
    a[AT_BN_scale] = attr_bool(false);
    NodeId bare = put(&g, OP_BN, a, &x, 1);
    head(&g, "o", top, true);
    Analysis an = analyse(&g);
    expect_cost(&an, stem, 9472, 118013952); /* torchvision's ResNet stem has 9408 + 64 here */
    expect_cost(&an, bn, 128, 0);
    expect_cost(&an, depth, 64 * 15, 112 * 112 * 64 * 15);
    expect_cost(&an, ln, 128, 0);
    expect_cost(&an, scale, 64, 0);
    expect_cost(&an, up, 64 * 16 * 16 + 16, (int64_t)112 * 112 * 64 * 16 * 16);
    expect_cost(&an, per_position, 16 * 8 + 8, 224 * 224 * 16 * 8);
    expect_cost(&an, top, 8 * 10 + 10, 80);
    expect_cost(&an, bare, 3, 0);
    assert_int_equal(an.params, 9472 + 128 + 960 + 128 + 64 + 16400 + 136 + 90); /* not `bare` */
    assert_int_equal(an.flops, 2 * an.macs);
    assert_int_equal(params_of(&g, bn, an.shape, spec), 4);
    assert_string_equal(spec[2].suffix, "running_mean");
    assert_false(spec[2].trainable || spec[3].trainable);
    assert_true(spec[0].trainable && param_count(&spec[0]) == 64);
    assert_int_equal(params_of(&g, bare, an.shape, spec), 3);
    assert_int_equal(params_of(&g, up, an.shape, spec), 2);
    assert_true(spec[0].dims[0] == 64 && spec[0].dims[1] == 16 && spec[0].ndim == 4);
    assert_int_equal(params_of(&g, x, an.shape, spec), 0);
}

static void test_activations(void **state)
{
    (void)state;
    Graph g;
    graph_init(&g, &arena, "g");
    NodeId x = input(&g, 1, 10, 10);           /* 400 bytes */
    NodeId a = conv3(&g, x, 3, 1, 1);          /* 1200; x stays for the sum */
    NodeId b = conv3(&g, a, 1, 1, 1);          /* 400 */
    NodeId sum = join(&g, OP_ADD, b, x);       /* 400 */
    NodeId twice = join(&g, OP_MUL, sum, sum); /* 400 */
    plain(&g, OP_RELU, a);                     /* dead */
    head(&g, "o", twice, true);
    Analysis an = analyse(&g);
    assert_int_equal(an.cost[a.v].act_bytes, 1200);
    assert_int_equal(an.act_bytes, 400 + 1200 + 400 + 400 + 400);
    assert_int_equal(an.act_peak, 400 + 1200 + 400);
}

static void test_runnable_min(void **state)
{
    (void)state;
    Graph g;
    int64_t least[2];
    AttrVal a[OP_MAX_ATTRS];
    graph_init(&g, &arena, "g");
    NodeId x = input(&g, 3, 64, 128);
    defaults(OP_CONV, a);
    a[AT_CONV_c] = attr_int(4);
    a[AT_CONV_k] = attr_size(11, 11);
    a[AT_CONV_pad] = attr_pad((Pad){0});
    head(&g, "o", pool(&g, OP_MAXPOOL, put(&g, OP_CONV, a, &x, 1), 2, 2), true);
    analysis_runnable_min(&arena, &g, least);
    assert_int_equal(least[0], 12);
    assert_int_equal(least[1], 24);

    /* Only even sides run, one pooling rounding down and the other up: none between 4 and 6. */
    graph_init(&g, &arena, "even");
    x = input(&g, 3, 48, 48);
    head(&g, "o", join(&g, OP_ADD, pool(&g, OP_MAXPOOL, x, 2, 2), pool(&g, OP_MAXPOOL, x, 1, 2)),
         true);
    analysis_runnable_min(&arena, &g, least);
    assert_int_equal(least[0], 2);
    assert_int_equal(least[1], 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_window_shapes), WITH_ARENA(test_same_padding),
        WITH_ARENA(test_other_shapes),  WITH_ARENA(test_shapes_of_anything),
        WITH_ARENA(test_costs),         WITH_ARENA(test_activations),
        WITH_ARENA(test_runnable_min),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
