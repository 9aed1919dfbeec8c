/* Which values of the forward pass are kept for the backward pass.
 *
 * A dropped value is made again, with all dropped values that it depends on, before the first step
 * of the backward pass that needs it, and is then kept until the last one: nothing is computed more
 * than twice. Candidates are segments between checkpoints (Chen et al. 2016, "Training deep nets
 * with sublinear memory cost") of several lengths, whose borders are where the fewest values are
 * alive. Each is then improved value by value, as XLA's rematerialisation does, and the one with
 * the smallest arena is taken. */
#include "plan/recompute.h"
#include "plan/lower.h"
#include <stdlib.h>
#include <string.h>

enum {
    NONE = UINT32_MAX,
    ROUNDS = 3,     /* of improving one candidate */
    FLOAT_MACS = 32 /* what moving a float costs, in multiplications */
};

/* An arena tensor that a step reads or writes. */
typedef struct Use {
    uint32_t tensor;
    bool written, may_end; /* may_end: the result may be written over it */
} Use;

typedef struct Search {
    Plan *p;
    PlanStep *steps; /* those of the plan as it was */
    uint32_t count, tensors;
    Use *use;
    uint32_t *uses;   /* by step, and one more: where its part of `use` begins */
    uint32_t *writer; /* by tensor: the step that makes it again, NONE: it is always kept */
    bool *aside;      /* by tensor: a result beside a step's output, which is used up at once: it
                         counts for nothing */
    int64_t *cost;    /* by tensor: of making it again */
    uint32_t *order;  /* droppable tensors by cost, dearest first */
    uint32_t droppable;
    /* The schedule for one choice: tensors are numbered twice, the second time those made again. */
    bool *made; /* by tensor */
    uint32_t *step, *first, *last, *need;
    bool *again;
    uint32_t length;
} Search;

typedef struct Choice {
    bool *dropped; /* by tensor */
    int64_t floats, cost;
} Choice;

static const Kernel *kernel_of(const Search *s, uint32_t step)
{
    return &s->p->kernels.at[s->steps[step].kernel].k;
}

/* Whether a step only makes its output, from values that are there until the update. */
static bool repeatable(const Search *s, uint32_t step, PlanRecompute level)
{
    const Kernel *k = kernel_of(s, step);
    switch (k->family) {
    case FAM_CONV:
    case FAM_DEPTHWISE:
    case FAM_DENSE:
    case FAM_CONVT: return level == RECOMPUTE_ALL;
    case FAM_POOL:
    case FAM_GAP:
    case FAM_ELEM:
    case FAM_LN:
    case FAM_SOFTMAX:
    case FAM_LRN:
    case FAM_COPY:
    case FAM_MASK: return true;
    default: return false;
    }
}

static bool is_whole_output(const Search *s, uint32_t step, uint32_t tensor)
{
    const PlanOperand *out = &s->steps[step].args[KERNEL_ARG_OUT];
    const Kernel *k = kernel_of(s, step);
    const PlanTensor *t = &s->p->tensors.at[tensor];
    bool part = k->family == FAM_COPY && k->copy == COPY_CHANNELS;
    return out->offset == 0 && !part &&
           map_floats(k->out, s->p->target.vl) == map_floats(t->map, s->p->target.vl);
}

static int64_t cost_of(const Search *s, uint32_t step)
{
    int64_t floats = 0;
    for (int arg = 0; arg < KERNEL_ARG_SCRATCH; arg++) {
        uint32_t t = s->steps[step].args[arg].tensor;
        floats += t == 0 ? 0 : s->p->tensors.at[t - 1].floats;
    }
    return s->steps[step].macs + FLOAT_MACS * floats;
}

static void add_use(Use **end, const Use *begin, Use u)
{
    for (Use *o = *end; o-- > begin;)
        if (o->tensor == u.tensor && o->written == u.written) {
            o->may_end = o->may_end || u.may_end;
            return;
        }
    *(*end)++ = u;
}

