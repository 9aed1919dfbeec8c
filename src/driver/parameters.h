/* Where a command's parameter values come from: a safetensors file in our names or a public
 * checkpoint's, or a seed. Strict: whatever does not fit is listed and refused. */
#ifndef CNNC_PARAMETERS_H
#define CNNC_PARAMETERS_H
#include "analysis/param_source.h"
#include "driver/front.h"
#include "import/weights.h"

typedef struct Parameters {
    Weights weights; /* in our names */
    Weights file;    /* owns the mapping the above points into */
} Parameters;

/* Loads --weights or makes --init; `required` without either is a usage error. A weights spec
 * "fixture:SEED" makes the reproducible values of docs/random.md, keyed by the names of the net's
 * first `names` section. Returns an exit code. */
int parameters_open(Parameters *p, Run *r, const Net *n, bool required);
void parameters_close(Parameters *p);
/* A RefParam; ctx is the Parameters. */
const float *parameters_get(void *ctx, const char *full_name, const ParamSpec *spec);
/* Fills count floats of input `index` with 2u - 1 from the fixture stream (docs/random.md). */
void parameters_fixture_input(uint64_t seed, int64_t count, float *out);
#endif
