/* Memory that catches strays: every buffer lies against a page that cannot be touched, and the rest
 * of its own pages holds numbers that spoil whatever is computed from them. */
#ifndef CNNC_TEST_KERNEL_MEMORY_H
#define CNNC_TEST_KERNEL_MEMORY_H
#include "rng.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef enum Side { AGAINST_END, AGAINST_START } Side;

typedef struct Guarded {
    float *at;
    size_t floats;
    char *map;
    size_t bytes; /* of the pages in use, between two that are closed */
} Guarded;

static inline uint32_t guard_bits(void)
{
    return 0x7FC0DEADu; /* a NaN */
}

/* at is NULL when the system has no memory left. */
static inline Guarded guarded_new(size_t floats, Side side)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    Guarded g = {.floats = floats, .bytes = (floats * 4 + 64 + page - 1) / page * page};
    g.map = mmap(NULL, g.bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect(g.map + page, g.bytes, PROT_READ | PROT_WRITE) != 0)
        return (Guarded){0};
    char *first = g.map + page;
    uint32_t bits = guard_bits();
    for (size_t i = 0; i < g.bytes; i += 4)
        memcpy(first + i, &bits, 4);
    g.at = (float *)(side == AGAINST_END ? first + g.bytes - floats * 4 : first);
    return g;
}

/* Whether nothing was written outside. */
static inline bool guarded_intact(const Guarded *g)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const char *first = g->map + page, *begin = (const char *)g->at;
    const char *end = begin + g->floats * 4;
    for (const char *p = first; p < first + g->bytes; p += 4) {
        uint32_t bits;
        memcpy(&bits, p, 4);
        if ((p < begin || p >= end) && bits != guard_bits())
            return false;
    }
    return true;
}

static inline void guarded_free(Guarded *g)
{
    if (g->at)
        munmap(g->map, g->bytes + 2 * (size_t)sysconf(_SC_PAGESIZE));
    g->at = NULL;
}

static inline void fill_random(float *p, size_t n, const char *stream, float lo, float hi)
{
    uint64_t key = rng_key(stream, 7);
    for (size_t i = 0; i < n; i++)
        p[i] = lo + (hi - lo) * rng_uniform(key, i);
}
#endif
