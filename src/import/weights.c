#include "import/weights.h"
#include <safetensors.h>
#include <stdlib.h>
#include <string.h>

enum { DIMS_MAX = sizeof((WeightTensor){0}.dims) / sizeof(int64_t) };

static int by_name(const void *a, const void *b)
{
    return strcmp(((const WeightTensor *)a)->name, ((const WeightTensor *)b)->name);
}

const WeightTensor *weights_find(const Weights *w, const char *name)
{
    if (w->all.len == 0)
        return NULL;
    WeightTensor key = {.name = name};
    return bsearch(&key, w->all.at, w->all.len, sizeof key, by_name);
}

void weights_sort(Weights *w)
{
    if (w->all.len > 1)
        qsort(w->all.at, w->all.len, sizeof *w->all.at, by_name);
}

static bool set_dims(WeightTensor *t, const int64_t *dims, int ndim)
{
    uint64_t bytes;
    if (ndim < 0 || ndim > DIMS_MAX)
        return false;
    t->ndim = ndim;
    t->count = 1;
    for (int i = 0; i < ndim; i++) {
        t->dims[i] = dims[i];
        if (dims[i] < 0 || __builtin_mul_overflow(t->count, dims[i], &t->count))
            return false;
    }
    return !__builtin_mul_overflow((uint64_t)t->count, sizeof(float), &bytes);
}

float *weights_add(Weights *w, Arena *a, const char *name, const int64_t *dims, int ndim)
{
    WeightTensor t = {0};
    if (!set_dims(&t, dims, ndim))
        return NULL;
    w->arena = a;
    t.name = arena_strdup(a, name);
    /* the arena may jump away: no memory of ours may be on its way then */
    vec_reserve(a, &w->all, w->all.len + 1);
    vec_reserve(a, &w->owned, w->owned.len + 1);
    float *data = malloc(t.count > 0 ? (size_t)t.count * sizeof *data : 1);
    if (data == NULL)
        return NULL;
    t.data = data;
    w->all.at[w->all.len++] = t;
    w->owned.at[w->owned.len++] = data;
    return data;
}

bool weights_add_recipe(Weights *w, Arena *a, const char *name, const int64_t *dims, int ndim,
                        WeightRecipe recipe)
{
    WeightTensor t = {0};
    if (!set_dims(&t, dims, ndim))
        return false;
    WeightRecipe *own = arena_array(a, 1, sizeof *own);
    *own = recipe;
    w->arena = a;
    t.name = arena_strdup(a, name);
    t.recipe = own;
    vec_push(a, &w->all, t);
    return true;
}

void weights_free(Weights *w)
{
    for (uint32_t i = 0; i < w->owned.len; i++)
        free(w->owned.at[i]);
    if (w->file != NULL)
        cnnrt_st_free(w->file);
    free(w->file);
    fs_unmap(&w->map);
    *w = (Weights){0};
}
