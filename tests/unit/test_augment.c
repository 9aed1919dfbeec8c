/* Augmentation: colours, geometry and policies give what Pillow and timm give; draws are those of
 * docs/random.md; mixing keeps what it must. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "augment.h"
#include "data_files.h"

static const uint8_t fill[4] = {124, 116, 104, 0};

static bool shear(CnndataImage *im, CnndataImage *other, int at, double by)
{
    double m[6] = {1, 0, 0, 0, 1, 0};
    m[at] = by;
    return cnndata_affine(im, other, m, fill);
}

static size_t bytes_of(const CnndataImage *im)
{
    return (size_t)(im->w * im->h * im->c);
}

static uint32_t sum_of(const CnndataImage *im)
{
    return data_sum(2166136261u, im->pixels, bytes_of(im));
}

static void test_against_pillow(void **state)
{
    (void)state;
    CnndataImage images[2] = {{0}, {0}}, *im = &images[0], *other = &images[1];
    int64_t w = 0, h = 0;
    int32_t c = 0;
    bool flat = false;
    int cases = 0;
#define CASE(W, H, FLAT, C)                                                                        \
    w = (W);                                                                                       \
    h = (H);                                                                                       \
    flat = (FLAT);                                                                                 \
    c = (C);
#define SUM(CALL, WANT)                                                                            \
    data_picture(im, w, h, c, flat);                                                               \
    (void)(CALL);                                                                                  \
    if (sum_of(im) != (WANT))                                                                      \
        fail_msg("%s on %dx%dx%d: other bytes than Pillow's", #CALL, (int)w, (int)h, (int)c);      \
    cases++;
#include "augment_values.h"
    assert_true(cases > 500);
    cnndata_image_free(im);
    cnndata_image_free(other);
}

#define SETS
#define CASE(W, H, FLAT, C)
#define SUM(CALL, WANT)
#include "augment_values.h"

static int place(const uint32_t *set, int n, uint32_t sum)
{
    for (int i = 0; i < n; i++)
        if (set[i] == sum)
            return i;
    return -1;
}

/* Every outcome is one of timm's, and in many draws all of those come. */
static void check_outcomes(int kind, double magnitude, int draws, const uint32_t *set, int n)
{
    CnndataWork w = {0};
    int seen[256] = {0}, distinct = 0;
    for (int i = 0; i < draws; i++) {
        CnndataDraw d = {rng_key("outcomes", (uint64_t)i), 0};
        data_picture(&w.image, 32, 32, 3, true);
        if (kind < 0)
            assert_true(cnndata_rand_augment(&w, magnitude, 0, 1, 1, fill, &d));
        else
            assert_true(cnndata_auto_augment(&w, kind, fill, &d));
        int at = place(set, n, sum_of(&w.image));
        assert_in_range(at, 0, n - 1);
        distinct += seen[at]++ == 0;
    }
    assert_int_equal(distinct, n);
    cnndata_work_free(&w);
}

#define COUNT(A) (int)(sizeof(A) / sizeof(A)[0])

static void test_policies(void **state)
{
    (void)state;
    check_outcomes(-1, 9, 800, rand_9, COUNT(rand_9));
    check_outcomes(-1, 3, 800, rand_3, COUNT(rand_3));
    check_outcomes(CNNDATA_POLICY_V0, 0, 8000, auto_v0, COUNT(auto_v0));
    check_outcomes(CNNDATA_POLICY_ORIGINAL, 0, 8000, auto_original, COUNT(auto_original));
    assert_int_equal(cnndata_policy_find("v0"), CNNDATA_POLICY_V0);
    assert_int_equal(cnndata_policy_find("original"), CNNDATA_POLICY_ORIGINAL);
    assert_int_equal(cnndata_policy_find("v1"), -1);
}

