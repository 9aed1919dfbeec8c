/* How long a kernel takes with each of several tiles. */
#ifndef CNNC_MEASURE_H
#define CNNC_MEASURE_H
#include "driver/native.h"
#include "tune/cache.h"

typedef struct Measure {
    const Native *native; /* with the code generator, and the target of its plan */
    const Target *target;
    TuneHow how;
} Measure;

/* Microseconds of one run with each tile, on random values. Every run has other weights than the
 * last, in turn, so many that they come from where the network's own would come from. All are timed
 * for a few milliseconds; those near the best then take turns, for at least 20 ms a turn, and count
 * with the best median of their turns. A GPU times itself, runs of how.batch images on values that
 * stay where they are. Returns an exit code. */
int measure_tiles(const Measure *m, Run *r, const Kernel *k, const Tile *tiles, int count,
                  double *us);
#endif
