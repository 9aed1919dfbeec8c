/* Applying layers: arguments to parameters, operators to nodes, blocks to what their bodies build.
 */
#include "elab/elaborator.h"
#include <stdio.h>
#include <string.h>

static Value *eval_args(Elaborator *el, const Args *args)
{
    const Module *m = args->frame->module;
    uint32_t n = kid_count(m, args->list);
    Value *v = arena_new_n(el->a, Value, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        v[i] = eval(el, args->frame, kid_at(m, kid_at(m, args->list, i), 0));
        if (v[i].kind == V_POISON)
            return NULL;
    }
    return v;
}

/* How many leading arguments are tensors that the layer is applied to. */
static uint32_t leading_tensors(const Closure *c, const Args *args, const Value *v, bool has_in)
{
    const Module *m = args->frame->module;
    uint32_t n = kid_count(m, args->list), k = 0;
    uint32_t most = c->op != OP_NONE && op_info[c->op].inputs < 0 ? n : has_in ? 0 : 1;
    while (k < n && k < most && v[k].kind == V_TENSOR &&
           node_at(m, kid_at(m, args->list, k))->sym == NULL)
        k++;
    return k;
}

/* Values by formal: those bound before, then these arguments. False after reporting. */
static bool gather(Elaborator *el, const Closure *c, const Signature *sig, const Args *args,
                   const Value *v, uint32_t skip, Value *out)
{
    const Module *m = args->frame->module;
    int32_t *slot = arena_new_n(el->a, int32_t, sig->count);
    if (c->bound != NULL)
        memcpy(out, c->bound, sig->count * sizeof *out);
    if (!args_bind(el->s, m, sig, args->list, skip, slot))
        return false;
    for (uint32_t f = 0; f < sig->count; f++) {
        if (slot[f] < 0)
            continue;
        AstId x = kid_at(m, kid_at(m, args->list, (uint32_t)slot[f]), 0);
        out[f] = value_as(el, v[slot[f]], sig->formals[f].type, node_at(m, x)->span);
        if (out[f].kind == V_POISON)
            return false;
        if (c->op != OP_NONE && sig->formals[f].type.kind != TY_REAL &&
            reject_ordinal(el, &out[f], node_at(m, x)->span))
            return false;
    }
    return true;
}

static AttrVal to_attr(const Value *v, AttrType t)
{
    switch (t) {
    case ATTR_INT: return attr_int(v->i);
    case ATTR_REAL: return attr_real(v->r);
    case ATTR_BOOL: return attr_bool(v->b);
    case ATTR_SIZE: return attr_size(v->size.h, v->size.w);
    case ATTR_PAD: return attr_pad(v->pad);
    case ATTR_STR: break;
    }
    AttrVal a = {.type = ATTR_STR};
    a.str = v->str;
    return a;
}

static const char *shape_text(Arena *a, Shape s)
{
    if (s.flat)
        return arena_printf(a, "a vector of %lld", (long long)s.c);
    return arena_printf(a, "%lldx%lldx%lld", (long long)s.c, (long long)s.h, (long long)s.w);
}

static void report_shape(Elaborator *el, Op op, const ShapeError *err, const NodeId *ins,
                         uint32_t nin, Span span)
{
    const char *name = op_info[op].name;
    Arena *a = &el->s->arena;
    Diags *ds = &el->s->diags;
    uint32_t d;
    switch (err->kind) {
    case SHAPE_GROUPS:
        d = diag(ds, E_GROUPS, span, (long)err->num[0], (long)err->num[1], (long)err->num[2]);
        break;
    case SHAPE_VANISHES:
        d = diag(ds, E_MAP_VANISHES, span, name, (long)err->num[0], (long)err->num[1],
                 (long)err->num[2], (long)err->num[3]);
        break;
    case SHAPE_MISMATCH: d = diag(ds, E_SHAPE_MISMATCH, span, name, err->text); break;
    case SHAPE_TOO_LARGE:
        d = diag(ds, E_LIMIT, span, arena_printf(a, "%s: %s", name, err->text));
        break;
    default: d = diag(ds, E_SHAPE, span, name, err->text); break;
    }
    for (uint32_t i = 0; i < nin && i < 8; i++) {
        uint32_t origin = graph_node(&el->e->graph, ins[i])->origin;
        diag_note(ds, d, el->e->origins.at[origin].span, "%s is %s",
                  nin == 1 ? "its input" : arena_printf(a, "operand %u", i + 1),
                  shape_text(a, el->e->shape[ins[i].v]));
    }
    const char *path = el->inst != 0 ? el->e->insts.at[el->inst].path : NULL;
    if (path != NULL)
        diag_note(ds, d, el->instance_span, "in %s", path);
}