/* With probability p each of n operations happens: at p = 0 none does. */
static void test_rand_augment_p(void **state)
{
    (void)state;
    CnndataWork w = {0};
    int same = 0;
    data_picture(&w.image, 32, 32, 3, true);
    const uint32_t start = sum_of(&w.image);
    for (int i = 0; i < 2000; i++) {
        CnndataDraw d = {rng_key("p", (uint64_t)i), 0};
        data_picture(&w.image, 32, 32, 3, true);
        assert_true(cnndata_rand_augment(&w, 9, 0, 2, i < 100 ? 0 : 0.5, fill, &d));
        bool equal = sum_of(&w.image) == start;
        assert_true(equal || i >= 100);
        same += equal && i >= 100;
    }
    /* 1/4, and a little for pairs of inversions */
    assert_in_range(same, 1900 / 4 - 90, 1900 / 4 + 100);
    cnndata_work_free(&w);
}

static int64_t sum_of_pixels(const CnndataImage *im)
{
    int64_t sum = 0;
    for (size_t i = 0; i < bytes_of(im); i++)
        sum += im->pixels[i];
    return sum;
}

/* A level with a deviation: brightness, operation 9 of the 15, of a grey picture tells which it
 * was, 100 (0.1 + 0.18 level). Mean and deviation are those asked for, and what would lie beyond 0
 * or 10 is 0 or 10. */
static void test_rand_augment_std(void **state)
{
    (void)state;
    static const struct {
        double magnitude, std, mean, deviation;
    } cases[] = {{5, 1, 5, 1}, {9, 0.5, 8.99, 0.46}, {5, 0, 5, 0}};
    CnndataWork w = {0};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        double sum = 0, squares = 0, most = 0;
        int n = 0;
        for (int i = 0; i < 60000; i++) {
            CnndataDraw d = {rng_key("level", (uint64_t)i), 0}, look = d;
            if (draw_below(&look, 15) != 9)
                continue;
            data_picture(&w.image, 8, 8, 1, true);
            memset(w.image.pixels, 100, bytes_of(&w.image));
            assert_true(cnndata_rand_augment(&w, cases[k].magnitude, cases[k].std, 1, 1, fill, &d));
            double level = ((double)sum_of_pixels(&w.image) / 64 / 100 - 0.1) / 0.18;
            sum += level;
            squares += level * level;
            most = fmax(most, level);
            n++;
        }
        double mean = sum / n, deviation = sqrt(fmax(0, squares / n - mean * mean));
        assert_in_range(n, 3700, 4300);
        /* pixels are whole: levels are seen to within 0.056, downwards by half of it on average */
        if (fabs(mean - cases[k].mean) > 0.08 || fabs(deviation - cases[k].deviation) > 0.05)
            fail_msg("m%g-mstd%g: mean %g, deviation %g", cases[k].magnitude, cases[k].std, mean,
                     deviation);
        assert_true(most <= 10);
    }
    cnndata_work_free(&w);
}

/* ---- The chain ---- */

static CnndataPrep prep_of(int64_t c, int64_t side)
{
    return (CnndataPrep){.c = c,
                         .h = side,
                         .w = side,
                         .has_norm = true,
                         .mean = {0.25, 0.5, 0.125},
                         .std = {0.5, 0.25, 2}};
}

static CnndataChain chain_of(const CnndataOp *ops, int n, const CnndataPrep *prep)
{
    static CnndataChain c;
    char error[CNNDATA_ERROR_MAX];
    assert_int_equal(cnndata_chain_make(&c, ops, n, prep, (CnndataError){error, sizeof error}),
                     CNNDATA_OK);
    return c;
}

static void augment(const CnndataChain *c, uint64_t key, CnndataWork *w, float *out)
{
    assert_int_equal(cnndata_augment(c, key, w, out, (CnndataError){0}), CNNDATA_OK);
}

static float norm(const CnndataPrep *p, int c, int v)
{
    return ((float)v / 255.0f - (float)p->mean[c]) / (float)p->std[c];
}

