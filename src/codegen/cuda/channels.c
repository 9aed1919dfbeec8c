#include "codegen/cuda/channels.h"

void channels_open(Channels *c, CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    *c = (Channels){.kn = kn, .e = e};
    LLVMValueRef warp = cuda_split(kn, kn->thread, NVPTX_WARP, &c->lane);
    LLVMValueRef item = emit_add(e, emit_mul(e, kn->block, kn->launch.per_block), warp);
    if_begin(e, &c->guard, emit_less(e, item, emit_mul(e, kn->batch, kn->launch.items)));
    LLVMValueRef pixel, image = cuda_split(kn, item, k->in.h * k->in.w, &pixel);
    channels_at(c, kn, image, pixel);
}

void channels_at(Channels *c, CudaKern *kn, LLVMValueRef image, LLVMValueRef pixel)
{
    c->kn = kn;
    c->e = kn->e;
    cuda_split(kn, kn->thread, NVPTX_WARP, &c->lane);
    c->spot = (Spot){image, pixel, cuda_int(kn, 0)};
    c->in = cuda_map_at(kn, KERNEL_ARG_IN, cuda_map_image(kn, KERNEL_ARG_IN, image),
                        emit_mul(kn->e, pixel, kn->in_pixel));
}

void channels_close(Channels *c)
{
    if_end(c->e, &c->guard);
}

static LLVMValueRef vector_at(Channels *c, LLVMValueRef block)
{
    c->spot.chan = emit_mul(c->e, block, c->e->vl);
    LLVMValueRef p = cuda_map_at(c->kn, KERNEL_ARG_IN, c->in, c->spot.chan);
    return cuda_map_load(c->kn, KERNEL_ARG_IN, p);
}

/* Lanes past the last channel become `neutral`. */
static LLVMValueRef only_channels(Channels *c, LLVMValueRef v, double neutral)
{
    return cuda_keep(c->kn, v, c->spot.chan, c->kn->k->in.c, neutral);
}

/* A loop over this lane's vectors. */
static void each_block(Channels *c, Loop *l, LLVMValueRef *acc)
{
    LLVMValueRef blocks = cuda_int(c->kn, map_blocks(c->kn->k->in, c->e->vl));
    loop_begin(c->e, l, c->lane, blocks, NVPTX_WARP, false, acc ? 1 : 0, acc);
}

LLVMValueRef channels_sum(Channels *c, ChannelsValue *value, const void *ctx)
{
    Emit *e = c->e;
    Loop l;
    LLVMValueRef sum = emit_real(e->vec, 0);
    each_block(c, &l, &sum);
    LLVMValueRef v = vector_at(c, l.iv);
    v = only_channels(c, value ? value(c, v, ctx) : v, 0);
    sum = emit_fadd(e, sum, v);
    loop_end(e, &l, &sum);
    return cuda_warp_sum(c->kn, emit_reduce_add(e, sum));
}

LLVMValueRef channels_max(Channels *c)
{
    Emit *e = c->e;
    Loop l;
    LLVMValueRef top = emit_real(e->vec, -__builtin_inf());
    each_block(c, &l, &top);
    top = emit_fmax(e, only_channels(c, vector_at(c, l.iv), -__builtin_inf()), top);
    loop_end(e, &l, &top);
    return cuda_warp_max(c->kn, emit_reduce_max(e, top));
}

void channels_store(Channels *c, ChannelsValue *value, const void *ctx)
{
    Loop l;
    each_block(c, &l, NULL);
    LLVMValueRef v = value(c, vector_at(c, l.iv), ctx);
    cuda_finish(c->kn, v, c->spot);
    loop_end(c->e, &l, NULL);
}
