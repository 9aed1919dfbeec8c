/* The loader: workers fill a ring of batches ahead of the step. A batch is cut into chunks of
 * samples that workers take in order; who ends the last chunk mixes the batch. Everything in a
 * batch is a function of (settings, seed, epoch, number), so that neither the number of workers nor
 * their timing shows. */
#include "augment.h"
#include "set.h"
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ALIGN = 64, WORKERS_MAX = 1024, PREFETCH_USUAL = 4, PREFETCH_MAX = 4096, CHUNK_MAX = 32 };

/* Of one buffer: no machine has more, and asking for it would look like damage. */
static const size_t BYTES_MAX = (size_t)1 << 40;

/* One batch of the ring. */
typedef struct Slot {
    float *images, *targets;
    int32_t *labels;
    int32_t *status; /* CnndataStatus of each sample */
    char *messages;  /* CNNDATA_ERROR_MAX each */
    int64_t number;  /* of the batch it holds; -1: none */
    int64_t samples; /* before any are left out */
    int64_t taken, done, kept;
    bool ready;
} Slot;

struct CnndataLoader {
    CnndataLoaderConfig config;
    CnndataChain chain;
    int64_t *order;
    int64_t epoch, batches, chunk;
    Slot *ring;
    int64_t depth;
    CnndataWork *work; /* one for each worker, or for the caller */
    pthread_t *threads;
    int started;

    pthread_mutex_t lock; /* guards what follows, and taken, done, ready of the slots */
    pthread_cond_t more;  /* for workers: something to take, or the end */
    pthread_cond_t ready; /* for the caller: a batch is ready, or nobody is busy */
    int64_t base;         /* batches from here on are held in the ring */
    int64_t next_taken;   /* the batch that workers take from */
    int busy;
    bool paused, quit;

    int64_t next_given;
    int status; /* of the failure that ended the run */
    char error[CNNDATA_ERROR_MAX];
    CnndataStats stats;
};

typedef struct Worker {
    CnndataLoader *loader;
    int index;
} Worker;

static int64_t sample_floats(const CnndataLoader *l)
{
    return l->config.c * l->config.h * l->config.w;
}

static void make_sample(CnndataLoader *l, Slot *s, int64_t i, CnndataWork *w)
{
    const int64_t index = l->order[s->number * l->config.batch + i];
    const CnndataError e = {s->messages + i * CNNDATA_ERROR_MAX, CNNDATA_ERROR_MAX};
    float *out = s->images + i * sample_floats(l);
    int status = cnndata_sample_into(l->config.set, index, &w->bytes, &w->image, &s->labels[i], e);
    if (status == CNNDATA_OK && l->config.transform == CNNDATA_TRAIN)
        status = cnndata_augment(&l->chain, cnndata_sample_key(l->config.seed, l->epoch, index), w,
                                 out, e);
    else if (status == CNNDATA_OK)
        status = cnndata_prepare_sample(&l->chain, w, out, e);
    s->status[i] = status;
}

/* Samples that cannot be read, where the run goes on without them. */
static bool left_out(const CnndataLoader *l, int32_t status)
{
    return l->config.skip_damaged && (status == CNNDATA_DAMAGED || status == CNNDATA_NO_FILE);
}

/* Once all samples are there: closes the gaps, writes the targets, mixes. */
static void finish(CnndataLoader *l, Slot *s)
{
    const int64_t each = sample_floats(l), classes = l->config.classes;
    s->kept = 0;
    for (int64_t i = 0; i < s->samples; i++) {
        if (s->status[i] != CNNDATA_OK)
            continue;
        if (s->kept != i) {
            memcpy(s->images + s->kept * each, s->images + i * each, (size_t)each * sizeof(float));
            s->labels[s->kept] = s->labels[i];
        }
        s->kept++;
    }
    memset(s->targets, 0, (size_t)(s->kept * classes) * sizeof *s->targets);
    for (int64_t i = 0; i < s->kept; i++)
        s->targets[i * classes + s->labels[i]] = 1.0f;
    if (l->config.transform == CNNDATA_TRAIN)
        cnndata_mix(&l->chain, cnndata_batch_key(l->config.seed, l->epoch, s->number), s->kept,
                    classes, s->images, s->targets);
}

