/* Contexts: what a model needs to run, checked; the walk over its steps is walk.c's, or a device's.
 */
#define _GNU_SOURCE
#include "cnnrt.h"
#include "big.h"
#include "context.h"
#include "cpu.h"
#include "pool.h"
#include "walk.h"
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = CNNRT_ALIGN, MAX_THREADS = 1024 };

struct CnnrtContext {
    const CnnrtModel *model;
    const float *weights;
    float *workspace;
    size_t workspace_len;
    bool own_workspace;
    Pool *pool;   /* NULL on a device */
    void *device; /* of model->code->backend; NULL on the processor */
    bool behind;  /* a training run has changed the device's copy of the weights */
    atomic_flag busy;
    CnnrtRun run;
    double *whole_seconds; /* cnnrt_time_runs */
};

size_t cnnrt_workspace_size(const CnnrtModel *m, int batch, int threads)
{
    if (m == NULL || batch < 1 || batch > m->max_batch || threads < 0 || threads > MAX_THREADS)
        return 0;
    if (m->code != NULL) /* a device has its own */
        return ALIGN;
    if (threads == 0)
        threads = cnnrt_pool_default_threads();
    int64_t floats, scratch;
    if (m->arena_floats < 0 || m->arena_floats > INT64_MAX / 8 || m->scratch_floats < 0 ||
        m->scratch_floats > INT64_MAX / 8)
        return 0;
    if (__builtin_mul_overflow(cnnrt_round_line(m->arena_floats), (int64_t)batch, &floats) ||
        __builtin_mul_overflow(cnnrt_round_line(m->scratch_floats), (int64_t)threads, &scratch) ||
        __builtin_add_overflow(floats, scratch, &floats) || floats > INT64_MAX / 8)
        return 0;
    return (size_t)floats * sizeof(float) + ALIGN;
}

static int check_model(const CnnrtModel *m, const float *weights, int threads)
{
    if (m == NULL || threads < 0 || threads > MAX_THREADS)
        return CNNRT_BAD_ARGUMENT;
    if (m->abi != CNNRT_ABI_VERSION)
        return CNNRT_BAD_MODEL;
    if (m->code != NULL && m->code->backend->abi != CNNRT_ABI_VERSION)
        return CNNRT_BAD_MODEL;
    if (m->code == NULL && !cnnrt_cpu_suffices(m->cpu))
        return CNNRT_CPU;
    if (m->weight_floats > 0 && weights == NULL && m->weights == NULL)
        return CNNRT_NO_WEIGHTS;
    if (weights != NULL && (uintptr_t)weights % ALIGN != 0)
        return CNNRT_BAD_WEIGHTS;
    return CNNRT_OK;
}

/* Memory and threads of a context on the processor. */
static int take_processor(CnnrtContext *c, int threads, void *workspace, size_t workspace_len)
{
    const CnnrtModel *m = c->model;
    c->workspace = workspace;
    c->workspace_len = workspace_len;
    if (workspace == NULL) {
        c->workspace_len = cnnrt_workspace_size(m, m->max_batch, threads);
        c->own_workspace = true;
        if (c->workspace_len == 0 ||
            cnnrt_big_alloc((void **)&c->workspace, c->workspace_len) != 0) {
            c->workspace = NULL;
            return CNNRT_NO_MEMORY;
        }
    }
    c->pool = cnnrt_pool_new(threads);
    return c->pool != NULL ? CNNRT_OK : CNNRT_NO_THREADS;
}

int cnnrt_create_with(CnnrtContext **out, const CnnrtModel *m, const CnnrtWeights *w, int threads,
                      void *workspace, size_t workspace_len)
{
    if (out == NULL)
        return CNNRT_BAD_ARGUMENT;
    *out = NULL;
    int status = check_model(m, w->at, threads);
    if (status != CNNRT_OK)
        return status;
    if (threads == 0)
        threads = cnnrt_pool_default_threads();
    if (workspace != NULL &&
        ((uintptr_t)workspace % ALIGN != 0 || workspace_len < cnnrt_workspace_size(m, 1, threads)))
        return CNNRT_BAD_WORKSPACE;
    CnnrtContext *c = calloc(1, sizeof *c);
    if (c == NULL)
        return CNNRT_NO_MEMORY;
    c->model = m;
    c->weights = w->at != NULL ? w->at : m->weights;
    atomic_flag_clear(&c->busy);
    if (m->code != NULL)
        status = m->code->backend->create(&c->device, m, c->weights, w->floats,
                                          w->owner != NULL ? w->owner->device : NULL, w->offset);
    else
        status = take_processor(c, threads, workspace, workspace_len);
    if (status != CNNRT_OK) {
        cnnrt_destroy(c);
        return status;
    }
    *out = c;
    return CNNRT_OK;
}

int cnnrt_create(CnnrtContext **out, const CnnrtModel *m, const float *weights, int threads,
                 void *workspace, size_t workspace_len)
{
    CnnrtWeights w = {.at = weights, .floats = m != NULL ? m->weight_floats : 0};
    return cnnrt_create_with(out, m, &w, threads, workspace, workspace_len);
}

void cnnrt_destroy(CnnrtContext *c)
{
    if (c == NULL)
        return;
    if (c->device != NULL)
        c->model->code->backend->destroy(c->device);
    if (c->pool != NULL)
        cnnrt_pool_free(c->pool);
    if (c->own_workspace)
        free(c->workspace);
    free(c);
}

int cnnrt_threads(const CnnrtContext *c)
{
    return c == NULL ? 0 : c->device != NULL ? 1 : cnnrt_pool_threads(c->pool);
}

