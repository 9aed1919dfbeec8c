/* Checkpoints of a trainer (cnnrt.h): the files of `cnnc train`, which reads them, too. */
#ifndef CNNTRAIN_TRAINER_H
#define CNNTRAIN_TRAINER_H
#include "cnnrt.h"
#include "cnntrain/checkpoint.h"

/* Writes parameters, statistics, what the optimizer keeps, running means and counters; the file
 * that was there stays as PATH.prev. Sums of an update that was begun are not in it. message may be
 * NULL. CHECKPOINT: the message says why. Not during a call of the trainer. */
int cnntrain_trainer_save(CnnrtTrainer *t, const char *path, char message[CNNTRAIN_MESSAGE]);
/* Goes on from such a file, which must be of the same network and optimizer; counters are its. On
 * failure the trainer is as before, unless the file could not be read to its end. */
int cnntrain_trainer_load(CnnrtTrainer *t, const char *path, char message[CNNTRAIN_MESSAGE]);
#endif
