#include "hash.h"
#include "cnnrt.h"
#include <string.h>

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

static void stripe(uint64_t acc[4], const unsigned char *p)
{
    for (int i = 0; i < 4; i++)
        acc[i] = mix(acc[i], lane(p + 8 * i));
}

void cnnrt_hash_begin(CnnrtHash *h)
{
    *h = (CnnrtHash){.acc = {P1 + P2, P2, 0, 0 - P1}};
}

void cnnrt_hash_add(CnnrtHash *h, const void *data, size_t len)
{
    const unsigned char *p = data;
    size_t have = (size_t)(h->total % 32);
    h->total += len;
    if (have > 0) {
        size_t take = len < 32 - have ? len : 32 - have;
        if (take > 0)
            memcpy(h->rest + have, p, take);
        if (have + take < 32)
            return;
        stripe(h->acc, h->rest);
        p += take;
        len -= take;
    }
    uint64_t acc[4]; /* in registers, whatever data may overlap */
    memcpy(acc, h->acc, sizeof acc);
    for (; len >= 32; len -= 32, p += 32)
        stripe(acc, p);
    memcpy(h->acc, acc, sizeof acc);
    if (len > 0)
        memcpy(h->rest, p, len);
}

uint64_t cnnrt_hash_value(const CnnrtHash *state)
{
    const unsigned char *p = state->rest;
    size_t left = (size_t)(state->total % 32);
    uint64_t h = P5;
    if (state->total >= 32) {
        const uint64_t *acc = state->acc;
        h = rotl(acc[0], 1) + rotl(acc[1], 7) + rotl(acc[2], 12) + rotl(acc[3], 18);
        for (int i = 0; i < 4; i++)
            h = (h ^ mix(0, acc[i])) * P1 + P4;
    }
    h += state->total;
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

uint64_t cnnrt_hash(const void *data, size_t len)
{
    CnnrtHash h;
    cnnrt_hash_begin(&h);
    cnnrt_hash_add(&h, data, len);
    return cnnrt_hash_value(&h);
}
