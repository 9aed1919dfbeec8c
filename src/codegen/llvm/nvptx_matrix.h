/* Matrix units of warps (mma.sync), and what brings operands to them: asynchronous copies to shared
 * memory and reads of small matrices. From sm_80 on.
 *
 * Of lane l, with g = l / 4 and q = l % 4, the operands of one instruction are
 *   A, 16 by 32 bytes: four words, of row g + 8 * (word % 2), bytes 16 * (word / 2) + 4 * q
 *   B, 32 bytes by 8:  two words, of column g, bytes 16 * word + 4 * q
 *   sums, 16 by 8:     four floats, of row g + 8 * (i / 2), column 2 * q + i % 2 */
#ifndef CNNC_NVPTX_MATRIX_H
#define CNNC_NVPTX_MATRIX_H
#include "codegen/llvm/nvptx.h"

enum { NVPTX_COPY = 16 /* bytes of one asynchronous copy */ };

/* Copies 16 bytes from global to shared memory, both aligned so; where `valid` (NULL: always) does
 * not hold nothing is read, and zeros are written. */
void nvptx_copy(Emit *e, LLVMValueRef to, LLVMValueRef from, LLVMValueRef valid);
/* The copies since the last call are a group; waits until all but the last `groups` of them have
 * landed, for this thread. */
void nvptx_copy_close(Emit *e);
void nvptx_copy_wait(Emit *e, int groups);
/* Four matrices of 8 rows of 16 bytes: lane 8 * m + r has the address of row r of matrix m, and
 * gets of matrix m the word of row g, bytes 4 * q. Turned, of elements of 16 bits: rows 2 * q and
 * 2 * q + 1 of column g. */
void nvptx_read_matrices(Emit *e, LLVMValueRef row, bool turned, LLVMValueRef word[4]);
/* sums += A * B. */
void nvptx_multiply(Emit *e, Dtype d, const LLVMValueRef a[4], const LLVMValueRef b[2],
                    LLVMValueRef sums[4]);
/* A float as an operand of 32 bits: rounded to nearest, halves away from zero. */
LLVMValueRef nvptx_round_tf32(Emit *e, LLVMValueRef v);
/* Two floats as operands of 16 bits, the first in the low half; halves to even. */
LLVMValueRef nvptx_round_bf16(Emit *e, LLVMValueRef low, LLVMValueRef high);
#endif
