/* Sums over the positions of a contraction's blocks, which it makes beside its output, and the sums
 * over their lines: against the values that it stored, in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cuda_contractions.h"

enum { BATCH = 3, MOST_TILES = 16, SLICES = 2, FAR = 40 /* of means from zero */ };

static const CodegenApi *api;

#define UNITS(M, N, BYTES, WM, WN, STAGES, TEAM)                                                   \
    {.threads = (M) / (WM) * ((N) / (WN)) * 32 * (TEAM),                                           \
     .m = M,                                                                                       \
     .n = N,                                                                                       \
     .k = BYTES,                                                                                   \
     .tm = WM,                                                                                     \
     .tn = WN,                                                                                     \
     .stages = STAGES,                                                                             \
     .group = (TEAM) > 1},

static int tiles_of(const Target *t, CudaTile out[MOST_TILES])
{
    static const CudaTile plain[] = {
#define TILE(M, N, K, TM, TN, WEIGHT)                                                              \
    {.threads = ((M) / (TM)) * ((N) / (TN)), .m = M, .n = N, .k = K, .tm = TM, .tn = TN},
#include "family/cuda_tile.def"
    };
    static const CudaTile warps[] = {
#define MMA(M, N, BYTES, WM, WN, STAGES, WEIGHT) UNITS(M, N, BYTES, WM, WN, STAGES, 1)
#include "family/cuda_mma.def"
    };
    static const CudaTile groups[] = {
#define WGMMA(M, N, BYTES, WN, STAGES, WEIGHT) UNITS(M, N, BYTES, 64, WN, STAGES, 4)
#include "family/cuda_wgmma.def"
    };
    const CudaTile *from = t->dtype == DTYPE_FP32 ? plain : t->warp_groups ? groups : warps;
    size_t n = t->dtype == DTYPE_FP32 ? sizeof plain
               : t->warp_groups       ? sizeof groups
                                      : sizeof warps;
    n /= sizeof *from;
    assert_true(n <= MOST_TILES);
    for (size_t i = 0; i < n; i++) {
        out[i] = from[i];
        out[i].dtype = t->dtype;
        if (t->dtype != DTYPE_FP32)
            out[i].k /= dtype_info[t->dtype].bytes;
    }
    return (int)n;
}

static int add_extra(Kernel *k, ArgKind kind, int64_t step)
{
    k->extra[k->extra_count] = kind;
    k->extra_step[k->extra_count] = step;
    return k->extra_count++;
}

/* Lines of means and squares or, with `dots`, of roots over the stored value and another map. */
static Kernel summing(Suite *s, Kernel k, bool dots, bool narrow)
{
    ExprPool *p = &s->pool;
    k.pool_expr = p;
    k.in_step = k.in.h * k.in.w * map_pixel(k.in, 4, 0) + 16;
    k.out_pixel = map_pixel(k.out, 4, 0) + 8;
    k.out_step = k.out.h * k.out.w * k.out_pixel + 16;
    if (dots) {
        ExprId v = expr_arg(p, 0);
        ExprId x = expr_arg(p, 1u + (uint32_t)add_extra(&k, KARG_MAP, k.out_step));
        ExprId mean = expr_arg(p, 1u + (uint32_t)add_extra(&k, KARG_CHANNEL, 0));
        k.extra_pixel[0] = k.out_pixel;
        k.root = expr_binary(p, EX_MAX, v, expr_const(p, -1));
        k.root_of[k.root_count++] = v;
        k.root_of[k.root_count++] = expr_binary(p, EX_MUL, v, expr_binary(p, EX_SUB, x, mean));
    }
    add_extra(&k, KARG_RESULT, 0);
    for (int arg = 0; arg < KERNEL_ARGS && narrow; arg++)
        if (cuda_may_be_narrow(&k, arg) && k.in.c % CUDA_NARROW == 0 && k.out.c % CUDA_NARROW == 0)
            k.narrow |= 1u << arg;
    return k;
}

/* The sums over those lines, in slices: distances to the first line's mean and their squares. */
static Kernel over_lines(Suite *s, const Kernel *from)
{
    ExprPool *p = &s->pool;
    int64_t padded = map_pixel(from->out, 4, 0);
    Kernel k = kernel(FAM_SUMS, map(from->out.c, 1, 1),
                      (MapDesc){LAYOUT_PLANAR, 2 * SLICES * padded, 1, 1});
    k.whole = true;
    k.pool_expr = p;
    k.in_step = 2 * padded;
    k.part = from->tile.cuda.m;
    k.positions = from->out.h * from->out.w;
    k.slices = SLICES;
    ExprId mean = expr_arg(p, 0);
    ExprId squares = expr_arg(p, 1u + (uint32_t)add_extra(&k, KARG_MAP, k.in_step));
    ExprId pivot = expr_arg(p, 1u + (uint32_t)add_extra(&k, KARG_PIVOT, 0));
    ExprId n = expr_arg(p, 1u + (uint32_t)add_extra(&k, KARG_SHARE, 0));
    ExprId far = expr_binary(p, EX_SUB, mean, pivot), sum = expr_binary(p, EX_MUL, n, far);
    k.root_of[k.root_count++] = sum;
    k.root_of[k.root_count++] = expr_binary(p, EX_ADD, squares, expr_binary(p, EX_MUL, sum, far));
    return k;
}

