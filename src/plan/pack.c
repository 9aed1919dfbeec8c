/* Weights as kernels read them: permuted, padded, batch normalisation folded in. */
#include "plan/plan.h"
#include "support/parallel.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { HELD_MAX = 8, NAME_MAX_LEN = 1024 };

/* The work on one job: no job writes where another does, and none touches the plan's arena. */
typedef struct Packer {
    const Plan *p;
    const Graph *g;
    const ParamSource *params;
    const float *held[HELD_MAX]; /* to be released after the job */
    int held_count;
    bool missing;
    char name[NAME_MAX_LEN]; /* of the parameter asked for last; the first missing one stays */
} Packer;

/* The named parameter of a node; NULL when the node has none of that name. */
static const float *parameter(Packer *s, NodeId n, const char *suffix)
{
    ParamSpec spec[PARAM_MAX];
    int count = params_of(s->g, n, s->p->an->shape, spec);
    for (int i = 0; i < count && !s->missing; i++) {
        if (strcmp(spec[i].suffix, suffix) != 0)
            continue;
        snprintf(s->name, sizeof s->name, "%s.%s", graph_node(s->g, n)->name, suffix);
        const float *data = s->params->get(s->params->ctx, s->name, &spec[i]);
        s->missing = data == NULL;
        if (data != NULL && s->held_count < HELD_MAX)
            s->held[s->held_count++] = data;
        /* cppcheck-suppress returnDanglingLifetime ; sources keep no pointer to spec */
        return data;
    }
    return NULL;
}

/* Batch normalisation of one channel is x * scale + shift. */
typedef struct Affine {
    const float *weight, *bias, *mean, *var;
    double eps;
} Affine;

/* All NULL when there is no normalisation: the identity. */
static Affine affine_of(Packer *s, NodeId bn)
{
    Affine a = {0};
    if (bn.v == 0)
        return a;
    a.weight = parameter(s, bn, "weight"); /* NULL: one */
    a.bias = parameter(s, bn, "bias");
    a.mean = parameter(s, bn, "running_mean");
    a.var = parameter(s, bn, "running_var");
    a.eps = graph_attr(s->g, bn, AT_BN_eps)->r;
    return a;
}

static double scale_of(const Affine *a, int64_t c)
{
    if (a->var == NULL)
        return 1;
    return (a->weight != NULL ? a->weight[c] : 1) / sqrt(a->var[c] + a->eps);
}

static double shift_of(const Affine *a, int64_t c, double bias)
{
    if (a->mean == NULL || a->bias == NULL)
        return bias;
    return a->bias[c] + (bias - a->mean[c]) * scale_of(a, c);
}

/* The window of taps one output channel has over one input channel: h x w of them, `row` and
 * `column` floats apart in the packed order. */
typedef struct Taps {
    int64_t h, w, row, column;
} Taps;

static Taps taps_of(const Kernel *k, const Target *t, int64_t o, int64_t i)
{
    Taps x = {.h = k->kh, .w = k->kw};
    if (k->family == FAM_DENSE) {
        x.h = k->in.h;
        x.w = k->in.w;
    }
    if (k->tile.winograd > 0)
        x.h = x.w = 6;
    int64_t at = family_weight_index(k, t, o, i, 0, 0);
    x.row = x.h > 1 ? family_weight_index(k, t, o, i, 1, 0) - at : 0;
    x.column = x.w > 1 ? family_weight_index(k, t, o, i, 0, 1) - at : 0;
    return x;
}

static void pack_winograd(const Taps *taps, const float *window, double scale, float *out)
{
    double g[9], u[36];
    for (int i = 0; i < 9; i++)
        g[i] = window[i] * scale;
    family_winograd_filter(g, u);
    for (int y = 0; y < 6; y++)
        for (int x = 0; x < 6; x++)
            out[y * taps->row + x * taps->column] = (float)u[y * 6 + x];
}

/* All weights of output channel o. `data` has them as [i][h][w], `step` floats from i to i. */
static void pack_channel(const Packer *s, const Kernel *k, int64_t o, const float *data,
                         int64_t step, double scale, float *out)
{
    const Target *t = &s->p->target;
    int64_t groups = k->groups > 1 ? k->groups : 1, per_in = k->in.c / groups;
    if (k->family == FAM_DENSE)
        per_in = k->in.c;
    int64_t first = k->family == FAM_DENSE ? 0 : o / (k->out.c / groups) * per_in;
    Taps taps = taps_of(k, t, o, first);
    for (int64_t i = 0; i < per_in; i++) {
        int64_t to = family_weight_index(k, t, o, first + i, 0, 0);
        const float *from = data + i * step;
        if (k->tile.winograd > 0) {
            pack_winograd(&taps, from, scale, out + to);
            continue;
        }
        for (int64_t y = 0; y < taps.h; y++)
            for (int64_t x = 0; x < taps.w; x++) {
                int64_t at = to + y * taps.row + x * taps.column;
                if (k->tile.cuda.group) /* in panels taps are not evenly apart */
                    at = family_weight_index(k, t, o, first + i, y, x);
                family_put_weight(k, out, at, (float)(from[y * taps.w + x] * scale));
            }
    }
}

