/* What copies ask of mbarriers: mbarrier.c. Addresses are those of shared memory, or their low 32
 * bits. */
#ifndef SIMT_MBARRIER_H
#define SIMT_MBARRIER_H

#include "machine.h"

void mbarriers_reset(void);
/* One arrival, as if by `thread`. */
void mbarrier_arrive(uint64_t address, uint32_t thread, uint32_t site);
/* Announces bytes (> 0), or says that they have come (< 0). */
void mbarrier_bytes(uint64_t address, uint32_t thread, int64_t bytes, uint32_t site);

#endif
