/* Maximum and mean over windows: lanes are channels; padding never takes part in a maximum. */
#include "codegen/cpu/window.h"

enum { POOL_MAX_PX = 16 };

/* All taps of one window row, for every pixel. */
static void window_row(Kern *kn, const WindowTile *t, LLVMValueRef in, LLVMValueRef *acc)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    for (int64_t x = 0; x < k->kw; x++) {
        uint64_t mask = window_mask(k, t->seg, x);
        for (int p = 0; p < t->seg->width; p++) {
            if (!(mask >> p & 1))
                continue;
            int64_t off = (p * k->sw + x * k->dw) * e->vl;
            LLVMValueRef v = emit_load(e, e->vec, emit_at_const(e, in, off));
            acc[p] = k->pool == POOL_MAX ? emit_fmax(e, v, acc[p]) : emit_fadd(e, acc[p], v);
        }
    }
}

/* 1 / the number of cells the mean of pixel p is taken over: those in the map, or those in the
 * padded map. */
static LLVMValueRef share(Kern *kn, const WindowTile *t, int p)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef high, wide;
    if (k->pool == POOL_AVG) {
        int64_t n = 0;
        for (int64_t x = 0; x < k->kw; x++)
            n += (int64_t)(window_mask(k, t->seg, x) >> p & 1);
        high = emit_sub(e, t->taps.hi, t->taps.lo);
        wide = emit_int(e, n);
    } else {
        LLVMValueRef column = emit_add(e, t->column, emit_int(e, p));
        LLVMValueRef x = emit_sub(e, emit_mul(e, column, k->sw), emit_int(e, k->pl));
        LLVMValueRef below = emit_sub(e, emit_int(e, k->in.h + k->pb), t->taps.row);
        LLVMValueRef right = emit_sub(e, emit_int(e, k->in.w + k->pr), x);
        high = emit_imin(e, below, emit_int(e, k->kh));
        wide = emit_imin(e, right, emit_int(e, k->kw));
    }
    LLVMValueRef cells = LLVMBuildMul(e->b, high, wide, "");
    return emit_fdiv(e, emit_real(e->f32, 1), emit_to_float(e, cells));
}

static void tile(Kern *kn, const WindowTile *t, void *ctx)
{
    (void)ctx;
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int px = t->seg->width;
    LLVMValueRef v[POOL_MAX_PX + 1];
    bool max = k->pool == POOL_MAX;
    for (int p = 0; p < px; p++)
        v[p] = emit_real(e->vec, max ? -__builtin_inf() : 0);
    int64_t row = k->dh * k->in.w * e->vl;
    v[px] = emit_at(e, t->in, emit_mul(e, t->taps.lo, row));
    Loop l;
    loop_begin(e, &l, t->taps.lo, t->taps.hi, 1, t->taps.runs, px + 1, v);
    window_row(kn, t, v[px], v);
    v[px] = emit_at_const(e, v[px], row);
    loop_end(e, &l, v);
    LLVMValueRef args[EXPR_MAX_ARGS];
    kern_channel_args(kn, emit_mul(e, t->block, e->vl), args);
    for (int p = 0; p < px; p++) {
        if (!max)
            v[p] = emit_fmul(e, v[p], emit_splat(e, share(kn, t, p)));
        kern_store(kn, args, v[p], emit_add(e, t->at, emit_int(e, p * e->vl)), t->lanes);
    }
}

/* Cell i of n covers [floor(i * size / n), ceil((i + 1) * size / n)). */
static void adaptive_range(Emit *e, LLVMValueRef i, int64_t size, int64_t n, LLVMValueRef *lo,
                           LLVMValueRef *hi)
{
    *lo = emit_div(e, emit_mul(e, i, size), n);
    LLVMValueRef past = emit_mul(e, emit_add(e, i, emit_int(e, 1)), size);
    *hi = emit_div(e, emit_add(e, past, emit_int(e, n - 1)), n);
}

static void adaptive_tile(Kern *kn, const WindowTile *t, void *ctx)
{
    (void)ctx;
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef y0, y1, x0, x1, sum = emit_real(e->vec, 0);
    adaptive_range(e, t->row, k->in.h, k->out.h, &y0, &y1);
    adaptive_range(e, t->column, k->in.w, k->out.w, &x0, &x1);
    LLVMValueRef in = emit_at(e, kn->in, emit_mul(e, t->block, k->in.h * k->in.w * e->vl));
    Loop ly, lx;
    loop_begin(e, &ly, y0, y1, 1, true, 1, &sum);
    loop_begin(e, &lx, x0, x1, 1, true, 1, &sum);
    LLVMValueRef pixel = emit_add(e, emit_mul(e, ly.iv, k->in.w), lx.iv);
    sum = emit_fadd(e, sum, emit_load(e, e->vec, emit_at(e, in, emit_mul(e, pixel, e->vl))));
    loop_end(e, &lx, &sum);
    loop_end(e, &ly, &sum);
    LLVMValueRef cells = LLVMBuildMul(e->b, emit_sub(e, y1, y0), emit_sub(e, x1, x0), "");
    LLVMValueRef one = emit_real(e->f32, 1);
    LLVMValueRef part = emit_fdiv(e, one, emit_to_float(e, cells));
    LLVMValueRef args[EXPR_MAX_ARGS];
    kern_channel_args(kn, emit_mul(e, t->block, e->vl), args);
    kern_store(kn, args, emit_fmul(e, sum, emit_splat(e, part)), t->at, t->lanes);
}

bool cpu_pool(Kern *kn)
{
    const Kernel *k = kn->k;
    if (k->in.layout != LAYOUT_BLOCKED || !kern_vectors_out(k))
        return emit_fail(kn->e, "pooling works on blocked maps");
    int px = k->tile.px > 0 && k->tile.px <= POOL_MAX_PX ? k->tile.px : 8;
    bool adaptive = k->pool == POOL_ADAPTIVE_AVG;
    window_walk(kn, adaptive ? 1 : px, adaptive ? adaptive_tile : tile, NULL);
    return true;
}
