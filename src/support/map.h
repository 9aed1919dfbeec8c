/* A table from numbers (or addresses of interned names) to numbers, in an arena. All zero is empty.
 */
#ifndef CNNC_MAP_H
#define CNNC_MAP_H
#include "support/arena.h"
#include <stdint.h>

typedef struct Map {
    uint64_t *key;
    uint32_t *value; /* 0: the place is free */
    uint32_t size, used;
} Map;

/* 0 when there is no such key. */
uint32_t map_get(const Map *m, uint64_t key);
/* The key is new, the value not 0. */
void map_put(Arena *a, Map *m, uint64_t key, uint32_t value);
#endif
