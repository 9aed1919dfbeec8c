/* The project's one random generator: counter based, so that value i of stream `key` is a function
 * of (key, i) alone. docs/random.md specifies it bit by bit for other implementations. */
#ifndef CNNRT_RNG_H
#define CNNRT_RNG_H
#include <stdint.h>

static inline uint64_t rng_mix(uint64_t key, uint64_t counter)
{
    uint64_t z = key + (counter + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}
/* The stream of a name under a seed. */
static inline uint64_t rng_key(const char *name, uint64_t seed)
{
    uint64_t h = 0xCBF29CE484222325ull; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001B3ull;
    return rng_mix(h ^ (seed * 0xD1342543DE82EF95ull), 0);
}
/* Uniform in [0, 1) with 24 bits. */
static inline float rng_uniform(uint64_t key, uint64_t i)
{
    return (float)(rng_mix(key, i) >> 40) * 0x1p-24f;
}
#endif
