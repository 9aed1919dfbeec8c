/* What training adds to contractions on matrix units: gradients of weights, against sums in double
 * of operands rounded as the kernels round them, and weights packed on the device, against those
 * that the compiler packs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cuda_case.h"

enum { BATCH = 3 };

static const CodegenApi *api;

typedef struct Shape2 {
    int64_t ic, oc, h, w, k, stride, dilation, pad, groups;
    int slices;
} Shape2;

static const Shape2 shapes[] = {
    {16, 16, 6, 5, 3, 1, 1, 1, 1, 1},   {5, 7, 7, 9, 3, 2, 1, 1, 1, 2},
    {64, 64, 4, 4, 1, 1, 1, 0, 1, 3},   {70, 130, 3, 5, 1, 1, 1, 0, 1, 2},
    {132, 129, 5, 3, 1, 2, 1, 0, 1, 1}, {12, 20, 9, 8, 3, 1, 2, 2, 1, 2},
    {32, 64, 6, 6, 3, 1, 1, 1, 2, 2},   {24, 12, 5, 5, 5, 1, 1, 2, 3, 1},
    {3, 40, 9, 9, 7, 2, 1, 3, 1, 3},    {8, 8, 1, 1, 1, 1, 1, 0, 1, 3},
    {136, 72, 5, 4, 1, 1, 1, 0, 1, 1},  {136, 200, 4, 6, 3, 2, 1, 1, 1, 2},
};

static int64_t extent(int64_t n, int64_t k, const Shape2 *s)
{
    return (n + 2 * s->pad - s->dilation * (k - 1) - 1) / s->stride + 1;
}

static Kernel gradient(const Shape2 *s)
{
    Kernel k = kernel(FAM_CONV_DW, (MapDesc){LAYOUT_CHANNELS, s->ic, s->h, s->w}, (MapDesc){0});
    k.dy = (MapDesc){LAYOUT_CHANNELS, s->oc, extent(s->h, s->k, s), extent(s->w, s->k, s)};
    k.kh = k.kw = s->k;
    k.sh = k.sw = s->stride;
    k.dh = k.dw = s->dilation;
    k.pt = k.pl = s->pad;
    k.groups = s->groups;
    k.whole = true;
    k.slices = s->slices;
    int64_t floats = s->oc * (s->ic / s->groups) * s->k * s->k;
    k.out = (MapDesc){LAYOUT_PLANAR, s->slices * floats, 1, 1};
    k.extra_count = 1;
    k.extra[0] = KARG_MAP;
    k.in_step = map_floats(k.in, 4) + 16;
    k.extra_step[0] = map_floats(k.dy, 4) + 32;
    return k;
}

/* Operand arg in memory, floats or bf16. */
static CudaMap random_map(const Kernel *k, int arg, MapDesc m, int64_t step, const char *stream)
{
    CudaMap map = {.m = m, .step = step, .pixel = map_pixel(m, 4, 0)};
    float *v = cuda_buffer(step * BATCH);
    map.narrow = cuda_is_narrow(k, arg);
    map.at = cuda_buffer(map.narrow ? (step * BATCH + 1) / 2 : step * BATCH);
    fill_random(v, (size_t)(step * BATCH), stream, -1, 1);
    for (int64_t i = 0; i < step * BATCH; i++)
        cuda_set_element(&map, i, v[i]);
    cuda_release(v);
    return map;
}

static double at(const CudaMap *p, int64_t image, int64_t pixel, int64_t c, Dtype d)
{
    return dtype_round(d, cuda_element(p, cuda_place(p, image, c, pixel)));
}

/* The sum over the positions of one part; *size: of the magnitudes. */
static double want(const Kernel *k, const CudaMap *x, const CudaMap *dy, int slice, int64_t o,
                   int64_t i, int64_t tap, double *size)
{
    int64_t per_in = k->in.c / k->groups, plane = k->dy.h * k->dy.w, all = plane * BATCH;
    int64_t each = (all + k->slices - 1) / k->slices, group = o / (k->dy.c / k->groups);
    Dtype d = k->tile.cuda.dtype;
    double sum = 0;
    *size = 0;
    for (int64_t p = slice * each; p < all && p < (slice + 1) * each; p++) {
        int64_t pixel = p % plane, y = pixel / k->dy.w * k->sh - k->pt + tap / k->kw * k->dh;
        int64_t xx = pixel % k->dy.w * k->sw - k->pl + tap % k->kw * k->dw;
        if (y < 0 || y >= k->in.h || xx < 0 || xx >= k->in.w)
            continue;
        double v = at(dy, p / plane, pixel, o, d) *
                   at(x, p / plane, y * k->in.w + xx, group * per_in + i, d);
        sum += v;
        *size += fabs(v);
    }
    return sum;
}

