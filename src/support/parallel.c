#include "support/parallel.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { MOST_THREADS = 64 };

typedef struct Loop {
    void (*fn)(void *ctx, int64_t i);
    void *ctx;
    int64_t count;
    atomic_int_fast64_t next;
} Loop;

static void *work(void *arg)
{
    Loop *l = arg;
    for (int64_t i; (i = atomic_fetch_add(&l->next, 1)) < l->count;)
        l->fn(l->ctx, i);
    return NULL;
}

void parallel_for(int threads, int64_t count, void (*fn)(void *ctx, int64_t i), void *ctx)
{
    Loop l = {.fn = fn, .ctx = ctx, .count = count};
    pthread_t thread[MOST_THREADS];
    long most = threads > 0 ? threads : sysconf(_SC_NPROCESSORS_ONLN);
    int started = 0;
    if (most > MOST_THREADS)
        most = MOST_THREADS;
    if (most > count)
        most = (long)count;
    while (started + 1 < most && pthread_create(&thread[started], NULL, work, &l) == 0)
        started++;
    work(&l);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
}
