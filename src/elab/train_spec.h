/* How a net is trained: its `train` section with all values evaluated and all defaults filled in,
 * as plain numbers. Which keys, calls and arguments there are, their defaults and ranges: sema's
 * section.def. Options of the command line change it under timm's names (train_option.def). */
#ifndef CNNC_TRAIN_SPEC_H
#define CNNC_TRAIN_SPEC_H
#include "elab/elab.h"

/* The calls of section.def. */
typedef enum TrainCall {
    TRAIN_NONE,
#define CALL(KIND, ID, NAME, DOC) TRAIN_##ID,
#include "sema/section.def"
    TRAIN_CALL_COUNT
} TrainCall;

/* Fields that the call of `kind` does not take are 0. */
typedef struct LossSpec {
    TrainCall kind; /* CROSS_ENTROPY BCE MSE */
    const char *head;
    uint32_t output; /* the head: index in Graph.outs */
    double weight;   /* the factor in front */
    double smoothing;
} LossSpec;

typedef struct OptimizerSpec {
    TrainCall kind; /* SGD ADAM ADAMW RMSPROP LAMB */
    double lr, momentum, decay, alpha, beta1, beta2, eps;
    double max_norm; /* of all gradients together, before lamb's update; 0: any */
    bool nesterov;
    bool tf; /* eps inside the root, running squares start at 1, the rate before the momentum */
} OptimizerSpec;

/* `warmup` epochs from the rate warmup_lr in a straight line to the optimizer's; what then happens
 * counts epochs from the beginning of the training. */
typedef struct ScheduleSpec {
    TrainCall kind; /* CONSTANT STEP EXPONENTIAL COSINE LINEAR */
    double warmup, warmup_lr, every, gamma;
    double min, end; /* rates at the end of the last epoch: cosine's, linear's */
} ScheduleSpec;

typedef struct AugmentSpec {
    TrainCall kind; /* RANDOM_RESIZED_CROP ... CUTMIX */
    int64_t size, pad, ops;
    double scale_min, p, brightness, contrast, saturation, magnitude, std, alpha;
    const char *policy;
} AugmentSpec;

enum { TRAIN_LOSSES = 8, TRAIN_AUGMENTS = 16 };

typedef struct TrainSpec {
    bool declared; /* the net has a train section */
    int64_t epochs;
    int64_t batch;      /* pictures in one pass through the net */
    int64_t accumulate; /* passes whose gradients are averaged into one update */
    uint32_t loss_count, augment_count;
    LossSpec loss[TRAIN_LOSSES]; /* their weighted sum */
    OptimizerSpec optimizer;
    ScheduleSpec schedule;
    AugmentSpec augment[TRAIN_AUGMENTS]; /* applied in this order */
    double clip;                         /* largest norm of the gradient; 0: any */
    double ema;                          /* decay of the running mean of the weights; 0: none */
    int64_t seed, workers;               /* workers 0: as many as there are processors */
    char why[200];                       /* the last message of the functions below */
} TrainSpec;

/* How the net is trained. False when that cannot be, reported to the session: pictures that the
 * augmentations make do not fit its input. Names and texts live as long as the session. */
bool train_spec(const Elab *e, TrainSpec *out);

/* An option of the command line, without "--". */
typedef struct TrainOption {
    const char *name;
    const char *arg, *doc; /* as in a help text */
} TrainOption;
/* In the order in which they are to be set, whatever the order on the command line: an optimizer
 * before its arguments. */
extern const TrainOption train_options[];
extern const int train_option_count;
/* Sets one. NULL, or a message with a way out that lives in *s, which is unchanged otherwise. */
const char *train_spec_set(TrainSpec *s, const char *name, const char *value);
/* After the last option: what does not go together or is still missing. NULL or a message. */
const char *train_spec_check(TrainSpec *s);

/* As a train section with nothing left out, which reads back as the same; ends in a line break. The
 * spec has passed train_spec_check. */
void train_spec_print(const TrainSpec *s, Buf *out);
/* The same as one JSON object on one line, without a line break. */
void train_spec_json(const TrainSpec *s, Buf *out);
#endif
