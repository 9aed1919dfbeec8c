/* What runs beside the threads of a kernel, in the emulator of tests/simt: mbarriers, bulk copies,
 * boxes of tensors, products of warp groups. */
#include "simt_case.h"
#include <math.h>

enum { STAGES = 7, WORDS = 128 };

/* True if the ring turned every stage around. */
static bool run_ring(SimtModule *m)
{
    uint32_t *x = buffer(STAGES * WORDS), *y = buffer(STAGES * WORDS);
    int n = STAGES;
    bool right = true;
    for (uint32_t i = 0; i < STAGES * WORDS; i++)
        x[i] = i;
    void *args[] = {&x, &y, &n};
    launch(m, "ring_of_two", 1, 64, 0, args);
    for (uint32_t i = 0; i < STAGES * WORDS; i++) {
        uint32_t in = i % WORDS;
        right = right && y[i] == i - in + (WORDS / 4 - 1 - in / 4) * 4 + in % 4;
    }
    release(x);
    release(y);
    simt_unload(m);
    return right;
}

static void test_ring(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        simt_shuffle(seed);
        assert_true(run_ring(load_kernels("async", NULL, NULL)));
    }
    simt_shuffle(0);
    expect_clean();
}

/* Each reader is known by itself: lanes that did not read need not arrive. */
static void test_hand_over(void **state)
{
    (void)state;
    SimtModule *m = load_kernels("async", NULL, NULL);
    int *y = buffer(96), count = 2;
    void *args[] = {&y, &count};
    launch(m, "hand_over", 1, 96, 0, args);
    expect_clean();
    assert_int_equal(y[32] + y[64], 10);
    count = 1; /* the second arrival is of the next phase, and orders nothing */
    launch(m, "hand_over", 1, 96, 0, args);
    expect_fault(SIMT_RACE, 1, "hand_over");
    simt_unload(m);
    release(y);
}

#define TRY_WAIT                                                                                   \
    "call void asm sideeffect \"{ .reg .pred p; W: mbarrier.try_wait.parity.shared::cta.b64 p, "   \
    "[$0], $1; @p bra.uni D; bra.uni W; D: }\", \"r,r,~{memory}\""

static void test_ring_faults(void **state)
{
    (void)state;
    /* a stage is filled again before its bytes have come */
    run_ring(load_kernels("async", TRY_WAIT "(i32 %e, i32 %q) ; empty", ""));
    expect_fault(SIMT_WAIT, 0, "ring_of_two");
    expect_fault(SIMT_ILLEGAL, 0, "ring_of_two");
    simt_report_clear();
    /* what has not come is read */
    run_ring(load_kernels("async", TRY_WAIT "(i32 %jf, i32 %jp) ; full", ""));
    expect_fault(SIMT_UNINIT, 0, "ring_of_two");
    expect_fault(SIMT_RACE, 0, "ring_of_two");
    simt_report_clear();
    /* the first phase of an empty stage is waited for as if it had been used */
    run_ring(load_kernels("async", "(i32 %e, i32 %q) ; empty", "(i32 %e, i32 %p) ; empty"));
    expect_fault(SIMT_DEADLOCK, 33, "ring_of_two");
    simt_report_clear();
    run_ring(load_kernels("async", "_, [$0], 512;", "_, [$0], 528;"));
    expect_fault(SIMT_DEADLOCK, 33, "ring_of_two");
    simt_report_clear();
    /* released before it is read */
    char *text = kernel_text("async");
    static const char arrive[] = "call void asm sideeffect \"mbarrier.arrive.shared::cta.b64 _, "
                                 "[$0];\", \"r,~{memory}\"(i32 %je)";
    char line[256];
    snprintf(line, sizeof line, "%s ; release", arrive);
    edit_text(text, line, "");
    edit_text(text, "; early", arrive);
    SimtModule *m = simt_load_text(text, strlen(text), CHECKED, case_error, sizeof case_error);
    assert_non_null(m);
    run_ring(m);
    expect_fault(SIMT_RACE, 0, "ring_of_two");
    free(text);
    simt_report_clear();
    run_ring(load_kernels("async",
                          "mbarrier.init.shared::cta.b64 [$0], 1;\", \"r,~{memory}\"(i32 %f1)",
                          "fence.mbarrier_init;\", \"r,~{memory}\"(i32 %f1)"));
    expect_fault(SIMT_ILLEGAL, 0, "ring_of_two");
}

/* The box of 8 x 16 elements of 4 bytes at column -3, row 5 of 10 x 12: rows of 32 bytes swizzled.
 */
