/* Training with a compiled step: the state of a training model and passes over batches. */
#include "cnnrt.h"
#include "big.h"
#include "context.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, MOST_TENSORS = 128 };

struct CnnrtTrainer {
    const CnnrtModel *model, *inference;
    float *state, *workspace;
    CnnrtContext *step;
    CnnrtContext *plain, *averaged; /* inference on the state, on its running mean */
    float *out[MOST_TENSORS];       /* of a pass: heads, then losses */
    CnnrtCounters at;
    int64_t part; /* passes since the last update */
    bool lent;    /* the caller may have written to it */
    atomic_flag busy;
};

/* NULL when there is no memory for so many floats. */
static float *aligned(int64_t floats)
{
    void *p = NULL;
    if (floats < 0 || floats > INT64_MAX / 8 ||
        cnnrt_big_alloc(&p, ((size_t)floats + ALIGN) * sizeof(float)) != 0)
        return NULL;
    return p;
}

static int check(const CnnrtModel *m, const float *initial)
{
    if (m == NULL)
        return CNNRT_BAD_ARGUMENT;
    if (m->abi != CNNRT_ABI_VERSION)
        return CNNRT_BAD_MODEL;
    const CnnrtTraining *t = m->training;
    if (t == NULL)
        return CNNRT_NOT_TRAINING;
    if (initial == NULL && t->initial == NULL && t->kept > 0)
        return CNNRT_NO_WEIGHTS;
    if (initial != NULL && (uintptr_t)initial % ALIGN != 0)
        return CNNRT_BAD_WEIGHTS;
    return m->output_count > MOST_TENSORS || m->input_count > MOST_TENSORS ? CNNRT_BAD_MODEL
                                                                           : CNNRT_OK;
}

/* Floats of the state, and of what inference packs behind it: from the running mean, as far behind
 * the state as the mean is from its start. */
static int64_t state_floats(const CnnrtTrainer *t)
{
    const CnnrtTraining *g = t->model->training;
    int64_t n = t->model->weight_floats;
    if (t->inference != NULL && t->inference->weight_floats > n)
        n = t->inference->weight_floats;
    return n + (g->average > 0 && t->inference != NULL ? g->average : 0);
}

static int make_state(CnnrtTrainer *t, const float *initial)
{
    const CnnrtTraining *g = t->model->training;
    int64_t floats = state_floats(t);
    t->state = aligned(floats);
    if (t->state == NULL)
        return CNNRT_NO_MEMORY;
    memset(t->state, 0, (size_t)floats * sizeof(float));
    size_t kept = (size_t)g->kept * sizeof(float);
    if (kept > 0)
        memcpy(t->state, initial != NULL ? initial : g->initial, kept);
    for (int64_t s = 0; s < g->slot_count; s++)
        for (int64_t i = 0; i < g->trained; i++)
            t->state[g->slot[s] + i] = (float)g->slot_start[s];
    if (g->average >= 0)
        memcpy(t->state + g->average, t->state, kept);
    return CNNRT_OK;
}

static int make_outputs(CnnrtTrainer *t)
{
    for (int64_t i = 0; i < t->model->output_count; i++) {
        const CnnrtTensor *o = &t->model->outputs[i];
        t->out[i] = aligned(o->c * o->h * o->w * t->model->max_batch);
        if (t->out[i] == NULL)
            return CNNRT_NO_MEMORY;
    }
    return CNNRT_OK;
}

/* Contexts share one workspace: what a pass leaves there is not needed after it. */
static int make_contexts(CnnrtTrainer *t, int threads)
{
    const CnnrtModel *m = t->model, *n = t->inference;
    size_t len = cnnrt_workspace_size(m, m->max_batch, threads);
    size_t other = n != NULL ? cnnrt_workspace_size(n, n->max_batch, threads) : 0;
    if (len == 0)
        return CNNRT_BAD_ARGUMENT;
    len = other > len ? other : len;
    t->workspace = aligned((int64_t)(len / sizeof(float)));
    if (t->workspace == NULL)
        return CNNRT_NO_MEMORY;
    CnnrtWeights w = {.at = t->state, .floats = state_floats(t)};
    int status = cnnrt_create_with(&t->step, m, &w, threads, t->workspace, len);
    w.owner = t->step;
    if (status == CNNRT_OK && n != NULL)
        status = cnnrt_create_with(&t->plain, n, &w, threads, t->workspace, len);
    if (status != CNNRT_OK || n == NULL || m->training->average < 0)
        return status;
    w.offset = m->training->average;
    w.at += w.offset;
    w.floats -= w.offset;
    return cnnrt_create_with(&t->averaged, n, &w, threads, t->workspace, len);
}

