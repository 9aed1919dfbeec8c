/* Where a command's parameter values come from: a safetensors file in our names or a public
 * checkpoint's, or a seed. Strict: whatever does not fit is listed and refused. */
#ifndef CNNC_PARAMETERS_H
#define CNNC_PARAMETERS_H
#include "analysis/param_source.h"
#include "driver/front.h"
#include "import/weights.h"

typedef struct Parameters {
    Weights weights;    /* in our names */
    Weights file;       /* owns the mapping the above points into */
    const char *origin; /* "seed 1", or the last part of the file's path */
} Parameters;

/* What names of running means begin with in a checkpoint. */
#define PARAMETERS_MEAN "ema."

/* Loads --weights or makes --init; `required` without either is a usage error. A weights spec
 * "fixture:SEED" makes the reproducible values of docs/random.md, keyed by the names of the net's
 * first `names` section. Returns an exit code. */
int parameters_open(Parameters *p, Run *r, const Net *n, bool required);
/* The same from this file, and from this seed. Of a checkpoint that has running means of all
 * parameters those are taken, unless --no-ema says otherwise; what the optimizer keeps is passed
 * over. */
int parameters_load(Parameters *p, Run *r, const Net *n, const char *path);
int parameters_init(Parameters *p, Run *r, const Net *n, uint64_t seed);
void parameters_close(Parameters *p);
/* The names of the classes that a checkpoint was trained with, one a line; NULL: not known. */
const char *parameters_classes(const Parameters *p);
/* Values by full name; p must outlive it. Made ones exist while they are in use only. */
ParamSource parameters_source(Parameters *p);
/* Every parameter of every live node, in topological order; stops at a result that is not 0 and
 * returns it. Names are in the net's arena. */
typedef int ParameterVisit(void *ctx, const Net *n, uint32_t node, const ParamSpec *spec,
                           const char *name);
int parameters_each(Run *r, const Net *n, ParameterVisit *visit, void *ctx);
/* Fills count floats of input `index` with 2u - 1 from the fixture stream (docs/random.md). */
void parameters_fixture_input(uint64_t seed, int64_t count, float *out);
#endif
