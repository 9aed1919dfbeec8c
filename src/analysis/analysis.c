/* Everything together: liveness, the feature extractor, verdicts and totals. */
#include "analysis/analysis.h"
#include "analysis/cost.h"
#include <string.h>

const char *const verdict_name[] = {[VERDICT_NONE] = "none",
                                    [VERDICT_PRODUCTIVE] = "productive",
                                    [VERDICT_SATURATED] = "saturated",
                                    [VERDICT_UNDERUTILIZED] = "underutilized",
                                    [VERDICT_UNPRODUCTIVE] = "unproductive",
                                    [VERDICT_GLOBAL] = "global"};

static int64_t sat_add(int64_t a, int64_t b)
{
    int64_t v;
    return __builtin_add_overflow(a, b, &v) ? INT64_MAX : v;
}

/* Marks the ancestors of a node, itself included. Inputs come before users, so one pass does. */
static void mark_ancestors(const Graph *g, NodeId of, bool *mark)
{
    mark[of.v] = true;
    for (uint32_t i = of.v; i > 0; i--)
        for (uint32_t k = 0; mark[i] && k < g->nodes.at[i].in_count; k++)
            mark[graph_in(g, (NodeId){i}, k).v] = true;
}

static void find_live(Arena *a, Analysis *an)
{
    const Graph *g = an->g;
    an->live = arena_new_n(a, bool, g->nodes.len);
    an->extractor = arena_new_n(a, bool, g->nodes.len);
    for (uint32_t i = 0; i < g->outs.len; i++) {
        mark_ancestors(g, g->outs.at[i].node, an->live);
        if (g->outs.at[i].primary)
            mark_ancestors(g, g->outs.at[i].node, an->extractor);
    }
}

/* A dense layer on a vector has no position to see from; on a map it is a 1x1 convolution. */
static bool counted(const Analysis *an, uint32_t i)
{
    const Node *n = &an->g->nodes.at[i];
    return an->live[i] && (op_info[n->op].flags & OPF_COUNTED) != 0;
}

static Verdict axis_verdict(int64_t r_in, int64_t r, int64_t input)
{
    return r_in >= input ? VERDICT_UNPRODUCTIVE
           : r > input   ? VERDICT_UNDERUTILIZED
           : r == input  ? VERDICT_SATURATED
                         : VERDICT_PRODUCTIVE;
}

static NodeVerdict judge(const Analysis *an, uint32_t i)
{
    NodeVerdict out = {.aux = !an->extractor[i]};
    if (!counted(an, i))
        return out;
    const RfInfo *rf = &an->rf[i];
    if (rf->r_in_min[0] == 0 && rf->r_in_min[1] == 0) {
        out.v = VERDICT_GLOBAL;
        return out;
    }
    Verdict v[2];
    for (int axis = 0; axis < 2; axis++)
        v[axis] = axis_verdict(rf->r_in_min[axis], rf->axis[axis].r_min, an->input[axis]);
    out.v = v[0] > v[1] ? v[0] : v[1];
    for (int axis = 0; axis < 2; axis++)
        out.axis[axis] = v[axis] == out.v;
    return out;
}

static void judge_all(Arena *a, Analysis *an)
{
    uint32_t len = an->g->nodes.len;
    an->verdict = arena_new_n(a, NodeVerdict, len);
    for (uint32_t i = 1; i < len; i++) {
        NodeVerdict v = an->verdict[i] = judge(an, i);
        if (v.v == VERDICT_NONE || v.aux)
            continue;
        an->count[v.v]++;
        for (int axis = 0; axis < 2 && v.v != VERDICT_GLOBAL; axis++) {
            const RfAxis *r = &an->rf[i].axis[axis];
            an->n[axis] = r->r_min > an->n[axis] ? r->r_min : an->n[axis];
            an->n_max[axis] = r->r_max > an->n_max[axis] ? r->r_max : an->n_max[axis];
        }
    }
}

static void cost_all(Arena *a, Analysis *an)
{
    const Graph *g = an->g;
    an->cost = arena_new_n(a, NodeCost, g->nodes.len);
    for (uint32_t i = 1; i < g->nodes.len; i++) {
        NodeId id = {i};
        NodeCost *c = &an->cost[i];
        ParamSpec spec[PARAM_MAX];
        int n = params_of(g, id, an->shape, spec);
        for (int k = 0; k < n; k++)
            if (spec[k].trainable)
                c->params = sat_add(c->params, param_count(&spec[k]));
        c->macs = cost_macs(g, id, an->shape);
        c->act_bytes = shape_count(an->shape[i]) * (int64_t)sizeof(float);
        if (!an->live[i])
            continue;
        an->params = sat_add(an->params, c->params);
        an->macs = sat_add(an->macs, c->macs);
        an->act_bytes = sat_add(an->act_bytes, c->act_bytes);
    }
    an->flops = sat_add(an->macs, an->macs);
}

