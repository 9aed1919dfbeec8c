/* XXH64 of data that comes in parts. Private to the run time; cnnrt_hash is the same in one call.
 */
#ifndef CNNRT_HASH_H
#define CNNRT_HASH_H
#include <stddef.h>
#include <stdint.h>

typedef struct CnnrtHash {
    uint64_t acc[4];
    uint64_t total;
    unsigned char rest[32]; /* the last total % 32 bytes */
} CnnrtHash;

void cnnrt_hash_begin(CnnrtHash *h);
void cnnrt_hash_add(CnnrtHash *h, const void *data, size_t len);
/* Of all that was added; more may be added afterwards. */
uint64_t cnnrt_hash_value(const CnnrtHash *state);
#endif
