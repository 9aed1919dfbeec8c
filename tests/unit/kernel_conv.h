/* Convolutions by numbers, for the kernels of every target. Include kernel_suite.h first. */
#ifndef CNNC_TEST_KERNEL_CONV_H
#define CNNC_TEST_KERNEL_CONV_H

typedef struct Conv {
    int64_t ic, oc, h, w, k, stride, dilation, pad, groups;
} Conv;

static inline int64_t window_count(int64_t n, int64_t k, int64_t stride, int64_t dilation,
                                   int64_t pad)
{
    return (n + 2 * pad - dilation * (k - 1) - 1) / stride + 1;
}

/* A kernel with windows; maps are of the layout. */
static inline Kernel conv_kernel(Family f, Layout l, Conv c)
{
    int64_t oh = window_count(c.h, c.k, c.stride, c.dilation, c.pad);
    int64_t ow = window_count(c.w, c.k, c.stride, c.dilation, c.pad);
    Kernel k = kernel(f, (MapDesc){l, c.ic, c.h, c.w}, (MapDesc){l, c.oc, oh, ow});
    k.kh = k.kw = c.k;
    k.sh = k.sw = c.stride;
    k.dh = k.dw = c.dilation;
    k.pt = k.pl = c.pad;
    k.groups = c.groups;
    return k;
}

static inline Kernel biased(Kernel k)
{
    k.has_bias = true;
    return k;
}
#endif
