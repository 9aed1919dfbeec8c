/* What changes from update to update: the one place that computes it. */
#include "cnnrt.h"
#include <math.h>
#include <string.h>

void cnnrt_optimizer_hypers(const CnnrtOptimizer *o, double lr, int64_t updates, float *out)
{
    double t = (double)updates + 1;
    out[CNNRT_LR] = (float)lr;
    out[CNNRT_BIAS1] = o->beta1 > 0 ? (float)(1 / (1 - pow(o->beta1, t))) : 1;
    out[CNNRT_BIAS2] = o->beta2 > 0 ? (float)(1 / sqrt(1 - pow(o->beta2, t))) : 1;
    out[CNNRT_SCALE] = (float)(1.0 / (o->accumulate > 1 ? (double)o->accumulate : 1));
    out[CNNRT_AVERAGE] = (float)(1 - o->average);
}

double cnnrt_average_decay(double decay, int64_t step)
{
    double early = (1 + (double)step) / (10 + (double)step);
    return early < decay ? early : decay;
}

void cnnrt_pass_hypers(const CnnrtOptimizer *o, double lr, int64_t updates, int64_t part,
                       float *out)
{
    CnnrtOptimizer now = *o;
    memset(out, 0, CNNRT_HYPER * sizeof *out);
    if (o->average > 0)
        now.average = cnnrt_average_decay(o->average, updates);
    cnnrt_optimizer_hypers(&now, lr, updates, out);
    out[CNNRT_KEEP] = part > 0 ? 1 : 0;
}
