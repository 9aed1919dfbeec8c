/* Gradients of operators with a window, and of those that move values. */
#include "ref/ref_ops.h"
#include <math.h>
#include <string.h>

/* The forward operator's geometry: x and y are the shapes of its input and output. */
typedef struct Contraction {
    const RefCall *c;
    Shape x, y;
    Window w;
    Pad pad;
    int64_t groups, kk;
} Contraction;

static Contraction contraction(const RefCall *c, Shape x, Shape y)
{
    Contraction v = {.c = c, .x = x, .y = y, .w = graph_window(c->g, c->owner), .groups = 1};
    Op op = graph_node(c->g, c->owner)->op;
    if (op == OP_CONV)
        v.groups = ref_owner_attr(c, AT_CONV_groups)->i;
    if (op == OP_CONVT)
        v.groups = ref_owner_attr(c, AT_CONVT_groups)->i;
    v.pad = shape_resolve_pad(&v.w, x.h, x.w);
    v.kk = v.w.k.h * v.w.k.w;
    return v;
}

static Contraction of_dx(const RefCall *c)
{
    return contraction(c, c->out->shape, c->in[0].shape);
}

static Contraction of_dw(const RefCall *c)
{
    return contraction(c, c->in[1].shape, c->in[0].shape);
}

/* The place in the finer map that tap k of position (y, x) of the coarser one touches, or -1: the
 * input of a convolution, the output of a transposed one. */
static int64_t touched(const Contraction *v, Shape fine, int64_t y, int64_t x, int64_t k)
{
    int64_t fy = y * v->w.stride.h - v->pad.top + k / v->w.k.w * v->w.dilation.h;
    int64_t fx = x * v->w.stride.w - v->pad.left + k % v->w.k.w * v->w.dilation.w;
    return fy >= 0 && fy < fine.h && fx >= 0 && fx < fine.w ? fy * fine.w + fx : -1;
}

static double work(const Contraction *v)
{
    return (double)v->c->batch * (double)shape_count(v->x) * (double)v->y.c * (double)v->kk;
}

static void conv_dx_plane(void *ctx, int64_t unit)
{
    const Contraction *v = ctx;
    int64_t n = unit / v->x.c, i = unit % v->x.c, ins = v->x.c / v->groups;
    int64_t outs = v->y.c / v->groups, group = i / ins;
    double *dx = ref_plane(v->c->out, n, i);
    memset(dx, 0, (size_t)(v->x.h * v->x.w) * sizeof *dx);
    for (int64_t o = group * outs; o < (group + 1) * outs; o++) {
        const float *w = v->c->param[0] + (o * ins + i % ins) * v->kk;
        const double *dy = ref_plane(&v->c->in[0], n, o);
        for (int64_t y = 0; y < v->y.h; y++)
            for (int64_t x = 0; x < v->y.w; x++)
                for (int64_t k = 0; k < v->kk; k++) {
                    int64_t at = touched(v, v->x, y, x, k);
                    if (at >= 0)
                        dx[at] += w[k] * dy[y * v->y.w + x];
                }
    }
}

void ref_CONV_DX(const RefCall *c)
{
    Contraction v = of_dx(c);
    ref_parallel(c->batch * v.x.c, work(&v), conv_dx_plane, &v);
}

void ref_DENSE_DX(const RefCall *c)
{
    ref_CONV_DX(c);
}

/* All taps of output channel o and input channel i of its group. */
static void conv_dw_filter(void *ctx, int64_t unit)
{
    const Contraction *v = ctx;
    int64_t ins = v->x.c / v->groups, o = unit / ins;
    int64_t i = o / (v->y.c / v->groups) * ins + unit % ins;
    double *dw = v->c->out->data + unit * v->kk;
    for (int64_t k = 0; k < v->kk; k++) {
        dw[k] = 0;
        for (int64_t n = 0; n < v->c->batch; n++)
            for (int64_t p = 0; p < v->y.h * v->y.w; p++) {
                int64_t at = touched(v, v->x, p / v->y.w, p % v->y.w, k);
                if (at >= 0)
                    dw[k] += ref_plane(&v->c->in[0], n, o)[p] * ref_plane(&v->c->in[1], n, i)[at];
            }
    }
}

void ref_CONV_DW(const RefCall *c)
{
    Contraction v = of_dw(c);
    ref_parallel(v.y.c * (v.x.c / v.groups), work(&v), conv_dw_filter, &v);
}

void ref_DENSE_DW(const RefCall *c)
{
    ref_CONV_DW(c);
}

