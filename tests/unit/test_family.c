/* Sizes, packing and keys of kernels, and the family of every operator. */
#include "family_kernels.h"
#include "graph_build.h"
#include "plan/plan.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void test_maps(void **state)
{
    (void)state;
    assert_int_equal(map_floats(map(LAYOUT_PLANAR, 3, 5, 7), 16), 105);
    assert_int_equal(map_floats(map(LAYOUT_BLOCKED, 3, 5, 7), 16), 560);
    assert_int_equal(map_floats(map(LAYOUT_BLOCKED, 3, 5, 7), 8), 280);
    assert_int_equal(map_floats(map(LAYOUT_BLOCKED, 3, 5, 7), 4), 140);
    assert_int_equal(map_floats(map(LAYOUT_BLOCKED, 17, 1, 1), 16), 32);
    assert_int_equal(map_blocks(map(LAYOUT_BLOCKED, 16, 1, 1), 16), 1);
    assert_int_equal(map_blocks(map(LAYOUT_BLOCKED, 17, 1, 1), 8), 3);
    int64_t big = (int64_t)1 << 40;
    assert_int_equal(map_floats(map(LAYOUT_BLOCKED, big, big, 1), 16), FAMILY_LIMIT);
    assert_int_equal(map_floats(map(LAYOUT_PLANAR, big, 1 << 20, 1), 4), FAMILY_LIMIT);
    assert_int_equal(map_floats(map(LAYOUT_PLANAR, big, 1 << 19, 1), 4), FAMILY_LIMIT / 2);
    assert_int_equal(map_floats(map(LAYOUT_PLANAR, big, 1 << 21, 1), 4), FAMILY_LIMIT);
    Kernel k = conv_kernel(1 << 30, 1 << 30, 3, 3, 1);
    k.tile.ocv = 1;
    assert_int_equal(family_weight_floats(&k, &targets[3]), FAMILY_LIMIT);
}

/* Walks the packed weights in the order the documentation gives and compares every index. */
static void check_packing(const Kernel *k, const Target *t)
{
    int64_t at = 0, lanes = family_ic_lanes(k, t), blocks = family_ic_blocks(k, t);
    int64_t per_out = k->out.c / k->groups, per_in = k->in.c / k->groups, met = 0;
    assert_int_equal(lanes, k->in.layout == LAYOUT_PLANAR ? 1 : t->vl);
    for (int64_t tile = 0; tile < family_oc_tiles(k, t); tile++) {
        int64_t first = family_ic_first(k, t, tile), width = family_oc_tile_width(k, t, tile);
        assert_int_equal(family_tile_weights(k, t, tile), at);
        assert_true(first >= 0 && first + blocks <= up(k->in.c, lanes));
        int64_t all = blocks * k->kh * k->kw * lanes * width * t->vl;
        for (int64_t n = 0; n < all; n++, at++) {
            int64_t o_lane = n % t->vl, v = n / t->vl % width, rest = n / t->vl / width;
            int64_t i_lane = rest % lanes, x = rest / lanes % k->kw;
            int64_t y = rest / lanes / k->kw % k->kh, block = rest / lanes / k->kw / k->kh;
            int64_t o = (tile * k->tile.ocv + v) * t->vl + o_lane;
            int64_t i = (first + block) * lanes + i_lane;
            if (o >= k->out.c || i >= k->in.c || o / per_out != i / per_in)
                continue;
            met++;
            if (family_weight_index(k, t, o, i, y, x) != at)
                fail_msg("%s: weight (%ld,%ld,%ld,%ld) is at %ld, not %ld", t->cpu, (long)o,
                         (long)i, (long)y, (long)x, (long)family_weight_index(k, t, o, i, y, x),
                         (long)at);
        }
    }
    assert_int_equal(met, k->out.c * per_in * k->kh * k->kw); /* no weight is left out */
    assert_int_equal(at, family_weight_floats(k, t));
    assert_int_equal(family_bias_floats(k, t), k->has_bias ? up(k->out.c, t->vl) * t->vl : 0);
}

