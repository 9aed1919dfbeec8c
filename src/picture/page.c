/* A whole drawing: title, facts and legend of each net, the chart, the lanes; what colours it. */
#include "picture/layout.h"
#include "picture/svg.h"
#include "picture/text.h"
#include <inttypes.h>

enum { MARGIN = 16, PAGE = 900, COLUMN = 780, COLUMNS_GAP = 28, HEADER = 84 };

static const Verdict legend[] = {VERDICT_PRODUCTIVE, VERDICT_SATURATED, VERDICT_UNDERUTILIZED,
                                 VERDICT_UNPRODUCTIVE, VERDICT_GLOBAL};

int draw_header(Pen *p, const PictureNet *net, int x, int y, int w)
{
    const char *name = net->elab->graph.name;
    if (net->role != NULL)
        name = arena_printf(p->a, "%s: %s", net->role, name);
    draw_text(p, "pt", x, y + 20, text_fit(p->a, name, 20, true, w));
    draw_text(p, "pf", x, y + 42, text_fit(p->a, label_facts(p->a, net), 12, false, w));
    int at = x;
    for (size_t i = 0; i < sizeof legend / sizeof *legend; i++) {
        const VerdictLook *look = &verdict_look[legend[i]];
        const char *text = arena_printf(p->a, "%s %u", look->name, net->an->count[legend[i]]);
        buf_printf(
            p->out,
            "<g class=\"v%c\"><rect class=\"b\" x=\"%d\" y=\"%d\" width=\"30\" height=\"16\" "
            "rx=\"3\"/><rect class=\"f\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"16\" "
            "rx=\"3\"/><text class=\"c\" x=\"%d\" y=\"%d\">%c</text></g>\n",
            look->letter, at, y + 54, at, y + 54, BAR, at + BAR / 2, y + 66, look->letter);
        draw_text(p, "kt", at + 36, y + 66, text);
        at += 36 + text_width(text, SUB_SIZE, false) + 18;
    }
    if (net->role != NULL) {
        buf_printf(p->out,
                   "<rect class=\"g\" x=\"%d\" y=\"%d\" width=\"28\" height=\"14\" rx=\"3\"/>\n",
                   at + 1, y + 55);
        draw_text(p, "kt", at + 36, y + 66, "not so in the other");
    }
    return HEADER;
}

void draw_page(Pen *p, const PictureNet *nets, int count, const PictureOptions *o)
{
    Model m[2];
    int w = 0, h = 0, x[2] = {MARGIN, 0}, wide[2];
    int want = o->width > 0 ? (o->width - 2 * MARGIN - (count - 1) * COLUMNS_GAP) / count
               : count == 1 ? 0
                            : COLUMN;
    int least = want == 0 ? PAGE : want < 320 ? 320 : want;
    for (int i = 0; i < count; i++) {
        model_build(p->a, &nets[i], count > 1 ? &nets[1 - i] : NULL, &m[i]);
        for (uint32_t k = 0; k < m[i].lanes.len; k++)
            for (uint32_t u = 0; u < m[i].lanes.at[k].units.len; u++)
                layout_unit(p->a, &m[i].lanes.at[k].units.at[u]);
        layout_pack(&m[i], want, least);
        wide[i] = m[i].w;
        x[i] = i == 0 ? MARGIN : x[0] + wide[0] + COLUMNS_GAP;
        w = x[i] + wide[i] + MARGIN;
        h = m[i].h > h ? m[i].h : h;
    }
    int lanes = MARGIN + HEADER + CHART_HEIGHT + ROW_SKIP;
    h += lanes + MARGIN;
    buf_printf(p->out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
               "viewBox=\"0 0 %d %d\" role=\"img\" font-family=\"sans-serif\">\n<title>",
               w, h, w, h);
    for (int i = 0; i < count; i++) {
        buf_add(p->out, i > 0 ? " and " : "");
        text_xml(p->out, nets[i].elab->graph.name);
    }
    buf_add(p->out, "</title>\n");
    if (!p->interactive) {
        buf_add(p->out, "<style>\n");
        draw_style(p->out, false);
        buf_add(p->out, "</style>\n");
    }
    buf_add(p->out, "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" "
                    "markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path class=\"ah\" "
                    "d=\"M0 0l8 4l-8 4z\"/></marker></defs>\n");
    buf_printf(p->out, "<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n", w, h);
    for (int i = 0; i < count; i++)
        draw_header(p, &nets[i], x[i], MARGIN, wide[i]);
    draw_chart(p, nets, count, MARGIN, MARGIN + HEADER, w - 2 * MARGIN);
    for (int i = 0; i < count; i++)
        draw_lanes(p, &m[i], x[i], lanes);
    buf_add(p->out, "</svg>\n");
}

void picture_svg(const PictureNet *nets, int count, const PictureOptions *o, Buf *out)
{
    Pen p = {.a = nets[0].elab->arena, .out = out};
    draw_page(&p, nets, count, o);
}
