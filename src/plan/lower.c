/* From groups to kernels: one rule per value of the op table's family column. */
#include "plan/lower.h"

static const AttrVal *attr(const Planner *s, const Draft *d, int index)
{
    return graph_attr(s->g, d->group->anchor, index);
}

static Op anchor_op(const Planner *s, const Draft *d)
{
    return graph_node(s->g, d->group->anchor)->op;
}

static void finish(Planner *s, Draft *d, bool may_be_output)
{
    plan_set_out(d, plan_result_value(s, d->group, may_be_output));
    plan_finish_step(s, d);
}

static void read_blocked(Planner *s, Draft *d)
{
    plan_set_in(d, plan_blocked_value(s, d->group->in));
}

void plan_set_window(Kernel *k, const Graph *g, NodeId n, const Shape *in)
{
    Window w = graph_window(g, n);
    Pad pad = shape_resolve_pad(&w, in->h, in->w);
    k->kh = w.k.h;
    k->kw = w.k.w;
    k->sh = w.stride.h > 0 ? w.stride.h : w.k.h;
    k->sw = w.stride.w > 0 ? w.stride.w : w.k.w;
    k->dh = w.dilation.h > 0 ? w.dilation.h : 1;
    k->dw = w.dilation.w > 0 ? w.dilation.w : 1;
    k->pt = pad.top;
    k->pl = pad.left;
    k->pb = pad.bottom;
    k->pr = pad.right;
}

static void set_window(Planner *s, Draft *d)
{
    plan_set_window(&d->k, s->g, d->group->anchor, &s->an->shape[d->group->in.v]);
}

void plan_set_point(Kernel *k)
{
    k->kh = k->kw = k->sh = k->sw = k->dh = k->dw = 1;
    k->groups = 1;
}

/* Padding below and to the right follows from sizes, except for means that count it. */
static void forget_far_padding(Kernel *k)
{
    k->pb = k->pr = 0;
}

/* The input of a dense layer as it lies there: a flattened map is read in its physical order, where
 * its positions lie together. */
static Value dense_input(Planner *s, NodeId n)
{
    if (graph_node(s->g, n)->op != OP_FLATTEN)
        return s->value[n.v];
    Value map = s->value[s->f->alias[graph_in(s->g, n, 0).v].v];
    return map.pixel == 0 ? map : plan_blocked_value(s, n);
}

static void lower_dense(Planner *s, Draft *d)
{
    plan_set_point(&d->k);
    if (s->train != NULL) {
        d->k.family = FAM_CONV;
        read_blocked(s, d);
        finish(s, d, false);
        return;
    }
    d->k.family = FAM_DENSE;
    plan_set_in(d, dense_input(s, d->group->in));
    finish(s, d, true);
}

/* A convolution reads the network's input as it is while it has fewer channels than a block. */
static void read_map(Planner *s, Draft *d)
{
    NodeId in = d->group->in;
    Value direct = s->value[in.v];
    if (s->p->target.kind == TARGET_CPU && graph_node(s->g, in)->op == OP_INPUT &&
        direct.map.c < s->p->target.vl && d->k.groups == 1 && d->group->gate.v == 0)
        plan_set_in(d, direct);
    else
        read_blocked(s, d);
}

/* Plain weights are [o][i][kh][kw]. */
static void set_pack(Planner *s, Draft *d, int64_t per_in)
{
    d->pack_i = d->k.kh * d->k.kw;
    d->pack_o = per_in * d->pack_i;
    (void)s;
}

static void plan_conv(Planner *s, Draft *d)
{
    Kernel *k = &d->k;
    const Shape *in = &s->an->shape[d->group->in.v], *out = &s->an->shape[d->group->anchor.v];
    set_window(s, d);
    forget_far_padding(k);
    k->groups = attr(s, d, AT_CONV_groups)->i;
    k->has_bias = attr(s, d, AT_CONV_bias)->i != 0 || d->group->fold_bn.v != 0;
    set_pack(s, d, in->c / k->groups);
    if (k->groups == 1 && k->kh == 1 && k->kw == 1 && in->h == 1 && in->w == 1 && out->h == 1 &&
        out->w == 1 && d->group->gate.v == 0) {
        k->pt = k->pl = 0;
        lower_dense(s, d);
        return;
    }
    if (k->groups > 1 && k->groups == in->c && k->groups == out->c) {
        k->family = FAM_DEPTHWISE;
        k->summed =
            s->p->target.kind == TARGET_CPU && s->train == NULL && s->averaged[d->group->result.v];
        read_blocked(s, d);
    } else {
        k->family = FAM_CONV;
        read_map(s, d);
    }
    finish(s, d, false);
}

