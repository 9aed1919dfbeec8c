/* Gradients of means over windows and of upsampling: every input collects, with weights that are a
 * product of one factor per axis, from a rectangle of outputs. */
#ifndef CNNC_GATHER_H
#define CNNC_GATHER_H
#include "codegen/cpu/kern.h"

/* Forwards, output i of an axis reads the inputs [lo, hi), with weight `first` the one at lo and
 * weight `rest` each of the others. */
typedef struct GatherReads {
    int64_t lo, hi;
    double first, rest;
} GatherReads;
/* vertical: of the rows, else of the columns. */
typedef GatherReads GatherAxisReads(const Kernel *k, bool vertical, int64_t i);

/* The kernel whose k->out is the gradient of the inputs, k->in that of the outputs, both blocked.
 * Any epilogue. Scratch: k->in.w vectors. The inputs that an output reads must be in the map and
 * those that read one input be neighbours. */
bool gather_emit(Kern *kn, GatherAxisReads *reads);
#endif
