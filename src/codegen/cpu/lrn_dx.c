/* The gradient of local response norm: y_c = x_c B_c^-beta, B_c = k + alpha / n * sum of squares
 * over the window of c (lrn.c). x_j stands in its own numerator and in the B of every channel whose
 * window holds it:
 *   dx_j = dy_j B_j^-beta - 2 alpha / n beta x_j * sum over those c of dy_c x_c B_c^(-beta - 1).
 * The scratch has, for one position, the squares and the terms of that sum, each with zeros on both
 * sides so that every neighbour is a load at an offset, and the first half of the result. */
#include "codegen/cpu/kern.h"
#include "codegen/llvm/math.h"

typedef struct ResponseDx {
    Kern *kn;
    Emit *e;
    int64_t pixels, blocks, whole, margin; /* margin: floats of zeros on each side */
    int part;
    LLVMValueRef squares, terms, own; /* of channel 0 */
    LLVMValueRef pixel;
} ResponseDx;

static LLVMValueRef place(ResponseDx *m, LLVMValueRef block)
{
    Emit *e = m->e;
    return emit_mul(e, emit_add(e, emit_mul(e, block, m->pixels), m->pixel), e->vl);
}

static LLVMValueRef load(ResponseDx *m, LLVMValueRef map, LLVMValueRef block)
{
    return emit_load(m->e, m->e->vec, emit_at(m->e, map, place(m, block)));
}

static LLVMValueRef block_of(ResponseDx *m, LLVMValueRef from, LLVMValueRef block)
{
    return emit_at(m->e, from, emit_mul(m->e, block, m->e->vl));
}

static void clear_margins(ResponseDx *m, LLVMValueRef from)
{
    Emit *e = m->e;
    LLVMValueRef zero = emit_real(e->vec, 0);
    for (int64_t i = 0; i < m->margin; i += e->vl) {
        emit_store(e, zero, emit_at_const(e, from, i - m->margin));
        emit_store(e, zero, emit_at_const(e, from, m->blocks * e->vl + i));
    }
}

/* The sum of the window around each channel of a block, which reaches `before` channels back. */
static LLVMValueRef window_sum(ResponseDx *m, LLVMValueRef from, LLVMValueRef block, int64_t before)
{
    Emit *e = m->e;
    LLVMValueRef at = block_of(m, from, block), sum = emit_real(e->vec, 0);
    for (int64_t i = 0; i < m->kn->k->lrn_size; i++)
        sum = emit_fadd(e, sum, emit_load(e, e->vec, emit_at_const(e, at, i - before)));
    return sum;
}

static void square(ResponseDx *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    LLVMValueRef v = emit_keep(e, load(m, m->kn->extra[0], block), lanes, 0);
    emit_store(e, emit_fmul(e, v, v), block_of(m, m->squares, block));
}

static void term(ResponseDx *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    const Kernel *k = m->kn->k;
    LLVMValueRef sum = window_sum(m, m->squares, block, k->lrn_size / 2);
    LLVMValueRef base = emit_fma(e, sum, emit_real(e->vec, k->alpha / (double)k->lrn_size),
                                 emit_real(e->vec, k->bias_k));
    LLVMValueRef power = emit_fmul(e, math_log(e, base), emit_real(e->vec, -k->beta));
    LLVMValueRef own = emit_fmul(e, load(m, m->kn->in, block), math_exp(e, power));
    LLVMValueRef v = emit_fdiv(e, emit_fmul(e, own, load(m, m->kn->extra[0], block)), base);
    emit_store(e, own, block_of(m, m->own, block));
    emit_store(e, emit_keep(e, v, lanes, 0), block_of(m, m->terms, block));
}

static void store(ResponseDx *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    const Kernel *k = m->kn->k;
    LLVMValueRef args[EXPR_MAX_ARGS], factor, v;
    LLVMValueRef sum = window_sum(m, m->terms, block, (k->lrn_size - 1) / 2);
    factor = emit_real(e->vec, -2 * k->alpha / (double)k->lrn_size * k->beta);
    factor = emit_fmul(e, factor, load(m, m->kn->extra[0], block));
    v = emit_fma(e, factor, sum, emit_load(e, e->vec, block_of(m, m->own, block)));
    kern_channel_args(m->kn, emit_mul(e, block, e->vl), args);
    kern_store(m->kn, args, emit_keep(e, v, lanes, 0), place(m, block), e->vl);
}

static void each_block(ResponseDx *m, void (*body)(ResponseDx *m, LLVMValueRef block, int lanes))
{
    Emit *e = m->e;
    Loop l;
    loop_count(e, &l, m->whole);
    body(m, l.iv, e->vl);
    loop_end(e, &l, NULL);
    if (m->part)
        body(m, emit_int(e, m->whole), m->part);
}

bool cpu_lrn_dx(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    if (k->extra_count < 1 || k->in.layout != LAYOUT_BLOCKED || k->out.layout != LAYOUT_BLOCKED)
        return emit_fail(e, "the gradient of local response norm needs x, and blocked maps");
    ResponseDx m = {.kn = kn, .e = e, .pixels = k->in.h * k->in.w};
    m.blocks = map_blocks(k->in, e->vl);
    m.part = (int)(k->in.c % e->vl);
    m.whole = m.blocks - (m.part > 0);
    m.margin = (k->lrn_size + e->vl - 1) / e->vl * e->vl;
    int64_t step = m.blocks * e->vl + 2 * m.margin;
    m.squares = emit_at_const(e, kn->scratch, m.margin);
    m.terms = emit_at_const(e, m.squares, step);
    m.own = emit_at_const(e, kn->scratch, 2 * step);
    LLVMValueRef lo, hi;
    Loop l;
    clear_margins(&m, m.squares);
    clear_margins(&m, m.terms);
    kern_positions(kn, &lo, &hi);
    loop_begin(e, &l, lo, hi, 1, false, 0, NULL);
    m.pixel = l.iv;
    each_block(&m, square);
    each_block(&m, term);
    each_block(&m, store);
    loop_end(e, &l, NULL);
    return true;
}
