/* One kernel tried with several tiles: a plan without a network, to be compiled and run step by
 * step. */
#ifndef CNNC_TUNE_TRIAL_H
#define CNNC_TUNE_TRIAL_H
#include "plan/plan.h"

typedef struct Trial {
    Graph
        graph; /* empty: all operands are in the workspace and the weights; of a GPU, there alone */
    Analysis an;
    Plan plan;       /* step i is the kernel with tile i */
    int64_t weights; /* floats of packed weights, at the start of the plan's; 0: it has none */
} Trial;

/* Steps share their operands' buffers, which never overlap; a GPU's are for `batch` images. NULL on
 * success or a message (limits). x must stay where it is. */
const char *trial_build(Trial *x, Arena *a, const Kernel *k, const Target *t, const Tile *tiles,
                        int count, int batch);
/* Harmless values for the weights or the workspace: in [-scale, scale), none of them denormal; two
 * bf16 each, too. */
void trial_fill(float *to, int64_t count, float scale);
#endif
