/* The beginning of a training run: its parts, its folder, and the state it starts from. */
#include "driver/train.h"
#include "support/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_EVERY = 100 };

const char *training_path(const Training *t, const char *name)
{
    return arena_printf(&t->r->net_arena, "%s/%s", t->folder, name);
}

bool training_talks(const Training *t)
{
    return !cli_has(t->r->cli, OPT_QUIET);
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

double training_rate(const Training *t, int64_t batch)
{
    return cnntrain_schedule_lr(&t->schedule,
                                (double)t->epoch + (double)batch / (double)t->per_epoch);
}

/* A folder of a run is not overwritten by another, nor used by two at a time. The lock ends with
 * the process; file systems that have none are trusted. */
static int open_folder(Training *t)
{
    static const char *const held[] = {CNNTRAIN_LAST, CNNTRAIN_LAST ".prev", CNNTRAIN_BEST};
    struct stat st;
    const char *given = cli_get(t->r->cli, OPT_OUTPUT);
    t->folder =
        given != NULL ? given : arena_printf(&t->r->net_arena, "%s.train", t->net.elab->graph.name);
    t->made = mkdir(t->folder, 0777) == 0;
    if (!t->made && errno != EEXIST)
        return front_fail(t->r, EXIT_FILE, "%s: %s", t->folder, fs_error());
    t->lock = open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->lock < 0)
        return front_fail(t->r, EXIT_FILE, "%s: %s", t->folder, fs_error());
    if (flock(t->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return front_fail(t->r, EXIT_FILE, "another process is training into %s", t->folder);
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++)
        if (!cli_has(t->r->cli, OPT_RESUME) && stat(training_path(t, held[i]), &st) == 0)
            return front_fail(t->r, EXIT_USAGE,
                              "%s holds a training already: --resume goes on with it, --output "
                              "names another folder",
                              t->folder);
    return EXIT_FINE;
}

static void notice(void *ctx, const char *text)
{
    Run *r = ctx;
    front_note(r, "%s", text);
}

/* Where the checkpoint's run was. Batches are counted anew when there are others now. */
static int read_place(Training *t, const CnntrainCheckpoint *c)
{
    if (!cnntrain_checkpoint_integer(c, "step", &t->updates) ||
        !cnntrain_checkpoint_integer(c, "epoch", &t->epoch) ||
        !cnntrain_checkpoint_integer(c, "batch", &t->batch) || t->updates < 0 || t->epoch < 0 ||
        t->batch < 0)
        return front_fail(t->r, EXIT_FILE, "%s does not say where its run was",
                          cnntrain_checkpoint_path(c));
    if (t->batch > t->per_epoch)
        t->batch = t->per_epoch;
    t->batch -= t->batch % t->spec.accumulate;
    if (!cnntrain_checkpoint_real(c, "best", &t->best))
        t->best = -1;
    return EXIT_FINE;
}

/* A table without the line break at its end. */
static const char *rows_of(char *report)
{
    size_t n = strlen(report);
    if (n > 0 && report[n - 1] == '\n')
        report[n - 1] = '\0';
    return report;
}

/* Takes up the newest good checkpoint of the folder; *none when there is none. */
static int resume(Training *t, bool *none)
{
    CnntrainCheckpoint *c = NULL;
    char message[CNNTRAIN_MESSAGE] = "", *report = NULL;
    CnntrainFound found = cnntrain_checkpoint_find(t->folder, &c, notice, t->r, message);
    *none = found == CNNTRAIN_NONE;
    if (*none && training_talks(t))
        front_note(t->r, "nothing to resume in %s: the training begins", t->folder);
    if (*none)
        return EXIT_FINE;
    if (found == CNNTRAIN_DAMAGED)
        return front_fail(t->r, EXIT_FILE, "%s", message);
    int code = read_place(t, c);
    if (code == EXIT_FINE &&
        !cnntrain_checkpoint_load(c, t->tensors, t->tensor_count, &report, message))
        code = front_fail(t->r, report != NULL ? EXIT_REFUSED : EXIT_FILE, "%s%s%s", message,
                          report != NULL ? "\n" : "", report != NULL ? rows_of(report) : "");
    const char *train = cnntrain_checkpoint_pair(c, "train");
    if (code == EXIT_FINE && train != NULL && strcmp(train, t->settings) != 0)
        front_note(t->r, "the settings are not those that %s was trained with",
                   cnntrain_checkpoint_path(c));
    if (code == EXIT_FINE && training_talks(t))
        front_note(t->r, "resumed from %s: epoch %" PRId64 ", update %" PRId64,
                   cnntrain_checkpoint_path(c), t->epoch + 1, t->updates);
    t->step.ahead = true;
    t->saved = code == EXIT_FINE;
    t->first_update = t->updates;
    free(report);
    cnntrain_checkpoint_close(c);
    return code;
}

/* Parameters that another file has by the same names and shapes; the others stay initial. Where it
 * has means of all, those. */
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
    bool means = false;
    for (size_t i = 0; i < t->tensor_count; i++)
        if (t->tensors[i].data < t->step.state + s->kept) {
            own[n++] = t->tensors[i];
            means = means ||
                    cnntrain_checkpoint_has(c, arena_printf(&t->r->net_arena, PARAMETERS_MEAN "%s",
                                                            t->tensors[i].name));
        }
    means = means && !cli_has(t->r->cli, OPT_NO_EMA);
    bool ok =
        cnntrain_checkpoint_fit(c, means ? PARAMETERS_MEAN : "", own, n, &f, &report, message);
    cnntrain_checkpoint_close(c);
    if (!ok)
        return front_fail(t->r, EXIT_FILE, "%s", message);
    if (f.copied == 0)
        front_fail(t->r, EXIT_REFUSED, "%s: none of the %zu parameters fits%s%s", path, n,
                   report != NULL ? "\n" : "", report != NULL ? rows_of(report) : "");
    else if (training_talks(t))
        front_note(t->r, "%s: %zu of %zu parameters fit%s%s%s", path, f.copied, n,
                   means ? ", by their running means" : "", report != NULL ? "\n" : "",
                   report != NULL ? rows_of(report) : "");
    free(report);
    if (s->average >= 0)
        memcpy(t->step.state + s->average, t->step.state, (size_t)s->kept * sizeof(float));
    t->step.ahead = true;
    return f.copied == 0 ? EXIT_REFUSED : EXIT_FINE;
}

