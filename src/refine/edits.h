/* Rule applications as edits of the base's text. */
#ifndef CNNC_REFINE_EDITS_H
#define CNNC_REFINE_EDITS_H
#include "refine/view.h"

typedef struct Rework {
    RefineRule rule;
    uint32_t unit;  /* STRIDE, MOVE, DROP, POOL_LATER, STEM (UINT32_MAX: by literal) */
    uint32_t to;    /* MOVE, POOL_LATER: the unit that downsamples, or stands before the pooling */
    uint32_t far;   /* STRIDE, STEM by literal: in View.far; UINT32_MAX = none */
    uint32_t size;  /* STEM, KERNEL, DILATION: in View.sizes; UINT32_MAX = none */
    int64_t value;  /* the new stride of the unit or literal */
    int64_t kernel; /* the new value of the size literal */
    bool same_pad;  /* STRIDE: the unit's step is padded, too, so that its map keeps its size */
} Rework;

/* Fills everything of a candidate but its score. False when the operations exclude each other, or
 * cannot be said by editing the text. */
bool edits_make(const View *v, const Rework *ops, uint32_t n, RefineCandidate *out);
/* The base with edits sorted by place. Arena text. */
char *edits_text(Arena *a, const RefineBase *base, const RefineEdit *edits, uint32_t n,
                 size_t *len);
/* "stride 2 -> 1 at s4.0" */
const char *op_text(const View *v, const Rework *op);
#endif
