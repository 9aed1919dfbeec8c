/* Inputs of a run: pictures, NumPy arrays, or the reproducible fixture input. */
#ifndef CNNC_INPUTS_H
#define CNNC_INPUTS_H
#include "driver/front.h"

enum { INPUTS_MAX = 16 };

typedef struct Inputs {
    float *data[INPUTS_MAX]; /* [batch][c][h][w] per graph input, malloc'ed */
    int64_t batch;
    bool picture; /* the result is best shown as classes */
} Inputs;

/* Reads every --input that names a file, in the order of the net's inputs. Returns an exit code. */
int inputs_open(Inputs *in, Run *r, const Net *n);
/* Uniform values in [-1, 1) for all inputs: what verify and bench run on. */
int inputs_fixture(Inputs *in, Run *r, const Net *n, int64_t batch, uint64_t seed);
void inputs_close(Inputs *in);
#endif
