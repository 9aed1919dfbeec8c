/* Normalisation, and softmax, which normalises too. */
#include "ref/ref_ops.h"
#include <math.h>

/* Inference: y = (x - mean) / sqrt(var + eps) * weight + bias with the trained statistics
 * (Ioffe & Szegedy 2015, algorithm 2). The epsilon stands under the root. Without `scale` there is
 * no weight. */
void ref_BN(const RefCall *c)
{
    Shape s = c->out->shape;
    bool scale = ref_attr(c, AT_BN_scale)->i != 0;
    double eps = ref_attr(c, AT_BN_eps)->r;
    const float *const *p = c->param;
    const float *weight = scale ? *p++ : NULL, *bias = p[0], *mean = p[1], *var = p[2];
    for (int64_t n = 0; n < c->batch; n++)
        for (int64_t ch = 0; ch < s.c; ch++) {
            double factor = (weight ? weight[ch] : 1.0) / sqrt(var[ch] + eps);
            const double *from = ref_plane(c->in, n, ch);
            double *to = ref_plane(c->out, n, ch);
            for (int64_t i = 0; i < s.h * s.w; i++)
                to[i] = (from[i] - mean[ch]) * factor + bias[ch];
        }
}

/* Calls body once per position of every image; its channels are `stride` values apart. */
typedef void Column(const RefCall *c, const double *in, double *out, int64_t stride);

static void each_column(const RefCall *c, Column *body)
{
    Shape s = c->out->shape;
    for (int64_t n = 0; n < c->batch; n++)
        for (int64_t i = 0; i < s.h * s.w; i++)
            body(c, ref_plane(c->in, n, 0) + i, ref_plane(c->out, n, 0) + i, s.h * s.w);
}

/* Over the channels of one position, with the biased variance (Ba et al. 2016, eq. 3; the channel
 * form of ConvNeXt). */
static void ln_column(const RefCall *c, const double *in, double *out, int64_t stride)
{
    int64_t channels = c->out->shape.c;
    double mean = 0, var = 0;
    for (int64_t ch = 0; ch < channels; ch++)
        mean += in[ch * stride];
    mean /= (double)channels;
    for (int64_t ch = 0; ch < channels; ch++)
        var += (in[ch * stride] - mean) * (in[ch * stride] - mean);
    var /= (double)channels;
    double factor = 1 / sqrt(var + ref_attr(c, AT_LN_eps)->r);
    for (int64_t ch = 0; ch < channels; ch++)
        out[ch * stride] = (in[ch * stride] - mean) * factor * c->param[0][ch] + c->param[1][ch];
}

void ref_LN(const RefCall *c)
{
    each_column(c, ln_column);
}

/* y = x / (k + alpha / size * sum of squares)^beta over `size` neighbouring channels, from
 * c - size / 2 to c + (size - 1) / 2. As in PyTorch, ONNX and Caffe alpha is divided by the size,
 * which the formula of Krizhevsky et al. (2012, section 3.3) does not do. */
static void lrn_column(const RefCall *c, const double *in, double *out, int64_t stride)
{
    int64_t channels = c->out->shape.c, size = ref_attr(c, AT_LRN_size)->i;
    double alpha = ref_attr(c, AT_LRN_alpha)->r, beta = ref_attr(c, AT_LRN_beta)->r;
    for (int64_t ch = 0; ch < channels; ch++) {
        double sum = 0;
        int64_t last = ch + (size - 1) / 2;
        for (int64_t i = ch - size / 2; i <= last; i++)
            if (i >= 0 && i < channels)
                sum += in[i * stride] * in[i * stride];
        double base = ref_attr(c, AT_LRN_k)->r + alpha / (double)size * sum;
        out[ch * stride] = in[ch * stride] / pow(base, beta);
    }
}

void ref_LRN(const RefCall *c)
{
    each_column(c, lrn_column);
}

/* exp(x - max) / sum: the largest value is taken off so that nothing overflows. */
static void softmax_column(const RefCall *c, const double *in, double *out, int64_t stride)
{
    int64_t channels = c->out->shape.c;
    double max = in[0], sum = 0;
    for (int64_t ch = 1; ch < channels; ch++)
        max = in[ch * stride] > max ? in[ch * stride] : max;
    for (int64_t ch = 0; ch < channels; ch++)
        sum += out[ch * stride] = exp(in[ch * stride] - max);
    for (int64_t ch = 0; ch < channels; ch++)
        out[ch * stride] /= sum;
}

void ref_SOFTMAX(const RefCall *c)
{
    each_column(c, softmax_column);
}
