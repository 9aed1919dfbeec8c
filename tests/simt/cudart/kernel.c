/* Libraries and kernels. An image is LLVM IR as text, which the emulator runs. PTX and cubins are
 * refused with the errors that a device gives for an image that is not for it, so that a loader can
 * be seen to try the next. */
#include "cudart.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_SHARED = 48 * 1024 };

struct CUkern_st {
    SimtModule *module;
    const SimtKernel *known;
    size_t dynamic_limit; /* shared memory, as set for it */
    struct CUkern_st *next;
};

struct CUlib_st {
    SimtModule *module;
    struct CUkern_st *kernels;
};

static cudaKernel_t every_kernel; /* that a handle may be */

/* The text names the processor it was made for; one for a newer one does not run. */
static bool for_newer_device(const char *text)
{
    const char *at = strstr(text, "\"target-cpu\"=\"sm_");
    long made_for = at ? strtol(at + strlen("\"target-cpu\"=\"sm_"), NULL, 10) : 0;
    return made_for > cudart_capability();
}

static cudaError_t refuse_image(const char *code)
{
    if (!memcmp(code, "\177ELF", 4) || !memcmp(code, "\x50\xed\x55\xba", 4))
        return cudaErrorNoKernelImageForDevice;
    if (strstr(code, ".version") && strstr(code, ".target"))
        return cudaErrorInvalidPtx;
    if (!strstr(code, "define "))
        return cudaErrorInvalidKernelImage;
    return for_newer_device(code) ? cudaErrorNoKernelImageForDevice : cudaSuccess;
}

/* The text of a file, to be freed; NULL when it cannot be read. */
static char *read_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    char *text = NULL;
    long size = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    if (size >= 0 && fseek(f, 0, SEEK_SET) == 0)
        text = malloc((size_t)size + 1);
    if (text)
        text[fread(text, 1, (size_t)size, f)] = '\0';
    fclose(f);
    return text;
}

/* Whether the text defines the first kernel of some PTX. */
static bool defines_first(const char *text, const char *ptx)
{
    char name[300];
    const char *at = strstr(ptx, ".entry ");
    if (!at)
        return false;
    at += strlen(".entry ");
    size_t n = strcspn(at, "( \n");
    snprintf(name, sizeof name, "@%.*s(", (int)(n < 256 ? n : 256), at);
    return strstr(text, name) != NULL;
}

/* Of the files of SIMT_CUDA_IMAGE, separated by colons, the first that is of the same kernels; to
 * be freed. NULL when there is none. */
static char *image_in_place(const char *ptx)
{
    const char *list = getenv("SIMT_CUDA_IMAGE");
    while (list && *list) {
        size_t n = strcspn(list, ":");
        char path[4096];
        snprintf(path, sizeof path, "%.*s", (int)(n < sizeof path ? n : 0), list);
        char *text = read_text(path);
        if (text && defines_first(text, ptx))
            return text;
        free(text);
        list += n + (list[n] == ':');
    }
    return NULL;
}

/* cnnc looks for it in what it runs CUDA models with, and gives LLVM IR in place of PTX. */
extern const char cnnrt_cuda_takes_ir;
const char cnnrt_cuda_takes_ir = 1;

static cudaError_t load_image(cudaLibrary_t *out, const char *code)
{
    char err[1024];
    cudaError_t e = refuse_image(code);
    if (e)
        return e;
    cudaLibrary_t lib = calloc(1, sizeof *lib);
    if (!lib)
        return cudaErrorMemoryAllocation;
    unsigned flags = cudart_setting("SIMT_CUDA_CHECK", 1) ? SIMT_CHECK : 0;
    lib->module = simt_load_text(code, strlen(code), flags, err, sizeof err);
    if (!lib->module) {
        fprintf(stderr, "simt: %s\n", err);
        free(lib);
        return cudaErrorInvalidKernelImage;
    }
    *out = lib;
    return cudaSuccess;
}

static cudaError_t load(cudaLibrary_t *out, const char *code)
{
    *out = NULL;
    if (!code)
        return cudaErrorInvalidValue;
    char *text = image_in_place(code);
    cudaError_t e = load_image(out, text ? text : code);
    free(text);
    return e;
}

cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code,
                                enum cudaJitOption *jit_options, void **jit_values,
                                unsigned int jit_count, enum cudaLibraryOption *options,
                                void **values, unsigned int count)
{
    (void)jit_options;
    (void)jit_values;
    (void)options;
    (void)values;
    cudaError_t e = cudart_enter(__func__);
    if (!e && (jit_count || count))
        e = cudaErrorNotSupported;
    return cudart_leave(e ? e : load(library, code));
}

static void forget_kernels(cudaLibrary_t lib)
{
    for (cudaKernel_t *at = &every_kernel; *at;) {
        cudaKernel_t k = *at;
        if (k->module != lib->module) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        free(k);
    }
}

cudaError_t cudaLibraryUnload(cudaLibrary_t library)
{
    cudaError_t e = cudart_enter(__func__);
    e = e ? e : library ? stream_run_all() : cudaErrorInvalidResourceHandle;
    if (!e) {
        forget_kernels(library);
        simt_unload(library->module);
        free(library);
    }
    return cudart_leave(e);
}

static cudaError_t find(cudaKernel_t *out, cudaLibrary_t lib, const char *name)
{
    *out = NULL;
    if (!lib || !name)
        return cudaErrorInvalidValue;
    const SimtKernel *known = simt_kernel(lib->module, name);
    if (!known)
        return cudaErrorSymbolNotFound;
    for (cudaKernel_t k = every_kernel; k; k = k->next)
        if (k->known == known)
            *out = k;
    if (*out)
        return cudaSuccess;
    cudaKernel_t k = calloc(1, sizeof *k);
    if (!k)
        return cudaErrorMemoryAllocation;
    *k = (struct CUkern_st){lib->module, known, DEFAULT_SHARED, every_kernel};
    every_kernel = *out = k;
    return cudaSuccess;
}

