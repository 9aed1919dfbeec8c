/* From the operators of training graphs to kernels. */
#include "plan/train.h"

NodeId plan_anchor_input(const Planner *s, const Draft *d, uint32_t i)
{
    return s->f->alias[graph_in(s->g, d->group->anchor, i).v];
}

NodeId plan_anchor_owner(const Planner *s, const Draft *d)
{
    return graph_owner(s->g, d->group->anchor);
}

static const Shape *shape_of(const Planner *s, NodeId n)
{
    return &s->an->shape[n.v];
}

/* Steps with operands of their own, which no epilogue shares: from here on d has no group. */
static void alone(Draft *d, Family f)
{
    d->node = d->group->anchor;
    d->group = NULL;
    d->k.family = f;
}

void plan_set_images(const Planner *s, Draft *d, Value v)
{
    plan_set_in(d, v);
    d->k.in_step = plan_step_of(s, v);
}

void plan_later(Planner *s, Draft *d)
{
    (void)s;
    (void)d;
}

/* Contractions */

/* The window of a convolution's forward pass; false where the owner is a dense layer. */
static void forward_window(const Planner *s, Draft *d, NodeId n)
{
    Op op = graph_node(s->g, n)->op;
    Kernel *k = &d->k;
    const Shape *in = shape_of(s, graph_in(s->g, n, 0));
    plan_set_point(k);
    if (op == OP_CONV) {
        plan_set_window(k, s->g, n, in);
        k->groups = graph_attr(s->g, n, AT_CONV_groups)->i;
    } else if (op == OP_CONVT) {
        Window w = {.k = graph_attr(s->g, n, AT_CONVT_k)->size,
                    .stride = graph_attr(s->g, n, AT_CONVT_stride)->size,
                    .dilation = {1, 1},
                    .pad = graph_attr(s->g, n, AT_CONVT_pad)->pad};
        Pad pad = shape_resolve_pad(&w, in->h, in->w);
        k->kh = w.k.h;
        k->kw = w.k.w;
        k->sh = w.stride.h;
        k->sw = w.stride.w;
        k->pt = pad.top;
        k->pl = pad.left;
        k->groups = graph_attr(s->g, n, AT_CONVT_groups)->i;
    }
    k->pb = k->pr = 0;
}

static bool is_depthwise(const Kernel *k, const Shape *in, const Shape *out)
{
    return k->groups > 1 && k->groups == in->c && k->groups == out->c;
}

static void finish_map(Planner *s, Draft *d)
{
    plan_set_out(d, plan_result_value(s, d->group, false));
    plan_finish_step(s, d);
}

/* Stride 1: the convolution with the window turned round. Else a transposed convolution of dy by
 * the same weights, whose plain order [o][i] is that of its own inputs and outputs. */
void plan_conv_dx(Planner *s, Draft *d)
{
    Kernel *k = &d->k;
    NodeId n = plan_anchor_owner(s, d);
    const Shape *in = shape_of(s, graph_in(s->g, n, 0)), *out = shape_of(s, n);
    forward_window(s, d, n);
    int64_t taps = k->kh * k->kw, per_in = in->c / k->groups;
    plan_set_in(d, plan_blocked_value(s, d->group->in));
    d->pack_o = taps;
    d->pack_i = per_in * taps;
    if (is_depthwise(k, in, out)) {
        k->family = FAM_DEPTHWISE_DX;
        d->pack_i = 0;
    } else if (k->sh == 1 && k->sw == 1 && k->dh * (k->kh - 1) >= k->pt &&
               k->dw * (k->kw - 1) >= k->pl) {
        k->family = FAM_CONV;
        k->pt = k->dh * (k->kh - 1) - k->pt;
        k->pl = k->dw * (k->kw - 1) - k->pl;
        d->pack_flip = true;
    } else {
        k->family = FAM_CONVT;
    }
    finish_map(s, d);
}

