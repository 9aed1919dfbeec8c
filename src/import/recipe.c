/* Values made from a seed (docs/random.md), one tensor at a time. */
#include "import/weights.h"
#include "rng.h"
#include <math.h>
#include <stdlib.h>

/* Two standard normal values from two uniforms (Box and Muller 1958). */
static void normal_pair(uint64_t key, uint64_t pair, double z[2])
{
    double u = 1.0 - (double)rng_uniform(key, 2 * pair);
    double angle = 6.283185307179586 * (double)rng_uniform(key, 2 * pair + 1);
    double radius = sqrt(-2.0 * log(u));
    z[0] = radius * cos(angle);
    z[1] = radius * sin(angle);
}

static void fill_normal(const WeightRecipe *r, double most, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i += 2) {
        double z[2];
        normal_pair(r->key, (uint64_t)i / 2, z);
        for (int64_t k = i; k < i + 2 && k < count; k++)
            out[k] = (float)(r->scale * fmin(fmax(z[k - i], -most), most));
    }
}

void weights_fill(const WeightRecipe *r, int64_t count, float *out)
{
    switch (r->kind) {
    case RECIPE_CONSTANT:
        for (int64_t i = 0; i < count; i++)
            out[i] = (float)r->shift;
        break;
    case RECIPE_NORMAL: fill_normal(r, HUGE_VAL, count, out); break;
    case RECIPE_NORMAL_CUT: fill_normal(r, 2, count, out); break;
    case RECIPE_CENTRED:
        for (int64_t i = 0; i < count; i++)
            out[i] = (float)((2 * (double)rng_uniform(r->key, (uint64_t)i) - 1) * r->scale);
        break;
    case RECIPE_UNIFORM:
        for (int64_t i = 0; i < count; i++)
            out[i] = (float)(r->shift + (double)rng_uniform(r->key, (uint64_t)i));
        break;
    }
}

const float *weights_take(const WeightTensor *t)
{
    if (t->recipe == NULL)
        return t->data;
    float *out = malloc(t->count > 0 ? (size_t)t->count * sizeof *out : 1);
    if (out != NULL)
        weights_fill(t->recipe, t->count, out);
    return out;
}

void weights_give_back(const WeightTensor *t, const float *data)
{
    if (t->recipe != NULL)
        free((void *)(uintptr_t)data);
}
