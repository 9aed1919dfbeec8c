/* Every map kernel of training against plain loops: odd sizes, channels off the vector width, on
 * every level of vector code this machine runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "train_map_case.h"

static const CodegenApi *api;

enum { MOST_CASES = 1024 };
static MapData data[MOST_CASES]; /* of the suite's kernels, in their order */

static void add(Suite *s, Kernel k, MapData d)
{
    uint32_t at = s->plan.kernels.len;
    int64_t step = map_floats(k.in, s->plan.target.vl);
    assert_true(at < MOST_CASES);
    data[at] = d;
    if (k.whole) {
        k.in_step = step + 16;
        k.extra_step[0] = step + 48;
    }
    suite_add(s, k);
}

static void check_case(Suite *s, CnnrtKernel code, uint32_t i, const void *with)
{
    (void)with;
    MapCase c = {.k = &s->plan.kernels.at[i].k, .t = &s->plan.target, .d = &data[i], .code = code};
    if (!map_check(&c))
        suite_wrong(s, i, c.message);
}

static Kernel with_map(Kernel k)
{
    k.extra[k.extra_count++] = KARG_MAP;
    return k;
}

/* Forward sizes: c channels, h x w to oh x ow. */
typedef struct Window2 {
    int64_t c, h, w, k, stride, dilation, pad, oh, ow;
} Window2;

static Kernel pool_dx(Window2 s, PoolKind kind)
{
    Kernel k = kernel(FAM_POOL_DX, blocked(s.c, s.oh, s.ow), blocked(s.c, s.h, s.w));
    k.pool = kind;
    k.kh = k.kw = s.k;
    k.sh = k.sw = s.stride;
    k.dh = k.dw = s.dilation;
    k.pt = k.pl = s.pad;
    if (kind == POOL_AVG_INCLUDE_PAD)
        k.pb = k.pr = s.pad;
    return kind == POOL_MAX ? with_map(k) : k;
}

static const Window2 windows[] = {
    {16, 8, 8, 2, 2, 1, 0, 4, 4},   {19, 13, 11, 3, 2, 1, 1, 7, 6}, {5, 7, 7, 3, 1, 1, 1, 7, 7},
    {33, 4, 40, 3, 1, 1, 1, 4, 40}, {8, 9, 9, 5, 1, 1, 2, 9, 9},    {7, 3, 3, 3, 1, 1, 0, 1, 1},
    {21, 9, 10, 2, 3, 1, 0, 3, 3}, /* rows and columns that no window reads */
    {17, 6, 8, 3, 2, 1, 0, 3, 4},  /* rounded up: the last windows pass the end */
    {12, 10, 7, 3, 2, 1, 1, 6, 4}, /* the same, padded */
    {100, 5, 5, 2, 1, 1, 0, 4, 4},  {1, 1, 1, 1, 1, 1, 0, 1, 1},
};

static void pooling_max(Suite *s)
{
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        Kernel k = pool_dx(windows[i], POOL_MAX);
        add(s, k, (MapData){0});
        add(s, k, (MapData){.ties = true});
        add(s, k, (MapData){.ties = true, .nan = true});
        for (int px = 1; px <= 8; px += 7) {
            k.tile = (Tile){.ocv = 1, .px = px};
            add(s, k, (MapData){.ties = true});
        }
    }
    static const Window2 dilated[] = {{20, 10, 10, 3, 2, 2, 1, 4, 4}, {6, 3, 9, 2, 1, 4, 2, 3, 9}};
    for (size_t i = 0; i < sizeof dilated / sizeof *dilated; i++)
        add(s, pool_dx(dilated[i], POOL_MAX), (MapData){.ties = i == 0});
    Kernel k = pool_dx(windows[1], POOL_MAX); /* by axis */
    k.kw = 5;
    k.pl = 2;
    k.sh = 1;
    k.in.h = 13;
    add(s, k, (MapData){.ties = true});
}

static void pooling_mean(Suite *s)
{
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
        for (int kind = POOL_AVG; kind <= POOL_AVG_INCLUDE_PAD; kind++) {
            Kernel k = pool_dx(windows[i], (PoolKind)kind);
            add(s, k, (MapData){0});
            add(s, with(s, k, (Epilogue)(1 + i % GATED_RESIDUAL)), (MapData){0});
            k.tile = (Tile){.ocv = 1, .px = 1, .rb = 2};
            add(s, k, (MapData){0});
        }
    Kernel k = pool_dx(windows[1], POOL_AVG_INCLUDE_PAD);
    k.pb = 0; /* padded above alone */
    k.kw = 4;
    k.pr = 2;
    add(s, k, (MapData){0});
    static const int64_t grid[][2] = {{1, 1}, {2, 3}, {7, 7}, {6, 5}, {13, 9}};
    for (size_t i = 0; i < sizeof grid / sizeof *grid; i++) {
        MapDesc small = blocked(21, grid[i][0], grid[i][1]);
        k = kernel(FAM_POOL_DX, small, blocked(21, 11, 8));
        k.pool = POOL_ADAPTIVE_AVG;
        add(s, with(s, k, i % 2 ? RESIDUAL : PLAIN), (MapData){0});
    }
}

