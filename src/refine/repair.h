/* The cheapest repairs of a refused network, found by trying: every candidate is elaborated and
 * analysed with literals overridden in place; nothing is edited here. */
#ifndef CNNC_REPAIR_H
#define CNNC_REPAIR_H
#include "analysis/analysis.h"
#include "elab/elab.h"

enum { REPAIR_MAX_LITERALS = 2 };

typedef struct Repair {
    LitOverride change[REPAIR_MAX_LITERALS];
    uint32_t changes;
    Span span[REPAIR_MAX_LITERALS];        /* of the literals, in the source */
    const char *text[REPAIR_MAX_LITERALS]; /* what to write instead */
    const char *layer;                     /* path of the first layer whose stride changes */
    int64_t n[2];                          /* minimum feasible resolution afterwards */
    int64_t params, macs;
} Repair;

/* Every single stride that, taken back one step (halved, a stage's contract with it), leaves a
 * network all of whose layers are productive at the declared input. Best first: n nearest to the
 * input from below, fewest literals, parameters nearest the original, fewest MACs. Diagnostics of
 * the attempts are dropped. Results live in the session arena. */
uint32_t repair_one_stride(Session *s, NetRef net, const ElabOptions *opt, const Elab *e,
                           const Analysis *a, Repair **out);
/* The smallest square resolution above n that elaborates and has no layer of r_min >= input; 0 when
 * none is found within 64 steps. */
int64_t repair_resolution(Session *s, NetRef net, const ElabOptions *opt, const Analysis *a);
#endif
