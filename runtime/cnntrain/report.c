#include "cnntrain/report.h"
#include "cnntrain/chart.h"
#include "cnntrain/file.h"
#include "cnntrain/progress.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 900, HALF = 443, HEIGHT = 290, SMALL = 230, ROWS_MOST = 1000 };

/* The colours of src/picture, so that pages and pictures look alike. */
static const char style[] =
    ":root{color-scheme:light dark;--page:#fff;--card:#f6f7f9;--edge:#d5d9e0;--ink:#15181d;"
    "--soft:#4a515c;--faint:#dfe3e9;--line:#7a828e;--a:#0072b2;--b:#a3487f;--c:#00775a;"
    "--best:#e3f2ec}\n"
    "@media (prefers-color-scheme:dark){:root{--page:#15171b;--card:#1d2026;--edge:#363b45;"
    "--ink:#eceff4;--soft:#b3bac6;--faint:#2c313a;--line:#8a93a1;--a:#56b4e9;--b:#e39ac6;"
    "--c:#3fc79a;--best:#1d332b}}\n"
    "body{margin:0;background:var(--page);color:var(--ink);font:14px/1.45 sans-serif}\n"
    "main{max-width:900px;margin:0 auto;padding:20px 16px 40px}\n"
    "h1{margin:0;font-size:20px}h2{margin:0 0 8px;font-size:13px}\n"
    "p{margin:2px 0 14px;color:var(--soft);font-size:12px}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:14px;"
    "margin:0 0 14px;padding:0;list-style:none}\n"
    ".tiles li,figure,section,details{background:var(--card);border:1px solid var(--edge);"
    "border-radius:8px}\n"
    ".tiles li{padding:9px 14px 10px;font-size:11px;color:var(--soft)}\n"
    ".tiles b{display:block;font-size:19px;line-height:1.3;color:var(--ink)}\n"
    "figure{margin:0 0 14px;overflow:hidden}section,details{margin:0 0 14px;padding:12px 16px}\n"
    ".pair{display:grid;grid-template-columns:1fr 1fr;gap:0 14px}\n"
    "@media (max-width:700px){.pair{grid-template-columns:1fr}}\n"
    "summary{cursor:pointer;font-size:13px;font-weight:bold}\n"
    "svg{display:block;width:100%;height:auto;font-family:sans-serif}\n"
    "table{border-collapse:collapse;width:100%;font-size:12px;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:4px 10px 4px 0;border-bottom:1px solid var(--faint);text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}\n"
    "th{font-weight:normal;color:var(--soft);white-space:nowrap;width:1%}\n"
    "td.n,th.n{text-align:right;width:auto}tr.best td{background:var(--best);font-weight:bold}\n"
    ".grid{stroke:var(--faint)}.base{stroke:var(--line)}.c{fill:none;stroke-width:1.8;"
    "stroke-linejoin:round;stroke-linecap:round}.b{stroke:none;opacity:.2}\n"
    ".c0{stroke:var(--a)}.c1{stroke:var(--b)}.c2{stroke:var(--c)}\n"
    ".d0,.b0,.l0{fill:var(--a)}.d1,.b1,.l1{fill:var(--b)}.d2,.b2,.l2{fill:var(--c)}\n"
    ".h{font-size:13px;font-weight:bold;fill:var(--ink)}.l{font-size:11px;font-weight:bold}\n"
    ".v,.k{font-size:11px;fill:var(--soft)}.tx,.ty{font-size:10px;fill:var(--soft)}\n"
    ".tx{text-anchor:middle}.ty{text-anchor:end}\n"
    ".mark{stroke:var(--ink);stroke-width:1.2;stroke-dasharray:5 3}\n"
    ".ring{fill:var(--card);stroke:var(--ink);stroke-width:1.6}\n"
    ".m{font-size:10px;font-weight:bold;fill:var(--ink)}.e{text-anchor:end}\n";

typedef struct Page {
    CnntrainText *out;
    const CnntrainReport *r;
    int64_t best; /* index of its record, or -1 */
    bool by_step; /* no record has an epoch */
    double x_end;
    double *memory[2 * CNNTRAIN_CURVES]; /* of the curves being drawn */
    char mark[96];
} Page;

static bool better(const CnntrainRecord *a, const CnntrainRecord *b, bool by_top1)
{
    double x, y;
    CnntrainField f = by_top1 ? CNNTRAIN_LOG_VAL_TOP1 : CNNTRAIN_LOG_VAL_LOSS;
    if (!cnntrain_record_get(a, f, &x))
        return false;
    return !cnntrain_record_get(b, f, &y) || (by_top1 ? x > y : x < y);
}

