/* Constant evaluation: names, fields, lists, choices. */
#include "elab/elaborator.h"
#include "support/stack.h"
#include <math.h>
#include <string.h>

enum { NODE_LIMIT = 100000, DEPTH_LIMIT = 2500 };

bool spend(Elaborator *el, Span span)
{
    if (el->fuel > 0 && el->e->graph.nodes.len < NODE_LIMIT) {
        el->fuel--;
        return true;
    }
    if (el->fuel == 0)
        diag(&el->s->diags, E_LIMIT, span, "elaboration takes too many steps");
    else if (el->fuel > 0)
        diag(&el->s->diags, E_LIMIT, span,
             arena_printf(&el->s->arena, "the network has more than %d operators", NODE_LIMIT));
    el->fuel = -1; /* reported once */
    return false;
}

static Value closure_value(Elaborator *el, ValueKind kind, Closure c)
{
    Closure *copy = arena_new(el->a, Closure);
    *copy = c;
    return (Value){.kind = kind, .closure = copy};
}

/* The value of a top-level LET, evaluated once. */
static Value let_value(Elaborator *el, const Module *m, AstId decl, Span span)
{
    uint64_t key = (uint64_t)m->index << 32 | decl.v;
    uint32_t known = map_get(&el->let_index, key);
    if (known != 0) {
        const LetValue *l = &el->lets.at[known - 1];
        if (!l->busy)
            return l->value;
        diag(&el->s->diags, E_RECURSION, span, node_at(m, decl)->sym);
        return POISON;
    }
    uint32_t at = el->lets.len;
    vec_push(el->a, &el->lets, ((LetValue){m, decl, POISON, true}));
    map_put(el->a, &el->let_index, key, el->lets.len);
    Value v = eval(el, frame_new(el, NULL, m), kid_at(m, decl, 0));
    el->lets.at[at].value = v;
    el->lets.at[at].busy = false;
    return v;
}

static Value decl_value(Elaborator *el, const Module *m, AstId decl, Span span)
{
    switch (node_at(m, decl)->kind) {
    case AST_LET: return let_value(el, m, decl, span);
    case AST_FN: return closure_value(el, V_FUNCTION, (Closure){.module = m, .decl = decl});
    case AST_BLOCK: return closure_value(el, V_LAYER, (Closure){.module = m, .decl = decl});
    default: diag(&el->s->diags, E_NOT_LAYER, span, node_at(m, decl)->sym, "a net"); return POISON;
    }
}

static Value ref_value(Elaborator *el, const Module *m, Ref r, Sym name, Span span)
{
    static const Pad none = {0};
    Value v = POISON;
    switch (r.kind) {
    case REF_DECL: return decl_value(el, r.module, r.node, span);
    case REF_OP: return closure_value(el, V_LAYER, (Closure){.op = r.op});
    case REF_FUNCTION:
        return closure_value(el, V_FUNCTION, (Closure){.is_builtin = true, .builtin = r.function});
    case REF_IDENTITY: return closure_value(el, V_LAYER, (Closure){0});
    case REF_PADDING:
        v.kind = V_PAD;
        v.pad = none;
        v.pad.kind = r.padding;
        return v;
    case REF_NONE: break;
    }
    uint32_t d = diag(&el->s->diags, E_UNDEFINED, span, name);
    if (m->result != NULL) /* the checker has seen a declaration */
        diag_note(&el->s->diags, d, SPAN_NONE,
                  "its declaration is in an arm of an if that is not taken");
    return v;
}

static const Value *frame_find(const Frame *f, Sym name)
{
    for (; f != NULL; f = f->parent)
        for (uint32_t i = f->names.len; i-- > 0;)
            if (f->names.at[i].name == name)
                return &f->names.at[i].value;
    return NULL;
}

static Value eval_name(Elaborator *el, Frame *f, const AstNode *x)
{
    const Value *v = frame_find(f, x->sym);
    return v != NULL ? *v
                     : ref_value(el, f->module, module_lookup(f->module, x->sym), x->sym, x->span);
}

static Value eval_literal(Elaborator *el, const Frame *f, AstId n)
{
    const AstNode *x = node_at(f->module, n);
    Value v = {.lits = lits_one(el, f->module, n)};
    v.kind = x->kind == AST_INT    ? V_INT
             : x->kind == AST_REAL ? V_REAL
             : x->kind == AST_BOOL ? V_BOOL
                                   : V_SIZE;
    if (x->kind == AST_INT)
        v.i = x->i;
    else if (x->kind == AST_REAL)
        v.r = x->r;
    else if (x->kind == AST_BOOL)
        v.b = x->i != 0;
    else
        v.size = (Size2){x->size[0], x->size[1]};
    for (uint32_t i = 0; i < el->opt->override_count; i++) {
        const LitOverride *o = &el->opt->overrides[i];
        if (o->lit.module != f->module->index || o->lit.node.v != n.v)
            continue;
        v.kind = o->is_size ? V_SIZE : V_INT;
        if (o->is_size)
            v.size = (Size2){o->size[0], o->size[1]};
        else
            v.i = o->i;
    }
    return v;
}

