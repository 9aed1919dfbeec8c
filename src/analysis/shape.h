/* Output shapes. Works node by node, so that the elaborator can ask while it builds. */
#ifndef CNNC_SHAPE_H
#define CNNC_SHAPE_H
#include "ir/graph.h"

typedef struct Shape {
    int64_t c, h, w;
    bool flat; /* a vector of c values (h = w = 1), no longer a map */
} Shape;

typedef enum ShapeFail {
    SHAPE_OK,
    SHAPE_BAD_ATTR,
    SHAPE_MISMATCH,
    SHAPE_VANISHES,
    SHAPE_GROUPS,
    SHAPE_TOO_LARGE
} ShapeFail;
typedef struct ShapeError {
    ShapeFail kind;
    char text[200]; /* what is wrong, without the operator's name */
    int64_t num[4]; /* VANISHES: window h, w, map h, w; GROUPS: groups, in, out */
} ShapeError;

/* Shape of a node with this op, attributes and input shapes. Sizes are limited so that no product
 * of dimensions passes 2^40 elements. */
bool shape_infer(Op op, const AttrVal *attrs, const Shape *ins, uint32_t nin, Shape *out,
                 ShapeError *err);
/* All nodes of a graph; table indexed by node id. false with *at = the offending node. */
bool shape_all(const Graph *g, Arena *a, Shape **out, NodeId *at, ShapeError *err);
/* Padding actually applied per side for a window over a map of in_h x in_w (resolves `same`). For
 * ceil_mode the bottom/right overhang is not included. */
Pad shape_resolve_pad(const Window *w, int64_t in_h, int64_t in_w);
bool shape_equal(Shape a, Shape b);
int64_t shape_count(Shape s); /* elements of one image */
#endif
