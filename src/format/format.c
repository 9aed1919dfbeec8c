#include "format/format.h"
#include "format/layout.h"
#include <string.h>

/* The comments at the end of the file. */
static void rest(Layout *l)
{
    for (; l->cursor < l->t->tokens.len; l->cursor++) {
        const Token *k = &l->t->tokens.at[l->cursor];
        DocItem x = {.kind = DOC_OWN_COMMENT, .at = l->t->text + k->lo, .len = k->hi - k->lo};
        int lines = 0;
        for (uint32_t i = l->cursor > 0 ? k[-1].hi : 0; i < k->lo; i++)
            lines += l->t->text[i] == '\n';
        while (x.len > 0 && strchr(" \t\r", x.at[x.len - 1]) != NULL)
            x.len--;
        x.blank_before = lines > 1;
        l->failed = l->failed || k->kind != TOKEN_COMMENT;
        vec_push(l->a, &l->doc, x);
    }
}

static uint32_t visible(const Ast *t, const Token *k)
{
    uint32_t n = k->hi - k->lo;
    if (k->kind == TOKEN_COMMENT)
        while (n > 0 && strchr(" \t\r", t->text[k->lo + n - 1]) != NULL)
            n--;
    return n;
}

static bool same_tokens(const Ast *x, const Ast *y)
{
    if (x->tokens.len != y->tokens.len)
        return false;
    for (uint32_t i = 0; i < x->tokens.len; i++) {
        const Token *a = &x->tokens.at[i], *b = &y->tokens.at[i];
        uint32_t n = visible(x, a);
        if (a->kind != b->kind || n != visible(y, b) ||
            memcmp(x->text + a->lo, y->text + b->lo, n) != 0)
            return false;
    }
    return true;
}

/* The promise of the header, kept by trying. */
static bool unchanged(const Ast *t, Arena *a, Intern *names, const Buf *out)
{
    SourceMap sources = {.arena = a};
    Diags diags;
    diags_init(&diags, a, &sources);
    uint32_t src = source_add(&sources, "formatted", out->at != NULL ? out->at : "", out->len);
    const Ast *again = parse_file(a, names, &diags, &sources, src);
    return diags.errors == 0 && same_tokens(t, again) && ast_equal(t, again);
}

bool format_ast(const Ast *t, Arena *a, Intern *names, Buf *out)
{
    Layout l = {.t = t, .a = a};
    DocLines lines = {0};
    lay_file(&l);
    rest(&l);
    if (l.failed)
        return false;
    doc_print(&l.doc, a, out, &lines);
    if (buf_ok(out) && lines.len > 0) {
        const char *text = arena_strndup(a, out->at, out->len);
        out->len = 0;
        doc_align(text, &lines, out);
    }
    return buf_ok(out) && unchanged(t, a, names, out);
}
