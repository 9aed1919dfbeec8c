#include "report/nets.h"
#include "support/utf8.h"
#include <inttypes.h>
#include <string.h>

enum { COLUMNS = 120 }; /* what comments are cut to; a table of numbers that is wider stays whole */

static const Verdict complaints[] = {VERDICT_UNPRODUCTIVE, VERDICT_UNDERUTILIZED,
                                     VERDICT_SATURATED};
enum { COMPLAINTS = sizeof complaints / sizeof complaints[0] };

/* productive: every layer is; accepted: `check` lets pass those that are not. */
static const char *verdict_word(const NetRow *r)
{
    bool any = false;
    for (int i = 0; i < COMPLAINTS; i++)
        any = any || r->count[complaints[i]] != 0;
    return r->refused ? "refused" : any ? "accepted" : "productive";
}

static bool new_file(const NetRow *rows, uint32_t i)
{
    return i == 0 || strcmp(rows[i].file, rows[i - 1].file) != 0;
}

/* As much of a text as fits between column `at` and the last, to the end of a word. */
static void add_cut(Buf *out, const char *text, size_t at)
{
    static const char more[] = " ...";
    Buf shown = {0};
    utf8_add_shown(&shown, text);
    const char *s = shown.at != NULL ? shown.at : "";
    size_t room = at + sizeof more < COLUMNS ? COLUMNS - at : sizeof more;
    if (utf8_count(s, shown.len) <= room) {
        buf_addn(out, s, shown.len);
    } else {
        size_t end = 0, word = 0, fit = room - strlen(more);
        for (size_t columns = 0; columns < fit; columns++) {
            if (s[end] == ' ')
                word = end;
            int step = utf8_len(s + end, s + shown.len);
            end += step > 0 ? (size_t)step : 1;
        }
        buf_addn(out, s, s[end] == ' ' || word == 0 ? end : word);
        buf_add(out, more);
    }
    out->failed = out->failed || !buf_ok(&shown);
    buf_free(&shown);
}

static void cell(Buf *out, int width, Buf *text)
{
    buf_printf(out, "  %*s", width, text->at != NULL ? text->at : "");
    out->failed = out->failed || !buf_ok(text);
    buf_free(text);
}

static void add_n(Buf *out, const NetRow *r)
{
    buf_printf(out, "%" PRId64, r->n[0]);
    if (r->n[1] != r->n[0])
        buf_printf(out, "x%" PRId64, r->n[1]);
}

static void add_input(Buf *out, const NetRow *r)
{
    buf_printf(out, "%" PRId64 "x%" PRId64 "x%" PRId64, r->input[0], r->input[1], r->input[2]);
}

typedef struct Widths {
    int name, input, n;
} Widths;

static int wider(int width, int64_t count)
{
    return count > width ? (int)count : width;
}

static int digits(int64_t v)
{
    int n = 1;
    for (; v > 9; v /= 10)
        n++;
    return n;
}

static Widths table_widths(const NetRow *rows, uint32_t count)
{
    Widths w = {3, 5, 3};
    for (uint32_t i = 0; i < count; i++) {
        const NetRow *r = &rows[i];
        w.name = wider(w.name, (int64_t)strlen(r->name));
        w.input =
            wider(w.input, digits(r->input[0]) + digits(r->input[1]) + digits(r->input[2]) + 2);
        w.n = wider(w.n, digits(r->n[0]) + (r->n[0] == r->n[1] ? 0 : 1 + digits(r->n[1])));
    }
    return w;
}

static void table_row(const NetRow *r, const Widths *w, bool colour, Buf *out)
{
    Buf input = {0}, n = {0}, params = {0}, macs = {0};
    add_input(&input, r);
    add_n(&n, r);
    report_count(&params, r->params);
    report_count(&macs, r->macs);
    buf_printf(out, "  %-*s", w->name, r->name);
    cell(out, w->input, &input);
    cell(out, w->n, &n);
    cell(out, 6, &params);
    cell(out, 6, &macs);
    buf_printf(out, "  %6" PRIu32 "  %s%s%s", r->layers, colour && r->refused ? "\x1b[31m" : "",
               verdict_word(r), colour && r->refused ? "\x1b[0m" : "");
    const char *between = ": ";
    for (int i = 0; i < COMPLAINTS; i++)
        if (r->count[complaints[i]] != 0) {
            buf_printf(out, "%s%" PRIu32 " %s", between, r->count[complaints[i]],
                       verdict_name[complaints[i]]);
            between = ", ";
        }
    buf_addc(out, '\n');
}

/* Once, where several nets share it. */
static void table_doc(const NetRow *rows, uint32_t i, Buf *out)
{
    const char *doc = rows[i].doc;
    if (doc == NULL ||
        (!new_file(rows, i) && rows[i - 1].doc != NULL && strcmp(rows[i - 1].doc, doc) == 0))
        return;
    buf_add(out, "    ");
    add_cut(out, doc, 4);
    buf_addc(out, '\n');
}

