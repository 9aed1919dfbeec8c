/* The search: sets of operations, fewest first, each tried as a text of its own. */
#include "refine/search.h"
#include "refine/shorten.h"
#include "support/parallel.h"
#include <stdlib.h>
#include <string.h>

/* Bounds on the work, as counts: results must not depend on the machine's speed. */
enum { LEVEL_TRIES = 1500, LEVEL_KEEPS = 60, MOST_OPS = 8 };

/* A set of operations, in the order of their indices in Search.ops. */
typedef struct Set {
    uint16_t op[REFINE_OPS_MAX];
    uint32_t n;
    RefineCandidate c;
    bool made;
} Set;
typedef VEC(Set *) SetList;

static bool kept(const Search *s, uint32_t stage)
{
    for (uint32_t i = 0; i < s->o->keep_count; i++)
        if (strcmp(s->v.stages.at[stage].name, s->o->keep[i]) == 0)
            return true;
    return false;
}

/* No edit may touch a stage that is to stay. */
static bool allowed(const Search *s, const RefineCandidate *c)
{
    for (uint32_t k = 0; k < s->v.stages.len; k++) {
        Span span = s->v.stages.at[k].span;
        if (!kept(s, k))
            continue;
        for (uint32_t i = 0; i < c->edit_count; i++)
            if (c->edit[i].lo < span.hi && c->edit[i].hi > span.lo)
                return false;
    }
    return true;
}

static Set *make_set(Search *s, const Set *from, uint32_t op)
{
    Set *x = arena_new(s->a, Set);
    Rework ops[REFINE_OPS_MAX];
    if (from != NULL)
        memcpy(x->op, from->op, from->n * sizeof x->op[0]);
    x->n = from != NULL ? from->n : 0;
    if (x->n == REFINE_OPS_MAX)
        return NULL;
    x->op[x->n++] = (uint16_t)op;
    for (uint32_t i = 0; i < x->n; i++)
        ops[i] = s->ops.at[x->op[i]];
    x->made = edits_make(&s->v, ops, x->n, &x->c) && allowed(s, &x->c);
    return x->made ? x : NULL;
}

typedef struct Batch {
    const Search *s;
    Set **at;
} Batch;

static void try_one(void *ctx, int64_t i)
{
    Batch *b = ctx;
    Trial *t = calloc(1, sizeof *t);
    Set *x = b->at[i];
    if (t == NULL) {
        atomic_store(&b->s->out->starved, true);
        return;
    }
    trial_open(t, b->s->base, b->s->o->std_path, x->c.text, x->c.len);
    if (t->starved)
        atomic_store(&b->s->out->starved, true);
    x->c.score = t->score;
    trial_close(t);
    free(t);
}

static void try_all(Search *s, SetList *sets)
{
    Batch b = {s, sets->at};
    parallel_for(s->o->threads, sets->len, try_one, &b);
    s->out->tried += sets->len;
}

static int64_t worst_n(const RefineScore *s)
{
    return s->n[0] > s->n[1] ? s->n[0] : s->n[1];
}

static int64_t least(int64_t a, int64_t b)
{
    return a == 0 || b < a ? b : a;
}

static bool params_fit(const Search *s, const RefineScore *c)
{
    double d = (double)(c->params - s->out->base.params);
    return (d < 0 ? -d : d) <= s->o->param_slack * (double)s->out->base.params;
}

/* Takes a feasible candidate, or learns from one over the bounds. */
static void keep(Search *s, const Set *x)
{
    RefineResult *out = s->out;
    const RefineScore *c = &x->c.score;
    const RefineOptions *o = s->o;
    if (!c->valid)
        return;
    if (o->from_above && refine_is_above(c))
        return;
    if (!c->feasible) {
        if (out->least_n[0] == 0 ||
            worst_n(c) < (out->least_n[0] > out->least_n[1] ? out->least_n[0] : out->least_n[1]))
            memcpy(out->least_n, c->n, sizeof out->least_n);
        return;
    }
    if (!params_fit(s, c) && o->max_params == 0)
        return;
    if ((o->max_macs > 0 && c->macs > o->max_macs) ||
        (o->max_params > 0 && c->params > o->max_params) ||
        (o->max_memory > 0 && c->memory > o->max_memory)) {
        out->bounded = true;
        out->least_macs = least(out->least_macs, c->macs);
        out->least_params = least(out->least_params, c->params);
        out->least_memory = least(out->least_memory, c->memory);
        return;
    }
    for (uint32_t i = 0; i < out->all.len; i++)
        if (out->all.at[i].len == x->c.len && memcmp(out->all.at[i].text, x->c.text, x->c.len) == 0)
            return;
    RefineCandidate kept_one = x->c;
    for (uint32_t i = 0; i < x->n; i++)
        kept_one.what[i] = op_text(&s->v, &s->ops.at[x->op[i]]);
    vec_push(s->a, &out->all, kept_one);
}

