/* The items of a net: inputs, stages with their contracts, heads, conditions, sections. */
#include "elab/elaborator.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The net under construction. */
typedef struct Build {
    Elaborator *el;
    Frame *frame;
    Value trunk; /* result of the last stage; poison before the first input or after an error */
    bool failed, input_failed;
    uint32_t stages;
} Build;

static AstId option(const Module *m, AstId args, const char *name)
{
    for (uint32_t i = 0; i < kid_count(m, args); i++) {
        AstId arg = kid_at(m, args, i);
        if (node_at(m, arg)->sym != NULL && strcmp(node_at(m, arg)->sym, name) == 0)
            return kid_at(m, arg, 0);
    }
    return AST_NIL;
}

static bool read_reals(Build *b, AstId n, int64_t channels, double *out)
{
    Value v = eval_as(b->el, b->frame, n, (Type){TY_REAL, true});
    if (v.kind != V_LIST)
        return false;
    if (v.list.n > 4 || (int64_t)v.list.n != channels) {
        diag(&b->el->s->diags, E_VALUE, node_at(b->frame->module, n)->span,
             arena_printf(&b->el->s->arena, "%u values for %lld channels (at most 4)", v.list.n,
                          (long long)channels));
        return false;
    }
    for (uint32_t i = 0; i < v.list.n; i++)
        out[i] = v.list.at[i].r;
    return true;
}

static bool read_picture(Build *b, AstId args, int64_t channels, GraphInput *in)
{
    const Module *m = b->frame->module;
    AstId mean = option(m, args, "mean"), std = option(m, args, "std");
    struct {
        const char *name;
        int64_t *to;
    } whole[] = {{"resize", &in->resize}, {"crop", &in->crop}};
    if ((mean.v != 0) != (std.v != 0)) {
        diag(&b->el->s->diags, E_VALUE, node_at(m, args)->span, "mean and std belong together");
        return false;
    }
    if (mean.v != 0) {
        in->has_norm = true;
        if (!read_reals(b, mean, channels, in->mean) || !read_reals(b, std, channels, in->std))
            return false;
        for (int64_t i = 0; i < channels; i++)
            if (!(in->std[i] > 0)) {
                diag(&b->el->s->diags, E_VALUE, node_at(m, std)->span, "std must be positive");
                return false;
            }
    }
    for (int i = 0; i < 2; i++) {
        AstId n = option(m, args, whole[i].name);
        Value v = n.v != 0 ? eval_as(b->el, b->frame, n, (Type){TY_INT, false}) : value_int(0);
        if (v.kind != V_INT)
            return false;
        if (n.v != 0 && (v.i < 1 || v.i > 1 << 16)) {
            diag(&b->el->s->diags, E_VALUE, node_at(m, n)->span,
                 arena_printf(&b->el->s->arena, "%s must be between 1 and 65536", whole[i].name));
            return false;
        }
        *whole[i].to = v.i;
    }
    return true;
}

static bool build_input(Build *b, AstId n)
{
    Elaborator *el = b->el;
    const Module *m = b->frame->module;
    const AstNode *x = node_at(m, n);
    AstId dims = kid_at(m, n, 1);
    AttrVal attrs[3];
    uint32_t lits[OP_MAX_ATTRS] = {0};
    bool first = el->e->graph.ins.len == 0;
    for (uint32_t i = 0; i < 3; i++) {
        Value v = eval_as(el, b->frame, kid_at(m, dims, i), (Type){TY_INT, false});
        if (v.kind != V_INT)
            return false;
        bool given = first && el->opt->input[i] != 0;
        attrs[i] = attr_int(given ? el->opt->input[i] : v.i);
        lits[i] = given ? 0 : v.lits;
    }
    Value t = apply_op(el, OP_INPUT, attrs, lits, NULL, 0, x->span);
    if (t.kind != V_TENSOR)
        return false;
    el->e->graph.nodes.at[t.node.v].name = x->sym;
    el->facts.at[t.node.v].lits_c = lits[0];
    el->facts.at[t.node.v].lits_hw = lits_union(el, lits[1], lits[2]);
    GraphInput in = {.name = x->sym, .node = t.node};
    if (!read_picture(b, kid_at(m, n, 2), attrs[0].i, &in))
        return false;
    vec_push(el->a, &el->e->graph.ins, in);
    frame_bind(el, b->frame, x->sym, t);
    if (first)
        b->trunk = t;
    return true;
}

