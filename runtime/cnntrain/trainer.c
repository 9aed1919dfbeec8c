#include "cnntrain/trainer.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PER_PARAMETER = 4 /* values, two slots, running mean */ };

/* The tensors of a checkpoint and the text of their names, one allocation each. */
typedef struct Tensors {
    CnntrainTensor *at;
    size_t count;
    char *names, *next; /* memory for their names, and where the next one goes */
    size_t left;
} Tensors;

/* kind, with the slot's name and a dot where that is not NULL, before the parameter's name */
static void add(Tensors *x, const char *kind, const char *slot, const char *name,
                const CnnrtValues *v, float *data)
{
    if (data == NULL)
        return;
    CnntrainTensor *one = &x->at[x->count++];
    *one = (CnntrainTensor){.name = x->next, .ndim = v->ndim, .data = data};
    memcpy(one->dims, v->dims, sizeof one->dims);
    int n = snprintf(x->next, x->left, "%s%s%s%s", kind, slot != NULL ? slot : "",
                     slot != NULL ? "." : "", name);
    size_t used = n > 0 ? (size_t)n + 1 : 1;
    used = used < x->left ? used : x->left; /* list has made room for all */
    x->next += used;
    x->left -= used;
}

static bool list(CnnrtTrainer *t, Tensors *x)
{
    const CnnrtTraining *g = cnnrt_trainer_model(t)->training;
    size_t bytes = 1, slots = 0;
    for (int k = 0; k < 2; k++)
        slots += g->slot_name[k] != NULL ? strlen(g->slot_name[k]) : 0;
    for (int64_t i = 0; i < g->parameter_count; i++)
        bytes += PER_PARAMETER * (strlen(g->parameters[i].name) + sizeof "optimizer.." + slots);
    *x = (Tensors){.at = calloc((size_t)g->parameter_count * PER_PARAMETER + 1, sizeof *x->at),
                   .names = malloc(bytes),
                   .left = bytes};
    x->next = x->names;
    if (x->at == NULL || x->names == NULL) {
        free(x->at);
        free(x->names);
        return false;
    }
    for (int64_t i = 0; i < g->parameter_count; i++) {
        const char *name = g->parameters[i].name;
        CnnrtValues v;
        if (cnnrt_trainer_find(t, name, &v) != CNNRT_OK)
            continue;
        add(x, "", NULL, name, &v, v.value);
        for (int k = 0; k < 2; k++)
            add(x, "optimizer.", g->slot_name[k], name, &v, v.slot[k]);
        add(x, "ema.", NULL, name, &v, v.average);
    }
    return true;
}

static void drop(Tensors *x)
{
    free(x->at);
    free(x->names);
}

int cnntrain_trainer_save(CnnrtTrainer *t, const char *path, char message[CNNTRAIN_MESSAGE])
{
    char own[CNNTRAIN_MESSAGE], step[32], passes[32], epoch[32], batch[32], seed[32];
    CnnrtCounters at;
    Tensors x;
    message = message != NULL ? message : own;
    message[0] = '\0';
    if (path == NULL || cnnrt_trainer_counters(t, &at) != CNNRT_OK)
        return CNNRT_BAD_ARGUMENT;
    const CnnrtModel *m = cnnrt_trainer_model(t);
    if (!list(t, &x))
        return CNNRT_NO_MEMORY;
    snprintf(step, sizeof step, "%" PRId64, at.updates);
    snprintf(passes, sizeof passes, "%" PRId64, at.passes);
    snprintf(epoch, sizeof epoch, "%" PRId64, at.epoch);
    snprintf(batch, sizeof batch, "%" PRId64, at.batch);
    snprintf(seed, sizeof seed, "%" PRIu64, at.seed);
    CnntrainPair pairs[] = {{"step", step},
                            {"passes", passes},
                            {"epoch", epoch},
                            {"batch", batch},
                            {"seed", seed},
                            {"net", m->name},
                            {"cnnc", m->compiler != NULL ? m->compiler : ""}};
    bool ok = cnntrain_checkpoint_save(path, x.at, x.count, pairs, sizeof pairs / sizeof *pairs,
                                       true, message);
    drop(&x);
    return ok ? CNNRT_OK : CNNRT_CHECKPOINT;
}

/* A pair that a checkpoint of another program may lack. */
static int64_t pair(const CnntrainCheckpoint *c, const char *key, int64_t otherwise)
{
    int64_t v;
    return cnntrain_checkpoint_integer(c, key, &v) && v >= 0 ? v : otherwise;
}

static int load_tensors(CnnrtTrainer *t, CnntrainCheckpoint *c, char message[CNNTRAIN_MESSAGE])
{
    Tensors x;
    if (!list(t, &x))
        return CNNRT_NO_MEMORY;
    bool ok = cnntrain_checkpoint_load(c, x.at, x.count, NULL, message);
    drop(&x);
    return ok ? CNNRT_OK : CNNRT_CHECKPOINT;
}

int cnntrain_trainer_load(CnnrtTrainer *t, const char *path, char message[CNNTRAIN_MESSAGE])
{
    char own[CNNTRAIN_MESSAGE];
    CnnrtCounters at;
    message = message != NULL ? message : own;
    message[0] = '\0';
    if (path == NULL || cnnrt_trainer_counters(t, &at) != CNNRT_OK)
        return CNNRT_BAD_ARGUMENT;
    CnntrainCheckpoint *c = cnntrain_checkpoint_open(path, message);
    if (c == NULL)
        return CNNRT_CHECKPOINT;
    int status = load_tensors(t, c, message);
    if (status == CNNRT_OK) {
        int64_t each = cnnrt_trainer_model(t)->training->optimizer.accumulate;
        at.updates = pair(c, "step", 0);
        at.passes = pair(c, "passes", at.updates <= INT64_MAX / each ? at.updates * each : 0);
        at.epoch = pair(c, "epoch", 0);
        at.batch = pair(c, "batch", 0);
        at.seed = (uint64_t)pair(c, "seed", 0);
        status = cnnrt_trainer_set_counters(t, &at);
    }
    cnntrain_checkpoint_close(c);
    return status;
}
