/* Gradients of operators that work element by element, channel by channel or position by position.
 * Written from the formulas, not by differentiating expressions, which they check. */
#include "ref/ref_ops.h"
#include <math.h>
#include <string.h>

static double d_sigmoid(double x)
{
    double s = 1 / (1 + exp(-x));
    return s * (1 - s);
}

static double d_silu(double x)
{
    double s = 1 / (1 + exp(-x));
    return s * (1 + x * (1 - s));
}

static double d_gelu(double x)
{
    double pdf = exp(-0.5 * x * x) * (M_2_SQRTPI * M_SQRT1_2 / 2);
    return 0.5 * erfc(-x * M_SQRT1_2) + x * pdf;
}

/* At a kink: the derivative that PyTorch takes there. */
static double derivative(const RefCall *c, double x)
{
    switch (graph_node(c->g, c->owner)->op) {
    case OP_RELU: return x > 0;
    case OP_RELU6: return x > 0 && x < 6;
    case OP_LEAKY: return x > 0 ? 1 : ref_owner_attr(c, AT_LEAKY_slope)->r;
    case OP_SILU: return d_silu(x);
    case OP_HSWISH: return x <= -3 ? 0 : x < 3 ? (2 * x + 3) / 6 : 1;
    case OP_HSIGMOID: return x > -3 && x < 3 ? 1.0 / 6 : 0;
    case OP_GELU: return d_gelu(x);
    case OP_SIGMOID: return d_sigmoid(x);
    case OP_TANH: return 1 - tanh(x) * tanh(x);
    default: return NAN;
    }
}

void ref_ELEM_GRAD(const RefCall *c)
{
    int64_t count = c->batch * shape_count(c->out->shape);
    for (int64_t i = 0; i < count; i++)
        c->out->data[i] = c->in[0].data[i] * derivative(c, c->in[1].data[i]);
}

void ref_LAYER_SCALE_DX(const RefCall *c)
{
    Shape s = c->out->shape;
    for (int64_t i = 0; i < c->batch * s.c; i++)
        for (int64_t k = i * s.h * s.w; k < (i + 1) * s.h * s.w; k++)
            c->out->data[k] = c->in[0].data[k] * c->param[0][i % s.c];
}

/* Ioffe & Szegedy 2015, section 3. Inputs: dy, x, mean, variance, sum of dy, sum of dy * xhat. */
void ref_BN_DX(const RefCall *c)
{
    Shape s = c->out->shape;
    double eps = ref_owner_attr(c, AT_BN_APPLY_eps)->r;
    double count = (double)(c->batch * s.h * s.w);
    bool scale = ref_owner_attr(c, AT_BN_APPLY_scale)->i != 0;
    for (int64_t n = 0; n < c->batch; n++)
        for (int64_t ch = 0; ch < s.c; ch++) {
            double mean = c->in[2].data[ch], r = 1 / sqrt(c->in[3].data[ch] + eps);
            double shift = c->in[4].data[ch], factor = c->in[5].data[ch];
            double weight = scale ? c->param[0][ch] : 1;
            const double *dy = ref_plane(&c->in[0], n, ch), *x = ref_plane(&c->in[1], n, ch);
            double *to = ref_plane(c->out, n, ch);
            for (int64_t i = 0; i < s.h * s.w; i++)
                to[i] = weight * r * (dy[i] - shift / count - (x[i] - mean) * r * factor / count);
        }
}

void ref_BN_DSCALE(const RefCall *c)
{
    Shape s = c->in[0].shape;
    double eps = ref_owner_attr(c, AT_BN_APPLY_eps)->r;
    for (int64_t ch = 0; ch < s.c; ch++) {
        double sum = 0;
        for (int64_t n = 0; n < c->batch; n++)
            for (int64_t i = 0; i < s.h * s.w; i++)
                sum += ref_plane(&c->in[0], n, ch)[i] *
                       (ref_plane(&c->in[1], n, ch)[i] - c->in[2].data[ch]);
        c->out->data[ch] = sum / sqrt(c->in[3].data[ch] + eps);
    }
}

/* Calls body for every position of every image; channels are `stride` values apart. */
typedef struct Column {
    const double *dy, *x;
    double *out;
    int64_t channels, stride;
} Column;

