#include "driver/measure.h"
#include "tune/trial.h"
#include <stdlib.h>

enum { SAMPLES = 256, TURNS = 2, LEAST_SAMPLES = 3, COPIES = 64 };
/* Bytes of other weights between two uses of the same: what a first-level cache does not hold, and
 * what no cache does. */
enum { NEAR_TURN = 512 << 10, FAR_TURN = 64 << 20 };
static const double glance = 5e-3, turn = 14e-3; /* seconds */
static const double near_best = 1.25;            /* times the best: worth more than a glance */

/* A trial has no inputs and outputs of a network. */
static const float *const no_in[1];
static float *const no_out[1];

/* Compiled tiles, ready to run. */
typedef struct Bench {
    Native code;
    CnnrtModel model;
    double seconds;   /* of the last run on a GPU */
    CnnrtStep *steps; /* every tile's once for each copy of the weights */
    int64_t copies, next;
    float *weights, *workspace;
    CnnrtContext *ctx;
} Bench;

static float *random_floats(int64_t count, float scale)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, ((size_t)count + 16) * sizeof(float)) != 0)
        return NULL;
    trial_fill(p, count, scale);
    return p;
}

/* The compiled model with its steps once for each copy of the weights; copies past the first follow
 * all the rest. */
static bool multiply(Bench *b, const CnnrtModel *m, int64_t weights, bool far)
{
    int64_t turn_bytes = far ? FAR_TURN : NEAR_TURN, bytes = weights * (int64_t)sizeof(float);
    b->copies = bytes > 0 ? turn_bytes / bytes + 1 : 1;
    b->copies = b->copies > COPIES ? COPIES : b->copies;
    b->model = *m;
    b->steps = calloc((size_t)(m->step_count * b->copies), sizeof *b->steps);
    if (b->steps == NULL)
        return false;
    CnnrtStep *to = b->steps;
    for (int64_t i = 0; i < m->step_count; i++)
        for (int64_t copy = 0; copy < b->copies; copy++) {
            *to = m->steps[i];
            if (copy > 0)
                to->args[KERNEL_ARG_W].offset = m->weight_floats + (copy - 1) * weights;
            to++;
        }
    b->model.steps = b->steps;
    b->model.step_count = m->step_count * b->copies;
    b->model.weight_floats = m->weight_floats + (b->copies - 1) * weights;
    return true;
}

/* Of a run. */
static int images(const Measure *m)
{
    return m->how.batch > 0 ? m->how.batch : 1;
}

static int open_bench(Bench *b, const Measure *m, Run *r, const Trial *x)
{
    EmitOptions o = {.prefix = "cnnc_trial", .net_name = "trial", .max_batch = images(m)};
    b->code = (Native){.handle = m->native->handle,
                       .api = m->native->api,
                       .host = m->native->host,
                       .plan = x->plan};
    int code = native_load_plan(&b->code, r, &o);
    if (code != EXIT_FINE)
        return code;
    b->model = *b->code.model;
    b->copies = 1;
    if (m->how.batch == 0 && !multiply(b, b->code.model, x->weights, m->how.far))
        return front_fail(r, EXIT_LIMIT, "out of memory");
    size_t bytes = cnnrt_workspace_size(&b->model, images(m), m->how.threads);
    b->weights = random_floats(b->model.weight_floats, 0.1f);
    b->workspace = bytes > 0 ? random_floats((int64_t)(bytes / sizeof(float)), 1) : NULL;
    if (b->weights == NULL || b->workspace == NULL)
        return front_fail(r, EXIT_LIMIT, "out of memory for the operands of a kernel");
    int status = cnnrt_create(&b->ctx, &b->model, b->weights, m->how.threads, b->workspace, bytes);
    if (status == CNNRT_OK)
        status = cnnrt_run_steps(b->ctx, images(m), no_in, no_out, 0, 1, NULL);
    if (status == CNNRT_OK && m->how.batch > 0)
        status = cnnrt_time_runs(b->ctx, &b->seconds);
    return status == CNNRT_OK ? EXIT_FINE : native_failure(r, &b->model, status);
}

