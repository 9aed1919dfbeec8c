/* Optimizers over several steps, against what PyTorch computes and against each update written down
 * as it was published. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "optim_fixture.h"
#include "optim_run.h"
#include <stdio.h>
#include <string.h>

#define LR 0.05

static Arena arena;
static OomHandler oom;
static ExprPool pool;

static int open_pool(void **state)
{
    (void)state;
    arena_init(&arena, &oom, 0);
    expr_init(&pool, &arena);
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void near(const char *what, int step, int at, double got, double want)
{
    if (!(fabs(got - want) <= 2e-6 * (0.1 + fabs(want))))
        fail_msg("%s, step %d, value %d: %.12g, not %.12g", what, step, at, got, want);
}

static const struct {
    const char *name;
    OptimSpec spec;
} runs[] = {
    {"sgd", {.kind = OPTIM_SGD, .momentum = 0.9, .decay = 0.01}},
    {"sgd_plain", {.kind = OPTIM_SGD}},
    {"sgd_nesterov", {.kind = OPTIM_SGD, .momentum = 0.8, .decay = 0.02, .nesterov = true}},
    {"sgd_clipped", {.kind = OPTIM_SGD, .momentum = 0.9, .max_norm = 1.5}},
    {"adam", {.kind = OPTIM_ADAM, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .decay = 0.03}},
    {"adamw", {.kind = OPTIM_ADAMW, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6, .decay = 0.1}},
    {"rmsprop", {.kind = OPTIM_RMSPROP, .alpha = 0.9, .eps = 1e-3, .decay = 0.02}},
    {"rmsprop_momentum", {.kind = OPTIM_RMSPROP, .alpha = 0.9, .eps = 1e-3, .momentum = 0.7}},
};
enum { RUNS = sizeof runs / sizeof *runs };

static const double start[FIXTURE_COUNT] = {0.5, -1.25, 2.0, 0.03125};

static OptimParam four_values(bool decays)
{
    OptimParam x = {.n = FIXTURE_COUNT, .decays = decays};
    memcpy(x.p, start, sizeof start);
    return x;
}

/* Gradients of `count` parameters: the same values, the i-th parameter's i + 1 times as large. */
static void set_gradients(OptimParam *x, int count, int step, double times)
{
    for (int i = 0; i < count; i++)
        for (int at = 0; at < x[i].n; at++)
            x[i].g[at] = times * (i + 1) * test_gradient(step, at);
}

static void test_pytorch(void **state)
{
    (void)state;
    assert_int_equal(RUNS, sizeof fixtures / sizeof *fixtures);
    for (int i = 0; i < RUNS; i++) {
        OptimParam x = four_values(true);
        assert_string_equal(runs[i].name, fixtures[i].name);
        assert_null(optim_check(&runs[i].spec));
        optim_start(&runs[i].spec, &pool, &x, 1);
        for (int step = 0; step < FIXTURE_STEPS; step++) {
            set_gradients(&x, 1, step, 1);
            optim_step(&runs[i].spec, &pool, &x, 1, LR, step);
            for (int at = 0; at < FIXTURE_COUNT; at++)
                near(runs[i].name, step, at, x.p[at], fixtures[i].p[step][at]);
        }
    }
}

/* timm's RMSpropTF: square_avg starts at one, eps under the root, the rate inside the momentum. */
static void rmsprop_tf(const OptimSpec *s, double p[FIXTURE_COUNT], int steps)
{
    double square_avg[FIXTURE_COUNT], buf[FIXTURE_COUNT] = {0};
    for (int at = 0; at < FIXTURE_COUNT; at++)
        square_avg[at] = 1;
    for (int step = 0; step < steps; step++)
        for (int at = 0; at < FIXTURE_COUNT; at++) {
            double grad = test_gradient(step, at) + s->decay * p[at];
            square_avg[at] += (grad * grad - square_avg[at]) * (1 - s->alpha);
            double avg = sqrt(square_avg[at] + s->eps);
            buf[at] = s->momentum * buf[at] + LR * grad / avg;
            p[at] -= s->momentum > 0 ? buf[at] : LR * grad / avg;
        }
}

