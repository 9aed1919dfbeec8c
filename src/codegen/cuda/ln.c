/* Layer norm over the channels of each position: mean, then variance, then the result, each in a
 * pass of its own. */
#include "codegen/cuda/channels.h"

typedef struct Norm {
    LLVMValueRef mean, scale;
} Norm;

static LLVMValueRef squared(Channels *c, LLVMValueRef v, const void *ctx)
{
    const Norm *n = ctx;
    LLVMValueRef d = emit_fsub(c->e, v, n->mean);
    return emit_fmul(c->e, d, d);
}

static LLVMValueRef normalised(Channels *c, LLVMValueRef v, const void *ctx)
{
    const Norm *n = ctx;
    return emit_fmul(c->e, emit_fsub(c->e, v, n->mean), n->scale);
}

bool cuda_ln(CudaKern *kn)
{
    Emit *e = kn->e;
    Channels c;
    Norm n = {0};
    LLVMValueRef share = emit_real(e->f32, 1.0 / (double)kn->k->in.c);
    channels_open(&c, kn);
    n.mean = emit_splat(e, emit_fmul(e, channels_sum(&c, NULL, NULL), share));
    LLVMValueRef var = emit_fmul(e, channels_sum(&c, squared, &n), share);
    var = emit_fadd(e, var, emit_real(e->f32, kn->k->eps));
    LLVMValueRef one = emit_real(e->f32, 1);
    n.scale = emit_splat(e, emit_fdiv(e, one, emit_sqrt(e, var)));
    channels_store(&c, normalised, &n);
    channels_close(&c);
    return true;
}
