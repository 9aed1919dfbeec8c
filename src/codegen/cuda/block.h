/* What a block of a contraction has made, positions by output channels: through the epilogue to
 * memory and, where the kernel has such sums, over its positions to a line of partial sums, which
 * another kernel adds up (FAM_SUMS with a `part`). */
#ifndef CNNC_CUDA_BLOCK_H
#define CNNC_CUDA_BLOCK_H
#include "codegen/cuda/patch.h"

enum { BLOCK_ROWS = 8, BLOCK_COLUMNS = 16, BLOCK_VECTORS = 32 };

typedef struct BlockTile {
    CudaKern *kn;
    const Patches *left;
    int64_t per_out, stored; /* channels of a group; as many as are stored, whole vectors */
    LLVMValueRef first_row, first_column; /* of the block; the column in its group */
    /* What a thread has: rows x columns vectors, v[r * columns + c], of position row + row_at[r] of
     * the batch and the channels from column + column_at[c] of the block on. */
    LLVMValueRef row, column;
    int rows, columns, row_at[BLOCK_ROWS], column_at[BLOCK_COLUMNS];
    LLVMValueRef v[BLOCK_VECTORS];
    /* For sums. Lanes of a warp that are a multiple of `apart` apart have the same columns; `lines`
     * warps have them, of which this thread's is number `line`; shared memory, of `launch.shared`
     * bytes, which nothing is on its way to. */
    int apart, lines;
    LLVMValueRef line, shared;
} BlockTile;

void block_finish(const BlockTile *t);
#endif
