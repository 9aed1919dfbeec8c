#include "driver/bench.h"
#include "driver/train_data.h"
#include "driver/train_step.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* What a run occupies: weights, and activations of the batch. */
static int64_t footprint(const Bench *b)
{
    const Plan *p = &b->native->plan;
    return (p->weight_floats + b->batch * p->arena_floats) * (int64_t)sizeof(float);
}

static void print_json(const Bench *b, const BenchTimes *t, const Limits *l, Buf *out)
{
    const Plan *p = &b->native->plan;
    double med = t->runs[t->count / 2], flop = 2.0 * (double)b->macs * (double)b->batch;
    buf_printf(out,
               "{\"schema\":1,\"net\":\"%s\",\"batch\":%" PRId64 ",\"threads\":%d,"
               "\"runs\":%" PRId64 ",\"median_ms\":%.4f,\"min_ms\":%.4f,"
               "\"images_per_s\":%.2f,\"gflops\":%.2f,"
               "\"memory\":{\"weight_bytes\":%" PRId64 ",\"arena_bytes\":%" PRId64
               ",\"live_bytes\":%" PRId64 "}",
               b->net, b->batch, b->threads, t->count, 1e3 * med, 1e3 * t->runs[0],
               (double)b->batch / med, 1e-9 * flop / med, 4 * p->weight_floats,
               4 * b->batch * p->arena_floats, 4 * b->batch * p->live_peak);
    if (l != NULL)
        bench_layers_json(b, t, l, out);
    buf_add(out, "}\n");
}

static void print_table(const Bench *b, const BenchTimes *t, const Limits *l, Buf *out)
{
    double med = t->runs[t->count / 2], flop = 2.0 * (double)b->macs * (double)b->batch;
    if (l != NULL)
        bench_layers_table(b, t, l, out);
    buf_printf(out,
               "%s, batch %" PRId64 ", %d thread%s, %" PRId64 " runs: median %.3f ms, min "
               "%.3f ms, %.1f images/s, %.1f GFLOP/s\n",
               b->net, b->batch, b->threads, b->threads == 1 ? "" : "s", t->count, 1e3 * med,
               1e3 * t->runs[0], (double)b->batch / med, 1e-9 * flop / med);
}

static bool on_device(const Bench *b)
{
    return b->native->plan.target.kind == TARGET_CUDA;
}

/* One timed run, of a device as it times itself; a CnnrtStatus. */
static int time_run(const Bench *b, BenchTimes *t, bool layers)
{
    double device = 0, start = front_seconds();
    memset(t->last, 0, (size_t)t->step_count * sizeof *t->last);
    int status = on_device(b) && !layers ? cnnrt_time_runs(b->context, &device) : CNNRT_OK;
    if (status == CNNRT_OK)
        status = b->run(b->ctx, layers ? t->last : NULL);
    double clock = front_seconds() - start;
    for (int64_t i = 0; i < t->step_count; i++) {
        if (t->count == 0 || t->last[i] < t->steps[i])
            t->steps[i] = t->last[i];
        device += t->last[i];
    }
    t->runs[t->count++] = on_device(b) ? device : clock;
    (void)cnnrt_time_runs(b->context, NULL);
    return status;
}

static int measure(Run *r, const Bench *b, BenchTimes *t, int64_t most, int64_t repeat)
{
    enum { WARM_UP = 3, LEAST = 5 };
    bool layers = cli_has(r->cli, OPT_PER_LAYER);
    const char *form = cli_get(r->cli, OPT_FORMAT);
    int status = CNNRT_OK, code = EXIT_FINE;
    Limits limits;
    Buf out = {0};
    if (layers)
        code = limits_measure(&limits, r, b->native, b->threads, footprint(b));
    if (code != EXIT_FINE)
        return code;
    for (int i = 0; i < WARM_UP && status == CNNRT_OK; i++)
        status = b->run(b->ctx, NULL);
    double start = front_seconds();
    while (status == CNNRT_OK && t->count < most &&
           (repeat > 0 ? t->count < repeat : t->count < LEAST || front_seconds() - start < 2.0))
        status = time_run(b, t, layers);
    if (status != CNNRT_OK)
        return native_failure(r, b->native->model, status);
    qsort(t->runs, (size_t)t->count, sizeof *t->runs, by_value);
    if (form != NULL && strcmp(form, "json") == 0)
        print_json(b, t, layers ? &limits : NULL, &out);
    else
        print_table(b, t, layers ? &limits : NULL, &out);
    return front_write(r, NULL, &out);
}

