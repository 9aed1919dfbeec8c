/* Gradients of layer norm (Ba et al. 2016). With xhat = (x - mean) r, r = 1 / sqrt(var + eps) and
 * g = dy w, all per position: dx = r (g - mean of g - xhat * mean of g xhat), and dw is the sum of
 * dy xhat over positions and images. */
#include "codegen/cpu/kern.h"
#include "family/train.h"

enum { LN_DX_TOGETHER = 4 }; /* positions, to hide latencies */

typedef struct NormDx {
    Kern *kn;
    Emit *e;
    LLVMValueRef x, dy, weight; /* of one image; weight NULL: ones */
    int64_t pixels, blocks, whole;
    int part; /* channels of the last block when it is not full */
    int n;    /* positions together, from `first` */
    LLVMValueRef first;
} NormDx;

static LLVMValueRef place(NormDx *m, LLVMValueRef block, int i)
{
    Emit *e = m->e;
    LLVMValueRef pixel = emit_add(e, emit_mul(e, block, m->pixels), m->first);
    return emit_mul(e, emit_add(e, pixel, emit_int(e, i)), e->vl);
}

static LLVMValueRef load(NormDx *m, LLVMValueRef map, LLVMValueRef block, int i)
{
    return emit_load(m->e, m->e->vec, emit_at(m->e, map, place(m, block, i)));
}

/* dy times the weight. */
static LLVMValueRef load_g(NormDx *m, LLVMValueRef block, int i)
{
    Emit *e = m->e;
    LLVMValueRef g = load(m, m->dy, block, i);
    if (!m->weight)
        return g;
    LLVMValueRef at = emit_at(e, m->weight, emit_mul(e, block, e->vl));
    return emit_fmul(e, g, emit_load(e, e->vec, at));
}

/* One block's share of the sums. sum[i]: x, or with a mean, squared differences from it. sum[n +
 * i], with_g: g, or g times the differences. */
static void add_block(NormDx *m, LLVMValueRef block, int lanes, const LLVMValueRef *mean,
                      bool with_g, LLVMValueRef *sum)
{
    Emit *e = m->e;
    for (int i = 0; i < m->n; i++) {
        LLVMValueRef v = load(m, m->x, block, i), *g_sum = &sum[m->n + i];
        if (mean)
            v = emit_fsub(e, v, mean[i]);
        v = emit_keep(e, v, lanes, 0);
        sum[i] = mean ? emit_fma(e, v, v, sum[i]) : emit_fadd(e, sum[i], v);
        if (!with_g)
            continue;
        LLVMValueRef g = emit_keep(e, load_g(m, block, i), lanes, 0);
        *g_sum = mean ? emit_fma(e, g, v, *g_sum) : emit_fadd(e, *g_sum, g);
    }
}

/* Those sums over the channels divided by their number, as vectors. */
static void average(NormDx *m, const LLVMValueRef *mean, bool with_g, LLVMValueRef *out)
{
    Emit *e = m->e;
    Loop l;
    int count = with_g ? 2 * m->n : m->n;
    for (int i = 0; i < count; i++)
        out[i] = emit_real(e->vec, 0);
    if (m->whole) {
        loop_begin(e, &l, emit_int(e, 0), emit_int(e, m->whole), 1, true, count, out);
        add_block(m, l.iv, e->vl, mean, with_g, out);
        loop_end(e, &l, out);
    }
    if (m->part)
        add_block(m, emit_int(e, m->whole), m->part, mean, with_g, out);
    LLVMValueRef share = emit_real(e->f32, 1.0 / (double)m->kn->k->in.c);
    for (int i = 0; i < count; i++)
        out[i] = emit_splat(e, emit_fmul(e, emit_reduce_add(e, out[i]), share));
}

/* 1 / sqrt(var + eps). */
static LLVMValueRef scale_of(NormDx *m, LLVMValueRef var)
{
    Emit *e = m->e;
    LLVMValueRef sum = emit_fadd(e, var, emit_real(e->vec, m->kn->k->eps));
    return emit_fdiv(e, emit_real(e->vec, 1), emit_sqrt(e, sum));
}

