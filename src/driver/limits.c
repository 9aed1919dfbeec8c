#include "driver/limits.h"
#include "tune/limits.h"
#include "tune/trial.h"
#include <stdlib.h>

static const double spend = 0.1; /* seconds for each limit */
enum { LEAST_TIMES = 5 };

static const float *const no_in[1];
static float *const no_out[1];

/* Work in a second at the best time; once is enough where that takes longer than all should. */
static double best_rate(CnnrtContext *ctx, Limit step, double work)
{
    double best = 0, t = 0, start = front_seconds();
    (void)cnnrt_time_runs(ctx, &t);
    for (int n = 0; n < LEAST_TIMES || front_seconds() - start < spend; n++) {
        if (cnnrt_run_steps(ctx, 1, no_in, no_out, step, step + 1, NULL) != CNNRT_OK)
            return 0;
        best = best == 0 || t < best ? t : best;
        if (front_seconds() - start > (double)LEAST_TIMES * spend)
            break;
    }
    return best > 0 ? work / best : 0;
}

/* No pages of zeros that are all the same one, and no denormal numbers. */
static float *filled(size_t bytes)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, bytes + 64) != 0)
        return NULL;
    trial_fill(p, (int64_t)(bytes / sizeof(float)), 1);
    return p;
}

static int measure(Limits *l, Run *r, const LimitsPlan *x, const CnnrtModel *m, int threads)
{
    CnnrtContext *ctx = NULL;
    size_t len = cnnrt_workspace_size(m, 1, threads);
    float *workspace = filled(len), *weights = filled((size_t)m->weight_floats * sizeof(float));
    if (workspace == NULL || weights == NULL) {
        free(workspace);
        free(weights);
        return front_fail(r, EXIT_LIMIT, "out of memory for measuring the machine's limits");
    }
    int status = cnnrt_create(&ctx, m, weights, threads, workspace, len);
    if (status == CNNRT_OK) {
        double read, copy;
        l->flops = best_rate(ctx, LIMIT_PEAK, x->work[LIMIT_PEAK]);
        read = best_rate(ctx, LIMIT_READ, x->work[LIMIT_READ]);
        copy = best_rate(ctx, LIMIT_COPY, x->work[LIMIT_COPY]);
        l->bytes = read > copy ? read : copy;
        l->over = (int64_t)x->work[LIMIT_READ];
    }
    cnnrt_destroy(ctx);
    free(workspace);
    free(weights);
    if (status == CNNRT_OK)
        return EXIT_FINE;
    return native_failure(r, m, status);
}

int limits_measure(Limits *l, Run *r, const Native *x, int threads, int64_t bytes)
{
    LimitsPlan plan;
    EmitOptions o = {.prefix = "cnnc_limits", .net_name = "limits", .max_batch = 1};
    Native own = {.handle = x->handle, .api = x->api, .host = x->host};
    limits_build(&plan, &r->net_arena, &x->plan.target, bytes);
    own.plan = plan.plan;
    int code = native_load_plan(&own, r, &o);
    if (code == EXIT_FINE)
        code = measure(l, r, &plan, own.model, threads);
    native_close(&own);
    return code;
}
