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

/* Layout of the structures below; a model of another version is refused with CNNRT_BAD_MODEL. */
#define CNNRT_ABI_VERSION 4
#define CNNRT_KERNEL_ARGS 16
#define CNNRT_HYPER 16

/* What can happen: STATUS(ID, number, text of cnnrt_strerror). Numbers are never reused. */
#define CNNRT_STATUSES(STATUS)                                                                     \
    STATUS(OK, 0, "no error")                                                                      \
    STATUS(BAD_ARGUMENT, 1, "a pointer is NULL or the number of threads is not in 0 to 1024")      \
    STATUS(NO_MEMORY, 2, "out of memory")                                                          \
    STATUS(NO_THREADS, 3, "threads could not be started")                                          \
    STATUS(BAD_MODEL, 4, "the model was built for another version of cnnrt")                       \
    STATUS(NO_WEIGHTS, 5, "the model has no embedded weights and none were given")                 \
    STATUS(BUSY, 6, "the context is already running in another thread")                            \
    STATUS(CPU, 7, "this processor lacks instructions that the model was compiled for")            \
    STATUS(BAD_BATCH, 8, "the batch is below 1 or above the largest the model was built for")      \
    STATUS(BAD_WORKSPACE, 9,                                                                       \
           "the workspace is too short for this batch or not aligned to 64 bytes")                 \
    STATUS(BAD_BUFFER, 10,                                                                         \
           "an input or output is NULL or not aligned, or an output overlaps another buffer")      \
    STATUS(BAD_WEIGHTS, 11, "the weights are not aligned to 64 bytes")                             \
    STATUS(WEIGHTS_FILE, 12, "the file of the weights cannot be read")                             \
    STATUS(WRONG_WEIGHTS, 13,                                                                      \
           "the file of the weights is not the one this model was built with: its size or "        \
           "checksum differs")

/* Headers of models declare the same, and any number of them may be included. */
#ifndef CNNRT_SHARED
#define CNNRT_SHARED
typedef enum CnnrtStatus {
#define CNNRT_STATUS_VALUE(ID, NUMBER, TEXT) CNNRT_##ID = (NUMBER),
    CNNRT_STATUSES(CNNRT_STATUS_VALUE)
#undef CNNRT_STATUS_VALUE
} CnnrtStatus;
typedef struct CnnrtModel CnnrtModel;
typedef struct CnnrtContext CnnrtContext;
#endif

/* What every kernel may read of the run: args[CNNRT_KERNEL_ARGS] points to it. seed and step are
 * those of the masks of a training step (docs/random.md); hyper is what a training model says it
 * is. */
typedef struct CnnrtRun {
    int64_t batch;
    uint64_t seed, step;
    float hyper[CNNRT_HYPER];
} CnnrtRun;

/* Units [begin, end) of one image; of a whole step, of the batch: args then point at image 0. */
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
    int64_t units; /* per image; of a whole step, in all */
    int64_t macs;  /* per image */
    CnnrtOperand args[CNNRT_KERNEL_ARGS];
    int64_t whole; /* runs once for the batch (a sum over images, a vector of channels) */
} CnnrtStep;

typedef struct CnnrtTensor {
    const char *name;
    int64_t c, h, w;
    int32_t flat; /* a vector of c values */
    int32_t has_norm;
    float mean[4], std[4];
    int64_t resize, crop;
} CnnrtTensor;

struct CnnrtModel {
    int32_t abi;
    int32_t max_batch;
    const char *name;
    const CnnrtStep *steps;
    const CnnrtTensor *inputs, *outputs;
    int64_t step_count, input_count, output_count;
    int64_t arena_floats;   /* per image */
    int64_t scratch_floats; /* per thread */
    int64_t weight_floats;
    const float *weights;     /* 64-byte aligned; NULL: given at creation */
    const char *cpu;          /* what the code needs: "x86-64-v3" */
    int64_t parameters;       /* trained values */
    uint64_t weights_hash;    /* XXH64, seed 0, of the weight_floats in memory order */
    const char *weights_file; /* name of the file with the weights when they are not embedded */
    const char *compiler;     /* "cnnc 0.1.0 (LLVM 19.1.7)" */
};

/* Of one network compiled for several processors, best first: the first that this one can run, or
 * where CNNC_CPU is set the one for that processor. NULL when there is none; a built network's
 * functions then return CPU. */
const CnnrtModel *cnnrt_choose(const CnnrtModel *const *variants, int64_t count);
/* The name of the file its weights are in; NULL when they are embedded, or for NULL. */
const char *cnnrt_weights_file(const CnnrtModel *m);
/* Bytes of workspace for a batch (activations and the scratch of `threads` threads, 0 = as many as
 * create would start). 0 when an argument is out of range. */
size_t cnnrt_workspace_size(const CnnrtModel *m, int batch, int threads);
/* Maps the file of external weights, which must be the one the model was built with: its size and
 * checksum are compared. One mapping serves any number of contexts and threads; the file must not
 * be changed while it is mapped. WEIGHTS_FILE leaves the reason in errno. */
int cnnrt_weights_map(const CnnrtModel *m, const char *path, const float **out);
/* Of what weights_map gave, once no context uses it; NULL is allowed. */
void cnnrt_weights_unmap(const CnnrtModel *m, const float *weights);
/* threads: 0 = CNNC_THREADS or the processors available. weights: NULL when embedded. workspace:
 * 64-byte aligned, at least workspace_size(max batch used, threads), owned by the caller and free
 * for reuse between runs; NULL = the context allocates its own for max_batch now. After fork the
 * context can be used in the child, too, where it runs on the one thread there is. */
int cnnrt_create(CnnrtContext **out, const CnnrtModel *m, const float *weights, int threads,
                 void *workspace, size_t workspace_len);
/* in[i], out[i]: batch images each, [n][c][h][w] float32; outputs overlap nothing. Allocates
 * nothing and changes nothing but the outputs, the workspace and the context. One run at a time per
 * context (BUSY); any number of contexts at once. */
int cnnrt_run(CnnrtContext *c, int batch, const float *const *in, float *const *out);
/* As run, and seconds per step are added to step_seconds[step_count]. */
int cnnrt_profile(CnnrtContext *c, int batch, const float *const *in, float *const *out,
                  double *step_seconds);
/* As profile, for steps [first, last) only. What earlier steps left in the workspace must be there:
 * the same batch, and no run in between. step_seconds may be NULL. */
int cnnrt_run_steps(CnnrtContext *c, int batch, const float *const *in, float *const *out,
                    int64_t first, int64_t last, double *step_seconds);
/* Of the runs to come: seed and step of the masks, hyper-parameters (CNNRT_HYPER of them, NULL: all
 * zero). A training model's weights are its state, which its runs change. */
int cnnrt_set_run(CnnrtContext *c, uint64_t seed, uint64_t step, const float *hyper);
int cnnrt_threads(const CnnrtContext *c);
/* Stops the threads and frees the context; no run may be in progress. NULL is allowed. */
void cnnrt_destroy(CnnrtContext *c);
/* A constant text for any number. */
const char *cnnrt_strerror(int status);
/* XXH64 with seed 0: what `xxhsum -H64` prints for a file of these bytes. */
uint64_t cnnrt_hash(const void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