static void test_normalise(void **state)
{
    (void)state;
    const CnndataPrep p = prep_of(3, 2);
    const CnndataChain c = chain_of(NULL, 0, &p);
    CnndataWork w = {0};
    float out[12];
    data_picture(&w.image, 2, 2, 3, false);
    for (int i = 0; i < 12; i++)
        w.image.pixels[i] = (uint8_t)(i * 20);
    augment(&c, 1, &w, out);
    assert_true(out[0] == -0.5f);                                   /* (0 - 0.25) / 0.5 */
    assert_true(fabsf(out[7] - (200.0f / 255 - 0.5f) * 4) < 1e-6f); /* green, pixel 3: value 200 */
    for (int i = 0; i < 12; i++)
        assert_true(out[i] == norm(&p, i / 4, (i % 4 * 3 + i / 4) * 20));
    cnndata_work_free(&w);
}

static void test_channels_and_size(void **state)
{
    (void)state;
    CnndataPrep p = prep_of(3, 2);
    CnndataChain c = chain_of(NULL, 0, &p);
    CnndataWork w = {0};
    float out[12];
    data_picture(&w.image, 2, 2, 1, false); /* grey to 3 channels */
    const uint8_t first = w.image.pixels[0];
    augment(&c, 1, &w, out);
    for (int k = 0; k < 3; k++)
        assert_true(out[4 * k] == norm(&p, k, first));
    p = prep_of(1, 2);
    c = chain_of(NULL, 0, &p);
    data_picture(&w.image, 4, 4, 3, false); /* RGB to grey, and fitted: the mean of four */
    for (int i = 0; i < 16 * 3; i++)
        w.image.pixels[i] = (uint8_t)(i % 3 == 0 ? 100 : i % 3 == 1 ? 200 : 50);
    augment(&c, 1, &w, out);
    for (int i = 0; i < 4; i++) /* 0.299 * 100 + 0.587 * 200 + 0.114 * 50 = 153 */
        assert_true(out[i] == norm(&p, 0, 153));
    cnndata_work_free(&w);
}

static void test_hflip(void **state)
{
    (void)state;
    enum { SIDE = 5, N = SIDE * SIDE * 3, KEYS = 4000 };
    const CnndataPrep p = prep_of(3, SIDE);
    CnndataWork w = {0};
    CnndataImage twice = {0}, once = {0};
    float plain[N], out[N];
    int flipped = 0;
    data_picture(&twice, SIDE, SIDE, 3, false);
    data_picture(&once, SIDE, SIDE, 3, false);
    cnndata_hflip(&twice);
    assert_memory_equal(twice.pixels + 3, once.pixels + 3 * 3, 3);
    cnndata_hflip(&twice);
    assert_memory_equal(twice.pixels, once.pixels, N);
    const CnndataChain none = chain_of(NULL, 0, &p);
    data_picture(&w.image, SIDE, SIDE, 3, false);
    augment(&none, 1, &w, plain);
    const CnndataChain c = chain_of(&(CnndataOp){CNNDATA_HFLIP, {0.25}}, 1, &p);
    for (uint64_t key = 0; key < KEYS; key++) {
        data_picture(&w.image, SIDE, SIDE, 3, false);
        augment(&c, key, &w, out);
        bool want = rng_uniform(rng_mix(key, 0), 0) < 0.25f;
        assert_int_equal(memcmp(out, plain, sizeof out) != 0, want);
        flipped += want;
    }
    assert_in_range(flipped, KEYS / 4 - 140, KEYS / 4 + 140); /* five deviations */
    cnndata_image_free(&twice);
    cnndata_image_free(&once);
    cnndata_work_free(&w);
}

static int64_t below(uint64_t key, uint64_t i, int64_t n)
{
    return (int64_t)(((unsigned __int128)rng_mix(key, i) * (uint64_t)n) >> 64);
}

