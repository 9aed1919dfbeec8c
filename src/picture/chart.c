/* The chart: the smallest receptive field of every judged layer in its order, the path that decides
 * n, the largest field so far, and the input, which no layer should see beyond. */
#include "picture/layout.h"
#include "picture/svg.h"
#include "picture/text.h"
#include <inttypes.h>
#include <string.h>

enum { LEFT = 58, RIGHT = 118, TOP = 50, BOTTOM = 40 };

typedef struct Series {
    const PictureNet *net;
    uint32_t *node;  /* judged layers in order */
    uint32_t *index; /* by node: position above plus 1; 0: none */
    uint32_t count;
    int64_t most; /* largest r_min */
} Series;

typedef struct Chart {
    Pen *p;
    Series series[2];
    int count, axis;
    bool both;      /* the second net has other stages than the first */
    int x, y, w, h; /* of the plotted area */
    uint32_t layers;
    int64_t top; /* value at the upper edge */
} Chart;

static int64_t r_min(const Chart *c, const Series *s, uint32_t v)
{
    return s->net->an->rf[v].axis[c->axis].r_min;
}

/* The axis on which a net comes nearer to its limit. */
static int axis_of(const Analysis *an)
{
    return (double)an->n[1] * (double)an->input[0] > (double)an->n[0] * (double)an->input[1];
}

static Series collect(Chart *c, const PictureNet *net)
{
    const Analysis *an = net->an;
    uint32_t len = an->g->nodes.len;
    Series s = {.net = net,
                .node = arena_new_n(c->p->a, uint32_t, len),
                .index = arena_new_n(c->p->a, uint32_t, len)};
    for (uint32_t v = 1; v < len; v++) {
        NodeVerdict got = an->verdict[v];
        if (got.v == VERDICT_NONE || got.v == VERDICT_GLOBAL || got.aux ||
            an->rf[v].axis[c->axis].n == 0)
            continue;
        s.node[s.count++] = v;
        s.index[v] = s.count;
        s.most = r_min(c, &s, v) > s.most ? r_min(c, &s, v) : s.most;
    }
    return s;
}

static int at_x(const Chart *c, uint32_t index)
{
    return c->x + (int)(((int64_t)2 * index - 1) * c->w / (2 * (int64_t)c->layers));
}

static int at_y(const Chart *c, int64_t value)
{
    int64_t v = value > c->top ? c->top : value;
    return c->y + c->h - (int)((double)v * c->h / (double)c->top);
}

/* A round number of at most `most` steps up to top. */
static int64_t round_step(int64_t top, int most)
{
    static const int form[] = {1, 2, 5};
    for (int64_t unit = 1;; unit *= 10)
        for (int i = 0; i < 3; i++)
            if (top / (unit * form[i]) <= most)
                return unit * form[i];
}

static void draw_right(Chart *c, const char *class, int y, const char *text)
{
    draw_text(c->p, class, c->x + c->w + 6, y + 4,
              text_fit(c->p->a, text, SUB_SIZE, false, RIGHT - 10));
}

static void draw_grid(Chart *c)
{
    int64_t step = round_step(c->top, 6);
    Buf *out = c->p->out;
    for (int64_t v = 0; v <= c->top; v += step) {
        buf_printf(out, "<path class=\"q\" d=\"M%d %dh%d\"/>", c->x, at_y(c, v), c->w);
        buf_printf(out, "<text class=\"qe\" x=\"%d\" y=\"%d\">%" PRId64 "</text>\n", c->x - 6,
                   at_y(c, v) + 4, v);
    }
    step = round_step(c->layers, 12);
    for (int64_t i = step; i <= c->layers; i += step)
        buf_printf(out, "<text class=\"qm\" x=\"%d\" y=\"%d\">%" PRId64 "</text>\n",
                   at_x(c, (uint32_t)i), c->y + c->h + 14, i);
    buf_printf(out, "<text class=\"qm\" x=\"%d\" y=\"%d\">layer, in the order of the net</text>\n",
               c->x + c->w / 2, c->y + c->h + 30);
}