static const int64_t shapes[][3] = {{16, 4, 4}, {5, 7, 3},  {33, 1, 1}, {50, 6, 5}, {2, 2, 2},
                                    {67, 3, 9}, {64, 1, 7}, {1, 13, 1}, {3, 24, 23}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static Kernel on_shape(Family f, int i)
{
    MapDesc m = blocked(shapes[i][0], shapes[i][1], shapes[i][2]);
    Kernel k = with_map(kernel(f, m, m));
    k.eps = 1e-3;
    return k;
}

static void norms(Suite *s)
{
    for (int i = 0; i < SHAPES; i++) {
        Kernel k = on_shape(FAM_LN_DX, i);
        add(s, k, (MapData){0});
        k.extra[k.extra_count++] = KARG_CHANNEL;
        add(s, k, (MapData){0});
        add(s, with(s, k, i % 2 ? AFFINE : RESIDUAL), (MapData){0});
    }
}

static void norm_weights(Suite *s)
{
    static const int slices[] = {1, 2, 5};
    for (int i = 0; i < SHAPES; i++)
        for (size_t n = 0; n < sizeof slices / sizeof *slices; n++) {
            Kernel k = on_shape(FAM_LN_DW, i);
            k.whole = true;
            k.slices = slices[n];
            k.out = blocked(shapes[i][0], 1, 1);
            add(s, k, (MapData){.batch = n == 0 ? 1 : 4});
        }
}

static void responses(Suite *s)
{
    for (int i = 0; i < SHAPES; i++)
        for (int size = 1; size <= 5; size += 1 + i % 2) {
            Kernel k = on_shape(FAM_LRN_DX, i);
            k.lrn_size = i == 0 ? 4 * size : size;
            k.alpha = i % 3 == 2 ? 1e-4 : 0.7;
            k.beta = 0.75;
            k.bias_k = i % 2 ? 1 : 2;
            add(s, with(s, k, size == 1 ? AFFINE : PLAIN), (MapData){0});
        }
}

static void softmaxes(Suite *s)
{
    for (int i = 0; i < SHAPES; i++) {
        add(s, on_shape(FAM_SOFTMAX_DX, i), (MapData){0});
        add(s, with(s, on_shape(FAM_SOFTMAX_DX, i), RESIDUAL), (MapData){0});
    }
}

static void add_losses(Suite *s, Family f, int form, MapDesc z)
{
    Kernel k = with_map(kernel(f, z, f == FAM_LOSS ? planar(1, 1, 1) : z));
    k.loss = (LossForm)form;
    k.weight = 0.4;
    bool entropy = form != LOSS_FORM_MSE;
    add(s, k, (MapData){.batch = 7});
    add(s, k, (MapData){.scale = 30, .one_hot = true, .digits = entropy});
    add(s, k, (MapData){.scale = 1000});
    add(s, k, (MapData){.nan = true});
    k.weight = 1;
    k.smoothing = 0.1;
    add(s, k, (MapData){.one_hot = true});
    add(s, k, (MapData){.scale = 10, .batch = 1});
    if (f == FAM_LOSS || z.h * z.w > 1)
        return;
    k.out.layout = z.layout == LAYOUT_PLANAR ? LAYOUT_BLOCKED : LAYOUT_PLANAR;
    add(s, k, (MapData){.scale = 4});
}

static void losses(Suite *s)
{
    static const int64_t vectors[] = {1, 10, 16, 37, 1000};
    for (int form = LOSS_FORM_CE; form <= LOSS_FORM_MSE; form++)
        for (int f = FAM_LOSS; f <= FAM_LOSS_DX; f++) {
            for (int i = 0; i < SHAPES; i++)
                add_losses(s, (Family)f, form, blocked(shapes[i][0], shapes[i][1], shapes[i][2]));
            for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
                add_losses(s, (Family)f, form, planar(vectors[i], 1, 1));
        }
}

static void channel_ranges(Suite *s)
{
    static const int64_t range[][4] = {/* of the output, of the input: from; to; how many */
                                       {32, 0, 16, 16}, {12, 0, 7, 5},   {40, 16, 0, 24},
                                       {33, 0, 13, 20}, {72, 0, 32, 21}, {20, 0, 0, 20},
                                       {64, 5, 32, 10}, {3, 0, 2, 1},    {50, 32, 16, 18}};
    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        for (int way = 0; way < 4; way++) {
            int64_t h = i % 2 ? 1 : 5, w = i % 2 ? 1 : 3;
            MapDesc in = blocked(range[i][1] + range[i][3], h, w), out = blocked(range[i][0], h, w);
            in.layout = (Layout)(way & 1);
            out.layout = (Layout)(way >> 1);
            Kernel k = kernel(FAM_COPY, in, out);
            k.copy = COPY_CHANNELS_DX;
            k.src_c = range[i][1];
            k.dst_c = range[i][2];
            k.count_c = range[i][3];
            add(s, with(s, k, i % 3 == 2 ? AFFINE : PLAIN), (MapData){0});
        }
}

static void upsampling(Suite *s)
{
    static const int64_t to[][5] = {/* c, h, w, by rows, by columns */
                                    {16, 4, 4, 2, 2}, {5, 3, 7, 3, 2}, {33, 1, 1, 2, 4},
                                    {20, 9, 2, 1, 3}, {8, 1, 6, 4, 1}, {37, 5, 5, 5, 7}};
    for (size_t i = 0; i < sizeof to / sizeof *to; i++)
        for (int kind = COPY_NEAREST_DX; kind <= COPY_BILINEAR_DX; kind++) {
            MapDesc out = blocked(to[i][0], to[i][1], to[i][2]), in = out;
            in.h *= to[i][3];
            in.w *= to[i][4];
            Kernel k = kernel(FAM_COPY, in, out);
            k.copy = (CopyKind)kind;
            k.by_h = to[i][3];
            k.by_w = to[i][4];
            add(s, k, (MapData){0});
            add(s, with(s, k, i % 2 ? RESIDUAL : AFFINE), (MapData){0});
        }
}

static void depth_to_space(Suite *s)
{
    static const int64_t of[][4] = {/* c, h, w, by */ {4, 3, 5, 2}, {16, 2, 2, 2}, {5, 1, 4, 3}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        for (int way = 0; way < 4; way++) {
            int64_t by = of[i][3];
            MapDesc in = blocked(of[i][0] * by * by, of[i][1], of[i][2]);
            MapDesc out = blocked(of[i][0], of[i][1] * by, of[i][2] * by);
            in.layout = (Layout)(way & 1);
            out.layout = (Layout)(way >> 1);
            Kernel k = kernel(FAM_COPY, in, out);
            k.copy = COPY_DEPTH_TO_SPACE;
            k.by_h = k.by_w = by;
            add(s, with(s, k, way == 1 ? AFFINE : PLAIN), (MapData){0});
        }
}

static void copies(Suite *s)
{
    channel_ranges(s);
    upsampling(s);
    depth_to_space(s);
}

#define TEST(NAME)                                                                                 \
    static void test_##NAME(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        suite_on_levels(api, NAME, check_case, NULL);                                              \
    }
TEST(pooling_max)
TEST(pooling_mean)
TEST(norms)
TEST(norm_weights)
TEST(responses)
TEST(softmaxes)
TEST(losses)
TEST(copies)

/* Local response norm of a single channel is x to the power of 1 - 2 beta by way of log(x^2): with
 * beta 1 over all of the logarithm's range, with beta 64 near 1, where the exponential's own error
 * is a 64th of what is seen. */
static void all_magnitudes(Suite *s)
{
    MapDesc m = blocked(64, 32, 32);
    Kernel k = kernel(FAM_LRN, m, m);
    k.lrn_size = 1;
    k.alpha = 1;
    for (int beta = 1; beta <= 64; beta += 63) {
        k.beta = beta;
        add(s, k, (MapData){0});
    }
}

static void check_logarithm(Suite *s, CnnrtKernel code, uint32_t i, const void *with)
{
    (void)with;
    const Kernel *k = &s->plan.kernels.at[i].k;
    int64_t n = map_floats(k->in, s->plan.target.vl);
    float most = (float)(43.2 / k->beta);
    float *x = random_floats(n, "magnitude", -most, most), *y = random_floats(n, "y", 0, 1);
    float *scratch = random_floats(family_scratch(k, &s->plan.target), "scratch", 0, 1);
    float *args[KERNEL_ARGS + 1] = {y, x};
    CnnrtRun run = {.batch = 1};
    for (int64_t at = 0; at < n; at++)
        x[at] = expf(x[at]);
    args[KERNEL_ARG_SCRATCH] = scratch;
    args[KERNEL_ARG_RUN] = (float *)&run;
    code(args, 0, family_units(k, &s->plan.target));
    for (int64_t at = 0; at < n; at++) {
        float square = x[at] * x[at];
        double want = log((double)square), got = -log((double)y[at] / x[at]) / k->beta;
        double ulp = ldexp(1, ilogb(want) - 23), allowed = 1.1 * ulp + 4e-7 / k->beta;
        if (want == 0 ? got == 0 : fabs(got - want) <= allowed)
            continue;
        fprintf(stderr, "# %s: log(%.9g) is %.9g, not %.9g: %g ulp\n", s->plan.target.cpu, square,
                got, want, fabs(got - want) / ulp);
        s->failures++;
        break;
    }
    free(x);
    free(y);
    free(scratch);
}

static void test_logarithm(void **state)
{
    (void)state;
    suite_on_levels(api, all_magnitudes, check_logarithm, NULL);
}

/* Cross entropy of one logit against 4095 equal ones, from log(4096) down to what rounds to
 * nothing beside 1; binary cross entropy of one value. */
static void small_losses(Suite *s)
{
    static const int64_t channels[] = {4096, 1};
    for (int form = LOSS_FORM_CE; form <= LOSS_FORM_BCE; form++) {
        MapDesc z = planar(channels[form], 1, 1);
        Kernel k = with_map(kernel(FAM_LOSS, z, planar(1, 1, 1)));
        k.loss = (LossForm)form;
        k.weight = 1;
        add(s, k, (MapData){0});
    }
}

static void check_small_loss(Suite *s, CnnrtKernel code, uint32_t i, const void *with)
{
    (void)with;
    static float z[4096], t[4096];
    const Kernel *k = &s->plan.kernels.at[i].k;
    CnnrtRun run = {.batch = 1};
    float out = 0, *args[KERNEL_ARGS + 1] = {&out, z};
    args[KERNEL_ARG_EXTRA] = t;
    args[KERNEL_ARG_RUN] = (float *)&run;
    for (int step = 0; step <= 1000; step++) {
        float lead = (float)step * 0.08f;
        memset(z, 0, sizeof z);
        memset(t, 0, sizeof t);
        z[k->in.c / 2] = lead;
        t[k->in.c / 2] = 1;
        code(args, 0, 1);
        double others = k->in.c > 1 ? (double)(k->in.c - 1) : 1;
        double want = log1p(others * exp(-(double)lead));
        double allowed = k->in.c > 1 ? 3e-6 : 1e-6; /* equal terms round the same way */
        if (fabs(out - want) <= allowed * want)
            continue;
        fprintf(stderr, "# %s: %s: %.9g, not %.9g\n", s->plan.target.cpu, s->plan.kernels.at[i].key,
                out, want);
        s->failures++;
        return;
    }
}

static void test_small_losses(void **state)
{
    (void)state;
    suite_on_levels(api, small_losses, check_small_loss, NULL);
}

/* What no kernel can do is refused with a message. */
static void test_refused(void **state)
{
    (void)state;
    static Suite s;
    Target t;
    char err[1024];
    assert_non_null(api);
    assert_true(api->target("native", &t, err, sizeof err));
    MapDesc m = blocked(8, 4, 4);
    Kernel no_x = kernel(FAM_LN_DX, m, m), planar_map = on_shape(FAM_SOFTMAX_DX, 0);
    Kernel no_targets = kernel(FAM_LOSS, m, planar(1, 1, 1));
    Kernel dilated = pool_dx((Window2){8, 9, 9, 2, 1, 3, 0, 6, 6}, POOL_AVG);
    Kernel max = pool_dx(windows[0], POOL_MAX);
    planar_map.out.layout = LAYOUT_PLANAR;
    for (int i = 0; i < 5; i++) {
        const Kernel refused[] = {no_x, planar_map, no_targets, dilated, max};
        EmitOptions o = {.prefix = "suite", .net_name = "suite", .max_batch = 1, .jobs = 1};
        const void *model;
        if (setjmp(s.oom.env))
            fail_msg("out of memory");
        suite_open(&s, &t);
        suite_add(&s, i == 4 ? with(&s, refused[i], RELU) : refused[i]);
        err[0] = 0;
        assert_null(api->load(&s.plan, &o, &model, err, sizeof err));
        assert_true(strlen(err) > 10);
        suite_close(&s);
    }
}

static void test_neon_compiles(void **state)
{
    (void)state;
    static SuiteFill *const fill[] = {pooling_max, pooling_mean, norms,  norm_weights,
                                      responses,   softmaxes,    copies, small_losses};
    suite_compiles_for_arm(api, fill, sizeof fill / sizeof *fill);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pooling_max), cmocka_unit_test(test_pooling_mean),
        cmocka_unit_test(test_norms),       cmocka_unit_test(test_norm_weights),
        cmocka_unit_test(test_responses),   cmocka_unit_test(test_softmaxes),
        cmocka_unit_test(test_losses),      cmocka_unit_test(test_copies),
        cmocka_unit_test(test_logarithm),   cmocka_unit_test(test_small_losses),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_neon_compiles),
    };
    api = suite_api();
    return cmocka_run_group_tests_name("train_map", tests, NULL, NULL);
}
