/* Convolutions and dense layers with tails in every dimension: for each arithmetic. */
#ifndef CNNC_TEST_CUDA_CONTRACTIONS_H
#define CNNC_TEST_CUDA_CONTRACTIONS_H
#include "cuda_case.h"
#include "kernel_conv.h"

static inline MapDesc map(int64_t c, int64_t h, int64_t w)
{
    return (MapDesc){LAYOUT_CHANNELS, c, h, w};
}

static inline Kernel windowed(Family f, Conv c)
{
    return conv_kernel(f, LAYOUT_CHANNELS, c);
}

static inline Kernel tiled(Kernel k, CudaTile tile)
{
    k.tile = (Tile){.ocv = 1, .px = 1, .cuda = tile};
    return k;
}

static inline void conv_shapes(Suite *s)
{
    static const Conv shapes[] = {
        {16, 16, 8, 8, 3, 1, 1, 1, 1},   {3, 5, 7, 9, 3, 1, 1, 1, 1},
        {17, 33, 9, 5, 3, 1, 1, 1, 1},   {8, 24, 11, 13, 5, 2, 1, 2, 1},
        {19, 7, 12, 12, 3, 2, 1, 1, 1},  {5, 70, 15, 15, 7, 2, 1, 3, 1},
        {13, 20, 10, 17, 3, 1, 2, 2, 1}, {9, 9, 1, 1, 3, 1, 1, 1, 1},
        {16, 16, 5, 4, 2, 2, 1, 0, 1},   {40, 3, 6, 30, 3, 1, 3, 3, 1},
        {4, 18, 4, 4, 4, 1, 1, 0, 1},    {12, 12, 2, 2, 5, 1, 1, 2, 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        Kernel k = windowed(FAM_CONV, shapes[i]);
        cuda_add(s, k);
        cuda_add(s, with(s, biased(k), (Epilogue)(i % (GATED_RESIDUAL + 1))));
    }
    Kernel k = windowed(FAM_CONV, (Conv){6, 10, 9, 11, 3, 1, 1, 0, 1});
    k.kh = 1; /* windows and paddings that differ by axis */
    k.kw = 5;
    k.pl = 2;
    k.sw = 2;
    k.out = map(10, 9, 6);
    cuda_add(s, biased(k));
    k.pt = 2; /* a first row that meets nothing but padding */
    k.out.h = 13;
    cuda_add(s, biased(k));
}

static inline void conv_pointwise(Suite *s)
{
    static const Conv shapes[] = {
        {16, 16, 4, 4, 1, 1, 1, 0, 1},   {3, 40, 9, 9, 1, 1, 1, 0, 1},
        {30, 33, 7, 7, 1, 1, 1, 0, 1},   {128, 96, 1, 1, 1, 1, 1, 0, 1},
        {48, 17, 8, 8, 1, 2, 1, 0, 1},   {20, 130, 3, 2, 1, 1, 1, 0, 1},
        {16, 32, 13, 11, 1, 1, 1, 0, 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        Kernel k = windowed(FAM_CONV, shapes[i]);
        for (int e = PLAIN; e <= GATED_RESIDUAL; e++)
            if (e % 3 == (int)(i % 3))
                cuda_add(s, with(s, biased(k), (Epilogue)e));
        if (shapes[i].stride != 1)
            continue;
        k.gate_arg = 0;
        k.extra_count = 1;
        k.extra[0] = KARG_GATE;
        cuda_add(s, with(s, biased(k), i % 2 ? RESIDUAL : PLAIN));
    }
}

static inline void conv_groups(Suite *s)
{
    static const Conv shapes[] = {
        {32, 32, 7, 7, 3, 1, 1, 1, 2},  {12, 18, 9, 8, 3, 1, 1, 1, 3},
        {64, 64, 5, 5, 3, 2, 1, 1, 4},  {32, 64, 6, 6, 1, 1, 1, 0, 2},
        {20, 40, 6, 6, 3, 1, 1, 1, 20}, {48, 48, 7, 7, 3, 1, 1, 1, 12},
        {30, 10, 8, 8, 1, 1, 1, 0, 5},  {72, 72, 5, 6, 3, 1, 1, 1, 2},
        {36, 21, 4, 4, 3, 1, 2, 2, 3},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        Kernel k = windowed(FAM_CONV, shapes[i]);
        cuda_add(s, k);
        cuda_add(s, with(s, biased(k), i % 2 ? RESIDUAL : GATED_RESIDUAL));
    }
}

static inline void transposed(Suite *s)
{
    static const struct {
        Conv c;
        int64_t extra; /* rows and columns added at the end */
    } shapes[] = {
        {{16, 16, 4, 4, 2, 2, 1, 0, 1}, 0}, {{5, 9, 5, 6, 3, 2, 1, 1, 1}, 1},
        {{33, 20, 3, 7, 4, 2, 1, 1, 1}, 0}, {{8, 24, 6, 5, 3, 1, 1, 1, 1}, 0},
        {{12, 18, 4, 4, 3, 2, 1, 1, 3}, 0}, {{32, 32, 3, 3, 2, 2, 1, 0, 2}, 0},
        {{7, 7, 4, 5, 3, 3, 2, 1, 1}, 0},   {{16, 40, 1, 1, 4, 4, 1, 0, 1}, 2},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        Conv c = shapes[i].c;
        Kernel k = windowed(FAM_CONVT, (Conv){c.ic, c.oc, c.h, c.w, 1, 1, 1, 0, c.groups});
        k.kh = k.kw = c.k;
        k.sh = k.sw = c.stride;
        k.dh = k.dw = c.dilation;
        k.pt = k.pl = c.pad;
        int64_t reach = c.dilation * (c.k - 1) + 1 - 2 * c.pad + shapes[i].extra;
        k.out = map(c.oc, (c.h - 1) * c.stride + reach, (c.w - 1) * c.stride + reach);
        cuda_add(s, k);
        cuda_add(s, with(s, biased(k), i % 2 ? RESIDUAL : AFFINE));
    }
}

static inline void dense(Suite *s)
{
    static const int64_t in[][3] = {{16, 1, 1}, {37, 1, 1}, {5, 3, 3}, {128, 2, 2}, {1, 1, 1}};
    static const int64_t out[] = {10, 16, 100, 33, 1};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        for (size_t o = 0; o < sizeof out / sizeof *out; o++) {
            MapDesc from = map(in[i][0], in[i][1], in[i][2]), to = map(out[o], 1, 1);
            if ((i + o) % 2)
                from.layout = LAYOUT_PLANAR;
            if ((i + o / 2) % 2)
                to.layout = LAYOUT_PLANAR;
            Kernel k = kernel(FAM_DENSE, from, to);
            k.kh = k.kw = 1;
            cuda_add(s, with(s, biased(k), (Epilogue)((i + o) % (GATED_RESIDUAL + 1))));
            cuda_add(s, k);
        }
}
#endif
