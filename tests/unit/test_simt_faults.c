/* Small kernels, each wrong in one way: what the emulator of tests/simt finds and what it refuses.
 */
#include "simt_case.h"

static SimtModule *small;

static int load_small(void **state)
{
    (void)state;
    small = load_kernels("small", NULL, NULL);
    return 0;
}

static int unload_small(void **state)
{
    (void)state;
    simt_unload(small);
    return 0;
}

static void test_divergent_barriers(void **state)
{
    (void)state;
    int n = 64;
    void *args[] = {&n};
    launch(small, "exit_before_barrier", 1, 64, 0, args);
    expect_clean();
    launch(small, "exit_before_barrier", 1, 96, 0, args);
    expect_fault(SIMT_BARRIER, 1, "exit_before_barrier");
    assert_non_null(strstr(simt_report()->message[0], "32 of 96 threads"));
    simt_report_clear();
    launch(small, "two_barriers", 1, 64, 0, args);
    expect_clean();
    launch(small, "two_barriers", 1, 96, 0, args);
    expect_fault(SIMT_BARRIER, 32, "two_barriers");
}

static void test_deadlock(void **state)
{
    (void)state;
    int n = 16;
    void *args[] = {&n};
    launch(small, "deadlock", 3, 32, 0, args);
    expect_fault(SIMT_DEADLOCK, 32, "deadlock");
    expect_fault(SIMT_BARRIER, 32, "deadlock");
    assert_int_equal(simt_report()->blocks, 1);
    simt_report_clear();
    n = 32;
    launch(small, "deadlock", 3, 32, 0, args);
    expect_clean();
}

static void test_alignment(void **state)
{
    (void)state;
    float *x = buffer(16), *y = buffer(1);
    int by = 16;
    void *args[] = {&x, &y, &by};
    x[4] = 3;
    launch(small, "vector", 1, 1, 0, args);
    expect_clean();
    assert_true(y[0] == 3);
    by = 12;
    launch(small, "vector", 1, 1, 0, args);
    expect_fault(SIMT_ALIGN, 1, "vector");
    simt_report_clear();
    by = 52; /* begins inside, ends outside */
    launch(small, "vector", 1, 1, 0, args);
    expect_fault(SIMT_BOUNDS, 1, "vector");
    assert_true(y[0] != y[0]);
    release(x);
    release(y);
}

static void test_blocks(void **state)
{
    (void)state;
    int *y = buffer(4 * 32), stride = 32;
    void *args[] = {&y, &stride};
    launch(small, "blocks", 4, 32, 0, args);
    launch(small, "blocks", 4, 32, 0, args); /* another launch comes after */
    expect_clean();
    stride = 31; /* the last of each block is the first of the next */
    launch(small, "blocks", 4, 32, 0, args);
    expect_fault(SIMT_BLOCKS, 3, "blocks");
    release(y);
}

/* What a block reads, a later one must not write; also when that reads it itself before. */
static void test_blocks_that_read(void **state)
{
    (void)state;
    int *y = buffer(5 * 32), by = 32, own = 0;
    void *args[] = {&y, &by, &own};
    for (int i = 0; i < 5 * 32; i++)
        y[i] = i;
    for (own = 0; own < 2; own++) {
        launch(small, "shift", 4, 32, 0, args);
        expect_fault(SIMT_BLOCKS, 3 * 32, "shift");
        simt_report_clear();
    }
    by = 0;
    launch(small, "shift", 4, 32, 0, args);
    expect_clean();
    release(y);
}

static void test_counts_of_barriers(void **state)
{
    (void)state;
    int count = 64;
    void *args[] = {&count};
    launch(small, "counts", 1, 64, 0, args);
    expect_clean();
    count = 32;
    launch(small, "counts", 1, 64, 0, args);
    expect_fault(SIMT_BARRIER, 32, "counts");
    simt_report_clear();
    count = 33;
    launch(small, "counts", 1, 64, 0, args);
    expect_fault(SIMT_ILLEGAL, 32, "counts");
}

static void test_lanes_that_are_not_there(void **state)
{
    (void)state;
    int *y = buffer(32), from = 5;
    void *args[] = {&y, &from};
    launch(small, "half_warp", 1, 32, 0, args);
    expect_clean();
    assert_int_equal(y[15], 5);
    from = 20;
    launch(small, "half_warp", 1, 32, 0, args);
    expect_fault(SIMT_ILLEGAL, 16, "half_warp");
    release(y);
}

static void test_zero_fill(void **state)
{
    (void)state;
    int *x = buffer(4), *y = buffer(4), n = 8;
    void *args[] = {&x, &y, &n};
    launch(small, "partial", 1, 1, 0, args);
    expect_clean();
    assert_true(y[0] == -1 && y[1] == -1 && y[2] == 0 && y[3] == 0);
    n = 17;
    launch(small, "partial", 1, 1, 0, args);
    expect_fault(SIMT_ILLEGAL, 1, "partial");
    release(x);
    release(y);
}

