/* From text to tree: the actions of grammar/cnn.y and the literals of grammar/cnn.l. */
#include "syntax/parse.h"
#include "cnn_parse.h"
#define YYSTYPE CNN_STYPE
#define YYLTYPE CNN_LTYPE
#include "cnn_lex.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCE_LIMIT = 16 << 20 };

AstNode *parse_at(Parse *p, AstId id)
{
    return &p->ast->nodes.at[id.v];
}

static AstId new_node(Parse *p, AstKind kind, Span span)
{
    vec_push(p->arena, &p->ast->nodes, ((AstNode){.kind = (uint8_t)kind, .span = span}));
    vec_push(p->arena, &p->next, 0);
    vec_push(p->arena, &p->depth, 1);
    return (AstId){p->ast->nodes.len - 1};
}

/* Kids beyond the depth limit are replaced by poison: every later stage may recurse. */
static void add_kid(Parse *p, AstId of, AstId kid)
{
    uint32_t depth = p->depth.at[kid.v] + 1;
    if (depth > AST_MAX_DEPTH) {
        if (!p->too_deep)
            diag(p->diags, E_TOO_DEEP, p->ast->nodes.at[kid.v].span, AST_MAX_DEPTH);
        p->too_deep = true;
        kid = new_node(p, AST_POISON, p->ast->nodes.at[kid.v].span);
        depth = 2;
    }
    vec_push(p->arena, &p->ast->kids, kid);
    if (depth > p->depth.at[of.v])
        p->depth.at[of.v] = depth;
}

static AstId add_node(Parse *p, AstKind kind, Span span, int n, va_list ap)
{
    AstId id = new_node(p, kind, span);
    uint32_t first = p->ast->kids.len;
    for (int i = 0; i < n; i++)
        add_kid(p, id, va_arg(ap, AstId));
    parse_at(p, id)->kid_first = first;
    parse_at(p, id)->kid_count = (uint32_t)n;
    return id;
}

AstId parse_node(Parse *p, AstKind kind, Span span, int n, ...)
{
    va_list ap;
    va_start(ap, n);
    AstId id = add_node(p, kind, span, n, ap);
    va_end(ap);
    return id;
}

AstId parse_named(Parse *p, AstKind kind, Span span, Word name, int n, ...)
{
    va_list ap;
    va_start(ap, n);
    AstId id = add_node(p, kind, span, n, ap);
    va_end(ap);
    parse_at(p, id)->sym = name.sym;
    parse_at(p, id)->name_span = name.span;
    return id;
}

void parse_push(Parse *p, NodeList *l, AstId id)
{
    if (id.v == 0)
        return;
    if (l->n++ == 0)
        l->head = id.v;
    else
        p->next.at[l->tail] = id.v;
    l->tail = id.v;
}

static void add_list(Parse *p, AstId of, NodeList l)
{
    uint32_t at = l.head;
    for (uint32_t i = 0; i < l.n; i++) {
        uint32_t next = p->next.at[at];
        add_kid(p, of, (AstId){at});
        at = next;
    }
}

AstId parse_list(Parse *p, Span span, NodeList l)
{
    AstId id = new_node(p, AST_LIST, span);
    uint32_t first = p->ast->kids.len;
    add_list(p, id, l);
    parse_at(p, id)->kid_first = first;
    parse_at(p, id)->kid_count = l.n;
    return id;
}

AstId parse_chain(Parse *p, Span span, AstId source, NodeList steps)
{
    AstId id = new_node(p, AST_CHAIN, span);
    uint32_t first = p->ast->kids.len;
    add_kid(p, id, source);
    add_list(p, id, steps);
    parse_at(p, id)->kid_first = first;
    parse_at(p, id)->kid_count = steps.n + 1;
    return id;
}

AstId parse_annotate(Parse *p, AstId decl, NodeList annots, Span span)
{
    AstNode *d = parse_at(p, decl);
    if (d->kind == AST_BLOCK || d->kind == AST_NET || d->kind == AST_NETALIAS ||
        d->kind == AST_STAGE || d->kind == AST_HEAD || d->kind == AST_INPUT) {
        AstId list = parse_list(p, span, annots);
        d = parse_at(p, decl);
        p->ast->kids.at[d->kid_first] = list;
        if (p->depth.at[decl.v] < p->depth.at[list.v] + 1)
            p->depth.at[decl.v] = p->depth.at[list.v] + 1;
        if (annots.n > 0)
            d->span = span_join(span, d->span);
    } else if (annots.n > 0 && d->kind != AST_POISON) {
        AstNode *first = parse_at(p, (AstId){annots.head});
        diag(p->diags, E_ANNOTATION, first->span, first->sym,
             "annotations belong to a stage, head, block, net, input or step");
    }
    return decl;
}

void parse_error(Parse *p, Span at, const char *text)
{
    if (strcmp(text, "memory exhausted") == 0)
        diag(p->diags, E_TOO_DEEP, at, AST_MAX_DEPTH);
    else
        diag(p->diags, E_SYNTAX, at, text);
}

