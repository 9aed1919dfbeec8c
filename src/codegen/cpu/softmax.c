/* Softmax over the channels of each position: the largest value is taken off first. */
#include "codegen/cpu/kern.h"
#include "codegen/llvm/math.h"

typedef struct Soft {
    Kern *kn;
    Emit *e;
    int64_t pixels, blocks;
    int part;
    LLVMValueRef pixel;
} Soft;

static LLVMValueRef place(Soft *m, LLVMValueRef block)
{
    Emit *e = m->e;
    return emit_mul(e, emit_add(e, emit_mul(e, block, m->pixels), m->pixel), e->vl);
}

static LLVMValueRef power(Soft *m, LLVMValueRef block, LLVMValueRef top)
{
    Emit *e = m->e;
    LLVMValueRef v = emit_load(e, e->vec, emit_at(e, m->kn->in, place(m, block)));
    return math_exp(e, emit_fsub(e, v, top));
}

/* The largest value (top NULL), or the sum of powers, over all channels. */
static LLVMValueRef combine(Soft *m, LLVMValueRef top)
{
    Emit *e = m->e;
    double neutral = top ? 0 : -__builtin_inf();
    LLVMValueRef all = emit_real(e->vec, neutral);
    int64_t whole = m->blocks - (m->part > 0);
    for (int part = 0; part < 2; part++) {
        int lanes = part ? m->part : e->vl;
        if (part ? !m->part : !whole)
            continue;
        Loop l;
        loop_begin(e, &l, emit_int(e, part ? whole : 0), emit_int(e, part ? m->blocks : whole), 1,
                   true, 1, &all);
        LLVMValueRef v =
            top ? power(m, l.iv, top) : emit_load(e, e->vec, emit_at(e, m->kn->in, place(m, l.iv)));
        v = emit_keep(e, v, lanes, neutral);
        all = top ? emit_fadd(e, all, v) : emit_fmax(e, v, all);
        loop_end(e, &l, &all);
    }
    return top ? emit_reduce_add(e, all) : emit_reduce_max(e, all);
}

static void store(Soft *m, LLVMValueRef block, LLVMValueRef top, LLVMValueRef scale, int lanes)
{
    Emit *e = m->e;
    LLVMValueRef args[EXPR_MAX_ARGS];
    kern_channel_args(m->kn, emit_mul(e, block, e->vl), args);
    LLVMValueRef v = emit_fmul(e, power(m, block, top), scale);
    kern_store(m->kn, args, v, place(m, block), lanes);
}

bool cpu_softmax(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    if (k->in.layout != LAYOUT_BLOCKED || !kern_vectors_out(k))
        return emit_fail(e, "softmax works on blocked maps");
    Soft m = {.kn = kn, .e = e, .pixels = k->in.h * k->in.w, .blocks = map_blocks(k->in, e->vl)};
    m.part = (int)(k->in.c % e->vl);
    LLVMValueRef lo, hi;
    Loop lp, lb;
    kern_positions(kn, &lo, &hi);
    loop_begin(e, &lp, lo, hi, 1, false, 0, NULL);
    m.pixel = lp.iv;
    LLVMValueRef top = emit_splat(e, combine(&m, NULL));
    LLVMValueRef sum = combine(&m, top);
    LLVMValueRef scale = emit_splat(e, emit_fdiv(e, emit_real(e->f32, 1), sum));
    int64_t whole = m.blocks - (m.part && k->out.layout == LAYOUT_PLANAR);
    loop_begin(e, &lb, emit_int(e, 0), emit_int(e, whole), 1, false, 0, NULL);
    store(&m, lb.iv, top, scale, e->vl);
    loop_end(e, &lb, NULL);
    if (whole < m.blocks)
        store(&m, emit_int(e, whole), top, scale, m.part);
    loop_end(e, &lp, NULL);
    return true;
}
