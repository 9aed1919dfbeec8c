/* Training graphs compiled, and run on random inputs: every head, loss, gradient and running
 * statistic against the reference in double; with recomputation the same bits. */
#include "cnnrt.h"
#include "train_check.h"
#include "kernel_suite.h"
#include "plan/recompute.h"

enum { DRAWS = 4, TRIES = 400, BATCH_MOST = 3 };

static const CodegenApi *api;

typedef struct Compiled {
    Analysis an;
    Fusion fusion;
    Plan plan;
    Loaded *code;
    const CnnrtModel *model;
    float *state;
} Compiled;

static void make_plan(Compiled *c, Built *b, const Target *t, PlanRecompute recompute,
                      const char *what)
{
    grad_analysis(&b->t, &arena, &b->an, &c->an);
    fuse_run(&c->fusion, &arena, &c->an);
    const char *bad = fuse_verify(&c->fusion);
    if (bad == NULL)
        bad = plan_build_training(&c->plan, &arena, &c->an, &c->fusion, t, &b->t, NULL);
    if (bad == NULL)
        plan_recompute(&c->plan, recompute);
    if (bad == NULL)
        bad = plan_verify(&c->plan);
    if (bad != NULL)
        fail_msg("%s\n%s", bad, what);
}

static void compile(Compiled *c, const char *what)
{
    char err[1024] = "";
    const void *model = NULL;
    EmitOptions o = {.prefix = "t", .net_name = "t", .max_batch = BATCH_MOST, .jobs = 2};
    c->code = api->load(&c->plan, &o, &model, err, sizeof err);
    if (c->code == NULL)
        fail_msg("%s\n%s", err, what);
    c->model = model;
}

static int repeated_steps; /* of recomputation */

static void check_run(Worst *w, const Compiled *c, const Built *b, double **want, const char *what)
{
    float *state = first_state(&c->plan, b), *out[8];
    uint32_t shown = b->t.g.outs.len;
    CnnrtContext *ctx = NULL;
    for (uint32_t i = 0; i < shown; i++)
        out[i] = malloc(sizeof(float) *
                        (size_t)(b->batch * shape_count(b->t.shape[b->t.g.outs.at[i].node.v])));
    assert_int_equal(cnnrt_create(&ctx, c->model, state, 2, NULL, 0), CNNRT_OK);
    cnnrt_set_run(ctx, 5, 3, NULL);
    assert_int_equal(cnnrt_run(ctx, (int)b->batch, (const float *const *)b->in, out), CNNRT_OK);
    check_results(w, &c->plan, b, out, state, want, what);
    cnnrt_destroy(ctx);
    for (uint32_t i = 0; i < shown; i++)
        free(out[i]);
    free(state);
}

/* One run: the state after it, and heads and losses one after the other behind it. */
static float *state_after(const Compiled *c, const Built *b, int64_t *floats)
{
    const Plan *p = &c->plan;
    float *state = first_state(&c->plan, b), *out[8];
    int64_t kept = p->state.grad + p->state.trained;
    CnnrtContext *ctx = NULL;
    *floats = kept;
    for (uint32_t i = 0; i < b->t.g.outs.len; i++)
        *floats += b->batch * shape_count(b->t.shape[b->t.g.outs.at[i].node.v]);
    float *all = malloc((size_t)*floats * sizeof *all), *at = all + kept;
    for (uint32_t i = 0; i < b->t.g.outs.len; i++) {
        out[i] = at;
        at += b->batch * shape_count(b->t.shape[b->t.g.outs.at[i].node.v]);
    }
    assert_int_equal(cnnrt_create(&ctx, c->model, state, 2, NULL, 0), CNNRT_OK);
    cnnrt_set_run(ctx, 5, 3, NULL);
    assert_int_equal(cnnrt_run(ctx, (int)b->batch, (const float *const *)b->in, out), CNNRT_OK);
    cnnrt_destroy(ctx);
    memcpy(all, state, (size_t)kept * sizeof *all);
    free(state);
    return all;
}

/* A step that repeats something else than it says is found. */
static void check_verifier(Plan *p, uint32_t step)
{
    PlanStep *s = &p->steps.at[step];
    const PlanStep kept = *s;
    assert_null(plan_verify(p));
    s->repeats = step + 1;
    assert_non_null(plan_verify(p));
    *s = kept;
    for (int arg = KERNEL_ARG_IN; arg < KERNEL_ARG_SCRATCH; arg++)
        if (s->args[arg].space == SPACE_WEIGHTS) {
            s->args[arg].offset = p->state.grad; /* which the backward pass writes */
            assert_non_null(plan_verify(p));
            *s = kept;
        }
    assert_null(plan_verify(p));
}

static void check_recomputed(const Compiled *plain, Built *b, const Target *t, PlanRecompute level,
                             const char *what)
{
    Compiled c = {0};
    int64_t floats, same;
    int repeated = 0;
    make_plan(&c, b, t, level, what);
    assert_true(c.plan.arena_floats <= plain->plan.arena_floats);
    assert_int_equal(c.plan.plain_floats, plain->plan.arena_floats);
    for (uint32_t i = 0; i < c.plan.steps.len; i++) {
        if (c.plan.steps.at[i].repeats != 0 && repeated++ == 0)
            check_verifier(&c.plan, i);
        if (level == RECOMPUTE_CHEAP && c.plan.steps.at[i].repeats != 0)
            assert_int_equal(c.plan.steps.at[i].macs, 0);
    }
    repeated_steps += repeated;
    if (repeated == 0)
        return;
    compile(&c, what);
    float *want = state_after(plain, b, &floats), *got = state_after(&c, b, &same);
    assert_int_equal(floats, same);
    if (memcmp(want, got, (size_t)floats * sizeof *want) != 0)
        fail_msg("recomputation changes the results\n%s", what);
    api->unload(c.code);
    free(want);
    free(got);
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
        make_plan(&c, &b, t, RECOMPUTE_NONE, body);
        compile(&c, body);
        check_run(w, &c, &b, want, body);
        for (int level = RECOMPUTE_CHEAP; done == 0 && level <= RECOMPUTE_ALL; level++)
            check_recomputed(&c, &b, t, (PlanRecompute)level, body);
        api->unload(c.code);
        for (uint32_t i = 0; i < outs; i++)
            free(want[i]);
        free(want);
        unbuild(&b);
        done++;
    }
    assert_int_equal(done, DRAWS);
}

static void test_compiled_gradients(void **state)
{
    static const char *const cpus[] = {"native", "x86-64-v3", "x86-64-v2"};
    (void)state;
    const char *only = getenv("CNNC_TEST_BODY");
    for (size_t k = 0; k < sizeof cpus / sizeof *cpus; k++) {
        char err[256];
        Target t;
        if (!suite_runs_here(cpus[k]) || !api->target(cpus[k], &t, err, sizeof err))
            continue;
        Worst w = {0};
        repeated_steps = 0;
        for (int i = 0; i < BODIES; i++)
            if (only == NULL || atoi(only) == i)
                try_body(&w, bodies[i], &t);
        printf("%s: %d values, worst error %.1e of the largest; %d steps repeated\n", cpus[k],
               w.values, w.error, repeated_steps);
        assert_true(only != NULL || repeated_steps > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_compiled_gradients, arena_up, arena_down),
    };
    api = suite_api();
    if (api == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
