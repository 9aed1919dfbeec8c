#include "support/stack.h"
#include <pthread.h>
#include <stdint.h>

/* Enough for the leaves of a recursion: messages are formatted there. */
enum { RESERVE = 96 << 10 };

bool stack_low(void)
{
    static _Thread_local uintptr_t lowest; /* 0: not known, 1: cannot be known */
    if (lowest == 0) {
        pthread_attr_t attr;
        void *base = NULL;
        size_t size = 0;
        lowest = 1;
        if (pthread_getattr_np(pthread_self(), &attr) == 0) {
            if (pthread_attr_getstack(&attr, &base, &size) == 0 && base != NULL)
                lowest = (uintptr_t)base;
            pthread_attr_destroy(&attr);
        }
    }
    return lowest > 1 && (uintptr_t)__builtin_frame_address(0) - lowest < RESERVE;
}
