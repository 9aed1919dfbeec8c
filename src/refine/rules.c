/* What each rule could do to a network. */
#include "refine/search.h"
#include "support/parallel.h"
#include <stdlib.h>
#include <string.h>

const char *const refine_rule_name[RULE_COUNT] = {
#define RULE(ID, NAME, CLASS, DOC) NAME,
#include "refine/refine.def"
};

enum { MOST_OPS_LIST = 5000 };

static const Rework no_op = {
    .unit = UINT32_MAX, .to = UINT32_MAX, .far = UINT32_MAX, .size = UINT32_MAX};

static void add_op(Search *s, Rework op)
{
    if (s->ops.len < MOST_OPS_LIST)
        vec_push(s->a, &s->ops, op);
}

/* Halved, and taken back to 1. */
static void add_strides(Search *s, Rework op, int64_t stride)
{
    op.rule = RULE_STRIDE;
    for (int64_t to = stride; to > 1;) {
        to = to % 2 == 0 ? to / 2 : 1;
        op.value = to;
        add_op(s, op);
    }
}

static bool near_literal(const Unit *u)
{
    return u->by_stage || u->literal.v != 0;
}

static bool in_far(const View *v, uint32_t unit)
{
    for (uint32_t k = 0; k < v->far.len; k++)
        for (uint32_t i = 0; i < v->far.at[k].units.len; i++)
            if (v->far.at[k].units.at[i] == unit)
                return true;
    return false;
}

/* Whether the unit's own step says, or can be made to say, its stride. */
static bool settable(const View *v, uint32_t unit)
{
    const Unit *u = &v->units.at[unit];
    return u->extractor && u->stride > 1 &&
           (near_literal(u) || (!in_far(v, unit) && v->parts.at[u->part].takes_stride));
}

void rules_find_drops(Search *s)
{
    const View *v = &s->v;
    for (uint32_t u = 0; u < v->units.len; u++) {
        Rework op = no_op;
        op.unit = u;
        if (settable(v, u) && !v->units.at[u].pool)
            add_strides(s, op, v->units.at[u].stride);
        op.same_pad = v->parts.at[v->units.at[u].part].valid_pad.v != 0;
        if (op.same_pad && settable(v, u) && !v->units.at[u].pool)
            add_strides(s, op, v->units.at[u].stride);
        op.same_pad = false;
        if (v->units.at[u].pool && v->units.at[u].extractor && v->units.at[u].stride > 1) {
            if (near_literal(&v->units.at[u]))
                add_strides(s, op, v->units.at[u].stride);
            op.rule = RULE_DROP;
            add_op(s, op);
        }
    }
    for (uint32_t k = 0; k < v->far.len; k++) {
        Rework op = no_op;
        op.far = k;
        add_strides(s, op, v->far.at[k].value);
    }
}

/* The first strided layer: its kernel and stride together. A patch (kernel = stride) is halved as a
 * whole; a large kernel becomes 3 with stride 1, as for small pictures. */
void rules_find_stem(Search *s)
{
    const View *v = &s->v;
    for (uint32_t k = 0; k < v->sizes.len; k++) {
        const SizeLiteral *z = &v->sizes.at[k];
        Window w = graph_window(&v->t.elab->graph, z->node);
        Rework op = no_op;
        if (z->dilation || w.stride.h < 2 || z->also_stride)
            continue;
        op.rule = RULE_STEM;
        op.size = k;
        for (uint32_t u = 0; u < v->units.len && op.unit == UINT32_MAX; u++)
            if (settable(v, u) && v->units.at[u].stride == w.stride.h &&
                v->t.elab->insts.at[v->units.at[u].inst].in.v < z->node.v &&
                v->t.elab->insts.at[v->units.at[u].inst].out.v >= z->node.v)
                op.unit = u;
        if (op.unit == UINT32_MAX)
            continue;
        if (z->value == w.stride.h && z->value % 2 == 0 && z->value >= 4) {
            op.value = op.kernel = z->value / 2;
            add_op(s, op);
        } else if (z->value >= 5) {
            op.kernel = 3;
            op.value = 1;
            add_op(s, op);
        }
        return;
    }
}

void rules_find_moves(Search *s)
{
    const View *v = &s->v;
    for (uint32_t u = 0; u < v->units.len; u++) {
        const Unit *x = &v->units.at[u];
        if (x->stride < 2 || !x->extractor || (!x->pool && !settable(v, u)))
            continue;
        for (uint32_t to = u + 1; to < v->units.len; to++) {
            const Unit *y = &v->units.at[to];
            const Part *p = &v->parts.at[y->part];
            Rework op = no_op;
            if (!y->extractor || y->stride == 0)
                continue;
            op.unit = u;
            op.to = to;
            if (x->pool && p->in_stage && !p->fixed && v->parts.at[x->part].in_stage) {
                op.rule = RULE_POOL_LATER;
                add_op(s, op);
            } else if (!x->pool && y->stride == 1 && !y->pool && x->stride == 2 &&
                       (p->takes_stride || (y->by_stage && y->first))) {
                op.rule = RULE_MOVE;
                op.value = 1;
                add_op(s, op);
            }
        }
    }
}

