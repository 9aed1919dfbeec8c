/* How much a step has to do: what its time can be held against. */
#ifndef CNNC_PLAN_WORK_H
#define CNNC_PLAN_WORK_H
#include "plan/plan.h"

typedef struct PlanWork {
    /* Multiply-adds of a batch, padding taps among them: of a Winograd convolution those of its
     * products, which are fewer than the step's macs. */
    double macs;
    /* Bytes that must be moved, each once: weights, which are read once for the batch, and maps;
     * of a training step runs of the state, too. */
    double bytes;
} PlanWork;

PlanWork plan_work(const Plan *p, uint32_t step, int64_t batch);
#endif
