/* Streams and events. Work waits in its stream until something waits for it: a program that forgets
 * to synchronise sees what was there before. */
#include "cudart.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct CUstream_st legacy;
static cudaStream_t streams;

Work *work_new(WorkKind kind)
{
    Work *w = calloc(1, sizeof *w);
    if (w)
        w->kind = kind;
    return w;
}

static void work_free(Work *w)
{
    free(w->staged);
    free(w->args);
    if (w->graph)
        work_list_release(w->graph);
    free(w);
}

void work_append(WorkList *l, Work *w)
{
    if (!l->first)
        l->last = &l->first;
    w->next = NULL;
    *l->last = w;
    l->last = &w->next;
    l->count++;
}

static Work *take_first(WorkList *l)
{
    Work *w = l->first;
    l->first = w->next;
    l->count--;
    return w;
}

void work_list_clear(WorkList *l)
{
    while (l->first)
        work_free(take_first(l));
}

void work_list_release(WorkList *l)
{
    if (--l->holders)
        return;
    work_list_clear(l);
    free(l);
}

cudaStream_t stream_of(cudaStream_t handle)
{
    if (!handle)
        return &legacy;
    for (cudaStream_t s = streams; s; s = s->next)
        if (s == handle)
            return s;
    return NULL;
}

static double counted; /* milliseconds of work, by SIMT_CUDA_CLOCK=counted */

/* What work takes on a device that does nothing at once: a microsecond, and a nanosecond for each
 * thread, or each KiB that is copied. */
static void count_time(const Work *w)
{
    const SimtLaunch *l = &w->how;
    double threads =
        (double)l->grid[0] * l->grid[1] * l->grid[2] * l->block[0] * l->block[1] * l->block[2];
    counted += 1e-3 + 1e-6 * (w->kind == WORK_KERNEL ? threads : (double)w->bytes / 1024);
}

static double now(void)
{
    struct timespec t;
    const char *clock = getenv("SIMT_CUDA_CLOCK");
    if (clock && !strcmp(clock, "counted"))
        return counted;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static cudaError_t run_until(cudaStream_t s, cudaEvent_t event, unsigned long long serial);

cudaError_t work_do(const Work *w)
{
    cudaError_t e = cudaSuccess;
    if (cudart_error())
        return cudart_error();
    switch (w->kind) {
    case WORK_RECORD:
        w->event->done = w->serial;
        w->event->time = now();
        return e;
    case WORK_WAIT: return run_until(w->event->stream, w->event, w->serial);
    case WORK_GRAPH:
        for (const Work *k = w->graph->first; k && !e; k = k->next)
            e = work_do(k);
        return e;
    default: break;
    }
    count_time(w);
    memory_open();
    if (w->kind == WORK_COPY)
        memmove(w->to, w->from, w->bytes);
    else if (w->kind == WORK_FILL)
        memset(w->to, w->value, w->bytes);
    else
        e = kernel_run(w);
    memory_close();
    return e;
}

static cudaError_t run_one(cudaStream_t s)
{
    Work *w = take_first(&s->work);
    cudaError_t e = work_do(w);
    work_free(w);
    return e;
}

/* Whatever waits is for something that was asked for before it, so that this comes to an end. */
static cudaError_t run_until(cudaStream_t s, cudaEvent_t event, unsigned long long serial)
{
    cudaError_t e = cudaSuccess;
    while (!e && event->done < serial && s && s->work.first)
        e = run_one(s);
    return e;
}

cudaError_t stream_run(cudaStream_t s)
{
    cudaError_t e = cudaSuccess;
    while (!e && s->work.first)
        e = run_one(s);
    return e;
}

cudaError_t stream_run_all(void)
{
    cudaError_t e = stream_run(&legacy);
    for (cudaStream_t s = streams; s && !e; s = s->next)
        e = stream_run(s);
    return e;
}

/* The legacy stream and those that are not non-blocking wait for each other. */
static cudaError_t order_with_legacy(cudaStream_t s)
{
    cudaError_t e = cudaSuccess;
    if (s != &legacy)
        return s->flags & cudaStreamNonBlocking ? e : stream_run(&legacy);
    for (cudaStream_t other = streams; other && !e; other = other->next) {
        if (other->flags & cudaStreamNonBlocking)
            continue;
        if (other->capture) {
            other->capture->invalid = 1;
            return cudaErrorStreamCaptureImplicit;
        }
        e = stream_run(other);
    }
    return e;
}

cudaError_t stream_add(cudaStream_t handle, Work *w)
{
    cudaStream_t s = stream_of(handle);
    cudaError_t e = !s ? cudaErrorInvalidResourceHandle : cudaSuccess;
    if (s && s->capture && s->capture->invalid)
        e = cudaErrorStreamCaptureInvalidated;
    else if (s && s->capture)
        work_append(s->capture->work, w);
    else if (s && !(e = order_with_legacy(s)))
        work_append(&s->work, w);
    if (e)
        work_free(w);
    return e;
}

void stream_leave_capture(const Capture *c)
{
    for (cudaStream_t s = streams; s; s = s->next)
        if (s->capture == c) {
            s->capture = NULL;
            s->forked = false;
        }
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
    cudaError_t e = cudart_enter(__func__);
    cudaStream_t s = e ? NULL : calloc(1, sizeof *s);
    if (!e && !s)
        e = cudaErrorMemoryAllocation;
    if (s) {
        s->flags = flags;
        s->next = streams;
        streams = s;
    }
    *stream = s;
    return cudart_leave(e);
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

static cudaError_t destroy(cudaStream_t handle)
{
    for (cudaStream_t *at = &streams; *at; at = &(*at)->next) {
        cudaStream_t s = *at;
        if (s != handle)
            continue;
        cudaError_t e = stream_run(s);
        *at = s->next;
        work_list_clear(&s->work);
        free(s);
        return e;
    }
    return cudaErrorInvalidResourceHandle;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : destroy(stream));
}

/* What may not be done with a stream that is being captured ends the capture. */
static cudaError_t not_capturing(cudaStream_t s)
{
    if (!s)
        return cudaErrorInvalidResourceHandle;
    if (!s->capture)
        return cudaSuccess;
    s->capture->invalid = 1;
    return cudaErrorStreamCaptureUnsupported;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    cudaError_t e = cudart_enter(__func__);
    cudaStream_t s = stream_of(stream);
    e = e ? e : not_capturing(s);
    return cudart_leave(e ? e : stream_run(s));
}

/* Each question brings the stream a step further. */
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    cudaError_t e = cudart_enter(__func__);
    cudaStream_t s = stream_of(stream);
    e = e ? e : not_capturing(s);
    if (!e && s->work.first)
        e = run_one(s);
    return cudart_leave(e ? e : s->work.first ? cudaErrorNotReady : cudaSuccess);
}

