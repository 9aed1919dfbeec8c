/* A net as a training step in this process: compiled, with its state, ready to run. */
#ifndef CNNC_TRAIN_STEP_H
#define CNNC_TRAIN_STEP_H
#include "cnntrain/checkpoint.h"
#include "driver/native.h"
#include "driver/train_settings.h"

typedef struct TrainStep {
    Native code; /* of the training graph */
    TrainGraph graph;
    Analysis an;
    OptimSpec optim;
    float *state; /* plan.weight_floats, 64-byte aligned */
    float *workspace;
    CnnrtContext *ctx;
    int64_t batch;
    float *out[TRAIN_LOSSES + 64]; /* heads, then losses */
    uint32_t heads, losses;
    bool ahead; /* the state here is newer than a device's */
} TrainStep;

/* Builds and plans the step. Returns an exit code. */
int train_step_plan(TrainStep *t, Run *r, const Net *n, const TrainSpec *spec);
/* Parameters and running statistics, to[0, plan.state.kept), which is zero. */
int train_step_parameters(const TrainStep *t, Run *r, Parameters *p, float *to);
/* Builds and compiles the step for batches of up to spec->batch images; the state is zero but for
 * what the optimizer begins with. Says how much memory it takes. Returns an exit code. */
int train_step_open(TrainStep *t, Run *r, const Net *n, const TrainSpec *spec, int threads);
void train_step_close(TrainStep *t);
/* summary --train --recompute: the activations of a step without recomputation and with each kind
 * of it, as text or as a JSON array, appended to out. Returns an exit code. */
int train_step_memory(Run *r, const Net *n, const TrainSpec *spec, bool json, Buf *out);
/* Parameters and running statistics from a command's --weights or --init. */
int train_step_init(TrainStep *t, Run *r, Parameters *p);
/* One pass over n images: in[i] for every input of the training graph; *loss is the mean of their
 * weighted losses. `update`: with the optimizer's step at the end, unless the loss is no finite
 * number. Returns a CnnrtStatus. */
int train_step_run(TrainStep *t, int64_t n, const float *const *in, uint64_t seed, uint64_t step,
                   const float *hyper, bool update, double *loss);
/* Brings the state here up to date with the device's, where it is on one. What reads parameters
 * does so before: the three below and train_step_source; whoever reads the tensors has to. Returns
 * a CnnrtStatus. */
int train_step_fetch(TrainStep *t);
/* The 2-norm of all gradients of the last update together, before clipping. */
double train_step_gradient_norm(TrainStep *t);
/* The name of the first parameter or running statistic that is not finite; NULL when all are. */
const char *train_step_bad_parameter(TrainStep *t);
/* The name of the first trained parameter that is not finite, or of the first layer whose values in
 * the pass over these inputs are not; NULL when all are. Forward only: the state's parameters do
 * not change. On a device layers are not looked through. */
const char *train_step_not_finite(TrainStep *t, int64_t n, const float *const *in);
/* Values by name from the state, or from the running mean of the weights. */
ParamSource train_step_source(TrainStep *t, bool average);
/* What a checkpoint holds, in the arena of the run; *count of them. Whoever writes to them sets
 * `ahead`. */
CnntrainTensor *train_step_tensors(const TrainStep *t, Run *r, size_t *count);
#endif