static void find_uses(Search *s)
{
    Use *end = s->use;
    for (uint32_t i = 0; i < s->count; i++) {
        const Use *begin = end;
        s->uses[i] = (uint32_t)(end - s->use);
        for (int arg = 0; arg < KERNEL_ARG_SCRATCH; arg++) {
            uint32_t t = s->steps[i].args[arg].tensor;
            bool out = arg == KERNEL_ARG_OUT;
            if (t != 0 && !out && plan_writes(s->p, &s->steps[i], arg))
                s->aside[t - 1] = true;
            if (t != 0 && !s->aside[t - 1] && s->p->tensors.at[t - 1].space == SPACE_ARENA)
                add_use(&end, begin,
                        (Use){t - 1, out, !out && plan_may_overwrite(s->p, &s->steps[i], arg)});
        }
    }
    s->uses[s->count] = (uint32_t)(end - s->use);
}

static void find_droppable(Search *s, PlanRecompute level)
{
    uint32_t *writers = arena_new_n(s->p->arena, uint32_t, s->tensors);
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t t = s->steps[i].args[KERNEL_ARG_OUT].tensor;
        if (t == 0)
            continue;
        bool ok = i < s->p->backward && s->p->tensors.at[t - 1].space == SPACE_ARENA &&
                  repeatable(s, i, level) && is_whole_output(s, i, t - 1);
        for (uint32_t k = s->uses[i]; k < s->uses[i + 1]; k++)
            ok = ok && (s->use[k].written || s->use[k].tensor != t - 1);
        writers[t - 1]++;
        s->writer[t - 1] = ok ? i : NONE;
        s->cost[t - 1] = ok ? cost_of(s, i) : 0;
    }
    for (uint32_t t = 0; t < s->tensors; t++)
        if (writers[t] == 1 && s->writer[t] != NONE)
            s->order[s->droppable++] = t;
        else
            s->writer[t] = NONE;
}

/* Dearest first. */
static void sort_order(Search *s)
{
    for (uint32_t i = 1; i < s->droppable; i++) {
        uint32_t t = s->order[i], k = i;
        for (; k > 0 && s->cost[s->order[k - 1]] < s->cost[t]; k--)
            s->order[k] = s->order[k - 1];
        s->order[k] = t;
    }
}

/* Which tensor, of twice as many, one is in the step that stands at `at`. */
static uint32_t version(const Search *s, const Choice *c, uint32_t at, uint32_t tensor)
{
    bool later = s->again[at] || s->step[at] >= s->p->backward;
    return later && c->dropped[tensor] ? tensor + s->tensors : tensor;
}

static void append(Search *s, uint32_t step, bool again)
{
    s->step[s->length] = step;
    s->again[s->length++] = again;
}

