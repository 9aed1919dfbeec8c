/* Local response norm: x / (k + alpha / n * sum of squares over n neighbouring channels) ^ beta.
 * The squares of a position's channels stand in the scratch with zeros on both sides, so that every
 * neighbour is a load at an offset. */
#include "codegen/cpu/kern.h"
#include "codegen/llvm/math.h"

typedef struct Response {
    Kern *kn;
    Emit *e;
    int64_t pixels, blocks, margin; /* floats of zeros on each side */
    int part;
    LLVMValueRef pixel;
} Response;

static LLVMValueRef place(Response *m, LLVMValueRef block)
{
    Emit *e = m->e;
    return emit_mul(e, emit_add(e, emit_mul(e, block, m->pixels), m->pixel), e->vl);
}

static LLVMValueRef square_at(Response *m, LLVMValueRef block)
{
    Emit *e = m->e;
    LLVMValueRef at = emit_add(e, emit_mul(e, block, e->vl), emit_int(e, m->margin));
    return emit_at(e, m->kn->scratch, at);
}

static void square(Response *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    LLVMValueRef v = emit_load(e, e->vec, emit_at(e, m->kn->in, place(m, block)));
    v = emit_keep(e, v, lanes, 0);
    emit_store(e, emit_fmul(e, v, v), square_at(m, block));
}

static void clear_margins(Response *m)
{
    Emit *e = m->e;
    LLVMValueRef zero = emit_real(e->vec, 0);
    LLVMValueRef after = square_at(m, emit_int(e, m->blocks));
    for (int64_t i = 0; i < m->margin; i += e->vl) {
        emit_store(e, zero, emit_at_const(e, m->kn->scratch, i));
        emit_store(e, zero, emit_at_const(e, after, i));
    }
}

static void respond(Response *m, LLVMValueRef block)
{
    Emit *e = m->e;
    const Kernel *k = m->kn->k;
    LLVMValueRef at = square_at(m, block), sum = emit_real(e->vec, 0), args[EXPR_MAX_ARGS];
    for (int64_t i = 0; i < k->lrn_size; i++) {
        LLVMValueRef p = emit_at_const(e, at, i - k->lrn_size / 2);
        sum = emit_fadd(e, sum, emit_load(e, e->vec, p));
    }
    LLVMValueRef scale = emit_fma(e, sum, emit_real(e->vec, k->alpha / (double)k->lrn_size),
                                  emit_real(e->vec, k->bias_k));
    LLVMValueRef power = emit_fmul(e, math_log(e, scale), emit_real(e->vec, -k->beta));
    LLVMValueRef v = emit_load(e, e->vec, emit_at(e, m->kn->in, place(m, block)));
    kern_channel_args(m->kn, emit_mul(e, block, e->vl), args);
    kern_store(m->kn, args, emit_fmul(e, v, math_exp(e, power)), place(m, block), e->vl);
}

bool cpu_lrn(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    if (k->in.layout != LAYOUT_BLOCKED || k->out.layout != LAYOUT_BLOCKED)
        return emit_fail(e, "local response norm works on blocked maps");
    Response m = {.kn = kn, .e = e, .pixels = k->in.h * k->in.w};
    m.blocks = map_blocks(k->in, e->vl);
    m.part = (int)(k->in.c % e->vl);
    m.margin = (k->lrn_size + e->vl - 1) / e->vl * e->vl;
    int64_t whole = m.blocks - (m.part > 0);
    LLVMValueRef lo, hi;
    Loop lp, lb;
    clear_margins(&m);
    kern_positions(kn, &lo, &hi);
    loop_begin(e, &lp, lo, hi, 1, false, 0, NULL);
    m.pixel = lp.iv;
    loop_begin(e, &lb, emit_int(e, 0), emit_int(e, whole), 1, false, 0, NULL);
    square(&m, lb.iv, e->vl);
    loop_end(e, &lb, NULL);
    if (m.part)
        square(&m, emit_int(e, whole), m.part);
    loop_count(e, &lb, m.blocks);
    respond(&m, lb.iv);
    loop_end(e, &lb, NULL);
    loop_end(e, &lp, NULL);
    return true;
}
