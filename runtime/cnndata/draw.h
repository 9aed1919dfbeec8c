/* Private: chance as a sequence of draws from one stream of docs/random.md. What each operation
 * draws, and in which order, is part of that document. */
#ifndef CNNDATA_DRAW_H
#define CNNDATA_DRAW_H
#include "rng.h"
#include <math.h>

typedef struct CnndataDraw {
    uint64_t key, at;
} CnndataDraw;

static inline double draw_unit(CnndataDraw *d) /* [0, 1) */
{
    return (double)rng_uniform(d->key, d->at++);
}

static inline double draw_between(CnndataDraw *d, double lo, double hi)
{
    return lo + (hi - lo) * draw_unit(d);
}

/* A whole number in [0, n), n > 0: the high half of a product (Lemire 2019, without rejection). */
static inline int64_t draw_below(CnndataDraw *d, int64_t n)
{
    return (int64_t)(((unsigned __int128)rng_mix(d->key, d->at++) * (uint64_t)n) >> 64);
}

/* Standard normal (Box & Muller 1958), one value of the pair. */
static inline double draw_normal(CnndataDraw *d)
{
    double u = 1.0 - draw_unit(d), angle = 6.283185307179586 * draw_unit(d);
    return sqrt(-2.0 * log(u)) * cos(angle);
}
#endif
