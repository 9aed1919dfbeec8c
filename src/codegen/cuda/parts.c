/* What kernels of training steps are made of beside kern.c: parts of vectors, several results, sums
 * of many values. */
#include "cnnrt.h"
#include "codegen/cuda/kern.h"

LLVMValueRef cuda_keep(const CudaKern *kn, LLVMValueRef v, LLVMValueRef chan, int64_t channels,
                       double other)
{
    Emit *e = kn->e;
    if (channels % e->vl == 0)
        return v;
    LLVMValueRef whole = emit_less(e, chan, cuda_int(kn, channels / e->vl * e->vl));
    return emit_select(e, whole, v, emit_keep(e, v, (int)(channels % e->vl), other));
}

LLVMValueRef cuda_load_part(const CudaKern *kn, LLVMValueRef p, LLVMValueRef at, int64_t n)
{
    Emit *e = kn->e;
    LLVMValueRef v = LLVMGetPoison(e->vec), first = emit_at(e, p, at);
    if (n % e->vl == 0)
        return cuda_load(kn, first);
    for (int i = 0; i < e->vl; i++) {
        LLVMValueRef lane = emit_add(e, at, cuda_int(kn, i)), there = cuda_inside(kn, lane, n);
        LLVMValueRef one = cuda_load_if(kn, e->f32, there, emit_at(e, p, lane), first, 0);
        v = emit_set_lane(e, v, one, i);
    }
    return v;
}

void cuda_store_part(const CudaKern *kn, LLVMValueRef v, LLVMValueRef p, LLVMValueRef at, int64_t n)
{
    Emit *e = kn->e;
    if (n % e->vl == 0) {
        cuda_store(kn, v, emit_at(e, p, at));
        return;
    }
    for (int i = 0; i < e->vl; i++) {
        LLVMValueRef lane = emit_add(e, at, cuda_int(kn, i));
        If there;
        if_begin(e, &there, cuda_inside(kn, lane, n));
        emit_store(e, emit_lane(e, v, i), emit_at(e, p, lane));
        if_end(e, &there);
    }
}

LLVMValueRef cuda_run_field(const CudaKern *kn, size_t offset)
{
    Emit *e = kn->e;
    LLVMValueRef p = emit_at_const(e, kn->run, (int64_t)(offset / sizeof(float)));
    return LLVMBuildLoad2(e->b, e->i64, p, "");
}

static RootOperands root_operands(const CudaKern *kn)
{
    return (RootOperands){.out = kn->out, .in = kn->in, .run = kn->run, .extra = kn->extra};
}

void cuda_fixed_args(const CudaKern *kn, LLVMTypeRef type, LLVMValueRef args[EXPR_MAX_ARGS])
{
    RootOperands from = root_operands(kn);
    from.batch = LLVMBuildSExt(kn->e->b, kn->batch, kn->e->i64, "");
    roots_fixed_args(kn->e, kn->k, kn->uses, from, type, args);
}

void cuda_roots(const CudaKern *kn, LLVMTypeRef type, const LLVMValueRef args[EXPR_MAX_ARGS],
                LLVMValueRef value[KERNEL_MAX_ROOTS])
{
    roots_values(kn->e, kn->k, kn->uses, kn->root, type, args, value);
}

LLVMValueRef cuda_root_target(const CudaKern *kn, int r)
{
    return roots_target(kn->e, kn->k, root_operands(kn), r);
}

void cuda_total_clear(LLVMTypeRef type, int n, LLVMValueRef *total)
{
    for (int i = 0; i < 2 * n; i++)
        total[i] = emit_real(type, 0);
}

void cuda_total_add(const CudaKern *kn, LLVMValueRef *total, int i, LLVMValueRef v)
{
    Emit *e = kn->e;
    LLVMValueRef sum = total[2 * i], right = emit_fsub(e, v, total[2 * i + 1]);
    total[2 * i] = emit_fadd(e, sum, right);
    total[2 * i + 1] = emit_fsub(e, emit_fsub(e, total[2 * i], sum), right);
}

LLVMValueRef cuda_total(const CudaKern *kn, const LLVMValueRef *total, int i)
{
    return emit_fsub(kn->e, total[2 * i], total[2 * i + 1]);
}

void cuda_slice(const CudaKern *kn, LLVMValueRef slice, int64_t pixels, LLVMValueRef *lo,
                LLVMValueRef *hi)
{
    Emit *e = kn->e;
    int slices = kn->k->slices > 0 ? kn->k->slices : 1;
    LLVMValueRef all = emit_mul(e, kn->batch, pixels);
    LLVMValueRef n = emit_div(e, emit_add(e, all, cuda_int(kn, slices - 1)), slices);
    *lo = emit_imin(e, LLVMBuildMul(e->b, slice, n, ""), all);
    *hi = emit_imin(e, emit_add(e, *lo, n), all);
}
