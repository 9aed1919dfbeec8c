/* How much of the C stack is left: for what recurses as deeply as its input says. */
#ifndef CNNC_STACK_H
#define CNNC_STACK_H
#include <stdbool.h>

/* Whether what is left of this thread's stack is no longer enough for another level of anything. */
bool stack_low(void);
#endif
