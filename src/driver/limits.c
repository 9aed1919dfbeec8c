#include "driver/limits.h"
#include "tune/limits.h"
#include "tune/trial.h"
#include <stdlib.h>

static const double spend = 0.1; /* seconds for each limit */
enum { LEAST_TIMES = 5 };

static const float *const no_in[1];
static float *const no_out[1];

/* Work in a second at the best time. */
static double best_rate(CnnrtContext *ctx, Limit step, double work)
{
    double best = 0, start = front_seconds();
    for (int n = 0; n < LEAST_TIMES || front_seconds() - start < spend; n++) {
        double t = front_seconds();
        (void)cnnrt_run_steps(ctx, 1, no_in, no_out, step, step + 1, NULL);
        t = front_seconds() - t;
        best = best == 0 || t < best ? t : best;
    }
    return best > 0 ? work / best : 0;
}

static int measure(Limits *l, Run *r, const LimitsPlan *x, const CnnrtModel *m, int threads)
{
    CnnrtContext *ctx = NULL;
    void *workspace = NULL;
    size_t len = cnnrt_workspace_size(m, 1, threads);
    if (posix_memalign(&workspace, 64, len) != 0)
        return front_fail(r, EXIT_LIMIT, "out of memory for measuring the machine's limits");
    /* no pages of zeros that are all the same one, and no denormal numbers */
    trial_fill(workspace, (int64_t)(len / sizeof(float)), 1);
    int status = cnnrt_create(&ctx, m, NULL, threads, workspace, len);
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
    if (status == CNNRT_OK)
        return EXIT_FINE;
    return front_fail(r, status == CNNRT_NO_MEMORY ? EXIT_LIMIT : EXIT_FILE, "%s",
                      cnnrt_strerror(status));
}

int limits_measure(Limits *l, Run *r, const Native *x, int threads, int64_t bytes)
{
    LimitsPlan plan;
    EmitOptions o = {.prefix = "cnnc_limits", .net_name = "limits", .max_batch = 1};
    const void *model = NULL;
    char err[512] = "";
    limits_build(&plan, &r->net_arena, &x->plan.target, bytes);
    Loaded *code = x->api->load(&plan.plan, &o, &model, err, sizeof err);
    if (code == NULL)
        return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
    int status = measure(l, r, &plan, model, threads);
    x->api->unload(code);
    return status;
}
