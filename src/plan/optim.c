/* The update of a training step: the passes of an optimizer over runs of the state. Parameters that
 * are updated alike form one run; a pass that needs a sum of its own parameter (LAMB) has one run
 * for each. */
#include "plan/train.h"

typedef struct Update {
    Planner *s;
    const OptimProgram *o;
    int64_t at, floats; /* the run */
    int64_t clip, trust, sums;
    const char *name;
    NodeId node;
} Update;

static ArgKind kind_of(OptimOperand what)
{
    switch (what) {
    case OPTIM_CLIP:
    case OPTIM_TRUST: return KARG_SCALAR;
    case OPTIM_HYPER_SLOT: return KARG_HYPER;
    case OPTIM_SUM: return KARG_TERM;
    default: return KARG_MAP;
    }
}

static PlanOperand place_of(const Update *u, OptimArg a)
{
    const PlanState *p = &u->s->p->state;
    switch (a.what) {
    case OPTIM_PARAM: return plan_state_at(u->at);
    case OPTIM_GRAD: return plan_state_at((p->sum >= 0 ? p->sum : p->grad) + u->at);
    case OPTIM_SLOT: return plan_state_at(p->slot[a.index] + u->at);
    case OPTIM_MEAN: return plan_state_at(p->average + u->at);
    case OPTIM_CLIP: return plan_state_at(u->clip);
    case OPTIM_TRUST: return plan_state_at(u->trust);
    default: return (PlanOperand){0};
    }
}

static void set_args(const Update *u, Draft *d, const OptimPass *p)
{
    for (int i = 1; i < p->arg_count; i++) {
        bool number = p->arg[i].what == OPTIM_HYPER_SLOT || p->arg[i].what == OPTIM_SUM;
        plan_extra(d, kind_of(p->arg[i].what), place_of(u, p->arg[i]), 0,
                   number ? p->arg[i].index : 0);
    }
}

/* The operand that a result is stored to: the one that is read there, or a new one. */
static int target_of(const Update *u, Draft *d, const OptimPass *p, OptimArg to)
{
    for (int i = 0; i < p->arg_count; i++)
        if (p->arg[i].what == to.what && p->arg[i].index == to.index)
            return i == 0 ? KERNEL_ARG_IN : KERNEL_ARG_EXTRA + i - 1;
    return KERNEL_ARG_EXTRA + plan_extra(d, KARG_RESULT, place_of(u, to), 0, 0);
}

static Draft open_pass(const Update *u, const OptimPass *p, Family f)
{
    Draft d = {.node = u->node, .k = {.family = f, .gate_arg = -1, .whole = true}};
    d.k.pool_expr = &u->s->train->exprs;
    set_args(u, &d, p);
    return d;
}

static void root(Draft *d, ExprId e, int to)
{
    d->k.root_of[d->k.root_count] = e;
    d->k.root_to[d->k.root_count++] = to;
}

static void sums_pass(Update *u, const OptimPass *p)
{
    Planner *s = u->s;
    Draft d = open_pass(u, p, FAM_FLAT_SUMS);
    for (int r = 0; r < p->root_count; r++)
        root(&d, p->root[r], 0);
    d.k.in = (MapDesc){LAYOUT_PLANAR, u->floats, 1, 1};
    int64_t units = family_units(&d.k, &s->p->target);
    d.k.out = (MapDesc){LAYOUT_PLANAR, units * p->root_count, 1, 1};
    u->sums = plan_state_add(s, d.k.out.c);
    d.args[KERNEL_ARG_IN] = place_of(u, p->arg[0]);
    d.args[KERNEL_ARG_OUT] = plan_state_at(u->sums);
    plan_finish_step(s, &d);
}

/* From the sums of the pass before, of which there are as many roots. */
static void finish_pass(Update *u, const OptimPass *p, int terms, int64_t parts, int64_t to)
{
    Draft d = open_pass(u, p, FAM_FLAT_FINISH);
    for (int r = 0; r < p->root_count; r++)
        root(&d, p->root[r], KERNEL_ARG_OUT);
    d.k.in = (MapDesc){LAYOUT_PLANAR, parts * terms, 1, 1};
    d.k.out = (MapDesc){LAYOUT_PLANAR, p->root_count, 1, 1};
    d.k.slices = (int)parts;
    d.args[KERNEL_ARG_IN] = plan_state_at(u->sums);
    d.args[KERNEL_ARG_OUT] = plan_state_at(to);
    plan_finish_step(u->s, &d);
}

static void update_pass(Update *u, const OptimPass *p)
{
    Draft d = open_pass(u, p, FAM_UPDATE);
    for (int r = 0; r < p->root_count; r++)
        root(&d, p->root[r], target_of(u, &d, p, p->to[r]));
    d.k.in = d.k.out = (MapDesc){LAYOUT_PLANAR, u->floats, 1, 1};
    d.args[KERNEL_ARG_IN] = d.args[KERNEL_ARG_OUT] = place_of(u, p->arg[0]);
    plan_finish_step(u->s, &d);
}

