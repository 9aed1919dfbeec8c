#include "cnntrain/chart.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEFT = 58,
    RIGHT = 128,
    RIGHT_ONE = 72, /* a single curve needs no name */
    TOP = 52,
    BOTTOM = 42,
    BUCKET = 2,     /* pixels of a bucket, where there are more points than pixels */
    DOTS_APART = 7, /* pixels between points that have dots */
    LABEL_GAP = 14,
    TICKS = 6
};

typedef struct Axis {
    double low, high, step;
    bool log;
} Axis;

typedef struct Plot {
    CnntrainText *out;
    const CnntrainChart *c;
    int x, y, w, h;
    Axis ax, ay;
} Plot;

char *cnntrain_chart_number(char out[32], double v, bool percent)
{
    if (!isfinite(v))
        snprintf(out, 32, "%s", isnan(v) ? "not a number" : "infinite");
    else if (percent)
        snprintf(out, 32, "%.2f %%", 100 * v);
    else if (v != 0 && (fabs(v) < 1e-4 || fabs(v) >= 1e6))
        snprintf(out, 32, "%.3g", v);
    else
        snprintf(out, 32, fabs(v) >= 1000 ? "%.0f" : fabs(v) >= 10 ? "%.2f" : "%.4g", v);
    return out;
}

/* The smallest of 1, 2 and 5 times a power of ten that takes at most `most` steps over the span. */
static double round_step(double span, int most)
{
    double unit = pow(10, floor(log10(span / most)));
    static const double form[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++)
        if (span / (unit * form[i]) <= most * (1 + 1e-9))
            return unit * form[i];
    return unit * 10;
}

/* The range of all curves; false when there is no finite value. */
static bool value_range(const CnntrainChart *c, double *low, double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int k = 0; k < c->count; k++)
        for (size_t i = 0; i < c->curve[k].n; i++) {
            double v = c->curve[k].y[i];
            if (!isfinite(v))
                continue;
            *low = v < *low ? v : *low;
            *high = v > *high ? v : *high;
        }
    return *low <= *high;
}

static Axis value_axis(const CnntrainChart *c, double low, double high)
{
    Axis a = {.log = c->may_be_log && low > 0 && high / low > 100};
    if (a.log) {
        a.low = floor(log10(low) + 1e-9);
        a.high = ceil(log10(high) - 1e-9);
        a.step = round_step(a.high - a.low, TICKS);
        a.step = a.step < 1 ? 1 : a.step;
        return a;
    }
    if (c->percent) {
        low = low < 0 ? 0 : 100 * low;
        high *= 100;
    }
    /* from zero, unless that would make the curve flat */
    if (low > 0 && low < 0.7 * high)
        low = 0;
    double span = high - low, most = fabs(high) > fabs(low) ? fabs(high) : fabs(low);
    if (!(span > 1e-9 * most)) {
        span = most > 0 ? most : 1;
        low -= span / 2;
    }
    a.step = round_step(span, TICKS - 1);
    a.low = floor(low / a.step + 1e-9) * a.step;
    a.high = ceil((low + span) / a.step - 1e-9) * a.step;
    if (c->percent && a.high > 100)
        a.high = 100;
    return a;
}

static double at_x(const Plot *p, double v)
{
    return p->x + p->w * (v - p->ax.low) / (p->ax.high - p->ax.low);
}

static double at_y(const Plot *p, double v)
{
    double shown = p->ay.log ? log10(v) : p->c->percent ? 100 * v : v;
    return p->y + p->h - p->h * (shown - p->ay.low) / (p->ay.high - p->ay.low);
}

static void tick_text(char out[32], double v, double step)
{
    double places = -floor(log10(step) + 1e-9);
    if (fabs(v) < step * 1e-6)
        v = 0;
    if (places > 5 || fabs(v) >= 1e6)
        snprintf(out, 32, "%.3g", v);
    else
        snprintf(out, 32, "%.*f", places > 0 ? (int)places : 0, v);
}

