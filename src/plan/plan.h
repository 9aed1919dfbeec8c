/* The plan: layouts, kernels, buffers and the order of launches. The only place that knows both the
 * graph and the families. */
#ifndef CNNC_PLAN_H
#define CNNC_PLAN_H
#include "family/family.h"
#include "analysis/param_source.h"
#include "transform/fuse.h"
#include "transform/grad.h"
#include "transform/optim.h"

/* The order of CNNRT_NONE ... CNNRT_SCRATCH in cnnrt.h. */
typedef enum Space {
    SPACE_NONE,
    SPACE_INPUT,
    SPACE_OUTPUT,
    SPACE_ARENA,
    SPACE_WEIGHTS,
    SPACE_SCRATCH
} Space;

typedef struct PlanTensor {
    NodeId node;
    MapDesc map;
    Space space;
    uint32_t index; /* which graph input or output */
    bool narrow;    /* its elements are bf16: two in a float (narrow.c) */
    int64_t floats; /* of one image: the step from image to image; ARENA: whole cache lines */
    int64_t offset; /* ARENA: floats from the start of the arena, times the batch */
    uint32_t first_step, last_step; /* written first, used last */
} PlanTensor;

typedef struct PlanOperand {
    Space space;
    uint32_t tensor; /* index + 1 in Plan.tensors; 0 for WEIGHTS, SCRATCH and NONE */
    int64_t offset;  /* WEIGHTS: floats from the start of the blob; else floats from the start of
                        the tensor's image (a part of a concatenation; CnnrtOperand.inner) */
} PlanOperand;

/* How a batch goes through a step: CNNRT_BY_STEP, ... */
typedef enum StepOrder { ORDER_STEP, ORDER_IMAGE, ORDER_UNIT } StepOrder;

typedef struct PlanStep {
    uint32_t kernel;
    PlanOperand args[KERNEL_ARGS];
    int64_t units;
    uint32_t group;   /* index in Fusion.groups, UINT32_MAX for inserted copies */
    const char *name; /* instance path of its anchor (of its result when it has none) */
    int64_t macs;
    bool whole; /* runs once for the batch, its arguments at image 0 */
    StepOrder order;
    uint32_t repeats; /* index + 1 of the step that this one makes anew; 0: none (recompute.h) */
} PlanStep;

typedef struct PlanKernel {
    Kernel k;
    const char *key;
    uint32_t uses;
    bool tuned; /* its tile was found, not chosen by the rules */
} PlanKernel;

/* How one region of the weight blob is filled. */
typedef enum PackKind { PACK_WEIGHTS, PACK_BIAS, PACK_CHANNEL } PackKind;
typedef struct PackJob {
    PackKind kind;
    NodeId node; /* whose parameters */
    NodeId fold_bn;
    ChannelFill fill; /* PACK_CHANNEL */
    uint32_t kernel;
    MapDesc in; /* physical order of the input: dense weights are permuted to it */
    int64_t offset, floats;
} PackJob;

/* A parameter, or a running statistic, of a training step. */
typedef struct PlanParam {
    NodeId node; /* of the training graph */
    int which;   /* of params_of(node) */
    const char *name;
    int64_t offset, floats; /* in the state; floats: trained values, without padding */
    int ndim;
    int64_t dims[4];
    bool trained, decayed; /* statistics are not trained, norms and biases not decayed */
} PlanParam;

/* The state of a training step: one block of floats that the runtime passes where an inference
 * model has its weights. Every parameter starts on a line, zeros behind it. In this order:
 * parameters that are decayed, [0, decayed); others, [decayed, trained); running statistics,
 * [trained, kept); what the optimizer keeps; gradients, as far from `grad` as their parameters from
 * 0; vectors and packed weights, made anew in every step. */
