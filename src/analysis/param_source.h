/* Where parameter values come from: asked for by full name ("s3.2.conv1.weight"). */
#ifndef CNNC_PARAM_SOURCE_H
#define CNNC_PARAM_SOURCE_H
#include "analysis/params.h"

/* Float data of a parameter, NULL when missing. */
typedef const float *(*RefParam)(void *ctx, const char *full_name, const ParamSpec *spec);

typedef struct ParamSource {
    void *ctx;
    RefParam get;
    /* Gives back what get returned, so that no more than a few parameters are in memory at once.
     * NULL: data lives as long as the source. */
    void (*release)(void *ctx, const float *data);
} ParamSource;

static inline void param_release(const ParamSource *s, const float *data)
{
    if (s->release != NULL && data != NULL)
        s->release(s->ctx, data);
}
#endif