static void put_text(Plot *p, const char *class, double x, double y, const char *text)
{
    cnntrain_text_printf(p->out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
    cnntrain_text_html(p->out, text);
    cnntrain_text_add(p->out, "</text>\n");
}

static void draw_grid(Plot *p)
{
    char text[32];
    const Axis *a = &p->ay;
    int ticks = (int)((a->high - a->low) / a->step + 1e-6);
    for (int i = 0; i <= ticks; i++) {
        double v = a->low + i * a->step, y = p->y + p->h - p->h * (v - a->low) / (a->high - a->low);
        cnntrain_text_printf(p->out, "<path class=\"%s\" d=\"M%d %.1fh%d\"/>",
                             i == 0 ? "base" : "grid", p->x, y, p->w);
        if (a->log)
            snprintf(text, sizeof text, fabs(v) <= 4 ? "%.4g" : "%.0e", pow(10, v));
        else
            tick_text(text, v, a->step);
        cnntrain_text_printf(p->out, "<text class=\"ty\" x=\"%d\" y=\"%.1f\">%s%s</text>\n",
                             p->x - 7, y + 3.5, text, p->c->percent ? " %" : "");
    }
    double step = round_step(p->ax.high, p->w / 50);
    ticks = (int)(p->ax.high / step + 1e-6);
    for (int i = 0; i <= ticks; i++) {
        double v = i * step;
        cnntrain_text_printf(p->out, "<path class=\"base\" d=\"M%.1f %dv4\"/>", at_x(p, v),
                             p->y + p->h);
        tick_text(text, v, step);
        put_text(p, "tx", at_x(p, v), p->y + p->h + 16, text);
    }
    put_text(p, "tx", p->x + p->w / 2.0, p->y + p->h + 33, p->c->x_name);
}

static void draw_points(Plot *p, const CnntrainCurve *c)
{
    bool pen = false;
    char x[32], y[32];
    cnntrain_text_printf(p->out, "<path class=\"c c%d\" d=\"", c->colour);
    for (size_t i = 0; i < c->n; i++) {
        bool shown = isfinite(c->y[i]);
        if (shown)
            cnntrain_text_printf(p->out, "%s%.1f %.1f", pen ? "L" : "M", at_x(p, c->x[i]),
                                 at_y(p, c->y[i]));
        pen = shown;
    }
    cnntrain_text_add(p->out, "\"/>\n");
    if (c->n > 1 &&
        (at_x(p, c->x[c->n - 1]) - at_x(p, c->x[0])) / (double)c->n < (double)DOTS_APART)
        return;
    for (size_t i = 0; i < c->n; i++)
        if (isfinite(c->y[i]))
            cnntrain_text_printf(
                p->out,
                "<circle class=\"d%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.4\"><title>%s %s: %s"
                "</title></circle>",
                c->colour, at_x(p, c->x[i]), at_y(p, c->y[i]), p->c->x_name,
                cnntrain_chart_number(x, c->x[i], false),
                cnntrain_chart_number(y, c->y[i], p->c->percent));
    cnntrain_text_add(p->out, "\n");
}

typedef struct Bucket {
    double low, high, sum;
    size_t n;
} Bucket;

/* More points than pixels: their mean, over a band from the least to the largest. */
static void draw_buckets(Plot *p, const CnntrainCurve *c)
{
    size_t count = (size_t)(p->w / BUCKET) + 1;
    Bucket *b = calloc(count, sizeof *b);
    if (b == NULL) {
        p->out->failed = true;
        return;
    }
    for (size_t i = 0; i < c->n; i++) {
        double at = (at_x(p, c->x[i]) - p->x) / (double)BUCKET;
        if (!isfinite(c->y[i]) || !(at >= 0) || at >= (double)count)
            continue;
        Bucket *k = &b[(size_t)at];
        k->low = k->n == 0 || c->y[i] < k->low ? c->y[i] : k->low;
        k->high = k->n == 0 || c->y[i] > k->high ? c->y[i] : k->high;
        k->sum += c->y[i];
        k->n++;
    }
    const char *go = "M";
    cnntrain_text_printf(p->out, "<path class=\"b b%d\" d=\"", c->colour);
    for (size_t i = 0; i < count; i++)
        if (b[i].n > 0) {
            cnntrain_text_printf(p->out, "%s%zu %.1f", go, (size_t)p->x + i * BUCKET,
                                 at_y(p, b[i].high));
            go = "L";
        }
    for (size_t i = count; i-- > 0;)
        if (b[i].n > 0)
            cnntrain_text_printf(p->out, "L%zu %.1f", (size_t)p->x + i * BUCKET, at_y(p, b[i].low));
    cnntrain_text_printf(p->out, "%s\"/>\n<path class=\"c c%d\" d=\"", *go == 'L' ? "Z" : "",
                         c->colour);
    go = "M";
    for (size_t i = 0; i < count; i++)
        if (b[i].n > 0) {
            cnntrain_text_printf(p->out, "%s%zu %.1f", go, (size_t)p->x + i * BUCKET,
                                 at_y(p, b[i].sum / (double)b[i].n));
            go = "L";
        }
    cnntrain_text_add(p->out, "\"/>\n");
    free(b);
}

/* Names and last values beside the last points, pushed apart where they would overlap. */
static void draw_labels(Plot *p)
{
    double at[CNNTRAIN_CURVES], last[CNNTRAIN_CURVES], x = p->x;
    int order[CNNTRAIN_CURVES], n = 0;
    char text[32];
    for (int k = 0; k < p->c->count; k++) {
        const CnntrainCurve *c = &p->c->curve[k];
        size_t i = c->n;
        while (i > 0 && !isfinite(c->y[i - 1]))
            i--;
        if (i == 0)
            continue;
        last[k] = c->y[i - 1];
        at[k] = at_y(p, last[k]);
        x = fmax(x, at_x(p, c->x[i - 1]) + 9);
        int place = n++;
        for (; place > 0 && at[order[place - 1]] > at[k]; place--)
            order[place] = order[place - 1];
        order[place] = k;
    }
    const int two = 2 * LABEL_GAP - 2;
    for (int i = 0; i < n; i++) {
        double least = i == 0 ? p->y + 2 : at[order[i - 1]] + two;
        at[order[i]] = at[order[i]] < least ? least : at[order[i]];
    }
    for (int i = n - 1; i >= 0; i--) {
        double most = i == n - 1 ? p->y + p->h - 4 : at[order[i + 1]] - two;
        at[order[i]] = at[order[i]] > most ? most : at[order[i]];
    }
    for (int i = 0; i < n; i++) {
        const CnntrainCurve *c = &p->c->curve[order[i]];
        char class[8];
        snprintf(class, sizeof class, "l l%d", c->colour);
        const char *value = cnntrain_chart_number(text, last[order[i]], p->c->percent);
        if (p->c->count == 1) {
            put_text(p, class, x, at[order[i]] + 4, value);
            continue;
        }
        put_text(p, class, x, at[order[i]], c->name);
        put_text(p, "v", x, at[order[i]] + 12, value);
    }
}

static void draw_mark(Plot *p)
{
    const CnntrainChart *c = p->c;
    if (!isfinite(c->mark_x))
        return;
    double x = at_x(p, c->mark_x);
    bool left = x > p->x + p->w * 0.6;
    cnntrain_text_printf(p->out, "<path class=\"mark\" d=\"M%.1f %dV%d\"/>", x, p->y - 12,
                         p->y + p->h);
    if (isfinite(c->mark_y))
        cnntrain_text_printf(p->out, "<circle class=\"ring\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>", x,
                             at_y(p, c->mark_y));
    if (c->mark != NULL)
        put_text(p, left ? "m e" : "m", x + (left ? -6 : 6), p->y - 5, c->mark);
}

static void draw_legend(Plot *p)
{
    double x = p->c->width - 14;
    for (int k = p->c->count - 1; k >= 0 && p->c->count > 1; k--) {
        const CnntrainCurve *c = &p->c->curve[k];
        x -= 6.0 * (double)strlen(c->name);
        put_text(p, "k", x, 23, c->name);
        x -= 30;
        cnntrain_text_printf(p->out, "<path class=\"c c%d\" d=\"M%.1f 19.5h22\"/>\n", c->colour, x);
        x -= 20;
    }
}

void cnntrain_chart_draw(CnntrainText *out, const CnntrainChart *c)
{
    double low, high;
    Plot p = {.out = out,
              .c = c,
              .x = LEFT,
              .y = TOP,
              .w = c->width - LEFT - (c->count == 1 ? RIGHT_ONE : RIGHT),
              .h = c->height - TOP - BOTTOM};
    bool any = value_range(c, &low, &high);
    cnntrain_text_printf(out,
                         "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" "
                         "aria-label=\"",
                         c->width, c->height, c->width, c->height);
    cnntrain_text_html(out, c->title);
    cnntrain_text_add(out, "\">\n");
    put_text(&p, "h", 16, 24, c->title);
    if (any) {
        p.ax = (Axis){.high = c->x_end > 0 ? c->x_end : 1};
        p.ay = value_axis(c, low, high);
        draw_legend(&p);
        draw_grid(&p);
        for (int k = 0; k < c->count; k++)
            if (c->curve[k].n > (size_t)(p.w / BUCKET))
                draw_buckets(&p, &c->curve[k]);
            else
                draw_points(&p, &c->curve[k]);
        draw_mark(&p);
        draw_labels(&p);
    } else {
        put_text(&p, "tx", c->width / 2.0, c->height / 2.0, "no values");
    }
    cnntrain_text_add(out, "</svg>\n");
}
