/* run, verify, bench: compiled code in this process. */
#include "driver/bench.h"
#include "driver/commands.h"
#include "driver/inputs.h"
#include "driver/native.h"
#include "import/npy.h"
#include "ref/ref.h"
#include "support/fs.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUTS_MAX = 64 };

typedef struct Execution {
    Net net;
    Parameters params;
    Native native;
    Inputs in;
    CnnrtContext *ctx;
    float *out[OUTPUTS_MAX];
    int64_t threads;
} Execution;

static int usage_int(Run *r, Option o, int64_t lo, int64_t hi, int64_t def, int64_t *out)
{
    Buf err = {0};
    if (cli_int(r->cli, o, lo, hi, def, out, &err))
        return EXIT_FINE;
    front_fail(r, EXIT_USAGE, "%s", err.at != NULL ? err.at : "out of memory");
    buf_free(&err);
    return EXIT_USAGE;
}

static int allocate_outputs(Execution *x, Run *r)
{
    const Graph *g = &x->net.elab->graph;
    if (g->outs.len > OUTPUTS_MAX)
        return front_fail(r, EXIT_LIMIT, "more than %d heads", OUTPUTS_MAX);
    for (uint32_t i = 0; i < g->outs.len; i++) {
        int64_t count = shape_count(x->net.an.shape[g->outs.at[i].node.v]) * x->in.batch;
        x->out[i] = calloc((size_t)count, sizeof(float));
        if (x->out[i] == NULL)
            return front_fail(r, EXIT_LIMIT, "out of memory for the outputs");
    }
    return EXIT_FINE;
}

static void close_all(Execution *x)
{
    cnnrt_destroy(x->ctx);
    native_close(&x->native);
    parameters_close(&x->params);
    inputs_close(&x->in);
    for (int i = 0; i < OUTPUTS_MAX; i++)
        free(x->out[i]);
}

/* Source to a context that is ready to run. x->in must hold the inputs. */
static int prepare(Execution *x, Run *r)
{
    int code = native_plan(&x->native, r, &x->net);
    if (code == EXIT_FINE)
        code = native_pack(&x->native, r, &x->net, &x->params, NULL);
    if (code == EXIT_FINE)
        code = native_load(&x->native, r, &x->net, (int)x->in.batch);
    if (code == EXIT_FINE)
        code = allocate_outputs(x, r);
    if (code != EXIT_FINE)
        return code;
    int status = cnnrt_create(&x->ctx, x->native.model, x->native.blob, (int)x->threads, NULL, 0);
    return status == CNNRT_OK ? EXIT_FINE : native_failure(r, x->native.model, status);
}

static int run_once(Execution *x, Run *r)
{
    int status = cnnrt_run(x->ctx, (int)x->in.batch, (const float *const *)x->in.data, x->out);
    return status == CNNRT_OK ? EXIT_FINE : native_failure(r, x->native.model, status);
}

/* The n-th line of a text, without its newline; empty when there are fewer. */
static void nth_line(const char *text, int64_t n, Buf *out)
{
    while (n > 0 && *text != '\0') {
        const char *nl = strchr(text, '\n');
        if (nl == NULL)
            return;
        text = nl + 1;
        n--;
    }
    buf_addn(out, text, strcspn(text, "\r\n"));
}

/* Softmax probabilities of one image, best first. */
static void top_table(const float *v, int64_t n, int64_t top, const char *classes, Buf *out)
{
    double sum = 0, best = v[0];
    for (int64_t i = 1; i < n; i++)
        best = v[i] > best ? v[i] : best;
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)v[i] - best);
    buf_printf(out, "%4s %6s %12s %9s%s\n", "rank", "class", "logit", "softmax",
               classes ? "  name" : "");
    int64_t last = -1;
    for (int64_t k = 0; k < top && k < n; k++) {
        int64_t pick = -1;
        for (int64_t i = 0; i < n; i++) {
            bool after = true;
            if (last >= 0)
                after = v[i] < v[last] || (i > last && v[i] == v[last]);
            if (after && (pick < 0 || v[i] > v[pick]))
                pick = i;
        }
        if (pick < 0)
            break;
        buf_printf(out, "%4" PRId64 " %6" PRId64 " %12.5f %8.3f%%", k + 1, pick, (double)v[pick],
                   100 * exp((double)v[pick] - best) / sum);
        if (classes != NULL) {
            buf_add(out, "  ");
            nth_line(classes, pick, out);
        }
        buf_addc(out, '\n');
        last = pick;
    }
}

