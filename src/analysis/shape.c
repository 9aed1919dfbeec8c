/* Shape rules: one per name in the `shape` column of ops.def. Output sizes are PyTorch's. */
#include "analysis/shape.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHAPE_LIMIT ((int64_t)1 << 40)

bool shape_equal(Shape a, Shape b)
{
    return a.c == b.c && a.h == b.h && a.w == b.w && a.flat == b.flat;
}

int64_t shape_count(Shape s)
{
    return s.c * s.h * s.w;
}

/* One application of an operator under inference. */
typedef struct Rule {
    Op op;
    const AttrVal *at;
    const Shape *in;
    uint32_t nin;
    Shape *out;
    ShapeError *err;
} Rule;

__attribute__((format(printf, 3, 4))) static bool fail(const Rule *r, ShapeFail kind,
                                                       const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->err->kind = kind;
    vsnprintf(r->err->text, sizeof r->err->text, fmt, ap);
    va_end(ap);
    return false;
}

#define LL(x) ((long long)(x))

static bool needs_map(const Rule *r)
{
    if (!r->in[0].flat)
        return true;
    return fail(r, SHAPE_MISMATCH, "needs a feature map, got a vector of %lld values",
                LL(r->in[0].c));
}

static bool positive(const Rule *r, const char *name, int64_t v)
{
    return v >= 1 || fail(r, SHAPE_BAD_ATTR, "%s must be at least 1, got %lld", name, LL(v));
}

