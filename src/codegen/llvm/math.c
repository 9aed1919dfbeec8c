#include "codegen/llvm/math.h"
#include <math.h>
#include <string.h>

/* Horner's rule, highest power first. */
static LLVMValueRef polynomial(Emit *e, LLVMValueRef x, const double *c, int n)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef y = emit_real(type, c[0]);
    for (int i = 1; i < n; i++)
        y = emit_fma(e, y, x, emit_real(type, c[i]));
    return y;
}

static LLVMValueRef as_type(Emit *e, LLVMValueRef v, LLVMTypeRef type)
{
    return LLVMBuildBitCast(e->b, v, type, "");
}

static LLVMValueRef magnitude(Emit *e, LLVMValueRef x)
{
    LLVMTypeRef type = LLVMTypeOf(x), bits = emit_int_type(e, type);
    LLVMValueRef b = as_type(e, x, bits);
    return as_type(e, LLVMBuildAnd(e->b, b, emit_bits(bits, 0x7FFFFFFF), ""), type);
}

/* |a| with the sign of s. */
static LLVMValueRef with_sign(Emit *e, LLVMValueRef a, LLVMValueRef s)
{
    LLVMTypeRef type = LLVMTypeOf(a), bits = emit_int_type(e, type);
    LLVMValueRef sign = LLVMBuildAnd(e->b, as_type(e, s, bits), emit_bits(bits, 0x80000000), "");
    return as_type(e, LLVMBuildOr(e->b, as_type(e, a, bits), sign, ""), type);
}

/* 2^(x log2 e) by the power unit; what rounding the product loses, and log2 e itself, is put back
 * by the first derivative. */
static LLVMValueRef gpu_exp(Emit *e, LLVMValueRef x)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef log2e = emit_real(type, 1.44269502162933349609375);
    LLVMValueRef t = emit_fmul(e, x, log2e);
    LLVMValueRef lost = emit_fma(e, x, log2e, LLVMBuildFNeg(e->b, t, ""));
    lost = emit_fma(e, x, emit_real(type, 1.92596299112661746887e-8), lost);
    LLVMValueRef y = emit_per_lane(e, "llvm.nvvm.ex2.approx.ftz.f", t, NULL);
    return emit_fma(e, emit_fmul(e, y, emit_real(type, 0.693147180559945309)), lost, y);
}

/* x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts, the first exact in every product with n. The
 * polynomial is the near-minimax one of (e^r - 1 - r) / r^2. */
LLVMValueRef math_exp(Emit *e, LLVMValueRef x)
{
    static const double c[] = {0.00139262508315, 0.00836323288368, 0.041666554213, 0.166665766661,
                               0.5};
    LLVMTypeRef type = LLVMTypeOf(x), bits = emit_int_type(e, type);
    x = emit_fmax(e, x, emit_real(type, -87.3));
    x = emit_fmin(e, x, emit_real(type, 88.3));
    if (e->gpu)
        return gpu_exp(e, x);
    /* Adding 1.5 * 2^23 rounds to an integer, whose low bits are then those of the sum. */
    LLVMValueRef magic = emit_real(type, 12582912.0);
    LLVMValueRef sum = emit_fma(e, x, emit_real(type, 1.44269504088896341), magic);
    LLVMValueRef n = emit_fsub(e, sum, magic);
    LLVMValueRef r = emit_fma(e, n, emit_real(type, -0.693359375), x);
    r = emit_fma(e, n, emit_real(type, 2.12194440054690583e-4), r);
    LLVMValueRef y = polynomial(e, r, c, 5);
    y = emit_fma(e, emit_fmul(e, r, r), y, emit_fadd(e, r, emit_real(type, 1.0)));
    LLVMValueRef power = LLVMBuildShl(e->b, as_type(e, sum, bits), emit_bits(bits, 23), "");
    return as_type(e, LLVMBuildAdd(e->b, as_type(e, y, bits), power, ""), type);
}