static int by_n(const void *a, const void *b)
{
    const Set *x = *(Set *const *)a, *y = *(Set *const *)b;
    int64_t nx = worst_n(&x->c.score), ny = worst_n(&y->c.score);
    if (nx != ny)
        return nx < ny ? -1 : 1;
    return memcmp(x->op, y->op, sizeof x->op);
}

/* The next level: every set with every drop of a higher index. */
static SetList extend(Search *s, const SetList *from, uint32_t lo, uint32_t hi)
{
    SetList out = {0};
    for (uint32_t i = 0; i < (from != NULL ? from->len : 1) && out.len < LEVEL_TRIES; i++) {
        const Set *x = from != NULL ? from->at[i] : NULL;
        uint32_t first = lo;
        if (x != NULL && x->op[x->n - 1] >= lo && x->op[x->n - 1] < hi)
            first = (uint32_t)x->op[x->n - 1] + 1;
        for (uint32_t k = first; k < hi && out.len < LEVEL_TRIES; k++) {
            Set *y = make_set(s, x, k);
            if (y != NULL)
                vec_push(s->a, &out, y);
        }
    }
    try_all(s, &out);
    return out;
}

/* Those worth going on with: valid and not yet feasible, smallest n first. */
static SetList survivors(Search *s, const SetList *from, bool feasible_too)
{
    SetList out = {0};
    for (uint32_t i = 0; i < from->len; i++)
        if (from->at[i]->c.score.valid && (feasible_too || !from->at[i]->c.score.feasible))
            vec_push(s->a, &out, from->at[i]);
    if (out.len > 1)
        qsort(out.at, out.len, sizeof out.at[0], by_n);
    if (out.len > LEVEL_KEEPS)
        out.len = LEVEL_KEEPS;
    return out;
}

static bool keep_all(Search *s, const SetList *sets)
{
    uint32_t before = s->out->all.len;
    for (uint32_t i = 0; i < sets->len; i++)
        keep(s, sets->at[i]);
    return s->out->all.len > before;
}

/* Drops alone, level by level; at the level that is feasible also one move in place of a drop. With
 * a number of operations given, all levels up to it. */
static void run_levels(Search *s, uint32_t lo, uint32_t drops, uint32_t moves_end)
{
    uint32_t most = s->o->edits > 0 ? s->o->edits : MOST_OPS;
    SetList before = {0}; /* sets of one operation less */
    for (uint32_t level = 1; level <= most; level++) {
        SetList now = extend(s, level == 1 ? NULL : &before, lo, drops);
        bool found = keep_all(s, &now);
        if (found || s->o->edits > 0 || s->o->max_macs + s->o->max_params + s->o->max_memory > 0) {
            SetList moved = extend(s, level == 1 ? NULL : &before, drops, moves_end);
            found = keep_all(s, &moved) || found;
        }
        if (found && s->o->edits == 0)
            return;
        before = survivors(s, &now, s->o->edits > 0);
        if (before.len == 0)
            return;
    }
}

static int64_t distance(int64_t a, int64_t b)
{
    return a < b ? b - a : a - b;
}

static int by_rank(const void *a, const void *b, void *ctx)
{
    const RefineCandidate *x = a, *y = b;
    const Search *s = ctx;
    int64_t params = s->out->base.params;
    if (s->o->order == REFINE_MIN_COST && x->score.macs != y->score.macs)
        return x->score.macs < y->score.macs ? -1 : 1;
    if (x->ops != y->ops)
        return x->ops < y->ops ? -1 : 1;
    int64_t nx = worst_n(&x->score), ny = worst_n(&y->score);
    if (nx != ny)
        return nx > ny ? -1 : 1;
    if (x->edit_count != y->edit_count)
        return x->edit_count < y->edit_count ? -1 : 1;
    int64_t px = distance(x->score.params, params), py = distance(y->score.params, params);
    if (px != py)
        return px < py ? -1 : 1;
    if (x->score.macs != y->score.macs)
        return x->score.macs < y->score.macs ? -1 : 1;
    return x->edit[0].lo < y->edit[0].lo ? -1 : x->edit[0].lo > y->edit[0].lo;
}

