/* Private: what the files checkpoint*.c share. */
#ifndef CNNTRAIN_CHECKPOINT_FILE_H
#define CNNTRAIN_CHECKPOINT_FILE_H
#include "cnnrt/safetensors.h"
#include "cnntrain/checkpoint.h"

struct CnntrainCheckpoint {
    int fd;
    char *path;
    CnnrtSt st;
    uint64_t data_at, data_len; /* in the file */
    bool summed, verified;
};

/* A header of ours begins like this; then come the 16 digits of its XXH64, which is computed with
 * zeros in their place. */
#define CNNTRAIN_HEADER_START "{\"__metadata__\":{\"header_xxh64\":\""
#define CNNTRAIN_DATA_KEY "data_xxh64"
enum { CNNTRAIN_DIGITS = 16 };
void cnntrain_checkpoint_digits(char out[CNNTRAIN_DIGITS + 1], uint64_t hash);
#endif
