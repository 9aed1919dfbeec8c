/* The gradient of a convolution's weights, of one part of the batch: the sum over positions of dy
 * times x, for output by input channels of a tap. */
#ifndef CNNC_CUDA_CONV_DW_H
#define CNNC_CUDA_CONV_DW_H
#include "codegen/cuda/window.h"

typedef struct ConvDw {
    CudaKern *kn;
    Emit *e;
    const Kernel *k;
    Axis rows, columns;
    int64_t per_out, per_in, taps, dy_pixel; /* channels of a group; floats between positions */
    LLVMValueRef group, ky, kx, tap, slice;
    LLVMValueRef lo, hi;           /* positions of the part */
    LLVMValueRef first_o, first_i; /* of the block, in the group */
} ConvDw;

/* A vector of dy or x that may not be there; then something else that can be read is at p. */
typedef struct DwLoad {
    LLVMValueRef v, valid;
} DwLoad;

/* Where a piece of dy or x lies; without `valid` it is not there, and nothing of it may be read. */
typedef struct DwPlace {
    LLVMValueRef p, valid;
} DwPlace;

/* The block's place: a tile of m by n channels. */
void cuda_dw_open(ConvDw *c, int64_t m, int64_t n);
/* Where channel `at` of the block's tile is, of position i: of dy and, under the block's tap, of x.
 */
void cuda_dw_find(const ConvDw *c, LLVMValueRef i, LLVMValueRef at, DwPlace *dy, DwPlace *x);
/* The vectors at channel 4 * column of the block's tile, of position i: of dy and, under the
 * block's tap, of x. */
void cuda_dw_load(const ConvDw *c, LLVMValueRef i, LLVMValueRef column, DwLoad *dy, DwLoad *x);
LLVMValueRef cuda_dw_arrived(const ConvDw *c, const DwLoad *l);
/* Stores the sum of output and input channel o, i of the block's tile, if there are such. */
void cuda_dw_store(const ConvDw *c, LLVMValueRef o, LLVMValueRef i, LLVMValueRef sum);
/* conv_dw_mma.c */
bool cuda_conv_dw_mma(ConvDw *c);
#endif
