/* Counts: of floats, units, blocks. None is negative. */
#ifndef CNNC_FAMILY_COUNT_H
#define CNNC_FAMILY_COUNT_H
#include "family/family.h"

static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

static inline int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t at_least_one(int64_t v)
{
    return v > 0 ? v : 1;
}

/* A product that stays at FAMILY_LIMIT where it would pass it. */
static inline int64_t mul(int64_t a, int64_t b)
{
    int64_t r;
    if (__builtin_mul_overflow(a, b, &r) || r > FAMILY_LIMIT)
        return FAMILY_LIMIT;
    return r;
}
#endif