/* The units of FLAT_SUMS over the run. */
static int64_t parts_of(const Update *u)
{
    Kernel k = {.family = FAM_FLAT_SUMS, .in = {LAYOUT_PLANAR, u->floats, 1, 1}};
    return family_units(&k, &u->s->p->target);
}

static void run_passes(Update *u)
{
    const OptimProgram *o = u->o;
    for (int i = 0; i < o->pass_count; i++) {
        const OptimPass *p = &o->pass[i];
        if (p->kind == OPTIM_SUMS)
            sums_pass(u, p);
        else if (p->kind == OPTIM_FINISH)
            finish_pass(u, p, o->pass[i - 1].root_count, parts_of(u), u->trust);
        else
            update_pass(u, p);
    }
}

/* Parameters [at, end) of the state: one run, or one for each. */
static void update_range(Update *u, int64_t at, int64_t end)
{
    const PlanState *p = &u->s->p->state;
    u->at = at;
    u->floats = end - at;
    if (at == end)
        return;
    if (u->o->pass_count == 1) {
        run_passes(u);
        return;
    }
    for (uint32_t i = 0; i < p->params.len; i++) {
        const PlanParam *q = &p->params.at[i];
        if (q->offset < at || q->offset >= end)
            continue;
        u->at = q->offset;
        u->floats = plan_round(q->floats);
        u->node = q->node;
        run_passes(u);
    }
}

static void clip(Update *u)
{
    u->at = 0;
    u->floats = u->s->p->state.trained;
    if (!u->o->has_clip || u->floats == 0)
        return;
    u->clip = plan_state_add(u->s, 1);
    sums_pass(u, &u->o->norm);
    finish_pass(u, &u->o->clip, u->o->norm.root_count, parts_of(u), u->clip);
}

void plan_optimizer_state(Planner *s, const OptimSpec *spec)
{
    PlanState *p = &s->p->state;
    OptimProgram o;
    p->average = p->sum = -1;
    p->optimizer.accumulate = 1;
    if (spec != NULL) {
        optim_build(spec, true, &s->train->exprs, &o);
        p->optimizer = optim_constants(spec);
        p->slots = o.slots;
        for (int i = 0; i < o.slots; i++) {
            p->slot[i] = plan_state_add(s, p->trained);
            p->slot_start[i] = o.slot_start[i];
            p->slot_name[i] = optim_slot_name(spec->kind, i);
        }
        if (spec->average > 0)
            p->average = plan_state_add(s, p->kept);
    }
    p->saved = s->p->weight_floats;
}

/* sum = sum * keep + gradient */
static void add_up(Update *u)
{
    PlanState *p = &u->s->p->state;
    ExprPool *e = &u->s->train->exprs;
    Draft d = {.node = u->node, .k = {.family = FAM_UPDATE, .gate_arg = -1, .whole = true}};
    p->sum = plan_state_add(u->s, p->trained);
    d.k.pool_expr = e;
    d.k.in = d.k.out = (MapDesc){LAYOUT_PLANAR, p->trained, 1, 1};
    d.args[KERNEL_ARG_IN] = d.args[KERNEL_ARG_OUT] = plan_state_at(p->sum);
    plan_extra(&d, KARG_MAP, plan_state_at(p->grad), 0, 0);
    plan_extra(&d, KARG_HYPER, (PlanOperand){0}, 0, PLAN_KEEP);
    ExprId kept = expr_binary(e, EX_MUL, expr_arg(e, 0), expr_arg(e, 2));
    root(&d, expr_binary(e, EX_ADD, kept, expr_arg(e, 1)), KERNEL_ARG_IN);
    plan_finish_step(u->s, &d);
}

void plan_optimizer(Planner *s, const OptimSpec *spec)
{
    PlanState *p = &s->p->state;
    OptimProgram decays, spares;
    ExprPool *exprs = &s->train->exprs;
    s->p->update = s->p->steps.len;
    if (spec == NULL || p->trained == 0)
        return;
    optim_build(spec, true, exprs, &decays);
    optim_build(spec, false, exprs, &spares);
    Update u = {.s = s, .o = &decays, .node = p->params.at[0].node};
    if (spec->accumulate > 1)
        add_up(&u);
    s->p->update = s->p->steps.len;
    clip(&u);
    u.trust = plan_state_add(s, 1);
    update_range(&u, 0, p->decayed);
    u.o = &spares;
    update_range(&u, p->decayed, p->trained);
    if (p->average >= 0 && p->kept > p->trained) {
        OptimPass statistics;
        optim_average(exprs, &statistics);
        u.at = p->trained;
        u.floats = p->kept - p->trained;
        update_pass(&u, &statistics);
    }
}
