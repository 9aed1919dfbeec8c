#include "refine/edits.h"
#include "sema/sema.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { POOLS_BEHIND = 4 };

/* What the operations ask for, before it is said in text. */
typedef struct Wish {
    int64_t stride; /* of the unit */
    bool by_far;    /* said by a literal elsewhere: the step itself stays */
    bool gone;
    uint32_t behind[POOLS_BEHIND]; /* poolings that move here */
    uint32_t behind_count;
} Wish;

typedef struct Maker {
    const View *v;
    Wish *wish;          /* by unit */
    int64_t *far, *size; /* new values by literal; 0 = as it is */
    int64_t *stage;      /* new stride of each stage's contract */
    RefineCandidate *out;
    bool ok;
} Maker;

static void edit(Maker *m, uint32_t lo, uint32_t hi, const char *text)
{
    RefineCandidate *c = m->out;
    for (uint32_t i = 0; i < c->edit_count; i++)
        if (c->edit[i].lo == lo && c->edit[i].hi == hi && strcmp(c->edit[i].text, text) == 0)
            return;
    if (c->edit_count == REFINE_EDITS_MAX) {
        m->ok = false;
        return;
    }
    c->edit[c->edit_count++] = (RefineEdit){lo, hi, text};
}

static const char *number(const Maker *m, int64_t i)
{
    return arena_printf(m->v->a, "%" PRId64, i);
}

static void edit_literal(Maker *m, AstId literal, int64_t value)
{
    Span s = view_node(m->v, literal)->span;
    edit(m, s.lo, s.hi, number(m, value));
}

static void wish_stride(Maker *m, uint32_t unit, int64_t stride)
{
    Wish *w = &m->wish[unit];
    if (w->gone || m->v->units.at[unit].stride == 0)
        m->ok = false;
    w->stride = stride;
}

static void wish_far(Maker *m, uint32_t far, int64_t value)
{
    const FarLiteral *f = &m->v->far.at[far];
    if (m->far[far] != 0 || value < 1 || f->value % value != 0)
        m->ok = false;
    m->far[far] = value;
    for (uint32_t i = 0; m->ok && i < f->units.len; i++) {
        Wish *w = &m->wish[f->units.at[i]];
        w->by_far = true;
        w->stride = w->stride * value / f->value;
        if (w->stride < 1)
            m->ok = false;
    }
}

static void wish_size(Maker *m, uint32_t size, int64_t value)
{
    if (m->size[size] != 0)
        m->ok = false;
    m->size[size] = value;
}

static void wish(Maker *m, const Rework *op)
{
    const View *v = m->v;
    switch (op->rule) {
    case RULE_STRIDE:
    case RULE_DEEPEN:
    case RULE_STEM:
        if (op->unit != UINT32_MAX) {
            if (m->wish[op->unit].stride != v->units.at[op->unit].stride)
                m->ok = false; /* changed by another operation already */
            wish_stride(m, op->unit, op->value);
        }
        if (op->same_pad) {
            Span pad = view_node(v, v->parts.at[v->units.at[op->unit].part].valid_pad)->span;
            edit(m, pad.lo, pad.hi, "same");
        }
        if (op->far != UINT32_MAX)
            wish_far(m, op->far, op->value);
        if (op->size != UINT32_MAX)
            wish_size(m, op->size, op->kernel);
        break;
    case RULE_MOVE:
        if (m->wish[op->unit].stride != v->units.at[op->unit].stride ||
            m->wish[op->to].stride != v->units.at[op->to].stride)
            m->ok = false;
        wish_stride(m, op->unit, op->value);
        wish_stride(m, op->to,
                    v->units.at[op->to].stride * (v->units.at[op->unit].stride / op->value));
        break;
    case RULE_DROP:
    case RULE_POOL_LATER:
        if (m->wish[op->unit].gone || m->wish[op->unit].stride != v->units.at[op->unit].stride)
            m->ok = false;
        m->wish[op->unit].gone = true;
        if (op->rule == RULE_DROP)
            break;
        Wish *w = &m->wish[op->to];
        if (w->gone || w->behind_count == POOLS_BEHIND)
            m->ok = false;
        else
            w->behind[w->behind_count++] = op->unit;
        break;
    case RULE_KERNEL:
    case RULE_DILATION: wish_size(m, op->size, op->kernel); break;
    case RULE_SHORTEN: /* makes its own edits (shorten.h) */
    case RULE_COUNT: break;
    }
}

