#include "transform/optim.h"
#include <math.h>
#include <string.h>

const char *const optim_name[OPTIM_KINDS] = {
#define OPTIM(ID, NAME, SLOTS, MORE, USES, DOC) [OPTIM_##ID] = NAME,
#include "transform/optim.def"
};
const char *const optim_doc[OPTIM_KINDS] = {
#define OPTIM(ID, NAME, SLOTS, MORE, USES, DOC) [OPTIM_##ID] = DOC,
#include "transform/optim.def"
};
static const char *const uses[OPTIM_KINDS] = {
#define OPTIM(ID, NAME, SLOTS, MORE, USES, DOC) [OPTIM_##ID] = " " USES " ",
#include "transform/optim.def"
};

static const int slot_table[OPTIM_KINDS][2] = {
#define OPTIM(ID, NAME, SLOTS, MORE, USES, DOC) [OPTIM_##ID] = {SLOTS, MORE},
#include "transform/optim.def"
};

OptimKind optim_find(const char *name)
{
    int k = 0;
    while (k < OPTIM_KINDS && strcmp(optim_name[k], name) != 0)
        k++;
    return (OptimKind)k;
}

/* Whether the row of its optimizer names the constant (" momentum "). */
static bool has(const OptimSpec *s, const char *constant)
{
    return strstr(uses[s->kind], constant) != NULL;
}

static bool share(double v)
{
    return v >= 0 && v < 1;
}

const char *optim_check(const OptimSpec *s)
{
    if ((unsigned)s->kind >= OPTIM_KINDS)
        return "there is no such optimizer";
    if (has(s, " momentum ") && !share(s->momentum))
        return "momentum lies between 0 and 1, without 1";
    if (has(s, " nesterov ") && s->nesterov && s->momentum == 0)
        return "nesterov needs momentum";
    if (has(s, " beta1 ") && (!share(s->beta1) || !share(s->beta2)))
        return "beta1 and beta2 lie between 0 and 1, without 1";
    if (has(s, " alpha ") && !share(s->alpha))
        return "alpha lies between 0 and 1, without 1";
    if (has(s, " eps ") && !(s->eps > 0 && isfinite(s->eps)))
        return "eps is above 0";
    if (!(s->decay >= 0 && isfinite(s->decay)))
        return "decay is 0 or more";
    if (!(s->max_norm >= 0 && isfinite(s->max_norm)))
        return "the largest norm is 0 (any) or more";
    if (!share(s->average))
        return "the decay of the running mean lies between 0 and 1, without 1";
    if (s->accumulate < 0)
        return "gradients are accumulated over 1 batch or more";
    return NULL;
}

const char *optim_slot_name(OptimKind kind, int slot)
{
    static const char *const names[OPTIM_KINDS][2] = {
        [OPTIM_SGD] = {"momentum_buffer"},
        [OPTIM_ADAM] = {"exp_avg", "exp_avg_sq"},
        [OPTIM_ADAMW] = {"exp_avg", "exp_avg_sq"},
        [OPTIM_RMSPROP] = {"square_avg", "momentum_buffer"},
        [OPTIM_LAMB] = {"exp_avg", "exp_avg_sq"},
    };
    return names[kind][slot];
}

CnnrtOptimizer optim_constants(const OptimSpec *s)
{
    bool corrected = has(s, " beta1 ");
    return (CnnrtOptimizer){.beta1 = corrected ? s->beta1 : 0,
                            .beta2 = corrected ? s->beta2 : 0,
                            .average = s->average,
                            .accumulate = s->accumulate > 1 ? s->accumulate : 1};
}

_Static_assert((int)OPTIM_LR == CNNRT_LR && (int)OPTIM_BIAS1 == CNNRT_BIAS1 &&
                   (int)OPTIM_BIAS2 == CNNRT_BIAS2 && (int)OPTIM_SCALE == CNNRT_SCALE &&
                   (int)OPTIM_AVERAGE == CNNRT_AVERAGE && (int)OPTIM_HYPERS == CNNRT_KEEP,
               "the runtime fills the places that passes read");

void optim_hypers(const OptimSpec *s, double lr, int64_t step, float *out)
{
    CnnrtOptimizer o = optim_constants(s);
    cnnrt_optimizer_hypers(&o, lr, step, out);
}

/* A pass under construction. */
typedef struct Pass {
    ExprPool *p;
    OptimPass *out;
    const OptimSpec *s;
    double decay; /* of these parameters */
} Pass;

static ExprId arg(Pass *b, OptimOperand what, int index)
{
    OptimPass *o = b->out;
    int k = 0;
    while (k < o->arg_count && (o->arg[k].what != what || o->arg[k].index != index))
        k++;
    if (k == o->arg_count)
        o->arg[o->arg_count++] = (OptimArg){what, index};
    return expr_arg(b->p, (uint32_t)k);
}

static Pass pass(ExprPool *p, OptimPass *out, OptimPassKind kind, OptimOperand first)
{
    Pass b = {.p = p, .out = out};
    *out = (OptimPass){.kind = kind};
    arg(&b, first, 0);
    return b;
}

