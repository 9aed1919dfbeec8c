/* Graphviz source: stages and blocks as clusters, layers in the colours and letters of their
 * verdicts. */
#include "picture/model.h"
#include "picture/text.h"

typedef struct Dot {
    Model *m;
    Buf *out;
    uint32_t *unit, *item; /* by node: the unit, counted through the net plus 1, and its item */
} Dot;

static void add_id(Dot *d, uint32_t unit, uint32_t item)
{
    buf_printf(d->out, "u%u_%u", unit, item);
}

static void add_label(Dot *d, const Item *it)
{
    const VerdictLook *look = &verdict_look[it->verdict];
    if (it->kind == ITEM_LAYER && look->letter != '-')
        buf_printf(d->out, "%c  ", look->letter);
    text_dot(d->out, it->head);
    const char *more[] = {it->sub, it->before, it->after};
    for (int i = 0; i < 3; i++)
        if (more[i] != NULL) {
            buf_add(d->out, i == 0 ? "\\n" : i == 1 ? "\\nafter " : "\\nthen ");
            text_dot(d->out, more[i]);
        }
}

static void add_item(Dot *d, const Unit *u, uint32_t unit, uint32_t i)
{
    const Item *it = &u->items.at[i];
    const VerdictLook *look = &verdict_look[it->verdict];
    if (it->kind != ITEM_LAYER && it->kind != ITEM_SMALL && it->kind != ITEM_MERGE)
        return;
    buf_add(d->out, "      ");
    add_id(d, unit, i);
    buf_add(d->out, " [label=\"");
    add_label(d, it);
    if (it->kind == ITEM_LAYER) {
        buf_printf(d->out, "\", fillcolor=\"%s\", color=\"%s\", tooltip=\"", look->tint,
                   look->colour);
        text_dot(d->out, label_details(d->m, u, it));
        buf_add(d->out, "\"];\n");
    } else {
        buf_add(d->out, "\", shape=ellipse, fillcolor=\"#e9ecf1\", color=\"#7a828e\"];\n");
    }
}

/* Notes which item stands for every node, of all instances. */
static void take_nodes(Dot *d, const Unit *u, uint32_t unit)
{
    for (uint32_t i = 0; i < u->repeat * u->node_count; i++) {
        d->unit[u->nodes[i].v] = unit + 1;
        d->item[u->nodes[i].v] = u->item[i % u->node_count];
    }
}

static void add_unit(Dot *d, const Unit *u, uint32_t unit)
{
    if (u->title != NULL) {
        buf_printf(d->out,
                   "    subgraph cluster_unit%u {\n      style=\"rounded,filled\"; "
                   "fillcolor=\"#ffffff\"; color=\"#b4bac5\"; label=\"",
                   unit);
        text_dot(d->out, u->title);
        if (u->repeat > 1)
            buf_printf(d->out, "  \xc3\x97 %u", u->repeat);
        buf_add(d->out, "\";\n");
    }
    for (uint32_t i = 0; i < u->items.len; i++)
        add_item(d, u, unit, i);
    if (u->title != NULL)
        buf_add(d->out, "    }\n");
}

static void add_edges(Dot *d, const Unit *u, uint32_t unit)
{
    for (uint32_t i = 0; i < u->edges.len; i++) {
        const Item *from = &u->items.at[u->edges.at[i].from], *to = &u->items.at[u->edges.at[i].to];
        NodeId outside = from->kind == ITEM_IN     ? d->m->net->elab->insts.at[u->inst].in
                         : from->kind == ITEM_FROM ? from->source
                                                   : NODE_NONE;
        if (to->kind == ITEM_OUT || (outside.v != 0 && d->unit[outside.v] == 0))
            continue;
        buf_add(d->out, "  ");
        if (outside.v != 0)
            add_id(d, d->unit[outside.v] - 1, d->item[outside.v]);
        else
            add_id(d, unit, u->edges.at[i].from);
        buf_add(d->out, " -> ");
        add_id(d, unit, u->edges.at[i].to);
        buf_add(d->out, ";\n");
    }
}

void picture_dot(const PictureNet *net, Buf *out)
{
    Model m;
    Arena *a = net->elab->arena;
    Dot d = {.m = &m, .out = out};
    uint32_t unit = 0, nodes = net->elab->graph.nodes.len;
    model_build(a, net, NULL, &m);
    d.unit = arena_new_n(a, uint32_t, nodes);
    d.item = arena_new_n(a, uint32_t, nodes);
    buf_add(out, "digraph \"");
    text_dot(out, net->elab->graph.name);
    buf_add(out, "\" {\n  label=\"");
    text_dot(out, net->elab->graph.name);
    buf_add(out, "\\n");
    text_dot(out, label_facts(a, net));
    buf_add(out,
            "\\nP productive, S saturated, U underutilized, X unproductive, G global\";\n"
            "  labelloc=t; compound=true; bgcolor=\"#ffffff\"; fontname=\"sans-serif\";\n"
            "  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontsize=11];\n"
            "  edge [color=\"#7a828e\", arrowsize=0.6];\n"
            "  graph [fontname=\"sans-serif\", fontsize=12];\n");
    for (uint32_t i = 0; i < m.lanes.len; i++) {
        const Lane *l = &m.lanes.at[i];
        buf_printf(out,
                   "  subgraph cluster_lane%u {\n    style=\"rounded,filled\"; "
                   "fillcolor=\"#f6f7f9\"; color=\"#d5d9e0\"; label=\"",
                   i);
        text_dot(out, l->title);
        if (*l->facts != '\0')
            buf_add(out, "   ");
        text_dot(out, l->facts);
        buf_add(out, "\";\n");
        for (uint32_t k = 0; k < l->units.len; k++) {
            take_nodes(&d, &l->units.at[k], unit);
            add_unit(&d, &l->units.at[k], unit++);
        }
        buf_add(out, "  }\n");
    }
    unit = 0;
    for (uint32_t i = 0; i < m.lanes.len; i++)
        for (uint32_t k = 0; k < m.lanes.at[i].units.len; k++)
            add_edges(&d, &m.lanes.at[i].units.at[k], unit++);
    buf_add(out, "}\n");
}
