/* Structured control flow in SSA form. */
#ifndef CNNC_LOOP_H
#define CNNC_LOOP_H
#include "codegen/llvm/emit.h"

enum { LOOP_MAX_VALUES = 136 };

/* A counted loop carrying values. One that is known to run once is no loop at all: its body is
 * emitted in place. */
typedef struct Loop {
    LLVMBasicBlockRef pre, body, exit;
    LLVMValueRef iv, end;
    int64_t step;
    int n;
    bool once;    /* collapsed */
    bool guarded; /* may run zero times */
    LLVMValueRef first[LOOP_MAX_VALUES], phi[LOOP_MAX_VALUES];
} Loop;

/* for (iv = start; iv < end; iv += step). The n values are carried: on return each is its value
 * inside the body. A loop whose bounds are not both constant may run zero times unless `runs`. */
void loop_begin(Emit *e, Loop *l, LLVMValueRef start, LLVMValueRef end, int64_t step, bool runs,
                int n, LLVMValueRef *values);
/* Closes it: values are those at the end of the body; on return, those after the loop. */
void loop_end(Emit *e, Loop *l, LLVMValueRef *values);
/* for (iv = 0; iv < end; iv++) without carried values. */
void loop_count(Emit *e, Loop *l, int64_t end);

/* if (cond) { ... } [else { ... }], carrying no values. */
typedef struct If {
    LLVMBasicBlockRef other, join;
} If;
void if_begin(Emit *e, If *f, LLVMValueRef cond);
void if_else(Emit *e, If *f);
void if_end(Emit *e, If *f);
#endif