static void result(Pass *b, ExprId root, OptimOperand to, int index)
{
    OptimPass *o = b->out;
    o->root[o->root_count] = root;
    o->to[o->root_count++] = (OptimArg){to, index};
}

static ExprId hyper(Pass *b, OptimHyper h)
{
    return arg(b, OPTIM_HYPER_SLOT, (int)h);
}

static ExprId real(Pass *b, double v)
{
    return expr_const(b->p, v);
}

static ExprId add(Pass *b, ExprId x, ExprId y)
{
    return expr_binary(b->p, EX_ADD, x, y);
}

static ExprId sub(Pass *b, ExprId x, ExprId y)
{
    return expr_binary(b->p, EX_SUB, x, y);
}

static ExprId mul(Pass *b, ExprId x, ExprId y)
{
    return expr_binary(b->p, EX_MUL, x, y);
}

static ExprId quotient(Pass *b, ExprId x, ExprId y)
{
    return expr_binary(b->p, EX_DIV, x, y);
}

static ExprId root_of(Pass *b, ExprId x)
{
    return expr_unary(b->p, EX_SQRT, x);
}

/* old + share * (new - old): keep * old + (1 - keep) * new. */
static ExprId blend(Pass *b, ExprId old, ExprId new, double keep)
{
    return add(b, old, mul(b, sub(b, new, old), real(b, 1 - keep)));
}

static ExprId param(Pass *b)
{
    return arg(b, OPTIM_PARAM, 0);
}

/* The mean gradient, clipped. The factor of a clipping has the mean in it. */
static ExprId gradient(Pass *b)
{
    ExprId g = arg(b, OPTIM_GRAD, 0);
    if (b->s->max_norm > 0)
        return mul(b, g, arg(b, OPTIM_CLIP, 0));
    return b->s->accumulate > 1 ? mul(b, g, hyper(b, OPTIM_SCALE)) : g;
}

/* With the gradient of decay / 2 * ||p||^2. */
static ExprId decayed_gradient(Pass *b)
{
    ExprId g = gradient(b);
    return b->decay > 0 ? add(b, g, mul(b, param(b), real(b, b->decay))) : g;
}

/* p becomes `value`, and its running mean follows. */
static void new_param(Pass *b, ExprId value)
{
    result(b, value, OPTIM_PARAM, 0);
    if (b->s->average > 0) {
        ExprId mean = arg(b, OPTIM_MEAN, 0);
        ExprId step = mul(b, sub(b, value, mean), hyper(b, OPTIM_AVERAGE));
        result(b, add(b, mean, step), OPTIM_MEAN, 0);
    }
}

static void step_by(Pass *b, ExprId p, ExprId direction)
{
    new_param(b, sub(b, p, mul(b, direction, hyper(b, OPTIM_LR))));
}

static void build_sgd(Pass *b)
{
    ExprId g = decayed_gradient(b);
    if (b->s->momentum > 0) {
        ExprId m = real(b, b->s->momentum);
        ExprId buf = add(b, mul(b, arg(b, OPTIM_SLOT, 0), m), g);
        result(b, buf, OPTIM_SLOT, 0);
        g = b->s->nesterov ? add(b, g, mul(b, buf, m)) : buf;
    }
    step_by(b, param(b), g);
}

/* The moments of g, stored, and the step they make: m^ / (sqrt(v^) + eps). */
static ExprId moments(Pass *b, ExprId g)
{
    ExprId m = blend(b, arg(b, OPTIM_SLOT, 0), g, b->s->beta1);
    ExprId v = blend(b, arg(b, OPTIM_SLOT, 1), mul(b, g, g), b->s->beta2);
    result(b, m, OPTIM_SLOT, 0);
    result(b, v, OPTIM_SLOT, 1);
    ExprId by = add(b, mul(b, root_of(b, v), hyper(b, OPTIM_BIAS2)), real(b, b->s->eps));
    return quotient(b, mul(b, m, hyper(b, OPTIM_BIAS1)), by);
}

static void build_adam(Pass *b)
{
    step_by(b, param(b), moments(b, decayed_gradient(b)));
}

static void build_adamw(Pass *b)
{
    ExprId p = param(b), step = moments(b, gradient(b));
    if (b->decay > 0) {
        ExprId lost = mul(b, hyper(b, OPTIM_LR), real(b, b->decay));
        p = sub(b, p, mul(b, p, lost));
    }
    step_by(b, p, step);
}

static void build_rmsprop(Pass *b)
{
    const OptimSpec *s = b->s;
    ExprId g = decayed_gradient(b), eps = real(b, s->eps);
    ExprId v = blend(b, arg(b, OPTIM_SLOT, 0), mul(b, g, g), s->alpha);
    result(b, v, OPTIM_SLOT, 0);
    ExprId by = s->tf ? root_of(b, add(b, v, eps)) : add(b, root_of(b, v), eps);
    ExprId step = quotient(b, g, by);
    if (s->momentum == 0) {
        step_by(b, param(b), step);
        return;
    }
    if (s->tf)
        step = mul(b, step, hyper(b, OPTIM_LR));
    step = add(b, mul(b, arg(b, OPTIM_SLOT, 1), real(b, s->momentum)), step);
    result(b, step, OPTIM_SLOT, 1);
    if (s->tf)
        new_param(b, sub(b, param(b), step));
    else
        step_by(b, param(b), step);
}

