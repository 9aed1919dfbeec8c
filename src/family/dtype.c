#include "family/dtype.h"
#include <math.h>
#include <string.h>

const DtypeInfo dtype_info[DTYPE_COUNT] = {
#define DTYPE(ID, NAME, BITS, BYTES, ARCH, ERROR, DOC)                                             \
    [DTYPE_##ID] = {NAME, BITS, BYTES, ARCH, ERROR},
#include "family/dtype.def"
};

bool dtype_read(const char *name, Dtype *out)
{
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (strcmp(dtype_info[i].name, name) == 0) {
            *out = (Dtype)i;
            return true;
        }
    return false;
}

static uint32_t bits_of(float v)
{
    uint32_t word;
    memcpy(&word, &v, sizeof word);
    return word;
}

/* All of them have the exponents of fp32: rounding the word carries into the exponent. */
static uint32_t round_word(Dtype d, float v)
{
    uint32_t word = bits_of(v);
    int drop = dtype_info[DTYPE_FP32].bits - dtype_info[d].bits;
    if (drop == 0 || isnan(v))
        return word;
    uint32_t half = 1u << (drop - 1), odd = word >> drop & 1;
    word += d == DTYPE_TF32 ? half : half - 1 + odd;
    return word & ~((half << 1) - 1);
}

float dtype_round(Dtype d, float v)
{
    uint32_t word = round_word(d, v);
    memcpy(&v, &word, sizeof v);
    return v;
}

void dtype_put(Dtype d, float *array, int64_t i, float v)
{
    uint32_t word = round_word(d, v);
    uint16_t high = (uint16_t)(word >> 16);
    if (dtype_info[d].bytes == sizeof high)
        memcpy((char *)array + 2 * i, &high, sizeof high);
    else
        memcpy(array + i, &word, sizeof word);
}
