/* GPU kernels of every family on the emulator, against plain loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cuda_contractions.h"

static const CodegenApi *api;

typedef void Fill(Suite *s);

static void run(Fill *fill)
{
    static Suite s;
    Target t;
    char err[1024];
    assert_non_null(api);
    assert_true(api->target("sm_70", &t, err, sizeof err));
    if (setjmp(s.oom.env))
        fail_msg("out of memory");
    suite_open(&s, &t);
    fill(&s);
    cuda_suite_check(&s, api);
    int failures = s.failures;
    suite_close(&s);
    assert_int_equal(failures, 0);
}

/* Every tile of the table, with sizes that divide it and sizes that do not. */
static void conv_tiles(Suite *s)
{
    static const CudaTile tiles[] = {
#define TILE(M, N, K, TM, TN, WEIGHT)                                                              \
    {.threads = ((M) / (TM)) * ((N) / (TN)), .m = M, .n = N, .k = K, .tm = TM, .tn = TN},
#include "family/cuda_tile.def"
    };
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        Kernel k = windowed(FAM_CONV, (Conv){12, tiles[i].n, 8, 16, 1, 1, 1, 0, 1});
        cuda_add(s, with(s, tiled(k, tiles[i]), RESIDUAL));
        k = windowed(FAM_CONV, (Conv){7, tiles[i].n + 5, 9, 11, 3, 1, 1, 1, 1});
        cuda_add(s, with(s, biased(tiled(k, tiles[i])), i % 2 ? SILU : AFFINE));
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
        cuda_add(s, k);
        cuda_add(s, with(s, biased(k), (Epilogue)(1 + i % GATED_RESIDUAL)));
    }
}

