/* Chains: steps applied one after another, repeated, conditional, named; their instances. */
#include "elab/elaborator.h"
#include <string.h>

uint32_t inst_open(Elaborator *el, InstKind kind, const char *name, const char *path,
                   uint32_t parent, uint32_t index, Span span, NodeId in)
{
    Inst i = {.kind = kind,
              .name = name,
              .path = path,
              .parent = parent,
              .index = index,
              .span = span,
              .in = in,
              .out = in};
    vec_push(el->a, &el->e->insts, i);
    return el->e->insts.len - 1;
}

void name_operators(Elaborator *el, uint32_t from, const char *prefix)
{
    uint32_t count[OP_COUNT] = {0}, number[OP_COUNT] = {0};
    Graph *g = &el->e->graph;
    for (uint32_t v = from; v < g->nodes.len; v++)
        count[g->nodes.at[v].op] += g->nodes.at[v].name == NULL;
    for (uint32_t v = from; v < g->nodes.len; v++) {
        Node *n = &g->nodes.at[v];
        if (n->name != NULL)
            continue;
        const char *kind = op_info[n->op].name;
        n->name = count[n->op] == 1 ? arena_printf(el->a, "%s.%s", prefix, kind)
                                    : arena_printf(el->a, "%s.%s%u", prefix, kind, ++number[n->op]);
    }
}

static void give_name(Elaborator *el, const AstNode *x, const char *theirs, uint32_t first)
{
    uint32_t found = 0, n = 0;
    for (uint32_t v = first; v < el->e->graph.nodes.len; v++)
        if (op_info[el->e->graph.nodes.at[v].op].flags & OPF_WEIGHTS) {
            found = v;
            n++;
        }
    if (n == 1) {
        vec_push(el->a, &el->given, ((GivenName){{found}, theirs, x->span}));
        return;
    }
    el->failed = true;
    diag(&el->s->diags, E_ANNOTATION, x->span, x->sym,
         arena_printf(&el->s->arena, "names one operator with parameters; there are %u here", n));
}

void apply_annotations(Elaborator *el, const Module *m, AstId annots, uint32_t inst, uint32_t first)
{
    for (uint32_t i = 0; i < kid_count(m, annots); i++) {
        AstId n = kid_at(m, annots, i), args = kid_at(m, n, 0);
        const AstNode *x = node_at(m, n);
        const AstNode *one =
            kid_count(m, args) > 0 ? node_at(m, kid_at(m, kid_at(m, args, 0), 0)) : NULL;
        if (strcmp(x->sym, "allow") == 0 && one != NULL) {
            Allow a = {.lint = one->sym, .span = x->span, .inst = inst};
            vec_push(el->a, &el->e->allows, a);
        } else if (strcmp(x->sym, "name") == 0 && one != NULL) {
            give_name(el, x, one->sym, first);
        } else {
            Mark k = {.kind = strcmp(x->sym, "frozen") == 0 ? MARK_FROZEN : MARK_DTYPE,
                      .what = one != NULL ? one->sym : NULL,
                      .inst = inst,
                      .span = x->span};
            vec_push(el->a, &el->e->marks, k);
        }
    }
}

/* One application of a step. */
static Value run_step(Elaborator *el, Frame *f, AstId n, const Value *in)
{
    const AstNode *x = node_at(f->module, n);
    AstId annots = kid_at(f->module, n, 0);
    uint32_t inst = el->inst, first = el->e->graph.nodes.len;
    Value layer = eval_layer(el, f, kid_at(f->module, n, 1));
    if (layer.kind == V_POISON)
        return layer;
    if (kid_count(f->module, annots) > 0)
        el->inst = inst_open(el, INST_STEP, node_at(f->module, kid_at(f->module, n, 1))->sym,
                             el->e->insts.at[inst].path, inst, 0, x->span, in->node);
    Args args = {f, kid_at(f->module, n, 2), x->span};
    Value out = apply_layer(el, layer.closure, &args, in);
    if (kid_count(f->module, annots) > 0) {
        if (out.kind == V_TENSOR)
            apply_annotations(el, f->module, annots, el->inst, first);
        el->inst = inst;
    }
    return out;
}