static void test_conv_packing(void **state)
{
    (void)state;
    for (int round = 0; round < 400; round++) {
        const Target *t = &targets[round % TARGETS];
        Kernel k = random_conv_kernel();
        k.family = round % 7 ? FAM_CONV : FAM_CONVT;
        k.has_bias = round % 3 != 0;
        family_choose_tile(&k, t);
        k.tile.winograd = 0;
        check_packing(&k, t);
    }
}

static void test_other_packing(void **state)
{
    (void)state;
    for (int i = 0; i < TARGETS; i++) {
        const Target *t = &targets[i];
        int64_t vl = t->vl;
        MapDesc m = map(LAYOUT_BLOCKED, vl + 3, 5, 5);
        Kernel k = kernel(FAM_DEPTHWISE, m, m);
        k.kh = k.kw = 3;
        k.groups = m.c;
        assert_int_equal(family_weight_floats(&k, t), 2 * vl * 9);
        assert_int_equal(family_weight_index(&k, t, vl + 1, 0, 2, 1), (9 + 7) * vl + 1);
        k = kernel(FAM_DENSE, m, map(LAYOUT_PLANAR, vl + 1, 1, 1));
        assert_int_equal(family_weight_floats(&k, t), 2 * vl * (2 * vl * 25));
        /* output vl: second block, lane 0; input channel vl + 2 at (3, 4): block 1, lane 2 */
        assert_int_equal(family_weight_index(&k, t, vl, vl + 2, 3, 4),
                         (2 * vl * 25 + (25 + 19) * vl + 2) * vl);
        k.in.layout = LAYOUT_PLANAR;
        assert_int_equal(family_weight_floats(&k, t), 2 * vl * ((vl + 3) * 25));
        assert_int_equal(family_weight_index(&k, t, 1, 2, 3, 4), (2 * 25 + 19) * vl + 1);
        k = kernel(FAM_POOL, m, m);
        assert_int_equal(family_weight_floats(&k, t), 0);
        /* Winograd: two tiles of 2 and 1 vectors; position (1, 2) is the eighth of 36 */
        k = conv_kernel(vl, 3 * vl, 16, 3, 1);
        k.tile = (Tile){.ocv = 2, .px = 4, .winograd = 4};
        assert_int_equal(family_weight_floats(&k, t), 36 * vl * 3 * vl);
        assert_int_equal(family_weight_index(&k, t, vl + 1, 2, 1, 2),
                         8 * 3 * vl * vl + (2 * 2 + 1) * vl + 1);
        assert_int_equal(family_weight_index(&k, t, 2 * vl + 1, 2, 5, 5),
                         35 * 3 * vl * vl + 2 * vl * vl + 2 * vl + 1);
    }
}

/* F(4x4, 3x3): the transformed filter times the transformed patch, transformed back, is the direct
 * correlation; matrices of Lavin and Gray. */
