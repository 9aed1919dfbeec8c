/* How diagnostics look: for people, one line each, and JSON. */
#include "support/diag.h"
#include <stdlib.h>
#include <string.h>

typedef struct Style {
    const char *bold, *error, *warning, *note, *help, *off;
} Style;
static const Style plain = {"", "", "", "", "", ""};
static const Style coloured = {"\x1b[1m",    "\x1b[1;31m", "\x1b[1;33m",
                               "\x1b[1;36m", "\x1b[1;32m", "\x1b[0m"};

enum { MAX_EXCERPT = 400 };

static void place(const Diags *d, Span s, Buf *out)
{
    const Source *src = source_get(d->sources, s.src);
    if (src == NULL)
        return;
    LineCol lc = source_line_col(src, s.lo);
    buf_printf(out, "%s:%u:%u: ", src->path, lc.line, lc.col);
}

/* Characters between two bytes, a tab as one: the excerpt shows tabs as single blanks. */
static int columns(const char *s, uint32_t n)
{
    int c = 0;
    for (uint32_t i = 0; i < n; i++)
        c += ((unsigned char)s[i] & 0xC0) != 0x80;
    return c;
}

static void excerpt_line(const char *text, uint32_t len, Buf *out)
{
    for (uint32_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            buf_addc(out, ' ');
        else
            buf_addc(out, text[i]);
    }
}

/* The source line with carets; `replace` shows the line after an edit instead. */
static void excerpt(const Diags *d, Span s, const char *replace, const char *colour,
                    const Style *st, Buf *out)
{
    const Source *src = source_get(d->sources, s.src);
    uint32_t len;
    if (src == NULL)
        return;
    LineCol lc = source_line_col(src, s.lo);
    const char *line = source_line(src, lc.line, &len);
    uint32_t start = (uint32_t)(line - src->text), lo = s.lo - start;
    uint32_t hi = s.hi > start + len ? len : s.hi < s.lo ? lo : s.hi - start;
    if (lo > len)
        lo = len;
    if (hi < lo)
        hi = lo;
    if (len > MAX_EXCERPT || memchr(line, '\0', len) != NULL)
        return;
    buf_printf(out, "%5u | ", lc.line);
    if (replace == NULL) {
        excerpt_line(line, len, out);
        hi = hi == lo && hi < len ? hi + 1 : hi;
    } else {
        excerpt_line(line, lo, out);
        buf_add(out, replace);
        excerpt_line(line + hi, len - hi, out);
    }
    buf_add(out, "\n      | ");
    buf_pad(out, ' ', columns(line, lo));
    buf_add(out, colour);
    int width =
        replace != NULL ? columns(replace, (uint32_t)strlen(replace)) : columns(line + lo, hi - lo);
    buf_addc(out, replace != NULL ? '+' : '^');
    buf_pad(out, replace != NULL ? '+' : '~', width - 1);
    buf_printf(out, "%s\n", st->off);
}

static void human_note(const Diags *d, const Diag *x, const DiagNote *n, const Style *st, Buf *out)
{
    const char *c = n->kind == NOTE_HELP ? st->help : st->note;
    buf_add(out, "  ");
    if (n->span.src != 0)
        place(d, n->span, out);
    buf_printf(out, "%s%s:%s %s\n", c, n->kind == NOTE_HELP ? "help" : "note", st->off, n->text);
    if (n->edit_text != NULL)
        excerpt(d, n->edit_span, n->edit_text, st->help, st, out);
    else if (n->span.src != 0 && (n->span.src != x->span.src || n->span.lo != x->span.lo))
        excerpt(d, n->span, NULL, c, st, out);
}

static const char *level_name(Severity s)
{
    return s == SEV_ERROR ? "error" : "warning";
}

static void human(const Diags *d, const Diag *x, const Style *st, Buf *out)
{
    const char *c = x->level == SEV_ERROR ? st->error : st->warning;
    const DiagInfo *info = &diag_info[x->code];
    buf_add(out, st->bold);
    place(d, x->span, out);
    buf_printf(out, "%s%s%s[%s]%s: %s", st->off, c, level_name(x->level), info->code, st->off,
               x->text);
    if (info->lint != NULL)
        buf_printf(out, " [%s]", info->lint);
    buf_addc(out, '\n');
    excerpt(d, x->span, NULL, c, st, out);
    for (uint32_t i = 0; i < x->notes.len; i++)
        human_note(d, x, &x->notes.at[i], st, out);
}

