/* Training graphs compiled for GPUs, and run on the emulator on random inputs: every head, loss,
 * gradient and running statistic against the reference in double. */
#include "cuda_device.h"
#include "grad_cases.h"
#include "kernel_suite.h"
#include "plan/plan.h"

enum { DRAWS = 2, TRIES = 400 };

static const CodegenApi *api;

typedef struct Compiled {
    Analysis an;
    Fusion fusion;
    Plan plan;
    CudaDevice device;
} Compiled;

static void compile(Compiled *c, Built *b, const Target *t, const char *what)
{
    char err[1024] = "";
    grad_analysis(&b->t, &arena, &b->an, &c->an);
    fuse_run(&c->fusion, &arena, &c->an);
    const char *bad = fuse_verify(&c->fusion);
    if (bad == NULL)
        bad = plan_build_training(&c->plan, &arena, &c->an, &c->fusion, t, &b->t, NULL);
    if (bad == NULL)
        bad = plan_verify(&c->plan);
    if (bad != NULL)
        fail_msg("%s\n%s", bad, what);
    c->device = (CudaDevice){.p = &c->plan, .code = cuda_load(api, &c->plan, err, sizeof err)};
    if (c->device.code == NULL)
        fail_msg("%s\n%s", err, what);
}

static float *fill_state(const Compiled *c, const Built *b)
{
    const Plan *p = &c->plan;
    float *state = NULL;
    assert_int_equal(posix_memalign((void **)&state, 64, (size_t)p->weight_floats * sizeof *state),
                     0);
    memset(state, 0, (size_t)p->weight_floats * sizeof *state);
    for (uint32_t i = 0; i < p->state.params.len; i++) {
        const PlanParam *q = &p->state.params.at[i];
        ParamSpec spec[PARAM_MAX];
        params_of(&b->t.g, q->node, b->t.shape, spec);
        memcpy(state + q->offset, get_param(NULL, q->name, &spec[q->which]),
               (size_t)q->floats * sizeof *state);
    }
    return state;
}

typedef struct Worst {
    double error;
    int values;
} Worst;

static void compare(Worst *w, const float *got, const double *want, int64_t n, const char *name,
                    const char *what)
{
    double scale = 0.02; /* a bias before a normalisation has no gradient but rounding */
    for (int64_t i = 0; i < n; i++)
        scale = fmax(scale, fabs(want[i]));
    for (int64_t i = 0; i < n; i++) {
        double error = fabs((double)got[i] - want[i]) / scale;
        w->error = fmax(w->error, error);
        w->values++;
        if (!(error < 2e-4))
            fail_msg("%s[%d]: %g, not %g\n%s", name, (int)i, (double)got[i], want[i], what);
    }
}

/* A tenth of the way from where they were to those of the batch; the variance unbiased. */
static void check_statistics(Worst *w, const Compiled *c, const Built *b, const float *state,
                             double **want, const char *what)
{
    for (uint32_t i = 0; i < c->plan.state.params.len; i++) {
        const PlanParam *q = &c->plan.state.params.at[i];
        ParamSpec spec[PARAM_MAX];
        params_of(&b->t.g, q->node, b->t.shape, spec);
        bool mean = strcmp(spec[q->which].suffix, "running_mean") == 0;
        if (q->trained)
            continue;
        NodeId x = graph_in(&b->t.g, q->node, 0);
        double n = (double)(b->batch * b->t.shape[x.v].h * b->t.shape[x.v].w), moved[64];
        const float *old = get_param(NULL, q->name, &spec[q->which]);
        for (uint32_t k = 0; k < b->t.stats.len; k++)
            for (int64_t ch = 0; b->t.stats.at[k].bn.v == q->node.v && ch < q->floats; ch++)
                moved[ch] =
                    0.9 * old[ch] + 0.1 * want[2 * k + !mean][ch] * (mean ? 1 : n / fmax(n - 1, 1));
        compare(w, state + q->offset, moved, q->floats, q->name, what);
    }
}

/* What the reference computes, before the outputs were cut down to heads and losses. */
static void check_run(Worst *w, Compiled *c, const Built *b, double **want, const char *what)
{
    float *initial = fill_state(c, b);
    uint32_t shown = b->t.g.outs.len;
    CudaDevice *d = &c->device;
    CnnrtRun run = {.batch = b->batch, .seed = 5, .step = 3};
    char err[512];
    simt_buffer(&run, sizeof run);
    d->run = &run;
    cuda_device_open(d, (int)b->batch, initial, (const float *const *)b->in);
    free(initial);
    if (!cuda_device_run(d, err, sizeof err))
        fail_msg("%s\n%s", err, what);
    simt_buffer_gone(&run);
    assert_true(cuda_clean(what));
    const float *state = d->weights;
    for (uint32_t i = 0; i < shown; i++)
        compare(w, d->out[i], want[i], b->batch * shape_count(b->t.shape[b->t.g.outs.at[i].node.v]),
                b->t.g.outs.at[i].name, what);
    const PlanState *s = &c->plan.state;
    for (uint32_t i = 0; i < b->t.params.len; i++)
        for (uint32_t k = 0; k < s->params.len; k++)
            if (s->params.at[k].node.v == b->t.params.at[i].node.v &&
                s->params.at[k].which == b->t.params.at[i].which)
                compare(w, state + s->grad + s->params.at[k].offset, want[shown + i],
                        s->params.at[k].floats, s->params.at[k].name, what);
    check_statistics(w, c, b, state, want + shown + b->t.params.len, what);
    cuda_device_close(d);
}

static void try_body(Worst *w, const char *body, const Target *t)
{
    int done = 0;
    for (int tries = 0; done < DRAWS && tries < TRIES; tries++) {
        Built b = {0};
        Compiled c = {0};
        if (!build(&b, body, tries % 2 ? LOSS_BINARY : LOSS_CROSS_ENTROPY))
            continue;
        uint32_t outs = b.t.g.outs.len;
        double **want = run(&b);
        compile(&c, &b, t, body);
        check_run(w, &c, &b, want, body);
        simt_unload(c.device.code);
        for (uint32_t i = 0; i < outs; i++)
            free(want[i]);
        free(want);
        unbuild(&b);
        done++;
    }
    assert_int_equal(done, DRAWS);
}

static void test_gradients(void **state)
{
    (void)state;
    const char *only = getenv("CNNC_TEST_BODY");
    char err[256];
    Target t;
    Worst w = {0};
    assert_true(api->target("sm_70", &t, err, sizeof err));
    for (int i = 0; i < BODIES; i++)
        if (only == NULL || atoi(only) == i)
            try_body(&w, bodies[i], &t);
    printf("%d values, worst error %.1e of the largest\n", w.values, w.error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gradients, arena_up, arena_down),
    };
    api = suite_api();
    if (api == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