/* Calls body for the positions [lo, hi), several together. */
static void each_position(NormDx *m, LLVMValueRef lo, LLVMValueRef hi,
                          void (*body)(NormDx *m, LLVMValueRef base), LLVMValueRef base)
{
    Emit *e = m->e;
    LLVMValueRef n = emit_imax(e, emit_sub(e, hi, lo), emit_int(e, 0));
    LLVMValueRef split = emit_sub(e, hi, emit_rem(e, n, LN_DX_TOGETHER));
    for (int together = LN_DX_TOGETHER; together; together = together > 1 ? 1 : 0) {
        bool many = together > 1;
        Loop l;
        loop_begin(e, &l, many ? lo : split, many ? split : hi, together, false, 0, NULL);
        m->n = together;
        m->first = l.iv;
        body(m, base);
        loop_end(e, &l, NULL);
    }
}

/* first: the means of x and of g; second: r, and r^2 times the mean of g (x - mean). */
static void store_block(NormDx *m, LLVMValueRef block, int lanes, const LLVMValueRef *first,
                        const LLVMValueRef *second)
{
    Emit *e = m->e;
    LLVMValueRef args[EXPR_MAX_ARGS];
    kern_channel_args(m->kn, emit_mul(e, block, e->vl), args);
    for (int i = 0; i < m->n; i++) {
        LLVMValueRef x = emit_fsub(e, load(m, m->x, block, i), first[i]);
        LLVMValueRef v = emit_fsub(e, load_g(m, block, i), first[m->n + i]);
        v = emit_fmul(e, second[i], emit_fsub(e, v, emit_fmul(e, x, second[m->n + i])));
        kern_store(m->kn, args, emit_keep(e, v, lanes, 0), place(m, block, i), e->vl);
    }
}

static void dx_positions(NormDx *m, LLVMValueRef base)
{
    Emit *e = m->e;
    Loop l;
    LLVMValueRef first[2 * LN_DX_TOGETHER], second[2 * LN_DX_TOGETHER];
    (void)base;
    average(m, NULL, true, first);
    average(m, first, true, second);
    for (int i = 0; i < m->n; i++) {
        second[i] = scale_of(m, second[i]);
        LLVMValueRef squared = emit_fmul(e, second[i], second[i]);
        second[m->n + i] = emit_fmul(e, squared, second[m->n + i]);
    }
    if (m->whole) {
        loop_count(e, &l, m->whole);
        store_block(m, l.iv, e->vl, first, second);
        loop_end(e, &l, NULL);
    }
    if (m->part)
        store_block(m, emit_int(e, m->whole), m->part, first, second);
}

static bool norm_open(Kern *kn, NormDx *m)
{
    const Kernel *k = kn->k;
    *m = (NormDx){.kn = kn, .e = kn->e, .dy = kn->in, .x = kn->extra[0]};
    m->pixels = k->in.h * k->in.w;
    m->blocks = map_blocks(k->in, kn->e->vl);
    m->part = (int)(k->in.c % kn->e->vl);
    m->whole = m->blocks - (m->part > 0);
    return k->extra_count > 0 && k->in.layout == LAYOUT_BLOCKED;
}

bool cpu_ln_dx(Kern *kn)
{
    NormDx m;
    LLVMValueRef lo, hi;
    if (!norm_open(kn, &m) || kn->k->out.layout != LAYOUT_BLOCKED)
        return emit_fail(kn->e, "the gradient of layer norm needs x, and blocked maps");
    m.weight = kn->k->extra_count > 1 ? kn->extra[1] : NULL;
    kern_positions(kn, &lo, &hi);
    each_position(&m, lo, hi, dx_positions, NULL);
    return true;
}

/* The moments of the positions into the scratch: mean, and TRAIN_LN_ROW floats on, scale. */
static void moments(NormDx *m, LLVMValueRef base)
{
    Emit *e = m->e;
    LLVMValueRef mean[LN_DX_TOGETHER], var[LN_DX_TOGETHER];
    average(m, NULL, false, mean);
    average(m, mean, false, var);
    for (int i = 0; i < m->n; i++) {
        LLVMValueRef at = emit_add(e, emit_sub(e, m->first, base), emit_int(e, i));
        LLVMValueRef p = emit_at(e, m->kn->scratch, at);
        emit_store(e, emit_lane(e, mean[i], 0), p);
        emit_store(e, emit_lane(e, scale_of(m, var[i]), 0), emit_at_const(e, p, TRAIN_LN_ROW));
    }
}

