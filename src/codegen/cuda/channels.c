#include "codegen/cuda/channels.h"

void channels_open(Channels *c, CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    *c = (Channels){.kn = kn, .e = e};
    LLVMValueRef warp = cuda_split(kn, kn->thread, NVPTX_WARP, &c->lane);
    LLVMValueRef item = emit_add(e, emit_mul(e, kn->block, kn->launch.per_block), warp);
    if_begin(e, &c->guard, emit_less(e, item, emit_mul(e, kn->batch, kn->launch.items)));
    c->spot.image = cuda_split(kn, item, k->in.h * k->in.w, &c->spot.pixel);
    LLVMValueRef in = cuda_image(kn, kn->in, c->spot.image, k->in_step);
    c->in = emit_at(e, in, emit_mul(e, c->spot.pixel, kn->in_pixel));
}

void channels_close(Channels *c)
{
    if_end(c->e, &c->guard);
}

static LLVMValueRef vector_at(Channels *c, LLVMValueRef block)
{
    return cuda_load(c->kn, emit_at(c->e, c->in, emit_mul(c->e, block, c->e->vl)));
}

/* Lanes past the last channel become `neutral`. */
static LLVMValueRef only_channels(Channels *c, LLVMValueRef block, LLVMValueRef v, double neutral)
{
    Emit *e = c->e;
    int64_t channels = c->kn->k->in.c, blocks = map_blocks(c->kn->k->in, e->vl);
    if (channels % e->vl == 0)
        return v;
    LLVMValueRef whole = emit_less(e, block, cuda_int(c->kn, blocks - 1));
    LLVMValueRef part = emit_keep(e, v, (int)(channels % e->vl), neutral);
    return emit_select(e, whole, v, part);
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
    v = only_channels(c, l.iv, value ? value(c, v, ctx) : v, 0);
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
    top = emit_fmax(e, only_channels(c, l.iv, vector_at(c, l.iv), -__builtin_inf()), top);
    loop_end(e, &l, &top);
    return cuda_warp_max(c->kn, emit_reduce_max(e, top));
}

void channels_store(Channels *c, ChannelsValue *value, const void *ctx)
{
    Loop l;
    each_block(c, &l, NULL);
    c->spot.chan = emit_mul(c->e, l.iv, c->e->vl);
    cuda_finish(c->kn, value(c, vector_at(c, l.iv), ctx), c->spot);
    loop_end(c->e, &l, NULL);
}
