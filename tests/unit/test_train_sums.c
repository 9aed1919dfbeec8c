/* Reductions over a batch, masks and optimizer updates on every vector width this machine has,
 * against plain loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "train_bn.h"
#include "train_reference.h"

typedef void Fill(Rig *rig);

static Fill *fill_with;
static Expect *expected;
static int failures;

static void try_kernels(Rig *rig, const char *cpu)
{
    static const int64_t batch[] = {1, 2, 7};
    fill_with(rig);
    rig_load(rig);
    for (uint32_t at = 0; at < rig->s.plan.kernels.len; at++)
        for (size_t b = 0; b < sizeof batch / sizeof *batch; b++) {
            TrainCase c = {.k = &rig->s.plan.kernels.at[at].k, .t = &rig->s.plan.target};
            c.run = run_of(batch[b]);
            c.code = rig->model->steps[at].kernel;
            c.same_bits = c.k->family == FAM_MASK;
            if (train_check(&c, expected))
                continue;
            fprintf(stderr, "# %s, batch %d: %s\n#   %s\n", cpu, (int)batch[b],
                    rig->model->steps[at].name, c.message);
            failures++;
        }
}

/* Loads what fill adds for each target and tries every kernel with several batches. */
static void on_every_target(Fill *fill, Expect *expect)
{
    fill_with = fill;
    expected = expect;
    failures = 0;
    for (int i = 0; i < CPUS; i++)
        on_target(i, try_kernels);
    assert_int_equal(failures, 0);
}

/* dy (in) and dy * (x - mean). */
static void gradient_roots(Rig *rig, Kernel *k)
{
    ExprId x = extra(rig, k, KARG_MAP, 0), mean = extra(rig, k, KARG_CHANNEL, 0);
    k->extra_step[0] = map_floats(k->in, rig->s.plan.target.vl) + 16;
    root(k, (ExprId){0}, 0);
    root(k, binary(rig, EX_MUL, expr_arg(&rig->s.pool, 0), binary(rig, EX_SUB, x, mean)), 0);
}

/* Every kind of operand, in as many roots as there may be. */
static void all_roots(Rig *rig, Kernel *k)
{
    int vl = rig->s.plan.target.vl;
    ExprId x = expr_arg(&rig->s.pool, 0), gate = extra(rig, k, KARG_GATE, 0);
    k->extra_step[0] = padded(k->in.c, vl);
    ExprId map = extra(rig, k, KARG_MAP, 0);
    k->extra_step[1] = map_floats(k->in, vl);
    ExprId scalar = extra(rig, k, KARG_SCALAR, 0), hyper = extra(rig, k, KARG_HYPER, 5);
    root(k, binary(rig, EX_MUL, x, gate), 0);
    root(k, binary(rig, EX_MUL, map, scalar), 0);
    root(k, binary(rig, EX_MAX, x, hyper), 0);
    root(k, square(rig, map), 0);
    root(k, map, 0);
    root(k, expr_unary(&rig->s.pool, EX_TANH, x), 0);
}

static void sums(Rig *rig)
{
    static const int64_t shape[][3] = {{16, 4, 4}, {5, 7, 3},    {33, 1, 1},
                                       {3, 40, 1}, {20, 23, 23}, {9, 16, 16}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int kind = 0; kind < 4; kind++) {
            MapDesc m = blocked(shape[i][0], shape[i][1], shape[i][2]);
            Kernel k = whole_kernel(rig, FAM_SUMS, m, run_map(1));
            k.slices = 1 + (int)((i + (size_t)kind) % 3) * 2; /* 5: more than some batches */
            k.in_step = map_floats(m, rig->s.plan.target.vl) + 16 * (int64_t)(i % 2);
            if (kind == 0)
                root(&k, (ExprId){0}, 0);
            else if (kind == 1)
                statistics_roots(rig, &k);
            else if (kind == 2)
                gradient_roots(rig, &k);
            else
                all_roots(rig, &k);
            suite_add(&rig->s, k);
        }
}

