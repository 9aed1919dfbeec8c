/* Who touched what, and whether anything orders it. As FastTrack does it: of each granule the last
 * write and the readers since, against vector clocks; blocks of a launch are never ordered. */
#include "clock.h"
#include "memory.h"
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(Shadow) == 32, "two records in a cache line");

static uint32_t launch_epoch, block_epoch; /* the first of this launch, of this block */

void race_begin_launch(void)
{
    clock_next_epoch();
    launch_epoch = clock_epoch();
}

void race_begin_block(void)
{
    clock_next_epoch();
    block_epoch = clock_epoch();
}

static unsigned told; /* kinds of faults that this access already has */

/* An access of several granules is one fault of a kind. */
static bool untold(SimtFault kind)
{
    bool first = !(told >> kind & 1);
    told |= 1u << kind;
    return first;
}

static bool other_block(uint32_t epoch)
{
    return epoch >= launch_epoch && epoch < block_epoch;
}

/* Smaller granules from now on: each begins with what was known of the one it was part of. */
static bool refine(Region *r, unsigned shift)
{
    size_t had = (r->bytes >> r->shift) + 1, n = (r->bytes >> shift) + 1;
    void *memory;
    Shadow *fine = region_shadow(r, shift, &memory);
    if (!fine)
        return false;
    for (size_t i = 0; i < n; i++)
        if (i >> (r->shift - shift) < had)
            fine[i] = r->shadow[i >> (r->shift - shift)];
    free(r->memory);
    r->memory = memory;
    r->shadow = fine;
    r->shift = shift;
    return true;
}

/* Readers of one granule in several warps: for each warp of the block its lanes, and the latest of
 * their clocks. Sets live as long as the epoch. */
typedef struct Lanes {
    uint32_t lanes, time;
} Lanes;

static Lanes *sets;
static size_t sets_used, sets_room;
static uint32_t sets_epoch;

/* The index of a new, empty set. Out of memory the emulator stops: it would miss races. */
static uint32_t new_set(void)
{
    if (sets_epoch != clock_epoch()) {
        sets_epoch = clock_epoch();
        sets_used = 0;
    }
    if (sets_used + block.warps > sets_room) {
        sets_room = 2 * sets_room + MAX_WARPS;
        sets = realloc(sets, sets_room * sizeof *sets);
        if (!sets)
            abort();
    }
    size_t at = sets_used;
    memset(sets + at, 0, block.warps * sizeof *sets);
    sets_used += block.warps;
    return (uint32_t)at;
}

static bool lanes_ordered(uint32_t t, uint32_t warp, uint32_t lanes, uint32_t time)
{
    for (; lanes; lanes &= lanes - 1)
        if (!clock_ordered(t, warp * LANES + (uint32_t)__builtin_ctz(lanes), time))
            return false;
    return true;
}

/* True if all readers but t itself are ordered before t's next step. */
static bool readers_ordered(const Shadow *s, uint32_t t)
{
    if (!s->many)
        return lanes_ordered(t, clock_thread(s->reader) / LANES, s->readers, clock_time(s->reader));
    const Lanes *set = sets + s->readers;
    for (uint32_t w = 0; w < block.warps; w++)
        if (!lanes_ordered(t, w, set[w].lanes, set[w].time))
            return false;
    return true;
}

static void join_set(Lanes *set, uint32_t warp, uint32_t lanes, uint32_t time)
{
    set[warp].lanes |= lanes;
    set[warp].time = time > set[warp].time ? time : set[warp].time;
}

/* One more among readers that nothing orders before it. */
static void join_readers(Shadow *s, const Thread *t, uint32_t who)
{
    uint32_t warp = clock_thread(s->reader) / LANES, mine = t->id / LANES, bit = 1u << t->lane;
    uint32_t time = clock_time(s->reader);
    if (!s->many && warp == mine) {
        s->readers |= bit;
        if (clock_time(who) > time)
            s->reader = who;
        return;
    }
    if (!s->many) {
        uint32_t set = new_set();
        join_set(sets + set, warp, s->readers, time);
        s->readers = set;
        s->many = 1;
    }
    join_set(sets + s->readers, mine, bit, clock_time(who));
    s->reader = who;
}

static void note_read(Shadow *s, const Thread *t, uint32_t who)
{
    if (s->read_epoch == clock_epoch() && s->read &&
        (clock_time(s->reader) >= clock_time(who) || !readers_ordered(s, t->id))) {
        join_readers(s, t, who);
        return;
    }
    if (other_block(s->read_epoch))
        s->read_before = s->read_epoch;
    s->read_epoch = clock_epoch();
    s->reader = who;
    s->readers = 1u << t->lane;
    s->read = 1;
    s->many = 0;
}

