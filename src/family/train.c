/* Which group a kernel of a training step belongs to. */
#include "family/train.h"

typedef struct TrainGroup {
    int64_t (*units)(const Kernel *k, const Target *t);
    int64_t (*scratch)(const Kernel *k, const Target *t);
    void (*tile)(Kernel *k, const Target *t);
} TrainGroup;

static const TrainGroup conv = {train_conv_units, train_conv_scratch, train_conv_tile},
                        map = {train_map_units, train_map_scratch, train_map_tile},
                        sums = {train_sums_units, train_sums_scratch, train_sums_tile};

static const TrainGroup *group_of(Family f)
{
    switch (f) {
    case FAM_CONV_DW:
    case FAM_DEPTHWISE_DW:
    case FAM_DEPTHWISE_DX: return &conv;
    case FAM_POOL_DX:
    case FAM_LN_DX:
    case FAM_LN_DW:
    case FAM_LRN_DX:
    case FAM_SOFTMAX_DX:
    case FAM_LOSS:
    case FAM_LOSS_DX:
    case FAM_COPY: return &map;
    case FAM_MASK:
    case FAM_SUMS:
    case FAM_FINISH:
    case FAM_FLAT_SUMS:
    case FAM_FLAT_FINISH:
    case FAM_UPDATE: return &sums;
    default: return NULL;
    }
}

/* Packing: a unit is an output-channel tile of the kernel whose weights they are. */
static int64_t pack_units(const Kernel *k, const Target *t)
{
    return family_oc_tiles(k, t);
}

int64_t family_train_units(const Kernel *k, const Target *t)
{
    const TrainGroup *g = group_of(k->family);
    if (k->family == FAM_PACK)
        return pack_units(k, t);
    if (k->family == FAM_PEAK || k->family == FAM_STREAM)
        return k->slices;
    return g != NULL ? g->units(k, t) : 1;
}

int64_t family_train_scratch(const Kernel *k, const Target *t)
{
    const TrainGroup *g = group_of(k->family);
    return g != NULL ? g->scratch(k, t) : 0;
}

void family_train_tile(Kernel *k, const Target *t)
{
    const TrainGroup *g = group_of(k->family);
    if (g != NULL)
        g->tile(k, t);
}
