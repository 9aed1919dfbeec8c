/* What a compiled training graph computed, on any target, against the reference in double: heads,
 * losses, gradients, running statistics. */
#ifndef CNNC_TEST_TRAIN_CHECK_H
#define CNNC_TEST_TRAIN_CHECK_H
#include "grad_cases.h"
#include "plan/plan.h"

/* The state of a step with its first parameters and statistics, 64-byte aligned; to be freed. */
static inline float *first_state(const Plan *p, const Built *b)
{
    float *state = NULL;
    assert_int_equal(posix_memalign((void **)&state, 64, (size_t)p->weight_floats * sizeof *state),
                     0);
    memset(state, 0, (size_t)p->weight_floats * sizeof *state);
    for (uint32_t i = 0; i < p->state.params.len; i++) {
        const PlanParam *q = &p->state.params.at[i];
        ParamSpec spec[PARAM_MAX];
        params_of(&b->t.g, q->node, b->t.shape, spec);
        memcpy(state + q->offset, get_param(NULL, q->name, &spec[q->which]),
               (size_t)q->floats * sizeof *state);
    }
    return state;
}

typedef struct Worst {
    double error, allowed; /* allowed 0: that of single precision */
    double sum;            /* of errors */
    int values;
} Worst;

static inline void compare(Worst *w, const float *got, const double *want, int64_t n,
                           const char *name, const char *what)
{
    double scale = 0.02; /* a bias before a normalisation has no gradient but rounding */
    for (int64_t i = 0; i < n; i++)
        scale = fmax(scale, fabs(want[i]));
    for (int64_t i = 0; i < n; i++) {
        double error = fabs((double)got[i] - want[i]) / scale;
        w->error = fmax(w->error, error);
        w->sum += error;
        w->values++;
        if (!(error < (w->allowed > 0 ? w->allowed : 2e-4)))
            fail_msg("%s[%d]: %g, not %g\n%s", name, (int)i, (double)got[i], want[i], what);
    }
}

/* A tenth of the way from where they were to those of the batch; the variance unbiased. */
static inline void check_statistics(Worst *w, const Plan *p, const Built *b, const float *state,
                                    double **want, const char *what)
{
    for (uint32_t i = 0; i < p->state.params.len; i++) {
        const PlanParam *q = &p->state.params.at[i];
        ParamSpec spec[PARAM_MAX];
        params_of(&b->t.g, q->node, b->t.shape, spec);
        bool mean = strcmp(spec[q->which].suffix, "running_mean") == 0;
        if (q->trained)
            continue;
        NodeId x = graph_in(&b->t.g, q->node, 0);
        double n = (double)(b->batch * b->t.shape[x.v].h * b->t.shape[x.v].w), moved[64];
        const float *old = get_param(NULL, q->name, &spec[q->which]);
        for (uint32_t k = 0; k < b->t.stats.len; k++)
            for (int64_t ch = 0; b->t.stats.at[k].bn.v == q->node.v && ch < q->floats; ch++)
                moved[ch] =
                    0.9 * old[ch] + 0.1 * want[2 * k + !mean][ch] * (mean ? 1 : n / fmax(n - 1, 1));
        compare(w, state + q->offset, moved, q->floats, q->name, what);
    }
}

/* `want`: what the reference computes, before the outputs were cut down to heads and losses. */
static inline void check_results(Worst *w, const Plan *p, const Built *b, float *const *out,
                                 const float *state, double **want, const char *what)
{
    uint32_t shown = b->t.g.outs.len;
    for (uint32_t i = 0; i < shown; i++)
        compare(w, out[i], want[i], b->batch * shape_count(b->t.shape[b->t.g.outs.at[i].node.v]),
                b->t.g.outs.at[i].name, what);
    const PlanState *s = &p->state;
    for (uint32_t i = 0; i < b->t.params.len; i++)
        for (uint32_t k = 0; k < s->params.len; k++)
            if (s->params.at[k].node.v == b->t.params.at[i].node.v &&
                s->params.at[k].which == b->t.params.at[i].which)
                compare(w, state + s->grad + s->params.at[k].offset, want[shown + i],
                        s->params.at[k].floats, s->params.at[k].name, what);
    check_statistics(w, p, b, state, want + shown + b->t.params.len, what);
}
#endif
