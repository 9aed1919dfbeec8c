/* Gradients of convolutions on every vector width this machine has, against plain loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernel_suite.h"

static const CodegenApi *api;

/* Lanes past the last channel hold this: finite, and ruinous to any sum it enters. */
static const float POISON = 1e30f;

/* Images of one map, `step` floats apart; what lies between two of them may not even be read. */
typedef struct Images {
    float *logical; /* [image][c][h][w] */
    Guarded memory;
} Images;

static Images images_new(MapDesc m, int vl, int64_t batch, int64_t step, const char *stream,
                         float lo, Side side)
{
    int64_t n = m.c * m.h * m.w, all = map_floats(m, vl);
    Images r = {malloc(sizeof(float) * (size_t)(n * batch)),
                guarded_new((size_t)((batch - 1) * step + all), side)};
    if (!r.logical || !r.memory.at)
        abort();
    fill_random(r.logical, (size_t)(n * batch), stream, lo, lo + 2);
    for (size_t i = 0; i < r.memory.floats; i++)
        r.memory.at[i] = (int64_t)i % step < all ? POISON : (float)NAN;
    for (int64_t image = 0; image < batch; image++)
        for (int64_t c = 0; c < m.c; c++)
            for (int64_t p = 0; p < m.h * m.w; p++)
                r.memory.at[image * step + place_of(m, vl, c, p)] =
                    r.logical[image * n + c * m.h * m.w + p];
    return r;
}

static void images_free(Images *r)
{
    free(r->logical);
    guarded_free(&r->memory);
}

/* Batches of `first` images and more, values from lo to lo + 2. */
typedef struct Trial {
    int64_t first, batches;
    float lo;
} Trial;
static const Trial usual = {1, 3, -1}, dense = {5, 2, -1};

typedef struct Gradient {
    const Kernel *k;
    const Target *t;
    CnnrtKernel code;
    int64_t batch;
    Images x, dy;
    Guarded scratch;
    char message[160];
} Gradient;

/* dW[o][i][y][x]; *scale: the sum of the magnitudes, what rounding is measured by. */
static double expected(const Gradient *g, int64_t o, int64_t i, int64_t y, int64_t x, double *scale)
{
    const Kernel *k = g->k;
    int64_t ic = k->in.c, oc = k->dy.c, per_in = ic / k->groups;
    int64_t c = k->family == FAM_DEPTHWISE_DW ? o : o / (oc / k->groups) * per_in + i;
    double sum = 0;
    *scale = 0;
    for (int64_t n = 0; n < g->batch; n++)
        for (int64_t oy = 0; oy < k->dy.h; oy++)
            for (int64_t ox = 0; ox < k->dy.w; ox++) {
                int64_t iy = oy * k->sh - k->pt + y * k->dh, ix = ox * k->sw - k->pl + x * k->dw;
                if (iy < 0 || iy >= k->in.h || ix < 0 || ix >= k->in.w)
                    continue;
                double a = g->dy.logical[((n * oc + o) * k->dy.h + oy) * k->dy.w + ox];
                double b = g->x.logical[((n * ic + c) * k->in.h + iy) * k->in.w + ix];
                sum += a * b;
                *scale += fabs(a * b);
            }
    return sum;
}

static bool compare(Gradient *g, const float *got)
{
    const Kernel *k = g->k;
    int64_t per_in = k->family == FAM_DEPTHWISE_DW ? 1 : k->in.c / k->groups;
    for (int64_t at = 0; at < k->out.c; at++) {
        int64_t x = at % k->kw, y = at / k->kw % k->kh, i = at / (k->kw * k->kh) % per_in;
        int64_t o = at / (k->kw * k->kh * per_in);
        double scale, want = expected(g, o, i, y, x, &scale);
        if (fabs(got[at] - want) <= 2e-6 * (scale + 1e-3))
            continue;
        snprintf(g->message, sizeof g->message,
                 "batch %d, output channel %d, input channel %d, tap (%d, %d): %.9g, not %.9g",
                 (int)g->batch, (int)o, (int)i, (int)y, (int)x, (double)got[at], want);
        return false;
    }
    return true;
}

static void run(const Gradient *g, float *out, Order order)
{
    CnnrtRun r = {.batch = g->batch};
    float *args[KERNEL_ARGS + 1] = {out, g->x.memory.at};
    int64_t units = family_units(g->k, g->t);
    args[KERNEL_ARG_EXTRA] = g->dy.memory.at;
    args[KERNEL_ARG_SCRATCH] = g->scratch.at;
    args[KERNEL_ARG_RUN] = (float *)&r;
    if (order == AT_ONCE) {
        g->code(args, 0, units);
    } else if (order == IN_TWO) {
        g->code(args, units / 3, units);
        g->code(args, 0, units / 3);
    } else {
        for (int64_t u = units; u-- > 0;)
            g->code(args, u, u + 1);
    }
}

