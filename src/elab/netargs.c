/* The parameters of a net: through aliases, from the command line, from defaults. */
#include "elab/elaborator.h"
#include <string.h>

/* `name=value` of -p: the value as an expression of its own little module. */
typedef struct ParamOption {
    Sym name;
    AstId value;
    const Module *module;
    Span span;
    bool used;
} ParamOption;
typedef VEC(ParamOption) ParamOptions;

static bool parse_option(Elaborator *el, const char *text, ParamOption *out)
{
    const char *eq = strchr(text, '=');
    Arena *a = &el->s->arena;
    if (eq == NULL || eq == text) {
        diag(&el->s->diags, E_VALUE, SPAN_NONE,
             arena_printf(a, "-p takes name=value, not '%s'", text));
        return false;
    }
    const char *source = arena_printf(a, "let p = %s\n", eq + 1);
    uint32_t errors = el->s->diags.errors;
    Module *m = arena_new(a, Module);
    m->path = arena_printf(a, "<-p %s>", text);
    m->index = UINT32_MAX;
    m->ast = parse_file(a, el->s->intern, &el->s->diags, &el->s->sources,
                        source_add(&el->s->sources, m->path, source, strlen(source)));
    if (el->s->diags.errors != errors)
        return false;
    AstId root = m->ast->root;
    if (kid_count(m, root) != 1 || node_at(m, kid_at(m, root, 0))->kind != AST_LET) {
        diag(&el->s->diags, E_VALUE, SPAN_NONE,
             arena_printf(a, "-p takes one value, not '%s'", eq + 1));
        return false;
    }
    *out = (ParamOption){.name = intern_n(el->s->intern, text, (size_t)(eq - text)),
                         .module = m,
                         .value = kid_at(m, kid_at(m, root, 0), 0)};
    out->span = node_at(m, out->value)->span;
    return true;
}

static void record(Elaborator *el, const char *name, const Value *v)
{
    Buf text = {0};
    buf_printf(&text, "%s=", name);
    value_print(v, &text);
    if (buf_ok(&text))
        vec_push(el->a, &el->e->param_values, arena_strdup(el->a, text.at));
    buf_free(&text);
}

/* Shells take quotes away: -p mode=wide is a text where a text is wanted. */
static Value option_value(Elaborator *el, const ParamOption *o, Type t)
{
    const AstNode *x = node_at(o->module, o->value);
    if (t.kind == TY_STR && !t.list && x->kind == AST_NAME)
        return (Value){.kind = V_STR, .str = x->sym};
    return eval_as(el, frame_new(el, NULL, o->module), o->value, t);
}

/* Values by formal from the command line; those that are not a formal's are left for the next net
 * of the alias chain. */
static bool take_options(Elaborator *el, const Signature *sig, ParamOptions *opts, Value *vals)
{
    for (uint32_t i = 0; i < opts->len; i++) {
        ParamOption *o = &opts->at[i];
        for (uint32_t f = 0; f < sig->count; f++) {
            if (strcmp(sig->formals[f].name, o->name) != 0)
                continue;
            Value v = option_value(el, o, sig->formals[f].type);
            if (v.kind == V_POISON)
                return false;
            v.lits = 0; /* nothing in the source to change */
            vals[f] = v;
            o->used = true;
            record(el, o->name, &v);
        }
    }
    return true;
}

/* The resolution asked for reaches a parameter called res. */
static void take_resolution(const Elaborator *el, const Signature *sig, Value *vals,
                            const ParamOptions *opts)
{
    for (uint32_t i = 0; i < opts->len; i++)
        if (strcmp(opts->at[i].name, "res") == 0)
            return;
    for (uint32_t f = 0; f < sig->count && el->opt->input[0] != 0; f++)
        if (strcmp(sig->formals[f].name, "res") == 0 && sig->formals[f].type.kind == TY_INT &&
            !sig->formals[f].type.list)
            vals[f] = value_int(el->opt->input[1]);
}

static Frame *bind_net(Elaborator *el, const Module *m, AstId decl, const Signature *sig,
                       const Value *vals)
{
    Frame *f = frame_new(el, NULL, m);
    bool ok = true;
    for (uint32_t i = 0; i < sig->count; i++) {
        const Formal *p = &sig->formals[i];
        Value v = vals[i];
        if (v.kind == V_POISON && p->required) {
            args_missing(el->s, el->e->net_span, sig, p);
            diag_help(&el->s->diags, el->s->diags.all.len - 1, SPAN_NONE,
                      "give it on the command line: -p %s=...", p->name);
            ok = false;
            continue;
        }
        if (v.kind == V_POISON)
            v = eval_as(el, f, p->def, p->type);
        ok = ok && v.kind != V_POISON;
        frame_bind(el, f, p->name, v);
    }
    (void)decl;
    return ok ? f : NULL;
}

