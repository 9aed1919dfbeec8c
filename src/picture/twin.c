/* What two networks do not have in common: layers are matched by name. */
#include "picture/model.h"
#include <stdlib.h>
#include <string.h>

typedef struct Named {
    const char *name;
    NodeId node;
} Named;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const Named *)a)->name, ((const Named *)b)->name);
}

static bool same_layer(const Graph *g, NodeId a, const Graph *h, NodeId b)
{
    const Node *x = graph_node(g, a), *y = graph_node(h, b);
    bool same = x->op == y->op;
    for (int i = 0; same && i < op_info[x->op].attr_count; i++)
        same = attr_equal(graph_attr(g, a, i), graph_attr(h, b, i));
    return same;
}

bool *twin_changes(Arena *a, const PictureNet *net, const PictureNet *other)
{
    const Graph *g = &net->elab->graph, *h = &other->elab->graph;
    Named *names = arena_new_n(a, Named, h->nodes.len);
    bool *changed = arena_new_n(a, bool, g->nodes.len);
    uint32_t n = 0;
    for (uint32_t v = 1; v < h->nodes.len; v++)
        if (other->an->live[v])
            names[n++] = (Named){h->nodes.at[v].name, {v}};
    qsort(names, n, sizeof *names, by_name); /* names are unique */
    for (uint32_t v = 1; v < g->nodes.len; v++) {
        Named key = {g->nodes.at[v].name, {v}};
        if (unit_item_kind(&g->nodes.at[v]) != ITEM_LAYER || g->nodes.at[v].op == OP_INPUT)
            continue;
        const Named *twin = n > 0 ? bsearch(&key, names, n, sizeof *names, by_name) : NULL;
        changed[v] = twin == NULL || !same_layer(g, (NodeId){v}, h, twin->node);
    }
    return changed;
}
