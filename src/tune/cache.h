/* What cnnc tune has measured, kept in a file: a line a kernel, each with a checksum. */
#ifndef CNNC_TUNE_CACHE_H
#define CNNC_TUNE_CACHE_H
#include "family/family.h"
#include "support/vec.h"

typedef struct TuneRow {
    const char *key; /* tune_key */
    Tile tile;
    double us, rule_us; /* microseconds with this tile, and with that of the rules */
    int tried;          /* tiles that were compared */
} TuneRow;

/* How a kernel is run. */
typedef struct TuneHow {
    int threads;
    bool far;  /* the network's weights are more than caches hold: they come from main memory */
    int batch; /* on a GPU, where the others have no meaning; 0: not there */
} TuneHow;

typedef struct TuneCache {
    Arena *arena;
    VEC(TuneRow) all;
    TuneHow how; /* that tune_find_tile asks for; with a batch the file is one of GPUs */
} TuneCache;

/* Everything a measurement depends on: the kernel without its tile, the code's processor, whether
 * Winograd convolutions are allowed, how it is run. The device of a GPU is the file's. */
void tune_key(const Kernel *k, const Target *t, TuneHow how, Buf *out);
/* The file for a processor, or the name of a GPU, and a compiler, "VERSION-LLVM", in
 * $XDG_CACHE_HOME/cnnc or ~/.cache/cnnc: arena text, whatever is no letter or digit a '_'. NULL
 * when neither variable is an absolute path. */
const char *tune_path(Arena *a, const char *cpu, const char *compiler);
/* Reads the file; a file that is not there is an empty cache. False with *err (arena text or
 * constant) when it cannot be read or is damaged; the cache is empty then. */
bool tune_read(TuneCache *c, Arena *a, const char *path, const char **err);
/* The last row of that key; NULL when there is none. */
const TuneRow *tune_find(const TuneCache *c, const char *key);
/* PlanTiles.find for a TuneCache. */
bool tune_find_tile(void *cache, const Kernel *k, const Target *t, Tile *out);
/* Adds a row to the file of such runs, in place of one with its key, and makes its folder. Others
 * may do so at the same time: the file is locked, read, and replaced whole. One that is damaged is
 * begun anew. False with *err, which lives until the next call. */
bool tune_add(const char *path, const TuneRow *row, TuneHow how, OomHandler *oom, const char **err);
#endif
