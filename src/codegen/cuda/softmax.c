/* Softmax over the channels of each position: the largest value is taken off first. */
#include "codegen/cuda/channels.h"
#include "codegen/llvm/math.h"

typedef struct Soft {
    LLVMValueRef top, scale;
} Soft;

static LLVMValueRef power(Channels *c, LLVMValueRef v, const void *ctx)
{
    const Soft *s = ctx;
    return math_exp(c->e, emit_fsub(c->e, v, s->top));
}

static LLVMValueRef part(Channels *c, LLVMValueRef v, const void *ctx)
{
    const Soft *s = ctx;
    return emit_fmul(c->e, power(c, v, ctx), s->scale);
}

bool cuda_softmax(CudaKern *kn)
{
    Emit *e = kn->e;
    Channels c;
    Soft s = {0};
    channels_open(&c, kn);
    s.top = emit_splat(e, channels_max(&c));
    LLVMValueRef sum = channels_sum(&c, power, &s);
    s.scale = emit_splat(e, emit_fdiv(e, emit_real(e->f32, 1), sum));
    channels_store(&c, part, &s);
    channels_close(&c);
    return true;
}
