/* Local response norm: x / (k + alpha / n * sum of squares over n neighbouring channels) ^ beta. A
 * thread per vector, which reads its neighbours. */
#include "codegen/cuda/kern.h"
#include "codegen/llvm/math.h"

/* The square of channel chan + offset, 0 outside of the map. */
static LLVMValueRef square(CudaKern *kn, LLVMValueRef in, LLVMValueRef chan, int64_t offset)
{
    Emit *e = kn->e;
    LLVMValueRef c = emit_add(e, chan, cuda_int(kn, offset));
    LLVMValueRef v = cuda_map_load_if(kn, KERNEL_ARG_IN, e->f32, cuda_inside(kn, c, kn->k->in.c),
                                      cuda_map_at(kn, KERNEL_ARG_IN, in, c), in, 0);
    return emit_fmul(e, v, v);
}

bool cuda_lrn(CudaKern *kn)
{
    enum { MOST = 64 };
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    If guard;
    if (k->lrn_size < 1 || k->lrn_size > MOST)
        return emit_fail(e, "local response norm over %lld channels", (long long)k->lrn_size);
    Spot s = cuda_spot(kn, cuda_item(kn, &guard), map_blocks(k->out, e->vl));
    LLVMValueRef in = cuda_map_image(kn, KERNEL_ARG_IN, s.image);
    in = cuda_map_at(kn, KERNEL_ARG_IN, in, emit_mul(e, s.pixel, kn->in_pixel));
    LLVMValueRef squares[MOST + 4] = {0}, sums = LLVMGetPoison(e->vec);
    for (int64_t i = 0; i < k->lrn_size + e->vl - 1; i++)
        squares[i] = square(kn, in, s.chan, i - k->lrn_size / 2);
    for (int lane = 0; lane < e->vl; lane++) {
        LLVMValueRef sum = squares[lane];
        for (int64_t i = 1; i < k->lrn_size; i++)
            sum = emit_fadd(e, sum, squares[lane + i]);
        sums = emit_set_lane(e, sums, sum, lane);
    }
    LLVMValueRef scale = emit_fma(e, sums, emit_real(e->vec, k->alpha / (double)k->lrn_size),
                                  emit_real(e->vec, k->bias_k));
    LLVMValueRef power = emit_fmul(e, math_log(e, scale), emit_real(e->vec, -k->beta));
    LLVMValueRef v = cuda_map_load(kn, KERNEL_ARG_IN, cuda_map_at(kn, KERNEL_ARG_IN, in, s.chan));
    cuda_finish(kn, emit_fmul(e, v, math_exp(e, power)), s);
    if_end(e, &guard);
    return true;
}
