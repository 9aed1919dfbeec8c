/* Operations: what intrinsics and inline assembly do. Each is a C function that is called with the
 * operands and leaves the results, one word per register. */
#ifndef SIMT_OPERATION_H
#define SIMT_OPERATION_H

#include "machine.h"

/* A call as it stands in the module. */
typedef struct Call {
    uint32_t site;
    int variant; /* the third column of op.def and asm.def */
    unsigned n;  /* operands */
} Call;

typedef void Operation(const Call *c, const Word *in, Word *out);

#define OP(name, function, variant) Operation op_##function;
#define ASM(opcode, function, variant) Operation op_##function;
#include "op.def"
#include "asm.def"
#undef OP
#undef ASM

/* Variants, in the order of the fields of what they select. */
enum {
    SREG_TID,
    SREG_NTID = 3,
    SREG_CTAID = 6,
    SREG_NCTAID = 9,
    SREG_LANE = 12,
    SREG_WARP,
    SREG_WARP_SIZE,
    SREG_MASK_EQ,
    SREG_MASK_LT,
    SREG_MASK_LE,
    SREG_MASK_GT,
    SREG_MASK_GE
};
enum { SHFL_UP, SHFL_DOWN, SHFL_BFLY, SHFL_IDX };
enum { VOTE_ALL, VOTE_ANY, VOTE_UNI, VOTE_BALLOT };
enum { REDUX_ADD, REDUX_MIN, REDUX_MAX, REDUX_UMIN, REDUX_UMAX, REDUX_AND, REDUX_OR, REDUX_XOR };
enum { BAR_ALL, BAR_ID, BAR_COUNT };
/* MATH_FTZ: denormal operands and results are zeros of the same sign. */
enum {
    MATH_EX2,
    MATH_LG2,
    MATH_RCP,
    MATH_RSQRT,
    MATH_SQRT,
    MATH_DIV,
    MATH_TANH,
    MATH_SIN,
    MATH_COS,
    MATH_FMA,
    MATH_MIN,
    MATH_MAX,
    MATH_MIN_NAN,
    MATH_MAX_NAN,
    MATH_FTZ = 256
};
enum { CVT_TF32_RNA, CVT_TF32_RN, CVT_BF16X2, CVT_BF16 };
/* LDMATRIX_TRANS plus the number of matrices */
enum { LDMATRIX_TRANS = 16 };
enum { MMA_BF16, MMA_F16, MMA_TF32 };
enum { MBARRIER_INIT, MBARRIER_ARRIVE, MBARRIER_EXPECT, MBARRIER_ARRIVE_EXPECT, MBARRIER_WAIT };
/* a type above N */
enum { WGMMA_BF16, WGMMA_F16, WGMMA_TF32 };
enum { WGMMA_N = 1023, WGMMA_TYPE = 10 };
/* TENSOR_IM2COL plus the rank */
enum { TENSOR_IM2COL = 16 };

/* Conversions of single values, to nearest even. */
float bf16_to_float(uint16_t h);
uint16_t float_to_bf16(float f);
float half_to_float(uint16_t h);
uint16_t float_to_half(float f);

#endif