static void plan_dense(Planner *s, Draft *d)
{
    Kernel *k = &d->k;
    const Shape *in = &s->an->shape[d->group->in.v];
    k->has_bias = attr(s, d, AT_DENSE_bias)->i != 0 || d->group->fold_bn.v != 0;
    plan_set_point(k);
    set_pack(s, d, in->c);
    if (in->h == 1 && in->w == 1) {
        lower_dense(s, d);
        return;
    }
    plan_set_point(k);
    k->family = FAM_CONV;
    read_map(s, d);
    finish(s, d, false);
}

static void plan_convt(Planner *s, Draft *d)
{
    Kernel *k = &d->k;
    Size2 size = attr(s, d, AT_CONVT_k)->size, stride = attr(s, d, AT_CONVT_stride)->size;
    Pad pad = attr(s, d, AT_CONVT_pad)->pad;
    plan_set_point(k);
    k->family = FAM_CONVT;
    k->kh = size.h;
    k->kw = size.w;
    k->sh = stride.h;
    k->sw = stride.w;
    k->groups = attr(s, d, AT_CONVT_groups)->i;
    k->has_bias = attr(s, d, AT_CONVT_bias)->i != 0 || d->group->fold_bn.v != 0;
    d->pack_o = k->kh * k->kw; /* [i][o][kh][kw] */
    d->pack_i = s->an->shape[d->group->anchor.v].c / k->groups * d->pack_o;
    Window w = {.k = size, .stride = stride, .dilation = {1, 1}, .pad = pad};
    const Shape *in = &s->an->shape[d->group->in.v];
    pad = shape_resolve_pad(&w, in->h, in->w);
    k->pt = pad.top;
    k->pl = pad.left;
    read_blocked(s, d);
    finish(s, d, false);
}

PoolKind plan_pool_kind(Kernel *k, const Graph *g, NodeId n)
{
    if (graph_node(g, n)->op == OP_MAXPOOL)
        return POOL_MAX;
    bool padded = k->pt != 0 || k->pl != 0 || k->pb != 0 || k->pr != 0;
    return padded && graph_attr(g, n, AT_AVGPOOL_count_include_pad)->i != 0 ? POOL_AVG_INCLUDE_PAD
                                                                            : POOL_AVG;
}

static void plan_pool(Planner *s, Draft *d)
{
    Kernel *k = &d->k;
    set_window(s, d);
    k->family = FAM_POOL;
    k->groups = 1;
    k->pool = plan_pool_kind(k, s->g, d->group->anchor);
    if (k->pool != POOL_AVG_INCLUDE_PAD)
        forget_far_padding(k);
    read_blocked(s, d);
    finish(s, d, false);
}

static void plan_gap(Planner *s, Draft *d)
{
    NodeId in = d->group->in;
    d->k.family = FAM_GAP;
    if (s->sums[in.v].tensor != 0) {
        d->k.positions = s->an->shape[in.v].h * s->an->shape[in.v].w;
        plan_set_in(d, s->sums[in.v]);
    } else {
        read_blocked(s, d);
    }
    finish(s, d, true);
}

/* Equal windows are ordinary pooling, a single one the mean over the map. */
static void plan_adaptive(Planner *s, Draft *d)
{
    Kernel *k = &d->k;
    const Shape *in = &s->an->shape[d->group->in.v], *out = &s->an->shape[d->group->anchor.v];
    if (out->h == 1 && out->w == 1) {
        plan_gap(s, d);
        return;
    }
    k->family = FAM_POOL;
    k->pool = POOL_ADAPTIVE_AVG;
    if (in->h % out->h == 0 && in->w % out->w == 0) {
        plan_set_point(k);
        k->pool = POOL_AVG;
        k->kh = k->sh = in->h / out->h;
        k->kw = k->sw = in->w / out->w;
    }
    read_blocked(s, d);
    finish(s, d, false);
}

static void plan_ln(Planner *s, Draft *d)
{
    d->k.family = FAM_LN;
    d->k.eps = attr(s, d, AT_LN_eps)->r;
    read_blocked(s, d);
    finish(s, d, true);
}

static void plan_softmax(Planner *s, Draft *d)
{
    d->k.family = FAM_SOFTMAX;
    read_blocked(s, d);
    finish(s, d, true);
}

static void plan_lrn(Planner *s, Draft *d)
{
    d->k.family = FAM_LRN;
    d->k.lrn_size = attr(s, d, AT_LRN_size)->i;
    d->k.alpha = attr(s, d, AT_LRN_alpha)->r;
    d->k.beta = attr(s, d, AT_LRN_beta)->r;
    d->k.bias_k = attr(s, d, AT_LRN_k)->r;
    read_blocked(s, d);
    finish(s, d, false);
}

static void plan_elem(Planner *s, Draft *d)
{
    d->k.family = FAM_ELEM;
    if (d->group->in.v != 0)
        read_blocked(s, d);
    finish(s, d, true);
}

