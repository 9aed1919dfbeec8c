#include "refine/view.h"
#include "sema/sema.h"
#include <string.h>

const AstNode *view_node(const View *v, AstId n)
{
    return node_at(v->t.module, n);
}

/* The jump over an instance, where it is a whole number and the same on both axes; else 0. */
static int64_t stride_of(const Elab *e, const Inst *x)
{
    int64_t s[2] = {0, 0};
    for (int axis = 0; axis < 2; axis++) {
        const RfAxis *in = &e->rf[x->in.v].axis[axis], *out = &e->rf[x->out.v].axis[axis];
        if (in->n == 0 || out->n == 0)
            return 0;
        int64_t num = out->e[0].s_num * in->e[0].s_den, den = out->e[0].s_den * in->e[0].s_num;
        if (den == 0 || num % den != 0)
            return 0;
        s[axis] = num / den;
    }
    return s[0] == s[1] ? s[0] : 0;
}

static bool within(Span inner, Span outer)
{
    return inner.src == outer.src && inner.lo >= outer.lo && inner.hi <= outer.hi;
}

static AstId step_at(const View *v, Span span)
{
    const Ast *t = v->t.module->ast;
    for (uint32_t n = 1; n < t->nodes.len; n++)
        if (t->nodes.at[n].kind == AST_STEP && t->nodes.at[n].span.lo == span.lo &&
            t->nodes.at[n].span.hi == span.hi && span.src == t->src)
            return (AstId){n};
    return AST_NIL;
}

/* The part without `* n`: its callee and arguments. */
static Span call_span(const View *v, AstId step)
{
    const Module *m = v->t.module;
    const AstNode *x = view_node(v, step);
    AstId callee = kid_at(m, step, 1), args = kid_at(m, step, 2);
    Span s = view_node(v, callee)->span;
    const char *text = v->base->text;
    uint32_t end = s.hi;
    if (x->flags & AF_ARGS) { /* up to its closing parenthesis */
        if (kid_count(m, args) > 0)
            end = view_node(v, kid_at(m, args, kid_count(m, args) - 1))->span.hi;
        while (end < x->span.hi && text[end] != ')')
            end++;
        end++;
    }
    s.hi = end;
    return s;
}

static void set_neighbours(View *v, AstId chain, Part *p)
{
    const Module *m = v->t.module;
    for (uint32_t i = 1; i < kid_count(m, chain); i++) {
        if (kid_at(m, chain, i).v != p->step.v)
            continue;
        p->in_stage = true;
        AstId source = kid_at(m, chain, 0);
        if (i > 1)
            p->before = view_node(v, kid_at(m, chain, i - 1))->span;
        else if (source.v != 0)
            p->before = view_node(v, source)->span;
        if (i + 1 < kid_count(m, chain))
            p->after = view_node(v, kid_at(m, chain, i + 1))->span;
    }
}

static AstId valid_pad(const View *v, AstId step)
{
    const Module *m = v->t.module;
    AstId args = kid_at(m, step, 2);
    for (uint32_t i = 0; i < kid_count(m, args); i++) {
        AstId arg = kid_at(m, args, i), value = kid_at(m, arg, 0);
        const AstNode *x = view_node(v, arg), *y = view_node(v, value);
        if (x->sym != NULL && strcmp(x->sym, "pad") == 0 && y->kind == AST_NAME &&
            strcmp(y->sym, "valid") == 0)
            return value;
    }
    return AST_NIL;
}

static AstId stage_at(const View *v, Span span)
{
    const Ast *t = v->t.module->ast;
    for (uint32_t n = 1; n < t->nodes.len; n++)
        if (t->nodes.at[n].kind == AST_STAGE && t->nodes.at[n].span.lo == span.lo &&
            t->nodes.at[n].span.hi == span.hi && span.src == t->src)
            return (AstId){n};
    return AST_NIL;
}

static uint32_t part_of(View *v, uint32_t stage, AstId chain, AstId step)
{
    const Module *m = v->t.module;
    for (uint32_t i = 0; i < v->parts.len; i++)
        if (v->parts.at[i].step.v == step.v)
            return i;
    const AstNode *x = view_node(v, step);
    Part p = {.step = step, .span = x->span, .stage = stage, .first = v->units.len};
    p.call = call_span(v, step);
    p.times = kid_at(m, step, 3);
    p.fixed = kid_count(m, kid_at(m, step, 0)) > 0 || kid_at(m, step, 4).v != 0 || x->sym2 != NULL;
    set_neighbours(v, chain, &p);
    p.valid_pad = valid_pad(v, step);
    vec_push(v->a, &v->parts, p);
    return v->parts.len - 1;
}