/* The stage or head that a layer belongs to. */
static const Inst *stage_of(const Series *s, uint32_t i)
{
    const Elab *e = s->net->elab;
    uint32_t inst = e->origins.at[graph_node(&e->graph, (NodeId){s->node[i]})->origin].inst;
    while (inst != 0 && e->insts.at[inst].parent != 0)
        inst = e->insts.at[inst].parent;
    return &e->insts.at[inst];
}

/* Whether both nets have the same stages at the same layers. */
static bool same_stages(const Series *a, const Series *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++)
        same = strcmp(stage_of(a, i)->path, stage_of(b, i)->path) == 0;
    return same;
}

/* Lines where stages begin, named above where there is room. */
static void draw_stages(Chart *c, int which)
{
    const Series *s = &c->series[which];
    const Inst *last = NULL;
    int free_from[2] = {0, 0};
    for (uint32_t i = 0; i < s->count; i++) {
        const Inst *inst = stage_of(s, i);
        if (inst == last)
            continue;
        last = inst;
        int x = c->x + (int)((int64_t)i * c->w / c->layers);
        const char *name = inst->name;
        buf_printf(c->p->out, "<path class=\"%s\" d=\"M%d %dv%d\"/>", which == 0 ? "w" : "w1", x,
                   c->y - 4 - 10 * which, c->h + 4 + 10 * which);
        /* the upper row is the second net's, if it has stages of its own */
        int row = which == 1 || (x < free_from[0] && !c->both) ? 1 : 0;
        if (x < free_from[row])
            continue;
        draw_text(c->p, which == 0 ? "ws" : "ws1", x + 2, c->y - 6 - 10 * row, name);
        free_from[row] = x + 2 + text_width(name, SMALL_SIZE, false) + 5;
    }
}

static void draw_input(Chart *c)
{
    const int64_t *a = c->series[0].net->an->input, *b = c->series[c->count - 1].net->an->input;
    const char *side = a[0] == a[1] && b[0] == b[1] ? "" : c->axis == 0 ? " (height)" : " (width)";
    for (int i = 0; i < c->count; i++) {
        int64_t v = c->series[i].net->an->input[c->axis];
        if (i > 0 && v == a[c->axis])
            break;
        buf_printf(c->p->out, "<path class=\"i\" d=\"M%d %dh%d\"/>", c->x, at_y(c, v), c->w);
        draw_right(c, "il", at_y(c, v), arena_printf(c->p->a, "input %" PRId64 "%s", v, side));
    }
}

/* The largest field so far, as far as the chart reaches. */
static void draw_r_max(Chart *c, const Series *s, int which)
{
    int64_t most = 0;
    bool clipped = false;
    buf_printf(c->p->out, "<path class=\"x%d\" d=\"", which);
    for (uint32_t i = 0; i < s->count && !clipped; i++) {
        int64_t r = s->net->an->rf[s->node[i]].axis[c->axis].r_max;
        most = r > most ? r : most;
        clipped = most > c->top;
        buf_printf(c->p->out, "%s%d %d", i == 0 ? "M" : "L", at_x(c, i + 1), at_y(c, most));
    }
    buf_add(c->p->out, "\"/>\n");
}

/* Along the path that makes the layer with the largest r_min see that much. */
static void draw_path(Chart *c, const Series *s, int which)
{
    RfStep *step;
    uint32_t worst = 0;
    for (uint32_t i = 0; i < s->count && worst == 0; i++)
        if (r_min(c, s, s->node[i]) == s->most)
            worst = s->node[i];
    if (worst == 0)
        return;
    uint32_t n = analysis_min_path(c->p->a, s->net->an, (NodeId){worst}, c->axis, &step);
    const char *go = "M";
    buf_printf(c->p->out, "<path class=\"p%d\" d=\"", which);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = s->index[step[i].node.v];
        if (index == 0)
            continue;
        buf_printf(c->p->out, "%s%d %d", go, at_x(c, index), at_y(c, step[i].r));
        go = "L";
    }
    buf_add(c->p->out, "\"/>\n");
}