int cnnrt_trainer_create(CnnrtTrainer **out, const CnnrtModel *m, const float *initial, int threads)
{
    if (out == NULL)
        return CNNRT_BAD_ARGUMENT;
    *out = NULL;
    int status = check(m, initial);
    if (status != CNNRT_OK)
        return status;
    CnnrtTrainer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return CNNRT_NO_MEMORY;
    t->model = m;
    t->inference = m->training->inference != NULL ? m->training->inference() : NULL;
    atomic_flag_clear(&t->busy);
    status = make_state(t, initial);
    if (status == CNNRT_OK)
        status = make_outputs(t);
    if (status == CNNRT_OK)
        status = make_contexts(t, threads);
    if (status != CNNRT_OK)
        cnnrt_trainer_destroy(t);
    else
        *out = t;
    return status;
}

void cnnrt_trainer_destroy(CnnrtTrainer *t)
{
    if (t == NULL)
        return;
    cnnrt_destroy(t->averaged);
    cnnrt_destroy(t->plain);
    cnnrt_destroy(t->step);
    for (int i = 0; i < MOST_TENSORS; i++)
        free(t->out[i]);
    free(t->workspace);
    free(t->state);
    free(t);
}

static bool take(CnnrtTrainer *t)
{
    return !atomic_flag_test_and_set(&t->busy);
}

static void give(CnnrtTrainer *t)
{
    atomic_flag_clear(&t->busy);
}

/* The state here as the device has it; it may be changed. */
static int lend(CnnrtTrainer *t)
{
    t->lent = true;
    return cnnrt_fetch_weights(t->step, 0, t->model->weight_floats);
}

/* The state of the device as it is here. */
static int take_back(CnnrtTrainer *t)
{
    int status = t->lent ? cnnrt_send_weights(t->step, 0, t->model->weight_floats) : CNNRT_OK;
    t->lent = t->lent && status != CNNRT_OK;
    return status;
}

static double mean_loss(const CnnrtTrainer *t, int batch)
{
    double sum = 0;
    for (int64_t i = t->model->training->heads; i < t->model->output_count; i++)
        for (int k = 0; k < batch; k++)
            sum += t->out[i][k];
    return sum / batch;
}

/* Steps [0, last) with these rates. */
static int pass(CnnrtTrainer *t, int batch, const float *const *in, const float *const *targets,
                const float *hyper, int64_t last, double *loss)
{
    const CnnrtTraining *g = t->model->training;
    const float *all[MOST_TENSORS];
    for (int64_t i = 0; i < t->model->input_count; i++)
        all[i] = i < g->images ? in[i] : targets[i - g->images];
    int status = take_back(t);
    if (status == CNNRT_OK)
        status = cnnrt_set_run(t->step, t->at.seed, (uint64_t)t->at.passes, hyper);
    if (status == CNNRT_OK)
        status = cnnrt_run_steps(t->step, batch, all, t->out, 0, last, NULL);
    if (status == CNNRT_OK && loss != NULL)
        *loss = mean_loss(t, batch);
    return status;
}

int cnnrt_trainer_step(CnnrtTrainer *t, int batch, const float *const *in,
                       const float *const *targets, double lr, double *loss)
{
    if (t == NULL || in == NULL || targets == NULL)
        return CNNRT_BAD_ARGUMENT;
    if (!take(t))
        return CNNRT_BUSY;
    const CnnrtTraining *g = t->model->training;
    float hyper[CNNRT_HYPER];
    bool updates = t->part + 1 >= g->optimizer.accumulate;
    cnnrt_pass_hypers(&g->optimizer, lr, t->at.updates, t->part, hyper);
    int status =
        pass(t, batch, in, targets, hyper, updates ? t->model->step_count : g->update, loss);
    if (status == CNNRT_OK) {
        t->at.passes++;
        t->at.updates += updates;
        t->part = updates ? 0 : t->part + 1;
    }
    give(t);
    return status;
}