static int by_number(const void *x, const void *y)
{
    const uint32_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

/* Notes the steps that make the dropped operands of `step` again, unless they were. */
static uint32_t note_needs(Search *s, const Choice *c, uint32_t step, uint32_t needs)
{
    for (uint32_t k = s->uses[step]; k < s->uses[step + 1]; k++) {
        uint32_t t = s->use[k].tensor;
        if (!c->dropped[t] || s->made[t])
            continue;
        s->made[t] = true;
        s->need[needs++] = s->writer[t];
    }
    return needs;
}

static void schedule(Search *s, const Choice *c)
{
    s->length = 0;
    memset(s->made, 0, s->tensors * sizeof *s->made);
    for (uint32_t i = 0; i < s->count; i++) {
        if (i >= s->p->backward) {
            uint32_t needs = note_needs(s, c, i, 0);
            for (uint32_t k = 0; k < needs; k++)
                needs = note_needs(s, c, s->need[k], needs);
            qsort(s->need, needs, sizeof *s->need, by_number);
            for (uint32_t k = 0; k < needs; k++)
                append(s, s->need[k], true);
        }
        append(s, i, false);
    }
}

static void find_lives(Search *s, const Choice *c)
{
    for (uint32_t t = 0; t < 2 * s->tensors; t++)
        s->first[t] = NONE;
    for (uint32_t at = 0; at < s->length; at++)
        for (uint32_t k = s->uses[s->step[at]]; k < s->uses[s->step[at] + 1]; k++) {
            uint32_t v = version(s, c, at, s->use[k].tensor);
            if (s->first[v] == NONE)
                s->first[v] = at;
            s->last[v] = at;
        }
}

/* The largest live set, and what is spent on making values again; or, as soon as the set exceeds
 * `bound`, no more than that it does. */
static void measure(Search *s, Choice *c, int64_t bound)
{
    schedule(s, c);
    find_lives(s, c);
    int64_t live = 0;
    c->floats = c->cost = 0;
    for (uint32_t at = 0; at < s->length && c->floats <= bound; at++) {
        uint32_t step = s->step[at];
        int64_t born = 0, dead = 0, handed = 0;
        for (uint32_t k = s->uses[step]; k < s->uses[step + 1]; k++) {
            uint32_t v = version(s, c, at, s->use[k].tensor);
            int64_t floats = s->p->tensors.at[s->use[k].tensor].floats;
            if (s->first[v] == at && s->use[k].written)
                born += floats;
            if (s->last[v] == at) {
                dead += floats;
                s->last[v] = NONE; /* it may be read and written */
                handed = s->use[k].may_end ? floats : handed;
            }
            if (s->again[at] && s->use[k].written)
                c->cost += s->cost[s->use[k].tensor];
        }
        handed = handed < born ? handed : born;
        if (live + born - handed > c->floats)
            c->floats = live + born - handed;
        live += born - dead;
    }
}

/* Drops or keeps single values where that makes the arena smaller, or work less. */
static void improve(Search *s, Choice *c)
{
    bool changed = true;
    for (int round = 0; round < ROUNDS && changed; round++) {
        changed = false;
        for (uint32_t i = 0; i < s->droppable; i++) {
            uint32_t t = s->order[i];
            int64_t floats = c->floats, cost = c->cost;
            c->dropped[t] = !c->dropped[t];
            measure(s, c, floats);
            if (c->floats < floats || (c->floats == floats && c->cost < cost)) {
                changed = true;
                continue;
            }
            c->dropped[t] = !c->dropped[t];
            c->floats = floats;
            c->cost = cost;
        }
    }
}

/* By step of the forward pass: floats of the values that steps before it made and it or later ones
 * of the forward pass read. */
static int64_t *crossings(const Search *s, uint32_t *read_last)
{
    uint32_t n = s->p->backward;
    int64_t *change = arena_new_n(s->p->arena, int64_t, (size_t)n + 2);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = s->uses[i]; k < s->uses[i + 1]; k++)
            if (!s->use[k].written)
                read_last[s->use[k].tensor] = i;
    for (uint32_t k = 0; k < s->droppable; k++) {
        uint32_t t = s->order[k], from = s->writer[t] + 1;
        if (read_last[t] == NONE || read_last[t] < from)
            continue;
        change[from] += s->p->tensors.at[t].floats;
        change[read_last[t] + 1] -= s->p->tensors.at[t].floats;
    }
    for (uint32_t i = 1; i <= n; i++)
        change[i] += change[i - 1];
    return change;
}

/* Keeps what crosses the borders of segments of about `budget` floats: each border is where the
 * least crosses, between one and two budgets on. */
static void cut(Search *s, Choice *c, int64_t budget, const int64_t *crossing,
                const uint32_t *read_last)
{
    uint32_t n = s->p->backward, best = NONE;
    int64_t sum = 0, at_best = 0;
    for (uint32_t k = 0; k < s->droppable; k++)
        c->dropped[s->order[k]] = true;
    for (uint32_t i = s->p->forward; i < n; i++) {
        if (sum >= budget && (best == NONE || crossing[i] < crossing[best])) {
            best = i;
            at_best = sum;
        }
        if (sum >= 2 * budget && best != NONE) {
            for (uint32_t k = 0; k < s->droppable; k++) {
                uint32_t t = s->order[k];
                if (s->writer[t] < best && read_last[t] != NONE && read_last[t] >= best)
                    c->dropped[t] = false;
            }
            sum -= at_best;
            best = NONE;
        }
        uint32_t t = s->steps[i].args[KERNEL_ARG_OUT].tensor;
        if (t != 0 && s->writer[t - 1] == i)
            sum += s->p->tensors.at[t - 1].floats;
    }
}

