/* From graph and instance tree to lanes and units; equal units in a row become one. */
#include "picture/model.h"
#include "picture/text.h"
#include <string.h>

/* The instance of a stage's step, or the head, that a node belongs to; 0 for inputs. */
static uint32_t unit_of(const Elab *e, NodeId n)
{
    uint32_t i = e->origins.at[graph_node(&e->graph, n)->origin].inst;
    while (i != 0) {
        const Inst *x = &e->insts.at[i];
        if (x->kind == INST_HEAD || x->kind == INST_STAGE ||
            e->insts.at[x->parent].kind == INST_STAGE)
            return i;
        i = x->parent;
    }
    return 0;
}

static uint32_t lane_of(const Elab *e, uint32_t unit)
{
    const Inst *x = &e->insts.at[unit];
    return unit == 0 || x->kind == INST_HEAD || x->kind == INST_STAGE ? unit : x->parent;
}

/* The jump's growth from one tensor to another on an axis; 0 when it is not one whole number. */
static int64_t growth(const Analysis *an, NodeId from, NodeId to, int axis)
{
    const RfAxis *a = &an->rf[from.v].axis[axis], *b = &an->rf[to.v].axis[axis];
    if (a->n != 1 || b->n != 1)
        return 0;
    int64_t num, den;
    if (__builtin_mul_overflow(b->e[0].s_num, a->e[0].s_den, &num) ||
        __builtin_mul_overflow(b->e[0].s_den, a->e[0].s_num, &den) || den == 0)
        return 0;
    return num % den == 0 ? num / den : den % num == 0 ? -(den / num) : 0;
}

static void add_stride(const Analysis *an, const Inst *s, Arena *a, Buf *out)
{
    int64_t h = growth(an, s->in, s->out, 0), w = growth(an, s->in, s->out, 1);
    if (h > 0 && w > 0)
        buf_printf(out, "stride %s \xc2\xb7 ", label_stride(a, (Size2){h, w}));
    else if (h < 0 && w < 0)
        buf_printf(out, "up %s \xc2\xb7 ", label_stride(a, (Size2){-h, -w}));
}

/* What a head makes; Inst.out of a head is not its result. */
static NodeId head_result(const Graph *g, const char *name)
{
    for (uint32_t i = 0; i < g->outs.len; i++)
        if (strcmp(g->outs.at[i].name, name) == 0)
            return g->outs.at[i].node;
    return NODE_NONE;
}

static void name_lane(Model *m, Lane *l)
{
    const Elab *e = m->net->elab;
    const Inst *x = &e->insts.at[l->inst];
    Buf facts = {0};
    if (l->inst == 0) {
        l->title = e->graph.ins.len > 1 ? "inputs" : "input";
        l->facts = "";
        return;
    }
    l->title = x->kind == INST_HEAD ? arena_printf(m->arena, "head %s", x->name) : x->name;
    NodeId out = x->kind == INST_HEAD ? head_result(&e->graph, x->name) : x->out;
    if (x->kind == INST_STAGE)
        add_stride(m->net->an, x, m->arena, &facts);
    if (out.v != 0)
        buf_printf(&facts, "out %s", label_shape(m->arena, m->net->an->shape[out.v]));
    /* A lane that continues another than the one above says which. */
    const Lane *last = m->lanes.len > 1 ? &m->lanes.at[m->lanes.len - 2] : NULL;
    l->follows = last != NULL && (last->inst == 0 || e->insts.at[last->inst].out.v == x->in.v);
    if (!l->follows)
        buf_printf(&facts, " \xc2\xb7 from %s", graph_node(&e->graph, x->in)->name);
    l->facts = text_take(m->arena, &facts);
}

/* Whether an operator looks and does the same in two instances. What stochastic depth's rate is,
 * and how wide the tensor it passes through has grown, is no difference to the eye. */
static bool same_node(const Model *m, NodeId a, NodeId b)
{
    const Analysis *an = m->net->an;
    const Graph *g = an->g;
    const Node *x = graph_node(g, a), *y = graph_node(g, b);
    if (x->op != y->op || x->in_count != y->in_count || an->verdict[a.v].v != an->verdict[b.v].v ||
        an->verdict[a.v].aux != an->verdict[b.v].aux)
        return false;
    if (m->changed != NULL && m->changed[a.v] != m->changed[b.v])
        return false;
    if ((op_info[x->op].flags & OPF_COUNTED) && !shape_equal(an->shape[a.v], an->shape[b.v]))
        return false;
    for (int i = 0; i < op_info[x->op].attr_count && !(op_info[x->op].flags & OPF_TRAIN_ONLY); i++)
        if (!attr_equal(graph_attr(g, a, i), graph_attr(g, b, i)))
            return false;
    return true;
}

/* Where an input comes from, in the same terms for every instance: the position among the unit's
 * nodes, or from outside. */
