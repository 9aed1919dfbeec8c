/* Sums over the batch per channel, and batch normalisations, which are made of them. Sums are taken
 * in parts: slices of the batch, each by a unit of its own, and then those. On GPUs the kernel that
 * makes a map sums over what each of its blocks makes, so that the map is not read again for it:
 * lines of sums in the arena, which are then summed in place of the map. */
#include "plan/train.h"

enum { SLICES_MOST = 8, SUM_UNITS = 16 };

static ExprId arg_of(Planner *s, int extra)
{
    return expr_arg(&s->train->exprs, (uint32_t)extra + 1);
}

static ExprId op2(Planner *s, ExprOp op, ExprId a, ExprId b)
{
    return expr_binary(&s->train->exprs, op, a, b);
}

static ExprId real(Planner *s, double v)
{
    return expr_const(&s->train->exprs, v);
}

static void root(Draft *d, ExprId e, int to)
{
    d->k.root_of[d->k.root_count] = e;
    d->k.root_to[d->k.root_count++] = to;
}

static Draft whole_step(Planner *s, NodeId n, Family f)
{
    Draft d = {.node = n, .k = {.family = f, .gate_arg = -1, .whole = true}};
    d.k.pool_expr = &s->train->exprs;
    return d;
}

static int slices_for(const Planner *s, MapDesc m)
{
    int64_t blocks = map_blocks(m, s->p->target.vl), n = (SUM_UNITS + blocks - 1) / blocks;
    return n < SLICES_MOST ? (int)n : SLICES_MOST;
}

/* d is a SUMS step with its roots: gives it a place for its sums and ends it; *f is opened as the
 * step that goes on with them. */
static void end_sums(Planner *s, Draft *d, int terms, Draft *f)
{
    int64_t floats = d->k.slices * (int64_t)terms * plan_padded(s, d->k.in.c);
    PlanOperand at = plan_state_at(plan_state_add(s, floats));
    d->k.out = (MapDesc){LAYOUT_PLANAR, floats, 1, 1};
    d->args[KERNEL_ARG_OUT] = at;
    *f = whole_step(s, d->node, FAM_FINISH);
    f->k.in = d->k.out;
    f->k.out = (MapDesc){target_layout(&s->p->target), d->k.in.c, 1, 1};
    f->k.slices = d->k.slices;
    f->k.positions = d->k.part > 0 ? d->k.positions : d->k.in.h * d->k.in.w;
    f->args[KERNEL_ARG_IN] = at;
    plan_finish_step(s, d);
}

static Draft open_sums(Planner *s, NodeId n, Value in)
{
    Draft d = whole_step(s, n, FAM_SUMS);
    plan_set_images(s, &d, in);
    bool cuda = s->p->target.kind == TARGET_CUDA;
    d.k.slices = cuda ? cuda_slices(&d.k, &s->p->target) : slices_for(s, in.map);
    return d;
}

/* A vector of the state, written (RESULT) or read and perhaps written (CHANNEL). */
static int vector_at(Draft *d, ArgKind kind, int64_t at)
{
    return plan_extra(d, kind, plan_state_at(at), 0, 0);
}

static int result_at(Draft *d, int64_t at)
{
    return KERNEL_ARG_EXTRA + vector_at(d, KARG_RESULT, at);
}

/* The node sums over a value: whether its kernel could, see plan_add_lines. */
static bool sums_over(Op op)
{
    return op == OP_CHANNEL_VAR || op == OP_BN_DSCALE;
}

void plan_find_lines(Planner *s)
{
    for (uint32_t v = 1; v < s->g->nodes.len; v++) {
        if (!s->an->live[v] || !sums_over(graph_node(s->g, (NodeId){v})->op))
            continue;
        LineSums *l = &s->train->lines[s->f->alias[graph_in(s->g, (NodeId){v}, 0).v].v];
        if (l->of.v == 0)
            l->of = (NodeId){v};
    }
}

