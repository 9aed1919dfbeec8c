/* One rule per entry of the grad column of ops.def. */
#include "transform/grad_rules.h"
#include <stdio.h>

static Shape shape_of(const Grad *s, NodeId n)
{
    return s->shape.at[n.v];
}

static NodeId input(const Grad *s, NodeId n, uint32_t i)
{
    return graph_in(&s->t->g, n, i);
}

static const AttrVal *attr(const Grad *s, NodeId n, int index)
{
    return graph_attr(&s->t->g, n, index);
}

static Shape vector(int64_t c)
{
    return (Shape){c, 1, 1, true};
}

static void parameter(Grad *s, NodeId n, int which, NodeId grad)
{
    vec_push(s->arena, &s->t->params, ((ParamGrad){n, which, grad}));
}

/* dx from dy alone, and from dy with the input or output. */
static void through(Grad *s, NodeId n, Op op, const NodeId *in, uint32_t nin)
{
    if (grad_wanted(s, n, 0))
        grad_input(s, n, 0, grad_own(s, op, n, shape_of(s, input(s, n, 0)), in, nin, "dx"));
}

static void from_dy(Grad *s, NodeId n, NodeId dy, Op op)
{
    through(s, n, op, &dy, 1);
}

static void from_dy_x(Grad *s, NodeId n, NodeId dy, Op op)
{
    through(s, n, op, (NodeId[]){dy, input(s, n, 0)}, 2);
}

static NodeId channel_sum(Grad *s, NodeId n, NodeId dy, const char *what)
{
    return grad_own(s, OP_CHANNEL_SUM, n, vector(shape_of(s, dy).c), &dy, 1, what);
}

static void grad_none(Grad *s, NodeId n, NodeId dy)
{
    (void)s;
    (void)n;
    (void)dy;
}

static void contraction(Grad *s, NodeId n, NodeId dy, Op dx, Op dw)
{
    ParamSpec spec[PARAM_MAX];
    int count = params_of(&s->t->g, n, s->shape.at, spec);
    NodeId in[] = {dy, input(s, n, 0)};
    parameter(s, n, 0, grad_own(s, dw, n, vector(param_count(&spec[0])), in, 2, "dw"));
    if (count > 1)
        parameter(s, n, 1, channel_sum(s, n, dy, "db"));
    from_dy(s, n, dy, dx);
}

static void grad_conv(Grad *s, NodeId n, NodeId dy)
{
    contraction(s, n, dy, OP_CONV_DX, OP_CONV_DW);
}

static void grad_convt(Grad *s, NodeId n, NodeId dy)
{
    contraction(s, n, dy, OP_CONVT_DX, OP_CONVT_DW);
}

static void grad_dense(Grad *s, NodeId n, NodeId dy)
{
    contraction(s, n, dy, OP_DENSE_DX, OP_DENSE_DW);
}

/* Ioffe & Szegedy 2015, section 3: the statistics depend on x, too. */
static void grad_bn(Grad *s, NodeId n, NodeId dy)
{
    NodeId x = input(s, n, 0), mean = input(s, n, 1), var = input(s, n, 2);
    Shape v = vector(shape_of(s, x).c);
    bool scale = attr(s, n, AT_BN_APPLY_scale)->i != 0;
    NodeId shift = channel_sum(s, n, dy, "db");
    NodeId factor = grad_own(s, OP_BN_DSCALE, n, v, (NodeId[]){dy, x, mean, var}, 4, "dw");
    if (scale)
        parameter(s, n, 0, factor);
    parameter(s, n, scale ? 1 : 0, shift);
    through(s, n, OP_BN_DX, (NodeId[]){dy, x, mean, var, shift, factor}, 6);
}

static void grad_ln(Grad *s, NodeId n, NodeId dy)
{
    NodeId x = input(s, n, 0);
    parameter(s, n, 0,
              grad_own(s, OP_LN_DW, n, vector(shape_of(s, x).c), (NodeId[]){dy, x}, 2, "dw"));
    parameter(s, n, 1, channel_sum(s, n, dy, "db"));
    from_dy_x(s, n, dy, OP_LN_DX);
}

static void grad_lrn(Grad *s, NodeId n, NodeId dy)
{
    from_dy_x(s, n, dy, OP_LRN_DX);
}

static void grad_softmax(Grad *s, NodeId n, NodeId dy)
{
    through(s, n, OP_SOFTMAX_DX, (NodeId[]){dy, n}, 2);
}

static void grad_elem(Grad *s, NodeId n, NodeId dy)
{
    from_dy_x(s, n, dy, OP_ELEM_GRAD);
}

static void grad_maxpool(Grad *s, NodeId n, NodeId dy)
{
    from_dy_x(s, n, dy, OP_MAXPOOL_DX);
}

static void grad_avgpool(Grad *s, NodeId n, NodeId dy)
{
    from_dy(s, n, dy, OP_AVGPOOL_DX);
}

static void grad_adaptive(Grad *s, NodeId n, NodeId dy)
{
    from_dy(s, n, dy, OP_ADAPTIVE_DX);
}

static void grad_gap(Grad *s, NodeId n, NodeId dy)
{
    from_dy(s, n, dy, OP_GAP_DX);
}

static void grad_upsample(Grad *s, NodeId n, NodeId dy)
{
    from_dy(s, n, dy, OP_UPSAMPLE_DX);
}