static void test_tensor_tile(void **state)
{
    (void)state;
    enum { COLUMNS = 12, ROWS = 10 };
    SimtModule *m = load_kernels("async", NULL, NULL);
    SimtTensorMap map;
    uint32_t *x = buffer(COLUMNS * ROWS), *y = buffer(256);
    int c0 = -3, c1 = 5;
    for (uint32_t i = 0; i < COLUMNS * ROWS; i++)
        x[i] = i + 1;
    SimtTensor t = {.base = x,
                    .rank = 2,
                    .element_bytes = 4,
                    .swizzle_bytes = 64,
                    .dim = {COLUMNS, ROWS},
                    .stride = {COLUMNS * 4},
                    .box = {16, 16}};
    assert_true(simt_tensor_map(&map, &t));
    void *args[] = {&map, &y, &c0, &c1};
    launch(m, "box2", 1, 64, 0, args);
    expect_clean();
    for (int r = 0; r < 16; r++)
        for (int c = 0; c < 16; c++) {
            int row = c1 + r, column = c0 + c;
            bool inside = column >= 0 && column < COLUMNS && row < ROWS;
            uint32_t expected = inside ? (uint32_t)(row * COLUMNS + column + 1) : 0;
            /* two rows of 64 bytes share a turn: chunk ^ (row / 2) % 4 */
            int chunk = (c / 4) ^ (r / 2 % 4);
            assert_int_equal(y[r * 16 + chunk * 4 + c % 4], expected);
        }
    t.stride[0] = COLUMNS * 4 + 4;
    assert_false(simt_tensor_map(&map, &t));
    t.stride[0] = COLUMNS * 4;
    t.box[0] = 32; /* longer than the swizzle's rows */
    assert_false(simt_tensor_map(&map, &t));
    simt_unload(m);
    release(x);
    release(y);
}

/* 3 x 3 with padding 1 and stride 2 over 2 pictures of 5 x 7 pixels of 8 channels, bf16: 64 columns
 * would be more than there are, so what lies behind the last picture is 0. */
static void test_tensor_im2col(void **state)
{
    (void)state;
    enum { N = 2, H = 5, W = 7, C = 8, P = 3, Q = 4, PIXELS = 64 };
    SimtModule *m = load_kernels("async", NULL, NULL);
    SimtTensorMap map;
    uint16_t *x = buffer(N * H * W * C / 2), *y = buffer(256);
    for (uint32_t i = 0; i < N * H * W * C; i++)
        x[i] = (uint16_t)(i + 1);
    SimtTensor t = {.base = x,
                    .rank = 4,
                    .element_bytes = 2,
                    .dim = {C, W, H, N},
                    .stride = {C * 2, W * C * 2, H * W * C * 2},
                    .box = {C, PIXELS},
                    .step = {1, 2, 2, 1},
                    .im2col = true,
                    .lower = {-1, -1},
                    .upper = {-1, -1}};
    assert_true(simt_tensor_map(&map, &t));
    for (int tap = 0; tap < 9; tap++) {
        int w0 = -1, h0 = -1, n0 = 0, s = tap % 3, r = tap / 3;
        void *args[] = {&map, &y, &w0, &h0, &n0, &s, &r};
        launch(m, "im2col", 1, 64, 0, args);
        expect_clean();
        for (int pixel = 0; pixel < PIXELS; pixel++)
            for (int c = 0; c < C; c++) {
                int q = pixel % Q, p = pixel / Q % P, n = pixel / Q / P;
                int h = 2 * p - 1 + r, w = 2 * q - 1 + s;
                bool inside = n < N && h >= 0 && h < H && w >= 0 && w < W;
                int expected = inside ? ((n * H + h) * W + w) * C + c + 1 : 0;
                assert_int_equal(y[pixel * C + c], expected);
            }
    }
    /* a map for the other kind */
    int zero = 0;
    void *args[] = {&map, &y, &zero, &zero};
    launch(m, "box2", 1, 64, 0, args);
    expect_fault(SIMT_ILLEGAL, 1, "box2");
    simt_unload(m);
    release(x);
    release(y);
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

static bool run_warp_group(SimtModule *m)
{
    uint16_t *a = buffer(64 * 32), *b = buffer(8 * 32);
    float *c = buffer(64 * 8);
    bool right = true;
    for (uint32_t i = 0; i < 64 * 64; i++)
        a[i] = bf16(value_at(i));
    for (uint32_t i = 0; i < 8 * 64; i++)
        b[i] = bf16(value_at(i + 5555));
    void *args[] = {&a, &b, &c};
    launch(m, "warp_group", 1, 128, 0, args);
    for (int i = 0; i < 64; i++)
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

static void test_warp_group(void **state)
{
    (void)state;
    assert_true(run_warp_group(load_kernels("async", NULL, NULL)));
    expect_clean();
    assert_int_equal(simt_report()->matrix_ops, 4);
}

static void test_warp_group_faults(void **state)
{
    (void)state;
    static const char store[] = "store i32 0, ptr addrspace(3) @am, align 4\n";
    /* the second group may be under way: its sums are not there */
    assert_false(run_warp_group(load_kernels("async", "sync.aligned 0;", "sync.aligned 1;")));
    expect_clean();
    /* operands are written while they may be read, by another thread than the one that waits */
    run_warp_group(load_kernels("async", "; before", store));
    expect_fault(SIMT_WAIT, 0, "warp_group");
    simt_report_clear();
    run_warp_group(load_kernels("async", "; after", store));
    expect_fault(SIMT_RACE, 0, "warp_group");
    simt_report_clear();
    /* the descriptor's step between rows of 8 */
    assert_false(
        run_warp_group(load_kernels("async", "4611686293305360384", "4611686155866406912")));
    simt_report_clear();
    assert_false(run_warp_group(load_kernels("async", "i64 2, i32 1", "i64 1, i32 1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIMT_TEST(test_hand_over),         SIMT_TEST(test_ring),
        SIMT_TEST(test_ring_faults),       SIMT_TEST(test_tensor_tile),
        SIMT_TEST(test_tensor_im2col),     SIMT_TEST(test_warp_group),
        SIMT_TEST(test_warp_group_faults),
    };
    return cmocka_run_group_tests_name("simt_async", tests, NULL, NULL);
}