static void test_sums(void **state)
{
    (void)state;
    on_every_target(sums, expect_sums);
}

/* 1.6 million values of one sign: with plain totals in float32 the sum is off by 8e-6. */
static void long_sum(Rig *rig, const char *cpu)
{
    Kernel k = whole_kernel(rig, FAM_SUMS, blocked(1, 112, 112), run_map(1));
    k.slices = 1; /* in_step 0: one image again and again */
    root(&k, square(rig, expr_arg(&rig->s.pool, 0)), 0);
    suite_add(&rig->s, k);
    rig_load(rig);
    TrainCase c = {.k = &k, .t = &rig->s.plan.target, .run = run_of(128)};
    c.code = rig->model->steps[0].kernel;
    train_open(&c, AGAINST_END);
    double want = 0;
    for (int64_t p = 0; p < 112 * 112; p++)
        want += 128 * pow(value_at(&c, KERNEL_ARG_IN, place_of(k.in, c.t->vl, 0, p)), 2);
    train_run(&c, AT_ONCE);
    double got = c.op[KERNEL_ARG_OUT].mem.at[0];
    if (fabs(got / want - 1) > 1e-7)
        fail_msg("%s: %.9g, not %.9g", cpu, got, want);
    train_close(&c);
}

static void test_long_sums(void **state)
{
    (void)state;
    for (int i = 0; i < CPUS; i++)
        on_target(i, long_sum);
}

static void finishes(Rig *rig)
{
    static const int64_t shape[][3] = {{16, 4, 4}, {5, 7, 3}, {33, 1, 1}, {40, 2, 3}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int way = 0; way < 4; way++) {
            MapDesc m = blocked(shape[i][0], shape[i][1], shape[i][2]);
            int slices = 1 + 4 * (int)(i % 3);
            Layout layout = way & 1 ? LAYOUT_BLOCKED : LAYOUT_PLANAR;
            suite_add(&rig->s, way & 2 ? batch_gradients(rig, m, slices, layout)
                                       : batch_statistics(rig, m, slices, layout));
        }
    Kernel k =
        whole_kernel(rig, FAM_FINISH, run_map(3 * padded(19, rig->s.plan.target.vl)), run_map(19));
    k.slices = 3;
    root(&k, (ExprId){0}, KERNEL_ARG_OUT); /* a plain sum */
    suite_add(&rig->s, k);
}

static void test_finish(void **state)
{
    (void)state;
    on_every_target(finishes, expect_finish);
}

static float *floats(size_t n)
{
    return case_memory(n, sizeof(float));
}

enum { BN_BATCH = 6, BN_C = 21, BN_H = 9, BN_W = 17, BN_SLICES = 4, BN_RESULTS = 3 };

/* x of image n, channel ch, position p: far from zero beside its deviation. */
static double bn_value(int64_t n, int64_t ch, int64_t p)
{
    uint64_t at = (uint64_t)((n * BN_C + ch) * BN_H * BN_W + p);
    return (float)(1000 + (double)ch + (double)rng_uniform(5, at));
}

/* Mean and variance of a channel, by definition. */
static void bn_moments(int64_t ch, double *mean, double *var)
{
    double count = BN_BATCH * BN_H * BN_W;
    *mean = *var = 0;
    for (int64_t n = 0; n < BN_BATCH; n++)
        for (int64_t p = 0; p < BN_H * BN_W; p++)
            *mean += bn_value(n, ch, p) / count;
    for (int64_t n = 0; n < BN_BATCH; n++)
        for (int64_t p = 0; p < BN_H * BN_W; p++)
            *var += pow(bn_value(n, ch, p) - *mean, 2) / count;
}

static void near(const char *what, double got, double want, double slack)
{
    if (!(fabs(got - want) <= slack))
        fail_msg("%s: %.9g, not %.9g", what, got, want);
}

