/* Threads of a block as fibers: stacks of their own, switched by hand. */
#ifndef SIMT_FIBER_H
#define SIMT_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stacks for fibers 0 .. n-1. false when there is no memory for them. */
bool fiber_reserve(uint32_t n);
/* Fiber i is to begin with `entry`, which must not return, and must call fiber_entered first. */
void fiber_start(uint32_t i, void (*entry)(void));
void fiber_entered(void);
/* Runs fiber i until it yields. */
void fiber_resume(uint32_t i);
/* Back to who resumed the running fiber. */
void fiber_yield(void);
/* The same for the last time: the fiber is not resumed again. */
_Noreturn void fiber_end(void);
/* True if all bytes are on the stack of fiber i. */
bool fiber_owns(uint32_t i, const void *p, size_t bytes);

#endif