/* Against the last write. */
static void check_write(const Shadow *s, const Thread *t, Access access, uint32_t site, bool shared)
{
    /* what another block left in shared memory is gone */
    if (s->write_epoch < (shared ? block_epoch : launch_epoch) ||
        (s->atomic && access == ACCESS_ATOMIC))
        return;
    const char *did = access == ACCESS_LOAD ? "reads what" : "writes over what";
    if (s->write_epoch < block_epoch && untold(SIMT_BLOCKS))
        fault(SIMT_BLOCKS, site, s->write_site, "%s thread %u of another block wrote", did,
              clock_thread(s->writer));
    else if (s->write_epoch == clock_epoch() &&
             !clock_ordered(t->id, clock_thread(s->writer), clock_time(s->writer)) &&
             untold(SIMT_RACE))
        fault(SIMT_RACE, site, s->write_site, "%s thread %u wrote to %s memory", did,
              clock_thread(s->writer), shared ? "shared" : "global");
}

static void check_readers(const Shadow *s, const Thread *t, uint32_t site, bool shared)
{
    if (!shared && (other_block(s->read_epoch) || other_block(s->read_before)) &&
        untold(SIMT_BLOCKS))
        fault(SIMT_BLOCKS, site, NO_SITE, "writes what another block reads");
    else if (s->read_epoch == clock_epoch() && s->read && !readers_ordered(s, t->id) &&
             untold(SIMT_RACE))
        fault(SIMT_RACE, site, NO_SITE, "writes to %s memory what thread %u%s reads",
              shared ? "shared" : "global", clock_thread(s->reader),
              s->many || s->readers & (s->readers - 1) ? " and others" : "");
}

static void note_write(Shadow *s, uint32_t who, Access access, uint32_t site)
{
    s->write_epoch = clock_epoch();
    s->writer = who;
    s->write_site = site;
    s->atomic = access == ACCESS_ATOMIC;
    s->read = 0;
}

static void touch(Shadow *s, const Thread *t, uint32_t who, Access access, uint32_t site,
                  bool shared)
{
    if (s->in_flight && untold(SIMT_WAIT))
        fault(SIMT_WAIT, site, s->write_site, "thread %u began the copy", clock_thread(s->writer));
    else if (s->reading && access != ACCESS_LOAD && untold(SIMT_WAIT))
        fault(SIMT_WAIT, site, NO_SITE, "a product that reads it has not been waited for");
    else if (shared && access != ACCESS_STORE && s->write_epoch < block_epoch &&
             untold(SIMT_UNINIT))
        fault(SIMT_UNINIT, site, NO_SITE, "nothing has written it in this block");
    check_write(s, t, access, site, shared);
    if (access == ACCESS_LOAD) {
        note_read(s, t, who);
    } else {
        check_readers(s, t, site, shared);
        note_write(s, who, access, site);
    }
}

void race_access(Region *r, size_t offset, size_t bytes, Access access, uint32_t site)
{
    if (!bytes || !region_track(r))
        return;
    size_t low = offset | bytes;
    unsigned shift = low & 1 ? 0 : low & 2 ? 1 : 2;
    if (shift < r->shift && !refine(r, shift))
        return;
    uint32_t who = clock_now(block.now);
    told = 0;
    size_t end = (offset + bytes - 1) >> r->shift;
    for (size_t i = offset >> r->shift; i <= end; i++)
        touch(&r->shadow[i], block.now, who, access, site, r == shared_region());
}

void race_flight(size_t offset, size_t bytes, int change)
{
    Region *r = shared_region();
    if (!bytes || !region_track(r))
        return;
    size_t end = (offset + bytes - 1) >> r->shift;
    for (size_t i = offset >> r->shift; i <= end; i++)
        r->shadow[i].in_flight = (r->shadow[i].in_flight + (uint32_t)change) & 0x3fff;
}

void race_reading(size_t offset, size_t bytes, int change)
{
    Region *r = shared_region();
    if (!region_track(r))
        return;
    size_t end = (offset + bytes - 1) >> r->shift;
    for (size_t i = offset >> r->shift; i <= end; i++)
        r->shadow[i].reading = (r->shadow[i].reading + (uint32_t)change) & 0x3fff;
}
