/* What concerns many samples: their order, and mixing within a batch. */
#include "augment.h"
#include <math.h>
#include <stddef.h>

uint64_t cnndata_sample_key(uint64_t seed, int64_t epoch, int64_t index)
{
    return rng_mix(rng_mix(rng_key("augment", seed), (uint64_t)epoch), (uint64_t)index);
}

uint64_t cnndata_batch_key(uint64_t seed, int64_t epoch, int64_t number)
{
    return rng_mix(rng_mix(rng_key("mix", seed), (uint64_t)epoch), (uint64_t)number);
}

void cnndata_shuffle(int64_t *order, int64_t n, uint64_t seed, int64_t epoch)
{
    CnndataDraw d = {rng_mix(rng_key("order", seed), (uint64_t)epoch), 0};
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = draw_below(&d, i + 1), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
}

/* The logarithm of a gamma variable of shape a (Marsaglia & Tsang 2000); shapes below 1 through
 * a + 1 and a power of a uniform, as they say. Logarithms because small shapes underflow. */
static double draw_log_gamma(CnndataDraw *d, double a)
{
    double power = 0;
    if (a < 1) {
        power = log(1.0 - draw_unit(d)) / a;
        a += 1;
    }
    const double k = a - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * k);
    for (;;) {
        double x = draw_normal(d), v = 1.0 + c * x;
        double u = 1.0 - draw_unit(d);
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(u) < 0.5 * x * x + k - k * v + k * log(v))
            return log(k) + log(v) + power;
    }
}

double cnndata_beta(CnndataDraw *d, double alpha)
{
    double a = draw_log_gamma(d, alpha), b = draw_log_gamma(d, alpha);
    return 1.0 / (1.0 + exp(b - a));
}

/* a and b, b and a; the same array in the middle of an odd batch. */
static void sums(float *a, float *b, int64_t n, float lam)
{
    for (int64_t i = 0; i < n; i++) {
        float x = a[i], y = b[i];
        a[i] = x * lam + y * (1.0f - lam);
        b[i] = y * lam + x * (1.0f - lam);
    }
}

static int64_t clipped(int64_t v, int64_t n)
{
    return v < 0 ? 0 : v > n ? n : v;
}

typedef struct Box {
    int64_t y0, y1, x0, x1;
} Box;

/* A box of area 1 - lam about a centre drawn from the image, and the lam of what is left of it. */
static Box draw_box(CnndataDraw *d, const CnndataPrep *p, double *lam)
{
    const double ratio = sqrt(1.0 - *lam);
    const int64_t h = (int64_t)((double)p->h * ratio), w = (int64_t)((double)p->w * ratio);
    const int64_t cy = draw_below(d, p->h), cx = draw_below(d, p->w);
    const Box b = {clipped(cy - h / 2, p->h), clipped(cy + (h + 1) / 2, p->h),
                   clipped(cx - w / 2, p->w), clipped(cx + (w + 1) / 2, p->w)};
    *lam = 1.0 - (double)((b.y1 - b.y0) * (b.x1 - b.x0)) / ((double)p->h * (double)p->w);
    return b;
}

static void exchange(const CnndataPrep *p, Box box, float *a, float *b)
{
    for (int64_t c = 0; c < p->c; c++)
        for (int64_t y = box.y0; y < box.y1; y++)
            for (int64_t x = box.x0; x < box.x1; x++) {
                int64_t i = (c * p->h + y) * p->w + x;
                float t = a[i];
                a[i] = b[i];
                b[i] = t;
            }
}

void cnndata_mix(const CnndataChain *c, uint64_t key, int64_t n, int64_t classes, float *images,
                 float *targets)
{
    const CnndataPrep *p = &c->prep;
    const int64_t each = p->c * p->h * p->w;
    CnndataDraw d = {key, 0};
    if (c->mixup == 0 && c->cutmix == 0)
        return;
    bool cut = c->mixup == 0;
    if (c->mixup != 0 && c->cutmix != 0)
        cut = draw_unit(&d) < 0.5;
    double lam = cnndata_beta(&d, cut ? c->cutmix : c->mixup);
    Box box = {0};
    if (cut)
        box = draw_box(&d, p, &lam);
    for (int64_t i = 0, j = n - 1; i <= j; i++, j--) {
        if (cut && i < j)
            exchange(p, box, images + i * each, images + j * each);
        else if (!cut)
            sums(images + i * each, images + j * each, each, (float)lam);
        sums(targets + i * classes, targets + j * classes, classes, (float)lam);
    }
}
