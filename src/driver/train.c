/* train: the net's training step in a loop over pictures, with a log, a report and checkpoints. A
 * run that ends at any update and is resumed computes what it would have computed. */
#include "driver/commands.h"
#include "driver/train.h"
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PLAIN_EVERY = 10, /* seconds */
    BY_SIGNAL = 128,
    INPUTS = 1 + TRAIN_LOSSES
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    if (interrupted) /* the second time at once */
        _exit(BY_SIGNAL + signal);
    interrupted = signal;
}

/* The update at hand is finished and saved first. */
static void catch_interrupts(void)
{
    struct sigaction a = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

static int diverged(Training *t, const char *what, int64_t update, const char *where)
{
    cnntrain_meter_clear(&t->meter);
    return front_fail(t->r, EXIT_REFUSED,
                      "%s not a number at update %" PRId64
                      ", first in '%s': try a smaller learning rate, a warm-up, or --clip-grad%s%s",
                      what, update, where, t->saved ? "; the checkpoint of before is in " : "",
                      t->saved ? t->folder : "");
}

/* Activations can hide what is no number (relu makes 0 of it): parameters are looked at, too,
 * before they are saved. */
static int check_parameters(Training *t)
{
    const char *bad = train_step_bad_parameter(&t->step);
    return bad == NULL ? EXIT_FINE : diverged(t, "a parameter is", t->updates, bad);
}

/* One pass over a batch, and an update where one is due. */
static int pass(Training *t, const CnndataBatch *b)
{
    const float *in[INPUTS];
    float hyper[CNNRT_HYPER] = {0};
    double loss;
    uint32_t inputs = t->step.graph.g.ins.len;
    int64_t part = b->number % t->spec.accumulate;
    in[0] = b->images;
    for (uint32_t i = 1; i < inputs && i < INPUTS; i++)
        in[i] = b->targets;
    /* as with a batch of all that the update sees */
    cnnrt_pass_hypers(&t->step.code.model->training->optimizer, training_rate(t, b->number - part),
                      t->updates, part, hyper);
    bool update = part == t->spec.accumulate - 1;
    int64_t number = t->epoch * cnndata_loader_batches(t->data.train) + b->number;
    int status = train_step_run(&t->step, b->n, in, (uint64_t)t->spec.seed, (uint64_t)number, hyper,
                                update, &loss);
    if (status != CNNRT_OK)
        return native_failure(t->r, t->step.code.model, status);
    if (!isfinite(loss)) {
        const char *where = train_step_not_finite(&t->step, b->n, in);
        return diverged(t, "the loss is", t->updates + 1, where != NULL ? where : "the loss");
    }
    const float *z = t->step.out[train_data_head(&t->net)];
    for (int64_t i = 0; i < b->n; i++)
        t->right += cnntrain_rank(z + i * t->data.classes, t->data.classes, b->labels[i]) == 0;
    t->loss += loss * (double)b->n;
    t->images += (double)b->n;
    t->epoch_loss += loss * (double)b->n;
    t->epoch_images += (double)b->n;
    t->passes++;
    t->updates += update;
    t->updated = t->updated || update;
    t->batch = b->number + 1;
    t->dirty = true;
    return EXIT_FINE;
}

/* Between updates: what has been summed up for one is not saved. */
static bool stops(const Training *t)
{
    return t->batch % t->spec.accumulate == 0 &&
           (interrupted || (t->most_updates > 0 && t->updates >= t->most_updates));
}

/* In the middle of an epoch, whose end has its own: a record and a checkpoint where they are due.
 */
static int between(Training *t)
{
    bool saves = t->save_every > 0 && t->updates % t->save_every == 0;
    int code = saves ? check_parameters(t) : EXIT_FINE;
    if (code == EXIT_FINE && (saves || t->updates % t->log_every == 0))
        code = training_record(t, NULL);
    return code == EXIT_FINE && saves ? training_save(t, CNNTRAIN_LAST) : code;
}

static int run_epoch(Training *t)
{
    CnndataBatch b;
    int code = EXIT_FINE;
    int data = cnndata_loader_start_epoch(t->data.train, t->epoch, t->batch);
    while (data == CNNDATA_OK && code == EXIT_FINE && t->batch < t->per_epoch && !stops(t)) {
        data = cnndata_loader_next(t->data.train, &b);
        if (data != CNNDATA_OK)
            break;
        int64_t before = t->updates;
        code = pass(t, &b);
        if (code != EXIT_FINE)
            break;
        training_show(t, &b);
        if (t->updates > before && t->batch < t->per_epoch)
            code = between(t);
    }
    if (data == CNNDATA_OK || code != EXIT_FINE)
        return code;
    cnntrain_meter_clear(&t->meter);
    code = train_data_failure(t->r, data, cnndata_loader_error(t->data.train));
    if (t->dirty && t->batch % t->spec.accumulate == 0)
        training_save(t, CNNTRAIN_LAST); /* the run can go on once the data are well */
    return code;
}

/* The validation pictures, by the running mean of the weights where there is one. */
static int validate(Training *t, Score *s, bool *better)
{
    *better = false;
    *s = (Score){0};
    if (t->data.val == NULL)
        return EXIT_FINE;
    ParamSource source = train_step_source(&t->step, t->spec.ema > 0);
    int code = validation_run(&t->val, t->r, &t->data, &source, &interrupted, s);
    t->validated += s->seconds;
    t->since += s->seconds;
    *better = code == EXIT_FINE && !s->cut && s->top1 > t->best;
    if (*better)
        t->best = s->top1;
    return code;
}

/* Validation, checkpoints and the report, at the end of an epoch and of the run. An interrupt ends
 * the validation; the epoch is then not counted, and resumed with its validation. */
static int milestone(Training *t)
{
    Score score = {0};
    bool better = false;
    cnntrain_meter_clear(&t->meter);
    double loss = t->epoch_images > 0 ? t->epoch_loss / t->epoch_images : NAN;
    int code = check_parameters(t);
    if (code == EXIT_FINE)
        code = validate(t, &score, &better);
    if (code != EXIT_FINE || score.cut)
        return code;
    bool whole = t->batch == t->per_epoch;
    t->epoch += whole;
    t->batch = whole ? 0 : t->batch;
    t->epoch_loss = t->epoch_images = 0;
    code = training_record(t, t->data.val != NULL ? &score : NULL);
    /* the best first: if only that is written, it is the newest and resumed from */
    if (code == EXIT_FINE && better)
        code = training_save(t, CNNTRAIN_BEST);
    if (code == EXIT_FINE)
        code = training_save(t, CNNTRAIN_LAST);
    if (code == EXIT_FINE)
        code = training_report(t);
    if (code != EXIT_FINE || t->r->quiet)
        return code;
    fprintf(stderr, "epoch %" PRId64 "/%" PRId64, t->epoch + !whole, t->spec.epochs);
    if (!whole)
        fprintf(stderr, ", update %" PRId64, t->updates);
    if (isfinite(loss))
        fprintf(stderr, ": loss %.4f", loss);
    if (t->data.val != NULL)
        fprintf(stderr, "%s validation loss %.4f, top-1 %.2f %%, top-5 %.2f %%%s",
                isfinite(loss) ? "," : ":", score.loss, 100 * score.top1, 100 * score.top5,
                better ? " (best)" : "");
    fputc('\n', stderr);
    return code;
}

/* A run that was interrupted, or had nothing to do. */
static int save_rest(Training *t)
{
    if (!t->dirty && t->saved)
        return EXIT_FINE;
    int code = check_parameters(t);
    if (code == EXIT_FINE && t->images > 0)
        code = training_record(t, NULL);
    if (code == EXIT_FINE)
        code = training_save(t, CNNTRAIN_LAST);
    return code == EXIT_FINE ? training_report(t) : code;
}

static int run(Training *t)
{
    int code = check_parameters(t);
    t->meter = cnntrain_meter(STDERR_FILENO, cnntrain_progress_voice(STDERR_FILENO, t->r->quiet),
                              PLAIN_EVERY);
    t->started = t->since = front_seconds();
    while (code == EXIT_FINE && t->epoch < t->spec.epochs && !stops(t)) {
        code = run_epoch(t);
        if (code == EXIT_FINE && !interrupted)
            code = milestone(t);
    }
    cnntrain_meter_clear(&t->meter);
    return code == EXIT_FINE ? save_rest(t) : code;
}

static int finish(Training *t, int code)
{
    if (code != EXIT_FINE)
        return code;
    if (interrupted) {
        front_note(t->r,
                   "interrupted at update %" PRId64 "; %s/" CNNTRAIN_LAST
                   " goes on from there with --resume",
                   t->updates, t->folder);
        return BY_SIGNAL + interrupted;
    }
    if (!training_talks(t))
        return code;
    CnndataStats s = cnndata_stats(t->data.train);
    double seconds = front_seconds() - t->started;
    if (t->passes == 0)
        front_note(t->r,
                   "nothing to do: %s is at epoch %" PRId64 " of %" PRId64 ", update %" PRId64,
                   t->folder, t->epoch, t->spec.epochs, t->updates);
    else
        front_note(t->r, "%" PRId64 " updates in %.1f s, of which %.1f %% waited for data; %s",
                   t->updates - t->first_update, seconds,
                   100 * s.wait_seconds / (seconds > 0 ? seconds : 1),
                   training_path(t, "report.html"));
    return code;
}

int command_train(Run *r)
{
    Training *t = calloc(1, sizeof *t);
    if (t == NULL)
        return front_fail(r, EXIT_LIMIT, "out of memory");
    int code = training_open(t, r);
    if (code == EXIT_FINE) {
        catch_interrupts();
        code = finish(t, run(t));
    }
    training_close(t);
    free(t);
    return code;
}
