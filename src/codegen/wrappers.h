/* The functions that a built network exports, around its model or its choice of models. */
#ifndef CNNC_CODEGEN_WRAPPERS_H
#define CNNC_CODEGEN_WRAPPERS_H
#include "codegen/codegen.h"
#include "codegen/llvm/emit.h"

/* One model, or a table of `count` pointers to them, best first, of which cnnrt_choose takes one at
 * every call. */
typedef struct ModelSource {
    LLVMValueRef model; /* NULL: chosen */
    LLVMValueRef table;
    int count;
} ModelSource;

/* Each calls its counterpart of the runtime; those that take a model return CNNRT_CPU where none
 * can be chosen:
 *   size_t <prefix>_workspace_size(int batch, int threads)
 *   const char *<prefix>_weights_file(void)
 *   int <prefix>_weights_map(const char *path, const float **out)
 *   void <prefix>_weights_unmap(const float *weights)
 *   int <prefix>_create(CnnrtContext **out, const float *weights, int threads, void *workspace,
 *                       size_t workspace_len)
 *   int <prefix>_run(CnnrtContext *c, int batch, const float *const *in, float *const *out)
 *   int <prefix>_threads(const CnnrtContext *c)
 *   void <prefix>_destroy(CnnrtContext *c)
 *   const char *<prefix>_strerror(int status) */
bool wrappers_emit(Emit *e, const char *prefix, const ModelSource *m);
/* Those of a trainer in their place (include/cnnrt.h). */
bool wrappers_emit_training(Emit *e, const char *prefix, const ModelSource *m);
/* The object that has them, and `const CnnrtModel *<prefix>_model(void)`, for variants that are the
 * hidden constants <variant>_model of other objects. See CodegenApi.dispatch. */
bool wrappers_dispatch(const Target *t, const char *prefix, const char *const *variants, int count,
                       EmitPiece *out, char *err, size_t err_len);
#endif