static int wrong_values(const Kernel *k, const CudaMap *x, const CudaMap *dy, const float *got)
{
    int64_t per_in = k->in.c / k->groups, taps = k->kh * k->kw;
    int64_t floats = k->out.c / k->slices;
    for (int s = 0; s < k->slices; s++)
        for (int64_t f = 0; f < floats; f++) {
            double size;
            double v = want(k, x, dy, s, f / taps / per_in, f / taps % per_in, f % taps, &size);
            /* fp32 sums of as many terms as a part has, rounded once an instruction */
            if (fabs(got[s * floats + f] - v) <= 1e-6 * size + 1e-30)
                continue;
            fprintf(stderr, "# part %d, weight %d: %g, not %g\n", s, (int)f,
                    (double)got[s * floats + f], v);
            return 1;
        }
    return 0;
}

/* 1 when the launch failed, which is said. */
static int launch(SimtModule *m, const Plan *p, uint32_t index, float *args[KERNEL_ARGS])
{
    char err[512] = "";
    if (cuda_launch(m, p, index, args, BATCH, NULL, err, sizeof err))
        return 0;
    fprintf(stderr, "# %s\n", err);
    return 1;
}

/* `bad`, or what the emulator has found; the kernel is named then. */
static int named(const Plan *p, uint32_t index, int bad)
{
    bad = !cuda_clean(p->kernels.at[index].key) || bad;
    if (bad)
        fprintf(stderr, "# %s\n", p->kernels.at[index].key);
    return bad;
}

static int check_gradient(SimtModule *m, const Plan *p, uint32_t index)
{
    const Kernel *k = &p->kernels.at[index].k;
    CudaMap x = random_map(k, KERNEL_ARG_IN, k->in, k->in_step, "x");
    CudaMap dy = random_map(k, KERNEL_ARG_EXTRA, k->dy, k->extra_step[0], "dy");
    float *out = cuda_buffer(k->out.c), *args[KERNEL_ARGS] = {out, x.at};
    args[KERNEL_ARG_EXTRA] = dy.at;
    int bad = launch(m, p, index, args);
    bad = bad || wrong_values(k, &x, &dy, out);
    if (cuda_on_matrix_units(k) && simt_report()->conflicts > 0) {
        fprintf(stderr, "# %llu conflicts\n", (unsigned long long)simt_report()->conflicts);
        bad = 1;
    }
    bad = named(p, index, bad);
    cuda_release(x.at);
    cuda_release(dy.at);
    cuda_release(out);
    return bad;
}

/* Trained weights are [o][i][kh][kw], or turned [i][o][kh][kw]. */
static Kernel packer(Suite *s, const Shape2 *shape, bool turned)
{
    Kernel k = kernel(turned ? FAM_CONVT : FAM_CONV,
                      (MapDesc){LAYOUT_CHANNELS, shape->ic, shape->h, shape->w},
                      (MapDesc){LAYOUT_CHANNELS, shape->oc, 4, 4});
    int64_t taps = shape->k * shape->k;
    k.kh = k.kw = shape->k;
    k.groups = shape->groups;
    family_choose_tile(&k, &s->plan.target);
    k.tile.ocv = 1;
    k.packs = k.family;
    k.family = FAM_PACK;
    k.whole = true;
    k.pack_o = turned ? taps : shape->ic / shape->groups * taps;
    k.pack_i = turned ? shape->oc / shape->groups * taps : taps;
    k.pack_flip = turned;
    return k;
}

