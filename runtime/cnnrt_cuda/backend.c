/* CnnrtBackend for CUDA: one allocation on the device, a stream of its own, and inputs and outputs
 * at fixed addresses there, which the graphs refer to. */
#include "cuda.h"
#include <stdlib.h>
#include <string.h>

static int present(const CnnrtModel *m)
{
    int device, arch, status = cuda_device(&device, &arch);
    if (status != CNNRT_OK)
        return status;
    if (cuda_has_image(m, arch))
        return cuda_has_shared(m, device);
    cuda_say_no_image(m, arch);
    return CNNRT_NO_DEVICE;
}

static size_t image_bytes(const CnnrtTensor *t)
{
    return (size_t)(t->c * t->h * t->w) * sizeof(float);
}

/* Adds a part to the layout; its place. A sum that does not fit stays SIZE_MAX. */
static size_t part(size_t *total, size_t bytes, size_t times)
{
    size_t at = *total, len;
    if (__builtin_mul_overflow(bytes, times, &len) ||
        __builtin_add_overflow(at, len + CUDA_ALIGN - 1, total) || len > SIZE_MAX / 4)
        *total = SIZE_MAX;
    else
        *total = *total / CUDA_ALIGN * CUDA_ALIGN;
    return at;
}

typedef struct Places {
    size_t weights, arena, scratch, run, in[CUDA_TENSORS], out[CUDA_TENSORS], total, per_image;
} Places;

static Places lay_out(const CnnrtModel *m, size_t weights)
{
    Places p = {0};
    size_t batch = (size_t)m->max_batch, arena = (size_t)m->arena_floats * sizeof(float);
    p.weights = part(&p.total, weights, 1);
    p.run = part(&p.total, sizeof(CnnrtRun), 1);
    p.scratch = part(&p.total, (size_t)m->scratch_floats * sizeof(float), 1);
    p.arena = part(&p.total, arena, batch);
    p.per_image = arena;
    for (int64_t i = 0; i < m->input_count; i++) {
        p.in[i] = part(&p.total, image_bytes(&m->inputs[i]), batch);
        p.per_image += image_bytes(&m->inputs[i]);
    }
    for (int64_t i = 0; i < m->output_count; i++) {
        p.out[i] = part(&p.total, image_bytes(&m->outputs[i]), batch);
        p.per_image += image_bytes(&m->outputs[i]);
    }
    return p;
}

static void set_places(CudaContext *c, const Places *p, float *shared)
{
    c->weights = shared != NULL ? shared : (float *)(void *)(c->memory + p->weights);
    c->arena = (float *)(void *)(c->memory + p->arena);
    c->scratch = (float *)(void *)(c->memory + p->scratch);
    c->run = (CnnrtRun *)(void *)(c->memory + p->run);
    for (int64_t i = 0; i < c->model->input_count; i++)
        c->in[i] = (float *)(void *)(c->memory + p->in[i]);
    for (int64_t i = 0; i < c->model->output_count; i++)
        c->out[i] = (float *)(void *)(c->memory + p->out[i]);
}

static int take_memory(CudaContext *c, const float *weights, int64_t floats, float *shared)
{
    size_t bytes = (size_t)floats * sizeof(float);
    Places p = lay_out(c->model, shared != NULL ? 0 : bytes);
    void *memory = NULL;
    cudaError_t error =
        p.total == SIZE_MAX ? cudaErrorMemoryAllocation : cudaMalloc(&memory, p.total + CUDA_ALIGN);
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        cuda_explain_memory(c->model, p.total, p.per_image);
        return CNNRT_DEVICE_MEMORY;
    }
    if (error != cudaSuccess)
        return cuda_status(error, "taking memory");
    c->memory = memory;
    set_places(c, &p, shared);
    if (shared != NULL || bytes == 0)
        return CNNRT_OK;
    return cuda_status(cudaMemcpy(c->weights, weights, bytes, cudaMemcpyDefault),
                       "copying the weights");
}

static void destroy(void *device)
{
    CudaContext *c = device;
    if (c == NULL)
        return;
    cudaSetDevice(c->device);
    if (c->stream != NULL)
        cudaStreamSynchronize(c->stream);
    cuda_drop_graphs(c);
    if (c->library != NULL)
        cudaLibraryUnload(c->library);
    if (c->stream != NULL)
        cudaStreamDestroy(c->stream);
    if (c->memory != NULL)
        cudaFree(c->memory);
    free(c->kernel);
    free(c);
}

