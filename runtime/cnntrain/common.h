/* What the parts of a training run share. */
#ifndef CNNTRAIN_COMMON_H
#define CNNTRAIN_COMMON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Functions that can fail take a buffer of this many bytes and leave one line of text in it,
 * without a newline, which names the file and what can be done. */
enum { CNNTRAIN_MESSAGE = 1024 };

/* A key and its value; both belong to the caller. */
typedef struct CnntrainPair {
    const char *key, *value;
} CnntrainPair;

/* What the user should know and the run survives; text is gone after the call. */
typedef void CnntrainNotice(void *ctx, const char *text);
#endif
