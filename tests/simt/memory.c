#include "memory.h"
#include "fiber.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { WINDOWS = 64, SCRATCH = 256 };

static Region **regions; /* by address */
static size_t region_count, region_room;
static Region *last; /* where the previous access was */

static Region shared;
static uint32_t windows[WINDOWS][2];
static int window_count;

static _Alignas(64) unsigned char scratch[SCRATCH];

char *shared_arena(void)
{
    if (!shared.base) {
        char *p = mmap(NULL, 2 * (size_t)SHARED_ARENA, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
            return NULL;
        uintptr_t mask = SHARED_ARENA - 1;
        shared.base = ((uintptr_t)p + mask) & ~mask;
        shared.bytes = SHARED_ARENA;
        shared.shift = 2;
    }
    return (char *)shared.base;
}

Region *shared_region(void)
{
    return &shared;
}

void shared_windows(const uint32_t (*window)[2], int n)
{
    window_count = n < WINDOWS ? n : WINDOWS;
    memcpy(windows, window, (size_t)window_count * sizeof *windows);
}

void shared_poison(void)
{
    for (int i = 0; i < window_count; i++)
        memset((char *)shared.base + windows[i][0], 0xff, windows[i][1] - windows[i][0]);
}

uint32_t shared_offset(uint64_t address)
{
    return (uint32_t)(address - shared.base);
}

bool shared_valid(uint32_t offset, size_t bytes)
{
    for (int i = 0; i < window_count; i++)
        if (offset >= windows[i][0] && offset < windows[i][1])
            return bytes <= windows[i][1] - offset;
    return false;
}

/* The first region that ends after `at`. */
static size_t region_place(uintptr_t at)
{
    size_t low = 0, high = region_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (regions[mid]->base + regions[mid]->bytes > at)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

Region *region_find(const void *p)
{
    uintptr_t at = (uintptr_t)p;
    if (last && at - last->base < last->bytes)
        return last;
    size_t i = region_place(at);
    if (i == region_count || at < regions[i]->base)
        return NULL;
    last = regions[i];
    return last;
}

bool region_add(void *p, size_t bytes, bool read_only)
{
    uintptr_t at = (uintptr_t)p;
    simt_buffer_gone(p);
    if (!bytes)
        return true;
    size_t i = region_place(at);
    if (bytes > UINTPTR_MAX - at || (i < region_count && regions[i]->base < at + bytes))
        return false;
    if (region_count == region_room) {
        size_t room = region_room ? 2 * region_room : 64;
        Region **grown = realloc(regions, room * sizeof *grown);
        if (!grown)
            return false;
        regions = grown;
        region_room = room;
    }
    Region *r = calloc(1, sizeof *r);
    if (!r)
        return false;
    *r = (Region){.base = at, .bytes = bytes, .shift = 2, .read_only = read_only};
    memmove(regions + i + 1, regions + i, (region_count - i) * sizeof *regions);
    regions[i] = r;
    region_count++;
    return true;
}

bool simt_buffer(void *p, size_t bytes)
{
    if (!region_add(p, bytes, false))
        return false;
    if (bytes)
        regions[region_place((uintptr_t)p)]->announced = true;
    return true;
}

static void region_free(Region *r)
{
    if (!r)
        return;
    if (last == r)
        last = NULL;
    free(r->memory);
    free(r);
}

void simt_buffer_gone(void *p)
{
    size_t i = region_place((uintptr_t)p);
    if (i == region_count || regions[i]->base != (uintptr_t)p)
        return;
    region_free(regions[i]);
    region_count--;
    memmove(regions + i, regions + i + 1, (region_count - i) * sizeof *regions);
}

void simt_buffers_clear(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < region_count; i++) {
        if (regions[i]->announced)
            region_free(regions[i]);
        else
            regions[kept++] = regions[i];
    }
    region_count = kept;
}

Shadow *region_shadow(const Region *r, unsigned shift, void **memory)
{
    *memory = calloc((r->bytes >> shift) + 3, sizeof(Shadow));
    uintptr_t mask = sizeof(Shadow) - 1;
    return *memory ? (Shadow *)(((uintptr_t)*memory + mask) & ~mask) : NULL;
}

bool region_track(Region *r)
{
    if (!r->shadow)
        r->shadow = region_shadow(r, r->shift, &r->memory);
    return r->shadow;
}

/* Loads find NaN there, whatever an earlier store left. */
static void *nowhere(void)
{
    memset(scratch, 0xff, sizeof scratch);
    return scratch;
}

void memory_align(const void *p, size_t align, uint32_t site)
{
    if (align && (uintptr_t)p & (align - 1))
        fault(SIMT_ALIGN, site, NO_SITE, "address ends in 0x%x, must be a multiple of %zu",
              (unsigned)((uintptr_t)p & 255), align);
}

static void *access_shared(uint32_t offset, size_t bytes, Access access, uint32_t site)
{
    if (!shared_valid(offset, bytes)) {
        fault(SIMT_BOUNDS, site, NO_SITE, "%zu bytes at offset %u of shared memory", bytes, offset);
        return nowhere();
    }
    race_access(&shared, offset, bytes, access, site);
    if (access != ACCESS_LOAD)
        proxy_written(offset, bytes, false);
    return (void *)(shared.base + offset);
}

static void outside(const void *p, size_t bytes, uint32_t site)
{
    uintptr_t at = (uintptr_t)p;
    size_t i = region_place(at);
    const Region *r = i < region_count && regions[i]->base <= at ? regions[i]
                      : i                                        ? regions[i - 1]
                                                                 : NULL;
    if (r && at - r->base < 2 * r->bytes)
        fault(SIMT_BOUNDS, site, NO_SITE, "%zu bytes at offset %zu of a buffer of %zu", bytes,
              (size_t)(at - r->base), r->bytes);
    else
        fault(SIMT_BOUNDS, site, NO_SITE, "%zu bytes at %p", bytes, p);
}

void *memory_access(const void *p, size_t bytes, Access access, unsigned space, uint32_t site)
{
    uintptr_t at = (uintptr_t)p;
    if (!(module_flags(block.module) & SIMT_CHECK))
        return (void *)at;
    report.accesses++;
    if (at - shared.base < SHARED_ARENA) {
        if (space == SPACE_GENERIC || space == SPACE_SHARED)
            return access_shared((uint32_t)(at - shared.base), bytes, access, site);
        fault(SIMT_BOUNDS, site, NO_SITE, "an address of shared memory where global is meant");
        return nowhere();
    }
    if (space == SPACE_GENERIC && block.now && fiber_owns(block.now->id, p, bytes))
        return (void *)at;
    Region *r = space == SPACE_SHARED ? NULL : region_find(p);
    if (!r || bytes > r->bytes - (at - r->base)) {
        outside(p, bytes, site);
        return nowhere();
    }
    if (r->read_only) {
        if (access != ACCESS_LOAD) {
            fault(SIMT_BOUNDS, site, NO_SITE, "constant memory is written");
            return nowhere();
        }
        return (void *)at;
    }
    race_access(r, at - r->base, bytes, access, site);
    return (void *)at;
}
