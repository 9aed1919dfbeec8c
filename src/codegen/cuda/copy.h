/* A copy's thread: what copies and their gradients share. */
#ifndef CNNC_CUDA_COPY_H
#define CNNC_CUDA_COPY_H
#include "codegen/cuda/kern.h"

/* The input's image, and the thread's place. */
typedef struct Copy {
    CudaKern *kn;
    Emit *e;
    const Kernel *k;
    LLVMValueRef in, y, x;
    Spot s;
} Copy;

/* The vector of the thread's channels at position (y, x) of the input. */
LLVMValueRef copy_load(const Copy *c, LLVMValueRef y, LLVMValueRef x);
/* Channel `chan` at position `pixel` of the input, of any layout. */
LLVMValueRef copy_float_at(const Copy *c, LLVMValueRef chan, LLVMValueRef pixel);
/* The two source lines of output line i when enlarging `size` lines by `by`, and the weight of the
 * second. */
void copy_between(const Copy *c, LLVMValueRef i, int64_t by, int64_t size, LLVMValueRef line[2],
                  LLVMValueRef *part);
/* Where channel `chan` of the output comes from; zero unless *there, which may be narrowed. */
typedef LLVMValueRef CopySource(const Copy *c, LLVMValueRef chan, LLVMValueRef *there);
/* Gradients; copy_dx.c */
CopySource copy_among_zeros, copy_joined;
LLVMValueRef copy_nearest_dx(const Copy *c);
LLVMValueRef copy_bilinear_dx(const Copy *c);
#endif
