/* The emitter: one LLVM module under construction in a context of its own, and the few instructions
 * kernels are made of. Values are SSA; nothing here relies on IR passes, so what is emitted is what
 * is selected, in this order. */
#ifndef CNNC_EMIT_H
#define CNNC_EMIT_H
#include "family/family.h"
#include <llvm-c/Core.h>

typedef struct Emit {
    LLVMContextRef ctx;
    LLVMModuleRef mod;
    LLVMBuilderRef b;
    LLVMValueRef fn; /* the function under construction */
    const Target *t;
    int vl;
    bool fma; /* the target multiplies and adds in one rounding */
    bool gpu; /* NVPTX: quotients, roots and powers are those of its special function units */
    LLVMTypeRef f32, vec, i1, i32, i64, ptr, none;
    char err[512]; /* set by emit_fail and by what LLVM complains of */
} Emit;

/* Opens a context and an empty module, which keep the address of e; layout is the
 * target machine's data layout string. */
void emit_open(Emit *e, const Target *t, const char *module, const char *layout);
void emit_close(Emit *e);
/* Records the first message; always returns false. */
bool emit_fail(Emit *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Starts a function with the target's attributes and positions the builder in its entry block. */
LLVMValueRef emit_function(Emit *e, const char *name, LLVMTypeRef type);
LLVMBasicBlockRef emit_block(Emit *e, const char *name);
/* Room for n vectors in the frame (call while the entry block is being filled). */
LLVMValueRef emit_stack(Emit *e, int n);

/* Constants. emit_real and emit_bits are scalar or splat, after the type. */
LLVMValueRef emit_int(Emit *e, int64_t v);
LLVMValueRef emit_real(LLVMTypeRef type, double v);
LLVMTypeRef emit_int_type(Emit *e, LLVMTypeRef type); /* i32 of as many lanes as type */
LLVMValueRef emit_bits(LLVMTypeRef int_type, int64_t v);
/* A constant vector of zeros in memory: what an absent bias points to. */
LLVMValueRef emit_zero_memory(Emit *e);

/* Integers, of 64 bits or, on GPUs, of 32 (after the first operand); constants are folded by the
 * builder. */
LLVMValueRef emit_add(Emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_sub(Emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_mul(Emit *e, LLVMValueRef a, int64_t by);
LLVMValueRef emit_div(Emit *e, LLVMValueRef a, int64_t by); /* a >= 0 */
LLVMValueRef emit_rem(Emit *e, LLVMValueRef a, int64_t by); /* a >= 0 */
LLVMValueRef emit_imin(Emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_imax(Emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_less(Emit *e, LLVMValueRef a, LLVMValueRef b); /* signed a < b, an i1 */
LLVMValueRef emit_select(Emit *e, LLVMValueRef c, LLVMValueRef a, LLVMValueRef b);
/* The value of a constant integer; false when v is not one. */
bool emit_known(LLVMValueRef v, int64_t *out);

/* Float addresses: p + off floats. */
LLVMValueRef emit_at(Emit *e, LLVMValueRef p, LLVMValueRef off);
LLVMValueRef emit_at_const(Emit *e, LLVMValueRef p, int64_t off);
/* The address again, but opaque to common-subexpression elimination: without this, overlapping
 * window loads of successive taps are kept in registers and spilled. Costs no instruction. */
LLVMValueRef emit_launder(Emit *e, LLVMValueRef p);
void emit_prefetch(Emit *e, LLVMValueRef p);

/* Memory. Nothing is assumed about alignment beyond that of a float. */
LLVMValueRef emit_load(Emit *e, LLVMTypeRef type, LLVMValueRef p);
void emit_store(Emit *e, LLVMValueRef v, LLVMValueRef p);
LLVMValueRef emit_splat(Emit *e, LLVMValueRef scalar);
LLVMValueRef emit_load_splat(Emit *e, LLVMValueRef p);
/* The first `lanes` floats at p, zero in the other lanes; touches no memory beyond them. */
LLVMValueRef emit_load_part(Emit *e, LLVMValueRef p, int lanes);
void emit_store_part(Emit *e, LLVMValueRef v, LLVMValueRef p, int lanes);
/* Lanes [0, lanes) of v, `other` elsewhere. */
LLVMValueRef emit_keep(Emit *e, LLVMValueRef v, int lanes, double other);
LLVMValueRef emit_lane(Emit *e, LLVMValueRef v, int lane);
LLVMValueRef emit_set_lane(Emit *e, LLVMValueRef v, LLVMValueRef scalar, int lane);

/* Floats, scalar or vector. */
LLVMValueRef emit_fma(Emit *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c); /* a * b + c */
LLVMValueRef emit_fadd(Emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_fsub(Emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_fmul(Emit *e, LLVMValueRef a, LLVMValueRef b);
/* GPU: within 2 ulp where |b| is in [2^-126, 2^126], beyond it 0. */
LLVMValueRef emit_fdiv(Emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_fmax(Emit *e, LLVMValueRef a, LLVMValueRef b); /* b when unordered */
LLVMValueRef emit_fmin(Emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_sqrt(Emit *e, LLVMValueRef a);
/* A call of the intrinsic `name` with `over` types to resolve it. */
LLVMValueRef emit_intrinsic(Emit *e, const char *name, LLVMTypeRef *over, unsigned over_count,
                            LLVMValueRef *args, unsigned count);
/* The same of a function of one or two floats that has no vector form, lane by lane. */
LLVMValueRef emit_per_lane(Emit *e, const char *name, LLVMValueRef a, LLVMValueRef b);
/* The lanes of a, then those of b; at most 64. Vectors wider than the target's are worked on in
 * parts, every instruction for all parts before the next one. */
LLVMValueRef emit_concat(Emit *e, LLVMValueRef a, LLVMValueRef b);
/* The lower half of a register, in place: where v was made is hidden, or a broadcast would be done
 * a second time for it. */
LLVMValueRef emit_lower_half(Emit *e, LLVMValueRef v);
/* a * 2^n for whole n of any size, in one instruction: where the target has it for the type. */
bool emit_has_scale(const Emit *e, LLVMTypeRef type);
LLVMValueRef emit_scale(Emit *e, LLVMValueRef a, LLVMValueRef n);
/* table[index mod 2^bits], the table in registers, in one instruction: bits is at most
 * EMIT_LOOKUP_BITS, and 0 where the target has no such instruction for the type. */
enum { EMIT_LOOKUP_BITS = 5 };
int emit_lookup_bits(const Emit *e, LLVMTypeRef type);
LLVMValueRef emit_lookup(Emit *e, const float *table, LLVMValueRef index);
LLVMValueRef emit_to_float(Emit *e, LLVMValueRef i); /* i64 to f32 */
/* All lanes combined pairwise (a fixed order), as a scalar. */
LLVMValueRef emit_reduce_add(Emit *e, LLVMValueRef v);
LLVMValueRef emit_reduce_max(Emit *e, LLVMValueRef v);
#endif
