/* What a machine can do at most: kernels that do one thing and wait for nothing else. */
#include "codegen/cpu/kern.h"

/* All values of one unit as one vector, so that none of the work is dead, in the unit's row of
 * `out`. */
static void keep(Kern *kn, LLVMValueRef unit, const LLVMValueRef *v, int n)
{
    Emit *e = kn->e;
    LLVMValueRef sum = v[0];
    for (int i = 1; i < n; i++)
        sum = emit_fadd(e, sum, v[i]);
    emit_store(e, sum, emit_at(e, kn->out, emit_mul(e, unit, e->vl)));
}

/* PEAK_CHAINS chains x = x * a + b; |a| < 1 keeps them small. */
bool cpu_peak(Kern *kn)
{
    Emit *e = kn->e;
    LLVMValueRef v[PEAK_CHAINS];
    Loop units, rounds;
    if (kn->k->positions < 1)
        return emit_fail(e, "a peak is measured over one round or more");
    LLVMValueRef a = emit_load(e, e->vec, kn->in);
    LLVMValueRef b = emit_load(e, e->vec, emit_at_const(e, kn->in, e->vl));
    loop_begin(e, &units, kn->begin, kn->end, 1, false, 0, NULL);
    for (int i = 0; i < PEAK_CHAINS; i++)
        v[i] = emit_real(e->vec, i);
    loop_begin(e, &rounds, emit_int(e, 0), emit_int(e, kn->k->positions), 1, false, PEAK_CHAINS, v);
    for (int i = 0; i < PEAK_CHAINS; i++)
        v[i] = emit_fma(e, v[i], a, b);
    loop_end(e, &rounds, v);
    keep(kn, units.iv, v, PEAK_CHAINS);
    loop_end(e, &units, NULL);
    return true;
}

bool cpu_stream(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    bool copies = k->out.c == k->in.c;
    int64_t step = STREAM_AT_ONCE * e->vl, part = k->slices > 0 ? k->in.c / k->slices : 0;
    LLVMValueRef v[STREAM_AT_ONCE];
    Loop units, run;
    if (part < step || part % step != 0 || part * k->slices != k->in.c)
        return emit_fail(e, "a stream is cut in parts of whole steps");
    loop_begin(e, &units, kn->begin, kn->end, 1, false, 0, NULL);
    LLVMValueRef from = emit_mul(e, units.iv, part);
    for (int i = 0; i < STREAM_AT_ONCE; i++)
        v[i] = emit_real(e->vec, 0);
    loop_begin(e, &run, from, emit_add(e, from, emit_int(e, part)), step, true, STREAM_AT_ONCE, v);
    LLVMValueRef in = emit_at(e, kn->in, run.iv), out = emit_at(e, kn->out, run.iv);
    for (int i = 0; i < STREAM_AT_ONCE; i++) {
        LLVMValueRef x = emit_load(e, e->vec, emit_at_const(e, in, i * e->vl));
        if (copies)
            emit_store(e, x, emit_at_const(e, out, i * e->vl));
        else
            v[i] = emit_fadd(e, v[i], x);
    }
    loop_end(e, &run, v);
    if (!copies)
        keep(kn, units.iv, v, STREAM_AT_ONCE);
    loop_end(e, &units, NULL);
    return true;
}
