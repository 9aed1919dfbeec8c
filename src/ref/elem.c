/* Operators that work element by element. Written so that NaN stays NaN, as in PyTorch. */
#include "ref/ref_ops.h"
#include <math.h>

static double clamp(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

static double relu(double x)
{
    return x < 0 ? 0 : x;
}

static double relu6(double x)
{
    return clamp(x, 0, 6);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Also called swish. */
static double silu(double x)
{
    return x * sigmoid(x);
}

/* Howard et al. 2019 (MobileNetV3), section 5.2: the sigmoid of silu made of straight lines. */
static double hsigmoid(double x)
{
    return clamp(x + 3, 0, 6) / 6;
}

static double hswish(double x)
{
    return x * hsigmoid(x);
}

/* Hendrycks & Gimpel 2016: x times the normal distribution function; the exact form, not the
 * approximation with tanh. erfc keeps its digits where the result is small. */
static double gelu(double x)
{
    return x * 0.5 * erfc(-x * M_SQRT1_2);
}

static void each(const RefCall *c, double (*f)(double))
{
    int64_t count = c->batch * shape_count(c->out->shape);
    for (int64_t i = 0; i < count; i++)
        c->out->data[i] = f(c->in[0].data[i]);
}

void ref_RELU(const RefCall *c)
{
    each(c, relu);
}

void ref_RELU6(const RefCall *c)
{
    each(c, relu6);
}

void ref_SILU(const RefCall *c)
{
    each(c, silu);
}

void ref_HSWISH(const RefCall *c)
{
    each(c, hswish);
}

void ref_HSIGMOID(const RefCall *c)
{
    each(c, hsigmoid);
}

void ref_GELU(const RefCall *c)
{
    each(c, gelu);
}

void ref_SIGMOID(const RefCall *c)
{
    each(c, sigmoid);
}

void ref_TANH(const RefCall *c)
{
    each(c, tanh);
}

void ref_LEAKY(const RefCall *c)
{
    double slope = ref_attr(c, AT_LEAKY_slope)->r;
    int64_t count = c->batch * shape_count(c->out->shape);
    for (int64_t i = 0; i < count; i++) {
        double x = c->in[0].data[i];
        c->out->data[i] = x > 0 ? x : slope * x;
    }
}

void ref_SCALE(const RefCall *c)
{
    double by = ref_attr(c, AT_SCALE_by)->r;
    int64_t count = c->batch * shape_count(c->out->shape);
    for (int64_t i = 0; i < count; i++)
        c->out->data[i] = c->in[0].data[i] * by;
}

/* Touvron et al. 2021 (CaiT), eq. 4: a trained factor per channel. */
void ref_LAYER_SCALE(const RefCall *c)
{
    int64_t channels = c->out->shape.c, plane = c->out->shape.h * c->out->shape.w;
    for (int64_t i = 0; i < c->batch * channels; i++)
        for (int64_t k = 0; k < plane; k++)
            c->out->data[i * plane + k] = c->in[0].data[i * plane + k] * c->param[0][i % channels];
}

/* Operands are joined in order. A 1x1 map has one value per channel, the same for all positions. */
static void join(const RefCall *c, bool product)
{
    int64_t planes = c->batch * c->out->shape.c, plane = c->out->shape.h * c->out->shape.w;
    for (int64_t i = 0; i < planes; i++)
        for (int64_t k = 0; k < plane; k++) {
            double v = product ? 1 : 0;
            for (uint32_t j = 0; j < c->nin; j++) {
                int64_t own = c->in[j].shape.h * c->in[j].shape.w;
                double x = c->in[j].data[i * own + (own == 1 ? 0 : k)];
                v = product ? v * x : v + x;
            }
            c->out->data[i * plane + k] = v;
        }
}

void ref_ADD(const RefCall *c)
{
    join(c, false);
}

void ref_MUL(const RefCall *c)
{
    join(c, true);
}
