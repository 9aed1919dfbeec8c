/* NumPy arrays: format 1.0 to 3.0, little-endian float32/float64/uint8/int32/int64 read (as
 * float32), float32 written; C order only. Limits and every size checked. */
#ifndef CNNC_NPY_H
#define CNNC_NPY_H
#include "support/arena.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct NdArray {
    float *data; /* malloc'ed */
    int64_t dims[8];
    int ndim;
    int64_t count;
} NdArray;

/* false with *err in the arena or constant; the caller frees out->data. */
bool npy_read(NdArray *out, const char *path, Arena *a, const char **err);
/* Whole or not at all; *err lives until the next call. */
bool npy_write(const char *path, const float *data, const int64_t *dims, int ndim,
               const char **err);
#endif