static void nets_table(const NetRow *rows, uint32_t count, bool colour, Buf *out)
{
    Widths w = table_widths(rows, count);
    buf_printf(out, "  %-*s  %*s  %*s  %6s  %6s  %6s  %s\n", w.name, "net", w.input, "input", w.n,
               "n", "params", "MACs", "layers", "verdict");
    for (uint32_t i = 0; i < count; i++) {
        if (new_file(rows, i)) {
            size_t start = out->len;
            buf_addc(out, '\n');
            utf8_add_shown(out, rows[i].file);
            buf_add(out, rows[i].about != NULL ? ": " : "");
            if (rows[i].about != NULL && buf_ok(out))
                add_cut(out, rows[i].about, utf8_count(out->at + start, out->len - start) - 1);
            buf_addc(out, '\n');
        }
        table_doc(rows, i, out);
        table_row(&rows[i], &w, colour, out);
    }
}

static void json_text(Buf *out, const char *key, const char *text)
{
    buf_printf(out, ",\"%s\":", key);
    if (text != NULL)
        buf_json_string(out, text);
    else
        buf_add(out, "null");
}

static void nets_json(const NetRow *rows, uint32_t count, Buf *out)
{
    buf_add(out, "{\"schema\":1,\n\"files\":[");
    for (uint32_t i = 0; i < count; i++)
        if (new_file(rows, i)) {
            buf_printf(out, "%s\n{\"file\":", i != 0 ? "," : "");
            buf_json_string(out, rows[i].file);
            json_text(out, "about", rows[i].about);
            buf_addc(out, '}');
        }
    buf_add(out, "],\n\"nets\":[");
    for (uint32_t i = 0; i < count; i++) {
        const NetRow *r = &rows[i];
        buf_printf(out, "%s\n{\"name\":", i != 0 ? "," : "");
        buf_json_string(out, r->name);
        json_text(out, "file", r->file);
        buf_printf(out, ",\"line\":%" PRIu32, r->line);
        json_text(out, "doc", r->doc);
        buf_printf(out,
                   ",\"input\":[%" PRId64 ",%" PRId64 ",%" PRId64 "],\"n\":[%" PRId64 ",%" PRId64
                   "],\"params\":%" PRId64 ",\"macs\":%" PRId64 ",\"layers\":%" PRIu32
                   ",\"verdict\":\"%s\"",
                   r->input[0], r->input[1], r->input[2], r->n[0], r->n[1], r->params, r->macs,
                   r->layers, verdict_word(r));
        for (int k = 0; k < COMPLAINTS; k++)
            buf_printf(out, ",\"%s\":%" PRIu32, verdict_name[complaints[k]],
                       r->count[complaints[k]]);
        buf_addc(out, '}');
    }
    buf_add(out, "]}\n");
}

/* In quotes where it must be (RFC 4180). */
static void csv_text(Buf *out, const char *text)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        buf_add(out, text);
        return;
    }
    buf_addc(out, '"');
    for (; *text != '\0'; text++)
        buf_add(out, *text == '"' ? "\"\"" : (char[]){*text, '\0'});
    buf_addc(out, '"');
}

static void nets_csv(const NetRow *rows, uint32_t count, Buf *out)
{
    buf_add(out, "name,c,h,w,n_h,n_w,params,macs,layers,verdict");
    for (int k = 0; k < COMPLAINTS; k++)
        buf_printf(out, ",%s", verdict_name[complaints[k]]);
    buf_add(out, ",file,line,doc\n");
    for (uint32_t i = 0; i < count; i++) {
        const NetRow *r = &rows[i];
        csv_text(out, r->name);
        buf_printf(out, ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64, r->input[0],
                   r->input[1], r->input[2], r->n[0], r->n[1]);
        buf_printf(out, ",%" PRId64 ",%" PRId64 ",%" PRIu32 ",%s", r->params, r->macs, r->layers,
                   verdict_word(r));
        for (int k = 0; k < COMPLAINTS; k++)
            buf_printf(out, ",%" PRIu32, r->count[complaints[k]]);
        buf_addc(out, ',');
        csv_text(out, r->file);
        buf_printf(out, ",%" PRIu32 ",", r->line);
        csv_text(out, r->doc != NULL ? r->doc : "");
        buf_addc(out, '\n');
    }
}

void report_nets(const NetRow *rows, uint32_t n, SummaryFormat f, bool colour, Buf *out)
{
    switch (f) {
    case SUMMARY_TABLE: nets_table(rows, n, colour, out); break;
    case SUMMARY_JSON: nets_json(rows, n, out); break;
    case SUMMARY_CSV: nets_csv(rows, n, out); break;
    }
}