static void test_denormals(void **state)
{
    (void)state;
    uint32_t *x = buffer(1), *y = buffer(1);
    void *args[] = {&x, &y};
    x[0] = 0x00400000;
    launch(small, "kept", 1, 1, 0, args);
    assert_int_equal(y[0], 0x00200000);
    launch(small, "flushed", 1, 1, 0, args);
    assert_int_equal(y[0], 0);
    x[0] = 0x80800000;
    launch(small, "flushed", 1, 1, 0, args);
    assert_int_equal(y[0], 0x80000000);
    launch(small, "kept", 1, 1, 0, args);
    assert_int_equal(y[0], 0x80400000);
    expect_clean();
    release(x);
    release(y);
}

static void test_atomics(void **state)
{
    (void)state;
    int *y = buffer(1), plain = 0;
    void *args[] = {&y, &plain};
    y[0] = 0;
    launch(small, "atomic", 4, 64, 0, args);
    expect_clean();
    assert_int_equal(y[0], 256);
    plain = 1;
    launch(small, "atomic", 2, 1, 0, args);
    expect_fault(SIMT_BLOCKS, 0, "atomic");
    release(y);
}

/* Shuffles move registers; they do not order memory. */
static void test_warp_order(void **state)
{
    (void)state;
    int *y = buffer(32), how = 1;
    void *args[] = {&y, &how};
    launch(small, "warp", 1, 32, 0, args);
    expect_clean();
    assert_int_equal(y[31], 42);
    for (how = 0; how <= 2; how += 2) {
        simt_report_clear();
        launch(small, "warp", 1, 32, 0, args);
        expect_fault(SIMT_RACE, 31, "warp");
    }
    release(y);
}

static void test_halves_of_words(void **state)
{
    (void)state;
    uint16_t *y = buffer(32);
    void *args[] = {&y};
    launch(small, "halves", 1, 64, 0, args);
    expect_clean();
    assert_int_equal(y[63], 63);
    release(y);
}

static void test_bank_conflicts(void **state)
{
    (void)state;
    static const struct {
        int stride;
        uint64_t conflicts;
    } cases[] = {{0, 0}, {1, 0}, {2, 1}, {3, 0}, {4, 3}, {8, 7}, {16, 15}, {31, 0}, {32, 31}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int stride = cases[i].stride;
        void *args[] = {&stride};
        simt_report_clear();
        launch(small, "strided", 1, 32, 0, args);
        assert_int_equal(simt_report()->conflicts, cases[i].conflicts);
        assert_int_equal(simt_report()->shared_requests, 1);
        if (stride)
            expect_clean();
        else
            expect_fault(SIMT_RACE, 31, "strided");
    }
}

static void test_named_barriers(void **state)
{
    (void)state;
    int *y = buffer(64), cross = 31;
    void *args[] = {&y, &cross};
    launch(small, "named", 1, 64, 0, args);
    expect_clean();
    assert_int_equal(y[0], 31);
    assert_int_equal(y[40], 55);
    cross = 32; /* the other half's words, which no barrier hands over */
    launch(small, "named", 1, 64, 0, args);
    expect_fault(SIMT_RACE, 0, "named");
    release(y);
}

static void test_constants(void **state)
{
    (void)state;
    int s[4] = {1, 2, 3, 4}, *y = buffer(1), i = 2;
    void *args[] = {s, &y, &i};
    launch(small, "constants", 1, 1, 0, args);
    expect_clean();
    assert_int_equal(y[0], 33);
    i = 4;
    launch(small, "constants", 1, 1, 0, args);
    expect_fault(SIMT_BOUNDS, 2, "constants");
    const SimtKernel *k = simt_kernel(small, "constants");
    assert_int_equal(k->params, 3);
    assert_int_equal(k->param_bytes[0], 16);
    assert_int_equal(k->param_bytes[1], 8);
    assert_int_equal(k->param_bytes[2], 4);
    release(y);
}

static void expect_refusal(const char *text, const char *why)
{
    SimtModule *m = simt_load_text(text, strlen(text), CHECKED, case_error, sizeof case_error);
    assert_null(m);
    if (!strstr(case_error, why))
        fail_msg("'%s' does not say '%s'", case_error, why);
}

static void test_refused_modules(void **state)
{
    (void)state;
    expect_refusal("define ptx_kernel void @k() { ret i32 0 }", "value doesn't match");
    expect_refusal("not a module", "expected top-level entity");
    expect_refusal("define ptx_kernel void @k(ptr addrspace(1) %p, float %x) {\n"
                   "  %y = call float @llvm.exp.f32(float %x)\n"
                   "  store float %y, ptr addrspace(1) %p\n  ret void\n}\n",
                   "llvm.exp.f32, which NVPTX has no code for");
    expect_refusal("declare void @elsewhere()\n"
                   "define ptx_kernel void @k() {\n  call void @elsewhere()\n  ret void\n}\n",
                   "elsewhere, which is not defined");
    expect_refusal("define ptx_kernel void @k() {\n"
                   "  call void asm sideeffect \"frobnicate;\", \"\"()\n  ret void\n}\n",
                   "frobnicate");
    expect_refusal("declare void @llvm.nvvm.barrier.cluster.wait()\n"
                   "define ptx_kernel void @k() {\n  call void @llvm.nvvm.barrier.cluster.wait()\n"
                   "  ret void\n}\n",
                   "does not know llvm.nvvm.barrier.cluster.wait");
    expect_refusal("@big = internal addrspace(3) global [300000 x i8] undef\n"
                   "define ptx_kernel void @k() {\n  store i8 0, ptr addrspace(3) @big\n"
                   "  ret void\n}\n",
                   "more shared memory");
}

