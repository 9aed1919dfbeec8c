/* The walk over a model's steps: recorded once for each batch size as a graph, and launched whole
 * from then on, as a launch alone costs more than many kernels run. */
#include "cuda.h"
#include <stdlib.h>
#include <string.h>

static void *operand(const CudaContext *c, const CnnrtOperand *o, int batch)
{
    switch (o->space) {
    case CNNRT_INPUT: return c->in[o->index] + o->offset;
    case CNNRT_OUTPUT: return c->out[o->index] + o->offset;
    case CNNRT_ARENA: return c->arena + o->offset * batch + o->inner;
    case CNNRT_WEIGHTS: return c->weights + o->offset;
    default: return c->scratch;
    }
}

static cudaError_t launch_step(const CudaContext *c, int64_t i, int batch)
{
    const CnnrtStep *s = &c->model->steps[i];
    const CnnrtLaunch *l = &c->model->code->launches[i];
    void *address[CNNRT_KERNEL_ARGS], *args[CNNRT_KERNEL_ARGS + 3];
    int32_t b = batch;
    int n = 0;
    for (int k = 0; k < CNNRT_KERNEL_ARGS; k++)
        if (s->args[k].space != CNNRT_NONE) {
            address[n] = operand(c, &s->args[k], batch);
            args[n] = &address[n];
            n++;
        }
    args[n++] = &b;
    void *run = c->run;
    if (l->takes_run)
        args[n++] = &run;
    CudaTensorMap map;
    if (l->tensor_channels > 0) {
        cudaError_t error = cuda_map(c, l, operand(c, &s->args[CUDA_INPUT], batch), batch, &map);
        if (error != cudaSuccess)
            return error;
        args[n++] = &map;
    }
    cudaLaunchConfig_t config;
    memset(&config, 0, sizeof config);
    int64_t items = l->once ? l->items : l->items * batch;
    config.gridDim.x = (unsigned)((items + l->per_block - 1) / l->per_block);
    config.gridDim.y = (unsigned)l->rows;
    config.gridDim.z = config.blockDim.y = config.blockDim.z = 1;
    config.blockDim.x = (unsigned)l->threads;
    config.dynamicSmemBytes = (size_t)l->shared;
    config.stream = c->stream;
    return cudaLaunchKernelExC(&config, (const void *)c->kernel[i], args);
}

static int launch_steps(const CudaContext *c, int batch, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i++) {
        cudaError_t error = launch_step(c, i, batch);
        if (error != cudaSuccess)
            return cuda_status(error, c->model->steps[i].name);
    }
    return CNNRT_OK;
}

static CudaGraph *find_graph(CudaContext *c, int batch, int64_t first, int64_t last)
{
    for (int i = 0; i < CUDA_GRAPHS; i++) {
        CudaGraph *g = &c->graph[i];
        if (g->batch == batch && g->first == first && g->last == last)
            return g;
    }
    return NULL;
}

static void drop(CudaGraph *g)
{
    if (g->batch != 0)
        cudaGraphExecDestroy(g->exec);
    *g = (CudaGraph){0};
}

void cuda_drop_graphs(CudaContext *c)
{
    for (int i = 0; i < CUDA_GRAPHS; i++)
        drop(&c->graph[i]);
}

/* In the place of the one that was not used for longest. */
static CudaGraph *free_graph(CudaContext *c)
{
    CudaGraph *oldest = &c->graph[0];
    for (int i = 1; i < CUDA_GRAPHS; i++)
        if (c->graph[i].used < oldest->used)
            oldest = &c->graph[i];
    drop(oldest);
    return oldest;
}

