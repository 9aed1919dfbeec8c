/* Depthwise convolution: lanes are channels. Each input vector is loaded once per window row and
 * used for every tap and pixel it meets. */
#include "codegen/cpu/window.h"

enum { DEPTHWISE_MAX_PX = 24 };

typedef struct Taps {
    LLVMValueRef w[64]; /* of one window row */
} Taps;

static void window_row(Kern *kn, const WindowTile *t, LLVMValueRef in, LLVMValueRef w,
                       LLVMValueRef *acc)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int px = t->seg->width;
    Taps taps;
    for (int64_t x = 0; x < k->kw; x++)
        taps.w[x] = emit_load(e, e->vec, emit_at_const(e, w, x * e->vl));
    int64_t span = (px - 1) * k->sw + (k->kw - 1) * k->dw + 1;
    for (int64_t x = 0; x < span; x++) {
        LLVMValueRef v = NULL;
        for (int p = 0; p < px; p++) {
            int64_t off = x - p * k->sw;
            if (off < 0 || off % k->dw || off / k->dw >= k->kw)
                continue;
            int64_t tap = off / k->dw;
            if (!(window_mask(k, t->seg, tap) >> p & 1))
                continue;
            if (!v)
                v = emit_load(e, e->vec, emit_at_const(e, in, x * e->vl));
            acc[p] = emit_fma(e, v, taps.w[tap], acc[p]);
        }
    }
}

static void tile(Kern *kn, const WindowTile *t, void *ctx)
{
    (void)ctx;
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int px = t->seg->width;
    LLVMValueRef v[DEPTHWISE_MAX_PX + 2], chan = emit_mul(e, t->block, e->vl);
    LLVMValueRef bias =
        k->has_bias ? emit_load(e, e->vec, emit_at(e, kn->bias, chan)) : emit_real(e->vec, 0);
    for (int p = 0; p < px; p++)
        v[p] = bias;
    int64_t row = k->dh * k->in.w * e->vl, w_row = k->kw * e->vl;
    LLVMValueRef w = emit_at(e, kn->w, emit_mul(e, t->block, k->kh * w_row));
    v[px] = emit_at(e, t->in, emit_mul(e, t->taps.lo, row));
    v[px + 1] = emit_at(e, w, emit_mul(e, t->taps.lo, w_row));
    Loop l;
    loop_begin(e, &l, t->taps.lo, t->taps.hi, 1, t->taps.runs, px + 2, v);
    window_row(kn, t, v[px], v[px + 1], v);
    v[px] = emit_at_const(e, v[px], row);
    v[px + 1] = emit_at_const(e, v[px + 1], w_row);
    loop_end(e, &l, v);
    LLVMValueRef args[EXPR_MAX_ARGS];
    kern_channel_args(kn, chan, args);
    if (t->lanes == e->vl) {
        kern_store_row(kn, args, v, t->at, px);
        return;
    }
    for (int p = 0; p < px; p++)
        kern_store(kn, args, v[p], emit_add(e, t->at, emit_int(e, p * e->vl)), t->lanes);
}

bool cpu_depthwise(Kern *kn)
{
    const Kernel *k = kn->k;
    if (k->in.layout != LAYOUT_BLOCKED || !kern_vectors_out(k))
        return emit_fail(kn->e, "depthwise convolutions work on blocked maps");
    int px = k->tile.px > 0 ? k->tile.px : 8;
    if (px > DEPTHWISE_MAX_PX || k->kw > 64)
        return emit_fail(kn->e, "depthwise tile of %d pixels, %d taps wide", px, (int)k->kw);
    if (k->summed && (k->out.layout != LAYOUT_BLOCKED || k->extra_count < 1))
        return emit_fail(kn->e, "only blocked maps are summed, to an operand");
    if (k->summed)
        kn->sum = emit_stack(kn->e, 1);
    window_walk(kn, px, tile, NULL);
    return true;
}
