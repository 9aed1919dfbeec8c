/* What the two halves of the gradient of a convolution's weights share: conv_dw.c sums, into
 * scratch, conv_dw_store.c brings the sums of a unit into plain order. */
#ifndef CNNC_CONV_DW_H
#define CNNC_CONV_DW_H
#include "codegen/cpu/sweep.h"

typedef struct ConvDw {
    Kern *kn;
    Emit *e;
    const Kernel *k;
    Sweep s;
    int64_t vl, lanes, lane_step; /* channels of a block of x, and floats between them */
    int64_t x_block, dy_block;    /* floats from one block to the next */
    int64_t blocks;               /* of x that a channel tile meets */
    int64_t taps;                 /* of a unit, per channel of x, at most */
    int64_t plane;                /* floats of scratch per vector of dy */
    int64_t per_out, per_in;      /* channels of a group */
    LLVMValueRef first_blocks;    /* by channel tile; NULL: all tiles start at block 0 */
} ConvDw;

/* A unit at work. */
typedef struct DwUnit {
    LLVMValueRef tile, tiles;   /* channel tiles: the first, and the end */
    LLVMValueRef block, blocks; /* blocks of x: the first, and how many */
    LLVMValueRef row, rows;     /* window rows: the first, and how many */
} DwUnit;

/* The unit's sums, [vector][x channel][window row][window column][lane], to the output. */
void conv_dw_store(const ConvDw *c, const DwUnit *u);
#endif
