/* The one place that knows LLVM's target machines: options, object code, assembly. */
#ifndef CNNC_MACHINE_H
#define CNNC_MACHINE_H
#include "codegen/codegen.h"
#include "codegen/llvm/emit.h"
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Core.h>

/* Initialises LLVM's targets and process-wide options, once. */
void machine_init(void);
/* NULL with a message in err. Each thread makes its own. */
LLVMTargetMachineRef machine_open(const Target *t, char *err, size_t err_len);
/* The data layout string of a machine, in `out`. */
void machine_layout(LLVMTargetMachineRef m, char *out, size_t len);
/* Verifies the module and writes it: an object, assembly or IR text. False with e->err set. */
bool machine_write(LLVMTargetMachineRef m, Emit *e, EmitKind kind, EmitPiece *out);
#endif
