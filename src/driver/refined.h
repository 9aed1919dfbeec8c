/* Refinement as commands ask for it: settings from the command line or from the source's `refine`
 * section, and nets that are refined before they are compiled. */
#ifndef CNNC_REFINED_H
#define CNNC_REFINED_H
#include "driver/front.h"
#include "refine/refine.h"

/* Reads --strategy, --order, --edits, bounds and --keep; what is not given there comes from the
 * section. `strategy` NULL = --strategy. Returns an exit code. */
int refined_settings(Run *r, const Net *n, const char *strategy, RefineOptions *o);
/* A sentence in the words of a report: "stride 2 -> 1 at s4.0: n 299 -> 171, parameters ...". */
void refined_say(Run *r, const char *net, const RefineScore *base, const RefineCandidate *c);
/* What --refine or `auto = true` asks for: when n is refused, replaces it by its best refinement
 * and says what changed. Returns an exit code. */
int refined_open(Run *r, Net *n, bool *replaced);
/* The best refinement of n, as --refine asks for it, and what changed. out may be n. */
int refined_best(Run *r, const Net *n, Net *out);
/* What was done, "stride 2 -> 1 at s4.0; ...". */
void refined_notes(const RefineCandidate *c, Buf *out);
/* Opens what a candidate makes of the base, reported like any net. */
int refined_reopen(Run *r, Net *n, const RefineBase *base, const RefineCandidate *c);
/* Writes to `to` the weights of `from` that fit the candidate, the others initialised, and lists
 * what is new and what was left behind. */
int refined_transfer(Run *r, const Net *old, const RefineBase *base, const RefineCandidate *c,
                     const char *from, const char *to);
void refined_n_text(const int64_t n[2], Buf *out);
double refined_percent(int64_t now, int64_t before);
/* No candidate: reports the least that would do, if anything would. Returns an exit code. */
int refined_none(Run *r, const Net *n, const RefineOptions *o, const RefineResult *res);
#endif
