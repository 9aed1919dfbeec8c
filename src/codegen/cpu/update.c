/* Expressions over equal runs of floats, each stored to an operand: optimizer steps. */
#include "codegen/cpu/kern.h"

enum { UPDATE_UNROLL = 2, UPDATE_LONG = 60 /* instructions from which unrolling gains nothing */ };

/* The first `lanes` floats at float `at` of every run. args holds what is the same for all. */
static void one_vector(Kern *kn, const LLVMValueRef fixed[EXPR_MAX_ARGS], LLVMValueRef at,
                       int lanes)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef args[EXPR_MAX_ARGS], value[KERNEL_MAX_ROOTS];
    for (int i = 0; i < EXPR_MAX_ARGS; i++)
        args[i] = fixed[i];
    if (kn->uses[0])
        args[0] = emit_load_part(e, emit_at(e, kn->in, at), lanes);
    for (int i = 0; i < k->extra_count; i++)
        if (kn->uses[i + 1] && k->extra[i] == KARG_MAP)
            args[i + 1] = emit_load_part(e, emit_at(e, kn->extra[i], at), lanes);
    kern_roots(kn, e->vec, args, value);
    for (int r = 0; r < k->root_count; r++) {
        LLVMValueRef to = kern_root_target(kn, r);
        if (to)
            emit_store_part(e, value[r], emit_at(e, to, at), lanes);
    }
}

static int unroll_of(const Kern *kn)
{
    int cost = 0;
    for (int r = 0; r < kn->k->root_count; r++)
        cost += kn->root[r].cost;
    return cost < UPDATE_LONG ? UPDATE_UNROLL : 1;
}

/* Vectors [v0, v1). */
static void vectors(Kern *kn, const LLVMValueRef fixed[EXPR_MAX_ARGS], LLVMValueRef v0,
                    LLVMValueRef v1)
{
    Emit *e = kn->e;
    int unroll = unroll_of(kn);
    LLVMValueRef n = emit_imax(e, emit_sub(e, v1, v0), emit_int(e, 0));
    LLVMValueRef split = emit_add(e, v0, emit_mul(e, emit_div(e, n, unroll), unroll));
    Loop l;
    loop_begin(e, &l, v0, split, unroll, false, 0, NULL);
    LLVMValueRef at = emit_mul(e, l.iv, e->vl);
    for (int i = 0; i < unroll; i++)
        one_vector(kn, fixed, emit_add(e, at, emit_int(e, i * e->vl)), e->vl);
    loop_end(e, &l, NULL);
    if (unroll == 1)
        return;
    loop_begin(e, &l, split, v1, 1, false, 0, NULL);
    one_vector(kn, fixed, emit_mul(e, l.iv, e->vl), e->vl);
    loop_end(e, &l, NULL);
}

bool cpu_update(Kern *kn)
{
    Emit *e = kn->e;
    int64_t floats = kn->k->in.c, whole = floats / e->vl;
    int part = (int)(floats % e->vl);
    LLVMValueRef fixed[EXPR_MAX_ARGS] = {0}, lo, hi;
    Loop l;
    if (kn->k->root_count < 1)
        return emit_fail(e, "an update stores nothing");
    kern_fixed_args(kn, e->vec, fixed);
    kern_items(kn, whole + (part > 0), &lo, &hi);
    vectors(kn, fixed, lo, emit_imin(e, hi, emit_int(e, whole)));
    if (!part)
        return true;
    loop_begin(e, &l, emit_imax(e, lo, emit_int(e, whole)), hi, 1, false, 0, NULL);
    one_vector(kn, fixed, emit_int(e, whole * e->vl), part);
    loop_end(e, &l, NULL);
    return true;
}
