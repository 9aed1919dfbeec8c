/* The text that a refinement edits. */
#include "format/format.h"
#include "refine/refine.h"
#include "sema/sema.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct Maker {
    Session *s;
    Arena *a;
    const Elab *e;
    const ElabOptions *opt;
    const Module *m; /* of the net itself, behind its aliases */
    AstId net;
    const char *text;
    uint32_t len;
} Maker;

static const AstNode *at(const Maker *k, AstId n)
{
    return node_at(k->m, n);
}

/* Declarations that a part of the file names, directly or through others: used[i] for decls i. */
static void mark_used(const Maker *k, Span part, bool *used)
{
    for (uint32_t v = 1; v < k->m->ast->nodes.len; v++) {
        const AstNode *x = at(k, (AstId){v});
        if (x->kind != AST_NAME || x->span.lo < part.lo || x->span.hi > part.hi)
            continue;
        for (uint32_t d = 0; d < k->m->decls.len; d++) {
            const Decl *decl = &k->m->decls.at[d];
            if (used[d] || decl->name != x->sym)
                continue;
            used[d] = true;
            mark_used(k, at(k, decl->node)->span, used);
        }
    }
}

/* The text a parameter's default becomes, NULL when it stays: what an alias or -p gave. */
static const char *given(const Maker *k, Sym name)
{
    for (uint32_t i = 0; i < k->e->given.len; i++)
        if (k->e->given.at[i].name == name)
            return k->e->given.at[i].text;
    return NULL;
}

static void add_edit(RefineEdit *edits, uint32_t *n, uint32_t lo, uint32_t hi, const char *text)
{
    if (*n < REFINE_EDITS_MAX)
        edits[(*n)++] = (RefineEdit){lo, hi, text};
}

/* The declared dimensions of the first input, when --input says others. */
static void edit_input(const Maker *k, RefineEdit *edits, uint32_t *n)
{
    AstId items = kid_at(k->m, k->net, 2);
    for (uint32_t i = 0; i < kid_count(k->m, items); i++) {
        AstId item = kid_at(k->m, items, i);
        if (at(k, item)->kind != AST_INPUT)
            continue;
        AstId dims = kid_at(k->m, item, 1);
        for (uint32_t d = 0; d < kid_count(k->m, dims) && d < 3; d++) {
            const AstNode *x = at(k, kid_at(k->m, dims, d));
            bool follows = x->kind == AST_NAME && given(k, x->sym) != NULL;
            if (!follows && !(x->kind == AST_INT && x->i == k->opt->input[d]))
                add_edit(edits, n, x->span.lo, x->span.hi,
                         arena_printf(k->a, "%lld", (long long)k->opt->input[d]));
        }
        return;
    }
}

/* Edits that give the net its arguments and its name. */
static uint32_t specialise(const Maker *k, const char *name, RefineEdit *edits)
{
    uint32_t n = 0;
    const AstNode *net = at(k, k->net);
    AstId params = kid_at(k->m, k->net, 1);
    if (strcmp(net->sym, name) != 0)
        add_edit(edits, &n, net->name_span.lo, net->name_span.hi, name);
    for (uint32_t i = 0; i < kid_count(k->m, params); i++) {
        AstId p = kid_at(k->m, params, i), def = kid_at(k->m, p, 1);
        const char *value = given(k, at(k, p)->sym);
        if (value == NULL)
            continue;
        if (def.v != 0)
            add_edit(edits, &n, at(k, def)->span.lo, at(k, def)->span.hi, value);
        else
            add_edit(edits, &n, at(k, p)->span.hi, at(k, p)->span.hi,
                     arena_printf(k->a, " = %s", value));
    }
    if (k->opt->input[0] != 0)
        edit_input(k, edits, &n);
    return n;
}

static void put_edited(const Maker *k, uint32_t lo, uint32_t hi, const RefineEdit *edits,
                       uint32_t n, Buf *out)
{
    for (uint32_t i = 0; i < n; i++) {
        buf_addn(out, k->text + lo, edits[i].lo - lo);
        buf_add(out, edits[i].text);
        lo = edits[i].hi;
    }
    buf_addn(out, k->text + lo, hi - lo);
}

/* Where the comments and annotations that lead a declaration begin: after the last line before it
 * that is blank or holds something else. */
static uint32_t lead_of(const Maker *k, uint32_t lo)
{
    while (lo > 0 && k->text[lo - 1] != '\n')
        lo--;
    for (;;) {
        uint32_t line = lo;
        if (line == 0)
            return lo;
        line--;
        while (line > 0 && k->text[line - 1] != '\n')
            line--;
        uint32_t c = line;
        while (k->text[c] == ' ' || k->text[c] == '\t')
            c++;
        if (k->text[c] != '#')
            return lo;
        lo = line;
    }
}

