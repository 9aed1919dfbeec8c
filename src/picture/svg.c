/* Lanes, units and layers. */
#include "picture/svg.h"
#include "picture/layout.h"
#include "picture/text.h"
#include <inttypes.h>
#include <string.h>

void draw_text(Pen *p, const char *class, int x, int y, const char *text)
{
    buf_printf(p->out, "<text class=\"%s\" x=\"%d\" y=\"%d\">", class, x, y);
    text_xml(p->out, text);
    buf_add(p->out, "</text>\n");
}

/* Names of a layer, of all instances that it stands for. */
static void draw_names(Pen *p, const Model *m, const Unit *u, const Item *it)
{
    for (uint32_t i = 0; i < u->repeat; i++) {
        buf_add(p->out, i > 0 ? " " : "");
        text_xml(p->out, graph_node(&m->net->elab->graph, unit_node(u, it, i))->name);
    }
}

static void draw_details(Pen *p, const Model *m, const Unit *u, const Item *it)
{
    /* Browsers show a title by themselves, and the page shows it in its own way. */
    const char *tag = p->interactive ? "desc" : "title";
    buf_printf(p->out, "<%s>", tag);
    text_xml(p->out, label_details(m, u, it));
    buf_printf(p->out, "</%s>", tag);
}

/* "bn relu -> ... -> relu" */
static const char *small_text(Arena *a, const Item *it)
{
    static const char arrow[] = "\xe2\x86\x92";
    if (it->before != NULL && it->after != NULL)
        return arena_printf(a, "%s %s \xc2\xb7 %s %s", it->before, arrow, arrow, it->after);
    return it->before != NULL ? arena_printf(a, "%s %s", it->before, arrow)
                              : arena_printf(a, "%s %s", arrow, it->after);
}

static void draw_layer(Pen *p, const Model *m, const Unit *u, const Item *it, int x, int y)
{
    const VerdictLook *look = &verdict_look[it->verdict];
    bool small = it->before != NULL || it->after != NULL;
    bool aux = m->net->an->verdict[unit_node(u, it, 0).v].aux;
    int top = y - it->h / 2, line = top + (small ? 14 : 15);
    buf_printf(p->out, "<g class=\"l v%c\" data-verdict=\"%s\"%s data-layers=\"",
               look->letter == '-' ? 'N' : look->letter, look->name,
               aux ? " data-aux=\"true\"" : "");
    draw_names(p, m, u, it);
    buf_add(p->out, p->interactive ? "\" tabindex=\"0\" role=\"img\">" : "\">");
    draw_details(p, m, u, it);
    buf_printf(p->out, "<rect class=\"b\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>",
               x, top, it->w, it->h);
    buf_printf(p->out,
               "<path class=\"f\" d=\"M%d %dh%dv%dh-%da3 3 0 0 1-3-3v-%da3 3 0 0 1 3-3z\"/>\n",
               x + 3, top, BAR - 3, it->h, BAR - 3, it->h - 6);
    buf_printf(p->out, "<text class=\"c\" x=\"%d\" y=\"%d\">%c</text>\n", x + BAR / 2, y + 4,
               look->letter == '-' ? ' ' : look->letter);
    draw_text(p, "h", x + BAR + 6, line, it->head);
    draw_text(p, "s", x + BAR + 6, line + 13, it->sub);
    if (m->changed != NULL && m->changed[unit_node(u, it, 0).v])
        buf_printf(p->out,
                   "<rect class=\"g\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\"/>\n",
                   x - 2, top - 2, it->w + 4, it->h + 4);
    if (small)
        draw_text(p, "t", x + BAR + 6, line + 25, small_text(p->a, it));
    buf_add(p->out, "</g>\n");
}

static void draw_pill(Pen *p, const Item *it, int x, int y)
{
    buf_printf(p->out,
               "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\"/>",
               it->kind == ITEM_MERGE  ? "m"
               : it->kind == ITEM_FROM ? "r"
                                       : "o",
               x, y - it->h / 2, it->w, it->h, it->h / 2);
    buf_printf(p->out, "<text class=\"%s\" x=\"%d\" y=\"%d\">", it->kind == ITEM_FROM ? "tm" : "sm",
               x + it->w / 2, y + (it->kind == ITEM_FROM ? 3 : 4));
    text_xml(p->out, it->head);
    if (it->after != NULL) {
        buf_addc(p->out, ' ');
        text_xml(p->out, it->after);
    }
    buf_add(p->out, "</text>\n");
}

/* From the right side of an item to the left side of another: level, bent in the gap, level. */
static void draw_edge(Pen *p, const Unit *u, const int *right, Edge e, int x, int y)
{
    const Item *a = &u->items.at[e.from], *b = &u->items.at[e.to];
    int end = right[a->column], start = b->x;
    int x0 = a->x + a->w, mid = COLUMN_GAP / 2;
    /* the left side of the column of b is where its widest item begins */
    int turn = end + COLUMN_GAP < start ? end + COLUMN_GAP : start;
    if (a->kind == ITEM_IN)
        end = a->x + 2;
    buf_printf(p->out, "M%d %d", x + x0, y + a->y);
    if (a->y == b->y) {
        buf_printf(p->out, "H%d", x + start);
        return;
    }
    if (turn - end < 8)
        turn = start;
    mid = (turn - end) / 2;
    if (end > x0)
        buf_printf(p->out, "H%d", x + end);
    buf_printf(p->out, "C%d %d %d %d %d %d", x + end + mid, y + a->y, x + turn - mid, y + b->y,
               x + turn, y + b->y);
    if (start > turn)
        buf_printf(p->out, "H%d", x + start);
}

