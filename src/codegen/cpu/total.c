#include "codegen/cpu/sums.h"

enum { SUM_CHAINS = 8, SUM_LONG = 40 /* instructions from which chains gain nothing */ };

void total_clear(LLVMTypeRef type, int n, LLVMValueRef total[SUM_VALUES])
{
    for (int i = 0; i < 2 * n; i++)
        total[i] = emit_real(type, 0);
}

void total_add(Emit *e, LLVMValueRef total[SUM_VALUES], int i, LLVMValueRef v)
{
    LLVMValueRef sum = total[2 * i], right = emit_fsub(e, v, total[2 * i + 1]);
    total[2 * i] = emit_fadd(e, sum, right);
    total[2 * i + 1] = emit_fsub(e, emit_fsub(e, total[2 * i], sum), right);
}

LLVMValueRef total_value(Emit *e, const LLVMValueRef total[SUM_VALUES], int i)
{
    return emit_fsub(e, total[2 * i], total[2 * i + 1]);
}

void sum_vector(Kern *kn, const SumRange *s, LLVMValueRef at, int lanes,
                LLVMValueRef value[KERNEL_MAX_ROOTS])
{
    Emit *e = kn->e;
    LLVMValueRef args[EXPR_MAX_ARGS];
    for (int i = 0; i < EXPR_MAX_ARGS; i++)
        args[i] = s->map[i] ? emit_load_part(e, emit_at(e, s->map[i], at), lanes) : s->args[i];
    kern_roots(kn, e->vec, args, value);
    for (int r = 0; r < kn->k->root_count; r++)
        value[r] = emit_keep(e, value[r], lanes, 0);
}

/* A power of two: so many that the adders are busy, and that they stay in registers. */
static int chains_of(const Kern *kn)
{
    int chains = SUM_CHAINS, cost = 0;
    for (int r = 0; r < kn->k->root_count; r++)
        cost += kn->root[r].cost;
    while (chains > 1 && (chains * kn->k->root_count > SUM_CHAINS || chains * cost > SUM_LONG))
        chains /= 2;
    return chains;
}

/* Vectors [v0, v1) in steps of `chains`, vector i of a step to accumulator i of each root. */
static void add_steps(Kern *kn, const SumRange *s, LLVMValueRef v0, LLVMValueRef v1, int chains,
                      LLVMValueRef *sum)
{
    Emit *e = kn->e;
    int roots = kn->k->root_count;
    int64_t lo, hi;
    Loop l;
    if (emit_known(v0, &lo) && emit_known(v1, &hi) && lo >= hi)
        return;
    loop_begin(e, &l, v0, v1, chains, false, chains * roots, sum);
    LLVMValueRef at = emit_mul(e, l.iv, e->vl), value[KERNEL_MAX_ROOTS];
    for (int i = 0; i < chains; i++) {
        sum_vector(kn, s, emit_add(e, at, emit_int(e, i * e->vl)), e->vl, value);
        for (int r = 0; r < roots; r++)
            sum[i * roots + r] = emit_fadd(e, sum[i * roots + r], value[r]);
    }
    loop_end(e, &l, sum);
}

static void add_run(Kern *kn, const SumRange *s, LLVMValueRef v0, LLVMValueRef v1,
                    LLVMValueRef total[SUM_VALUES])
{
    Emit *e = kn->e;
    LLVMValueRef sum[SUM_CHAINS];
    int chains = chains_of(kn), roots = kn->k->root_count;
    for (int i = 0; i < SUM_CHAINS; i++)
        sum[i] = emit_real(e->vec, 0);
    LLVMValueRef steps = emit_div(e, emit_sub(e, v1, v0), chains);
    LLVMValueRef split = emit_add(e, v0, emit_mul(e, steps, chains));
    add_steps(kn, s, v0, split, chains, sum);
    if (chains > 1)
        add_steps(kn, s, split, v1, 1, sum);
    for (int left = chains / 2; left > 0; left /= 2)
        for (int i = 0; i < left * roots; i++)
            sum[i] = emit_fadd(e, sum[i], sum[i + left * roots]);
    for (int r = 0; r < roots; r++)
        total_add(e, total, r, sum[r]);
}

void sum_vectors(Kern *kn, const SumRange *s, LLVMValueRef v0, LLVMValueRef v1,
                 LLVMValueRef total[SUM_VALUES])
{
    Emit *e = kn->e;
    int64_t run = SUM_STEPS * chains_of(kn);
    Loop l;
    loop_begin(e, &l, v0, v1, run, false, 2 * kn->k->root_count, total);
    add_run(kn, s, l.iv, emit_imin(e, emit_add(e, l.iv, emit_int(e, run)), v1), total);
    loop_end(e, &l, total);
}

bool sum_terms_used(Kern *kn, int64_t terms, unsigned *set)
{
    *set = kn->uses[0] ? 1 : 0;
    for (int i = 0; i < kn->k->extra_count; i++) {
        int term = kn->k->hyper[i];
        if (!kn->uses[i + 1] || kn->k->extra[i] != KARG_TERM)
            continue;
        if (term < 0 || term >= terms)
            return emit_fail(kn->e, "a kernel's expression names a sum it does not have");
        *set |= 1u << term;
    }
    return true;
}
