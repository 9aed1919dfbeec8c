/* The parameters of a node: names, dimensions and how they are initialised. One list serves
 * counting, weight files, initialisation, the interpreter and packing. */
#ifndef CNNC_PARAMS_H
#define CNNC_PARAMS_H
#include "analysis/shape.h"

typedef enum InitKind {
    INIT_ZERO,
    INIT_ONE,
    INIT_CONST,
    INIT_KAIMING_FAN_OUT,
    INIT_TRUNC_NORMAL_02
} InitKind;

typedef struct ParamSpec {
    const char
        *suffix; /* "weight", "bias", "running_mean", ...; full name = node name + "." + it */
    int64_t dims[4];
    int ndim;
    bool trainable; /* statistics are not */
    InitKind init;
    double init_value; /* INIT_CONST */
} ParamSpec;
enum { PARAM_MAX = 4 };

/* Number of parameters of the node (0 when none), written to out[PARAM_MAX]. Order and dimensions:
 *   conv   weight [o, i/groups, kh, kw], bias [o]        dense  weight [o, i], bias [o]
 *   convt  weight [i, o/groups, kh, kw], bias [o]        layer_scale  gamma [c]
 *   bn     weight [c], bias [c], running_mean [c], running_var [c] (weight absent when !scale)
 *   ln     weight [c], bias [c] */
int params_of(const Graph *g, NodeId n, const Shape *shapes, ParamSpec out[PARAM_MAX]);
int64_t param_count(const ParamSpec *p);
#endif
