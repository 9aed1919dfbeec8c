/* train: the net's training step in a loop over pictures, with a log, a report and checkpoints;
 * eval: the accuracy of parameters. */
#include "cnntrain/log.h"
#include "cnntrain/progress.h"
#include "cnntrain/report.h"
#include "cnntrain/schedule.h"
#include "driver/commands.h"
#include "driver/train_data.h"
#include "driver/train_step.h"
#include "support/fs.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    LOG_EVERY = 100,
    /* updates */ PLAIN_EVERY = 10 /* seconds */,
    BY_SIGNAL = 128,
    INPUTS = 16
};

typedef struct Training {
    Run *r;
    Net net;
    TrainSpec spec;
    TrainStep step;
    TrainData data;
    Validation val;
    CnntrainSchedule schedule;
    const char *folder;
    CnntrainLog *log;
    CnntrainTensor *tensors;
    size_t tensor_count;
    char *classes, *settings; /* texts kept in checkpoints */
    int64_t threads, most_steps;
    /* where the run is */
    int64_t updates, epoch, batch; /* batch: the next one of the epoch */
    double best;                   /* largest validation accuracy; negative: none yet */
    /* since the last record */
    double loss, right, images, since;
    double waited; /* for data, of loader's seconds */
    CnntrainMeter meter;
    double started;
    int64_t done_before; /* passes of earlier processes */
    int64_t passes;      /* of this one */
} Training;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    if (interrupted) /* the second time at once */
        _exit(BY_SIGNAL + signal);
    interrupted = signal;
}

