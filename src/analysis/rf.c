/* Receptive-field rules: one per name in the `rf` column of ops.def. Richter & Pal 2022, eq. 1-4.
 */
#include "analysis/rf.h"
#include <string.h>

/* Distinct jumps kept per node. Maps of equal size reached over different strides are rare (only
 * where a map has shrunk to a point), but a hostile graph can make them multiply; beyond the bound
 * the two largest jumps are merged, which keeps r_min and r_max of the node itself exact. */
enum { RF_MAX_ENTRIES = 64 };

static int64_t sat_add(int64_t a, int64_t b)
{
    return a > RF_LIMIT - b ? RF_LIMIT : a + b;
}

static int64_t sat_mul(int64_t a, int64_t b)
{
    int64_t v;
    return __builtin_mul_overflow(a, b, &v) || v > RF_LIMIT ? RF_LIMIT : v;
}

static int64_t gcd(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

static int jump_compare(const RfEntry *a, const RfEntry *b)
{
    __int128 l = (__int128)a->s_num * b->s_den, r = (__int128)b->s_num * a->s_den;
    return l < r ? -1 : l > r;
}

/* What a layer does to one (r, S): r grows by grow * S before S becomes S * mul / div. */
typedef struct Push {
    int64_t grow, mul, div;
} Push;

/* Where jumps are fractions of a pixel, growth is rounded up to whole pixels: a part of a pixel
 * that is seen is a pixel that is seen. */
static RfEntry push_entry(RfEntry e, Push p)
{
    int64_t add = sat_mul(p.grow, e.s_num);
    add = add == RF_LIMIT ? add : (add + e.s_den - 1) / e.s_den;
    e.r_min = sat_add(e.r_min, add);
    e.r_max = sat_add(e.r_max, add);
    int64_t d = gcd(p.mul, p.div), mul = p.mul / d, div = p.div / d;
    int64_t d1 = gcd(mul, e.s_den), d2 = gcd(e.s_num, div);
    e.s_num = sat_mul(e.s_num / d2, mul / d1);
    e.s_den = sat_mul(e.s_den / d1, div / d2);
    return e;
}

/* Adds an entry to a set sorted by jump. */
static uint32_t insert_entry(RfEntry *set, uint32_t n, RfEntry e)
{
    uint32_t at = 0;
    while (at < n && jump_compare(&set[at], &e) < 0)
        at++;
    if (at < n && jump_compare(&set[at], &e) == 0) {
        if (e.r_min < set[at].r_min) {
            set[at].r_min = e.r_min;
            set[at].from = e.from;
            set[at].from_entry = e.from_entry;
        }
        set[at].r_max = e.r_max > set[at].r_max ? e.r_max : set[at].r_max;
        return n;
    }
    memmove(&set[at + 1], &set[at], (n - at) * sizeof *set);
    set[at] = e;
    if (n + 1 <= RF_MAX_ENTRIES)
        return n + 1;
    RfEntry last = set[n];
    if (last.r_min < set[n - 1].r_min) {
        set[n - 1].r_min = last.r_min;
        set[n - 1].from = last.from;
        set[n - 1].from_entry = last.from_entry;
    }
    set[n - 1].r_max = last.r_max > set[n - 1].r_max ? last.r_max : set[n - 1].r_max;
    return n;
}

static void summarise(RfAxis *a)
{
    a->r_min = a->r_max = 0;
    a->min_entry = 0;
    for (uint32_t i = 0; i < a->n; i++) {
        if (i == 0 || a->e[i].r_min < a->r_min) {
            a->r_min = a->e[i].r_min;
            a->min_entry = i;
        }
        a->r_max = a->e[i].r_max > a->r_max ? a->e[i].r_max : a->r_max;
    }
}

typedef struct Rule {
    Arena *arena;
    const Graph *g;
    NodeId n;
    const RfInfo *table;
    const Shape *shapes;
    RfInfo *out;
} Rule;

/* The union of the inputs' sets, pushed through the layer. */
static void push_inputs(const Rule *r, int axis, Push p)
{
    const Node *node = graph_node(r->g, r->n);
    RfAxis *out = &r->out->axis[axis];
    RfEntry set[RF_MAX_ENTRIES + 1];
    uint32_t n = 0;
    for (uint32_t i = 0; i < node->in_count; i++) {
        NodeId from = graph_in(r->g, r->n, i);
        const RfAxis *in = &r->table[from.v].axis[axis];
        out->global |= in->global;
        for (uint32_t k = 0; k < in->n; k++) {
            RfEntry e = push_entry(in->e[k], p);
            e.from = from;
            e.from_entry = k;
            n = insert_entry(set, n, e);
        }
    }
    RfEntry *kept = arena_new_n(r->arena, RfEntry, n);
    if (n > 0)
        memcpy(kept, set, n * sizeof *set);
    out->e = kept;
    out->n = n;
    summarise(out);
}

static void push_both(const Rule *r, Push h, Push w)
{
    push_inputs(r, 0, h);
    push_inputs(r, 1, w);
}

static void rf_rule_point(const Rule *r)
{
    push_both(r, (Push){0, 1, 1}, (Push){0, 1, 1});
}
#define rf_rule_join rf_rule_point
#define rf_rule_shift rf_rule_point

static void rf_rule_input(const Rule *r)
{
    for (int axis = 0; axis < 2; axis++) {
        RfEntry *e = arena_new(r->arena, RfEntry);
        *e = (RfEntry){.s_num = 1, .s_den = 1, .r_min = 1, .r_max = 1};
        r->out->axis[axis] = (RfAxis){.e = e, .n = 1, .r_min = 1, .r_max = 1};
    }
}

static void rf_rule_window(const Rule *r)
{
    Window w = graph_window(r->g, r->n);
    push_both(r, (Push){sat_mul(w.k.h - 1, w.dilation.h), w.stride.h, 1},
              (Push){sat_mul(w.k.w - 1, w.dilation.w), w.stride.w, 1});
}

static void rf_rule_convt(const Rule *r)
{
    Window w = graph_window(r->g, r->n);
    push_both(r, (Push){(w.k.h + w.stride.h - 1) / w.stride.h - 1, 1, w.stride.h},
              (Push){(w.k.w + w.stride.w - 1) / w.stride.w - 1, 1, w.stride.w});
}

static void rf_rule_global(const Rule *r)
{
    r->out->axis[0].global = r->out->axis[1].global = true;
}

/* A grid of equal windows: like a pooling with kernel ceil(in / out) and stride floor(in / out). */
static Push adaptive_push(int64_t in, int64_t out)
{
    if (in == out)
        return (Push){0, 1, 1};
    int64_t stride = in / out;
    return (Push){(in + out - 1) / out - 1, stride < 1 ? 1 : stride, 1};
}

static void rf_rule_adaptive(const Rule *r)
{
    Size2 k = graph_attr(r->g, r->n, AT_ADAPTIVE_AVGPOOL_k)->size;
    if (k.h == 1 && k.w == 1) {
        rf_rule_global(r);
        return;
    }
    const Shape *in = &r->shapes[graph_in(r->g, r->n, 0).v];
    push_both(r, adaptive_push(in->h, k.h), adaptive_push(in->w, k.w));
}

static void rf_rule_upsample(const Rule *r)
{
    Size2 by = graph_attr(r->g, r->n, AT_UPSAMPLE_by)->size;
    bool bilinear = graph_attr(r->g, r->n, AT_UPSAMPLE_bilinear)->i != 0;
    push_both(r, (Push){bilinear && by.h > 1, 1, by.h}, (Push){bilinear && by.w > 1, 1, by.w});
}

static void rf_rule_space_to_depth(const Rule *r)
{
    int64_t by = graph_attr(r->g, r->n, AT_SPACE_TO_DEPTH_by)->i;
    push_both(r, (Push){by - 1, by, 1}, (Push){by - 1, by, 1});
}

typedef void RfRule(const Rule *r);
static RfRule *const rule_of[OP_COUNT] = {
#define OP(ID, NAME, IN, SHAPE, RF, COST, FAMILY, ELEM, GRAD, FLAGS, DOC) [OP_##ID] = rf_rule_##RF,
#include "ops/ops.def"
};

bool rf_global(const RfInfo *r)
{
    return r->axis[0].n == 0 && r->axis[1].n == 0;
}

RfInfo rf_infer(Arena *a, const Graph *g, NodeId n, const RfInfo *table, const Shape *shapes)
{
    RfInfo out = {0};
    const Node *node = graph_node(g, n);
    Rule r = {a, g, n, table, shapes, &out};
    rule_of[node->op](&r);
    for (int axis = 0; axis < 2; axis++)
        for (uint32_t i = 0; i < node->in_count; i++) {
            const RfAxis *in = &table[graph_in(g, n, i).v].axis[axis];
            if (in->n > 0 && (out.r_in_min[axis] == 0 || in->r_min < out.r_in_min[axis]))
                out.r_in_min[axis] = in->r_min;
        }
    return out;
}

RfInfo *rf_all(Arena *a, const Graph *g, const Shape *shapes)
{
    RfInfo *table = arena_new_n(a, RfInfo, g->nodes.len);
    for (uint32_t i = 1; i < g->nodes.len; i++)
        table[i] = rf_infer(a, g, (NodeId){i}, table, shapes);
    return table;
}
