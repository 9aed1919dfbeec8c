/* Trained weights as a kernel reads them: what plan/pack.c does at compile time, in every training
 * step. A thread per vector of output channels. */
#include "codegen/cuda/kern.h"

typedef struct Pack {
    CudaKern *kn;
    Emit *e;
    Kernel k; /* the kernel whose weights they are */
    bool one; /* one filter per channel */
    LLVMValueRef tap, i;
} Pack;

/* Where the plain weight of output channel o lies. */
static LLVMValueRef plain(const Pack *s, LLVMValueRef o)
{
    Emit *e = s->e;
    const Kernel *k = &s->k;
    LLVMValueRef at = s->tap;
    if (s->one)
        return emit_add(e, at, emit_mul(e, o, k->pack_o));
    at = emit_add(e, at, emit_mul(e, s->i, k->pack_i));
    if (k->groups <= 1)
        return emit_add(e, at, emit_mul(e, o, k->pack_o));
    int64_t per_out = k->out.c / k->groups, per_in = k->in.c / k->groups;
    LLVMValueRef rest, group = cuda_split(s->kn, o, per_out, &rest);
    at = emit_add(e, at, emit_mul(e, group, per_out * per_in * k->kh * k->kw));
    return emit_add(e, at, emit_mul(e, rest, k->pack_o));
}

bool cuda_pack(CudaKern *kn)
{
    Emit *e = kn->e;
    Pack s = {.kn = kn, .e = e, .k = *kn->k};
    Kernel *k = &s.k;
    k->family = kn->k->packs;
    s.one = k->family == FAM_DEPTHWISE || k->family == FAM_DEPTHWISE_DX;
    if (!s.one && k->family != FAM_CONV && k->family != FAM_CONVT)
        return emit_fail(e, "no packing for %s", family_name[k->family]);
    int64_t taps = k->kh * k->kw, rows = s.one ? 1 : cuda_weight_rows(k, e->t);
    int64_t inputs = k->groups > 1 ? k->in.c / k->groups : k->in.c;
    If guard;
    LLVMValueRef item = emit_add(e, emit_mul(e, kn->block, kn->launch.threads), kn->thread), block;
    if_begin(e, &guard, cuda_inside(kn, item, kn->launch.items));
    LLVMValueRef row = cuda_split(kn, item, map_blocks(k->out, e->vl), &block);
    s.tap = cuda_split(kn, row, rows, &s.i);
    if (k->pack_flip)
        s.tap = emit_sub(e, cuda_int(kn, taps - 1), s.tap);
    LLVMValueRef there = s.one || rows == inputs ? NULL : cuda_inside(kn, s.i, inputs);
    LLVMValueRef v = LLVMGetPoison(e->vec);
    for (int lane = 0; lane < e->vl; lane++) {
        LLVMValueRef o = emit_add(e, emit_mul(e, block, e->vl), cuda_int(kn, lane)), exists = there;
        if (k->out.c % e->vl)
            exists = cuda_and(kn, exists, cuda_inside(kn, o, k->out.c));
        LLVMValueRef p = emit_at(e, kn->in, plain(&s, o));
        v = emit_set_lane(e, v, cuda_load_if(kn, e->f32, exists, p, kn->in, 0), lane);
    }
    cuda_store(kn, v, emit_at(e, kn->out, emit_mul(e, item, e->vl)));
    if_end(e, &guard);
    return true;
}