const Frame *frame_with_in(const Frame *f)
{
    while (f != NULL && !f->has_in)
        f = f->parent;
    return f;
}

static Value eval_in(const Frame *f)
{
    const Frame *at = frame_with_in(f);
    return at != NULL ? value_tensor(at->in) : POISON;
}

/* The input of the step before the current one, also across stages. */
static Value eval_prev(const Elaborator *el)
{
    NodeId before = el->facts.at[el->step_input.v].step_in;
    return value_tensor(before.v != 0 ? before : el->step_input);
}

static Value stage_field(const Elaborator *el, Sym name)
{
    if (el->stage == NULL)
        return value_int(strcmp(name, "i") == 0 ? 0 : 1);
    return strcmp(name, "i") == 0 ? value_int(el->stage->i) : el->stage->stride;
}

static Value block_field(Elaborator *el, const Frame *f, Sym name)
{
    while (f != NULL && f->block.v == 0)
        f = f->parent;
    if (f == NULL)
        return POISON;
    el->ordinal_used = true;
    Value v = value_int(el->counting ? 1 << 20 : el->counts.at[f->block_count].total);
    if (strcmp(name, "i") == 0)
        v.i = el->counting ? 0 : f->block_i;
    v.ordinal = true;
    return v;
}

static Value tensor_field(const Elaborator *el, NodeId n, Sym name)
{
    const Shape *s = &el->e->shape[n.v];
    const RfInfo *rf = &el->e->rf[n.v];
    const NodeFacts *facts = &el->facts.at[n.v];
    Value v = value_int(0);
    if (strcmp(name, "c") == 0) {
        v.i = s->c;
        v.lits = facts->lits_c;
        return v;
    }
    v.lits = facts->lits_hw;
    if (strcmp(name, "h") == 0 || strcmp(name, "w") == 0) {
        v.i = name[0] == 'h' ? s->h : s->w;
    } else if (strcmp(name, "rf") == 0) {
        v.i = rf->axis[0].r_min > rf->axis[1].r_min ? rf->axis[0].r_min : rf->axis[1].r_min;
    } else {
        v.kind = V_REAL;
        v.r = 1;
        for (int i = 0; i < 2; i++)
            if (rf->axis[i].n > 0) {
                const RfEntry *e = &rf->axis[i].e[rf->axis[i].min_entry];
                v.r = fmax(v.r, (double)e->s_num / (double)e->s_den);
            }
    }
    return v;
}

static Value eval_field(Elaborator *el, Frame *f, AstId n)
{
    const AstNode *x = node_at(f->module, n), *of = node_at(f->module, kid_at(f->module, n, 0));
    bool is_alias;
    if (of->kind == AST_STAGECTX)
        return stage_field(el, x->sym);
    if (of->kind == AST_BLOCKCTX)
        return block_field(el, f, x->sym);
    if (of->kind == AST_NAME && frame_find(f, of->sym) == NULL) {
        Ref r = module_lookup_in(f->module, of->sym, x->sym, &is_alias);
        if (is_alias)
            return ref_value(el, f->module, r, x->sym, x->span);
    }
    Value v = eval(el, f, kid_at(f->module, n, 0));
    if (v.kind == V_TENSOR)
        return tensor_field(el, v.node, x->sym);
    if (v.kind == V_SIZE && (strcmp(x->sym, "h") == 0 || strcmp(x->sym, "w") == 0)) {
        int64_t i = x->sym[0] == 'h' ? v.size.h : v.size.w;
        v.kind = V_INT;
        v.i = i;
        return v;
    }
    if (v.kind == V_INT && (strcmp(x->sym, "h") == 0 || strcmp(x->sym, "w") == 0))
        return v; /* a stride written as one number */
    if (v.kind != V_POISON)
        diag(&el->s->diags, E_NO_SUCH_FIELD, x->name_span,
             arena_printf(&el->s->arena, "a value of type %s", type_text(value_type(&v))), x->sym);
    return POISON;
}

static Value eval_index(Elaborator *el, Frame *f, AstId n)
{
    AstId index = kid_at(f->module, n, 1);
    Value list = eval(el, f, kid_at(f->module, n, 0));
    Value i = eval_as(el, f, index, (Type){TY_INT, false});
    if (list.kind == V_POISON || i.kind == V_POISON)
        return POISON;
    if (list.kind != V_LIST) {
        diag(&el->s->diags, E_TYPE, node_at(f->module, kid_at(f->module, n, 0))->span, "list",
             type_text(value_type(&list)));
        return POISON;
    }
    if (i.i < 0 || i.i >= list.list.n) {
        diag(&el->s->diags, E_INDEX, node_at(f->module, index)->span, (long)i.i, (long)list.list.n);
        return POISON;
    }
    Value v = list.list.at[i.i];
    v.lits = lits_union(el, v.lits, i.lits);
    v.ordinal = v.ordinal || i.ordinal;
    return v;
}