static void short_line(const Diags *d, const Diag *x, Buf *out)
{
    place(d, x->span, out);
    buf_printf(out, "%s[%s]: %s\n", level_name(x->level), diag_info[x->code].code, x->text);
}

static void json_place(const Diags *d, Span s, Buf *out)
{
    const Source *src = source_get(d->sources, s.src);
    if (src == NULL) {
        buf_add(out, "\"file\":null,\"line\":null,\"column\":null,\"end_line\":null,"
                     "\"end_column\":null");
        return;
    }
    LineCol a = source_line_col(src, s.lo), b = source_line_col(src, s.hi);
    buf_add(out, "\"file\":");
    buf_json_string(out, src->path);
    buf_printf(out, ",\"line\":%u,\"column\":%u,\"end_line\":%u,\"end_column\":%u", a.line, a.col,
               b.line, b.col);
}

static void json(const Diags *d, const Diag *x, Buf *out)
{
    const DiagInfo *info = &diag_info[x->code];
    buf_printf(out, "{\"code\":\"%s\",\"level\":\"%s\",\"lint\":", info->code,
               level_name(x->level));
    if (info->lint != NULL)
        buf_json_string(out, info->lint);
    else
        buf_add(out, "null");
    buf_add(out, ",\"message\":");
    buf_json_string(out, x->text);
    buf_addc(out, ',');
    json_place(d, x->span, out);
    buf_add(out, ",\"notes\":[");
    for (uint32_t i = 0; i < x->notes.len; i++) {
        const DiagNote *n = &x->notes.at[i];
        buf_printf(out, "%s{\"kind\":\"%s\",\"message\":", i ? "," : "",
                   n->kind == NOTE_HELP ? "help" : "note");
        buf_json_string(out, n->text);
        buf_addc(out, ',');
        json_place(d, n->span, out);
        if (n->edit_text != NULL) {
            buf_printf(out, ",\"edit\":{\"start\":%u,\"end\":%u,\"text\":", n->edit_span.lo,
                       n->edit_span.hi);
            buf_json_string(out, n->edit_text);
            buf_addc(out, '}');
        }
        buf_addc(out, '}');
    }
    buf_add(out, "]}");
}

/* The order of places; messages of one place stay as they were reported. */
static int by_place(const void *pa, const void *pb)
{
    const Diag *a = *(const Diag *const *)pa, *b = *(const Diag *const *)pb;
    if (a->span.src != b->span.src)
        return a->span.src < b->span.src ? -1 : 1;
    if (a->span.lo != b->span.lo)
        return a->span.lo < b->span.lo ? -1 : 1;
    return a < b ? -1 : a > b; /* they stand in one array */
}

static const Diag **sorted(const Diags *d)
{
    const Diag **v = malloc((d->all.len + (size_t)1) * sizeof *v);
    if (v == NULL)
        return NULL;
    for (uint32_t i = 0; i < d->all.len; i++)
        v[i] = &d->all.at[i];
    qsort(v, d->all.len, sizeof *v, by_place);
    return v;
}

static void plural(Buf *out, uint32_t n, const char *what)
{
    buf_printf(out, "%u %s%s", n, what, n == 1 ? "" : "s");
}

void diag_render(const Diags *d, Buf *out, DiagFormat f, bool colour)
{
    const Style *st = colour ? &coloured : &plain;
    const Diag **v = sorted(d);
    uint32_t errors = 0, hidden = 0, limit = d->error_limit != 0 ? d->error_limit : 20;
    if (v == NULL) {
        out->failed = true;
        return;
    }
    if (f == DIAG_JSON)
        buf_addc(out, '[');
    for (uint32_t i = 0; i < d->all.len; i++) {
        if (v[i]->level == SEV_ERROR && errors++ >= limit) {
            hidden++;
            continue;
        }
        if (f == DIAG_HUMAN) {
            human(d, v[i], st, out);
        } else if (f == DIAG_SHORT) {
            short_line(d, v[i], out);
        } else {
            buf_add(out, i ? ",\n" : "\n");
            json(d, v[i], out);
        }
    }
    if (f == DIAG_JSON)
        buf_add(out, "]\n");
    if (f == DIAG_HUMAN && d->all.len > 0) {
        if (d->errors > 0)
            plural(out, d->errors, "error");
        if (d->warnings > 0) {
            buf_add(out, d->errors > 0 ? ", " : "");
            plural(out, d->warnings, "warning");
        }
        if (hidden > 0)
            buf_printf(out, " (%u more not shown; --error-limit=N shows more)", hidden);
        buf_addc(out, '\n');
    }
    free(v);
}
