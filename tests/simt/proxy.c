/* Shared memory that threads write and matrix instructions read. These go another way, on which
 * what a thread wrote can be seen once it has fenced it; copies in bulk go that way themselves. */
#include "memory.h"
#include "operation.h"

enum { GRANULE = 4 };

/* The last write of four bytes: in which block, by which thread after how many of its fences. */
typedef struct Written {
    uint32_t block, fences;
    uint16_t thread;
    uint16_t in_bulk;
} Written;

static Written written[SHARED_ARENA / GRANULE];
static uint32_t this_block;

void proxy_begin_block(void)
{
    this_block++;
}

void proxy_written(uint32_t offset, size_t bytes, bool in_bulk)
{
    const Thread *t = block.now;
    for (size_t i = offset / GRANULE; i <= (offset + bytes - 1) / GRANULE; i++)
        written[i] = (Written){this_block, t->fences, (uint16_t)t->id, in_bulk};
}

void proxy_read(uint32_t offset, size_t bytes, uint32_t site)
{
    for (size_t i = offset / GRANULE; i <= (offset + bytes - 1) / GRANULE; i++) {
        const Written *w = &written[i];
        if (w->block != this_block || w->in_bulk || block.thread[w->thread].fences > w->fences)
            continue;
        fault(SIMT_FENCE, site, NO_SITE, "thread %u wrote offset %zu of shared memory", w->thread,
              i * GRANULE);
        return;
    }
}

void op_proxy_fence(const Call *c, const Word *in, Word *out)
{
    (void)c;
    (void)in;
    (void)out;
    block.now->fences++;
}
