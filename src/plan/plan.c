/* Building a plan: values and where they live, kernels without duplicates, steps. */
#include "plan/lower.h"
#include <string.h>

_Static_assert(FUSE_MAX_OPERANDS + 1 <= KERNEL_MAX_EXTRA, "operands and a gate fit a kernel");

int64_t plan_round(int64_t floats)
{
    if (floats > FAMILY_LIMIT - PLAN_LINE)
        return FAMILY_LIMIT;
    return (floats + PLAN_LINE - 1) / PLAN_LINE * PLAN_LINE;
}

MapDesc plan_blocked_map(const Planner *s, NodeId n)
{
    const Shape *h = &s->an->shape[n.v];
    return (MapDesc){target_layout(&s->p->target), h->c, h->h, h->w};
}

Value plan_part_value(const Planner *s, Value whole, int64_t c, MapDesc part)
{
    bool channels = whole.map.layout == LAYOUT_CHANNELS;
    int64_t step = channels ? map_pixel(whole.map, s->p->target.vl, whole.pixel) : 0;
    return (Value){.tensor = whole.tensor,
                   .offset = whole.offset + (channels ? c : c * whole.map.h * whole.map.w),
                   .map = part,
                   .pixel = step};
}

Value plan_new_value(Planner *s, NodeId n, MapDesc map, Space space, uint32_t index)
{
    Plan *p = s->p;
    int64_t floats = map_floats(map, p->target.vl);
    PlanTensor t = {.node = n,
                    .map = map,
                    .space = space,
                    .index = index,
                    .floats = space == SPACE_ARENA ? plan_round(floats) : floats};
    vec_push(p->arena, &p->tensors, t);
    return (Value){.tensor = p->tensors.len, .map = map};
}

PlanOperand plan_operand(const Planner *s, Value v)
{
    return (PlanOperand){s->p->tensors.at[v.tensor - 1].space, v.tensor, v.offset};
}

void plan_set_out(Draft *d, Value out)
{
    d->out = out;
    d->k.out = out.map;
    d->k.out_pixel = out.pixel;
}

void plan_set_in(Draft *d, Value in)
{
    d->in = in;
    d->k.in = in.map;
    d->k.in_pixel = in.pixel;
}

void plan_copy_layout(Planner *s, NodeId n, Value from, Value to)
{
    Draft d = {.node = n};
    d.k = (Kernel){.family = FAM_COPY, .copy = COPY_LAYOUT, .gate_arg = -1};
    plan_set_in(&d, from);
    plan_set_out(&d, to);
    plan_finish_step(s, &d);
}

/* A vector read out of a map: first the map in plain order, then that vector in blocks. */
static Value flattened(Planner *s, NodeId n)
{
    NodeId source = s->f->alias[graph_in(s->g, n, 0).v];
    Value from = s->value[source.v];
    MapDesc vector = plan_blocked_map(s, n),
            plain = {LAYOUT_PLANAR, from.map.c, from.map.h, from.map.w};
    Value flat = from;
    if (from.map.layout != LAYOUT_PLANAR) {
        flat = plan_new_value(s, n, plain, SPACE_ARENA, 0);
        plan_copy_layout(s, n, from, flat);
    }
    flat.map = (MapDesc){LAYOUT_PLANAR, vector.c, 1, 1};
    Value to = plan_new_value(s, n, vector, SPACE_ARENA, 0);
    plan_copy_layout(s, n, flat, to);
    return to;
}

Value plan_blocked_value(Planner *s, NodeId n)
{
    Op op = graph_node(s->g, n)->op;
    if (op != OP_INPUT && op != OP_FLATTEN)
        return s->value[n.v];
    if (s->blocked[n.v].tensor == 0) {
        if (op == OP_FLATTEN) {
            s->blocked[n.v] = flattened(s, n);
        } else {
            Value to = plan_new_value(s, n, plan_blocked_map(s, n), SPACE_ARENA, 0);
            plan_copy_layout(s, n, s->value[n.v], to);
            s->blocked[n.v] = to;
        }
    }
    return s->blocked[n.v];
}

