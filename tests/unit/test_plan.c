/* From the text of a graph to a running network: fused, planned, compiled, loaded and run on
 * several batches and teams, against the reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernel_suite.h"
#include "plan_nets.h"
#include "plan_random.h"
#include "ref/ref.h"

enum { MAX_BATCH = 3, MOST_PORTS = 4 };

static const CodegenApi *api;

/* Weights small enough that values neither die nor explode through the layers. */
static const float *random_parameter(void *ctx, const char *name, const ParamSpec *spec)
{
    Arena *a = ctx;
    int64_t n = param_count(spec), fan = 1;
    for (int i = 1; i < spec->ndim; i++)
        fan *= spec->dims[i];
    float *data = arena_new_n(a, float, (size_t)n);
    bool variance = strcmp(spec->suffix, "running_var") == 0;
    bool weight = spec->ndim > 1;
    float reach = weight ? 1.7f / sqrtf((float)fan) : 0.3f;
    fill_random(data, (size_t)n, name, variance ? 0.5f : -reach, variance ? 1.5f : reach);
    if (!weight && !variance && strcmp(spec->suffix, "weight") == 0)
        for (int64_t i = 0; i < n; i++)
            data[i] += 1;
    return data;
}

typedef struct Bench {
    OomHandler oom;
    Arena arena;
    Graph g;
    Analysis an;
    Fusion fusion;
    Plan plan;
    float *blob;
    int64_t in_floats[MOST_PORTS], out_floats[MOST_PORTS]; /* per image */
    float *in[MOST_PORTS];
    double *want[MOST_PORTS];
    double tolerance; /* relative to the largest value of an output */
} Bench;

static int64_t floats_of(const Bench *b, NodeId n)
{
    Shape s = b->an.shape[n.v];
    return s.c * s.h * s.w;
}

static float *aligned_floats(int64_t n)
{
    void *p = NULL;
    assert_int_equal(posix_memalign(&p, 64, (size_t)(n > 0 ? n : 1) * sizeof(float)), 0);
    return p;
}

static void read_graph(Bench *b, const char *text)
{
    const char *err = graph_read(&b->g, &b->arena, text, strlen(text));
    if (err)
        fail_msg("%s", err);
    NodeId at;
    ShapeError why;
    assert_true(analysis_run(&b->arena, &b->g, &b->an, &at, &why));
    assert_true(b->g.ins.len <= MOST_PORTS && b->g.outs.len <= MOST_PORTS);
}

static void run_reference(Bench *b)
{
    const char *err = NULL;
    for (uint32_t i = 0; i < b->g.ins.len; i++) {
        b->in_floats[i] = floats_of(b, b->g.ins.at[i].node);
        b->in[i] = aligned_floats(b->in_floats[i] * MAX_BATCH);
        fill_random(b->in[i], (size_t)(b->in_floats[i] * MAX_BATCH), b->g.ins.at[i].name, -1, 1);
    }
    for (uint32_t i = 0; i < b->g.outs.len; i++)
        b->out_floats[i] = floats_of(b, b->g.outs.at[i].node);
    RefRun r = {.g = &b->g,
                .shape = b->an.shape,
                .params = {.get = random_parameter, .ctx = &b->arena},
                .batch = MAX_BATCH};
    if (!ref_run(&r, (const float *const *)b->in, b->want, &err))
        fail_msg("reference: %s", err);
}

static void build_plan(Bench *b, const Target *t)
{
    fuse_run(&b->fusion, &b->arena, &b->an);
    const char *bad = fuse_verify(&b->fusion);
    if (bad)
        fail_msg("fusion: %s", bad);
    bad = plan_build(&b->plan, &b->arena, &b->an, &b->fusion, t);
    bad = bad ? bad : plan_verify(&b->plan);
    if (bad)
        fail_msg("plan: %s", bad);
    b->blob = aligned_floats(b->plan.weight_floats);
    bad =
        plan_pack(&b->plan, &(ParamSource){.get = random_parameter, .ctx = &b->arena}, 1, b->blob);
    if (bad)
        fail_msg("no value for %s", bad);
    if (getenv("CNNC_TEST_VERBOSE")) {
        Buf text = {0};
        plan_print(&b->plan, &text);
        fprintf(stderr, "%s", text.at ? text.at : "");
        buf_free(&text);
    }
}

/* The largest difference relative to the largest value of the output. */
static double difference(const float *got, const double *want, int64_t n)
{
    double top = 1e-30, worst = 0;
    for (int64_t i = 0; i < n; i++)
        top = fmax(top, fabs(want[i]));
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - want[i]);
        worst = d >= worst || isnan(d) ? d : worst;
        if (isnan(d))
            return INFINITY;
    }
    return worst / top;
}

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

static void bench_close(Bench *b)
{
    for (int i = 0; i < MOST_PORTS; i++) {
        free(b->in[i]);
        free(b->want[i]);
    }
    free(b->blob);
    arena_free(&b->arena);
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
    api->unload(code);
    bench_close(&b);
    return failures;
}

static void test_net(void **state)
{
    static const char *const cpus[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2", "native"};
    const PlanNet *net = *state;
    int ran = 0, failures = 0;
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
    struct CMUnitTest tests[PLAN_NETS + 1];
    api = suite_api();
    for (int i = 0; i < PLAN_NETS; i++)
        tests[i] = (struct CMUnitTest){.name = plan_nets[i].name,
                                       .test_func = test_net,
                                       .initial_state = (void *)&plan_nets[i]};
    tests[PLAN_NETS] = (struct CMUnitTest){.name = "random nets", .test_func = test_random_nets};
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