static void fill_suite(Suite *s)
{
    CudaTile tiles[MOST_TILES];
    int n = tiles_of(&s->plan.target, tiles);
    for (int i = 0; i < n; i++) {
        const Conv shapes[] = {
            {16, tiles[i].n, 8, 16, 1, 1, 1, 0, 1},
            {7, tiles[i].n + 5, 9, 11, 3, 1, 1, 1, 1},
            {8, tiles[i].n + 8, 7, 5, 3, 2, 1, 1, 1},
            {64, 64, 5, 5, 3, 1, 1, 1, 2},
        };
        for (size_t j = 0; j < sizeof shapes / sizeof *shapes; j++)
            for (int dots = 0; dots < 2; dots++) {
                Kernel k = tiled(biased(windowed(FAM_CONV, shapes[j])), tiles[i]);
                k = summing(s, k, dots != 0, j % 2 == 0);
                suite_add(s, k);
                if (!dots)
                    suite_add(s, over_lines(s, &k));
            }
    }
}

static float element(const Kernel *k, int arg, const float *p, int64_t i)
{
    CudaMap m = {.narrow = cuda_is_narrow(k, arg), .at = (float *)(uintptr_t)p};
    return cuda_element(&m, i);
}

static float *filled(const Kernel *k, int arg, int64_t n, float centre, const char *stream)
{
    CudaMap m = {.narrow = cuda_is_narrow(k, arg), .at = cuda_buffer(n)};
    float *v = calloc((size_t)n, sizeof *v);
    assert_non_null(v);
    fill_random(v, (size_t)n, stream, centre - 1, centre + 1);
    for (int64_t i = 0; i < n; i++)
        cuda_set_element(&m, i, v[i]);
    free(v);
    return m.at;
}

/* What one channel's sums over positions [lo, hi) of the batch should be: in double. */
typedef struct Want {
    double sum, dot, dot_size, mean, squares;
} Want;

static Want wanted(const Kernel *k, float *const *args, int64_t c, int64_t lo, int64_t hi)
{
    Want w = {0};
    int64_t plane = k->out.h * k->out.w;
    const float *x = args[KERNEL_ARG_EXTRA], *mean = args[KERNEL_ARG_EXTRA + 1];
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = lo; i < hi; i++) {
            int64_t at = i / plane * k->out_step + i % plane * k->out_pixel + c;
            double v = element(k, KERNEL_ARG_OUT, args[KERNEL_ARG_OUT], at);
            if (pass == 1) {
                w.squares += (v - w.mean) * (v - w.mean);
                continue;
            }
            w.sum += v;
            w.mean += v / (double)(hi - lo);
            if (k->root_count == 0)
                continue;
            double far = element(k, KERNEL_ARG_EXTRA, x, at) - mean[c];
            w.dot += v * far;
            w.dot_size += fabs(v) * (fabs(far) + 1);
        }
    return w;
}

static bool near_to(double got, double want, double size, const char *what, int64_t line, int64_t c)
{
    if (fabs(got - want) <= 2e-6 * size + 1e-30)
        return true;
    fprintf(stderr, "# %s of line %d, channel %d: %g, not %g\n", what, (int)line, (int)c, got,
            want);
    return false;
}

static int wrong_lines(const Kernel *k, float *const *args, const float *lines)
{
    int64_t all = k->out.h * k->out.w * BATCH, m = k->tile.cuda.m, padded = map_pixel(k->out, 4, 0);
    for (int64_t b = 0; b * m < all; b++)
        for (int64_t c = 0; c < k->out.c; c++) {
            int64_t hi = (b + 1) * m < all ? (b + 1) * m : all;
            Want w = wanted(k, args, c, b * m, hi);
            double first = lines[2 * b * padded + c], second = lines[(2 * b + 1) * padded + c];
            double n = (double)(hi - b * m), size = FAR + 8;
            bool ok = k->root_count > 0
                          ? near_to(first, w.sum, n * size, "sum", b, c) &&
                                near_to(second, w.dot, w.dot_size, "dot", b, c)
                          : near_to(first, w.mean, size, "mean", b, c) &&
                                near_to(second, w.squares, 10 * w.squares + 1e-6, "squares", b, c);
            if (!ok)
                return 1;
        }
    return 0;
}

