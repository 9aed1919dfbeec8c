/* Gradients of pooling. That of a maximum goes to the first of equal values of each window, in row
 * order, and a NaN counts as larger, as in PyTorch: for every output the place is found again, then
 * dy is added there. Windows overlap, so one thread has the whole map of a channel block; there is
 * no epilogue. Those of means are gathered and may have one. */
#include "codegen/cpu/gather.h"
#include "codegen/cpu/window.h"

enum { POOL_DX_MAX_PX = 8 };

static LLVMValueRef splat_number(Emit *e, LLVMValueRef i)
{
    LLVMTypeRef type = LLVMVectorType(e->i32, (unsigned)e->vl);
    LLVMValueRef none = LLVMGetPoison(type), first = LLVMConstInt(e->i32, 0, 0);
    LLVMValueRef scalar = LLVMBuildTrunc(e->b, i, e->i32, "");
    LLVMValueRef one = LLVMBuildInsertElement(e->b, none, scalar, first, "");
    return LLVMBuildShuffleVector(e->b, one, none, LLVMConstNull(type), "");
}

/* Whether v takes the place of the largest value so far. */
static LLVMValueRef larger(Emit *e, LLVMValueRef v, LLVMValueRef top)
{
    LLVMValueRef more = LLVMBuildFCmp(e->b, LLVMRealOGT, v, top, "");
    return LLVMBuildOr(e->b, more, LLVMBuildFCmp(e->b, LLVMRealUNO, v, v, ""), "");
}

/* Tap numbers are row * kw + column. place[p]: that of pixel p's maximum in each lane. */
static void find_places(Kern *kn, const WindowTile *t, LLVMValueRef *place)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int px = t->seg->width;
    int64_t row = k->dh * k->in.w * e->vl;
    LLVMValueRef v[2 * POOL_DX_MAX_PX + 1], *top = v + px;
    for (int p = 0; p < px; p++) {
        int64_t first = 0;
        while (first < k->kw - 1 && !(window_mask(k, t->seg, first) >> p & 1))
            first++;
        v[p] = splat_number(e, emit_add(e, emit_mul(e, t->taps.lo, k->kw), emit_int(e, first)));
        top[p] = emit_real(e->vec, -__builtin_inf());
    }
    v[2 * px] = emit_at(e, t->in, emit_mul(e, t->taps.lo, row));
    Loop l;
    loop_begin(e, &l, t->taps.lo, t->taps.hi, 1, t->taps.runs, 2 * px + 1, v);
    for (int64_t x = 0; x < k->kw; x++) {
        uint64_t mask = window_mask(k, t->seg, x);
        LLVMValueRef tap = splat_number(e, emit_add(e, emit_mul(e, l.iv, k->kw), emit_int(e, x)));
        for (int p = 0; p < px; p++) {
            if (!(mask >> p & 1))
                continue;
            LLVMValueRef at = emit_at_const(e, v[2 * px], (p * k->sw + x * k->dw) * e->vl);
            LLVMValueRef value = emit_load(e, e->vec, at), more = larger(e, value, top[p]);
            top[p] = emit_select(e, more, value, top[p]);
            v[p] = emit_select(e, more, tap, v[p]);
        }
    }
    v[2 * px] = emit_at_const(e, v[2 * px], row);
    loop_end(e, &l, v);
    for (int p = 0; p < px; p++)
        place[p] = v[p];
}

