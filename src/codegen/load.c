#include "codegen/load.h"
#include "codegen/llvm/machine.h"
#include "codegen/pieces.h"
#include <llvm-c/LLJIT.h>
#include <stdio.h>
#include <stdlib.h>

struct Loaded {
    LLVMOrcLLJITRef jit;
};

/* True when there was an error; it is consumed. */
static bool failed(LLVMErrorRef error, char *err, size_t err_len)
{
    if (!error)
        return false;
    char *text = LLVMGetErrorMessage(error);
    snprintf(err, err_len, "loading generated code: %s", text);
    LLVMDisposeErrorMessage(text);
    return true;
}

/* The JIT links the objects the ahead-of-time path makes; it compiles nothing itself. */
static bool link_pieces(Loaded *l, const EmitResult *r, char *err, size_t err_len)
{
    if (failed(LLVMOrcCreateLLJIT(&l->jit, NULL), err, err_len)) {
        l->jit = NULL;
        return false;
    }
    LLVMOrcJITDylibRef lib = LLVMOrcLLJITGetMainJITDylib(l->jit);
    for (int i = 0; i < r->count; i++) {
        char name[32];
        snprintf(name, sizeof name, "piece%d", i);
        LLVMMemoryBufferRef buf =
            LLVMCreateMemoryBufferWithMemoryRangeCopy(r->pieces[i].data, r->pieces[i].len, name);
        if (failed(LLVMOrcLLJITAddObjectFile(l->jit, lib, buf), err, err_len))
            return false;
    }
    return true;
}

/* What runs kernels for a device is not generated. */
static bool define_backend(Loaded *l, const void *backend, char *err, size_t err_len)
{
    if (backend == NULL)
        return true;
    LLVMOrcCSymbolMapPair pair = {
        .Name = LLVMOrcLLJITMangleAndIntern(l->jit, "cnnrt_cuda_backend"),
        .Sym = {.Address = (LLVMOrcExecutorAddress)(uintptr_t)backend,
                .Flags = {.GenericFlags = LLVMJITSymbolGenericFlagsExported}}};
    LLVMOrcMaterializationUnitRef unit = LLVMOrcAbsoluteSymbols(&pair, 1);
    LLVMErrorRef error = LLVMOrcJITDylibDefine(LLVMOrcLLJITGetMainJITDylib(l->jit), unit);
    if (error != NULL)
        LLVMOrcDisposeMaterializationUnit(unit);
    return !failed(error, err, err_len);
}

static bool find_model(Loaded *l, const char *prefix, const void **model, char *err, size_t err_len)
{
    char name[300];
    LLVMOrcExecutorAddress at = 0;
    snprintf(name, sizeof name, "%s_model", prefix);
    if (failed(LLVMOrcLLJITLookup(l->jit, &at, name), err, err_len))
        return false;
    const void *(*get)(void) = (const void *(*)(void))(uintptr_t)at;
    *model = get();
    return true;
}

Loaded *load_plan(const Plan *p, const EmitOptions *o, const void **model, char *err,
                  size_t err_len)
{
    EmitResult r = {0};
    Loaded *l = calloc(1, sizeof *l);
    if (!l) {
        snprintf(err, err_len, "out of memory");
        return NULL;
    }
    bool ok = pieces_objects(p, o, false, &r, err, err_len) && link_pieces(l, &r, err, err_len) &&
              define_backend(l, o->backend, err, err_len) &&
              find_model(l, o->prefix, model, err, err_len);
    pieces_free(&r);
    if (!ok) {
        load_free(l);
        return NULL;
    }
    return l;
}

void load_free(Loaded *l)
{
    if (!l)
        return;
    if (l->jit)
        LLVMConsumeError(LLVMOrcDisposeLLJIT(l->jit));
    free(l);
}
