/* The left matrix of a convolution as a product, which is never made: its rows are the output
 * positions of all images, its columns the taps of the window with the input channels of a group,
 * a vector of them at a time. */
#ifndef CNNC_CUDA_PATCH_H
#define CNNC_CUDA_PATCH_H
#include "codegen/cuda/window.h"

typedef struct Patches {
    CudaKern *kn;
    Axis rows, columns;
    int width;            /* channels of a vector */
    int64_t per_tap, all; /* vectors: of a tap, of a row */
    LLVMValueRef group;
    LLVMValueRef total; /* rows: positions of the batch */
} Patches;

/* A position whose inputs this thread reads. */
typedef struct PatchRow {
    LLVMValueRef in;   /* where its window begins (transposed: its image), in its group */
    LLVMValueRef y, x; /* of the window */
    LLVMValueRef gate;
} PatchRow;

/* The tap that a vector of a row belongs to, and its first channel in the group. */
typedef struct PatchTap {
    LLVMValueRef y, x, chan;
} PatchTap;

/* A vector that was asked for. What is not there becomes 0, and gates are read and applied, only
 * when it has arrived: until then nothing has to wait for it. */
typedef struct PatchLoad {
    LLVMValueRef v, valid, gate; /* valid NULL: always; gate: where it is, NULL: none */
} PatchLoad;

void patches_open(Patches *p, CudaKern *kn, LLVMValueRef group, int width);
/* The image and position of row i. */
Spot patches_spot(const Patches *p, LLVMValueRef i);
/* Row i; past the last one, the first, and nothing made of it may be stored. */
PatchRow patches_row(const Patches *p, LLVMValueRef i);
PatchTap patches_tap(const Patches *p, LLVMValueRef vector);
/* Where the vector of row r at tap t lies; *inside: whether it is in the map (NULL: always). */
LLVMValueRef patches_at(const Patches *p, const PatchRow *r, const PatchTap *t,
                        LLVMValueRef *inside);
/* The vector there, of vl channels; `among`: whether t is a tap at all (NULL: it is). */
PatchLoad patches_load(const Patches *p, const PatchRow *r, const PatchTap *t, LLVMValueRef among);
/* Any vector at p; `base` is read in its place where it is not valid. */
PatchLoad patch_load(const CudaKern *kn, LLVMValueRef valid, LLVMValueRef p, LLVMValueRef base);
LLVMValueRef patch_arrived(const CudaKern *kn, const PatchLoad *l);
#endif
