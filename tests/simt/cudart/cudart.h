/* Inside the stand-in: work that streams hold, and what its parts ask of each other. */
#ifndef SIMT_CUDART_H
#define SIMT_CUDART_H

#include "cuda_runtime_api.h"

#include "../simt.h"

/* Work of a stream or of a graph. It is done as late as the model allows: when something waits for
 * it. */
typedef enum WorkKind {
    WORK_COPY,
    WORK_FILL,
    WORK_KERNEL,
    WORK_GRAPH,
    WORK_RECORD,
    WORK_WAIT
} WorkKind;

typedef struct Work Work;

typedef struct WorkList {
    Work *first, **last;
    size_t count;
    int holders; /* graphs and launches that share it */
} WorkList;

struct Work {
    WorkKind kind;
    Work *next;
    void *to, *staged; /* staged: what pageable host memory held when the copy was asked for */
    const void *from;
    size_t bytes;
    int value;
    cudaKernel_t kernel;
    SimtLaunch how;
    void **args; /* one allocation with the values behind the pointers */
    WorkList *graph;
    cudaEvent_t event;
    unsigned long long serial; /* which recording of the event */
};

/* The graph that streams are being captured into. */
typedef struct Capture {
    cudaStream_t origin;
    WorkList *work;
    int joined; /* streams beside the origin whose work has not come back to it */
    int invalid;
} Capture;

struct CUstream_st {
    WorkList work;
    unsigned flags;
    Capture *capture;
    bool forked; /* in a capture that another stream began, and not joined again */
    struct CUstream_st *next;
};

struct CUevent_st {
    unsigned flags;
    unsigned long long recorded, done; /* recordings asked for, and done */
    cudaStream_t stream;               /* of the last */
    Capture *capture;                  /* when the last was captured */
    double time;                       /* of the last that was done, in milliseconds */
};

/* Every function of the API is { e = cudart_enter(__func__); return cudart_leave(e ? e : ...); }:
 * one thread at a time, faults on demand, errors that stay. */
cudaError_t cudart_enter(const char *function);
cudaError_t cudart_leave(cudaError_t e);
/* From now on every call fails so, as after a fault on a device. */
void cudart_broken(cudaError_t e);
cudaError_t cudart_error(void);
/* Of the environment; `fallback` when it is not set. */
unsigned long long cudart_setting(const char *name, unsigned long long fallback);
int cudart_capability(void);  /* 90 for 9.0 */
int cudart_most_shared(void); /* bytes of a block */

/* --- allocation.c: device memory can be touched only between open and close. */
void memory_open(void);
void memory_close(void);
bool memory_is_device(const void *p);
/* True if all of it is in one allocation. */
bool memory_holds(const void *p, size_t bytes);

/* --- stream.c: the stream of a handle (NULL: the legacy stream), or NULL. */
cudaStream_t stream_of(cudaStream_t handle);
/* Adds work, or takes it into the graph that is being captured; takes `w` over. */
cudaError_t stream_add(cudaStream_t handle, Work *w);
cudaError_t stream_run(cudaStream_t stream);
cudaError_t stream_run_all(void);
/* Its streams are their own again. */
void stream_leave_capture(const Capture *c);
Work *work_new(WorkKind kind);
void work_append(WorkList *l, Work *w);
void work_list_clear(WorkList *l);
void work_list_release(WorkList *l);
/* Does it now: the one place where kernels and copies happen. */
cudaError_t work_do(const Work *w);

/* --- kernel.c */
cudaError_t kernel_run(const Work *w);

#endif
