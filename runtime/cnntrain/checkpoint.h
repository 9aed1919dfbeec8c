/* Checkpoints: one safetensors file each, with tensors of float32, pairs of text, and checksums
 * (docs/checkpoints.md). Values of parameters and running statistics bear their own names,
 * optimizer slots are "optimizer.SLOT.NAME", averaged values "ema.NAME". */
#ifndef CNNTRAIN_CHECKPOINT_H
#define CNNTRAIN_CHECKPOINT_H
#include "cnntrain/common.h"

enum { CNNTRAIN_MAX_DIMS = 4 };

/* Values in the caller's memory, [dims[0]][dims[1]]...; ndim 0 is a single value. */
typedef struct CnntrainTensor {
    const char *name;
    int ndim;
    int64_t dims[CNNTRAIN_MAX_DIMS];
    float *data;
} CnntrainTensor;

/* Writes a checkpoint: whole or not at all, and safe on the disk when this returns. keep: the file
 * that was there stays as PATH.prev; at every moment one of the two is complete. Tensors are only
 * read. false with a message: the disk is full, a name occurs twice or is no UTF-8, a key is one of
 * "header_xxh64", "data_xxh64" and "format", which are written here; the old file is intact. */
bool cnntrain_checkpoint_save(const char *path, const CnntrainTensor *tensors, size_t count,
                              const CnntrainPair *pairs, size_t pair_count, bool keep,
                              char message[CNNTRAIN_MESSAGE]);

typedef struct CnntrainCheckpoint CnntrainCheckpoint;

/* Opens a safetensors file and checks its header, and that header's checksum if it has one. NULL
 * with a message. The file may be renamed or replaced while it is open. */
CnntrainCheckpoint *cnntrain_checkpoint_open(const char *path, char message[CNNTRAIN_MESSAGE]);
/* Reads the data once and compares checksums; a file without them (not written by save, or changed
 * since) is refused. Further calls return at once. */
bool cnntrain_checkpoint_verify(CnntrainCheckpoint *c, char message[CNNTRAIN_MESSAGE]);
/* NULL is allowed. */
void cnntrain_checkpoint_close(CnntrainCheckpoint *c);

/* As it was opened; of pairs, the value or NULL, alive until the checkpoint is closed. */
const char *cnntrain_checkpoint_path(const CnntrainCheckpoint *c);
const char *cnntrain_checkpoint_pair(const CnntrainCheckpoint *c, const char *key);
/* A pair as a number; false when there is none, or it is not one. */
bool cnntrain_checkpoint_integer(const CnntrainCheckpoint *c, const char *key, int64_t *v);
bool cnntrain_checkpoint_real(const CnntrainCheckpoint *c, const char *key, double *v);
bool cnntrain_checkpoint_has(const CnntrainCheckpoint *c, const char *tensor);

typedef enum CnntrainFound {
    CNNTRAIN_FOUND,
    CNNTRAIN_NONE,   /* the folder has no checkpoint */
    CNNTRAIN_DAMAGED /* there are some, and none is good; the message names the last of them */
} CnntrainFound;

#define CNNTRAIN_LAST "last.safetensors"
#define CNNTRAIN_BEST "best.safetensors"

/* The good one of last, last.prev and best in a folder whose "step" is the largest, opened and
 * verified. Each that is damaged and would have come before it is named to `notice` (may be NULL),
 * with what is wrong. *out is NULL unless FOUND. */
CnntrainFound cnntrain_checkpoint_find(const char *folder, CnntrainCheckpoint **out,
                                       CnntrainNotice *notice, void *ctx,
                                       char message[CNNTRAIN_MESSAGE]);

/* Continues a run: verifies, then reads all tensors. The file must hold exactly these names, with
 * these shapes, in float32. On failure *report (may be NULL) is a table of the first differences,
 * to be freed, if it is names or shapes that differ, else NULL; tensors are then untouched. Only
 * when the file can no longer be read midway is a part of them overwritten. */
bool cnntrain_checkpoint_load(CnntrainCheckpoint *c, const CnntrainTensor *tensors, size_t count,
                              char **report, char message[CNNTRAIN_MESSAGE]);

typedef struct CnntrainFit {
    size_t copied;    /* tensors of ours that were found */
    size_t missing;   /* of ours that the file does not have */
    size_t different; /* of ours that it has in another shape */
    size_t left;      /* of the file's that were not asked for, without optimizer's and averages */
} CnntrainFit;

/* Begins another run from what fits: each tensor gets the values of the file's tensor prefix + NAME
 * (prefix "" or "ema.") if its shape is the same; the others keep theirs. Any safetensors file
 * will do; checksums are verified if it has them. *report (may be NULL) lists what was missing,
 * different and left, to be freed; NULL when there is nothing to list. */
bool cnntrain_checkpoint_fit(CnntrainCheckpoint *c, const char *prefix,
                             const CnntrainTensor *tensors, size_t count, CnntrainFit *fit,
                             char **report, char message[CNNTRAIN_MESSAGE]);
#endif
