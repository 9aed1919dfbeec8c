/* How a batch goes through the steps of a model.
 *
 * Step by step: the units of all images form one line that is cut into equal parts, so that a batch
 * is split by images first and a single image by its units; threads meet after every step.
 * Image by image: a thread takes an image through many steps before it takes the next. What a step
 * has written is in the thread's cache when the next one reads it, and nobody waits.
 * Unit by unit: a thread takes all images through one unit, whose weights no other unit reads and
 * which are too many to stay in a cache for long.
 *
 * Images have slots, an arena each. Where all steps go image by image, a thread uses the same slot
 * for all of its images, whose memory stays in its cache. Models with steps that sum over images
 * find these at fixed distances within every tensor instead: the arena's regions times the batch.
 */
#define _GNU_SOURCE
#include "walk.h"
#include <time.h>

static float *operand(const Walk *w, const CnnrtOperand *o, int64_t image, int64_t slot, int thread)
{
    const CnnrtModel *m = w->model;
    int64_t arena = cnnrt_round_line(m->arena_floats);
    switch (o->space) {
    case CNNRT_INPUT: /* kernels only read their inputs */
        return (float *)(uintptr_t)(w->in[o->index] + image * o->stride + o->offset);
    case CNNRT_OUTPUT: return w->out[o->index] + image * o->stride + o->offset;
    case CNNRT_ARENA:
        if (w->slots)
            return w->workspace + slot * arena + o->offset + o->inner;
        return w->workspace + o->offset * w->run.batch + image * o->stride + o->inner;
    case CNNRT_WEIGHTS: return (float *)(uintptr_t)(w->weights + o->offset);
    case CNNRT_SCRATCH:
        return w->workspace + arena * w->run.batch + cnnrt_round_line(m->scratch_floats) * thread;
    default: return NULL;
    }
}

/* Units [first, last) of an image. */
static void run_units(const Walk *w, const CnnrtStep *s, int64_t image, int64_t slot, int thread,
                      int64_t first, int64_t last)
{
    float *args[CNNRT_KERNEL_ARGS + 1];
    args[CNNRT_KERNEL_ARGS] = (float *)(uintptr_t)&w->run;
    for (int i = 0; i < CNNRT_KERNEL_ARGS; i++)
        args[i] = operand(w, &s->args[i], image, slot, thread);
    s->kernel(args, first, last);
}

/* The thread's part of images [from, to) of a step; a whole step is one image. */
static void run_step(const Walk *w, const CnnrtStep *s, int64_t from, int64_t to, int thread)
{
    int threads = cnnrt_pool_threads(w->pool);
    int64_t total = s->whole ? s->units : s->units * (to - from);
    int64_t at = total * thread / threads, end = total * (thread + 1) / threads;
    while (at < end) {
        int64_t image = at / s->units, first = at - image * s->units;
        int64_t last = end - image * s->units < s->units ? end - image * s->units : s->units;
        run_units(w, s, from + image, from + image, thread, first, last);
        at = image * s->units + last;
    }
}

static void run_by_unit(const Walk *w, const CnnrtStep *s, int thread)
{
    int threads = cnnrt_pool_threads(w->pool);
    int64_t first = s->units * thread / threads, last = s->units * (thread + 1) / threads;
    for (int64_t unit = first; unit < last; unit++)
        for (int64_t image = 0; image < w->run.batch; image++)
            run_units(w, s, image, image, thread, unit, unit + 1);
}

double cnnrt_seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Images [from, to) through all steps [first, last), step by step. */
static void by_step(const Walk *w, int64_t first, int64_t last, int64_t from, int64_t to,
                    int thread)
{
    double before = w->seconds != NULL && thread == 0 ? cnnrt_seconds_now() : 0;
    for (int64_t i = first; i < last; i++) {
        run_step(w, &w->model->steps[i], from, to, thread);
        cnnrt_pool_barrier(w->pool);
        if (w->seconds != NULL && thread == 0) {
            double now = cnnrt_seconds_now();
            w->seconds[i] += now - before;
            before = now;
        }
    }
}

/* As many images as all threads get the same number of; the others are shared. */
static void by_image(const Walk *w, int64_t first, int64_t last, int thread)
{
    int threads = cnnrt_pool_threads(w->pool);
    int64_t share = w->run.batch / threads, own = share * thread;
    for (int64_t image = own; image < own + share; image++)
        for (int64_t i = first; i < last; i++) {
            const CnnrtStep *s = &w->model->steps[i];
            run_units(w, s, image, w->reused ? thread : image, thread, 0, s->units);
        }
    if (share * threads < w->run.batch)
        by_step(w, first, last, share * threads, w->run.batch, thread);
    else
        cnnrt_pool_barrier(w->pool);
}

static void walk_thread(void *arg, int thread)
{
    const Walk *w = arg;
    const CnnrtStep *steps = w->model->steps;
    if (!w->slots || w->seconds != NULL || w->run.batch == 1) {
        by_step(w, w->first, w->last, 0, w->run.batch, thread);
        return;
    }
    for (int64_t i = w->first, end; i < w->last; i = end) {
        for (end = i + 1; end < w->last && steps[end].order == steps[i].order; end++)
            ;
        if (steps[i].order == CNNRT_BY_IMAGE)
            by_image(w, i, end, thread);
        else if (steps[i].order == CNNRT_BY_STEP)
            by_step(w, i, end, 0, w->run.batch, thread);
        for (int64_t k = i; k < end && steps[i].order == CNNRT_BY_UNIT; k++) {
            run_by_unit(w, &steps[k], thread);
            cnnrt_pool_barrier(w->pool);
        }
    }
}

void cnnrt_walk(Walk *w)
{
    const CnnrtModel *m = w->model;
    w->slots = true;
    w->reused = w->first == 0 && w->last == m->step_count;
    for (int64_t i = 0; i < m->step_count; i++) {
        w->slots = w->slots && !m->steps[i].whole;
        w->reused = w->reused && m->steps[i].order == CNNRT_BY_IMAGE;
    }
    cnnrt_pool_run(w->pool, walk_thread, w);
}
