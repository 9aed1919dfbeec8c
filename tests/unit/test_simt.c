/* The emulator of tests/simt: right kernels run right and without complaint, each planted fault is
 * found, and what cannot be run is refused. */
#include "simt_case.h"
#include <math.h>

enum { SIDE = 48 };

static void run_matmul(SimtModule *m, bool *right)
{
    float *a = buffer(SIDE * SIDE), *b = buffer(SIDE * SIDE), *c = buffer(SIDE * SIDE);
    int n = SIDE;
    for (uint32_t i = 0; i < SIDE * SIDE; i++) {
        a[i] = value_at(i);
        b[i] = value_at(i + 7777);
    }
    SimtLaunch how = {{SIDE / 16, SIDE / 16, 1}, {16, 16, 1}, 0};
    void *args[] = {&a, &b, &c, &n};
    assert_true(simt_launch(m, "matmul", &how, args, case_error, sizeof case_error));
    *right = true;
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            float sum = 0;
            for (int k = 0; k < SIDE; k++)
                sum = fmaf(a[i * SIDE + k], b[k * SIDE + j], sum);
            *right = *right && c[i * SIDE + j] == sum;
        }
    release(a);
    release(b);
    release(c);
    simt_unload(m);
}

static void test_matmul(void **state)
{
    (void)state;
    bool right;
    for (uint64_t seed = 0; seed < 3; seed++) {
        simt_shuffle(seed);
        run_matmul(load_kernels("matmul", NULL, NULL), &right);
        assert_true(right);
    }
    simt_shuffle(0);
    expect_clean();
    const SimtReport *r = simt_report();
    assert_int_equal(r->launches, 3);
    assert_int_equal(r->blocks, 27);
    assert_int_equal(r->threads, 27 * 256);
    assert_int_equal(r->barriers, 27 * 6);
    /* rows of a tile are read by half warps, one word each: two words of different banks */
    assert_int_equal(r->conflicts, 0);
}

/* Values can be right by luck of the schedule: it is the order that is missing. */
static void test_removed_barriers(void **state)
{
    (void)state;
    bool right;
    run_matmul(load_kernels("matmul", "call void @llvm.nvvm.barrier0() ; filled", ""), &right);
    assert_false(right);
    expect_fault(SIMT_RACE, 0, "matmul");
    expect_fault(SIMT_UNINIT, 0, "matmul");
    simt_report_clear();
    run_matmul(load_kernels("matmul", "call void @llvm.nvvm.barrier0() ; used", ""), &right);
    expect_fault(SIMT_RACE, 0, "matmul");
}

static void test_off_by_one(void **state)
{
    (void)state;
    bool right;
    run_matmul(load_kernels("matmul", "%ci = add i32 %arow, %col",
                            "%c1 = add i32 %arow, %col\n  %ci = add i32 %c1, 1"),
               &right);
    assert_false(right);
    expect_fault(SIMT_BOUNDS, 1, "matmul");
    const char *message = simt_report()->message[0];
    assert_non_null(strstr(message, "block (2,2,0), thread (15,15,0)"));
    assert_non_null(strstr(message, "store float %sum2, ptr addrspace(1) %cp"));
    assert_non_null(strstr(message, "4 bytes at offset 9216 of a buffer of 9216"));
    simt_report_clear();
    /* past the end of a shared variable, though another one follows */
    run_matmul(load_kernels("matmul",
                            "%as.mine = getelementptr float, ptr addrspace(3) @as, i32 %mine",
                            "%m1 = add i32 %mine, 1\n  %as.mine = getelementptr float, "
                            "ptr addrspace(3) @as, i32 %m1"),
               &right);
    expect_fault(SIMT_BOUNDS, 27, "matmul"); /* once in each step of each block */
}

static void test_reduction(void **state)
{
    (void)state;
    SimtModule *m = load_kernels("reduce", NULL, NULL);
    float *x = buffer(3 * 256), *y = buffer(3);
    double sum[3] = {0};
    for (uint32_t i = 0; i < 3 * 256; i++) {
        x[i] = value_at(i);
        sum[i / 256] += x[i];
    }
    void *args[] = {&x, &y};
    launch(m, "reduce", 3, 256, 0, args);
    expect_clean();
    for (int i = 0; i < 3; i++)
        assert_true(fabs(y[i] - sum[i]) < 1e-5);
    simt_unload(m);
    m = load_kernels("reduce", "call void @llvm.nvvm.barrier0()", "");
    launch(m, "reduce", 3, 256, 0, args);
    expect_fault(SIMT_RACE, 0, "reduce");
    simt_unload(m);
    release(x);
    release(y);
}