int64_t cnntrain_report_best(const CnntrainRecord *records, size_t count)
{
    int64_t best = -1;
    bool by_top1 = false;
    for (size_t i = 0; i < count; i++)
        by_top1 = by_top1 || cnntrain_record_get(&records[i], CNNTRAIN_LOG_VAL_TOP1, NULL);
    for (size_t i = 0; i < count; i++)
        if (best < 0 ? better(&records[i], &(CnntrainRecord){0}, by_top1)
                     : better(&records[i], &records[best], by_top1))
            best = (int64_t)i;
    return best;
}

static double x_of(const Page *p, const CnntrainRecord *r)
{
    double x;
    CnntrainField f = p->by_step ? CNNTRAIN_LOG_STEP : CNNTRAIN_LOG_EPOCH;
    return cnntrain_record_get(r, f, &x) && x >= 0 && x < 1e15 ? x : (double)NAN;
}

/* What a chart can show: beyond its scale a value is a gap, below it nothing. */
static double y_of(double v)
{
    return !(fabs(v) < 1e30) ? (double)NAN : fabs(v) < 1e-30 ? 0 : v;
}

/* Adds the curve of a field, if any record has it. */
static void add_curve(Page *p, CnntrainChart *c, CnntrainField f, const char *name, int colour)
{
    size_t n = 0;
    for (size_t i = 0; i < p->r->count; i++)
        n += (p->r->records[i].set >> f & 1) != 0 && isfinite(x_of(p, &p->r->records[i]));
    if (n == 0)
        return;
    double *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    p->memory[2 * c->count] = x;
    p->memory[2 * c->count + 1] = y;
    if (x == NULL || y == NULL) {
        p->out->failed = true;
        n = 0;
    }
    CnntrainCurve *curve = &c->curve[c->count++];
    *curve = (CnntrainCurve){.name = name, .colour = colour, .x = x, .y = y};
    for (size_t i = 0; i < p->r->count && n > 0; i++) {
        const CnntrainRecord *r = &p->r->records[i];
        if ((r->set >> f & 1) == 0 || !isfinite(x_of(p, r)))
            continue;
        x[curve->n] = x_of(p, r);
        y[curve->n++] = y_of(r->value[f]);
    }
}

static CnntrainChart new_chart(const Page *p, const char *title, int width, int height)
{
    return (CnntrainChart){.title = title,
                           .width = width,
                           .height = height,
                           .x_end = p->x_end,
                           .x_name = p->by_step ? "step" : "epoch",
                           .mark_x = NAN,
                           .mark_y = NAN};
}

/* Draws it, if it has curves, and frees their memory. */
static void put_chart(Page *p, const CnntrainChart *c)
{
    if (c->count > 0) {
        cnntrain_text_add(p->out, "<figure>\n");
        cnntrain_chart_draw(p->out, c);
        cnntrain_text_add(p->out, "</figure>\n");
    }
    for (int i = 0; i < 2 * c->count; i++)
        free(p->memory[i]);
}

static void mark_best(const Page *p, CnntrainChart *c, CnntrainField f)
{
    if (p->best < 0)
        return;
    const CnntrainRecord *r = &p->r->records[p->best];
    c->mark_x = x_of(p, r);
    c->mark = p->mark;
    if (cnntrain_record_get(r, f, &c->mark_y))
        c->mark_y = y_of(c->mark_y);
    else
        c->mark_y = NAN;
}

static void put_charts(Page *p)
{
    CnntrainChart c = new_chart(p, "Loss", WIDTH, HEIGHT);
    c.may_be_log = true;
    add_curve(p, &c, CNNTRAIN_LOG_LOSS, "training", 0);
    add_curve(p, &c, CNNTRAIN_LOG_VAL_LOSS, "validation", 1);
    mark_best(p, &c, CNNTRAIN_LOG_VAL_LOSS);
    put_chart(p, &c);

    c = new_chart(p, "Accuracy", WIDTH, HEIGHT);
    c.percent = true;
    add_curve(p, &c, CNNTRAIN_LOG_ACCURACY, "training top-1", 0);
    add_curve(p, &c, CNNTRAIN_LOG_VAL_TOP1, "validation top-1", 1);
    add_curve(p, &c, CNNTRAIN_LOG_VAL_TOP5, "validation top-5", 2);
    mark_best(p, &c, CNNTRAIN_LOG_VAL_TOP1);
    put_chart(p, &c);

    cnntrain_text_add(p->out, "<div class=\"pair\">\n");
    c = new_chart(p, "Learning rate", HALF, SMALL);
    add_curve(p, &c, CNNTRAIN_LOG_LR, "rate", 0);
    put_chart(p, &c);
    c = new_chart(p, "Norm of the gradient", HALF, SMALL);
    c.may_be_log = true;
    add_curve(p, &c, CNNTRAIN_LOG_GRAD_NORM, "norm", 0);
    put_chart(p, &c);
    c = new_chart(p, "Images per second", HALF, SMALL);
    add_curve(p, &c, CNNTRAIN_LOG_IMAGES_PER_SECOND, "images/s", 0);
    put_chart(p, &c);
    c = new_chart(p, "Time spent waiting for data", HALF, SMALL);
    c.percent = true;
    add_curve(p, &c, CNNTRAIN_LOG_DATA_WAIT, "waiting", 0);
    put_chart(p, &c);
    cnntrain_text_add(p->out, "</div>\n");
}