/* The product of a stage's strides after the wishes, in its contract. */
static void set_stages(Maker *m)
{
    for (uint32_t s = 0; s < m->v->stages.len; s++) {
        const StageView *stage = &m->v->stages.at[s];
        int64_t num = stage->stride, den = 1;
        for (uint32_t i = 0; i < stage->count; i++) {
            const Unit *u = &m->v->units.at[stage->first + i];
            const Wish *w = &m->wish[stage->first + i];
            if (u->stride == 0)
                continue;
            num *= w->gone ? 1 : w->stride;
            den *= u->stride;
            for (uint32_t k = 0; k < w->behind_count; k++)
                num *= m->v->units.at[w->behind[k]].stride;
            if (num > (int64_t)1 << 40 || den > (int64_t)1 << 40)
                m->ok = false;
            if (!m->ok)
                return;
        }
        m->stage[s] = num % den == 0 ? num / den : 0;
        if (stage->literal.v == 0)
            continue;
        if (m->stage[s] == 0)
            m->ok = false;
        else if (m->stage[s] != stage->stride)
            edit_literal(m, stage->literal, m->stage[s]);
    }
}

/* What a unit's step has to say of its stride; 0 = nothing beyond what it says now. */
static int64_t to_say(const Maker *m, uint32_t unit)
{
    const Unit *u = &m->v->units.at[unit];
    const Part *p = &m->v->parts.at[u->part];
    const Wish *w = &m->wish[unit];
    int64_t now = u->stride;
    if (u->by_stage && u->first)
        now = m->stage[p->stage];
    if (w->by_far || w->stride == now)
        return 0;
    return w->stride;
}

/* The edit that makes a call say this stride. */
static RefineEdit say_stride(const Maker *m, const Unit *u, int64_t stride)
{
    const View *v = m->v;
    const Part *p = &v->parts.at[u->part];
    const Module *mod = v->t.module;
    AstId args = kid_at(mod, p->step, 2);
    const AstNode *step = view_node(v, p->step);
    for (uint32_t i = 0; i < kid_count(mod, args); i++) {
        AstId arg = kid_at(mod, args, i);
        const AstNode *x = view_node(v, arg);
        if (x->sym == NULL || strcmp(x->sym, "stride") != 0)
            continue;
        Span s = view_node(v, kid_at(mod, arg, 0))->span;
        return (RefineEdit){s.lo, s.hi, number(m, stride)};
    }
    if (u->literal.v != 0) {
        Span s = view_node(v, u->literal)->span;
        return (RefineEdit){s.lo, s.hi, number(m, stride)};
    }
    uint32_t count = kid_count(mod, args);
    if (count > 0) {
        uint32_t at = view_node(v, kid_at(mod, args, count - 1))->span.hi;
        return (RefineEdit){at, at, arena_printf(v->a, ", stride=%" PRId64, stride)};
    }
    if (step->flags & AF_ARGS)
        return (RefineEdit){p->call.hi - 1, p->call.hi - 1,
                            arena_printf(v->a, "stride=%" PRId64, stride)};
    return (RefineEdit){p->call.hi, p->call.hi, arena_printf(v->a, "(stride=%" PRId64 ")", stride)};
}

/* One run of equal applications: the call, and how often. */
static void put_run(Maker *m, const Part *p, uint32_t unit, uint32_t count, int64_t stride,
                    const char *times, Buf *out)
{
    const char *text = m->v->base->text;
    buf_add(out, out->len > 0 ? " -> " : "");
    if (stride != 0) {
        RefineEdit e = say_stride(m, &m->v->units.at[unit], stride);
        buf_addn(out, text + p->call.lo, e.lo - p->call.lo);
        buf_add(out, e.text);
        buf_addn(out, text + e.hi, p->call.hi - e.hi);
    } else {
        buf_addn(out, text + p->call.lo, p->call.hi - p->call.lo);
    }
    if (times != NULL)
        buf_printf(out, " * %s", times);
    else if (count > 1)
        buf_printf(out, " * %u", count);
}

