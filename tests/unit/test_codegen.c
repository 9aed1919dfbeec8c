/* Kernels of every family on every vector width this machine has, against plain loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernel_suite.h"
#include "kernel_conv.h"

static const CodegenApi *api;

static void check_case(Suite *s, CnnrtKernel code, uint32_t i, const void *with)
{
    (void)with;
    Case c = {.k = &s->plan.kernels.at[i].k, .t = &s->plan.target, .code = code};
    if (!case_check(&c))
        suite_wrong(s, i, c.message);
}

static Kernel windowed(Family f, Conv c)
{
    return conv_kernel(f, LAYOUT_BLOCKED, c);
}

static Kernel tiled(Kernel k, Tile tile)
{
    k.tile = tile;
    return k;
}

static void conv_shapes(Suite *s)
{
    static const Conv shapes[] = {
        {16, 16, 8, 8, 3, 1, 1, 1, 1},  {3, 5, 7, 9, 3, 1, 1, 1, 1},
        {17, 33, 9, 5, 3, 1, 1, 1, 1},  {8, 24, 11, 13, 5, 2, 1, 2, 1},
        {19, 7, 12, 12, 3, 2, 1, 1, 1}, {32, 48, 14, 14, 3, 1, 1, 1, 1},
        {5, 64, 15, 15, 7, 2, 1, 3, 1}, {13, 20, 10, 17, 3, 1, 2, 2, 1},
        {16, 16, 3, 3, 3, 1, 1, 2, 1},  {9, 9, 1, 1, 3, 1, 1, 1, 1},
        {16, 16, 5, 4, 2, 2, 1, 0, 1},  {40, 3, 6, 30, 3, 1, 3, 3, 1},
        {4, 18, 4, 4, 4, 1, 1, 0, 1},   {12, 12, 2, 2, 5, 1, 1, 2, 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        Kernel k = windowed(FAM_CONV, shapes[i]);
        suite_add(s, k);
        suite_add(s, with(s, biased(k), (Epilogue)(i % (GATED_RESIDUAL + 1))));
        k.in.layout = LAYOUT_PLANAR;
        suite_add(s, with(s, biased(k), RELU));
    }
    for (int64_t n = 1; n < 6; n += 4) { /* results that are heads */
        Kernel head = windowed(FAM_CONV, (Conv){20, 37, n, n, 1, 1, 1, 0, 1});
        head.out.layout = LAYOUT_PLANAR;
        suite_add(s, with(s, biased(head), n == 1 ? AFFINE : RESIDUAL));
        suite_add(s, head);
    }
    Kernel k = windowed(FAM_CONV, (Conv){6, 10, 9, 11, 3, 1, 1, 0, 1});
    k.kh = 1; /* windows and paddings that differ by axis */
    k.kw = 5;
    k.pl = 2;
    k.sw = 2;
    k.out = blocked(10, 9, 6);
    suite_add(s, biased(k));
    k.pt = 2; /* a first row that meets nothing but padding */
    k.out.h = 13;
    suite_add(s, biased(k));
}

