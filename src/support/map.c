#include "support/map.h"

static uint32_t place(const Map *m, uint64_t key)
{
    uint32_t at = (uint32_t)(key * 0x9E3779B97F4A7C15u >> 32) & (m->size - 1);
    while (m->value[at] != 0 && m->key[at] != key)
        at = (at + 1) & (m->size - 1);
    return at;
}

uint32_t map_get(const Map *m, uint64_t key)
{
    return m->size == 0 ? 0 : m->value[place(m, key)];
}

static void grow(Arena *a, Map *m)
{
    Map old = *m;
    m->size = old.size == 0 ? 16 : 4 * old.size;
    m->key = arena_new_n(a, uint64_t, m->size);
    m->value = arena_new_n(a, uint32_t, m->size);
    for (uint32_t i = 0; i < old.size; i++)
        if (old.value[i] != 0) {
            uint32_t at = place(m, old.key[i]);
            m->key[at] = old.key[i];
            m->value[at] = old.value[i];
        }
}

void map_put(Arena *a, Map *m, uint64_t key, uint32_t value)
{
    if (2 * m->used >= m->size)
        grow(a, m);
    uint32_t at = place(m, key);
    m->key[at] = key;
    m->value[at] = value;
    m->used++;
}
