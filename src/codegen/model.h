/* The constant CnnrtModel of a plan (include/cnnrt.h) and the functions around it. */
#ifndef CNNC_CODEGEN_MODEL_H
#define CNNC_CODEGEN_MODEL_H
#include "codegen/codegen.h"
#include "codegen/llvm/emit.h"

/* Adds to the module: the model and `const CnnrtModel *<prefix>_model(void)`; with `wrappers`, the
 * functions of a built network too (wrappers.h). Of a variant (EmitOptions.variant) the model is
 * the hidden constant <prefix>_model, and there are no functions. Kernels are declared as
 * <prefix>_k<index> unless the module defines them already. Embedded weights are the symbol
 * <prefix>_weights of another object; `whole`: there is no other object.
 * Of a training plan the functions are those of a trainer (cnnrt_trainer_..., and save and load of
 * cnntrain), and the model refers to <inference>_model for the network without training. */
bool model_emit(Emit *e, const Plan *p, const EmitOptions *o, bool wrappers, bool whole);
#endif
