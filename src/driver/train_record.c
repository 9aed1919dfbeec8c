/* What a training run leaves in its folder, and says while it goes on. */
#include "cnntrain/report.h"
#include "driver/train.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* The architecture that a checkpoint belongs to is that of its names and shapes. */
int training_save(Training *t, const char *name)
{
    char message[CNNTRAIN_MESSAGE];
    char step[32], epoch[32], batch[32], best[40], seed[32];
    snprintf(step, sizeof step, "%" PRId64, t->updates);
    snprintf(epoch, sizeof epoch, "%" PRId64, t->epoch);
    snprintf(batch, sizeof batch, "%" PRId64, t->batch);
    snprintf(best, sizeof best, "%.17g", t->best);
    snprintf(seed, sizeof seed, "%" PRId64, t->spec.seed);
    CnntrainPair pairs[] = {
        {"step", step},          {"epoch", epoch},       {"batch", batch},
        {"best", best},          {"seed", seed},         {"net", t->net.elab->graph.name},
        {"classes", t->classes}, {"train", t->settings}, {"cnnc", CNNC_VERSION}};
    bool last = strcmp(name, CNNTRAIN_LAST) == 0;
    int status = train_step_fetch(&t->step);
    if (status != CNNRT_OK)
        return native_failure(t->r, t->step.code.model, status);
    if (!cnntrain_checkpoint_save(training_path(t, name), t->tensors, t->tensor_count, pairs,
                                  sizeof pairs / sizeof *pairs, last, message))
        return front_fail(t->r, EXIT_FILE, "%s", message);
    t->saved = true;
    t->dirty = t->dirty && !last;
    return EXIT_FINE;
}

void training_show(Training *t, const CnndataBatch *b)
{
    double now = front_seconds(), seconds = now - t->started;
    double trained = seconds - t->validated;
    double left = (double)((t->spec.epochs - t->epoch) * t->per_epoch - t->batch);
    if (t->most_updates > 0)
        left = fmin(left, (double)((t->most_updates - t->updates) * t->spec.accumulate));
    CnntrainProgress p = {.what = "epoch",
                          .number = t->epoch + 1,
                          .of = t->spec.epochs,
                          .done = b->number + 1,
                          .total = t->per_epoch,
                          .loss = t->images > 0 ? t->loss / t->images : NAN,
                          .accuracy = t->images > 0 ? t->right / t->images : NAN,
                          .images_per_second =
                              trained > 0 ? (double)(t->passes * t->spec.batch) / trained : NAN,
                          .seconds_left = left * seconds / (double)t->passes};
    cnntrain_meter_show(&t->meter, &p, now, false);
}

static double memory(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (double)u.ru_maxrss * 1024 : 0;
}

int training_record(Training *t, const Score *score)
{
    char message[CNNTRAIN_MESSAGE];
    CnntrainRecord rec = {0};
    double now = front_seconds(), wait = cnndata_stats(t->data.train).wait_seconds;
    double spent = now - t->since;
    cnntrain_record_set(&rec, CNNTRAIN_LOG_TIME, (double)time(NULL));
    cnntrain_record_set(&rec, CNNTRAIN_LOG_EPOCH,
                        (double)t->epoch + (double)t->batch / (double)t->per_epoch);
    cnntrain_record_set(&rec, CNNTRAIN_LOG_STEP, (double)t->updates);
    cnntrain_record_set(&rec, CNNTRAIN_LOG_LR, training_rate(t, t->batch));
    if (t->images > 0 && spent > 0) {
        cnntrain_record_set(&rec, CNNTRAIN_LOG_LOSS, t->loss / t->images);
        cnntrain_record_set(&rec, CNNTRAIN_LOG_ACCURACY, t->right / t->images);
        cnntrain_record_set(&rec, CNNTRAIN_LOG_IMAGES_PER_SECOND, t->images / spent);
        cnntrain_record_set(&rec, CNNTRAIN_LOG_DATA_WAIT, (wait - t->waited) / spent);
    }
    if (t->updated)
        cnntrain_record_set(&rec, CNNTRAIN_LOG_GRAD_NORM, train_step_gradient_norm(&t->step));
    if (score != NULL) {
        cnntrain_record_set(&rec, CNNTRAIN_LOG_VAL_LOSS, score->loss);
        cnntrain_record_set(&rec, CNNTRAIN_LOG_VAL_TOP1, score->top1);
        cnntrain_record_set(&rec, CNNTRAIN_LOG_VAL_TOP5, score->top5);
    }
    cnntrain_record_set(&rec, CNNTRAIN_LOG_MEMORY, memory());
    t->loss = t->right = t->images = 0;
    t->updated = false;
    t->since = now;
    t->waited = wait;
    return cnntrain_log_write(t->log, &rec, message) ? EXIT_FINE
                                                     : front_fail(t->r, EXIT_FILE, "%s", message);
}

int training_report(Training *t)
{
    char message[CNNTRAIN_MESSAGE];
    CnntrainRecord *all = NULL;
    size_t count = 0, skipped = 0;
    CnntrainPair settings[] = {
        {"data", cli_get(t->r->cli, OPT_DATA)},
        {"parameters", arena_printf(&t->r->net_arena, "%" PRId64, t->net.an.params)},
        {"settings", t->settings}};
    if (!cnntrain_log_read(training_path(t, "log.jsonl"), &all, &count, &skipped, message))
        return front_fail(t->r, EXIT_FILE, "%s", message);
    CnntrainReport page = {.title = t->net.elab->graph.name,
                           .settings = settings,
                           .setting_count = sizeof settings / sizeof *settings,
                           .records = all,
                           .count = count,
                           .epochs = (double)t->spec.epochs};
    bool ok = cnntrain_report_write(training_path(t, "report.html"), &page, message);
    free(all);
    return ok ? EXIT_FINE : front_fail(t->r, EXIT_FILE, "%s", message);
}
