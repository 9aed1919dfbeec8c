#include "report/summary.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void report_count(Buf *out, int64_t v)
{
    static const char unit[] = {0, 'k', 'M', 'G', 'T', 'P'};
    double x = (double)v;
    int u = 0;
    while (x >= 999.5 && u < 5) {
        x /= 1000;
        u++;
    }
    if (u == 0)
        buf_printf(out, "%" PRId64, v);
    else
        buf_printf(out, x < 9.995 ? "%.2f %c" : x < 99.95 ? "%.1f %c" : "%.0f %c", x, unit[u]);
}

void report_bytes(Buf *out, int64_t v)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double x = (double)v;
    int u = 0;
    while (x >= 1023.5 && u < 4) {
        x /= 1024;
        u++;
    }
    buf_printf(out, u == 0 ? "%.0f %s" : "%.1f %s", x, unit[u]);
}

static bool listed(const Analysis *a, const SummaryOptions *o, uint32_t v)
{
    const Node *n = &a->g->nodes.at[v];
    if (!a->live[v])
        return false;
    if (o->all)
        return true;
    return (op_info[n->op].flags & OPF_COUNTED) != 0 || n->op == OP_GAP ||
           n->op == OP_ADAPTIVE_AVGPOOL;
}

uint32_t report_layers(const Analysis *a)
{
    const SummaryOptions o = {0};
    uint32_t count = 0;
    for (uint32_t v = 1; v < a->g->nodes.len; v++)
        count += listed(a, &o, v);
    return count;
}

typedef struct RowFacts {
    Window w;
    bool windowed;
    int64_t groups; /* 0 = has none */
} RowFacts;

static RowFacts row_facts(const Graph *g, NodeId n)
{
    RowFacts f = {.w = {.k = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}}};
    Op op = graph_node(g, n)->op;
    f.windowed = (op_info[op].flags & OPF_WINDOW) != 0;
    if (f.windowed)
        f.w = graph_window(g, n);
    if (op == OP_CONVT) {
        f.w.k = graph_attr(g, n, AT_CONVT_k)->size;
        f.w.stride = graph_attr(g, n, AT_CONVT_stride)->size;
        f.groups = graph_attr(g, n, AT_CONVT_groups)->i;
    }
    if (op == OP_CONV)
        f.groups = graph_attr(g, n, AT_CONV_groups)->i;
    return f;
}

static void table_rf(Buf *out, int64_t h, int64_t w)
{
    Buf cell = {0};
    if (h == 0 && w == 0)
        buf_add(&cell, "global");
    else if (h == w)
        buf_printf(&cell, "%" PRId64, h);
    else
        buf_printf(&cell, "%" PRId64 "x%" PRId64, h, w);
    buf_printf(out, " %9s", cell.at ? cell.at : "");
    buf_free(&cell);
}

static void table_num(Buf *out, int width, int64_t v)
{
    Buf cell = {0};
    if (v == 0)
        buf_add(&cell, "-");
    else
        report_count(&cell, v);
    buf_printf(out, " %*s", width, cell.at ? cell.at : "");
    buf_free(&cell);
}

/* " d2", " d2,1"; nothing for 1. */
static void pair_unless_one(Buf *out, const char *mark, Size2 v)
{
    if (v.h == 1 && v.w == 1)
        return;
    buf_printf(out, "%s%" PRId64, mark, v.h);
    if (v.h != v.w)
        buf_printf(out, ",%" PRId64, v.w);
}

static void table_window(Buf *out, const RowFacts *f)
{
    Buf cell = {0};
    buf_printf(&cell, "%" PRId64 "x%" PRId64, f->w.k.h, f->w.k.w);
    pair_unless_one(&cell, "/", f->w.stride);
    pair_unless_one(&cell, " d", f->w.dilation);
    if (f->groups > 1)
        buf_printf(&cell, " g%" PRId64, f->groups);
    buf_printf(out, " %-12s", cell.at != NULL ? cell.at : "");
    buf_free(&cell);
}