static uint32_t head_index(const Planner *s, NodeId n)
{
    for (uint32_t i = 0; i < s->g->outs.len; i++)
        if (s->f->alias[s->g->outs.at[i].node.v].v == n.v)
            return i;
    return 0;
}

Value plan_result_value(Planner *s, const FuseGroup *g, bool may_be_output)
{
    NodeId n = g->result;
    MapDesc map = plan_blocked_map(s, n);
    if (s->value[n.v].tensor != 0)
        return s->value[n.v];
    if (may_be_output && map.h == 1 && map.w == 1 && s->heads[n.v] == 1 && s->readers[n.v] == 0) {
        map.layout = LAYOUT_PLANAR;
        s->value[n.v] = plan_new_value(s, n, map, SPACE_OUTPUT, head_index(s, n));
    } else {
        s->value[n.v] = plan_new_value(s, n, map, SPACE_ARENA, 0);
    }
    return s->value[n.v];
}

/* Threads count items of an image, and floats inside it, in 32 bits. */
static bool fits_threads(const Planner *s, const Kernel *k)
{
    return s->p->target.kind != TARGET_CUDA ||
           (k->in_step <= CUDA_IMAGE_LIMIT && k->out_step <= CUDA_IMAGE_LIMIT &&
            family_weight_floats(k, &s->p->target) <= CUDA_IMAGE_LIMIT &&
            family_launch(k, &s->p->target).rows <= CUDA_ROWS_LIMIT);
}

bool plan_choose_tile(const Planner *s, Kernel *k)
{
    const Target *t = &s->p->target;
    family_choose_tile(k, t);
    if (s->tiles == NULL)
        return false;
    Kernel other = *k;
    if (!s->tiles->find(s->tiles->ctx, k, t, &other.tile) || !family_tile_fits(&other, t) ||
        !fits_threads(s, &other))
        return false;
    k->tile = other.tile;
    return true;
}

uint32_t plan_find_kernel(Planner *s, const Kernel *k, bool tuned)
{
    Plan *p = s->p;
    Buf key = {0};
    family_key(k, &p->target, &key);
    if (!buf_ok(&key)) {
        s->failed = "out of memory";
        buf_free(&key);
        return 0;
    }
    uint32_t i = 0;
    while (i < p->kernels.len && strcmp(p->kernels.at[i].key, key.at) != 0)
        i++;
    if (i == p->kernels.len)
        vec_push(p->arena, &p->kernels,
                 ((PlanKernel){*k, arena_strndup(p->arena, key.at, key.len), 0, tuned}));
    p->kernels.at[i].uses++;
    buf_free(&key);
    return i;
}

/* A region of the weight blob and how it is filled. */
static PlanOperand add_pack(Planner *s, PackJob job, int64_t floats)
{
    Plan *p = s->p;
    job.offset = p->weight_floats;
    job.floats = floats;
    int64_t end = p->weight_floats + plan_round(floats); /* both at most 2^60 */
    if (end > FAMILY_LIMIT / 8) {
        s->failed = "the weights are too large";
        return (PlanOperand){0};
    }
    p->weight_floats = end;
    vec_push(p->arena, &p->packs, job);
    return (PlanOperand){SPACE_WEIGHTS, 0, job.offset};
}

void plan_place_weights(Planner *s, Draft *d, uint32_t kernel)
{
    const Target *t = &s->p->target;
    const Kernel *k = &d->k;
    if (d->group == NULL)
        return;
    PackJob job = {
        .node = d->group->anchor, .fold_bn = d->group->fold_bn, .kernel = kernel, .in = k->in};
    int64_t weights = family_weight_floats(k, t), bias = family_bias_floats(k, t);
    if (weights > 0)
        d->args[KERNEL_ARG_W] = add_pack(s, job, weights);
    job.kind = PACK_BIAS;
    if (bias > 0)
        d->args[KERNEL_ARG_BIAS] = add_pack(s, job, bias);
    job.kind = PACK_CHANNEL;
    job.fold_bn = NODE_NONE;
    for (uint32_t i = 0; i < d->group->operands.len; i++) {
        const FuseOperand *o = &d->group->operands.at[i];
        if (o->kind != OPERAND_CHANNEL)
            continue;
        job.node = o->node;
        job.fill = o->fill;
        d->args[KERNEL_ARG_EXTRA + i] = add_pack(s, job, map_blocks(k->out, t->vl) * t->vl);
    }
}

