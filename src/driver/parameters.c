#include "driver/parameters.h"
#include "rng.h"
#include "safetensors.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const float *get_parameter(void *ctx, const char *full_name, const ParamSpec *spec)
{
    const Parameters *p = ctx;
    const WeightTensor *t = weights_find(&p->weights, full_name);
    return t != NULL && t->count == param_count(spec) ? weights_take(t) : NULL;
}

/* Either all parameters are made or none is (open_parameters). */
static void release_parameter(void *ctx, const float *data)
{
    const Parameters *p = ctx;
    if (p->weights.all.len > 0)
        weights_give_back(&p->weights.all.at[0], data);
}

ParamSource parameters_source(Parameters *p)
{
    return (ParamSource){p, get_parameter, release_parameter};
}

void parameters_close(Parameters *p)
{
    weights_free(&p->weights);
    weights_free(&p->file);
}

const char *parameters_classes(const Parameters *p)
{
    return p->file.file != NULL ? cnnrt_st_pair(p->file.file, "classes") : NULL;
}

int parameters_each(Run *r, const Net *n, ParameterVisit *visit, void *ctx)
{
    for (uint32_t v = 1; v < n->elab->graph.nodes.len; v++) {
        ParamSpec spec[PARAM_MAX];
        if (!n->an.live[v])
            continue;
        int count = params_of(&n->elab->graph, (NodeId){v}, n->an.shape, spec);
        for (int i = 0; i < count; i++) {
            const char *name = arena_printf(&r->net_arena, "%s.%s", n->elab->graph.nodes.at[v].name,
                                            spec[i].suffix);
            int code = visit(ctx, n, v, &spec[i], name);
            if (code != EXIT_FINE)
                return code;
        }
    }
    return EXIT_FINE;
}

/* Outputs that one input value reaches: with groups, those of its own group (He et al. 2015,
 * section 2.2, backward case). */
static int64_t fan_out(const Net *n, uint32_t node, const ParamSpec *s)
{
    int64_t f = s->dims[0];
    for (int i = 2; i < s->ndim; i++)
        f *= s->dims[i];
    if (n->elab->graph.nodes.at[node].op == OP_CONV)
        f /= graph_attr(&n->elab->graph, (NodeId){node}, AT_CONV_groups)->i;
    return f < 1 ? 1 : f;
}

typedef struct Maker {
    Run *r;
    Parameters *p;
    uint64_t seed;
    const NameMap *names;
} Maker;

static int add_recipe(Maker *m, const ParamSpec *spec, const char *name, WeightRecipe recipe)
{
    return weights_add_recipe(&m->p->weights, &m->r->net_arena, name, spec->dims, spec->ndim,
                              recipe)
               ? EXIT_FINE
               : EXIT_LIMIT;
}

static int make_initial(void *ctx, const Net *n, uint32_t node, const ParamSpec *spec,
                        const char *name)
{
    Maker *m = ctx;
    WeightRecipe made = {.kind = RECIPE_CONSTANT, .key = rng_key(name, m->seed)};
    switch (spec->init) {
    case INIT_ZERO: break;
    case INIT_ONE: made.shift = 1; break;
    case INIT_CONST: made.shift = spec->init_value; break;
    case INIT_KAIMING_FAN_OUT:
        made.kind = RECIPE_NORMAL;
        made.scale = sqrt(2.0 / (double)fan_out(n, node, spec));
        break;
    case INIT_TRUNC_NORMAL_02:
        made.kind = RECIPE_NORMAL_CUT;
        made.scale = 0.02;
        break;
    }
    return add_recipe(m, spec, name, made);
}

static int make_fixture(void *ctx, const Net *n, uint32_t node, const ParamSpec *spec,
                        const char *name)
{
    Maker *m = ctx;
    const char *theirs =
        m->names != NULL ? elab_name_theirs(&m->r->net_arena, m->names, name) : NULL;
    Op op = n->elab->graph.nodes.at[node].op;
    bool norm = (op_info[op].flags & OPF_NORM) != 0;
    int64_t fan_in = 1;
    for (int i = 1; i < spec->ndim; i++)
        fan_in *= spec->dims[i];
    bool weight = strcmp(spec->suffix, "weight") == 0, bias = strcmp(spec->suffix, "bias") == 0;
    bool mean = strcmp(spec->suffix, "running_mean") == 0;
    bool centred = bias || mean || (weight && !norm);
    WeightRecipe made = {.kind = centred ? RECIPE_CENTRED : RECIPE_UNIFORM,
                         .key = rng_key(theirs != NULL ? theirs : name, m->seed),
                         .shift = 0.5};
    made.scale = bias ? (norm ? 0.2 : 0.1) : mean ? 0.1 : sqrt(6.0 / (double)fan_in);
    return add_recipe(m, spec, name, made);
}