/* x = 2^n m with m in [sqrt(1/2), sqrt(2)), then a polynomial of m - 1. */
LLVMValueRef math_log(Emit *e, LLVMValueRef x)
{
    static const double c[] = {-0.0790274377239, 0.126223198492, -0.129981837637, 0.142144959239,
                               -0.166412814631,  0.200010450942, -0.250003064226, 0.333333307282};
    LLVMTypeRef type = LLVMTypeOf(x), bits = emit_int_type(e, type);
    LLVMValueRef i = as_type(e, x, bits);
    LLVMValueRef n = LLVMBuildSub(e->b, i, emit_bits(bits, 0x3F3504F3), "");
    n = LLVMBuildAShr(e->b, n, emit_bits(bits, 23), "");
    LLVMValueRef m = LLVMBuildSub(e->b, i, LLVMBuildShl(e->b, n, emit_bits(bits, 23), ""), "");
    LLVMValueRef f = emit_fsub(e, as_type(e, m, type), emit_real(type, 1.0));
    LLVMValueRef z = emit_fmul(e, f, f);
    LLVMValueRef y = emit_fmul(e, emit_fmul(e, f, z), polynomial(e, f, c, 8));
    y = emit_fma(e, z, emit_real(type, -0.5), y);
    LLVMValueRef count = LLVMBuildSIToFP(e->b, n, type, "");
    y = emit_fma(e, count, emit_real(type, -2.12194440054690583e-4), y);
    return emit_fma(e, count, emit_real(type, 0.693359375), emit_fadd(e, f, y));
}

/* What 1 + x rounds off is put back by the first derivative. */
LLVMValueRef math_log1p(Emit *e, LLVMValueRef x)
{
    LLVMValueRef one = emit_real(LLVMTypeOf(x), 1.0), sum = emit_fadd(e, x, one);
    LLVMValueRef lost = emit_fsub(e, x, emit_fsub(e, sum, one));
    return emit_fadd(e, math_log(e, sum), emit_fdiv(e, lost, sum));
}

LLVMValueRef math_tanh(Emit *e, LLVMValueRef x)
{
    static const double c[] = {-0.00609671416591, 0.0209971789991, -0.0538509095785, 0.13332769737,
                               -0.333333289441};
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef a = magnitude(e, x), one = emit_real(type, 1.0), two = emit_real(type, 2.0);
    LLVMValueRef z = emit_fmul(e, x, x);
    LLVMValueRef small = emit_fma(e, emit_fmul(e, x, z), polynomial(e, z, c, 5), x);
    LLVMValueRef power = math_exp(e, emit_fmul(e, a, two));
    LLVMValueRef large = emit_fsub(e, one, emit_fdiv(e, two, emit_fadd(e, power, one)));
    LLVMValueRef is_small = LLVMBuildFCmp(e->b, LLVMRealOLT, a, emit_real(type, 0.625), "");
    return emit_select(e, is_small, small, with_sign(e, large, x));
}

/* x P(x^2) / Q(x^2), minimax up to where it rounds to 1: the bound is one at which this arithmetic,
 * with and without fused multiply-adds, gives exactly 1. */
LLVMValueRef math_erf(Emit *e, LLVMValueRef x)
{
    static const double above[] = {2.0663837088325e-6, 0.00028492216586361, 0.0037345354088954,
                                   0.052656134758521,  0.18958567425487,    1.1283791487701};
    static const double below[] = {3.8261775214603e-5, 0.0011563510650989, 0.014906684182384,
                                   0.1137843168055,    0.50134873214444,   1.0};
    LLVMTypeRef type = LLVMTypeOf(x);
    x = emit_fmin(e, emit_fmax(e, x, emit_real(type, -3.86)), emit_real(type, 3.86));
    LLVMValueRef z = emit_fmul(e, x, x);
    return emit_fdiv(e, emit_fmul(e, x, polynomial(e, z, above, 6)), polynomial(e, z, below, 6));
}

/* 1 + e^-x as math_exp, with a polynomial one shorter and ln 2 in one part where the product with
 * it is not rounded. */
static LLVMValueRef below_by_polynomial(Emit *e, LLVMValueRef x)
{
    static const double c[] = {
        0.0083129085764052, 0.0418901278971, 0.16667110077837, 0.49999231565035, 1.0, 1.0};
    LLVMTypeRef type = LLVMTypeOf(x), bits = emit_int_type(e, type);
    x = emit_fmin(e, x, emit_real(type, 87.3));
    x = emit_fmax(e, x, emit_real(type, -87.3));
    LLVMValueRef magic = emit_real(type, 12582912.0);
    LLVMValueRef sum = emit_fma(e, x, emit_real(type, -1.44269504088896341), magic);
    LLVMValueRef n = emit_fsub(e, sum, magic), minus = LLVMBuildFNeg(e->b, x, ""), r;
    if (e->fma) {
        r = emit_fma(e, n, emit_real(type, -0.69314718055994531), minus);
    } else {
        r = emit_fma(e, n, emit_real(type, -0.693359375), minus);
        r = emit_fma(e, n, emit_real(type, 2.12194440054690583e-4), r);
    }
    LLVMValueRef y = as_type(e, polynomial(e, r, c, 6), bits);
    LLVMValueRef power = LLVMBuildShl(e->b, as_type(e, sum, bits), emit_bits(bits, 23), "");
    power = as_type(e, LLVMBuildAdd(e->b, y, power, ""), type);
    return emit_fadd(e, power, emit_real(type, 1.0));
}

