/* Inline assembly, as far as kernels use it: one operation, perhaps in braces with a predicate that
 * a setp before it makes. */
#ifndef SIMT_ASSEMBLY_H
#define SIMT_ASSEMBLY_H

#include "operation.h"

enum { ASM_OPERANDS = 160 };

/* An operand of the statement: a number that stands there, or an operand of the call. */
typedef struct AsmOperand {
    bool literal;
    int64_t value; /* the number, or which operand, results first */
} AsmOperand;

typedef struct Assembly {
    Operation *run;
    int variant;
    AsmOperand operand[ASM_OPERANDS];
    int n;
} Assembly;

/* Takes a text apart: the operands in the statement's order, without predicates that it writes.
 * Results, of which the assembly has `results`, are left out unless `constraints` ties an operand
 * to them, which stands in their place. Tied operands that the text does not name, as those of a
 * wait that registers pass through, come last. False if asm.def has no such operation. */
bool assembly_read(const char *text, const char *constraints, unsigned results, Assembly *a);

#endif
