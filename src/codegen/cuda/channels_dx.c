/* Gradients of layer norm and softmax over the channels of each position. With xhat = (x - mean) r,
 * r = 1 / sqrt(var + eps) and g = dy w: dx = r (g - mean of g - xhat * mean of g xhat), and dw is
 * the sum of dy xhat over positions and images. */
#include "codegen/cuda/channels.h"

typedef struct NormDx {
    LLVMValueRef mean, mean_g, scale, slope;
} NormDx;

static LLVMValueRef load_x(Channels *c, LLVMValueRef dy, const void *ctx)
{
    (void)dy;
    (void)ctx;
    return cuda_extra_map(c->kn, 0, c->spot);
}

/* dy times the weight. */
static LLVMValueRef load_g(Channels *c, LLVMValueRef dy, const void *ctx)
{
    (void)ctx;
    if (c->kn->k->extra_count < 2 || c->kn->k->extra[1] != KARG_CHANNEL)
        return dy;
    return emit_fmul(c->e, dy, cuda_load(c->kn, emit_at(c->e, c->kn->extra[1], c->spot.chan)));
}

static LLVMValueRef distance(Channels *c, const NormDx *n)
{
    return emit_fsub(c->e, load_x(c, NULL, NULL), n->mean);
}

static LLVMValueRef squared(Channels *c, LLVMValueRef dy, const void *ctx)
{
    (void)dy;
    LLVMValueRef d = distance(c, ctx);
    return emit_fmul(c->e, d, d);
}

static LLVMValueRef product(Channels *c, LLVMValueRef dy, const void *ctx)
{
    return emit_fmul(c->e, load_g(c, dy, NULL), distance(c, ctx));
}

static LLVMValueRef slope(Channels *c, LLVMValueRef dy, const void *ctx)
{
    const NormDx *n = ctx;
    Emit *e = c->e;
    LLVMValueRef v = emit_fsub(e, load_g(c, dy, NULL), n->mean_g);
    v = emit_fmul(e, n->scale, emit_fsub(e, v, emit_fmul(e, distance(c, n), n->slope)));
    return cuda_keep(c->kn, v, c->spot.chan, c->kn->k->out.c, 0);
}

static LLVMValueRef average(Channels *c, ChannelsValue *value, const void *ctx)
{
    LLVMValueRef share = emit_real(c->e->f32, 1.0 / (double)c->kn->k->in.c);
    return emit_splat(c->e, emit_fmul(c->e, channels_sum(c, value, ctx), share));
}

/* 1 / sqrt(var + eps), of a position whose mean is known. */
static LLVMValueRef scale_of(Channels *c, const NormDx *n)
{
    Emit *e = c->e;
    LLVMValueRef var = average(c, squared, n);
    var = emit_fadd(e, var, emit_real(e->vec, c->kn->k->eps));
    return emit_fdiv(e, emit_real(e->vec, 1), emit_sqrt(e, var));
}

bool cuda_ln_dx(CudaKern *kn)
{
    Emit *e = kn->e;
    Channels c;
    NormDx n = {0};
    if (kn->k->extra_count < 1)
        return emit_fail(e, "the gradient of layer norm needs x");
    channels_open(&c, kn);
    n.mean = average(&c, load_x, NULL);
    n.mean_g = average(&c, load_g, NULL);
    n.scale = scale_of(&c, &n);
    n.slope = emit_fmul(e, emit_fmul(e, n.scale, n.scale), average(&c, product, &n));
    channels_store(&c, slope, &n);
    channels_close(&c);
    return true;
}

/* The vectors of a warp, one of them per lane and round, over all warps in a fixed order: what the
 * first warp stores. */
static void store_round(CudaKern *kn, LLVMValueRef shared, LLVMValueRef sum, LLVMValueRef block,
                        LLVMValueRef lane)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int warps = kn->launch.threads / NVPTX_WARP;
    int64_t blocks = map_blocks(k->in, e->vl);
    cuda_store(kn, sum, emit_at(e, shared, emit_mul(e, kn->thread, e->vl)));
    nvptx_barrier(e);
    If first;
    LLVMValueRef mine = cuda_inside(kn, kn->thread, NVPTX_WARP);
    if_begin(e, &first, cuda_and(kn, mine, cuda_inside(kn, block, blocks)));
    LLVMValueRef all = NULL;
    for (int w = 0; w < warps; w++) {
        LLVMValueRef at = emit_add(e, lane, cuda_int(kn, (int64_t)w * NVPTX_WARP));
        LLVMValueRef part = cuda_load(kn, emit_at(e, shared, emit_mul(e, at, e->vl)));
        all = all ? emit_fadd(e, all, part) : part;
    }
    LLVMValueRef to = emit_add(e, emit_mul(e, kn->block, blocks), block);
    cuda_store(kn, all, emit_at(e, kn->out, emit_mul(e, to, e->vl)));
    if_end(e, &first);
    nvptx_barrier(e);
}

