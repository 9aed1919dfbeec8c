/* Tiles among which the rules for GPUs choose. Private to cuda*.c. */
#ifndef CNNC_FAMILY_CUDA_CHOICE_H
#define CNNC_FAMILY_CUDA_CHOICE_H
#include "family/count.h"

enum {
    CUDA_WARP = 32,
    CUDA_MULTIPROCESSORS = 108, /* of a device that tiles are chosen for */
    CUDA_RESIDENT = 2,          /* blocks that keep one of them busy */
    CUDA_BLOCKS_WANTED = CUDA_RESIDENT * CUDA_MULTIPROCESSORS
};

/* weight: what a multiply-add of the tile costs, relative to the others. */
typedef struct CudaChoice {
    CudaTile tile;
    double weight;
} CudaChoice;

/* On ordinary units: cuda_tile.def; on matrix units, by warps and by warp groups, k in bytes:
 * cuda_mma.def, cuda_wgmma.def; cuda_tiles.c */
typedef struct CudaChoices {
    const CudaChoice *at;
    int count;
} CudaChoices;
extern const CudaChoices cuda_tile_choices, cuda_mma_choices, cuda_wgmma_choices;

/* Whether k, a contraction that suits matrix units, suits warp groups, too. */
bool cuda_suits_groups(const Kernel *k, const Target *t);
/* Bytes of shared memory that a contraction's tile takes, and that one may take. */
int64_t cuda_tile_shared(const CudaTile *c);
int64_t cuda_most_shared(const Target *t);

/* On matrix units, parts of WM by WN for each of the TEAM warps that share one; rows of BYTES are
 * counted in elements once the arithmetic is known: cuda_on_units. */
#define CUDA_UNITS(M, N, BYTES, WM, WN, STAGES, TEAM)                                              \
    .threads = (M) / (WM) * ((N) / (WN)) * (TEAM)*CUDA_WARP, .m = M, .n = N, .k = BYTES, .tm = WM, \
    .tn = WN, .stages = STAGES

static inline void cuda_on_units(CudaTile *c, Dtype d)
{
    c->k /= dtype_info[d].bytes;
    c->dtype = d;
}
#endif