static void check_statistics(Rig *rig, int vl)
{
    int64_t image = map_floats(blocked(BN_C, BN_H, BN_W), vl), width = padded(BN_C, vl);
    float *x = floats((size_t)(BN_BATCH * image)), *partial = floats(BN_SLICES * 2 * 32);
    float *vector[3 + KERNEL_MAX_EXTRA];
    CnnrtRun run = run_of(BN_BATCH);
    for (int i = 0; i < 3 + KERNEL_MAX_EXTRA; i++)
        fill_random(vector[i] = floats((size_t)width), (size_t)width, "bn", 0.5f, 1.5f);
    for (int64_t n = 0; n < BN_BATCH; n++)
        for (int64_t ch = 0; ch < BN_C; ch++)
            for (int64_t p = 0; p < BN_H * BN_W; p++)
                x[n * image + place_of(blocked(BN_C, BN_H, BN_W), vl, ch, p)] =
                    (float)bn_value(n, ch, p);
    float *sums_args[KERNEL_ARGS + 1] = {partial, x, [KERNEL_ARG_EXTRA] = x};
    float *args[KERNEL_ARGS + 1] = {vector[0], partial, [KERNEL_ARG_EXTRA] = x};
    float old_mean = vector[4][0], old_var = vector[5][0], m = run.hyper[2];
    for (int i = 1; i < KERNEL_MAX_EXTRA; i++)
        args[KERNEL_ARG_EXTRA + i] = vector[1 + i];
    args[KERNEL_ARG_RUN] = sums_args[KERNEL_ARG_RUN] = (float *)&run;
    units_in_order(rig->model->steps[0].kernel, sums_args, rig->model->steps[0].units, IN_TWO);
    units_in_order(rig->model->steps[1].kernel, args, rig->model->steps[1].units, IN_TWO);
    for (int64_t ch = 0; ch < BN_C; ch++) {
        double mean, var, n = BN_BATCH * BN_H * BN_W;
        float *result[BN_RESULTS] = {vector[6], vector[7], vector[8]};
        bn_moments(ch, &mean, &var);
        double scale = vector[2][ch] / sqrt(var + 1e-5);
        near("mean", vector[0][ch], mean, 2e-4);
        near("variance", result[0][ch], var, 1e-6);
        near("scale", result[1][ch], scale, 1e-5 * scale);
        near("shift", result[2][ch], vector[3][ch] - mean * scale, 1e-5 * mean * scale);
        if (ch == 0) {
            near("running mean", vector[4][ch], (1 - m) * old_mean + m * mean, 2e-4);
            near("running variance", vector[5][ch], (1 - m) * old_var + m * var * n / (n - 1),
                 1e-6);
        }
    }
    for (int i = 0; i < 3 + KERNEL_MAX_EXTRA; i++)
        free(vector[i]);
    free(x);
    free(partial);
}

static void statistics(Rig *rig, const char *cpu)
{
    (void)cpu;
    MapDesc m = blocked(BN_C, BN_H, BN_W);
    Kernel k = whole_kernel(rig, FAM_SUMS, m, run_map(1));
    k.slices = BN_SLICES;
    k.in_step = map_floats(m, rig->s.plan.target.vl);
    statistics_roots(rig, &k);
    suite_add(&rig->s, k);
    suite_add(&rig->s, batch_statistics(rig, m, BN_SLICES, LAYOUT_BLOCKED));
    rig_load(rig);
    check_statistics(rig, rig->s.plan.target.vl);
}

/* Sums and their conclusion together, of values that lie at 1000 and vary by 0.3: without the pivot
 * the variance would drown. */
static void test_statistics(void **state)
{
    (void)state;
    for (int i = 0; i < CPUS; i++)
        on_target(i, statistics);
}