static void begin_slot(CnndataLoader *l, Slot *s, int64_t number)
{
    const int64_t first = number * l->config.batch, left = l->config.set->count - first;
    s->number = number;
    s->samples = left < l->config.batch ? left : l->config.batch;
    s->taken = s->done = 0;
    s->ready = false;
}

/* With the lock held: samples [*from, *to) of a batch that has room in the ring; NULL: none. */
static Slot *take(CnndataLoader *l, int64_t *from, int64_t *to)
{
    if (l->paused || l->next_taken >= l->batches || l->next_taken >= l->base + l->depth)
        return NULL;
    Slot *s = &l->ring[l->next_taken % l->depth];
    if (s->number != l->next_taken)
        begin_slot(l, s, l->next_taken);
    *from = s->taken;
    *to = s->taken + l->chunk < s->samples ? s->taken + l->chunk : s->samples;
    s->taken = *to;
    if (s->taken == s->samples)
        l->next_taken++;
    return s;
}

static void *worker(void *arg)
{
    const Worker me = *(Worker *)arg;
    CnndataLoader *l = me.loader;
    free(arg);
    pthread_mutex_lock(&l->lock);
    for (;;) {
        int64_t from, to;
        Slot *s = NULL;
        while (!l->quit && (s = take(l, &from, &to)) == NULL)
            pthread_cond_wait(&l->more, &l->lock);
        if (l->quit)
            break;
        l->busy++;
        pthread_mutex_unlock(&l->lock);
        for (int64_t i = from; i < to; i++)
            make_sample(l, s, i, &l->work[me.index]);
        pthread_mutex_lock(&l->lock);
        s->done += to - from;
        if (s->done == s->samples) {
            pthread_mutex_unlock(&l->lock);
            finish(l, s);
            pthread_mutex_lock(&l->lock);
            s->ready = true;
            pthread_cond_signal(&l->ready);
        }
        if (--l->busy == 0 && l->paused)
            pthread_cond_signal(&l->ready);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Signals are the program's, not the workers'. */
static int start_workers(CnndataLoader *l, CnndataError e)
{
    sigset_t all, before;
    int status = CNNDATA_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < l->config.workers && status == CNNDATA_OK; i++) {
        Worker *w = malloc(sizeof *w);
        if (w == NULL) {
            status = cnndata_fail(e, CNNDATA_NO_MEMORY, "out of memory for the workers");
            break;
        }
        *w = (Worker){l, i};
        if (pthread_create(&l->threads[i], NULL, worker, w) != 0) {
            free(w);
            status = cnndata_fail(e, CNNDATA_NO_THREADS,
                                  "no thread for worker %d of %d; ask for fewer workers", i + 1,
                                  (int)l->config.workers);
            break;
        }
        l->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static void *aligned(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > BYTES_MAX)
        return NULL;
    return aligned_alloc(ALIGN, (bytes + ALIGN) / ALIGN * ALIGN);
}

static bool make_slot(CnndataLoader *l, Slot *s)
{
    const size_t n = (size_t)l->config.batch;
    size_t values, targets;
    s->number = -1;
    if (__builtin_mul_overflow(n, (size_t)sample_floats(l), &values) ||
        __builtin_mul_overflow(n, (size_t)l->config.classes, &targets))
        return false;
    s->images = aligned(values, sizeof *s->images);
    s->targets = aligned(targets, sizeof *s->targets);
    s->labels = aligned(n, sizeof *s->labels);
    s->status = calloc(n, sizeof *s->status);
    s->messages = calloc(n, CNNDATA_ERROR_MAX);
    return s->images != NULL && s->targets != NULL && s->labels != NULL && s->status != NULL &&
           s->messages != NULL;
}

static int make_memory(CnndataLoader *l, CnndataError e)
{
    const int32_t workers = l->config.workers;
    bool ok = true;
    l->order = calloc((size_t)l->config.set->count, sizeof *l->order);
    l->ring = calloc((size_t)l->depth, sizeof *l->ring);
    l->work = calloc(workers > 0 ? (size_t)workers : 1, sizeof *l->work);
    l->threads = calloc(workers > 0 ? (size_t)workers : 1, sizeof *l->threads);
    if (l->order == NULL || l->ring == NULL || l->work == NULL || l->threads == NULL)
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "out of memory for the loader");
    for (int64_t i = 0; i < l->depth && ok; i++)
        ok = make_slot(l, &l->ring[i]);
    if (!ok)
        return cnndata_fail(e, CNNDATA_NO_MEMORY,
                            "out of memory for %" PRId64 " batches of %" PRId64
                            " images: lower the batch or the number of batches held",
                            l->depth, l->config.batch);
    return CNNDATA_OK;
}

static int check(const CnndataLoaderConfig *g, CnndataError e)
{
    if (g->set == NULL || g->op_count < 0 || (g->op_count > 0 && g->ops == NULL))
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "the loader has no data set or no operations");
    if (g->batch < 1 || g->batch > 1 << 24)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "a batch of %" PRId64 " images cannot be",
                            g->batch);
    if (g->workers < 0 || g->workers > WORKERS_MAX)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "%d workers: from 0 to %d are possible",
                            (int)g->workers, (int)WORKERS_MAX);
    if (g->prefetch < 0 || g->prefetch > PREFETCH_MAX || (g->prefetch == 1 && g->workers > 0))
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "%d batches held: from 2 to %d are possible",
                            (int)g->prefetch, (int)PREFETCH_MAX);
    if (g->set->classes > g->classes || g->classes > CNNDATA_CLASSES_MAX)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT,
                            "the data set has %" PRId64 " classes, the net %" PRId64
                            ": give the net at least as many outputs",
                            g->set->classes, g->classes);
    if (g->drop_last && g->set->count < g->batch)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT,
                            "the data set has %" PRId64 " samples, less than one batch of %" PRId64
                            ": lower the batch, or keep the last one",
                            g->set->count, g->batch);
    return CNNDATA_OK;
}

