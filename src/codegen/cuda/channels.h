/* Kernels over the channels of each position: a warp per position, whose lanes take vectors in
 * turn. */
#ifndef CNNC_CUDA_CHANNELS_H
#define CNNC_CUDA_CHANNELS_H
#include "codegen/cuda/kern.h"

typedef struct Channels {
    CudaKern *kn;
    Emit *e;
    LLVMValueRef in; /* of the position */
    LLVMValueRef lane;
    Spot spot; /* chan: of the vector at hand */
    If guard;
} Channels;

/* A vector as it enters a sum, from its value. ctx is the caller's. */
typedef LLVMValueRef ChannelsValue(Channels *c, LLVMValueRef v, const void *ctx);

/* The same without a guard, of a position that is given; in is set. */
void channels_at(Channels *c, CudaKern *kn, LLVMValueRef image, LLVMValueRef pixel);
/* What follows, up to channels_close, is for warps that have a position. */
void channels_open(Channels *c, CudaKern *kn);
void channels_close(Channels *c);
/* The sum, or maximum, of value(v) over all channels; value NULL: of v itself. */
LLVMValueRef channels_sum(Channels *c, ChannelsValue *value, const void *ctx);
LLVMValueRef channels_max(Channels *c);
/* Stores value(v) of every vector through the epilogue. */
void channels_store(Channels *c, ChannelsValue *value, const void *ctx);
#endif