/* How often the last run of a split repeats: the written expression, less what stands before it. */
static const char *rest_of(const Maker *m, const Part *p, uint32_t before)
{
    const AstNode *x = view_node(m->v, p->times);
    int len = (int)(x->span.hi - x->span.lo);
    const char *text = m->v->base->text + x->span.lo;
    if (x->kind == AST_INT)
        return NULL;
    if (before == 0)
        return arena_printf(m->v->a, "%.*s", len, text);
    return arena_printf(m->v->a, "(%.*s - %u)", len, text, before);
}

/* The step written out anew, split where its applications differ. */
static void split_part(Maker *m, const Part *p)
{
    Buf text = {0};
    uint32_t before = 0;
    if (p->fixed || !p->in_stage) {
        m->ok = false;
        return;
    }
    for (uint32_t i = 0; i < p->count;) {
        uint32_t unit = p->first + i, n = 1;
        const Wish *w = &m->wish[unit];
        int64_t say = to_say(m, unit);
        while (i + n < p->count && m->wish[unit + n].gone == w->gone &&
               m->wish[unit + n - 1].behind_count == 0 && to_say(m, unit + n) == say)
            n++;
        if (!w->gone) {
            bool last = i + n == p->count && p->times.v != 0;
            put_run(m, p, unit, n, say, last && n > 1 ? rest_of(m, p, before) : NULL, &text);
        }
        before += n;
        w = &m->wish[unit + n - 1];
        for (uint32_t k = 0; k < w->behind_count; k++) {
            Span pool = m->v->parts.at[m->v->units.at[w->behind[k]].part].span;
            buf_add(&text, text.len > 0 ? " -> " : "");
            buf_addn(&text, m->v->base->text + pool.lo, pool.hi - pool.lo);
        }
        i += n;
    }
    m->ok = m->ok && buf_ok(&text);
    if (text.len > 0)
        edit(m, p->span.lo, p->span.hi, arena_strndup(m->v->a, text.at, text.len));
    else if (p->before.src != 0)
        edit(m, p->before.hi, p->span.hi, "");
    else if (p->after.src != 0)
        edit(m, p->span.lo, p->after.lo, "");
    else
        m->ok = false; /* a stage needs a step */
    buf_free(&text);
}

static void edit_part(Maker *m, const Part *p)
{
    bool same = true, split = false;
    if (p->count == 0)
        return;
    int64_t say = to_say(m, p->first);
    for (uint32_t i = 0; i < p->count; i++) {
        const Wish *w = &m->wish[p->first + i];
        split = split || w->gone || w->behind_count > 0;
        same = same && to_say(m, p->first + i) == say;
    }
    if (split || !same) {
        split_part(m, p);
    } else if (say != 0) {
        RefineEdit e = say_stride(m, &m->v->units.at[p->first], say);
        edit(m, e.lo, e.hi, e.text);
    }
}

static int by_place(const void *a, const void *b)
{
    const RefineEdit *x = a, *y = b;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    return x->hi < y->hi ? -1 : x->hi > y->hi;
}

static bool overlap(const RefineCandidate *c)
{
    for (uint32_t i = 1; i < c->edit_count; i++)
        if (c->edit[i].lo < c->edit[i - 1].hi ||
            (c->edit[i].lo == c->edit[i - 1].lo && c->edit[i].hi == c->edit[i - 1].hi))
            return true;
    return false;
}

char *edits_text(Arena *a, const RefineBase *base, const RefineEdit *edits, uint32_t n, size_t *len)
{
    size_t total = base->len;
    for (uint32_t i = 0; i < n; i++)
        total += strlen(edits[i].text);
    char *out = arena_alloc(a, total + 1);
    uint32_t from = 0;
    size_t at = 0;
    for (uint32_t i = 0; i <= n; i++) {
        uint32_t to = i < n ? edits[i].lo : (uint32_t)base->len;
        memcpy(out + at, base->text + from, to - from);
        at += to - from;
        if (i == n)
            break;
        size_t add = strlen(edits[i].text);
        memcpy(out + at, edits[i].text, add);
        at += add;
        from = edits[i].hi;
    }
    out[at] = '\0';
    *len = at;
    return out;
}

