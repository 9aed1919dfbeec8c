/* How diagnostics look for people, and one line each. */
#include "support/diag.h"
#include "support/utf8.h"
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
    utf8_add_shown(out, src->path);
    buf_printf(out, ":%u:%u: ", lc.line, lc.col);
}

/* A line of an excerpt: before, middle, after, and marks below the middle. */
static void marked_line(uint32_t number, const char *line, uint32_t before, const char *middle,
                        uint32_t n, const char *after, uint32_t after_n, const char *marks,
                        const char *colour, const Style *st, Buf *out)
{
    buf_printf(out, "%5u | ", number);
    utf8_add_line(out, line, before);
    utf8_add_line(out, middle, n);
    utf8_add_line(out, after, after_n);
    buf_add(out, "\n      | ");
    buf_pad(out, ' ', (int)utf8_count(line, before));
    buf_printf(out, "%s%c", colour, marks[0]);
    buf_pad(out, marks[1], (int)utf8_count(middle, n) - 1);
    buf_printf(out, "%s\n", st->off);
}

/* The source line with marks below the span, one column per character, a tab as a blank. With
 * `replace` it is shown as it would be after that edit: an inserted line alone, a removal struck
 * out. */
static void excerpt(const Diags *d, Span s, const char *replace, const char *colour,
                    const Style *st, Buf *out)
{
    const Source *src = source_get(d->sources, s.src);
    uint32_t len;
    if (src == NULL)
        return;
    LineCol lc = source_line_col(src, s.lo);
    const char *line = source_line(src, lc.line, &len);
    uint32_t start = (uint32_t)(line - src->text), lo = s.lo > start ? s.lo - start : 0;
    uint32_t hi = s.hi > start + len ? len : s.hi < s.lo ? lo : s.hi - start;
    lo = lo > len ? len : lo;
    hi = hi < lo ? lo : hi;
    if (len > MAX_EXCERPT || memchr(line, '\0', len) != NULL)
        return;
    if (replace == NULL) {
        uint32_t end = hi == lo && hi < len ? hi + 1 : hi;
        marked_line(lc.line, line, lo, line + lo, end - lo, line + end, len - end, "^~", colour, st,
                    out);
    } else if (*replace == '\0') {
        marked_line(lc.line, line, lo, line + lo, hi - lo, line + hi, len - hi, "--", colour, st,
                    out);
    } else if (strchr(replace, '\n') != NULL) {
        replace += strspn(replace, "\n");
        marked_line(lc.line, "", 0, replace, (uint32_t)strcspn(replace, "\n"), "", 0, "++", colour,
                    st, out);
    } else {
        marked_line(lc.line, line, lo, replace, (uint32_t)strlen(replace), line + hi, len - hi,
                    "++", colour, st, out);
    }
}

static void human_note(const Diags *d, const Diag *x, const DiagNote *n, const Style *st, Buf *out)
{
    const char *c = n->kind == NOTE_HELP ? st->help : st->note;
    buf_add(out, "  ");
    if (n->span.src != 0)
        place(d, n->span, out);
    buf_printf(out, "%s%s:%s ", c, n->kind == NOTE_HELP ? "help" : "note", st->off);
    utf8_add_shown(out, n->text);
    buf_addc(out, '\n');
    if (n->edit_text != NULL)
        excerpt(d, n->edit_span, n->edit_text, st->help, st, out);
    else if (n->span.src != 0 && (n->span.src != x->span.src || n->span.lo != x->span.lo))
        excerpt(d, n->span, NULL, c, st, out);
}

const char *diag_level_name(Severity s)
{
    return s == SEV_ERROR ? "error" : s == SEV_WARNING ? "warning" : "note";
}

static void human(const Diags *d, const Diag *x, const Style *st, Buf *out)
{
    const char *c = x->level == SEV_ERROR ? st->error : st->warning;
    const DiagInfo *info = &diag_info[x->code];
    buf_add(out, st->bold);
    place(d, x->span, out);
    buf_printf(out, "%s%s%s[%s]%s: ", st->off, c, diag_level_name(x->level), info->code, st->off);
    utf8_add_shown(out, x->text);
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
    buf_printf(out, "%s[%s]: ", diag_level_name(x->level), diag_info[x->code].code);
    utf8_add_shown(out, x->text);
    buf_addc(out, '\n');
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

const Diag **diag_sorted(const Diags *d, bool with_silenced, uint32_t *n, uint32_t *hidden)
{
    const Diag **v = malloc((d->all.len + (size_t)1) * sizeof *v);
    uint32_t all = 0, errors = 0, limit = d->error_limit != 0 ? d->error_limit : 20;
    *n = *hidden = 0;
    if (v == NULL)
        return NULL;
    for (uint32_t i = 0; i < d->all.len; i++)
        if (with_silenced || d->all.at[i].level != SEV_ALLOW)
            v[all++] = &d->all.at[i];
    qsort(v, all, sizeof *v, by_place);
    for (uint32_t i = 0; i < all; i++) {
        if (v[i]->level == SEV_ERROR && errors++ >= limit)
            ++*hidden;
        else
            v[(*n)++] = v[i];
    }
    return v;
}

static void plural(Buf *out, uint32_t n, const char *what)
{
    buf_printf(out, "%u %s%s", n, what, n == 1 ? "" : "s");
}

static void totals(const Diags *d, uint32_t hidden, Buf *out)
{
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

void diag_render(const Diags *d, Buf *out, DiagFormat f, bool colour)
{
    const Style *st = colour ? &coloured : &plain;
    uint32_t n, hidden;
    const Diag **v = diag_sorted(d, f == DIAG_SARIF, &n, &hidden);
    if (v == NULL) {
        out->failed = true;
        return;
    }
    for (uint32_t i = 0; i < n && (f == DIAG_HUMAN || f == DIAG_SHORT); i++) {
        if (f == DIAG_HUMAN)
            human(d, v[i], st, out);
        else
            short_line(d, v[i], out);
    }
    if (f == DIAG_HUMAN && d->errors + d->warnings > 0)
        totals(d, hidden, out);
    if (f == DIAG_JSON)
        diag_json(d, v, n, hidden, out);
    if (f == DIAG_SARIF)
        diag_sarif(d, v, n, hidden, out);
    free(v);
}
