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

static void print_layers(const Bench *b, const double *seconds, int64_t runs, Buf *out)
{
    double total = 0;
    for (int64_t i = 0; i < b->model->step_count; i++)
        total += seconds[i];
    buf_printf(out, "%-28s %10s %7s %9s\n", "step", "us", "share", "GFLOP/s");
    for (int64_t i = 0; i < b->model->step_count; i++) {
        const CnnrtStep *step = &b->model->steps[i];
        double s = seconds[i] / (double)runs;
        buf_printf(out, "%-28s %10.1f %6.1f%%", step->name, 1e6 * s, 100 * seconds[i] / total);
        if (step->macs > 0)
            buf_printf(out, " %9.1f", 2e-9 * (double)(step->macs * b->batch) / (s > 0 ? s : 1e-9));
        buf_addc(out, '\n');
    }
}

static void print_times(Run *r, const Bench *b, const double *t, int64_t n, Buf *out)
{
    const char *f = cli_get(r->cli, OPT_FORMAT);
    double med = t[n / 2], flop = 2.0 * (double)b->macs * (double)b->batch;
    if (f != NULL && strcmp(f, "json") == 0)
        buf_printf(out,
                   "{\"schema\":1,\"net\":\"%s\",\"batch\":%" PRId64 ",\"threads\":%d,"
                   "\"runs\":%" PRId64 ",\"median_ms\":%.4f,\"min_ms\":%.4f,"
                   "\"images_per_s\":%.2f,\"gflops\":%.2f}\n",
                   b->net, b->batch, b->threads, n, 1e3 * med, 1e3 * t[0], (double)b->batch / med,
                   1e-9 * flop / med);
    else
        buf_printf(out,
                   "%s, batch %" PRId64 ", %d thread%s, %" PRId64 " runs: median %.3f ms, min "
                   "%.3f ms, %.1f images/s, %.1f GFLOP/s\n",
                   b->net, b->batch, b->threads, b->threads == 1 ? "" : "s", n, 1e3 * med,
                   1e3 * t[0], (double)b->batch / med, 1e-9 * flop / med);
}

static int measure(Run *r, const Bench *b, double *t, double *steps, int64_t most, int64_t repeat)
{
    enum { WARM_UP = 3, LEAST = 5 };
    bool layers = cli_has(r->cli, OPT_PER_LAYER);
    int64_t n = 0;
    int status = CNNRT_OK;
    Buf out = {0};
    for (int i = 0; i < WARM_UP && status == CNNRT_OK; i++)
        status = b->run(b->ctx, NULL);
    double start = front_seconds();
    while (status == CNNRT_OK && n < most &&
           (repeat > 0 ? n < repeat : n < LEAST || front_seconds() - start < 2.0)) {
        double t0 = front_seconds();
        status = b->run(b->ctx, layers ? steps : NULL);
        t[n++] = front_seconds() - t0;
    }
    if (status != CNNRT_OK)
        return front_fail(r, status == CNNRT_NO_MEMORY ? EXIT_LIMIT : EXIT_FILE, "%s",
                          cnnrt_strerror(status));
    qsort(t, (size_t)n, sizeof *t, by_value);
    if (layers)
        print_layers(b, steps, n, &out);
    print_times(r, b, t, n, &out);
    return front_write(r, NULL, &out);
}

int bench_measure(Run *r, const Bench *b)
{
    enum { MOST = 10000 };
    int64_t repeat;
    Buf err = {0};
    if (!cli_int(r->cli, OPT_REPEAT, 1, MOST, 0, &repeat, &err))
        return front_fail(r, EXIT_USAGE, "%s", err.at != NULL ? err.at : "out of memory");
    double *t = malloc(MOST * sizeof *t);
    double *steps = calloc((size_t)b->model->step_count + 1, sizeof *steps);
    int code = t != NULL && steps != NULL ? measure(r, b, t, steps, MOST, repeat)
                                          : front_fail(r, EXIT_LIMIT, "out of memory");
    free(t);
    free(steps);
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
                                         .model = b.step.code.model,
                                         .batch = spec.batch,
                                         .threads = cnnrt_threads(b.step.ctx),
                                         .macs = 3 * net.an.macs,
                                         .run = run_training,
                                         .ctx = &b});
    for (size_t i = 0; i < sizeof b.in / sizeof *b.in; i++)
        free(b.in[i]);
    train_step_close(&b.step);
    parameters_close(&p);
    return code;
}
