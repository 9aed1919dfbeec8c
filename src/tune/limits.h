/* What a machine can do at most, as a plan without a network: a step of multiply-adds on registers,
 * one that reads memory, one that copies it. To be compiled for a target and timed. */
#ifndef CNNC_TUNE_LIMITS_H
#define CNNC_TUNE_LIMITS_H
#include "plan/plan.h"

typedef enum Limit { LIMIT_PEAK, LIMIT_READ, LIMIT_COPY, LIMIT_COUNT } Limit;

typedef struct LimitsPlan {
    Graph graph; /* empty: all operands are in the workspace; of a GPU, among the weights */
    Analysis an;
    Plan plan;                /* step i is Limit i */
    double work[LIMIT_COUNT]; /* of one run: FLOPs; bytes, read and written counted both */
} LimitsPlan;

/* Reading and copying go over about `bytes`, at least a mebibyte. x must stay where it is. */
void limits_build(LimitsPlan *x, Arena *a, const Target *t, int64_t bytes);
#endif
