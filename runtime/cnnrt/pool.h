/* A team of threads that runs the same function together, again and again, with barriers inside.
 * Waiting spins for a bounded time (a step of a small network lasts microseconds), then yields,
 * then sleeps, so that an idle or overloaded machine is not burnt. */
#ifndef CNNRT_POOL_H
#define CNNRT_POOL_H

typedef struct Pool Pool;
typedef void PoolFn(void *arg, int thread);

/* Starts threads - 1 workers; the caller of cnnrt_pool_run is thread 0. NULL when memory or threads
 * are not to be had. threads must be at least 1. */
Pool *cnnrt_pool_new(int threads);
void cnnrt_pool_free(Pool *p);
int cnnrt_pool_threads(const Pool *p);
/* Runs fn(arg, t) on every thread and returns when all have finished. Allocates nothing. */
void cnnrt_pool_run(Pool *p, PoolFn *fn, void *arg);
/* Inside fn: waits until every thread of the team has come here. */
void cnnrt_pool_barrier(Pool *p);
/* Processors this process may use, CNNC_THREADS when that is set to a number in [1, 1024]. */
int cnnrt_pool_default_threads(void);
#endif
