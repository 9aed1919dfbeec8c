/* Windows over a map, one axis at a time: where a tap of an output position lies in the input, and
 * whether it does. */
#ifndef CNNC_CUDA_WINDOW_H
#define CNNC_CUDA_WINDOW_H
#include "codegen/cuda/kern.h"

typedef struct Axis {
    int64_t in, out, k, stride, dilation, pad;
    bool turned; /* of a transposed convolution: taps are gathered */
} Axis;

Axis window_rows(const Kernel *k);
Axis window_columns(const Kernel *k);
/* Whether a tap may lie outside. */
bool window_leaves(const Axis *a);
/* What the taps of output position `at` are counted from; may be negative. */
LLVMValueRef window_start(const CudaKern *kn, const Axis *a, LLVMValueRef at);
/* The input position of a tap, which means something where *inside; NULL: always. */
LLVMValueRef window_tap(const CudaKern *kn, const Axis *a, LLVMValueRef start, LLVMValueRef tap,
                        LLVMValueRef *inside);
#endif
