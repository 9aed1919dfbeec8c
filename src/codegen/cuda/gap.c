/* The mean of each channel over the map: a block sums eight vectors of channels of one image, each
 * by threads that are eight apart. */
#include "codegen/cuda/kern.h"

enum { VECTORS = 8 };

bool cuda_gap(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t pixels = k->in.h * k->in.w, blocks = map_blocks(k->in, e->vl);
    LLVMValueRef group, lane, sum = emit_real(e->vec, 0);
    Spot s = {.image = cuda_split(kn, kn->block, kn->launch.items, &group),
              .pixel = cuda_int(kn, 0)};
    LLVMValueRef first = cuda_split(kn, kn->thread, VECTORS, &lane);
    LLVMValueRef block = emit_add(e, emit_mul(e, group, VECTORS), lane);
    s.chan = emit_mul(e, block, e->vl);
    LLVMValueRef there = cuda_inside(kn, block, blocks);
    LLVMValueRef readable = emit_select(e, there, s.chan, cuda_int(kn, 0));
    LLVMValueRef in = cuda_map_image(kn, KERNEL_ARG_IN, s.image);
    in = cuda_map_at(kn, KERNEL_ARG_IN, in, readable);
    Loop l;
    loop_begin(e, &l, first, cuda_int(kn, pixels), kn->launch.threads / VECTORS, false, 1, &sum);
    LLVMValueRef p = cuda_map_at(kn, KERNEL_ARG_IN, in, emit_mul(e, l.iv, kn->in_pixel));
    sum = emit_fadd(e, sum, cuda_map_load(kn, KERNEL_ARG_IN, p));
    loop_end(e, &l, &sum);
    sum = cuda_block_sum(kn, &sum, 1);
    If mine;
    if_begin(e, &mine, cuda_and(kn, there, cuda_inside(kn, kn->thread, VECTORS)));
    cuda_finish(kn, emit_fmul(e, sum, emit_real(e->vec, 1.0 / (double)pixels)), s);
    if_end(e, &mine);
    return true;
}
