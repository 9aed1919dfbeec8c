/* Named float32 tensors: read from safetensors or made from a seed; the one form in which the rest
 * of the compiler sees weights. */
#ifndef CNNC_WEIGHTS_H
#define CNNC_WEIGHTS_H
#include "support/arena.h"
#include "support/fs.h"
#include "support/vec.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct WeightTensor {
    const char *name;
    int64_t dims[8];
    int ndim;
    const float *data; /* points into the mapping when aligned float32, else converted copy */
    int64_t count;
} WeightTensor;

typedef struct Weights {
    Arena *arena;
    VEC(WeightTensor) all; /* sorted by name */
    FsMap map;
    VEC(void *) owned; /* malloc'ed data */
} Weights;

/* Strict and bounds-checked safetensors reader: header limit 100 MB, unknown keys, duplicates,
 * overlaps, holes, trailing bytes and size mismatches are refused. F32, F16, BF16, F64 are converted
 * to float32; integer tensors are kept out of `all` unless named num_batches_tracked (ignored).
 * false with *err in the arena. */
bool weights_read_safetensors(Weights *w, Arena *a, const char *path, const char **err);
/* Writes all tensors as F32; whole or not at all. */
bool weights_write_safetensors(const Weights *w, const char *path, const char **err);
const WeightTensor *weights_find(const Weights *w, const char *name);
/* Adds a tensor with memory for count floats (malloc); NULL when out of memory. Keep sorted by
 * calling weights_sort once after the last one. */
float *weights_add(Weights *w, Arena *a, const char *name, const int64_t *dims, int ndim);
void weights_sort(Weights *w);
void weights_free(Weights *w);
#endif