int cnnrt_fetch_weights(CnnrtContext *c, int64_t first, int64_t count)
{
    float *weights = (float *)(uintptr_t)c->weights;
    if (c->device == NULL || !c->behind)
        return CNNRT_OK;
    int status = c->model->code->backend->load(c->device, weights + first, first, count);
    c->behind = status != CNNRT_OK || count < c->model->weight_floats;
    return status;
}

int cnnrt_send_weights(CnnrtContext *c, int64_t first, int64_t count)
{
    return c->device == NULL
               ? CNNRT_OK
               : c->model->code->backend->store(c->device, c->weights + first, first, count);
}

/* A buffer of the caller: batch images of a tensor. */
static size_t buffer_bytes(const CnnrtTensor *t, int batch)
{
    return (size_t)(t->c * t->h * t->w) * (size_t)batch * sizeof(float);
}

static bool overlap(const void *a, size_t a_len, const void *b, size_t b_len)
{
    uintptr_t p = (uintptr_t)a, q = (uintptr_t)b;
    return p < q + b_len && q < p + a_len;
}

static bool usable(const float *p)
{
    return p != NULL && (uintptr_t)p % sizeof(float) == 0;
}

/* Kernels may read an input after they have written an output: none may overlap. */
static bool check_buffers(const CnnrtContext *c, int batch, const float *const *in,
                          float *const *out)
{
    const CnnrtModel *m = c->model;
    for (int64_t i = 0; i < m->input_count; i++)
        if (!usable(in[i]))
            return false;
    for (int64_t i = 0; i < m->output_count; i++) {
        size_t len = buffer_bytes(&m->outputs[i], batch);
        if (!usable(out[i]) || overlap(out[i], len, c->workspace, c->workspace_len))
            return false;
        for (int64_t k = 0; k < m->input_count; k++)
            if (overlap(out[i], len, in[k], buffer_bytes(&m->inputs[k], batch)))
                return false;
        for (int64_t k = 0; k < i; k++)
            if (overlap(out[i], len, out[k], buffer_bytes(&m->outputs[k], batch)))
                return false;
    }
    for (int64_t i = 0; i < m->input_count; i++)
        if (overlap(in[i], buffer_bytes(&m->inputs[i], batch), c->workspace, c->workspace_len))
            return false;
    return true;
}

int cnnrt_run_steps(CnnrtContext *c, int batch, const float *const *in, float *const *out,
                    int64_t first, int64_t last, double *step_seconds)
{
    if (c == NULL || in == NULL || out == NULL || first < 0 || last < first ||
        last > c->model->step_count)
        return CNNRT_BAD_ARGUMENT;
    if (batch < 1 || batch > c->model->max_batch)
        return CNNRT_BAD_BATCH;
    if (c->device == NULL &&
        c->workspace_len < cnnrt_workspace_size(c->model, batch, cnnrt_pool_threads(c->pool)))
        return CNNRT_BAD_WORKSPACE;
    if (!check_buffers(c, batch, in, out))
        return CNNRT_BAD_BUFFER;
    if (atomic_flag_test_and_set(&c->busy))
        return CNNRT_BUSY;
    int status = CNNRT_OK;
    c->run.batch = batch;
    if (c->device != NULL) {
        c->behind = c->behind || c->model->training != NULL;
        status = c->model->code->backend->run(c->device, &c->run, in, out, first, last,
                                              step_seconds, c->whole_seconds);
    } else {
        double before = c->whole_seconds != NULL ? cnnrt_seconds_now() : 0;
        Walk w = {.model = c->model,
                  .weights = c->weights,
                  .workspace = c->workspace,
                  .pool = c->pool,
                  .run = c->run,
                  .in = in,
                  .out = out,
                  .first = first,
                  .last = last,
                  .seconds = step_seconds};
        cnnrt_walk(&w);
        if (c->whole_seconds != NULL)
            *c->whole_seconds = cnnrt_seconds_now() - before;
    }
    atomic_flag_clear(&c->busy);
    return status;
}

int cnnrt_time_runs(CnnrtContext *c, double *seconds)
{
    if (c == NULL)
        return CNNRT_BAD_ARGUMENT;
    if (atomic_flag_test_and_set(&c->busy))
        return CNNRT_BUSY;
    c->whole_seconds = seconds;
    atomic_flag_clear(&c->busy);
    return CNNRT_OK;
}

int cnnrt_set_run(CnnrtContext *c, uint64_t seed, uint64_t step, const float *hyper)
{
    if (c == NULL)
        return CNNRT_BAD_ARGUMENT;
    if (atomic_flag_test_and_set(&c->busy))
        return CNNRT_BUSY;
    c->run = (CnnrtRun){.seed = seed, .step = step};
    if (hyper != NULL)
        memcpy(c->run.hyper, hyper, sizeof c->run.hyper);
    atomic_flag_clear(&c->busy);
    return CNNRT_OK;
}

int cnnrt_profile(CnnrtContext *c, int batch, const float *const *in, float *const *out,
                  double *step_seconds)
{
    if (c == NULL)
        return CNNRT_BAD_ARGUMENT;
    return cnnrt_run_steps(c, batch, in, out, 0, c->model->step_count, step_seconds);
}

int cnnrt_run(CnnrtContext *c, int batch, const float *const *in, float *const *out)
{
    return cnnrt_profile(c, batch, in, out, NULL);
}

const char *cnnrt_detail(const CnnrtModel *m)
{
    return m != NULL && m->code != NULL ? m->code->backend->detail() : "";
}

const char *cnnrt_strerror(int status)
{
    switch (status) {
#define STATUS_TEXT(ID, NUMBER, TEXT)                                                              \
    case NUMBER: return TEXT;
        CNNRT_STATUSES(STATUS_TEXT)
    default: return "unknown status";
    }
}
