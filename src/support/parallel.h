/* A loop over independent items on several threads. */
#ifndef CNNC_PARALLEL_H
#define CNNC_PARALLEL_H
#include <stdint.h>

/* Calls fn(ctx, i) for every i in [0, count), in that order of starting, on up to `threads` threads
 * (0 = the processors available) of which the caller is one. Fewer than asked for is no error.
 * Items must not write to the same arena: an arena that runs out of memory jumps. */
void parallel_for(int threads, int64_t count, void (*fn)(void *ctx, int64_t i), void *ctx);
#endif