/* The net an alias stands for, and the arguments it gives (a LIST, or none). */
static bool alias_target(Elaborator *el, const Module *m, AstId decl, Ref *net, AstId *args)
{
    AstId value = kid_at(m, decl, 2);
    const AstNode *x = node_at(m, value);
    bool call = x->kind == AST_CALL;
    AstId callee = call ? kid_at(m, value, 0) : value;
    const AstNode *c = node_at(m, callee);
    bool is_alias;
    *args = call ? kid_at(m, value, 1) : AST_NIL;
    *net = (Ref){0};
    if (c->kind == AST_NAME)
        *net = module_lookup(m, c->sym);
    else if (c->kind == AST_FIELD && node_at(m, kid_at(m, callee, 0))->kind == AST_NAME)
        *net = module_lookup_in(m, node_at(m, kid_at(m, callee, 0))->sym, c->sym, &is_alias);
    int kind = net->kind == REF_DECL ? node_at(net->module, net->node)->kind : AST_NONE;
    if (kind == AST_NET || kind == AST_NETALIAS)
        return true;
    diag(&el->s->diags, E_TYPE, x->span, "net", "another value");
    return false;
}

/* One level of the alias chain: values for the formals of the next. */
static Value *alias_args(Elaborator *el, Frame *f, const Signature *sig, AstId args)
{
    const Module *m = f->module;
    Value *vals = arena_new_n(el->a, Value, sig->count + 1);
    int32_t *slot = arena_new_n(el->a, int32_t, sig->count + 1);
    if (!args_bind(el->s, m, sig, args, 0, slot))
        return NULL;
    for (uint32_t i = 0; i < sig->count; i++) {
        if (slot[i] < 0)
            continue;
        vals[i] =
            eval_as(el, f, kid_at(m, kid_at(m, args, (uint32_t)slot[i]), 0), sig->formals[i].type);
        if (vals[i].kind == V_POISON)
            return NULL;
    }
    return vals;
}

/* What to do about a parameter that the net does not have. */
static void help_unknown(Elaborator *el, uint32_t d, const char *name, const char *const *names,
                         uint32_t count)
{
    const char *near = intern_nearest(name, names, count);
    bool path = strcmp(name, "drop_path_rate") == 0;
    if (path || strcmp(name, "drop_rate") == 0)
        diag_help(&el->s->diags, d, SPAN_NONE,
                  "a net has one where it is declared with '%s: real = 0.1' and applies '%s'", name,
                  path ? "drop_path(drop_path_rate * block.i / block.n)" : "dropout(drop_rate)");
    else if (near != NULL)
        diag_help(&el->s->diags, d, SPAN_NONE, "did you mean '-p %s=...'?", near);
}

static void unknown_options(Elaborator *el, NetRef net, const Signature *sig,
                            const ParamOptions *opts)
{
    const char **names = arena_new_n(el->a, const char *, sig->count + 1);
    for (uint32_t f = 0; f < sig->count; f++)
        names[f] = sig->formals[f].name;
    for (uint32_t i = 0; i < opts->len; i++) {
        if (opts->at[i].used)
            continue;
        uint32_t d = diag(&el->s->diags, E_ARG_UNKNOWN, SPAN_NONE, net.name, opts->at[i].name);
        help_unknown(el, d, opts->at[i].name, names, sig->count);
    }
}

static void keep_given(Elaborator *el, const Module *m, AstId decl, const Signature *sig,
                       const Value *vals)
{
    el->e->decl_module = m->index;
    el->e->decl = decl;
    for (uint32_t i = 0; i < sig->count; i++) {
        Buf text = {0};
        if (vals[i].kind == V_POISON)
            continue;
        value_print(&vals[i], &text);
        if (!buf_ok(&text)) { /* a refinement without the argument would be of another net */
            buf_free(&text);
            arena_give_up(el->a, 0);
        }
        if (text.at != NULL)
            vec_push(el->a, &el->e->given,
                     ((GivenParam){sig->formals[i].name, arena_strdup(el->a, text.at)}));
        buf_free(&text);
    }
}

bool net_open(Elaborator *el, NetRef net, OpenNet *out)
{
    enum { ALIASES = 64 };
    const Module *m = el->s->modules.at[net.module];
    AstId decl = net.decl;
    ParamOptions opts = {0};
    uint32_t errors = el->s->diags.errors;
    for (uint32_t i = 0; i < el->opt->param_count; i++) {
        ParamOption o;
        if (!parse_option(el, el->opt->params[i], &o))
            return false;
        vec_push(el->a, &opts, o);
    }
    Signature sig = signature_of_decl(el->a, m, decl);
    Value *vals = arena_new_n(el->a, Value, sig.count + 1);
    for (int level = 0; level < ALIASES && vals != NULL; level++) {
        if (!take_options(el, &sig, &opts, vals))
            return false;
        take_resolution(el, &sig, vals, &opts);
        Frame *f = bind_net(el, m, decl, &sig, vals);
        if (f == NULL)
            return false;
        if (node_at(m, decl)->kind == AST_NET) {
            unknown_options(el, net, &sig, &opts);
            keep_given(el, m, decl, &sig, vals);
            *out = (OpenNet){m, decl, f};
            return el->s->diags.errors == errors;
        }
        Ref next;
        AstId args;
        apply_annotations(el, m, kid_at(m, decl, 0), 0, 1);
        if (!alias_target(el, m, decl, &next, &args))
            return false;
        sig = signature_of_decl(el->a, next.module, next.node);
        vals = alias_args(el, f, &sig, args);
        m = next.module;
        decl = next.node;
    }
    if (vals != NULL)
        diag(&el->s->diags, E_RECURSION, el->e->net_span, net.name);
    return false;
}
