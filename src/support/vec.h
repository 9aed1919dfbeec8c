/* Growable typed arrays in an arena. `vec_push` may move the elements: keep ids, not pointers. */
#ifndef CNNC_VEC_H
#define CNNC_VEC_H
#include "support/arena.h"
#include <stdint.h>

#define VEC(T)                                                                                     \
    struct {                                                                                       \
        T *at;                                                                                     \
        uint32_t len, cap;                                                                         \
    }

/* Makes room for one more element; calls the arena's handler when memory runs out. */
void vec_reserve_raw(Arena *a, void **at, uint32_t *cap, uint32_t need, size_t size);

#define vec_reserve(a, v, n)                                                                       \
    ((n) > (v)->cap ? vec_reserve_raw((a), (void **)&(v)->at, &(v)->cap, (n), sizeof *(v)->at)     \
                    : (void)0)
#define vec_push(a, v, x) (vec_reserve((a), (v), (v)->len + 1), (v)->at[(v)->len++] = (x))
#define vec_last(v) ((v)->at[(v)->len - 1])
#endif
