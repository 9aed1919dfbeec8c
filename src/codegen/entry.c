/* The table the driver opens (codegen.h). */
#include "codegen/load.h"
#include "codegen/pieces.h"
#include "codegen/target.h"
#include "codegen/weights.h"
#include "codegen/wrappers.h"
#include <llvm/Config/llvm-config.h>

static bool emit(const Plan *p, EmitKind kind, const EmitOptions *o, EmitResult *out, char *err,
                 size_t err_len)
{
    *out = (EmitResult){0};
    if (kind == EMIT_OBJECT)
        return pieces_objects(p, o, !o->variant, out, err, err_len);
    return pieces_text(p, kind, o, out, err, err_len);
}

/* The C interface of LLVM has neither of its two ways to run out of memory: operator new, and its
 * own allocations. Weak, so that another build of LLVM does without. */
typedef void NewHandler(void);
extern NewHandler *set_new_handler(NewHandler *fn) __asm__("_ZSt15set_new_handlerPFvvE")
    __attribute__((weak));
typedef void BadAlloc(void *data, const char *reason, bool diagnose);
extern void install_bad_alloc(BadAlloc *fn, void *data) __asm__(
    "_ZN4llvm31install_bad_alloc_error_handlerEPFvPvPKcbES0_") __attribute__((weak));

static NewHandler *give_up;

static void bad_alloc(void *data, const char *reason, bool diagnose)
{
    (void)data;
    (void)reason;
    (void)diagnose;
    give_up();
}

static void no_memory(void (*fn)(void))
{
    bool first = give_up == NULL;
    give_up = fn;
    if (set_new_handler != NULL)
        set_new_handler(fn);
    if (first && install_bad_alloc != NULL)
        install_bad_alloc(bad_alloc, NULL);
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
    .dispatch = wrappers_dispatch,
    .load = load_plan,
    .unload = load_free,
    .no_memory = no_memory,
};

__attribute__((visibility("default"))) const CodegenApi *cnnc_codegen_entry(void);

const CodegenApi *cnnc_codegen_entry(void)
{
    return &api;
}
