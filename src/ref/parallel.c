/* The parallel loop. Which thread does what has no influence on results: every index computes its
 * values alone and in a fixed order. */
#include "ref/ref_ops.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { THREADS_MAX = 64 };
#define WORK_MIN 1e6 /* below, starting threads takes longer than the loop */

typedef struct Loop {
    int64_t n;
    atomic_int_fast64_t next;
    void (*body)(void *ctx, int64_t i);
    void *ctx;
} Loop;

static void *work_on(void *arg)
{
    Loop *l = arg;
    for (int64_t i; (i = atomic_fetch_add(&l->next, 1)) < l->n;)
        l->body(l->ctx, i);
    return NULL;
}

void ref_parallel(int64_t n, double work, void (*body)(void *ctx, int64_t i), void *ctx)
{
    Loop l = {.n = n, .body = body, .ctx = ctx};
    pthread_t helper[THREADS_MAX];
    long cores = work < WORK_MIN ? 1 : sysconf(_SC_NPROCESSORS_ONLN);
    int helpers = 0;
    while (helpers + 1 < cores && helpers + 1 < n && helpers < THREADS_MAX &&
           pthread_create(&helper[helpers], NULL, work_on, &l) == 0)
        helpers++;
    work_on(&l); /* enough by itself where no thread could be started */
    for (int i = 0; i < helpers; i++)
        pthread_join(helper[i], NULL);
}