/* norm / other where both are above zero, else 1. */
static ExprId ratio(Pass *b, ExprId norm, ExprId other)
{
    ExprId one = real(b, 1);
    ExprId both = expr_select_gt0(b->p, other, quotient(b, norm, other), one);
    return expr_select_gt0(b->p, norm, both, one);
}

/* Algorithm 2 of You et al. 2020 with the identity for phi. The step u takes the gradient's place
 * until its norm is known. */
static void build_lamb(Pass *b, OptimProgram *out)
{
    ExprId u = moments(b, gradient(b));
    if (b->decay == 0) {
        step_by(b, param(b), u);
        return;
    }
    result(b, add(b, u, mul(b, param(b), real(b, b->decay))), OPTIM_GRAD, 0);

    Pass sums = pass(b->p, &out->pass[out->pass_count++], OPTIM_SUMS, OPTIM_PARAM);
    ExprId p = param(&sums), step = arg(&sums, OPTIM_GRAD, 0);
    result(&sums, mul(&sums, p, p), OPTIM_SUM, 0);
    result(&sums, mul(&sums, step, step), OPTIM_SUM, 1);

    Pass trust = pass(b->p, &out->pass[out->pass_count++], OPTIM_FINISH, OPTIM_SUM);
    ExprId of_p = root_of(&trust, arg(&trust, OPTIM_SUM, 0));
    ExprId of_u = root_of(&trust, arg(&trust, OPTIM_SUM, 1));
    result(&trust, ratio(&trust, of_p, of_u), OPTIM_TRUST, 0);

    Pass last = pass(b->p, &out->pass[out->pass_count++], OPTIM_UPDATE, OPTIM_PARAM);
    last.s = b->s;
    step = mul(&last, arg(&last, OPTIM_GRAD, 0), arg(&last, OPTIM_TRUST, 0));
    step_by(&last, param(&last), step);
}

/* The factor that brings the norm of all mean gradients down to the largest allowed. PyTorch's
 * clip_grad_norm_ adds 1e-6 to the norm; timm's Lamb divides by it as it is. */
static void build_clip(const OptimSpec *s, ExprPool *p, OptimProgram *out)
{
    Pass norm = pass(p, &out->norm, OPTIM_SUMS, OPTIM_GRAD);
    ExprId g = arg(&norm, OPTIM_GRAD, 0);
    result(&norm, mul(&norm, g, g), OPTIM_SUM, 0);

    Pass clip = pass(p, &out->clip, OPTIM_FINISH, OPTIM_SUM);
    ExprId scale = hyper(&clip, OPTIM_SCALE), most = real(&clip, s->max_norm);
    ExprId all = mul(&clip, root_of(&clip, arg(&clip, OPTIM_SUM, 0)), scale);
    ExprId by = s->kind == OPTIM_LAMB ? all : add(&clip, all, real(&clip, 1e-6));
    ExprId factor = expr_binary(p, EX_MIN, quotient(&clip, most, by), real(&clip, 1));
    result(&clip, mul(&clip, factor, scale), OPTIM_CLIP, 0);
    out->has_clip = true;
}

void optim_build(const OptimSpec *s, bool decays, ExprPool *p, OptimProgram *out)
{
    *out = (OptimProgram){.slots = slot_table[s->kind][0]};
    if (has(s, " momentum ") && s->momentum > 0)
        out->slots += slot_table[s->kind][1];
    if (s->kind == OPTIM_RMSPROP && s->tf)
        out->slot_start[0] = 1;
    if (s->max_norm > 0)
        build_clip(s, p, out);
    Pass b = pass(p, &out->pass[out->pass_count++], OPTIM_UPDATE, OPTIM_PARAM);
    b.s = s;
    b.decay = decays ? s->decay : 0;
    switch (s->kind) {
    case OPTIM_SGD: build_sgd(&b); break;
    case OPTIM_ADAM: build_adam(&b); break;
    case OPTIM_ADAMW: build_adamw(&b); break;
    case OPTIM_RMSPROP: build_rmsprop(&b); break;
    case OPTIM_LAMB: build_lamb(&b, out); break;
    case OPTIM_KINDS: break;
    }
}

void optim_average(ExprPool *p, OptimPass *out)
{
    Pass b = pass(p, out, OPTIM_UPDATE, OPTIM_PARAM);
    ExprId mean = arg(&b, OPTIM_MEAN, 0);
    ExprId step = mul(&b, sub(&b, param(&b), mean), hyper(&b, OPTIM_AVERAGE));
    result(&b, add(&b, mean, step), OPTIM_MEAN, 0);
}
