/* Where parameter values come from: asked for by full name ("s3.2.conv1.weight"). */
#ifndef CNNC_PARAM_SOURCE_H
#define CNNC_PARAM_SOURCE_H
#include "analysis/params.h"

/* Float data of a parameter, NULL when missing. */
typedef const float *(*RefParam)(void *ctx, const char *full_name, const ParamSpec *spec);
#endif
