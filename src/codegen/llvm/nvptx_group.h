/* Matrix instructions of warp groups, four warps each (wgmma): sm_90a alone. Both operands are read
 * from shared memory, beside the threads. */
#ifndef CNNC_NVPTX_GROUP_H
#define CNNC_NVPTX_GROUP_H
#include "codegen/llvm/nvptx.h"

enum {
    NVPTX_GROUP = 128 /* threads */,
    NVPTX_GROUP_ROWS = 64,
    NVPTX_GROUP_MOST = 256 /* columns */
};

/* What the threads have written to shared memory can be read by matrix instructions after the next
 * barrier. */
void nvptx_group_publish(Emit *e);
/* Rows of 64 or 128 bytes at p, which is a multiple of eight of them, as an operand: their pieces
 * of 16 bytes are exchanged (xor) by (row / 2) % 4 or row % 8. 32 bytes further in all rows. */
LLVMValueRef nvptx_group_operand(Emit *e, LLVMValueRef p, int row_bytes);
LLVMValueRef nvptx_group_further(Emit *e, LLVMValueRef operand, int bytes);
/* Before the first product of a step, and after its last. */
void nvptx_group_begin(Emit *e);
void nvptx_group_end(Emit *e);
/* Waits for the products of all steps but the last `steps` of them. sums: n / 2 floats, those of
 * eight columns as nvptx_matrix.h has them, of the 16 rows of this warp. */
void nvptx_group_wait(Emit *e, int steps, int n, LLVMValueRef *sums);
/* sums += A * B: 64 rows of A by n of B, of 32 bytes each. */
void nvptx_group_multiply(Emit *e, Dtype d, int n, LLVMValueRef a, LLVMValueRef b,
                          LLVMValueRef *sums);
#endif
