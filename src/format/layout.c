/* Tokens, comments and groups. */
#include "format/layout.h"
#include <string.h>

static const Token *token_at(const Layout *l, uint32_t i)
{
    return i < l->t->tokens.len ? &l->t->tokens.at[i] : NULL;
}

static const Token *next(const Layout *l)
{
    for (uint32_t i = l->cursor; i < l->t->tokens.len; i++)
        if (l->t->tokens.at[i].kind != TOKEN_COMMENT)
            return &l->t->tokens.at[i];
    return NULL;
}

static bool reads(const Layout *l, const Token *k, const char *text)
{
    size_t n = strlen(text);
    return k != NULL && k->hi - k->lo == n && memcmp(l->t->text + k->lo, text, n) == 0;
}

bool lay_next_is(const Layout *l, const char *text)
{
    return reads(l, next(l), text);
}

uint32_t lay_next_at(const Layout *l)
{
    const Token *k = next(l);
    return k != NULL ? k->lo : UINT32_MAX;
}

/* Line ends between the token before `i` and it: 0, 1, or 2 for an empty line. */
static int lines_before(const Layout *l, uint32_t i)
{
    uint32_t from = i > 0 ? l->t->tokens.at[i - 1].hi : 0;
    int n = 0;
    for (uint32_t k = from; k < l->t->tokens.at[i].lo && n < 2; k++)
        n += l->t->text[k] == '\n';
    return n;
}

static DocItem item_of(const Layout *l, DocKind kind, uint32_t i)
{
    const Token *k = &l->t->tokens.at[i];
    DocItem x = {.kind = kind,
                 .at = l->t->text + k->lo,
                 .len = k->hi - k->lo,
                 .blank_before = lines_before(l, i) == 2};
    if (kind != DOC_TEXT)
        while (x.len > 0 &&
               (x.at[x.len - 1] == ' ' || x.at[x.len - 1] == '\t' || x.at[x.len - 1] == '\r'))
            x.len--;
    return x;
}

/* Comments that stand alone on their lines, up to the next token. */
static void own_comments(Layout *l)
{
    const Token *k;
    while ((k = token_at(l, l->cursor)) != NULL && k->kind == TOKEN_COMMENT) {
        vec_push(l->a, &l->doc, item_of(l, DOC_OWN_COMMENT, l->cursor));
        l->cursor++;
    }
}

/* Groups that hold a comment and what comes after it cannot stay on one line. */
static void break_around(Layout *l)
{
    for (uint32_t i = 0; i < l->low && i < l->open.len; i++)
        l->doc.at[l->open.at[i]].broken = true;
}

void lay_token(Layout *l)
{
    const Token *k = token_at(l, l->cursor);
    if (k == NULL || l->failed) {
        l->failed = true;
        return;
    }
    bool comment = k->kind == TOKEN_COMMENT ||
                   (l->cursor > 0 && token_at(l, l->cursor - 1)->kind == TOKEN_COMMENT);
    own_comments(l);
    if (comment)
        break_around(l);
    if (token_at(l, l->cursor) == NULL) {
        l->failed = true;
        return;
    }
    DocItem x = item_of(l, DOC_TEXT, l->cursor);
    x.opens = x.len == 1 && strchr("([{", *x.at) != NULL;
    x.closes =
        (x.len == 1 && strchr(")]}", *x.at) != NULL) || reads(l, token_at(l, l->cursor), "else");
    vec_push(l->a, &l->doc, x);
    l->low = l->open.len;
    k = token_at(l, ++l->cursor);
    if (k != NULL && k->kind == TOKEN_COMMENT && lines_before(l, l->cursor) == 0) {
        vec_push(l->a, &l->doc, item_of(l, DOC_COMMENT, l->cursor));
        l->cursor++;
    }
}

void lay_expect(Layout *l, const char *text)
{
    if (!lay_next_is(l, text))
        l->failed = true;
    lay_token(l);
}

void lay_add(Layout *l, DocKind kind)
{
    vec_push(l->a, &l->doc, ((DocItem){.kind = kind}));
}

void lay_mark(Layout *l, DocMark mark)
{
    vec_push(l->a, &l->doc, ((DocItem){.kind = DOC_MARK, .mark = mark}));
}

void lay_begin(Layout *l, DocGroup group)
{
    vec_push(l->a, &l->open, l->doc.len);
    vec_push(l->a, &l->doc, ((DocItem){.kind = DOC_BEGIN, .group = group}));
}

void lay_end(Layout *l)
{
    uint32_t begin = l->open.at[--l->open.len];
    l->doc.at[begin].end = l->doc.len;
    if (l->doc.at[begin].broken && l->open.len > 0)
        l->doc.at[l->open.at[l->open.len - 1]].broken = true;
    if (l->low > l->open.len)
        l->low = l->open.len;
    lay_add(l, DOC_END);
}

void lay_break(Layout *l)
{
    for (uint32_t i = 0; i < l->open.len; i++)
        l->doc.at[l->open.at[i]].broken = true;
}

void lay_close(Layout *l, DocKind line, const char *bracket)
{
    const Token *k = token_at(l, l->cursor);
    if (k != NULL && k->kind == TOKEN_COMMENT) {
        lay_add(l, DOC_HARD);
        own_comments(l);
        break_around(l);
    }
    lay_add(l, DOC_OUT);
    lay_add(l, line);
    lay_expect(l, bracket);
}