static int create(CnndataLoader *l, CnndataError e)
{
    const CnndataLoaderConfig *g = &l->config;
    CnndataPrep prep = {g->c, g->h, g->w, g->resize, g->crop, g->has_norm != 0, {0}, {0}};
    const bool train = g->transform == CNNDATA_TRAIN;
    memcpy(prep.mean, g->mean, sizeof prep.mean);
    memcpy(prep.std, g->std, sizeof prep.std);
    if (train)
        prep.resize = prep.crop = 0;
    int status = cnndata_chain_make(&l->chain, g->ops, train ? g->op_count : 0, &prep, e);
    if (status != CNNDATA_OK)
        return status;
    l->batches = g->set->count / g->batch + (!g->drop_last && g->set->count % g->batch != 0);
    l->depth = g->workers == 0 ? 1 : g->prefetch == 0 ? PREFETCH_USUAL : g->prefetch;
    l->chunk = g->workers == 0 ? g->batch : g->batch / (4 * (int64_t)g->workers);
    l->chunk = l->chunk < 1 ? 1 : l->chunk > CHUNK_MAX ? CHUNK_MAX : l->chunk;
    l->epoch = -1;
    l->paused = true;
    status = make_memory(l, e);
    return status == CNNDATA_OK ? start_workers(l, e) : status;
}

int cnndata_loader_create(CnndataLoader **out, const CnndataLoaderConfig *config, char *error,
                          size_t error_len)
{
    const CnndataError e = {error, error_len};
    if (error_len > 0)
        error[0] = '\0';
    if (out != NULL)
        *out = NULL;
    if (out == NULL || config == NULL)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "the loader has no settings");
    int status = check(config, e);
    if (status != CNNDATA_OK)
        return status;
    CnndataLoader *l = calloc(1, sizeof *l);
    if (l == NULL)
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "out of memory for the loader");
    l->config = *config;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->more, NULL);
    pthread_cond_init(&l->ready, NULL);
    status = create(l, e);
    l->config.ops = NULL; /* the chain has its copy */
    if (status != CNNDATA_OK) {
        cnndata_loader_free(l);
        return status;
    }
    *out = l;
    return CNNDATA_OK;
}