static void conv_pointwise(Suite *s)
{
    static const Conv shapes[] = {
        {16, 16, 4, 4, 1, 1, 1, 0, 1},   {3, 40, 9, 9, 1, 1, 1, 0, 1},
        {64, 48, 14, 14, 1, 1, 1, 0, 1}, {30, 33, 7, 7, 1, 1, 1, 0, 1},
        {128, 96, 1, 1, 1, 1, 1, 0, 1},  {48, 17, 8, 8, 1, 2, 1, 0, 1},
        {20, 130, 3, 2, 1, 1, 1, 0, 1},  {16, 32, 23, 31, 1, 1, 1, 0, 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        Kernel k = windowed(FAM_CONV, shapes[i]);
        suite_add(s, k);
        for (int e = RELU; e <= GATED_RESIDUAL; e++)
            if (e % 3 == (int)(i % 3))
                suite_add(s, with(s, biased(k), (Epilogue)e));
        if (shapes[i].stride != 1)
            continue;
        Kernel g = k;
        g.gate_arg = 0;
        g.extra_count = 1;
        g.extra[0] = KARG_GATE;
        suite_add(s, with(s, biased(g), i % 2 ? RESIDUAL : PLAIN));
        family_choose_tile(&g, &s->plan.target);
        g.tile.split_oc = true;
        g.tile.rb = (int)family_rows(&g);
        suite_add(s, with(s, g, RELU));
        for (int split = 0; split < 2; split++) { /* weights of a later step are fetched */
            Kernel f = with(s, biased(k), RESIDUAL);
            family_choose_tile(&f, &s->plan.target);
            f.extra[f.extra_count++] = KARG_AHEAD;
            f.fetch = 1 + (int)i * 5;
            if (split) {
                f.tile.split_oc = true;
                f.tile.rb = (int)family_rows(&f);
            }
            suite_add(s, f);
        }
    }
}

/* Every register tile that fits, units of both kinds. */
static void conv_tiles(Suite *s)
{
    int vl = s->plan.target.vl, regs = s->plan.target.regs;
    for (int ocv = 1; ocv <= 4; ocv++)
        for (int px = 1; px <= 28; px++) {
            int held = ocv < px ? ocv : px;
            if (ocv * px + held + 1 > regs || (px > 7 && px % 3 != ocv % 3))
                continue;
            int64_t oc = (int64_t)vl * (ocv + 1) + 3;
            Kernel k = windowed(FAM_CONV, (Conv){vl + 2, oc, 3, 2 * px + 5, 3, 1, 1, 1, 1});
            Tile tile = {.ocv = ocv, .px = px, .rb = 2};
            suite_add(s, with(s, biased(tiled(k, tile)), px % 2 ? RELU : RESIDUAL));
            k = windowed(FAM_CONV, (Conv){vl + 2, oc, 5, px + 3, 1, 1, 1, 0, 1});
            tile.flat = true;
            tile.rb = 3 * px;
            suite_add(s, with(s, tiled(k, tile), px % 2 ? AFFINE : PLAIN));
            tile.split_oc = true;
            tile.rb = (int)(k.out.h * k.out.w);
            suite_add(s, with(s, biased(tiled(k, tile)), px % 2 ? GELU : RELU));
        }
}

/* Reductions cut in chunks: partial sums pass through the output. */
static void conv_chunks(Suite *s)
{
    int vl = s->plan.target.vl;
    for (int kc = 1; kc <= 3; kc++)
        for (int kind = 0; kind < 4; kind++) {
            int64_t window = kind & 1 ? 3 : 1;
            Conv c = {5 * vl - 3, 2 * vl + 1, 5, 6, window, 1, 1, window / 2, 1};
            Kernel k = windowed(FAM_CONV, c);
            Tile tile = {.ocv = 1 + kc % 2, .px = 4, .kc = kc, .split_oc = true};
            tile.flat = window == 1;
            tile.rb = tile.flat ? 30 : 5;
            tile.prefetch = kind & 2;
            suite_add(s, with(s, biased(tiled(k, tile)), kind & 2 ? RESIDUAL : RELU));
            suite_add(s, with(s, tiled(k, tile), kind & 2 ? SILU : PLAIN));
        }
}

/* Runs that divide the tiles and runs that do not, maps whose last tiles are cut. */
static void conv_winograd(Suite *s)
{
    static const Conv shapes[] = {
        {16, 16, 8, 8, 3, 1, 1, 1, 1},   {5, 20, 13, 11, 3, 1, 1, 1, 1},
        {33, 40, 14, 15, 3, 1, 1, 1, 1}, {32, 17, 9, 9, 3, 1, 1, 0, 1},
        {24, 64, 12, 16, 3, 1, 1, 2, 1}, {8, 8, 3, 3, 3, 1, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int run = 1; run < 14; run += 4) {
            Kernel k = windowed(FAM_CONV, shapes[i]);
            Tile tile = {.ocv = 1 + run % 2, .px = 5, .winograd = run};
            if (run > family_winograd_tiles(&k))
                continue;
            suite_add(s, tiled(k, tile));
            Epilogue e = (Epilogue)((i + (size_t)run / 4) % (GATED_RESIDUAL + 1));
            suite_add(s, with(s, biased(tiled(k, tile)), e));
        }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int ocv = 1; ocv <= 3; ocv++) { /* the whole map, divided by output channels */
            Kernel k = windowed(FAM_CONV, shapes[i]);
            Tile tile = {.ocv = ocv, .px = 5, .split_oc = true};
            tile.winograd = (int)family_winograd_tiles(&k);
            suite_add(s, tiled(k, tile));
            Epilogue e = (Epilogue)((i + (size_t)ocv) % (GATED_RESIDUAL + 1));
            suite_add(s, with(s, biased(tiled(k, tile)), e));
        }
}

/* Tiles that are candidates for measuring, of every family that has a choice: every other one. */
static void candidates(Suite *s)
{
    int64_t vl = s->plan.target.vl;
    Kernel k[] = {
        biased(windowed(FAM_CONV, (Conv){40, 3 * vl + 1, 13, 11, 3, 1, 1, 1, 1})),
        biased(windowed(FAM_CONV, (Conv){33, 2 * vl, 14, 10, 3, 2, 1, 1, 1})),
        windowed(FAM_CONV, (Conv){5 * vl, 4 * vl, 7, 6, 1, 1, 1, 0, 1}),
        biased(windowed(FAM_CONV, (Conv){4 * vl, 6 * vl, 6, 7, 3, 1, 1, 1, 2})),
        windowed(FAM_DEPTHWISE, (Conv){20, 20, 9, 17, 3, 1, 1, 1, 20}),
        windowed(FAM_POOL, (Conv){20, 20, 9, 17, 3, 2, 1, 1, 1}),
        kernel(FAM_ELEM, blocked(9, 12, 13), blocked(9, 12, 13)),
        kernel(FAM_LN, blocked(33, 6, 5), blocked(33, 6, 5)),
        biased(kernel(FAM_DENSE, blocked(50, 2, 2), planar(9 * vl + 3, 1, 1))),
        kernel(FAM_COPY, blocked(20, 6, 5), blocked(20, 12, 10)),
    };
    k[7].eps = 1e-5;
    k[8].kh = k[8].kw = 1;
    k[9].copy = COPY_BILINEAR;
    k[9].by_h = k[9].by_w = 2;
    for (size_t i = 0; i < sizeof k / sizeof *k; i++) {
        Tile tiles[FAMILY_CANDIDATES];
        family_choose_tile(&k[i], &s->plan.target);
        int n = family_candidates(&k[i], &s->plan.target, tiles, FAMILY_CANDIDATES);
        assert_true(n > 1);
        for (int c = (int)(i + (size_t)vl / 8) % 2; c < n; c += 2)
            suite_add(s, with(s, tiled(k[i], tiles[c]), c % 4 < 2 ? RELU : PLAIN));
    }
}

static void conv_groups(Suite *s)
{
    static const Conv shapes[] = {
        {32, 32, 7, 7, 3, 1, 1, 1, 2},  {12, 18, 9, 8, 3, 1, 1, 1, 3},
        {64, 64, 5, 5, 3, 2, 1, 1, 4},  {32, 64, 6, 6, 1, 1, 1, 0, 2},
        {20, 40, 6, 6, 3, 1, 1, 1, 20}, {48, 48, 7, 7, 3, 1, 1, 1, 12},
        {30, 10, 8, 8, 1, 1, 1, 0, 5},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        Kernel k = windowed(FAM_CONV, shapes[i]);
        suite_add(s, k);
        suite_add(s, with(s, biased(k), RESIDUAL));
    }
}

static void depthwise(Suite *s)
{
    static const Conv shapes[] = {
        {16, 16, 8, 8, 3, 1, 1, 1, 16},   {7, 7, 9, 13, 3, 2, 1, 1, 7},
        {33, 33, 14, 14, 5, 1, 1, 2, 33}, {24, 24, 7, 7, 7, 1, 1, 3, 24},
        {5, 5, 12, 20, 3, 1, 2, 2, 5},    {40, 40, 1, 1, 3, 1, 1, 1, 40},
        {18, 18, 6, 35, 5, 2, 1, 2, 18},  {20, 20, 4, 4, 2, 2, 1, 0, 20},
        {9, 9, 3, 3, 3, 1, 1, 0, 9},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        Kernel k = windowed(FAM_DEPTHWISE, shapes[i]);
        suite_add(s, k);
        suite_add(s, with(s, biased(k), (Epilogue)(1 + i % GATED_RESIDUAL)));
        k = with(s, biased(k), (Epilogue)((1 + i) % (GATED_RESIDUAL + 1)));
        k.extra[k.extra_count++] = KARG_RESULT;
        k.summed = true;
        suite_add(s, k);
        family_choose_tile(&k, &s->plan.target);
        k.tile.rb = 2;
        suite_add(s, k);
    }
}

static void dense(Suite *s)
{
    static const int64_t in[][3] = {{16, 1, 1}, {37, 1, 1}, {5, 3, 3}, {128, 2, 2}, {1, 1, 1}};
    static const int64_t out[] = {10, 16, 100, 33, 1, 256};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        for (size_t o = 0; o < sizeof out / sizeof *out; o++) {
            MapDesc from = blocked(in[i][0], in[i][1], in[i][2]), to = blocked(out[o], 1, 1);
            if ((i + o) % 2)
                from.layout = LAYOUT_PLANAR;
            if ((i + o / 2) % 2)
                to.layout = LAYOUT_PLANAR;
            Kernel k = kernel(FAM_DENSE, from, to);
            k.kh = k.kw = 1;
            suite_add(s, with(s, biased(k), (Epilogue)((i + o) % (GATED_RESIDUAL + 1))));
            suite_add(s, k);
        }
}

static void pooling(Suite *s)
{
    static const Conv shapes[] = {
        {16, 16, 8, 8, 2, 2, 1, 0, 1},   {19, 19, 13, 11, 3, 2, 1, 1, 1},
        {5, 5, 7, 7, 3, 1, 1, 1, 1},     {33, 33, 4, 40, 3, 1, 1, 1, 1},
        {8, 8, 9, 9, 5, 1, 1, 2, 1},     {7, 7, 3, 3, 3, 1, 1, 0, 1},
        {20, 20, 10, 10, 3, 1, 2, 1, 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int kind = POOL_MAX; kind <= POOL_AVG_INCLUDE_PAD; kind++) {
            Kernel k = windowed(FAM_POOL, shapes[i]);
            k.pool = (PoolKind)kind;
            k.pb = k.pt;
            k.pr = k.pl;
            if (k.out.h * k.out.w == 1)
                k.out.layout = LAYOUT_PLANAR;
            suite_add(s, with(s, k, i % 3 == 1 ? AFFINE : PLAIN));
        }
    for (int kind = POOL_MAX; kind <= POOL_AVG_INCLUDE_PAD; kind++) {
        Kernel k = windowed(FAM_POOL, (Conv){17, 17, 6, 8, 3, 2, 1, 0, 1});
        k.pool = (PoolKind)kind; /* rounded up: the last windows pass the end of the map */
        k.out = blocked(17, 3, 4);
        suite_add(s, k);
    }
    static const int64_t grid[][2] = {{1, 1}, {2, 3}, {7, 7}, {6, 5}};
    for (size_t i = 0; i < sizeof grid / sizeof *grid; i++) {
        Kernel k = kernel(FAM_POOL, blocked(21, 11, 8), blocked(21, grid[i][0], grid[i][1]));
        k.pool = POOL_ADAPTIVE_AVG;
        if (i == 0)
            k.out.layout = LAYOUT_PLANAR;
        suite_add(s, with(s, k, i % 2 ? RELU : PLAIN));
    }
}

static void global_mean(Suite *s)
{
    static const int64_t shape[][3] = {{16, 7, 7}, {5, 3, 4}, {33, 1, 1}, {40, 14, 15}, {64, 2, 4}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        MapDesc in = blocked(shape[i][0], shape[i][1], shape[i][2]);
        suite_add(s, kernel(FAM_GAP, in, blocked(in.c, 1, 1)));
        suite_add(s, with(s, kernel(FAM_GAP, in, planar(in.c, 1, 1)), AFFINE));
        Kernel sums = kernel(FAM_GAP, in, blocked(in.c, 1, 1));
        sums.positions = 1000;
        suite_add(s, sums);
    }
}

static void elementwise(Suite *s)
{
    static const int64_t shape[][3] = {{16, 4, 4}, {5, 7, 3}, {33, 1, 1}, {50, 12, 13}, {3, 40, 1}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int e = RELU; e <= GATED_RESIDUAL; e++) {
            MapDesc m = blocked(shape[i][0], shape[i][1], shape[i][2]);
            suite_add(s, with(s, kernel(FAM_ELEM, m, m), (Epilogue)e));
            if (m.h * m.w != 1)
                continue;
            m.layout = LAYOUT_PLANAR;
            suite_add(s, with(s, kernel(FAM_ELEM, m, m), (Epilogue)e));
            Kernel k = with(s, kernel(FAM_ELEM, m, m), (Epilogue)e);
            k.in.layout = LAYOUT_BLOCKED;
            suite_add(s, k);
        }
}

/* The elementary functions over the ranges where they matter. */
static void functions(Suite *s)
{
    static const struct {
        ExprOp op;
        double scale, shift;
    } rows[] = {{EX_EXP, 87, 0},  {EX_EXP, 1, 0},     {EX_TANH, 12, 0}, {EX_TANH, 0.7, 0},
                {EX_ERF, 5, 0},   {EX_ERF, 1.1, 0},   {EX_SQRT, 1, 1},  {EX_TANH, 200, 0},
                {EX_ERF, 1e4, 0}, {EX_SQRT, 1e6, 2e6}};
    ExprPool *p = &s->pool;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Kernel k = kernel(FAM_ELEM, blocked(48, 9, 9), blocked(48, 9, 9));
        ExprId x = expr_binary(p, EX_MUL, expr_arg(p, 0), expr_const(p, rows[i].scale));
        x = expr_binary(p, EX_ADD, x, expr_const(p, rows[i].shift));
        k.pool_expr = p;
        k.root = expr_unary(p, rows[i].op, x);
        suite_add(s, k);
    }
    static const double reach[] = {1, 20, 86, 1e4, 1e15, 1e30};
    for (size_t i = 0; i < sizeof reach / sizeof *reach; i++) {
        Kernel k = kernel(FAM_ELEM, blocked(48, 9, 9), blocked(48, 9, 9));
        ExprId x = expr_binary(p, EX_MUL, expr_arg(p, 0), expr_const(p, reach[i]));
        ExprId power = expr_unary(p, EX_EXP, expr_unary(p, EX_NEG, x));
        ExprId below = expr_binary(p, EX_ADD, power, expr_const(p, 1));
        k.pool_expr = p;
        k.root = expr_binary(p, EX_DIV, x, below);
        suite_add(s, k);
        k.root = expr_binary(p, EX_DIV, expr_const(p, 1), below);
        suite_add(s, k);
    }
}

static void over_channels(Suite *s)
{
    static const int64_t shape[][3] = {{16, 4, 4}, {5, 7, 3}, {33, 1, 1}, {50, 6, 5}, {1, 2, 2}};
    static const Family family[] = {FAM_LN, FAM_SOFTMAX, FAM_LRN};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (size_t f = 0; f < 3; f++) {
            MapDesc m = blocked(shape[i][0], shape[i][1], shape[i][2]);
            Kernel k = kernel(family[f], m, m);
            k.eps = 1e-5;
            if (family[f] == FAM_LRN) {
                k.lrn_size = 5 - (int64_t)i % 3;
                k.alpha = 0.3;
                k.beta = 0.75;
                k.bias_k = 2;
            }
            suite_add(s, with(s, k, family[f] == FAM_LN ? AFFINE : PLAIN));
            if (m.h * m.w == 1 && family[f] != FAM_LRN) {
                k.out.layout = LAYOUT_PLANAR;
                suite_add(s, k);
            }
        }
}

static void add_layouts(Suite *s)
{
    static const int64_t shape[][3] = {{3, 9, 7}, {16, 4, 4}, {37, 5, 6}, {8, 1, 1}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int way = 0; way < 4; way++) {
            MapDesc a = blocked(shape[i][0], shape[i][1], shape[i][2]), b = a;
            a.layout = (Layout)(way & 1);
            b.layout = (Layout)(way >> 1);
            Kernel k = kernel(FAM_COPY, a, b);
            k.copy = COPY_LAYOUT;
            suite_add(s, with(s, k, i == 0 ? RELU : PLAIN));
        }
}

static void add_channel_ranges(Suite *s)
{
    static const int64_t range[][5] = {
        /* channels in and out, from, to, how many */
        {16, 32, 0, 16, 16}, {5, 12, 0, 7, 5},    {40, 24, 16, 0, 24},
        {20, 33, 0, 13, 20}, {64, 10, 32, 0, 10}, {64, 10, 33, 0, 10},
        {7, 20, 0, 0, 7},    {1, 3, 0, 2, 1},     {24, 72, 0, 32, 24},
    };
    for (size_t i = 0; i < sizeof range / sizeof *range; i++) {
        Kernel k = kernel(FAM_COPY, blocked(range[i][0], 3, 5), blocked(range[i][1], 3, 5));
        k.copy = COPY_CHANNELS;
        k.src_c = range[i][2];
        k.dst_c = range[i][3];
        k.count_c = range[i][4];
        suite_add(s, with(s, k, i % 3 == 2 ? AFFINE : PLAIN));
    }
}

static void copies(Suite *s)
{
    add_layouts(s);
    add_channel_ranges(s);
    for (int64_t c = 6; c < 50; c += 14) {
        Kernel k = kernel(FAM_COPY, blocked(c, 5, 6), blocked(c, 9, 8));
        k.copy = COPY_BORDER;
        k.pt = 1;
        k.pl = 2;
        suite_add(s, with(s, k, RELU));
        k.out = blocked(c, 3, 2);
        k.pt = -1;
        k.pl = -3;
        suite_add(s, k);
        for (int64_t by = 2; by <= 3; by++) {
            k = kernel(FAM_COPY, blocked(c, 5, 6), blocked(c, 5 * by, 6 * (by - 1)));
            k.by_h = by;
            k.by_w = by - 1;
            k.copy = COPY_NEAREST;
            suite_add(s, with(s, k, RESIDUAL));
            k = kernel(FAM_COPY, k.in, k.out);
            k.by_h = by;
            k.by_w = by - 1;
            k.copy = COPY_BILINEAR;
            suite_add(s, k);
            k = kernel(FAM_COPY, blocked(c, 3 * by, 4 * by), blocked(c * by * by, 3, 4));
            k.by_h = k.by_w = by;
            k.copy = COPY_SPACE_TO_DEPTH;
            suite_add(s, k);
            k = kernel(FAM_COPY, blocked(c * by, 3, 4), blocked(c * by, 3, 4));
            k.groups = by;
            k.copy = COPY_SHUFFLE;
            suite_add(s, k);
        }
    }
}

static void transposed(Suite *s)
{
    static const struct {
        Conv c;
        int64_t extra; /* rows and columns added at the end */
    } shapes[] = {
        {{16, 16, 4, 4, 2, 2, 1, 0, 1}, 0}, {{5, 9, 5, 6, 3, 2, 1, 1, 1}, 1},
        {{33, 20, 3, 7, 4, 2, 1, 1, 1}, 0}, {{8, 24, 6, 5, 3, 1, 1, 1, 1}, 0},
        {{12, 18, 4, 4, 3, 2, 1, 1, 3}, 0}, {{32, 32, 3, 3, 2, 2, 1, 0, 2}, 0},
        {{7, 7, 4, 5, 3, 3, 2, 1, 1}, 0},   {{16, 40, 1, 1, 4, 4, 1, 0, 1}, 2},
        {{6, 6, 9, 21, 2, 3, 1, 0, 1}, 0},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        Conv c = shapes[i].c;
        Kernel k = windowed(FAM_CONVT, (Conv){c.ic, c.oc, c.h, c.w, 1, 1, 1, 0, c.groups});
        k.kh = k.kw = c.k;
        k.sh = k.sw = c.stride;
        k.dh = k.dw = c.dilation;
        k.pt = k.pl = c.pad;
        int64_t reach = c.dilation * (c.k - 1) + 1 - 2 * c.pad + shapes[i].extra;
        k.out = blocked(c.oc, (c.h - 1) * c.stride + reach, (c.w - 1) * c.stride + reach);
        suite_add(s, k);
        suite_add(s, with(s, biased(k), i % 2 ? RESIDUAL : AFFINE));
        family_choose_tile(&k, &s->plan.target);
        k.tile.split_oc = !k.tile.split_oc;
        k.tile.rb = k.tile.split_oc ? (int)k.out.h : 2;
        suite_add(s, k);
    }
}

#define TEST(NAME)                                                                                 \
    static void test_##NAME(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        suite_on_levels(api, NAME, check_case, NULL);                                              \
    }
