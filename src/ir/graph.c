/* Building graphs and checking their structure. */
#include "ir/graph.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void graph_init(Graph *g, Arena *a, const char *name)
{
    memset(g, 0, sizeof *g);
    g->arena = a;
    g->name = name;
    vec_push(a, &g->nodes, ((Node){0}));
}

NodeId graph_add(Graph *g, Op op, const AttrVal *attrs, const NodeId *ins, uint32_t nin,
                 const char *name, uint32_t origin)
{
    Node n = {.op = op,
              .attr_first = g->attrs.len,
              .in_first = g->inputs.len,
              .in_count = nin,
              .attr_count = (uint32_t)op_info[op].attr_count,
              .origin = origin,
              .name = name};
    for (uint32_t i = 0; i < n.attr_count; i++)
        vec_push(g->arena, &g->attrs, attrs[i]);
    for (uint32_t i = 0; i < nin; i++)
        vec_push(g->arena, &g->inputs, ins[i]);
    vec_push(g->arena, &g->nodes, n);
    return (NodeId){g->nodes.len - 1};
}

Window graph_window(const Graph *g, NodeId n)
{
    Op op = graph_node(g, n)->op;
    Window w = {{1, 1}, {1, 1}, {1, 1}, {PAD_EXPLICIT, 0, 0, 0, 0}, false};
    int k = op_attr_index(op, "k"), stride = op_attr_index(op, "stride"),
        dilation = op_attr_index(op, "dilation"), pad = op_attr_index(op, "pad"),
        ceil_mode = op_attr_index(op, "ceil_mode");
    if (k >= 0)
        w.k = graph_attr(g, n, k)->size;
    if (stride >= 0)
        w.stride = graph_attr(g, n, stride)->size;
    /* Where the default is 0, 0 means the kernel's size. */
    if (stride >= 0 && op_info[op].attrs[stride].def.size.h == 0) {
        w.stride.h = w.stride.h == 0 ? w.k.h : w.stride.h;
        w.stride.w = w.stride.w == 0 ? w.k.w : w.stride.w;
    }
    if (dilation >= 0)
        w.dilation = graph_attr(g, n, dilation)->size;
    if (pad >= 0)
        w.pad = graph_attr(g, n, pad)->pad;
    if (ceil_mode >= 0)
        w.ceil_mode = graph_attr(g, n, ceil_mode)->i != 0;
    return w;
}

enum { INT_MAX_ATTR = 1 << 30 };

static bool beyond(int64_t v)
{
    return v < 0 || v > INT_MAX_ATTR;
}

static bool out_of_range(const AttrVal *v)
{
    if (v->type == ATTR_INT || v->type == ATTR_BOOL)
        return beyond(v->i);
    if (v->type == ATTR_SIZE)
        return beyond(v->size.h) || beyond(v->size.w);
    return v->type == ATTR_PAD && v->pad.kind == PAD_EXPLICIT &&
           (beyond(v->pad.top) || beyond(v->pad.bottom) || beyond(v->pad.left) ||
            beyond(v->pad.right));
}

static const char *check_attr(const Graph *g, uint32_t id, const AttrInfo *info, const AttrVal *v)
{
    const char *what = NULL;
    if (v->type != info->type)
        what = "has the wrong type";
    else if (out_of_range(v))
        what = "is out of range";
    else if (v->type == ATTR_REAL && !isfinite(v->r))
        what = "is not finite";
    else if (v->type == ATTR_STR && v->str == NULL)
        what = "is missing";
    if (what == NULL)
        return NULL;
    return arena_printf(g->arena, "%%%u (%s): attribute %s %s", id, g->nodes.at[id].name,
                        info->name, what);
}

