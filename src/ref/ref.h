/* The reference implementation of every operator in double: plain loops, the meaning of the
 * language, and what CPU and CUDA code is compared with. Needs no weights file format: values are
 * asked for by parameter name. */
#ifndef CNNC_REF_H
#define CNNC_REF_H
#include "analysis/param_source.h"
#include "analysis/shape.h"

typedef struct RefTensor {
    Shape shape;
    double *data; /* [n][c][h][w], malloc'ed; n = 1 for operators that sum over the batch */
} RefTensor;

typedef struct RefRun {
    const Graph *g;
    const Shape *shape;
    ParamSource params;
    int64_t batch;
    uint64_t seed, step; /* of the masks of a training graph (docs/random.md) */
    /* called after every node run, for progress and comparison; may change the values, as what
     * stores them would; may be NULL; false stops */
    bool (*after)(void *ctx, NodeId n, const RefTensor *value);
    void *after_ctx;
    /* what an operand of convolution n, of a dense layer or of a gradient of theirs is before it is
     * multiplied, on hardware that rounds it; may be NULL: the value itself */
    double (*operand)(void *ctx, NodeId n, double v);
    void *operand_ctx;
} RefRun;

/* Runs the graph on inputs (one array per graph input, [n][c][h][w] float) and writes one malloc'ed
 * double array per graph output. Frees intermediates as soon as they are dead; nodes that no output
 * depends on are left out. On failure false, outputs all NULL, and *err valid until this thread's
 * next call. */
bool ref_run(const RefRun *r, const float *const *inputs, double **outputs, const char **err);
/* One operator on given inputs; params in params_of order, of the node it belongs to (graph_owner);
 * masks have seed 0 and step 0; an input node takes its value as ins[0].
 * out->data is malloc'ed; false, with NULL there, when memory runs out. */
bool ref_op(const Graph *g, NodeId n, const Shape *shape, const RefTensor *ins,
            const float *const *params, int64_t batch, RefTensor *out);
#endif