static int wrong_moments(const Kernel *k, float *const *args, const float *lines, const float *sums)
{
    int64_t all = k->out.h * k->out.w * BATCH, padded = map_pixel(k->out, 4, 0);
    for (int64_t c = 0; c < k->out.c; c++) {
        Want w = wanted(k, args, c, 0, all);
        double far = 0, squares = 0;
        for (int s = 0; s < SLICES; s++) {
            far += sums[2 * s * padded + c];
            squares += sums[(2 * s + 1) * padded + c];
        }
        far /= (double)all;
        if (!near_to(lines[c] + far, w.mean, FAR + 8, "mean", -1, c) ||
            !near_to(squares - (double)all * far * far, w.squares, 10 * w.squares + 1e-6, "squares",
                     -1, c))
            return 1;
    }
    return 0;
}

static void run_kernel(SimtModule *m, const Plan *p, uint32_t index, float *const *args)
{
    char err[512] = "";
    if (!cuda_launch(m, p, index, args, BATCH, NULL, err, sizeof err))
        fail_msg("%s", err);
}

static int check_kernel(SimtModule *m, const Plan *p, uint32_t index)
{
    const Kernel *k = &p->kernels.at[index].k;
    int64_t padded = map_pixel(k->out, 4, 0), weights = family_weight_floats(k, &p->target);
    int64_t blocks = (k->out.h * k->out.w * BATCH + k->tile.cuda.m - 1) / k->tile.cuda.m;
    float *args[KERNEL_ARGS] = {cuda_buffer(k->out_step * BATCH),
                                filled(k, KERNEL_ARG_IN, k->in_step * BATCH, 0, "in"),
                                cuda_buffer(weights), cuda_buffer(padded)};
    for (int64_t i = 0; i < weights * 4 / dtype_info[k->tile.cuda.dtype].bytes; i++)
        family_put_weight(k, args[KERNEL_ARG_W], i, (float)((i * 37 + i / 11) % 61 - 30) / 300);
    fill_random(args[KERNEL_ARG_BIAS], (size_t)padded, "bias", FAR - 2, FAR + 2);
    if (k->root_count > 0) {
        args[KERNEL_ARG_EXTRA] = filled(k, KERNEL_ARG_EXTRA, k->out_step * BATCH, 3, "x");
        args[KERNEL_ARG_EXTRA + 1] = filled(k, KERNEL_ARG_EXTRA + 1, padded, 3, "mean");
    }
    float *lines = args[kernel_sums_arg(k)] = cuda_buffer(2 * padded * blocks);
    run_kernel(m, p, index, args);
    int bad = wrong_lines(k, args, lines);
    if (cuda_on_matrix_units(k) && simt_report()->conflicts > 0)
        bad = fprintf(stderr, "# %llu conflicts\n", (unsigned long long)simt_report()->conflicts);
    if (k->root_count == 0) {
        float *sums = cuda_buffer(2 * SLICES * padded), *over[KERNEL_ARGS] = {sums, lines};
        over[KERNEL_ARG_EXTRA] = lines + padded;
        over[KERNEL_ARG_EXTRA + 1] = lines;
        run_kernel(m, p, index + 1, over);
        bad = bad || wrong_moments(k, args, lines, sums);
        cuda_release(sums);
    }
    bad = !cuda_clean(p->kernels.at[index].key) || bad;
    if (bad)
        fprintf(stderr, "# %s\n", p->kernels.at[index].key);
    for (int i = 0; i < KERNEL_ARGS; i++)
        cuda_release(args[i]);
    return bad != 0;
}

static void check(const char *arch, Dtype d)
{
    static Suite s;
    static int failures, done;
    Target t;
    char err[1024] = "";
    failures = done = 0;
    assert_true(api->target(arch, &t, err, sizeof err));
    t.dtype = d;
    if (setjmp(s.oom.env))
        fail_msg("out of memory");
    suite_open(&s, &t);
    fill_suite(&s);
    SimtModule *m = cuda_load_for(
        api, &s.plan, SIMT_CHECK | (d != DTYPE_FP32 ? SIMT_CONFLICTS : 0u), err, sizeof err);
    if (!m)
        fail_msg("%s", err);
    for (uint32_t i = 0; i < s.plan.kernels.len; i++) {
        if (s.plan.kernels.at[i].k.family != FAM_CONV)
            continue;
        failures += check_kernel(m, &s.plan, i);
        done++;
    }
    simt_unload(m);
    suite_close(&s);
    assert_int_equal(failures, 0);
    assert_true(done >= 16);
}

static void test_fp32(void **state)
{
    (void)state;
    check("sm_70", DTYPE_FP32);
}

static void test_tf32(void **state)
{
    (void)state;
    check("sm_80", DTYPE_TF32);
}

static void test_bf16(void **state)
{
    (void)state;
    check("sm_80", DTYPE_BF16);
}

static void test_warp_groups(void **state)
{
    (void)state;
    check("sm_90a", DTYPE_TF32);
    check("sm_90a", DTYPE_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fp32), cmocka_unit_test(test_tf32),
                                       cmocka_unit_test(test_bf16),
                                       cmocka_unit_test(test_warp_groups)};
    api = suite_api();
    return api ? cmocka_run_group_tests_name("cuda, sums over blocks", tests, NULL, NULL) : 1;
}
