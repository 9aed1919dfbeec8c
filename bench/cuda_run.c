/* A compiled network on its GPU, for bench/cuda.py: runs, what they take there, what each step
 * takes. Made into a shared object with libcnnrt.a; the model is another's, found by its
 * PREFIX_model. */
#include "cnnrt.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };
static const double rate = 1e-3; /* of the optimizer; the comparison has the same */

typedef struct CudaRun {
    const CnnrtModel *model;
    CnnrtContext *context;
    const float *mapped;
    float *state; /* of a training model */
    int64_t updates;
    double seconds; /* of the last run, on the device */
} CudaRun;

/* A training model's: the initial parameters, what the optimizer keeps, and zeros. */
static int make_state(CudaRun *r)
{
    const CnnrtTraining *t = r->model->training;
    void *p = NULL;
    size_t bytes = (size_t)r->model->weight_floats * sizeof(float);
    if (posix_memalign(&p, ALIGN, bytes + ALIGN) != 0)
        return CNNRT_NO_MEMORY;
    r->state = p;
    memset(r->state, 0, bytes);
    memcpy(r->state, r->mapped, (size_t)t->kept * sizeof(float));
    for (int64_t s = 0; s < t->slot_count; s++)
        for (int64_t i = 0; i < t->trained; i++)
            r->state[t->slot[s] + i] = (float)t->slot_start[s];
    return CNNRT_OK;
}

void cuda_run_close(CudaRun *r)
{
    if (r == NULL)
        return;
    cnnrt_destroy(r->context);
    if (r->mapped != NULL)
        cnnrt_weights_unmap(r->model, r->mapped);
    free(r->state);
    free(r);
}

/* weights: the file NAME.packed. A CnnrtStatus; *out is NULL unless it is OK. */
int cuda_run_open(CudaRun **out, const CnnrtModel *m, const char *weights)
{
    *out = NULL;
    if (m == NULL)
        return CNNRT_CPU;
    CudaRun *r = calloc(1, sizeof *r);
    if (r == NULL)
        return CNNRT_NO_MEMORY;
    r->model = m;
    int status = cnnrt_weights_map(m, weights, &r->mapped);
    if (status == CNNRT_OK && m->training != NULL)
        status = make_state(r);
    if (status == CNNRT_OK)
        status = cnnrt_create(&r->context, m, r->state != NULL ? r->state : r->mapped, 0, NULL, 0);
    if (status == CNNRT_OK)
        status = cnnrt_time_runs(r->context, &r->seconds);
    if (status == CNNRT_OK)
        *out = r;
    else
        cuda_run_close(r);
    return status;
}

/* One run, of a training model with its update. in and out: the host's memory or the device's;
 * outputs of a training model are its heads and its losses, one for each image. *seconds: what its
 * steps took on the device, one after another; with step_seconds each of them is added there. */
int cuda_run(CudaRun *r, int batch, const float *const *in, float *const *out, double *seconds,
             double *step_seconds)
{
    const CnnrtTraining *t = r->model->training;
    if (t != NULL) {
        float hyper[CNNRT_HYPER];
        cnnrt_pass_hypers(&t->optimizer, rate, r->updates, 0, hyper);
        int status = cnnrt_set_run(r->context, 1, (uint64_t)r->updates, hyper);
        if (status != CNNRT_OK)
            return status;
        r->updates++;
    }
    int status = cnnrt_profile(r->context, batch, in, out, step_seconds);
    *seconds = r->seconds;
    return status;
}

int64_t cuda_run_steps(const CudaRun *r)
{
    return r->model->step_count;
}

const char *cuda_run_error(const CnnrtModel *m, int status)
{
    const char *detail = m != NULL ? cnnrt_detail(m) : "";
    return detail[0] != '\0' ? detail : cnnrt_strerror(status);
}