static int create(void **out, const CnnrtModel *m, const float *weights, int64_t floats,
                  void *owner, int64_t offset)
{
    CudaContext *from = owner;
    int arch;
    *out = NULL;
    if (m->input_count > CUDA_TENSORS || m->output_count > CUDA_TENSORS)
        return CNNRT_BAD_MODEL;
    CudaContext *c = calloc(1, sizeof *c);
    if (c == NULL)
        return CNNRT_NO_MEMORY;
    c->model = m;
    int status = cuda_device(&c->device, &arch);
    if (status == CNNRT_OK)
        status = cuda_status(cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking),
                             "making a stream");
    if (status == CNNRT_OK)
        status = cuda_load(c, arch);
    if (status == CNNRT_OK)
        status = take_memory(c, weights, floats, from != NULL ? from->weights + offset : NULL);
    if (status == CNNRT_OK)
        *out = c;
    else
        destroy(c);
    return status;
}

/* From or to wherever the caller has them: the driver knows whose memory an address is. */
static int copy_all(CudaContext *c, const CnnrtTensor *tensors, int64_t count, int64_t batch,
                    float *const *to, const float *const *from, const char *doing)
{
    for (int64_t i = 0; i < count; i++) {
        size_t bytes = image_bytes(&tensors[i]) * (size_t)batch;
        int status = cuda_status(
            cudaMemcpyAsync(to[i], from[i], bytes, cudaMemcpyDefault, c->stream), doing);
        if (status != CNNRT_OK)
            return status;
    }
    return CNNRT_OK;
}

static int run(void *device, const CnnrtRun *r, const float *const *in, float *const *out,
               int64_t first, int64_t last, double *step_seconds, double *seconds)
{
    CudaContext *c = device;
    const CnnrtModel *m = c->model;
    int status = cuda_status(cudaSetDevice(c->device), "opening the device");
    if (status == CNNRT_OK && first == 0) /* for later steps they are there */
        status = copy_all(c, m->inputs, m->input_count, r->batch, c->in, in, "copying the inputs");
    if (status == CNNRT_OK)
        status = cuda_status(cudaMemcpyAsync(c->run, r, sizeof *r, cudaMemcpyDefault, c->stream),
                             "copying the hyper-parameters");
    if (status == CNNRT_OK)
        status = cuda_launch(c, (int)r->batch, first, last, step_seconds, seconds);
    if (status == CNNRT_OK)
        status = copy_all(c, m->outputs, m->output_count, r->batch, out,
                          (const float *const *)c->out, "copying the outputs");
    /* what the kernels did wrong shows here */
    int waited = cuda_status(cudaStreamSynchronize(c->stream), "running the network");
    return status == CNNRT_OK ? waited : status;
}

static int move(CudaContext *c, void *to, const void *from, int64_t count)
{
    int status = cuda_status(cudaSetDevice(c->device), "opening the device");
    if (status == CNNRT_OK)
        status = cuda_status(
            cudaMemcpyAsync(to, from, (size_t)count * sizeof(float), cudaMemcpyDefault, c->stream),
            "copying the parameters");
    int waited = cuda_status(cudaStreamSynchronize(c->stream), "copying the parameters");
    return status == CNNRT_OK ? waited : status;
}

static int load(void *device, float *to, int64_t first, int64_t count)
{
    CudaContext *c = device;
    return move(c, to, c->weights + first, count);
}

static int store(void *device, const float *from, int64_t first, int64_t count)
{
    CudaContext *c = device;
    return move(c, c->weights + first, from, count);
}

/* Models refer to it by this name; cnnc looks it up in the shared library. */
extern const CnnrtBackend cnnrt_cuda_backend __attribute__((visibility("default")));
const CnnrtBackend cnnrt_cuda_backend = {
    .abi = CNNRT_ABI_VERSION,
    .name = "CUDA",
    .present = present,
    .device = cuda_describe,
    .create = create,
    .run = run,
    .load = load,
    .store = store,
    .destroy = destroy,
    .detail = cuda_detail,
};