/* What a stage or head starts from. */
static Value start_of(Build *b, AstId args, Span span)
{
    AstId from = option(b->frame->module, args, "from");
    if (from.v != 0)
        return eval_as(b->el, b->frame, from, (Type){TY_TENSOR, false});
    if (b->el->e->graph.ins.len == 0 && !b->input_failed) {
        diag(&b->el->s->diags, E_NET_NEEDS, span, b->el->e->graph.name, "input above this line");
        b->failed = b->input_failed = true; /* once */
    }
    return b->trunk;
}

static Value contract(Build *b, AstId args, const char *name, Value *as_written)
{
    const Module *m = b->frame->module;
    AstId n = option(m, args, name);
    *as_written = value_int(1);
    if (n.v != 0)
        *as_written = eval(b->el, b->frame, n);
    Span span = n.v != 0 ? node_at(m, n)->span : SPAN_NONE;
    Value v = value_as(b->el, *as_written, (Type){TY_SIZE, false}, span);
    if (v.kind == V_SIZE &&
        (v.size.h < 1 || v.size.w < 1 || v.size.h > 1 << 20 || v.size.w > 1 << 20)) {
        diag(&b->el->s->diags, E_VALUE, span,
             arena_printf(&b->el->s->arena, "%s must be at least 1", name));
        return POISON;
    }
    return v;
}

/* A frame for the chain of a stage or head; names bound in it belong to the net. */
static Frame *chain_frame(Build *b, NodeId in)
{
    Frame *f = frame_new(b->el, b->frame, b->frame->module);
    f->transparent = true;
    f->has_in = true;
    f->in = in;
    return f;
}

static bool build_stage(Build *b, AstId n)
{
    Elaborator *el = b->el;
    const Module *m = b->frame->module;
    const AstNode *x = node_at(m, n);
    AstId args = kid_at(m, n, 1);
    Value written, unused, in = start_of(b, args, x->name_span);
    Value stride = contract(b, args, "stride", &written), up = contract(b, args, "up", &unused);
    if (in.kind != V_TENSOR || stride.kind != V_SIZE || up.kind != V_SIZE)
        return false;
    StageCtx ctx = {.stride = written};
    uint32_t first = el->e->graph.nodes.len, structure = el->structure;
    uint32_t own = inst_open(el, INST_STAGE, x->sym, x->sym, 0, b->stages++, x->span, in.node);
    ChainTop top = {x->sym, own};
    el->stage = &ctx;
    el->inst = own;
    Value out = run_chain(el, chain_frame(b, in.node), kid_at(m, n, 2), in, &top);
    el->stage = NULL;
    el->inst = 0;
    el->structure = structure;
    el->instance_span = SPAN_NONE;
    if (out.kind != V_TENSOR)
        return false;
    el->e->insts.at[own].out = out.node;
    apply_annotations(el, m, kid_at(m, n, 0), own, first);
    if (option(m, args, "stride").v != 0 || option(m, args, "up").v != 0)
        b->failed = !contract_check(el, x, &stride, &up, in.node, first, out.node) || b->failed;
    frame_bind(el, b->frame, x->sym, out);
    b->trunk = out;
    return true;
}

static bool build_head(Build *b, AstId n)
{
    Elaborator *el = b->el;
    const Module *m = b->frame->module;
    const AstNode *x = node_at(m, n);
    Value in = start_of(b, kid_at(m, n, 1), x->name_span);
    if (in.kind != V_TENSOR)
        return false;
    StageCtx ctx = {.stride = value_int(1), .head = true};
    uint32_t first = el->e->graph.nodes.len, structure = el->structure;
    uint32_t own =
        inst_open(el, INST_HEAD, x->sym, x->sym, 0, el->e->graph.outs.len, x->span, in.node);
    el->stage = &ctx;
    el->inst = own;
    el->instance_span = x->span;
    el->step_input = in.node;
    Value out = run_chain(el, chain_frame(b, in.node), kid_at(m, n, 2), in, NULL);
    name_operators(el, first, x->sym);
    el->stage = NULL;
    el->inst = 0;
    el->structure = structure;
    el->instance_span = SPAN_NONE;
    if (out.kind != V_TENSOR)
        return false;
    el->e->insts.at[own].out = out.node;
    apply_annotations(el, m, kid_at(m, n, 0), own, first);
    for (uint32_t i = 0; i < el->e->graph.outs.len; i++)
        el->e->graph.outs.at[i].primary = false;
    GraphOutput o = {.name = x->sym, .node = out.node, .source = in.node, .primary = true};
    vec_push(el->a, &el->e->graph.outs, o);
    frame_bind(el, b->frame, x->sym, out);
    return true;
}

