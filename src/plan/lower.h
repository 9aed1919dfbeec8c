/* What the parts of the planner share. */
#ifndef CNNC_LOWER_H
#define CNNC_LOWER_H
#include "plan/plan.h"

enum { PLAN_LINE = 16 }; /* floats of a cache line: every region starts on one */

/* Where a value lies: a tensor or, of a concatenation or slice, a range of channels of one. */
typedef struct Value {
    uint32_t tensor; /* index + 1; 0 = not placed yet */
    int64_t offset;  /* floats inside an image */
    MapDesc map;
    int64_t pixel; /* CHANNELS: floats from a position to the next; 0: the map's own */
} Value;

typedef struct Planner {
    Plan *p;
    const Graph *g;
    const Analysis *an;
    const Fusion *f;
    /* "blocked": in target_layout, BLOCKED or CHANNELS */
    Value *value;           /* by node; network inputs are PLANAR, all else blocked */
    Value *blocked;         /* by node: blocked copy of an input or of a flattened map */
    bool *averaged;         /* by node: a global mean reads it */
    Value *sums;            /* by node: its sums over blocks of rows, made with it */
    uint32_t *readers;      /* by node: groups that read it */
    uint32_t *heads;        /* by node: outputs it is */
    const PlanTiles *tiles; /* NULL: rules alone */
    const char *failed;
    struct TrainPlan *train; /* NULL for inference */
} Planner;

/* A step under construction. */
typedef struct Draft {
    Kernel k;
    PlanOperand args[KERNEL_ARGS];
    const FuseGroup *group; /* NULL for inserted copies */
    NodeId node;            /* names the step */
    Value in, out;
    /* training: strides of the plain weights that the kernel's are packed from */
    int64_t pack_o, pack_i;
    bool pack_flip;
} Draft;

int64_t plan_round(int64_t floats); /* up to whole lines; saturates */
Value plan_new_value(Planner *s, NodeId n, MapDesc map, Space space, uint32_t index);
/* The node's value in target_layout; inserts copies for inputs and flattened maps. */
Value plan_blocked_value(Planner *s, NodeId n);
/* Channels [c, c + part's) of a value, c a multiple of vl. */
Value plan_part_value(const Planner *s, Value whole, int64_t c, MapDesc part);
/* The value a group writes, placed on first need. */
Value plan_result_value(Planner *s, const FuseGroup *g, bool may_be_output);
MapDesc plan_blocked_map(const Planner *s, NodeId n);
void plan_set_out(Draft *d, Value out);
void plan_set_in(Draft *d, Value in);
/* Chooses the tile, finds or adds the kernel, lays out weights, appends the step. */
void plan_finish_step(Planner *s, Draft *d);
PlanOperand plan_operand(const Planner *s, Value v);
/* Weights, bias and channel vectors of a step: regions of the blob that are packed at compile time,
 * or of a training step's state. */
void plan_place_weights(Planner *s, Draft *d, uint32_t kernel);
void plan_place_state(Planner *s, Draft *d);
/* Training: the layout of the state before lowering, the order of the steps after it; train.c */
void plan_open_training(Planner *s, const TrainGraph *train, const OptimSpec *optim);
void plan_close_training(Planner *s, const OptimSpec *optim);
/* Inference on that state; evaluate.c */
void plan_open_evaluation(Planner *s, const Plan *training);
/* Puts the steps that read parameters before the others. */
void plan_packs_first(Planner *s);
/* The optimizer's part of the state, and its steps; NULL: none. optim.c */
void plan_optimizer_state(Planner *s, const OptimSpec *spec);
void plan_optimizer(Planner *s, const OptimSpec *spec);
/* sums.c: whether the kernel of d could make sums over its result in passing, which its tile has to
 * know; and has it make them, with the tile that is chosen, where that works in blocks. */
bool plan_wants_lines(const Planner *s, const Draft *d);
void plan_add_lines(Planner *s, Draft *d);
/* The gate of a mask over whole images; train.c */
PlanOperand plan_mask_gate(Planner *s, NodeId mask);
void plan_copy_layout(Planner *s, NodeId n, Value from, Value to);
/* The geometry of n's window over a map of this shape, as families take it. */
void plan_set_window(Kernel *k, const Graph *g, NodeId n, const Shape *in);
void plan_set_point(Kernel *k);
PoolKind plan_pool_kind(Kernel *k, const Graph *g, NodeId n);
/* Rules of training operators; lower_train.c */
typedef void LowerRule(Planner *s, Draft *d);
LowerRule plan_conv_dx, plan_conv_dw, plan_convt_dx, plan_convt_dw, plan_pool_dx, plan_ln_dx,
    plan_ln_dw, plan_lrn_dx, plan_softmax_dx, plan_loss, plan_loss_dx, plan_mask, plan_norm_stats,
    plan_norm_grad, plan_channel_sum, plan_channel_dot, plan_copy_dx, plan_unflatten, plan_later;
/* Lowers one group; lower.c */
void plan_lower_group(Planner *s, const FuseGroup *g);
/* How a batch goes through the steps; order.c */
void plan_order(Plan *p);
/* Offsets of arena tensors; memory.c */
/* The kernel k of the plan, added when it has none like it. */
uint32_t plan_find_kernel(Planner *s, const Kernel *k, bool tuned);
/* narrow.c: bf16 in memory between kernels that can read and write it. */
void plan_narrow(Planner *s);
/* The rules' tile for k, or one that was measured; whether it was. */
bool plan_choose_tile(const Planner *s, Kernel *k);
/* retile.c: the same again for kernels that were narrowed. */
void plan_retile(Planner *s);
/* ahead.c: who fetches the weights of dense layers. */
void plan_ahead(Planner *s);
void plan_memory(Plan *p);
/* Steps at which each tensor is first and last used, inclusive. */
void plan_liveness(const Plan *p, uint32_t *first, uint32_t *last);
/* Whether a step writes its argument `arg` and nothing else does: its output, and results beside
 * it. */
bool plan_writes(const Plan *p, const PlanStep *step, int arg);
/* Whether step i may write its output over its argument `arg` (same place, element by element). */
bool plan_may_overwrite(const Plan *p, const PlanStep *step, int arg);
#endif