/* The library's own head comment, imports, what the net uses, and the net. */
static void write_alone(const Maker *k, const RefineEdit *edits, uint32_t n, Buf *out)
{
    AstId root = k->m->ast->root;
    bool *used = arena_new_n(k->a, bool, k->m->decls.len + 1);
    Span net = at(k, k->net)->span;
    bool first = true, imports = false;
    mark_used(k, net, used);
    for (uint32_t i = 0; i < kid_count(k->m, root); i++) {
        AstId item = kid_at(k->m, root, i);
        const AstNode *x = at(k, item);
        uint32_t lead = first ? 0 : lead_of(k, x->span.lo);
        bool wanted = x->kind == AST_IMPORT || item.v == k->net.v;
        for (uint32_t d = 0; d < k->m->decls.len; d++)
            wanted = wanted || (used[d] && k->m->decls.at[d].node.v == item.v);
        if (first && !wanted) { /* the head comment stays though what follows goes */
            uint32_t head = lead_of(k, x->span.lo);
            buf_addn(out, k->text, head);
        }
        first = false;
        if (!wanted)
            continue;
        if (imports && x->kind != AST_IMPORT)
            buf_addc(out, '\n');
        imports = x->kind == AST_IMPORT;
        if (item.v == k->net.v)
            put_edited(k, lead, net.hi, edits, n, out);
        else
            buf_addn(out, k->text + lead, x->span.hi - lead);
        buf_add(out, x->kind == AST_IMPORT ? "\n" : "\n\n");
    }
}

/* In the canonical layout; as it is when it does not parse. */
static void lay_out(const Maker *k, Buf *text)
{
    Session *s = k->s;
    uint32_t errors = s->diags.errors, mark = s->diags.all.len;
    uint32_t src = source_add(&s->sources, "<refined>", text->at, text->len);
    Ast *t = parse_file(k->a, s->intern, &s->diags, &s->sources, src);
    Buf out = {0};
    if (s->diags.errors == errors && format_ast(t, k->a, s->intern, &out) && buf_ok(&out)) {
        buf_free(text);
        *text = out;
        return;
    }
    buf_free(&out);
    diag_rewind(&s->diags, mark);
}

static bool finish(const Maker *k, const char *path, const char *name, Buf *text, bool copied,
                   RefineBase *out, const char **why)
{
    if (!buf_ok(text)) {
        buf_free(text);
        *why = "out of memory";
        return false;
    }
    *out = (RefineBase){path, name, arena_strndup(k->a, text->at, text->len), text->len, copied};
    buf_free(text);
    return true;
}

bool refine_base(Session *s, Arena *a, NetRef net, const ElabOptions *opt, RefineBase *out,
                 const char **why)
{
    uint32_t mark = s->diags.all.len;
    const Elab *e = elab_net(s, a, net, opt);
    diag_rewind(&s->diags, mark);
    if (e == NULL) {
        *why = "it has errors";
        return false;
    }
    const Module *own = s->modules.at[net.module];
    Maker k = {.s = s, .a = a, .e = e, .opt = opt, .m = s->modules.at[e->decl_module]};
    k.net = e->decl;
    const Source *src = source_get(&s->sources, k.m->ast->src);
    k.text = src->text;
    k.len = src->len;
    RefineEdit edits[REFINE_EDITS_MAX];
    uint32_t n = specialise(&k, net.name, edits);
    Span decl = node_at(own, net.decl)->span;
    Buf text = {0};
    if (!k.m->std && k.m == own && net.decl.v == k.net.v) { /* a net of the user's file */
        put_edited(&k, 0, k.len, edits, n, &text);
        return finish(&k, k.m->path, net.name, &text, false, out, why);
    }
    if (!k.m->std && k.m == own) { /* an alias there: the net is written out in its place */
        Span whole = at(&k, k.net)->span;
        buf_addn(&text, k.text, decl.lo);
        put_edited(&k, whole.lo, whole.hi, edits, n, &text);
        buf_addn(&text, k.text + decl.hi, k.len - decl.hi);
        return finish(&k, k.m->path, net.name, &text, false, out, why);
    }
    if (!k.m->std) {
        *why = "it is an alias of a net in another file; refine that one";
        return false;
    }
    write_alone(&k, edits, n, &text);
    if (buf_ok(&text))
        lay_out(&k, &text);
    /* no such folder: the name stays as it is, and the library is all that can be imported */
    return finish(&k, arena_printf(a, "<refined>/%s.cnn", net.name), net.name, &text, true, out,
                  why);
}
