/* Gradients of operators that work on maps, and losses. Units:
 *   POOL_DX          of a maximum: channel block; of a mean: channel block x row block of dx
 *   LN_DX LRN_DX SOFTMAX_DX LOSS_DX   row block of positions
 *   LN_DW            slice of the batch
 *   LOSS             the image */
#include "family/train.h"

enum { UNITS_WANTED = 14 }; /* as for the other kernels: tile.c */

static int64_t floats_of_blocks(MapDesc m, const Target *t)
{
    return map_blocks(m, t->vl) * t->vl;
}

/* Zeros on either side of a position's channels, in whole vectors. */
static int64_t lrn_margin(const Kernel *k, const Target *t)
{
    return (k->lrn_size + t->vl - 1) / t->vl * t->vl;
}

static bool gathered(const Kernel *k)
{
    if (k->family == FAM_COPY)
        return k->copy == COPY_NEAREST_DX || k->copy == COPY_BILINEAR_DX;
    return k->family == FAM_POOL_DX && k->pool != POOL_MAX;
}

int64_t train_map_units(const Kernel *k, const Target *t)
{
    switch (k->family) {
    case FAM_POOL_DX: return map_blocks(k->out, t->vl) * (gathered(k) ? family_row_blocks(k) : 1);
    case FAM_LN_DW: return k->slices > 0 ? k->slices : 1;
    case FAM_LOSS: return 1;
    default: return family_row_blocks(k);
    }
}

int64_t train_map_scratch(const Kernel *k, const Target *t)
{
    if (gathered(k)) /* a row of the outputs' gradient, columns not yet added up */
        return k->in.w * t->vl;
    if (k->family == FAM_LN_DW) /* the mean and the scale of a run of positions */
        return 2 * TRAIN_LN_ROW;
    if (k->family == FAM_LRN_DX) /* of a position: lrn_dx.c */
        return 3 * floats_of_blocks(k->in, t) + 4 * lrn_margin(k, t);
    return 0;
}

/* Blocks of n items, nearly equal and about `wanted`, in whole multiples of `least`. */
static int block_of(int64_t n, int64_t wanted, int64_t least)
{
    int64_t groups = (n + least - 1) / least, size = (groups + wanted - 1) / wanted * least;
    return (int)(size < INT32_MAX ? size : INT32_MAX);
}

void train_map_tile(Kernel *k, const Target *t)
{
    enum { POSITIONS = 4 };
    int64_t blocks = map_blocks(k->out, t->vl);
    switch (k->family) {
    case FAM_POOL_DX:
        k->tile.px = t->regs >= 32 ? 6 : 4; /* two registers each, and those of the taps */
        if (gathered(k))
            k->tile.rb = block_of(k->out.h, blocks < UNITS_WANTED ? UNITS_WANTED / blocks : 1, 1);
        break;
    case FAM_LN_DX:
    case FAM_LRN_DX:
    case FAM_SOFTMAX_DX:
    case FAM_LOSS_DX:
        k->tile.flat = true;
        k->tile.rb = block_of(k->out.h * k->out.w, UNITS_WANTED, POSITIONS);
        break;
    default: break;
    }
}
