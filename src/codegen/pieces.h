/* Kernels and the model of a plan as object files, made in parallel. */
#ifndef CNNC_PIECES_H
#define CNNC_PIECES_H
#include "codegen/codegen.h"

/* `wrappers`: the model object also holds the exported functions that call the runtime. The bytes
 * depend on the plan and the options alone, not on the number of threads. */
bool pieces_objects(const Plan *p, const EmitOptions *o, bool wrappers, EmitResult *out, char *err,
                    size_t err_len);
/* Everything as one module of text: EMIT_LLVM_IR or EMIT_ASM. */
bool pieces_text(const Plan *p, EmitKind kind, const EmitOptions *o, EmitResult *out, char *err,
                 size_t err_len);
void pieces_free(EmitResult *r);
#endif
