/* Invariants of a plan, checked without trusting how it was built. */
#include "plan/lower.h"

typedef struct Check {
    const Plan *p;
    bool *written; /* by tensor */
} Check;

/* From the first float of a map to the end of the last position's. */
static int64_t reach(MapDesc m, const Target *t, int64_t pixel)
{
    if (m.layout != LAYOUT_CHANNELS || pixel == 0)
        return map_floats(m, t->vl);
    return (m.h * m.w - 1) * pixel + map_pixel(m, t->vl, 0);
}

/* Floats that n elements of an operand take. */
static int64_t taken(const Kernel *k, int arg, int64_t n)
{
    return cuda_is_narrow(k, arg) ? (n + 1) / 2 : n;
}

int64_t plan_operand_floats(const Kernel *k, const Target *t, int arg)
{
    if (arg == KERNEL_ARG_OUT)
        return taken(k, arg, reach(k->out, t, k->out_pixel));
    if (arg == KERNEL_ARG_IN)
        return taken(k, arg, reach(k->in, t, k->in_pixel));
    if (arg == KERNEL_ARG_W)
        return family_weight_floats(k, t);
    if (arg == KERNEL_ARG_BIAS)
        return family_bias_floats(k, t);
    if (arg == KERNEL_ARG_SCRATCH)
        return family_scratch(k, t);
    int i = arg - KERNEL_ARG_EXTRA;
    if (i >= k->extra_count)
        return 0;
    if (k->extra[i] == KARG_RESULT && k->summed)
        return map_blocks(k->out, t->vl) * t->vl * family_row_blocks(k);
    if (k->extra[i] == KARG_AHEAD) /* read by the step whose weights they are */
        return 0;
    if (k->extra[i] == KARG_MAP)
        return taken(k, arg, reach(k->out, t, k->extra_pixel[i]));
    if (arg == kernel_sums_arg(k)) /* its lines of the first image */
        return kernel_lines(k) * kernel_line_sums(k) * map_pixel(k->out, t->vl, 0);
    /* A gate of the input has the input's channels. */
    return map_blocks(i == k->gate_arg ? k->in : k->out, t->vl) * t->vl;
}

static const char *check_tensor_operand(const Check *c, const PlanOperand *o, int64_t need,
                                        bool out)
{
    if (o->tensor == 0 || o->tensor > c->p->tensors.len)
        return "names no tensor";
    const PlanTensor *t = &c->p->tensors.at[o->tensor - 1];
    if (t->space != o->space || (o->space == SPACE_INPUT && out) ||
        (o->space == SPACE_OUTPUT && !out))
        return "is in the wrong space";
    if (o->offset < 0 || o->offset > t->floats - need)
        return "passes the end of its tensor";
    if (!out && t->space == SPACE_ARENA && !c->written[o->tensor - 1])
        return "is read before it is written";
    return NULL;
}

static const char *check_pack(const Plan *p, const PlanOperand *o, int64_t need)
{
    uint32_t lo = 0, hi = p->packs.len; /* regions are in the order of their offsets */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (p->packs.at[mid].offset < o->offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == p->packs.len || p->packs.at[lo].offset != o->offset || p->packs.at[lo].floats != need)
        return "has weights that nothing fills";
    return NULL;
}

/* Operands of training kernels: whole maps and parts of the state, of sizes that only their family
 * knows. */
static const char *check_train_operand(const Check *c, const PlanOperand *o, bool out, int64_t need)
{
    if (o->space == SPACE_NONE)
        return NULL;
    if (o->space == SPACE_WEIGHTS)
        return o->offset >= 0 && need <= c->p->weight_floats &&
                       o->offset <= c->p->weight_floats - need
                   ? NULL
                   : "lies outside of the state";
    return check_tensor_operand(c, o, need, out);
}

