/* Kernels made by hand and at random for the tests of the families. */
#ifndef CNNC_TEST_FAMILY_KERNELS_H
#define CNNC_TEST_FAMILY_KERNELS_H
#include "family/family.h"
#include "rng.h"

static const Target targets[] = {
    {.cpu = "sse", .vl = 4, .regs = 16, .l1 = 32 << 10, .l2 = 512 << 10},
    {.cpu = "neon", .vl = 4, .regs = 32, .l1 = 64 << 10, .l2 = 1 << 20},
    {.cpu = "avx2", .vl = 8, .regs = 16, .l1 = 32 << 10, .l2 = 512 << 10},
    {.cpu = "avx512", .vl = 16, .regs = 32, .l1 = 48 << 10, .l2 = 2 << 20},
};
enum { TARGETS = sizeof targets / sizeof *targets };

static uint64_t drawn;

static inline int64_t draw(int64_t lo, int64_t hi)
{
    return lo + (int64_t)(rng_mix(rng_key("family", 1), drawn++) % (uint64_t)(hi - lo + 1));
}

static inline int64_t up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline MapDesc map(Layout l, int64_t c, int64_t h, int64_t w)
{
    return (MapDesc){l, c, h, w};
}

static inline Kernel kernel(Family f, MapDesc in, MapDesc out)
{
    return (Kernel){.family = f, .in = in, .out = out, .groups = 1, .gate_arg = -1};
}

/* k x k with stride s, padded so that the map shrinks by s alone. */
static inline Kernel conv_kernel(int64_t ic, int64_t oc, int64_t h, int64_t k, int64_t s)
{
    int64_t to = (h - 1) / s + 1;
    Kernel r = kernel(FAM_CONV, map(LAYOUT_BLOCKED, ic, h, h), map(LAYOUT_BLOCKED, oc, to, to));
    r.kh = r.kw = k;
    r.sh = r.sw = s;
    r.dh = r.dw = 1;
    r.pt = r.pl = k / 2;
    return r;
}

static inline Kernel random_conv_kernel(void)
{
    Kernel k = conv_kernel(draw(1, 150), draw(1, 150), draw(1, 60), 2 * draw(0, 2) + 1, draw(1, 2));
    if (draw(0, 3) == 0) {
        k.groups = draw(2, 5);
        k.in.c = k.groups * draw(1, 40);
        k.out.c = k.groups * draw(1, 40);
    } else if (draw(0, 3) == 0) {
        k.in = map(LAYOUT_PLANAR, draw(1, 15), k.in.h, k.in.w);
    } else if (k.kh == 1 && k.sh == 1 && draw(0, 2) == 0) {
        k.gate_arg = 0;
        k.extra_count = 1;
        k.extra[0] = KARG_GATE;
    }
    return k;
}
#endif
