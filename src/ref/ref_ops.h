/* Private to src/ref: how one operator is called, and the parallel loop of the large ones. */
#ifndef CNNC_REF_OPS_H
#define CNNC_REF_OPS_H
#include "ref/ref.h"

/* One application of an operator. out->data is allocated, its content undefined; the parameters
 * stand in the order of params_of. Inputs and output are [batch][c][h][w]. */
typedef struct RefCall {
    const Graph *g;
    NodeId n;
    NodeId owner; /* graph_owner: whose attributes and parameters count */
    const RefTensor *in;
    uint32_t nin;
    const float *const *param;
    int64_t batch;
    uint64_t seed, step;
    RefTensor *out;
} RefCall;

/* The definition of every row of ops.def: a row without one does not link. */
typedef void RefFn(const RefCall *c);
#define OP(ID, ...) RefFn ref_##ID;
#include "ops/ops.def"

static inline const AttrVal *ref_attr(const RefCall *c, int attr)
{
    return graph_attr(c->g, c->n, attr);
}

static inline const AttrVal *ref_owner_attr(const RefCall *c, int attr)
{
    return graph_attr(c->g, c->owner, attr);
}

/* The h * w values of channel ch of image n. */
static inline double *ref_plane(const RefTensor *t, int64_t n, int64_t ch)
{
    return t->data + (n * t->shape.c + ch) * t->shape.h * t->shape.w;
}

/* Calls body(ctx, i) for 0 <= i < n. Loops of much work (multiply-accumulates, all together) are
 * spread over the processor's cores: each i must write memory of its own. */
void ref_parallel(int64_t n, double work, void (*body)(void *ctx, int64_t i), void *ctx);
#endif