/* Adds the positions [lo, hi), whose moments are in the scratch, to one block of the output. */
static void add_row(NormDx *m, LLVMValueRef out, LLVMValueRef block, int lanes, LLVMValueRef lo,
                    LLVMValueRef hi)
{
    Emit *e = m->e;
    LLVMValueRef sum[LN_DX_TOGETHER], n = emit_sub(e, hi, lo);
    LLVMValueRef split = emit_sub(e, hi, emit_rem(e, n, LN_DX_TOGETHER));
    for (int i = 0; i < LN_DX_TOGETHER; i++)
        sum[i] = emit_real(e->vec, 0);
    for (int together = LN_DX_TOGETHER; together; together = together > 1 ? 1 : 0) {
        bool many = together > 1;
        Loop l;
        loop_begin(e, &l, many ? lo : split, many ? split : hi, together, false, together, sum);
        m->first = l.iv;
        LLVMValueRef at = emit_at(e, m->kn->scratch, emit_sub(e, l.iv, lo));
        for (int i = 0; i < together; i++) {
            LLVMValueRef mean = emit_load_splat(e, emit_at_const(e, at, i));
            LLVMValueRef r = emit_load_splat(e, emit_at_const(e, at, TRAIN_LN_ROW + i));
            LLVMValueRef x = emit_fmul(e, emit_fsub(e, load(m, m->x, block, i), mean), r);
            sum[i] = emit_fma(e, load(m, m->dy, block, i), x, sum[i]);
        }
        loop_end(e, &l, sum);
    }
    LLVMValueRef all = emit_fadd(e, emit_fadd(e, sum[0], sum[1]), emit_fadd(e, sum[2], sum[3]));
    LLVMValueRef to = emit_at(e, out, emit_mul(e, block, e->vl));
    all = emit_fadd(e, emit_load(e, e->vec, to), emit_keep(e, all, lanes, 0));
    emit_store(e, all, to);
}

static void dw_image(NormDx *m, LLVMValueRef out)
{
    Emit *e = m->e;
    Loop lp, lb;
    loop_begin(e, &lp, emit_int(e, 0), emit_int(e, m->pixels), TRAIN_LN_ROW, true, 0, NULL);
    LLVMValueRef lo = lp.iv;
    LLVMValueRef hi =
        emit_imin(e, emit_add(e, lo, emit_int(e, TRAIN_LN_ROW)), emit_int(e, m->pixels));
    each_position(m, lo, hi, moments, lo);
    if (m->whole) {
        loop_count(e, &lb, m->whole);
        add_row(m, out, lb.iv, e->vl, lo, hi);
        loop_end(e, &lb, NULL);
    }
    if (m->part)
        add_row(m, out, emit_int(e, m->whole), m->part, lo, hi);
    loop_end(e, &lp, NULL);
}

/* The first image of a slice of the batch. */
static LLVMValueRef slice_start(Kern *kn, LLVMValueRef slice)
{
    Emit *e = kn->e;
    LLVMValueRef images = LLVMBuildMul(e->b, kern_batch(kn), slice, "");
    return emit_div(e, images, kn->k->slices);
}

bool cpu_ln_dw(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    NormDx m;
    Loop ls, lb, ln;
    if (!norm_open(kn, &m) || k->slices < 1)
        return emit_fail(e, "the gradient of layer norm's weights needs x, and a blocked map");
    LLVMValueRef dy = m.dy, x = m.x;
    loop_begin(e, &ls, kn->begin, kn->end, 1, false, 0, NULL);
    LLVMValueRef out = emit_at(e, kn->out, emit_mul(e, ls.iv, m.blocks * e->vl));
    loop_count(e, &lb, m.blocks);
    emit_store(e, emit_real(e->vec, 0), emit_at(e, out, emit_mul(e, lb.iv, e->vl)));
    loop_end(e, &lb, NULL);
    LLVMValueRef from = slice_start(kn, ls.iv);
    LLVMValueRef to = slice_start(kn, emit_add(e, ls.iv, emit_int(e, 1)));
    loop_begin(e, &ln, from, to, 1, false, 0, NULL);
    m.dy = emit_at(e, dy, emit_mul(e, ln.iv, k->in_step));
    m.x = emit_at(e, x, emit_mul(e, ln.iv, k->extra_step[0]));
    dw_image(&m, out);
    loop_end(e, &ln, NULL);
    loop_end(e, &ls, NULL);
    return true;
}
