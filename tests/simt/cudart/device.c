/* One device, its properties, errors, and faults on demand. */
#include "cudart.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cudaError_t broken;
static _Thread_local cudaError_t last;

static const struct {
    cudaError_t number;
    const char *name, *text;
} errors[] = {
#define cudaErrorSuccess cudaSuccess
#define ERROR(Name, number, text) {cudaError##Name, "cudaError" #Name, text},
#include "error.def"
#undef ERROR
#undef cudaErrorSuccess
};

static const struct {
    enum cudaDeviceAttr attr;
    int value;
} attributes[] = {
    {cudaDevAttrMaxThreadsPerBlock, 1024},
    {cudaDevAttrMaxSharedMemoryPerBlock, 48 * 1024},
    {cudaDevAttrWarpSize, 32},
    {cudaDevAttrMaxRegistersPerBlock, 65536},
    {cudaDevAttrMultiProcessorCount, 4},
    {cudaDevAttrIntegrated, 0},
    {cudaDevAttrL2CacheSize, 4 << 20},
    {cudaDevAttrMaxSharedMemoryPerMultiprocessor, 228 * 1024},
};

unsigned long long cudart_setting(const char *name, unsigned long long fallback)
{
    const char *v = getenv(name);
    return v && *v ? strtoull(v, NULL, 0) : fallback;
}

int cudart_capability(void)
{
    const char *v = getenv("SIMT_CUDA_CAPABILITY");
    char *end;
    if (!v || !*v)
        return 90;
    long major = strtol(v, &end, 10), minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    return (int)(10 * major + minor);
}

int cudart_most_shared(void)
{
    enum { MOST = 227 * 1024 };
    unsigned long long n = cudart_setting("SIMT_CUDA_SHARED", MOST);
    return n < MOST ? (int)n : MOST;
}

static bool fails(const char *how)
{
    const char *v = getenv("SIMT_CUDA_FAIL");
    return v && !strcmp(v, how);
}

/* SIMT_CUDA_FAIL_CALL=FUNCTION:K:ERROR: the K-th call of it, since that was set, gives that error.
 */
static cudaError_t demanded(const char *function)
{
    static unsigned long calls;
    static char counted[128];
    const char *v = getenv("SIMT_CUDA_FAIL_CALL");
    size_t n = strlen(function);
    if (!v || strncmp(v, counted, sizeof counted - 1) != 0) {
        calls = 0;
        snprintf(counted, sizeof counted, "%s", v ? v : "");
    }
    if (!v || strncmp(v, function, n) != 0 || v[n] != ':')
        return cudaSuccess;
    char *end;
    unsigned long k = strtoul(v + n + 1, &end, 10);
    return ++calls == k && *end == ':' ? (cudaError_t)strtol(end + 1, NULL, 10) : cudaSuccess;
}

cudaError_t cudart_enter(const char *function)
{
    pthread_mutex_lock(&lock);
    if (fails("no-driver") || fails("old-driver"))
        return cudaErrorInsufficientDriver;
    if (fails("no-device"))
        return cudaErrorNoDevice;
    if (fails("initialization"))
        return cudaErrorInitializationError;
    return broken ? broken : demanded(function);
}

cudaError_t cudart_leave(cudaError_t e)
{
    if (e != cudaSuccess && e != cudaErrorNotReady)
        last = e;
    pthread_mutex_unlock(&lock);
    return e;
}

void cudart_broken(cudaError_t e)
{
    broken = e;
}

cudaError_t cudart_error(void)
{
    return broken;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    cudaError_t e = cudart_enter(__func__);
    *count = e ? 0 : 1;
    return cudart_leave(e);
}

cudaError_t cudaGetDevice(int *device)
{
    cudaError_t e = cudart_enter(__func__);
    *device = 0;
    return cudart_leave(e);
}

cudaError_t cudaSetDevice(int device)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : device ? cudaErrorInvalidDevice : cudaSuccess);
}

static cudaError_t attribute(int *value, enum cudaDeviceAttr attr, int device)
{
    if (device)
        return cudaErrorInvalidDevice;
    if (attr == cudaDevAttrComputeCapabilityMajor || attr == cudaDevAttrComputeCapabilityMinor) {
        bool major = attr == cudaDevAttrComputeCapabilityMajor;
        *value = major ? cudart_capability() / 10 : cudart_capability() % 10;
        return cudaSuccess;
    }
    if (attr == cudaDevAttrMaxSharedMemoryPerBlockOptin) {
        *value = cudart_most_shared();
        return cudaSuccess;
    }
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (attributes[i].attr == attr) {
            *value = attributes[i].value;
            return cudaSuccess;
        }
    return cudaErrorInvalidValue;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : attribute(value, attr, device));
}

static int known(enum cudaDeviceAttr attr)
{
    int value = 0;
    attribute(&value, attr, 0);
    return value;
}

static cudaError_t properties(struct cudaDeviceProp *p, int device)
{
    if (device)
        return cudaErrorInvalidDevice;
    *p = (struct cudaDeviceProp){
        .name = "SIMT emulator",
        .totalGlobalMem = (size_t)cudart_setting("SIMT_CUDA_MEMORY", 1ull << 30),
        .sharedMemPerBlock = (size_t)known(cudaDevAttrMaxSharedMemoryPerBlock),
        .sharedMemPerBlockOptin = (size_t)known(cudaDevAttrMaxSharedMemoryPerBlockOptin),
        .sharedMemPerMultiprocessor = (size_t)known(cudaDevAttrMaxSharedMemoryPerMultiprocessor),
        .warpSize = known(cudaDevAttrWarpSize),
        .maxThreadsPerBlock = known(cudaDevAttrMaxThreadsPerBlock),
        .multiProcessorCount = known(cudaDevAttrMultiProcessorCount),
        .major = cudart_capability() / 10,
        .minor = cudart_capability() % 10,
        .l2CacheSize = known(cudaDevAttrL2CacheSize),
    };
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : properties(prop, device));
}

/* As the real one: 0, and no error, when there is no driver. */
cudaError_t cudaDriverGetVersion(int *version)
{
    *version = fails("no-driver") ? 0 : fails("old-driver") ? 11040 : CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t e = broken ? broken : last;
    last = cudaSuccess;
    return e;
}

cudaError_t cudaPeekAtLastError(void)
{
    return broken ? broken : last;
}

const char *cudaGetErrorName(cudaError_t error)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].number == error)
            return error ? errors[i].name : "cudaSuccess";
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].number == error)
            return errors[i].text;
    return "unrecognized error code";
}