/* Opens a mark, which the caller closes: a circle, or for a second net a square on its corner. */
static const char *open_mark(Pen *p, int which, char verdict, int x, int y, int r)
{
    if (which == 0)
        buf_printf(p->out, "<circle class=\"d v%c\" cx=\"%d\" cy=\"%d\" r=\"%d\">", verdict, x, y,
                   r);
    else
        buf_printf(p->out, "<path class=\"d v%c\" d=\"M%d %dl%d %dl%d %dl%d %dz\">", verdict, x,
                   y - r - 1, r + 1, r + 1, -r - 1, r + 1, -r - 1, -r - 1);
    return which == 0 ? "circle" : "path";
}

static void draw_dots(Chart *c, const Series *s, int which)
{
    for (uint32_t i = 0; i < s->count; i++) {
        Verdict v = s->net->an->verdict[s->node[i]].v;
        int64_t r = r_min(c, s, s->node[i]);
        const char *tag = open_mark(c->p, which, verdict_look[v].letter, at_x(c, i + 1), at_y(c, r),
                                    c->layers > 250 ? 2 : 3);
        buf_add(c->p->out, "<title>");
        text_xml(c->p->out, s->net->an->g->nodes.at[s->node[i]].name);
        buf_printf(c->p->out, ": r_min %" PRId64 ", %s</title></%s>\n", r, verdict_name[v], tag);
    }
}

/* Names the first layer that sees beyond the input. */
static void draw_border(Chart *c, const Series *s, int which)
{
    const Analysis *an = s->net->an;
    uint32_t first = 0;
    for (uint32_t i = 0; i < s->count && first == 0; i++)
        if (r_min(c, s, s->node[i]) > an->input[c->axis])
            first = i + 1;
    if (first == 0)
        return;
    NodeId n = {s->node[first - 1]};
    int x = at_x(c, first), y = at_y(c, r_min(c, s, n.v));
    const char *text = arena_printf(c->p->a, "border layer %s: r_min %" PRId64,
                                    graph_node(an->g, n)->name, r_min(c, s, n.v));
    text = text_fit(c->p->a, text, SUB_SIZE, true, c->w / 2);
    int w = text_width(text, SUB_SIZE, true), line = c->y + 16 + 16 * which;
    bool left = x - c->x > c->w / 2;
    buf_printf(c->p->out, "<path class=\"z\" d=\"M%d %dV%d\"/>", x, y, line + 4);
    buf_printf(c->p->out, "<circle class=\"zc\" cx=\"%d\" cy=\"%d\" r=\"6\"/>", x, y);
    buf_printf(c->p->out,
               "<rect class=\"zb\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"15\" rx=\"3\"/>",
               left ? x - w - 8 : x, line - 11, w + 8);
    draw_text(c->p, "zt", left ? x - w - 4 : x + 4, line, text);
}

/* What stands at the right edge: inputs and n, moved apart where they would touch. */
static void draw_n(Chart *c, int which)
{
    const Series *s = &c->series[which];
    int y = at_y(c, s->most);
    for (int i = 0; i < c->count; i++) {
        int in = at_y(c, c->series[i].net->an->input[c->axis]);
        if (y > in - 13 && y < in + 13)
            y = y <= in ? in - 13 : in + 13;
    }
    if (which == 1) {
        int other = at_y(c, c->series[0].most);
        if (y > other - 13 && y < other + 13)
            y = y <= other ? y - 13 : y + 13;
    }
    draw_right(c,
               c->count == 1 ? "nl"
               : which == 0  ? "nl0"
                             : "nl1",
               y,
               c->count == 1 ? arena_printf(c->p->a, "n = %" PRId64, s->most)
                             : arena_printf(c->p->a, "n = %" PRId64 " %s", s->most, s->net->role));
}

