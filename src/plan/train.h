/* What lowering a training graph knows beside the graph: where parameters, their gradients and the
 * vectors of normalisations lie in the state. */
#ifndef CNNC_PLAN_TRAIN_H
#define CNNC_PLAN_TRAIN_H
#include "plan/lower.h"

/* Vectors of a normalisation, one after the other, each of whole vector registers. */
enum { NORM_SCALE, NORM_SHIFT, NORM_MEAN, NORM_INVSTD, NORM_VECTORS };
enum { BACK_A, BACK_B, BACK_C, BACK_VECTORS };

/* Sums over a value, which its own kernel can make in passing. */
typedef struct LineSums {
    NodeId of;       /* what they are for: a variance, or a gradient of scale; NODE_NONE: nothing */
    uint32_t tensor; /* index + 1 of the lines; 0: the kernel does not make them */
    int64_t part;    /* positions that a line stands for */
} LineSums;

typedef struct TrainPlan {
    const TrainGraph *t;
    ExprPool exprs;       /* of the steps made here */
    uint32_t *first;      /* by node: index + 1 of its first parameter in the state */
    uint32_t *grad_of;    /* by node: index + 1 of the parameter whose gradient it is */
    NodeId *bn_of;        /* by node of a variance: the normalisation by it */
    int64_t *norm, *back; /* by normalisation: offset of its vectors, -1 before */
    LineSums *lines;      /* by node */
    Value *gate;          /* by key of a mask over whole images */
    VEC(PlanStep) packs;
} TrainPlan;

/* s->train for a graph over a state; train: NULL for inference. */
void plan_new_training(Planner *s, const TrainGraph *train);
/* Like plan_finish_step, for a step that runs before those of the network: it reads parameters. */
void plan_finish_early(Planner *s, Draft *d);
/* Where the scale and the shift of a batch normalisation by its running statistics lie (NORM_SCALE,
 * NORM_SHIFT); -1 when its parameters are not in the state. evaluate.c */
int64_t plan_running_norm(Planner *s, NodeId bn);
/* A region of the state, whole lines. */
int64_t plan_state_add(Planner *s, int64_t floats);
PlanOperand plan_state_at(int64_t offset);
/* The parameter of a node with this suffix, NULL when it has none. */
const PlanParam *plan_param(const Planner *s, NodeId n, const char *suffix);
/* Where the gradient that node n computes belongs; -1 when it is none of a parameter. */
int64_t plan_gradient(const Planner *s, NodeId n);
/* Floats of a vector of all channels of the map. */
int64_t plan_padded(const Planner *s, int64_t c);
/* Adds an operand behind those d has; its index. step: floats from image to image. */
int plan_extra(Draft *d, ArgKind kind, PlanOperand o, int64_t step, int hyper);
/* The same for a value that is an array of maps. */
int plan_extra_value(const Planner *s, Draft *d, ArgKind kind, Value v);
int64_t plan_step_of(const Planner *s, Value v);
/* The i-th input of a group's anchor, the forward node that the anchor belongs to. */
NodeId plan_anchor_input(const Planner *s, const Draft *d, uint32_t i);
NodeId plan_anchor_owner(const Planner *s, const Draft *d);
/* plan_set_in, of all images. */
void plan_set_images(const Planner *s, Draft *d, Value v);
/* Notes which values are summed. sums.c */
void plan_find_lines(Planner *s);
#endif