cudaError_t cudaLibraryGetKernel(cudaKernel_t *kernel, cudaLibrary_t library, const char *name)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : find(kernel, library, name));
}

cudaError_t cudaLibraryGetKernelCount(unsigned int *count, cudaLibrary_t library)
{
    cudaError_t e = cudart_enter(__func__);
    if (!e && !library)
        e = cudaErrorInvalidResourceHandle;
    *count = 0;
    while (!e && simt_kernel_at(library->module, (int)*count))
        ++*count;
    return cudart_leave(e);
}

static cudaKernel_t kernel_of(const void *handle)
{
    for (cudaKernel_t k = every_kernel; k; k = k->next)
        if (k == handle)
            return k;
    return NULL;
}

static cudaError_t set_attribute(const void *handle, enum cudaFuncAttribute attr, int value)
{
    cudaKernel_t k = kernel_of(handle);
    if (!k)
        return cudaErrorInvalidDeviceFunction;
    if (attr != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        (size_t)value + k->known->static_shared > (size_t)cudart_most_shared())
        return cudaErrorInvalidValue;
    k->dynamic_limit = (size_t)value;
    return cudaSuccess;
}

cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel, enum cudaFuncAttribute attr,
                                            int value, int device)
{
    cudaError_t e = cudart_enter(__func__);
    if (!e && device)
        e = cudaErrorInvalidDevice;
    return cudart_leave(e ? e : set_attribute(kernel, attr, value));
}

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute attr, int value)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : set_attribute(function, attr, value));
}

/* The values of parameters, as they are now: one allocation, pointers first. */
static void **keep_arguments(const SimtKernel *k, void **args)
{
    size_t n = (size_t)k->params, bytes = n * sizeof(void *);
    for (size_t i = 0; i < n; i++)
        bytes += (k->param_bytes[i] + 15) / 16 * 16 + 16;
    void **kept = malloc(bytes ? bytes : 1);
    char *at = kept ? (char *)(kept + n) : NULL;
    for (size_t i = 0; kept && i < n; i++) {
        kept[i] = at;
        memcpy(at, args[i], k->param_bytes[i]);
        at += (k->param_bytes[i] + 15) / 16 * 16;
    }
    return kept;
}

/* What is wrong at once; the rest shows when it runs. */
static cudaError_t check_launch(const cudaLaunchConfig_t *c, cudaKernel_t k, void **args)
{
    unsigned long long threads = 1ull * c->blockDim.x * c->blockDim.y * c->blockDim.z;
    if (!k)
        return cudaErrorInvalidDeviceFunction;
    if (!threads || !c->gridDim.x || !c->gridDim.y || !c->gridDim.z || threads > 1024 ||
        c->gridDim.y > 65535 || c->gridDim.z > 65535 || c->blockDim.z > 64)
        return cudaErrorInvalidConfiguration;
    if (threads > k->known->max_threads)
        return cudaErrorInvalidValue;
    if (c->dynamicSmemBytes > k->dynamic_limit || (k->known->params && !args))
        return cudaErrorInvalidValue;
    return c->numAttrs ? cudaErrorNotSupported : cudaSuccess;
}

static cudaError_t launch(const cudaLaunchConfig_t *c, const void *function, void **args)
{
    cudaKernel_t k = kernel_of(function);
    cudaError_t e = check_launch(c, k, args);
    if (e)
        return e;
    Work *w = work_new(WORK_KERNEL);
    if (!w || !(w->args = keep_arguments(k->known, args))) {
        free(w);
        return cudaErrorMemoryAllocation;
    }
    w->kernel = k;
    w->how = (SimtLaunch){{c->gridDim.x, c->gridDim.y, c->gridDim.z},
                          {c->blockDim.x, c->blockDim.y, c->blockDim.z},
                          c->dynamicSmemBytes};
    return stream_add(c->stream, w);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *function, void **args)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : launch(config, function, args));
}

cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **args,
                             size_t shared, cudaStream_t stream)
{
    cudaLaunchConfig_t config = {
        .gridDim = grid, .blockDim = block, .dynamicSmemBytes = shared, .stream = stream};
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : launch(&config, function, args));
}

/* A fault is said on stderr and stays, as an error of a device would: for what a device notices its
 * own, for the rest the one that says least. */
cudaError_t kernel_run(const Work *w)
{
    char err[512];
    SimtReport before = *simt_report();
    if (!simt_launch(w->kernel->module, w->kernel->known->name, &w->how, w->args, err,
                     sizeof err)) {
        fprintf(stderr, "simt: %s\n", err);
        cudart_broken(cudaErrorLaunchFailure);
        return cudaErrorLaunchFailure;
    }
    const SimtReport *after = simt_report();
    if (after->total == before.total)
        return cudaSuccess;
    for (int i = before.messages; i < after->messages; i++)
        fprintf(stderr, "simt: %s\n", after->message[i]);
    bool bounds = after->faults[SIMT_BOUNDS] > before.faults[SIMT_BOUNDS];
    bool align = after->faults[SIMT_ALIGN] > before.faults[SIMT_ALIGN];
    cudart_broken(bounds  ? cudaErrorIllegalAddress
                  : align ? cudaErrorMisalignedAddress
                          : cudaErrorLaunchFailure);
    return cudart_error();
}
