/* Tiles that tune has measured, for the commands that compile. */
#ifndef CNNC_TUNED_H
#define CNNC_TUNED_H
#include "driver/native.h"
#include "tune/cache.h"

typedef struct Tuned {
    TuneCache cache;
    const char *path;  /* NULL: there is no place for it */
    const char *wrong; /* what is wrong with the file; NULL: nothing */
    PlanTiles tiles;
} Tuned;

/* Reads what was measured on this processor for networks like n, with as many threads as --threads
 * says; for a target that is a GPU, what was measured on the one that is here, or is in the file
 * that CNNC_TILES names, with the batch of the command. x must stay where it is while tiles are
 * used. Returns an exit code; a damaged file is none, no GPU is. */
int tuned_open(Tuned *x, Run *r, const CodegenApi *api, const Net *n, const Target *t);
/* Tiles for a target, or NULL: --untuned, another machine's, none measured. Says what is wrong. */
const PlanTiles *tuned_tiles(Tuned *x, Run *r, const CodegenApi *api, const Net *n,
                             const Target *t);
/* With --verbose, how many kernels of a plan were tuned. */
void tuned_report(const Tuned *x, Run *r, const Plan *p, const char *label);
#endif