static bool in_order(Gradient *g, Order order, Side side, Guarded *first)
{
    Guarded out = guarded_new((size_t)g->k->out.c, side);
    if (!out.at)
        abort();
    for (size_t i = 0; i < out.floats; i++)
        out.at[i] = (float)NAN;
    run(g, out.at, order);
    bool ok = compare(g, out.at);
    if (ok && !(guarded_intact(&out) && guarded_intact(&g->scratch) &&
                guarded_intact(&g->x.memory) && guarded_intact(&g->dy.memory))) {
        snprintf(g->message, sizeof g->message, "wrote outside of its buffers");
        ok = false;
    }
    if (ok && first->at && memcmp(out.at, first->at, out.floats * sizeof(float)) != 0) {
        snprintf(g->message, sizeof g->message, "another order of units gives other bits");
        ok = false;
    }
    if (first->at)
        guarded_free(&out);
    else
        *first = out;
    return ok;
}

static bool gradient_check(Gradient *g, const Trial *trial)
{
    bool ok = true;
    if (trial == &usual && g->k->dy.h * g->k->dy.w == 1)
        trial = &dense;
    int64_t end = trial->first + trial->batches;
    for (g->batch = trial->first; g->batch < end && ok; g->batch++) {
        Side side = g->batch % 2 ? AGAINST_END : AGAINST_START;
        Guarded first = {0};
        g->x = images_new(g->k->in, g->t->vl, g->batch, g->k->in_step, "x", trial->lo, side);
        g->dy =
            images_new(g->k->dy, g->t->vl, g->batch, g->k->extra_step[0], "dy", trial->lo, side);
        g->scratch = guarded_new((size_t)family_scratch(g->k, g->t), side);
        for (int order = AT_ONCE; order <= IN_TWO && ok; order++)
            ok = in_order(g, (Order)order, side, &first);
        guarded_free(&first);
        images_free(&g->x);
        images_free(&g->dy);
        guarded_free(&g->scratch);
    }
    return ok;
}

static bool kernel_check(const Kernel *k, const Target *t, CnnrtKernel code, const Trial *trial,
                         char *message)
{
    Gradient g = {.k = k, .t = t, .code = code};
    Case c = {.k = k, .t = t, .code = code};
    bool per_image = k->family == FAM_DEPTHWISE_DX;
    bool ok = per_image ? case_check(&c) : gradient_check(&g, trial);
    snprintf(message, 256, "%s", per_image ? c.message : g.message);
    return ok;
}

static void check_case(Suite *s, CnnrtKernel code, uint32_t i, const void *trial)
{
    char message[256];
    if (!kernel_check(&s->plan.kernels.at[i].k, &s->plan.target, code, trial, message))
        suite_wrong(s, i, message);
}

typedef struct Layer {
    int64_t ic, oc, h, w, kh, kw, sh, sw, dh, dw;
    int64_t pt, pl, pb, pr, groups;
} Layer;

/* A square window, padded alike on all sides. */
static Layer square(int64_t ic, int64_t oc, int64_t h, int64_t w, int64_t k, int64_t s, int64_t p)
{
    return (Layer){ic, oc, h, w, k, k, s, s, 1, 1, p, p, p, p, 1};
}

static Kernel of_shape(Family f, Layer s)
{
    int64_t oh = (s.h + s.pt + s.pb - s.dh * (s.kh - 1) - 1) / s.sh + 1;
    int64_t ow = (s.w + s.pl + s.pr - s.dw * (s.kw - 1) - 1) / s.sw + 1;
    Kernel k = kernel(f, blocked(s.ic, s.h, s.w), (MapDesc){0});
    k.groups = s.groups;
    k.dy = blocked(s.oc, oh, ow);
    k.kh = s.kh;
    k.kw = s.kw;
    k.sh = s.sh;
    k.sw = s.sw;
    k.dh = s.dh;
    k.dw = s.dw;
    k.pt = s.pt;
    k.pl = s.pl;
    return k;
}

static void add_weights(Suite *s, Kernel k)
{
    int vl = s->plan.target.vl;
    int64_t per_in = k.family == FAM_DEPTHWISE_DW ? 1 : k.in.c / k.groups;
    k.out = (MapDesc){LAYOUT_PLANAR, k.dy.c * per_in * k.kh * k.kw, 1, 1};
    k.whole = true;
    k.in_step = map_floats(k.in, vl) + 3 * vl;
    k.extra_count = 1;
    k.extra[0] = KARG_MAP;
    k.extra_step[0] = map_floats(k.dy, vl) + vl;
    suite_add(s, k);
}

static void add_conv(Suite *s, Layer shape, bool from_planar)
{
    Kernel k = of_shape(FAM_CONV_DW, shape);
    if (from_planar)
        k.in.layout = LAYOUT_PLANAR;
    add_weights(s, k);
}