static const char *check_operand(const Check *c, const Kernel *k, const PlanStep *s, int arg)
{
    const PlanOperand *o = &s->args[arg];
    if (o->tensor != 0 && o->tensor <= c->p->tensors.len &&
        c->p->tensors.at[o->tensor - 1].narrow != cuda_is_narrow(k, arg))
        return "has elements of another size";
    int64_t need = plan_operand_floats(k, &c->p->target, arg);
    if (k->fetch > 0 && arg == KERNEL_ARG_EXTRA + k->extra_count - 1)
        return o->space == SPACE_WEIGHTS ? check_train_operand(c, o, false, 0)
                                         : "is in the wrong space";
    bool weights = arg == KERNEL_ARG_W || arg == KERNEL_ARG_BIAS ||
                   (arg >= KERNEL_ARG_EXTRA && arg < KERNEL_ARG_EXTRA + k->extra_count &&
                    k->extra[arg - KERNEL_ARG_EXTRA] == KARG_CHANNEL);
    if (k->family >= FAM_PACK && k->family != FAM_DEPTHWISE_DX && arg != KERNEL_ARG_SCRATCH)
        return check_train_operand(c, o, arg == KERNEL_ARG_OUT, 0);
    if (arg == KERNEL_ARG_IN && k->family == FAM_ELEM && o->space == SPACE_NONE)
        return NULL; /* all that it reads are extra operands */
    if (need == 0)
        return o->space == SPACE_NONE ? NULL : "is given but not taken";
    if (o->space == SPACE_NONE)
        return "is missing";
    if (arg == KERNEL_ARG_SCRATCH)
        return o->space == SPACE_SCRATCH && need <= c->p->scratch_floats ? NULL
                                                                         : "exceeds the scratch";
    if (weights != (o->space == SPACE_WEIGHTS))
        return "is in the wrong space";
    if (weights && c->p->on_state)
        return check_train_operand(c, o, false, need);
    return weights ? check_pack(c->p, o, need)
                   : check_tensor_operand(c, o, need, plan_writes(c->p, s, arg));
}

static bool writes_state(const Kernel *k, const PlanStep *s, int64_t offset)
{
    const PlanOperand *out = &s->args[KERNEL_ARG_OUT];
    bool writes = out->space == SPACE_WEIGHTS && out->offset == offset;
    for (int i = 0; i < k->root_count; i++) {
        const PlanOperand *to = &s->args[k->root_to[i]];
        writes = writes || (to->space == SPACE_WEIGHTS && to->offset == offset);
    }
    return writes;
}

/* A step that repeats another finds what that one found: the same parts of the state, which nothing
 * has written since, and tensors of the same shapes, themselves the same or repeated. */
static const char *check_repeated(const Plan *p, uint32_t step)
{
    const PlanStep *s = &p->steps.at[step], *first = &p->steps.at[s->repeats - 1];
    if (s->repeats - 1 >= step || s->repeats > p->backward || s->kernel != first->kernel)
        return "repeats a step that is not before it";
    for (int arg = 0; arg < KERNEL_ARGS; arg++) {
        const PlanOperand *a = &s->args[arg], *b = &first->args[arg];
        if (a->space != b->space || a->offset != b->offset || (a->tensor == 0) != (b->tensor == 0))
            return "differs from the step that it repeats";
        if (a->tensor != 0 &&
            p->tensors.at[a->tensor - 1].node.v != p->tensors.at[b->tensor - 1].node.v)
            return "reads other values than the step that it repeats";
        for (uint32_t i = s->repeats; i < step && a->space == SPACE_WEIGHTS; i++)
            if (writes_state(&p->kernels.at[p->steps.at[i].kernel].k, &p->steps.at[i], a->offset))
                return "reads what was changed since the step that it repeats";
    }
    return NULL;
}