enum { PLAN_KEEP = OPTIM_HYPERS };
typedef struct PlanState {
    VEC(PlanParam) params;
    int64_t decayed, trained, kept, grad;
    /* With several batches to an update: where their gradients are added up, -1 otherwise. The
     * hyper-parameter PLAN_KEEP is 0 for the first of them and 1 for the others. */
    int64_t sum;
    /* What the optimizer keeps: slots as large as all trained parameters, filled with slot_start at
     * first; the running mean of all parameters and statistics, -1 when there is none. A checkpoint
     * holds [0, saved). */
    int slots;
    int64_t slot[2], average, saved;
    double slot_start[2];
    const char *slot_name[2]; /* optimizer.SLOT_NAME.PARAMETER in checkpoints */
    CnnrtOptimizer optimizer; /* what the runtime computes hyper-parameters from */
} PlanState;

typedef struct Plan {
    Arena *arena;
    const Analysis *an;
    const Fusion *fusion;
    Target target;
    VEC(PlanTensor) tensors;
    VEC(PlanKernel) kernels; /* distinct */
    VEC(PlanStep) steps;
    VEC(PackJob) packs;
    int64_t arena_floats; /* per image: the buffer of tensor t for batch b starts at offset * b */
    int64_t weight_floats;
    int64_t scratch_floats; /* per thread */
    int64_t live_peak;      /* floats: largest live set, the bound arena_floats is held against */
    /* Training: weight_floats is the size of the state, and packs is empty. Steps before `forward`
     * pack the parameters, those from `backward` on are the backward pass, those from `update` on
     * the optimizer's. */
    const TrainGraph *train;
    bool on_state; /* weights are the state of a training step: training, and inference on it */
    PlanState state;
    uint32_t forward, backward, update;
    /* What recomputation saves and costs, per image: arena_floats without it, multiplications of
     * steps that repeat others. */
    int64_t plain_floats, again_macs;
} Plan;

/* What of the forward pass may be computed twice in a training step: nothing; what takes no
 * multiplications by weights; anything. */
typedef enum PlanRecompute { RECOMPUTE_NONE, RECOMPUTE_CHEAP, RECOMPUTE_ALL } PlanRecompute;

/* NULL on success or a message (limits). */
const char *plan_build(Plan *p, Arena *a, const Analysis *an, const Fusion *f, const Target *t);
/* Where tiles that were measured come from: whether there is one for k, which has the tile of the
 * rules. One that does not fit the kernel is not used. */
typedef struct PlanTiles {
    bool (*find)(void *ctx, const Kernel *k, const Target *t, Tile *out);
    void *ctx;
} PlanTiles;
/* The same; `tiles` may be NULL. */
const char *plan_build_tuned(Plan *p, Arena *a, const Analysis *an, const Fusion *f,
                             const Target *t, const PlanTiles *tiles);
/* The same for a training graph: an is grad_analysis's, and the outputs are heads and losses. The
 * optimizer has been checked; NULL: gradients are computed and nothing is updated. */
const char *plan_build_training(Plan *p, Arena *a, const Analysis *an, const Fusion *f,
                                const Target *t, const TrainGraph *train, const OptimSpec *optim);
/* Inference with the parameters of a training plan of the same net: its weights are that plan's
 * state, which its first steps pack, behind the weight_floats of the other, in every run. The
 * fusion is fuse_run_apart's. */
const char *plan_build_evaluation(Plan *p, Arena *a, const Analysis *an, const Fusion *f,
                                  const Plan *training);
const char *plan_verify(const Plan *p);
void plan_print(const Plan *p, Buf *out);
/* CUDA: steps that are contractions, and those of them on matrix units. */
typedef struct PlanContractions {
    uint32_t all, units;
} PlanContractions;
PlanContractions plan_contractions(const Plan *p);
/* Floats of one image that an inference kernel touches of argument `arg`; 0 when it must be absent.
 */
int64_t plan_operand_floats(const Kernel *k, const Target *t, int arg);
/* Fills the blob (weight_floats, zeroed by the callee) on up to `threads` threads (0 = the
 * processors), from parameters asked for by full name: on several threads at once unless `threads`
 * is 1, and released after each layer. NULL or the full name of the first missing parameter, in
 * the plan's arena. */
const char *plan_pack(const Plan *p, const ParamSource *params, int threads, float *blob);
#endif