static bool is_pool(const View *v, AstId step)
{
    const AstNode *c = view_node(v, kid_at(v->t.module, step, 1));
    return c->kind == AST_NAME &&
           (strcmp(c->sym, "maxpool") == 0 || strcmp(c->sym, "avgpool") == 0) &&
           module_lookup(v->t.module, c->sym).kind == REF_OP;
}

static void add_stage(View *v, uint32_t inst)
{
    const Inst *x = &v->t.elab->insts.at[inst];
    LitRef lit;
    StageView s = {.name = x->name, .span = x->span, .stride = 1, .first = v->units.len};
    if (elab_stage_stride_literal(&v->t.session, x->span, &lit) &&
        view_node(v, lit.node)->kind == AST_INT) {
        s.literal = lit.node;
        s.stride = view_node(v, lit.node)->i;
    }
    vec_push(v->a, &v->stages, s);
}

static void add_unit(View *v, uint32_t inst)
{
    const Elab *e = v->t.elab;
    const Inst *x = &e->insts.at[inst];
    StageView *s = &v->stages.at[v->stages.len - 1];
    AstId step = step_at(v, x->span), stage = stage_at(v, s->span);
    if (step.v == 0 || stage.v == 0)
        return;
    uint32_t p = part_of(v, v->stages.len - 1, kid_at(v->t.module, stage, 2), step);
    Unit u = {.part = p, .index = v->parts.at[p].count++, .inst = inst};
    u.stride = stride_of(e, x);
    u.first = s->count++ == 0;
    u.pool = is_pool(v, step);
    vec_push(v->a, &v->units, u);
}

/* The unit that a node belongs to; UINT32_MAX when it is in no stage. */
static uint32_t unit_of(const View *v, uint32_t node)
{
    const Elab *e = v->t.elab;
    uint32_t inst = e->origins.at[graph_node(&e->graph, (NodeId){node})->origin].inst;
    for (; inst != 0; inst = e->insts.at[inst].parent)
        for (uint32_t i = 0; i < v->units.len; i++)
            if (v->units.at[i].inst == inst)
                return i;
    return UINT32_MAX;
}

static void add_far(View *v, AstId literal, int64_t value, uint32_t unit)
{
    uint32_t k = 0;
    while (k < v->far.len && v->far.at[k].literal.v != literal.v)
        k++;
    if (k == v->far.len)
        vec_push(v->a, &v->far, ((FarLiteral){.literal = literal, .value = value}));
    for (uint32_t i = 0; i < v->far.at[k].units.len; i++)
        if (v->far.at[k].units.at[i] == unit)
            return;
    vec_push(v->a, &v->far.at[k].units, unit);
}

/* A literal of the net's own file with this value, among those that fed an attribute. */
typedef struct Fed {
    AstId at[8];
    uint32_t n;
} Fed;

static Fed fed_by(const View *v, uint32_t set, int64_t value)
{
    const Elab *e = v->t.elab;
    Fed f = {0};
    for (uint32_t i = 0; i < e->litsets.at[set].n; i++) {
        LitRef lit = e->lits.at[e->litsets.at[set].at[i]];
        if (lit.module != v->t.module->index)
            continue;
        const AstNode *x = view_node(v, lit.node);
        if (x->kind == AST_INT && x->i == value && f.n < 8)
            f.at[f.n++] = lit.node;
    }
    return f;
}

static void note_stride(View *v, uint32_t unit, uint32_t set, int64_t value)
{
    Unit *u = &v->units.at[unit];
    const Part *p = &v->parts.at[u->part];
    const StageView *s = &v->stages.at[p->stage];
    Fed f = fed_by(v, set, value);
    for (uint32_t i = 0; i < f.n; i++)
        u->by_stage = u->by_stage || (s->literal.v != 0 && f.at[i].v == s->literal.v);
    for (uint32_t i = 0; i < f.n; i++)
        if (within(view_node(v, f.at[i])->span, p->call))
            u->literal = f.at[i];
    if (u->by_stage || u->literal.v != 0)
        return;
    for (uint32_t i = 0; i < f.n; i++)
        add_far(v, f.at[i], value, unit);
}

