/* Map operands in memory: where their elements lie, and loads and stores of them, which are floats
 * in registers whatever they are in memory. */
#include "codegen/cuda/round.h"
#include "codegen/llvm/nvptx_matrix.h"

static LLVMTypeRef half_type(const CudaKern *kn)
{
    return LLVMInt16TypeInContext(kn->e->ctx);
}

LLVMValueRef cuda_map(const CudaKern *kn, int arg)
{
    return arg == KERNEL_ARG_OUT  ? kn->out
           : arg == KERNEL_ARG_IN ? kn->in
                                  : kn->extra[arg - KERNEL_ARG_EXTRA];
}

LLVMValueRef cuda_map_at(const CudaKern *kn, int arg, LLVMValueRef p, LLVMValueRef off)
{
    if (!cuda_is_narrow(kn->k, arg))
        return emit_at(kn->e, p, off);
    return LLVMBuildGEP2(kn->e->b, half_type(kn), p, &off, 1, "");
}

LLVMValueRef cuda_map_image(const CudaKern *kn, int arg, LLVMValueRef image)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t step = arg == KERNEL_ARG_OUT  ? k->out_step
                   : arg == KERNEL_ARG_IN ? k->in_step
                                          : k->extra_step[arg - KERNEL_ARG_EXTRA];
    LLVMValueRef p = cuda_map(kn, arg);
    if (step == 0)
        return p;
    image = LLVMBuildSExt(e->b, image, e->i64, "");
    return cuda_map_at(kn, arg, p, emit_mul(e, image, step));
}

LLVMValueRef cuda_place(const CudaKern *kn, int arg, int64_t pixel, Spot s)
{
    Emit *e = kn->e;
    LLVMValueRef at = pixel == 0 ? s.chan : emit_add(e, emit_mul(e, s.pixel, pixel), s.chan);
    return cuda_map_at(kn, arg, cuda_map_image(kn, arg, s.image), at);
}

LLVMValueRef cuda_map_load_as(const CudaKern *kn, int arg, LLVMTypeRef type, LLVMValueRef p)
{
    Emit *e = kn->e;
    LLVMTypeRef half = half_type(kn), word = emit_int_type(e, type);
    bool one = type == e->f32;
    if (!cuda_is_narrow(kn->k, arg))
        return one ? emit_load(e, type, p) : cuda_load(kn, p);
    LLVMValueRef v =
        LLVMBuildLoad2(e->b, one ? half : LLVMVectorType(half, (unsigned)e->vl), p, "");
    LLVMSetAlignment(v, one ? 2 : 2 * (unsigned)e->vl);
    v = LLVMBuildZExt(e->b, v, word, ""); /* the upper half of a float */
    return LLVMBuildBitCast(e->b, LLVMBuildShl(e->b, v, emit_bits(word, 16), ""), type, "");
}

LLVMValueRef cuda_map_load(const CudaKern *kn, int arg, LLVMValueRef p)
{
    return cuda_map_load_as(kn, arg, kn->e->vec, p);
}

LLVMValueRef cuda_map_load_if(const CudaKern *kn, int arg, LLVMTypeRef type, LLVMValueRef valid,
                              LLVMValueRef p, LLVMValueRef base, double other)
{
    if (!valid)
        return cuda_map_load_as(kn, arg, type, p);
    LLVMValueRef v = cuda_map_load_as(kn, arg, type, emit_select(kn->e, valid, p, base));
    return emit_select(kn->e, valid, v, emit_real(type, other));
}

LLVMValueRef cuda_extra_map(const CudaKern *kn, int i, Spot s)
{
    const Kernel *k = kn->k;
    int arg = KERNEL_ARG_EXTRA + i;
    bool sums = k->family == FAM_SUMS || k->family == FAM_LN_DW;
    int64_t pixel = map_pixel(sums ? k->in : k->out, kn->e->vl, k->extra_pixel[i]);
    return cuda_map_load(kn, arg, cuda_place(kn, arg, pixel, s));
}

void cuda_map_store(const CudaKern *kn, LLVMValueRef v, LLVMValueRef p)
{
    Emit *e = kn->e;
    bool one = LLVMTypeOf(v) == e->f32;
    if (!cuda_is_narrow(kn->k, KERNEL_ARG_OUT)) {
        LLVMSetAlignment(LLVMBuildStore(e->b, v, p), one ? 4 : 16);
    } else if (one) {
        LLVMValueRef word = nvptx_round_bf16(e, v, v);
        word = LLVMBuildTrunc(e->b, word, half_type(kn), "");
        LLVMSetAlignment(LLVMBuildStore(e->b, word, p), 2);
    } else {
        cuda_store_rounded(kn, DTYPE_BF16, v, p);
    }
}
