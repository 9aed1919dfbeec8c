#include "cuda.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static _Thread_local char detail[512];

void cuda_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
}

const char *cuda_detail(void)
{
    return detail;
}

int cuda_status(cudaError_t error, const char *doing)
{
    if (error == cudaSuccess)
        return CNNRT_OK;
    cudaGetLastError(); /* what can be recovered from is, for the next call */
    cuda_say("%s: %s (%s)", doing, cudaGetErrorString(error), cudaGetErrorName(error));
    return error == cudaErrorMemoryAllocation ? CNNRT_DEVICE_MEMORY : CNNRT_DEVICE;
}

/* Versions are 1000 * major + 10 * minor. */
static int too_old(int driver, int runtime)
{
    cuda_say("the driver is made for CUDA %d.%d, and this program for %d.%d: a newer driver "
             "is needed",
             driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    return CNNRT_NO_DEVICE;
}

static int count_devices(int *count)
{
    int driver = 0, runtime = 0;
    cudaError_t error = cudaDriverGetVersion(&driver);
    if (error == cudaSuccess && driver == 0) {
        cuda_say("no CUDA driver is installed (libcuda.so.1)");
        return CNNRT_NO_DEVICE;
    }
    if (error == cudaSuccess)
        error = cudaGetDeviceCount(count);
    if (error == cudaErrorInsufficientDriver && cudaRuntimeGetVersion(&runtime) == cudaSuccess)
        return too_old(driver, runtime);
    if (error == cudaErrorNoDevice || (error == cudaSuccess && *count == 0)) {
        cudaGetLastError();
        cuda_say("there is a CUDA driver and no device (CUDA_VISIBLE_DEVICES?)");
        return CNNRT_NO_DEVICE;
    }
    if (error != cudaSuccess) {
        cuda_status(error, "asking for devices");
        return CNNRT_NO_DEVICE;
    }
    return CNNRT_OK;
}

static int wanted_device(int count, int *device)
{
    const char *text = getenv("CNNC_CUDA_DEVICE");
    char *end;
    *device = 0;
    if (text == NULL || *text == '\0')
        return CNNRT_OK;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || n < 0 || n >= count) {
        cuda_say("CNNC_CUDA_DEVICE=%.40s: devices are numbered from 0 to %d", text, count - 1);
        return CNNRT_NO_DEVICE;
    }
    *device = (int)n;
    return CNNRT_OK;
}

int cuda_device(int *device, int *arch)
{
    int count = 0, major = 0, minor = 0;
    int status = count_devices(&count);
    if (status == CNNRT_OK)
        status = wanted_device(count, device);
    if (status != CNNRT_OK)
        return status;
    cudaError_t error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, *device);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, *device);
    if (error == cudaSuccess)
        error = cudaSetDevice(*device);
    *arch = 10 * major + minor;
    return cuda_status(error, "opening the device");
}

int cuda_describe(char *name, size_t len)
{
    struct cudaDeviceProp p;
    int device, arch, status = cuda_device(&device, &arch);
    if (status == CNNRT_OK)
        status = cuda_status(cudaGetDeviceProperties(&p, device), "asking for the device's name");
    if (status == CNNRT_OK)
        snprintf(name, len, "%s, %d.%d", p.name, arch / 10, arch % 10);
    return status;
}

void cuda_explain_memory(const CnnrtModel *m, size_t bytes, size_t per_image)
{
    size_t free_bytes = 0, all = 0, fixed = bytes - per_image * (size_t)m->max_batch;
    if (cudaMemGetInfo(&free_bytes, &all) != cudaSuccess) {
        cudaGetLastError();
        cuda_say("%.1f MB of device memory are needed", (double)bytes / 1e6);
        return;
    }
    size_t fits = free_bytes > fixed && per_image > 0 ? (free_bytes - fixed) / per_image : 0;
    if (fits == 0)
        cuda_say("%.1f MB are needed, of which %.1f MB for any batch; %.1f of %.1f MB are "
                 "free",
                 (double)bytes / 1e6, (double)(fixed + per_image) / 1e6, (double)free_bytes / 1e6,
                 (double)all / 1e6);
    else
        cuda_say("%.1f MB are needed for batches of %d, %.1f of %.1f MB are free; a batch of "
                 "%zu would fit%s",
                 (double)bytes / 1e6, m->max_batch, (double)free_bytes / 1e6, (double)all / 1e6,
                 fits, m->training != NULL ? ", or recomputation (--recompute)" : "");
}