static void test_rmsprop_tf(void **state)
{
    (void)state;
    for (int momentum = 0; momentum < 2; momentum++) {
        OptimSpec s = {.kind = OPTIM_RMSPROP, .tf = true, .alpha = 0.9, .eps = 0.001};
        s.momentum = 0.9 * momentum;
        s.decay = 0.01;
        OptimParam x = four_values(true);
        optim_start(&s, &pool, &x, 1);
        for (int step = 0; step < 6; step++) {
            double want[FIXTURE_COUNT];
            memcpy(want, start, sizeof want);
            set_gradients(&x, 1, step, 1);
            optim_step(&s, &pool, &x, 1, LR, step);
            rmsprop_tf(&s, want, step + 1);
            for (int at = 0; at < FIXTURE_COUNT; at++)
                near("rmsprop_tf", step, at, x.p[at], want[at]);
        }
    }
}

enum { LAMB_PARAMS = 3 };

static double norm(const double *v, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += v[i] * v[i];
    return sqrt(sum);
}

/* You et al. 2020, algorithm 2, with the clipping of timm's Lamb: what p is after `steps`,
 * and how many of them were clipped. */
static int lamb(const OptimSpec *s, double p[LAMB_PARAMS][FIXTURE_COUNT],
                const bool decays[LAMB_PARAMS], int steps)
{
    double m[LAMB_PARAMS][FIXTURE_COUNT] = {0}, v[LAMB_PARAMS][FIXTURE_COUNT] = {0};
    int clipped = 0;
    for (int t = 1; t <= steps; t++) {
        double g[LAMB_PARAMS][FIXTURE_COUNT];
        for (int i = 0; i < LAMB_PARAMS; i++)
            for (int at = 0; at < FIXTURE_COUNT; at++)
                g[i][at] = (i + 1) * test_gradient(t - 1, at);
        double all = norm(g[0], LAMB_PARAMS * FIXTURE_COUNT);
        double clip = s->max_norm > 0 && all > s->max_norm ? all / s->max_norm : 1;
        clipped += clip > 1;
        for (int i = 0; i < LAMB_PARAMS; i++) {
            double u[FIXTURE_COUNT], decay = decays[i] ? s->decay : 0;
            for (int at = 0; at < FIXTURE_COUNT; at++) {
                double grad = g[i][at] / clip;
                m[i][at] = s->beta1 * m[i][at] + (1 - s->beta1) * grad;
                v[i][at] = s->beta2 * v[i][at] + (1 - s->beta2) * grad * grad;
                double mhat = m[i][at] / (1 - pow(s->beta1, t));
                double vhat = v[i][at] / (1 - pow(s->beta2, t));
                u[at] = mhat / (sqrt(vhat) + s->eps) + decay * p[i][at];
            }
            double of_p = norm(p[i], FIXTURE_COUNT), of_u = norm(u, FIXTURE_COUNT);
            double ratio = decay > 0 && of_p > 0 && of_u > 0 ? of_p / of_u : 1;
            for (int at = 0; at < FIXTURE_COUNT; at++)
                p[i][at] -= LR * ratio * u[at];
        }
    }
    return clipped;
}

/* Also that so many of the five steps are clipped. */
static void check_lamb(double max_norm, int least, int most)
{
    static const bool decays[LAMB_PARAMS] = {true, false, true};
    OptimSpec s = {.kind = OPTIM_LAMB, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .decay = 0.02};
    OptimParam x[LAMB_PARAMS];
    s.max_norm = max_norm;
    assert_null(optim_check(&s));
    for (int i = 0; i < LAMB_PARAMS; i++)
        x[i] = four_values(decays[i]);
    memset(x[2].p, 0, sizeof x[2].p); /* no norm: the ratio is 1 in the first step */
    optim_start(&s, &pool, x, LAMB_PARAMS);
    assert_int_equal(x[0].program.has_clip, max_norm > 0);
    for (int step = 0; step < 5; step++) {
        double want[LAMB_PARAMS][FIXTURE_COUNT] = {{0}};
        memcpy(want[0], start, sizeof start);
        memcpy(want[1], start, sizeof start);
        set_gradients(x, LAMB_PARAMS, step, 1);
        optim_step(&s, &pool, x, LAMB_PARAMS, LR, step);
        int clipped = lamb(&s, want, decays, step + 1);
        assert_true(step < 4 || (clipped >= least && clipped <= most));
        for (int i = 0; i < LAMB_PARAMS; i++)
            for (int at = 0; at < FIXTURE_COUNT; at++)
                near("lamb", step, i * FIXTURE_COUNT + at, x[i].p[at], want[i][at]);
    }
}

