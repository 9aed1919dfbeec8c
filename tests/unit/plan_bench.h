/* A network from the text of its graph to a plan, with parameters, inputs and what the reference
 * says of them. */
#ifndef CNNC_TEST_PLAN_BENCH_H
#define CNNC_TEST_PLAN_BENCH_H
#include "kernel_suite.h"
#include "ref/ref.h"

enum { MAX_BATCH = 3, MOST_PORTS = 4 };

/* Weights small enough that values neither die nor explode through the layers. */
static inline const float *random_parameter(void *ctx, const char *name, const ParamSpec *spec)
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

static inline int64_t floats_of(const Bench *b, NodeId n)
{
    Shape s = b->an.shape[n.v];
    return s.c * s.h * s.w;
}

static inline float *aligned_floats(int64_t n)
{
    void *p = NULL;
    assert_int_equal(posix_memalign(&p, 64, (size_t)(n > 0 ? n : 1) * sizeof(float)), 0);
    return p;
}

static inline void read_graph(Bench *b, const char *text)
{
    const char *err = graph_read(&b->g, &b->arena, text, strlen(text));
    if (err)
        fail_msg("%s", err);
    NodeId at;
    ShapeError why;
    assert_true(analysis_run(&b->arena, &b->g, &b->an, &at, &why));
    assert_true(b->g.ins.len <= MOST_PORTS && b->g.outs.len <= MOST_PORTS);
}

static inline void run_reference(Bench *b)
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

static inline void build_plan(Bench *b, const Target *t)
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
static inline double difference(const float *got, const double *want, int64_t n)
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

static inline void bench_close(Bench *b)
{
    for (int i = 0; i < MOST_PORTS; i++) {
        free(b->in[i]);
        free(b->want[i]);
    }
    free(b->blob);
    arena_free(&b->arena);
}
#endif