static void test_winograd_filter(void **state)
{
    (void)state;
    static const double b[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                   {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
    static const double a[4][6] = {
        {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};
    double g[9], d[36], u[36], m[36] = {0};
    for (int i = 0; i < 9; i++)
        g[i] = (double)draw(-100, 100) / 16;
    for (int i = 0; i < 36; i++)
        d[i] = (double)draw(-100, 100) / 16;
    family_winograd_filter(g, u);
    for (int i = 0; i < 36; i++) {
        for (int j = 0; j < 36; j++)
            m[i] += b[i / 6][j / 6] * d[j] * b[i % 6][j % 6];
        m[i] *= u[i];
    }
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 4; x++) {
            double got = 0, want = 0;
            for (int j = 0; j < 36; j++)
                got += a[y][j / 6] * m[j] * a[x][j % 6];
            for (int j = 0; j < 9; j++)
                want += g[j] * d[(y + j / 3) * 6 + x + j % 3];
            assert_true(fabs(got - want) < 1e-9);
        }
}

static void test_scratch(void **state)
{
    (void)state;
    const Target *t = &targets[2];
    Kernel k = conv_kernel(20, 40, 6, 1, 1);
    k.tile = (Tile){.ocv = 1, .px = 1, .rb = 9, .flat = true};
    assert_int_equal(family_scratch(&k, t), 0);
    k.gate_arg = 0; /* 24 lanes for 9 pixels */
    assert_int_equal(family_scratch(&k, t), 24 * 9);
    k.tile.split_oc = true;
    assert_int_equal(family_scratch(&k, t), 24 * 36);
    k.tile.split_oc = false; /* 960 weights for 864 values; of fewer channels, 192 */
    assert_false(family_gates_weights(&k, t));
    k.out.c = 8;
    assert_true(family_gates_weights(&k, t));
    assert_int_equal(family_scratch(&k, t), 192);
    k.gate_arg = -1;
    assert_false(family_gates_weights(&k, t));
    k = kernel(FAM_LRN, map(LAYOUT_BLOCKED, 20, 6, 6), map(LAYOUT_BLOCKED, 20, 6, 6));
    k.lrn_size = 5; /* 3 blocks and one on each side */
    assert_int_equal(family_scratch(&k, t), 5 * 8);
    k.lrn_size = 9;
    assert_int_equal(family_scratch(&k, t), 7 * 8);
}

static const char *key_of(const Kernel *k, const Target *t)
{
    Buf b = {0};
    family_key(k, t, &b);
    assert_true(buf_ok(&b));
    const char *text = arena_strdup(&arena, b.at);
    buf_free(&b);
    return text;
}

static void test_key_text(void **state)
{
    (void)state;
    ExprPool p;
    expr_init(&p, &arena);
    Kernel k = conv_kernel(16, 32, 8, 3, 2);
    k.tile = (Tile){.ocv = 2, .px = 6, .rb = 4, .kc = 3, .split_oc = true, .prefetch = true};
    k.has_bias = true;
    k.extra_count = 3;
    k.extra[0] = KARG_CHANNEL;
    k.extra[1] = KARG_GATE;
    k.extra[2] = KARG_MAP;
    k.pool_expr = &p;
    k.root = expr_binary(&p, EX_MAX, expr_arg(&p, 0), expr_const(&p, 0));
    assert_string_equal(key_of(&k, &targets[2]),
                        "conv vl=8 in=B16x8x8 out=B32x4x4 k=3x3 s=2x2 d=1x1 p=1,1 tile=2x6 rb=4 "
                        "kc=3 oc pf bias extra=cgm expr=max(a0,0)");
    k = kernel(FAM_LRN, map(LAYOUT_PLANAR, 3, 1, 2), map(LAYOUT_BLOCKED, 3, 1, 2));
    k.lrn_size = 5;
    k.alpha = 0.5;
    k.beta = 0.75;
    k.bias_k = 2;
    k.tile = (Tile){.ocv = 1, .px = 2, .rb = 2};
    assert_string_equal(key_of(&k, &targets[0]), "lrn vl=4 in=P3x1x2 out=B3x1x2 n=5 alpha=0.5 "
                                                 "beta=0.75 k=2 tile=1x2 rb=2 kc=0");
    k = kernel(FAM_COPY, map(LAYOUT_BLOCKED, 8, 4, 4), map(LAYOUT_BLOCKED, 8, 6, 5));
    k.copy = COPY_BORDER;
    k.pt = 1;
    k.pl = -1;
    assert_string_equal(key_of(&k, &targets[3]),
                        "copy vl=16 in=B8x4x4 out=B8x6x5 border at=1,-1 tile=0x0 rb=0 kc=0");
}

/* Kernels that differ in what their code depends on never share a key. */
static void test_keys_differ(void **state)
{
    (void)state;
    enum { MOST = 64 };
    const char *seen[MOST];
    int n = 0;
    Kernel base = conv_kernel(16, 32, 8, 3, 1), k = base;
#define VARIANT(CHANGE)                                                                            \
    k = base;                                                                                      \
    CHANGE;                                                                                        \
    seen[n++] = key_of(&k, &targets[2])
    VARIANT((void)0);
    VARIANT(k.family = FAM_CONVT);
    VARIANT(k.in.c = 17);
    VARIANT(k.in.h = 9);
    VARIANT(k.in.w = 9);
    VARIANT(k.out.c = 33);
    VARIANT(k.in.layout = LAYOUT_PLANAR);
    VARIANT(k.kh = 1);
    VARIANT(k.kw = 1);
    VARIANT(k.sh = 2);
    VARIANT(k.sw = 2);
    VARIANT(k.dh = 2);
    VARIANT(k.dw = 2);
    VARIANT(k.pt = 2);
    VARIANT(k.pl = 2);
    VARIANT(k.groups = 2);
    VARIANT(k.has_bias = true);
    VARIANT(k.gate_arg = 0);
    VARIANT(k.tile.ocv = 2);
    VARIANT(k.tile.px = 2);
    VARIANT(k.tile.rb = 2);
    VARIANT(k.tile.kc = 2);
    VARIANT(k.tile.flat = true);
    VARIANT(k.tile.split_oc = true);
    VARIANT(k.tile.prefetch = true);
    VARIANT(k.tile.winograd = 4);
    base.family = FAM_POOL;
    for (int i = 0; i < 4; i++) {
        VARIANT(k.pool = (PoolKind)i);
    }
    VARIANT(k.pool = POOL_AVG_INCLUDE_PAD; k.pb = 1);
    VARIANT(k.pool = POOL_AVG_INCLUDE_PAD; k.pr = 1);
    base = kernel(FAM_COPY, base.in, base.out);
    for (int i = 0; i <= COPY_SHUFFLE; i++) {
        VARIANT(k.copy = (CopyKind)i);
    }
    VARIANT(k.copy = COPY_CHANNELS; k.src_c = 1);
    VARIANT(k.copy = COPY_CHANNELS; k.dst_c = 1);
    VARIANT(k.copy = COPY_CHANNELS; k.count_c = 1);
    VARIANT(k.copy = COPY_NEAREST; k.by_h = 2);
    VARIANT(k.copy = COPY_NEAREST; k.by_w = 2);
    VARIANT(k.copy = COPY_SHUFFLE; k.groups = 4);
    base.family = FAM_LN;
    VARIANT(k.eps = 1e-5);
    VARIANT(k.eps = 1e-6);
    assert_true(n <= MOST);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(seen[i], seen[j]) == 0)
                fail_msg("%d and %d: %s", j, i, seen[i]);
    base = conv_kernel(16, 32, 8, 3, 1);
    k = base;
    k.eps = 1; /* a convolution has none */
    assert_string_equal(key_of(&base, &targets[2]), key_of(&k, &targets[2]));
    assert_string_not_equal(key_of(&base, &targets[2]), key_of(&base, &targets[3]));
}

/* Weights and maps never shrink when channels or windows grow. */
static void test_monotone(void **state)
{
    (void)state;
    for (int round = 0; round < 500; round++) {
        const Target *t = &targets[round % TARGETS];
        Kernel k = conv_kernel(draw(1, 80), draw(1, 80), 7, 3, 1), more = k;
        more.in.c += draw(0, 9);
        more.out.c += draw(0, 9);
        more.kh += draw(0, 2);
        k.tile.ocv = more.tile.ocv = (int)draw(1, 4);
        k.has_bias = more.has_bias = true;
        int64_t w = family_weight_floats(&k, t), dense = k.in.c * k.out.c * 9;
        assert_true(w >= dense && w <= (k.in.c + t->vl) * (k.out.c + t->vl) * 9);
        assert_true(family_weight_floats(&more, t) >= w);
        assert_true(family_bias_floats(&more, t) >= family_bias_floats(&k, t));
        assert_true(map_floats(more.out, t->vl) >= map_floats(k.out, t->vl));
        assert_true(family_oc_tiles(&more, t) >= family_oc_tiles(&k, t));
    }
}

/* A node of every operator over %1, 16 x 8 x 8, and the family its kernel must have. */
static const struct {
    const char *text;
    Family family;
} by_op[OP_COUNT] = {
    [OP_CONV] = {"conv(%1) c=8 k=3x3", FAM_CONV},
    [OP_CONVT] = {"convt(%1) c=8 k=2x2 stride=2x2", FAM_CONVT},
    [OP_DENSE] = {"dense(%1) c=8", FAM_CONV},
    [OP_MAXPOOL] = {"maxpool(%1) k=2x2", FAM_POOL},
    [OP_AVGPOOL] = {"avgpool(%1) k=2x2", FAM_POOL},
    [OP_GAP] = {"gap(%1)", FAM_GAP},
    [OP_ADAPTIVE_AVGPOOL] = {"adaptive_avgpool(%1) k=3x3", FAM_POOL},
    [OP_BN] = {"bn(%1)", FAM_ELEM},
    [OP_LN] = {"ln(%1)", FAM_LN},
    [OP_LRN] = {"lrn(%1) size=5", FAM_LRN},
    [OP_RELU] = {"relu(%1)", FAM_ELEM},
    [OP_RELU6] = {"relu6(%1)", FAM_ELEM},
    [OP_LEAKY] = {"leaky(%1)", FAM_ELEM},
    [OP_SILU] = {"silu(%1)", FAM_ELEM},
    [OP_HSWISH] = {"hswish(%1)", FAM_ELEM},
    [OP_HSIGMOID] = {"hsigmoid(%1)", FAM_ELEM},
    [OP_GELU] = {"gelu(%1)", FAM_ELEM},
    [OP_SIGMOID] = {"sigmoid(%1)", FAM_ELEM},
    [OP_TANH] = {"tanh(%1)", FAM_ELEM},
    [OP_SOFTMAX] = {"softmax(%1)", FAM_SOFTMAX},
    [OP_ADD] = {"add(%1, %1)", FAM_ELEM},
    [OP_MUL] = {"mul(%1, %1)", FAM_ELEM},
    [OP_SCALE] = {"scale(%1) by=2", FAM_ELEM},
    [OP_LAYER_SCALE] = {"layer_scale(%1)", FAM_ELEM},
    [OP_CONCAT] = {"concat(%1, %1)", FAM_COPY},
    [OP_SLICE] = {"slice(%1) from=1 to=9", FAM_COPY},
    [OP_ZEROPAD] = {"zeropad(%1) top=1", FAM_COPY},
    [OP_CROP] = {"crop(%1) left=1", FAM_COPY},
    [OP_UPSAMPLE] = {"upsample(%1) by=2x2", FAM_COPY},
    [OP_SPACE_TO_DEPTH] = {"space_to_depth(%1) by=2", FAM_COPY},
    [OP_SHUFFLE] = {"shuffle(%1) groups=4", FAM_COPY},
};

static void check_operator(const char *node, Family want, const Target *t)
{
    Graph g;
    Fusion f;
    Plan p;
    int last = 2;
    for (const char *c = node; *c != 0; c++)
        last += *c == '\n';
    const char *text = arena_printf(&arena,
                                    "graph \"t\"\n%%1 = input() c=16 h=8 w=8 : \"x\"\n%%2 = %s : "
                                    "\"n\"\nin \"x\" %%1\nout \"y\" %%%d from %%%d primary\n",
                                    node, last, last);
    const char *err = graph_read(&g, &arena, text, strlen(text));
    if (err)
        fail_msg("%s: %s", node, err);
    Analysis an = analyse(&g);
    fuse_run(&f, &arena, &an);
    err = plan_build(&p, &arena, &an, &f, t);
    if (err)
        fail_msg("%s: %s", node, err);
    for (uint32_t i = 0; i < p.steps.len; i++) {
        const PlanStep *s = &p.steps.at[i];
        const Kernel *k = &p.kernels.at[s->kernel].k;
        assert_int_equal(s->units, family_units(k, t));
        assert_true(s->units > 0);
        if (s->group != UINT32_MAX && k->family == want)
            return;
    }
    fail_msg("%s: no step of family %s", node, family_name[want]);
}

static void test_operators(void **state)
{
    (void)state;
    for (int op = OP_NONE + 1; op < OP_COUNT; op++) {
        bool codeless = op == OP_FLATTEN || op_info[op].flags & (OPF_TRAIN_ONLY | OPF_INTERNAL);
        if (codeless != (by_op[op].text == NULL))
            fail_msg("%s has no family to check", op_info[op].name);
        for (int i = 0; i < TARGETS && !codeless; i++)
            check_operator(by_op[op].text, by_op[op].family, &targets[i]);
    }
    for (int i = 0; i < TARGETS; i++) { /* the same operators in other places */
        check_operator("conv(%1) c=16 k=3x3 groups=16", FAM_DEPTHWISE, &targets[i]);
        check_operator("conv(%1) c=32 k=3x3 groups=16", FAM_CONV, &targets[i]);
        check_operator("adaptive_avgpool(%1) k=1x1", FAM_GAP, &targets[i]);
        check_operator("gap(%1) : \"g\"\n%3 = conv(%2) c=5 k=1x1 : \"d\"\n%4 = gelu(%3)", FAM_DENSE,
                       &targets[i]);
        check_operator("flatten(%1) : \"f\"\n%3 = dense(%2) c=5", FAM_DENSE, &targets[i]);
    }
}

/* Halves: tf32 away from zero, bf16 to even; exponents carry; what is no number stays none. */
static void test_rounding(void **state)
{
    (void)state;
    static const struct {
        Dtype d;
        float v, want;
    } rows[] = {
        {DTYPE_FP32, 0x1.000002p0f, 0x1.000002p0f},
        {DTYPE_TF32, 0x1.002p0f, 0x1.004p0f},
        {DTYPE_TF32, 0x1.006p0f, 0x1.008p0f},
        {DTYPE_TF32, 0x1.001ffep0f, 1.0f},
        {DTYPE_TF32, -0x1.002p0f, -0x1.004p0f},
        {DTYPE_TF32, 0x1.ffep0f, 2.0f},
        {DTYPE_BF16, 0x1.01p0f, 1.0f},
        {DTYPE_BF16, 0x1.03p0f, 0x1.04p0f},
        {DTYPE_BF16, 0x1.010002p0f, 0x1.02p0f},
        {DTYPE_BF16, -0x1.ffp0f, -2.0f},
        {DTYPE_BF16, 0x1.fffffep127f, INFINITY},
        {DTYPE_TF32, 0x1.fffffep127f, INFINITY},
        {DTYPE_BF16, -INFINITY, -INFINITY},
        {DTYPE_BF16, 0.0f, 0.0f},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (dtype_round(rows[i].d, rows[i].v) != rows[i].want)
            fail_msg("%s of %a is %a, not %a", dtype_info[rows[i].d].name, (double)rows[i].v,
                     (double)dtype_round(rows[i].d, rows[i].v), (double)rows[i].want);
    for (int d = 0; d < DTYPE_COUNT; d++)
        assert_true(isnan(dtype_round((Dtype)d, NAN)));
    float array[2] = {0, 0};
    uint16_t half[4];
    dtype_put(DTYPE_BF16, array, 1, 0x1.03p0f);
    memcpy(half, array, sizeof half);
    assert_true(half[0] == 0 && half[1] == 0x3F82 && half[2] == 0 && half[3] == 0);
}

/* Channels, side of the window, groups. */
typedef struct Shaped {
    int64_t ic, oc, k, groups;
} Shaped;

/* A convolution for warp groups, with a tile of n columns and k elements. */
static Kernel grouped_kernel(const Shaped *c, Dtype d, int n, int k)
{
    Kernel r = conv_kernel(c->ic, c->oc, 4, c->k, 1);
    r.groups = c->groups;
    r.in.layout = r.out.layout = LAYOUT_CHANNELS;
    r.tile.cuda = (CudaTile){.m = 64, .n = n, .k = k, .dtype = d, .stages = 4, .group = true};
    return r;
}

/* Every weight has a place of its own: in the panel of its tile and step, in the row of its
 * channel, in the piece that the row exchanges it for. */
static void check_panels(const Kernel *k, const Target *t)
{
    static const int dealt[16] = {0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15};
    const CudaTile *c = &k->tile.cuda;
    CudaPanels p = cuda_panels(k, t);
    int64_t bytes = dtype_info[c->dtype].bytes, all = p.count * p.elements, piece = 16 / bytes;
    int64_t per_out = k->out.c / k->groups, per_in = k->in.c / k->groups;
    int64_t rows = cuda_weight_rows(k, t);
    char *met = calloc((size_t)all, 1);
    assert_non_null(met);
    assert_int_equal(family_weight_floats(k, t), all * bytes / 4);
    assert_int_equal(cuda_packed_vectors(k, t), all / t->vl);
    for (int64_t o = 0; o < k->out.c; o++)
        for (int64_t j = 0; j < per_in * k->kh * k->kw; j++) {
            int64_t i = j % per_in, tap = j / per_in, group = o / per_out;
            int64_t at = family_weight_index(k, t, o, group * per_in + i, tap / k->kw, tap % k->kw);
            int64_t line = tap * rows + i, column = o % per_out;
            assert_in_range(at, 0, all - 1);
            assert_false(met[at]++);
            assert_int_equal(at / p.elements,
                             (group * p.tiles + column / c->n) * p.steps + line / c->k);
            int64_t row = at % p.elements / c->k, in_row = at % c->k;
            assert_int_equal(row / 16 * 16 + dealt[row % 16], column % c->n);
            int64_t exchange = c->k * bytes == 64 ? row / 2 % 4 : row % 8;
            assert_int_equal((in_row / piece ^ exchange) * piece + in_row % piece, line % c->k);
        }
    free(met);
}

static void test_panels(void **state)
{
    (void)state;
    static const Shaped shapes[] = {{8, 40, 3, 1}, {20, 130, 1, 1}, {36, 96, 3, 3}, {3, 17, 5, 1}};
    static const int columns[] = {32, 64, 256};
    Target t = targets[0];
    t.kind = TARGET_CUDA;
    for (int d = DTYPE_TF32; d < DTYPE_COUNT; d++)
        for (int row = 64; row <= 128; row *= 2)
            for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
                for (size_t n = 0; n < sizeof columns / sizeof *columns; n++) {
                    Kernel k =
                        grouped_kernel(&shapes[i], (Dtype)d, columns[n], row / dtype_info[d].bytes);
                    check_panels(&k, &t);
                }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_maps),          WITH_ARENA(test_conv_packing),
        WITH_ARENA(test_other_packing), WITH_ARENA(test_winograd_filter),
        WITH_ARENA(test_scratch),       WITH_ARENA(test_key_text),
        WITH_ARENA(test_keys_differ),   WITH_ARENA(test_monotone),
        WITH_ARENA(test_operators),     WITH_ARENA(test_rounding),
        WITH_ARENA(test_panels),
    };
    return cmocka_run_group_tests_name("family", tests, NULL, NULL);
}