void cnndata_loader_free(CnndataLoader *l)
{
    if (l == NULL)
        return;
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    pthread_cond_broadcast(&l->more);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->started; i++)
        pthread_join(l->threads[i], NULL);
    for (int64_t i = 0; l->ring != NULL && i < l->depth; i++) {
        free(l->ring[i].images);
        free(l->ring[i].targets);
        free(l->ring[i].labels);
        free(l->ring[i].status);
        free(l->ring[i].messages);
    }
    for (int i = 0; l->work != NULL && (i == 0 || i < l->config.workers); i++)
        cnndata_work_free(&l->work[i]);
    free(l->ring);
    free(l->work);
    free(l->threads);
    free(l->order);
    pthread_cond_destroy(&l->more);
    pthread_cond_destroy(&l->ready);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

int64_t cnndata_loader_batches(const CnndataLoader *l)
{
    return l->batches;
}

const char *cnndata_loader_error(const CnndataLoader *l)
{
    return l->error;
}

CnndataStats cnndata_stats(const CnndataLoader *l)
{
    return l->stats;
}

int cnndata_loader_start_epoch(CnndataLoader *l, int64_t epoch, int64_t first_batch)
{
    const CnndataError e = {l->error, sizeof l->error};
    if (epoch < 0 || first_batch < 0 || first_batch > l->batches)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT,
                            "there is no batch %" PRId64 " of epoch %" PRId64
                            ": an epoch has %" PRId64,
                            first_batch, epoch, l->batches);
    pthread_mutex_lock(&l->lock);
    l->paused = true;
    while (l->busy > 0)
        pthread_cond_wait(&l->ready, &l->lock);
    if (l->config.shuffle)
        cnndata_shuffle(l->order, l->config.set->count, l->config.seed, epoch);
    else
        for (int64_t i = 0; i < l->config.set->count; i++)
            l->order[i] = i;
    for (int64_t i = 0; i < l->depth; i++)
        l->ring[i].number = -1;
    l->epoch = epoch;
    l->base = l->next_taken = l->next_given = first_batch;
    l->status = CNNDATA_OK;
    l->error[0] = '\0';
    l->paused = false;
    pthread_cond_broadcast(&l->more);
    pthread_mutex_unlock(&l->lock);
    return CNNDATA_OK;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Batch next_given, made or waited for. The one that was given before is free again. */
static Slot *fetch(CnndataLoader *l)
{
    Slot *s = &l->ring[l->next_given % l->depth];
    if (l->config.workers == 0) {
        begin_slot(l, s, l->next_given);
        for (int64_t i = 0; i < s->samples; i++)
            make_sample(l, s, i, &l->work[0]);
        finish(l, s);
        return s;
    }
    pthread_mutex_lock(&l->lock);
    l->base = l->next_given;
    pthread_cond_broadcast(&l->more);
    while (s->number != l->next_given || !s->ready)
        pthread_cond_wait(&l->ready, &l->lock);
    pthread_mutex_unlock(&l->lock);
    return s;
}

/* Reports what was left out; false when a sample ends the run. */
static bool account(CnndataLoader *l, const Slot *s)
{
    for (int64_t i = 0; i < s->samples; i++)
        if (s->status[i] != CNNDATA_OK && !left_out(l, s->status[i])) {
            l->status = s->status[i];
            snprintf(l->error, sizeof l->error, "%s", s->messages + i * CNNDATA_ERROR_MAX);
            return false;
        }
    for (int64_t i = 0; i < s->samples; i++)
        if (s->status[i] != CNNDATA_OK) {
            l->stats.skipped++;
            if (l->config.on_skip != NULL)
                l->config.on_skip(l->config.user, s->messages + i * CNNDATA_ERROR_MAX);
        }
    return true;
}

int cnndata_loader_next(CnndataLoader *l, CnndataBatch *out)
{
    *out = (CnndataBatch){0};
    if (l->epoch < 0)
        cnndata_loader_start_epoch(l, 0, 0);
    while (l->status == CNNDATA_OK && l->next_given < l->batches) {
        const double start = seconds();
        const Slot *s = fetch(l);
        l->stats.wait_seconds += seconds() - start;
        if (!account(l, s))
            break;
        l->next_given++;
        if (s->kept == 0) /* nothing of it could be read */
            continue;
        l->stats.batches++;
        l->stats.samples += s->kept;
        *out = (CnndataBatch){s->images, s->targets, s->labels, s->kept, l->epoch, s->number};
        return CNNDATA_OK;
    }
    return l->status != CNNDATA_OK ? l->status : CNNDATA_END;
}
