#include "codegen/cuda/window.h"

Axis window_rows(const Kernel *k)
{
    return (Axis){.in = k->in.h,
                  .out = k->out.h,
                  .k = k->kh,
                  .stride = k->sh,
                  .dilation = k->dh,
                  .pad = k->pt,
                  .turned = k->family == FAM_CONVT};
}

Axis window_columns(const Kernel *k)
{
    return (Axis){.in = k->in.w,
                  .out = k->out.w,
                  .k = k->kw,
                  .stride = k->sw,
                  .dilation = k->dw,
                  .pad = k->pl,
                  .turned = k->family == FAM_CONVT};
}

bool window_leaves(const Axis *a)
{
    return a->turned || a->pad > 0 ||
           (a->out - 1) * a->stride - a->pad + (a->k - 1) * a->dilation >= a->in;
}

LLVMValueRef window_start(const CudaKern *kn, const Axis *a, LLVMValueRef at)
{
    Emit *e = kn->e;
    if (a->turned)
        return emit_add(e, at, cuda_int(kn, a->pad));
    return emit_add(e, emit_mul(e, at, a->stride), cuda_int(kn, -a->pad));
}

LLVMValueRef window_tap(const CudaKern *kn, const Axis *a, LLVMValueRef start, LLVMValueRef tap,
                        LLVMValueRef *inside)
{
    Emit *e = kn->e;
    LLVMValueRef reach = emit_mul(e, tap, a->dilation);
    *inside = NULL;
    if (!a->turned) {
        LLVMValueRef at = emit_add(e, start, reach);
        if (window_leaves(a))
            *inside = cuda_inside(kn, at, a->in);
        return at;
    }
    /* As unsigned numbers, negative ones are large, and so are their quotients. */
    LLVMValueRef d = emit_sub(e, start, reach), at = emit_div(e, d, a->stride);
    *inside = cuda_inside(kn, at, a->in);
    if (a->stride > 1)
        *inside = cuda_and(kn, *inside,
                           LLVMBuildICmp(e->b, LLVMIntEQ, emit_mul(e, at, a->stride), d, ""));
    return at;
}
