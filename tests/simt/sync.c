/* Where threads wait for each other: barriers of the block and operations of a warp. */
#include "clock.h"
#include "memory.h"
#include <stdlib.h>
#include <string.h>

void barrier_reset(void)
{
    memset(block.barrier, 0, sizeof block.barrier);
}

static void barrier_open(uint32_t id)
{
    static uint32_t met[MAX_THREADS];
    uint32_t n = 0;
    for (uint32_t t = 0; t < block.threads; t++)
        if (block.thread[t].state == AT_BARRIER && block.thread[t].barrier == (int)id)
            met[n++] = t;
    report.barriers++;
    if (n == block.alive)
        clock_next_epoch();
    else if (n)
        clock_join(met, n);
    for (uint32_t w = 0; n == block.alive && w < block.warps; w++)
        bank_flush(&block.warp[w]);
    for (uint32_t i = 0; i < n; i++)
        thread_ready(&block.thread[met[i]]);
    block.barrier[id] = (Barrier){0};
}

void barrier_sync(uint32_t site, uint32_t id, uint32_t count)
{
    Thread *t = block.now;
    if (id >= BARRIERS || count % LANES || count > block.warps * LANES) {
        fault(SIMT_ILLEGAL, site, NO_SITE, "barrier %u for %u threads", id, count);
        return;
    }
    Barrier *b = &block.barrier[id];
    if (!b->arrived) {
        b->site = site;
        b->expected = count;
    } else if (b->expected != count) {
        fault(SIMT_BARRIER, site, b->site, "barrier %u for %u threads, others say %u", id, count,
              b->expected);
    } else if (!count && b->site != site) {
        fault(SIMT_BARRIER, site, b->site, "others arrive at barrier %u elsewhere", id);
    }
    b->arrived++;
    t->site = site;
    t->state = AT_BARRIER;
    t->barrier = (int)id;
    if (b->arrived == (b->expected ? b->expected : block.threads))
        barrier_open(id);
    if (t->state != READY)
        thread_yield();
}

bool barrier_release_stuck(void)
{
    for (uint32_t t = 0; t < block.threads; t++) {
        const Thread *stuck = &block.thread[t];
        if (stuck->state != AT_BARRIER)
            continue;
        const Barrier *b = &block.barrier[stuck->barrier];
        if (b->expected || b->arrived != block.alive || block.alive == block.threads)
            continue;
        fault(SIMT_BARRIER, stuck->site, NO_SITE, "%u of %u threads have exited without arriving",
              block.threads - block.alive, block.threads);
        barrier_open((uint32_t)stuck->barrier);
        return true;
    }
    return false;
}

/* The lanes that lane l of w waits for, if all are there; else 0. */
static uint32_t complete(const Warp *w, uint32_t l)
{
    uint32_t want = w->mask[l] & w->alive;
    if (want & ~w->waiting)
        return 0;
    for (uint32_t left = want; left; left &= left - 1) {
        uint32_t k = (uint32_t)__builtin_ctz(left);
        if (w->op[k] != w->op[l] || w->mask[k] != w->mask[l])
            return 0;
    }
    return want;
}

static void check_aligned(const Warp *w, uint32_t mask, const WarpOp *op)
{
    uint32_t first = block.thread[w->first + (uint32_t)__builtin_ctz(mask)].site;
    if (mask != UINT32_MAX)
        fault(SIMT_BARRIER, first, NO_SITE, "%s needs all lanes of the warp, not 0x%08x", op->name,
              mask);
    for (uint32_t left = mask; left; left &= left - 1) {
        uint32_t site = block.thread[w->first + (uint32_t)__builtin_ctz(left)].site;
        if (site != first) {
            fault(SIMT_BARRIER, site, first, "lanes execute different %s", op->name);
            return;
        }
    }
}

static void warp_run(Warp *w, uint32_t mask)
{
    const WarpOp *op = w->op[__builtin_ctz(mask)];
    if (op->aligned)
        check_aligned(w, mask, op);
    w->waiting &= ~mask;
    op->run(w, mask, w->slot);
    if (mask == w->alive)
        bank_flush(w);
    for (uint32_t left = mask; left; left &= left - 1)
        thread_ready(&block.thread[w->first + (uint32_t)__builtin_ctz(left)]);
}

void warp_meet(uint32_t site, uint32_t mask, const WarpOp *op, void *slot)
{
    Thread *t = block.now;
    Warp *w = t->warp;
    uint32_t l = t->lane;
    if (!(mask >> l & 1)) {
        fault(SIMT_ILLEGAL, site, NO_SITE, "lane %u is not in the mask 0x%08x of its own %s", l,
              mask, op->name);
        mask |= 1u << l;
    }
    t->site = site;
    t->state = AT_WARP;
    w->op[l] = op;
    w->mask[l] = mask;
    w->slot[l] = slot;
    w->waiting |= 1u << l;
    uint32_t all = complete(w, l);
    if (all)
        warp_run(w, all);
    if (t->state != READY)
        thread_yield();
}

void warp_left(Warp *w)
{
    for (uint32_t left = w->waiting; left; left &= left - 1) {
        uint32_t all = complete(w, (uint32_t)__builtin_ctz(left));
        if (all) {
            warp_run(w, all);
            left = w->waiting;
            if (!left)
                break;
        }
    }
}
