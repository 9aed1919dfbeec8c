#include "codegen/llvm/machine.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t initialised = PTHREAD_ONCE_INIT;

/* The order instructions are emitted in is the order they shall run in: the pre-allocation
 * scheduler hoists loads until the accumulators spill, and loop-strength reduction spends most of
 * the compile time rewriting addresses that are already folded. Neither is reachable through the
 * C API in any other way. */
static void init_once(void)
{
    static const char *const options[] = {"cnnc", "-enable-misched=false", "-disable-lsr"};
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeAArch64AsmParser();
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    LLVMParseCommandLineOptions(sizeof options / sizeof options[0], options, "");
}

void machine_init(void)
{
    pthread_once(&initialised, init_once);
}

LLVMTargetMachineRef machine_open(const Target *t, char *err, size_t err_len)
{
    machine_init();
    LLVMTargetRef target;
    char *msg = NULL;
    if (LLVMGetTargetFromTriple(t->triple, &target, &msg)) {
        snprintf(err, err_len, "%s", msg ? msg : "unknown target");
        LLVMDisposeMessage(msg);
        return NULL;
    }
    LLVMRelocMode reloc = t->kind == TARGET_CUDA ? LLVMRelocDefault : LLVMRelocPIC;
    LLVMTargetMachineRef m =
        LLVMCreateTargetMachine(target, t->triple, t->cpu, t->features, LLVMCodeGenLevelAggressive,
                                reloc, LLVMCodeModelDefault);
    if (!m)
        snprintf(err, err_len, "LLVM has no machine for %s", t->triple);
    return m;
}

void machine_layout(LLVMTargetMachineRef m, char *out, size_t len)
{
    LLVMTargetDataRef data = LLVMCreateTargetDataLayout(m);
    char *text = LLVMCopyStringRepOfTargetData(data);
    snprintf(out, len, "%s", text);
    LLVMDisposeMessage(text);
    LLVMDisposeTargetData(data);
}

static bool copy_piece(Emit *e, EmitPiece *out, const char *data, size_t len)
{
    out->data = malloc(len + 1);
    if (!out->data)
        return emit_fail(e, "out of memory");
    memcpy(out->data, data, len);
    out->data[len] = 0;
    out->len = len;
    return true;
}

static bool write_text(Emit *e, EmitPiece *out)
{
    char *text = LLVMPrintModuleToString(e->mod);
    bool ok = copy_piece(e, out, text, strlen(text));
    LLVMDisposeMessage(text);
    return ok;
}

bool machine_write(LLVMTargetMachineRef m, Emit *e, EmitKind kind, EmitPiece *out)
{
    char *msg = NULL;
    if (LLVMVerifyModule(e->mod, LLVMReturnStatusAction, &msg))
        emit_fail(e, "generated code is malformed: %s", msg);
    LLVMDisposeMessage(msg);
    if (e->err[0])
        return false;
    if (kind == EMIT_LLVM_IR)
        return write_text(e, out);
    LLVMMemoryBufferRef buf = NULL;
    LLVMCodeGenFileType type = kind == EMIT_ASM ? LLVMAssemblyFile : LLVMObjectFile;
    msg = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(m, e->mod, type, &msg, &buf)) {
        emit_fail(e, "%s", msg ? msg : "LLVM failed");
        LLVMDisposeMessage(msg);
        return false;
    }
    /* What the assembler complains of arrives as a diagnostic only. */
    bool ok = !e->err[0] && copy_piece(e, out, LLVMGetBufferStart(buf), LLVMGetBufferSize(buf));
    LLVMDisposeMemoryBuffer(buf);
    return ok;
}