TEST(conv_shapes)
TEST(conv_pointwise)
TEST(conv_tiles)
TEST(conv_chunks)
TEST(candidates)
TEST(conv_groups)
TEST(conv_winograd)
TEST(depthwise)
TEST(dense)
TEST(pooling)
TEST(global_mean)
TEST(elementwise)
TEST(functions)
TEST(over_channels)
TEST(copies)
TEST(transposed)

static void test_neon_compiles(void **state)
{
    (void)state;
    static SuiteFill *const fill[] = {conv_shapes, conv_chunks,   conv_groups, depthwise,
                                      dense,       pooling,       global_mean, elementwise,
                                      functions,   over_channels, copies,      transposed};
    suite_compiles_for_arm(api, fill, sizeof fill / sizeof *fill);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv_shapes),   cmocka_unit_test(test_conv_pointwise),
        cmocka_unit_test(test_conv_tiles),    cmocka_unit_test(test_conv_chunks),
        cmocka_unit_test(test_candidates),    cmocka_unit_test(test_conv_groups),
        cmocka_unit_test(test_depthwise),     cmocka_unit_test(test_dense),
        cmocka_unit_test(test_pooling),       cmocka_unit_test(test_global_mean),
        cmocka_unit_test(test_elementwise),   cmocka_unit_test(test_over_channels),
        cmocka_unit_test(test_copies),        cmocka_unit_test(test_transposed),
        cmocka_unit_test(test_functions),     cmocka_unit_test(test_conv_winograd),
        cmocka_unit_test(test_neon_compiles),
    };
    api = suite_api();
    return cmocka_run_group_tests_name("codegen", tests, NULL, NULL);
}
