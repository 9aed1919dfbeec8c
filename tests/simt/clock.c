#include "clock.h"
#include <string.h>

/* Rows are only right in `valid` epochs; of those that are not wide, only the thread's own warp. */
static uint32_t seen[MAX_THREADS][MAX_THREADS];
static uint32_t valid[MAX_THREADS], own[MAX_THREADS];
static bool wide[MAX_THREADS];
uint32_t clock_now_epoch = 1;

static uint32_t warp_begin(uint32_t t)
{
    return t & ~(uint32_t)(LANES - 1);
}

static void refresh(uint32_t t)
{
    if (valid[t] == clock_now_epoch)
        return;
    valid[t] = clock_now_epoch;
    own[t] = 1;
    wide[t] = false;
    memset(seen[t] + warp_begin(t), 0, LANES * sizeof(uint32_t));
}

static void widen(uint32_t t)
{
    if (wide[t])
        return;
    uint32_t keep[LANES];
    memcpy(keep, seen[t] + warp_begin(t), sizeof keep);
    memset(seen[t], 0, sizeof seen[t]);
    memcpy(seen[t] + warp_begin(t), keep, sizeof keep);
    wide[t] = true;
}

void clock_next_epoch(void)
{
    clock_now_epoch++;
}

uint32_t clock_now(const Thread *t)
{
    refresh(t->id);
    return t->id << CLOCK_BITS | own[t->id];
}

bool clock_ordered(uint32_t t, uint32_t thread, uint32_t time)
{
    if (t == thread)
        return true;
    if (valid[t] != clock_now_epoch || (!wide[t] && warp_begin(t) != warp_begin(thread)))
        return false;
    return seen[t][thread] >= time;
}

static void raise_to(uint32_t *time, const uint32_t *other, uint32_t begin, uint32_t end)
{
    for (uint32_t u = begin; u < end; u++)
        if (time[u] < other[u])
            time[u] = other[u];
}

void clock_join(const uint32_t *thread, uint32_t n)
{
    static uint32_t sum[MAX_THREADS];
    uint32_t begin = warp_begin(thread[0]), end = begin + LANES, latest = 0;
    bool narrow = true;
    for (uint32_t i = 0; i < n; i++) {
        refresh(thread[i]);
        narrow &= !wide[thread[i]] && warp_begin(thread[i]) == begin;
        latest = own[thread[i]] > latest ? own[thread[i]] : latest;
    }
    if (!narrow) {
        begin = 0;
        end = block.warps * LANES;
    }
    memset(sum + begin, 0, (end - begin) * sizeof *sum);
    for (uint32_t i = 0; i < n; i++) {
        if (!narrow)
            widen(thread[i]);
        raise_to(sum, seen[thread[i]], begin, end);
    }
    for (uint32_t i = 0; i < n; i++)
        sum[thread[i]] = latest;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(seen[thread[i]] + begin, sum + begin, (end - begin) * sizeof *sum);
        own[thread[i]] = latest + 1;
    }
}

void clock_release(uint32_t t, Carrier *c)
{
    refresh(t);
    widen(t);
    if (c->epoch != clock_now_epoch) {
        memset(c->time, 0, sizeof c->time);
        c->epoch = clock_now_epoch;
    }
    raise_to(c->time, seen[t], 0, block.warps * LANES);
    if (c->time[t] < own[t])
        c->time[t] = own[t];
    own[t]++;
}

void clock_acquire(uint32_t t, const Carrier *c)
{
    refresh(t);
    if (c->epoch != clock_now_epoch)
        return;
    widen(t);
    raise_to(seen[t], c->time, 0, block.warps * LANES);
    if (own[t] <= c->time[t])
        own[t] = c->time[t] + 1;
}
