/* Training graphs: every gradient against central differences of the loss, in double, over random
 * attributes and over small nets of the shapes that architectures are made of. */
#include "grad_cases.h"

enum { DRAWS = 8, PROBES = 24, TRIES = 400 };

/* The loss alone: outputs after the losses are not asked for. */
static double loss_of(Built *b)
{
    uint32_t all = b->t.g.outs.len, heads = b->g.outs.len;
    b->t.g.outs.len = heads + b->t.losses.len;
    double **out = run(b), sum = 0;
    for (uint32_t i = heads; i < b->t.g.outs.len; i++)
        for (int64_t n = 0; n < b->batch; n++)
            sum += out[i][n] / (double)b->batch;
    drop(b, out);
    b->t.g.outs.len = all;
    return sum;
}

/* Differences at two distances; where they disagree there is a kink between, and NAN. */
static double difference(Built *b, float *at)
{
    double slope[3];
    float old = *at;
    for (int i = 0; i < 3; i++) {
        float h = 0x1p-9f / (float)(1 << i);
        *at = old + h;
        double above = loss_of(b), high = *at;
        *at = old - h;
        slope[i] = (above - loss_of(b)) / (high - *at);
        *at = old;
    }
    /* Richardson's extrapolation takes off the second and the fourth order */
    double coarse = (4 * slope[1] - slope[0]) / 3, fine = (4 * slope[2] - slope[1]) / 3;
    double scale = fabs(fine) + 1e-3;
    return fabs(coarse - fine) > 1e-6 * scale ? NAN : (16 * fine - coarse) / 15;
}

typedef struct Tally {
    int checked, kinks;
    double worst;
} Tally;

static void check_parameter(Built *b, const ParamGrad *g, const double *grad, Tally *t,
                            const char *what)
{
    ParamSpec spec[PARAM_MAX];
    params_of(&b->t.g, g->node, b->t.shape, spec);
    Buf name = {0};
    buf_printf(&name, "%s.%s", graph_node(&b->t.g, g->node)->name, spec[g->which].suffix);
    float *data = (float *)(uintptr_t)get_param(NULL, name.at, &spec[g->which]);
    int64_t count = param_count(&spec[g->which]);
    for (int i = 0; i < PROBES && i < count; i++) {
        int64_t k = count <= PROBES ? i : draw(0, count - 1);
        double want = difference(b, &data[k]);
        t->checked++;
        if (isnan(want)) {
            t->kinks++;
            continue;
        }
        double error = fabs(grad[k] - want) / (fabs(want) + 1e-2);
        t->worst = error > t->worst ? error : t->worst;
        if (!(error < 1e-6))
            fail_msg("%s: %s[%d]: %.12g, differences give %.12g\n%s", b->g.name, name.at, (int)k,
                     grad[k], want, what);
    }
    buf_free(&name);
}

static void check_gradients(Built *b, Tally *t, const char *what)
{
    double **out = run(b);
    uint32_t first = b->g.outs.len + b->t.losses.len;
    for (uint32_t i = 0; i < b->t.params.len; i++)
        check_parameter(b, &b->t.params.at[i], out[first + i], t, what);
    drop(b, out);
}

static void test_gradients_are_differences(void **state)
{
    Tally t = {0};
    (void)state;
    for (int i = 0; i < BODIES; i++) {
        int done = 0;
        for (int tries = 0; done < DRAWS && tries < TRIES; tries++) {
            Built b = {0};
            if (!build(&b, bodies[i], tries % 2 ? LOSS_BINARY : LOSS_CROSS_ENTROPY))
                continue;
            check_gradients(&b, &t, bodies[i]);
            unbuild(&b);
            done++;
        }
        if (done < DRAWS)
            fail_msg("too few graphs from\n%s", bodies[i]);
    }
    printf("%d gradients of %d graphs, worst relative error %.1e, %d at a kink\n", t.checked,
           BODIES * DRAWS, t.worst, t.kinks);
    assert_true(t.kinks * 20 < t.checked);
}

/* Every operator that the language knows is in some body. */
static void test_no_operator_is_left_out(void **state)
{
    (void)state;
    for (int op = OP_NONE + 1; op < OP_COUNT; op++) {
        char call[64];
        bool found = (op_info[op].flags & OPF_INTERNAL) != 0;
        snprintf(call, sizeof call, "= %s(", op_info[op].name);
        for (int i = 0; i < BODIES; i++)
            found |= strstr(bodies[i], call) != NULL;
        if (!found)
            fail_msg("%s", op_info[op].name);
    }
}

