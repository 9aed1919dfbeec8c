/* Files that appear whole or not at all: written to PATH.tmp, fsynced, renamed, and their folder
 * fsynced. One process writes a path at a time; what a killed one left is overwritten. Private to
 * cnntrain. */
#ifndef CNNTRAIN_FILE_H
#define CNNTRAIN_FILE_H
#include "cnntrain/common.h"

typedef struct CnntrainFile {
    int fd;
    char *path, *tmp;
} CnntrainFile;

/* false with a message; nothing is left to be abandoned then. */
bool cnntrain_file_create(CnntrainFile *f, const char *path, char message[CNNTRAIN_MESSAGE]);
/* All of the n bytes. false with a message: the caller abandons. */
bool cnntrain_file_write(CnntrainFile *f, const void *data, size_t n,
                         char message[CNNTRAIN_MESSAGE]);
/* The file takes its place. keep: what was there stays as PATH.prev. At every moment one of PATH
 * and PATH.prev is complete, and PATH.prev is replaced only when PATH is the new file. false with a
 * message: the old file is still there, unless the message says otherwise. Frees *f either way. */
bool cnntrain_file_commit(CnntrainFile *f, bool keep, char message[CNNTRAIN_MESSAGE]);
void cnntrain_file_abandon(CnntrainFile *f);
/* Opens a regular file to be read, with its size; -1 with a message. *missing (may be NULL) is set
 * when there is none. */
int cnntrain_file_open(const char *path, uint64_t *size, bool *missing,
                       char message[CNNTRAIN_MESSAGE]);
/* n bytes at an offset, or false with errno, which is 0 when the file is shorter. */
bool cnntrain_file_pread(int fd, void *to, size_t n, uint64_t offset);
#endif
