#include "copy.h"
#include "memory.h"
#include "operation.h"
#include <stdlib.h>
#include <string.h>

typedef struct Copy {
    uint32_t site;
    void *to;
    const void *from;
    uint32_t bytes, from_bytes;
    bool lands; /* false for one that was refused */
} Copy;

/* Of one thread: `copy` in order, cut into groups by `end`; what follows the last end has not been
 * committed. */
struct Copies {
    Copy *copy;
    size_t count, room;
    size_t *end;
    size_t groups, group_room;
};

static Copies all[MAX_THREADS];

bool copies_reserve(uint32_t threads)
{
    for (uint32_t i = 0; i < threads; i++)
        block.thread[i].copies = &all[i];
    return true;
}

/* Doubles an array when it is full. Out of memory the emulator stops: a test that goes on without
 * what it was told would be worse. */
static void *room_for(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    *room = *room ? 2 * *room : 16;
    void *grown = realloc(array, *room * size);
    if (!grown)
        abort();
    return grown;
}

void copies_begin(uint32_t site, void *to, const void *from, uint32_t bytes, uint32_t from_bytes)
{
    Copies *c = block.now->copies;
    uint32_t offset = shared_offset((uintptr_t)to);
    Copy new = {site, to, from, bytes, from_bytes, true};
    if (from_bytes > bytes) {
        fault(SIMT_ILLEGAL, site, NO_SITE, "%u bytes into %u", from_bytes, bytes);
        new.from_bytes = bytes;
    }
    memory_align(to, bytes, site);
    if (from_bytes) {
        memory_align(from, bytes, site);
        memory_access(from, from_bytes, ACCESS_LOAD, SPACE_GLOBAL, site);
    }
    new.lands = memory_access(to, bytes, ACCESS_STORE, SPACE_SHARED, site) == to;
    if (new.lands && module_flags(block.module) & SIMT_CHECK) {
        bank_note(offset, bytes, bytes, site);
        race_flight(offset, bytes, 1);
    }
    c->copy = room_for(c->copy, c->count, &c->room, sizeof *c->copy);
    c->copy[c->count++] = new;
}

void copies_commit(void)
{
    Copies *c = block.now->copies;
    c->end = room_for(c->end, c->groups, &c->group_room, sizeof *c->end);
    c->end[c->groups++] = c->count;
}

static void land(const Copy *copy)
{
    if (!copy->lands)
        return;
    if (module_flags(block.module) & SIMT_CHECK) {
        race_flight(shared_offset((uintptr_t)copy->to), copy->bytes, -1);
        memory_access(copy->to, copy->bytes, ACCESS_STORE, SPACE_SHARED, copy->site);
    }
    memset(copy->to, 0, copy->bytes);
    if (copy->from_bytes)
        memcpy(copy->to,
               memory_access(copy->from, copy->from_bytes, ACCESS_LOAD, SPACE_GLOBAL, copy->site),
               copy->from_bytes);
}

/* The first `n` copies land; `groups` groups are done. */
static void land_first(Copies *c, size_t n, size_t groups)
{
    for (size_t i = 0; i < n; i++)
        land(&c->copy[i]);
    memmove(c->copy, c->copy + n, (c->count - n) * sizeof *c->copy);
    c->count -= n;
    for (size_t i = groups; i < c->groups; i++)
        c->end[i - groups] = c->end[i] - n;
    c->groups -= groups;
}

void copies_wait(uint32_t left)
{
    Copies *c = block.now->copies;
    if (c->groups > left)
        land_first(c, c->end[c->groups - left - 1], c->groups - left);
}

void copies_wait_all(void)
{
    Copies *c = block.now->copies;
    land_first(c, c->count, c->groups);
}

void copies_drop(Thread *t)
{
    Copies *c = t->copies;
    for (size_t i = 0; i < c->count; i++)
        if (c->copy[i].lands && module_flags(block.module) & SIMT_CHECK)
            race_flight(shared_offset((uintptr_t)c->copy[i].to), c->copy[i].bytes, -1);
    c->count = c->groups = 0;
}

void op_copy(const Call *c, const Word *in, Word *out)
{
    (void)out;
    uint32_t bytes = (uint32_t)c->variant;
    copies_begin(c->site, in[0].ptr, in[1].ptr, bytes, c->n > 2 ? in[2].u32 : bytes);
}

void op_copy_commit(const Call *c, const Word *in, Word *out)
{
    (void)c;
    (void)in;
    (void)out;
    copies_commit();
}

void op_copy_wait(const Call *c, const Word *in, Word *out)
{
    (void)c;
    (void)out;
    copies_wait(in[0].u32);
}

void op_copy_wait_all(const Call *c, const Word *in, Word *out)
{
    (void)c;
    (void)in;
    (void)out;
    copies_wait_all();
}