/* Transposed: the input is the coarser map, and weights are [in][out of the group][kh][kw]. */
static void convt_dx_plane(void *ctx, int64_t unit)
{
    const Contraction *v = ctx;
    int64_t n = unit / v->x.c, i = unit % v->x.c, outs = v->y.c / v->groups;
    int64_t group = i / (v->x.c / v->groups);
    double *dx = ref_plane(v->c->out, n, i);
    for (int64_t p = 0; p < v->x.h * v->x.w; p++) {
        dx[p] = 0;
        for (int64_t o = 0; o < outs; o++)
            for (int64_t k = 0; k < v->kk; k++) {
                int64_t at = touched(v, v->y, p / v->x.w, p % v->x.w, k);
                if (at >= 0)
                    dx[p] += v->c->param[0][(i * outs + o) * v->kk + k] *
                             ref_plane(&v->c->in[0], n, group * outs + o)[at];
            }
    }
}

void ref_CONVT_DX(const RefCall *c)
{
    Contraction v = of_dx(c);
    ref_parallel(c->batch * v.x.c, work(&v), convt_dx_plane, &v);
}

static void convt_dw_filter(void *ctx, int64_t unit)
{
    const Contraction *v = ctx;
    int64_t outs = v->y.c / v->groups, i = unit / outs;
    int64_t o = i / (v->x.c / v->groups) * outs + unit % outs;
    double *dw = v->c->out->data + unit * v->kk;
    for (int64_t k = 0; k < v->kk; k++) {
        dw[k] = 0;
        for (int64_t n = 0; n < v->c->batch; n++)
            for (int64_t p = 0; p < v->x.h * v->x.w; p++) {
                int64_t at = touched(v, v->y, p / v->x.w, p % v->x.w, k);
                if (at >= 0)
                    dw[k] += ref_plane(&v->c->in[0], n, o)[at] * ref_plane(&v->c->in[1], n, i)[p];
            }
    }
}

void ref_CONVT_DW(const RefCall *c)
{
    Contraction v = of_dw(c);
    ref_parallel(v.x.c * (v.y.c / v.groups), work(&v), convt_dw_filter, &v);
}

/* A map being put together from contributions, plane by plane. */
typedef struct Planes {
    const double *dy, *x;
    double *dx;
    Shape in, out; /* of the forward operator */
} Planes;

static void each_plane(const RefCall *c, void (*body)(const RefCall *c, const Planes *at))
{
    Planes at = {.in = c->out->shape, .out = c->in[0].shape};
    int64_t in = at.in.h * at.in.w, out = at.out.h * at.out.w;
    memset(c->out->data, 0, (size_t)(c->batch * at.in.c * in) * sizeof *c->out->data);
    for (int64_t i = 0; i < c->batch * at.in.c; i++) {
        at.dy = c->in[0].data + i * out;
        at.x = c->nin > 1 ? c->in[1].data + i * in : NULL;
        at.dx = c->out->data + i * in;
        body(c, &at);
    }
}

/* The first of equal maxima in row order, as PyTorch: NaN counts as larger. */
static void maxpool_dx(const RefCall *c, const Planes *at)
{
    Window w = graph_window(c->g, c->owner);
    Pad p = shape_resolve_pad(&w, at->in.h, at->in.w);
    for (int64_t o = 0; o < at->out.h * at->out.w; o++) {
        int64_t best = -1;
        for (int64_t k = 0; k < w.k.h * w.k.w; k++) {
            int64_t y = o / at->out.w * w.stride.h - p.top + k / w.k.w * w.dilation.h;
            int64_t x = o % at->out.w * w.stride.w - p.left + k % w.k.w * w.dilation.w;
            if (y < 0 || y >= at->in.h || x < 0 || x >= at->in.w)
                continue;
            double v = at->x[y * at->in.w + x];
            if (best < 0 || v > at->x[best] || isnan(v))
                best = y * at->in.w + x;
        }
        if (best >= 0)
            at->dx[best] += at->dy[o];
    }
}

void ref_MAXPOOL_DX(const RefCall *c)
{
    each_plane(c, maxpool_dx);
}

/* dy over the divisor, to rows [y0, y1) and columns [x0, x1) inside the map. */
static void spread(const Planes *at, const int64_t y[2], const int64_t x[2], double v)
{
    for (int64_t i = y[0] > 0 ? y[0] : 0; i < y[1] && i < at->in.h; i++)
        for (int64_t j = x[0] > 0 ? x[0] : 0; j < x[1] && j < at->in.w; j++)
            at->dx[i * at->in.w + j] += v;
}

static int64_t overlap(const int64_t r[2], int64_t from, int64_t to)
{
    int64_t lo = r[0] > from ? r[0] : from, hi = r[1] < to ? r[1] : to;
    return hi > lo ? hi - lo : 0;
}