static int write_npy(Run *r, const Execution *x, const char *path, uint32_t head)
{
    const Graph *g = &x->net.elab->graph;
    Shape s = x->net.an.shape[g->outs.at[head].node.v];
    int64_t dims[4] = {x->in.batch, s.c, s.h, s.w};
    const char *err;
    if (npy_write(path, x->out[head], dims, s.flat ? 2 : 4, &err))
        return EXIT_FINE;
    return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
}

/* --output FILE (the primary head) or HEAD=FILE. */
static int write_outputs(Run *r, const Execution *x)
{
    const Graph *g = &x->net.elab->graph;
    for (int i = 0; i < r->cli->value_count; i++) {
        const char *text = r->cli->values[i].text;
        if (r->cli->values[i].option != OPT_OUTPUT)
            continue;
        const char *eq = strchr(text, '=');
        uint32_t head = g->outs.len - 1;
        if (eq != NULL) {
            size_t n = (size_t)(eq - text);
            for (head = 0; head < g->outs.len; head++)
                if (strlen(g->outs.at[head].name) == n &&
                    memcmp(g->outs.at[head].name, text, n) == 0)
                    break;
            if (head == g->outs.len)
                return front_fail(r, EXIT_USAGE, "'%s' has no head '%.*s'", g->name, (int)n, text);
            text = eq + 1;
        }
        int code = write_npy(r, x, text, head);
        if (code != EXIT_FINE)
            return code;
    }
    return EXIT_FINE;
}

static int print_classes(Run *r, const Execution *x)
{
    const Graph *g = &x->net.elab->graph;
    uint32_t head = g->outs.len - 1;
    int64_t n = shape_count(x->net.an.shape[g->outs.at[head].node.v]), top;
    const char *path = cli_get(r->cli, OPT_CLASSES), *err;
    char *file = NULL;
    size_t len;
    int code = usage_int(r, OPT_TOP, 1, 1 << 20, 5, &top);
    if (code != EXIT_FINE)
        return code;
    if (path != NULL && (file = fs_read(path, 1 << 26, &len, &err)) == NULL)
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    Buf out = {0};
    const char *classes = file != NULL ? file : parameters_classes(&x->params);
    for (int64_t i = 0; i < x->in.batch; i++)
        top_table(x->out[head] + i * n, n, top, classes, &out);
    free(file);
    return front_write(r, NULL, &out);
}

int command_run(Run *r)
{
    Execution x = {0};
    int code = usage_int(r, OPT_THREADS, 0, 1024, 0, &x.threads);
    if (code == EXIT_FINE)
        code = front_open(r, r->cli->operands[0], VERDICTS_REPORT, &x.net);
    if (code == EXIT_FINE)
        code = parameters_open(&x.params, r, &x.net, true);
    if (code == EXIT_FINE)
        code = inputs_open(&x.in, r, &x.net);
    if (code == EXIT_FINE)
        code = prepare(&x, r);
    double t = front_seconds();
    if (code == EXIT_FINE)
        code = run_once(&x, r);
    stage_time(r, "run", t);
    if (code == EXIT_FINE)
        code = write_outputs(r, &x);
    if (code == EXIT_FINE && (x.in.picture || !cli_has(r->cli, OPT_OUTPUT)))
        code = print_classes(r, &x);
    close_all(&x);
    return code;
}

/* Largest difference, and largest value of the reference, over one head. */
static void compare(const float *got, const double *want, int64_t n, double *err, double *scale)
{
    *err = *scale = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - want[i]);
        /* a NaN is as far off as can be */
        *err = d > *err || d != d ? (d != d ? INFINITY : d) : *err;
        *scale = fabs(want[i]) > *scale ? fabs(want[i]) : *scale;
    }
}

typedef struct Progress {
    Run *r;
    uint32_t total;
    double start;
} Progress;

static bool show_progress(void *ctx, NodeId node, const RefTensor *value)
{
    Progress *p = ctx;
    (void)value;
    if (!p->r->quiet && p->r->colour_err) {
        double part = (double)node.v / p->total, spent = front_seconds() - p->start;
        fprintf(stderr, "\rreference interpreter %3.0f %%, %4.0f s left ", 100 * part,
                part > 0 ? spent / part - spent : 0);
    }
    return true;
}

static int compare_heads(Run *r, Execution *x, double *const *want, double tolerance)
{
    const Graph *g = &x->net.elab->graph;
    Buf out = {0};
    bool good = true;
    buf_printf(&out, "%-20s %12s %12s %12s  %s\n", "output", "largest", "error", "relative",
               "verdict");
    for (uint32_t i = 0; i < g->outs.len; i++) {
        double err, scale;
        int64_t n = shape_count(x->net.an.shape[g->outs.at[i].node.v]) * x->in.batch;
        compare(x->out[i], want[i], n, &err, &scale);
        double rel = scale > 0 ? err / scale : err;
        bool ok = rel <= tolerance;
        buf_printf(&out, "%-20s %12.5g %12.3g %12.3g  %s\n", g->outs.at[i].name, scale, err, rel,
                   ok ? "agrees" : "DIFFERS");
        good = good && ok;
    }
    int code = front_write(r, NULL, &out);
    return code != EXIT_FINE ? code : good ? EXIT_FINE : EXIT_REFUSED;
}

