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
#define CNNRT_ABI_VERSION 7
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
           "checksum differs")                                                                     \
    STATUS(NOT_TRAINING, 14, "the model does not train: build it with --mode=train")               \
    STATUS(NO_PARAMETER, 15, "the model has no parameter of this name")                            \
    STATUS(CHECKPOINT, 16,                                                                         \
           "the checkpoint cannot be written or read, or is another network's: the message says "  \
           "what")                                                                                 \
    STATUS(BAD_COUNTERS, 17, "a counter of the training is negative")                              \
    STATUS(NO_DEVICE, 18, "there is no device that this model can run on")                         \
    STATUS(DEVICE_MEMORY, 19, "the device has too little free memory")                             \
    STATUS(DEVICE, 20, "the device failed")

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
typedef struct CnnrtTrainer CnnrtTrainer;

/* Where a training is. updates: of the parameters, so far; passes: batches seen, of which the
 * random numbers of dropout depend, as on the seed. epoch and batch are the caller's own:
 * checkpoints keep them, and `cnnc train --resume` goes on there. */
typedef struct CnnrtCounters {
    int64_t updates, passes, epoch, batch;
    uint64_t seed;
} CnnrtCounters;

/* A parameter or running statistic of a trainer, by name: dims[0, ndim), count values in all. The
 * values may be read and written between calls of the trainer; when it runs on a device they are a
 * copy, made by find for all parameters and taken back by the next call. gradient: of the last
 * pass, NULL for statistics; slot: what the optimizer keeps, average: the running mean, NULL when
 * there is none.
 */
typedef struct CnnrtValues {
    int ndim, trained;
    int64_t dims[4], count;
    float *value, *gradient, *slot[2], *average;
} CnnrtValues;
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

/* How a batch best goes through a step: by all images before the next step, with the steps beside
 * it one image after the other, or by all images of each unit, whose weights no other unit reads.
 */
enum { CNNRT_BY_STEP, CNNRT_BY_IMAGE, CNNRT_BY_UNIT };

typedef struct CnnrtStep {
    CnnrtKernel kernel;
    const char *name;
    int64_t units; /* per image; of a whole step, in all */
    int64_t macs;  /* per image */
    CnnrtOperand args[CNNRT_KERNEL_ARGS];
    int64_t whole; /* runs once for the batch (a sum over images, a vector of channels) */
    int64_t order; /* of a model without whole steps */
} CnnrtStep;

typedef struct CnnrtTensor {
    const char *name;
    int64_t c, h, w;
    int32_t flat; /* a vector of c values */
    int32_t has_norm;
    float mean[4], std[4];
    int64_t resize, crop;
} CnnrtTensor;

/* Places in CnnrtRun.hyper of what an update needs of its step. */
enum {
    CNNRT_LR,
    CNNRT_BIAS1,   /* 1 / (1 - beta1^t), t counted from 1 */
    CNNRT_BIAS2,   /* 1 / sqrt(1 - beta2^t) */
    CNNRT_SCALE,   /* 1 / accumulate */
    CNNRT_AVERAGE, /* 1 - decay of the running mean */
    CNNRT_KEEP     /* accumulation: 0 in the first pass of an update, 1 in the others */
};

typedef struct CnnrtOptimizer {
    double beta1, beta2; /* with moments to be corrected; else 0 */
    double average;      /* decay of the running mean of the parameters; 0 = none */
    int64_t accumulate;  /* passes to an update, at least 1 */
} CnnrtOptimizer;

enum { CNNRT_TRAINED = 1, CNNRT_DECAYED = 2 };
typedef struct CnnrtParameter {
    const char *name;
    int64_t offset, count; /* floats, in the state */
    int64_t flags;         /* TRAINED: no running statistic; DECAYED: weight decay reaches it */
    int64_t ndim, dims[4];
} CnnrtParameter;

/* The state of a training model, weight_floats of it: parameters and statistics in [0, kept), of
 * which [0, trained) are trained; slot_count slots of `trained` floats that begin as slot_start;
 * running means at `average`, as far from it as their parameters from 0; gradients at `grad` in the
 * same way, and at `sum` those of the passes of an update. -1: there is none. A checkpoint holds
 * [0, saved). Steps before `forward` pack parameters, those from `backward` on are the backward
 * pass; with a sum, the step before `update` adds to it; those from `update` on are the update. */
