/* An expression over equal maps, channel vectors and gates: a thread per vector. */
#include "codegen/cuda/kern.h"

bool cuda_elem(CudaKern *kn)
{
    Emit *e = kn->e;
    If guard;
    Spot s = cuda_spot(kn, cuda_item(kn, &guard), map_blocks(kn->k->out, e->vl));
    LLVMValueRef v = NULL;
    if (kn->code.uses[0] && !kn->in)
        return emit_fail(e, "an expression names an input that is not there");
    if (kn->code.uses[0]) {
        LLVMValueRef at = emit_add(e, emit_mul(e, s.pixel, kn->in_pixel), s.chan);
        LLVMValueRef p = cuda_map_image(kn, KERNEL_ARG_IN, s.image);
        v = cuda_map_load(kn, KERNEL_ARG_IN, cuda_map_at(kn, KERNEL_ARG_IN, p, at));
    }
    cuda_finish(kn, v, s);
    if_end(e, &guard);
    return true;
}
