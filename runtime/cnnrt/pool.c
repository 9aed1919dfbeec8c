#define _GNU_SOURCE
#include "pool.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Spinning covers the usual imbalance inside a step; yielding covers a preempted peer. */
enum { SPINS = 4000, YIELDS = 200 };

struct Pool {
    int threads, started;
    pid_t owner; /* the process whose threads they are */
    pthread_t *tid;
    atomic_int *cpu; /* that each thread was on as it began its part of the last run; -1: unknown */
    PoolFn *fn;
    void *arg;
    /* A cell that threads wait on has its own cache line: writers would slow the spinners. */
    _Alignas(64) atomic_uint round; /* one more for every cnnrt_pool_run */
    _Alignas(64) atomic_uint phase; /* one more for every completed barrier */
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_int sleepers;
    atomic_bool quit;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

typedef struct Worker {
    Pool *pool;
    int index;
} Worker;

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Until *cell != seen. The sleeper registers before it looks again under the lock, and the writer
 * changes the cell before it looks for sleepers, so no wake-up is lost. */
static void wait_change(Pool *p, atomic_uint *cell, unsigned seen)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(cell, memory_order_acquire) != seen)
            return;
        cpu_relax();
    }
    for (int i = 0; i < YIELDS; i++) {
        if (atomic_load_explicit(cell, memory_order_acquire) != seen)
            return;
        sched_yield();
    }
    atomic_fetch_add(&p->sleepers, 1);
    pthread_mutex_lock(&p->lock);
    while (atomic_load(cell) == seen)
        pthread_cond_wait(&p->wake, &p->lock);
    pthread_mutex_unlock(&p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
}

static void advance(Pool *p, atomic_uint *cell)
{
    atomic_fetch_add(cell, 1);
    if (atomic_load(&p->sleepers) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
}

void cnnrt_pool_barrier(Pool *p)
{
    if (p->threads == 1)
        return;
    unsigned seen = atomic_load_explicit(&p->phase, memory_order_relaxed);
    if (atomic_fetch_add(&p->arrived, 1) == p->threads - 1) {
        atomic_store(&p->arrived, 0);
        advance(p, &p->phase);
    } else {
        wait_change(p, &p->phase, seen);
    }
}

/* Threads that wake each other are easily put on one processor and left there, though others are
 * idle: each waits for the other by yielding, and both look busy. A worker that begins where an
 * earlier thread of its pool has begun leaves for another of the processors that it may use; it is
 * not bound to that one. */
static void keep_apart(Pool *p, int index)
{
    int here = sched_getcpu();
    bool taken = false;
    atomic_store_explicit(&p->cpu[index], here, memory_order_relaxed);
    for (int i = 0; i < index; i++)
        taken = taken || atomic_load_explicit(&p->cpu[i], memory_order_relaxed) == here;
    cpu_set_t allowed, others;
    if (here < 0 || !taken || sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    others = allowed;
    for (int i = 0; i < p->threads; i++) {
        int cpu = atomic_load_explicit(&p->cpu[i], memory_order_relaxed);
        if (cpu >= 0 && cpu < CPU_SETSIZE)
            CPU_CLR((size_t)cpu, &others);
    }
    if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0)
        return;
    sched_setaffinity(0, sizeof allowed, &allowed);
    atomic_store_explicit(&p->cpu[index], sched_getcpu(), memory_order_relaxed);
}

static void *worker_main(void *arg)
{
    Worker *w = arg;
    Pool *p = w->pool;
    int index = w->index;
    free(w);
    /* Rounds start at 0, and cnnrt_pool_new starts no round before every worker exists. */
    for (unsigned seen = 0;; seen++) {
        wait_change(p, &p->round, seen);
        if (atomic_load(&p->quit))
            return NULL;
        keep_apart(p, index);
        p->fn(p->arg, index);
        cnnrt_pool_barrier(p);
    }
}

/* Workers take no signals: those are for the threads of the program. */
static bool start_workers(Pool *p)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 1; i < p->threads; i++) {
        Worker *w = malloc(sizeof *w);
        if (w != NULL)
            *w = (Worker){p, i};
        if (w == NULL || pthread_create(&p->tid[i], NULL, worker_main, w) != 0) {
            free(w);
            break;
        }
        p->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return p->started == p->threads - 1;
}

static void release(Pool *p)
{
    free(p->tid);
    free(p->cpu);
    free(p);
}

Pool *cnnrt_pool_new(int threads)
{
    Pool *p = NULL;
    if (posix_memalign((void **)&p, 64, sizeof *p) != 0)
        return NULL;
    *p = (Pool){.threads = threads, .owner = getpid()};
    p->tid = calloc((size_t)threads, sizeof *p->tid);
    p->cpu = calloc((size_t)threads, sizeof *p->cpu);
    if (p->tid == NULL || p->cpu == NULL) {
        release(p);
        return NULL;
    }
    for (int i = 0; i < threads; i++)
        atomic_init(&p->cpu[i], -1);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    if (!start_workers(p)) {
        cnnrt_pool_free(p);
        return NULL;
    }
    return p;
}

void cnnrt_pool_free(Pool *p)
{
    if (p == NULL)
        return;
    if (p->started > 0 && p->owner != getpid()) { /* the lock may be in any state here */
        release(p);
        return;
    }
    atomic_store(&p->quit, true);
    advance(p, &p->round);
    for (int i = 1; i <= p->started; i++)
        pthread_join(p->tid[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    release(p);
}

int cnnrt_pool_threads(const Pool *p)
{
    return p->threads;
}

void cnnrt_pool_run(Pool *p, PoolFn *fn, void *arg)
{
    if (p->threads > 1 && p->owner != getpid())
        p->threads = 1; /* fork copies the calling thread alone */
    if (p->threads == 1) {
        fn(arg, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    atomic_store_explicit(&p->cpu[0], sched_getcpu(), memory_order_relaxed);
    advance(p, &p->round);
    fn(arg, 0);
    cnnrt_pool_barrier(p);
}

int cnnrt_pool_default_threads(void)
{
    const char *env = getenv("CNNC_THREADS");
    if (env != NULL) {
        char *end;
        long n = strtol(env, &end, 10);
        if (end != env && *end == '\0' && n >= 1 && n <= 1024)
            return (int)n;
    }
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    return 1;
}