/* Masks are functions of seed, step and place; half of the values of p = 0.5 are dropped, the mean
 * stays. */
static void test_masks_are_reproducible(void **state)
{
    (void)state;
    Graph g;
    TrainGraph t;
    Analysis an;
    NodeId at;
    ShapeError err;
    const char *text = "graph \"g\"\n%1 = input() c=8 h=16 w=16 : \"x\"\n%2 = dropout(%1) p=0.5 : "
                       "\"d\"\n%3 = drop_path(%2) p=0.5 : \"e\"\n%4 = dense(%3) c=1 : \"f\"\nin "
                       "\"x\" %1\nout \"a\" %2 from %2\nout \"b\" %3 from %3\nout \"y\" %4 from %4 "
                       "primary\n";
    assert_null(graph_read(&g, &arena, text, strlen(text)));
    assert_true(analysis_run(&arena, &g, &an, &at, &err));
    assert_null(grad_build(&t, &arena, &an, &(TrainLoss){LOSS_SQUARED, 2, 1, 0}, 1));
    enum { BATCH = 64, COUNT = 8 * 16 * 16 };
    static float x[BATCH * COUNT], target[BATCH * COUNT];
    for (int i = 0; i < BATCH * COUNT; i++)
        x[i] = 1;
    Built b = {.g = g, .t = t, .batch = BATCH, .in = {x, target}};
    double **first = run(&b), **again = run(&b);
    int kept = 0, images = 0;
    for (int n = 0; n < BATCH; n++) {
        int left = 0;
        for (int i = n * COUNT; i < (n + 1) * COUNT; i++) {
            assert_true(first[0][i] == 0 || first[0][i] == 2);
            assert_true(first[0][i] == again[0][i]);
            assert_true(first[1][i] == 0 || first[1][i] == 2 * first[0][i]);
            kept += first[0][i] != 0;
            left += first[1][i] != 0;
        }
        images += left > 0;
    }
    assert_in_range(kept, BATCH * COUNT * 48 / 100, BATCH * COUNT * 52 / 100);
    assert_in_range(images, BATCH / 4, BATCH * 3 / 4);
    drop(&b, first);
    drop(&b, again);
    forget_params();
}

/* A head that no parameter reaches has no gradient, and no loss makes no step. */
static void test_what_cannot_be_trained_is_refused(void **state)
{
    (void)state;
    Graph g;
    TrainGraph t;
    Analysis an;
    NodeId at;
    ShapeError err;
    const char *text = "graph \"g\"\n%1 = input() c=2 h=2 w=2 : \"x\"\n%2 = relu(%1) : \"r\"\nin "
                       "\"x\" %1\nout \"y\" %2 from %2 primary\n";
    assert_null(graph_read(&g, &arena, text, strlen(text)));
    assert_true(analysis_run(&arena, &g, &an, &at, &err));
    const char *bad = grad_build(&t, &arena, &an, &(TrainLoss){LOSS_SQUARED, 0, 1, 0}, 1);
    assert_non_null(bad);
    assert_non_null(strstr(bad, "'y'"));
    assert_non_null(grad_build(&t, &arena, &an, NULL, 0));
}

/* The text of a training graph reads back as the same graph. */
static void test_training_graphs_have_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < BODIES; i++) {
        Built b = {0};
        while (!build(&b, bodies[i], LOSS_CROSS_ENTROPY))
            ;
        Buf text = {0}, again = {0};
        Graph g;
        graph_print(&b.t.g, &text);
        const char *bad = graph_read(&g, &arena, text.at, text.len);
        if (bad != NULL)
            fail_msg("%s\n%s", bad, text.at);
        graph_print(&g, &again);
        assert_string_equal(text.at, again.at);
        assert_null(graph_verify(&g));
        buf_free(&text);
        buf_free(&again);
        unbuild(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gradients_are_differences, arena_up, arena_down),
        cmocka_unit_test(test_no_operator_is_left_out),
        cmocka_unit_test_setup_teardown(test_masks_are_reproducible, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_trained_is_refused, arena_up,
                                        arena_down),
        cmocka_unit_test_setup_teardown(test_training_graphs_have_a_text, arena_up, arena_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