int bench_measure(Run *r, const Bench *b)
{
    enum { MOST = 10000 };
    int64_t repeat;
    Buf err = {0};
    if (!cli_int(r->cli, OPT_REPEAT, 1, MOST, 0, &repeat, &err))
        return front_fail(r, EXIT_USAGE, "%s", err.at != NULL ? err.at : "out of memory");
    int64_t steps = b->native->model->step_count;
    BenchTimes t = {.runs = malloc(MOST * sizeof *t.runs),
                    .steps = calloc((size_t)steps + 1, sizeof *t.steps),
                    .last = calloc((size_t)steps + 1, sizeof *t.last),
                    .step_count = steps};
    int code = t.runs != NULL && t.steps != NULL && t.last != NULL
                   ? measure(r, b, &t, MOST, repeat)
                   : front_fail(r, EXIT_LIMIT, "out of memory");
    free(t.runs);
    free(t.steps);
    free(t.last);
    return code;
}

typedef struct TrainBench {
    TrainStep step;
    float *in[16];
    int64_t inputs;
} TrainBench;

static int run_training(void *ctx, double *step_seconds)
{
    TrainBench *b = ctx;
    float hyper[CNNRT_HYPER] = {0};
    optim_hypers(&b->step.optim, 1e-6, 10, hyper); /* too small a rate to leave the ordinary */
    int status = cnnrt_set_run(b->step.ctx, 1, 1, hyper);
    if (status != CNNRT_OK)
        return status;
    return cnnrt_run_steps(b->step.ctx, (int)b->step.batch, (const float *const *)b->in,
                           b->step.out, 0, b->step.code.model->step_count, step_seconds);
}

/* Pictures of noise; every image is of one class. */
static int fill_inputs(TrainBench *b, Run *r)
{
    const Graph *g = &b->step.graph.g;
    if (g->ins.len > sizeof b->in / sizeof *b->in)
        return front_fail(r, EXIT_LIMIT, "too many inputs");
    for (uint32_t i = 0; i < g->ins.len; i++) {
        int64_t count = shape_count(b->step.graph.shape[g->ins.at[i].node.v]);
        b->in[i] = calloc((size_t)(count * b->step.batch), sizeof(float));
        if (b->in[i] == NULL)
            return front_fail(r, EXIT_LIMIT, "out of memory");
        if (strncmp(g->ins.at[i].name, "target.", 7) != 0)
            parameters_fixture_input(i, count * b->step.batch, b->in[i]);
        else
            for (int64_t k = 0; k < b->step.batch; k++)
                b->in[i][k * count + k % count] = 1;
    }
    return EXIT_FINE;
}

int bench_training(Run *r)
{
    Net net;
    TrainSpec spec;
    TrainBench b = {0};
    Parameters p = {0};
    int64_t threads, batch;
    Buf err = {0};
    if (!cli_int(r->cli, OPT_THREADS, 0, 1024, 0, &threads, &err) ||
        !cli_int(r->cli, OPT_BATCH, 1, 65536, 0, &batch, &err))
        return front_fail(r, EXIT_USAGE, "%s", err.at != NULL ? err.at : "out of memory");
    int code = front_open(r, r->cli->operands[0], VERDICTS_SILENT, &net);
    if (code == EXIT_FINE)
        code = train_settings(r, &net, &spec);
    if (code == EXIT_FINE && batch > 0)
        spec.batch = batch;
    if (code == EXIT_FINE)
        code = train_step_open(&b.step, r, &net, &spec, (int)threads);
    if (code == EXIT_FINE)
        code = parameters_init(&p, r, &net, 1);
    if (code == EXIT_FINE)
        code = train_step_init(&b.step, r, &p);
    if (code == EXIT_FINE)
        code = fill_inputs(&b, r);
    if (code == EXIT_FINE)
        code = bench_measure(r, &(Bench){.net = net.elab->graph.name,
                                         .native = &b.step.code,
                                         .batch = spec.batch,
                                         .threads = cnnrt_threads(b.step.ctx),
                                         .macs = 3 * net.an.macs,
                                         .context = b.step.ctx,
                                         .run = run_training,
                                         .ctx = &b});
    for (size_t i = 0; i < sizeof b.in / sizeof *b.in; i++)
        free(b.in[i]);
    train_step_close(&b.step);
    parameters_close(&p);
    return code;
}