/* The expression's operands, as the group lists them, then the gate of the input. */
static void place_operands(Planner *s, Draft *d)
{
    static const ArgKind kind[] = {[OPERAND_MAP] = KARG_MAP,
                                   [OPERAND_GATE] = KARG_GATE,
                                   [OPERAND_CHANNEL] = KARG_CHANNEL,
                                   [OPERAND_MASK] = KARG_GATE};
    const FuseGroup *g = d->group;
    Kernel *k = &d->k;
    k->pool_expr = &s->f->exprs;
    k->root = g->root;
    for (uint32_t i = 0; i < g->operands.len; i++) {
        const FuseOperand *o = &g->operands.at[i];
        k->extra[k->extra_count++] = kind[o->kind];
        if (o->kind == OPERAND_MASK) {
            d->args[KERNEL_ARG_EXTRA + i] = plan_mask_gate(s, o->node);
        } else if (o->kind != OPERAND_CHANNEL) {
            Value v = plan_blocked_value(s, o->node);
            d->args[KERNEL_ARG_EXTRA + i] = plan_operand(s, v);
            k->extra_pixel[i] = v.pixel;
        }
    }
    if (g->gate.v != 0) {
        k->gate_arg = k->extra_count;
        k->extra[k->extra_count++] = KARG_GATE;
        d->args[KERNEL_ARG_EXTRA + k->gate_arg] = plan_operand(s, plan_blocked_value(s, g->gate));
    }
}

/* From image to image, of every operand that has images: a kernel for CUDA works on all. */
static void place_steps(const Planner *s, Draft *d)
{
    const Plan *p = s->p;
    Kernel *k = &d->k;
    if (p->target.kind != TARGET_CUDA)
        return;
    if (d->in.tensor != 0)
        k->in_step = p->tensors.at[d->in.tensor - 1].floats;
    if (d->out.tensor != 0)
        k->out_step = p->tensors.at[d->out.tensor - 1].floats;
    for (int i = 0; i < k->extra_count; i++) {
        uint32_t tensor = d->args[KERNEL_ARG_EXTRA + i].tensor;
        if (k->extra_step[i] == 0) /* else it is known: of lines of sums */
            k->extra_step[i] = tensor != 0 ? p->tensors.at[tensor - 1].floats : 0;
    }
}

/* Where a kernel leaves its sums, for the mean that reads them: as many parts as its tile has. */
static void place_sums(Planner *s, Draft *d)
{
    Kernel *k = &d->k;
    MapDesc parts = {LAYOUT_BLOCKED, k->out.c, family_row_blocks(k), 1};
    Value sums = plan_new_value(s, d->group->result, parts, SPACE_ARENA, 0);
    d->args[KERNEL_ARG_EXTRA + k->extra_count - 1] = plan_operand(s, sums);
    s->sums[d->group->result.v] = sums;
}

