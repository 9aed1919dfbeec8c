/* Kernels of training steps for GPUs: launches, and parts of sums over the batch. */
#include "family/cuda_choice.h"

enum {
    MOST_SLICES = 32,
    PART = 4096,    /* least floats of a part of a run */
    MOST_PARTS = 64 /* of a run */
};

bool cuda_dw_tiled(const Kernel *k, const Target *t)
{
    int64_t groups = at_least_one(k->groups);
    return groups == 1 || (k->dy.c / groups % t->vl == 0 && k->in.c / groups % t->vl == 0);
}

void cuda_choose_dw_tile(Kernel *k, const Target *t)
{
    static const CudaChoice tiles[] = {
#define MMA_DW(M, N, BYTES, WM, WN, WEIGHT) {{CUDA_UNITS(M, N, BYTES, WM, WN, 2, 1)}, WEIGHT},
#include "family/cuda_mma_dw.def"
    };
    double best = 0;
    int64_t groups = at_least_one(k->groups);
    if (t->dtype == DTYPE_FP32 || !cuda_dw_tiled(k, t) || k->in.layout != LAYOUT_CHANNELS)
        return;
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        const CudaTile *c = &tiles[i].tile;
        double made =
            (double)mul(ceil_div(k->dy.c / groups, c->m), ceil_div(k->in.c / groups, c->n));
        double cost = made * c->m * c->n * tiles[i].weight;
        if (best > 0 && cost >= best)
            continue;
        best = cost;
        k->tile.cuda = *c;
    }
    cuda_on_units(&k->tile.cuda, t->dtype);
}

/* Channels of a block's tile, and the bytes of shared memory that its steps take. */
static int64_t dw_side(const Kernel *k)
{
    return cuda_on_matrix_units(k) ? k->tile.cuda.m : CUDA_DW;
}

static int64_t dw_shared(const Kernel *k)
{
    const CudaTile *c = &k->tile.cuda;
    int bytes = dtype_info[c->dtype].bytes, beside = c->dtype == DTYPE_TF32 ? 8 : 0;
    if (!cuda_on_matrix_units(k))
        return (int64_t)2 * CUDA_DW * 16 * 4;
    return (int64_t)c->stages * c->k * (c->m + c->n + 2 * beside) * bytes;
}

/* Blocks of one part of the batch. */
static int64_t part_blocks(const Kernel *k, const Target *t)
{
    int64_t groups = at_least_one(k->groups), taps = at_least_one(k->kh * k->kw);
    int64_t per_out = k->dy.c / groups, per_in = k->in.c / groups;
    switch (k->family) {
    case FAM_CONV_DW:
        if (!cuda_dw_tiled(k, t))
            return ceil_div(k->dy.c * per_in * taps, k->tile.cuda.threads);
        return groups * taps * ceil_div(per_out, dw_side(k)) * ceil_div(per_in, dw_side(k));
    case FAM_DEPTHWISE_DW: return taps * ceil_div(map_blocks(k->dy, t->vl), CUDA_SUMMED);
    case FAM_SUMS: return ceil_div(map_blocks(k->in, t->vl), CUDA_SUMMED);
    default: return 1;
    }
}

int cuda_slices(const Kernel *k, const Target *t)
{
    Kernel own = *k;
    cuda_choose_tile(&own, t);
    int64_t n = ceil_div(CUDA_BLOCKS_WANTED, part_blocks(&own, t));
    return n < MOST_SLICES ? (int)n : MOST_SLICES;
}

static int64_t parts(int64_t floats)
{
    int64_t n = ceil_div(floats, PART);
    return n < 1 ? 1 : n > MOST_PARTS ? MOST_PARTS : n;
}

static Launch weight_gradient(const Kernel *k, const Target *t)
{
    int64_t slices = at_least_one(k->slices), taps = k->kh * k->kw, blocks = part_blocks(k, t);
    Launch l = {.items = slices * blocks,
                .per_block = 1,
                .rows = 1,
                .threads = k->tile.cuda.threads,
                .once = true};
    if (k->family == FAM_DEPTHWISE_DW) {
        l.rows = taps;
        l.items /= taps;
        l.shared = (int64_t)l.threads / CUDA_WARP * CUDA_SUMMED * 16;
    } else if (cuda_dw_tiled(k, t)) {
        l.rows = at_least_one(k->groups) * taps;
        l.items /= l.rows;
        l.shared = dw_shared(k);
    }
    return l;
}

/* Sums over the batch, runs of floats, packing: the batch as a whole. */
static bool whole_launch(const Kernel *k, const Target *t, Launch *l)
{
    int64_t warps = k->tile.cuda.threads / CUDA_WARP;
    Kernel packed = *k;
    l->once = true;
    l->per_block = 1;
    switch (k->family) {
    case FAM_PACK:
        packed.family = k->packs;
        l->items = cuda_packed_vectors(&packed, t);
        l->per_block = l->threads;
        return true;
    case FAM_SUMS:
        l->items = at_least_one(k->slices) * part_blocks(k, t);
        l->shared = warps * CUDA_SUMMED * k->root_count * 16;
        return true;
    case FAM_LN_DW:
        l->items = at_least_one(k->slices);
        l->shared = (int64_t)l->threads * 16;
        return true;
    case FAM_FINISH:
        l->items = map_blocks(k->out, t->vl);
        l->per_block = l->threads;
        return true;
    case FAM_FLAT_SUMS:
        l->items = parts(k->in.c);
        l->shared = warps * CUDA_SUMMED * k->root_count * 16;
        return true;
    case FAM_FLAT_FINISH:
        l->items = 1;
        l->threads = CUDA_WARP;
        return true;
    case FAM_UPDATE:
        l->items = ceil_div(k->in.c, t->vl);
        l->per_block = l->threads;
        return true;
    case FAM_PEAK:
    case FAM_STREAM: l->items = at_least_one(k->slices); return true;
    default: return false;
    }
}

bool cuda_train_launch(const Kernel *k, const Target *t, Launch *l)
{
    int64_t pixels = k->out.h * k->out.w;
    Launch each = {.items = pixels * map_blocks(k->out, t->vl),
                   .per_block = k->tile.cuda.threads,
                   .rows = 1,
                   .threads = k->tile.cuda.threads};
    switch (k->family) {
    case FAM_CONV_DW:
    case FAM_DEPTHWISE_DW: *l = weight_gradient(k, t); return true;
    case FAM_DEPTHWISE_DX:
    case FAM_POOL_DX:
    case FAM_LRN_DX:
    case FAM_MASK: break;
    case FAM_LN_DX:
    case FAM_SOFTMAX_DX:
    case FAM_LOSS_DX:
        each.items = pixels;
        each.per_block = each.threads / CUDA_WARP;
        break;
    case FAM_LOSS: /* a warp for an image */
        each.items = each.per_block = 1;
        each.threads = CUDA_WARP;
        break;
    default:
        if (!whole_launch(k, t, &each))
            return false;
        break;
    }
    *l = each;
    return true;
}