static int record(CudaContext *c, CudaGraph *g, int batch, int64_t first, int64_t last)
{
    cudaGraph_t steps = NULL;
    int status = cuda_status(cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal),
                             "recording a graph");
    if (status != CNNRT_OK)
        return status;
    status = launch_steps(c, batch, first, last);
    /* a recording must be ended whatever became of it */
    cudaError_t ended = cudaStreamEndCapture(c->stream, &steps);
    if (ended != cudaSuccess)
        cudaStreamEndCapture(c->stream, &steps);
    if (status == CNNRT_OK)
        status = cuda_status(ended, "recording a graph");
    if (status == CNNRT_OK)
        status = cuda_status(cudaGraphInstantiate(&g->exec, steps, 0), "making a graph");
    if (steps != NULL)
        cudaGraphDestroy(steps);
    if (status == CNNRT_OK) {
        g->batch = batch;
        g->first = first;
        g->last = last;
    }
    return status;
}

static int launch_graph(CudaContext *c, int batch, int64_t first, int64_t last)
{
    CudaGraph *g = find_graph(c, batch, first, last);
    if (g == NULL) {
        g = free_graph(c);
        int status = record(c, g, batch, first, last);
        if (status != CNNRT_OK)
            return status;
    }
    g->used = ++c->runs;
    return cuda_status(cudaGraphLaunch(g->exec, c->stream), "launching the network");
}

static void destroy_events(cudaEvent_t *event, int64_t count)
{
    for (int64_t i = 0; event != NULL && i < count; i++)
        if (event[i] != NULL)
            cudaEventDestroy(event[i]);
    free(event);
}

/* NULL with *status set when they cannot be made. */
static cudaEvent_t *make_events(int64_t count, int *status)
{
    cudaEvent_t *event = calloc((size_t)count, sizeof(cudaEvent_t));
    *status = event == NULL ? CNNRT_NO_MEMORY : CNNRT_OK;
    for (int64_t i = 0; i < count && *status == CNNRT_OK; i++)
        *status = cuda_status(cudaEventCreate(&event[i]), "making an event");
    if (*status == CNNRT_OK)
        return event;
    destroy_events(event, count);
    return NULL;
}

/* Adds the time between any two events that follow each other. */
static int add_times(const cudaEvent_t *event, int64_t count, double *seconds)
{
    cudaError_t error = cudaEventSynchronize(event[count]);
    for (int64_t i = 0; i < count && error == cudaSuccess; i++) {
        float ms = 0;
        error = cudaEventElapsedTime(&ms, event[i], event[i + 1]);
        seconds[i] += 1e-3 * (double)ms;
    }
    return cuda_status(error, "timing");
}

/* The device goes from step to step without waiting for the host, so that a step's time is its
 * kernel's and one launch that was ready. */
static int launch_timed(const CudaContext *c, int batch, int64_t first, int64_t last,
                        double *step_seconds)
{
    int status;
    int64_t count = last - first;
    cudaEvent_t *event = make_events(count + 1, &status);
    if (event == NULL)
        return status;
    cudaError_t error = cudaEventRecord(event[0], c->stream);
    int64_t i = first;
    for (; i < last && error == cudaSuccess; i++) {
        error = launch_step(c, i, batch);
        if (error == cudaSuccess)
            error = cudaEventRecord(event[i - first + 1], c->stream);
    }
    status = cuda_status(error, i > first ? c->model->steps[i - 1].name : "recording an event");
    if (status == CNNRT_OK)
        status = add_times(event, count, step_seconds + first);
    destroy_events(event, count + 1);
    return status;
}

int cuda_launch(CudaContext *c, int batch, int64_t first, int64_t last, double *step_seconds,
                double *seconds)
{
    int status = CNNRT_OK;
    if (seconds != NULL)
        *seconds = 0;
    if (first == last)
        return CNNRT_OK;
    if (step_seconds != NULL)
        return launch_timed(c, batch, first, last, step_seconds);
    if (seconds == NULL)
        return launch_graph(c, batch, first, last);
    cudaEvent_t *event = make_events(2, &status);
    if (event == NULL)
        return status;
    status = cuda_status(cudaEventRecord(event[0], c->stream), "recording an event");
    if (status == CNNRT_OK)
        status = launch_graph(c, batch, first, last);
    if (status == CNNRT_OK)
        status = cuda_status(cudaEventRecord(event[1], c->stream), "recording an event");
    if (status == CNNRT_OK)
        status = add_times(event, 1, seconds);
    destroy_events(event, 2);
    return status;
}
