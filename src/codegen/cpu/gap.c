/* The mean of each channel over the map, or over another whose sums the map has in parts. */
#include "codegen/cpu/kern.h"

enum { GAP_SUMS = 8 };

/* Sums of n consecutive vectors at p, in a fixed tree of GAP_SUMS chains. */
static LLVMValueRef sum_vectors(Emit *e, LLVMValueRef p, int64_t n)
{
    LLVMValueRef v[GAP_SUMS];
    int64_t whole = n / GAP_SUMS * GAP_SUMS;
    for (int i = 0; i < GAP_SUMS; i++)
        v[i] = emit_real(e->vec, 0);
    if (whole) {
        Loop l;
        loop_begin(e, &l, emit_int(e, 0), emit_int(e, whole), GAP_SUMS, false, GAP_SUMS, v);
        LLVMValueRef at = emit_at(e, p, emit_mul(e, l.iv, e->vl));
        for (int i = 0; i < GAP_SUMS; i++)
            v[i] = emit_fadd(e, v[i], emit_load(e, e->vec, emit_at_const(e, at, i * e->vl)));
        loop_end(e, &l, v);
    }
    for (int64_t i = whole; i < n; i++) {
        LLVMValueRef x = emit_load(e, e->vec, emit_at_const(e, p, i * e->vl));
        v[i - whole] = emit_fadd(e, v[i - whole], x);
    }
    for (int n_left = GAP_SUMS / 2; n_left > 0; n_left /= 2)
        for (int i = 0; i < n_left; i++)
            v[i] = emit_fadd(e, v[i], v[i + n_left]);
    return v[0];
}

static void channel_block(Kern *kn, LLVMValueRef block, int lanes)
{
    Emit *e = kn->e;
    int64_t pixels = kn->k->in.h * kn->k->in.w;
    int64_t positions = kn->k->positions > 0 ? kn->k->positions : pixels;
    LLVMValueRef p = emit_at(e, kn->in, emit_mul(e, block, pixels * e->vl));
    LLVMValueRef mean =
        emit_fmul(e, sum_vectors(e, p, pixels), emit_real(e->vec, 1.0 / (double)positions));
    LLVMValueRef args[EXPR_MAX_ARGS], chan = emit_mul(e, block, e->vl);
    kern_channel_args(kn, chan, args);
    kern_store(kn, args, mean, chan, lanes);
}

bool cpu_gap(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef lo, hi;
    Loop l;
    if (k->in.layout != LAYOUT_BLOCKED || !kern_vectors_out(k))
        return emit_fail(e, "global means work on blocked maps");
    int64_t all = map_blocks(k->in, e->vl);
    int part = k->out.layout == LAYOUT_PLANAR ? (int)(k->out.c % e->vl) : 0;
    int64_t whole = all - (part > 0);
    kern_items(kn, all, &lo, &hi);
    loop_begin(e, &l, lo, emit_imin(e, hi, emit_int(e, whole)), 1, false, 0, NULL);
    channel_block(kn, l.iv, e->vl);
    loop_end(e, &l, NULL);
    if (part) {
        loop_begin(e, &l, emit_imax(e, lo, emit_int(e, whole)), hi, 1, false, 0, NULL);
        channel_block(kn, emit_int(e, whole), part);
        loop_end(e, &l, NULL);
    }
    return true;
}
