/* Sums over the positions of dy and over images, as the gradients of weights take them: a tap of
 * the window meets every position of dy with one position of x. */
#ifndef CNNC_SWEEP_H
#define CNNC_SWEEP_H
#include "codegen/cpu/kern.h"

typedef struct Sweep {
    Kern *kn;
    Emit *e;
    Kernel k; /* in and dy as the rows that are walked (train_conv_rows) */
    int64_t x_row, dy_row;
    int64_t tap_step;      /* floats of x from one column of the window to the next */
    int64_t x_col, dy_col; /* floats from one column of dy to the next, in x and in dy */
    int64_t rows, images;  /* of a part; images > 1 only where a part has all rows */
    bool by_image;         /* dy is 1 x 1: its columns are the images */
} Sweep;

/* What is summed in registers before it is added to the total: images [n0, n1), rows [r0, r1) of
 * dy. Sums of sums lose less to rounding than one long sum. */
typedef struct SweepPart {
    LLVMValueRef n0, n1, r0, r1;
} SweepPart;

/* One column of the window after the other, [first, first + count), of window row y. */
typedef struct SweepTaps {
    LLVMValueRef y;
    int64_t first;
    int count;
} SweepTaps;

/* The products of `pixels` adjacent columns of dy, x and dy pointing at the first of them (x at the
 * tap `first`), added to the accumulators. Bit i of mask: tap first + i lies in the map, for all of
 * these columns. */
typedef void SweepStep(void *ctx, LLVMValueRef x, LLVMValueRef dy, int pixels, uint64_t mask,
                       LLVMValueRef *acc);
typedef void SweepBody(void *ctx, const SweepPart *part);

/* x_pixel: floats of x from one pixel to the next; vectors: of dy at one pixel in use at a time. */
void sweep_init(Sweep *s, Kern *kn, int64_t x_pixel, int vectors);
/* The body for each part of the batch. */
void sweep_parts(const Sweep *s, SweepBody *body, void *ctx);
/* Adds the sums of one part to n accumulators; x and dy point at position (0, 0) of image 0. Steps
 * take at most `unroll` pixels. */
void sweep_sum(const Sweep *s, const SweepPart *part, const SweepTaps *taps, LLVMValueRef x,
               LLVMValueRef dy, int n, LLVMValueRef *acc, int unroll, SweepStep *step, void *ctx);

/* Tap groups of nearly equal width: the one that starts at tap `first`, of at most `most` taps. */
int sweep_tap_group(int64_t kw, int most, int64_t first);
#endif
