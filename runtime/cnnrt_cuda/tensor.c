/* Tensor maps: what a kernel needs to have the hardware copy boxes of its input to shared memory.
 * They hold addresses, and so are made for each batch size, as its graph is. The driver alone
 * encodes them.
 */
#include "cuda.h"

/* Numbers of cuda.h. */
enum { TYPE_BFLOAT16 = 9, SWIZZLE_64B = 2, SWIZZLE_128B = 3, PROMOTE_128B = 2 };
enum { SINCE = 12000 /* the version of CUDA */, BYTES = 2 /* of an element */ };

static bool needed(const CnnrtModel *m)
{
    for (int64_t i = 0; i < m->step_count; i++)
        if (m->code->launches[i].tensor_channels > 0)
            return true;
    return false;
}

int cuda_find_encoder(CudaContext *c)
{
    enum cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    void *function = NULL;
    if (!needed(c->model))
        return CNNRT_OK;
    cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, SINCE,
                                                         cudaEnableDefault, &found);
    if (error != cudaSuccess)
        return cuda_status(error, "asking the driver for tensor maps");
    if (found != cudaDriverEntryPointSuccess || function == NULL) {
        cuda_say(
            "the driver has no tensor maps (cuTensorMapEncodeTiled): one for CUDA 12 is needed");
        return CNNRT_NO_DEVICE;
    }
    c->encode = (CudaEncodeTiled *)(uintptr_t)function;
    return CNNRT_OK;
}

cudaError_t cuda_map(const CudaContext *c, const CnnrtLaunch *l, void *base, int batch,
                     CudaTensorMap *out)
{
    const uint64_t dims[2] = {(uint64_t)l->tensor_channels, (uint64_t)(l->tensor_rows * batch)};
    const uint64_t strides[1] = {(uint64_t)l->tensor_step * BYTES};
    const uint32_t box[2] = {(uint32_t)l->box_channels, (uint32_t)l->box_rows};
    const uint32_t steps[2] = {1, 1};
    int swizzle = l->box_channels * BYTES == 64 ? SWIZZLE_64B : SWIZZLE_128B;
    int error = c->encode(out, TYPE_BFLOAT16, 2, base, dims, strides, box, steps, 0, swizzle,
                          PROMOTE_128B, 0);
    return error == 0 ? cudaSuccess : cudaErrorInvalidValue;
}
