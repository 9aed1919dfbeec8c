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

static void run_on(const char *arch, Fill *fill, Dtype d)
{
    static Suite s;
    Target t;
    char err[1024];
    assert_non_null(api);
    assert_true(api->target(arch, &t, err, sizeof err));
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

static void run(Fill *fill, Dtype d)
{
    run_on("sm_80", fill, d);
}

/* Every tile of the table, with sizes that divide it and sizes that do not; reductions of one step,
 * of fewer than the ring has, and of more. */
static void tiles(Suite *s)
{
    Dtype d = s->plan.target.dtype;
    const CudaTile groups[] = {
#define WGMMA(M, N, BYTES, WN, STAGES, WEIGHT)                                                     \
    {.threads = (M) / 64 * ((N) / (WN)) * 128,                                                     \
     .m = M,                                                                                       \
     .n = N,                                                                                       \
     .k = (BYTES) / dtype_info[d].bytes,                                                           \
     .tm = 64,                                                                                     \
     .tn = WN,                                                                                     \
     .dtype = d,                                                                                   \
     .stages = STAGES,                                                                             \
     .group = true},
#include "family/cuda_wgmma.def"
    };
    const CudaTile warps[] = {
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
    bool group = s->plan.target.warp_groups;
    size_t count = group ? sizeof groups / sizeof *groups : sizeof warps / sizeof *warps;
    for (size_t i = 0; i < count; i++) {
        const CudaTile *c = group ? &groups[i] : &warps[i];
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

static void add_narrow(Suite *s, Kernel k)
{
    enum { IN = 1 << KERNEL_ARG_IN, OUT = 1 << KERNEL_ARG_OUT };
    cuda_add_narrow(s, k, ~0u);
    cuda_add_narrow(s, k, IN);
    cuda_add_narrow(s, k, (uint32_t)~IN);
    cuda_add_narrow(s, k, OUT | IN);
}

/* Maps that lie in memory as bf16: any of the operands, of every family that takes them. */
static void narrow(Suite *s)
{
    static const Conv shapes[] = {
        {16, 16, 8, 8, 3, 1, 1, 1, 1},  {40, 72, 7, 9, 3, 2, 1, 1, 1},
        {24, 40, 10, 5, 3, 1, 2, 2, 1}, {128, 8, 3, 3, 1, 1, 1, 0, 1},
        {16, 136, 6, 6, 1, 2, 1, 0, 1}, {32, 32, 7, 7, 3, 1, 1, 1, 2},
        {8, 24, 11, 13, 5, 2, 1, 2, 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        Conv c = shapes[i];
        add_narrow(s, with(s, biased(windowed(FAM_CONV, c)), i % 2 ? RESIDUAL : GATED_RESIDUAL));
        Kernel k = windowed(FAM_CONV, (Conv){c.ic, c.oc, c.h, c.w, 1, 1, 1, 0, 1});
        k.gate_arg = 0;
        k.extra_count = 1;
        k.extra[0] = KARG_GATE;
        add_narrow(s, with(s, k, RESIDUAL));
        Conv own = c;
        own.oc = own.groups = c.ic;
        add_narrow(s, with(s, biased(windowed(FAM_DEPTHWISE, own)), SILU));
        for (int kind = POOL_MAX; kind <= POOL_AVG_INCLUDE_PAD; kind++) {
            k = windowed(FAM_POOL, own);
            k.pool = (PoolKind)kind;
            k.pb = k.pt;
            k.pr = k.pl;
            add_narrow(s, k);
        }
        MapDesc m = map(c.ic, c.h, c.w);
        add_narrow(s, with(s, kernel(FAM_ELEM, m, m), GATED_RESIDUAL));
        k = kernel(FAM_LN, m, m);
        k.eps = 1e-5;
        add_narrow(s, with(s, k, AFFINE));
        add_narrow(s, kernel(FAM_GAP, m, map(c.ic, 1, 1)));
        k = kernel(FAM_DENSE, m, map(c.oc, 1, 1));
        k.kh = k.kw = 1;
        add_narrow(s, with(s, biased(k), RELU));
        k = kernel(FAM_POOL, m, map(c.ic, 2, 3));
        k.pool = POOL_ADAPTIVE_AVG;
        add_narrow(s, k);
    }
}

/* Inputs that are copied by tensor maps: images follow each other, positions may be parts of wider
 * ones; fewer rows and channels than a box, and more. */
static void boxes(Suite *s)
{
    static const Conv shapes[] = {
        {64, 64, 8, 16, 1, 1, 1, 0, 1},   {8, 24, 5, 3, 1, 1, 1, 0, 1},
        {40, 72, 9, 10, 1, 1, 1, 0, 1},   {200, 136, 7, 7, 1, 1, 1, 0, 1},
        {328, 32, 4, 4, 1, 1, 1, 0, 1},   {128, 300, 3, 5, 1, 1, 1, 0, 1},
        {24, 128, 13, 11, 1, 1, 1, 0, 1}, {96, 256, 12, 12, 1, 1, 1, 0, 1},
    };
    int found = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int wide = 0; wide < 2; wide++) {
            Kernel k = with(s, biased(windowed(FAM_CONV, shapes[i])), wide ? RESIDUAL : SILU);
            family_choose_tile(&k, &s->plan.target);
            k.narrow = 1 << KERNEL_ARG_IN | (i % 2 ? 1u << KERNEL_ARG_OUT : 0);
            k = cuda_spread(k, wide);
            k.in_step = k.in.h * k.in.w * map_pixel(k.in, 4, k.in_pixel);
            found += family_launch(&k, &s->plan.target).in.channels > 0;
            suite_add(s, k);
        }
    for (int64_t c = 8; c <= 1032; c *= 3) {
        MapDesc m = map(c, 1 + c % 3, 2);
        Kernel k = kernel(FAM_DENSE, m, map(c / 2 + 60, 1, 1));
        k.kh = k.kw = 1;
        family_choose_tile(&k, &s->plan.target);
        k.narrow = 1 << KERNEL_ARG_IN;
        k = cuda_spread(biased(k), false);
        found += family_launch(&k, &s->plan.target).in.channels > 0;
        suite_add(s, k);
    }
    assert_int_equal(found, s->plan.kernels.len);
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
    }                                                                                              \
    static void group_tf32_##NAME(void **state)                                                    \
    {                                                                                              \
        (void)state;                                                                               \
        run_on("sm_90a", NAME, DTYPE_TF32);                                                        \
    }                                                                                              \
    static void group_bf16_##NAME(void **state)                                                    \
    {                                                                                              \
        (void)state;                                                                               \
        run_on("sm_90a", NAME, DTYPE_BF16);                                                        \
    }
EACH(TEST)

static void bf16_narrow(void **state)
{
    (void)state;
    run(narrow, DTYPE_BF16);
}

static void group_bf16_narrow(void **state)
{
    (void)state;
    run_on("sm_90a", narrow, DTYPE_BF16);
}

static void group_bf16_boxes(void **state)
{
    (void)state;
    run_on("sm_90a", boxes, DTYPE_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(NAME)                                                                                  \
    cmocka_unit_test(tf32_##NAME), cmocka_unit_test(bf16_##NAME),                                  \
        cmocka_unit_test(group_tf32_##NAME), cmocka_unit_test(group_bf16_##NAME),
        EACH(ROW) cmocka_unit_test(bf16_narrow), cmocka_unit_test(group_bf16_narrow),
        cmocka_unit_test(group_bf16_boxes)};
    api = suite_api();
    return cmocka_run_group_tests_name("cuda, matrix units", tests, NULL, NULL);
}