static const char *check_node(const Graph *g, uint32_t id)
{
    const Node *n = &g->nodes.at[id];
    if (n->name == NULL)
        return arena_printf(g->arena, "%%%u has no name", id);
    if (n->op <= OP_NONE || n->op >= OP_COUNT)
        return arena_printf(g->arena, "%%%u (%s): no such operator", id, n->name);
    const OpInfo *info = &op_info[n->op];
    bool arity = info->inputs == -1   ? n->in_count >= 2
                 : info->inputs == -2 ? n->in_count >= 1
                                      : n->in_count == (uint32_t)info->inputs;
    if (!arity)
        return arena_printf(g->arena, "%%%u (%s): %s with %u inputs", id, n->name, info->name,
                            n->in_count);
    if (n->in_count > g->inputs.len || n->in_first > g->inputs.len - n->in_count)
        return arena_printf(g->arena, "%%%u (%s): inputs out of bounds", id, n->name);
    for (uint32_t i = 0; i < n->in_count; i++) {
        uint32_t in = g->inputs.at[n->in_first + i].v;
        if (in == 0 || in >= id)
            return arena_printf(g->arena, "%%%u (%s): input %%%u is not before it", id, n->name,
                                in);
    }
    if (n->attr_count != (uint32_t)info->attr_count || n->attr_count > g->attrs.len ||
        n->attr_first > g->attrs.len - n->attr_count)
        return arena_printf(g->arena, "%%%u (%s): attributes out of bounds", id, n->name);
    for (uint32_t i = 0; i < n->attr_count; i++) {
        const char *bad = check_attr(g, id, &info->attrs[i], &g->attrs.at[n->attr_first + i]);
        if (bad != NULL)
            return bad;
    }
    uint32_t owner = graph_owner(g, (NodeId){id}).v;
    if (owner == 0 || owner > id || ((info->flags & OPF_BACKWARD) != 0 && owner == id))
        return arena_printf(g->arena, "%%%u (%s): belongs to %%%u, which is not before it", id,
                            n->name, owner);
    return NULL;
}

static const char *check_names(const Graph *g)
{
    uint32_t cap = 16;
    while (cap < 2 * g->nodes.len)
        cap *= 2;
    uint32_t *slot = calloc(cap, sizeof *slot);
    if (slot == NULL)
        return "out of memory";
    const char *bad = NULL;
    for (uint32_t i = 1; i < g->nodes.len && bad == NULL; i++) {
        uint64_t h = 0xCBF29CE484222325ull;
        for (const char *c = g->nodes.at[i].name; *c != 0; c++)
            h = (h ^ (unsigned char)*c) * 0x100000001B3ull;
        uint32_t at = (uint32_t)(h >> 20) & (cap - 1);
        for (; slot[at] != 0; at = (at + 1) & (cap - 1))
            if (strcmp(g->nodes.at[slot[at]].name, g->nodes.at[i].name) == 0) {
                bad = arena_printf(g->arena, "%%%u and %%%u are both called %s", slot[at], i,
                                   g->nodes.at[i].name);
                break;
            }
        slot[at] = i;
    }
    free(slot);
    return bad;
}

/* What is done to a picture: sides in range, numbers finite. */
static bool picture_ok(const GraphInput *in)
{
    bool ok =
        in->resize >= 0 && in->resize <= INT_MAX_ATTR && in->crop >= 0 && in->crop <= INT_MAX_ATTR;
    for (int i = 0; i < 4 && in->has_norm; i++)
        ok = ok && isfinite(in->mean[i]) && isfinite(in->std[i]);
    return ok;
}

static const char *check_ends(const Graph *g)
{
    uint32_t inputs = 0, primary = 0, n = g->nodes.len;
    for (uint32_t i = 1; i < n; i++)
        inputs += g->nodes.at[i].op == OP_INPUT;
    if (inputs != g->ins.len)
        return arena_printf(g->arena, "%u input nodes, %u declared inputs", inputs, g->ins.len);
    for (uint32_t i = 0; i < g->ins.len; i++) {
        uint32_t v = g->ins.at[i].node.v;
        if (v == 0 || v >= n || g->nodes.at[v].op != OP_INPUT)
            return arena_printf(g->arena, "input %u is not an input node", i);
        if (!picture_ok(&g->ins.at[i]))
            return arena_printf(g->arena, "input %u: picture values out of range", i);
    }
    for (uint32_t i = 0; i < g->outs.len; i++) {
        const GraphOutput *o = &g->outs.at[i];
        if (o->node.v == 0 || o->node.v >= n || o->source.v == 0 || o->source.v > o->node.v)
            return arena_printf(g->arena, "output %s does not exist", o->name);
        primary += o->primary;
    }
    if (primary != 1)
        return arena_printf(g->arena, "%u primary outputs", primary);
    return NULL;
}

const char *graph_verify(const Graph *g)
{
    for (uint32_t i = 1; i < g->nodes.len; i++) {
        const char *bad = check_node(g, i);
        if (bad != NULL)
            return bad;
    }
    const char *bad = check_ends(g);
    return bad != NULL ? bad : check_names(g);
}