static void reserve_tables(Elaborator *el, uint32_t n)
{
    if (n <= el->capacity)
        return;
    uint32_t grown = el->capacity < 64 ? 64 : 2 * el->capacity;
    el->e->shape = arena_regrow(el->a, el->e->shape, el->capacity, grown, sizeof *el->e->shape);
    el->e->rf = arena_regrow(el->a, el->e->rf, el->capacity, grown, sizeof *el->e->rf);
    el->capacity = grown;
}

/* The literals behind the number of channels and the size of the map. */
static NodeFacts facts_of(Elaborator *el, Op op, const uint32_t *lits, const NodeId *ins,
                          uint32_t nin)
{
    NodeFacts f = {0};
    for (uint32_t i = 0; i < nin; i++) {
        if (i == 0 || op == OP_CONCAT)
            f.lits_c = lits_union(el, f.lits_c, el->facts.at[ins[i].v].lits_c);
        f.lits_hw = lits_union(el, f.lits_hw, el->facts.at[ins[i].v].lits_hw);
    }
    for (int i = 0; i < op_info[op].attr_count; i++) {
        AttrType t = op_info[op].attrs[i].type;
        if (t == ATTR_SIZE || t == ATTR_PAD || op == OP_ZEROPAD || op == OP_CROP)
            f.lits_hw = lits_union(el, f.lits_hw, lits[i]);
    }
    if (op == OP_CONV || op == OP_CONVT || op == OP_DENSE)
        f.lits_c = lits[0];
    else if (op == OP_SLICE)
        f.lits_c = lits_union(el, lits[0], lits[1]);
    else if (op == OP_FLATTEN)
        f.lits_c = lits_union(el, f.lits_c, f.lits_hw);
    return f;
}

/* A pooling of one position: what remains when strides and kernels are parameters. Both poolings
 * have their kernel, stride and padding in the same places. */
static bool no_effect(const AttrVal *attrs)
{
    Size2 k = attrs[AT_MAXPOOL_k].size, s = attrs[AT_MAXPOOL_stride].size;
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): set for every pooling */
    return k.h == 1 && k.w == 1 && s.h <= 1 && s.w <= 1;
}

Value apply_op(Elaborator *el, Op op, const AttrVal *attrs, const uint32_t *lits, const NodeId *ins,
               uint32_t nin, Span span)
{
    Shape in[64], out, *shapes = nin <= 64 ? in : arena_new_n(el->a, Shape, nin);
    ShapeError err = {0};
    if (!spend(el, span))
        return POISON;
    for (uint32_t i = 0; i < nin; i++)
        shapes[i] = el->e->shape[ins[i].v];
    if (!shape_infer(op, attrs, shapes, nin, &out, &err)) {
        report_shape(el, op, &err, ins, nin, span);
        return POISON;
    }
    if ((op_info[op].flags & OPF_WINDOW) && !(op_info[op].flags & OPF_WEIGHTS) && no_effect(attrs))
        diag(&el->s->diags, W_NO_EFFECT, span, op_info[op].name);
    Origin o = {
        .span = span, .instance = el->instance_span, .inst = el->inst, .structure = el->structure};
    memcpy(o.attrs, lits, sizeof o.attrs);
    vec_push(el->a, &el->e->origins, o);
    NodeId n = graph_add(&el->e->graph, op, attrs, ins, nin, NULL, el->e->origins.len - 1);
    reserve_tables(el, n.v + 1);
    el->e->shape[n.v] = out;
    el->e->rf[n.v] = rf_infer(el->a, &el->e->graph, n, el->e->rf, el->e->shape);
    while (el->facts.len <= n.v)
        vec_push(el->a, &el->facts, (NodeFacts){0});
    el->facts.at[n.v] = facts_of(el, op, lits, ins, nin);
    return value_tensor(n);
}