/* p, g and two slots; everything in place, and an average beside. */
static Kernel adam_like(Rig *rig, int64_t n)
{
    Kernel k = whole_kernel(rig, FAM_UPDATE, run_map(n), run_map(n));
    ExprId p = expr_arg(&rig->s.pool, 0), g = extra(rig, &k, KARG_MAP, 0);
    ExprId m = extra(rig, &k, KARG_MAP, 0), v = extra(rig, &k, KARG_MAP, 0);
    ExprId average = extra(rig, &k, KARG_MAP, 0), clip = extra(rig, &k, KARG_SCALAR, 0);
    ExprId lr = extra(rig, &k, KARG_HYPER, 1), d = extra(rig, &k, KARG_HYPER, 3);
    g = binary(rig, EX_MUL, g, clip);
    m = binary(rig, EX_ADD, m, binary(rig, EX_MUL, binary(rig, EX_SUB, g, m), real(rig, 0.1)));
    v = binary(rig, EX_ADD, binary(rig, EX_MUL, square(rig, v), real(rig, 0.99)), square(rig, g));
    ExprId by = binary(rig, EX_ADD, expr_unary(&rig->s.pool, EX_SQRT, v), real(rig, 0.125));
    p = binary(rig, EX_SUB, p, binary(rig, EX_MUL, lr, binary(rig, EX_DIV, m, by)));
    root(&k, p, KERNEL_ARG_IN);
    root(&k, m, KERNEL_ARG_EXTRA + 1);
    root(&k, v, KERNEL_ARG_EXTRA + 2);
    root(&k, binary(rig, EX_ADD, average, binary(rig, EX_MUL, d, binary(rig, EX_SUB, p, average))),
         KERNEL_ARG_EXTRA + 3);
    return k;
}

static void updates(Rig *rig)
{
    static const int64_t n[] = {1, 3, 16, 47, 64, 4095, 4096, 20011, 70001};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
        suite_add(&rig->s, adam_like(rig, n[i]));
        Kernel k = whole_kernel(rig, FAM_UPDATE, run_map(n[i]), run_map(n[i]));
        ExprId p = expr_arg(&rig->s.pool, 0), g = extra(rig, &k, KARG_MAP, 0);
        root(&k, g, KERNEL_ARG_IN); /* exchanged: all is read before anything is stored */
        root(&k, p, KERNEL_ARG_EXTRA);
        root(&k, binary(rig, EX_ADD, p, g), KERNEL_ARG_OUT);
        suite_add(&rig->s, k);
    }
}

static void test_update(void **state)
{
    (void)state;
    on_every_target(updates, expect_update);
}

static void flat_sums(Rig *rig)
{
    static const int64_t n[] = {1, 3, 16, 47, 4096, 4097, 20011, 140003};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
        Kernel k = whole_kernel(rig, FAM_FLAT_SUMS, run_map(n[i]), run_map(1));
        root(&k, square(rig, expr_arg(&rig->s.pool, 0)), 0);
        suite_add(&rig->s, k);
        ExprId map = extra(rig, &k, KARG_MAP, 0), s = extra(rig, &k, KARG_SCALAR, 0);
        ExprId h = extra(rig, &k, KARG_HYPER, 7); /* with these, lanes past the end are not zero */
        root(&k, binary(rig, EX_ADD, square(rig, binary(rig, EX_SUB, map, s)), h), 0);
        root(&k, binary(rig, EX_DIV, h, binary(rig, EX_ADD, square(rig, map), square(rig, h))), 0);
        suite_add(&rig->s, k);
    }
}

static void test_flat_sums(void **state)
{
    (void)state;
    on_every_target(flat_sums, expect_flat_sums);
}

