/* Expressions: equal ones are one, simplification keeps values, substitution and text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>
#include "expr/expr.h"
#include "rng.h"

static OomHandler oom;
static Arena arena;
static ExprPool pool;

static int pool_up(void **state)
{
    (void)state;
    arena_init(&arena, &oom, 0);
    expr_init(&pool, &arena);
    return 0;
}

static int pool_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

enum { ARGS = 3 };

/* The same operations on numbers, written once more. */
static double apply(ExprOp op, double a, double b, double c)
{
    switch (op) {
    case EX_ADD: return a + b;
    case EX_SUB: return a - b;
    case EX_MUL: return a * b;
    case EX_DIV: return a / b;
    case EX_MIN: return a < b ? a : b;
    case EX_MAX: return a > b ? a : b;
    case EX_NEG: return -a;
    case EX_SQRT: return sqrt(a);
    case EX_EXP: return exp(a);
    case EX_TANH: return tanh(a);
    case EX_ERF: return erf(a);
    case EX_SELECT_GT0: return a > 0 ? b : c;
    default: return 0;
    }
}

typedef struct Built {
    ExprId id;
    double value;
} Built;

static bool close(double a, double b)
{
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b));
}

/* Builds random expressions of arguments and constants beside their values. */
static Built grow(ExprPool *p, uint64_t seed, const double *args, Built *all, int n)
{
    static const double constants[] = {0, 1, -1, 0.5, 2, 6, 3};
    static const ExprOp ops[] = {EX_ADD, EX_SUB, EX_MUL,  EX_DIV, EX_MIN,        EX_MAX,
                                 EX_NEG, EX_EXP, EX_TANH, EX_ERF, EX_SELECT_GT0, EX_MUL};
    uint64_t turn = 0;
#define DRAW(k) (rng_mix(seed, turn++) % (k))
    for (int i = 0; i < n; i++) {
        if (i < ARGS) {
            all[i] = (Built){expr_arg(p, (uint32_t)i), args[i]};
            continue;
        }
        if (i < ARGS + 3) {
            double v = constants[DRAW(7)];
            all[i] = (Built){expr_const(p, v), v};
            continue;
        }
        ExprOp op = ops[DRAW(12)];
        Built a = all[DRAW((uint64_t)i)], b = all[DRAW((uint64_t)i)], c = all[DRAW((uint64_t)i)];
        all[i].value = apply(op, a.value, b.value, c.value);
        all[i].id = op == EX_SELECT_GT0 ? expr_select_gt0(p, a.id, b.id, c.id)
                    : op >= EX_NEG      ? expr_unary(p, op, a.id)
                                        : expr_binary(p, op, a.id, b.id);
    }
    return all[n - 1];
}

static void test_values(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        double args[ARGS];
        Built all[24];
        for (uint64_t k = 0; k < ARGS; k++)
            args[k] = (double)rng_uniform(seed, 900 + k) * 4 - 2;
        grow(&pool, seed, args, all, 24);
        for (int i = 0; i < 24; i++) {
            double got = expr_eval(&pool, all[i].id, args);
            if (isfinite(all[i].value) && !close(got, all[i].value))
                fail_msg("seed %d: %g, not %g", (int)seed, got, all[i].value);
        }
    }
}

static void expect_id(ExprId a, ExprId b)
{
    assert_int_equal(a.v, b.v);
}

static void test_sharing_and_folding(void **state)
{
    (void)state;
    ExprPool *p = &pool;
    ExprId x = expr_arg(p, 0), y = expr_arg(p, 1), one = expr_const(p, 1), zero = expr_const(p, 0);
    expect_id(expr_arg(p, 0), x);
    expect_id(expr_const(p, 1), one);
    assert_int_not_equal(x.v, y.v);
    expect_id(expr_binary(p, EX_ADD, x, y), expr_binary(p, EX_ADD, x, y));
    expect_id(expr_binary(p, EX_MUL, x, one), x);
    expect_id(expr_binary(p, EX_MUL, one, x), x);
    expect_id(expr_binary(p, EX_ADD, x, zero), x);
    expect_id(expr_unary(p, EX_NEG, expr_unary(p, EX_NEG, x)), x);
    ExprId sum = expr_binary(p, EX_ADD, expr_const(p, 2), expr_const(p, 3));
    expect_id(sum, expr_const(p, 5));
    assert_int_not_equal(expr_binary(p, EX_SUB, x, y).v, expr_binary(p, EX_SUB, y, x).v);
    assert_int_not_equal(expr_binary(p, EX_SUB, zero, x).v, x.v);
    assert_int_not_equal(expr_const(p, 0.5).v, expr_const(p, 0.25).v);
}

/* Ten thousand different expressions stay different; asked for again, each is found. */
static void test_table_grows(void **state)
{
    (void)state;
    enum { N = 10000 };
    static ExprId id[N];
    ExprId x = expr_arg(&pool, 0);
    for (int i = 0; i < N; i++)
        id[i] = expr_binary(&pool, EX_MIN, x, expr_const(&pool, i + 0.5));
    uint32_t nodes = pool.nodes.len;
    for (int i = 0; i < N; i++) {
        double arg = 1e9;
        expect_id(expr_binary(&pool, EX_MIN, x, expr_const(&pool, i + 0.5)), id[i]);
        assert_true(expr_eval(&pool, id[i], &arg) == i + 0.5);
    }
    assert_int_equal(pool.nodes.len, nodes);
}

