/* Vectors as operands of matrix units. */
#ifndef CNNC_CUDA_ROUND_H
#define CNNC_CUDA_ROUND_H
#include "codegen/cuda/kern.h"

/* Stores four floats, rounded to d (TF32, BF16), at p: 16 or 8 bytes, aligned so. */
void cuda_store_rounded(const CudaKern *kn, Dtype d, LLVMValueRef v, LLVMValueRef p);
/* Four floats rounded to bf16, as floats. */
LLVMValueRef cuda_as_bf16(const CudaKern *kn, LLVMValueRef v);
/* p, `bytes` further. */
LLVMValueRef cuda_bytes(const CudaKern *kn, LLVMValueRef p, LLVMValueRef bytes);
LLVMValueRef cuda_xor(const CudaKern *kn, LLVMValueRef a, LLVMValueRef b);
#endif
