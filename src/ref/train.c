/* What training adds to the forward pass: statistics of the batch, masks, losses. */
#include "ref/ref_ops.h"
#include "rng.h"
#include <math.h>

/* The sum over images and positions of f(element of plane) for one channel. */
static double channel_sum(const RefCall *c, int64_t ch, const RefTensor *other)
{
    Shape s = c->in[0].shape;
    double sum = 0;
    for (int64_t n = 0; n < c->batch; n++) {
        const double *x = ref_plane(&c->in[0], n, ch);
        const double *y = other != NULL ? ref_plane(other, n, ch) : NULL;
        for (int64_t i = 0; i < s.h * s.w; i++)
            sum += y != NULL ? x[i] * y[i] : x[i];
    }
    return sum;
}

static double channel_count(const RefCall *c)
{
    return (double)(c->batch * c->in[0].shape.h * c->in[0].shape.w);
}

void ref_CHANNEL_MEAN(const RefCall *c)
{
    for (int64_t ch = 0; ch < c->out->shape.c; ch++)
        c->out->data[ch] = channel_sum(c, ch, NULL) / channel_count(c);
}

void ref_CHANNEL_VAR(const RefCall *c)
{
    Shape s = c->in[0].shape;
    for (int64_t ch = 0; ch < s.c; ch++) {
        double sum = 0, mean = c->in[1].data[ch];
        for (int64_t n = 0; n < c->batch; n++)
            for (int64_t i = 0; i < s.h * s.w; i++)
                sum += pow(ref_plane(&c->in[0], n, ch)[i] - mean, 2);
        c->out->data[ch] = sum / channel_count(c);
    }
}

void ref_CHANNEL_SUM(const RefCall *c)
{
    for (int64_t ch = 0; ch < c->out->shape.c; ch++)
        c->out->data[ch] = channel_sum(c, ch, NULL);
}

void ref_CHANNEL_DOT(const RefCall *c)
{
    for (int64_t ch = 0; ch < c->out->shape.c; ch++)
        c->out->data[ch] = channel_sum(c, ch, &c->in[1]);
}

/* Ioffe & Szegedy 2015, algorithm 1. */
void ref_BN_APPLY(const RefCall *c)
{
    Shape s = c->out->shape;
    bool scale = ref_attr(c, AT_BN_APPLY_scale)->i != 0;
    double eps = ref_attr(c, AT_BN_APPLY_eps)->r;
    const float *weight = scale ? c->param[0] : NULL, *bias = c->param[scale ? 1 : 0];
    for (int64_t n = 0; n < c->batch; n++)
        for (int64_t ch = 0; ch < s.c; ch++) {
            double mean = c->in[1].data[ch];
            double factor = (weight ? weight[ch] : 1.0) / sqrt(c->in[2].data[ch] + eps);
            const double *from = ref_plane(&c->in[0], n, ch);
            double *to = ref_plane(c->out, n, ch);
            for (int64_t i = 0; i < s.h * s.w; i++)
                to[i] = (from[i] - mean) * factor + bias[ch];
        }
}

/* docs/random.md: one draw per value, or one per image. */
void ref_MASK(const RefCall *c)
{
    double p = ref_attr(c, AT_MASK_p)->r;
    bool per_image = ref_attr(c, AT_MASK_per_image)->i != 0;
    uint64_t key = rng_mix(rng_mix(c->seed, (uint64_t)ref_attr(c, AT_MASK_key)->i), c->step);
    int64_t count = shape_count(c->out->shape);
    for (int64_t n = 0; n < c->batch; n++) {
        uint64_t image = rng_mix(key, (uint64_t)n);
        for (int64_t i = 0; i < count; i++) {
            bool keep = rng_uniform(image, per_image ? 0 : (uint64_t)i) >= (float)p;
            c->out->data[n * count + i] = keep ? c->in[0].data[n * count + i] / (1 - p) : 0;
        }
    }
}

/* The smoothed target of one logit (Szegedy et al. 2016, section 7). */
static double smoothed(const RefCall *c, NodeId loss, double target, double classes)
{
    double s = graph_attr(c->g, loss, AT_LOSS_CE_smoothing)->r;
    return (1 - s) * target + s / classes;
}

