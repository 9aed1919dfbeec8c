/* What the two halves of the direct convolution share: conv.c sets the geometry up and walks units,
 * conv_direct.c emits the register tiles. */
#ifndef CNNC_CONV_H
#define CNNC_CONV_H
#include "codegen/cpu/kern.h"
#include "codegen/cpu/window.h"

typedef struct Conv {
    Kern *kn;
    Emit *e;
    Kernel k;
    int vl, ocv, px;
    bool flat;          /* pointwise: pixels are independent, rows do not matter */
    bool scatter;       /* the output is planar */
    int64_t lanes, blk; /* channels of an input block; floats of one of its pixels */
    int64_t row, plane; /* floats from one input row, one input block, to the next */
    int64_t out_pixels;
    int64_t icb; /* input blocks one output channel sees */
    int tail;    /* channels of the last input block when it is emitted apart */
    int64_t kc, chunks;
    int64_t all, rb;           /* rows (flat: pixels), and those of a unit */
    int64_t whole_tiles;       /* channel tiles of ocv full vectors */
    int last_ocv;              /* vectors of the odd tile after them; 0 = none */
    bool half;                 /* the last of which has no channels past its lower half */
    LLVMValueRef first_blocks; /* by channel tile; NULL: all tiles start at block 0 */
    LLVMValueRef w;            /* packed weights, perhaps gated */
    LLVMValueRef ahead;        /* in the frame: where the next lines to fetch are; NULL: none */
    LLVMValueRef zeros, stack;
} Conv;

/* The input, and the rows or pixels [begin, end) to compute from it. */
typedef struct ConvBlock {
    LLVMValueRef in, begin, end;
    LLVMValueRef origin; /* flat: the pixel at `in` */
} ConvBlock;

/* Channel tiles [t0, t1) over one block. */
void conv_channel_tiles(Conv *c, LLVMValueRef t0, LLVMValueRef t1, const ConvBlock *b);
/* Where fetching ahead goes on in a unit. */
void conv_fetch_from(Conv *c, LLVMValueRef unit);
/* Decides whether finished tiles pass through the frame; call in the entry block. */
void conv_init_stack(Conv *c);

/* Grouped convolutions: the first input block of every channel tile, as a constant table, and its
 * entry for one tile. NULL when memory runs out. */
LLVMValueRef conv_first_blocks(Emit *e, const Kernel *k);
LLVMValueRef conv_first_block(Emit *e, LLVMValueRef table, LLVMValueRef tile);

/* The code of a pointwise convolution over one row of blocked pixels: flat, without bias, chunks or
 * epilogue. What kn->k points to is read while emitting only. */
void conv_pointwise(Kern *kn, LLVMValueRef t0, LLVMValueRef t1);
/* Kernels whose tile says so (tile.winograd). */
bool conv_winograd(Kern *kn);
#endif
