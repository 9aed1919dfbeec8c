/* The items of a unit: layers as boxes, the small operators around them folded in, tensors from
 * outside by name, joins. */
#include "picture/model.h"
#include <string.h>

typedef struct Making {
    Model *m;
    Unit *u;
    const Graph *g;
    NodeId in; /* what the unit is applied to */
} Making;

static uint32_t add_item(Making *k, Item it)
{
    vec_push(k->m->arena, &k->u->items, it);
    return k->u->items.len - 1;
}

/* add(x, x) is one line */
static void add_edge(Making *k, uint32_t from, uint32_t to)
{
    for (uint32_t i = k->u->edges.len; i-- > 0 && k->u->edges.at[i].to == to;)
        if (k->u->edges.at[i].from == from)
            return;
    vec_push(k->m->arena, &k->u->edges, ((Edge){from, to}));
}

/* Position of a node among those of the first instance, sorted by id; UINT32_MAX: none of them. */
static uint32_t position(const Unit *u, NodeId n)
{
    uint32_t lo = 0, hi = u->node_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (u->nodes[mid].v < n.v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < u->node_count && u->nodes[lo].v == n.v ? lo : UINT32_MAX;
}

/* What made a tensor, as a reader of the picture knows it: the instance's path, or the input. */
static const char *maker(const Elab *e, NodeId n)
{
    uint32_t i = e->origins.at[graph_node(&e->graph, n)->origin].inst;
    return i != 0 && e->insts.at[i].path != NULL ? e->insts.at[i].path
                                                 : graph_node(&e->graph, n)->name;
}

/* The n-th input of a node of another instance is the same node or its like. */
static const char *source_label(const Making *k, uint32_t at, uint32_t input)
{
    const Elab *e = k->m->net->elab;
    NodeId last = k->u->nodes[(k->u->repeat - 1) * k->u->node_count + at];
    const char *a = maker(e, graph_in(k->g, k->u->nodes[at], input));
    const char *b = maker(e, graph_in(k->g, last, input));
    return strcmp(a, b) == 0 ? arena_printf(k->m->arena, "from %s", a)
                             : arena_printf(k->m->arena, "from %s to %s", a, b);
}

static uint32_t item_of_input(Making *k, uint32_t at, uint32_t input)
{
    NodeId n = graph_in(k->g, k->u->nodes[at], input);
    if (n.v == k->in.v)
        return 0;
    uint32_t p = position(k->u, n);
    if (p != UINT32_MAX)
        return k->u->item[p];
    for (uint32_t i = 1; i < k->u->items.len; i++)
        if (k->u->items.at[i].kind == ITEM_FROM && k->u->items.at[i].source.v == n.v)
            return i;
    return add_item(k, (Item){.kind = ITEM_FROM, .source = n, .head = source_label(k, at, input)});
}

static const char *join(Arena *a, const char *x, const char *y)
{
    return x == NULL ? y : arena_printf(a, "%s %s", x, y);
}

ItemKind unit_item_kind(const Node *n)
{
    if ((op_info[n->op].flags & OPF_COUNTED) || n->op == OP_GAP || n->op == OP_ADAPTIVE_AVGPOOL ||
        n->op == OP_INPUT)
        return ITEM_LAYER;
    return n->in_count > 1 ? ITEM_MERGE : ITEM_SMALL;
}

/* A small operator that is all that becomes of an item of the unit is part of it. */
static bool absorbed(Making *k, uint32_t at)
{
    const Node *n = graph_node(k->g, k->u->nodes[at]);
    NodeId in = graph_in(k->g, k->u->nodes[at], 0);
    uint32_t p = position(k->u, in);
    if (p == UINT32_MAX || k->m->uses[in.v] != 1)
        return false;
    Item *it = &k->u->items.at[k->u->item[p]];
    if (it->kind == ITEM_SMALL)
        it->head = join(k->m->arena, it->head, op_info[n->op].name);
    else
        it->after = join(k->m->arena, it->after, op_info[n->op].name);
    k->u->item[at] = k->u->item[p];
    return true;
}

static void add_node(Making *k, uint32_t at)
{
    NodeId id = k->u->nodes[at];
    const Node *n = graph_node(k->g, id);
    ItemKind kind = unit_item_kind(n);
    if (kind == ITEM_SMALL && absorbed(k, at))
        return;
    uint32_t *from = arena_new_n(k->m->arena, uint32_t, n->in_count + 1);
    for (uint32_t i = 0; i < n->in_count; i++)
        from[i] = item_of_input(k, at, i);
    Item it = {.kind = kind, .node = at, .verdict = k->m->net->an->verdict[id.v].v};
    if (kind == ITEM_LAYER) {
        it.head = label_head(k->m, id);
        it.sub = label_sub(k->m, id);
    } else {
        it.head = n->op == OP_ADD ? "+" : n->op == OP_MUL ? "\xc3\x97" : op_info[n->op].name;
    }
    k->u->item[at] = add_item(k, it);
    for (uint32_t i = 0; i < n->in_count; i++)
        add_edge(k, from[i], k->u->item[at]);
}

/* Small operators with nothing before them in the unit become part of the layer they feed. */
static void fold_forward(Making *k)
{
    Unit *u = k->u;
    uint32_t *ins = arena_new_n(k->m->arena, uint32_t, u->items.len);
    uint32_t *outs = arena_new_n(k->m->arena, uint32_t, u->items.len);
    uint32_t *feed = arena_new_n(k->m->arena, uint32_t, u->items.len), kept = 0;
    for (uint32_t i = 0; i < u->edges.len; i++) {
        ins[u->edges.at[i].to]++;
        outs[u->edges.at[i].from]++;
        feed[u->edges.at[i].to] = i;
    }
    for (uint32_t i = 0; i < u->edges.len; i++) {
        Edge *e = &u->edges.at[i];
        Item *s = &u->items.at[e->from], *l = &u->items.at[e->to];
        if (s->kind != ITEM_SMALL || l->kind != ITEM_LAYER || outs[e->from] != 1 || ins[e->to] != 1)
            continue;
        l->before = s->head;
        s->kind = ITEM_GONE;
        e->from = u->edges.at[feed[e->from]].from; /* what fed it feeds the layer */
    }
    for (uint32_t i = 0; i < u->edges.len; i++)
        if (u->items.at[u->edges.at[i].to].kind != ITEM_GONE)
            u->edges.at[kept++] = u->edges.at[i];
    u->edges.len = kept;
}

void unit_build(Model *m, Unit *u)
{
    const Elab *e = m->net->elab;
    const Inst *x = &e->insts.at[u->inst];
    Making k = {.m = m, .u = u, .g = &e->graph};
    u->item = arena_new_n(m->arena, uint32_t, u->node_count);
    if (u->inst != 0)
        k.in = x->in;
    add_item(&k, (Item){.kind = ITEM_IN});
    for (uint32_t i = 0; i < u->node_count; i++)
        add_node(&k, i);
    uint32_t last = x->kind == INST_STEP ? position(u, u->out) : UINT32_MAX;
    if (u->inst != 0 && last != UINT32_MAX) {
        uint32_t out = add_item(&k, (Item){.kind = ITEM_OUT});
        add_edge(&k, u->item[last], out);
    }
    fold_forward(&k);
    bool used = false;
    for (uint32_t i = 0; i < u->edges.len; i++)
        used = used || u->edges.at[i].from == 0;
    if (!used)
        u->items.at[0].kind = ITEM_GONE;
    uint32_t shown = 0;
    for (uint32_t i = 0; i < u->items.len; i++)
        shown += u->items.at[i].kind != ITEM_GONE && u->items.at[i].kind != ITEM_IN &&
                 u->items.at[i].kind != ITEM_OUT;
    if (shown != 1 || u->repeat > 1)
        return;
    u->title = NULL; /* a box needs no frame */
    u->bare = true;
}