static const char *check_steps(Check *c)
{
    const Plan *p = c->p;
    for (uint32_t i = 0; i < p->steps.len; i++) {
        const PlanStep *s = &p->steps.at[i];
        if (s->kernel >= p->kernels.len)
            return arena_printf(p->arena, "step %u names no kernel", (unsigned)i);
        const Kernel *k = &p->kernels.at[s->kernel].k;
        if (s->units != family_units(k, &p->target) || s->units < 1)
            return arena_printf(p->arena, "step %u has a wrong number of units", (unsigned)i);
        for (int arg = 0; arg < KERNEL_ARGS; arg++) {
            const char *why = check_operand(c, k, s, arg);
            if (why != NULL)
                return arena_printf(p->arena, "step %u (%s): argument %d %s", (unsigned)i, s->name,
                                    arg, why);
        }
        const char *why = s->repeats != 0 ? check_repeated(p, i) : NULL;
        if (why != NULL)
            return arena_printf(p->arena, "step %u (%s) %s", (unsigned)i, s->name, why);
        for (int arg = 0; arg < KERNEL_ARG_SCRATCH; arg++)
            if (s->args[arg].tensor != 0 && plan_writes(p, s, arg))
                c->written[s->args[arg].tensor - 1] = true;
    }
    for (uint32_t i = 0; i < p->tensors.len; i++)
        if (p->tensors.at[i].space == SPACE_OUTPUT && !c->written[i])
            return arena_printf(p->arena, "output %u is never written",
                                (unsigned)p->tensors.at[i].index);
    return NULL;
}

/* Whether the step in which a dies and b is born may write b over a. */
static bool handed_over(const Plan *p, uint32_t a, uint32_t b, uint32_t step)
{
    const PlanStep *s = &p->steps.at[step];
    if (s->args[KERNEL_ARG_OUT].tensor != b + 1 ||
        p->tensors.at[a].offset != p->tensors.at[b].offset)
        return false;
    bool found = false;
    for (int arg = KERNEL_ARG_IN; arg < KERNEL_ARG_SCRATCH; arg++)
        if (s->args[arg].tensor == a + 1) {
            if (!plan_may_overwrite(p, s, arg))
                return false;
            found = true;
        }
    return found;
}

static const char *check_pair(const Plan *p, const uint32_t *first, const uint32_t *last,
                              uint32_t a, uint32_t b)
{
    const PlanTensor *x = &p->tensors.at[a], *y = &p->tensors.at[b];
    if (x->offset + x->floats <= y->offset || y->offset + y->floats <= x->offset)
        return NULL;
    if (last[a] < first[b] || last[b] < first[a])
        return NULL;
    if ((last[a] == first[b] && handed_over(p, a, b, last[a])) ||
        (last[b] == first[a] && handed_over(p, b, a, last[b])))
        return NULL;
    return arena_printf(p->arena, "tensors %u and %u share memory while both are alive",
                        (unsigned)a + 1, (unsigned)b + 1);
}

static const char *check_memory(const Plan *p)
{
    uint32_t n = p->tensors.len;
    uint32_t *first = arena_new_n(p->arena, uint32_t, n);
    uint32_t *last = arena_new_n(p->arena, uint32_t, n);
    plan_liveness(p, first, last);
    for (uint32_t i = 0; i < n; i++) {
        const PlanTensor *t = &p->tensors.at[i];
        if (t->floats * (t->narrow ? 2 : 1) < map_floats(t->map, p->target.vl))
            return arena_printf(p->arena, "tensor %u is too small", (unsigned)i + 1);
        if (t->space != SPACE_ARENA)
            continue;
        if (t->offset % PLAN_LINE != 0 || t->floats % PLAN_LINE != 0 || t->offset < 0 ||
            t->offset + t->floats > p->arena_floats)
            return arena_printf(p->arena, "tensor %u is misplaced", (unsigned)i + 1);
        for (uint32_t k = 0; k < i; k++)
            if (p->tensors.at[k].space == SPACE_ARENA) {
                const char *why = check_pair(p, first, last, k, i);
                if (why != NULL)
                    return why;
            }
    }
    int64_t end = 0;
    for (uint32_t i = 0; i < p->packs.len; i++) {
        const PackJob *j = &p->packs.at[i];
        if (j->offset < end || j->offset % PLAN_LINE != 0 ||
            j->offset + j->floats > p->weight_floats)
            return arena_printf(p->arena, "weight region %u is misplaced", (unsigned)i);
        end = j->offset + j->floats;
    }
    return NULL;
}

const char *plan_verify(const Plan *p)
{
    Check c = {p, arena_new_n(p->arena, bool, (size_t)p->tensors.len + 1)};
    const char *why = check_steps(&c);
    return why != NULL ? why : check_memory(p);
}