/* A convolution of dy; plain weights are [i][o][kh][kw]. */
void plan_convt_dx(Planner *s, Draft *d)
{
    Kernel *k = &d->k;
    NodeId n = plan_anchor_owner(s, d);
    forward_window(s, d, n);
    k->family = FAM_CONV;
    d->pack_i = k->kh * k->kw;
    d->pack_o = shape_of(s, n)->c / k->groups * d->pack_i;
    plan_set_in(d, plan_blocked_value(s, d->group->in));
    finish_map(s, d);
}

/* On GPUs, parts of the batch are summed apart and added up by a step of their own. */
static void in_slices(Planner *s, Draft *d, int64_t count, int64_t to)
{
    d->k.slices = cuda_slices(&d->k, &s->p->target);
    if (d->k.slices <= 1) {
        plan_finish_step(s, d);
        return;
    }
    int64_t floats = d->k.slices * plan_padded(s, count);
    PlanOperand at = plan_state_at(plan_state_add(s, floats));
    Draft f = {.node = d->node, .k = {.family = FAM_FINISH, .gate_arg = -1, .whole = true}};
    d->k.out = f.k.in = (MapDesc){LAYOUT_PLANAR, floats, 1, 1};
    d->args[KERNEL_ARG_OUT] = f.args[KERNEL_ARG_IN] = at;
    f.k.out = (MapDesc){LAYOUT_PLANAR, count, 1, 1};
    f.k.slices = d->k.slices;
    f.k.positions = 1;
    f.k.pool_expr = &s->train->exprs;
    f.k.root_of[0] = expr_arg(&s->train->exprs, 0);
    f.k.root_to[0] = KERNEL_ARG_OUT;
    f.k.root_count = 1;
    f.args[KERNEL_ARG_OUT] = plan_state_at(to);
    plan_finish_step(s, d);
    plan_finish_step(s, &f);
}

/* The gradient of weights from x and dy, which a transposed convolution has exchanged. */
static void weight_gradient(Planner *s, Draft *d, NodeId x, NodeId dy)
{
    Kernel *k = &d->k;
    int64_t to = plan_gradient(s, d->group->anchor);
    Value from = s->value[x.v], with = plan_blocked_value(s, dy);
    forward_window(s, d, plan_anchor_owner(s, d));
    bool depthwise = is_depthwise(k, shape_of(s, x), shape_of(s, dy));
    bool direct = s->p->target.kind == TARGET_CPU && graph_node(s->g, x)->op == OP_INPUT &&
                  from.map.c < s->p->target.vl && k->groups == 1;
    if (!direct)
        from = plan_blocked_value(s, x);
    int64_t count = s->an->shape[d->group->anchor.v].c;
    alone(d, depthwise ? FAM_DEPTHWISE_DW : FAM_CONV_DW);
    k->whole = true;
    plan_set_images(s, d, from);
    k->dy = with.map;
    plan_extra_value(s, d, KARG_MAP, with);
    k->out = (MapDesc){LAYOUT_PLANAR, count, 1, 1};
    d->args[KERNEL_ARG_OUT] = plan_state_at(to);
    if (s->p->target.kind == TARGET_CUDA)
        in_slices(s, d, count, to);
    else
        plan_finish_step(s, d);
}

void plan_conv_dw(Planner *s, Draft *d)
{
    weight_gradient(s, d, plan_anchor_input(s, d, 1), plan_anchor_input(s, d, 0));
}

void plan_convt_dw(Planner *s, Draft *d)
{
    weight_gradient(s, d, plan_anchor_input(s, d, 0), plan_anchor_input(s, d, 1));
}

/* Maps */

/* dy, and the forward value that the rule reads, to dx. */
static void map_gradient(Planner *s, Draft *d, Family f, bool reads)
{
    Value dy = plan_blocked_value(s, plan_anchor_input(s, d, 0)),
          out = plan_result_value(s, d->group, false);
    NodeId x = reads ? plan_anchor_input(s, d, 1) : NODE_NONE;
    alone(d, f);
    plan_set_images(s, d, dy);
    plan_set_out(d, out);
    if (reads)
        plan_extra_value(s, d, KARG_MAP, plan_blocked_value(s, x));
}