static Value build_op(Elaborator *el, const Closure *c, const Signature *sig, const Args *args,
                      const Value *vals, const NodeId *ins, uint32_t nin)
{
    const OpInfo *info = &op_info[c->op];
    AttrVal attrs[OP_MAX_ATTRS];
    uint32_t lits[OP_MAX_ATTRS] = {0};
    bool ok = true;
    if (el->stage == NULL) {
        diag(&el->s->diags, E_CONTEXT, args->span, info->name,
             "layers are applied in stages and heads");
        return POISON;
    }
    for (int i = 0; i < info->attr_count; i++) {
        if (vals[i].kind != V_POISON) {
            attrs[i] = to_attr(&vals[i], info->attrs[i].type);
            lits[i] = vals[i].lits;
        } else if (info->attrs[i].required) {
            args_missing(el->s, args->span, sig, &sig->formals[i]);
            ok = false;
        } else {
            attrs[i] = info->attrs[i].def;
        }
    }
    uint32_t least = info->inputs == -1 ? 2 : 1;
    if (ok && nin < least) {
        diag(&el->s->diags, E_SHAPE_MISMATCH, args->span, info->name,
             "it joins at least two tensors");
        return POISON;
    }
    return ok ? apply_op(el, c->op, attrs, lits, ins, nin, args->span) : POISON;
}

/* Binds given values and defaults in f; defaults see what f holds and the parameters before them.
 */
static bool bind_formals(Elaborator *el, Frame *f, const Signature *sig, const Value *vals,
                         Span span)
{
    for (uint32_t i = 0; i < sig->count; i++) {
        const Formal *p = &sig->formals[i];
        Value v = vals[i];
        if (v.kind == V_POISON && p->required) {
            args_missing(el->s, span, sig, p);
            return false;
        }
        if (v.kind == V_POISON)
            v = eval_as(el, f, p->def, p->type);
        if (v.kind == V_POISON)
            return false;
        frame_bind(el, f, p->name, v);
    }
    return true;
}

static uint32_t count_block(Elaborator *el, const Closure *c)
{
    for (uint32_t i = 0; i < el->counts.len; i++)
        if (el->counts.at[i].module == c->module && el->counts.at[i].block.v == c->decl.v) {
            el->counts.at[i].seen++;
            return i;
        }
    vec_push(el->a, &el->counts, ((BlockCount){c->module, c->decl, 1, 0}));
    return el->counts.len - 1;
}

static bool run_statement(Elaborator *el, Frame *f, AstId n, Value *out)
{
    const AstNode *x = node_at(f->module, n);
    Value v;
    switch ((AstKind)x->kind) {
    case AST_LET:
    case AST_BIND:
        v = eval(el, f, kid_at(f->module, n, 0));
        frame_bind(el, f, x->sym, v);
        return v.kind != V_POISON;
    case AST_FN: {
        Closure *c = arena_new(el->a, Closure);
        *c = (Closure){.module = f->module, .decl = n, .frame = f};
        frame_bind(el, f, x->sym, (Value){.kind = V_FUNCTION, .closure = c});
        return true;
    }
    case AST_OUT:
        *out = eval_as(el, f, kid_at(f->module, n, 0), (Type){TY_TENSOR, false});
        return out->kind != V_POISON;
    case AST_REQUIRE: {
        v = eval_as(el, f, kid_at(f->module, n, 0), (Type){TY_BOOL, false});
        if (v.kind == V_BOOL && !v.b)
            diag(&el->s->diags, E_REQUIRE, x->span,
                 node_at(f->module, kid_at(f->module, n, 1))->sym);
        return v.kind == V_BOOL && v.b;
    }
    default: return false;
    }
}

static void note_call(Elaborator *el, uint32_t errors, Span call, const char *name)
{
    Diags *d = &el->s->diags;
    if (d->errors != errors && d->all.len > 0 && call.src != 0 &&
        (vec_last(&d->all).code == E_REQUIRE || vec_last(&d->all).code == E_VALUE))
        diag_note(d, d->all.len - 1, call, "'%s' is applied here", name);
}

