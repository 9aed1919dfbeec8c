/* Stream capture and graphs. A graph is the list of work in the order of the calls, which is one of
 * the orders that its edges allow. */
#include "cudart.h"
#include <stdlib.h>

struct CUgraph_st {
    WorkList *work;
};

struct CUgraphExec_st {
    WorkList *work;
};

static cudaError_t begin(cudaStream_t handle)
{
    cudaStream_t s = stream_of(handle);
    if (!s)
        return cudaErrorInvalidResourceHandle;
    if (!handle)
        return cudaErrorStreamCaptureUnsupported;
    if (s->capture)
        return cudaErrorStreamCaptureUnsupported;
    Capture *c = calloc(1, sizeof *c);
    WorkList *l = calloc(1, sizeof *l);
    if (!c || !l) {
        free(c);
        free(l);
        return cudaErrorMemoryAllocation;
    }
    l->holders = 1;
    *c = (Capture){.origin = s, .work = l};
    s->capture = c;
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    (void)mode;
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : begin(stream));
}

static cudaError_t end(cudaStream_t handle, cudaGraph_t *graph)
{
    cudaStream_t s = stream_of(handle);
    *graph = NULL;
    if (!s || !s->capture || s->capture->origin != s)
        return s ? cudaErrorInvalidValue : cudaErrorInvalidResourceHandle;
    Capture *c = s->capture;
    cudaError_t e = c->invalid  ? cudaErrorStreamCaptureInvalidated
                    : c->joined ? cudaErrorStreamCaptureUnjoined
                                : cudaSuccess;
    cudaGraph_t g = e ? NULL : malloc(sizeof *g);
    if (!e && !g)
        e = cudaErrorMemoryAllocation;
    stream_leave_capture(c);
    if (g)
        g->work = c->work;
    else
        work_list_release(c->work);
    free(c);
    *graph = g;
    return e;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : end(stream, graph));
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
    cudaError_t e = cudart_enter(__func__);
    cudaStream_t s = stream_of(stream);
    if (!e && !s)
        e = cudaErrorInvalidResourceHandle;
    *status = e || !s->capture      ? cudaStreamCaptureStatusNone
              : s->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                    : cudaStreamCaptureStatusActive;
    return cudart_leave(e);
}

/* Nodes have no handles here: only their number can be asked for. */
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    cudaError_t e = cudart_enter(__func__);
    if (!e)
        e = !graph ? cudaErrorInvalidValue : nodes ? cudaErrorNotSupported : cudaSuccess;
    if (!e)
        *count = graph->work->count;
    return cudart_leave(e);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    cudaError_t e = cudart_enter(__func__);
    if (!e && !graph)
        e = cudaErrorInvalidValue;
    *exec = e ? NULL : malloc(sizeof **exec);
    if (!e && !*exec)
        e = cudaErrorMemoryAllocation;
    if (!e) {
        (*exec)->work = graph->work;
        graph->work->holders++;
    }
    return cudart_leave(e);
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : exec && stream_of(stream) ? cudaSuccess : cudaErrorInvalidValue);
}

static cudaError_t launch(cudaGraphExec_t exec, cudaStream_t stream)
{
    Work *w = exec ? work_new(WORK_GRAPH) : NULL;
    if (!w)
        return exec ? cudaErrorMemoryAllocation : cudaErrorInvalidValue;
    w->graph = exec->work;
    exec->work->holders++;
    return stream_add(stream, w);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : launch(exec, stream));
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    cudaError_t e = cudart_enter(__func__);
    if (!e && !exec)
        e = cudaErrorInvalidValue;
    if (!e) {
        work_list_release(exec->work);
        free(exec);
    }
    return cudart_leave(e);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    cudaError_t e = cudart_enter(__func__);
    if (!e && !graph)
        e = cudaErrorInvalidValue;
    if (!e) {
        work_list_release(graph->work);
        free(graph);
    }
    return cudart_leave(e);
}