void plan_finish_step(Planner *s, Draft *d)
{
    Plan *p = s->p;
    if (s->failed != NULL)
        return;
    if (d->group != NULL)
        place_operands(s, d);
    d->k.summed = d->k.summed && d->k.extra_count < KERNEL_MAX_EXTRA;
    if (d->k.summed)
        d->k.extra[d->k.extra_count++] = KARG_RESULT;
    place_steps(s, d);
    if (map_floats(d->k.in, p->target.vl) > FAMILY_LIMIT / 8 ||
        map_floats(d->k.out, p->target.vl) > FAMILY_LIMIT / 8) {
        s->failed = "a tensor is too large";
        return;
    }
    d->k.lines = plan_wants_lines(s, d);
    /* what packs has the tile of the kernel it packs for */
    bool tuned = d->k.family != FAM_PACK && plan_choose_tile(s, &d->k);
    if (!fits_threads(s, &d->k)) {
        s->failed = "a tensor is too large for a GPU kernel";
        return;
    }
    if (d->k.summed)
        place_sums(s, d);
    if (d->k.lines)
        plan_add_lines(s, d);
    uint32_t kernel = plan_find_kernel(s, &d->k, tuned);
    if (s->failed != NULL)
        return;
    if (d->out.tensor != 0)
        d->args[KERNEL_ARG_OUT] = plan_operand(s, d->out);
    if (d->in.tensor != 0)
        d->args[KERNEL_ARG_IN] = plan_operand(s, d->in);
    if (s->train != NULL)
        plan_place_state(s, d);
    else
        plan_place_weights(s, d, kernel);
    int64_t scratch = plan_round(family_scratch(&d->k, &p->target));
    if (scratch > 0)
        d->args[KERNEL_ARG_SCRATCH].space = SPACE_SCRATCH;
    if (scratch > p->scratch_floats)
        p->scratch_floats = scratch;
    const FuseGroup *g = d->group;
    NodeId named = g == NULL ? d->node : g->anchor.v != 0 ? g->anchor : g->result;
    PlanStep step = {.kernel = kernel,
                     .units = family_units(&d->k, &p->target),
                     .group = g == NULL ? UINT32_MAX : (uint32_t)(g - s->f->groups.at),
                     .name = graph_node(s->g, named)->name,
                     .whole = d->k.whole,
                     .macs = g != NULL && g->anchor.v != 0 ? s->an->cost[g->anchor.v].macs : 0};
    memcpy(step.args, d->args, sizeof step.args);
    vec_push(p->arena, &p->steps, step);
}

static bool is_global_mean(const Planner *s, NodeId n)
{
    Op op = graph_node(s->g, n)->op;
    const Shape *to = &s->an->shape[n.v];
    return (op == OP_GAP || op == OP_ADAPTIVE_AVGPOOL) && to->h == 1 && to->w == 1;
}

static void count_readers(Planner *s)
{
    const Fusion *f = s->f;
    for (uint32_t i = 0; i < f->groups.len; i++) {
        const FuseGroup *g = &f->groups.at[i];
        s->readers[g->in.v]++;
        s->readers[g->gate.v]++;
        for (uint32_t k = 0; k < g->operands.len; k++)
            if (g->operands.at[k].kind == OPERAND_MAP || g->operands.at[k].kind == OPERAND_GATE)
                s->readers[g->operands.at[k].node.v]++;
        if (g->anchor.v == 0)
            continue;
        s->averaged[g->in.v] |= is_global_mean(s, g->anchor);
        for (uint32_t k = 1; k < graph_node(s->g, g->anchor)->in_count; k++)
            s->readers[f->alias[graph_in(s->g, g->anchor, k).v].v]++;
    }
    /* A flattened map is read where the vector is. */
    for (uint32_t i = 1; i < s->g->nodes.len; i++)
        if (graph_node(s->g, (NodeId){i})->op == OP_FLATTEN && s->an->live[i] && f->alias[i].v == i)
            s->readers[f->alias[graph_in(s->g, (NodeId){i}, 0).v].v]++;
    for (uint32_t i = 0; i < s->g->outs.len; i++)
        s->heads[f->alias[s->g->outs.at[i].node.v].v]++;
}

/* Parts of concatenations that start at a whole block are written where they belong. Outer
 * concatenations come later in the order, so going backwards places them first. */
static void place_concats(Planner *s)
{
    for (uint32_t i = s->f->groups.len; i-- > 0;) {
        const FuseGroup *g = &s->f->groups.at[i];
        if (g->anchor.v == 0 || graph_node(s->g, g->anchor)->op != OP_CONCAT)
            continue;
        Value whole = plan_result_value(s, g, false);
        int64_t c = 0, vl = s->p->target.vl;
        for (uint32_t k = 0; k < graph_node(s->g, g->anchor)->in_count; k++) {
            NodeId part = s->f->alias[graph_in(s->g, g->anchor, k).v];
            if (c % vl == 0 && s->f->group_of[part.v] != 0 && s->value[part.v].tensor == 0)
                s->value[part.v] = plan_part_value(s, whole, c, plan_blocked_map(s, part));
            c += s->an->shape[part.v].c;
        }
    }
}