/* A ratio of norms, and a limit to a norm that is kept where it was. */
static void flat_finishes(Rig *rig)
{
    for (int slices = 1; slices < 400; slices = slices * 4 + 1)
        for (int terms = 2; terms <= KERNEL_MAX_ROOTS; terms += 4) {
            Kernel k = whole_kernel(rig, FAM_FLAT_FINISH, run_map(slices * terms), run_map(2));
            k.slices = slices;
            ExprId a = square(rig, expr_arg(&rig->s.pool, 0));
            ExprId b = square(rig, extra(rig, &k, KARG_TERM, terms - 1));
            ExprId s = extra(rig, &k, KARG_SCALAR, 0), h = extra(rig, &k, KARG_HYPER, 1);
            ExprId norm = expr_unary(&rig->s.pool, EX_SQRT, b);
            root(&k, expr_select_gt0(&rig->s.pool, norm, binary(rig, EX_DIV, a, norm), h),
                 KERNEL_ARG_OUT);
            root(&k, binary(rig, EX_MIN, s, norm), KERNEL_ARG_OUT);
            root(&k, binary(rig, EX_ADD, s, h), KERNEL_ARG_EXTRA + 1);
            suite_add(&rig->s, k);
        }
}

static void test_flat_finish(void **state)
{
    (void)state;
    on_every_target(flat_finishes, expect_flat_finish);
}

/* A value's own draw as p: it is just kept. */
static double draw_of(int64_t mask_key)
{
    CnnrtRun run = run_of(1);
    uint64_t key = rng_mix(rng_mix(run.seed, (uint64_t)mask_key), run.step);
    return (double)rng_uniform(rng_mix(key, 0), 0);
}

static void masks(Rig *rig)
{
    static const int64_t shape[][3] = {{16, 4, 4}, {5, 7, 3}, {33, 1, 1}, {3, 40, 1}, {20, 13, 11}};
    static const double p[] = {0.2, 0, 0.5, 0.999, 1, 0.1, 1e-9, -1};
    int vl = rig->s.plan.target.vl;
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (size_t j = 0; j < sizeof p / sizeof *p; j++) {
            MapDesc m = blocked(shape[i][0], shape[i][1], shape[i][2]);
            Kernel k = whole_kernel(rig, FAM_MASK, m, m);
            k.in_step = map_floats(m, vl) + 16;
            k.out_step = map_floats(m, vl) + 32 * (int64_t)(i % 2);
            k.mask_key = i == 0 ? INT64_C(0x7FFFFFFF12345678) : (int64_t)(i * j);
            k.p = p[j] < 0 ? draw_of(k.mask_key) : p[j];
            suite_add(&rig->s, k);
            k.per_image = true;
            k.in = k.out = blocked(m.c, 1, 1);
            k.out_step = map_floats(k.out, vl) + 16 * (int64_t)(i % 2);
            suite_add(&rig->s, k);
        }
}

static void test_masks(void **state)
{
    (void)state;
    on_every_target(masks, expect_mask);
}

/* Parts of a run are worth a thread's while, and there are many of a long one. */
static void test_units(void **state)
{
    (void)state;
    Target t = {.vl = 8};
    Kernel k = {.family = FAM_UPDATE};
    for (int64_t n = 1; n < 3000000; n = n * 5 / 4 + 1) {
        k.in = run_map(n);
        int64_t units = family_units(&k, &t);
        assert_true(units == 1 || n / units >= 4096);
        assert_true(units >= 100 || n < 1000000);
        Kernel sum = {.family = FAM_FLAT_SUMS, .in = k.in};
        units = family_units(&sum, &t);
        assert_true(units == (n > 64 * 4096 ? 64 : (n + 4095) / 4096));
    }
}

/* Loading k fails with the message. */
static void refused(Rig *rig, Kernel k, const char *message)
{
    char err[1024] = "";
    EmitOptions o = {.prefix = "rig", .net_name = "rig", .max_batch = 1, .jobs = 1};
    const void *model = NULL;
    rig->s.plan.kernels.len = rig->s.plan.steps.len = 0;
    suite_add(&rig->s, k);
    assert_null(api->load(&rig->s.plan, &o, &model, err, sizeof err));
    if (!strstr(err, message))
        fail_msg("\"%s\", not \"%s\"", err, message);
}