void parameters_fixture_input(uint64_t seed, int64_t count, float *out)
{
    uint64_t key = rng_key("input", seed);
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)(2.0 * (double)rng_uniform(key, (uint64_t)i) - 1.0);
}

/* What differs between a file and the network, as a table. */
typedef struct Misfit {
    Run *r;
    Parameters *p;
    const NameMap *names; /* NULL: the file has our names */
    Buf table;
    int rows, more;
    bool *used; /* by index in p->file.all */
    bool means; /* the file's running means, not the values that they are means of */
} Misfit;
enum { MISFIT_ROWS = 20 };

static void dims_text(char *out, size_t cap, const int64_t *dims, int ndim)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < ndim && at < cap; i++)
        at += (size_t)snprintf(out + at, cap - at, "%s%" PRId64, i ? "x" : "", dims[i]);
}

static void misfit_row(Misfit *m, const char *name, const char *want, const char *have)
{
    if (m->rows == MISFIT_ROWS) {
        m->more++;
        return;
    }
    if (m->rows++ == 0)
        buf_printf(&m->table, "\n  %-44s %-16s %s", "parameter", "network", "file");
    buf_printf(&m->table, "\n  %-44s %-16s %s", name, want, have);
}

/* [o,i] and [o,i,1,1] are the same matrix. */
static bool same_dims(const ParamSpec *s, const WeightTensor *t)
{
    int n = s->ndim > t->ndim ? s->ndim : t->ndim;
    if (n > 4)
        return false;
    for (int i = 0; i < n; i++)
        if ((i < s->ndim ? s->dims[i] : 1) != (i < t->ndim ? t->dims[i] : 1))
            return false;
    return s->ndim == t->ndim || (s->ndim >= 2 && t->ndim >= 2) || t->count == s->dims[0];
}

static int match_parameter(void *ctx, const Net *n, uint32_t node, const ParamSpec *spec,
                           const char *name)
{
    Misfit *m = ctx;
    (void)n;
    (void)node;
    const char *theirs =
        m->names != NULL ? elab_name_theirs(&m->r->net_arena, m->names, name) : NULL;
    const char *look = theirs != NULL ? theirs : name;
    const WeightTensor *t = weights_find(&m->p->file, look);
    if (t != NULL && m->means) {
        m->used[t - m->p->file.all.at] = true;
        t = weights_find(&m->p->file, arena_printf(&m->r->net_arena, PARAMETERS_MEAN "%s", look));
    }
    char want[80], have[160];
    dims_text(want, sizeof want, spec->dims, spec->ndim);
    if (t == NULL) {
        misfit_row(m, look, want, "missing");
        return EXIT_FINE;
    }
    m->used[t - m->p->file.all.at] = true;
    if (!same_dims(spec, t)) {
        dims_text(have, sizeof have, t->dims, t->ndim);
        misfit_row(m, look, want, have);
        return EXIT_FINE;
    }
    WeightTensor ours = *t;
    ours.name = name;
    vec_push(&m->r->net_arena, &m->p->weights.all, ours);
    return EXIT_FINE;
}

/* The `names` section under which most parameters are found; NULL = our own names. */
static const NameMap *choose_names(Run *r, const Net *n, const Weights *file)
{
    const NameMap *best = NULL;
    int best_found = -1;
    for (int k = -1; k < (int)n->elab->names.len; k++) {
        const NameMap *m = k < 0 ? NULL : &n->elab->names.at[k];
        int found = 0;
        for (uint32_t v = 1; v < n->elab->graph.nodes.len; v++) {
            ParamSpec spec[PARAM_MAX];
            if (!n->an.live[v] || params_of(&n->elab->graph, (NodeId){v}, n->an.shape, spec) == 0)
                continue;
            const char *name = arena_printf(&r->net_arena, "%s.%s", n->elab->graph.nodes.at[v].name,
                                            spec[0].suffix);
            const char *theirs = m != NULL ? elab_name_theirs(&r->net_arena, m, name) : name;
            found += theirs != NULL && weights_find(file, theirs) != NULL;
        }
        if (found > best_found) {
            best_found = found;
            best = m;
        }
    }
    return best;
}

static int count_means(void *ctx, const Net *n, uint32_t node, const ParamSpec *spec,
                       const char *name)
{
    Misfit *m = ctx;
    (void)n;
    (void)node;
    (void)spec;
    const char *mean = arena_printf(&m->r->net_arena, PARAMETERS_MEAN "%s", name);
    m->means = m->means && weights_find(&m->p->file, name) != NULL &&
               weights_find(&m->p->file, mean) != NULL;
    return EXIT_FINE;
}

