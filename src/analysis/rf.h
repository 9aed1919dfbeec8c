/* Receptive fields, per axis, over all paths, in linear time.
 *
 * A node's set of (r, S) pairs over all paths from the inputs is kept as the smallest and largest r
 * per distinct jump S (Richter & Pal 2022, eq. 1-4): a union for merges, a push through the window
 * for layers. Global paths (after gap, flatten) are a flag: r is infinite there. */
#ifndef CNNC_RF_H
#define CNNC_RF_H
#include "analysis/shape.h"

typedef struct RfEntry {
    int64_t s_num, s_den; /* jump as a reduced fraction (transposed convolutions divide it) */
    int64_t r_min, r_max; /* saturate at RF_LIMIT */
    /* The entry of the input the smallest r came through: for "how r grew along the path". */
    NodeId from;
    uint32_t from_entry;
} RfEntry;
#define RF_LIMIT ((int64_t)1 << 60)

typedef struct RfAxis {
    const RfEntry *e;
    uint32_t n;           /* 0 = no finite path */
    bool global;          /* some path is global */
    int64_t r_min, r_max; /* over the finite paths; 0 when none */
    uint32_t min_entry;
} RfAxis;

typedef struct RfInfo {
    RfAxis axis[2];      /* 0 = h, 1 = w */
    int64_t r_in_min[2]; /* smallest r_min among the layer's finite inputs; 0 when none */
} RfInfo;
/* Rows of the finite set are sorted by jump. The jump of a node, when unique, is e[0]. */

bool rf_global(const RfInfo *r); /* no finite path on either axis */
RfInfo rf_infer(Arena *a, const Graph *g, NodeId n, const RfInfo *table, const Shape *shapes);
RfInfo *rf_all(Arena *a, const Graph *g, const Shape *shapes);
#endif
