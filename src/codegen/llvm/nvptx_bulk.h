/* Copies in bulk to shared memory, and the barriers there that say when they have come: sm_90 and
 * later. A barrier has phases, one after another: a phase is over when one thread has arrived and
 * all bytes that it announced have come; waiting is for the phase of a parity, the first one's is
 * 0. */
#ifndef CNNC_NVPTX_BULK_H
#define CNNC_NVPTX_BULK_H
#include "codegen/llvm/nvptx.h"

enum { NVPTX_PHASES = 8 /* bytes of a barrier, aligned so */ };

/* One thread opens the `count` barriers that lie at p; others may wait after the next barrier of
 * the block. */
void nvptx_phases_open(Emit *e, LLVMValueRef p, int count);
/* Arrives at the barrier, for one thread, and announces so many bytes. */
void nvptx_phase_expect(Emit *e, LLVMValueRef barrier, int64_t bytes);
/* Waits, for any thread, until a phase of that parity (i32) is over; what was copied can be read.
 */
void nvptx_phase_wait(Emit *e, LLVMValueRef barrier, LLVMValueRef parity);
/* Copies `bytes`, a multiple of 16, from global to shared memory, both aligned to 16, for one
 * thread; they count at the barrier. */
void nvptx_bulk(Emit *e, LLVMValueRef to, LLVMValueRef from, int64_t bytes, LLVMValueRef barrier);
/* The same of a box of a tensor, from column and row (i32) on, as the tensor map in a parameter
 * says (nvptx_param_constant). */
enum { NVPTX_TENSOR = 128 /* bytes of a map */, NVPTX_TENSOR_ALIGN = 64 };
void nvptx_bulk_box(Emit *e, LLVMValueRef to, LLVMValueRef map, LLVMValueRef column,
                    LLVMValueRef row, LLVMValueRef barrier);
#endif
