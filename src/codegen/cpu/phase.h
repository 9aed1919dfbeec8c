/* Gathers of what a strided window scattered: output columns of one phase (column mod stride) share
 * their taps, and along a phase the input advances by one column per output. The window is that of
 * the scatter, from k->in to k->out. */
#ifndef CNNC_PHASE_H
#define CNNC_PHASE_H
#include "family/family.h"

/* Output columns phase + sw * [j, j + width). */
typedef struct Strip {
    int64_t phase, j; /* j static when edge, else only the first of `count` strips */
    int width;
    bool edge; /* taps may fall outside of the map */
    int64_t count;
} Strip;

/* The input column that tap kw of output column (phase, j) reads, minus j; false: none ever. */
bool phase_tap(const Kernel *k, int64_t phase, int64_t kw, int64_t *shift);
int64_t phase_columns(const Kernel *k, int64_t phase);
/* The strips that start at (phase, j), of at most px columns. */
Strip phase_strip(const Kernel *k, int64_t phase, int64_t j, int px);
#endif
