/* What is NVPTX's own: kernels and their launch bounds, address spaces, special registers,
 * barriers, shuffles. The one place that knows how LLVM spells them. */
#ifndef CNNC_NVPTX_H
#define CNNC_NVPTX_H
#include "codegen/llvm/emit.h"

enum { NVPTX_GLOBAL = 1, NVPTX_SHARED = 3, NVPTX_WARP = 32 };

LLVMTypeRef nvptx_pointer(Emit *e, int space);
/* Starts a kernel for blocks of at most `threads`, of which `blocks` shall fit a multiprocessor. */
LLVMValueRef nvptx_kernel(Emit *e, const char *name, LLVMTypeRef *params, unsigned count,
                          int threads, int blocks);
/* Pointer parameter i is aligned to `align` bytes; read-only ones that nothing else of the kernel
 * writes through are loaded past the first-level cache's coherence. */
void nvptx_param(Emit *e, LLVMValueRef fn, unsigned i, unsigned align, bool read_only);
/* Parameter i, a pointer, is to `bytes` of the launch's own that nothing writes, aligned so. */
void nvptx_param_constant(Emit *e, LLVMValueRef fn, unsigned i, unsigned bytes, unsigned align);
/* Shared memory of the function under construction, all that it has: `floats` of it, aligned to a
 * line of banks. What is more than kernels can declare is asked for at the launch (launch_shared).
 */
LLVMValueRef nvptx_shared(Emit *e, int64_t floats);
/* An i32: "tid.x", "ctaid.y", ... */
LLVMValueRef nvptx_register(Emit *e, const char *name);
/* The loop whose last block this is stays one: ptxas unrolls others and hoists their loads until
 * registers run out. */
void nvptx_keep_rolled(Emit *e, LLVMBasicBlockRef latch);
/* Statements that LLVM has no intrinsic for, of at most NVPTX_OPERANDS operands. They have effects,
 * and the threads of a warp that are together stay so. */
enum { NVPTX_OPERANDS = 136 };
LLVMValueRef nvptx_assembly(Emit *e, LLVMTypeRef result, const char *code, const char *constraints,
                            LLVMValueRef *args, unsigned count);
/* All threads of the block. */
void nvptx_barrier(Emit *e);
/* The float of lane (own XOR `lanes`); all lanes of the warp take part. */
LLVMValueRef nvptx_shuffle_xor(Emit *e, LLVMValueRef v, int lanes);
#endif
