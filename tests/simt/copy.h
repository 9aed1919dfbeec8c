/* Copies that run beside the threads. They land as late as the programming model allows: cp.async
 * when its group is waited for. */
#ifndef SIMT_COPY_H
#define SIMT_COPY_H

#include "machine.h"

bool copies_reserve(uint32_t threads);
/* cp.async: `bytes` of shared memory at `to`, of which the first `from_bytes` come from `from` and
 * the rest are 0. */
void copies_begin(uint32_t site, void *to, const void *from, uint32_t bytes, uint32_t from_bytes);
void copies_commit(void);
/* Until at most `left` groups are under way. */
void copies_wait(uint32_t left);
void copies_wait_all(void);
/* A thread has exited. */
void copies_drop(Thread *t);

#endif
