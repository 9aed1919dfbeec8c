/* Private to cnnrt_cuda: a model on one CUDA device. */
#ifndef CNNRT_CUDA_H
#define CNNRT_CUDA_H
#include "cnnrt.h"
#include <cuda_runtime_api.h>
#include <stdbool.h>

enum { CUDA_GRAPHS = 8, CUDA_TENSORS = 128, CUDA_ALIGN = 256 };

/* Steps of one batch size, ready to be launched at once. */
typedef struct CudaGraph {
    int batch; /* 0: free */
    int64_t first, last;
    uint64_t used; /* when, in runs */
    cudaGraphExec_t exec;
} CudaGraph;

/* What the driver makes of a tensor: CUtensorMap. */
typedef struct CudaTensorMap {
    _Alignas(128) unsigned char opaque[128];
} CudaTensorMap;

/* cuTensorMapEncodeTiled; what is of an enumeration there is an int. */
typedef int CudaEncodeTiled(CudaTensorMap *map, int type, uint32_t rank, void *base,
                            const uint64_t *dims, const uint64_t *strides, const uint32_t *box,
                            const uint32_t *steps, int interleave, int swizzle, int promotion,
                            int fill);

typedef struct CudaContext {
    const CnnrtModel *model;
    int device;
    cudaStream_t stream;
    cudaLibrary_t library;
    cudaKernel_t *kernel;    /* one a step */
    CudaEncodeTiled *encode; /* NULL: no step takes a tensor map */
    char *memory;            /* all of it, on the device */
    float *weights;          /* in memory, or the owner's */
    float *arena, *scratch, *in[CUDA_TENSORS], *out[CUDA_TENSORS];
    CnnrtRun *run; /* on the device */
    CudaGraph graph[CUDA_GRAPHS];
    uint64_t runs;
} CudaContext;

/* What cnnrt_detail says from now on, in this thread. */
__attribute__((format(printf, 1, 2))) void cuda_say(const char *format, ...);
const char *cuda_detail(void);
/* OK, or the status, with that text: `doing` is what was tried. */
int cuda_status(cudaError_t error, const char *doing);

/* ---- device.c ---- */

/* Chooses the device (CNNC_CUDA_DEVICE, else the first that is visible) and makes it the thread's;
 * *arch: 10 * major + minor. */
int cuda_device(int *device, int *arch);
/* Its name and compute capability, "NVIDIA H200, 9.0". */
int cuda_describe(char *name, size_t len);
/* What to say when create finds less memory than `bytes` for the model's largest batch. */
void cuda_explain_memory(const CnnrtModel *m, size_t bytes, size_t per_image);

/* ---- image.c ---- */

/* Whether the model has code for the architecture. */
bool cuda_has_image(const CnnrtModel *m, int arch);
/* Whether the device gives blocks the shared memory that the model's kernels ask for; else a
 * status, with what it says. */
int cuda_has_shared(const CnnrtModel *m, int device);
/* Says why it has none. */
void cuda_say_no_image(const CnnrtModel *m, int arch);
/* Loads the best image that the driver takes, and finds the kernel of every step in it. */
int cuda_load(CudaContext *c, int arch);

/* ---- tensor.c ---- */

enum { CUDA_INPUT = 1 /* the operand of a step that tensor maps are of */ };
/* Finds the driver's encoder, where some launch takes a tensor map; else a status, with what it
 * says.
 */
int cuda_find_encoder(CudaContext *c);
/* The map of a launch's input, which lies at base, for a batch. */
cudaError_t cuda_map(const CudaContext *c, const CnnrtLaunch *l, void *base, int batch,
                     CudaTensorMap *out);

/* ---- launch.c ---- */

/* Steps [first, last) of a batch: with step_seconds one by one, with an event between any two; else
 * by a graph. Both as in CnnrtBackend.run. */
int cuda_launch(CudaContext *c, int batch, int64_t first, int64_t last, double *step_seconds,
                double *seconds);
void cuda_drop_graphs(CudaContext *c);
#endif