static const char *verdict_colour(Verdict v)
{
    switch (v) {
    case VERDICT_SATURATED: return "\x1b[33m";
    case VERDICT_UNDERUTILIZED:
    case VERDICT_UNPRODUCTIVE: return "\x1b[31m";
    default: return NULL;
    }
}

static void table_row(const Analysis *a, const SummaryOptions *o, uint32_t v, int name_width,
                      Buf *out)
{
    NodeId id = {v};
    const Node *n = graph_node(a->g, id);
    const RfInfo *r = &a->rf[v];
    Shape s = a->shape[v];
    RowFacts f = row_facts(a->g, id);
    char shape[64];
    if (s.flat)
        snprintf(shape, sizeof shape, "%" PRId64, s.c);
    else
        snprintf(shape, sizeof shape, "%" PRId64 "x%" PRId64 "x%" PRId64, s.c, s.h, s.w);
    buf_printf(out, "%-*s %-10s %13s", name_width, n->name, op_info[n->op].name, shape);
    if (f.windowed || n->op == OP_CONVT)
        table_window(out, &f);
    else
        buf_printf(out, " %-12s", "");
    table_rf(out, r->axis[0].r_min, r->axis[1].r_min);
    table_rf(out, r->axis[0].r_max, r->axis[1].r_max);
    table_num(out, 8, a->cost[v].params);
    table_num(out, 8, a->cost[v].macs);
    table_num(out, 8, 2 * a->cost[v].macs);
    Verdict verdict = a->verdict[v].v;
    if (verdict != VERDICT_NONE) {
        const char *c = o->colour ? verdict_colour(verdict) : NULL;
        buf_printf(out, "  %s%s%s", c ? c : "", verdict_name[verdict], c ? "\x1b[0m" : "");
        if (a->verdict[v].axis[0] != a->verdict[v].axis[1])
            buf_add(out, a->verdict[v].axis[0] ? " (h)" : " (w)");
        if (a->verdict[v].aux)
            buf_add(out, " (aux)");
    }
    buf_addc(out, '\n');
}

static void pair(Buf *out, const int64_t v[2])
{
    if (v[0] == v[1])
        buf_printf(out, "%" PRId64, v[0]);
    else
        buf_printf(out, "%" PRId64 "x%" PRId64, v[0], v[1]);
}

static void table_totals(const Analysis *a, const SummaryOptions *o, Buf *out)
{
    buf_printf(out, "\nparameters            ");
    report_count(out, a->params);
    buf_printf(out, " (%" PRId64 ")\nMACs                  ", a->params);
    report_count(out, a->macs);
    buf_printf(out, " (%" PRId64 ")\nFLOPs (2 per MAC)     ", a->macs);
    report_count(out, a->flops);
    buf_add(out, "\nactivations, 1 image  ");
    report_bytes(out, a->act_bytes);
    buf_add(out, ", live at once ");
    report_bytes(out, a->act_peak);
    buf_add(out, "\nsmallest runnable     ");
    pair(out, o->runnable);
    buf_add(out, "\nn (min. feasible)     ");
    pair(out, a->n);
    buf_add(out, ": every layer is productive on inputs larger than this\nr_max                 ");
    pair(out, a->n_max);
    buf_add(out, "\nfeasible interval     ");
    if (a->n[0] == a->n_max[0] && a->n[1] == a->n_max[1]) {
        buf_add(out, "empty, all paths see the same");
    } else {
        buf_add(out, "(");
        pair(out, a->n);
        buf_add(out, ", ");
        pair(out, a->n_max);
        buf_add(out, "]");
    }
    buf_add(out, ", declared ");
    pair(out, a->input);
    buf_printf(out, "\nverdicts              %u unproductive, %u underutilized, %u saturated\n",
               a->count[VERDICT_UNPRODUCTIVE], a->count[VERDICT_UNDERUTILIZED],
               a->count[VERDICT_SATURATED]);
}

