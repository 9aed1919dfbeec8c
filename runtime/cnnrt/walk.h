/* The walk of a team of threads over the steps of a model on the processor. Private to cnnrt. */
#ifndef CNNRT_WALK_H
#define CNNRT_WALK_H
#include "cnnrt.h"
#include "pool.h"
#include <stdbool.h>

enum { CNNRT_ALIGN = 64, CNNRT_FLOATS_PER_LINE = CNNRT_ALIGN / (int)sizeof(float) };

static inline int64_t cnnrt_round_line(int64_t floats)
{
    return (floats + CNNRT_FLOATS_PER_LINE - 1) / CNNRT_FLOATS_PER_LINE * CNNRT_FLOATS_PER_LINE;
}

/* A run. workspace: cnnrt_workspace_size bytes for the batch. */
typedef struct Walk {
    const CnnrtModel *model;
    const float *weights;
    float *workspace;
    Pool *pool;
    CnnrtRun run;
    const float *const *in;
    float *const *out;
    int64_t first, last; /* steps */
    double *seconds;     /* added to, for each step; NULL: not timed */
    bool slots, reused;  /* walk.c's own */
} Walk;

/* Runs the steps on all threads of the pool and returns when all have ended. What is computed does
 * not depend on the number of threads, nor on the order in which images are taken. */
void cnnrt_walk(Walk *w);
/* Of a clock that only goes forward. */
double cnnrt_seconds_now(void);
#endif