static void test_random_crop(void **state)
{
    (void)state;
    enum { SIDE = 8, PAD = 2, PLACES = 2 * PAD + 1 };
    CnndataPrep p = prep_of(1, SIDE);
    const CnndataChain c = chain_of(&(CnndataOp){CNNDATA_RANDOM_CROP, {SIDE, PAD}}, 1, &p);
    CnndataImage im = {0};
    CnndataWork w = {0};
    float out[SIDE * SIDE];
    int seen[PLACES][PLACES] = {{0}}, distinct = 0;
    data_picture(&im, SIDE, SIDE, 1, false);
    for (uint64_t key = 0; key < 400; key++) {
        data_picture(&w.image, SIDE, SIDE, 1, false);
        augment(&c, key, &w, out);
        const uint64_t stream = rng_mix(key, 0);
        int64_t dy = below(stream, 0, PLACES), dx = below(stream, 1, PLACES);
        distinct += seen[dy][dx]++ == 0;
        for (int64_t y = 0; y < SIDE; y++)
            for (int64_t x = 0; x < SIDE; x++) {
                int64_t sy = y + dy - PAD, sx = x + dx - PAD;
                bool in = sy >= 0 && sy < SIDE && sx >= 0 && sx < SIDE;
                assert_true(out[y * SIDE + x] == norm(&p, 0, in ? im.pixels[sy * SIDE + sx] : 0));
            }
    }
    assert_int_equal(distinct, PLACES * PLACES);
    /* too small even so: 3 + 4 lacks 1, which is added on both ends */
    for (uint64_t key = 0; key < 50; key++) {
        data_picture(&w.image, 3, SIDE, 1, false);
        memset(w.image.pixels, 255, 3 * SIDE);
        augment(&c, key, &w, out);
        const int64_t dx = below(rng_mix(key, 0), 1, 2);
        for (int64_t x = 0; x < SIDE; x++) {
            bool in = x + dx >= 3 && x + dx < 6;
            assert_true(out[4 * SIDE + x] == norm(&p, 0, in ? 255 : 0));
        }
    }
    cnndata_image_free(&im);
    cnndata_work_free(&w);
}

/* torchvision's rule, written down once more, with the draws of docs/random.md. */
static void expected_box(uint64_t stream, double w, double h, double scale_min, int64_t box[4])
{
    uint64_t at = 0;
    for (int i = 0; i < 10; i++) {
        double area = w * h * (scale_min + (1 - scale_min) * (double)rng_uniform(stream, at));
        double lo = log(0.75), hi = log(4.0 / 3.0);
        double aspect = exp(lo + (hi - lo) * (double)rng_uniform(stream, at + 1));
        double bw = rint(sqrt(area * aspect)), bh = rint(sqrt(area / aspect));
        at += 2;
        if (bw > 0 && bw <= w && bh > 0 && bh <= h) {
            box[0] = below(stream, at, (int64_t)(h - bh) + 1);
            box[1] = below(stream, at + 1, (int64_t)(w - bw) + 1);
            box[2] = (int64_t)bh;
            box[3] = (int64_t)bw;
            return;
        }
    }
    box[2] = (int64_t)(w / h < 0.75 ? rint(w / 0.75) : h);
    box[3] = (int64_t)(w / h > 4.0 / 3.0 ? rint(h * (4.0 / 3.0)) : w);
    box[0] = ((int64_t)h - box[2]) / 2;
    box[1] = ((int64_t)w - box[3]) / 2;
}

