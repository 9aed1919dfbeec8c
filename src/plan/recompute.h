/* Recomputation: values of the forward pass that the backward pass reads are dropped and made again
 * shortly before, by the very steps that made them, so that the results are the same bits. */
#ifndef CNNC_RECOMPUTE_H
#define CNNC_RECOMPUTE_H
#include "plan/plan.h"

/* Changes a training plan so that its arena is as small as the search finds, and as little as that
 * allows is computed twice; a plan that cannot be made smaller stays as it is. CHEAP: only steps
 * without multiplications by weights are repeated. plan->plain_floats and plan->again_macs say what
 * was gained and paid. */
void plan_recompute(Plan *p, PlanRecompute level);
#endif
