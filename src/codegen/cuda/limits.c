/* What a device can do at most: kernels that do one thing and wait for nothing else. A block is one
 * of k->slices parts. */
#include "codegen/cuda/kern.h"

/* All values as one vector, so that none of the work is dead, in the thread's place of `out`. */
static void keep(CudaKern *kn, const LLVMValueRef *v, int n)
{
    Emit *e = kn->e;
    LLVMValueRef sum = v[0];
    for (int i = 1; i < n; i++)
        sum = emit_fadd(e, sum, v[i]);
    LLVMValueRef at = emit_add(e, emit_mul(e, kn->block, kn->launch.threads), kn->thread);
    cuda_store(kn, sum, emit_at(e, kn->out, emit_mul(e, at, e->vl)));
}

/* PEAK_CHAINS chains of vectors x = x * a + b; |a| < 1 keeps them small. */
bool cuda_peak(CudaKern *kn)
{
    Emit *e = kn->e;
    LLVMValueRef v[PEAK_CHAINS];
    Loop rounds;
    if (kn->k->positions < 1)
        return emit_fail(e, "a peak is measured over one round or more");
    LLVMValueRef a = cuda_load(kn, kn->in), b = cuda_load(kn, emit_at_const(e, kn->in, e->vl));
    for (int i = 0; i < PEAK_CHAINS; i++)
        v[i] = emit_real(e->vec, i);
    loop_begin(e, &rounds, cuda_int(kn, 0), cuda_int(kn, kn->k->positions), 1, false, PEAK_CHAINS,
               v);
    for (int i = 0; i < PEAK_CHAINS; i++)
        v[i] = emit_fma(e, v[i], a, b);
    loop_end(e, &rounds, v);
    keep(kn, v, PEAK_CHAINS);
    return true;
}

bool cuda_stream(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    bool copies = k->out.c == k->in.c;
    int64_t row = (int64_t)kn->launch.threads * e->vl, step = STREAM_AT_ONCE * row;
    int64_t part = k->slices > 0 ? k->in.c / k->slices : 0;
    LLVMValueRef v[STREAM_AT_ONCE], x[STREAM_AT_ONCE];
    Loop run;
    if (part < step || part % step != 0 || part * k->slices != k->in.c)
        return emit_fail(e, "a stream is cut in parts of whole steps");
    LLVMValueRef from = emit_mul(e, kn->block, part), mine = emit_mul(e, kn->thread, e->vl);
    for (int i = 0; i < STREAM_AT_ONCE; i++)
        v[i] = emit_real(e->vec, 0);
    loop_begin(e, &run, from, emit_add(e, from, cuda_int(kn, part)), step, true, STREAM_AT_ONCE, v);
    LLVMValueRef at = emit_add(e, run.iv, mine);
    LLVMValueRef in = emit_at(e, kn->in, at), out = emit_at(e, kn->out, at);
    for (int i = 0; i < STREAM_AT_ONCE; i++)
        x[i] = cuda_load(kn, emit_at_const(e, in, i * row));
    for (int i = 0; i < STREAM_AT_ONCE; i++)
        if (copies)
            cuda_store(kn, x[i], emit_at_const(e, out, i * row));
        else
            v[i] = emit_fadd(e, v[i], x[i]);
    loop_end(e, &run, v);
    if (!copies)
        keep(kn, v, STREAM_AT_ONCE);
    return true;
}