int cnnrt_trainer_gradients(CnnrtTrainer *t, int batch, const float *const *in,
                            const float *const *targets, double *loss)
{
    if (t == NULL || in == NULL || targets == NULL)
        return CNNRT_BAD_ARGUMENT;
    if (!take(t))
        return CNNRT_BUSY;
    const CnnrtTraining *g = t->model->training;
    int status = pass(t, batch, in, targets, NULL, g->update - (g->sum >= 0), loss);
    give(t);
    return status;
}

const float *cnnrt_trainer_output(const CnnrtTrainer *t, int head)
{
    return t != NULL && head >= 0 && head < t->model->training->heads ? t->out[head] : NULL;
}

int cnnrt_trainer_run(CnnrtTrainer *t, int batch, const float *const *in, float *const *out,
                      int averaged)
{
    CnnrtContext *c = t == NULL ? NULL : averaged ? t->averaged : t->plain;
    if (c == NULL)
        return CNNRT_BAD_ARGUMENT;
    if (!take(t))
        return CNNRT_BUSY;
    int status = take_back(t);
    if (status == CNNRT_OK)
        status = cnnrt_run(c, batch, in, out);
    give(t);
    return status;
}

const float *cnnrt_trainer_parameters(CnnrtTrainer *t, int averaged)
{
    if (t == NULL || (averaged && t->model->training->average < 0) || lend(t) != CNNRT_OK)
        return NULL;
    return t->state + (averaged ? t->model->training->average : 0);
}

static void values_of(const CnnrtTrainer *t, const CnnrtParameter *p, CnnrtValues *out)
{
    const CnnrtTraining *g = t->model->training;
    *out = (CnnrtValues){.ndim = (int)p->ndim,
                         .trained = (p->flags & CNNRT_TRAINED) != 0,
                         .count = p->count,
                         .value = t->state + p->offset};
    memcpy(out->dims, p->dims, sizeof out->dims);
    if (g->average >= 0)
        out->average = out->value + g->average;
    if (!out->trained)
        return;
    out->gradient = out->value + g->grad;
    for (int64_t s = 0; s < g->slot_count; s++)
        out->slot[s] = out->value + g->slot[s];
}

int cnnrt_trainer_find(CnnrtTrainer *t, const char *name, CnnrtValues *out)
{
    if (t == NULL || name == NULL || out == NULL)
        return CNNRT_BAD_ARGUMENT;
    const CnnrtTraining *g = t->model->training;
    for (int64_t i = 0; i < g->parameter_count; i++)
        if (strcmp(g->parameters[i].name, name) == 0) {
            int status = lend(t);
            if (status == CNNRT_OK)
                values_of(t, &g->parameters[i], out);
            return status;
        }
    return CNNRT_NO_PARAMETER;
}

int cnnrt_trainer_counters(const CnnrtTrainer *t, CnnrtCounters *out)
{
    if (t == NULL || out == NULL)
        return CNNRT_BAD_ARGUMENT;
    *out = t->at;
    return CNNRT_OK;
}

/* An update that was begun begins again. */
int cnnrt_trainer_set_counters(CnnrtTrainer *t, const CnnrtCounters *c)
{
    if (t == NULL || c == NULL)
        return CNNRT_BAD_ARGUMENT;
    if (c->updates < 0 || c->passes < 0 || c->epoch < 0 || c->batch < 0)
        return CNNRT_BAD_COUNTERS;
    if (!take(t))
        return CNNRT_BUSY;
    t->at = *c;
    t->part = 0;
    give(t);
    return CNNRT_OK;
}

const CnnrtModel *cnnrt_trainer_model(const CnnrtTrainer *t)
{
    return t != NULL ? t->model : NULL;
}
