/* What elementwise operators do to one element. */
#ifndef CNNC_FUSE_EXPR_H
#define CNNC_FUSE_EXPR_H
#include "expr/expr.h"
#include "ir/graph.h"

/* The value of a one-input elementwise operator without parameters; id 0 when the node is none. */
ExprId fuse_expr_unary(ExprPool *p, const Graph *g, NodeId n, ExprId x);
#endif