/* The largest sum of outputs alive at once when nodes run in order and nothing is shared. */
static int64_t peak_bytes(Arena *a, const Analysis *an)
{
    const Graph *g = an->g;
    uint32_t len = g->nodes.len;
    uint32_t *last = arena_new_n(a, uint32_t, len);
    for (uint32_t i = 1; i < len; i++) {
        last[i] = i;
        for (uint32_t k = 0; an->live[i] && k < g->nodes.at[i].in_count; k++)
            last[graph_in(g, (NodeId){i}, k).v] = i;
    }
    for (uint32_t i = 0; i < g->outs.len; i++)
        last[g->outs.at[i].node.v] = len;
    int64_t now = 0, peak = 0;
    for (uint32_t i = 1; i < len; i++) {
        if (!an->live[i])
            continue;
        now = sat_add(now, an->cost[i].act_bytes);
        peak = now > peak ? now : peak;
        if (last[i] == i)
            now -= an->cost[i].act_bytes;
        for (uint32_t k = 0; k < g->nodes.at[i].in_count; k++) {
            uint32_t in = graph_in(g, (NodeId){i}, k).v;
            if (last[in] != i)
                continue;
            last[in] = 0; /* an operand used twice is freed once */
            now -= an->cost[in].act_bytes;
        }
    }
    return peak;
}

bool analysis_run(Arena *a, const Graph *g, Analysis *out, NodeId *at, ShapeError *err)
{
    *out = (Analysis){.g = g};
    if (!shape_all(g, a, &out->shape, at, err))
        return false;
    out->rf = rf_all(a, g, out->shape);
    if (g->ins.len > 0) {
        Shape in = out->shape[g->ins.at[0].node.v];
        out->input[0] = in.h;
        out->input[1] = in.w;
    }
    find_live(a, out);
    judge_all(a, out);
    cost_all(a, out);
    out->act_peak = peak_bytes(a, out);
    return true;
}

/* Whether all shapes exist with every input's sides scaled by num / den (at least 1). */
static bool runs_at(const Graph *g, Shape *s, Shape *ins, int64_t num, int64_t den)
{
    for (uint32_t i = 1; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        AttrVal attrs[OP_MAX_ATTRS];
        memcpy(attrs, graph_attr(g, (NodeId){i}, 0), n->attr_count * sizeof *attrs);
        if (n->op == OP_INPUT) {
            int64_t h = attrs[AT_INPUT_h].i * num / den, w = attrs[AT_INPUT_w].i * num / den;
            attrs[AT_INPUT_h].i = h < 1 ? 1 : h;
            attrs[AT_INPUT_w].i = w < 1 ? 1 : w;
        }
        for (uint32_t k = 0; k < n->in_count; k++)
            ins[k] = s[graph_in(g, (NodeId){i}, k).v];
        ShapeError err;
        if (!shape_infer(n->op, attrs, ins, n->in_count, &s[i], &err))
            return false;
    }
    return true;
}

enum { RUNNABLE_SCAN = 1024 };

void analysis_runnable_min(Arena *scratch, const Graph *g, int64_t out[2])
{
    out[0] = out[1] = 0;
    if (g->ins.len == 0)
        return;
    Shape *s = arena_new_n(scratch, Shape, g->nodes.len);
    Shape *ins = arena_new_n(scratch, Shape, g->inputs.len);
    const AttrVal *in = graph_attr(g, g->ins.at[0].node, 0);
    int64_t h = in[AT_INPUT_h].i, w = in[AT_INPUT_w].i, side = h > w ? h : w;
    int64_t lo = 1, hi = side;
    /* One by one, as a size that fails may lie between two that run: branches that meet with maps
     * of one size at every 16th only. Far up that would take too long. */
    while (lo < side && lo < RUNNABLE_SCAN && !runs_at(g, s, ins, lo, side))
        lo++;
    if (lo < RUNNABLE_SCAN)
        hi = lo;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (runs_at(g, s, ins, mid, side))
            hi = mid;
        else
            lo = mid + 1;
    }
    out[0] = h * lo / side < 1 ? 1 : h * lo / side;
    out[1] = w * lo / side < 1 ? 1 : w * lo / side;
}

NodeId analysis_first(const Analysis *a, Verdict v, bool aux)
{
    for (uint32_t i = 1; i < a->g->nodes.len; i++) {
        NodeVerdict got = a->verdict[i];
        if (got.v >= v && got.v <= VERDICT_UNPRODUCTIVE && got.v != VERDICT_NONE && got.aux == aux)
            return (NodeId){i};
    }
    return NODE_NONE;
}

uint32_t analysis_min_path(Arena *a, const Analysis *an, NodeId n, int axis, RfStep **out)
{
    VEC(RfStep) path = {0};
    uint32_t entry = an->rf[n.v].axis[axis].min_entry;
    for (NodeId at = n; at.v != 0 && an->rf[at.v].axis[axis].n > 0;) {
        const RfEntry *e = &an->rf[at.v].axis[axis].e[entry];
        const RfEntry *before =
            /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a node with n > 0 has rows */
            e->from.v == 0 ? NULL : &an->rf[e->from.v].axis[axis].e[e->from_entry];
        bool changed = before == NULL || before->r_min != e->r_min || before->s_num != e->s_num ||
                       before->s_den != e->s_den;
        if (changed || at.v == n.v)
            vec_push(a, &path, ((RfStep){at, e->r_min, e->s_num, e->s_den}));
        entry = e->from_entry;
        at = e->from;
    }
    RfStep *steps = arena_new_n(a, RfStep, path.len);
    for (uint32_t i = 0; i < path.len; i++)
        steps[i] = path.at[path.len - 1 - i];
    *out = steps;
    return path.len;
}
