/* Pictures for training and evaluation: data sets opened for a net, and the accuracy of compiled
 * code on one. */
#ifndef CNNC_TRAIN_DATA_H
#define CNNC_TRAIN_DATA_H
#include "cnndata.h"
#include "cnntrain/metrics.h"
#include "driver/native.h"
#include "elab/train_spec.h"
#include <signal.h>

typedef struct TrainData {
    CnndataSet *set, *val_set; /* val_set NULL: the data has no such part */
    CnndataLoader *train, *val;
    int64_t classes; /* of the net */
} TrainData;

/* Opens --data and checks that it fits the net. train: with a loader for spec's augmentation, and
 * one of the validation part where there is one; else of that alone, and it must be there. Returns
 * an exit code. */
int train_data_open(TrainData *d, Run *r, const Net *n, const TrainSpec *spec, bool train);
void train_data_close(TrainData *d);
/* Reports what a data set or loader returned; its exit code. */
int train_data_failure(Run *r, int status, const char *message);
/* The head that answers with classes. */
uint32_t train_data_head(const Net *n);
/* "airplane\nautomobile\n...": malloc'ed, NULL when memory runs out. */
char *train_data_class_names(const TrainData *d);

/* A net compiled for inference that is given other weights again and again. */
typedef struct Validation {
    Native code;
    CnnrtContext *ctx;
    float *out[64];
    const Net *n;
} Validation;

typedef struct Score {
    double loss, top1, top5, seconds; /* loss: cross entropy of the labels */
    int64_t images;
    bool cut; /* ended before all were seen */
} Score;

int validation_open(Validation *v, Run *r, const Net *n, int64_t batch, int threads);
void validation_close(Validation *v);
/* Runs the validation pictures with these parameters and shows the progress. Ends early when *stop
 * (may be NULL) is no longer 0. */
int validation_run(Validation *v, Run *r, TrainData *d, const ParamSource *params,
                   const volatile sig_atomic_t *stop, Score *out);
#endif
