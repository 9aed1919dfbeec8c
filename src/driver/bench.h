/* Timing of compiled code. */
#ifndef CNNC_BENCH_H
#define CNNC_BENCH_H
#include "driver/limits.h"

typedef struct Bench {
    const char *net;
    const Native *native; /* loaded */
    int64_t batch;
    int threads;
    int64_t macs;          /* of one image */
    CnnrtContext *context; /* that runs are of */
    /* One run; seconds of every step are added to step_seconds unless that is NULL. A CnnrtStatus.
     */
    int (*run)(void *ctx, double *step_seconds);
    void *ctx;
} Bench;

/* Seconds of `count` runs, ascending; with --per-layer the least of every step over all runs, as
 * the limits it is held against are the best that was seen. */
typedef struct BenchTimes {
    double *runs, *steps, *last; /* last: of every step in the last run */
    int64_t count, step_count;
} BenchTimes;

/* Runs it as --repeat says, or for two seconds, and prints median and least time, with --per-layer
 * every step's. Returns an exit code. */
int bench_measure(Run *r, const Bench *b);
/* Every step against the machine's limits: a table with a line on these below it; keys and values
 * of a JSON object (docs/bench.md), with a comma before each. */
void bench_layers_table(const Bench *b, const BenchTimes *t, const Limits *l, Buf *out);
void bench_layers_json(const Bench *b, const BenchTimes *t, const Limits *l, Buf *out);
/* bench --train: a training step. */
int bench_training(Run *r);
/* bench --data: the loader of a training run alone. */
int bench_data(Run *r);
#endif