int command_verify(Run *r)
{
    Execution x = {0};
    int64_t batch = 1, seed = 1;
    double tolerance = dtype_info[native_dtype(r)].error;
    const char *tol = cli_get(r->cli, OPT_TOLERANCE), *err = NULL;
    char *end;
    if (tol != NULL && ((tolerance = strtod(tol, &end)) <= 0 || *end != '\0'))
        return front_fail(r, EXIT_USAGE, "--tolerance takes a positive number, not '%s'", tol);
    int code = usage_int(r, OPT_THREADS, 0, 1024, 0, &x.threads);
    if (code == EXIT_FINE)
        code = usage_int(r, OPT_BATCH, 1, 256, 1, &batch);
    if (code == EXIT_FINE)
        code = usage_int(r, OPT_SEED, 0, INT64_MAX, 1, &seed);
    if (code == EXIT_FINE)
        code = front_open(r, r->cli->operands[0], VERDICTS_REPORT, &x.net);
    if (code == EXIT_FINE)
        code = parameters_open(&x.params, r, &x.net, false);
    if (code == EXIT_FINE)
        code = inputs_fixture(&x.in, r, &x.net, batch, (uint64_t)seed);
    if (code == EXIT_FINE)
        code = prepare(&x, r);
    if (code == EXIT_FINE)
        code = run_once(&x, r);
    if (code == EXIT_FINE) {
        double *want[OUTPUTS_MAX] = {0};
        Progress p = {r, x.net.elab->graph.nodes.len, front_seconds()};
        RefRun ref = {.g = &x.net.elab->graph,
                      .shape = x.net.an.shape,
                      .params = parameters_source(&x.params),
                      .batch = batch,
                      .after = show_progress,
                      .after_ctx = &p};
        double t = front_seconds();
        if (!ref_run(&ref, (const float *const *)x.in.data, want, &err))
            code = front_fail(r, front_blame(EXIT_INTERNAL, err), "reference interpreter: %s", err);
        if (!r->quiet && r->colour_err)
            fputs("\r\x1b[K", stderr);
        stage_time(r, "reference interpreter", t);
        if (code == EXIT_FINE)
            code = compare_heads(r, &x, want, tolerance);
        for (int i = 0; i < OUTPUTS_MAX; i++)
            free(want[i]);
    }
    close_all(&x);
    return code;
}

static int run_for_bench(void *ctx, double *step_seconds)
{
    Execution *x = ctx;
    return cnnrt_profile(x->ctx, (int)x->in.batch, (const float *const *)x->in.data, x->out,
                         step_seconds);
}

int command_bench(Run *r)
{
    Execution x = {0};
    int64_t batch = 1, seed = 1;
    if (cli_has(r->cli, OPT_DATA) && cli_has(r->cli, OPT_TRAIN))
        return front_fail(r, EXIT_USAGE,
                          "--train and --data exclude each other: the step, or the "
                          "pictures for it");
    if (cli_has(r->cli, OPT_DATA))
        return bench_data(r);
    if (cli_has(r->cli, OPT_TRAIN))
        return bench_training(r);
    int code = usage_int(r, OPT_THREADS, 0, 1024, 0, &x.threads);
    if (code == EXIT_FINE)
        code = usage_int(r, OPT_BATCH, 1, 4096, 1, &batch);
    if (code == EXIT_FINE)
        code = usage_int(r, OPT_SEED, 0, INT64_MAX, 1, &seed);
    if (code == EXIT_FINE)
        code = front_open(r, r->cli->operands[0], VERDICTS_REPORT, &x.net);
    if (code == EXIT_FINE)
        code = parameters_open(&x.params, r, &x.net, false);
    if (code == EXIT_FINE)
        code = inputs_fixture(&x.in, r, &x.net, batch, (uint64_t)seed);
    if (code == EXIT_FINE)
        code = prepare(&x, r);
    if (code == EXIT_FINE)
        code = bench_measure(r, &(Bench){.net = x.net.elab->graph.name,
                                         .native = &x.native,
                                         .batch = batch,
                                         .threads = cnnrt_threads(x.ctx),
                                         .macs = x.net.an.macs,
                                         .context = x.ctx,
                                         .run = run_for_bench,
                                         .ctx = &x});
    close_all(&x);
    return code;
}