void plan_pool_dx(Planner *s, Draft *d)
{
    Kernel *k = &d->k;
    NodeId n = plan_anchor_owner(s, d);
    Op op = graph_node(s->g, n)->op;
    const Shape *in = shape_of(s, graph_in(s->g, n, 0)), *out = shape_of(s, n);
    map_gradient(s, d, FAM_POOL_DX, op == OP_MAXPOOL);
    if (op != OP_ADAPTIVE_AVGPOOL) {
        plan_set_window(k, s->g, n, in);
        k->pool = plan_pool_kind(k, s->g, n);
        k->groups = 1;
    } else if (in->h % out->h == 0 && in->w % out->w == 0) {
        plan_set_point(k);
        k->pool = POOL_AVG;
        k->kh = k->sh = in->h / out->h;
        k->kw = k->sw = in->w / out->w;
    } else {
        k->pool = POOL_ADAPTIVE_AVG;
    }
    if (k->pool != POOL_AVG_INCLUDE_PAD)
        k->pb = k->pr = 0;
    plan_finish_step(s, d);
}

void plan_ln_dx(Planner *s, Draft *d)
{
    NodeId n = plan_anchor_owner(s, d);
    map_gradient(s, d, FAM_LN_DX, true);
    d->k.eps = graph_attr(s->g, n, AT_LN_eps)->r;
    plan_extra(d, KARG_CHANNEL, plan_state_at(plan_param(s, n, "weight")->offset), 0, 0);
    plan_finish_step(s, d);
}

void plan_lrn_dx(Planner *s, Draft *d)
{
    NodeId n = plan_anchor_owner(s, d);
    map_gradient(s, d, FAM_LRN_DX, true);
    d->k.lrn_size = graph_attr(s->g, n, AT_LRN_size)->i;
    d->k.alpha = graph_attr(s->g, n, AT_LRN_alpha)->r;
    d->k.beta = graph_attr(s->g, n, AT_LRN_beta)->r;
    d->k.bias_k = graph_attr(s->g, n, AT_LRN_k)->r;
    plan_finish_step(s, d);
}

void plan_softmax_dx(Planner *s, Draft *d)
{
    map_gradient(s, d, FAM_SOFTMAX_DX, true);
    plan_finish_step(s, d);
}

void plan_copy_dx(Planner *s, Draft *d)
{
    NodeId n = plan_anchor_owner(s, d);
    Op op = graph_node(s->g, n)->op;
    Kernel *k = &d->k;
    map_gradient(s, d, FAM_COPY, false);
    if (op == OP_SLICE) {
        k->copy = COPY_CHANNELS_DX;
        k->dst_c = graph_attr(s->g, n, AT_SLICE_from)->i;
        k->count_c = shape_of(s, n)->c;
    } else if (op == OP_UPSAMPLE) {
        k->copy =
            graph_attr(s->g, n, AT_UPSAMPLE_bilinear)->i != 0 ? COPY_BILINEAR_DX : COPY_NEAREST_DX;
        k->by_h = graph_attr(s->g, n, AT_UPSAMPLE_by)->size.h;
        k->by_w = graph_attr(s->g, n, AT_UPSAMPLE_by)->size.w;
    } else {
        k->copy = COPY_DEPTH_TO_SPACE;
        k->by_h = k->by_w = graph_attr(s->g, n, AT_SPACE_TO_DEPTH_by)->i;
    }
    plan_finish_step(s, d);
}