static void avgpool_dx(const RefCall *c, const Planes *at)
{
    Window w = graph_window(c->g, c->owner);
    Pad p = shape_resolve_pad(&w, at->in.h, at->in.w);
    bool padded = ref_owner_attr(c, AT_AVGPOOL_count_include_pad)->i != 0;
    for (int64_t o = 0; o < at->out.h * at->out.w; o++) {
        int64_t y0 = o / at->out.w * w.stride.h - p.top, x0 = o % at->out.w * w.stride.w - p.left;
        int64_t y[] = {y0, y0 + w.k.h}, x[] = {x0, x0 + w.k.w};
        int64_t count = padded ? overlap(y, -p.top, at->in.h + p.bottom) *
                                     overlap(x, -p.left, at->in.w + p.right)
                               : overlap(y, 0, at->in.h) * overlap(x, 0, at->in.w);
        spread(at, y, x, at->dy[o] / (double)count);
    }
}

void ref_AVGPOOL_DX(const RefCall *c)
{
    each_plane(c, avgpool_dx);
}

static void grid_dx(const RefCall *c, const Planes *at)
{
    (void)c;
    for (int64_t o = 0; o < at->out.h * at->out.w; o++) {
        int64_t oy = o / at->out.w, ox = o % at->out.w;
        int64_t y[] = {oy * at->in.h / at->out.h,
                       ((oy + 1) * at->in.h + at->out.h - 1) / at->out.h};
        int64_t x[] = {ox * at->in.w / at->out.w,
                       ((ox + 1) * at->in.w + at->out.w - 1) / at->out.w};
        spread(at, y, x, at->dy[o] / (double)((y[1] - y[0]) * (x[1] - x[0])));
    }
}

void ref_ADAPTIVE_DX(const RefCall *c)
{
    each_plane(c, grid_dx);
}

void ref_GAP_DX(const RefCall *c)
{
    each_plane(c, grid_dx);
}

/* Where one output of an enlarged axis looked, and how much of it at the second place. */
static double between(int64_t i, int64_t by, int64_t in, bool smooth, int64_t at[2])
{
    int64_t whole = i / by;
    double pos = smooth ? fmax(0, ((double)i + 0.5) / (double)by - 0.5) : (double)whole;
    at[0] = (int64_t)pos;
    at[1] = at[0] + 1 < in ? at[0] + 1 : in - 1;
    return pos - (double)at[0];
}

static void upsample_dx(const RefCall *c, const Planes *at)
{
    Size2 by = ref_owner_attr(c, AT_UPSAMPLE_by)->size;
    bool smooth = ref_owner_attr(c, AT_UPSAMPLE_bilinear)->i != 0;
    for (int64_t o = 0; o < at->out.h * at->out.w; o++) {
        int64_t y[2], x[2];
        double py = between(o / at->out.w, by.h, at->in.h, smooth, y);
        double px = between(o % at->out.w, by.w, at->in.w, smooth, x);
        for (int i = 0; i < 4; i++)
            at->dx[y[i / 2] * at->in.w + x[i % 2]] +=
                at->dy[o] * (i / 2 ? py : 1 - py) * (i % 2 ? px : 1 - px);
    }
}

void ref_UPSAMPLE_DX(const RefCall *c)
{
    each_plane(c, upsample_dx);
}

void ref_SLICE_DX(const RefCall *c)
{
    int64_t all = shape_count(c->out->shape), part = shape_count(c->in[0].shape);
    int64_t first = ref_owner_attr(c, AT_SLICE_from)->i * c->out->shape.h * c->out->shape.w;
    memset(c->out->data, 0, (size_t)(c->batch * all) * sizeof *c->out->data);
    for (int64_t n = 0; n < c->batch; n++)
        memcpy(c->out->data + n * all + first, c->in[0].data + n * part,
               (size_t)part * sizeof *c->out->data);
}

/* PyTorch's pixel_shuffle: the inverse of space_to_depth. */
void ref_DEPTH_TO_SPACE(const RefCall *c)
{
    Shape in = c->in[0].shape, out = c->out->shape;
    int64_t by = ref_owner_attr(c, AT_SPACE_TO_DEPTH_by)->i;
    for (int64_t n = 0; n < c->batch; n++)
        for (int64_t ch = 0; ch < in.c; ch++)
            for (int64_t p = 0; p < in.h * in.w; p++) {
                int64_t y = p / in.w * by + ch / by % by, x = p % in.w * by + ch % by;
                ref_plane(c->out, n, ch / (by * by))[y * out.w + x] =
                    ref_plane(&c->in[0], n, ch)[p];
            }
}

void ref_UNFLATTEN(const RefCall *c)
{
    memcpy(c->out->data, c->in[0].data,
           (size_t)(c->batch * shape_count(c->out->shape)) * sizeof *c->out->data);
}