/* A stride of 1 that is the stage's could be another one. */
static void note_stage(View *v, uint32_t unit, uint32_t set)
{
    Unit *u = &v->units.at[unit];
    AstId literal = v->stages.at[v->parts.at[u->part].stage].literal;
    Fed f = fed_by(v, set, 1);
    for (uint32_t i = 0; i < f.n; i++)
        u->by_stage = u->by_stage || (literal.v != 0 && f.at[i].v == literal.v);
}

static void note_size(View *v, uint32_t node, uint32_t set, int64_t value, bool dilation)
{
    Fed f = fed_by(v, set, value);
    for (uint32_t i = 0; i < f.n; i++) {
        uint32_t k = 0;
        while (k < v->sizes.len && (v->sizes.at[k].literal.v != f.at[i].v))
            k++;
        if (k == v->sizes.len)
            vec_push(v->a, &v->sizes,
                     ((SizeLiteral){f.at[i], value, dilation, false, (NodeId){node}}));
    }
}

/* Which attributes of a window operator say its kernel, stride and dilation; -1 = none. */
typedef struct WindowAttrs {
    int k, stride, dilation;
} WindowAttrs;

static WindowAttrs window_attrs(Op op)
{
    switch (op) {
    case OP_CONV: return (WindowAttrs){AT_CONV_k, AT_CONV_stride, AT_CONV_dilation};
    case OP_MAXPOOL: return (WindowAttrs){AT_MAXPOOL_k, AT_MAXPOOL_stride, AT_MAXPOOL_dilation};
    case OP_AVGPOOL: return (WindowAttrs){AT_AVGPOOL_k, AT_AVGPOOL_stride, -1};
    default: return (WindowAttrs){-1, -1, -1};
    }
}

static void find_literals(View *v)
{
    const Elab *e = v->t.elab;
    for (uint32_t n = 1; n < e->graph.nodes.len; n++) {
        const Node *x = &e->graph.nodes.at[n];
        WindowAttrs w = window_attrs(x->op);
        uint32_t unit = unit_of(v, n);
        if (unit == UINT32_MAX || x->origin == 0)
            continue;
        Verdict verdict = v->t.an.verdict[n].v;
        v->units.at[unit].extractor |= v->t.an.extractor[n] && verdict != VERDICT_NONE;
        v->units.at[unit].strained |=
            verdict == VERDICT_UNDERUTILIZED || verdict == VERDICT_UNPRODUCTIVE;
        if (w.k < 0 || !v->t.an.extractor[n])
            continue;
        const uint32_t *sets = e->origins.at[x->origin].attrs;
        Window g = graph_window(&e->graph, (NodeId){n});
        if (g.stride.h == g.stride.w && g.stride.h > 1)
            note_stride(v, unit, sets[w.stride], g.stride.h);
        else if (g.stride.h == 1 && g.stride.w == 1)
            note_stage(v, unit, sets[w.stride]);
        if (g.k.h == g.k.w && g.k.h > 1 && x->op == OP_CONV)
            note_size(v, n, sets[w.k], g.k.h, false);
        if (w.dilation >= 0 && g.dilation.h == g.dilation.w && g.dilation.h > 1)
            note_size(v, n, sets[w.dilation], g.dilation.h, true);
    }
    for (uint32_t i = 0; i < v->sizes.len; i++)
        for (uint32_t k = 0; k < v->far.len; k++)
            v->sizes.at[i].also_stride |= v->sizes.at[i].literal.v == v->far.at[k].literal.v;
}

bool view_open(View *v, Arena *a, const RefineBase *base, const char *std_path)
{
    *v = (View){.base = base, .a = a};
    trial_open(&v->t, base, std_path, base->text, base->len);
    const Elab *e = v->t.elab;
    if (e == NULL)
        return false;
    uint32_t stage = 0;
    for (uint32_t i = 1; i < e->insts.len; i++) {
        const Inst *x = &e->insts.at[i];
        if (x->kind == INST_STAGE) {
            stage = i;
            add_stage(v, i);
        } else if (x->kind == INST_STEP && stage != 0 && x->parent == stage) {
            add_unit(v, i);
        }
    }
    find_literals(v);
    return true;
}

void view_close(View *v)
{
    trial_close(&v->t);
}