static Value eval_list(Elaborator *el, Frame *f, AstId n)
{
    uint32_t count = kid_count(f->module, n);
    Value *at = arena_new_n(el->a, Value, count);
    Value v = {.kind = V_LIST};
    for (uint32_t i = 0; i < count; i++) {
        at[i] = eval(el, f, kid_at(f->module, n, i));
        if (at[i].kind == V_POISON)
            return POISON;
        v.lits = lits_union(el, v.lits, at[i].lits);
        v.ordinal = v.ordinal || at[i].ordinal;
    }
    v.list.at = at;
    v.list.n = count;
    return v;
}

bool reject_ordinal(Elaborator *el, const Value *v, Span span)
{
    if (!v->ordinal)
        return false;
    diag(&el->s->diags, E_CONTEXT, span, "block.i or block.n",
         "the position of a block may not decide the structure of the network");
    return true;
}

static Value eval_if(Elaborator *el, Frame *f, AstId n)
{
    AstId cond = kid_at(f->module, n, 0);
    Value c = eval_as(el, f, cond, (Type){TY_BOOL, false});
    if (c.kind == V_POISON)
        return c;
    uint32_t structure = el->structure;
    el->structure = lits_union(el, structure, c.lits);
    Value v = eval(el, f, kid_at(f->module, n, c.b ? 1 : 2));
    el->structure = structure;
    if ((v.kind == V_TENSOR || v.kind == V_LAYER) &&
        reject_ordinal(el, &c, node_at(f->module, cond)->span))
        return POISON;
    v.ordinal = v.ordinal || c.ordinal;
    v.lits = lits_union(el, v.lits, c.lits);
    return v;
}

Value eval_as(Elaborator *el, Frame *f, AstId n, Type t)
{
    return value_as(el, eval(el, f, n), t, node_at(f->module, n)->span);
}

Value eval_call(Elaborator *el, Frame *f, AstId n)
{
    const AstNode *x = node_at(f->module, n);
    Value callee = eval(el, f, kid_at(f->module, n, 0));
    Args args = {f, kid_at(f->module, n, 1), x->span};
    if (callee.kind == V_LAYER)
        return apply_layer(el, callee.closure, &args, NULL);
    if (callee.kind == V_FUNCTION)
        return apply_function(el, callee.closure, &args);
    if (callee.kind != V_POISON)
        diag(&el->s->diags, E_NOT_LAYER, x->span, "this", type_text(value_type(&callee)));
    return POISON;
}

Value eval_layer(Elaborator *el, Frame *f, AstId n)
{
    Value v = eval(el, f, n);
    if (v.kind == V_LAYER || v.kind == V_POISON)
        return v;
    const AstNode *x = node_at(f->module, n);
    diag(&el->s->diags, E_NOT_LAYER, x->span, x->sym != NULL ? x->sym : "this",
         arena_printf(&el->s->arena, "a value of type %s", type_text(value_type(&v))));
    return POISON;
}

static Value eval_kind(Elaborator *el, Frame *f, AstId n)
{
    const AstNode *x = node_at(f->module, n);
    switch ((AstKind)x->kind) {
    case AST_INT:
    case AST_REAL:
    case AST_SIZE:
    case AST_BOOL: return eval_literal(el, f, n);
    case AST_STRING: return (Value){.kind = V_STR, .str = x->sym};
    case AST_NAME: return eval_name(el, f, x);
    case AST_IN: return eval_in(f);
    case AST_PREV: return eval_prev(el);
    case AST_LISTLIT: return eval_list(el, f, n);
    case AST_FIELD: return eval_field(el, f, n);
    case AST_INDEX: return eval_index(el, f, n);
    case AST_CALL: return eval_call(el, f, n);
    case AST_UNARY: return eval_unary(el, f, n);
    case AST_BINARY: return eval_binary(el, f, n);
    case AST_IF: return eval_if(el, f, n);
    case AST_CHAIN: {
        AstId source = kid_at(f->module, n, 0);
        Value in = source.v != 0 ? eval_as(el, f, source, (Type){TY_TENSOR, false}) : eval_in(f);
        return in.kind == V_POISON ? in : run_chain(el, f, n, in, NULL);
    }
    default: return POISON;
    }
}

Value eval(Elaborator *el, Frame *f, AstId n)
{
    Span span = node_at(f->module, n)->span;
    if (!spend(el, span))
        return POISON;
    if (el->depth == DEPTH_LIMIT || stack_low()) {
        diag(&el->s->diags, E_LIMIT, span, "calls are nested too deeply");
        el->fuel = -1;
        return POISON;
    }
    el->depth++;
    Value v = eval_kind(el, f, n);
    el->depth--;
    return v;
}
