/* The memory plan: arena tensors that are never alive together may share a place. */
#include "plan/lower.h"
#include <stdlib.h>

enum { NOT_USED = UINT32_MAX };

void plan_liveness(const Plan *p, uint32_t *first, uint32_t *last)
{
    for (uint32_t i = 0; i < p->tensors.len; i++) {
        first[i] = NOT_USED;
        last[i] = 0;
    }
    for (uint32_t i = 0; i < p->steps.len; i++)
        for (int k = 0; k < KERNEL_ARGS; k++) {
            uint32_t t = p->steps.at[i].args[k].tensor;
            if (t == 0)
                continue;
            if (first[t - 1] == NOT_USED)
                first[t - 1] = i;
            last[t - 1] = i;
        }
}

static bool same_map(MapDesc a, MapDesc b)
{
    return a.layout == b.layout && a.c == b.c && a.h == b.h && a.w == b.w;
}

bool plan_writes(const Plan *p, const PlanStep *step, int arg)
{
    const Kernel *k = &p->kernels.at[step->kernel].k;
    int extra = arg - KERNEL_ARG_EXTRA;
    return arg == KERNEL_ARG_OUT ||
           (extra >= 0 && extra < k->extra_count && k->extra[extra] == KARG_RESULT);
}

bool plan_may_overwrite(const Plan *p, const PlanStep *step, int arg)
{
    const Kernel *k = &p->kernels.at[step->kernel].k;
    const PlanOperand *o = &step->args[arg], *out = &step->args[KERNEL_ARG_OUT];
    if (o->space != SPACE_ARENA || out->space != SPACE_ARENA || o->offset != 0 ||
        out->offset != 0 || o->tensor == 0 || out->tensor == 0 || !family_in_place(k))
        return false;
    /* The whole tensor, element by element, and read in no other manner. */
    if (!same_map(p->tensors.at[o->tensor - 1].map, k->out) ||
        !same_map(p->tensors.at[out->tensor - 1].map, k->out))
        return false;
    if (cuda_is_narrow(k, arg) != cuda_is_narrow(k, KERNEL_ARG_OUT))
        return false;
    bool elem = k->family == FAM_ELEM;
    if (arg == KERNEL_ARG_IN && !elem)
        return false;
    int extra = arg - KERNEL_ARG_EXTRA;
    if (arg != KERNEL_ARG_IN &&
        (extra < 0 || extra >= k->extra_count || k->extra[extra] != KARG_MAP))
        return false;
    if (!elem && step->args[KERNEL_ARG_IN].tensor == o->tensor)
        return false;
    for (int i = 0; i < k->extra_count; i++)
        if (k->extra[i] == KARG_GATE && step->args[KERNEL_ARG_EXTRA + i].tensor == o->tensor)
            return false;
    return true;
}

/* Tensors that share a place by overwriting form one block. */
typedef struct Block {
    uint32_t tensor; /* the one that names the block */
    uint32_t first, last;
    int64_t floats, offset;
    bool placed;
} Block;

typedef struct Arrangement {
    Plan *p;
    uint32_t *first, *last, *block_of; /* by tensor */
    Block *block;
    uint32_t count;
} Arrangement;

static uint32_t overwritten(const Arrangement *l, uint32_t step)
{
    const PlanStep *s = &l->p->steps.at[step];
    for (int arg = KERNEL_ARG_IN; arg < KERNEL_ARG_SCRATCH; arg++) {
        uint32_t t = s->args[arg].tensor;
        if (t != 0 && l->last[t - 1] == step && plan_may_overwrite(l->p, s, arg))
            return t;
    }
    return 0;
}

static void new_block(Arrangement *l, uint32_t tensor, uint32_t step)
{
    l->block_of[tensor] = l->count;
    l->block[l->count++] = (Block){.tensor = tensor,
                                   .first = step,
                                   .last = l->last[tensor],
                                   .floats = l->p->tensors.at[tensor].floats};
}

static void make_blocks(Arrangement *l)
{
    const Plan *p = l->p;
    for (uint32_t i = 0; i < p->steps.len; i++) {
        const PlanStep *s = &p->steps.at[i];
        uint32_t out = s->args[KERNEL_ARG_OUT].tensor;
        for (int arg = KERNEL_ARG_EXTRA; arg < KERNEL_ARG_SCRATCH; arg++)
            if (s->args[arg].tensor != 0 && plan_writes(p, s, arg) &&
                l->first[s->args[arg].tensor - 1] == i)
                new_block(l, s->args[arg].tensor - 1, i);
        if (out == 0 || p->tensors.at[out - 1].space != SPACE_ARENA || l->first[out - 1] != i)
            continue;
        uint32_t under = overwritten(l, i);
        if (under != 0 && under != out) {
            l->block_of[out - 1] = l->block_of[under - 1];
            l->block[l->block_of[out - 1]].last = l->last[out - 1];
            continue;
        }
        new_block(l, out - 1, i);
    }
}

