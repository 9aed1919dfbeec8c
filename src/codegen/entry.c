/* The table the driver opens (codegen.h). */
#include "codegen/load.h"
#include "codegen/pieces.h"
#include "codegen/target.h"
#include "codegen/weights.h"
#include <llvm/Config/llvm-config.h>

static bool emit(const Plan *p, EmitKind kind, const EmitOptions *o, EmitResult *out, char *err,
                 size_t err_len)
{
    *out = (EmitResult){0};
    if (kind == EMIT_OBJECT)
        return pieces_objects(p, o, true, out, err, err_len);
    return pieces_text(p, kind, o, out, err, err_len);
}

static const CodegenApi api = {
    .abi = CODEGEN_ABI,
    .llvm_version = LLVM_VERSION_STRING,
    .target = target_describe,
    .host = target_host,
    .features = target_features,
    .weights = weights_object,
    .emit = emit,
    .emit_free = pieces_free,
    .load = load_plan,
    .unload = load_free,
};

__attribute__((visibility("default"))) const CodegenApi *cnnc_codegen_entry(void);

const CodegenApi *cnnc_codegen_entry(void)
{
    return &api;
}
