/* What the expressions of a kernel mean on any target: their code, the operands that are one value
 * for the whole kernel, where results go. */
#ifndef CNNC_ROOTS_H
#define CNNC_ROOTS_H
#include "codegen/llvm/expr_emit.h"

/* The kernel with strides, dilations, groups and windows of at least 1: families without windows
 * leave them zero. */
Kernel roots_normal(const Kernel *k);

/* The code of the epilogue and of every root, and what any root uses. False with e->err set when an
 * expression names an operand that the kernel does not have. */
bool roots_read(Emit *e, const Kernel *k, ExprCode *code, ExprCode root[KERNEL_MAX_ROOTS],
                bool uses[EXPR_MAX_ARGS]);

/* Operands of a kernel of several results: base pointers, NULL when absent; batch: an i64. */
typedef struct RootOperands {
    LLVMValueRef out, in, run, batch;
    const LLVMValueRef *extra;
} RootOperands;

/* The arguments that are one value for the whole kernel (KARG_SCALAR, KARG_HYPER, KARG_COUNT), of
 * the type; the other arguments are left as they are. */
void roots_fixed_args(Emit *e, const Kernel *k, const bool *uses, RootOperands from,
                      LLVMTypeRef type, LLVMValueRef args[EXPR_MAX_ARGS]);
/* All roots of args: every value is computed before any can be stored. */
void roots_values(Emit *e, const Kernel *k, const bool *uses, const ExprCode *root,
                  LLVMTypeRef type, const LLVMValueRef args[EXPR_MAX_ARGS],
                  LLVMValueRef value[KERNEL_MAX_ROOTS]);
/* Base pointer of the operand that root r is stored to; NULL (with a message) when there is none.
 */
LLVMValueRef roots_target(Emit *e, const Kernel *k, RootOperands to, int r);
#endif