enum { LINE_SUMS = 2 };

/* Of dy and of dy times the distance of x to its mean: roots over the kernel's result. */
static void add_dots(Planner *s, Draft *d, NodeId of)
{
    Kernel *k = &d->k;
    ExprPool *e = &s->train->exprs;
    ExprId same[KERNEL_MAX_EXTRA + 1], g = expr_arg(e, 0);
    NodeId x = s->f->alias[graph_in(s->g, of, 1).v], bn = graph_owner(s->g, of);
    int64_t padded = plan_padded(s, k->out.c);
    for (uint32_t i = 0; i <= KERNEL_MAX_EXTRA; i++)
        same[i] = expr_arg(e, i);
    if (k->root.v != 0)
        k->root = expr_substitute(e, k->pool_expr, k->root, same);
    k->pool_expr = e;
    ExprId at = arg_of(s, plan_extra_value(s, d, KARG_MAP, plan_blocked_value(s, x)));
    ExprId mean = arg_of(s, vector_at(d, KARG_CHANNEL, s->train->norm[bn.v] + NORM_MEAN * padded));
    root(d, g, KERNEL_ARG_OUT);
    root(d, op2(s, EX_MUL, g, op2(s, EX_SUB, at, mean)), KERNEL_ARG_OUT);
}

bool plan_wants_lines(const Planner *s, const Draft *d)
{
    enum { OPERANDS = 3 };
    if (s->train == NULL || d->group == NULL || s->p->target.kind != TARGET_CUDA)
        return false;
    NodeId n = d->group->result;
    bool last = s->f->group_of[n.v] == (uint32_t)(d->group - s->f->groups.at) + 1;
    return (d->k.family == FAM_CONV || d->k.family == FAM_CONVT) && last &&
           s->train->lines[n.v].of.v != 0 && d->k.extra_count + OPERANDS <= KERNEL_MAX_EXTRA;
}

void plan_add_lines(Planner *s, Draft *d)
{
    Kernel *k = &d->k;
    NodeId n = d->group->result;
    LineSums *l = &s->train->lines[n.v];
    if (k->tile.cuda.m == 0)
        return;
    if (graph_node(s->g, l->of)->op == OP_BN_DSCALE)
        add_dots(s, d, l->of);
    int64_t sums = kernel_line_sums(k) * plan_padded(s, k->out.c);
    MapDesc m = {LAYOUT_CHANNELS, sums, kernel_lines(k), 1};
    Value to = plan_new_value(s, n, m, SPACE_ARENA, 0);
    plan_extra(d, KARG_RESULT, plan_operand(s, to), 0, 0);
    l->tensor = to.tensor;
    l->part = k->tile.cuda.m;
}

/* The lines of sums over n's value that are for node `of`; NULL: there are none. */
static const LineSums *lines_of(const Planner *s, NodeId n, NodeId of)
{
    const LineSums *l = &s->train->lines[n.v];
    return l->tensor != 0 && l->of.v == of.v ? l : NULL;
}

static PlanOperand line_sum(const LineSums *l, int64_t offset)
{
    return (PlanOperand){SPACE_ARENA, l->tensor, offset};
}

/* Sums over lines: arg 0 is the first of each, *second the other. */
static Draft open_lines(Planner *s, NodeId n, const LineSums *l, MapDesc map, ExprId *second)
{
    Draft d = whole_step(s, n, FAM_SUMS);
    int64_t padded = plan_padded(s, map.c);
    d.k.in = (MapDesc){LAYOUT_CHANNELS, map.c, 1, 1};
    d.k.in_step = LINE_SUMS * padded;
    d.k.part = l->part;
    d.k.positions = map.h * map.w;
    d.k.slices = cuda_slices(&d.k, &s->p->target);
    d.args[KERNEL_ARG_IN] = line_sum(l, 0);
    *second = arg_of(s, plan_extra(&d, KARG_MAP, line_sum(l, padded), LINE_SUMS * padded, 0));
    return d;
}

