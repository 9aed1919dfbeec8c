/* What the search and the rules share. */
#ifndef CNNC_REFINE_SEARCH_H
#define CNNC_REFINE_SEARCH_H
#include "refine/edits.h"

typedef VEC(Rework) OpList;

typedef struct Search {
    View v;
    Arena *a;
    const RefineBase *base;
    const RefineOptions *o;
    RefineResult *out;
    OpList ops;     /* those that take downsampling away come first */
    uint32_t drops; /* how many do */
} Search;

/* Finds out which steps understand `stride=`; first of all. */
void rules_probe(Search *s);
/* Add to s->ops what each rule could do: strides and poolings that go, the stem, what moves later,
 * kernels and dilations, strides of 1 that could be 2. */
void rules_find_drops(Search *s);
void rules_find_stem(Search *s);
void rules_find_moves(Search *s);
void rules_find_sizes(Search *s);
void rules_find_deeper(Search *s);
#endif
