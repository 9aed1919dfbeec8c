/* Matrix times vectors: a block makes 32 outputs of a few images; threads that are eight apart take
 * parts of the reduction, so that every weight is read once per block. */
#include "codegen/cuda/kern.h"

enum { VECTORS = 8, MOST_IMAGES = 8 };

bool cuda_dense(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int images = k->tile.cuda.tm;
    int64_t inputs = map_floats(k->in, e->vl), oc = map_pixel(k->out, e->vl, 0);
    if (images < 1 || images > MOST_IMAGES || k->tile.cuda.n != VECTORS * e->vl ||
        (k->in_pixel != 0 && k->in.h * k->in.w > 1))
        return emit_fail(e, "a dense kernel of %d images", images);
    LLVMValueRef lane, slice = cuda_split(kn, kn->thread, VECTORS, &lane);
    LLVMValueRef first = emit_mul(e, kn->row, k->tile.cuda.n);
    LLVMValueRef chan = emit_add(e, first, emit_mul(e, lane, e->vl));
    LLVMValueRef there = cuda_inside(kn, chan, oc);
    LLVMValueRef w = emit_at(e, kn->w, emit_select(e, there, chan, cuda_int(kn, 0)));
    LLVMValueRef image0 = emit_mul(e, kn->block, images),
                 last = emit_sub(e, kn->batch, cuda_int(kn, 1));
    LLVMValueRef in[MOST_IMAGES], acc[MOST_IMAGES];
    for (int i = 0; i < images; i++) { /* past the batch: its last image again */
        LLVMValueRef image = emit_imin(e, emit_add(e, image0, cuda_int(kn, i)), last);
        in[i] = cuda_image(kn, kn->in, image, k->in_step);
        acc[i] = emit_real(e->vec, 0);
    }
    Loop l;
    int step = kn->launch.threads / VECTORS;
    loop_begin(e, &l, slice, cuda_int(kn, inputs), step, false, images, acc);
    LLVMValueRef row = cuda_load(kn, emit_at(e, w, emit_mul(e, l.iv, oc)));
    for (int i = 0; i < images; i++)
        acc[i] = emit_fma(e, emit_load_splat(e, emit_at(e, in[i], l.iv)), row, acc[i]);
    loop_end(e, &l, acc);
    LLVMValueRef sum = cuda_block_sum(kn, acc, images);
    Spot s = {.image = emit_add(e, image0, slice), .pixel = cuda_int(kn, 0), .chan = chan};
    LLVMValueRef mine = cuda_and(kn, there, cuda_inside(kn, kn->thread, (int64_t)VECTORS * images));
    If store;
    if_begin(e, &store, cuda_and(kn, mine, emit_less(e, s.image, kn->batch)));
    cuda_finish(kn, emit_fadd(e, sum, cuda_bias(kn, chan)), s);
    if_end(e, &store);
    return true;
}