/* Descriptions that do not hold together end in a message. */
static void test_refused(void **state)
{
    (void)state;
    static Rig rig;
    if (setjmp(rig.s.oom.env))
        fail_msg("out of memory");
    assert_true(rig_open(&rig, 0));
    Kernel good = whole_kernel(&rig, FAM_UPDATE, run_map(40), run_map(40)), k = good;
    root(&k, expr_arg(&rig.s.pool, 1), KERNEL_ARG_IN);
    refused(&rig, k, "names an operand it does not have");
    k = good;
    extra(&rig, &k, KARG_MAP, 0);
    root(&k, expr_arg(&rig.s.pool, 0), KERNEL_ARG_EXTRA + 1);
    refused(&rig, k, "goes to an operand it does not have");
    k = good;
    root(&k, extra(&rig, &k, KARG_HYPER, CNNRT_HYPER), KERNEL_ARG_IN);
    refused(&rig, k, "takes no such operand");
    refused(&rig, good, "stores nothing");
    k = batch_gradients(&rig, blocked(5, 2, 2), 2, LAYOUT_BLOCKED);
    k.hyper[8] = 2;
    refused(&rig, k, "names a sum it does not have");
    k.in.c++;
    refused(&rig, k, "not the sums of slices");
    k = whole_kernel(&rig, FAM_SUMS, blocked(5, 2, 2), run_map(1));
    root(&k, (ExprId){0}, 0);
    refused(&rig, k, "in one slice or more");
    k = whole_kernel(&rig, FAM_FLAT_FINISH, run_map(7), run_map(1));
    k.slices = 2;
    root(&k, (ExprId){0}, 0);
    refused(&rig, k, "not the sums of parts");
    refused(&rig, whole_kernel(&rig, FAM_FLAT_SUMS, run_map(7), run_map(1)),
            "nothing is to be summed");
    k = whole_kernel(&rig, FAM_MASK, blocked(5, 2, 2), blocked(5, 2, 2));
    k.p = NAN;
    refused(&rig, k, "between 0 and 1");
    k.per_image = true;
    refused(&rig, k, "gates of 1 x 1");
    rig_close(&rig);
}

/* All of it becomes code for 64-bit Arm, too: what this machine cannot run it can still compile. */
static void test_neon_compiles(void **state)
{
    (void)state;
    static Fill *const fill[] = {sums, finishes, updates, flat_sums, flat_finishes, masks};
    static Rig rig;
    Target t = {.triple = "aarch64-unknown-linux-gnu",
                .cpu = "generic",
                .vl = 4,
                .regs = 32,
                .l1 = 64 << 10,
                .l2 = 512 << 10};
    char err[1024] = "";
    EmitResult r;
    EmitOptions o = {.prefix = "rig", .net_name = "rig", .max_batch = 1, .jobs = 2};
    if (setjmp(rig.s.oom.env))
        fail_msg("out of memory");
    suite_open(&rig.s, &t);
    for (size_t i = 0; i < sizeof fill / sizeof *fill; i++)
        fill[i](&rig);
    if (!api->emit(&rig.s.plan, EMIT_OBJECT, &o, &r, err, sizeof err))
        fail_msg("%s", err);
    for (int i = 0; i < r.count; i++) {
        assert_true(r.pieces[i].len > 20);
        assert_int_equal((unsigned char)r.pieces[i].data[18], 183); /* EM_AARCH64 */
    }
    api->emit_free(&r);
    suite_close(&rig.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),      cmocka_unit_test(test_long_sums),
        cmocka_unit_test(test_finish),    cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_update),    cmocka_unit_test(test_units),
        cmocka_unit_test(test_flat_sums), cmocka_unit_test(test_flat_finish),
        cmocka_unit_test(test_masks),     cmocka_unit_test(test_neon_compiles),
        cmocka_unit_test(test_refused),
    };
    api = suite_api();
    return cmocka_run_group_tests_name("train_sums", tests, NULL, NULL);
}