/* Values that a training run keeps beside the parameters. */
static bool kept_beside(const char *name)
{
    static const char optimizer[] = "optimizer.";
    return strncmp(name, optimizer, sizeof optimizer - 1) == 0 ||
           strncmp(name, PARAMETERS_MEAN, sizeof PARAMETERS_MEAN - 1) == 0;
}

int parameters_load(Parameters *p, Run *r, const Net *n, const char *path)
{
    const char *err;
    if (!weights_read_safetensors(&p->file, &r->net_arena, path, &err))
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    Misfit m = {.r = r, .p = p, .names = choose_names(r, n, &p->file)};
    m.used = arena_array(&r->net_arena, p->file.all.len + 1, sizeof *m.used);
    p->weights.arena = &r->net_arena;
    m.means = m.names == NULL && p->file.all.len > 0 && !cli_has(r->cli, OPT_NO_EMA);
    parameters_each(r, n, count_means, &m);
    parameters_each(r, n, match_parameter, &m);
    for (uint32_t i = 0; i < p->file.all.len; i++) {
        const WeightTensor *t = &p->file.all.at[i];
        char have[160];
        if (m.used[i] || kept_beside(t->name) ||
            (m.names != NULL && elab_name_ignored(m.names, t->name)))
            continue;
        dims_text(have, sizeof have, t->dims, t->ndim);
        misfit_row(&m, t->name, "has none", have);
    }
    weights_sort(&p->weights);
    int code = EXIT_FINE;
    if (m.rows > 0) {
        if (m.more > 0)
            buf_printf(&m.table, "\n  and %d more", m.more);
        code = front_fail(r, EXIT_REFUSED, "%s does not fit '%s'%s%s:%s", path, n->elab->graph.name,
                          m.names ? " under names " : "", m.names ? m.names->name : "",
                          m.table.at ? m.table.at : "");
    }
    buf_free(&m.table);
    return code;
}

static bool parse_seed(const char *s, uint64_t *out)
{
    char *end;
    if (*s < '0' || *s > '9')
        return false;
    errno = 0;
    *out = strtoull(s, &end, 10);
    return *end == '\0' && errno == 0;
}

int parameters_init(Parameters *p, Run *r, const Net *n, uint64_t seed)
{
    Maker m = {.r = r, .p = p, .seed = seed};
    *p = (Parameters){.origin = arena_printf(&r->net_arena, "seed %" PRIu64, seed)};
    int code = parameters_each(r, n, make_initial, &m);
    weights_sort(&p->weights);
    return code;
}

static int open_parameters(Parameters *p, Run *r, const Net *n, bool required)
{
    static const char fixture[] = "fixture:";
    const char *file = cli_get(r->cli, OPT_WEIGHTS), *init = cli_get(r->cli, OPT_INIT);
    Maker m = {.r = r, .p = p};
    *p = (Parameters){.origin = "none"};
    int code;
    if (file != NULL && init != NULL)
        return front_fail(r, EXIT_USAGE, "--weights and --init exclude each other");
    if (file != NULL) {
        const char *slash = strrchr(file, '/');
        p->origin = slash != NULL ? slash + 1 : file;
    }
    if (file != NULL && strncmp(file, fixture, sizeof fixture - 1) != 0)
        return parameters_load(p, r, n, file);
    if (file != NULL) {
        if (!parse_seed(file + sizeof fixture - 1, &m.seed))
            return front_fail(r, EXIT_USAGE, "--weights=fixture:SEED takes a whole number");
        m.names = n->elab->names.len > 0 ? &n->elab->names.at[0] : NULL;
        code = parameters_each(r, n, make_fixture, &m);
    } else {
        if (init == NULL && required)
            return front_fail(r, EXIT_USAGE,
                              "'%s' has no weights: give --weights=FILE, or --init=SEED to use "
                              "untrained ones",
                              n->elab->graph.name);
        m.seed = 1;
        if (init != NULL && !parse_seed(init, &m.seed))
            return front_fail(r, EXIT_USAGE, "--init takes a whole number, not '%s'", init);
        p->origin = arena_printf(&r->net_arena, "seed %" PRIu64, m.seed);
        if (!r->quiet)
            fprintf(stderr, "%s: untrained, seed %" PRIu64 "\n", n->elab->graph.name, m.seed);
        code = parameters_each(r, n, make_initial, &m);
    }
    if (code == EXIT_LIMIT)
        return front_fail(r, code, "a parameter of '%s' is too large", n->elab->graph.name);
    weights_sort(&p->weights);
    return code;
}

int parameters_open(Parameters *p, Run *r, const Net *n, bool required)
{
    double t = front_seconds();
    int code = open_parameters(p, r, n, required);
    stage_time(r, cli_has(r->cli, OPT_WEIGHTS) ? "load weights" : "make weights", t);
    return code;
}