static void summary_table(const Analysis *a, const SummaryOptions *o, Buf *out)
{
    int width = 8;
    for (uint32_t v = 1; v < a->g->nodes.len; v++)
        if (listed(a, o, v) && (int)strlen(a->g->nodes.at[v].name) > width)
            width = (int)strlen(a->g->nodes.at[v].name);
    buf_printf(out, "%s, input ", a->g->name);
    for (uint32_t i = 0; i < a->g->ins.len; i++) {
        Shape s = a->shape[a->g->ins.at[i].node.v];
        buf_printf(out, "%s%" PRId64 "x%" PRId64 "x%" PRId64, i ? ", " : "", s.c, s.h, s.w);
    }
    buf_printf(out, "\n%-*s %-10s %13s %-12s %9s %9s %8s %8s %8s  %s\n", width, "layer", "op",
               "output", "kernel", "r_min", "r_max", "params", "MACs", "FLOPs", "verdict");
    for (uint32_t v = 1; v < a->g->nodes.len; v++)
        if (listed(a, o, v))
            table_row(a, o, v, width, out);
    table_totals(a, o, out);
}

static void json_pair(Buf *out, const char *key, int64_t h, int64_t w, bool known)
{
    if (known)
        buf_printf(out, ",\"%s\":[%" PRId64 ",%" PRId64 "]", key, h, w);
    else
        buf_printf(out, ",\"%s\":[null,null]", key);
}

static void json_row(const Analysis *a, const SummaryOptions *o, uint32_t v, Buf *out)
{
    NodeId id = {v};
    const Node *n = graph_node(a->g, id);
    const RfInfo *r = &a->rf[v];
    Shape s = a->shape[v];
    RowFacts f = row_facts(a->g, id);
    bool window = f.windowed || n->op == OP_CONVT;
    bool global = rf_global(r);
    buf_add(out, "{\"name\":");
    buf_json_string(out, n->name);
    buf_printf(out, ",\"op\":\"%s\",\"out\":[%" PRId64 ",%" PRId64 ",%" PRId64 "]",
               op_info[n->op].name, s.c, s.h, s.w);
    json_pair(out, "kernel", f.w.k.h, f.w.k.w, window);
    json_pair(out, "stride", f.w.stride.h, f.w.stride.w, window);
    json_pair(out, "dilation", f.w.dilation.h, f.w.dilation.w, window);
    if (f.groups > 0)
        buf_printf(out, ",\"groups\":%" PRId64, f.groups);
    else
        buf_add(out, ",\"groups\":null");
    json_pair(out, "r_in_min", r->r_in_min[0], r->r_in_min[1], r->r_in_min[0] > 0);
    json_pair(out, "r_min", r->axis[0].r_min, r->axis[1].r_min, !global);
    json_pair(out, "r_max", r->axis[0].r_max, r->axis[1].r_max, !global);
    buf_printf(out, ",\"global\":%s", global ? "true" : "false");
    if (a->verdict[v].v == VERDICT_NONE)
        buf_add(out, ",\"verdict\":null");
    else
        buf_printf(out, ",\"verdict\":\"%s\"", verdict_name[a->verdict[v].v]);
    buf_printf(out, ",\"auxiliary\":%s", a->verdict[v].aux ? "true" : "false");
    buf_printf(out, ",\"params\":%" PRId64 ",\"macs\":%" PRId64 ",\"source\":", a->cost[v].params,
               a->cost[v].macs);
    const char *place = o->place != NULL ? o->place(o->place_ctx, id) : NULL;
    if (place != NULL)
        buf_json_string(out, place);
    else
        buf_add(out, "null");
    buf_addc(out, '}');
}