bool refine_is_above(const RefineScore *s)
{
    return s->n_max[0] < s->input[0] || s->n_max[1] < s->input[1];
}

static void search_above(Search *s)
{
    rules_find_deeper(s);
    run_levels(s, 0, s->ops.len, s->ops.len);
}

/* The operation that moves a pooling behind a step; UINT32_MAX when there is none. */
static uint32_t move_of(const Search *s, uint32_t pool, uint32_t to)
{
    for (uint32_t i = s->drops; i < s->ops.len; i++)
        if (s->ops.at[i].rule == RULE_POOL_LATER && s->ops.at[i].unit == pool &&
            s->ops.at[i].to == to)
            return i;
    return UINT32_MAX;
}

/* All poolings moved later at once, so that they stand `step` layers apart and the last one stays
 * where it is: Richter & Pal's VGG19 is the case of 3. NULL when some pooling would have to move
 * forward, or none moves. */
static Set *spread(Search *s, const uint32_t *pools, uint32_t n, const uint32_t *layers, uint32_t m,
                   uint32_t step)
{
    Set *x = NULL;
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t back = (n - 1 - i) * step; /* layers between its new place and the end */
        if (back >= m)
            return NULL;
        uint32_t to = layers[m - 1 - back], op;
        if (to + 1 == pools[i])
            continue;
        op = to > pools[i] ? move_of(s, pools[i], to) : UINT32_MAX;
        if (op == UINT32_MAX || (x != NULL && x->n + 1 > s->o->edits))
            return NULL;
        x = make_set(s, x, op);
        if (x == NULL)
            return NULL;
    }
    return x;
}

static void search_spread(Search *s)
{
    const View *v = &s->v;
    uint32_t *pools = arena_new_n(s->a, uint32_t, v->units.len + 1), n = 0;
    uint32_t *layers = arena_new_n(s->a, uint32_t, v->units.len + 1), m = 0;
    SetList sets = {0};
    for (uint32_t u = 0; u < v->units.len; u++) {
        if (!v->units.at[u].extractor)
            continue;
        if (v->units.at[u].pool)
            pools[n++] = u;
        else
            layers[m++] = u;
    }
    for (uint32_t step = 1; n > 2 && step * (n - 1) < m; step++) {
        Set *x = spread(s, pools, n, layers, m, step);
        if (x != NULL && x->n > 1)
            vec_push(s->a, &sets, x);
    }
    try_all(s, &sets);
    keep_all(s, &sets);
}

static void search_edits(Search *s)
{
    rules_find_drops(s);
    rules_find_stem(s);
    uint32_t drops = s->ops.len;
    rules_find_moves(s);
    s->drops = drops;
    run_levels(s, 0, drops, s->ops.len);
    if (s->o->edits > 1)
        search_spread(s);
    if (s->out->all.len > 0 || s->o->edits > 0)
        return;
    s->ops.len = drops; /* smaller kernels only where nothing else does it */
    rules_find_sizes(s);
    run_levels(s, 0, s->ops.len, s->ops.len);
}

bool refine_run(Arena *a, const RefineBase *base, const RefineOptions *o, RefineResult *out)
{
    Search s = {.a = a, .base = base, .o = o, .out = out};
    memset(out, 0, sizeof *out);
    if (!view_open(&s.v, a, base, o->std_path)) {
        out->starved = s.v.t.starved;
        view_close(&s.v);
        return false;
    }
    out->base = s.v.t.score;
    rules_probe(&s);
    if (o->from_above) {
        if (out->base.feasible && refine_is_above(&out->base))
            search_above(&s);
    } else if (!out->base.feasible) {
        if (o->strategy != REFINE_SHORTER_WIDER)
            search_edits(&s);
        if (o->strategy != REFINE_LESS_DOWNSAMPLING)
            shorten_run(&s.v, o, out);
    }
    if (out->all.len > 1)
        qsort_r(out->all.at, out->all.len, sizeof out->all.at[0], by_rank, &s);
    view_close(&s.v);
    return true;
}
