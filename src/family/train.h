/* The kernels of training steps, in groups: units of work, floats of scratch per thread, tiles. */
#ifndef CNNC_FAMILY_TRAIN_H
#define CNNC_FAMILY_TRAIN_H
#include "family/family.h"

/* CONV_DW, DEPTHWISE_DW, DEPTHWISE_DX: train_conv.c */
int64_t train_conv_units(const Kernel *k, const Target *t);
int64_t train_conv_scratch(const Kernel *k, const Target *t);
void train_conv_tile(Kernel *k, const Target *t);
/* The maps of CONV_DW and DEPTHWISE_DW as rows to walk: a pointwise window may see several rows as
 * one. */
void train_conv_rows(const Kernel *k, MapDesc *x, MapDesc *dy);
/* Columns of the window per register tile, at most; they are cut in groups of nearly equal width.
 */
int train_conv_taps(const Kernel *k, const Target *t);
/* CONV_DW: channels of a block of x, here a part of a vector where there would be few units; blocks
 * of x that a channel tile of dy meets (all, but for groups); channel tiles of dy. A unit is number
 * (i * runs + j) * parts + p: channel tiles from i * dw_tiles on, their blocks of x from j * kc on,
 * window rows from p * dw_rows on. DEPTHWISE_DW: number block * parts + p. */
int64_t train_dw_lanes(const Kernel *k, const Target *t);
int64_t train_dw_blocks(const Kernel *k, const Target *t);
int64_t train_dw_tiles(const Kernel *k, const Target *t);
/* The forward convolution with the channel tiles of k. */
Kernel train_dw_forward(const Kernel *k);
/* POOL_DX, LN_DX, LN_DW, LRN_DX, SOFTMAX_DX, LOSS, LOSS_DX, and the scratch of COPY: train_map.c */
enum { TRAIN_LN_ROW = 256 }; /* LN_DW: positions summed before they are added to the total */
int64_t train_map_units(const Kernel *k, const Target *t);
int64_t train_map_scratch(const Kernel *k, const Target *t);
void train_map_tile(Kernel *k, const Target *t);
/* MASK, SUMS, FINISH, FLAT_SUMS, FLAT_FINISH, UPDATE: train_sums.c */
int64_t train_sums_units(const Kernel *k, const Target *t);
int64_t train_sums_scratch(const Kernel *k, const Target *t);
void train_sums_tile(Kernel *k, const Target *t);
#endif