static bool run_pipeline(SimtModule *m)
{
    enum { STAGES = 5, N = STAGES * 512 };
    float *x = buffer(N), *y = buffer(N);
    int n = STAGES;
    bool right = true;
    for (uint32_t i = 0; i < N; i++)
        x[i] = value_at(i);
    void *args[] = {&x, &y, &n};
    launch(m, "pipeline", 1, 128, 2 * 2048, args);
    for (int i = 0; i < N; i++)
        right = right && y[i] == x[i / 512 * 512 + 511 - i % 512];
    release(x);
    release(y);
    simt_unload(m);
    return right;
}

static void test_pipeline(void **state)
{
    (void)state;
    assert_true(run_pipeline(load_kernels("pipeline", NULL, NULL)));
    expect_clean();
    assert_int_equal(simt_report()->conflicts, 0);
}

static void test_pipeline_faults(void **state)
{
    (void)state;
    /* one group too many may be under way */
    assert_false(run_pipeline(load_kernels("pipeline", "wait.group(i32 1)", "wait.group(i32 2)")));
    expect_fault(SIMT_WAIT, 0, "pipeline");
    simt_report_clear();
    /* each thread waits for its own copies alone */
    run_pipeline(load_kernels("pipeline", "call void @llvm.nvvm.barrier0() ; arrived", ""));
    expect_fault(SIMT_RACE, 0, "pipeline");
    simt_report_clear();
    /* a stage is filled again while others may still read it */
    run_pipeline(load_kernels("pipeline", "call void @llvm.nvvm.barrier0() ; used", ""));
    expect_fault(SIMT_RACE, 0, "pipeline");
    simt_report_clear();
    /* zeros come where there is no next stage: without them the source would be read past its end
     */
    run_pipeline(load_kernels("pipeline", "i32 16, i32 0", "i32 16, i32 16"));
    expect_fault(SIMT_BOUNDS, 0, "pipeline");
}

static uint16_t bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return (uint16_t)(u >> 16);
}

static float from_bf16(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static bool run_tile(SimtModule *m)
{
    uint16_t *a = buffer(16 * 32), *b = buffer(8 * 32);
    float *c = buffer(16 * 8);
    bool right = true;
    for (uint32_t i = 0; i < 16 * 64; i++)
        a[i] = bf16(value_at(i));
    for (uint32_t i = 0; i < 8 * 64; i++)
        b[i] = bf16(value_at(i + 999));
    void *args[] = {&a, &b, &c};
    launch(m, "tile", 1, 32, 0, args);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) {
            double sum = 0;
            for (int k = 0; k < 64; k++)
                sum += (double)from_bf16(a[i * 64 + k]) * from_bf16(b[j * 64 + k]);
            right = right && fabs(c[i * 8 + j] - sum) < 1e-5;
        }
    release(a);
    release(b);
    release(c);
    simt_unload(m);
    return right;
}

static void test_tile(void **state)
{
    (void)state;
    assert_true(run_tile(load_kernels("tile", NULL, NULL)));
    expect_clean();
    const SimtReport *r = simt_report();
    assert_int_equal(r->matrix_ops, 4);
    assert_int_equal(r->conflicts, 0);
    /* 6 copies of a warp in 4 quarters, 4 k-steps of 4 + 2 matrices */
    assert_int_equal(r->shared_requests, 6 * 4 + 4 * 6);
}

static void test_removed_swizzle(void **state)
{
    (void)state;
    assert_true(run_tile(load_kernels("tile", "xor i32 %chunk, %turn", "add i32 %chunk, 0")));
    expect_clean();
    /* the eight rows of a matrix all begin in the same bank; copies go along rows as before */
    assert_int_equal(simt_report()->conflicts, 4 * 6 * 7);
}

static void test_tile_faults(void **state)
{
    (void)state;
    run_tile(load_kernels("tile", "call void @llvm.nvvm.bar.warp.sync(i32 -1)", ""));
    expect_fault(SIMT_RACE, 0, "tile");
    simt_report_clear();
    run_tile(load_kernels("tile", "call void @llvm.nvvm.cp.async.wait.all()", ""));
    expect_fault(SIMT_WAIT, 0, "tile");
    simt_report_clear();
    run_tile(load_kernels("tile", "%c = shl i32 %swizzled, 4", "%c = shl i32 %swizzled, 3"));
    expect_fault(SIMT_ALIGN, 0, "tile");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIMT_TEST(test_matmul),      SIMT_TEST(test_removed_barriers),
        SIMT_TEST(test_off_by_one),  SIMT_TEST(test_reduction),
        SIMT_TEST(test_pipeline),    SIMT_TEST(test_pipeline_faults),
        SIMT_TEST(test_tile),        SIMT_TEST(test_removed_swizzle),
        SIMT_TEST(test_tile_faults),
    };
    return cmocka_run_group_tests_name("simt", tests, NULL, NULL);
}
