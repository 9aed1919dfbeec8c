/* Tiles among which the rules for GPUs choose. Private to cuda*.c. */
#ifndef CNNC_FAMILY_CUDA_CHOICE_H
#define CNNC_FAMILY_CUDA_CHOICE_H
#include "family/count.h"

enum {
    CUDA_WARP = 32,
    CUDA_BLOCKS_WANTED = 216 /* that keep a device busy: two on each of 108 multiprocessors */
};

/* weight: what a multiply-add of the tile costs, relative to the others. */
typedef struct CudaChoice {
    CudaTile tile;
    double weight;
} CudaChoice;

/* On ordinary units: cuda_tile.def; cuda_tiles.c */
extern const CudaChoice cuda_tile_choices[];
extern const int cuda_tile_choice_count;

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