static int by_size(const void *x, const void *y)
{
    const Block *a = x, *b = y;
    if (a->floats != b->floats)
        return a->floats > b->floats ? -1 : 1;
    return a->first != b->first ? (a->first < b->first ? -1 : 1) : 0;
}

static int by_time(const void *x, const void *y)
{
    const Block *a = x, *b = y;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return a->floats != b->floats ? (a->floats > b->floats ? -1 : 1) : 0;
}

/* The smallest gap that takes the block, between those placed that live at the same time. `placed`
 * is sorted by offset. */
static int64_t best_gap(const Block *block, const uint32_t *placed, uint32_t n, const Block *b)
{
    int64_t at = 0, best = -1, best_size = 0;
    for (uint32_t i = 0; i < n; i++) {
        const Block *o = &block[placed[i]];
        if (o->last < b->first || b->last < o->first)
            continue;
        int64_t gap = o->offset - at;
        if (gap >= b->floats && (best < 0 || gap < best_size)) {
            best = at;
            best_size = gap;
        }
        if (o->offset + o->floats > at)
            at = o->offset + o->floats;
    }
    return best >= 0 ? best : at;
}

/* Places all blocks in their order; returns the size of the arena. */
static int64_t place(Arrangement *l)
{
    uint32_t *placed = arena_new_n(l->p->arena, uint32_t, l->count);
    int64_t size = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        Block *b = &l->block[i];
        b->offset = best_gap(l->block, placed, i, b);
        if (b->offset > FAMILY_LIMIT - b->floats)
            return FAMILY_LIMIT;
        if (b->offset + b->floats > size)
            size = b->offset + b->floats;
        uint32_t at = i;
        for (; at > 0 && l->block[placed[at - 1]].offset > b->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = i;
    }
    return size;
}

static void write_offsets(const Arrangement *l)
{
    /* Blocks were sorted; tensors know theirs by the tensor that names it. */
    uint32_t *where = arena_new_n(l->p->arena, uint32_t, l->p->tensors.len);
    for (uint32_t i = 0; i < l->count; i++)
        where[l->block[i].tensor] = i;
    for (uint32_t t = 0; t < l->p->tensors.len; t++)
        if (l->block_of[t] != NOT_USED)
            l->p->tensors.at[t].offset = l->block[where[l->block_of[t]]].offset;
}

static int64_t live_peak(const Arrangement *l)
{
    Plan *p = l->p;
    int64_t *change = arena_new_n(p->arena, int64_t, (size_t)p->steps.len + 1);
    for (uint32_t i = 0; i < l->count; i++) {
        change[l->block[i].first] += l->block[i].floats;
        change[l->block[i].last + 1] -= l->block[i].floats;
    }
    int64_t live = 0, peak = 0;
    for (uint32_t i = 0; i < p->steps.len; i++) {
        live += change[i];
        peak = live > peak ? live : peak;
    }
    return peak;
}

void plan_memory(Plan *p)
{
    uint32_t n = p->tensors.len;
    Arrangement l = {.p = p,
                     .first = arena_new_n(p->arena, uint32_t, n),
                     .last = arena_new_n(p->arena, uint32_t, n),
                     .block_of = arena_new_n(p->arena, uint32_t, n),
                     .block = arena_new_n(p->arena, Block, n)};
    plan_liveness(p, l.first, l.last);
    for (uint32_t i = 0; i < n; i++) {
        p->tensors.at[i].first_step = l.first[i] == NOT_USED ? 0 : l.first[i];
        p->tensors.at[i].last_step = l.last[i];
        l.block_of[i] = NOT_USED;
    }
    make_blocks(&l);
    for (uint32_t t = 0; t < n; t++) /* by name from here on: sorting moves blocks */
        if (l.block_of[t] != NOT_USED)
            l.block_of[t] = l.block[l.block_of[t]].tensor;
    p->live_peak = live_peak(&l);
    qsort(l.block, l.count, sizeof *l.block, by_time);
    int64_t in_time = place(&l);
    qsort(l.block, l.count, sizeof *l.block, by_size);
    p->arena_floats = place(&l);
    if (in_time < p->arena_floats) {
        qsort(l.block, l.count, sizeof *l.block, by_time);
        p->arena_floats = place(&l);
    }
    write_offsets(&l);
}