static void draw_edges(Pen *p, const Unit *u, int x, int y)
{
    int *right = arena_new_n(p->a, int, u->columns);
    for (uint32_t i = 0; i < u->items.len; i++) {
        const Item *it = &u->items.at[i];
        if (it->kind != ITEM_GONE && it->x + it->w > right[it->column])
            right[it->column] = it->x + it->w;
    }
    if (u->edges.len == 0)
        return;
    buf_add(p->out, "<path class=\"e\" d=\"");
    for (uint32_t i = 0; i < u->edges.len; i++)
        draw_edge(p, u, right, u->edges.at[i], x, y);
    buf_add(p->out, "\"/>\n");
}

static void draw_unit(Pen *p, const Model *m, const Unit *u, int x, int y)
{
    if (u->title != NULL) {
        buf_printf(p->out,
                   "<rect class=\"u\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\"/>", x,
                   y, u->w, u->h);
        draw_text(p, "ut", x + UNIT_PAD, y + 14, u->title);
        if (u->repeat > 1) {
            buf_printf(p->out, "<text class=\"ur\" x=\"%d\" y=\"%d\">\xc3\x97 %u</text>\n",
                       x + u->w - UNIT_PAD, y + 14, u->repeat);
            buf_printf(p->out, "<path class=\"k\" d=\"M%d %dh%da5 5 0 0 1 5 5v%d\"/>\n", x + 6,
                       y - 4, u->w - 7, u->h - 7); /* a sheet behind it: there are more */
        }
    }
    draw_edges(p, u, x, y);
    for (uint32_t i = 0; i < u->items.len; i++) {
        const Item *it = &u->items.at[i];
        if (it->kind == ITEM_LAYER)
            draw_layer(p, m, u, it, x + it->x, y + it->y);
        else if (it->kind == ITEM_SMALL || it->kind == ITEM_MERGE || it->kind == ITEM_FROM)
            draw_pill(p, it, x + it->x, y + it->y);
    }
}

/* The line from one unit to the next in its row. */
static void draw_link(Pen *p, const Unit *a, const Unit *b, int x, int y)
{
    int x0 = x + a->x + a->w, y0 = y + a->y + a->port_out, x1 = x + b->x - 2;
    int y1 = y + b->y + b->port_in, mid = (x1 - x0) / 2;
    buf_printf(p->out, "<path class=\"a\" d=\"M%d %dC%d %d %d %d %d %d\"/>\n", x0, y0, x0 + mid, y0,
               x1 - mid, y1, x1, y1);
}

/* The line from the end of a row of units to the beginning of the next. */
static void draw_return(Pen *p, const Lane *l, uint32_t next, int x, int y)
{
    const Unit *a = &l->units.at[next - 1], *b = &l->units.at[next];
    int gap = 0;
    for (uint32_t i = next; i-- > 0;) {
        const Unit *u = &l->units.at[i];
        gap = u->y + u->h > gap ? u->y + u->h : gap;
        if (u->first_of_row)
            break;
    }
    gap += UNIT_SKIP / 2 - 2;
    buf_printf(p->out, "<path class=\"a\" d=\"M%d %dh6V%dH%dV%dh%d\"/>\n", x + a->x + a->w,
               y + a->y + a->port_out, y + gap, x + b->x - 8, y + b->y + b->port_in, 6);
}

static void draw_lane(Pen *p, const Model *m, const Lane *l, int x, int y)
{
    buf_add(p->out, "<g class=\"lane\"><title>");
    text_xml(p->out, l->title);
    buf_printf(p->out,
               "</title><rect class=\"n\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" "
               "rx=\"7\"/>\n",
               x, y, l->w, l->h);
    draw_text(p, "nt", x + LANE_PAD, y + 19, l->title);
    draw_text(p, "nf", x + LANE_PAD + text_width(l->title, TITLE_SIZE, true) + 10, y + 19,
              l->facts);
    for (uint32_t i = 0; i < l->units.len; i++) {
        const Unit *u = &l->units.at[i];
        if (!u->first_of_row && l->inst != 0)
            draw_link(p, &l->units.at[i - 1], u, x, y);
        else if (i > 0 && l->inst != 0)
            draw_return(p, l, i, x, y);
        draw_unit(p, m, u, x + u->x, y + u->y);
    }
    buf_add(p->out, "</g>\n");
}

void draw_lanes(Pen *p, const Model *m, int x, int y)
{
    for (uint32_t i = 0; i < m->lanes.len; i++) {
        const Lane *l = &m->lanes.at[i];
        draw_lane(p, m, l, x + l->x, y + l->y);
        if (i > 0 && l->follows && l->x > 0)
            buf_printf(p->out, "<path class=\"a\" d=\"M%d %dh%d\"/>\n", x + l->x - LANE_GAP + 1,
                       y + l->y + 15, LANE_GAP - 4);
    }
}
