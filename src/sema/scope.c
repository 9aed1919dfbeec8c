/* Local names: one name space, nothing hidden, nothing idle. */
#include "sema/check.h"
#include "sema/stdlib_data.h"
#include <stdio.h>
#include <string.h>

Local *scope_find(Checker *c, Sym name)
{
    Local *found = NULL;
    for (uint32_t i = 0; i < c->locals.len; i++) {
        Local *l = &c->locals.at[i];
        if (l->name != name || l->other_arm)
            continue;
        /* the same name in both arms of an if: one use serves both */
        l->used = true;
        found = l;
    }
    return found;
}

static bool other_place(Checker *c, Sym name, Span *at)
{
    for (uint32_t i = 0; i < c->locals.len; i++)
        if (c->locals.at[i].name == name && !c->locals.at[i].other_arm) {
            *at = c->locals.at[i].span;
            return true;
        }
    Ref r = module_lookup(c->m, name);
    if (r.kind == REF_DECL) {
        *at = node_at(r.module, r.node)->name_span;
        return true;
    }
    for (uint32_t i = 0; i < c->m->imports.len; i++)
        if (c->m->imports.at[i].alias == name) {
            *at = c->m->imports.at[i].span;
            return true;
        }
    return false;
}

void scope_declare(Checker *c, Sym name, LocalKind kind, Type type, AstId node, Span span)
{
    Span at;
    bool clash = other_place(c, name, &at);
    if (clash) {
        uint32_t d = diag(&c->s->diags, E_REDEFINED, span, name);
        diag_note(&c->s->diags, d, at, "the other '%s' is here", name);
        diag_help(&c->s->diags, d, SPAN_NONE, "rename one of them");
    } else if (kind != LOCAL_HEAD && module_lookup(c->m, name).kind != REF_NONE) {
        diag(&c->s->diags, W_SHADOWS_OP, span, name);
    }
    Local l = {.name = name, .kind = kind, .type = type, .node = node, .span = span};
    l.used = kind == LOCAL_STAGE || kind == LOCAL_HEAD || kind == LOCAL_INPUT || name[0] == '_';
    if (clash) { /* which of them a use means is anyone's guess: no errors that follow from it */
        l.kind = LOCAL_BINDING;
        l.type = TYPE(UNKNOWN);
    }
    vec_push(&c->s->arena, &c->locals, l);
}

void scope_close(Checker *c, uint32_t mark)
{
    static const char *const what[] = {
        [LOCAL_PARAM] = "parameter", [LOCAL_BINDING] = "binding", [LOCAL_FN] = "function",
        [LOCAL_BLOCK] = "block",     [LOCAL_STAGE] = "stage",     [LOCAL_HEAD] = "head",
        [LOCAL_INPUT] = "input",     [LOCAL_STEP] = "name"};
    for (uint32_t i = mark; i < c->locals.len; i++)
        if (!c->locals.at[i].used)
            diag(&c->s->diags, W_UNUSED, c->locals.at[i].span, what[c->locals.at[i].kind],
                 c->locals.at[i].name);
    c->locals.len = mark;
}

/* Whether an embedded module declares a block or value of that name, as the library writes them. */
static bool library_declares(const CnncStdFile *f, const char *what, Sym name)
{
    char words[96];
    int n = snprintf(words, sizeof words, "\n%s %s", what, name);
    if (n < 0 || (size_t)n >= sizeof words)
        return false;
    for (const char *at = (const char *)f->text; (at = strstr(at, words)) != NULL; at += n)
        if (at[n] == '(' || at[n] == ' ' || at[n] == '\n')
            return true;
    return false;
}

/* A name of the library whose module is not imported: the line that is missing. */
static void suggest_import(Checker *c, uint32_t d, Sym name)
{
    const Ast *t = c->m->ast;
    Span at = {t->src, 0, 0};
    for (uint32_t i = 0; i < c->m->imports.len; i++)
        at.lo = at.hi = c->m->imports.at[i].span.hi;
    for (unsigned i = 0; i < cnnc_std_file_count; i++) {
        const CnncStdFile *f = &cnnc_std_files[i];
        if (!library_declares(f, "block", name) && !library_declares(f, "let", name))
            continue;
        int len = (int)(strlen(f->name) - strlen(".cnn"));
        const char *line = arena_printf(
            &c->s->arena, at.lo > 0 ? "\nimport std.%.*s" : "import std.%.*s\n\n", len, f->name);
        diag_suggest(&c->s->diags, d, at, line, "std.%.*s declares it", len, f->name);
    }
}

void scope_undefined(Checker *c, Sym name, Span span)
{
    VEC(const char *) names = {0};
    Arena *a = &c->s->arena;
    for (uint32_t i = 0; i < c->locals.len; i++)
        vec_push(a, &names, c->locals.at[i].name);
    for (uint32_t i = 0; i < c->m->decls.len; i++)
        vec_push(a, &names, c->m->decls.at[i].name);
    for (uint32_t i = 0; i < c->m->imports.len; i++) {
        const Import *in = &c->m->imports.at[i];
        for (uint32_t k = 0; in->alias == NULL && in->module && k < in->module->decls.len; k++)
            vec_push(a, &names, in->module->decls.at[k].name);
    }
    for (int op = 1; op < OP_COUNT; op++)
        if (!(op_info[op].flags & OPF_INTERNAL))
            vec_push(a, &names, op_info[op].name);
    for (int i = 0; i < BUILTIN_COUNT; i++)
        vec_push(a, &names, builtin_info[i].name);
    uint32_t d = diag(&c->s->diags, E_UNDEFINED, span, name);
    vec_push(a, &names, "true");
    vec_push(a, &names, "false");
    diag_nearest(&c->s->diags, d, span, name, names.at, names.len);
    suggest_import(c, d, name);
}