/* Copies a value to the outputs it is, unless its producer wrote there. */
static void copy_heads(Planner *s, NodeId n, Value v)
{
    if (s->heads[n.v] == 0 || s->p->tensors.at[v.tensor - 1].space == SPACE_OUTPUT)
        return;
    for (uint32_t i = 0; i < s->g->outs.len; i++)
        if (s->f->alias[s->g->outs.at[i].node.v].v == n.v) {
            MapDesc plain = {LAYOUT_PLANAR, v.map.c, v.map.h, v.map.w};
            plan_copy_layout(s, n, v, plan_new_value(s, n, plain, SPACE_OUTPUT, i));
        }
}

static void lower_all(Planner *s)
{
    const Graph *g = s->g;
    for (uint32_t i = 0; i < g->ins.len; i++) {
        NodeId n = g->ins.at[i].node;
        MapDesc map = plan_blocked_map(s, n);
        map.layout = LAYOUT_PLANAR;
        s->value[n.v] = plan_new_value(s, n, map, SPACE_INPUT, i);
    }
    place_concats(s);
    for (uint32_t i = 0; i < s->f->groups.len && s->failed == NULL; i++) {
        const FuseGroup *group = &s->f->groups.at[i];
        plan_lower_group(s, group);
        if (s->failed == NULL && s->f->group_of[group->result.v] == i + 1)
            copy_heads(s, group->result, s->value[group->result.v]);
    }
    for (uint32_t i = 1; i < g->nodes.len && s->failed == NULL; i++) {
        NodeId n = {i};
        if (s->heads[i] == 0)
            continue;
        if (graph_node(g, n)->op == OP_INPUT)
            copy_heads(s, n, s->value[i]);
        else if (graph_node(g, n)->op == OP_FLATTEN)
            copy_heads(s, n, s->value[s->f->alias[graph_in(g, n, 0).v].v]);
    }
}

static void planner_open(Planner *s, Plan *p, Arena *a, const Analysis *an, const Fusion *f,
                         const Target *t)
{
    uint32_t n = f->g->nodes.len;
    *p = (Plan){.arena = a, .an = an, .fusion = f, .target = *t};
    *s = (Planner){.p = p,
                   .g = f->g,
                   .an = an,
                   .f = f,
                   .value = arena_new_n(a, Value, n),
                   .blocked = arena_new_n(a, Value, n),
                   .averaged = arena_new_n(a, bool, n),
                   .sums = arena_new_n(a, Value, n),
                   .readers = arena_new_n(a, uint32_t, n),
                   .heads = arena_new_n(a, uint32_t, n)};
    count_readers(s);
}

static const char *planner_close(Planner *s)
{
    if (s->failed != NULL)
        return s->failed;
    plan_narrow(s);
    plan_retile(s);
    plan_ahead(s);
    if (s->failed != NULL)
        return s->failed;
    plan_order(s->p);
    plan_memory(s->p);
    if (s->p->arena_floats > FAMILY_LIMIT / 8)
        return "the activations are too large";
    return NULL;
}

const char *plan_build(Plan *p, Arena *a, const Analysis *an, const Fusion *f, const Target *t)
{
    return plan_build_tuned(p, a, an, f, t, NULL);
}

const char *plan_build_tuned(Plan *p, Arena *a, const Analysis *an, const Fusion *f,
                             const Target *t, const PlanTiles *tiles)
{
    Planner s;
    planner_open(&s, p, a, an, f, t);
    s.tiles = tiles;
    lower_all(&s);
    return planner_close(&s);
}

const char *plan_build_evaluation(Plan *p, Arena *a, const Analysis *an, const Fusion *f,
                                  const Plan *training)
{
    Planner s;
    planner_open(&s, p, a, an, f, &training->target);
    plan_open_evaluation(&s, training);
    if (s.failed == NULL)
        lower_all(&s);
    if (s.failed == NULL)
        plan_packs_first(&s);
    return planner_close(&s);
}

const char *plan_build_training(Plan *p, Arena *a, const Analysis *an, const Fusion *f,
                                const Target *t, const TrainGraph *train, const OptimSpec *optim)
{
    Planner s;
    planner_open(&s, p, a, an, f, t);
    plan_open_training(&s, train, optim);
    if (s.failed == NULL)
        lower_all(&s);
    if (s.failed == NULL)
        plan_close_training(&s, optim);
    return planner_close(&s);
}