static void bind_as(Elaborator *el, Frame *f, Sym name, Value v)
{
    while (f->transparent && f->parent != NULL)
        f = f->parent;
    frame_bind(el, f, name, v);
}

/* An instance of a step of a stage: it has a path, and names of its own. */
static Value run_top(Elaborator *el, Frame *f, AstId n, const Value *in, ChainTop *top)
{
    const AstNode *x = node_at(f->module, n);
    uint32_t outer = el->inst, from = el->e->graph.nodes.len;
    Span span = el->instance_span;
    int64_t index = el->stage->i;
    const char *path = arena_printf(el->a, "%s.%lld", top->prefix, (long long)index);
    uint32_t own = inst_open(el, INST_STEP, node_at(f->module, kid_at(f->module, n, 1))->sym, path,
                             top->parent, (uint32_t)index, x->span, in->node);
    el->inst = own;
    el->instance_span = x->span;
    el->step_input = in->node;
    Value out = run_step(el, f, n, in);
    name_operators(el, from, path);
    el->inst = outer;
    el->instance_span = span;
    el->stage->i++;
    el->stage->stride = value_int(1);
    if (out.kind == V_TENSOR) {
        el->e->insts.at[own].out = out.node;
        if (out.node.v != in->node.v)
            el->facts.at[out.node.v].step_in = in->node;
    }
    return out;
}

/* `* n` and `when c` of a step or group; false after reporting. */
static bool repetition(Elaborator *el, Frame *f, AstId times, AstId when, int64_t *n)
{
    *n = 1;
    if (when.v != 0) {
        Value c = eval_as(el, f, when, (Type){TY_BOOL, false});
        if (c.kind == V_POISON || reject_ordinal(el, &c, node_at(f->module, when)->span))
            return false;
        el->structure = lits_union(el, el->structure, c.lits);
        *n = c.b;
    }
    if (*n == 0 || times.v == 0)
        return true;
    Value t = eval_as(el, f, times, (Type){TY_INT, false});
    if (t.kind == V_POISON || reject_ordinal(el, &t, node_at(f->module, times)->span))
        return false;
    el->structure = lits_union(el, el->structure, t.lits);
    if (t.i < 0) {
        diag(&el->s->diags, E_VALUE, node_at(f->module, times)->span,
             arena_printf(&el->s->arena, "a step cannot be repeated %lld times", (long long)t.i));
        return false;
    }
    *n = t.i;
    return true;
}

Value run_chain(Elaborator *el, Frame *f, AstId chain, Value in, ChainTop *top)
{
    Value v = in;
    for (uint32_t i = 1; i < kid_count(f->module, chain) && v.kind == V_TENSOR; i++) {
        AstId n = kid_at(f->module, chain, i);
        const AstNode *x = node_at(f->module, n);
        bool group = x->kind == AST_GROUP;
        uint32_t structure = el->structure;
        int64_t times;
        if (x->kind != AST_STEP && !group)
            return POISON;
        if (top != NULL)
            el->step_input = v.node;
        if (!repetition(el, f, kid_at(f->module, n, group ? 1 : 3),
                        kid_at(f->module, n, group ? 2 : 4), &times))
            return POISON;
        for (int64_t k = 0; k < times && v.kind == V_TENSOR; k++) {
            if (!spend(el, x->span))
                v = POISON;
            else if (group)
                v = run_chain(el, f, kid_at(f->module, n, 0), v, top);
            else
                v = top != NULL ? run_top(el, f, n, &v, top) : run_step(el, f, n, &v);
        }
        el->structure = structure;
        if (x->sym2 != NULL)
            bind_as(el, f, x->sym2, v);
    }
    return v;
}
