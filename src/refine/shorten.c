#include "refine/shorten.h"
#include "sema/sema.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS_MAX = 6, WIDTHS_MAX = 24, HALVINGS = 16, STEPS_MAX = 6 };

/* A level that would have to grow more than this is left alone. */
static const double WIDEST = 4;

/* Steps of one width, one after the other: their literals change together. */
typedef struct Level {
    int64_t width, now;
    AstId literal[WIDTHS_MAX];
    uint32_t count;
} Level;

typedef struct Shortener {
    View *v;
    const RefineOptions *o;
    RefineResult *out;
    RefineEdit cut[REFINE_EDITS_MAX]; /* what goes */
    uint32_t cuts;
    Level level[LEVELS_MAX]; /* nearest to the end first */
    uint32_t levels;
    Buf said;
    RefineScore score; /* of the last text tried */
} Shortener;

static void cut(Shortener *s, uint32_t lo, uint32_t hi, const char *text)
{
    if (s->cuts < REFINE_EDITS_MAX)
        s->cut[s->cuts++] = (RefineEdit){lo, hi, text};
}

/* How many applications of a part stay: those before the first that sees too much. */
static uint32_t staying(const View *v, const Part *p)
{
    uint32_t k = 0;
    while (k < p->count && !v->units.at[p->first + k].strained)
        k++;
    return k;
}

static void say_gone(Shortener *s, const Part *p, uint32_t from)
{
    const Elab *e = s->v->t.elab;
    const char *first = e->insts.at[s->v->units.at[p->first + from].inst].path;
    const char *last = e->insts.at[s->v->units.at[p->first + p->count - 1].inst].path;
    buf_printf(&s->said, "%s%s", s->said.len > 0 ? ", " : "blocks dropped: ", first);
    if (from + 1 < p->count)
        buf_printf(&s->said, " to %s", last);
}

/* The repeat of a part made `n`: the number inside `rep(4)` where that does it, else the whole. */
static void set_repeat(Shortener *s, const Part *p, uint32_t n)
{
    const View *v = s->v;
    const Module *m = v->t.module;
    const AstNode *x = view_node(v, p->times);
    Span at = x->span;
    if (x->kind == AST_CALL && kid_count(m, kid_at(m, p->times, 1)) == 1) {
        AstId value = kid_at(m, kid_at(m, kid_at(m, p->times, 1), 0), 0);
        const AstNode *i = view_node(v, value);
        if (i->kind == AST_INT && i->i == p->count)
            at = i->span;
    }
    cut(s, at.lo, at.hi, arena_printf(v->a, "%u", n));
}

/* Whether every part of a stage goes: then the stage does. */
static bool whole_stage(const View *v, uint32_t stage)
{
    const StageView *s = &v->stages.at[stage];
    for (uint32_t i = 0; i < s->count; i++)
        if (!v->units.at[s->first + i].strained)
            return false;
    return s->count > 0;
}

static bool cut_part(Shortener *s, const Part *p)
{
    const View *v = s->v;
    uint32_t n = staying(v, p);
    if (n == p->count)
        return true;
    if (p->fixed || !p->in_stage)
        return false;
    say_gone(s, p, n);
    if (n > 0)
        set_repeat(s, p, n);
    else if (p->before.src != 0)
        cut(s, p->before.hi, p->span.hi, "");
    else if (p->after.src != 0)
        cut(s, p->span.lo, p->after.lo, "");
    else
        return false;
    return true;
}

/* The contract of a stage some of whose strides went. */
static void cut_contract(Shortener *s, const StageView *stage)
{
    int64_t gone = 1;
    for (uint32_t i = 0; i < stage->count; i++) {
        const Unit *u = &s->v->units.at[stage->first + i];
        const Part *p = &s->v->parts.at[u->part];
        if (u->index >= staying(s->v, p) && u->stride > 1)
            gone *= u->stride;
    }
    Span at = stage->literal.v != 0 ? view_node(s->v, stage->literal)->span : SPAN_NONE;
    if (gone > 1 && at.src != 0 && stage->stride % gone == 0)
        cut(s, at.lo, at.hi, arena_printf(s->v->a, "%" PRId64, stage->stride / gone));
}

