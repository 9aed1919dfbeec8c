/* Runs the blocks of a launch, one after another, each until all its threads have exited. */
#include "bulk.h"
#include "clock.h"
#include "copy.h"
#include "fiber.h"
#include "mbarrier.h"
#include "memory.h"
#include "module.h"
#include "wgmma.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

Block block;

static const Kernel *kernel;
static void *const *arguments;
static uint64_t seed;

void simt_shuffle(uint64_t s)
{
    seed = s;
}

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

void thread_yield(void)
{
    fiber_yield();
}

void thread_ready(Thread *t)
{
    t->state = READY;
    if (t != block.running)
        t->warp->ready |= 1u << t->lane;
}

static void thread_main(void)
{
    fiber_entered();
    kernel->entry(arguments);
    Thread *t = block.now;
    t->state = EXITED;
    block.alive--;
    t->warp->alive &= ~(1u << t->lane);
    copies_drop(t);
    if (t->warp->alive)
        warp_left(t->warp);
    else
        bank_flush(t->warp);
    fiber_end();
}

static void set_up(Block *b)
{
    b->threads = b->ntid[0] * b->ntid[1] * b->ntid[2];
    b->warps = (b->threads + LANES - 1) / LANES;
    b->alive = b->threads;
    b->now = NULL;
    b->abandoned = false;
    barrier_reset();
    mbarriers_reset();
    wgmma_reset();
    for (uint32_t w = 0; w < b->warps; w++) {
        uint32_t n = b->threads - w * LANES;
        uint32_t lanes = n >= LANES ? UINT32_MAX : (1u << n) - 1;
        Warp *warp = &b->warp[w];
        warp->first = w * LANES;
        warp->exists = warp->alive = warp->ready = lanes;
        warp->waiting = 0;
    }
    for (uint32_t i = 0; i < b->threads; i++) {
        Thread *t = &b->thread[i];
        Copies *copies = t->copies;
        *t = (Thread){.id = i, .lane = i % LANES, .warp = &b->warp[i / LANES], .copies = copies};
        t->tid[0] = i % b->ntid[0];
        t->tid[1] = i / b->ntid[0] % b->ntid[1];
        t->tid[2] = i / b->ntid[0] / b->ntid[1];
        fiber_start(i, thread_main);
    }
}

/* Runs the lanes of a warp until none can go on. False if none could. */
static bool run_warp(Warp *w)
{
    bool ran = false;
    while (w->ready) {
        uint32_t ready = w->ready;
        if (seed) /* some lane, not always the first */
            for (uint32_t skip = draw((uint32_t)__builtin_popcount(ready)); skip; skip--)
                ready &= ready - 1;
        uint32_t lane = (uint32_t)__builtin_ctz(ready);
        w->ready &= ~(1u << lane);
        block.now = block.running = &block.thread[w->first + lane];
        fiber_resume(block.now->id);
        block.now = block.running = NULL;
        ran = true;
    }
    return ran;
}

static void report_deadlock(void)
{
    static const char *const where[] = {[AT_BARRIER] = "at a barrier",
                                        [AT_WARP] = "for lanes of its warp",
                                        [AT_MBARRIER] = "at an mbarrier",
                                        [AT_GROUP] = "for its warp group"};
    for (uint32_t i = 0; i < block.threads; i++) {
        Thread *t = &block.thread[i];
        if (t->state == EXITED)
            continue;
        block.now = t;
        if (t->state != AT_MBARRIER)
            fault(SIMT_BARRIER, t->site, NO_SITE, "others do not arrive here");
        fault(SIMT_DEADLOCK, t->site, NO_SITE, "thread %u waits %s", i, where[t->state]);
    }
    block.now = NULL;
    block.abandoned = true;
}

static void run_block(void)
{
    race_begin_block();
    proxy_begin_block();
    shared_poison();
    set_up(&block);
    report.blocks++;
    report.threads += block.threads;
    while (block.alive) {
        bool ran = false;
        uint32_t turn = seed ? draw(block.warps) : 0;
        for (uint32_t w = 0; w < block.warps; w++)
            ran |= run_warp(&block.warp[(w + turn) % block.warps]);
        if (!ran && !bulk_late() && !barrier_release_stuck()) {
            report_deadlock();
            break;
        }
    }
    bulk_end();
    wgmma_end();
    for (uint32_t i = 0; i < block.threads; i++)
        copies_drop(&block.thread[i]);
}

static bool refuse(char *err, size_t err_len, const char *name, const char *why)
{
    snprintf(err, err_len, "kernel %s cannot be launched: %s", name, why);
    return false;
}

