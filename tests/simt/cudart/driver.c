/* The functions of the driver that programs ask the runtime for: encoders of tensor maps.
 * Enumerations are ints here; numbers are those of cuda.h. */
#include "cudart.h"
#include <string.h>

enum { DRIVER_SUCCESS = 0, DRIVER_INVALID_VALUE = 1 };
enum { TYPE_FLOAT16 = 6, TYPE_FLOAT32 = 7, TYPE_BFLOAT16 = 9, TYPE_TFLOAT32 = 11 };

/* What both kinds of map have; false for types that are not known here. */
static bool describe(SimtTensor *t, int type, unsigned rank, void *base,
                     const unsigned long long *dim, const unsigned long long *stride,
                     const unsigned *step, int swizzle)
{
    static const int swizzles[] = {0, 32, 64, 128};
    bool wide = type == TYPE_FLOAT32 || type == TYPE_TFLOAT32;
    if ((!wide && type != TYPE_FLOAT16 && type != TYPE_BFLOAT16) || rank < 1 || rank > 5 ||
        (unsigned)swizzle > 3)
        return false;
    *t = (SimtTensor){.base = base,
                      .rank = (int)rank,
                      .element_bytes = wide ? 4 : 2,
                      .swizzle_bytes = swizzles[swizzle],
                      .round_tf32 = type == TYPE_TFLOAT32};
    for (unsigned i = 0; i < rank; i++) {
        t->dim[i] = (uint32_t)dim[i];
        t->step[i] = step[i];
        if (i + 1 < rank)
            t->stride[i] = stride[i];
    }
    return true;
}

static int encode_tiled(SimtTensorMap *map, int type, unsigned rank, void *base,
                        const unsigned long long *dim, const unsigned long long *stride,
                        const unsigned *box, const unsigned *step, int interleave, int swizzle,
                        int promotion, int fill)
{
    SimtTensor t;
    (void)promotion; /* of the cache */
    if (interleave || fill || !describe(&t, type, rank, base, dim, stride, step, swizzle))
        return DRIVER_INVALID_VALUE;
    memcpy(t.box, box, rank * sizeof *box);
    return simt_tensor_map(map, &t) ? DRIVER_SUCCESS : DRIVER_INVALID_VALUE;
}

static int encode_im2col(SimtTensorMap *map, int type, unsigned rank, void *base,
                         const unsigned long long *dim, const unsigned long long *stride,
                         const int *lower, const int *upper, unsigned channels, unsigned pixels,
                         const unsigned *step, int interleave, int swizzle, int promotion, int fill)
{
    SimtTensor t;
    (void)promotion;
    if (interleave || fill || rank < 3 || channels > 256 || pixels > 1024 ||
        !describe(&t, type, rank, base, dim, stride, step, swizzle))
        return DRIVER_INVALID_VALUE;
    t.im2col = true;
    t.box[0] = channels;
    t.box[1] = pixels;
    memcpy(t.lower, lower, (rank - 2) * sizeof *lower);
    memcpy(t.upper, upper, (rank - 2) * sizeof *upper);
    return simt_tensor_map(map, &t) ? DRIVER_SUCCESS : DRIVER_INVALID_VALUE;
}

static void *entry_point(const char *symbol)
{
    if (!strcmp(symbol, "cuTensorMapEncodeTiled"))
        return (void *)(uintptr_t)encode_tiled;
    if (!strcmp(symbol, "cuTensorMapEncodeIm2col"))
        return (void *)(uintptr_t)encode_im2col;
    return NULL;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **function,
                                             unsigned int version, unsigned long long flags,
                                             enum cudaDriverEntryPointQueryResult *result)
{
    (void)version;
    (void)flags;
    cudaError_t e = cudart_enter(__func__);
    if (!e && !symbol)
        e = cudaErrorInvalidValue;
    *function = e ? NULL : entry_point(symbol);
    if (result)
        *result = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudart_leave(e);
}
