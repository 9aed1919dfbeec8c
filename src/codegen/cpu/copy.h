/* What copies of single channels share. */
#ifndef CNNC_COPY_H
#define CNNC_COPY_H
#include "codegen/cpu/kern.h"

/* The pixel of the input that pixel p of channel c of the output comes from. */
typedef LLVMValueRef CopySource(Kern *kn, LLVMValueRef p, LLVMValueRef c);

/* for every pixel p of the output: out(c, p) = in(from, source(p)), whatever the layouts. */
void copy_channel(Kern *kn, LLVMValueRef c, LLVMValueRef from, CopySource *source);
/* Every pixel has its own place. */
LLVMValueRef copy_same_pixel(Kern *kn, LLVMValueRef p, LLVMValueRef c);
/* Zeros in channels [c, end) of the output, or in lanes of its last block. */
void copy_clear(Kern *kn, LLVMValueRef c, LLVMValueRef end);

/* The kinds of copy_dx.c. */
bool copy_dx(Kern *kn);
#endif