static void check_resized_crop(int64_t w, int64_t h, double scale_min)
{
    enum { SIDE = 7 };
    const CnndataPrep p = prep_of(3, SIDE);
    const CnndataChain c =
        chain_of(&(CnndataOp){CNNDATA_RANDOM_RESIZED_CROP, {SIDE, scale_min}}, 1, &p);
    CnndataImage im = {0};
    CnndataWork work = {0};
    CnndataResizer r = {0};
    uint8_t want[SIDE * SIDE * 3], *part = malloc((size_t)(w * h * 3));
    float out[SIDE * SIDE * 3];
    data_picture(&im, w, h, 3, false);
    for (uint64_t key = 0; key < 200; key++) {
        int64_t box[4];
        expected_box(rng_mix(key, 0), (double)w, (double)h, scale_min, box);
        for (int64_t y = 0; y < box[2]; y++)
            memcpy(part + y * box[3] * 3, im.pixels + ((box[0] + y) * w + box[1]) * 3,
                   (size_t)box[3] * 3);
        assert_true(cnndata_resize(&(CnndataPixels){part, box[3], box[2], box[3] * 3, 3},
                                   (CnndataWindow){SIDE, SIDE, 0, 0, SIDE, SIDE}, want, &r));
        data_picture(&work.image, w, h, 3, false);
        augment(&c, key, &work, out);
        for (int i = 0; i < SIDE * SIDE; i++)
            for (int k = 0; k < 3; k++)
                assert_true(out[k * SIDE * SIDE + i] == norm(&p, k, want[3 * i + k]));
    }
    free(part);
    cnndata_image_free(&im);
    cnndata_resizer_free(&r);
    cnndata_work_free(&work);
}

static void test_random_resized_crop(void **state)
{
    (void)state;
    check_resized_crop(40, 31, 0.08);
    check_resized_crop(7, 7, 1);
    check_resized_crop(64, 4, 0.9); /* no try fits: the centre */
    check_resized_crop(3, 50, 0.9);
    check_resized_crop(1, 1, 0.08);
}

static void test_color_jitter(void **state)
{
    (void)state;
    enum { SIDE = 4, N = SIDE * SIDE * 3 };
    const CnndataPrep p = prep_of(3, SIDE);
    CnndataWork w = {0};
    float out[N], plain[N];
    const CnndataChain none = chain_of(NULL, 0, &p);
    data_picture(&w.image, SIDE, SIDE, 3, false);
    augment(&none, 1, &w, plain);
    const CnndataChain still = chain_of(&(CnndataOp){CNNDATA_COLOR_JITTER, {0}}, 1, &p);
    data_picture(&w.image, SIDE, SIDE, 3, false);
    augment(&still, 1, &w, out);
    assert_memory_equal(out, plain, sizeof out);
    /* brightness alone: v times a factor from 0.5 to 1.5, truncated; draw 2 after two for the order
     */
    const CnndataChain c = chain_of(&(CnndataOp){CNNDATA_COLOR_JITTER, {0.5}}, 1, &p);
    float least = 2, most = 0;
    for (uint64_t key = 0; key < 300; key++) {
        float f = 0.5f + rng_uniform(rng_mix(key, 0), 2);
        data_picture(&w.image, SIDE, SIDE, 3, false);
        memset(w.image.pixels, 120, N);
        augment(&c, key, &w, out);
        assert_true(out[0] == norm(&p, 0, (int)(120 * f)));
        least = f < least ? f : least;
        most = f > most ? f : most;
    }
    assert_true(least < 0.52f && most > 1.48f);
    /* all three, in all orders: grey stays grey */
    const CnndataChain all = chain_of(&(CnndataOp){CNNDATA_COLOR_JITTER, {0.4, 0.4, 0.4}}, 1, &p);
    for (uint64_t key = 0; key < 100; key++) {
        data_picture(&w.image, SIDE, SIDE, 3, false);
        memset(w.image.pixels, 90, N);
        augment(&all, key, &w, out);
        float red = out[0] * 0.5f + 0.25f, blue = out[N - 1] * 2 + 0.125f;
        assert_true(fabsf(red - blue) < 1e-5f);
    }
    cnndata_work_free(&w);
}

