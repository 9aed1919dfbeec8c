/* The kernels of training steps, in groups: units of work, floats of scratch per thread, tiles. */
#ifndef CNNC_FAMILY_TRAIN_H
#define CNNC_FAMILY_TRAIN_H
#include "family/family.h"

/* CONV_DW, DEPTHWISE_DW, DEPTHWISE_DX: train_conv.c */
int64_t train_conv_units(const Kernel *k, const Target *t);
int64_t train_conv_scratch(const Kernel *k, const Target *t);
void train_conv_tile(Kernel *k, const Target *t);
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
