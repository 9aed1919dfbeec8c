/* Sums over a run of floats, and what is made of them: norms. */
#include "codegen/cpu/sums.h"

/* The sums of part `unit` of a run: whole vectors, except at the run's end. */
static void part_sums(Kern *kn, SumRange *s, LLVMValueRef unit)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t whole = k->in.c / e->vl, units = family_units(k, e->t);
    int part = (int)(k->in.c % e->vl);
    int64_t all = whole + (part > 0);
    LLVMValueRef next = emit_add(e, unit, emit_int(e, 1));
    LLVMValueRef lo = emit_div(e, emit_mul(e, unit, all), units);
    LLVMValueRef hi = emit_div(e, emit_mul(e, next, all), units);
    LLVMValueRef total[SUM_VALUES], value[KERNEL_MAX_ROOTS];
    total_clear(e->vec, k->root_count, total);
    sum_vectors(kn, s, lo, emit_imin(e, hi, emit_int(e, whole)), total);
    if (part) {
        Loop l;
        loop_begin(e, &l, emit_imax(e, lo, emit_int(e, whole)), hi, 1, false, 2 * k->root_count,
                   total);
        sum_vector(kn, s, emit_int(e, whole * e->vl), part, value);
        for (int r = 0; r < k->root_count; r++)
            total_add(e, total, r, value[r]);
        loop_end(e, &l, total);
    }
    LLVMValueRef at = emit_at(e, kn->out, emit_mul(e, unit, k->root_count));
    for (int r = 0; r < k->root_count; r++)
        emit_store(e, emit_reduce_add(e, total_value(e, total, r)), emit_at_const(e, at, r));
}

bool cpu_flat_sums(Kern *kn)
{
    Emit *e = kn->e;
    SumRange s = {0};
    Loop l;
    if (kn->k->root_count < 1)
        return emit_fail(e, "nothing is to be summed");
    kern_fixed_args(kn, e->vec, s.args);
    if (kn->uses[0])
        s.map[0] = kn->in;
    for (int i = 0; i < kn->k->extra_count; i++)
        if (kn->uses[i + 1] && kn->k->extra[i] == KARG_MAP)
            s.map[i + 1] = kn->extra[i];
    loop_begin(e, &l, kn->begin, kn->end, 1, false, 0, NULL);
    part_sums(kn, &s, l.iv);
    loop_end(e, &l, NULL);
    return true;
}

/* The sum of each term in use over all parts, in double and in their order. */
static void term_sums(Kern *kn, int64_t terms, unsigned set, LLVMValueRef sum[KERNEL_MAX_ROOTS])
{
    Emit *e = kn->e;
    LLVMTypeRef f64 = LLVMDoubleTypeInContext(e->ctx);
    Loop l;
    for (int t = 0; t < terms; t++)
        sum[t] = emit_real(f64, 0);
    loop_begin(e, &l, emit_int(e, 0), emit_int(e, kn->k->slices), 1, false, (int)terms, sum);
    LLVMValueRef at = emit_at(e, kn->in, emit_mul(e, l.iv, terms));
    for (int t = 0; t < terms; t++)
        if (set >> t & 1) {
            LLVMValueRef v = emit_load(e, e->f32, emit_at_const(e, at, t));
            sum[t] = emit_fadd(e, sum[t], LLVMBuildFPExt(e->b, v, f64, ""));
        }
    loop_end(e, &l, sum);
    for (int t = 0; t < terms; t++)
        sum[t] = LLVMBuildFPTrunc(e->b, sum[t], e->f32, "");
}

static void finish(Kern *kn, int64_t terms, unsigned set)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef sum[KERNEL_MAX_ROOTS], value[KERNEL_MAX_ROOTS], args[EXPR_MAX_ARGS] = {0};
    term_sums(kn, terms, set, sum);
    kern_fixed_args(kn, e->f32, args);
    args[0] = sum[0];
    for (int i = 0; i < k->extra_count; i++)
        if (kn->uses[i + 1] && k->extra[i] == KARG_TERM)
            args[i + 1] = sum[k->hyper[i]];
    kern_roots(kn, e->f32, args, value);
    for (int r = 0; r < k->root_count; r++) {
        LLVMValueRef to = kern_root_target(kn, r);
        if (to)
            emit_store(e, value[r], emit_at_const(e, to, to == kn->out ? r : 0));
    }
}

bool cpu_flat_finish(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t terms = k->slices > 0 ? k->in.c / k->slices : 0;
    unsigned set;
    Loop l;
    if (terms < 1 || terms > KERNEL_MAX_ROOTS || terms * k->slices != k->in.c)
        return emit_fail(e, "these are not the sums of parts");
    if (!sum_terms_used(kn, terms, &set))
        return false;
    loop_begin(e, &l, kn->begin, kn->end, 1, false, 0, NULL);
    finish(kn, terms, set);
    loop_end(e, &l, NULL);
    return true;
}
