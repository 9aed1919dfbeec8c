#include "codegen/cuda/round.h"
#include "codegen/llvm/nvptx_matrix.h"

void cuda_store_rounded(const CudaKern *kn, Dtype d, LLVMValueRef v, LLVMValueRef p)
{
    Emit *e = kn->e;
    int words = dtype_info[d].bytes; /* of four operands */
    LLVMValueRef all = LLVMGetPoison(LLVMVectorType(e->i32, (unsigned)words));
    for (int i = 0; i < words; i++) {
        LLVMValueRef word = d == DTYPE_BF16 ? nvptx_round_bf16(e, emit_lane(e, v, 2 * i),
                                                               emit_lane(e, v, 2 * i + 1))
                                            : nvptx_round_tf32(e, emit_lane(e, v, i));
        all = LLVMBuildInsertElement(e->b, all, word, cuda_int(kn, i), "");
    }
    LLVMSetAlignment(LLVMBuildStore(e->b, all, p), 4 * (unsigned)words);
}

LLVMValueRef cuda_bytes(const CudaKern *kn, LLVMValueRef p, LLVMValueRef bytes)
{
    LLVMTypeRef i8 = LLVMInt8TypeInContext(kn->e->ctx);
    return LLVMBuildGEP2(kn->e->b, i8, p, &bytes, 1, "");
}

LLVMValueRef cuda_xor(const CudaKern *kn, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildXor(kn->e->b, a, b, "");
}