static void summary_json(const Analysis *a, const SummaryOptions *o, Buf *out)
{
    Shape s = a->shape[a->g->ins.at[0].node.v];
    buf_add(out, "{\"schema\":1,\"net\":");
    buf_json_string(out, a->g->name);
    buf_printf(out, ",\"input\":[%" PRId64 ",%" PRId64 ",%" PRId64 "]", s.c, s.h, s.w);
    json_pair(out, "n", a->n[0], a->n[1], true);
    json_pair(out, "r_max", a->n_max[0], a->n_max[1], true);
    json_pair(out, "runnable_min", o->runnable[0], o->runnable[1], o->runnable[0] > 0);
    buf_printf(out, ",\"params\":%" PRId64 ",\"macs\":%" PRId64 ",\"flops\":%" PRId64, a->params,
               a->macs, a->flops);
    buf_printf(out, ",\"activation_bytes\":%" PRId64 ",\"activation_peak_bytes\":%" PRId64,
               a->act_bytes, a->act_peak);
    buf_add(out, ",\n\"layers\":[");
    bool first = true;
    for (uint32_t v = 1; v < a->g->nodes.len; v++) {
        if (!listed(a, o, v))
            continue;
        buf_add(out, first ? "\n" : ",\n");
        first = false;
        json_row(a, o, v, out);
    }
    buf_printf(out,
               "],\n\"verdicts\":{\"underutilized\":%u,\"unproductive\":%u,\"saturated\":%u}}\n",
               a->count[VERDICT_UNDERUTILIZED], a->count[VERDICT_UNPRODUCTIVE],
               a->count[VERDICT_SATURATED]);
}

static void csv_rf(Buf *out, int64_t v)
{
    if (v > 0)
        buf_printf(out, ",%" PRId64, v);
    else
        buf_add(out, ",");
}

static void summary_csv(const Analysis *a, const SummaryOptions *o, Buf *out)
{
    buf_add(out, "name,op,c,h,w,kernel_h,kernel_w,stride_h,stride_w,dilation_h,dilation_w,groups,"
                 "r_in_min_h,r_in_min_w,r_min_h,r_min_w,r_max_h,r_max_w,verdict,params,macs,flops,"
                 "source\n");
    for (uint32_t v = 1; v < a->g->nodes.len; v++) {
        if (!listed(a, o, v))
            continue;
        NodeId id = {v};
        const RfInfo *r = &a->rf[v];
        Shape s = a->shape[v];
        RowFacts f = row_facts(a->g, id);
        buf_printf(out, "%s,%s,%" PRId64 ",%" PRId64 ",%" PRId64, a->g->nodes.at[v].name,
                   op_info[a->g->nodes.at[v].op].name, s.c, s.h, s.w);
        if (f.windowed || a->g->nodes.at[v].op == OP_CONVT)
            buf_printf(out, ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64,
                       f.w.k.h, f.w.k.w, f.w.stride.h, f.w.stride.w, f.w.dilation.h,
                       f.w.dilation.w);
        else
            buf_add(out, ",,,,,,");
        csv_rf(out, f.groups);
        for (int x = 0; x < 2; x++)
            csv_rf(out, r->r_in_min[x]);
        for (int x = 0; x < 2; x++)
            csv_rf(out, r->axis[x].r_min);
        for (int x = 0; x < 2; x++)
            csv_rf(out, r->axis[x].r_max);
        const char *place = o->place != NULL ? o->place(o->place_ctx, id) : NULL;
        buf_printf(out, ",%s,%" PRId64 ",%" PRId64 ",%" PRId64 ",%s\n",
                   a->verdict[v].v == VERDICT_NONE ? "" : verdict_name[a->verdict[v].v],
                   a->cost[v].params, a->cost[v].macs, 2 * a->cost[v].macs, place ? place : "");
    }
}

void report_summary(const Analysis *a, const SummaryOptions *o, SummaryFormat f, Buf *out)
{
    switch (f) {
    case SUMMARY_TABLE: summary_table(a, o, out); break;
    case SUMMARY_JSON: summary_json(a, o, out); break;
    case SUMMARY_CSV: summary_csv(a, o, out); break;
    }
}
