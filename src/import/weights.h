/* Named float32 tensors: read from safetensors or made from a seed; the one form in which the rest
 * of the compiler sees weights. */
#ifndef CNNC_WEIGHTS_H
#define CNNC_WEIGHTS_H
#include "support/arena.h"
#include "support/fs.h"
#include "support/vec.h"
#include <stdbool.h>
#include <stdint.h>

/* How values are made from a seed: a function of the recipe and the index alone (docs/random.md).
 * u is uniform in [0, 1), z standard normal. */
typedef struct WeightRecipe {
    enum {
        RECIPE_CONSTANT,   /* shift */
        RECIPE_NORMAL,     /* scale * z */
        RECIPE_NORMAL_CUT, /* scale * z, z not beyond -2 and 2 */
        RECIPE_CENTRED,    /* (2u - 1) * scale */
        RECIPE_UNIFORM     /* shift + u */
    } kind;
    uint64_t key;
    double scale, shift;
} WeightRecipe;

typedef struct WeightTensor {
    const char *name;
    int64_t dims[8];
    int ndim;
    const float *data; /* points into the mapping when aligned float32, else converted copy */
    int64_t count;
    const WeightRecipe *recipe; /* when not NULL there is no data: it is made when taken */
} WeightTensor;

typedef struct Weights {
    Arena *arena;
    VEC(WeightTensor) all; /* sorted by name */
    FsMap map;
    VEC(void *) owned;    /* malloc'ed data */
    struct CnnrtSt *file; /* what names of a file that was read point into */
} Weights;

/* Strict and bounds-checked safetensors reader: header limit 100 MB; unknown keys, duplicates,
 * overlaps, holes, trailing bytes and size mismatches are refused. F32, F16, BF16 and F64 become
 * float32. Integer tensors (counters such as num_batches_tracked, index tables) are checked like
 * the others but kept out of `all`. false with *err in the arena; *w is then empty. */
bool weights_read_safetensors(Weights *w, Arena *a, const char *path, const char **err);
/* The same from bytes in memory, which must outlive *w. */
bool weights_parse_safetensors(Weights *w, Arena *a, const unsigned char *bytes, size_t len,
                               const char **err);
/* Writes all tensors as F32 in the order of `all`; whole or not at all. *err lives until the next
 * call. */
bool weights_write_safetensors(const Weights *w, const char *path, const char **err);
void weights_fill(const WeightRecipe *r, int64_t count, float *out);
/* The values of a tensor until they are given back; NULL when out of memory. Any thread may. */
const float *weights_take(const WeightTensor *t);
void weights_give_back(const WeightTensor *t, const float *data);
/* `all` must be sorted. NULL when there is none of this name. */
const WeightTensor *weights_find(const Weights *w, const char *name);
/* Adds a tensor with memory for count floats (malloc); NULL when out of memory or when the
 * dimensions are no valid size. Keep sorted by calling weights_sort once after the last one. */
float *weights_add(Weights *w, Arena *a, const char *name, const int64_t *dims, int ndim);
/* Adds a tensor that is made when it is taken. False when the dimensions are no valid size. */
bool weights_add_recipe(Weights *w, Arena *a, const char *name, const int64_t *dims, int ndim,
                        WeightRecipe recipe);
void weights_sort(Weights *w);
void weights_free(Weights *w);
#endif