/* One root into one gradient. */
static void sum_to_gradient(Planner *s, Draft *sums, ExprId e, NodeId n)
{
    Draft f;
    root(sums, e, 0);
    end_sums(s, sums, 1, &f);
    f.args[KERNEL_ARG_OUT] = plan_state_at(plan_gradient(s, n));
    root(&f, expr_arg(&s->train->exprs, 0), KERNEL_ARG_OUT);
    plan_finish_step(s, &f);
}

void plan_channel_sum(Planner *s, Draft *d)
{
    NodeId n = d->group->anchor;
    if (graph_node(s->g, plan_anchor_owner(s, d))->op == OP_BN_APPLY)
        return; /* with the sum for the scale */
    Draft sums = open_sums(s, n, plan_blocked_value(s, plan_anchor_input(s, d, 0)));
    sum_to_gradient(s, &sums, expr_arg(&s->train->exprs, 0), n);
}

void plan_channel_dot(Planner *s, Draft *d)
{
    NodeId n = d->group->anchor;
    Draft sums = open_sums(s, n, plan_blocked_value(s, plan_anchor_input(s, d, 0)));
    ExprId x = arg_of(
        s, plan_extra_value(s, &sums, KARG_MAP, plan_blocked_value(s, plan_anchor_input(s, d, 1))));
    sum_to_gradient(s, &sums, op2(s, EX_MUL, expr_arg(&s->train->exprs, 0), x), n);
}

void plan_ln_dw(Planner *s, Draft *d)
{
    NodeId n = d->group->anchor;
    Draft sums = open_sums(s, n, plan_blocked_value(s, plan_anchor_input(s, d, 0))), f;
    sums.k.family = FAM_LN_DW;
    if (s->p->target.kind == TARGET_CPU)
        sums.k.slices = SLICES_MOST;
    sums.k.eps = graph_attr(s->g, plan_anchor_owner(s, d), AT_LN_eps)->r;
    plan_extra_value(s, &sums, KARG_MAP, plan_blocked_value(s, plan_anchor_input(s, d, 1)));
    end_sums(s, &sums, 1, &f);
    f.args[KERNEL_ARG_OUT] = plan_state_at(plan_gradient(s, n));
    root(&f, expr_arg(&s->train->exprs, 0), KERNEL_ARG_OUT);
    plan_finish_step(s, &f);
}

static void running(Planner *s, Draft *f, const PlanParam *q, ExprId new, double momentum)
{
    int i = vector_at(f, KARG_CHANNEL, q->offset);
    ExprId old = arg_of(s, i), step = op2(s, EX_SUB, new, old);
    step = op2(s, EX_MUL, step, real(s, momentum));
    root(f, op2(s, EX_ADD, old, step), KERNEL_ARG_EXTRA + i);
}

static ExprId weight_of(Planner *s, Draft *f, NodeId bn)
{
    const PlanParam *w = plan_param(s, bn, "weight");
    return w != NULL ? arg_of(s, vector_at(f, KARG_CHANNEL, w->offset)) : real(s, 1);
}

/* The sums of distances to the value of the first position, and of their squares. */
static Draft moments(Planner *s, NodeId bn, Value in)
{
    Draft sums = open_sums(s, bn, in);
    ExprId far = op2(s, EX_SUB, expr_arg(&s->train->exprs, 0),
                     arg_of(s, plan_extra_value(s, &sums, KARG_PIVOT, in)));
    root(&sums, far, 0);
    root(&sums, op2(s, EX_MUL, far, far), 0);
    return sums;
}

/* The same to the first line's mean, from each line's mean and sum of squared distances to that
 * (Chan, Golub & LeVeque 1983). */