static void pooling(Suite *s)
{
    static const Conv shapes[] = {
        {16, 16, 8, 8, 2, 2, 1, 0, 1},   {19, 19, 13, 11, 3, 2, 1, 1, 1},
        {5, 5, 7, 7, 3, 1, 1, 1, 1},     {33, 33, 4, 10, 3, 1, 1, 1, 1},
        {8, 8, 9, 9, 5, 1, 1, 2, 1},     {7, 7, 3, 3, 3, 1, 1, 0, 1},
        {20, 20, 10, 10, 3, 1, 2, 1, 1}, {6, 6, 9, 9, 7, 1, 1, 3, 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int kind = POOL_MAX; kind <= POOL_AVG_INCLUDE_PAD; kind++) {
            Kernel k = windowed(FAM_POOL, shapes[i]);
            k.pool = (PoolKind)kind;
            k.pb = k.pt;
            k.pr = k.pl;
            if (k.out.h * k.out.w == 1)
                k.out.layout = LAYOUT_PLANAR;
            cuda_add(s, with(s, k, i % 3 == 1 ? AFFINE : PLAIN));
        }
    for (int kind = POOL_MAX; kind <= POOL_AVG_INCLUDE_PAD; kind++) {
        Kernel k = windowed(FAM_POOL, (Conv){17, 17, 6, 8, 3, 2, 1, 0, 1});
        k.pool = (PoolKind)kind; /* rounded up: the last windows pass the end of the map */
        k.out = map(17, 3, 4);
        cuda_add(s, k);
    }
    static const int64_t grid[][2] = {{1, 1}, {2, 3}, {7, 7}, {6, 5}};
    for (size_t i = 0; i < sizeof grid / sizeof *grid; i++) {
        Kernel k = kernel(FAM_POOL, map(21, 11, 8), map(21, grid[i][0], grid[i][1]));
        k.pool = POOL_ADAPTIVE_AVG;
        if (i == 0)
            k.out.layout = LAYOUT_PLANAR;
        cuda_add(s, with(s, k, i % 2 ? RELU : PLAIN));
    }
}

static void global_mean(Suite *s)
{
    static const int64_t shape[][3] = {{16, 7, 7}, {5, 3, 4}, {33, 1, 1}, {40, 14, 15}, {64, 2, 4}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        MapDesc in = map(shape[i][0], shape[i][1], shape[i][2]);
        cuda_add(s, kernel(FAM_GAP, in, map(in.c, 1, 1)));
        cuda_add(s, with(s, kernel(FAM_GAP, in, planar(in.c, 1, 1)), AFFINE));
    }
}

static void elementwise(Suite *s)
{
    static const int64_t shape[][3] = {{16, 4, 4}, {5, 7, 3}, {33, 1, 1}, {50, 6, 13}, {3, 40, 1}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int e = RELU; e <= GATED_RESIDUAL; e++) {
            MapDesc m = map(shape[i][0], shape[i][1], shape[i][2]);
            cuda_add(s, with(s, kernel(FAM_ELEM, m, m), (Epilogue)e));
            if (m.h * m.w != 1)
                continue;
            cuda_add(s, with(s, kernel(FAM_ELEM, m, planar(m.c, 1, 1)), (Epilogue)e));
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
        Kernel k = kernel(FAM_ELEM, map(48, 9, 9), map(48, 9, 9));
        ExprId x = expr_binary(p, EX_MUL, expr_arg(p, 0), expr_const(p, rows[i].scale));
        x = expr_binary(p, EX_ADD, x, expr_const(p, rows[i].shift));
        k.pool_expr = p;
        k.root = expr_unary(p, rows[i].op, x);
        cuda_add(s, k);
    }
}

static void over_channels(Suite *s)
{
    static const int64_t shape[][3] = {{16, 4, 4}, {5, 7, 3}, {33, 1, 1}, {150, 3, 5}, {1, 2, 2}};
    static const Family family[] = {FAM_LN, FAM_SOFTMAX, FAM_LRN};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (size_t f = 0; f < 3; f++) {
            MapDesc m = map(shape[i][0], shape[i][1], shape[i][2]);
            Kernel k = kernel(family[f], m, m);
            k.eps = 1e-5;
            if (family[f] == FAM_LRN) {
                k.lrn_size = 5 - (int64_t)i % 3;
                k.alpha = 0.3;
                k.beta = 0.75;
                k.bias_k = 2;
            }
            cuda_add(s, with(s, k, family[f] == FAM_LN ? AFFINE : PLAIN));
            if (m.h * m.w == 1 && family[f] != FAM_LRN) {
                k.out.layout = LAYOUT_PLANAR;
                cuda_add(s, k);
            }
        }
}

static void add_layouts(Suite *s)
{
    static const int64_t shape[][3] = {{3, 9, 7}, {16, 4, 4}, {37, 5, 6}, {8, 1, 1}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int way = 0; way < 4; way++) {
            MapDesc a = map(shape[i][0], shape[i][1], shape[i][2]), b = a;
            a.layout = way & 1 ? LAYOUT_PLANAR : LAYOUT_CHANNELS;
            b.layout = way & 2 ? LAYOUT_PLANAR : LAYOUT_CHANNELS;
            Kernel k = kernel(FAM_COPY, a, b);
            k.copy = COPY_LAYOUT;
            cuda_add(s, with(s, k, i == 0 ? RELU : PLAIN));
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
        Kernel k = kernel(FAM_COPY, map(range[i][0], 3, 5), map(range[i][1], 3, 5));
        k.copy = COPY_CHANNELS;
        k.src_c = range[i][2];
        k.dst_c = range[i][3];
        k.count_c = range[i][4];
        cuda_add(s, with(s, k, i % 3 == 2 ? AFFINE : PLAIN));
    }
}

static void add_enlargements(Suite *s, int64_t c, int64_t by)
{
    Kernel k = kernel(FAM_COPY, map(c, 5, 6), map(c, 5 * by, 6 * (by - 1)));
    k.by_h = by;
    k.by_w = by - 1;
    k.copy = COPY_NEAREST;
    cuda_add(s, with(s, k, RESIDUAL));
    k.copy = COPY_BILINEAR;
    cuda_add(s, k);
    k = kernel(FAM_COPY, map(c, 3 * by, 4 * by), map(c * by * by, 3, 4));
    k.by_h = k.by_w = by;
    k.copy = COPY_SPACE_TO_DEPTH;
    cuda_add(s, k);
    k = kernel(FAM_COPY, map(c * by, 3, 4), map(c * by, 3, 4));
    k.groups = by;
    k.copy = COPY_SHUFFLE;
    cuda_add(s, k);
}

static void copies(Suite *s)
{
    add_layouts(s);
    add_channel_ranges(s);
    for (int64_t c = 6; c < 50; c += 14) {
        Kernel k = kernel(FAM_COPY, map(c, 5, 6), map(c, 9, 8));
        k.copy = COPY_BORDER;
        k.pt = 1;
        k.pl = 2;
        cuda_add(s, with(s, k, RELU));
        k.out = map(c, 3, 2);
        k.pt = -1;
        k.pl = -3;
        cuda_add(s, k);
        for (int64_t by = 2; by <= 3; by++)
            add_enlargements(s, c, by);
    }
}

#define TEST(NAME)                                                                                 \
    static void test_##NAME(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        run(NAME);                                                                                 \
    }
TEST(conv_shapes)
TEST(conv_pointwise)
TEST(conv_tiles)
TEST(conv_groups)
TEST(transposed)
TEST(depthwise)
TEST(dense)
TEST(pooling)
TEST(global_mean)
TEST(elementwise)
TEST(functions)
TEST(over_channels)
TEST(copies)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elementwise), cmocka_unit_test(test_functions),
        cmocka_unit_test(test_copies),      cmocka_unit_test(test_pooling),
        cmocka_unit_test(test_global_mean), cmocka_unit_test(test_over_channels),
        cmocka_unit_test(test_depthwise),   cmocka_unit_test(test_dense),
        cmocka_unit_test(test_conv_shapes), cmocka_unit_test(test_conv_pointwise),
        cmocka_unit_test(test_conv_tiles),  cmocka_unit_test(test_conv_groups),
        cmocka_unit_test(test_transposed),
    };
    api = suite_api();
    return cmocka_run_group_tests_name("cuda", tests, NULL, NULL);
}