static uint32_t relative(const NodeId *nodes, uint32_t count, NodeId in, NodeId unit_in)
{
    if (in.v == unit_in.v)
        return UINT32_MAX;
    for (uint32_t i = 0; i < count; i++)
        if (nodes[i].v == in.v)
            return i;
    return UINT32_MAX - 1;
}

static bool same_unit(const Model *m, const Unit *a, const Unit *b)
{
    const Elab *e = m->net->elab;
    const Inst *x = &e->insts.at[a->inst], *y = &e->insts.at[b->inst];
    if (a->inst == 0 || a->node_count != b->node_count || strcmp(x->name, y->name) != 0)
        return false;
    for (uint32_t i = 0; i < a->node_count; i++) {
        if (!same_node(m, a->nodes[i], b->nodes[i]))
            return false;
        for (uint32_t k = 0; k < graph_node(&e->graph, a->nodes[i])->in_count; k++)
            if (relative(a->nodes, i, graph_in(&e->graph, a->nodes[i], k), x->in) !=
                relative(b->nodes, i, graph_in(&e->graph, b->nodes[i], k), y->in))
                return false;
    }
    return true;
}

/* "block s3.0 to s3.4" */
static void name_unit(Model *m, Unit *u)
{
    const Inst *x = &m->net->elab->insts.at[u->inst];
    if (u->inst == 0 || x->kind != INST_STEP)
        return;
    u->title =
        u->repeat == 1
            ? arena_printf(m->arena, "%s %s", x->name, x->path)
            : arena_printf(m->arena, "%s %s to %s", x->name, x->path,
                           m->net->elab->insts
                               .at[unit_of(m->net->elab, u->nodes[u->node_count * (u->repeat - 1)])]
                               .path);
}

/* Steps such as `-> relu` are no unit of their own: they end the one before. */
static bool continues(const Model *m, const Unit *last, const Unit *u)
{
    const Graph *g = &m->net->elab->graph;
    if (u->inst == 0 || last->repeat > 1)
        return false;
    for (uint32_t i = 0; i < u->node_count; i++) {
        const Node *n = graph_node(g, u->nodes[i]);
        NodeId want = i == 0 ? last->out : u->nodes[i - 1];
        if (unit_item_kind(n) != ITEM_SMALL || graph_in(g, u->nodes[i], 0).v != want.v)
            return false;
    }
    return true;
}

/* Takes a finished run of nodes: a new unit of its lane, or one more instance of the last. */
static void take_unit(Model *m, uint32_t inst, const NodeId *nodes, uint32_t count)
{
    uint32_t lane = lane_of(m->net->elab, inst);
    if (m->lanes.len == 0 || vec_last(&m->lanes).inst != lane) {
        vec_push(m->arena, &m->lanes, (Lane){.inst = lane});
        name_lane(m, &vec_last(&m->lanes));
    }
    Lane *l = &vec_last(&m->lanes);
    Unit u = {.inst = inst, .nodes = nodes, .node_count = count, .repeat = 1};
    u.out = m->net->elab->insts.at[inst].out;
    if (l->units.len > 0 && continues(m, &vec_last(&l->units), &u)) {
        vec_last(&l->units).node_count += count;
        vec_last(&l->units).out = u.out;
        return;
    }
    /* instances follow each other in memory, so the last unit only grows */
    if (l->units.len > 0 && same_unit(m, &vec_last(&l->units), &u))
        vec_last(&l->units).repeat++;
    else
        vec_push(m->arena, &l->units, u);
}

void model_build(Arena *a, const PictureNet *net, const PictureNet *other, Model *m)
{
    const Elab *e = net->elab;
    const Graph *g = &e->graph;
    *m = (Model){.net = net, .arena = a};
    m->changed = other != NULL ? twin_changes(a, net, other) : NULL;
    m->uses = arena_new_n(a, uint32_t, g->nodes.len);
    NodeId *order = arena_new_n(a, NodeId, g->nodes.len);
    uint32_t count = 0;
    for (uint32_t v = 1; v < g->nodes.len; v++) {
        if (!net->an->live[v])
            continue;
        order[count++] = (NodeId){v};
        for (uint32_t k = 0; k < g->nodes.at[v].in_count; k++)
            m->uses[graph_in(g, (NodeId){v}, k).v]++;
    }
    for (uint32_t at = 0, end; at < count; at = end) {
        uint32_t inst = unit_of(e, order[at]);
        for (end = at + 1; end < count && inst != 0 && unit_of(e, order[end]) == inst;)
            end++;
        take_unit(m, inst, order + at, end - at);
    }
    for (uint32_t i = 0; i < m->lanes.len; i++)
        for (uint32_t k = 0; k < m->lanes.at[i].units.len; k++) {
            name_unit(m, &m->lanes.at[i].units.at[k]);
            unit_build(m, &m->lanes.at[i].units.at[k]);
        }
}
