#include "codegen/wrappers.h"
#include "cnnrt.h"
#include "codegen/llvm/machine.h"
#include "codegen/target.h"
#include <stdio.h>
#include <string.h>

typedef struct Wrappers {
    Emit *e;
    const char *prefix;
    const ModelSource *source;
} Wrappers;

static bool symbol(const Wrappers *w, char *out, size_t len, const char *suffix)
{
    if ((size_t)snprintf(out, len, "%s_%s", w->prefix, suffix) >= len)
        return emit_fail(w->e, "the prefix is too long");
    return true;
}

/* The model as a value of the function under construction. */
static LLVMValueRef model_value(const Wrappers *w)
{
    Emit *e = w->e;
    if (w->source->model)
        return w->source->model;
    LLVMTypeRef type = LLVMFunctionType(e->ptr, (LLVMTypeRef[]){e->ptr, e->i64}, 2, 0);
    LLVMValueRef fn = LLVMGetNamedFunction(e->mod, "cnnrt_choose");
    if (!fn)
        fn = LLVMAddFunction(e->mod, "cnnrt_choose", type);
    LLVMValueRef args[2] = {w->source->table, emit_int(e, w->source->count)};
    return LLVMBuildCall2(e->b, type, fn, args, 2, "");
}

/* A function that returns a status goes on only when there is a model. */
static void return_without(const Wrappers *w, LLVMValueRef model)
{
    Emit *e = w->e;
    LLVMBasicBlockRef none = emit_block(e, "none"), some = emit_block(e, "some");
    LLVMBuildCondBr(e->b, LLVMBuildIsNull(e->b, model, ""), none, some);
    LLVMPositionBuilderAtEnd(e->b, none);
    LLVMBuildRet(e->b, LLVMConstInt(e->i32, CNNRT_CPU, 0));
    LLVMPositionBuilderAtEnd(e->b, some);
}

/* An exported function <prefix>_<suffix> that returns what <library>_<suffix> returns, with the
 * model as argument number `at` between those of the caller, unless `at` is negative. */
static void wrapper(const Wrappers *w, const char *library, const char *suffix, LLVMTypeRef result,
                    LLVMTypeRef *params, int n, int at)
{
    Emit *e = w->e;
    char name[300], target[64];
    if (!symbol(w, name, sizeof name, suffix))
        return;
    snprintf(target, sizeof target, "%s_%s", library, suffix);
    LLVMTypeRef types[8];
    LLVMValueRef args[8];
    LLVMValueRef fn = emit_function(e, name, LLVMFunctionType(result, params, (unsigned)n, 0));
    LLVMValueRef model = at >= 0 ? model_value(w) : NULL;
    if (model && !w->source->model && result == e->i32)
        return_without(w, model);
    int out = 0;
    for (int i = 0; i <= n; i++) {
        if (model && i == at) {
            types[out] = e->ptr;
            args[out++] = model;
        }
        if (i < n) {
            types[out] = params[i];
            args[out++] = LLVMGetParam(fn, (unsigned)i);
        }
    }
    LLVMTypeRef type = LLVMFunctionType(result, types, (unsigned)out, 0);
    LLVMValueRef callee = LLVMAddFunction(e->mod, target, type);
    LLVMValueRef r = LLVMBuildCall2(e->b, type, callee, args, (unsigned)out, "");
    LLVMSetTailCall(r, 1);
    if (result == e->none)
        LLVMBuildRetVoid(e->b);
    else
        LLVMBuildRet(e->b, r);
}

bool wrappers_emit(Emit *e, const char *prefix, const ModelSource *m)
{
    static const char lib[] = "cnnrt";
    Wrappers w = {e, prefix, m};
    LLVMTypeRef i32 = e->i32, ptr = e->ptr;
    wrapper(&w, lib, "workspace_size", e->i64, (LLVMTypeRef[]){i32, i32}, 2, 0);
    wrapper(&w, lib, "weights_file", ptr, NULL, 0, 0);
    wrapper(&w, lib, "weights_map", i32, (LLVMTypeRef[]){ptr, ptr}, 2, 0);
    wrapper(&w, lib, "weights_unmap", e->none, (LLVMTypeRef[]){ptr}, 1, 0);
    wrapper(&w, lib, "create", i32, (LLVMTypeRef[]){ptr, ptr, i32, ptr, e->i64}, 5, 1);
    wrapper(&w, lib, "run", i32, (LLVMTypeRef[]){ptr, i32, ptr, ptr}, 4, -1);
    wrapper(&w, lib, "threads", i32, (LLVMTypeRef[]){ptr}, 1, -1);
    wrapper(&w, lib, "destroy", e->none, (LLVMTypeRef[]){ptr}, 1, -1);
    wrapper(&w, lib, "strerror", ptr, (LLVMTypeRef[]){i32}, 1, -1);
    return !e->err[0];
}

