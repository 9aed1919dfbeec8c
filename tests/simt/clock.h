/* What each thread of the block knows of the others: vector clocks within an epoch.
 *
 * A barrier of the whole block orders everything, so it begins a new epoch and all clocks start
 * again; a record of an older epoch needs no clock. Within an epoch a thread's own clock grows when
 * it meets others, and seen(t, u) is the clock up to which t is ordered after u. Those who meet get
 * the same clock, so that one number stands for the accesses of several. */
#ifndef SIMT_CLOCK_H
#define SIMT_CLOCK_H

#include "machine.h"

enum { CLOCK_BITS = 22 };

extern uint32_t clock_now_epoch; /* written by clock.c alone */
static inline uint32_t clock_epoch(void)
{
    return clock_now_epoch;
}

/* All threads of the block have met; also at the beginning of a block. */
void clock_next_epoch(void);
/* The running thread and its clock as one word; and the parts of such a word. */
uint32_t clock_now(const Thread *t);
static inline uint32_t clock_thread(uint32_t who)
{
    return who >> CLOCK_BITS;
}

static inline uint32_t clock_time(uint32_t who)
{
    return who & ((1u << CLOCK_BITS) - 1);
}

/* True if what `thread` did at `time` of this epoch is ordered before what t does now. */
bool clock_ordered(uint32_t t, uint32_t thread, uint32_t time);
/* The threads given meet: each is ordered after all that the others did. */
void clock_join(const uint32_t *thread, uint32_t n);

/* What a barrier object in memory carries from those who arrive to those who wait. */
typedef struct Carrier {
    uint32_t epoch;
    uint32_t time[MAX_THREADS];
} Carrier;
void clock_release(uint32_t t, Carrier *c);
void clock_acquire(uint32_t t, const Carrier *c);

#endif
