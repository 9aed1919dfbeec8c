/* What addresses mean: announced buffers, the shared memory of the block that runs, and for every
 * granule of both who touched it last. */
#ifndef SIMT_MEMORY_H
#define SIMT_MEMORY_H

#include "machine.h"

/* The last accesses of a granule. Epochs count barriers of whole blocks, over all launches, so that
 * an epoch also tells the block and the launch. Thread and clock share a word: see clock.h. */
typedef struct Shadow {
    uint32_t write_epoch, writer, write_site;
    uint32_t read_epoch, reader; /* the latest of the readers */
    uint32_t readers;            /* lanes of its warp, or, when `many`, a set of race.c */
    uint32_t read_before;        /* the last epoch of a block before this one that read it */
    uint32_t in_flight : 14;     /* asynchronous copies that have not been waited for */
    uint32_t reading : 14;       /* asynchronous products that read it */
    uint32_t read : 1, many : 1; /* since the write; by several warps */
    uint32_t atomic : 1;         /* the write was an atomic operation */
} Shadow;

typedef struct Region {
    uintptr_t base;
    size_t bytes;
    Shadow *shadow; /* made at the first access, in */
    void *memory;
    unsigned shift; /* a granule is 1 << shift bytes: 4 until something smaller is touched */
    bool read_only; /* parameters and constants */
    bool announced; /* by simt_buffer: not a module's own */
} Region;

/* The arena that shared memory of every block lies in: SHARED_ARENA bytes at an address that is a
 * multiple of it, so that the low bits of a pointer are its offset. NULL without memory. */
enum { SHARED_ARENA = 512 * 1024 };
char *shared_arena(void);
Region *shared_region(void);
/* Which offsets of it the next launch may touch: a list of `n` pairs begin, end. */
void shared_windows(const uint32_t (*window)[2], int n);
/* Fills the windows with NaN. */
void shared_poison(void);
/* An offset from a pointer, or from its low 32 bits, which is what "r" operands hold. */
uint32_t shared_offset(uint64_t address);
bool shared_valid(uint32_t offset, size_t bytes);

/* The buffer that holds p, or NULL. */
Region *region_find(const void *p);
bool region_add(void *p, size_t bytes, bool read_only);
/* Memory for what is known of the granules, as many as there are with this shift: records that do
 * not cross cache lines. NULL when there is none. */
Shadow *region_shadow(const Region *r, unsigned shift, void **memory);
/* Makes it if need be; false when there is none. */
bool region_track(Region *r);

/* Checks an access by the running thread and says where to do it: at p, or, if that is no place to
 * touch, in a scratch area. */
void *memory_access(const void *p, size_t bytes, Access access, unsigned space, uint32_t site);
/* Alignment as an instruction demands it. */
void memory_align(const void *p, size_t align, uint32_t site);

/* --- race.c */
void race_begin_launch(void);
void race_begin_block(void);
void race_access(Region *r, size_t offset, size_t bytes, Access access, uint32_t site);
/* An asynchronous copy into shared memory begins (+1) or lands (-1). */
void race_flight(size_t offset, size_t bytes, int change);
/* An asynchronous product begins (+1) or ends (-1) to read shared memory. */
void race_reading(size_t offset, size_t bytes, int change);

/* --- proxy.c: writes of the running thread, or of a copy in bulk that it began; reads of matrix
 * instructions. */
void proxy_begin_block(void);
void proxy_written(uint32_t offset, size_t bytes, bool in_bulk);
void proxy_read(uint32_t offset, size_t bytes, uint32_t site);

/* --- bank.c: a shared memory access of the running thread; the lanes' accesses are put side by
 * side where the warp meets. */
void bank_note(uint32_t offset, uint32_t bytes, uint32_t align, uint32_t site);
void bank_flush(Warp *w);
/* Eight rows of 16 bytes that are read together. */
void bank_rows(const uint32_t offset[8]);

#endif