typedef struct CnnrtTraining {
    const CnnrtParameter *parameters;
    int64_t parameter_count;
    int64_t trained, kept, saved, grad, sum, average;
    int64_t slot_count, slot[2];
    double slot_start[2];
    const char *slot_name[2]; /* in checkpoints: optimizer.SLOT_NAME.PARAMETER */
    int64_t forward, backward, update;
    int64_t heads, images; /* outputs before the losses; inputs before the targets */
    CnnrtOptimizer optimizer;
    const float *initial; /* [0, kept) at first, 64-byte aligned; NULL: given at creation */
    /* The network for inference: its weights are this state, or [average, ...) of it, and behind
     * weight_floats what it packs for itself in every run. NULL: there is none. */
    const CnnrtModel *(*inference)(void);
} CnnrtTraining;

/* How a step of a model for a device is started, for a batch b: ceil(b * items / per_block) by
 * `rows` blocks of `threads`; ceil(items / per_block) of a whole step. Parameters of the kernel are
 * the addresses of the step's operands, but for NONE, at image 0; b, 32 bits; with takes_run the
 * address of the CnnrtRun; and where tensor_channels is not 0 a tensor map of the step's input:
 * tensor_rows * b rows of so many bf16, tensor_step of them from one to the next, in boxes of
 * box_rows rows, box_channels wide, as rows of that width are exchanged (CU_TENSOR_MAP_SWIZZLE_64B,
 * _128B). */
typedef struct CnnrtLaunch {
    const char *kernel; /* its name in the images */
    int64_t items, per_block, rows;
    int32_t threads, shared; /* shared: bytes of dynamic shared memory */
    int32_t takes_run, once; /* once: a whole step */
    int64_t tensor_channels, tensor_rows, tensor_step;
    int32_t box_channels, box_rows;
} CnnrtLaunch;

/* Machine code of all kernels. arch: 10 * major + minor of the least device; `exact`: that one
 * alone (sm_90a). PTX is text that ends in NUL; a cubin runs on its major version. */
enum { CNNRT_PTX = 1, CNNRT_CUBIN = 2 };
typedef struct CnnrtImage {
    int32_t kind, arch;
    int64_t exact, bytes;
    const void *data;
} CnnrtImage;

/* What a kind of device does for contexts; functions return a status, with a text for detail, which
 * is the thread's, where that is not OK. */
typedef struct CnnrtBackend {
    int32_t abi; /* CNNRT_ABI_VERSION */
    const char *name;
    /* Whether a device is there that runs the model. */
    int (*present)(const CnnrtModel *m);
    /* What the device is that contexts are made on, "NVIDIA H200, 9.0": a text of `len` bytes. */
    int (*device)(char *name, size_t len);
    /* Takes all memory, copies `floats` weights (at least the model's), loads the code. owner:
     * another context of this kind whose weights are used from float `offset` on, instead of a
     * copy; it must live longer. */
    int (*create)(void **out, const CnnrtModel *m, const float *weights, int64_t floats,
                  void *owner, int64_t offset);
    /* Steps [first, last), as cnnrt_run_steps. in and out may be the host's memory or the
     * device's. Inputs are read by runs from step 0 on alone. On return the outputs are there.
     * seconds, unless NULL: what cnnrt_time_runs asks for. */
    int (*run)(void *device, const CnnrtRun *run, const float *const *in, float *const *out,
               int64_t first, int64_t last, double *step_seconds, double *seconds);
    /* Copies weights [first, first + count) from and to the device. */
    int (*load)(void *device, float *to, int64_t first, int64_t count);
    int (*store)(void *device, const float *from, int64_t first, int64_t count);
    void (*destroy)(void *device);
    const char *(*detail)(void);
} CnnrtBackend;

/* Code for a device, in place of the kernels of the steps. */
typedef struct CnnrtCode {
    const CnnrtBackend *backend;
    const CnnrtLaunch *launches; /* one a step */
    const CnnrtImage *images;
    int64_t image_count;
} CnnrtCode;

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
    const CnnrtTraining *training; /* NULL: the model does not train */
    const CnnrtCode *code;         /* NULL: it runs on the processor */
};

/* Of one network compiled for several processors or devices, best first: the first that can run
 * here, or where CNNC_CPU is set the one of that name (CnnrtModel.cpu). Where a device is passed
 * over, stderr says why. NULL when there is none; a built network's functions then return CPU. */
const CnnrtModel *cnnrt_choose(const CnnrtModel *const *variants, int64_t count);
/* The name of the file its weights are in; NULL when they are embedded, or for NULL. */
const char *cnnrt_weights_file(const CnnrtModel *m);
/* Bytes of workspace for a batch (activations and the scratch of `threads` threads, 0 = as many as
 * create would start). 0 when an argument is out of range. */