static int64_t top_of(const Chart *c)
{
    int64_t most = 0, input = 0;
    for (int i = 0; i < c->count; i++) {
        int64_t in = c->series[i].net->an->input[c->axis];
        most = c->series[i].most > most ? c->series[i].most : most;
        input = in > input ? in : input;
    }
    if (most > 12 * input) /* what is far beyond is only known to be so */
        most = 12 * input;
    int64_t top = most > input ? most : input;
    return top > INT32_MAX ? INT32_MAX : top + top / 6 + 1;
}

/* Text beside a sample of what it explains; where the next one goes. */
static int draw_key_text(Chart *c, int x, int y, const char *text)
{
    text = text_fit(c->p->a, text, SUB_SIZE, false, c->w / 3);
    draw_text(c->p, "kt", x, y, text);
    return x + text_width(text, SUB_SIZE, false) + 20;
}

/* What lines and marks mean. */
static void draw_key(Chart *c, int x, int y)
{
    Pen *p = c->p;
    for (int i = 0; i < c->count; i++) {
        const PictureNet *n = c->series[i].net;
        buf_printf(p->out, "</%s>\n", open_mark(p, i, 'K', x + 3, y - 4, 3));
        x = draw_key_text(c, x + 11, y,
                          c->count == 1
                              ? "r_min of a layer"
                              : arena_printf(p->a, "r_min %s: %s", n->role, n->elab->graph.name));
    }
    for (int i = 0; i < c->count; i++)
        buf_printf(p->out, "<path class=\"p%d\" d=\"M%d %dh22\"/>", i, x + 28 * i, y - 4);
    x = draw_key_text(c, x + 28 * c->count, y,
                      c->count == 1 ? "path that decides n" : "paths that decide n");
    buf_printf(p->out, "<path class=\"x0\" d=\"M%d %dh22\"/>", x, y - 4);
    x = draw_key_text(c, x + 28, y, "largest r_max so far");
    buf_printf(p->out, "<path class=\"i\" d=\"M%d %dh22\"/>", x, y - 4);
    draw_key_text(c, x + 28, y, "input");
}

void draw_chart(Pen *p, const PictureNet *nets, int count, int x, int y, int w)
{
    Chart c = {.p = p, .count = count, .axis = axis_of(nets[0].an)};
    uint32_t layers = 0;
    for (int i = 0; i < count && i < 2; i++) {
        Series s = collect(&c, &nets[i]);
        layers = s.count > layers ? s.count : layers;
        c.series[i] = s;
    }
    c.layers = layers;
    c.x = x + LEFT;
    c.y = y + TOP;
    c.w = w - LEFT - RIGHT;
    c.h = CHART_HEIGHT - TOP - BOTTOM;
    c.top = top_of(&c);
    buf_add(p->out, "<g class=\"chart\"><title>receptive fields</title>\n");
    buf_printf(p->out,
               "<rect class=\"n\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"7\"/>\n", x, y,
               w, CHART_HEIGHT);
    if (c.layers == 0) {
        draw_text(p, "kt", x + LANE_PAD, y + 20, "no layer sees less than the whole input");
        buf_add(p->out, "</g>\n");
        return;
    }
    draw_key(&c, c.x, y + 18);
    draw_grid(&c);
    c.both = count > 1 && !same_stages(&c.series[0], &c.series[1]);
    draw_stages(&c, 0);
    if (c.both)
        draw_stages(&c, 1);
    for (int i = 0; i < count; i++)
        draw_r_max(&c, &c.series[i], i);
    draw_input(&c);
    for (int i = 0; i < count; i++)
        draw_path(&c, &c.series[i], i);
    for (int i = 0; i < count; i++) {
        draw_dots(&c, &c.series[i], i);
        draw_border(&c, &c.series[i], i);
        draw_n(&c, i);
    }
    buf_add(p->out, "</g>\n");
}
