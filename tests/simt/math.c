/* Arithmetic that is an intrinsic or inline assembly. Approximations are computed exactly and
 * rounded once: results of the device differ from these by what its manual allows. */
#include "operation.h"
#include <math.h>
#include <string.h>

static uint32_t bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

float bf16_to_float(uint16_t h)
{
    return from_bits((uint32_t)h << 16);
}

uint16_t float_to_bf16(float f)
{
    uint32_t u = bits(f);
    if ((u & 0x7fffffff) > 0x7f800000)
        return 0x7fff; /* the NaN that cvt gives */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float half_to_float(uint16_t h)
{
    int exponent = h >> 10 & 31;
    uint32_t fraction = h & 1023;
    float f;
    if (exponent == 31)
        f = from_bits(0x7f800000 | fraction << 13);
    else if (exponent)
        f = from_bits((uint32_t)(exponent + 112) << 23 | fraction << 13);
    else
        f = (float)fraction * 0x1p-24f;
    return h >> 15 ? -f : f;
}

uint16_t float_to_half(float f)
{
    uint32_t u = bits(f);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    double a = fabs((double)f);
    if (a != a)
        return 0x7fff;
    if (a >= 65520)
        return sign | 0x7c00;
    int exponent = ilogb(a);
    if (a == 0 || exponent < -14)
        exponent = -14;
    double scaled = nearbyint(ldexp(a, 10 - exponent)); /* 1024 .. 2048, less if subnormal */
    return (uint16_t)(sign + (((exponent + 14) << 10) + (int)scaled));
}

static float flushed(float f, int variant)
{
    return variant & MATH_FTZ && fpclassify(f) == FP_SUBNORMAL ? copysignf(0, f) : f;
}

static float smaller(float a, float b, bool keep_nan)
{
    if (keep_nan && (isnan(a) || isnan(b)))
        return NAN;
    if (a == 0 && b == 0)
        return signbit(a) ? a : b;
    return fminf(a, b);
}

static double compute(int function, const float *operand)
{
    const double x[] = {operand[0], operand[1], operand[2]};
    switch (function) {
    case MATH_EX2: return exp2(x[0]);
    case MATH_LG2: return log2(x[0]);
    case MATH_RCP: return 1 / x[0];
    case MATH_RSQRT: return 1 / sqrt(x[0]);
    case MATH_SQRT: return sqrt(x[0]);
    case MATH_DIV: return x[0] / x[1];
    case MATH_TANH: return tanh(x[0]);
    case MATH_SIN: return sin(x[0]);
    case MATH_COS: return cos(x[0]);
    case MATH_FMA: return fmaf(operand[0], operand[1], operand[2]);
    case MATH_MIN: return smaller(operand[0], operand[1], false);
    case MATH_MAX: return -(double)smaller(-operand[0], -operand[1], false);
    case MATH_MIN_NAN: return smaller(operand[0], operand[1], true);
    default: return -(double)smaller(-operand[0], -operand[1], true);
    }
}

void op_math(const Call *c, const Word *in, Word *out)
{
    float x[3] = {0};
    for (unsigned i = 0; i < c->n && i < 3; i++)
        x[i] = flushed(in[i].f32, c->variant);
    out->u64 = bits(flushed((float)compute(c->variant & ~MATH_FTZ, x), c->variant));
}

/* 10 bits of fraction remain; ties away from zero (rna) or to even (rn). */
static uint32_t to_tf32(float f, bool away)
{
    uint32_t u = bits(f);
    if ((u & 0x7f800000) == 0x7f800000)
        return isnan(f) ? 0x7fffffff : u;
    return (u + (away ? 0x1000 : 0xfff + (u >> 13 & 1))) & ~0x1fffu;
}

void op_convert(const Call *c, const Word *in, Word *out)
{
    switch (c->variant) {
    case CVT_TF32_RNA: out->u64 = to_tf32(in[0].f32, true); break;
    case CVT_TF32_RN: out->u64 = to_tf32(in[0].f32, false); break;
    case CVT_BF16X2: /* the first operand is the upper half */
        out->u64 = (uint32_t)float_to_bf16(in[0].f32) << 16 | float_to_bf16(in[1].f32);
        break;
    default: out->u64 = float_to_bf16(in[0].f32); break;
    }
}