const char *op_text(const View *v, const Rework *op)
{
    Arena *a = v->a;
    const Elab *e = v->t.elab;
    const char *at = op->unit != UINT32_MAX ? e->insts.at[v->units.at[op->unit].inst].path : NULL;
    const char *to = op->to != UINT32_MAX ? e->insts.at[v->units.at[op->to].inst].path : NULL;
    int64_t old = op->unit != UINT32_MAX  ? v->units.at[op->unit].stride
                  : op->far != UINT32_MAX ? v->far.at[op->far].value
                                          : 0;
    if (op->far != UINT32_MAX && at == NULL && v->far.at[op->far].units.len > 0)
        at = e->insts.at[v->units.at[v->far.at[op->far].units.at[0]].inst].path;
    const SizeLiteral *s = op->size != UINT32_MAX ? &v->sizes.at[op->size] : NULL;
    switch (op->rule) {
    case RULE_STRIDE:
    case RULE_DEEPEN:
        return arena_printf(a, "stride %" PRId64 " -> %" PRId64 "%s at %s", old, op->value,
                            op->same_pad ? " and same padding" : "", at);
    case RULE_STEM:
        if (s == NULL)
            return arena_printf(a, "kernel and stride %" PRId64 " -> %" PRId64 " at %s", old,
                                op->value, at);
        return arena_printf(
            a, "kernel %" PRId64 " -> %" PRId64 " and stride %" PRId64 " -> %" PRId64 " at %s",
            s->value, op->kernel, old, op->value, at);
    case RULE_MOVE:
        return arena_printf(a, "stride %" PRId64 " moved from %s to %s", old / op->value, at, to);
    case RULE_DROP: return arena_printf(a, "pooling dropped at %s", at);
    case RULE_POOL_LATER: return arena_printf(a, "pooling moved from %s to behind %s", at, to);
    case RULE_KERNEL:
    case RULE_DILATION:
        if (s == NULL)
            return "";
        return arena_printf(a, "%s %" PRId64 " -> %" PRId64 " at %s",
                            op->rule == RULE_KERNEL ? "kernel" : "dilation", s->value, op->kernel,
                            graph_node(&e->graph, s->node)->name);
    default: return "";
    }
}

bool edits_make(const View *v, const Rework *ops, uint32_t n, RefineCandidate *out)
{
    Maker m = {.v = v, .out = out, .ok = n <= REFINE_OPS_MAX};
    *out = (RefineCandidate){.ops = n, .notes = n};
    m.wish = arena_new_n(v->a, Wish, v->units.len + 1);
    m.far = arena_new_n(v->a, int64_t, v->far.len + 1);
    m.size = arena_new_n(v->a, int64_t, v->sizes.len + 1);
    m.stage = arena_new_n(v->a, int64_t, v->stages.len + 1);
    for (uint32_t u = 0; u < v->units.len; u++)
        m.wish[u].stride = v->units.at[u].stride;
    for (uint32_t i = 0; m.ok && i < n; i++) {
        wish(&m, &ops[i]);
        out->rule[i] = ops[i].rule;
    }
    if (m.ok)
        set_stages(&m);
    for (uint32_t i = 0; m.ok && i < v->far.len; i++)
        if (m.far[i] != 0)
            edit_literal(&m, v->far.at[i].literal, m.far[i]);
    for (uint32_t i = 0; m.ok && i < v->sizes.len; i++)
        if (m.size[i] != 0)
            edit_literal(&m, v->sizes.at[i].literal, m.size[i]);
    for (uint32_t i = 0; m.ok && i < v->parts.len; i++)
        edit_part(&m, &v->parts.at[i]);
    if (!m.ok || out->edit_count == 0)
        return false;
    qsort(out->edit, out->edit_count, sizeof out->edit[0], by_place);
    if (overlap(out))
        return false;
    out->text = edits_text(v->a, v->base, out->edit, out->edit_count, &out->len);
    return true;
}
