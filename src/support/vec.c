#include "support/vec.h"

void vec_reserve_raw(Arena *a, void **at, uint32_t *cap, uint32_t need, size_t size)
{
    uint32_t grown = *cap < 8 ? 8 : *cap > UINT32_MAX / 2 ? UINT32_MAX : *cap * 2;
    if (grown < need)
        grown = need;
    *at = arena_regrow(a, *at, *cap, grown, size);
    *cap = grown;
}