/* e^r for |r| <= ln 2 / 2^(bits + 1) as scale (u^2 + b), and times u + c where c is not 0, of
 * u = r + offset ln 2. Were offset free this would be any polynomial of the degree, with offsets of
 * 1.4427 and 1.0127; a whole number of 2^-bits near them costs nothing, as it comes off n. scale, b
 * and c are minimax for that one, of a relative error below 1.3e-7 and 4e-8; scale is 6e-8 and 5e-8
 * larger, which balances what rounding ln 2 takes off far from 0. */
typedef struct TablePower {
    int bits;
    double offset, scale, b, c;
} TablePower;

static const TablePower table_power[] = {
    {5, 46.0 / 32, 0.50181688, 0.99994761, 0},
    {3, 1.0, 0.168164347, 3.2652771, 0.89441082},
};

/* scale 2^(i / 2^bits). Scaling takes the whole part of n - offset, which the table makes up for;
 * adding n's bits to the exponent adds those of its fraction below it, which are taken off here. */
static void power_table(const TablePower *p, bool by_scale, float table[1 << EMIT_LOOKUP_BITS])
{
    for (uint32_t i = 0; i < 1U << p->bits; i++) {
        double step = ldexp(i, -p->bits);
        double n = by_scale ? floor(step - p->offset) : 0;
        table[i] = (float)(p->scale * exp2(step - n));
        uint32_t bits;
        memcpy(&bits, &table[i], sizeof bits);
        if (!by_scale)
            bits -= i << (23 - p->bits);
        memcpy(&table[i], &bits, sizeof bits);
    }
}

/* 1 + e^-x with -x = n ln 2 + r, n a whole number of 2^-bits, whose last bits choose 2^n's fraction
 * from a table. From 80 on the result is 1. */
static LLVMValueRef below_by_table(Emit *e, LLVMValueRef x, const TablePower *p)
{
    LLVMTypeRef type = LLVMTypeOf(x), bits = emit_int_type(e, type);
    bool by_scale = emit_has_scale(e, type);
    double magic = ldexp(1.5, 23 - p->bits);
    float table[1 << EMIT_LOOKUP_BITS];
    power_table(p, by_scale, table);
    x = emit_fmin(e, x, emit_real(type, 80.0));
    if (!by_scale)
        x = emit_fmax(e, x, emit_real(type, -87.3));
    LLVMValueRef sum =
        emit_fma(e, x, emit_real(type, -1.44269504088896341), emit_real(type, magic));
    LLVMValueRef n = emit_fsub(e, sum, emit_real(type, magic + p->offset));
    LLVMValueRef minus = LLVMBuildFNeg(e->b, x, "");
    LLVMValueRef u = emit_fma(e, n, emit_real(type, -0.69314718055994531), minus);
    LLVMValueRef index = as_type(e, sum, bits), power = emit_lookup(e, table, index);
    if (by_scale) {
        power = emit_scale(e, power, n);
    } else {
        index = LLVMBuildShl(e->b, index, emit_bits(bits, 23 - p->bits), "");
        power = as_type(e, LLVMBuildAdd(e->b, as_type(e, power, bits), index, ""), type);
    }
    LLVMValueRef square = emit_fma(e, u, u, emit_real(type, p->b));
    if (p->c != 0)
        power = emit_fmul(e, power, emit_fadd(e, u, emit_real(type, p->c)));
    return emit_fma(e, power, square, emit_real(type, 1.0));
}

LLVMValueRef math_logistic(Emit *e, LLVMValueRef times, LLVMValueRef x)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    bool scalar = LLVMGetTypeKind(type) != LLVMVectorTypeKind;
    int bits = emit_lookup_bits(e, scalar ? e->vec : type);
    const TablePower *p = NULL;
    for (size_t i = 0; i < sizeof table_power / sizeof *table_power; i++)
        if (table_power[i].bits == bits)
            p = &table_power[i];
    if (!p)
        return emit_fdiv(e, times, below_by_polynomial(e, x));
    if (scalar) /* a lane of a vector, for the same bits */
        x = emit_set_lane(e, LLVMConstNull(e->vec), x, 0);
    LLVMValueRef below = below_by_table(e, x, p);
    return emit_fdiv(e, times, scalar ? emit_lane(e, below, 0) : below);
}
