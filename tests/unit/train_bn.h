/* Batch normalisation in training, as roots of SUMS and FINISH kernels. */
#ifndef CNNC_TEST_TRAIN_BN_H
#define CNNC_TEST_TRAIN_BN_H
#include "train_rig.h"

/* x - pivot and its square: what mean and variance are made of. */
static inline void statistics_roots(Rig *rig, Kernel *k)
{
    ExprId d = binary(rig, EX_SUB, expr_arg(&rig->s.pool, 0), extra(rig, k, KARG_PIVOT, 0));
    root(k, d, 0);
    root(k, square(rig, d), 0);
}

/* Statistics of a batch normalisation: mean, variance, scale, shift, running mean and variance.
 * Operands: 0 pivot, 1 weight, 2 bias, 3 running mean, 4 running variance, 5 and 6 results. */
static inline Kernel batch_statistics(Rig *rig, MapDesc map, int slices, Layout layout)
{
    int vl = rig->s.plan.target.vl;
    MapDesc out = {layout, map.c, 1, 1};
    Kernel k = whole_kernel(rig, FAM_FINISH, run_map(slices * 2 * padded(map.c, vl)), out);
    k.slices = slices;
    k.positions = map.h * map.w;
    k.dy = map;
    ExprId pivot = extra(rig, &k, KARG_PIVOT, 0), w = extra(rig, &k, KARG_CHANNEL, 0);
    ExprId b = extra(rig, &k, KARG_CHANNEL, 0), run_mean = extra(rig, &k, KARG_CHANNEL, 0);
    ExprId run_var = extra(rig, &k, KARG_CHANNEL, 0);
    int first = KERNEL_ARG_EXTRA + k.extra_count;
    extra(rig, &k, KARG_RESULT, 0);
    extra(rig, &k, KARG_RESULT, 0);
    extra(rig, &k, KARG_RESULT, 0);
    ExprId n = extra(rig, &k, KARG_COUNT, 0), m = extra(rig, &k, KARG_HYPER, 2);
    ExprId squares = extra(rig, &k, KARG_TERM, 1), one = real(rig, 1);
    ExprId d = binary(rig, EX_DIV, expr_arg(&rig->s.pool, 0), n);
    ExprId mean = binary(rig, EX_ADD, pivot, d);
    ExprId var = binary(rig, EX_SUB, binary(rig, EX_DIV, squares, n), square(rig, d));
    var = binary(rig, EX_MAX, var, real(rig, 0));
    ExprId root_var = expr_unary(&rig->s.pool, EX_SQRT, binary(rig, EX_ADD, var, real(rig, 1e-5)));
    ExprId scale = binary(rig, EX_DIV, w, root_var), keep = binary(rig, EX_SUB, one, m);
    ExprId less = binary(rig, EX_MAX, binary(rig, EX_SUB, n, one), one);
    ExprId unbiased = binary(rig, EX_MUL, var, binary(rig, EX_DIV, n, less));
    root(&k, mean, KERNEL_ARG_OUT);
    root(&k, var, first);
    root(&k, scale, first + 1);
    root(&k, binary(rig, EX_SUB, b, binary(rig, EX_MUL, mean, scale)), first + 2);
    root(&k, binary(rig, EX_ADD, binary(rig, EX_MUL, keep, run_mean), binary(rig, EX_MUL, m, mean)),
         KERNEL_ARG_EXTRA + 3);
    root(&k,
         binary(rig, EX_ADD, binary(rig, EX_MUL, keep, run_var), binary(rig, EX_MUL, m, unbiased)),
         KERNEL_ARG_EXTRA + 4);
    return k;
}

/* Gradients of a batch normalisation: db, dw, and A, B, C of dx = A dy + B x + C (Ioffe & Szegedy
 * 2015). Operands: 0 weight, 1 mean, 2 variance, 3 to 6 results. */
static inline Kernel batch_gradients(Rig *rig, MapDesc map, int slices, Layout layout)
{
    int vl = rig->s.plan.target.vl;
    MapDesc out = {layout, map.c, 1, 1};
    Kernel k = whole_kernel(rig, FAM_FINISH, run_map(slices * 2 * padded(map.c, vl)), out);
    k.slices = slices;
    k.positions = map.h * map.w;
    ExprId w = extra(rig, &k, KARG_CHANNEL, 0), mean = extra(rig, &k, KARG_CHANNEL, 0);
    ExprId var = extra(rig, &k, KARG_CHANNEL, 0);
    for (int i = 0; i < 4; i++)
        extra(rig, &k, KARG_RESULT, 0);
    ExprId n = extra(rig, &k, KARG_COUNT, 0), dot = extra(rig, &k, KARG_TERM, 1);
    ExprId db = expr_arg(&rig->s.pool, 0);
    ExprId inv = expr_unary(&rig->s.pool, EX_SQRT, binary(rig, EX_ADD, var, real(rig, 1e-5)));
    inv = binary(rig, EX_DIV, real(rig, 1), inv);
    ExprId a = binary(rig, EX_MUL, w, inv), dw = binary(rig, EX_MUL, dot, inv);
    ExprId slope = binary(rig, EX_DIV, binary(rig, EX_MUL, a, binary(rig, EX_MUL, dw, inv)), n);
    ExprId c = binary(rig, EX_SUB, binary(rig, EX_MUL, slope, mean),
                      binary(rig, EX_DIV, binary(rig, EX_MUL, a, db), n));
    root(&k, db, KERNEL_ARG_OUT);
    root(&k, dw, KERNEL_ARG_EXTRA + 3);
    root(&k, a, KERNEL_ARG_EXTRA + 4);
    root(&k, expr_unary(&rig->s.pool, EX_NEG, slope), KERNEL_ARG_EXTRA + 5);
    root(&k, c, KERNEL_ARG_EXTRA + 6);
    return k;
}
#endif