static void grad_slice(Grad *s, NodeId n, NodeId dy)
{
    from_dy(s, n, dy, OP_SLICE_DX);
}

static void grad_space_to_depth(Grad *s, NodeId n, NodeId dy)
{
    from_dy(s, n, dy, OP_DEPTH_TO_SPACE);
}

static void grad_flatten(Grad *s, NodeId n, NodeId dy)
{
    from_dy(s, n, dy, OP_UNFLATTEN);
}

/* An operand of one value per channel was added to, or multiplied with, every position. */
static NodeId over_positions(Grad *s, NodeId n, uint32_t i, NodeId d)
{
    Shape map = shape_of(s, d), own = shape_of(s, input(s, n, i));
    char what[32];
    if (map.h == own.h && map.w == own.w)
        return d;
    snprintf(what, sizeof what, "mean%u", i);
    NodeId mean = grad_add(s, OP_GAP, NULL, &d, 1, n, what);
    snprintf(what, sizeof what, "sum%u", i);
    AttrVal by = attr_real((double)(map.h * map.w));
    NodeId sum = grad_add(s, OP_SCALE, &by, &mean, 1, n, what);
    if (!own.flat)
        return sum;
    snprintf(what, sizeof what, "flat%u", i);
    return grad_own(s, OP_UNFLATTEN, n, own, &sum, 1, what);
}

static void grad_sum(Grad *s, NodeId n, NodeId dy)
{
    for (uint32_t i = 0; i < graph_node(&s->t->g, n)->in_count; i++)
        if (grad_wanted(s, n, i))
            grad_input(s, n, i, over_positions(s, n, i, dy));
}

static void grad_mul(Grad *s, NodeId n, NodeId dy)
{
    uint32_t count = graph_node(&s->t->g, n)->in_count;
    NodeId *in = arena_new_n(s->arena, NodeId, count);
    for (uint32_t i = 0; i < count; i++) {
        char what[32];
        if (!grad_wanted(s, n, i))
            continue;
        uint32_t k = 0;
        in[k++] = dy;
        for (uint32_t j = 0; j < count; j++)
            if (j != i)
                in[k++] = input(s, n, j);
        snprintf(what, sizeof what, "dx%u", i);
        NodeId d = grad_add(s, OP_MUL, NULL, in, k, n, what);
        grad_input(s, n, i, over_positions(s, n, i, d));
    }
}

static void grad_scale(Grad *s, NodeId n, NodeId dy)
{
    AttrVal by = *attr(s, n, AT_SCALE_by);
    if (grad_wanted(s, n, 0))
        grad_input(s, n, 0, grad_add(s, OP_SCALE, &by, &dy, 1, n, "dx"));
}

static void grad_layer_scale(Grad *s, NodeId n, NodeId dy)
{
    NodeId in[] = {dy, input(s, n, 0)};
    parameter(s, n, 0, grad_own(s, OP_CHANNEL_DOT, n, vector(shape_of(s, dy).c), in, 2, "dw"));
    from_dy(s, n, dy, OP_LAYER_SCALE_DX);
}

static void grad_concat(Grad *s, NodeId n, NodeId dy)
{
    int64_t c = 0;
    for (uint32_t i = 0; i < graph_node(&s->t->g, n)->in_count; i++) {
        int64_t count = shape_of(s, input(s, n, i)).c;
        AttrVal part[] = {attr_int(c), attr_int(c + count)};
        char what[32];
        snprintf(what, sizeof what, "dx%u", i);
        if (grad_wanted(s, n, i))
            grad_input(s, n, i, grad_add(s, OP_SLICE, part, &dy, 1, n, what));
        c += count;
    }
}

/* Borders are taken off again, or put back as zeros. */
static void grad_border(Grad *s, NodeId n, NodeId dy)
{
    bool pad = graph_node(&s->t->g, n)->op == OP_ZEROPAD;
    AttrVal by[4];
    for (int i = 0; i < 4; i++)
        by[i] = *attr(s, n, i);
    if (grad_wanted(s, n, 0))
        grad_input(s, n, 0, grad_add(s, pad ? OP_CROP : OP_ZEROPAD, by, &dy, 1, n, "dx"));
}

/* The table of channels is turned back. */
static void grad_shuffle(Grad *s, NodeId n, NodeId dy)
{
    AttrVal groups = attr_int(shape_of(s, dy).c / attr(s, n, AT_SHUFFLE_groups)->i);
    if (grad_wanted(s, n, 0))
        grad_input(s, n, 0, grad_add(s, OP_SHUFFLE, &groups, &dy, 1, n, "dx"));
}

/* The same values are zeroed and scaled. */
static void grad_mask(Grad *s, NodeId n, NodeId dy)
{
    AttrVal at[3];
    for (int i = 0; i < 3; i++)
        at[i] = *attr(s, n, i);
    if (grad_wanted(s, n, 0))
        grad_input(s, n, 0, grad_add(s, OP_MASK, at, &dy, 1, n, "dx"));
}

static GradRule *const rule_of[OP_COUNT] = {
#define OP(ID, NAME, IN, SHAPE, RF, COST, FAMILY, ELEM, GRAD, FLAGS, DOC) [OP_##ID] = grad_##GRAD,
#include "ops/ops.def"
};

GradRule *grad_rule(Op op)
{
    return rule_of[op];
}