static void test_lamb(void **state)
{
    (void)state;
    check_lamb(0, 0, 0);
    check_lamb(1, 5, 5);
    check_lamb(10, 1, 4);
}

/* A parameter without decay is treated as if the optimizer had none. */
static void test_spared(void **state)
{
    (void)state;
    for (int i = 0; i < RUNS; i++) {
        OptimSpec none = runs[i].spec;
        OptimParam spared = four_values(false), plain = four_values(true);
        none.decay = 0;
        optim_start(&runs[i].spec, &pool, &spared, 1);
        optim_start(&none, &pool, &plain, 1);
        for (int step = 0; step < 3; step++) {
            set_gradients(&spared, 1, step, 1);
            set_gradients(&plain, 1, step, 1);
            optim_step(&runs[i].spec, &pool, &spared, 1, LR, step);
            optim_step(&none, &pool, &plain, 1, LR, step);
            assert_memory_equal(spared.p, plain.p, sizeof plain.p);
        }
    }
}

/* Three gradients added up, told apart from their mean by nothing but the constant: the same
 * steps, clipped or not. */
static void test_accumulated(void **state)
{
    (void)state;
    for (int i = 0; i < RUNS; i++) {
        OptimSpec many = runs[i].spec;
        OptimParam sum[2] = {four_values(true), four_values(true)};
        OptimParam mean[2] = {four_values(true), four_values(true)};
        many.accumulate = 3;
        optim_start(&many, &pool, sum, 2);
        optim_start(&runs[i].spec, &pool, mean, 2);
        for (int step = 0; step < 4; step++) {
            set_gradients(sum, 2, step, 3);
            set_gradients(mean, 2, step, 1);
            optim_step(&many, &pool, sum, 2, LR, step);
            optim_step(&runs[i].spec, &pool, mean, 2, LR, step);
            for (int at = 0; at < 2 * FIXTURE_COUNT; at++)
                near(runs[i].name, step, at, sum[at / FIXTURE_COUNT].p[at % FIXTURE_COUNT],
                     mean[at / FIXTURE_COUNT].p[at % FIXTURE_COUNT]);
        }
    }
}

/* One step of two parameters with gradients `times` as large and a rate that makes up for it. */
static void check_clip(double most, double times)
{
    OptimSpec s = {.kind = OPTIM_SGD, .max_norm = most};
    OptimParam x[2] = {four_values(true), four_values(true)};
    double square = 0, lr = LR / times;
    optim_start(&s, &pool, x, 2);
    set_gradients(x, 2, 0, times);
    for (int i = 0; i < 2; i++)
        square += pow(norm(x[i].g, FIXTURE_COUNT), 2);
    double factor = most / (sqrt(square) + 1e-6);
    if (factor > 1)
        factor = 1;
    optim_step(&s, &pool, x, 2, lr, 0);
    for (int i = 0; i < 2; i++)
        for (int at = 0; at < FIXTURE_COUNT; at++)
            near("clip", 0, at, x[i].p[at],
                 start[at] - LR * factor * (i + 1) * test_gradient(0, at));
}

/* The norm of all gradients counts, not that of each parameter. */
static void test_clip(void **state)
{
    (void)state;
    check_clip(2, 1);
    check_clip(1e3, 1);
    check_clip(1e-6, 1e-6); /* where what is added to the norm shows */
}

/* The running mean follows the new values, of every optimizer. */
static void test_average(void **state)
{
    (void)state;
    for (int i = 0; i <= RUNS; i++) {
        OptimSpec s = {.kind = OPTIM_LAMB, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .decay = 0.02};
        OptimParam x = four_values(true), alone = four_values(true);
        double want[FIXTURE_COUNT];
        if (i < RUNS)
            s = runs[i].spec;
        optim_start(&s, &pool, &alone, 1);
        s.average = 0.875;
        optim_start(&s, &pool, &x, 1);
        memcpy(want, start, sizeof want);
        for (int step = 0; step < 4; step++) {
            set_gradients(&x, 1, step, 1);
            set_gradients(&alone, 1, step, 1);
            optim_step(&s, &pool, &x, 1, LR, step);
            optim_step(&s, &pool, &alone, 1, LR, step);
            assert_memory_equal(x.p, alone.p, sizeof x.p);
            for (int at = 0; at < FIXTURE_COUNT; at++) {
                want[at] = 0.875 * want[at] + 0.125 * x.p[at];
                near("average", step, at, x.mean[at], want[at]);
            }
        }
    }
}

