/* The scalar expression IR: a small hash-consed DAG for whatever happens to one element: epilogues,
 * fused elementwise groups, normalisation. Written once; each target emits it for its own lanes. */
#ifndef CNNC_EXPR_H
#define CNNC_EXPR_H
#include "support/arena.h"
#include "support/buf.h"
#include "support/vec.h"

typedef enum ExprOp {
    EX_NONE,
    EX_ARG, /* k-th operand */
    EX_CONST,
    EX_ADD,
    EX_SUB,
    EX_MUL,
    EX_DIV,
    EX_MIN,
    EX_MAX,
    EX_NEG,
    EX_SQRT,
    EX_EXP,
    EX_TANH,
    EX_ERF,
    EX_SELECT_GT0, /* a > 0 ? b : c */
} ExprOp;

typedef struct ExprId {
    uint32_t v; /* 0 = none */
} ExprId;

typedef struct ExprNode {
    ExprOp op;
    ExprId a, b, c;
    double value; /* EX_CONST */
    uint32_t arg; /* EX_ARG */
} ExprNode;

/* A pool; equal expressions have equal ids. Operands always have smaller ids. */
typedef struct ExprPool {
    Arena *arena;
    VEC(ExprNode) nodes; /* index 0 unused */
    uint32_t *table;     /* open hash of node indices; 0 = free */
    uint32_t table_cap;
} ExprPool;

void expr_init(ExprPool *p, Arena *a);
ExprId expr_arg(ExprPool *p, uint32_t k);
ExprId expr_const(ExprPool *p, double v);
/* Builds with local simplification: constants folded, x*1, x+0, double negation. */
ExprId expr_unary(ExprPool *p, ExprOp op, ExprId a);
ExprId expr_binary(ExprPool *p, ExprOp op, ExprId a, ExprId b);
ExprId expr_select_gt0(ExprPool *p, ExprId cond, ExprId yes, ExprId no);
/* Copies an expression between pools with arguments renumbered: arg k becomes map[k] (an ExprId of
 * the destination pool). */
ExprId expr_substitute(ExprPool *dst, const ExprPool *src, ExprId e, const ExprId *map);
/* The derivative of e by argument `arg`. Where a minimum, maximum or selection has a kink it is
 * that of the second operand (of a maximum with 0: zero, as frameworks have it). */
ExprId expr_differentiate(ExprPool *p, ExprId e, uint32_t arg);
double expr_eval(const ExprPool *p, ExprId e, const double *args);
uint32_t expr_arg_count(const ExprPool *p, ExprId e); /* highest argument used + 1 */
/* Canonical text, equal for equal expressions of different pools: part of a kernel's key. */
void expr_print(const ExprPool *p, ExprId e, Buf *out);
#endif
