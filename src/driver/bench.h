/* Timing of compiled code. */
#ifndef CNNC_BENCH_H
#define CNNC_BENCH_H
#include "cnnrt.h"
#include "driver/front.h"

typedef struct Bench {
    const char *net;
    const CnnrtModel *model;
    int64_t batch;
    int threads;
    int64_t macs; /* of one image */
    /* One run; seconds of every step are added to step_seconds unless that is NULL. A CnnrtStatus.
     */
    int (*run)(void *ctx, double *step_seconds);
    void *ctx;
} Bench;

/* Runs it as --repeat says, or for two seconds, and prints median and least time, with --per-layer
 * every step's. Returns an exit code. */
int bench_measure(Run *r, const Bench *b);
/* bench --train: a training step. */
int bench_training(Run *r);
/* bench --data: the loader of a training run alone. */
int bench_data(Run *r);
#endif