cudaError_t cudaDeviceSynchronize(void)
{
    cudaError_t e = cudart_enter(__func__);
    for (cudaStream_t s = streams; s && !e; s = s->next)
        e = not_capturing(s);
    return cudart_leave(e ? e : stream_run_all());
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
    cudaError_t e = cudart_enter(__func__);
    *event = e ? NULL : calloc(1, sizeof **event);
    if (!e && !*event)
        e = cudaErrorMemoryAllocation;
    if (*event)
        (*event)->flags = flags;
    return cudart_leave(e);
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

/* Streams may still be going to wait for it. */
cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    cudaError_t e = cudart_enter(__func__);
    e = e ? e : event ? stream_run_all() : cudaErrorInvalidResourceHandle;
    if (!e)
        free(event);
    return cudart_leave(e);
}

static cudaError_t record(cudaEvent_t event, cudaStream_t handle)
{
    cudaStream_t s = stream_of(handle);
    if (!event || !s)
        return cudaErrorInvalidResourceHandle;
    if (s->capture) { /* the graph is one list: its order is the order of the calls */
        event->capture = s->capture;
        event->stream = s;
        return s->capture->invalid ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
    }
    Work *w = work_new(WORK_RECORD);
    if (!w)
        return cudaErrorMemoryAllocation;
    w->event = event;
    w->serial = ++event->recorded;
    event->stream = s;
    event->capture = NULL;
    return stream_add(handle, w);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : record(event, stream));
}

/* A stream that waits for an event of a capture joins it; one that the origin waits for has come
 * back. */
static cudaError_t wait_in_capture(cudaStream_t s, cudaEvent_t event)
{
    Capture *c = event->capture;
    if (s == c->origin && event->stream != s && event->stream->forked) {
        event->stream->forked = false;
        c->joined--;
    } else if (!s->capture) {
        s->capture = c;
        s->forked = true;
        c->joined++;
    }
    return c->invalid ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
}

static cudaError_t wait(cudaStream_t handle, cudaEvent_t event)
{
    cudaStream_t s = stream_of(handle);
    if (!event || !s)
        return cudaErrorInvalidResourceHandle;
    if (event->capture)
        return wait_in_capture(s, event);
    if (s->capture || !event->recorded)
        return cudaSuccess;
    Work *w = work_new(WORK_WAIT);
    if (!w)
        return cudaErrorMemoryAllocation;
    w->event = event;
    w->serial = event->recorded;
    return stream_add(handle, w);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
    (void)flags;
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : wait(stream, event));
}

static cudaError_t usable(cudaEvent_t event)
{
    return !event           ? cudaErrorInvalidResourceHandle
           : event->capture ? cudaErrorCapturedEvent
                            : cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    cudaError_t e = cudart_enter(__func__);
    e = e ? e : usable(event);
    return cudart_leave(e ? e : run_until(event->stream, event, event->recorded));
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    cudaError_t e = cudart_enter(__func__);
    e = e ? e : usable(event);
    if (!e && event->done < event->recorded)
        e = run_one(event->stream);
    return cudart_leave(e ? e : event->done < event->recorded ? cudaErrorNotReady : cudaSuccess);
}

static cudaError_t elapsed(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    cudaError_t e = usable(start) ? usable(start) : usable(end);
    if (e)
        return e;
    if ((start->flags | end->flags) & cudaEventDisableTiming || !start->recorded || !end->recorded)
        return cudaErrorInvalidResourceHandle;
    if (start->done < start->recorded || end->done < end->recorded)
        return cudaErrorNotReady;
    *ms = (float)(end->time - start->time);
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : elapsed(ms, start, end));
}