static void each_column(const RefCall *c, void (*body)(const RefCall *c, const Column *at))
{
    Shape s = c->in[0].shape;
    bool reduced = (op_info[graph_node(c->g, c->n)->op].flags & OPF_REDUCED) != 0;
    for (int64_t n = 0; n < c->batch; n++)
        for (int64_t i = 0; i < s.h * s.w; i++) {
            Column at = {ref_plane(&c->in[0], n, 0) + i, ref_plane(&c->in[1], n, 0) + i,
                         reduced ? c->out->data : ref_plane(c->out, n, 0) + i, s.c, s.h * s.w};
            body(c, &at);
        }
}

typedef struct Moments {
    double mean, r;
} Moments;

static Moments moments_of(const RefCall *c, const Column *at)
{
    double mean = 0, var = 0;
    for (int64_t i = 0; i < at->channels; i++)
        mean += at->x[i * at->stride] / (double)at->channels;
    for (int64_t i = 0; i < at->channels; i++)
        var += pow(at->x[i * at->stride] - mean, 2) / (double)at->channels;
    return (Moments){mean, 1 / sqrt(var + ref_owner_attr(c, AT_LN_eps)->r)};
}

static void ln_dx(const RefCall *c, const Column *at)
{
    Moments m = moments_of(c, at);
    double sum = 0, dot = 0, count = (double)at->channels;
    for (int64_t i = 0; i < at->channels; i++) {
        double g = at->dy[i * at->stride] * c->param[0][i];
        sum += g / count;
        dot += g * (at->x[i * at->stride] - m.mean) * m.r / count;
    }
    for (int64_t i = 0; i < at->channels; i++) {
        double g = at->dy[i * at->stride] * c->param[0][i];
        double xhat = (at->x[i * at->stride] - m.mean) * m.r;
        at->out[i * at->stride] = m.r * (g - sum - xhat * dot);
    }
}

void ref_LN_DX(const RefCall *c)
{
    each_column(c, ln_dx);
}

static void ln_dw(const RefCall *c, const Column *at)
{
    Moments m = moments_of(c, at);
    for (int64_t i = 0; i < at->channels; i++)
        at->out[i] += at->dy[i * at->stride] * (at->x[i * at->stride] - m.mean) * m.r;
}

void ref_LN_DW(const RefCall *c)
{
    memset(c->out->data, 0, (size_t)c->out->shape.c * sizeof *c->out->data);
    each_column(c, ln_dw);
}

/* y_c = x_c B_c^-beta with B_c = k + alpha / size * sum of squares around c: x_j stands in its own
 * numerator and in the B of every channel whose window holds it. */
static void lrn_dx(const RefCall *c, const Column *at)
{
    int64_t size = ref_owner_attr(c, AT_LRN_size)->i, n = at->channels;
    double a = ref_owner_attr(c, AT_LRN_alpha)->r / (double)size;
    double beta = ref_owner_attr(c, AT_LRN_beta)->r, k = ref_owner_attr(c, AT_LRN_k)->r;
    for (int64_t j = 0; j < n; j++)
        at->out[j * at->stride] = 0;
    for (int64_t ch = 0; ch < n; ch++) {
        int64_t lo = ch - size / 2 > 0 ? ch - size / 2 : 0;
        int64_t hi = ch + (size - 1) / 2 < n - 1 ? ch + (size - 1) / 2 : n - 1;
        double base = k, x = at->x[ch * at->stride], dy = at->dy[ch * at->stride];
        for (int64_t i = lo; i <= hi; i++)
            base += a * at->x[i * at->stride] * at->x[i * at->stride];
        at->out[ch * at->stride] += dy * pow(base, -beta);
        for (int64_t i = lo; i <= hi; i++)
            at->out[i * at->stride] -=
                2 * a * beta * at->x[i * at->stride] * dy * x * pow(base, -beta - 1);
    }
}

void ref_LRN_DX(const RefCall *c)
{
    each_column(c, lrn_dx);
}

/* The second input is the softmax itself. */
static void softmax_dx(const RefCall *c, const Column *at)
{
    double dot = 0;
    (void)c;
    for (int64_t i = 0; i < at->channels; i++)
        dot += at->dy[i * at->stride] * at->x[i * at->stride];
    for (int64_t i = 0; i < at->channels; i++)
        at->out[i * at->stride] = at->x[i * at->stride] * (at->dy[i * at->stride] - dot);
}

void ref_SOFTMAX_DX(const RefCall *c)
{
    each_column(c, softmax_dx);
}