static void pack_weights(Packer *s, const PackJob *job, float *out)
{
    Kernel k = s->p->kernels.at[job->kernel].k;
    const float *data = parameter(s, job->node, "weight");
    Affine bn = affine_of(s, job->fold_bn);
    if (data == NULL || s->missing)
        return;
    k.in = job->in;
    int64_t groups = k.groups > 1 ? k.groups : 1, per_in = k.in.c / groups;
    int64_t per_out = k.out.c / groups, taps = k.kh * k.kw;
    if (k.family == FAM_DENSE)
        taps = k.in.h * k.in.w;
    for (int64_t o = 0; o < k.out.c; o++) {
        /* Transposed convolutions keep theirs as [i][o of the group][kh][kw]. */
        bool turned = k.family == FAM_CONVT;
        int64_t at =
            turned ? (o / per_out * per_in * per_out + o % per_out) * taps : o * per_in * taps;
        pack_channel(s, &k, o, data + at, turned ? per_out * taps : taps, scale_of(&bn, o), out);
    }
}

static void pack_bias(Packer *s, const PackJob *job, float *out)
{
    const Kernel *k = &s->p->kernels.at[job->kernel].k;
    const float *data = parameter(s, job->node, "bias");
    Affine bn = affine_of(s, job->fold_bn);
    for (int64_t o = 0; o < k->out.c && !s->missing; o++)
        out[o] = (float)shift_of(&bn, o, data != NULL ? data[o] : 0);
}

static void pack_vector(Packer *s, const PackJob *job, float *out)
{
    static const char *const suffix[] = {[FILL_BN_SCALE] = NULL,
                                         [FILL_BN_SHIFT] = NULL,
                                         [FILL_LN_WEIGHT] = "weight",
                                         [FILL_LN_BIAS] = "bias",
                                         [FILL_GAMMA] = "gamma"};
    int64_t c = s->p->an->shape[job->node.v].c;
    if (suffix[job->fill] != NULL) {
        const float *data = parameter(s, job->node, suffix[job->fill]);
        if (data != NULL)
            memcpy(out, data, (size_t)c * sizeof *out);
        return;
    }
    Affine bn = affine_of(s, job->node);
    for (int64_t i = 0; i < c && !s->missing; i++)
        out[i] = (float)(job->fill == FILL_BN_SCALE ? scale_of(&bn, i) : shift_of(&bn, i, 0));
}

typedef struct Packing {
    const Plan *p;
    const ParamSource *params;
    float *blob;
    pthread_mutex_t lock;
    int64_t failed; /* the first job that lacks a parameter, or -1 */
    char missing[NAME_MAX_LEN];
} Packing;

static void pack_job(void *ctx, int64_t i)
{
    Packing *all = ctx;
    const PackJob *job = &all->p->packs.at[i];
    Packer s = {.p = all->p, .g = all->p->an->g, .params = all->params};
    float *out = all->blob + job->offset;
    if (job->kind == PACK_WEIGHTS)
        pack_weights(&s, job, out);
    else if (job->kind == PACK_BIAS)
        pack_bias(&s, job, out);
    else
        pack_vector(&s, job, out);
    for (int k = 0; k < s.held_count; k++)
        param_release(all->params, s.held[k]);
    if (!s.missing)
        return;
    pthread_mutex_lock(&all->lock);
    if (all->failed < 0 || i < all->failed) {
        all->failed = i;
        memcpy(all->missing, s.name, sizeof s.name);
    }
    pthread_mutex_unlock(&all->lock);
}

const char *plan_pack(const Plan *p, const ParamSource *params, int threads, float *blob)
{
    Packing all = {.p = p, .params = params, .blob = blob, .failed = -1};
    memset(blob, 0, (size_t)p->weight_floats * sizeof *blob);
    pthread_mutex_init(&all.lock, NULL);
    parallel_for(threads, p->packs.len, pack_job, &all);
    pthread_mutex_destroy(&all.lock);
    return all.failed < 0 ? NULL : arena_strdup(p->arena, all.missing);
}
