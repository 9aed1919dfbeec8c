/* Contractions on matrix units, on the emulator: against sums in double of the operands rounded as
 * the kernels round them, so that nothing but the order of sums is left to differ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cuda_contractions.h"

static const CodegenApi *api;

typedef void Fill(Suite *s);

static int on_units(const Suite *s)
{
    int n = 0;
    for (uint32_t i = 0; i < s->plan.kernels.len; i++)
        n += cuda_on_matrix_units(&s->plan.kernels.at[i].k);
    return n;
}

static void run(Fill *fill, Dtype d)
{
    static Suite s;
    Target t;
    char err[1024];
    assert_non_null(api);
    assert_true(api->target("sm_80", &t, err, sizeof err));
    t.dtype = d;
    if (setjmp(s.oom.env))
        fail_msg("out of memory");
    suite_open(&s, &t);
    fill(&s);
    assert_true(on_units(&s) > 0);
    cuda_suite_check(&s, api);
    int failures = s.failures;
    suite_close(&s);
    assert_int_equal(failures, 0);
}

/* Every tile of the table, with sizes that divide it and sizes that do not; reductions of one step,
 * of fewer than the ring has, and of more. */
static void tiles(Suite *s)
{
    Dtype d = s->plan.target.dtype;
    const CudaTile all[] = {
#define MMA(M, N, BYTES, WM, WN, STAGES, WEIGHT)                                                   \
    {.threads = (M) / (WM) * ((N) / (WN)) * 32,                                                    \
     .m = M,                                                                                       \
     .n = N,                                                                                       \
     .k = (BYTES) / dtype_info[d].bytes,                                                           \
     .tm = WM,                                                                                     \
     .tn = WN,                                                                                     \
     .dtype = d,                                                                                   \
     .stages = STAGES},
#include "family/cuda_mma.def"
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const CudaTile *c = &all[i];
        Kernel k = windowed(FAM_CONV, (Conv){c->k, c->n, 8, 16, 1, 1, 1, 0, 1});
        cuda_add(s, with(s, tiled(k, *c), RESIDUAL));
        k = windowed(FAM_CONV, (Conv){2 * c->k, c->n, 5, 3, 1, 1, 1, 0, 1});
        cuda_add(s, biased(tiled(k, *c)));
        k = windowed(FAM_CONV, (Conv){7, c->n + 5, 9, 11, 3, 1, 1, 1, 1});
        cuda_add(s, with(s, biased(tiled(k, *c)), i % 2 ? SILU : AFFINE));
        k = windowed(FAM_CONV, (Conv){40, c->n - 3, 6, 7, 3, 2, 1, 1, 1});
        cuda_add(s, with(s, tiled(k, *c), RELU));
    }
}

#define EACH(X) X(conv_shapes) X(conv_pointwise) X(conv_groups) X(transposed) X(dense) X(tiles)
#define TEST(NAME)                                                                                 \
    static void tf32_##NAME(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        run(NAME, DTYPE_TF32);                                                                     \
    }                                                                                              \
    static void bf16_##NAME(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        run(NAME, DTYPE_BF16);                                                                     \
    }
EACH(TEST)

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(NAME) cmocka_unit_test(tf32_##NAME), cmocka_unit_test(bf16_##NAME),
        EACH(ROW)};
    api = suite_api();
    return cmocka_run_group_tests_name("cuda, matrix units", tests, NULL, NULL);
}
