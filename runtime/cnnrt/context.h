/* What the runtime's own parts may ask of a context beyond cnnrt.h. */
#ifndef CNNRT_CONTEXT_H
#define CNNRT_CONTEXT_H
#include "cnnrt.h"

/* Where the weights of a context are: `at` in the host's memory, `floats` of them, at least as many
 * as the model has. owner: a context that has them on its device already, from float `offset` on,
 * and lives longer; else NULL. */
typedef struct CnnrtWeights {
    const float *at;
    int64_t floats;
    const CnnrtContext *owner;
    int64_t offset;
} CnnrtWeights;

/* cnnrt_create, with other weights than the model's. */
int cnnrt_create_with(CnnrtContext **out, const CnnrtModel *m, const CnnrtWeights *w, int threads,
                      void *workspace, size_t workspace_len);
#endif
