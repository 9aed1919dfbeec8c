/* From the text of a graph to a running network: fused, planned, compiled, loaded and run on
 * several batches and teams, against the reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_bench.h"
#include "plan_nets.h"
#include "plan_random.h"

static const CodegenApi *api;
/* Kernels that fetch weights ahead, in all plans so far. */
static int fetching;

/* One batch: values near the reference, the bits those of `first` (filled by the first run). */
static int run_batch(Bench *b, CnnrtContext *c, int batch, float **first, const char *what)
{
    Guarded out[MOST_PORTS];
    float *at[MOST_PORTS];
    int failures = 0;
    for (uint32_t i = 0; i < b->g.outs.len; i++) {
        out[i] = guarded_new((size_t)(b->out_floats[i] * batch), AGAINST_END);
        assert_non_null(out[i].at);
        at[i] = out[i].at;
    }
    assert_int_equal(cnnrt_run(c, batch, (const float *const *)b->in, at), CNNRT_OK);
    for (uint32_t i = 0; i < b->g.outs.len; i++) {
        int64_t n = b->out_floats[i] * batch;
        double worst = difference(at[i], b->want[i], n);
        if (worst > b->tolerance) {
            fprintf(stderr, "# %s, batch %d: output %u is off by %g\n", what, batch, i, worst);
            failures++;
        }
        if (!first[i]) {
            first[i] = aligned_floats(n);
            memcpy(first[i], at[i], (size_t)n * sizeof(float));
        } else if (memcmp(first[i], at[i], (size_t)n * sizeof(float)) != 0) {
            fprintf(stderr, "# %s, batch %d: output %u has other bits\n", what, batch, i);
            failures++;
        }
        if (!guarded_intact(&out[i])) {
            fprintf(stderr, "# %s, batch %d: wrote past output %u\n", what, batch, i);
            failures++;
        }
        guarded_free(&out[i]);
    }
    return failures;
}

static int run_model(Bench *b, const CnnrtModel *m, const char *what)
{
    int failures = 0;
    float *first[MOST_PORTS] = {0};
    for (int threads = 1; threads <= 2; threads++) {
        CnnrtContext *c = NULL;
        size_t bytes = cnnrt_workspace_size(m, MAX_BATCH, threads);
        Guarded space = guarded_new(bytes / 4 + 16, AGAINST_START);
        for (size_t i = 0; i < space.floats; i++)
            space.at[i] = (float)NAN; /* what nothing has written spoils what reads it */
        assert_int_equal(cnnrt_create(&c, m, b->blob, threads, space.at, bytes), CNNRT_OK);
        for (int batch = MAX_BATCH; batch >= 1; batch--)
            failures += run_batch(b, c, batch, first, what);
        cnnrt_destroy(c);
        guarded_free(&space);
    }
    for (int i = 0; i < MOST_PORTS; i++)
        free(first[i]);
    return failures;
}

static int check_net(const PlanNet *net, const Target *t, double tolerance)
{
    static Bench b;
    char err[1024] = "", what[200];
    b = (Bench){.tolerance = tolerance};
    if (setjmp(b.oom.env))
        fail_msg("out of memory");
    arena_init(&b.arena, &b.oom, 0);
    snprintf(what, sizeof what, "%s on %s", net->name, t->cpu);
    read_graph(&b, net->text);
    run_reference(&b);
    build_plan(&b, t);
    EmitOptions o = {.prefix = "net", .net_name = net->name, .max_batch = MAX_BATCH, .jobs = 2};
    const void *model = NULL;
    Loaded *code = api->load(&b.plan, &o, &model, err, sizeof err);
    if (!code)
        fail_msg("%s: %s", what, err);
    int failures = run_model(&b, model, what);
    for (uint32_t i = 0; i < b.plan.kernels.len; i++)
        fetching += b.plan.kernels.at[i].k.fetch > 0;
    api->unload(code);
    bench_close(&b);
    return failures;
}

static void test_net(void **state)
{
    static const char *const cpus[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2", "native"};
    const PlanNet *net = *state;
    int ran = 0, failures = 0, before = fetching;
    assert_non_null(api);
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        Target t;
        char err[1024];
        if (!suite_runs_here(cpus[i]) || (ran > 0 && strcmp(cpus[i], "native") == 0))
            continue;
        assert_true(api->target(cpus[i], &t, err, sizeof err));
        failures += check_net(net, &t, 2e-5);
        ran++;
    }
    assert_int_equal(failures, 0);
    if (!ran)
        skip();
    if (strcmp(net->name, "weights fetched ahead") == 0)
        assert_true(fetching > before);
}

/* Chains of normalisations of nearly equal values magnify rounding: only what is plainly wrong
 * counts here. */
static void test_random_nets(void **state)
{
    (void)state;
    enum { SEEDS = 60 };
    static const char *const cpus[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2", "native"};
    const char *few = getenv("CNNC_TEST_SEEDS");
    int failures = 0, seeds = few ? atoi(few) : SEEDS;
    assert_non_null(api);
    for (int seed = 0; seed < seeds; seed++) {
        RandomNet r;
        Target t;
        char name[32], err[1024];
        const char *cpu = cpus[seed % 3];
        if (!suite_runs_here(cpu))
            cpu = "native";
        assert_true(api->target(cpu, &t, err, sizeof err));
        random_net(&r, (uint64_t)seed);
        assert_true(buf_ok(&r.text));
        snprintf(name, sizeof name, "random net %d", seed);
        PlanNet net = {name, r.text.at};
        int bad = check_net(&net, &t, 1e-3);
        if (bad)
            fprintf(stderr, "%s", r.text.at);
        failures += bad;
        buf_free(&r.text);
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    api = suite_api();
    return plan_nets_run("plan", test_net, test_random_nets);
}
