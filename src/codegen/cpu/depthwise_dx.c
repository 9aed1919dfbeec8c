/* Gradient of a depthwise convolution's input: lanes are channels, and every column of dx gathers
 * the positions of dy that its phase of the window reached. */
#include "codegen/cpu/kern.h"
#include "codegen/cpu/phase.h"
#include <stdlib.h>

enum { DX_MAX_PX = 24 };

/* For row r of dx: window rows first + i * row_step meet dy's rows top - i * top_step, i in
 * [lo, hi). */
typedef struct Rows {
    LLVMValueRef first, top, lo, hi;
} Rows;

typedef struct Gather {
    Kern *kn;
    Emit *e;
    const Kernel *k;            /* window; in = dy, out = dx */
    int64_t row_step, top_step; /* of Rows */
    LLVMValueRef firsts;        /* first window row by (row + padding) mod stride */
    LLVMValueRef block, w, in;
    Rows rows;
} Gather;

static int64_t gcd(int64_t a, int64_t b)
{
    return b ? gcd(b, a % b) : a;
}

/* The first window row that meets a row of dx, by its phase; kh where none does. */
static LLVMValueRef first_rows(Emit *e, const Kernel *k)
{
    int64_t n = k->sh;
    LLVMValueRef *at = n < INT32_MAX ? malloc((size_t)n * sizeof *at) : NULL;
    if (!at) {
        emit_fail(e, "out of memory");
        return NULL;
    }
    for (int64_t i = 0; i < n; i++)
        at[i] = emit_int(e, k->kh);
    for (int64_t y = k->kh; y-- > 0;)
        at[y * k->dh % n] = emit_int(e, y);
    LLVMValueRef table = LLVMAddGlobal(e->mod, LLVMArrayType2(e->i64, (uint64_t)n), "first_row");
    LLVMSetInitializer(table, LLVMConstArray2(e->i64, at, (uint64_t)n));
    LLVMSetLinkage(table, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(table, 1);
    free(at);
    return table;
}

static Rows rows_of(const Gather *g, LLVMValueRef row)
{
    Emit *e = g->e;
    const Kernel *k = g->k;
    LLVMValueRef zero = emit_int(e, 0), one = emit_int(e, 1);
    LLVMValueRef padded = emit_add(e, row, emit_int(e, k->pt));
    Rows r = {.first = zero};
    if (g->firsts) {
        LLVMValueRef phase = emit_rem(e, padded, k->sh);
        LLVMValueRef slot = LLVMBuildGEP2(e->b, e->i64, g->firsts, &phase, 1, "");
        r.first = LLVMBuildLoad2(e->b, e->i64, slot, "");
    }
    LLVMValueRef d = emit_sub(e, padded, emit_mul(e, r.first, k->dh));
    /* exact but where no window row meets this one, and hi is 0 */
    r.top = LLVMBuildSDiv(e->b, d, emit_int(e, k->sh), "");
    LLVMValueRef past = emit_sub(e, r.top, emit_int(e, k->in.h - 1));
    LLVMValueRef lo = emit_add(e, emit_imax(e, past, zero), emit_int(e, g->top_step - 1));
    r.lo = emit_div(e, lo, g->top_step);
    LLVMValueRef left = emit_sub(e, emit_int(e, k->kh + g->row_step - 1), r.first);
    left = emit_div(e, left, g->row_step);
    LLVMValueRef above = emit_add(e, emit_div(e, emit_imax(e, r.top, zero), g->top_step), one);
    above = emit_select(e, emit_less(e, r.top, zero), zero, above);
    r.hi = emit_imin(e, left, above);
    return r;
}

/* The taps of one window row: each value of dy is loaded once for all columns it goes to. */
static void window_row(const Gather *g, const Strip *s, LLVMValueRef in, LLVMValueRef w,
                       LLVMValueRef *acc)
{
    Emit *e = g->e;
    const Kernel *k = g->k;
    int64_t shift, lo = 0, hi = -1;
    for (int64_t x = 0; x < k->kw; x++) {
        if (!phase_tap(k, s->phase, x, &shift))
            continue;
        lo = hi < lo || shift < lo ? shift : lo;
        hi = hi < lo || shift + s->width > hi ? shift + s->width : hi;
    }
    for (int64_t q = lo; q < hi; q++) {
        LLVMValueRef v = NULL;
        if (s->edge && (s->j + q < 0 || s->j + q >= k->in.w))
            continue;
        for (int64_t x = 0; x < k->kw; x++) {
            if (!phase_tap(k, s->phase, x, &shift) || q - shift < 0 || q - shift >= s->width)
                continue;
            if (!v)
                v = emit_load(e, e->vec, emit_at_const(e, in, q * e->vl));
            LLVMValueRef tap = emit_load(e, e->vec, emit_at_const(e, w, x * e->vl));
            acc[q - shift] = emit_fma(e, v, tap, acc[q - shift]);
        }
    }
}

static void strip(const Gather *g, const Strip *s, LLVMValueRef row, LLVMValueRef j)
{
    Emit *e = g->e;
    const Kernel *k = g->k;
    int px = s->width;
    int64_t dy_row = k->in.w * e->vl, w_row = k->kw * e->vl;
    LLVMValueRef v[DX_MAX_PX + 2];
    for (int p = 0; p < px; p++)
        v[p] = emit_real(e->vec, 0);
    LLVMValueRef y = emit_add(e, g->rows.first, emit_mul(e, g->rows.lo, g->row_step));
    LLVMValueRef oy = emit_sub(e, g->rows.top, emit_mul(e, g->rows.lo, g->top_step));
    v[px] = emit_at(e, emit_at(e, g->in, emit_mul(e, j, e->vl)), emit_mul(e, oy, dy_row));
    v[px + 1] = emit_at(e, g->w, emit_mul(e, y, w_row));
    Loop l;
    loop_begin(e, &l, g->rows.lo, g->rows.hi, 1, false, px + 2, v);
    LLVMValueRef in = v[px], w = v[px + 1];
    window_row(g, s, in, w, v);
    v[px] = emit_at_const(e, in, -g->top_step * dy_row);
    v[px + 1] = emit_at_const(e, w, g->row_step * w_row);
    loop_end(e, &l, v);
    LLVMValueRef args[EXPR_MAX_ARGS];
    kern_channel_args(g->kn, emit_mul(e, g->block, e->vl), args);
    LLVMValueRef plane = emit_mul(e, g->block, k->out.h * k->out.w);
    LLVMValueRef column = emit_add(e, emit_mul(e, j, k->sw), emit_int(e, s->phase));
    LLVMValueRef pixel = emit_add(e, emit_mul(e, row, k->out.w), column);
    LLVMValueRef at = emit_mul(e, emit_add(e, plane, pixel), e->vl);
    for (int p = 0; p < px; p++)
        kern_store(g->kn, args, v[p], emit_add(e, at, emit_int(e, p * k->sw * e->vl)), e->vl);
}

static void row_of(Gather *g, LLVMValueRef row)
{
    Emit *e = g->e;
    const Kernel *k = g->k;
    g->rows = rows_of(g, row);
    for (int64_t phase = 0; phase < k->sw && phase < k->out.w; phase++)
        for (int64_t j = 0; j < phase_columns(k, phase);) {
            Strip s = phase_strip(k, phase, j, k->tile.px);
            Loop l;
            loop_count(e, &l, s.count);
            LLVMValueRef first = emit_add(e, emit_int(e, j), emit_mul(e, l.iv, s.width));
            strip(g, &s, row, first);
            loop_end(e, &l, NULL);
            j += s.count * s.width;
        }
}

bool cpu_depthwise_dx(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    if (k->in.layout != LAYOUT_BLOCKED || k->out.layout != LAYOUT_BLOCKED)
        return emit_fail(e, "gradients of depthwise convolutions are blocked maps");
    if (k->tile.px < 1 || k->tile.px > DX_MAX_PX)
        return emit_fail(e, "depthwise tile of %d columns", k->tile.px);
    int64_t common = gcd(k->sh, k->dh);
    Gather g = {.kn = kn, .e = e, .k = k};
    g.row_step = k->sh / common;
    g.top_step = k->dh / common;
    if (k->sh > 1 && !(g.firsts = first_rows(e, k)))
        return false;
    int64_t row_blocks = family_row_blocks(k), rb = k->tile.rb > 0 ? k->tile.rb : k->out.h;
    Loop l, lr;
    loop_begin(e, &l, kn->begin, kn->end, 1, false, 0, NULL);
    LLVMValueRef r0 = emit_mul(e, emit_rem(e, l.iv, row_blocks), rb);
    LLVMValueRef r1 = emit_imin(e, emit_add(e, r0, emit_int(e, rb)), emit_int(e, k->out.h));
    g.block = emit_div(e, l.iv, row_blocks);
    g.w = emit_at(e, kn->w, emit_mul(e, g.block, k->kh * k->kw * e->vl));
    g.in = emit_at(e, kn->in, emit_mul(e, g.block, k->in.h * k->in.w * e->vl));
    loop_begin(e, &lr, r0, r1, 1, true, 0, NULL);
    row_of(&g, lr.iv);
    loop_end(e, &lr, NULL);
    loop_end(e, &l, NULL);
    return true;
}