/* Windows that are not square, dilated, further apart than they are wide, padded on some sides or
 * beyond their own size. */
static const Layer odd_windows[] = {
    {9, 20, 7, 9, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {17, 5, 10, 17, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 1},
    {6, 10, 9, 11, 1, 5, 1, 2, 1, 1, 0, 2, 0, 1, 1},
    {6, 10, 9, 11, 5, 1, 2, 1, 1, 1, 1, 0, 3, 0, 1},
    {12, 18, 11, 10, 2, 2, 3, 4, 1, 1, 0, 0, 0, 0, 1},
    {4, 9, 13, 6, 3, 4, 2, 3, 3, 1, 0, 1, 2, 0, 1},
    {16, 16, 3, 3, 3, 3, 1, 1, 1, 1, 2, 2, 2, 2, 1},
    {5, 33, 2, 2, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1},
    {8, 8, 4, 5, 3, 3, 1, 1, 1, 1, 5, 4, 0, 0, 1},
    {7, 7, 12, 9, 3, 3, 1, 1, 4, 3, 4, 0, 4, 5, 1},
    {3, 40, 6, 30, 1, 13, 1, 1, 1, 2, 0, 9, 0, 3, 1},
    {20, 12, 9, 9, 3, 3, 2, 2, 1, 1, 0, 0, 1, 1, 1},
};

static void conv_windows(Suite *s)
{
    for (size_t i = 0; i < sizeof odd_windows / sizeof *odd_windows; i++) {
        add_conv(s, odd_windows[i], false);
        add_conv(s, odd_windows[i], true);
    }
    add_conv(s, square(16, 48, 14, 14, 3, 1, 1), false);
    add_conv(s, square(40, 33, 12, 13, 3, 1, 1), false);
    add_conv(s, square(64, 64, 7, 7, 3, 1, 1), false);
    add_conv(s, square(8, 24, 60, 70, 3, 1, 1), false); /* rows in several parts */
    add_conv(s, square(3, 37, 31, 33, 7, 2, 3), true);
    add_conv(s, square(1, 8, 28, 28, 5, 1, 2), true);
    add_conv(s, square(21, 16, 9, 9, 3, 1, 1), true);
}

static void conv_pointwise(Suite *s)
{
    static const int64_t channels[][2] = {{16, 16}, {5, 40}, {33, 7}, {48, 100}, {96, 24}};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        int64_t ic = channels[i][0], oc = channels[i][1];
        add_conv(s, square(ic, oc, 5, 7, 1, 1, 0), false);
        add_conv(s, square(ic, oc, 28, 12, 1, 1, 0), i % 2);
        add_conv(s, square(ic, oc, 9, 11, 1, 2, 0), false);
        add_conv(s, square(ic, oc, 1, 1, 1, 1, 0), i % 2 == 0); /* dense layers */
        add_conv(s, square(ic, oc, 1, 1, 1, 1, 0), i % 2 == 1);
        add_conv(s, square(ic, oc, 4, 3, 1, 1, 1), false);
    }
    add_conv(s, square(131, 20, 1, 1, 1, 1, 0), true);
    Layer flattening = {20, 30, 3, 4, 3, 4, 1, 1, 1, 1, 0, 0, 0, 0, 1};
    add_conv(s, flattening, false);
    flattening.pl = 2; /* taps that meet padding alone */
    flattening.w = 2;
    add_conv(s, flattening, false);
}

static void conv_groups(Suite *s)
{
    static const int64_t channels[][3] = {
        {8, 16, 4}, {64, 64, 2}, {12, 18, 3}, {6, 6, 2}, {96, 96, 3}, {32, 64, 16}, {64, 128, 4},
    };
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        Layer shape = square(channels[i][0], channels[i][1], 6, 7, 3, 1 + (int64_t)i % 2, 1);
        shape.groups = channels[i][2];
        add_conv(s, shape, false);
        shape.kh = shape.kw = 1;
        shape.pt = shape.pl = shape.pb = shape.pr = 0;
        add_conv(s, shape, i % 2);
    }
}

/* Tiles other than the rules choose. */
static void conv_tiles(Suite *s)
{
    Target *t = &s->plan.target;
    for (int i = 0; i < 12; i++) {
        Layer shape = i % 2 ? square(3 * t->vl - 1, 5 * t->vl - 2, 9, 8, 3, 1, 1)
                            : square(2 * t->vl + 1, 3 * t->vl, 6, 5, 1, 1, 0);
        Kernel k = of_shape(FAM_CONV_DW, shape);
        family_choose_tile(&k, t);
        k.tile.ocv = 1 + i % 3;
        k.tile.px = 1 << i / 2 % 2;
        k.tile.kc = 1 + i % 4;
        k.tile.rb = 1 + i % 5;
        k.tile.dw_tiles = 1 + i / 3;
        k.tile.dw_rows = k.kh > 1 ? 1 + i / 2 % 3 : 1;
        add_weights(s, k);
    }
}