static int open_parameters(Training *t)
{
    Parameters p = {0};
    const char *from = cli_get(t->r->cli, OPT_WEIGHTS);
    bool fits = cli_has(t->r->cli, OPT_FIT);
    int code;
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
    TrainSpec s = t->spec;
    s.workers = 0; /* what does not show in the result */
    train_spec_print(&s, &text);
    if (!buf_ok(&text)) {
        buf_free(&text);
        return front_fail(t->r, EXIT_LIMIT, "out of memory");
    }
    t->settings = text.at;
    t->classes = train_data_class_names(&t->data);
    return t->classes != NULL ? EXIT_FINE : front_fail(t->r, EXIT_LIMIT, "out of memory");
}

static int open_log(Training *t)
{
    char message[CNNTRAIN_MESSAGE];
    t->log =
        cnntrain_log_open(training_path(t, "log"), t->updates > 0 ? t->updates + 1 : 0, message);
    return t->log != NULL ? EXIT_FINE : front_fail(t->r, EXIT_FILE, "%s", message);
}

static int read_options(Training *t)
{
    Buf err = {0};
    int code = EXIT_FINE;
    if (!cli_int(t->r->cli, OPT_THREADS, 0, 1024, 0, &t->threads, &err) ||
        !cli_int(t->r->cli, OPT_UPDATES, 1, INT64_MAX / 2, 0, &t->most_updates, &err) ||
        !cli_int(t->r->cli, OPT_LOG_INTERVAL, 1, INT64_MAX / 2, LOG_EVERY, &t->log_every, &err) ||
        !cli_int(t->r->cli, OPT_RECOVERY_INTERVAL, 1, INT64_MAX / 2, 0, &t->save_every, &err))
        code = front_fail(t->r, EXIT_USAGE, "%s", err.at != NULL ? err.at : "out of memory");
    buf_free(&err);
    if (code == EXIT_FINE && cli_has(t->r->cli, OPT_FIT) && !cli_has(t->r->cli, OPT_WEIGHTS))
        code = front_fail(t->r, EXIT_USAGE, "--fit takes what fits of --weights: which file?");
    return code;
}

/* Batches that are left over where an update takes several have no part in their epoch, like
 * pictures that are left over for a batch. */
static int count_batches(Training *t)
{
    int64_t batches = cnndata_loader_batches(t->data.train), k = t->spec.accumulate;
    t->per_epoch = batches - batches % k;
    if (t->per_epoch > 0)
        return EXIT_FINE;
    return front_fail(t->r, EXIT_REFUSED,
                      "the pictures make %" PRId64 " batch%s of %" PRId64
                      ", an update takes %" PRId64
                      ": a smaller --batch-size or --grad-accum-steps would do",
                      batches, batches == 1 ? "" : "es", t->spec.batch, k);
}

/* Source to code that can make a step. */
static int compile(Training *t)
{
    int code = train_step_open(&t->step, t->r, &t->net, &t->spec, (int)t->threads);
    if (code == EXIT_FINE && t->data.val != NULL)
        code = validation_open(&t->val, t->r, &t->net, t->spec.batch, (int)t->threads);
    if (code == EXIT_FINE)
        t->tensors = train_step_tensors(&t->step, t->r, &t->tensor_count);
    return code;
}

int training_open(Training *t, Run *r)
{
    *t = (Training){.r = r, .lock = -1, .best = -1};
    bool none = true;
    int code = read_options(t);
    if (code == EXIT_FINE)
        code = front_open(r, r->cli->operands[0], VERDICTS_REPORT, &t->net);
    if (code == EXIT_FINE)
        code = train_settings(r, &t->net, &t->spec);
    if (code == EXIT_FINE)
        code = train_data_open(&t->data, r, &t->net, &t->spec, true);
    if (code == EXIT_FINE)
        code = count_batches(t);
    if (code == EXIT_FINE)
        code = open_folder(t);
    if (code == EXIT_FINE)
        code = compile(t);
    if (code != EXIT_FINE)
        return code;
    set_schedule(t);
    code = texts(t);
    if (code == EXIT_FINE && cli_has(r->cli, OPT_RESUME))
        code = resume(t, &none);
    if (code == EXIT_FINE && none)
        code = open_parameters(t);
    return code == EXIT_FINE ? open_log(t) : code;
}

void training_close(Training *t)
{
    if (t->made && t->log == NULL)
        rmdir(t->folder); /* nothing came of it */
    cnntrain_log_close(t->log);
    validation_close(&t->val);
    train_step_close(&t->step);
    train_data_close(&t->data);
    free(t->classes);
    free(t->settings);
    if (t->lock >= 0)
        close(t->lock);
}
