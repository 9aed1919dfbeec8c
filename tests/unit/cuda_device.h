/* A plan's networks on the emulator: arena, weights, inputs and outputs, every launch in its order.
 */
#ifndef CNNC_TEST_CUDA_DEVICE_H
#define CNNC_TEST_CUDA_DEVICE_H
#include "cuda_run.h"
#include "plan/plan.h"

enum { CUDA_PORTS = 12 };

/* What a device holds of a network. */
typedef struct CudaDevice {
    const Plan *p;
    SimtModule *code;
    int batch;
    float *arena, *weights, *in[CUDA_PORTS], *out[CUDA_PORTS];
    CnnrtRun *run; /* NULL: there is none */
} CudaDevice;

/* Where an operand's image 0 lies. */
static inline float *cuda_resolve(const CudaDevice *d, const PlanOperand *o)
{
    const PlanTensor *t = o->tensor ? &d->p->tensors.at[o->tensor - 1] : NULL;
    switch (o->space) {
    case SPACE_INPUT: return d->in[t->index];
    case SPACE_OUTPUT: return d->out[t->index];
    case SPACE_ARENA: return d->arena + t->offset * d->batch + o->offset;
    case SPACE_WEIGHTS: return d->weights + o->offset;
    default: return NULL;
    }
}

/* weights: weight_floats, copied; in[i]: batch images. out_floats is known from the tensors. */
static inline void cuda_device_open(CudaDevice *d, int batch, const float *weights,
                                    const float *const *in)
{
    d->batch = batch;
    d->arena = cuda_buffer(d->p->arena_floats * batch);
    d->weights = cuda_buffer(d->p->weight_floats);
    memcpy(d->weights, weights, (size_t)d->p->weight_floats * sizeof(float));
    for (uint32_t i = 0; i < d->p->tensors.len; i++) {
        const PlanTensor *t = &d->p->tensors.at[i];
        size_t bytes = (size_t)(t->floats * batch) * sizeof(float);
        if (t->space == SPACE_INPUT) {
            d->in[t->index] = cuda_buffer(t->floats * batch);
            memcpy(d->in[t->index], in[t->index], bytes);
        } else if (t->space == SPACE_OUTPUT) {
            d->out[t->index] = cuda_buffer(t->floats * batch);
        }
    }
}

static inline void cuda_device_close(CudaDevice *d)
{
    cuda_release(d->arena);
    cuda_release(d->weights);
    for (int i = 0; i < CUDA_PORTS; i++) {
        cuda_release(d->in[i]);
        cuda_release(d->out[i]);
        d->in[i] = d->out[i] = NULL;
    }
}

/* False with a message. */
static inline bool cuda_device_run(CudaDevice *d, char *err, size_t len)
{
    for (uint32_t i = 0; i < d->p->steps.len; i++) {
        const PlanStep *s = &d->p->steps.at[i];
        float *args[KERNEL_ARGS];
        for (int a = 0; a < KERNEL_ARGS; a++)
            args[a] = cuda_resolve(d, &s->args[a]);
        if (!cuda_launch(d->code, d->p, s->kernel, args, d->batch, d->run, err, len))
            return false;
    }
    return true;
}
#endif