static bool positive_size(const Rule *r, const char *name, Size2 v)
{
    return (v.h >= 1 && v.w >= 1) ||
           fail(r, SHAPE_BAD_ATTR, "%s must be at least 1, got %lldx%lld", name, LL(v.h), LL(v.w));
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t window_extent(int64_t k, int64_t d)
{
    return d * (k - 1) + 1;
}

Pad shape_resolve_pad(const Window *w, int64_t in_h, int64_t in_w)
{
    int64_t eh = window_extent(w->k.h, w->dilation.h), ew = window_extent(w->k.w, w->dilation.w);
    Pad p = w->pad;
    if (p.kind == PAD_SAME_SYM) {
        p.top = p.bottom = (eh - 1) / 2;
        p.left = p.right = (ew - 1) / 2;
    } else if (p.kind == PAD_SAME_UP) {
        int64_t th = (ceil_div(in_h, w->stride.h) - 1) * w->stride.h + eh - in_h;
        int64_t tw = (ceil_div(in_w, w->stride.w) - 1) * w->stride.w + ew - in_w;
        th = th < 0 ? 0 : th;
        tw = tw < 0 ? 0 : tw;
        p.top = th / 2;
        p.bottom = th - p.top;
        p.left = tw / 2;
        p.right = tw - p.left;
    }
    p.kind = PAD_EXPLICIT;
    return p;
}

/* Positions of a window of `extent` over `in` values with padding before and after. */
static int64_t window_positions(int64_t in, int64_t before, int64_t after, int64_t extent,
                                int64_t stride, bool ceil_mode)
{
    int64_t room = in + before + after - extent;
    if (room < 0) /* one window may hang over the end where sizes are rounded up */
        return ceil_mode && room > -stride;
    int64_t n = (ceil_mode ? ceil_div(room, stride) : room / stride) + 1;
    /* A window may not start in the padding behind the map. */
    if (ceil_mode && (n - 1) * stride >= in + before)
        n--;
    return n;
}

static bool vanishes(const Rule *r, const Window *w, Pad p)
{
    int64_t eh = window_extent(w->k.h, w->dilation.h), ew = window_extent(w->k.w, w->dilation.w);
    int64_t mh = r->in[0].h + p.top + p.bottom, mw = r->in[0].w + p.left + p.right;
    int64_t num[4] = {eh, ew, mh, mw};
    memcpy(r->err->num, num, sizeof num);
    return fail(r, SHAPE_VANISHES, "the %lldx%lld window is larger than the padded %lldx%lld map",
                LL(eh), LL(ew), LL(mh), LL(mw));
}

static Window window_of(const Rule *r)
{
    /* A one-node graph would do; reading by name keeps one definition of the defaults. */
    Node node = {.op = r->op, .attr_count = (uint32_t)op_info[r->op].attr_count};
    Graph g = {.nodes = {.at = &node, .len = 1}, .attrs = {.at = (AttrVal *)(uintptr_t)r->at}};
    return graph_window(&g, (NodeId){0});
}

static bool groups_divide(const Rule *r, int64_t groups, int64_t in, int64_t out)
{
    if (groups >= 1 && in % groups == 0 && out % groups == 0)
        return true;
    int64_t num[4] = {groups, in, out, 0};
    memcpy(r->err->num, num, sizeof num);
    return fail(r, SHAPE_GROUPS, "groups=%lld must divide %lld input and %lld output channels",
                LL(groups), LL(in), LL(out));
}

static bool shape_rule_window(const Rule *r)
{
    Window w = window_of(r);
    Shape in = r->in[0];
    int64_t c = in.c;
    if (!needs_map(r) || !positive_size(r, "k", w.k) || !positive_size(r, "stride", w.stride) ||
        !positive_size(r, "dilation", w.dilation))
        return false;
    if (r->op == OP_CONV) {
        c = r->at[AT_CONV_c].i;
        if (!positive(r, "c", c) || !groups_divide(r, r->at[AT_CONV_groups].i, in.c, c))
            return false;
    }
    Pad p = shape_resolve_pad(&w, in.h, in.w);
    int64_t eh = window_extent(w.k.h, w.dilation.h), ew = window_extent(w.k.w, w.dilation.w);
    if (r->op != OP_CONV &&
        (2 * p.top > eh || 2 * p.bottom > eh || 2 * p.left > ew || 2 * p.right > ew))
        return fail(r, SHAPE_BAD_ATTR, "pad may be at most half of the %lldx%lld window", LL(eh),
                    LL(ew));
    *r->out = (Shape){c, window_positions(in.h, p.top, p.bottom, eh, w.stride.h, w.ceil_mode),
                      window_positions(in.w, p.left, p.right, ew, w.stride.w, w.ceil_mode), false};
    return (r->out->h >= 1 && r->out->w >= 1) || vanishes(r, &w, p);
}

static bool shape_rule_convt(const Rule *r)
{
    Window w = window_of(r);
    Shape in = r->in[0];
    int64_t c = r->at[AT_CONVT_c].i;
    if (!needs_map(r) || !positive_size(r, "k", w.k) || !positive_size(r, "stride", w.stride) ||
        !positive(r, "c", c) || !groups_divide(r, r->at[AT_CONVT_groups].i, in.c, c))
        return false;
    Pad p = shape_resolve_pad(&w, in.h, in.w);
    if (p.top >= w.k.h || p.bottom >= w.k.h || p.left >= w.k.w || p.right >= w.k.w)
        return fail(r, SHAPE_BAD_ATTR, "pad must be smaller than the %lldx%lld kernel", LL(w.k.h),
                    LL(w.k.w));
    *r->out = (Shape){c, (in.h - 1) * w.stride.h - p.top - p.bottom + w.k.h,
                      (in.w - 1) * w.stride.w - p.left - p.right + w.k.w, false};
    return (r->out->h >= 1 && r->out->w >= 1) || vanishes(r, &w, p);
}

static bool shape_rule_input(const Rule *r)
{
    *r->out = (Shape){r->at[AT_INPUT_c].i, r->at[AT_INPUT_h].i, r->at[AT_INPUT_w].i, false};
    return positive(r, "c", r->out->c) && positive(r, "h", r->out->h) &&
           positive(r, "w", r->out->w);
}

static bool shape_rule_dense(const Rule *r)
{
    *r->out = r->in[0];
    r->out->c = r->at[AT_DENSE_c].i;
    return positive(r, "c", r->out->c);
}

static bool shape_rule_gap(const Rule *r)
{
    *r->out = (Shape){r->in[0].c, 1, 1, false};
    return needs_map(r);
}

static bool shape_rule_adaptive(const Rule *r)
{
    Size2 k = r->at[AT_ADAPTIVE_AVGPOOL_k].size;
    *r->out = (Shape){r->in[0].c, k.h, k.w, false};
    return needs_map(r) && positive_size(r, "k", k);
}

static bool shape_rule_same(const Rule *r)
{
    *r->out = r->in[0];
    return true;
}

/* Equal shapes, or one 1x1 map per channel that is broadcast. */
static bool shape_rule_equal(const Rule *r)
{
    Shape big = r->in[0];
    for (uint32_t i = 1; i < r->nin; i++)
        if (r->in[i].h * r->in[i].w > big.h * big.w)
            big = r->in[i];
    for (uint32_t i = 0; i < r->nin; i++) {
        Shape s = r->in[i];
        bool gate = s.c == big.c && s.h == 1 && s.w == 1 && !big.flat;
        if (!shape_equal(s, big) && !gate)
            return fail(r, SHAPE_MISMATCH, "operands differ: %lldx%lldx%lld and %lldx%lldx%lld",
                        LL(r->in[0].c), LL(r->in[0].h), LL(r->in[0].w), LL(r->in[i ? i : 1].c),
                        LL(r->in[i ? i : 1].h), LL(r->in[i ? i : 1].w));
    }
    *r->out = big;
    return true;
}

static bool shape_rule_concat(const Rule *r)
{
    Shape out = r->in[0];
    for (uint32_t i = 1; i < r->nin; i++) {
        Shape s = r->in[i];
        if (s.h != out.h || s.w != out.w || s.flat != out.flat)
            return fail(r, SHAPE_MISMATCH, "maps differ: %lldx%lld and %lldx%lld", LL(out.h),
                        LL(out.w), LL(s.h), LL(s.w));
        if (s.c > SHAPE_LIMIT - out.c)
            return fail(r, SHAPE_TOO_LARGE, "too many channels");
        out.c += s.c;
    }
    *r->out = out;
    return true;
}

static bool shape_rule_slice(const Rule *r)
{
    int64_t from = r->at[AT_SLICE_from].i, to = r->at[AT_SLICE_to].i;
    *r->out = r->in[0];
    r->out->c = to - from;
    if (from < 0 || from >= to || to > r->in[0].c)
        return fail(r, SHAPE_BAD_ATTR, "channels [%lld, %lld) of %lld", LL(from), LL(to),
                    LL(r->in[0].c));
    return true;
}

static bool shape_rule_border(const Rule *r)
{
    int sign = r->op == OP_CROP ? -1 : 1;
    int64_t v = r->at[0].i + r->at[1].i, h = r->at[2].i + r->at[3].i;
    *r->out = r->in[0];
    r->out->h += sign * v;
    r->out->w += sign * h;
    if (!needs_map(r))
        return false;
    if (r->out->h < 1 || r->out->w < 1)
        return fail(r, SHAPE_VANISHES, "nothing is left of the %lldx%lld map", LL(r->in[0].h),
                    LL(r->in[0].w));
    return true;
}

static bool shape_rule_upsample(const Rule *r)
{
    Size2 by = r->at[AT_UPSAMPLE_by].size;
    if (!needs_map(r) || !positive_size(r, "by", by))
        return false;
    *r->out = r->in[0];
    r->out->h *= by.h;
    r->out->w *= by.w;
    return true;
}

static bool shape_rule_space_to_depth(const Rule *r)
{
    int64_t by = r->at[AT_SPACE_TO_DEPTH_by].i;
    Shape in = r->in[0];
    if (!needs_map(r) || !positive(r, "by", by))
        return false;
    if (in.h % by != 0 || in.w % by != 0 || by > (1 << 20))
        return fail(r, SHAPE_MISMATCH, "the %lldx%lld map is not made of %lldx%lld tiles", LL(in.h),
                    LL(in.w), LL(by), LL(by));
    if (by * by > SHAPE_LIMIT / in.c)
        return fail(r, SHAPE_TOO_LARGE, "too many channels");
    *r->out = (Shape){in.c * by * by, in.h / by, in.w / by, false};
    return true;
}

static bool shape_rule_same_groups(const Rule *r)
{
    *r->out = r->in[0];
    return needs_map(r) && groups_divide(r, r->at[AT_SHUFFLE_groups].i, r->in[0].c, r->in[0].c);
}

static bool shape_rule_flatten(const Rule *r)
{
    *r->out = (Shape){shape_count(r->in[0]), 1, 1, true};
    return true;
}

static bool shape_rule_first(const Rule *r)
{
    *r->out = r->in[0];
    return true;
}

/* Operators of training graphs say what they give. */
static bool shape_rule_declared(const Rule *r)
{
    const AttrVal *at = r->at;
    *r->out = (Shape){at[AT_BACKWARD_c].i, at[AT_BACKWARD_h].i, at[AT_BACKWARD_w].i,
                      at[AT_BACKWARD_flat].i != 0};
    return positive(r, "c", r->out->c) && positive(r, "h", r->out->h) &&
           positive(r, "w", r->out->w);
}

static bool shape_rule_loss(const Rule *r)
{
    Shape a = r->in[0], b = r->in[1];
    *r->out = (Shape){1, 1, 1, true};
    if (a.c != b.c || a.h != b.h || a.w != b.w)
        return fail(r, SHAPE_MISMATCH, "%lldx%lldx%lld values and %lldx%lldx%lld targets", LL(a.c),
                    LL(a.h), LL(a.w), LL(b.c), LL(b.h), LL(b.w));
    return true;
}

typedef bool ShapeRule(const Rule *r);
static ShapeRule *const rule_of[OP_COUNT] = {
#define OP(ID, NAME, IN, SHAPE, RF, COST, FAMILY, ELEM, GRAD, FLAGS, DOC)                          \
    [OP_##ID] = shape_rule_##SHAPE,
#include "ops/ops.def"
};

/* Ranges of attributes that no shape depends on. */
static bool attrs_in_range(const Rule *r)
{
    const OpInfo *info = &op_info[r->op];
    for (int i = 0; i < info->attr_count; i++) {
        const AttrVal *v = &r->at[i];
        const char *name = info->attrs[i].name;
        if (v->type == ATTR_REAL && !isfinite(v->r))
            return fail(r, SHAPE_BAD_ATTR, "%s is not finite", name);
        if (v->type == ATTR_REAL && strcmp(name, "p") == 0 && (v->r < 0 || v->r >= 1))
            return fail(r, SHAPE_BAD_ATTR, "p must lie in [0, 1), got %g", v->r);
        if (v->type == ATTR_REAL && strcmp(name, "eps") == 0 && v->r < 0)
            return fail(r, SHAPE_BAD_ATTR, "eps must not be negative, got %g", v->r);
        if (v->type == ATTR_INT && (v->i < 0 || v->i > (1 << 30)))
            return fail(r, SHAPE_BAD_ATTR, "%s is out of range: %lld", name, LL(v->i));
        if (v->type == ATTR_SIZE &&
            (v->size.h < 0 || v->size.w < 0 || v->size.h > (1 << 20) || v->size.w > (1 << 20)))
            return fail(r, SHAPE_BAD_ATTR, "%s is out of range: %lldx%lld", name, LL(v->size.h),
                        LL(v->size.w));
        const Pad *p = &v->pad;
        if (v->type == ATTR_PAD && p->kind == PAD_EXPLICIT &&
            ((p->top | p->bottom | p->left | p->right) < 0 || p->top > (1 << 30) ||
             p->bottom > (1 << 30) || p->left > (1 << 30) || p->right > (1 << 30)))
            return fail(r, SHAPE_BAD_ATTR, "%s is out of range", name);
    }
    if (r->op == OP_LRN)
        return positive(r, "size", r->at[AT_LRN_size].i);
    return true;
}

bool shape_infer(Op op, const AttrVal *attrs, const Shape *ins, uint32_t nin, Shape *out,
                 ShapeError *err)
{
    memset(err, 0, sizeof *err);
    Rule r = {op, attrs, ins, nin, out, err};
    if (!attrs_in_range(&r) || !rule_of[op](&r))
        return false;
    int64_t n;
    if (out->c > SHAPE_LIMIT || out->h > SHAPE_LIMIT || out->w > SHAPE_LIMIT ||
        __builtin_mul_overflow(out->c, out->h, &n) || __builtin_mul_overflow(n, out->w, &n) ||
        n > SHAPE_LIMIT)
        return fail(&r, SHAPE_TOO_LARGE, "%lldx%lldx%lld is more than 2^40 values", LL(out->c),
                    LL(out->h), LL(out->w));
    return true;
}

bool shape_all(const Graph *g, Arena *a, Shape **out, NodeId *at, ShapeError *err)
{
    Shape *s = arena_new_n(a, Shape, g->nodes.len);
    uint32_t cap = 0;
    for (uint32_t i = 1; i < g->nodes.len; i++)
        cap = g->nodes.at[i].in_count > cap ? g->nodes.at[i].in_count : cap;
    Shape *ins = arena_new_n(a, Shape, cap);
    for (uint32_t i = 1; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        for (uint32_t k = 0; k < n->in_count; k++)
            ins[k] = s[graph_in(g, (NodeId){i}, k).v];
        if (!shape_infer(n->op, graph_attr(g, (NodeId){i}, 0), ins, n->in_count, &s[i], err)) {
            *at = (NodeId){i};
            return false;
        }
    }
    *out = s;
    return true;
}