static void test_erase(void **state)
{
    (void)state;
    enum { SIDE = 16, PLANE = SIDE * SIDE, KEYS = 2000 };
    const CnndataPrep p = prep_of(3, SIDE);
    const CnndataChain c = chain_of(&(CnndataOp){CNNDATA_ERASE, {0.3}}, 1, &p);
    CnndataWork w = {0};
    float out[3 * PLANE];
    int erased = 0, tallest = 0, widest = 0;
    for (uint64_t key = 0; key < KEYS; key++) {
        data_picture(&w.image, SIDE, SIDE, 3, false);
        memset(w.image.pixels, 200, 3 * PLANE);
        augment(&c, key, &w, out);
        int x0 = SIDE, x1 = 0, y0 = SIDE, y1 = 0, zeros = 0;
        for (int i = 0; i < PLANE; i++) {
            assert_true((out[i] == 0) == (out[PLANE + i] == 0));
            assert_true((out[i] == 0) == (out[2 * PLANE + i] == 0));
            assert_true(out[i] == 0 || out[i] == norm(&p, 0, 200));
            if (out[i] != 0)
                continue;
            zeros++;
            x0 = i % SIDE < x0 ? i % SIDE : x0;
            x1 = i % SIDE >= x1 ? i % SIDE + 1 : x1;
            y0 = i / SIDE < y0 ? i / SIDE : y0;
            y1 = i / SIDE >= y1 ? i / SIDE + 1 : y1;
        }
        if (zeros == 0)
            continue;
        erased++;
        assert_int_equal(zeros, (x1 - x0) * (y1 - y0)); /* a rectangle */
        assert_in_range(zeros, 2, PLANE / 3 + SIDE);
        tallest = y1 - y0 > tallest ? y1 - y0 : tallest;
        widest = x1 - x0 > widest ? x1 - x0 : widest;
    }
    assert_int_equal(tallest, SIDE - 1);
    assert_int_equal(widest, SIDE - 1);
    assert_in_range(erased, KEYS * 3 / 10 - 110, KEYS * 3 / 10 + 110);
    cnndata_work_free(&w);
}

/* ---- Batches ---- */

static void test_beta(void **state)
{
    (void)state;
    static const double alphas[] = {0.2, 1, 5};
    enum { N = 20000 };
    for (int k = 0; k < 3; k++) {
        const double a = alphas[k], variance = 1 / (4 * (2 * a + 1));
        double sum = 0, squares = 0;
        CnndataDraw d = {rng_key("beta", (uint64_t)k), 0};
        for (int i = 0; i < N; i++) {
            double v = cnndata_beta(&d, a);
            assert_true(v >= 0 && v <= 1);
            sum += v;
            squares += (v - 0.5) * (v - 0.5);
        }
        assert_true(fabs(sum / N - 0.5) < 5 * sqrt(variance / N));
        assert_true(fabs(squares / N - variance) < 0.03 * variance);
    }
    CnndataDraw d = {1, 0};
    for (int i = 0; i < 100; i++) { /* both gammas underflow */
        double v = cnndata_beta(&d, 1e-6);
        assert_true(v >= 0 && v <= 1);
    }
}

enum { MIX_N = 5, MIX_SIDE = 6, MIX_EACH = 3 * MIX_SIDE * MIX_SIDE, MIX_CLASSES = 4 };

typedef struct Mixed {
    float images[MIX_N * MIX_EACH], targets[MIX_N * MIX_CLASSES];
} Mixed;

/* Image i is full of i + 1, its class is i mod 4; 0 and 4 have the same. */
static Mixed mixed(const CnndataChain *c, uint64_t key)
{
    Mixed m = {{0}, {0}};
    for (int i = 0; i < MIX_N * MIX_EACH; i++)
        m.images[i] = (float)(i / MIX_EACH + 1);
    for (int i = 0; i < MIX_N; i++)
        m.targets[i * MIX_CLASSES + i % MIX_CLASSES] = 1;
    cnndata_mix(c, key, MIX_N, MIX_CLASSES, m.images, m.targets);
    for (int i = 0; i < MIX_N; i++) {
        float sum = 0;
        for (int k = 0; k < MIX_CLASSES; k++)
            sum += m.targets[i * MIX_CLASSES + k];
        assert_true(fabsf(sum - 1) < 1e-6f);
    }
    return m;
}

