/* Expressions (src/expr) as instructions. */
#ifndef CNNC_EXPR_EMIT_H
#define CNNC_EXPR_EMIT_H
#include "codegen/llvm/emit.h"

enum { EXPR_MAX_NODES = 256, EXPR_MAX_ARGS = 1 + KERNEL_MAX_EXTRA };

/* The nodes one root needs, operands before users, numbered afresh. */
typedef struct ExprCode {
    struct {
        ExprOp op;
        bool logistic; /* EX_DIV: a / (1 + e^-b) */
        int a, b, c;   /* earlier entries */
        double value;
        uint32_t arg;
    } node[EXPR_MAX_NODES];
    int n;
    int cost; /* instructions per application, roughly */
    bool uses[EXPR_MAX_ARGS];
} ExprCode;

/* root 0 is argument 0 itself. False (with a message) when it is too large. */
bool expr_code(Emit *e, const ExprPool *p, ExprId root, ExprCode *out);
/* args[i] for every used argument; all of one type. */
LLVMValueRef expr_emit(Emit *e, const ExprCode *code, LLVMTypeRef type, const LLVMValueRef *args);
#endif