/* The forward kernel's view: kn->in is x, and the tile is one of dy. ctx: the kernel itself. */
static void max_tile(Kern *kn, const WindowTile *t, void *ctx)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    const Kern *own = ctx;
    int px = t->seg->width;
    int64_t row = k->dh * k->in.w * e->vl;
    LLVMValueRef place[POOL_DX_MAX_PX], dy[POOL_DX_MAX_PX], to;
    find_places(kn, t, place);
    for (int p = 0; p < px; p++)
        dy[p] =
            emit_load(e, e->vec, emit_at(e, own->in, emit_add(e, t->at, emit_int(e, p * e->vl))));
    LLVMValueRef x = emit_sub(e, emit_mul(e, t->column, k->sw), emit_int(e, k->pl));
    LLVMValueRef pixel = emit_add(e, emit_mul(e, t->block, k->in.h), t->taps.row);
    pixel = emit_add(e, emit_mul(e, pixel, k->in.w), x);
    to = emit_at(e, kn->out, emit_mul(e, pixel, e->vl));
    to = emit_at(e, to, emit_mul(e, t->taps.lo, row));
    Loop l;
    loop_begin(e, &l, t->taps.lo, t->taps.hi, 1, t->taps.runs, 1, &to);
    for (int64_t c = 0; c < k->kw; c++) {
        uint64_t mask = window_mask(k, t->seg, c);
        LLVMValueRef tap = splat_number(e, emit_add(e, emit_mul(e, l.iv, k->kw), emit_int(e, c)));
        for (int p = 0; p < px; p++) {
            if (!(mask >> p & 1))
                continue;
            LLVMValueRef hit = LLVMBuildICmp(e->b, LLVMIntEQ, place[p], tap, "");
            LLVMValueRef share = emit_select(e, hit, dy[p], emit_real(e->vec, 0));
            LLVMValueRef at = emit_at_const(e, to, (p * k->sw + c * k->dw) * e->vl);
            emit_store(e, emit_fadd(e, emit_load(e, e->vec, at), share), at);
        }
    }
    to = emit_at_const(e, to, row);
    loop_end(e, &l, &to);
}

/* Zeros in the maps of the units' channel blocks. */
static void clear(Kern *kn)
{
    Emit *e = kn->e;
    int64_t pixels = kn->k->out.h * kn->k->out.w;
    Loop l;
    loop_begin(e, &l, emit_mul(e, kn->begin, pixels), emit_mul(e, kn->end, pixels), 1, false, 0,
               NULL);
    emit_store(e, emit_real(e->vec, 0), emit_at(e, kn->out, emit_mul(e, l.iv, e->vl)));
    loop_end(e, &l, NULL);
}

static bool max_dx(Kern *kn)
{
    Emit *e = kn->e;
    Kernel forward = *kn->k;
    Kern of = *kn;
    if (kn->k->extra_count < 1 || kn->k->root.v != 0 || kn->k->in.layout != LAYOUT_BLOCKED ||
        kn->k->out.layout != LAYOUT_BLOCKED)
        return emit_fail(e, "the gradient of a maximum needs x and blocked maps, and no epilogue");
    if (forward.kh > INT32_MAX / forward.kw)
        return emit_fail(e, "the window has too many places");
    forward.in = kn->k->out;
    forward.out = kn->k->in;
    forward.tile.rb = 0;
    of.k = &forward;
    of.in = kn->extra[0];
    clear(kn);
    int px = forward.tile.px;
    window_walk(&of, px > 0 && px <= POOL_DX_MAX_PX ? px : 4, max_tile, kn);
    return true;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A mean: its window inside the map, and one over the number of cells that count. */
static GatherReads mean_reads(const Kernel *k, bool vertical, int64_t i)
{
    int64_t n = vertical ? k->out.h : k->out.w, outputs = vertical ? k->in.h : k->in.w;
    int64_t size = vertical ? k->kh : k->kw, before = vertical ? k->pt : k->pl;
    int64_t after = vertical ? k->pb : k->pr, lo = i * (vertical ? k->sh : k->sw) - before;
    GatherReads r = {lo > 0 ? lo : 0, least(lo + size, n), 1, 1};
    int64_t cells = r.hi - r.lo;
    if (k->pool == POOL_ADAPTIVE_AVG) {
        r.lo = i * n / outputs;
        r.hi = ((i + 1) * n + outputs - 1) / outputs;
        cells = r.hi - r.lo;
    } else if (k->pool == POOL_AVG_INCLUDE_PAD) {
        cells = least(lo + size, n + after) - lo;
    }
    r.first = r.rest = cells > 0 ? 1.0 / (double)cells : 0;
    return r;
}

bool cpu_pool_dx(Kern *kn)
{
    const Kernel *k = kn->k;
    if (k->pool == POOL_MAX)
        return max_dx(kn);
    if (k->dh != 1 || k->dw != 1)
        return emit_fail(kn->e, "means over dilated windows have no gradient");
    return gather_emit(kn, mean_reads);
}