/* A block for a part of the batch; its warps take positions in turn, lanes keep the sums of their
 * vectors in registers. */
bool cuda_ln_dw(CudaKern *kn)
{
    enum { MOST_ROUNDS = 24 };
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t blocks = map_blocks(k->in, e->vl), pixels = k->in.h * k->in.w;
    int rounds = (int)((blocks + NVPTX_WARP - 1) / NVPTX_WARP);
    if (k->extra_count < 1 || blocks > (int64_t)MOST_ROUNDS * NVPTX_WARP)
        return emit_fail(e, "the gradient of layer norm over %lld channels", (long long)k->in.c);
    LLVMValueRef lane, warp = cuda_split(kn, kn->thread, NVPTX_WARP, &lane), lo, hi;
    LLVMValueRef sum[MOST_ROUNDS], shared = nvptx_shared(e, (int64_t)kn->launch.threads * e->vl);
    cuda_slice(kn, kn->block, pixels, &lo, &hi);
    for (int i = 0; i < rounds; i++)
        sum[i] = emit_real(e->vec, 0);
    Loop l;
    Channels c = {0};
    NormDx n = {0};
    loop_begin(e, &l, emit_add(e, lo, warp), hi, kn->launch.threads / NVPTX_WARP, false, rounds,
               sum);
    LLVMValueRef pixel, image = cuda_split(kn, l.iv, pixels, &pixel);
    channels_at(&c, kn, image, pixel);
    n.mean = average(&c, load_x, NULL);
    n.scale = scale_of(&c, &n);
    for (int i = 0; i < rounds; i++) {
        LLVMValueRef block = emit_add(e, lane, cuda_int(kn, (int64_t)i * NVPTX_WARP));
        LLVMValueRef there = cuda_inside(kn, block, blocks);
        block = emit_select(e, there, block, cuda_int(kn, 0));
        c.spot.chan = emit_mul(e, block, e->vl);
        LLVMValueRef dy =
            cuda_map_load(kn, KERNEL_ARG_IN, cuda_map_at(kn, KERNEL_ARG_IN, c.in, c.spot.chan));
        LLVMValueRef xhat = emit_fmul(e, distance(&c, &n), n.scale);
        dy = emit_select(e, there, dy, emit_real(e->vec, 0));
        sum[i] = emit_fma(e, dy, xhat, sum[i]);
    }
    loop_end(e, &l, sum);
    for (int i = 0; i < rounds; i++)
        store_round(kn, shared, sum[i], emit_add(e, lane, cuda_int(kn, (int64_t)i * NVPTX_WARP)),
                    lane);
    return true;
}

static LLVMValueRef weighted(Channels *c, LLVMValueRef dy, const void *ctx)
{
    (void)ctx;
    return emit_fmul(c->e, dy, cuda_extra_map(c->kn, 0, c->spot));
}

/* y (dy - sum of dy y). */
static LLVMValueRef soft_slope(Channels *c, LLVMValueRef dy, const void *ctx)
{
    const LLVMValueRef *dot = ctx;
    LLVMValueRef y = cuda_extra_map(c->kn, 0, c->spot);
    LLVMValueRef v = emit_fmul(c->e, y, emit_fsub(c->e, dy, *dot));
    return cuda_keep(c->kn, v, c->spot.chan, c->kn->k->out.c, 0);
}

bool cuda_softmax_dx(CudaKern *kn)
{
    Emit *e = kn->e;
    Channels c;
    if (kn->k->extra_count < 1)
        return emit_fail(e, "the gradient of softmax needs its result");
    channels_open(&c, kn);
    LLVMValueRef dot = emit_splat(e, channels_sum(&c, weighted, NULL));
    channels_store(&c, soft_slope, &dot);
    channels_close(&c);
    return true;
}