static bool build_require(Build *b, AstId n)
{
    const Module *m = b->frame->module;
    Value v = eval_as(b->el, b->frame, kid_at(m, n, 0), (Type){TY_BOOL, false});
    if (v.kind == V_BOOL && !v.b)
        diag(&b->el->s->diags, E_REQUIRE, node_at(m, kid_at(m, n, 0))->span,
             node_at(m, kid_at(m, n, 1))->sym);
    return v.kind == V_BOOL && v.b;
}

static bool build_local(Build *b, AstId n)
{
    const AstNode *x = node_at(b->frame->module, n);
    Value v;
    if (x->kind == AST_LET) {
        v = eval(b->el, b->frame, kid_at(b->frame->module, n, 0));
    } else {
        Closure *c = arena_new(b->el->a, Closure);
        *c = (Closure){.module = b->frame->module, .decl = n, .frame = b->frame};
        v = (Value){.kind = x->kind == AST_FN ? V_FUNCTION : V_LAYER, .closure = c};
    }
    frame_bind(b->el, b->frame, x->sym, v);
    return v.kind != V_POISON;
}

static void add_names(Build *b, AstId n)
{
    Elaborator *el = b->el;
    const Module *m = b->frame->module;
    const AstNode *x = node_at(m, n);
    uint32_t i = 0;
    while (i < el->e->names.len && el->e->names.at[i].name != x->sym)
        i++;
    if (i == el->e->names.len)
        vec_push(el->a, &el->e->names, (NameMap){.name = x->sym});
    NameMap *map = &el->e->names.at[i];
    for (uint32_t k = 0; k < kid_count(m, n); k++) {
        const AstNode *r = node_at(m, kid_at(m, n, k));
        NameRule rule = {.span = r->span};
        rule.ours = r->kind == AST_RENAME ? r->sym : NULL;
        rule.theirs = r->kind == AST_RENAME ? r->sym2 : r->sym;
        const char *problem = rule.ours != NULL ? elab_name_problem(rule.ours, rule.theirs) : NULL;
        if (problem != NULL) {
            diag(&el->s->diags, E_VALUE, rule.span, problem);
            b->failed = true;
        }
        vec_push(el->a, &map->rules, rule);
    }
}

static void add_section(Build *b, AstId n)
{
    Elab *e = b->el->e;
    const Module *m = b->frame->module;
    for (uint32_t i = 0; i < kid_count(m, n); i++) {
        AstId pair = kid_at(m, n, i);
        const AstNode *x = node_at(m, pair);
        SectionEntry entry = {x->sym, kid_at(m, pair, 0), m->index, x->span};
        if (node_at(m, n)->kind == AST_TRAIN)
            vec_push(b->el->a, &e->train, entry);
        else
            vec_push(b->el->a, &e->refine, entry);
    }
}

static bool build_items(Build *b, AstId list);

static bool build_if(Build *b, AstId n)
{
    const Module *m = b->frame->module;
    Value c = eval_as(b->el, b->frame, kid_at(m, n, 0), (Type){TY_BOOL, false});
    if (c.kind != V_BOOL)
        return false;
    uint32_t structure = b->el->structure;
    b->el->structure = lits_union(b->el, structure, c.lits);
    bool ok = true;
    if (c.b || kid_at(m, n, 2).v != 0)
        ok = build_items(b, kid_at(m, n, c.b ? 1 : 2));
    b->el->structure = structure;
    return ok;
}

static bool build_item(Build *b, AstId n)
{
    switch ((AstKind)node_at(b->frame->module, n)->kind) {
    case AST_INPUT: return build_input(b, n);
    case AST_STAGE: return build_stage(b, n);
    case AST_HEAD: return build_head(b, n);
    case AST_REQUIRE: return build_require(b, n);
    case AST_LET:
    case AST_FN:
    case AST_BLOCK: return build_local(b, n);
    case AST_IFITEM: return build_if(b, n);
    case AST_NAMES: add_names(b, n); return true;
    case AST_TRAIN:
    case AST_REFINE: add_section(b, n); return true;
    default: return false;
    }
}

/* The names that a failed item would have declared are poison: their uses are not reported. */
static void poison_chain(Build *b, AstId chain)
{
    const Module *m = b->frame->module;
    for (uint32_t i = 1; i < kid_count(m, chain); i++) {
        const AstNode *x = node_at(m, kid_at(m, chain, i));
        if (x->sym2 != NULL)
            frame_bind(b->el, b->frame, x->sym2, POISON);
        if (x->kind == AST_GROUP)
            poison_chain(b, kid_at(m, kid_at(m, chain, i), 0));
    }
}

