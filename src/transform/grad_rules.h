/* What the rules of the grad column are given. */
#ifndef CNNC_GRAD_RULES_H
#define CNNC_GRAD_RULES_H
#include "transform/grad.h"

typedef VEC(NodeId) NodeList;

typedef struct Grad {
    TrainGraph *t;
    Arena *arena;
    VEC(Shape) shape; /* by node, as far as the graph goes */
    bool *needs;      /* by forward node: a parameter lies at or before it */
    NodeList *parts;  /* by forward node: contributions to its gradient */
    const char *failed;
} Grad;

/* Gradients for the inputs and parameters of n from that of its output. */
typedef void GradRule(Grad *s, NodeId n, NodeId dy);
GradRule *grad_rule(Op op);

/* A node called "<name of n>^<what>". */
NodeId grad_add(Grad *s, Op op, const AttrVal *attrs, const NodeId *in, uint32_t nin, NodeId n,
                const char *what);
/* The same for an operator that belongs to n and gives `shape`. */
NodeId grad_own(Grad *s, Op op, NodeId n, Shape shape, const NodeId *in, uint32_t nin,
                const char *what);
/* Adds dx to the gradient of input i of n, if anything needs it. */
void grad_input(Grad *s, NodeId n, uint32_t i, NodeId dx);
bool grad_wanted(const Grad *s, NodeId n, uint32_t i);
#endif
