/* What operands of contractions are rounded to. */
#ifndef CNNC_DTYPE_H
#define CNNC_DTYPE_H
#include <stdbool.h>
#include <stdint.h>

typedef enum Dtype {
#define DTYPE(ID, NAME, BITS, BYTES, ARCH, ERROR, DOC) DTYPE_##ID,
#include "family/dtype.def"
    DTYPE_COUNT
} Dtype;

typedef struct DtypeInfo {
    const char *name;
    int bits, bytes, arch; /* as in dtype.def */
    double error;
} DtypeInfo;
extern const DtypeInfo dtype_info[DTYPE_COUNT];

/* False: it is none. */
bool dtype_read(const char *name, Dtype *out);
/* v rounded to nearest, halves as matrix units take them: away from zero (tf32), to even (bf16).
 * Beyond the largest it is infinite; NaN stays NaN. */
float dtype_round(Dtype d, float v);
/* Puts v, rounded, at element i of an array of operands. */
void dtype_put(Dtype d, float *array, int64_t i, float v);
#endif
