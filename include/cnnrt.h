/* cnnrt: the ABI between generated code, the runtime and user programs. Plain C99, libc, libm and
 * pthreads only. Generated artefacts contain one constant CnnrtModel; the runtime walks its steps.
 */
#ifndef CNNRT_H
#define CNNRT_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define CNNRT_ABI_VERSION 1
#define CNNRT_KERNEL_ARGS 13

typedef enum CnnrtStatus {
    CNNRT_OK = 0,
    CNNRT_BAD_ARGUMENT = 1, /* NULL pointer, batch out of range, misaligned or short workspace */
    CNNRT_NO_MEMORY = 2,
    CNNRT_NO_THREADS = 3,
    CNNRT_BAD_MODEL = 4, /* ABI version differs */
    CNNRT_NO_WEIGHTS = 5,
    CNNRT_BUSY = 6, /* the context is already running in another thread */
    CNNRT_CPU = 7   /* this processor lacks instructions the code was compiled for */
} CnnrtStatus;

/* Units [begin, end) of one image. */
typedef void (*CnnrtKernel)(float *const *args, int64_t begin, int64_t end);

enum { CNNRT_NONE, CNNRT_INPUT, CNNRT_OUTPUT, CNNRT_ARENA, CNNRT_WEIGHTS, CNNRT_SCRATCH };

typedef struct CnnrtOperand {
    int32_t space;
    int32_t index;  /* of the input or output */
    int64_t offset; /* floats: WEIGHTS from the blob's start; ARENA times the batch */
    int64_t stride; /* floats from one image to the next */
    int64_t inner;  /* ARENA: floats from the start of an image, when only a part is meant */
} CnnrtOperand;

typedef struct CnnrtStep {
    CnnrtKernel kernel;
    const char *name;
    int64_t units; /* per image */
    int64_t macs;  /* per image */
    CnnrtOperand args[CNNRT_KERNEL_ARGS];
} CnnrtStep;

typedef struct CnnrtTensor {
    const char *name;
    int64_t c, h, w;
    int32_t flat; /* a vector of c values */
    int32_t has_norm;
    float mean[4], std[4];
    int64_t resize, crop;
} CnnrtTensor;

typedef struct CnnrtModel {
    int32_t abi;
    int32_t max_batch;
    const char *name;
    const CnnrtStep *steps;
    const CnnrtTensor *inputs, *outputs;
    int64_t step_count, input_count, output_count;
    int64_t arena_floats;   /* per image */
    int64_t scratch_floats; /* per thread */
    int64_t weight_floats;
    const float *weights; /* 64-byte aligned; NULL: given at creation */
    const char *cpu;      /* what the code needs: "x86-64-v3" */
} CnnrtModel;

typedef struct CnnrtContext CnnrtContext;

/* Bytes of workspace for a batch (activations and the scratch of `threads` threads). */
size_t cnnrt_workspace_size(const CnnrtModel *m, int batch, int threads);
/* Threads: 0 = CNNC_THREADS or the processors available. weights: NULL when embedded. workspace:
 * 64-byte aligned, at least workspace_size(max batch used, threads), owned by the caller and free
 * for reuse between runs; NULL = the context allocates its own for max_batch now. */
int cnnrt_create(CnnrtContext **out, const CnnrtModel *m, const float *weights, int threads,
                 void *workspace, size_t workspace_len);
/* in[i], out[i]: batch images each, [n][c][h][w] float32. Allocates nothing. One run at a time per
 * context; any number of contexts at once. */
int cnnrt_run(CnnrtContext *c, int batch, const float *const *in, float *const *out);
/* As run, and seconds per step are added to step_seconds[step_count]. */
int cnnrt_profile(CnnrtContext *c, int batch, const float *const *in, float *const *out,
                  double *step_seconds);
int cnnrt_threads(const CnnrtContext *c);
void cnnrt_destroy(CnnrtContext *c);
const char *cnnrt_strerror(int status);

#ifdef __cplusplus
}
#endif
#endif