void parse_stray(Parse *p, Span at)
{
    const char *text = p->ast->text + at.lo;
    int n = (int)(at.hi - at.lo);
    unsigned char c = (unsigned char)text[0];
    if (c < 0x20 || c == 0x7F || (c >= 0x80 && (n < 2 || n > 4)))
        diag(p->diags, E_STRAY_CHAR, at, arena_printf(p->arena, "0x%02x", c));
    else if (c == ';')
        diag_fix(p->diags, diag(p->diags, E_STRAY_CHAR, at, "';'"), at, "",
                 "statements need nothing between them");
    else
        diag(p->diags, E_STRAY_CHAR, at, arena_printf(p->arena, "'%.*s'", n, text));
}

void parse_misspelt(Parse *p, Span at, const char *right)
{
    const char *text = arena_strndup(p->arena, p->ast->text + at.lo, at.hi - at.lo);
    diag_fix(p->diags, diag(p->diags, E_STRAY_CHAR, at, text), at, right, "write %s", right);
}

Word parse_single_quoted(Parse *p, Span at)
{
    const char *text = p->ast->text + at.lo + 1;
    size_t n = at.hi - at.lo - 2;
    uint32_t d = diag(p->diags, E_STRAY_CHAR, at, "'");
    diag_fix(p->diags, d, at, arena_printf(p->arena, "\"%.*s\"", (int)n, text),
             "texts stand in double quotes");
    return (Word){intern_n(p->intern, text, n), at};
}

static bool read_int(const char *text, const char **end, int64_t *out)
{
    int64_t v = 0;
    bool ok = true;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *text - '0', &v))
            ok = false;
    *end = text;
    *out = ok ? v : 0;
    return ok;
}

AstId parse_int(Parse *p, Span span, const char *text)
{
    AstId id = new_node(p, AST_INT, span);
    const char *end;
    int64_t v;
    if (!read_int(text, &end, &v)) {
        diag(p->diags, E_NUMBER_RANGE, span, text);
        parse_at(p, id)->kind = AST_POISON;
    }
    parse_at(p, id)->i = v;
    return id;
}

AstId parse_real(Parse *p, Span span, const char *text)
{
    AstId id = new_node(p, AST_REAL, span);
    double v = strtod(text, NULL);
    if (!isfinite(v)) {
        diag(p->diags, E_NUMBER_RANGE, span, text);
        parse_at(p, id)->kind = AST_POISON;
        v = 0;
    }
    parse_at(p, id)->r = v;
    return id;
}

AstId parse_size(Parse *p, Span span, const char *text)
{
    AstId id = new_node(p, AST_SIZE, span);
    int64_t v[2];
    const char *end = text, *second;
    bool ok = read_int(text, &end, &v[0]);
    ok = read_int(end + 1, &second, &v[1]) && ok;
    if (*second != 0)
        diag(p->diags, E_BAD_NUMBER, span, text);
    else if (!ok)
        diag(p->diags, E_NUMBER_RANGE, span, text);
    if (*second != 0 || !ok)
        parse_at(p, id)->kind = AST_POISON;
    memcpy(parse_at(p, id)->size, v, sizeof v);
    return id;
}

Word parse_string(Parse *p, Span span, const char *text, size_t len)
{
    char *out = arena_alloc(p->arena, len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '\\') {
            c = text[++i];
            Span at = {span.src, span.lo + (uint32_t)i, span.lo + (uint32_t)i + 2};
            if (c == 'n' || c == 't')
                c = c == 'n' ? '\n' : '\t';
            else if (c != '"' && c != '\\')
                diag(p->diags, E_BAD_ESCAPE, at, c);
        }
        if (c == 0)
            diag(p->diags, E_STRAY_CHAR, span, "0x00 in a string");
        else
            out[n++] = c;
    }
    return (Word){intern_n(p->intern, out, n), span};
}

Ast *parse_file(Arena *a, Intern *in, Diags *d, SourceMap *m, uint32_t src)
{
    const Source *s = source_get(m, src);
    Ast *ast = arena_new(a, Ast);
    ast->arena = a;
    ast->src = src;
    ast->text = s->text;
    Parse p = {.ast = ast, .intern = in, .diags = d, .arena = a};
    new_node(&p, AST_NONE, SPAN_NONE);
    if (s->len > SOURCE_LIMIT) {
        diag(d, E_FILE_TOO_LARGE, (Span){src, 0, 0}, s->path, (long)SOURCE_LIMIT);
    } else if (cnn_lex_init_extra(&p, &p.scanner) == 0) {
        /* A byte order mark is not part of the program. */
        uint32_t skip = s->len >= 3 && memcmp(s->text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
        p.pos = skip;
        cnn__scan_bytes(s->text + skip, (int)(s->len - skip), p.scanner);
        cnn_parse(&p);
        cnn_lex_destroy(p.scanner);
    } else {
        longjmp(a->oom->env, 1);
    }
    if (ast->root.v == 0)
        ast->root = parse_node(&p, AST_FILE, (Span){src, 0, s->len}, 0);
    return ast;
}