static Draft moment_lines(Planner *s, NodeId bn, const LineSums *l, MapDesc map)
{
    ExprId squares;
    Draft sums = open_lines(s, bn, l, map, &squares);
    ExprId pivot = arg_of(s, plan_extra(&sums, KARG_PIVOT, line_sum(l, 0), 0, 0));
    ExprId n = arg_of(s, plan_extra(&sums, KARG_SHARE, (PlanOperand){0}, 0, 0));
    ExprId far = op2(s, EX_SUB, expr_arg(&s->train->exprs, 0), pivot);
    ExprId sum = op2(s, EX_MUL, n, far);
    root(&sums, sum, 0);
    root(&sums, op2(s, EX_ADD, squares, op2(s, EX_MUL, sum, far)), 0);
    return sums;
}

/* Statistics are those of the distance to one of the values, which takes nothing off their digits
 * where the mean is far from zero. Running ones as PyTorch's: the unbiased variance. */
void plan_norm_stats(Planner *s, Draft *d)
{
    NodeId x = plan_anchor_input(s, d, 0), bn = s->train->bn_of[d->group->anchor.v];
    Value in = plan_blocked_value(s, x);
    const LineSums *lines = lines_of(s, x, d->group->anchor);
    Draft sums = lines != NULL ? moment_lines(s, bn, lines, in.map) : moments(s, bn, in), f;
    end_sums(s, &sums, 2, &f);
    int64_t padded = plan_padded(s, in.map.c);
    int64_t at = plan_state_add(s, NORM_VECTORS * padded);
    s->train->norm[bn.v] = at;
    f.k.dy = in.map;
    ExprId n = arg_of(s, plan_extra(&f, KARG_COUNT, (PlanOperand){0}, 0, 0));
    ExprId squares = arg_of(s, plan_extra(&f, KARG_TERM, (PlanOperand){0}, 0, 1));
    ExprId pivot = lines != NULL ? arg_of(s, plan_extra(&f, KARG_PIVOT, line_sum(lines, 0), 0, 0))
                                 : arg_of(s, plan_extra_value(s, &f, KARG_PIVOT, in));
    ExprId shift = op2(s, EX_DIV, expr_arg(&s->train->exprs, 0), n);
    ExprId mean = op2(s, EX_ADD, pivot, shift);
    ExprId var = op2(s, EX_SUB, op2(s, EX_DIV, squares, n), op2(s, EX_MUL, shift, shift));
    var = op2(s, EX_MAX, var, real(s, 0));
    ExprId eps = real(s, graph_attr(s->g, bn, AT_BN_APPLY_eps)->r);
    ExprId root_var = expr_unary(&s->train->exprs, EX_SQRT, op2(s, EX_ADD, var, eps));
    ExprId invstd = op2(s, EX_DIV, real(s, 1), root_var);
    ExprId scale = op2(s, EX_MUL, weight_of(s, &f, bn), invstd);
    ExprId bias = arg_of(s, vector_at(&f, KARG_CHANNEL, plan_param(s, bn, "bias")->offset));
    f.args[KERNEL_ARG_OUT] = plan_state_at(at + NORM_SCALE * padded);
    root(&f, scale, KERNEL_ARG_OUT);
    root(&f, op2(s, EX_SUB, bias, op2(s, EX_MUL, mean, scale)),
         result_at(&f, at + NORM_SHIFT * padded));
    root(&f, mean, result_at(&f, at + NORM_MEAN * padded));
    root(&f, invstd, result_at(&f, at + NORM_INVSTD * padded));
    double momentum = graph_attr(s->g, bn, AT_BN_APPLY_momentum)->r;
    ExprId less = op2(s, EX_MAX, op2(s, EX_SUB, n, real(s, 1)), real(s, 1));
    running(s, &f, plan_param(s, bn, "running_mean"), mean, momentum);
    running(s, &f, plan_param(s, bn, "running_var"), op2(s, EX_MUL, var, op2(s, EX_DIV, n, less)),
            momentum);
    plan_finish_step(s, &f);
}