/* Chains as deep as a long network's must not exhaust the stack or the time: 2^200 paths. */
static void test_deep_and_shared(void **state)
{
    (void)state;
    ExprId e = expr_arg(&pool, 0);
    double arg = 1.0;
    for (int i = 0; i < 200; i++)
        e = expr_binary(&pool, EX_ADD, e, e);
    assert_true(expr_eval(&pool, e, &arg) == ldexp(1, 200));
    assert_int_equal(expr_arg_count(&pool, e), 1);
    ExprPool other;
    expr_init(&other, &arena);
    ExprId map = expr_arg(&other, 4);
    ExprId copy = expr_substitute(&other, &pool, e, &map);
    double five[5] = {0, 0, 0, 0, 1.0};
    assert_true(expr_eval(&other, copy, five) == ldexp(1, 200));
    assert_int_equal(expr_arg_count(&other, copy), 5);
    Buf text = {0};
    expr_print(&pool, e, &text);
    assert_true(text.len > 0 && text.len < 20000);
    buf_free(&text);
}

static void test_substitution(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        double args[ARGS] = {0.3, -0.7, 1.1}, other_args[2] = {0.4, -1.3};
        Built all[16];
        ExprPool other;
        expr_init(&other, &arena);
        ExprId x = expr_arg(&other, 0), y = expr_arg(&other, 1);
        /* argument 0 becomes y, 1 becomes x * y, 2 a constant */
        ExprId map[ARGS] = {y, expr_binary(&other, EX_MUL, x, y), expr_const(&other, 0.25)};
        args[0] = other_args[1];
        args[1] = other_args[0] * other_args[1];
        args[2] = 0.25;
        Built e = grow(&pool, seed, args, all, 16);
        ExprId got = expr_substitute(&other, &pool, e.id, map);
        if (isfinite(e.value) && !close(expr_eval(&other, got, other_args), e.value))
            fail_msg("seed %d", (int)seed);
    }
}

/* Texts are equal just where expressions are, whatever the history of the pool. */
static void test_text(void **state)
{
    (void)state;
    ExprPool other;
    double args[ARGS] = {0.3, -0.7, 1.1};
    int same = 0, different = 0;
    Buf last = {0};
    expr_init(&other, &arena);
    expr_binary(&other, EX_DIV, expr_arg(&other, 7), expr_const(&other, 9));
    for (uint64_t seed = 1; seed <= 300; seed++) {
        Built all[16];
        Buf a = {0}, b = {0};
        ExprId e = grow(&pool, seed, args, all, 16).id;
        expr_print(&pool, e, &a);
        expr_print(&other, grow(&other, seed, args, all, 16).id, &b);
        assert_string_equal(a.at, b.at);
        if (last.at != NULL && strcmp(last.at, a.at) == 0)
            same++;
        else
            different++;
        buf_free(&b);
        buf_free(&last);
        last = a;
    }
    buf_free(&last);
    assert_true(different > 200 && same < 20);
}

static void test_arg_count(void **state)
{
    (void)state;
    ExprId x = expr_arg(&pool, 0), z = expr_arg(&pool, 5);
    assert_int_equal(expr_arg_count(&pool, expr_const(&pool, 3)), 0);
    assert_int_equal(expr_arg_count(&pool, x), 1);
    assert_int_equal(expr_arg_count(&pool, expr_select_gt0(&pool, x, x, z)), 6);
    assert_int_equal(expr_arg_count(&pool, expr_binary(&pool, EX_MAX, z, x)), 6);
}

/* The corners that a simplification must not move. */
static void test_special_values(void **state)
{
    (void)state;
    ExprPool *p = &pool;
    ExprId x = expr_arg(p, 0), zero = expr_const(p, 0);
    ExprId product = expr_binary(p, EX_MUL, x, zero), relu = expr_binary(p, EX_MAX, x, zero);
    ExprId pick = expr_select_gt0(p, x, expr_const(p, 1), expr_const(p, 2));
    double inf = INFINITY, nan = NAN, minus = -3, nothing = 0;
    assert_true(isnan(expr_eval(p, product, &inf)));
    assert_true(isnan(expr_eval(p, product, &nan)));
    assert_true(expr_eval(p, relu, &minus) == 0);
    assert_true(expr_eval(p, relu, &inf) == INFINITY);
    assert_true(expr_eval(p, pick, &nothing) == 2);
    assert_true(expr_eval(p, pick, &inf) == 1);
    assert_true(isnan(expr_eval(p, expr_binary(p, EX_SUB, x, x), &inf)));
    assert_true(isnan(expr_eval(p, expr_binary(p, EX_DIV, x, x), &nothing)));
    ExprId negative = expr_const(p, -0.0);
    assert_int_not_equal(negative.v, zero.v); /* 1 / -0 is not 1 / 0 */
}

#define WITH_POOL(F) cmocka_unit_test_setup_teardown(F, pool_up, pool_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_POOL(test_values),       WITH_POOL(test_sharing_and_folding),
        WITH_POOL(test_table_grows),  WITH_POOL(test_deep_and_shared),
        WITH_POOL(test_substitution), WITH_POOL(test_text),
        WITH_POOL(test_arg_count),    WITH_POOL(test_special_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
