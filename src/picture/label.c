/* What is written on a layer, and what is said about it when it is asked. */
#include "picture/model.h"
#include "picture/text.h"
#include "report/summary.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add_size(Buf *out, Size2 v)
{
    buf_printf(out, "%" PRId64 "x%" PRId64, v.h, v.w);
}

const char *label_stride(Arena *a, Size2 s)
{
    return s.h == s.w ? arena_printf(a, "%" PRId64, s.h)
                      : arena_printf(a, "%" PRId64 "x%" PRId64, s.h, s.w);
}

const char *label_shape(Arena *a, Shape s)
{
    return s.flat ? arena_printf(a, "%" PRId64, s.c)
                  : arena_printf(a, "%" PRId64 "x%" PRId64 "x%" PRId64, s.c, s.h, s.w);
}

typedef struct Facts {
    bool window, pooling;
    Size2 k, stride, dilation;
    int64_t groups; /* 0: has none */
} Facts;

static Facts facts_of(const Graph *g, NodeId n)
{
    Facts f = {.k = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    Op op = graph_node(g, n)->op;
    if (op_info[op].flags & OPF_WINDOW) {
        Window w = graph_window(g, n);
        f = (Facts){true, op != OP_CONV, w.k, w.stride, w.dilation, 0};
    }
    if (op == OP_CONV)
        f.groups = graph_attr(g, n, AT_CONV_groups)->i;
    if (op == OP_CONVT)
        f = (Facts){true,
                    false,
                    graph_attr(g, n, AT_CONVT_k)->size,
                    graph_attr(g, n, AT_CONVT_stride)->size,
                    {1, 1},
                    graph_attr(g, n, AT_CONVT_groups)->i};
    return f;
}

/* "conv 3x3 /2" */
const char *label_head(const Model *m, NodeId n)
{
    const Graph *g = &m->net->elab->graph;
    Facts f = facts_of(g, n);
    Buf b = {0};
    if (graph_node(g, n)->op == OP_INPUT) {
        buf_add(&b, graph_node(g, n)->name);
        return text_take(m->arena, &b);
    }
    buf_add(&b, op_info[graph_node(g, n)->op].name);
    if (f.window) {
        buf_addc(&b, ' ');
        add_size(&b, f.k);
        if (f.stride.h != 1 || f.stride.w != 1)
            buf_printf(&b, " /%s", label_stride(m->arena, f.stride));
    }
    return text_take(m->arena, &b);
}

static bool depthwise(const Graph *g, const Shape *shape, NodeId n, const Facts *f)
{
    return f->groups > 1 && f->groups == shape[graph_in(g, n, 0).v].c;
}

/* "64 ch, depthwise, dilation 2"; the whole shape where the map is the point */
const char *label_sub(const Model *m, NodeId n)
{
    const Graph *g = &m->net->elab->graph;
    const Shape *shape = m->net->an->shape;
    Facts f = facts_of(g, n);
    Shape s = shape[n.v];
    Op op = graph_node(g, n)->op;
    if (op == OP_INPUT || op == OP_ADAPTIVE_AVGPOOL)
        return label_shape(m->arena, s);
    Buf b = {0};
    buf_printf(&b, "%" PRId64 " ch", s.c);
    if (depthwise(g, shape, n, &f))
        buf_add(&b, ", depthwise");
    else if (f.groups > 1)
        buf_printf(&b, ", %" PRId64 " groups", f.groups);
    if (f.dilation.h != 1 || f.dilation.w != 1)
        buf_printf(&b, ", dilation %s", label_stride(m->arena, f.dilation));
    return text_take(m->arena, &b);
}

/* The range of a number over all instances: "19" or "19 to 35". */
typedef struct Range {
    int64_t least, most;
} Range;

static void extend(Range *r, int64_t v, bool first)
{
    r->least = first || v < r->least ? v : r->least;
    r->most = first || v > r->most ? v : r->most;
}

static void add_range(Buf *b, const char *key, Range r)
{
    buf_printf(b, "\n%s: %" PRId64, key, r.least);
    if (r.most != r.least)
        buf_printf(b, " to %" PRId64, r.most);
}

static void add_pair(Buf *b, int64_t h, int64_t w)
{
    buf_printf(b, "%" PRId64, h);
    if (h != w)
        buf_printf(b, "x%" PRId64, w);
}

/* "r_min: 19" or "r_min: 19, 27 and so on to 99", in the order of the instances */
static void add_rf(const Model *m, const Unit *u, const Item *it, bool most, Buf *b)
{
    const RfInfo *rf = m->net->an->rf;
    buf_printf(b, "\n%s: ", most ? "r_max" : "r_min");
    if (rf_global(&rf[unit_node(u, it, 0).v])) {
        buf_add(b, "global");
        return;
    }
    for (uint32_t i = 0; i < u->repeat; i++) {
        const RfAxis *x = rf[unit_node(u, it, i).v].axis;
        if (u->repeat > 6 && i == 4) {
            buf_add(b, ", ..., ");
            i = u->repeat - 1;
            x = rf[unit_node(u, it, i).v].axis;
        } else if (i > 0) {
            buf_add(b, ", ");
        }
        add_pair(b, most ? x[0].r_max : x[0].r_min, most ? x[1].r_max : x[1].r_min);
    }
}

static void add_window(const Model *m, const Facts *f, Buf *b)
{
    if (!f->window)
        return;
    buf_add(b, "\nkernel: ");
    add_size(b, f->k);
    buf_printf(b, "\nstride: %s", label_stride(m->arena, f->stride));
    buf_printf(b, "\ndilation: %s", label_stride(m->arena, f->dilation));
    if (f->groups > 0)
        buf_printf(b, "\ngroups: %" PRId64, f->groups);
}

static void add_verdict(const Model *m, NodeId n, Buf *b)
{
    NodeVerdict v = m->net->an->verdict[n.v];
    buf_printf(b, "\nverdict: %s", v.v == VERDICT_NONE ? "not judged" : verdict_name[v.v]);
    if (v.v != VERDICT_NONE && v.v != VERDICT_GLOBAL && v.axis[0] != v.axis[1])
        buf_printf(b, " (%s)", v.axis[0] ? "height" : "width");
    if (v.v != VERDICT_NONE && v.aux)
        buf_add(b, ", auxiliary head");
}

const char *label_details(const Model *m, const Unit *u, const Item *it)
{
    const Graph *g = &m->net->elab->graph;
    const Analysis *an = m->net->an;
    NodeId n = unit_node(u, it, 0);
    Facts f = facts_of(g, n);
    Range params = {0}, macs = {0};
    Buf b = {0};
    for (uint32_t i = 0; i < u->repeat; i++) {
        NodeId x = unit_node(u, it, i);
        buf_printf(&b, "%s%s", i > 0 ? " " : "", graph_node(g, x)->name);
        extend(&params, an->cost[x.v].params, i == 0);
        extend(&macs, an->cost[x.v].macs, i == 0);
    }
    buf_printf(&b, "\noperator: %s", op_info[graph_node(g, n)->op].name);
    if (it->before != NULL)
        buf_printf(&b, "\nafter: %s", it->before);
    if (it->after != NULL)
        buf_printf(&b, "\nthen: %s", it->after);
    buf_printf(&b, "\noutput: %s", label_shape(m->arena, an->shape[n.v]));
    add_window(m, &f, &b);
    add_rf(m, u, it, false, &b);
    add_rf(m, u, it, true, &b);
    add_verdict(m, n, &b);
    add_range(&b, u->repeat > 1 ? "parameters, each" : "parameters", params);
    add_range(&b, u->repeat > 1 ? "MACs, each" : "MACs", macs);
    const char *place = m->net->place != NULL ? m->net->place(m->net->place_ctx, n) : NULL;
    if (place != NULL)
        buf_printf(&b, "\nsource: %s", place);
    return text_take(m->arena, &b);
}

/* "every layer is productive", or how many are not */
static void add_verdicts(Buf *b, const Analysis *an)
{
    static const Verdict bad[] = {VERDICT_UNPRODUCTIVE, VERDICT_UNDERUTILIZED, VERDICT_SATURATED};
    bool any = false;
    for (int i = 0; i < 3; i++)
        if (an->count[bad[i]] > 0) {
            const char *layers = any ? "" : an->count[bad[i]] == 1 ? " layer" : " layers";
            buf_printf(b, "%s%u%s %s", any ? ", " : "", an->count[bad[i]], layers,
                       verdict_name[bad[i]]);
            any = true;
        }
    buf_add(b, any ? "" : "every layer is productive");
}

const char *label_facts(Arena *a, const PictureNet *net)
{
    const Analysis *an = net->an;
    const Graph *g = an->g;
    Buf b = {0};
    buf_add(&b, "input ");
    for (uint32_t i = 0; i < g->ins.len; i++)
        buf_printf(&b, "%s%s", i > 0 ? ", " : "", label_shape(a, an->shape[g->ins.at[i].node.v]));
    buf_add(&b, " \xc2\xb7 n = ");
    add_pair(&b, an->n[0], an->n[1]);
    buf_add(&b, " \xc2\xb7 ");
    add_verdicts(&b, an);
    buf_add(&b, " \xc2\xb7 ");
    report_count(&b, an->params);
    buf_add(&b, " parameters \xc2\xb7 ");
    report_count(&b, an->macs);
    buf_add(&b, " MACs");
    return text_take(a, &b);
}
