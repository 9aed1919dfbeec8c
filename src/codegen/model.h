/* The constant CnnrtModel of a plan (include/cnnrt.h) and the functions around it. */
#ifndef CNNC_CODEGEN_MODEL_H
#define CNNC_CODEGEN_MODEL_H
#include "codegen/codegen.h"
#include "codegen/llvm/emit.h"

/* Adds to the module: the model and `const CnnrtModel *<prefix>_model(void)`; with `wrappers`, the
 * functions of a built model too, each calling its counterpart of the runtime:
 *   size_t <prefix>_workspace_size(int batch, int threads)
 *   int <prefix>_weights_map(const char *path, const float **out)
 *   void <prefix>_weights_unmap(const float *weights)
 *   int <prefix>_create(CnnrtContext **out, const float *weights, int threads, void *workspace,
 *                       size_t workspace_len)
 *   int <prefix>_run(CnnrtContext *c, int batch, const float *const *in, float *const *out)
 *   int <prefix>_threads(const CnnrtContext *c)
 *   void <prefix>_destroy(CnnrtContext *c)
 *   const char *<prefix>_strerror(int status)
 * and, of a training plan, in their place those of a trainer (cnnrt_trainer_..., and save and load
 * of cnntrain), which calls <inference>_model for the network without training.
 * Kernels are declared as <prefix>_k<index> unless the module defines them already. Embedded
 * weights are the symbol <prefix>_weights of another object; `whole`: there is no other object. */
bool model_emit(Emit *e, const Plan *p, const EmitOptions *o, bool wrappers, bool whole);
#endif
