/* What this machine can do at most, measured. */
#ifndef CNNC_LIMITS_H
#define CNNC_LIMITS_H
#include "driver/native.h"

typedef struct Limits {
    double flops; /* a second: multiply-adds on registers of the target, two each */
    double bytes; /* a second: reading, or reading and writing, whichever is faster */
    int64_t over; /* the memory those go over, again and again, in bytes */
} Limits;

/* On so many threads at once, and over about so many bytes: as much as a network goes through in a
 * run, so that they come from the cache or the memory that the network's come from. Each is the
 * best of several times. Returns an exit code. */
int limits_measure(Limits *l, Run *r, const Native *x, int threads, int64_t bytes);
#endif
