/* Elementary functions on floats, scalar or vector, as straight-line code: no calls, no tables in
 * memory, the same bits on every lane and every machine with the same multiply-add and as wide
 * vectors. */
#ifndef CNNC_CODEGEN_MATH_H
#define CNNC_CODEGEN_MATH_H
#include "codegen/llvm/emit.h"

/* e^x within 2 ulp for -87.3 <= x <= 88.3; outside, the value at the nearer end (about 1e-38 and
 * 2.3e38) rather than zero and infinity. On GPUs with the error of
 * the power unit (2^-22) and two roundings. */
LLVMValueRef math_exp(Emit *e, LLVMValueRef x);
/* Natural logarithm of positive normal numbers, within 1.1 ulp. */
LLVMValueRef math_log(Emit *e, LLVMValueRef x);
/* log(1 + x) for 0 <= x < 1e38, within 3 ulp however small x is. */
LLVMValueRef math_log1p(Emit *e, LLVMValueRef x);
/* Relative error below 5e-7 everywhere. */
LLVMValueRef math_tanh(Emit *e, LLVMValueRef x);
/* Relative error below 5e-7; 1 from 3.86 on. */
LLVMValueRef math_erf(Emit *e, LLVMValueRef x);
/* times / (1 + e^-x), by a table where emit_lookup_bits, the relative error of the quotient below
 * 5e-7 for x > -87; below that it goes on falling or stays. */
LLVMValueRef math_logistic(Emit *e, LLVMValueRef times, LLVMValueRef x);
#endif
