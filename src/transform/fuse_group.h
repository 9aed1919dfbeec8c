/* What the two halves of the fuser share: fuse.c builds groups, fuse_train.c knows the operators of
 * training graphs. */
#ifndef CNNC_FUSE_GROUP_H
#define CNNC_FUSE_GROUP_H
#include "transform/fuse.h"

typedef struct Fuser {
    Fusion *f;
    const Graph *g;
    const Analysis *an;
    uint32_t *uses; /* edges to live nodes, through aliases */
    NodeId *user;   /* the last of them */
    bool *output;   /* stored for a head */
    bool *claimed;  /* already part of a group */
    bool *gated;    /* a product that became the gate of the convolution after it */
    bool apart;     /* batch normalisations are not folded into weights */
    bool *virtual;  /* not stored: every reader computes it from what is (training) */
} Fuser;

static inline Op op_of(const Fuser *s, NodeId n)
{
    return graph_node(s->g, n)->op;
}

static inline NodeId input_of(const Fuser *s, NodeId n, uint32_t i)
{
    return s->f->alias[graph_in(s->g, n, i).v];
}

static inline const Shape *shape_of(const Fuser *s, NodeId n)
{
    return &s->an->shape[n.v];
}

static inline bool same_map(const Fuser *s, NodeId a, NodeId b)
{
    const Shape *x = shape_of(s, a), *y = shape_of(s, b);
    return x->c == y->c && x->h == y->h && x->w == y->w;
}

static inline bool is_point(const Shape *s)
{
    return s->h == 1 && s->w == 1;
}

/* The expression of what g stores so far. */
ExprId fuse_root(const Fuser *s, const FuseGroup *g);
/* An operand of g, found or added. */
ExprId fuse_operand(Fuser *s, FuseGroup *g, OperandKind kind, NodeId n, ChannelFill fill);
bool fuse_has_room(const FuseGroup *g, uint32_t n);
/* The value of a node read by g: an operand or, of a virtual one, an expression of operands. */
ExprId fuse_value(Fuser *s, FuseGroup *g, NodeId n);
/* The most operands that a node adds to a group that has one of its inputs. */
uint32_t fuse_room(const Fuser *s, NodeId n);

/* Whether the node belongs to a training graph and works element by element. */
bool fuse_is_training(const Fuser *s, NodeId n);
/* Marks the virtual nodes; outputs are known. */
void fuse_find_virtual(Fuser *s);
/* The node that input i of n is read from: activations whose sign says all are differentiated at
 * their output, which is stored anyway. */
NodeId fuse_input(const Fuser *s, NodeId n, uint32_t i);
/* The input that a group of n alone is read along; NODE_NONE when every input is an operand. */
NodeId fuse_leader(const Fuser *s, NodeId n);
/* The value of n itself from its inputs. */
ExprId fuse_inline(Fuser *s, FuseGroup *g, NodeId n);
/* Adds u, whose first input is what g stores so far. */
bool fuse_absorb_training(Fuser *s, FuseGroup *g, NodeId u);
#endif
