/* The accuracy that codegen/llvm/math.h states, on every width of vectors this machine has: floats
 * are taken at even distances of their bits, so that every binade has as many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernel_suite.h"

enum { CHANNELS = 16, SIDE = 64, FLOATS = CHANNELS * SIDE * SIDE, STRIDE = 1009 };

static const CodegenApi *api;
static _Alignas(64) float in[FLOATS], out[FLOATS], other[FLOATS];

typedef enum Function { SIGMOID, SILU_QUOTIENT, SIGMOID_BY_FLOATS, FUNCTIONS } Function;

static void logistic(Suite *s)
{
    for (int f = 0; f < FUNCTIONS; f++) {
        Kernel k = kernel(f == SIGMOID_BY_FLOATS ? FAM_COPY : FAM_ELEM,
                          blocked(CHANNELS, SIDE, SIDE), blocked(CHANNELS, SIDE, SIDE));
        if (k.family == FAM_COPY)
            k.copy = COPY_SHUFFLE; /* of one group: in place, float by float */
        ExprPool *p = &s->pool;
        ExprId x = expr_arg(p, 0);
        ExprId power = expr_unary(p, EX_EXP, expr_unary(p, EX_NEG, x));
        ExprId below = expr_binary(p, EX_ADD, power, expr_const(p, 1));
        k.pool_expr = p;
        k.root = expr_binary(p, EX_DIV, f == SILU_QUOTIENT ? x : expr_const(p, 1), below);
        suite_add(s, k);
    }
}

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* The next floats from `bits` on; the first that is left. */
static uint32_t take(uint32_t bits, uint32_t end, bool negative)
{
    for (int i = 0; i < FLOATS; i++) {
        in[i] = float_of(bits | (negative ? 0x80000000U : 0));
        if (bits < end)
            bits += STRIDE;
    }
    return bits;
}

static void run(CnnrtKernel code, int64_t units, float *to)
{
    CnnrtRun run = {.batch = 1};
    float *args[KERNEL_ARGS + 1] = {to, in};
    args[KERNEL_ARG_RUN] = (float *)&run;
    code(args, 0, units);
}

/* Below -87 quotients leave the normal numbers. */
static bool as_stated(Function f, double x, double y)
{
    double want = (f == SILU_QUOTIENT ? x : 1) / (1 + exp(-x));
    if (x < -87)
        return f == SILU_QUOTIENT ? y <= 0 && y >= 2e-38 * x : y >= 0 && y <= 2e-38;
    if (f != SILU_QUOTIENT && !(fabs(y - want) <= 1.8e-7))
        return false;
    return fabs(y - want) <= 5e-7 * fabs(want) + 2e-45;
}

static void check_logistic(Suite *s, CnnrtKernel code, uint32_t i, const void *with)
{
    static CnnrtKernel vectors;
    enum { END = 0x7F800000 - STRIDE }; /* infinity is not taken */
    char message[200] = "";
    (void)with;
    if (i == SIGMOID)
        vectors = code;
    for (int negative = 0; negative < 2; negative++)
        for (uint32_t bits = 0; bits < END && !message[0];) {
            bits = take(bits, END, negative);
            run(code, s->plan.steps.at[i].units, out);
            run(vectors, s->plan.steps.at[SIGMOID].units, other);
            if (i == SIGMOID_BY_FLOATS && memcmp(out, other, sizeof out) != 0)
                snprintf(message, sizeof message, "not the bits of vectors");
            for (int at = 0; at < FLOATS && !message[0]; at++)
                if (!as_stated((Function)i, in[at], out[at]))
                    snprintf(message, sizeof message, "%.9g of %.9g", out[at], in[at]);
        }
    if (message[0])
        suite_wrong(s, i, message);
}

static void test_logistic(void **state)
{
    (void)state;
    suite_on_levels(api, logistic, check_logistic, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logistic)};
    api = suite_api();
    return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
