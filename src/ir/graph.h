/* The graph: a plain DAG of operators, in topological order, with all structure decided.
 * Batch is implicit everywhere. Side results (shapes, receptive fields, costs) are tables indexed
 * by NodeId that live apart (analysis/). */
#ifndef CNNC_GRAPH_H
#define CNNC_GRAPH_H
#include "ops/op.h"
#include "support/arena.h"
#include "support/buf.h"
#include "support/vec.h"

typedef struct NodeId {
    uint32_t v; /* 0 = none */
} NodeId;
#define NODE_NONE ((NodeId){0})

typedef struct Node {
    Op op;
    uint32_t attr_first, attr_count; /* into Graph.attrs, in the order of the op's schema */
    uint32_t in_first, in_count;     /* into Graph.inputs; every input id is smaller than the own */
    uint32_t origin;                 /* index in the elaborator's origin table; 0 = none */
    const char *name; /* instance path, the prefix of its parameters: "s3.2.conv1"; unique */
} Node;

typedef struct GraphInput {
    const char *name;
    NodeId node;
    /* What `run` does to a picture; present only when declared. */
    bool has_norm;
    double mean[4], std[4];
    int64_t resize, crop; /* 0 = not declared */
} GraphInput;

typedef struct GraphOutput {
    const char *name;
    NodeId node;
    NodeId source; /* the tensor the head starts from: end of the feature extractor's trunk */
    bool primary;  /* the last head declared */
} GraphOutput;

typedef struct Graph {
    Arena *arena;
    const char *name;
    VEC(Node) nodes; /* index 0 unused */
    VEC(AttrVal) attrs;
    VEC(NodeId) inputs;
    VEC(GraphInput) ins;
    VEC(GraphOutput) outs;
} Graph;

void graph_init(Graph *g, Arena *a, const char *name);
/* Appends a node; attrs has op_info[op].attr_count entries, ins are existing nodes. Copies both. */
NodeId graph_add(Graph *g, Op op, const AttrVal *attrs, const NodeId *ins, uint32_t nin,
                 const char *name, uint32_t origin);
static inline const Node *graph_node(const Graph *g, NodeId n)
{
    return &g->nodes.at[n.v];
}
static inline NodeId graph_in(const Graph *g, NodeId n, uint32_t i)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.UndefReturn): graph_add fills them */
    return g->inputs.at[g->nodes.at[n.v].in_first + i];
}
static inline const AttrVal *graph_attr(const Graph *g, NodeId n, int attr)
{
    return &g->attrs.at[g->nodes.at[n.v].attr_first + (uint32_t)attr];
}
/* The attributes all windowed operators share, read by name; a pooling's stride 0 means "the
 * kernel's" and is resolved here. */
typedef struct Window {
    Size2 k, stride, dilation;
    Pad pad;
    bool ceil_mode;
} Window;
Window graph_window(const Graph *g, NodeId n);

/* The node whose parameters and attributes an operator of a training graph uses: the one it belongs
 * to, else itself. */
static inline NodeId graph_owner(const Graph *g, NodeId n)
{
    if ((op_info[graph_node(g, n)->op].flags & OPF_BACKWARD) == 0)
        return n;
    return (NodeId){(uint32_t)graph_attr(g, n, AT_BACKWARD_of)->i};
}
/* Text form; graph_read(graph_print(g)) == g. One node a line:
 *   %5 = conv(%4) c=64 k=3x3 stride=1x1 ... : "s1.0.conv1"
 * Defaulted attributes are omitted. */
void graph_print(const Graph *g, Buf *out);
/* NULL on success, else a message with a line number in the arena; strict and bounds-checked. */
const char *graph_read(Graph *g, Arena *a, const char *text, size_t len);
/* Structural invariants: topological order, arities, attribute types and ranges, unique names,
 * inputs and outputs exist. NULL or a message naming the node. Run after every pass. */
const char *graph_verify(const Graph *g);
#endif