static bool cut_all(Shortener *s)
{
    const View *v = s->v;
    const Source *src = source_get(&v->t.session.sources, v->t.module->ast->src);
    for (uint32_t k = 0; k < v->stages.len; k++) {
        bool gone = whole_stage(v, k);
        if (gone) {
            Span r = source_removal(src, v->stages.at[k].span);
            cut(s, r.lo, r.hi, "");
        } else {
            cut_contract(s, &v->stages.at[k]);
        }
        for (uint32_t i = 0; i < v->parts.len; i++) {
            const Part *p = &v->parts.at[i];
            if (p->stage != k || p->count == 0)
                continue;
            if (gone)
                say_gone(s, p, 0);
            else if (!cut_part(s, p))
                return false;
        }
    }
    return s->cuts > 0 && s->cuts < REFINE_EDITS_MAX;
}

/* The number in a step that its last convolution takes for its channels. */
static AstId width_of(const View *v, const Part *p)
{
    const Elab *e = v->t.elab;
    const Inst *x = &e->insts.at[v->units.at[p->first].inst];
    for (uint32_t n = x->out.v; n > x->in.v; n--) {
        const Node *node = &e->graph.nodes.at[n];
        if (node->op != OP_CONV || node->origin == 0)
            continue;
        LitSet set = e->litsets.at[e->origins.at[node->origin].attrs[AT_CONV_c]];
        for (uint32_t i = 0; i < set.n; i++) {
            LitRef lit = e->lits.at[set.at[i]];
            const AstNode *y = lit.module == v->t.module->index ? view_node(v, lit.node) : NULL;
            if (y != NULL && y->kind == AST_INT && y->i >= 8 && y->span.lo >= p->call.lo &&
                y->span.hi <= p->call.hi)
                return lit.node;
        }
        return AST_NIL;
    }
    return AST_NIL;
}

/* Widths of what stays, from the end backwards. */
static void find_levels(Shortener *s)
{
    const View *v = s->v;
    for (uint32_t i = v->parts.len; i-- > 0 && s->levels <= LEVELS_MAX;) {
        const Part *p = &v->parts.at[i];
        if (p->count == 0 || staying(v, p) == 0 || !v->units.at[p->first].extractor)
            continue;
        AstId w = width_of(v, p);
        if (w.v == 0)
            continue;
        int64_t width = view_node(v, w)->i;
        Level *last = s->levels > 0 ? &s->level[s->levels - 1] : NULL;
        if (last == NULL || last->width != width) {
            if (s->levels == LEVELS_MAX)
                return;
            last = &s->level[s->levels++];
            *last = (Level){.width = width, .now = width};
        }
        if (last->count < WIDTHS_MAX)
            last->literal[last->count++] = w;
    }
}