static Value run_block(Elaborator *el, const Closure *c, const Signature *sig, const Args *args,
                       const Value *vals, NodeId in)
{
    uint32_t errors = el->s->diags.errors, inst = el->inst, first = el->e->graph.nodes.len;
    const AstNode *decl = node_at(c->module, c->decl);
    Value out = POISON;
    el->inst =
        inst_open(el, INST_BLOCK, decl->sym, el->e->insts.at[inst].path, inst, 0, args->span, in);
    uint32_t own = el->inst, count = count_block(el, c);
    Frame *f = frame_new(el, c->frame, c->module);
    f->has_in = true;
    f->in = in;
    f->block = c->decl;
    f->block_count = count;
    f->block_i = el->counts.at[count].seen - 1;
    if (bind_formals(el, f, sig, vals, args->span)) {
        AstId stmts = kid_at(c->module, c->decl, 2);
        bool ok = true;
        for (uint32_t i = 0; ok && i < kid_count(c->module, stmts); i++)
            ok = run_statement(el, f, kid_at(c->module, stmts, i), &out);
        if (!ok)
            out = POISON;
    }
    apply_annotations(el, c->module, kid_at(c->module, c->decl, 0), own, first);
    if (out.kind == V_TENSOR)
        el->e->insts.at[own].out = out.node;
    note_call(el, errors, args->span, decl->sym);
    el->inst = inst;
    return out;
}

static Value bound_layer(Elaborator *el, const Closure *c, const Value *vals)
{
    Closure *copy = arena_new(el->a, Closure);
    *copy = *c;
    copy->bound = vals;
    return (Value){.kind = V_LAYER, .closure = copy};
}

static Value apply_identity(Elaborator *el, const Args *args, const Value *in)
{
    const Value *v = eval_args(el, args);
    uint32_t n = kid_count(args->frame->module, args->list);
    if (v == NULL)
        return POISON;
    if (n == (in == NULL) && (in != NULL || v[0].kind == V_TENSOR))
        return in != NULL ? *in : v[0];
    diag(&el->s->diags, E_ARG_COUNT, args->span, "identity", 0, (int)n);
    return POISON;
}

Value apply_layer(Elaborator *el, const Closure *c, const Args *args, const Value *in)
{
    if (c->op == OP_NONE && c->decl.v == 0)
        return apply_identity(el, args, in);
    Signature sig = c->op != OP_NONE ? signature_of_op(el->a, c->op)
                                     : signature_of_decl(el->a, c->module, c->decl);
    Value *vals = arena_new_n(el->a, Value, sig.count + 1);
    const Value *v = eval_args(el, args);
    if (v == NULL)
        return POISON;
    uint32_t lead = leading_tensors(c, args, v, in != NULL), nin = 0;
    if (!gather(el, c, &sig, args, v, lead, vals))
        return POISON;
    if (in == NULL && lead == 0)
        return bound_layer(el, c, vals);
    NodeId *ins = arena_new_n(el->a, NodeId, lead + 1);
    if (in != NULL)
        ins[nin++] = in->node;
    for (uint32_t i = 0; i < lead; i++)
        ins[nin++] = v[i].node;
    if (c->op != OP_NONE)
        return build_op(el, c, &sig, args, vals, ins, nin);
    return run_block(el, c, &sig, args, vals, ins[0]);
}

Value apply_function(Elaborator *el, const Closure *c, const Args *args)
{
    if (c->is_builtin)
        return eval_builtin(el, args->frame, c->builtin, args->list, args->span);
    Signature sig = signature_of_decl(el->a, c->module, c->decl);
    Value *vals = arena_new_n(el->a, Value, sig.count + 1);
    const Value *v = eval_args(el, args);
    if (v == NULL || !gather(el, c, &sig, args, v, 0, vals))
        return POISON;
    uint32_t errors = el->s->diags.errors;
    Value out = POISON;
    Frame *f = frame_new(el, c->frame, c->module);
    if (bind_formals(el, f, &sig, vals, args->span))
        out = eval(el, f, kid_at(c->module, c->decl, 1));
    note_call(el, errors, args->span, sig.name);
    return out;
}