/* Image 1 (of 2) is mixed with image 3 (of 4): lam of its own class is left. */
static bool is_mixup(const Mixed *m)
{
    const float lam = m->targets[MIX_CLASSES + 1];
    for (int i = 0; i < MIX_EACH; i++)
        if (fabsf(m->images[MIX_EACH + i] - (2 * lam + 4 * (1 - lam))) > 1e-5f)
            return false;
    assert_true(fabsf(m->targets[MIX_CLASSES + 3] - (1 - lam)) < 1e-6f);
    assert_true(fabsf(m->images[3 * MIX_EACH] - (4 * lam + 2 * (1 - lam))) < 1e-5f);
    assert_true(fabsf(m->images[2 * MIX_EACH] - 3) < 1e-6f); /* with itself */
    return true;
}

static bool is_cutmix(const Mixed *m)
{
    const float lam = m->targets[MIX_CLASSES + 1];
    int own = 0;
    for (int i = 0; i < MIX_EACH; i++) {
        const float v = m->images[MIX_EACH + i];
        if (v != 2 && v != 4)
            return false;
        own += v == 2;
        assert_true(m->images[3 * MIX_EACH + i] == 6 - v); /* the same box, exchanged */
        assert_true(v == m->images[MIX_EACH + i % (MIX_SIDE * MIX_SIDE)]); /* in all channels */
    }
    assert_true(fabsf((float)own / MIX_EACH - lam) < 1e-6f);
    return true;
}

static void test_mix(void **state)
{
    (void)state;
    const CnndataPrep p = prep_of(3, MIX_SIDE);
    const CnndataOp ops[] = {{CNNDATA_MIXUP, {0.8}}, {CNNDATA_CUTMIX, {1}}};
    enum { KEYS = 600 };
    int cut = 0;
    double mean = 0;
    for (uint64_t key = 0; key < KEYS; key++) {
        CnndataChain c = chain_of(&ops[0], 1, &p);
        Mixed m = mixed(&c, key);
        assert_true(is_mixup(&m));
        mean += (double)m.targets[MIX_CLASSES + 1] / KEYS;
        c = chain_of(&ops[1], 1, &p);
        m = mixed(&c, key);
        assert_true(is_cutmix(&m));
        c = chain_of(ops, 2, &p);
        m = mixed(&c, key);
        bool uses_cut = is_cutmix(&m);
        assert_true(uses_cut || is_mixup(&m));
        cut += uses_cut;
    }
    assert_true(fabs(mean - 0.5) < 0.07);
    assert_in_range(cut, KEYS / 2 - 65, KEYS / 2 + 65);
    CnndataChain none = chain_of(NULL, 0, &p);
    Mixed m = mixed(&none, 1);
    assert_true(m.images[MIX_EACH] == 2 && m.targets[MIX_CLASSES + 1] == 1);
}

static void test_shuffle(void **state)
{
    (void)state;
    enum { N = 1000, SMALL = 5, RUNS = 5000 };
    static int64_t order[N], other[N];
    bool seen[N] = {false};
    int first[SMALL] = {0}, same = 0;
    cnndata_shuffle(order, N, 1, 0);
    cnndata_shuffle(other, N, 1, 1);
    for (int i = 0; i < N; i++) {
        assert_in_range(order[i], 0, N - 1);
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
        same += order[i] == other[i];
    }
    assert_true(same < 10);
    for (int e = 0; e < RUNS; e++) { /* every sample comes first equally often */
        cnndata_shuffle(order, SMALL, 2, e);
        first[order[0]]++;
    }
    for (int i = 0; i < SMALL; i++)
        assert_in_range(first[i], RUNS / SMALL - 150, RUNS / SMALL + 150);
}