static void put_tile(Page *p, const char *value, const char *what)
{
    cnntrain_text_add(p->out, "<li><b>");
    cnntrain_text_html(p->out, value);
    cnntrain_text_add(p->out, "</b>");
    cnntrain_text_html(p->out, what);
    cnntrain_text_add(p->out, "</li>\n");
}

/* The last finite value of a field. */
static bool last_of(const CnntrainReport *r, CnntrainField f, double *v)
{
    for (size_t i = r->count; i > 0; i--)
        if (cnntrain_record_get(&r->records[i - 1], f, v))
            return true;
    return false;
}

static void put_tiles(Page *p)
{
    const CnntrainReport *r = p->r;
    char number[32], what[96], time[24];
    double v, from, to;
    cnntrain_text_add(p->out, "<ul class=\"tiles\">\n");
    if (p->best >= 0) {
        bool top1 = cnntrain_record_get(&r->records[p->best], CNNTRAIN_LOG_VAL_TOP1, &v);
        if (!top1)
            cnntrain_record_get(&r->records[p->best], CNNTRAIN_LOG_VAL_LOSS, &v);
        snprintf(what, sizeof what, "best %s, %s %.6g", top1 ? "top-1" : "validation loss",
                 p->by_step ? "step" : "epoch", x_of(p, &r->records[p->best]));
        put_tile(p, cnntrain_chart_number(number, v, top1), what);
        if (cnntrain_record_get(&r->records[p->best], CNNTRAIN_LOG_VAL_TOP5, &v))
            put_tile(p, cnntrain_chart_number(number, v, true), "top-5 of the same");
    }
    if (last_of(r, CNNTRAIN_LOG_LOSS, &v))
        put_tile(p, cnntrain_chart_number(number, v, false), "last training loss");
    if (!p->by_step && last_of(r, CNNTRAIN_LOG_EPOCH, &v)) {
        snprintf(number, sizeof number, "%.6g", v);
        snprintf(what, sizeof what, r->epochs > v ? "of %.6g epochs" : "epochs", r->epochs);
        put_tile(p, number, what);
    }
    if (last_of(r, CNNTRAIN_LOG_TIME, &to) &&
        cnntrain_record_get(&r->records[0], CNNTRAIN_LOG_TIME, &from) && to > from)
        put_tile(p, cnntrain_seconds_text(time, to - from), "from first to last record");
    cnntrain_text_add(p->out, "</ul>\n");
}

static void put_settings(Page *p)
{
    size_t n = p->r->setting_count, half = n > 6 ? (n + 1) / 2 : n;
    if (n == 0)
        return;
    cnntrain_text_add(p->out, "<section><h2>Settings</h2>\n<div class=\"pair\">\n");
    for (size_t from = 0; from < n; from += half) {
        cnntrain_text_add(p->out, "<table>\n");
        for (size_t i = from; i < n && i < from + half; i++) {
            cnntrain_text_add(p->out, "<tr><th>");
            cnntrain_text_html(p->out, p->r->settings[i].key);
            cnntrain_text_add(p->out, "</th><td>");
            cnntrain_text_html(p->out, p->r->settings[i].value);
            cnntrain_text_add(p->out, "</td></tr>\n");
        }
        cnntrain_text_add(p->out, "</table>\n");
    }
    cnntrain_text_add(p->out, "</div></section>\n");
}

