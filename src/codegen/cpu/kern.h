/* One kernel function under construction: its operands and its epilogue. */
#ifndef CNNC_KERN_H
#define CNNC_KERN_H
#include "codegen/llvm/emit.h"
#include "codegen/llvm/loop.h"
#include "codegen/llvm/roots.h"

typedef struct Kern {
    Emit *e;
    const Kernel *k;                        /* strides, dilations and groups at least 1 */
    LLVMValueRef out, in, w, bias, scratch; /* base pointers; absent ones are never used */
    LLVMValueRef extra[KERNEL_MAX_EXTRA];
    LLVMValueRef begin, end; /* units */
    LLVMValueRef run;        /* the CnnrtRun */
    ExprCode code;           /* of k->root */
    LLVMValueRef sum; /* a vector in memory that kern_store_row adds what it stores to; or NULL */
    /* Kernels of several results: the code of each root, and what any of them uses. */
    ExprCode root[KERNEL_MAX_ROOTS];
    bool uses[EXPR_MAX_ARGS];
} Kern;

/* Adds the function `name` for k to the module. False with e->err set when the description cannot
 * be compiled. */
bool kern_emit(Emit *e, const Kernel *k, const char *name);

/* The epilogue's arguments that depend on the channel alone (channel operands and gates), for the
 * vector of channels starting at float `chan`: filled into args. */
void kern_channel_args(Kern *kn, LLVMValueRef chan, LLVMValueRef args[EXPR_MAX_ARGS]);
/* Applies the epilogue to v, which belongs at float `at` of the output, and stores `lanes` of it.
 * args come from kern_channel_args. */
void kern_store(Kern *kn, LLVMValueRef args[EXPR_MAX_ARGS], LLVMValueRef v, LLVMValueRef at,
                int lanes);
/* The same for n whole vectors of one channel block, one after the other in the output: those at
 * `from`, in a loop; those of v. Several go together, instruction by instruction, so that a long
 * epilogue does not wait for itself. */
enum { KERN_GROUP = 2 };
void kern_store_run(Kern *kn, LLVMValueRef args[EXPR_MAX_ARGS], LLVMValueRef from, LLVMValueRef at,
                    int n);
void kern_store_row(Kern *kn, LLVMValueRef args[EXPR_MAX_ARGS], const LLVMValueRef *v,
                    LLVMValueRef at, int n);
/* The same for one float of channel `chan`. */
void kern_store_one(Kern *kn, LLVMValueRef v, LLVMValueRef at, LLVMValueRef chan);

/* Whether the vectors of a channel block lie together in the output: a blocked map, or a planar one
 * of 1 x 1, whose last vector may then be partial. */
bool kern_vectors_out(const Kernel *k);

/* The float at which channel c of pixel p lies, for any layout. */
LLVMValueRef kern_place(Emit *e, MapDesc m, LLVMValueRef c, LLVMValueRef pixel);

/* The items [lo, hi) out of n that units [begin, end) stand for, when family_units cuts the n items
 * in nearly equal parts. */
void kern_items(Kern *kn, int64_t n, LLVMValueRef *lo, LLVMValueRef *hi);

/* The positions [lo, hi) of the units of a kernel whose units are blocks of positions. */
void kern_positions(Kern *kn, LLVMValueRef *lo, LLVMValueRef *hi);

/* Of the run: the batch, an i64. */
LLVMValueRef kern_batch(Kern *kn);

/* Kernels of several results: the arguments of the roots that are one value for the whole kernel
 * (KARG_SCALAR, KARG_HYPER, KARG_COUNT), of the type; the other arguments are left as they are. */
void kern_fixed_args(Kern *kn, LLVMTypeRef type, LLVMValueRef args[EXPR_MAX_ARGS]);
/* All roots of args: every value is computed before any can be stored. */
void kern_roots(Kern *kn, LLVMTypeRef type, const LLVMValueRef args[EXPR_MAX_ARGS],
                LLVMValueRef value[KERNEL_MAX_ROOTS]);
/* Base pointer of the operand that root r is stored to; NULL (with a message) when it has none. */
LLVMValueRef kern_root_target(Kern *kn, int r);

/* One per family. */
bool cpu_conv(Kern *kn);
bool cpu_depthwise(Kern *kn);
bool cpu_dense(Kern *kn);
bool cpu_pool(Kern *kn);
bool cpu_gap(Kern *kn);
bool cpu_elem(Kern *kn);
bool cpu_ln(Kern *kn);
bool cpu_softmax(Kern *kn);
bool cpu_lrn(Kern *kn);
bool cpu_copy(Kern *kn);
bool cpu_convt(Kern *kn);
bool cpu_pack(Kern *kn);
bool cpu_conv_dw(Kern *kn);
bool cpu_depthwise_dw(Kern *kn);
bool cpu_depthwise_dx(Kern *kn);
bool cpu_pool_dx(Kern *kn);
bool cpu_ln_dx(Kern *kn);
bool cpu_ln_dw(Kern *kn);
bool cpu_lrn_dx(Kern *kn);
bool cpu_softmax_dx(Kern *kn);
bool cpu_loss(Kern *kn);
bool cpu_loss_dx(Kern *kn);
bool cpu_mask(Kern *kn);
bool cpu_sums(Kern *kn);
bool cpu_finish(Kern *kn);
bool cpu_flat_sums(Kern *kn);
bool cpu_flat_finish(Kern *kn);
bool cpu_update(Kern *kn);
bool cpu_peak(Kern *kn);
bool cpu_stream(Kern *kn);
#endif