size_t cnnrt_workspace_size(const CnnrtModel *m, int batch, int threads);
/* Maps the file of external weights (of a training model: the initial parameters), which must be
 * the one the model was built with: its size and checksum are compared. One mapping serves any
 * number of contexts and threads; the file must not be changed while it is mapped. WEIGHTS_FILE
 * leaves the reason in errno. */
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
/* Where every run from now on puts the seconds that its steps took: on a device between two events
 * there, copies of inputs and outputs left out; on the processor by the clock. NULL: nowhere. */
int cnnrt_time_runs(CnnrtContext *c, double *seconds);
/* Of the runs to come: seed and step of the masks, hyper-parameters (CNNRT_HYPER of them, NULL: all
 * zero). A training model's weights are its state, which its runs change. */
int cnnrt_set_run(CnnrtContext *c, uint64_t seed, uint64_t step, const float *hyper);
int cnnrt_threads(const CnnrtContext *c);
/* A device has a copy of what create was given as weights, and the runs of a training model change
 * that copy: [first, first + count) of it to where create was given them, and from there to the
 * device. Nothing to do on the processor, or to fetch when no run has changed it since. */
int cnnrt_fetch_weights(CnnrtContext *c, int64_t first, int64_t count);
int cnnrt_send_weights(CnnrtContext *c, int64_t first, int64_t count);
/* Stops the threads and frees the context; no run may be in progress. NULL is allowed. */
void cnnrt_destroy(CnnrtContext *c);

/* What an update after `updates` others needs: out[CNNRT_LR .. CNNRT_AVERAGE]. */
void cnnrt_optimizer_hypers(const CnnrtOptimizer *o, double lr, int64_t updates, float *out);
/* The decay of a running mean at its step-th update, from 0: min(decay, (1 + step) / (10 + step)),
 * as in TensorFlow's ExponentialMovingAverage. */
double cnnrt_average_decay(double decay, int64_t step);
/* All that pass number `part` (from 0) of an update needs; out[CNNRT_HYPER]. */
void cnnrt_pass_hypers(const CnnrtOptimizer *o, double lr, int64_t updates, int64_t part,
                       float *out);

/* A training: the state, a workspace, and a team of threads (0 = CNNC_THREADS or the processors).
 * initial: NULL when embedded, else kept floats, which are copied. All else is allocated here; the
 * functions below allocate nothing. One call at a time per trainer (BUSY). */
int cnnrt_trainer_create(CnnrtTrainer **out, const CnnrtModel *m, const float *initial,
                         int threads);
void cnnrt_trainer_destroy(CnnrtTrainer *t);
/* One pass over a batch and, after as many as the model accumulates, an update with this rate.
 * in[i], targets[i]: as the inputs of the model say. loss (may be NULL): the mean over the batch of
 * the weighted losses of this pass. A loss that is not finite has been taken into the parameters.
 */
int cnnrt_trainer_step(CnnrtTrainer *t, int batch, const float *const *in,
                       const float *const *targets, double lr, double *loss);
/* A pass without an update: gradients are there to be read, running statistics have moved, and
 * nothing else has. */
int cnnrt_trainer_gradients(CnnrtTrainer *t, int batch, const float *const *in,
                            const float *const *targets, double *loss);
/* Head number `head` of the last pass, as PREFIX_run gives it; NULL when there is no such head. */
const float *cnnrt_trainer_output(const CnnrtTrainer *t, int head);
/* The network with the parameters as they are (averaged: with their running mean), for inference.
 */
int cnnrt_trainer_run(CnnrtTrainer *t, int batch, const float *const *in, float *const *out,
                      int averaged);
/* What PREFIX_create takes as weights, to run the network from a context of one's own: not during a
 * call of the trainer, as a run packs the parameters. NULL when there are no running means. */
const float *cnnrt_trainer_parameters(CnnrtTrainer *t, int averaged);
/* NO_PARAMETER: *out is untouched. */
int cnnrt_trainer_find(CnnrtTrainer *t, const char *name, CnnrtValues *out);
int cnnrt_trainer_counters(const CnnrtTrainer *t, CnnrtCounters *out);
int cnnrt_trainer_set_counters(CnnrtTrainer *t, const CnnrtCounters *c);
const CnnrtModel *cnnrt_trainer_model(const CnnrtTrainer *t);

/* A constant text for any number. */
const char *cnnrt_strerror(int status);
/* What the last failure of the model's kind of device in this thread was about, beyond its status;
 * "" when there was none. Valid until the next failure. */
const char *cnnrt_detail(const CnnrtModel *m);
/* XXH64 with seed 0: what `xxhsum -H64` prints for a file of these bytes. */
uint64_t cnnrt_hash(const void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