/* The step at hand is finished and saved first. */
static void catch_interrupts(void)
{
    struct sigaction a = {.sa_handler = on_interrupt};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

static const char *path_in(const Training *t, const char *name)
{
    return arena_printf(&t->r->net_arena, "%s/%s", t->folder, name);
}

static void set_schedule(Training *t)
{
    static const CnntrainScheduleKind kind[TRAIN_CALL_COUNT] = {
        [TRAIN_CONSTANT] = CNNTRAIN_LR_CONSTANT,
        [TRAIN_STEP] = CNNTRAIN_LR_STEP,
        [TRAIN_EXPONENTIAL] = CNNTRAIN_LR_EXPONENTIAL,
        [TRAIN_COSINE] = CNNTRAIN_LR_COSINE,
        [TRAIN_LINEAR] = CNNTRAIN_LR_LINEAR};
    const ScheduleSpec *s = &t->spec.schedule;
    t->schedule = (CnntrainSchedule){.kind = kind[s->kind],
                                     .lr = t->spec.optimizer.lr,
                                     .epochs = (double)t->spec.epochs,
                                     .gamma = s->gamma,
                                     .every = s->every,
                                     .end = s->kind == TRAIN_COSINE ? s->min : s->end,
                                     .warmup = s->warmup,
                                     .warmup_lr = s->warmup_lr};
}

/* The architecture that a checkpoint belongs to is that of its names and shapes. */
static bool save(Training *t, const char *name, char message[CNNTRAIN_MESSAGE])
{
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
    return cnntrain_checkpoint_save(path_in(t, name), t->tensors, t->tensor_count, pairs,
                                    sizeof pairs / sizeof *pairs, true, message);
}

static int save_or_fail(Training *t, const char *name)
{
    char message[CNNTRAIN_MESSAGE];
    if (save(t, name, message))
        return EXIT_FINE;
    return front_fail(t->r, EXIT_FILE, "%s", message);
}

static void notice(void *ctx, const char *text)
{
    Run *r = ctx;
    front_note(r, "%s", text);
}

/* Takes up the newest good checkpoint of the folder. */
static int resume(Training *t)
{
    CnntrainCheckpoint *c = NULL;
    char message[CNNTRAIN_MESSAGE] = "", *report = NULL;
    CnntrainFound found = cnntrain_checkpoint_find(t->folder, &c, notice, t->r, message);
    if (found == CNNTRAIN_NONE) {
        front_note(t->r, "nothing to resume in %s: the training begins", t->folder);
        return EXIT_FINE;
    }
    if (found == CNNTRAIN_DAMAGED)
        return front_fail(t->r, EXIT_FILE, "%s", message);
    int code = EXIT_FINE;
    const char *train = cnntrain_checkpoint_pair(c, "train");
    if (!cnntrain_checkpoint_integer(c, "step", &t->updates) ||
        !cnntrain_checkpoint_integer(c, "epoch", &t->epoch) ||
        !cnntrain_checkpoint_integer(c, "batch", &t->batch) || t->updates < 0 || t->epoch < 0 ||
        t->batch < 0)
        code = front_fail(t->r, EXIT_FILE, "%s does not say where its run was",
                          cnntrain_checkpoint_path(c));
    else if (!cnntrain_checkpoint_load(c, t->tensors, t->tensor_count, &report, message))
        code = front_fail(t->r, report != NULL ? EXIT_REFUSED : EXIT_FILE, "%s%s%s", message,
                          report != NULL ? "\n" : "", report != NULL ? report : "");
    if (!cnntrain_checkpoint_real(c, "best", &t->best))
        t->best = -1;
    if (code == EXIT_FINE && train != NULL && strcmp(train, t->settings) != 0)
        front_note(t->r, "the settings are not those that %s was trained with",
                   cnntrain_checkpoint_path(c));
    if (code == EXIT_FINE && !t->r->quiet)
        front_note(t->r, "resumed from %s: epoch %" PRId64 ", update %" PRId64,
                   cnntrain_checkpoint_path(c), t->epoch + 1, t->updates);
    free(report);
    cnntrain_checkpoint_close(c);
    return code;
}

/* A folder of a run is not overwritten by another. */
static int open_folder(Training *t)
{
    struct stat st;
    const char *given = cli_get(t->r->cli, OPT_OUTPUT);
    t->folder =
        given != NULL ? given : arena_printf(&t->r->net_arena, "%s.train", t->net.elab->graph.name);
    if (mkdir(t->folder, 0777) != 0 && errno != EEXIST)
        return front_fail(t->r, EXIT_FILE, "%s: %s", t->folder, fs_error());
    if (stat(t->folder, &st) != 0 || !S_ISDIR(st.st_mode))
        return front_fail(t->r, EXIT_FILE, "%s is no folder", t->folder);
    bool held = stat(path_in(t, CNNTRAIN_LAST), &st) == 0 ||
                stat(path_in(t, CNNTRAIN_LAST ".prev"), &st) == 0;
    if (held && !cli_has(t->r->cli, OPT_RESUME))
        return front_fail(t->r, EXIT_USAGE,
                          "%s holds a training already: --resume goes on with it, --output names "
                          "another folder",
                          t->folder);
    return EXIT_FINE;
}

static int open_log(Training *t)
{
    char message[CNNTRAIN_MESSAGE];
    t->log = cnntrain_log_open(path_in(t, "log"), t->updates > 0 ? t->updates + 1 : 0, message);
    return t->log != NULL ? EXIT_FINE : front_fail(t->r, EXIT_FILE, "%s", message);
}

/* Parameters that another file has by the same names and shapes; the others stay initial. */
static int fit(Training *t, const char *path)
{
    char message[CNNTRAIN_MESSAGE], *report = NULL;
    CnntrainFit f;
    CnntrainCheckpoint *c = cnntrain_checkpoint_open(path, message);
    if (c == NULL)
        return front_fail(t->r, EXIT_FILE, "%s", message);
    const PlanState *s = &t->step.code.plan.state;
    CnntrainTensor *own = arena_new_n(&t->r->net_arena, CnntrainTensor, t->tensor_count);
    size_t n = 0;
    for (size_t i = 0; i < t->tensor_count; i++)
        if (t->tensors[i].data < t->step.state + s->kept)
            own[n++] = t->tensors[i];
    bool ok = cnntrain_checkpoint_fit(c, "", own, n, &f, &report, message);
    cnntrain_checkpoint_close(c);
    if (!ok)
        return front_fail(t->r, EXIT_FILE, "%s", message);
    front_note(t->r, "%s: %zu of %zu parameters fit%s%s", path, f.copied, n,
               report != NULL ? "\n" : "", report != NULL ? report : "");
    free(report);
    if (s->average >= 0)
        memcpy(t->step.state + s->average, t->step.state, (size_t)s->kept * sizeof(float));
    return EXIT_FINE;
}

static int open_parameters(Training *t)
{
    Parameters p = {0};
    const char *from = cli_get(t->r->cli, OPT_WEIGHTS);
    bool fits = cli_has(t->r->cli, OPT_FIT);
    int code;
    if (fits && from == NULL)
        return front_fail(t->r, EXIT_USAGE, "--fit takes what fits of --weights: which file?");
    if (from != NULL && !fits)
        code = parameters_open(&p, t->r, &t->net, true);
    else
        code = parameters_init(&p, t->r, &t->net, (uint64_t)t->spec.seed);
    if (code == EXIT_FINE)
        code = train_step_init(&t->step, t->r, &p);
    parameters_close(&p);
    return code == EXIT_FINE && fits ? fit(t, from) : code;
}

static int texts(Training *t)
{
    Buf text = {0};
    train_spec_print(&t->spec, &text);
    if (!buf_ok(&text)) {
        buf_free(&text);
        return front_fail(t->r, EXIT_LIMIT, "out of memory");
    }
    t->settings = text.at;
    t->classes = train_data_class_names(&t->data);
    return t->classes != NULL ? EXIT_FINE : front_fail(t->r, EXIT_LIMIT, "out of memory");
}

static int prepare(Training *t)
{
    Run *r = t->r;
    Buf err = {0};
    if (!cli_int(r->cli, OPT_THREADS, 0, 1024, 0, &t->threads, &err) ||
        !cli_int(r->cli, OPT_UPDATES, 0, INT64_MAX / 2, 0, &t->most_steps, &err))
        return front_fail(r, EXIT_USAGE, "%s", err.at != NULL ? err.at : "out of memory");
    int code = front_open(r, r->cli->operands[0], VERDICTS_REPORT, &t->net);
    if (code == EXIT_FINE)
        code = train_settings(r, &t->net, &t->spec);
    if (code == EXIT_FINE)
        code = open_folder(t);
    if (code == EXIT_FINE)
        code = train_data_open(&t->data, r, &t->net, &t->spec, true);
    if (code == EXIT_FINE && cnndata_loader_batches(t->data.train) < 1)
        code = front_fail(r, EXIT_REFUSED, "there are fewer pictures than one batch of %" PRId64,
                          t->spec.batch);
    if (code == EXIT_FINE)
        code = train_step_open(&t->step, r, &t->net, &t->spec, (int)t->threads);
    if (code == EXIT_FINE && t->data.val != NULL)
        code = validation_open(&t->val, r, &t->net, t->spec.batch, (int)t->threads);
    if (code != EXIT_FINE)
        return code;
    t->tensors = train_step_tensors(&t->step, r, &t->tensor_count);
    set_schedule(t);
    code = texts(t);
    if (code == EXIT_FINE)
        code = open_parameters(t);
    t->best = -1;
    if (code == EXIT_FINE && cli_has(r->cli, OPT_RESUME))
        code = resume(t);
    return code == EXIT_FINE ? open_log(t) : code;
}

static void show(Training *t, const CnndataBatch *b, bool always)
{
    double now = front_seconds(), seconds = now - t->started;
    int64_t per_epoch = cnndata_loader_batches(t->data.train);
    double left = (double)((t->spec.epochs - t->epoch) * per_epoch - b->number);
    CnntrainProgress p = {.what = "epoch",
                          .number = t->epoch + 1,
                          .of = t->spec.epochs,
                          .done = b->number + 1,
                          .total = per_epoch,
                          .loss = t->images > 0 ? t->loss / t->images : NAN,
                          .accuracy = t->images > 0 ? t->right / t->images : NAN,
                          .images_per_second = (double)(t->passes * t->spec.batch) / seconds,
                          .seconds_left = left * seconds / (double)t->passes};
    cnntrain_meter_show(&t->meter, &p, now, always);
}

static double memory(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (double)u.ru_maxrss * 1024 : 0;
}

/* A record of what was seen since the last one; score: with a validation. */
static int record(Training *t, double lr, const Score *score)
{
    char message[CNNTRAIN_MESSAGE];
    CnntrainRecord rec = {0};
    double now = front_seconds(), wait = cnndata_stats(t->data.train).wait_seconds;
    int64_t per_epoch = cnndata_loader_batches(t->data.train);
    double spent = now - t->since;
    cnntrain_record_set(&rec, CNNTRAIN_LOG_TIME, (double)time(NULL));
    cnntrain_record_set(&rec, CNNTRAIN_LOG_EPOCH,
                        (double)t->epoch + (double)t->batch / (double)per_epoch);
    cnntrain_record_set(&rec, CNNTRAIN_LOG_STEP, (double)t->updates);
    cnntrain_record_set(&rec, CNNTRAIN_LOG_LR, lr);
    if (t->images > 0) {
        cnntrain_record_set(&rec, CNNTRAIN_LOG_LOSS, t->loss / t->images);
        cnntrain_record_set(&rec, CNNTRAIN_LOG_ACCURACY, t->right / t->images);
        cnntrain_record_set(&rec, CNNTRAIN_LOG_IMAGES_PER_SECOND, t->images / spent);
        cnntrain_record_set(&rec, CNNTRAIN_LOG_DATA_WAIT, (wait - t->waited) / spent);
    }
    if (score != NULL) {
        cnntrain_record_set(&rec, CNNTRAIN_LOG_VAL_LOSS, score->loss);
        cnntrain_record_set(&rec, CNNTRAIN_LOG_VAL_TOP1, score->top1);
        cnntrain_record_set(&rec, CNNTRAIN_LOG_VAL_TOP5, score->top5);
    }
    cnntrain_record_set(&rec, CNNTRAIN_LOG_MEMORY, memory());
    t->loss = t->right = t->images = 0;
    t->since = now;
    t->waited = wait;
    return cnntrain_log_write(t->log, &rec, message) ? EXIT_FINE
                                                     : front_fail(t->r, EXIT_FILE, "%s", message);
}

static int write_report(Training *t)
{
    char message[CNNTRAIN_MESSAGE];
    CnntrainRecord *all = NULL;
    size_t count = 0, skipped = 0;
    CnntrainPair settings[] = {
        {"data", cli_get(t->r->cli, OPT_DATA)},
        {"parameters", arena_printf(&t->r->net_arena, "%" PRId64, t->net.an.params)},
        {"settings", t->settings}};
    if (!cnntrain_log_read(path_in(t, "log.jsonl"), &all, &count, &skipped, message))
        return front_fail(t->r, EXIT_FILE, "%s", message);
    CnntrainReport page = {.title = t->net.elab->graph.name,
                           .settings = settings,
                           .setting_count = sizeof settings / sizeof *settings,
                           .records = all,
                           .count = count,
                           .epochs = (double)t->spec.epochs};
    bool ok = cnntrain_report_write(path_in(t, "report.html"), &page, message);
    free(all);
    return ok ? EXIT_FINE : front_fail(t->r, EXIT_FILE, "%s", message);
}

static double rate(const Training *t, int64_t batch)
{
    double per_epoch = (double)cnndata_loader_batches(t->data.train);
    return cnntrain_schedule_lr(&t->schedule, (double)t->epoch + (double)batch / per_epoch);
}

static int diverged(Training *t, int64_t n, const float *const *in)
{
    const char *where = train_step_not_finite(&t->step, n, in);
    cnntrain_meter_clear(&t->meter);
    return front_fail(t->r, EXIT_REFUSED,
                      "the loss is not a number at update %" PRId64
                      ", first in '%s': try a smaller "
                      "learning rate, a warm-up, or clip; the last checkpoint in %s is from before",
                      t->updates, where != NULL ? where : "the loss", t->folder);
}

/* One pass over a batch, and an update where one is due. */
static int pass(Training *t, const CnndataBatch *b)
{
    const float *in[INPUTS];
    float hyper[CNNRT_HYPER] = {0};
    uint32_t inputs = t->step.graph.g.ins.len;
    int64_t part = b->number % t->spec.accumulate;
    in[0] = b->images;
    for (uint32_t i = 1; i < inputs; i++)
        in[i] = b->targets;
    cnnrt_pass_hypers(&t->step.code.model->training->optimizer, rate(t, b->number), t->updates,
                      part, hyper);
    bool update = part == t->spec.accumulate - 1;
    int64_t pass_number = t->epoch * cnndata_loader_batches(t->data.train) + b->number;
    int status = train_step_run(&t->step, b->n, in, (uint64_t)t->spec.seed, (uint64_t)pass_number,
                                hyper, update);
    if (status != CNNRT_OK)
        return front_fail(t->r, EXIT_LIMIT, "%s", cnnrt_strerror(status));
    double loss = train_step_loss(&t->step, b->n);
    if (!isfinite(loss))
        return diverged(t, b->n, in);
    const float *z = t->step.out[train_data_head(&t->net)];
    for (int64_t i = 0; i < b->n; i++)
        t->right += cnntrain_rank(z + i * t->data.classes, t->data.classes, b->labels[i]) == 0;
    t->loss += loss * (double)b->n;
    t->images += (double)b->n;
    t->passes++;
    t->updates += update;
    t->batch = b->number + 1;
    return EXIT_FINE;
}

static bool stops(const Training *t)
{
    return interrupted || (t->most_steps > 0 && t->updates >= t->most_steps);
}

static int run_epoch(Training *t)
{
    CnndataBatch b;
    int data, code = EXIT_FINE;
    cnndata_loader_start_epoch(t->data.train, t->epoch, t->batch);
    while (code == EXIT_FINE && !stops(t)) {
        data = cnndata_loader_next(t->data.train, &b);
        if (data == CNNDATA_END)
            return EXIT_FINE;
        if (data != CNNDATA_OK)
            return front_fail(t->r, EXIT_FILE, "%s", cnndata_loader_error(t->data.train));
        int64_t before = t->updates;
        code = pass(t, &b);
        if (code == EXIT_FINE)
            show(t, &b, false);
        if (code == EXIT_FINE && t->updates > before && t->updates % LOG_EVERY == 0)
            code = record(t, rate(t, b.number), NULL);
    }
    return code;
}

/* Validation, checkpoints and the report at the end of an epoch, which has been counted. */
static int end_epoch(Training *t)
{
    Score score;
    int code = EXIT_FINE;
    bool better = false;
    cnntrain_meter_clear(&t->meter);
    double loss = t->images > 0 ? t->loss / t->images : NAN, lr = rate(t, 0);
    if (t->data.val != NULL) {
        ParamSource source = train_step_source(&t->step, t->spec.ema > 0);
        code = validation_run(&t->val, t->r, &t->data, &source, &score);
        better = code == EXIT_FINE && score.top1 > t->best;
        if (better)
            t->best = score.top1;
    }
    if (code == EXIT_FINE)
        code = record(t, lr, t->data.val != NULL ? &score : NULL);
    if (code == EXIT_FINE)
        code = save_or_fail(t, CNNTRAIN_LAST);
    if (code == EXIT_FINE && better)
        code = save_or_fail(t, CNNTRAIN_BEST);
    if (code == EXIT_FINE)
        code = write_report(t);
    if (code != EXIT_FINE || t->r->quiet)
        return code;
    fprintf(stderr, "epoch %" PRId64 "/%" PRId64 ": loss %.4f", t->epoch, t->spec.epochs, loss);
    if (t->data.val != NULL)
        fprintf(stderr, ", validation loss %.4f, top-1 %.2f %%, top-5 %.2f %%%s", score.loss,
                100 * score.top1, 100 * score.top5, better ? " (best)" : "");
    fputc('\n', stderr);
    return code;
}

static int run(Training *t)
{
    int code = EXIT_FINE;
    t->meter = cnntrain_meter(STDERR_FILENO, cnntrain_progress_voice(STDERR_FILENO, t->r->quiet),
                              PLAIN_EVERY);
    t->started = t->since = front_seconds();
    while (code == EXIT_FINE && t->epoch < t->spec.epochs && !stops(t)) {
        code = run_epoch(t);
        if (code != EXIT_FINE || (stops(t) && t->batch < cnndata_loader_batches(t->data.train)))
            break;
        t->epoch++;
        t->batch = 0;
        code = end_epoch(t);
    }
    cnntrain_meter_clear(&t->meter);
    if (code == EXIT_FINE && t->batch > 0)
        code = save_or_fail(t, CNNTRAIN_LAST);
    return code;
}

static int finish(Training *t, int code)
{
    if (code == EXIT_FINE && interrupted) {
        front_note(t->r,
                   "interrupted at update %" PRId64 "; %s/" CNNTRAIN_LAST
                   " goes on from there with --resume",
                   t->updates, t->folder);
        return BY_SIGNAL + interrupted;
    }
    if (code == EXIT_FINE && !t->r->quiet) {
        CnndataStats s = cnndata_stats(t->data.train);
        double seconds = front_seconds() - t->started;
        front_note(t->r, "%" PRId64 " updates in %.1f s, of which %.1f %% waited for data; %s",
                   t->updates, seconds, 100 * s.wait_seconds / (seconds > 0 ? seconds : 1),
                   path_in(t, "report.html"));
    }
    return code;
}

static void close_all(Training *t)
{
    cnntrain_log_close(t->log);
    validation_close(&t->val);
    train_step_close(&t->step);
    train_data_close(&t->data);
    free(t->classes);
    free(t->settings);
}

int command_train(Run *r)
{
    Training *t = calloc(1, sizeof *t);
    if (t == NULL)
        return front_fail(r, EXIT_LIMIT, "out of memory");
    t->r = r;
    int code = prepare(t);
    if (code == EXIT_FINE) {
        catch_interrupts();
        code = finish(t, run(t));
    }
    close_all(t);
    free(t);
    return code;
}

int command_eval(Run *r)
{
    Net net;
    TrainSpec spec;
    TrainData data = {0};
    Validation v = {0};
    Parameters p = {0};
    Score s;
    int64_t batch, threads;
    Buf err = {0}, out = {0};
    if (!cli_int(r->cli, OPT_THREADS, 0, 1024, 0, &threads, &err) ||
        !cli_int(r->cli, OPT_BATCH, 1, 65536, 32, &batch, &err))
        return front_fail(r, EXIT_USAGE, "%s", err.at != NULL ? err.at : "out of memory");
    int code = front_open(r, r->cli->operands[0], VERDICTS_SILENT, &net);
    if (code == EXIT_FINE && !train_spec(net.elab, &spec))
        code = EXIT_REFUSED;
    if (code == EXIT_FINE)
        code = parameters_open(&p, r, &net, true);
    if (code == EXIT_FINE) {
        spec.batch = batch;
        code = train_data_open(&data, r, &net, &spec, false);
    }
    if (code == EXIT_FINE)
        code = validation_open(&v, r, &net, batch, (int)threads);
    ParamSource source = parameters_source(&p);
    if (code == EXIT_FINE)
        code = validation_run(&v, r, &data, &source, &s);
    if (code == EXIT_FINE && command_format(r) == SUMMARY_JSON)
        buf_printf(
            &out,
            "{\"net\": \"%s\", \"images\": %" PRId64
            ", \"loss\": %.9g, \"top1\": %.9g, \"top5\": %.9g, \"images_per_second\": %.1f}\n",
            net.elab->graph.name, s.images, s.loss, s.top1, s.top5, (double)s.images / s.seconds);
    else if (code == EXIT_FINE)
        buf_printf(&out, "%s: %" PRId64 " pictures, loss %.4f, top-1 %.2f %%, top-5 %.2f %%\n",
                   net.elab->graph.name, s.images, s.loss, 100 * s.top1, 100 * s.top5);
    if (code == EXIT_FINE)
        code = front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
    validation_close(&v);
    train_data_close(&data);
    parameters_close(&p);
    return code;
}
