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
        LLVMValueRef p = cuda_image(kn, kn->in, s.image, kn->k->in_step);
        v = cuda_load(kn, emit_at(e, p, emit_add(e, emit_mul(e, s.pixel, kn->in_pixel), s.chan)));
    }
    cuda_finish(kn, v, s);
    if_end(e, &guard);
    return true;
}
