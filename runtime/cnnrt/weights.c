/* External weights: a file of the packed floats and nothing else, mapped and compared with what the
 * model says of it. */
#define _GNU_SOURCE
#include "cnnrt.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* XXH64 after its specification (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), seed 0. Guards
 * against damage and mix-ups, not against intent. */
static const uint64_t P1 = 0x9E3779B185EBCA87, P2 = 0xC2B2AE3D27D4EB4F, P3 = 0x165667B19E3779F9,
                      P4 = 0x85EBCA77C2B2AE63, P5 = 0x27D4EB2F165667C5;

static uint64_t rotl(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static uint64_t lane(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static uint64_t half_lane(const unsigned char *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
}

static uint64_t mix(uint64_t acc, uint64_t in)
{
    return rotl(acc + in * P2, 31) * P1;
}

uint64_t cnnrt_hash(const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t h = P5;
    size_t left = len;
    if (left >= 32) {
        uint64_t acc[4] = {P1 + P2, P2, 0, 0 - P1};
        for (; left >= 32; left -= 32, p += 32)
            for (int i = 0; i < 4; i++)
                acc[i] = mix(acc[i], lane(p + 8 * i));
        h = rotl(acc[0], 1) + rotl(acc[1], 7) + rotl(acc[2], 12) + rotl(acc[3], 18);
        for (int i = 0; i < 4; i++)
            h = (h ^ mix(0, acc[i])) * P1 + P4;
    }
    h += len;
    for (; left >= 8; left -= 8, p += 8)
        h = rotl(h ^ mix(0, lane(p)), 27) * P1 + P4;
    if (left >= 4) {
        h = rotl(h ^ half_lane(p) * P1, 23) * P2 + P3;
        left -= 4;
        p += 4;
    }
    for (; left > 0; left--)
        h = rotl(h ^ *p++ * P5, 11) * P1;
    h = (h ^ h >> 33) * P2;
    h = (h ^ h >> 29) * P3;
    return h ^ h >> 32;
}

static size_t weight_bytes(const CnnrtModel *m)
{
    return (size_t)m->weight_floats * sizeof(float);
}

/* A regular file of the right size; O_NONBLOCK because opening a FIFO would wait. */
static int map_file(const char *path, size_t bytes, void **out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return CNNRT_WEIGHTS_FILE;
    int status = CNNRT_OK, why = 0;
    if (fstat(fd, &st) != 0) {
        status = CNNRT_WEIGHTS_FILE;
        why = errno;
    } else if (!S_ISREG(st.st_mode)) {
        status = CNNRT_WEIGHTS_FILE;
        why = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    } else if (st.st_size < 0 || (size_t)st.st_size != bytes) {
        status = CNNRT_WRONG_WEIGHTS;
    } else {
        *out = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (*out == MAP_FAILED) {
            status = CNNRT_WEIGHTS_FILE;
            why = errno;
        }
    }
    close(fd);
    errno = why;
    return status;
}

int cnnrt_weights_map(const CnnrtModel *m, const char *path, const float **out)
{
    if (out == NULL)
        return CNNRT_BAD_ARGUMENT;
    *out = NULL;
    if (m == NULL || path == NULL)
        return CNNRT_BAD_ARGUMENT;
    if (m->abi != CNNRT_ABI_VERSION)
        return CNNRT_BAD_MODEL;
    size_t bytes = weight_bytes(m);
    if (bytes == 0) /* nothing to map: create needs no weights either */
        return CNNRT_OK;
    void *map = NULL;
    int status = map_file(path, bytes, &map);
    if (status != CNNRT_OK)
        return status;
    if (cnnrt_hash(map, bytes) != m->weights_hash) {
        munmap(map, bytes);
        return CNNRT_WRONG_WEIGHTS;
    }
    *out = map;
    return CNNRT_OK;
}

void cnnrt_weights_unmap(const CnnrtModel *m, const float *weights)
{
    if (m != NULL && weights != NULL)
        munmap((void *)(uintptr_t)weights, weight_bytes(m));
}
