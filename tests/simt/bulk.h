/* Bulk copies: bulk.c. */
#ifndef SIMT_BULK_H
#define SIMT_BULK_H

#include "machine.h"

/* Does one land? Asked when nothing else can go on. */
bool bulk_late(void);
/* The block is over. */
void bulk_end(void);
/* Where a byte lies in rows of 32, 64 or 128 bytes whose 16-byte chunks are swizzled; `row` 0: as
 * it is. */
uint32_t bulk_swizzled(uint32_t offset, uint32_t row);

#endif
