/* Fusion: the graph's nodes grouped around anchors (a contraction, pooling, ... or a bare
 * elementwise expression). The graph itself is not changed.
 * needs: shapes; keeps: everything; breaks: nothing. */
#ifndef CNNC_FUSE_H
#define CNNC_FUSE_H
#include "analysis/analysis.h"
#include "expr/expr.h"

/* MASK: the gate of a random mask over whole images, 0 or 1 / (1 - p). */
typedef enum OperandKind { OPERAND_MAP, OPERAND_GATE, OPERAND_CHANNEL, OPERAND_MASK } OperandKind;
/* What a CHANNEL operand holds; computed when weights are packed, in training graphs from the
 * statistics of the batch: NORM of a bn_apply, BACK of a bn_dx (dy * A + x * B + C). */
typedef enum ChannelFill {
    FILL_BN_SCALE,
    FILL_BN_SHIFT,
    FILL_LN_WEIGHT,
    FILL_LN_BIAS,
    FILL_GAMMA,
    FILL_NORM_SCALE,
    FILL_NORM_SHIFT,
    FILL_BACK_A,
    FILL_BACK_B,
    FILL_BACK_C
} ChannelFill;
enum { FUSE_MAX_OPERANDS = 10 }; /* of one group, its gate not counted */
typedef struct FuseOperand {
    OperandKind kind;
    NodeId node; /* MAP, GATE: the tensor (alias-resolved); CHANNEL: whose parameters or statistics
                    fill it; MASK: the mask */
    ChannelFill fill;
} FuseOperand;

/* Elementwise nodes of a chain, each with one reader, join the group of what they read. A sum is
 * taken by the later of its producers. A flatten that moves nothing (1x1) is an alias; any other is
 * a view: it has no group, and readers name it as their input. A sum or product of very many
 * operands is several groups with the same result, of which all but the first read that result. */
typedef struct FuseGroup {
    NodeId anchor;  /* node whose family computes arg 0; NODE_NONE for a pure ELEM group */
    NodeId result;  /* node whose value is stored */
    NodeId in;      /* main input (alias-resolved); ELEM: arg 0, NODE_NONE when all are operands */
    NodeId fold_bn; /* conv/dense/convt: batch norm folded into weights and bias; or NONE */
    NodeId gate;    /* 1x1 conv: tensor whose channels multiply the input; or NONE */
    ExprId root;    /* over arg 0 and operands 1.. */
    VEC(FuseOperand) operands;
} FuseGroup;

typedef struct Fusion {
    Arena *arena;
    const Graph *g;
    ExprPool exprs;
    NodeId *alias;         /* by node: the node whose value it is (dropout -> its input, ...) */
    VEC(FuseGroup) groups; /* in execution order */
    uint32_t *group_of;    /* by node: index + 1 of the group that stores it, 0 = not stored */
} Fusion;

void fuse_run(Fusion *f, Arena *a, const Analysis *an);
/* The same without folding batch normalisations into weights: those are not known yet. */
void fuse_run_apart(Fusion *f, Arena *a, const Analysis *an);
/* NULL, or what is wrong: something read that no earlier group stores, an expression over operands
 * that are not there, a head without its value. */
const char *fuse_verify(const Fusion *f);
void fuse_print(const Fusion *f, Buf *out);
#endif
