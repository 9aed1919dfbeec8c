/* An expression over equal maps, channel vectors and gates. */
#include "codegen/cpu/kern.h"

enum { ELEM_UNROLL = 4, ELEM_LONG = 60 /* instructions from which unrolling gains nothing */ };

static bool per_channel(const Kern *kn)
{
    for (int i = 0; i < kn->k->extra_count; i++)
        if (kn->code.uses[i + 1] && kn->k->extra[i] != KARG_MAP)
            return true;
    return false;
}

static void one_vector(Kern *kn, LLVMValueRef *args, LLVMValueRef at, int lanes)
{
    Emit *e = kn->e;
    LLVMValueRef v = NULL;
    if (kn->code.uses[0])
        v = emit_load_part(e, emit_at(e, kn->in, at), lanes);
    kern_store(kn, args, v, at, lanes);
}

/* Vectors [v0, v1) counted from float `base`. */
static void vectors(Kern *kn, LLVMValueRef *args, LLVMValueRef base, LLVMValueRef v0,
                    LLVMValueRef v1)
{
    Emit *e = kn->e;
    int unroll = kn->code.cost < ELEM_LONG ? ELEM_UNROLL : 1;
    LLVMValueRef n = emit_imax(e, emit_sub(e, v1, v0), emit_int(e, 0));
    LLVMValueRef split = emit_add(e, v0, emit_mul(e, emit_div(e, n, unroll), unroll));
    Loop l;
    loop_begin(e, &l, v0, split, unroll, false, 0, NULL);
    LLVMValueRef at = emit_add(e, base, emit_mul(e, l.iv, e->vl));
    for (int i = 0; i < unroll; i++)
        one_vector(kn, args, emit_add(e, at, emit_int(e, i * e->vl)), e->vl);
    loop_end(e, &l, NULL);
    if (unroll == 1)
        return;
    loop_begin(e, &l, split, v1, 1, false, 0, NULL);
    one_vector(kn, args, emit_add(e, base, emit_mul(e, l.iv, e->vl)), e->vl);
    loop_end(e, &l, NULL);
}

/* All of the map as one run of floats; nothing depends on the channel. */
static void flat(Kern *kn, int64_t floats)
{
    Emit *e = kn->e;
    LLVMValueRef args[EXPR_MAX_ARGS], lo, hi;
    int64_t whole = floats / e->vl;
    int part = (int)(floats % e->vl);
    kern_items(kn, whole + (part > 0), &lo, &hi);
    vectors(kn, args, emit_int(e, 0), lo, emit_imin(e, hi, emit_int(e, whole)));
    if (!part)
        return;
    Loop l;
    loop_begin(e, &l, emit_imax(e, lo, emit_int(e, whole)), hi, 1, false, 0, NULL);
    one_vector(kn, args, emit_int(e, whole * e->vl), part);
    loop_end(e, &l, NULL);
}

/* Vectors [lo, hi) of a blocked map, block by block. */
static void blocked(Kern *kn)
{
    Emit *e = kn->e;
    int64_t pixels = kn->k->out.h * kn->k->out.w;
    LLVMValueRef args[EXPR_MAX_ARGS], lo, hi, zero = emit_int(e, 0), all = emit_int(e, pixels);
    kern_items(kn, map_blocks(kn->k->out, e->vl) * pixels, &lo, &hi);
    LLVMValueRef last = emit_div(e, emit_add(e, hi, emit_int(e, pixels - 1)), pixels);
    Loop l;
    loop_begin(e, &l, emit_div(e, lo, pixels), last, 1, false, 0, NULL);
    LLVMValueRef start = emit_mul(e, l.iv, pixels);
    kern_channel_args(kn, emit_mul(e, l.iv, e->vl), args);
    LLVMValueRef p0 = emit_imax(e, emit_sub(e, lo, start), zero);
    LLVMValueRef p1 = emit_imin(e, emit_sub(e, hi, start), all);
    vectors(kn, args, emit_mul(e, start, e->vl), p0, p1);
    loop_end(e, &l, NULL);
}

/* Channel by channel, float by float. */
static void planar(Kern *kn)
{
    Emit *e = kn->e;
    int64_t pixels = kn->k->out.h * kn->k->out.w;
    LLVMValueRef lo, hi;
    Loop lc, lp;
    kern_items(kn, kn->k->out.c, &lo, &hi);
    loop_begin(e, &lc, lo, hi, 1, false, 0, NULL);
    loop_count(e, &lp, pixels);
    LLVMValueRef at = emit_add(e, emit_mul(e, lc.iv, pixels), lp.iv), v = NULL;
    if (kn->code.uses[0])
        v = emit_load(e, e->f32, emit_at(e, kn->in, at));
    kern_store_one(kn, v, at, lc.iv);
    loop_end(e, &lp, NULL);
    loop_end(e, &lc, NULL);
}

bool cpu_elem(Kern *kn)
{
    const Kernel *k = kn->k;
    if (!per_channel(kn))
        flat(kn, map_floats(k->out, kn->e->vl));
    else if (k->out.layout == LAYOUT_BLOCKED)
        blocked(kn);
    else
        planar(kn);
    return true;
}
