/* Tiles among which the rules for GPUs choose, and those that a kernel can have beside the one that
 * they do. */
#include "family/cuda_choice.h"

enum { WIDEST_STRIP = 4 /* columns of a depthwise convolution */ };

static const CudaChoice tiles[] = {
#define TILE(M, N, K, TM, TN, WEIGHT)                                                              \
    {{.threads = ((M) / (TM)) * ((N) / (TN)), .m = M, .n = N, .k = K, .tm = TM, .tn = TN}, WEIGHT},
#include "family/cuda_tile.def"
};
static const CudaChoice of_warps[] = {
#define MMA(M, N, BYTES, WM, WN, STAGES, WEIGHT)                                                   \
    {{CUDA_UNITS(M, N, BYTES, WM, WN, STAGES, 1)}, WEIGHT},
#include "family/cuda_mma.def"
};
static const CudaChoice of_groups[] = {
#define WGMMA(M, N, BYTES, WN, STAGES, WEIGHT)                                                     \
    {{CUDA_UNITS(M, N, BYTES, 64, WN, STAGES, 4), .group = true}, WEIGHT},
#include "family/cuda_wgmma.def"
};

#define ALL(CHOICES)                                                                               \
    {                                                                                              \
        CHOICES, sizeof CHOICES / sizeof *CHOICES                                                  \
    }
const CudaChoices cuda_tile_choices = ALL(tiles), cuda_mma_choices = ALL(of_warps),
                  cuda_wgmma_choices = ALL(of_groups);

/* Tile number i of matrix units, those of warp groups first. */
static bool unit_tile(const Kernel *k, const Target *t, Dtype d, int i, CudaTile *out)
{
    int groups = cuda_suits_groups(k, t) ? cuda_wgmma_choices.count : 0;
    if (i >= groups + cuda_mma_choices.count)
        return false;
    *out = i < groups ? cuda_wgmma_choices.at[i].tile : cuda_mma_choices.at[i - groups].tile;
    cuda_on_units(out, d);
    return true;
}

/* Tile number i, made from the rules'; false: there are no more. */
static bool other_tile(const Kernel *k, const Target *t, const Tile *rule, int i, Tile *out)
{
    *out = *rule;
    if (rule->cuda.dtype != DTYPE_FP32)
        return unit_tile(k, t, rule->cuda.dtype, i, &out->cuda);
    if ((k->family == FAM_CONV || k->family == FAM_CONVT) && rule->cuda.m > 0) {
        if (i < cuda_tile_choices.count)
            out->cuda = cuda_tile_choices.at[i].tile;
        return i < cuda_tile_choices.count;
    }
    if (k->family != FAM_DEPTHWISE)
        return false;
    out->px = 1 << i;
    return out->px <= WIDEST_STRIP && out->px <= k->out.w && (out->px < WIDEST_STRIP || k->sw <= 1);
}

int cuda_tiles(const Kernel *k, const Target *t, Tile *out, int most)
{
    Kernel own = *k;
    int n = 0;
    family_choose_tile(&own, t);
    Tile rule = own.tile;
    if (n < most)
        out[n++] = rule;
    for (int i = 0; n < most && other_tile(k, t, &rule, i, &own.tile); i++) {
        Launch l = family_launch(&own, t);
        if (!family_same_tile(&own.tile, &rule) && l.rows <= CUDA_ROWS_LIMIT &&
            l.shared <= cuda_most_shared(t))
            out[n++] = own.tile;
    }
    return n;
}