void rules_find_sizes(Search *s)
{
    const View *v = &s->v;
    for (uint32_t k = 0; k < v->sizes.len; k++) {
        const SizeLiteral *z = &v->sizes.at[k];
        Rework op = no_op;
        op.size = k;
        op.rule = z->dilation ? RULE_DILATION : RULE_KERNEL;
        op.kernel = z->dilation ? z->value / 2 : z->value - 2;
        if (z->also_stride || (!z->dilation && (z->value < 5 || z->value % 2 == 0)))
            continue;
        add_op(s, op);
    }
}

/* Which steps understand `stride=`: said where it changes nothing, one at a time. */
typedef struct Probe {
    Search *s;
    bool *ok;
} Probe;

/* `unit(64) * 3` as `unit(64, stride=2) -> unit(64, stride=1) * 2`: as it is, said aloud. */
static bool probe_text(const Search *s, const Part *part, Arena *a)
{
    const View *v = &s->v;
    const Unit *u = &v->units.at[part->first];
    bool args = (view_node(v, part->step)->flags & AF_ARGS) != 0;
    uint32_t at = args ? part->call.hi - 1 : part->call.hi;
    const char *sep = args && v->base->text[part->call.hi - 2] != '(' ? ", " : "";
    int before = (int)(at - part->call.lo);
    const char *call = v->base->text + part->call.lo;
    const char *open = args ? "" : "(";
    Buf text = {0};
    buf_printf(&text, "%.*s%s%sstride=%lld)", before, call, open, sep,
               (long long)(u->stride > 0 ? u->stride : 1));
    if (part->count > 1)
        buf_printf(&text, " -> %.*s%s%sstride=1) * %u", before, call, open, sep, part->count - 1);
    bool ok = false;
    if (buf_ok(&text)) {
        RefineEdit e = {part->call.lo, part->times.v != 0 ? part->span.hi : part->call.hi, text.at};
        size_t len;
        char *whole = edits_text(a, v->base, &e, 1, &len);
        Trial *t = arena_new(a, Trial);
        trial_open(t, v->base, s->o->std_path, whole, len);
        ok = t->score.valid;
        if (t->starved)
            atomic_store(&s->out->starved, true);
        trial_close(t);
    } else {
        atomic_store(&s->out->starved, true);
    }
    buf_free(&text);
    return ok;
}

static void probe_part(void *ctx, int64_t i)
{
    Probe *p = ctx;
    const View *v = &p->s->v;
    const Part *part = &v->parts.at[i];
    /* not on the stack: it changes between setjmp and the jump */
    struct {
        Arena arena;
        OomHandler oom;
    } *own = calloc(1, sizeof *own);
    if (own == NULL || setjmp(own->oom.env) != 0) {
        atomic_store(&p->s->out->starved, true);
        if (own != NULL)
            arena_free(&own->arena);
        free(own);
        return;
    }
    arena_init(&own->arena, &own->oom, 0);
    if (part->count > 0 && v->units.at[part->first].literal.v != 0)
        p->ok[i] = true;
    else if (part->count > 0 && (part->count == 1 || (part->in_stage && !part->fixed)))
        p->ok[i] = probe_text(p->s, part, &own->arena);
    arena_free(&own->arena);
    free(own);
}

/* More downsampling, one step at a time, where a step can be made to. */
void rules_find_deeper(Search *s)
{
    const View *v = &s->v;
    for (uint32_t u = 0; u < v->units.len; u++) {
        const Unit *x = &v->units.at[u];
        Rework op = no_op;
        bool said = v->parts.at[x->part].takes_stride || (x->by_stage && x->first);
        if (!x->extractor || x->pool || x->stride != 1 || !said)
            continue;
        op.rule = RULE_DEEPEN;
        op.unit = u;
        op.value = 2;
        add_op(s, op);
    }
}

void rules_probe(Search *s)
{
    Probe probe = {s, arena_new_n(s->a, bool, s->v.parts.len + 1)};
    parallel_for(s->o->threads, s->v.parts.len, probe_part, &probe);
    for (uint32_t i = 0; i < s->v.parts.len; i++)
        s->v.parts.at[i].takes_stride = probe.ok[i];
}