static void depthwise_weights(Suite *s)
{
    static const int64_t channels[] = {4, 19, 40, 150};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        int64_t c = channels[i];
        for (int64_t k = 1; k <= 7; k += 2) {
            add_weights(s, of_shape(FAM_DEPTHWISE_DW, square(c, c, 11, 13, k, 1, k / 2)));
            add_weights(s, of_shape(FAM_DEPTHWISE_DW, square(c, c, 12, 9, k, 2, k / 2)));
        }
        add_weights(s, of_shape(FAM_DEPTHWISE_DW, square(c, c, 3, 3, 3, 1, 0)));
        add_weights(s, of_shape(FAM_DEPTHWISE_DW, square(c, c, 40, 50, 3, 1, 1)));
    }
    for (size_t i = 0; i < sizeof odd_windows / sizeof *odd_windows; i++) {
        Layer shape = odd_windows[i];
        shape.oc = shape.ic;
        add_weights(s, of_shape(FAM_DEPTHWISE_DW, shape));
    }
    Layer wide = {6, 6, 2, 90, 1, 41, 1, 1, 1, 1, 0, 20, 0, 20, 1};
    add_weights(s, of_shape(FAM_DEPTHWISE_DW, wide));
}

static void add_inputs(Suite *s, Layer shape, Epilogue how)
{
    shape.oc = shape.ic;
    Kernel k = of_shape(FAM_DEPTHWISE_DX, shape);
    k.out = k.in;
    k.in = k.dy;
    k.dy = (MapDesc){0};
    suite_add(s, with(s, k, how));
}

static void depthwise_inputs(Suite *s)
{
    static const int64_t channels[] = {4, 19, 40, 150};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        int64_t c = channels[i];
        for (int64_t k = 1; k <= 7; k += 2)
            for (int64_t stride = 1; stride <= 3; stride++)
                add_inputs(s, square(c, c, 11 + stride, 13, k, stride, k / 2),
                           (Epilogue)((stride + (int64_t)i) % (GATED_RESIDUAL + 1)));
        add_inputs(s, square(c, c, 30, 41, 3, 1, 1), RESIDUAL);
        add_inputs(s, square(c, c, 31, 40, 3, 2, 1), PLAIN);
    }
    for (size_t i = 0; i < sizeof odd_windows / sizeof *odd_windows; i++)
        add_inputs(s, odd_windows[i], PLAIN);
    Layer dilated = {10, 10, 19, 20, 3, 3, 4, 4, 6, 2, 3, 1, 3, 1, 1}; /* phases without taps */
    add_inputs(s, dilated, RELU);
}

#define TEST(NAME)                                                                                 \
    static void test_##NAME(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        suite_on_levels(api, NAME, check_case, &usual);                                            \
    }
TEST(conv_windows)
TEST(conv_pointwise)
TEST(conv_groups)
TEST(conv_tiles)
TEST(depthwise_weights)
TEST(depthwise_inputs)

/* Sums of 131072 positive products: one accumulator for all of them loses more than is allowed. */
static void long_sums(Suite *s)
{
    add_conv(s, square(1, 2, 32, 32, 3, 1, 1), false);
    add_conv(s, square(2, 1, 32, 32, 1, 1, 0), false);
    add_weights(s, of_shape(FAM_DEPTHWISE_DW, square(2, 2, 32, 32, 3, 1, 1)));
}

static void long_dense_sums(Suite *s)
{
    add_conv(s, square(2, 1, 1, 1, 1, 1, 0), false);
}

static void test_rounding(void **state)
{
    (void)state;
    static const Trial images = {128, 1, 0.25f}, many = {131072, 1, 0.25f};
    suite_on_levels(api, long_sums, check_case, &images);
    suite_on_levels(api, long_dense_sums, check_case, &many);
}

static void test_neon_compiles(void **state)
{
    (void)state;
    static SuiteFill *const fill[] = {conv_windows, conv_pointwise,    conv_groups,
                                      conv_tiles,   depthwise_weights, depthwise_inputs};
    suite_compiles_for_arm(api, fill, sizeof fill / sizeof *fill);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv_windows),      cmocka_unit_test(test_conv_pointwise),
        cmocka_unit_test(test_conv_groups),       cmocka_unit_test(test_conv_tiles),
        cmocka_unit_test(test_depthwise_weights), cmocka_unit_test(test_depthwise_inputs),
        cmocka_unit_test(test_rounding),          cmocka_unit_test(test_neon_compiles),
    };
    api = suite_api();
    return cmocka_run_group_tests_name("train_conv", tests, NULL, NULL);
}
