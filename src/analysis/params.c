/* Parameters of every operator that has some: one list of rows per name in the `cost` column. */
#include "analysis/cost.h"
#include <string.h>

typedef struct Rule {
    const Graph *g;
    NodeId n;
    Shape in, out;
    ParamSpec *spec; /* NULL when only the MACs are asked for */
    int count;
    int64_t macs;
} Rule;

static int64_t sat_mul(int64_t a, int64_t b)
{
    int64_t v;
    return __builtin_mul_overflow(a, b, &v) ? INT64_MAX : v;
}

static ParamSpec *add(Rule *r, const char *suffix, InitKind init, int ndim, const int64_t *dims)
{
    ParamSpec *p = &r->spec[r->count++];
    *p = (ParamSpec){.suffix = suffix, .ndim = ndim, .trainable = true, .init = init};
    memcpy(p->dims, dims, (size_t)ndim * sizeof *dims);
    return p;
}

static void add_vector(Rule *r, const char *suffix, InitKind init, int64_t c)
{
    add(r, suffix, init, 1, &c);
}

static void cost_rule_none(Rule *r)
{
    (void)r;
}

static void cost_rule_conv(Rule *r)
{
    Size2 k = graph_attr(r->g, r->n, AT_CONV_k)->size;
    int64_t groups = graph_attr(r->g, r->n, AT_CONV_groups)->i;
    int64_t dims[4] = {r->out.c, r->in.c / groups, k.h, k.w};
    add(r, "weight", INIT_KAIMING_FAN_OUT, 4, dims);
    if (graph_attr(r->g, r->n, AT_CONV_bias)->i)
        add_vector(r, "bias", INIT_ZERO, r->out.c);
    r->macs = sat_mul(shape_count(r->out), sat_mul(dims[1], sat_mul(k.h, k.w)));
}

static void cost_rule_convt(Rule *r)
{
    Size2 k = graph_attr(r->g, r->n, AT_CONVT_k)->size;
    int64_t groups = graph_attr(r->g, r->n, AT_CONVT_groups)->i;
    int64_t dims[4] = {r->in.c, r->out.c / groups, k.h, k.w};
    add(r, "weight", INIT_KAIMING_FAN_OUT, 4, dims);
    if (graph_attr(r->g, r->n, AT_CONVT_bias)->i)
        add_vector(r, "bias", INIT_ZERO, r->out.c);
    r->macs = sat_mul(shape_count(r->in), sat_mul(dims[1], sat_mul(k.h, k.w)));
}

static void cost_rule_dense(Rule *r)
{
    int64_t dims[2] = {r->out.c, r->in.c};
    add(r, "weight", INIT_TRUNC_NORMAL_02, 2, dims);
    if (graph_attr(r->g, r->n, AT_DENSE_bias)->i)
        add_vector(r, "bias", INIT_ZERO, r->out.c);
    r->macs = sat_mul(shape_count(r->out), r->in.c);
}

static void cost_rule_bn(Rule *r)
{
    if (graph_attr(r->g, r->n, AT_BN_scale)->i)
        add_vector(r, "weight", INIT_ONE, r->in.c);
    add_vector(r, "bias", INIT_ZERO, r->in.c);
    int64_t c = r->in.c;
    add(r, "running_mean", INIT_ZERO, 1, &c)->trainable = false;
    add(r, "running_var", INIT_ONE, 1, &c)->trainable = false;
}

static void cost_rule_ln(Rule *r)
{
    add_vector(r, "weight", INIT_ONE, r->in.c);
    add_vector(r, "bias", INIT_ZERO, r->in.c);
}

static void cost_rule_layer_scale(Rule *r)
{
    int64_t c = r->in.c;
    add(r, "gamma", INIT_CONST, 1, &c)->init_value = graph_attr(r->g, r->n, AT_LAYER_SCALE_init)->r;
}

typedef void CostRule(Rule *r);
static CostRule *const rule_of[OP_COUNT] = {
#define OP(ID, NAME, IN, SHAPE, RF, COST, FAMILY, ELEM, GRAD, FLAGS, DOC)                          \
    [OP_##ID] = cost_rule_##COST,
#include "ops/ops.def"
};

static Rule apply(const Graph *g, NodeId n, const Shape *shapes, ParamSpec *spec)
{
    const Node *node = graph_node(g, n);
    Rule r = {.g = g, .n = n, .out = shapes[n.v], .spec = spec};
    if (node->in_count > 0)
        r.in = shapes[graph_in(g, n, 0).v];
    rule_of[node->op](&r);
    return r;
}

int params_of(const Graph *g, NodeId n, const Shape *shapes, ParamSpec out[PARAM_MAX])
{
    return apply(g, n, shapes, out).count;
}

int64_t cost_macs(const Graph *g, NodeId n, const Shape *shapes)
{
    ParamSpec spec[PARAM_MAX];
    return apply(g, n, shapes, spec).macs;
}

int64_t param_count(const ParamSpec *p)
{
    int64_t n = 1;
    for (int i = 0; i < p->ndim; i++)
        n = sat_mul(n, p->dims[i]);
    return n;
}