static bool fits(const SimtLaunch *how, const Kernel *k, char *err, size_t err_len)
{
    const char *name = k->known.name;
    uint64_t threads = 1;
    for (int i = 0; i < 3; i++) {
        uint32_t n = how->block[i] ? how->block[i] : 1, limit = i < 2 ? MAX_THREADS : 64;
        if (n > limit)
            return refuse(err, err_len, name, "too many threads in a block");
        if (i && how->grid[i] > 65535)
            return refuse(err, err_len, name, "too many blocks along y or z");
        if (k->required[i] && n != k->required[i])
            return refuse(err, err_len, name, "it was compiled for blocks of another shape");
        threads *= n;
    }
    if (threads > k->known.max_threads)
        return refuse(err, err_len, name, "more threads in a block than its launch bound");
    if (how->shared > SHARED_LIMIT || k->known.static_shared > SHARED_LIMIT - how->shared)
        return refuse(err, err_len, name, "more shared memory than a block can have");
    return true;
}

static void give_back_arguments(const Kernel *k, void **own)
{
    for (int i = 0; own && i < k->known.params; i++)
        if (k->by_value[i] && own[i]) {
            simt_buffer_gone(own[i]);
            free(own[i]);
        }
    free(own);
}

/* Parameters that are handed over by address get memory of their own: what lies behind the caller's
 * copy is none of the kernel's business. NULL without memory. */
static void **take_arguments(const Kernel *k, void *const *args)
{
    void **own = calloc((size_t)k->known.params + 1, sizeof *own);
    for (int i = 0; own && i < k->known.params; i++) {
        size_t bytes = k->param_bytes[i];
        own[i] = k->by_value[i] ? aligned_alloc(128, (bytes + 127) / 128 * 128) : args[i];
        if (!k->by_value[i])
            continue;
        if (!own[i] || !region_add(own[i], bytes, true)) {
            give_back_arguments(k, own);
            return NULL;
        }
        memcpy(own[i], args[i], bytes);
    }
    return own;
}

static void check_pointers(const Kernel *k, void *const *args)
{
    for (int i = 0; i < k->known.params; i++) {
        uintptr_t p = 0;
        if (!k->param_align[i] || k->by_value[i] || k->param_bytes[i] != sizeof p)
            continue;
        memcpy(&p, args[i], sizeof p);
        if (p % k->param_align[i])
            fault(SIMT_ALIGN, NO_SITE, NO_SITE, "parameter %d must be a multiple of %zu", i,
                  k->param_align[i]);
    }
}

static void run_grid(const SimtLaunch *how)
{
    for (int i = 0; i < 3; i++) {
        block.nctaid[i] = how->grid[i] ? how->grid[i] : 1;
        block.ntid[i] = how->block[i] ? how->block[i] : 1;
    }
#if defined(__x86_64__)
    unsigned csr = _mm_getcsr();
    if (kernel->flush)
        _mm_setcsr(csr | 0x8040); /* flush to zero, denormals are zero */
#endif
    block.abandoned = false;
    for (uint32_t z = 0; z < block.nctaid[2]; z++)
        for (uint32_t y = 0; y < block.nctaid[1]; y++)
            for (uint32_t x = 0; x < block.nctaid[0] && !block.abandoned; x++) {
                block.ctaid[0] = x;
                block.ctaid[1] = y;
                block.ctaid[2] = z;
                run_block();
            }
#if defined(__x86_64__)
    _mm_setcsr(csr);
#endif
}

bool simt_launch(SimtModule *m, const char *name, const SimtLaunch *how, void *const *args,
                 char *err, size_t err_len)
{
    Kernel *k = module_kernel(m, name);
    if (!k)
        return refuse(err, err_len, name, "the module has no such kernel");
    if (!fits(how, k, err, err_len))
        return false;
    uint32_t threads = 1;
    for (int i = 0; i < 3; i++)
        threads *= how->block[i] ? how->block[i] : 1;
    if (!fiber_reserve(threads) || !shared_arena() || !copies_reserve(threads))
        return refuse(err, err_len, name, "out of memory");
    void **own = take_arguments(k, args);
    if (!own)
        return refuse(err, err_len, name, "out of memory");
    kernel = k;
    arguments = own;
    block.module = m;
    block.kernel = &k->known;
    k->window[k->windows][0] = m->dynamic;
    k->window[k->windows][1] = m->dynamic + (uint32_t)how->shared;
    shared_windows(k->window, k->windows + 1);
    report.launches++;
    race_begin_launch();
    block.now = NULL;
    check_pointers(k, args);
    run_grid(how);
    report_flush();
    give_back_arguments(k, own);
    return true;
}