static void poison_item(Build *b, AstId n)
{
    const Module *m = b->frame->module;
    const AstNode *x = node_at(m, n);
    b->failed = true;
    b->input_failed = b->input_failed || x->kind == AST_INPUT;
    if (x->kind == AST_STAGE || x->kind == AST_HEAD)
        poison_chain(b, kid_at(m, n, 2));
    if (x->kind == AST_STAGE || x->kind == AST_INPUT)
        b->trunk = POISON;
    if (x->kind == AST_STAGE || x->kind == AST_HEAD || x->kind == AST_INPUT || x->kind == AST_LET)
        frame_bind(b->el, b->frame, x->sym, POISON);
    for (uint32_t arm = 1; x->kind == AST_IFITEM && arm < 3; arm++) {
        AstId list = kid_at(m, n, arm);
        for (uint32_t i = 0; i < kid_count(m, list); i++)
            poison_item(b, kid_at(m, list, i));
    }
}

/* Goes on after an error with what does not depend on what failed. */
static bool build_items(Build *b, AstId list)
{
    const Module *m = b->frame->module;
    bool ok = true;
    for (uint32_t i = 0; i < kid_count(m, list); i++) {
        AstId n = kid_at(m, list, i);
        if (build_item(b, n))
            continue;
        poison_item(b, n);
        ok = false;
    }
    return ok;
}

/* Stages from which no head takes anything. */
static void warn_idle(Build *b)
{
    Elab *e = b->el->e;
    bool *live = arena_new_n(b->el->a, bool, e->graph.nodes.len);
    for (uint32_t i = 0; i < e->graph.outs.len; i++)
        live[e->graph.outs.at[i].node.v] = true;
    for (uint32_t v = e->graph.nodes.len; v-- > 1;)
        for (uint32_t i = 0; live[v] && i < e->graph.nodes.at[v].in_count; i++)
            live[graph_in(&e->graph, (NodeId){v}, i).v] = true;
    for (uint32_t i = 1; i < e->insts.len; i++) {
        const Inst *s = &e->insts.at[i];
        if (s->kind == INST_STAGE && s->out.v != s->in.v && !live[s->out.v])
            diag(&b->el->s->diags, W_UNUSED, s->span, "stage", s->name);
    }
    for (uint32_t i = 0; i < e->graph.ins.len; i++)
        if (!live[e->graph.ins.at[i].node.v])
            diag(&b->el->s->diags, W_UNUSED,
                 e->origins.at[graph_node(&e->graph, e->graph.ins.at[i].node)->origin].span,
                 "input", e->graph.ins.at[i].name);
}

/* @name annotations come before the patterns of every names section. */
static void finish_names(Build *b)
{
    Elab *e = b->el->e;
    if (b->el->given.len > 0 && e->names.len == 0)
        vec_push(b->el->a, &e->names, (NameMap){.name = "given"});
    for (uint32_t k = 0; k < e->names.len && b->el->given.len > 0; k++) {
        NameMap map = {.name = e->names.at[k].name};
        for (uint32_t i = 0; i < b->el->given.len; i++) {
            const GivenName *g = &b->el->given.at[i];
            NameRule rule = {graph_node(&e->graph, g->node)->name, g->theirs, g->span, true};
            vec_push(b->el->a, &map.rules, rule);
        }
        for (uint32_t i = 0; i < e->names.at[k].rules.len; i++)
            vec_push(b->el->a, &map.rules, e->names.at[k].rules.at[i]);
        e->names.at[k] = map;
    }
}

bool net_build(Elaborator *el, const OpenNet *net)
{
    Build b = {.el = el, .frame = net->frame, .trunk = POISON};
    Diags *d = &el->s->diags;
    build_items(&b, kid_at(net->module, net->decl, 2));
    if (b.failed)
        return false;
    apply_annotations(el, net->module, kid_at(net->module, net->decl, 0), 0, 1);
    Span span = node_at(net->module, net->decl)->name_span;
    const char *name = node_at(net->module, net->decl)->sym;
    if (el->e->graph.ins.len == 0)
        diag(d, E_NET_NEEDS, span, name, "input");
    if (el->e->graph.outs.len == 0)
        diag(d, E_NET_NEEDS, span, name, "head");
    if (el->failed || el->e->graph.ins.len == 0 || el->e->graph.outs.len == 0)
        return false;
    finish_names(&b);
    warn_idle(&b);
    return train_evaluate(el, net->frame);
}
