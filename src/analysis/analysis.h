/* Everything that is known about a graph before it runs: shapes, receptive fields, verdicts, costs.
 * Knows no source: findings carry node ids and the driver maps them to places. */
#ifndef CNNC_ANALYSIS_H
#define CNNC_ANALYSIS_H
#include "analysis/params.h"
#include "analysis/rf.h"
#include "analysis/shape.h"

typedef enum Verdict {
    VERDICT_NONE /* not a counted layer */,
    VERDICT_PRODUCTIVE,
    VERDICT_SATURATED,
    VERDICT_UNDERUTILIZED,
    VERDICT_UNPRODUCTIVE,
    VERDICT_GLOBAL
} Verdict;
extern const char *const verdict_name[];

typedef struct NodeCost {
    int64_t params;    /* trainable */
    int64_t macs;      /* convolutions and dense layers only */
    int64_t act_bytes; /* float32 output of one image */
} NodeCost;

typedef struct NodeVerdict {
    Verdict v;
    bool axis[2]; /* which axes show it */
    bool aux;     /* belongs to the extractor of an auxiliary head only */
} NodeVerdict;

typedef struct Analysis {
    const Graph *g;
    Shape *shape;
    RfInfo *rf;
    NodeCost *cost;
    NodeVerdict *verdict;
    bool *live;      /* reachable from some head */
    bool *extractor; /* in the feature extractor of the primary head */
    /* Totals over live nodes */
    int64_t params, macs, flops;
    int64_t act_bytes, act_peak; /* sum of all outputs; largest live set in topological order */
    int64_t n[2], n_max[2];      /* minimum feasible resolution, other end of the interval */
    int64_t input[2];            /* declared resolution of the primary (first) input */
    uint32_t count[6];           /* layers of the primary extractor per Verdict */
} Analysis;

bool analysis_run(Arena *a, const Graph *g, Analysis *out, NodeId *at, ShapeError *err);
/* Smallest square-scaled resolution at which shapes still work, found by re-inference on copies of
 * the input shape from 1 up to the declared one (beyond 1024 by binary search, which may miss a
 * smaller one; per axis together). [h, w]. */
void analysis_runnable_min(Arena *scratch, const Graph *g, int64_t out[2]);
/* Counted layers that have at least verdict v (SATURATED < UNDERUTILIZED < UNPRODUCTIVE), in
 * topological order, and the first of them; NODE_NONE when none. */
NodeId analysis_first(const Analysis *a, Verdict v, bool aux);
/* The minimal path to node n on an axis: nodes from the input to n (inclusive) whose windows make
 * r grow or change the jump, with r and jump after each. Returns the count. */
typedef struct RfStep {
    NodeId node;
    int64_t r;
    int64_t s_num, s_den;
} RfStep;
uint32_t analysis_min_path(Arena *a, const Analysis *an, NodeId n, int axis, RfStep **out);
#endif