static void plan_bn(Planner *s, Draft *d)
{
    plan_elem(s, d);
}

static void copy_channels(Planner *s, const FuseGroup *g, Value from, Value to, int64_t src,
                          int64_t dst, int64_t count)
{
    Draft d = {.group = g};
    d.k = (Kernel){.family = FAM_COPY,
                   .copy = COPY_CHANNELS,
                   .gate_arg = -1,
                   .src_c = src,
                   .dst_c = dst,
                   .count_c = count};
    plan_set_in(&d, from);
    plan_set_out(&d, to);
    plan_finish_step(s, &d);
}

/* What was not produced in place is copied. */
static void plan_concat(Planner *s, const FuseGroup *g)
{
    Value whole = s->value[g->result.v];
    int64_t c = 0, vl = s->p->target.vl;
    for (uint32_t i = 0; i < graph_node(s->g, g->anchor)->in_count; i++) {
        NodeId part = s->f->alias[graph_in(s->g, g->anchor, i).v];
        Value from = plan_blocked_value(s, part);
        int64_t place = plan_part_value(s, whole, c, from.map).offset;
        int64_t count = s->an->shape[part.v].c;
        if (c % vl != 0 || from.tensor != whole.tensor || from.offset != place)
            copy_channels(s, g, from, whole, 0, c, count);
        c += count;
    }
}

/* Whole blocks on are a part of the map that is there; else the channels are moved. */
static void plan_slice(Planner *s, Draft *d)
{
    const FuseGroup *g = d->group;
    Value from = plan_blocked_value(s, g->in);
    int64_t first = attr(s, d, AT_SLICE_from)->i, count = s->an->shape[g->anchor.v].c;
    if (first % s->p->target.vl == 0 && s->value[g->result.v].tensor == 0) {
        MapDesc part = from.map;
        part.c = count;
        s->value[g->result.v] = plan_part_value(s, from, first, part);
        return;
    }
    copy_channels(s, g, from, plan_result_value(s, g, false), first, 0, count);
}

static void plan_copy(Planner *s, Draft *d)
{
    Kernel *k = &d->k;
    k->family = FAM_COPY;
    k->by_h = k->by_w = 0;
    switch (anchor_op(s, d)) {
    case OP_CONCAT: plan_concat(s, d->group); return;
    case OP_SLICE: plan_slice(s, d); return;
    case OP_ZEROPAD:
        k->copy = COPY_BORDER;
        k->pt = attr(s, d, AT_ZEROPAD_top)->i;
        k->pl = attr(s, d, AT_ZEROPAD_left)->i;
        break;
    case OP_CROP:
        k->copy = COPY_BORDER;
        k->pt = -attr(s, d, AT_CROP_top)->i;
        k->pl = -attr(s, d, AT_CROP_left)->i;
        break;
    case OP_UPSAMPLE:
        k->copy = attr(s, d, AT_UPSAMPLE_bilinear)->i != 0 ? COPY_BILINEAR : COPY_NEAREST;
        k->by_h = attr(s, d, AT_UPSAMPLE_by)->size.h;
        k->by_w = attr(s, d, AT_UPSAMPLE_by)->size.w;
        break;
    case OP_SPACE_TO_DEPTH:
        k->copy = COPY_SPACE_TO_DEPTH;
        k->by_h = k->by_w = attr(s, d, AT_SPACE_TO_DEPTH_by)->i;
        break;
    default:
        k->copy = COPY_SHUFFLE;
        k->groups = attr(s, d, AT_SHUFFLE_groups)->i;
        break;
    }
    read_blocked(s, d);
    finish(s, d, false);
}

/* Inputs, views and identities have no group of their own. */
static void plan_input(Planner *s, Draft *d)
{
    (void)d;
    s->failed = "a group is anchored at a node without code";
}

static void plan_flatten(Planner *s, Draft *d)
{
    plan_input(s, d);
}

static void plan_identity(Planner *s, Draft *d)
{
    plan_input(s, d);
}

/* Operators of training graphs are lowered elsewhere. */
static void plan_none(Planner *s, Draft *d)
{
    plan_input(s, d);
}

static LowerRule *const rule[OP_COUNT] = {
#define OP(ID, NAME, IN, SHAPE, RF, COST, FAMILY, ELEM, GRAD, FLAGS, DOC) [OP_##ID] = plan_##FAMILY,
#include "ops/ops.def"
};

void plan_lower_group(Planner *s, const FuseGroup *g)
{
    Draft d = {.group = g, .k = {.gate_arg = -1}};
    if (s->p->train != NULL && g->result.v >= s->p->train->forward_end && s->p->backward == 0)
        s->p->backward = s->p->steps.len;
    if (g->anchor.v == 0)
        plan_elem(s, &d);
    else
        rule[graph_node(s->g, g->anchor)->op](s, &d);
}