/* With operands as bf16 in memory: both, which then are copied, or one of them. */
static void add_narrow(Suite *s, const Shape2 *shape)
{
    enum { X = 1 << KERNEL_ARG_IN, DY = 1 << KERNEL_ARG_EXTRA };
    static const uint32_t ways[] = {X | DY, X, DY};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        Kernel k = gradient(shape);
        if (((ways[i] & X) && k.in.c % CUDA_NARROW) || ((ways[i] & DY) && k.dy.c % CUDA_NARROW))
            continue;
        k.narrow = ways[i];
        suite_add(s, k);
    }
}

static int64_t plain_at(const Kernel *k, int64_t o, int64_t i, int64_t tap)
{
    int64_t per_out = k->out.c / k->groups, per_in = k->in.c / k->groups, taps = k->kh * k->kw;
    return o / per_out * per_out * per_in * taps + o % per_out * k->pack_o + i * k->pack_i + tap;
}

static int check_packing(SimtModule *m, const Plan *p, uint32_t index)
{
    const Target *t = &p->target;
    Kernel k = p->kernels.at[index].k;
    k.family = k.packs;
    int64_t floats = family_weight_floats(&k, t), per_in = k.in.c / k.groups, taps = k.kh * k.kw;
    int64_t count = k.out.c * per_in * taps;
    float *plain = cuda_buffer(count), *got = cuda_buffer(floats);
    float *packed = calloc((size_t)floats, sizeof *packed), *args[KERNEL_ARGS] = {got, plain};
    assert_non_null(packed);
    fill_random(plain, (size_t)count, "w", -1, 1);
    for (int64_t o = 0; o < k.out.c; o++)
        for (int64_t i = 0; i < per_in; i++)
            for (int64_t tap = 0; tap < taps; tap++) {
                int64_t to = k.pack_flip ? taps - 1 - tap : tap;
                int64_t first = o / (k.out.c / k.groups) * per_in;
                int64_t where = family_weight_index(&k, t, o, first + i, to / k.kw, to % k.kw);
                family_put_weight(&k, packed, where, plain[plain_at(&k, o, i, tap)]);
            }
    assert_false(kernel_has_arg(&p->kernels.at[index].k, t, KERNEL_ARG_W));
    int bad = launch(m, p, index, args);
    if (memcmp(packed, got, (size_t)floats * sizeof *got) != 0)
        bad = fprintf(stderr, "# packed otherwise than by the compiler\n") > 0;
    bad = named(p, index, bad);
    free(packed);
    cuda_release(plain);
    cuda_release(got);
    return bad;
}

static void check(Dtype d)
{
    static Suite s;
    Target t;
    char err[1024] = "";
    static int failures, units;
    failures = units = 0;
    assert_true(api->target("sm_80", &t, err, sizeof err));
    t.dtype = d;
    if (setjmp(s.oom.env))
        fail_msg("out of memory");
    suite_open(&s, &t);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        suite_add(&s, gradient(&shapes[i]));
        if (d == DTYPE_BF16)
            add_narrow(&s, &shapes[i]);
        suite_add(&s, packer(&s, &shapes[i], false));
        suite_add(&s, packer(&s, &shapes[i], true));
    }
    SimtModule *m = cuda_load_for(api, &s.plan, SIMT_CHECK | SIMT_CONFLICTS, err, sizeof err);
    if (!m)
        fail_msg("%s", err);
    for (uint32_t i = 0; i < s.plan.kernels.len; i++) {
        const Kernel *k = &s.plan.kernels.at[i].k;
        units += cuda_on_matrix_units(k);
        failures +=
            k->family == FAM_PACK ? check_packing(m, &s.plan, i) : check_gradient(m, &s.plan, i);
    }
    simt_unload(m);
    suite_close(&s);
    assert_int_equal(failures, 0);
    assert_true(d == DTYPE_FP32 ? units == 0 : units > 0);
}

static void test_fp32(void **state)
{
    (void)state;
    check(DTYPE_FP32);
}

static void test_tf32(void **state)
{
    (void)state;
    check(DTYPE_TF32);
}

static void test_bf16(void **state)
{
    (void)state;
    check(DTYPE_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fp32), cmocka_unit_test(test_tf32),
                                       cmocka_unit_test(test_bf16)};
    api = suite_api();
    return api ? cmocka_run_group_tests_name("cuda, training on matrix units", tests, NULL, NULL)
               : 1;
}