static void close_bench(Bench *b)
{
    cnnrt_destroy(b->ctx);
    native_close(&b->code);
    free(b->weights);
    free(b->workspace);
    free(b->steps);
}

/* Seconds of `times` runs of a tile; what the first run did not complain of, none does. */
static double run(Bench *b, int tile, int64_t times)
{
    double start = front_seconds();
    for (int64_t i = 0; i < times; i++) {
        int64_t step = tile * b->copies + b->next;
        b->next = b->next + 1 < b->copies ? b->next + 1 : 0;
        (void)cnnrt_run_steps(b->ctx, 1, no_in, no_out, step, step + 1, NULL);
    }
    return front_seconds() - start;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The median of runs for about so many seconds, in microseconds; short runs are timed several at
 * once. */
static double median_us(Bench *b, int tile, double seconds)
{
    double sample[SAMPLES] = {0}, spent = 0, shortest = seconds / (double)SAMPLES;
    (void)run(b, tile, 1); /* warms the caches */
    double one = run(b, tile, 1);
    int64_t times = one > 0 ? (int64_t)(shortest / one) + 1 : 1000;
    int n = 0;
    while (n < SAMPLES && (spent < seconds || n < LEAST_SAMPLES)) {
        double s = run(b, tile, times);
        spent += s;
        sample[n++] = s / (double)times;
    }
    qsort(sample, (size_t)n, sizeof *sample, by_value);
    return 1e6 * sample[n / 2];
}

/* The same of a GPU, which times itself: of at least a few runs, in about so many seconds. A run
 * that fails makes the tile useless. */
static double device_us(Bench *b, const Measure *m, int tile, double seconds)
{
    double sample[SAMPLES], start = front_seconds();
    int n = 0;
    for (int warm = 0; warm < 2; warm++)
        if (cnnrt_run_steps(b->ctx, images(m), no_in, no_out, tile, tile + 1, NULL) != CNNRT_OK)
            return 1e12;
    while (n < SAMPLES && (n < LEAST_SAMPLES || front_seconds() - start < seconds)) {
        (void)cnnrt_run_steps(b->ctx, images(m), no_in, no_out, tile, tile + 1, NULL);
        sample[n++] = b->seconds;
    }
    qsort(sample, (size_t)n, sizeof *sample, by_value);
    return 1e6 * sample[n / 2];
}

static double time_of(Bench *b, const Measure *m, int tile, double seconds)
{
    return m->how.batch > 0 ? device_us(b, m, tile, seconds) : median_us(b, tile, seconds);
}

static void take_turns(Bench *b, const Measure *m, int count, double *us)
{
    double best = 0;
    double seen[FAMILY_CANDIDATES];
    for (int i = 0; i < count; i++) {
        seen[i] = us[i] = time_of(b, m, i, glance);
        best = i == 0 || us[i] < best ? us[i] : best;
    }
    for (int n = 0; n < TURNS; n++)
        for (int i = 0; i < count; i++) {
            if (i > 0 && seen[i] > near_best * best) /* the first is what others are held against */
                continue;
            double t = time_of(b, m, i, turn);
            us[i] = n == 0 || t < us[i] ? t : us[i];
        }
}

int measure_tiles(const Measure *m, Run *r, const Kernel *k, const Tile *tiles, int count,
                  double *us)
{
    Trial trial;
    Bench b = {0};
    Arena a;
    if (count > FAMILY_CANDIDATES)
        count = FAMILY_CANDIDATES;
    arena_init(&a, r->net_arena.oom, 0);
    const char *bad = trial_build(&trial, &a, k, m->target, tiles, count, images(m));
    int code = bad == NULL ? open_bench(&b, m, r, &trial)
                           : front_fail(r, EXIT_LIMIT, "cannot be measured: %s", bad);
    if (code == EXIT_FINE)
        take_turns(&b, m, count, us);
    close_bench(&b);
    arena_free(&a);
    return code;
}