static int by_place(const void *a, const void *b)
{
    const RefineEdit *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* The cuts and the widths of the first `levels` levels, as text; its score in s->score. */
static void try_widths(Shortener *s, uint32_t levels, RefineCandidate *c)
{
    *c = (RefineCandidate){.edit_count = s->cuts};
    memcpy(c->edit, s->cut, s->cuts * sizeof s->cut[0]);
    for (uint32_t k = 0; k < levels; k++)
        for (uint32_t i = 0; i < s->level[k].count && c->edit_count < REFINE_EDITS_MAX; i++) {
            Span at = view_node(s->v, s->level[k].literal[i])->span;
            if (s->level[k].now != s->level[k].width)
                c->edit[c->edit_count++] =
                    (RefineEdit){at.lo, at.hi, arena_printf(s->v->a, "%" PRId64, s->level[k].now)};
        }
    qsort(c->edit, c->edit_count, sizeof c->edit[0], by_place);
    c->text = edits_text(s->v->a, s->v->base, c->edit, c->edit_count, &c->len);
    Trial *t = calloc(1, sizeof *t);
    s->score = (RefineScore){0};
    if (t != NULL) {
        trial_open(t, s->v->base, s->o->std_path, c->text, c->len);
        s->score = t->score;
        trial_close(t);
    }
    if (t == NULL || t->starved)
        atomic_store(&s->out->starved, true);
    free(t);
    c->score = s->score;
    s->out->tried++;
}

/* Channel counts that vectors and groups like. */
static int64_t legal(double width)
{
    int64_t step = width >= 64 ? 16 : 8;
    return (int64_t)llround(width / (double)step) * step;
}

static void scale(Shortener *s, uint32_t levels, double by)
{
    for (uint32_t k = 0; k < levels; k++)
        s->level[k].now = legal((double)s->level[k].width * by);
}

static double gap(const Shortener *s, const RefineCandidate *c)
{
    if (!c->score.valid || !c->score.feasible)
        return HUGE_VAL;
    return fabs((double)(c->score.params - s->out->base.params)) / (double)s->out->base.params;
}

/* Each level one step up or down, while that brings the parameters nearer. */
static void polish(Shortener *s, uint32_t levels, RefineCandidate *best)
{
    for (uint32_t k = 0; k < levels; k++)
        for (int sign = -1; sign <= 1; sign += 2) {
            int64_t step = s->level[k].width >= 64 ? 16 : 8;
            for (int steps = 0; steps < STEPS_MAX; steps++) {
                RefineCandidate c;
                s->level[k].now += sign * step;
                try_widths(s, levels, &c);
                if (s->level[k].now < s->level[k].width || gap(s, &c) >= gap(s, best)) {
                    s->level[k].now -= sign * step;
                    break;
                }
                *best = c;
            }
        }
}

/* One factor for the levels, by bisection: parameters grow with it. */
static bool solve(Shortener *s, uint32_t levels, RefineCandidate *best)
{
    double lo = 1, hi = WIDEST;
    scale(s, levels, hi);
    try_widths(s, levels, best);
    if (!best->score.valid || best->score.params < s->out->base.params)
        return false; /* these levels alone cannot hold them */
    scale(s, levels, lo);
    try_widths(s, levels, best);
    if (!best->score.valid || !best->score.feasible)
        return false;
    for (int i = 0; i < HALVINGS && hi - lo > 1e-3; i++) {
        double mid = (lo + hi) / 2;
        RefineCandidate c;
        scale(s, levels, mid);
        try_widths(s, levels, &c);
        if (!c.score.valid)
            return false;
        if (gap(s, &c) < gap(s, best))
            *best = c;
        if (c.score.params > s->out->base.params)
            hi = mid;
        else
            lo = mid;
    }
    scale(s, levels, (lo + hi) / 2);
    try_widths(s, levels, best);
    polish(s, levels, best);
    return gap(s, best) <= s->o->param_slack;
}

static void say_widths(Shortener *s, uint32_t levels, const RefineCandidate *c)
{
    const char *sep = "; widths ";
    for (uint32_t k = levels; k-- > 0;)
        if (s->level[k].now != s->level[k].width) {
            buf_printf(&s->said, "%s%" PRId64 " -> %" PRId64, sep, s->level[k].width,
                       s->level[k].now);
            sep = ", ";
        }
    buf_printf(&s->said, " (%+.2f %% parameters)",
               100.0 * (double)(c->score.params - s->out->base.params) /
                   (double)s->out->base.params);
}

void shorten_run(View *v, const RefineOptions *o, RefineResult *out)
{
    Shortener s = {.v = v, .o = o, .out = out};
    RefineCandidate c;
    if (cut_all(&s))
        find_levels(&s);
    /* two levels as in the paper; more where those would have to grow beyond reason */
    for (uint32_t levels = s.levels < 2 ? s.levels : 2; levels > 0 && levels <= s.levels;
         levels++) {
        if (!solve(&s, levels, &c))
            continue;
        say_widths(&s, levels, &c);
        c.ops = c.edit_count;
        c.notes = 1;
        c.rule[0] = RULE_SHORTEN;
        if (buf_ok(&s.said)) {
            c.what[0] = arena_strdup(v->a, s.said.at);
            vec_push(v->a, &out->all, c);
        }
        break;
    }
    buf_free(&s.said);
}