/* The sums of dy and of dy times the distance of x to its mean. */
static Draft dots(Planner *s, NodeId n, Value dy, Value x, NodeId bn)
{
    Draft sums = open_sums(s, n, dy);
    int64_t at = s->train->norm[bn.v] + NORM_MEAN * plan_padded(s, dy.map.c);
    ExprId g = expr_arg(&s->train->exprs, 0);
    ExprId from = arg_of(s, plan_extra_value(s, &sums, KARG_MAP, x));
    ExprId mean = arg_of(s, vector_at(&sums, KARG_CHANNEL, at));
    root(&sums, g, 0);
    root(&sums, op2(s, EX_MUL, g, op2(s, EX_SUB, from, mean)), 0);
    return sums;
}

static Draft dot_lines(Planner *s, NodeId n, const LineSums *l, MapDesc map)
{
    ExprId second;
    Draft sums = open_lines(s, n, l, map, &second);
    root(&sums, expr_arg(&s->train->exprs, 0), 0);
    root(&sums, second, 0);
    return sums;
}

/* With db and dw the sums of dy and of dy times the normalised x,
 *     dx = w invstd (dy - db / n - (x - mean) invstd dw / n) = A dy + B x + C. */
void plan_norm_grad(Planner *s, Draft *d)
{
    NodeId n = d->group->anchor, bn = plan_anchor_owner(s, d);
    Value dy = plan_blocked_value(s, plan_anchor_input(s, d, 0)),
          x = plan_blocked_value(s, plan_anchor_input(s, d, 1));
    int64_t padded = plan_padded(s, dy.map.c), norm = s->train->norm[bn.v];
    const LineSums *lines = lines_of(s, plan_anchor_input(s, d, 0), n);
    Draft sums = lines != NULL ? dot_lines(s, n, lines, dy.map) : dots(s, n, dy, x, bn), f;
    ExprId g = expr_arg(&s->train->exprs, 0);
    end_sums(s, &sums, 2, &f);
    int64_t back = plan_state_add(s, BACK_VECTORS * padded);
    s->train->back[bn.v] = back;
    ExprId count = arg_of(s, plan_extra(&f, KARG_COUNT, (PlanOperand){0}, 0, 0));
    ExprId dot = arg_of(s, plan_extra(&f, KARG_TERM, (PlanOperand){0}, 0, 1));
    ExprId mean = arg_of(s, vector_at(&f, KARG_CHANNEL, norm + NORM_MEAN * padded));
    ExprId invstd = arg_of(s, vector_at(&f, KARG_CHANNEL, norm + NORM_INVSTD * padded));
    ExprId dw = op2(s, EX_MUL, dot, invstd);
    ExprId a = op2(s, EX_MUL, weight_of(s, &f, bn), invstd);
    ExprId b = op2(s, EX_MUL, op2(s, EX_MUL, a, invstd), op2(s, EX_DIV, dw, count));
    b = expr_unary(&s->train->exprs, EX_NEG, b);
    ExprId c = op2(s, EX_MUL, a, op2(s, EX_DIV, g, count));
    c = op2(s, EX_ADD, c, op2(s, EX_MUL, b, mean));
    f.args[KERNEL_ARG_OUT] = plan_state_at(back + BACK_A * padded);
    root(&f, a, KERNEL_ARG_OUT);
    root(&f, b, result_at(&f, back + BACK_B * padded));
    root(&f, expr_unary(&s->train->exprs, EX_NEG, c), result_at(&f, back + BACK_C * padded));
    const PlanParam *bias = plan_param(s, bn, "bias"), *weight = plan_param(s, bn, "weight");
    root(&f, g, result_at(&f, s->p->state.grad + bias->offset));
    if (weight != NULL)
        root(&f, dw, result_at(&f, s->p->state.grad + weight->offset));
    plan_finish_step(s, &f);
}
