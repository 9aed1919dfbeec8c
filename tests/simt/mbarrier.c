/* Barrier objects in shared memory. A phase is complete when the expected arrivals and all
 * announced bytes have come; waiting is for the phase of a parity. What those who arrived did is
 * ordered before what those who waited do. Their state is kept here: what the 8 bytes hold is
 * nobody's business. */
#include "mbarrier.h"
#include "clock.h"
#include "memory.h"
#include "operation.h"
#include <stdlib.h>
#include <string.h>

enum { OBJECTS = 128 };

typedef struct Mbarrier {
    uint32_t offset;
    uint32_t count;            /* arrivals of a phase */
    int64_t pending;           /* of this phase */
    int64_t bytes;             /* announced and not yet come */
    uint32_t phase;            /* how many are complete */
    Carrier arriving, arrived; /* of this phase, of the last complete one */
} Mbarrier;

static Mbarrier object[OBJECTS];
static int objects;

void mbarriers_reset(void)
{
    objects = 0;
}

static Mbarrier *find(uint32_t offset)
{
    for (int i = 0; i < objects; i++)
        if (object[i].offset == offset)
            return &object[i];
    return NULL;
}

/* The object at an address that an instruction uses, or NULL with a fault. */
static Mbarrier *use(uint64_t address, uint32_t site)
{
    uint32_t offset = shared_offset(address);
    Mbarrier *b = find(offset);
    if (!b)
        fault(SIMT_ILLEGAL, site, NO_SITE, "no mbarrier at offset %u", offset);
    else
        memory_access(shared_arena() + offset, 8, ACCESS_ATOMIC, SPACE_SHARED, site);
    return b;
}

static bool complete(const Mbarrier *b, uint32_t parity)
{
    return (b->phase & 1) != parity;
}

static void wake(const Mbarrier *b)
{
    for (uint32_t i = 0; i < block.threads; i++) {
        Thread *t = &block.thread[i];
        if (t->state != AT_MBARRIER || t->mbarrier != b->offset || !complete(b, t->parity))
            continue;
        clock_acquire(i, &b->arrived);
        thread_ready(t);
    }
}

static void advance(Mbarrier *b)
{
    if (b->pending || b->bytes)
        return;
    b->phase++;
    b->pending = b->count;
    b->arrived = b->arriving;
    b->arriving.epoch = 0;
    wake(b);
}

void mbarrier_arrive(uint64_t address, uint32_t thread, uint32_t site)
{
    Mbarrier *b = use(address, site);
    if (!b)
        return;
    clock_release(thread, &b->arriving);
    if (!b->pending) {
        fault(SIMT_ILLEGAL, site, NO_SITE, "more than %u arrivals in a phase", b->count);
        return;
    }
    b->pending--;
    advance(b);
}

void mbarrier_bytes(uint64_t address, uint32_t thread, int64_t bytes, uint32_t site)
{
    Mbarrier *b = use(address, site);
    if (!b)
        return;
    if (bytes < 0)
        clock_release(thread, &b->arriving);
    b->bytes += bytes;
    if (bytes < 0) /* announcing alone does not complete a phase: an arrival follows */
        advance(b);
}

static void init(const Call *c, const Word *in)
{
    uint32_t offset = shared_offset(in[0].u64);
    Mbarrier *b = find(offset);
    memory_align((const void *)(shared_arena() + offset), 8, c->site);
    memory_access(shared_arena() + offset, 8, ACCESS_STORE, SPACE_SHARED, c->site);
    if (!b && objects < OBJECTS)
        b = &object[objects++];
    if (!b || !in[1].u32 || in[1].u32 >= 1u << 20) {
        fault(SIMT_ILLEGAL, c->site, NO_SITE, "an mbarrier for %u arrivals", in[1].u32);
        return;
    }
    *b = (Mbarrier){.offset = offset, .count = in[1].u32, .pending = in[1].u32};
}

/* Tests are allowed to take their time: every one of them waits. */
static void wait(const Call *c, uint64_t address, uint32_t parity)
{
    Thread *t = block.now;
    Mbarrier *b = use(address, c->site);
    if (!b)
        return;
    if (complete(b, parity)) {
        clock_acquire(t->id, &b->arrived);
        return;
    }
    t->state = AT_MBARRIER;
    t->mbarrier = b->offset;
    t->parity = parity;
    t->site = c->site;
    thread_yield();
}

void op_mbarrier(const Call *c, const Word *in, Word *out)
{
    const Mbarrier *b = find(shared_offset(in[0].u64));
    uint32_t phase = b ? b->phase : 0;
    switch (c->variant) {
    case MBARRIER_INIT: init(c, in); break;
    case MBARRIER_ARRIVE: mbarrier_arrive(in[0].u64, block.now->id, c->site); break;
    case MBARRIER_EXPECT: mbarrier_bytes(in[0].u64, block.now->id, in[1].u32, c->site); break;
    case MBARRIER_ARRIVE_EXPECT:
        mbarrier_bytes(in[0].u64, block.now->id, in[1].u32, c->site);
        mbarrier_arrive(in[0].u64, block.now->id, c->site);
        break;
    case MBARRIER_WAIT: /* for a parity, or a state: the phase of the arrival that gave it */
        wait(c, in[0].u64, in[1].u32 & 1);
        phase = 1;
        break;
    default: break;
    }
    out->u64 = phase;
}
