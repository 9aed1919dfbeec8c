/* The training graph: the forward graph, the losses, and the gradients of every trained parameter,
 * by reverse mode (Linnainmaa 1970; Griewank & Walther 2008, chapter 3). An ordinary graph that is
 * printed, verified, interpreted and lowered like any other. */
#ifndef CNNC_GRAD_H
#define CNNC_GRAD_H
#include "analysis/analysis.h"

typedef enum LossKind { LOSS_CROSS_ENTROPY, LOSS_BINARY, LOSS_SQUARED } LossKind;

/* One term of the loss: weight times the mean over the batch of a head's loss. Cross entropy takes
 * logits and smooths the target t to (1 - smoothing) t + smoothing / classes; on a map it is the
 * mean over positions. */
typedef struct TrainLoss {
    LossKind kind;
    uint32_t head; /* index in the forward graph's outputs */
    double weight, smoothing;
} TrainLoss;

/* The gradient of a parameter: `which` of params_of(node). */
typedef struct ParamGrad {
    NodeId node;
    int which;
    NodeId grad;
} ParamGrad;

/* A batch normalisation's statistics, for its running mean and variance. */
typedef struct StatUpdate {
    NodeId bn, mean, var;
} StatUpdate;

/* Outputs, in this order: the heads; the losses, per image and weighted ("loss.N"); gradients
 * ("grad.NAME"); statistics ("mean.NAME", "var.NAME"). Inputs: the forward graph's, then a target
 * of the shape of every head that has a loss ("target.HEAD"). */
typedef struct TrainGraph {
    Graph g;
    Shape *shape;    /* by node of g */
    NodeId *node_of; /* by forward node; NODE_NONE when it is dead */
    VEC(ParamGrad) params;
    VEC(StatUpdate) stats;
    VEC(NodeId) losses;
    uint32_t targets;     /* inputs that are */
    uint32_t forward_end; /* nodes below are the forward pass, losses included */
} TrainGraph;

/* NULL, or why there is none: no loss, a head that no parameter reaches. `an` stays unchanged. */
const char *grad_build(TrainGraph *t, Arena *a, const Analysis *an, const TrainLoss *loss,
                       int loss_count);
/* What fusion and planning ask of a training graph. The outputs from the first gradient on are
 * taken off: TrainGraph says where gradients are. */
void grad_analysis(TrainGraph *t, Arena *a, const Analysis *forward, Analysis *out);
#endif