/* A vector in blocks, then in plain order, which is that of the map, then the map in blocks. */
void plan_unflatten(Planner *s, Draft *d)
{
    NodeId n = d->group->anchor;
    Value from = plan_blocked_value(s, plan_anchor_input(s, d, 0));
    MapDesc vector = {LAYOUT_PLANAR, from.map.c, 1, 1}, map = plan_blocked_map(s, n);
    Value plain = plan_new_value(s, n, vector, SPACE_ARENA, 0);
    plan_copy_layout(s, n, from, plain);
    map.layout = LAYOUT_PLANAR;
    plain.map = map;
    plan_copy_layout(s, n, plain, plan_result_value(s, d->group, false));
}

/* Losses and masks */

static void set_loss(Planner *s, Draft *d, NodeId loss, Family f)
{
    static const LossForm form[OP_COUNT] = {
        [OP_LOSS_CE] = LOSS_FORM_CE, [OP_LOSS_BCE] = LOSS_FORM_BCE, [OP_LOSS_MSE] = LOSS_FORM_MSE};
    Value z = s->value[plan_anchor_input(s, d, 0).v],
          target = s->value[plan_anchor_input(s, d, 1).v];
    alone(d, f);
    d->k.loss = form[graph_node(s->g, loss)->op];
    d->k.weight = graph_attr(s->g, loss, AT_LOSS_CE_weight)->r;
    d->k.smoothing = graph_attr(s->g, loss, AT_LOSS_CE_smoothing)->r;
    plan_set_images(s, d, z);
    plan_extra_value(s, d, KARG_MAP, target);
}

/* A loss is an output and nothing else. */
void plan_loss(Planner *s, Draft *d)
{
    NodeId n = d->group->anchor;
    uint32_t at = 0;
    while (at + 1 < s->g->outs.len && s->g->outs.at[at].node.v != n.v)
        at++;
    Value out = plan_new_value(s, n, (MapDesc){LAYOUT_PLANAR, 1, 1, 1}, SPACE_OUTPUT, at);
    s->value[n.v] = out;
    set_loss(s, d, n, FAM_LOSS);
    plan_set_out(d, out);
    plan_finish_step(s, d);
}

void plan_loss_dx(Planner *s, Draft *d)
{
    Value out = plan_result_value(s, d->group, false);
    set_loss(s, d, plan_anchor_owner(s, d), FAM_LOSS_DX);
    plan_set_out(d, out);
    plan_finish_step(s, d);
}

static void set_mask(const Planner *s, Draft *d, NodeId mask)
{
    d->k.family = FAM_MASK;
    d->k.whole = true;
    d->k.p = graph_attr(s->g, mask, AT_MASK_p)->r;
    d->k.mask_key = graph_attr(s->g, mask, AT_MASK_key)->i;
    d->k.per_image = graph_attr(s->g, mask, AT_MASK_per_image)->i != 0;
}

void plan_mask(Planner *s, Draft *d)
{
    NodeId n = d->group->anchor;
    Value from = plan_blocked_value(s, plan_anchor_input(s, d, 0)),
          out = plan_result_value(s, d->group, false);
    alone(d, FAM_MASK);
    set_mask(s, d, n);
    plan_set_images(s, d, from);
    plan_set_out(d, out);
    d->k.out_step = plan_step_of(s, out);
    plan_finish_step(s, d);
}

PlanOperand plan_mask_gate(Planner *s, NodeId mask)
{
    uint32_t key = (uint32_t)graph_attr(s->g, mask, AT_MASK_key)->i;
    Value *gate = &s->train->gate[key];
    if (gate->tensor == 0) {
        MapDesc point = {target_layout(&s->p->target), shape_of(s, mask)->c, 1, 1};
        Draft d = {.node = mask, .k = {.gate_arg = -1}};
        *gate = plan_new_value(s, mask, point, SPACE_ARENA, 0);
        set_mask(s, &d, mask);
        plan_set_out(&d, *gate);
        d.k.out_step = plan_step_of(s, *gate);
        plan_finish_step(s, &d);
    }
    return plan_operand(s, *gate);
}