/* The steps and tensors of a choice in place of the plan's, which stay as they were. */
static void apply(Search *s, const Choice *c)
{
    Plan *p = s->p;
    const Plan plain = *p;
    uint32_t *twin = arena_new_n(p->arena, uint32_t, s->tensors);
    uint32_t *place = arena_new_n(p->arena, uint32_t, (size_t)s->count + 1);
    memset(&p->steps, 0, sizeof p->steps);
    memset(&p->tensors, 0, sizeof p->tensors);
    p->again_macs = 0;
    for (uint32_t t = 0; t < s->tensors; t++)
        vec_push(p->arena, &p->tensors, plain.tensors.at[t]);
    schedule(s, c);
    for (uint32_t at = 0; at < s->length; at++) {
        PlanStep step = s->steps[s->step[at]];
        if (s->again[at]) { /* with results of its own */
            for (int arg = 0; arg < KERNEL_ARG_SCRATCH; arg++) {
                uint32_t t = step.args[arg].tensor;
                if (t == 0 || !plan_writes(p, &step, arg))
                    continue;
                vec_push(p->arena, &p->tensors, plain.tensors.at[t - 1]);
                twin[t - 1] = p->tensors.len;
                if (arg != KERNEL_ARG_OUT)
                    step.args[arg].tensor = p->tensors.len;
            }
            step.repeats = place[s->step[at]] + 1;
            step.name = arena_printf(p->arena, "%s (again)", step.name);
            p->again_macs += step.macs;
        } else {
            place[s->step[at]] = at;
        }
        for (int arg = 0; arg < KERNEL_ARG_SCRATCH; arg++) {
            uint32_t t = step.args[arg].tensor;
            if (t != 0 && t <= s->tensors && version(s, c, at, t - 1) != t - 1)
                step.args[arg].tensor = twin[t - 1];
        }
        vec_push(p->arena, &p->steps, step);
    }
    place[s->count] = s->length;
    p->update = place[plain.update];
    plan_memory(p);
}

static void search_open(Search *s, Plan *p, PlanRecompute level)
{
    Arena *a = p->arena;
    uint32_t n = p->tensors.len, steps = p->steps.len;
    size_t most = (size_t)steps + p->backward;
    *s = (Search){.p = p,
                  .steps = p->steps.at,
                  .count = steps,
                  .tensors = n,
                  .aside = arena_new_n(a, bool, n),
                  .writer = arena_new_n(a, uint32_t, n),
                  .cost = arena_new_n(a, int64_t, n),
                  .use = arena_new_n(a, Use, (size_t)steps * KERNEL_ARG_SCRATCH),
                  .uses = arena_new_n(a, uint32_t, (size_t)steps + 1),
                  .order = arena_new_n(a, uint32_t, n),
                  .made = arena_new_n(a, bool, n),
                  .step = arena_new_n(a, uint32_t, most),
                  .again = arena_new_n(a, bool, most),
                  .need = arena_new_n(a, uint32_t, most),
                  .first = arena_new_n(a, uint32_t, 2 * (size_t)n),
                  .last = arena_new_n(a, uint32_t, 2 * (size_t)n)};
    for (uint32_t t = 0; t < n; t++)
        s->writer[t] = NONE;
    find_uses(s);
    find_droppable(s, level);
    sort_order(s);
}

void plan_recompute(Plan *p, PlanRecompute level)
{
    static const int segments[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64};
    Search s;
    p->plain_floats = p->arena_floats;
    if (level == RECOMPUTE_NONE || p->steps.len == 0)
        return;
    search_open(&s, p, level);
    uint32_t *read_last = arena_new_n(p->arena, uint32_t, s.tensors);
    memset(read_last, 0xff, s.tensors * sizeof *read_last);
    const int64_t *crossing = crossings(&s, read_last);
    const Plan plain = *p;
    Plan best = plain;
    int64_t total = 0, least = INT64_MAX;
    for (uint32_t k = 0; k < s.droppable; k++)
        total += p->tensors.at[s.order[k]].floats;
    for (size_t i = 0; i < sizeof segments / sizeof *segments; i++) {
        Choice c = {.dropped = arena_new_n(p->arena, bool, s.tensors)};
        cut(&s, &c, total / segments[i] + 1, crossing, read_last);
        measure(&s, &c, INT64_MAX - 1);
        improve(&s, &c);
        apply(&s, &c);
        if (p->arena_floats < best.arena_floats ||
            (p->arena_floats == best.arena_floats && c.cost < least)) {
            least = c.cost;
            best = *p;
        }
        *p = plain;
    }
    *p = best;
    for (uint32_t i = 0; i < p->steps.len; i++)
        p->kernels.at[p->steps.at[i].kernel].uses += p->steps.at[i].repeats != 0;
}