/* Every validation as a row: what the curves say, for those who want the numbers. */
static void put_validations(Page *p)
{
    static const struct {
        CnntrainField f;
        const char *name;
        bool percent;
    } columns[] = {{CNNTRAIN_LOG_LOSS, "loss", false},
                   {CNNTRAIN_LOG_VAL_LOSS, "validation loss", false},
                   {CNNTRAIN_LOG_VAL_TOP1, "top-1", true},
                   {CNNTRAIN_LOG_VAL_TOP5, "top-5", true},
                   {CNNTRAIN_LOG_LR, "learning rate", false}};
    enum { COLUMNS = sizeof columns / sizeof columns[0] };
    const CnntrainReport *r = p->r;
    char number[32];
    size_t rows = 0;
    if (p->best < 0)
        return;
    cnntrain_text_printf(p->out,
                         "<details><summary>Validations</summary>\n<table>\n"
                         "<tr><th class=\"n\">%s</th>",
                         p->by_step ? "step" : "epoch");
    for (int k = 0; k < COLUMNS; k++)
        cnntrain_text_printf(p->out, "<th class=\"n\">%s</th>", columns[k].name);
    cnntrain_text_add(p->out, "</tr>\n");
    for (size_t i = 0; i < r->count && rows < ROWS_MOST; i++) {
        const unsigned mask = 1u << CNNTRAIN_LOG_VAL_LOSS | 1u << CNNTRAIN_LOG_VAL_TOP1;
        if ((r->records[i].set & mask) == 0)
            continue;
        cnntrain_text_printf(p->out, "<tr%s><td class=\"n\">%.6g</td>",
                             (int64_t)i == p->best ? " class=\"best\"" : "",
                             x_of(p, &r->records[i]));
        for (int k = 0; k < COLUMNS; k++) {
            bool set = r->records[i].set >> columns[k].f & 1;
            cnntrain_text_printf(p->out, "<td class=\"n\">%s</td>",
                                 set ? cnntrain_chart_number(number,
                                                             r->records[i].value[columns[k].f],
                                                             columns[k].percent)
                                     : "");
        }
        cnntrain_text_add(p->out, "</tr>\n");
        rows++;
    }
    cnntrain_text_add(p->out, "</table></details>\n");
}

static void measure(Page *p)
{
    const CnntrainReport *r = p->r;
    double v;
    p->best = cnntrain_report_best(r->records, r->count);
    p->by_step = !last_of(r, CNNTRAIN_LOG_EPOCH, &v);
    p->x_end = p->by_step ? 0 : r->epochs;
    for (size_t i = 0; i < r->count; i++) {
        double x = x_of(p, &r->records[i]);
        p->x_end = x > p->x_end ? x : p->x_end;
    }
    if (p->best < 0)
        return;
    bool top1 = cnntrain_record_get(&r->records[p->best], CNNTRAIN_LOG_VAL_TOP1, &v);
    char number[32];
    if (!top1)
        cnntrain_record_get(&r->records[p->best], CNNTRAIN_LOG_VAL_LOSS, &v);
    snprintf(p->mark, sizeof p->mark, "best: %s %.6g, %s %s", p->by_step ? "step" : "epoch",
             x_of(p, &r->records[p->best]), top1 ? "top-1" : "loss",
             cnntrain_chart_number(number, v, top1));
}

char *cnntrain_report_html(const CnntrainReport *r)
{
    CnntrainText out = {0};
    Page p = {.out = &out, .r = r};
    size_t odd = 0;
    for (size_t i = 0; i < r->count; i++)
        odd += (r->records[i].set >> CNNTRAIN_LOG_LOSS & 1) &&
               !isfinite(r->records[i].value[CNNTRAIN_LOG_LOSS]);
    measure(&p);
    cnntrain_text_add(&out,
                      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
                      "'none'; style-src 'unsafe-inline'\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    cnntrain_text_html(&out, r->title);
    cnntrain_text_add(&out, "</title>\n<style>\n");
    cnntrain_text_add(&out, style);
    cnntrain_text_add(&out, "</style>\n</head>\n<body>\n<main>\n<h1>");
    cnntrain_text_html(&out, r->title);
    cnntrain_text_add(&out, "</h1>\n<p>");
    cnntrain_text_html(&out, r->facts != NULL ? r->facts : "");
    if (odd > 0)
        cnntrain_text_printf(&out,
                             "%s<strong>The loss of %zu record%s was no finite number.</strong>",
                             r->facts != NULL ? " &#183; " : "", odd, odd == 1 ? "" : "s");
    cnntrain_text_add(&out, "</p>\n");
    put_tiles(&p);
    put_charts(&p);
    put_settings(&p);
    put_validations(&p);
    cnntrain_text_add(&out, "</main>\n</body>\n</html>\n");
    if (!out.failed)
        return out.at;
    cnntrain_text_free(&out);
    return NULL;
}

bool cnntrain_report_write(const char *path, const CnntrainReport *r,
                           char message[CNNTRAIN_MESSAGE])
{
    CnntrainFile f;
    char *text = cnntrain_report_html(r);
    if (text == NULL) {
        snprintf(message, CNNTRAIN_MESSAGE, "%.300s: out of memory", path);
        return false;
    }
    bool open = cnntrain_file_create(&f, path, message);
    bool good = open && cnntrain_file_write(&f, text, strlen(text), message);
    free(text);
    if (good)
        return cnntrain_file_commit(&f, false, message);
    if (open)
        cnntrain_file_abandon(&f);
    return false;
}