bool wrappers_emit_training(Emit *e, const char *prefix, const ModelSource *m)
{
    static const char lib[] = "cnnrt_trainer", files[] = "cnntrain_trainer";
    Wrappers w = {e, prefix, m};
    LLVMTypeRef i32 = e->i32, ptr = e->ptr, f64 = LLVMDoubleTypeInContext(e->ctx);
    wrapper(&w, "cnnrt", "weights_map", i32, (LLVMTypeRef[]){ptr, ptr}, 2, 0);
    wrapper(&w, "cnnrt", "weights_unmap", e->none, (LLVMTypeRef[]){ptr}, 1, 0);
    wrapper(&w, lib, "create", i32, (LLVMTypeRef[]){ptr, ptr, i32}, 3, 1);
    wrapper(&w, lib, "destroy", e->none, (LLVMTypeRef[]){ptr}, 1, -1);
    wrapper(&w, lib, "step", i32, (LLVMTypeRef[]){ptr, i32, ptr, ptr, f64, ptr}, 6, -1);
    wrapper(&w, lib, "gradients", i32, (LLVMTypeRef[]){ptr, i32, ptr, ptr, ptr}, 5, -1);
    wrapper(&w, lib, "output", ptr, (LLVMTypeRef[]){ptr, i32}, 2, -1);
    wrapper(&w, lib, "run", i32, (LLVMTypeRef[]){ptr, i32, ptr, ptr, i32}, 5, -1);
    wrapper(&w, lib, "parameters", ptr, (LLVMTypeRef[]){ptr, i32}, 2, -1);
    wrapper(&w, lib, "find", i32, (LLVMTypeRef[]){ptr, ptr, ptr}, 3, -1);
    wrapper(&w, lib, "counters", i32, (LLVMTypeRef[]){ptr, ptr}, 2, -1);
    wrapper(&w, lib, "set_counters", i32, (LLVMTypeRef[]){ptr, ptr}, 2, -1);
    wrapper(&w, files, "save", i32, (LLVMTypeRef[]){ptr, ptr, ptr}, 3, -1);
    wrapper(&w, files, "load", i32, (LLVMTypeRef[]){ptr, ptr, ptr}, 3, -1);
    return !e->err[0];
}

static LLVMValueRef variant_table(Emit *e, const char *const *variants, int count)
{
    LLVMValueRef at[CODEGEN_VARIANTS];
    char name[300];
    for (int i = 0; i < count; i++) {
        if ((size_t)snprintf(name, sizeof name, "%s_model", variants[i]) >= sizeof name)
            emit_fail(e, "the prefix is too long");
        at[i] = LLVMAddGlobal(e->mod, e->ptr, name);
        LLVMSetVisibility(at[i], LLVMHiddenVisibility);
        LLVMSetGlobalConstant(at[i], 1);
    }
    LLVMValueRef all = LLVMConstArray2(e->ptr, at, (uint64_t)count);
    LLVMValueRef table = LLVMAddGlobal(e->mod, LLVMTypeOf(all), "variants");
    LLVMSetInitializer(table, all);
    LLVMSetGlobalConstant(table, 1);
    LLVMSetLinkage(table, LLVMPrivateLinkage);
    return table;
}

static bool dispatch(Emit *e, const char *prefix, const char *const *variants, int count)
{
    ModelSource source = {.table = variant_table(e, variants, count), .count = count};
    Wrappers w = {e, prefix, &source};
    char name[300];
    if (!symbol(&w, name, sizeof name, "model"))
        return false;
    emit_function(e, name, LLVMFunctionType(e->ptr, NULL, 0, 0));
    LLVMBuildRet(e->b, model_value(&w));
    return wrappers_emit(e, prefix, &source);
}

bool wrappers_dispatch(const Target *t, const char *prefix, const char *const *variants, int count,
                       EmitPiece *out, char *err, size_t err_len)
{
    char layout[512];
    *out = (EmitPiece){0};
    if (count < 1 || count > CODEGEN_VARIANTS) {
        snprintf(err, err_len, "a network has 1 to %d variants", CODEGEN_VARIANTS);
        return false;
    }
    Target base = target_least(t);
    LLVMTargetMachineRef m = machine_open(&base, err, err_len);
    if (!m)
        return false;
    machine_layout(m, layout, sizeof layout);
    Emit e;
    emit_open(&e, &base, prefix, layout);
    bool ok = dispatch(&e, prefix, variants, count) && machine_write(m, &e, EMIT_OBJECT, out);
    if (!ok)
        snprintf(err, err_len, "%s", e.err);
    emit_close(&e);
    LLVMDisposeTargetMachine(m);
    return ok;
}