static void expect_no_launch(SimtModule *m, const char *kernel, SimtLaunch how, const char *why)
{
    int n = 0;
    void *args[] = {&n};
    assert_false(simt_launch(m, kernel, &how, args, case_error, sizeof case_error));
    if (!strstr(case_error, why))
        fail_msg("'%s' does not say '%s'", case_error, why);
}

static void test_refused_launches(void **state)
{
    (void)state;
    static const char bounded[] =
        "define ptx_kernel void @max() { ret void }\n"
        "define ptx_kernel void @req() { ret void }\n"
        "define ptx_kernel void @attribute() #0 { ret void }\n"
        "define void @old() { ret void }\n"
        "attributes #0 = { \"nvvm.maxntid\"=\"16,2,1\" }\n"
        "!nvvm.annotations = !{!0, !1, !2}\n"
        "!0 = !{ptr @max, !\"maxntidx\", i32 64}\n"
        "!1 = !{ptr @req, !\"reqntidx\", i32 32, !\"reqntidy\", i32 2, !\"reqntidz\", i32 1}\n"
        "!2 = !{ptr @old, !\"kernel\", i32 1}\n";
    SimtModule *m = simt_load_text(bounded, strlen(bounded), 0, case_error, sizeof case_error);
    assert_non_null(m);
    assert_int_equal(simt_kernel(m, "max")->max_threads, 64);
    assert_int_equal(simt_kernel(m, "req")->max_threads, 64);
    assert_int_equal(simt_kernel(m, "attribute")->max_threads, 32);
    assert_int_equal(simt_kernel(m, "old")->max_threads, 1024);
    assert_null(simt_kernel_at(m, 4));
    expect_no_launch(m, "max", (SimtLaunch){{1}, {96}, 0}, "launch bound");
    expect_no_launch(m, "req", (SimtLaunch){{1}, {64}, 0}, "another shape");
    expect_no_launch(m, "max", (SimtLaunch){{1}, {32}, 240000}, "more shared memory");
    expect_no_launch(m, "old", (SimtLaunch){{1}, {32, 33}, 0}, "launch bound");
    expect_no_launch(m, "old", (SimtLaunch){{1}, {1, 1, 65}, 0}, "too many threads");
    expect_no_launch(m, "old", (SimtLaunch){{1, 70000}, {1}, 0}, "too many blocks");
    expect_no_launch(m, "none", (SimtLaunch){{1}, {1}, 0}, "no such kernel");
    simt_unload(m);
}

/* Without checks nothing is reported, and results are the same. */
static void test_unchecked(void **state)
{
    (void)state;
    char *text = kernel_text("small");
    SimtModule *m = simt_load_text(text, strlen(text), 0, case_error, sizeof case_error);
    assert_non_null(m);
    int *y = buffer(128), stride = 31;
    void *args[] = {&y, &stride};
    launch(m, "blocks", 4, 32, 0, args);
    expect_clean();
    assert_int_equal(y[31], 0);
    assert_int_equal(y[3 * 31 + 31], 31);
    assert_int_equal(simt_report()->accesses, 0);
    simt_unload(m);
    free(text);
    release(y);
}

static void test_buffers(void **state)
{
    (void)state;
    static char memory[64];
    assert_true(simt_buffer(memory, 32));
    assert_false(simt_buffer(memory + 16, 32));
    assert_true(simt_buffer(memory + 32, 32));
    assert_false(simt_buffer(memory, 33));
    assert_true(simt_buffer(memory, 16)); /* had gone with the attempt */
    simt_buffers_clear();
    assert_true(simt_buffer(memory + 16, 32));
    simt_buffers_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIMT_TEST(test_divergent_barriers),
        SIMT_TEST(test_deadlock),
        SIMT_TEST(test_alignment),
        SIMT_TEST(test_blocks),
        SIMT_TEST(test_blocks_that_read),
        SIMT_TEST(test_counts_of_barriers),
        SIMT_TEST(test_lanes_that_are_not_there),
        SIMT_TEST(test_zero_fill),
        SIMT_TEST(test_denormals),
        SIMT_TEST(test_atomics),
        SIMT_TEST(test_warp_order),
        SIMT_TEST(test_halves_of_words),
        SIMT_TEST(test_bank_conflicts),
        SIMT_TEST(test_named_barriers),
        SIMT_TEST(test_refused_modules),
        SIMT_TEST(test_refused_launches),
        SIMT_TEST(test_unchecked),
        SIMT_TEST(test_buffers),
        SIMT_TEST(test_constants),
    };
    return cmocka_run_group_tests_name("simt_faults", tests, load_small, unload_small);
}
