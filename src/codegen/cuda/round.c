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

LLVMValueRef cuda_as_bf16(const CudaKern *kn, LLVMValueRef v)
{
    Emit *e = kn->e;
    LLVMValueRef all = LLVMGetPoison(e->vec);
    for (int i = 0; i < e->vl; i += 2) {
        LLVMValueRef both = nvptx_round_bf16(e, emit_lane(e, v, i), emit_lane(e, v, i + 1));
        LLVMValueRef low = LLVMBuildShl(e->b, both, cuda_int(kn, 16), "");
        LLVMValueRef high = LLVMBuildAnd(e->b, both, cuda_int(kn, ~(int64_t)0xffff), "");
        all = emit_set_lane(e, all, LLVMBuildBitCast(e->b, low, e->f32, ""), i);
        all = emit_set_lane(e, all, LLVMBuildBitCast(e->b, high, e->f32, ""), i + 1);
    }
    return all;
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
