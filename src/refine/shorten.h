/* Shorter and wider (Richter & Pal 2022, section 5): the blocks whose layers see more than the
 * image go, and the widths before them grow until the parameters are what they were. */
#ifndef CNNC_REFINE_SHORTEN_H
#define CNNC_REFINE_SHORTEN_H
#include "refine/edits.h"

/* Adds its one candidate to the result, when it finds one that is feasible and within the bounds of
 * parameters. */
void shorten_run(View *v, const RefineOptions *o, RefineResult *out);
#endif
