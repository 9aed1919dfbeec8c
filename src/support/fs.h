/* Files: whole reads with limits, and outputs that appear whole or not at all. */
#ifndef CNNC_FS_H
#define CNNC_FS_H
#include "support/arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* What errno means, as the functions below say it. The text lives until the next call. */
const char *fs_error(void);

/* Reads a regular file (or stdin for "-") into malloc'ed, NUL-terminated memory. NULL on failure
 * with *err set to a message that lives until the next call (strerror text, "is a directory",
 * "larger than N bytes", "not a regular file"); *len is then limit + 1 when the file is too large,
 * else 0. */
char *fs_read(const char *path, size_t limit, size_t *len, const char **err);

/* A read-only mapping of a regular file; data NULL on failure with *err set. len may be 0. */
typedef struct FsMap {
    const unsigned char *data;
    size_t len;
} FsMap;
FsMap fs_map(const char *path, const char **err);
void fs_unmap(FsMap *m);

/* An output under construction: written to a temporary file beside `path`, flushed, fsynced and
 * renamed by fs_commit; removed by fs_abandon. "-" is stdout. */
typedef struct FsOut {
    FILE *f;
    char *path, *tmp; /* tmp NULL for stdout and for special files such as /dev/null */
} FsOut;
bool fs_open_out(FsOut *o, const char *path, const char **err);
bool fs_commit(FsOut *o, const char **err);
void fs_abandon(FsOut *o);
/* Commits what another program has written to o->tmp, or, where there is none, to the file
 * `scratch`, which stays; exec as below. */
bool fs_take(FsOut *o, const char *scratch, bool exec, const char **err);
/* One-call form; exec sets the x bits (subject to umask). */
bool fs_write_all(const char *path, const void *data, size_t len, bool exec, const char **err);

/* An output of known size, written through memory: its blocks are taken from the disk at once, so
 * that a full disk is an error here and no signal later. Only for regular files; data is zero at
 * first. Commit and abandon as above; both unmap. */
typedef struct FsMapOut {
    FsOut out;
    unsigned char *data;
    size_t len;
} FsMapOut;
bool fs_map_out(FsMapOut *m, const char *path, size_t len, const char **err);
bool fs_map_commit(FsMapOut *m, const char **err);
void fs_map_abandon(FsMapOut *m);

/* Runs argv[0] (found on PATH) with posix_spawnp, no shell. `folder`, made by temp_folder, is its
 * TMPDIR: what a killed compiler driver leaves goes with it. Returns its exit status, or -1 with
 * *err set. stderr of the child goes to ours. */
int fs_spawn(const char *const *argv, const char *folder, const char **err);
/* The path of a program as fs_spawn finds it, in the arena; NULL when there is none. */
const char *fs_program(Arena *a, const char *name);
#endif
