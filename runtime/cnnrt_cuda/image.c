/* Which image a device gets. A cubin runs on its major version from its minor one on, PTX on
 * everything newer, code for one architecture alone (sm_90a) there alone. */
#include "cuda.h"
#include <stdlib.h>

static bool runs_on(const CnnrtImage *image, int arch)
{
    if (image->exact)
        return image->arch == arch;
    if (image->kind == CNNRT_CUBIN)
        return image->arch / 10 == arch / 10 && image->arch <= arch;
    return image->kind == CNNRT_PTX && image->arch <= arch;
}

/* Code for this architecture alone comes before other code, machine code before PTX, which the
 * driver compiles, and newer before older. */
static int merit(const CnnrtImage *image)
{
    return (image->exact != 0) * 4096 + (image->kind == CNNRT_CUBIN) * 2048 + image->arch;
}

/* The best image below `limit`; NULL when there is none. */
static const CnnrtImage *best_below(const CnnrtModel *m, int arch, int limit)
{
    const CnnrtImage *best = NULL;
    for (int64_t i = 0; i < m->code->image_count; i++) {
        const CnnrtImage *image = &m->code->images[i];
        if (runs_on(image, arch) && merit(image) < limit &&
            (best == NULL || merit(image) > merit(best)))
            best = image;
    }
    return best;
}

bool cuda_has_image(const CnnrtModel *m, int arch)
{
    return best_below(m, arch, 1 << 30) != NULL;
}

/* The least architecture that its PTX is for; 0: there is none. */
static int least_arch(const CnnrtModel *m)
{
    int least = 0;
    for (int64_t i = 0; i < m->code->image_count; i++) {
        const CnnrtImage *image = &m->code->images[i];
        if (image->kind == CNNRT_PTX && !image->exact && (least == 0 || image->arch < least))
            least = image->arch;
    }
    return least;
}

void cuda_say_no_image(const CnnrtModel *m, int arch)
{
    int least = least_arch(m);
    if (least > arch)
        cuda_say("the model needs compute capability %d.%d or newer, and the device has %d.%d",
                 least / 10, least % 10, arch / 10, arch % 10);
    else
        cuda_say("the model has no code for compute capability %d.%d", arch / 10, arch % 10);
}

static int open_image(CudaContext *c, const CnnrtImage *image)
{
    return cuda_status(cudaLibraryLoadData(&c->library, image->data, NULL, NULL, 0, NULL, NULL, 0),
                       image->kind == CNNRT_CUBIN ? "loading machine code" : "compiling PTX");
}

int cuda_has_shared(const CnnrtModel *m, int device)
{
    int needed = 0, most = 0;
    for (int64_t i = 0; i < m->step_count; i++)
        if (m->code->launches[i].shared > needed)
            needed = m->code->launches[i].shared;
    if (needed == 0)
        return CNNRT_OK;
    int status =
        cuda_status(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
                    "asking for shared memory");
    if (status != CNNRT_OK || needed <= most)
        return status;
    cuda_say("a block of the model's kernels needs %d bytes of shared memory, and the device gives "
             "one at most %d: build with --target-cpu for its architecture",
             needed, most);
    return CNNRT_NO_DEVICE;
}

/* More shared memory than a kernel can declare is its own to ask for. */
static int find_kernel(CudaContext *c, int64_t step)
{
    const CnnrtLaunch *l = &c->model->code->launches[step];
    cudaError_t error = cudaLibraryGetKernel(&c->kernel[step], c->library, l->kernel);
    if (error == cudaSuccess && l->shared > 0)
        error = cudaKernelSetAttributeForDevice(
            c->kernel[step], cudaFuncAttributeMaxDynamicSharedMemorySize, l->shared, c->device);
    return cuda_status(error, l->kernel);
}

static int find_kernels(CudaContext *c)
{
    const CnnrtModel *m = c->model;
    c->kernel = calloc((size_t)m->step_count + 1, sizeof *c->kernel);
    if (c->kernel == NULL)
        return CNNRT_NO_MEMORY;
    for (int64_t i = 0; i < m->step_count; i++) {
        int status = find_kernel(c, i);
        if (status != CNNRT_OK)
            return status;
    }
    return CNNRT_OK;
}

int cuda_load(CudaContext *c, int arch)
{
    int status = cuda_has_shared(c->model, c->device), limit = 1 << 30;
    const CnnrtImage *image;
    if (status != CNNRT_OK)
        return status;
    status = CNNRT_NO_DEVICE;
    cuda_say_no_image(c->model, arch);
    while (status != CNNRT_OK && (image = best_below(c->model, arch, limit)) != NULL) {
        status = open_image(c, image);
        limit = merit(image);
    }
    if (status == CNNRT_OK)
        status = cuda_find_encoder(c);
    return status == CNNRT_OK ? find_kernels(c) : status;
}
