/* Sums that stay near the exact ones over millions of float32 values: runs of at most SUM_STEPS
 * vectors in each of several chains, whose results enter a compensated total (Kahan 1965). */
#ifndef CNNC_CPU_SUMS_H
#define CNNC_CPU_SUMS_H
#include "codegen/cpu/kern.h"

enum { SUM_STEPS = 32, SUM_VALUES = 2 * KERNEL_MAX_ROOTS };

/* A total is two values: what has been added, and by how much that is too large. */
void total_clear(LLVMTypeRef type, int n, LLVMValueRef total[SUM_VALUES]);
/* Adds v, of the type of the totals, to total number i. */
void total_add(Emit *e, LLVMValueRef total[SUM_VALUES], int i, LLVMValueRef v);
LLVMValueRef total_value(Emit *e, const LLVMValueRef total[SUM_VALUES], int i);

/* Where the roots of a kernel are summed: args holds the arguments that are the same for all
 * vectors, map[i] where argument i is read otherwise (NULL for the former). */
typedef struct SumRange {
    LLVMValueRef args[EXPR_MAX_ARGS], map[EXPR_MAX_ARGS];
} SumRange;

/* The roots at float `at` of the range; `lanes` of the vector exist, the others hold zero. */
void sum_vector(Kern *kn, const SumRange *s, LLVMValueRef at, int lanes,
                LLVMValueRef value[KERNEL_MAX_ROOTS]);
/* Adds the roots over vectors [v0, v1) of the range to the totals, one of each root. */
void sum_vectors(Kern *kn, const SumRange *s, LLVMValueRef v0, LLVMValueRef v1,
                 LLVMValueRef total[SUM_VALUES]);
/* FINISH, FLAT_FINISH: the set of bits of the sums, `terms` of them, that the roots name. False
 * with a message when they name one that does not exist. */
bool sum_terms_used(Kern *kn, int64_t terms, unsigned *set);
#endif
