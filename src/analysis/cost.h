/* Multiply-accumulates: one rule per name in the `cost` column of ops.def. */
#ifndef CNNC_COST_H
#define CNNC_COST_H
#include "analysis/params.h"

/* Multiply-accumulates of one image; convolutions and dense layers only. Saturates at INT64_MAX. */
int64_t cost_macs(const Graph *g, NodeId n, const Shape *shapes);
#endif