/* ---- Settings ---- */

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        CnndataOp op;
        const char *message;
    } cases[] = {
        {{CNNDATA_RANDOM_CROP, {28, 4}}, "random_crop of size 28 does not give the 32x32"},
        {{CNNDATA_RANDOM_RESIZED_CROP, {NAN}}, "random_resized_crop needs its argument 'size'"},
        {{CNNDATA_RANDOM_RESIZED_CROP, {32, 0}}, "scale_min is 0 and must be a number from 1e-06"},
        {{CNNDATA_RANDOM_CROP, {32, 1.5}}, "pad is 1.5 and must be a whole number"},
        {{CNNDATA_HFLIP, {1.5}}, "hflip: p is 1.5"},
        {{CNNDATA_RAND_AUGMENT, {11, 0.5, 2, 0.5}}, "magnitude is 11"},
        {{CNNDATA_RAND_AUGMENT, {9, 10.5, 2, 0.5}}, "std is 10.5"},
        {{CNNDATA_RAND_AUGMENT, {9, 0.5, 0, 0.5}}, "ops is 0"},
        {{CNNDATA_RAND_AUGMENT, {9, 0.5, 2, 1.5}}, "p is 1.5"},
        {{CNNDATA_AUTO_AUGMENT, {2}}, "policy is 2"},
        {{CNNDATA_MIXUP, {0}}, "alpha is 0"},
        {{CNNDATA_CUTMIX, {-1}}, "alpha is -1"},
        {{99, {0}}, "no operation 99"},
        {{-1, {0}}, "no operation -1"},
    };
    const CnndataPrep p = prep_of(3, 32);
    CnndataChain c;
    char error[CNNDATA_ERROR_MAX];
    const CnndataError e = {error, sizeof error};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(cnndata_chain_make(&c, &cases[i].op, 1, &p, e), CNNDATA_BAD_ARGUMENT);
        if (strstr(error, cases[i].message) == NULL)
            fail_msg("'%s' lacks '%s'", error, cases[i].message);
    }
    const CnndataOp twice[] = {{CNNDATA_MIXUP, {1}}, {CNNDATA_MIXUP, {1}}};
    assert_int_equal(cnndata_chain_make(&c, twice, 2, &p, e), CNNDATA_BAD_ARGUMENT);
    assert_non_null(strstr(error, "twice"));
    /* not given: the usual value */
    const CnndataOp usual = {CNNDATA_RANDOM_RESIZED_CROP, {32, NAN, NAN, NAN}};
    assert_int_equal(cnndata_chain_make(&c, &usual, 1, &p, e), CNNDATA_OK);
    assert_true(c.op[0].arg[1] == 0.08);
}

/* What a network's `augment` may say is what there is. */
static void test_names(void **state)
{
    (void)state;
    static const char *const said[] = {
#define CALL(KIND, ID, NAME, DOC) #KIND, NAME,
#define ARG(KIND, NAME, TYPE, DEFAULT, RANGE) "-", #NAME,
#include "sema/section.def"
        NULL, NULL};
    const CnndataOpInfo *op = NULL;
    int found = 0, arg = 0;
    for (int i = 0; said[i] != NULL; i += 2) {
        if (strcmp(said[i], "AUGMENT") == 0) {
            op = cnndata_op_info(cnndata_op_find(said[i + 1]));
            assert_non_null(op);
            found++;
            arg = 0;
        } else if (strcmp(said[i], "-") != 0) {
            op = NULL;
        } else if (op != NULL) {
            assert_true(arg < op->arg_count);
            assert_string_equal(op->arg[arg++].name, said[i + 1]);
        }
    }
    assert_int_equal(found, CNNDATA_OP_KINDS);
    assert_int_equal(cnndata_op_find("flip"), -1);
    assert_null(cnndata_op_info(CNNDATA_OP_KINDS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_pillow),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_rand_augment_p),
        cmocka_unit_test(test_rand_augment_std),
        cmocka_unit_test(test_normalise),
        cmocka_unit_test(test_channels_and_size),
        cmocka_unit_test(test_hflip),
        cmocka_unit_test(test_random_crop),
        cmocka_unit_test(test_random_resized_crop),
        cmocka_unit_test(test_color_jitter),
        cmocka_unit_test(test_erase),
        cmocka_unit_test(test_beta),
        cmocka_unit_test(test_mix),
        cmocka_unit_test(test_shuffle),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
