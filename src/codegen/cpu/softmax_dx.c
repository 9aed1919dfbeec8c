/* The gradient of softmax over the channels of each position: dx = y (dy - sum of dy y). */
#include "codegen/cpu/kern.h"

typedef struct SoftDx {
    Kern *kn;
    LLVMValueRef pixel;
    int64_t pixels;
} SoftDx;

static LLVMValueRef place(SoftDx *m, LLVMValueRef block)
{
    Emit *e = m->kn->e;
    return emit_mul(e, emit_add(e, emit_mul(e, block, m->pixels), m->pixel), e->vl);
}

static void add_block(SoftDx *m, LLVMValueRef block, int lanes, LLVMValueRef *sum)
{
    Emit *e = m->kn->e;
    LLVMValueRef at = place(m, block);
    LLVMValueRef dy = emit_load(e, e->vec, emit_at(e, m->kn->in, at));
    LLVMValueRef y = emit_load(e, e->vec, emit_at(e, m->kn->extra[0], at));
    *sum = emit_fma(e, dy, emit_keep(e, y, lanes, 0), *sum);
}

static void store_block(SoftDx *m, LLVMValueRef block, int lanes, LLVMValueRef dot)
{
    Emit *e = m->kn->e;
    LLVMValueRef at = place(m, block), args[EXPR_MAX_ARGS];
    LLVMValueRef dy = emit_load(e, e->vec, emit_at(e, m->kn->in, at));
    LLVMValueRef y = emit_load(e, e->vec, emit_at(e, m->kn->extra[0], at));
    LLVMValueRef v = emit_fmul(e, y, emit_fsub(e, dy, dot));
    kern_channel_args(m->kn, emit_mul(e, block, e->vl), args);
    kern_store(m->kn, args, emit_keep(e, v, lanes, 0), at, e->vl);
}

bool cpu_softmax_dx(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    if (k->extra_count < 1 || k->in.layout != LAYOUT_BLOCKED || k->out.layout != LAYOUT_BLOCKED)
        return emit_fail(e, "the gradient of softmax needs its result, and blocked maps");
    SoftDx m = {.kn = kn, .pixels = k->in.h * k->in.w};
    int part = (int)(k->in.c % e->vl);
    int64_t whole = k->in.c / e->vl;
    LLVMValueRef lo, hi, last = emit_int(e, whole);
    Loop lp, lb;
    kern_positions(kn, &lo, &hi);
    loop_begin(e, &lp, lo, hi, 1, false, 0, NULL);
    m.pixel = lp.iv;
    LLVMValueRef sum = emit_real(e->vec, 0);
    loop_begin(e, &lb, emit_int(e, 0), last, 1, false, 1, &sum);
    add_block(&m, lb.iv, e->vl, &sum);
    loop_end(e, &lb, &sum);
    if (part)
        add_block(&m, last, part, &sum);
    LLVMValueRef dot = emit_splat(e, emit_reduce_add(e, sum));
    loop_count(e, &lb, whole);
    store_block(&m, lb.iv, e->vl, dot);
    loop_end(e, &lb, NULL);
    if (part)
        store_block(&m, last, part, dot);
    loop_end(e, &lp, NULL);
    return true;
}