static double weight_of(const RefCall *c, NodeId loss)
{
    return graph_attr(c->g, loss, AT_LOSS_CE_weight)->r;
}

/* log of the sum of exp over the channels of a position, which are `stride` values apart. */
static double log_sum(const double *z, int64_t channels, int64_t stride)
{
    double max = z[0], rest = -1; /* the largest gives 1 */
    for (int64_t i = 1; i < channels; i++)
        max = fmax(max, z[i * stride]);
    for (int64_t i = 0; i < channels; i++)
        rest += exp(z[i * stride] - max);
    return max + log1p(rest);
}

void ref_LOSS_CE(const RefCall *c)
{
    Shape s = c->in[0].shape;
    int64_t plane = s.h * s.w;
    for (int64_t n = 0; n < c->batch; n++) {
        double sum = 0;
        for (int64_t p = 0; p < plane; p++) {
            const double *z = ref_plane(&c->in[0], n, 0) + p, *t = ref_plane(&c->in[1], n, 0) + p;
            double log_z = log_sum(z, s.c, plane);
            for (int64_t i = 0; i < s.c; i++)
                sum -= smoothed(c, c->n, t[i * plane], (double)s.c) * (z[i * plane] - log_z);
        }
        c->out->data[n] = weight_of(c, c->n) * sum / (double)plane;
    }
}

void ref_LOSS_CE_DX(const RefCall *c)
{
    Shape s = c->in[0].shape;
    int64_t plane = s.h * s.w;
    double factor = weight_of(c, c->owner) / (double)(c->batch * plane);
    for (int64_t n = 0; n < c->batch; n++)
        for (int64_t p = 0; p < plane; p++) {
            const double *z = ref_plane(&c->in[0], n, 0) + p, *t = ref_plane(&c->in[1], n, 0) + p;
            double log_z = log_sum(z, s.c, plane), all = 0;
            for (int64_t i = 0; i < s.c; i++)
                all += smoothed(c, c->owner, t[i * plane], (double)s.c);
            for (int64_t i = 0; i < s.c; i++)
                (ref_plane(c->out, n, 0) + p)[i * plane] =
                    factor * (all * exp(z[i * plane] - log_z) -
                              smoothed(c, c->owner, t[i * plane], (double)s.c));
        }
}

/* max(z, 0) - z t + log(1 + exp(-|z|)): no overflow for any z. */
void ref_LOSS_BCE(const RefCall *c)
{
    int64_t count = shape_count(c->in[0].shape);
    for (int64_t n = 0; n < c->batch; n++) {
        double sum = 0;
        for (int64_t i = n * count; i < (n + 1) * count; i++) {
            double z = c->in[0].data[i], t = smoothed(c, c->n, c->in[1].data[i], 2);
            sum += fmax(z, 0) - z * t + log1p(exp(-fabs(z)));
        }
        c->out->data[n] = weight_of(c, c->n) * sum / (double)count;
    }
}

void ref_LOSS_BCE_DX(const RefCall *c)
{
    int64_t count = shape_count(c->in[0].shape);
    double factor = weight_of(c, c->owner) / (double)(c->batch * count);
    for (int64_t i = 0; i < c->batch * count; i++)
        c->out->data[i] = factor * (1 / (1 + exp(-c->in[0].data[i])) -
                                    smoothed(c, c->owner, c->in[1].data[i], 2));
}

void ref_LOSS_MSE(const RefCall *c)
{
    int64_t count = shape_count(c->in[0].shape);
    for (int64_t n = 0; n < c->batch; n++) {
        double sum = 0;
        for (int64_t i = n * count; i < (n + 1) * count; i++)
            sum += pow(c->in[0].data[i] - c->in[1].data[i], 2);
        c->out->data[n] = weight_of(c, c->n) * sum / (double)count;
    }
}

void ref_LOSS_MSE_DX(const RefCall *c)
{
    int64_t count = shape_count(c->in[0].shape);
    double factor = 2 * weight_of(c, c->owner) / (double)(c->batch * count);
    for (int64_t i = 0; i < c->batch * count; i++)
        c->out->data[i] = factor * (c->in[0].data[i] - c->in[1].data[i]);
}
