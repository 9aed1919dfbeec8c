/* A training run: what its parts share. Private to train*.c. */
#ifndef CNNC_TRAIN_H
#define CNNC_TRAIN_H
#include "cnntrain/log.h"
#include "cnntrain/progress.h"
#include "cnntrain/schedule.h"
#include "driver/train_data.h"
#include "driver/train_step.h"

typedef struct Training {
    Run *r;
    Net net;
    TrainSpec spec;
    TrainStep step;
    TrainData data;
    Validation val;
    CnntrainSchedule schedule;
    const char *folder;
    int lock;  /* the folder, open: nobody else trains into it; -1: not yet */
    bool made; /* the folder is this run's */
    CnntrainLog *log;
    CnntrainTensor *tensors;
    size_t tensor_count;
    char *classes, *settings; /* texts kept in checkpoints */
    int64_t threads, most_updates;
    int64_t log_every, save_every; /* updates; save_every 0: ends of epochs alone */
    int64_t per_epoch;             /* batches that an epoch takes: whole updates */
    /* where the run is */
    int64_t updates, epoch, batch; /* batch: the next one of the epoch */
    double best;                   /* largest validation accuracy; negative: none yet */
    bool saved;                    /* the folder holds a checkpoint of this run */
    bool dirty;                    /* there were passes since */
    /* since the last record */
    double loss, right, images, since;
    double waited;                   /* for data, of loader's seconds */
    bool updated;                    /* the state holds the gradients of an update since */
    double epoch_loss, epoch_images; /* since the epoch began, or the process in its middle */
    /* of this process */
    CnntrainMeter meter;
    double started, validated; /* seconds: when, and how long validation took */
    int64_t passes, first_update;
} Training;

/* Everything up to the first pass: net, settings, data, code, folder; what --resume or --weights
 * say is in the state. What was opened is closed by training_close, also after a failure, which is
 * reported. Returns an exit code. */
int training_open(Training *t, Run *r);
void training_close(Training *t);

/* "FOLDER/name", in the run's arena. */
const char *training_path(const Training *t, const char *name);
/* The learning rate at a batch of the epoch. */
double training_rate(const Training *t, int64_t batch);
/* Whether a run is to say more than errors. */
bool training_talks(const Training *t);

/* What a run leaves behind. Each returns an exit code and reports a failure. */

/* last.safetensors, or best. */
int training_save(Training *t, const char *name);
/* A record of what was seen since the last one; score: with a validation, else NULL. */
int training_record(Training *t, const Score *score);
int training_report(Training *t);
/* The progress, now and then. */
void training_show(Training *t, const CnndataBatch *b);
#endif
