/* Gradients of copies, gathered: a range of channels among zeros, upsampling turned around, and
 * space_to_depth undone. */
#include "codegen/cuda/copy.h"

LLVMValueRef copy_among_zeros(const Copy *c, LLVMValueRef chan, LLVMValueRef *there)
{
    Emit *e = c->e;
    const Kernel *k = c->k;
    LLVMValueRef i = emit_sub(e, chan, cuda_int(c->kn, k->dst_c));
    *there = cuda_and(c->kn, *there, cuda_inside(c->kn, i, k->count_c));
    return copy_float_at(c, emit_add(e, i, cuda_int(c->kn, k->src_c)), c->s.pixel);
}

LLVMValueRef copy_joined(const Copy *c, LLVMValueRef chan, LLVMValueRef *there)
{
    (void)there;
    Emit *e = c->e;
    int64_t by = c->k->by_h;
    LLVMValueRef row, column, y = cuda_split(c->kn, c->y, by, &row);
    LLVMValueRef x = cuda_split(c->kn, c->x, by, &column);
    LLVMValueRef cell = emit_add(e, emit_mul(e, row, by), column);
    LLVMValueRef from = emit_add(e, emit_mul(e, chan, by * by), cell);
    return copy_float_at(c, from, emit_add(e, emit_mul(e, y, c->k->in.w), x));
}

LLVMValueRef copy_nearest_dx(const Copy *c)
{
    CudaKern *kn = c->kn;
    Emit *e = c->e;
    LLVMValueRef sum = emit_real(e->vec, 0), y0 = emit_mul(e, c->y, c->k->by_h);
    LLVMValueRef x0 = emit_mul(e, c->x, c->k->by_w);
    Loop ly, lx;
    loop_begin(e, &ly, cuda_int(kn, 0), cuda_int(kn, c->k->by_h), 1, true, 1, &sum);
    loop_begin(e, &lx, cuda_int(kn, 0), cuda_int(kn, c->k->by_w), 1, true, 1, &sum);
    sum = emit_fadd(e, sum, copy_load(c, emit_add(e, y0, ly.iv), emit_add(e, x0, lx.iv)));
    loop_end(e, &lx, &sum);
    loop_end(e, &ly, &sum);
    return sum;
}

/* What line i of the larger map takes of line `at` of the smaller one. */
static LLVMValueRef line_share(const Copy *c, LLVMValueRef i, LLVMValueRef at, int64_t by,
                               int64_t size)
{
    Emit *e = c->e;
    LLVMValueRef line[2], part, zero = emit_real(e->vec, 0), one = emit_real(e->vec, 1);
    copy_between(c, i, by, size, line, &part);
    LLVMValueRef first = LLVMBuildICmp(e->b, LLVMIntEQ, line[0], at, "");
    LLVMValueRef second = LLVMBuildICmp(e->b, LLVMIntEQ, line[1], at, "");
    return emit_fadd(e, emit_select(e, first, emit_fsub(e, one, part), zero),
                     emit_select(e, second, part, zero));
}

/* The lines of the larger map that may take something of line `at`: [lo, hi). */
static void lines_of(const Copy *c, LLVMValueRef at, int64_t by, int64_t size, LLVMValueRef *lo,
                     LLVMValueRef *hi)
{
    Emit *e = c->e;
    LLVMValueRef one = cuda_int(c->kn, 1), two = cuda_int(c->kn, 2);
    *lo = emit_imax(e, emit_mul(e, emit_sub(e, at, one), by), cuda_int(c->kn, 0));
    *hi = emit_imin(e, emit_mul(e, emit_add(e, at, two), by), cuda_int(c->kn, size));
}

LLVMValueRef copy_bilinear_dx(const Copy *c)
{
    Emit *e = c->e;
    const Kernel *k = c->k;
    LLVMValueRef sum = emit_real(e->vec, 0), y0, y1, x0, x1;
    Loop ly, lx;
    lines_of(c, c->y, k->by_h, k->in.h, &y0, &y1);
    lines_of(c, c->x, k->by_w, k->in.w, &x0, &x1);
    loop_begin(e, &ly, y0, y1, 1, true, 1, &sum);
    LLVMValueRef of_row = line_share(c, ly.iv, c->y, k->by_h, k->out.h);
    loop_begin(e, &lx, x0, x1, 1, true, 1, &sum);
    LLVMValueRef share = emit_fmul(e, of_row, line_share(c, lx.iv, c->x, k->by_w, k->out.w));
    sum = emit_fma(e, copy_load(c, ly.iv, lx.iv), share, sum);
    loop_end(e, &lx, &sum);
    loop_end(e, &ly, &sum);
    return sum;
}