/* Values that are not trained follow, too. */
static void test_average_alone(void **state)
{
    (void)state;
    OptimSpec s = {.kind = OPTIM_SGD, .average = 0.75};
    OptimParam x = four_values(true);
    OptimPass pass;
    OptimStep step = {0};
    optim_hypers(&s, LR, 0, step.hyper);
    optim_average(&pool, &pass);
    optim_pass(&pool, &pass, &x, &step);
    for (int at = 0; at < FIXTURE_COUNT; at++) {
        near("mean", 0, at, x.mean[at], 0.25 * start[at]);
        near("value", 0, at, x.p[at], start[at]);
    }
}

static void test_hypers(void **state)
{
    (void)state;
    float h[OPTIM_HYPERS];
    OptimSpec s = {.kind = OPTIM_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .average = 0.9999};
    s.accumulate = 4;
    optim_hypers(&s, 0.125, 0, h);
    near("rate", 0, 0, h[OPTIM_LR], 0.125);
    near("first", 0, 0, h[OPTIM_BIAS1], 10);
    near("second", 0, 0, h[OPTIM_BIAS2], sqrt(1000));
    near("scale", 0, 0, h[OPTIM_SCALE], 0.25);
    near("share", 0, 0, h[OPTIM_AVERAGE] * 1e4, 1);
    optim_hypers(&s, 0.125, 1000000, h);
    near("first", 0, 0, h[OPTIM_BIAS1], 1);
    near("second", 0, 0, h[OPTIM_BIAS2], 1);
}

static void test_table(void **state)
{
    (void)state;
    for (int k = 0; k < OPTIM_KINDS; k++) {
        assert_int_equal(optim_find(optim_name[k]), k);
        assert_true(strlen(optim_doc[k]) > 0);
    }
    assert_int_equal(optim_find("sg"), OPTIM_KINDS);
}

/* Each constant out of its range is refused by name; a fit neighbour is not. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        OptimSpec bad;
        const char *part;
    } rows[] = {
        {{.kind = OPTIM_KINDS}, "no such"},
        {{.kind = OPTIM_SGD, .momentum = 1}, "momentum"},
        {{.kind = OPTIM_SGD, .nesterov = true}, "nesterov"},
        {{.kind = OPTIM_SGD, .decay = -1}, "decay"},
        {{.kind = OPTIM_SGD, .max_norm = NAN}, "norm"},
        {{.kind = OPTIM_SGD, .average = 1}, "mean"},
        {{.kind = OPTIM_SGD, .accumulate = -1}, "batch"},
        {{.kind = OPTIM_ADAM, .beta1 = 0.9, .beta2 = 1, .eps = 1}, "beta2"},
        {{.kind = OPTIM_ADAMW, .beta1 = 0.9, .beta2 = 0.9}, "eps"},
        {{.kind = OPTIM_RMSPROP, .alpha = -0.1, .eps = 1}, "alpha"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *said = optim_check(&rows[i].bad);
        assert_non_null(said);
        if (!strstr(said, rows[i].part))
            fail_msg("\"%s\" does not name %s", said, rows[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pytorch),     cmocka_unit_test(test_rmsprop_tf),
        cmocka_unit_test(test_lamb),        cmocka_unit_test(test_spared),
        cmocka_unit_test(test_accumulated), cmocka_unit_test(test_clip),
        cmocka_unit_test(test_average),     cmocka_unit_test(test_average_alone),
        cmocka_unit_test(test_hypers),      cmocka_unit_test(test_table),
        cmocka_unit_test(test_refused),
    };
    if (setjmp(oom.env)) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    return cmocka_run_group_tests_name("optim", tests, open_pool, close_pool);
}
