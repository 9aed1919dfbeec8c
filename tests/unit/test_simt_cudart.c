/* The CUDA runtime that stands on the emulator: work is late, errors are a device's, faults come on
 * demand. */
#include "simt_case.h"
#include "../simt/cudart/cuda_runtime_api.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* y[i] = a * x[i] + y[i], and one that writes past what it was given. */
static const char image[] =
    "define ptx_kernel void @axpy(ptr addrspace(1) %x, ptr addrspace(1) %y, float %a, i32 %n) {\n"
    "  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()\n"
    "  %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()\n"
    "  %s = mul i32 %b, 128\n  %i = add i32 %s, %t\n"
    "  %in = icmp ult i32 %i, %n\n  br i1 %in, label %do, label %end\n"
    "do:\n  %xp = getelementptr float, ptr addrspace(1) %x, i32 %i\n"
    "  %xv = load float, ptr addrspace(1) %xp, align 4\n"
    "  %yp = getelementptr float, ptr addrspace(1) %y, i32 %i\n"
    "  %yv = load float, ptr addrspace(1) %yp, align 4\n"
    "  %v = call float @llvm.fma.f32(float %a, float %xv, float %yv)\n"
    "  store float %v, ptr addrspace(1) %yp, align 4\n  br label %end\n"
    "end:\n  ret void\n}\n"
    "@buffer = external addrspace(3) global [0 x i8], align 16\n"
    "define ptx_kernel void @shared(i32 %at) {\n"
    "  %p = getelementptr i8, ptr addrspace(3) @buffer, i32 %at\n"
    "  store i8 1, ptr addrspace(3) %p\n  ret void\n}\n";

enum { N = 300 };

static cudaLibrary_t library;
static cudaKernel_t axpy, shared;

#define OK(call) assert_int_equal(call, cudaSuccess)

static int open_library(void **state)
{
    (void)state;
    OK(cudaLibraryLoadData(&library, image, NULL, NULL, 0, NULL, NULL, 0));
    OK(cudaLibraryGetKernel(&axpy, library, "axpy"));
    OK(cudaLibraryGetKernel(&shared, library, "shared"));
    return 0;
}

static int close_library(void **state)
{
    (void)state;
    OK(cudaLibraryUnload(library));
    return 0;
}

static cudaError_t launch_axpy(float *x, float *y, float a, int n, cudaStream_t stream)
{
    void *args[] = {&x, &y, &a, &n};
    cudaLaunchConfig_t c = {
        .gridDim = {(N + 127) / 128, 1, 1}, .blockDim = {128, 1, 1}, .stream = stream};
    return cudaLaunchKernelExC(&c, axpy, args);
}

typedef struct Rig {
    cudaStream_t stream;
    float *x, *y;    /* of the device */
    float *in, *out; /* of the host, pinned */
} Rig;

static void rig_make(Rig *r)
{
    OK(cudaStreamCreateWithFlags(&r->stream, cudaStreamNonBlocking));
    OK(cudaMalloc((void **)&r->x, N * sizeof(float)));
    OK(cudaMalloc((void **)&r->y, N * sizeof(float)));
    OK(cudaMallocHost((void **)&r->in, N * sizeof(float)));
    OK(cudaMallocHost((void **)&r->out, N * sizeof(float)));
    for (int i = 0; i < N; i++) {
        r->in[i] = (float)i;
        r->out[i] = -1;
    }
}

static void rig_free(Rig *r)
{
    OK(cudaStreamDestroy(r->stream));
    OK(cudaFree(r->x));
    OK(cudaFree(r->y));
    OK(cudaFreeHost(r->in));
    OK(cudaFreeHost(r->out));
}

static const size_t bytes = N * sizeof(float);

static void test_work_is_late(void **state)
{
    (void)state;
    Rig r;
    rig_make(&r);
    OK(cudaMemcpyAsync(r.x, r.in, bytes, cudaMemcpyHostToDevice, r.stream));
    OK(cudaMemsetAsync(r.y, 0, bytes, r.stream));
    OK(launch_axpy(r.x, r.y, 2, N, r.stream));
    OK(cudaMemcpyAsync(r.out, r.y, bytes, cudaMemcpyDeviceToHost, r.stream));
    assert_true(r.out[1] == -1);
    r.in[1] = 100; /* too early: the copy has not read it */
    OK(cudaStreamSynchronize(r.stream));
    assert_true(r.out[1] == 200 && r.out[N - 1] == 2 * (N - 1));
    /* pageable memory may be used again at once */
    float host[N] = {[5] = 7};
    OK(cudaMemcpyAsync(r.x, host, bytes, cudaMemcpyHostToDevice, r.stream));
    host[5] = 8;
    OK(cudaStreamSynchronize(r.stream));
    OK(cudaMemcpy(host, r.x, bytes, cudaMemcpyDeviceToHost));
    assert_true(host[5] == 7);
    /* a question brings it on, and says so */
    OK(cudaMemsetAsync(r.y, 0, bytes, r.stream));
    OK(cudaMemsetAsync(r.y, 0, bytes, r.stream));
    assert_int_equal(cudaStreamQuery(r.stream), cudaErrorNotReady);
    OK(cudaStreamQuery(r.stream));
    rig_free(&r);
}

static void test_events(void **state)
{
    (void)state;
    Rig r;
    cudaStream_t other;
    cudaEvent_t begin, end, ready;
    float ms = -1;
    rig_make(&r);
    OK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
    OK(cudaEventCreate(&begin));
    OK(cudaEventCreate(&end));
    OK(cudaEventCreateWithFlags(&ready, cudaEventDisableTiming));
    OK(cudaEventRecord(begin, r.stream));
    OK(cudaMemcpyAsync(r.x, r.in, bytes, cudaMemcpyHostToDevice, r.stream));
    OK(cudaEventRecord(ready, r.stream));
    OK(cudaStreamWaitEvent(other, ready, 0));
    OK(cudaMemcpyAsync(r.out, r.x, bytes, cudaMemcpyDeviceToHost, other));
    OK(cudaMemsetAsync(r.x, 0, bytes, r.stream)); /* after the event: not waited for */
    OK(cudaEventRecord(end, r.stream));
    assert_int_equal(cudaEventElapsedTime(&ms, begin, end), cudaErrorNotReady);
    OK(cudaStreamSynchronize(other));
    assert_true(r.out[9] == 9);
    OK(cudaEventSynchronize(end));
    OK(cudaEventElapsedTime(&ms, begin, end));
    assert_true(ms >= 0);
    assert_int_equal(cudaEventElapsedTime(&ms, begin, ready), cudaErrorInvalidResourceHandle);
    OK(cudaEventDestroy(begin));
    OK(cudaEventDestroy(end));
    OK(cudaEventDestroy(ready));
    OK(cudaStreamDestroy(other));
    rig_free(&r);
}

/* The legacy stream and blocking streams wait for each other; others do not take part. */
static void test_legacy_stream(void **state)
{
    (void)state;
    Rig r;
    cudaStream_t blocking;
    rig_make(&r);
    OK(cudaStreamCreate(&blocking));
    OK(cudaMemcpyAsync(r.x, r.in, bytes, cudaMemcpyHostToDevice, NULL));
    OK(cudaMemcpyAsync(r.out, r.x, bytes, cudaMemcpyDeviceToHost, blocking));
    OK(cudaStreamSynchronize(blocking));
    assert_true(r.out[7] == 7);
    OK(cudaMemsetAsync(r.x, 0, bytes, blocking));
    OK(cudaMemcpy(r.out, r.x, bytes, cudaMemcpyDeviceToHost));
    assert_true(r.out[7] == 0);
    OK(cudaMemcpyAsync(r.x, r.in, bytes, cudaMemcpyHostToDevice, r.stream));
    OK(cudaMemcpy(r.out, r.x, bytes, cudaMemcpyDeviceToHost));
    assert_true(r.out[7] == 0);
    OK(cudaStreamDestroy(blocking));
    rig_free(&r);
}

static void test_graph(void **state)
{
    (void)state;
    Rig r;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    size_t nodes;
    enum cudaStreamCaptureStatus status;
    rig_make(&r);
    OK(cudaMemsetAsync(r.y, 0, bytes, r.stream));
    OK(cudaStreamSynchronize(r.stream));
    OK(cudaStreamBeginCapture(r.stream, cudaStreamCaptureModeThreadLocal));
    OK(cudaStreamIsCapturing(r.stream, &status));
    assert_int_equal(status, cudaStreamCaptureStatusActive);
    OK(cudaMemcpyAsync(r.x, r.in, bytes, cudaMemcpyHostToDevice, r.stream));
    OK(launch_axpy(r.x, r.y, 1, N, r.stream));
    OK(cudaMemcpyAsync(r.out, r.y, bytes, cudaMemcpyDeviceToHost, r.stream));
    OK(cudaStreamEndCapture(r.stream, &graph));
    OK(cudaGraphGetNodes(graph, NULL, &nodes));
    assert_int_equal(nodes, 3);
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaGraphDestroy(graph));
    OK(cudaStreamSynchronize(r.stream));
    assert_true(r.out[3] == -1); /* captured, not done */
    for (int k = 1; k <= 3; k++) {
        r.in[3] = 10;
        OK(cudaGraphLaunch(exec, r.stream));
        OK(cudaStreamSynchronize(r.stream));
        assert_true(r.out[3] == (float)(10 * k));
    }
    OK(cudaGraphLaunch(exec, r.stream));
    OK(cudaGraphExecDestroy(exec)); /* what was launched goes on */
    OK(cudaStreamSynchronize(r.stream));
    assert_true(r.out[3] == 40);
    rig_free(&r);
}

static void test_capture_rules(void **state)
{
    (void)state;
    Rig r;
    cudaStream_t side;
    cudaEvent_t fork, join;
    cudaGraph_t graph;
    rig_make(&r);
    OK(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
    OK(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
    OK(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
    for (int joins = 0; joins < 2; joins++) {
        OK(cudaStreamBeginCapture(r.stream, cudaStreamCaptureModeThreadLocal));
        OK(cudaEventRecord(fork, r.stream));
        OK(cudaStreamWaitEvent(side, fork, 0));
        OK(cudaMemsetAsync(r.x, 0, bytes, side));
        OK(cudaEventRecord(join, side));
        if (joins)
            OK(cudaStreamWaitEvent(r.stream, join, 0));
        assert_int_equal(cudaStreamEndCapture(r.stream, &graph),
                         joins ? cudaSuccess : cudaErrorStreamCaptureUnjoined);
    }
    OK(cudaGraphDestroy(graph));
    assert_int_equal(cudaEventSynchronize(join), cudaErrorCapturedEvent);
    OK(cudaStreamBeginCapture(r.stream, cudaStreamCaptureModeThreadLocal));
    assert_int_equal(cudaStreamSynchronize(r.stream), cudaErrorStreamCaptureUnsupported);
    assert_int_equal(cudaMemsetAsync(r.x, 0, bytes, r.stream), cudaErrorStreamCaptureInvalidated);
    assert_int_equal(cudaStreamEndCapture(r.stream, &graph), cudaErrorStreamCaptureInvalidated);
    assert_null(graph);
    assert_int_equal(cudaStreamBeginCapture(NULL, cudaStreamCaptureModeThreadLocal),
                     cudaErrorStreamCaptureUnsupported);
    OK(cudaEventDestroy(fork));
    OK(cudaEventDestroy(join));
    OK(cudaStreamDestroy(side));
    rig_free(&r);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    Rig r;
    cudaKernel_t none;
    cudaLibrary_t lib;
    int value, at = 60000;
    void *args[] = {&at};
    rig_make(&r);
    assert_int_equal(cudaMemcpy(r.x, r.in, bytes + 1, cudaMemcpyHostToDevice),
                     cudaErrorInvalidValue);
    assert_int_equal(cudaMemcpy(r.x, r.in, bytes, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    assert_int_equal(cudaFree(r.in), cudaErrorInvalidValue);
    assert_int_equal(cudaGetLastError(), cudaErrorInvalidValue);
    OK(cudaGetLastError());
    assert_int_equal(cudaLibraryGetKernel(&none, library, "none"), cudaErrorSymbolNotFound);
    assert_int_equal(cudaSetDevice(1), cudaErrorInvalidDevice);
    assert_int_equal(cudaDeviceGetAttribute(&value, cudaDevAttrWarpSize, 3),
                     cudaErrorInvalidDevice);
    cudaLaunchConfig_t c = {.gridDim = {1, 1, 1}, .blockDim = {1, 1, 1}, .dynamicSmemBytes = 65536};
    assert_int_equal(cudaLaunchKernelExC(&c, shared, args), cudaErrorInvalidValue);
    assert_int_equal(cudaKernelSetAttributeForDevice(
                         shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 300000, 0),
                     cudaErrorInvalidValue);
    OK(cudaKernelSetAttributeForDevice(shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 65536,
                                       0));
    OK(cudaLaunchKernelExC(&c, shared, args));
    OK(cudaDeviceSynchronize());
    c.blockDim.x = 0;
    assert_int_equal(cudaLaunchKernelExC(&c, shared, args), cudaErrorInvalidConfiguration);
    assert_int_equal(cudaLaunchKernelExC(&c, &r, args), cudaErrorInvalidDeviceFunction);
    assert_int_equal(
        cudaLibraryLoadData(&lib, ".version 7.0\n.target sm_80\n", NULL, NULL, 0, NULL, NULL, 0),
        cudaErrorInvalidPtx);
    assert_int_equal(cudaLibraryLoadData(&lib, "\177ELF...", NULL, NULL, 0, NULL, NULL, 0),
                     cudaErrorNoKernelImageForDevice);
    assert_int_equal(cudaLibraryLoadData(&lib,
                                         "define ptx_kernel void @k() #0 { ret void }\n"
                                         "attributes #0 = { \"target-cpu\"=\"sm_100\" }\n",
                                         NULL, NULL, 0, NULL, NULL, 0),
                     cudaErrorNoKernelImageForDevice);
    rig_free(&r);
}

static void test_faults_on_demand(void **state)
{
    (void)state;
    static const struct {
        const char *fault;
        cudaError_t error;
        int driver;
    } cases[] = {{"no-driver", cudaErrorInsufficientDriver, 0},
                 {"old-driver", cudaErrorInsufficientDriver, 11040},
                 {"no-device", cudaErrorNoDevice, 13000},
                 {"initialization", cudaErrorInitializationError, 13000}};
    int n = -1, version;
    void *p;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("SIMT_CUDA_FAIL", cases[i].fault, 1);
        assert_int_equal(cudaGetDeviceCount(&n), cases[i].error);
        assert_int_equal(n, 0);
        OK(cudaDriverGetVersion(&version));
        assert_int_equal(version, cases[i].driver);
        assert_true(strlen(cudaGetErrorString(cases[i].error)) > 10);
    }
    unsetenv("SIMT_CUDA_FAIL");
    OK(cudaGetDeviceCount(&n));
    assert_int_equal(n, 1);
    setenv("SIMT_CUDA_FAIL_CALL", "cudaMalloc:2:2", 1);
    OK(cudaMalloc(&p, 16));
    OK(cudaFree(p));
    assert_int_equal(cudaMalloc(&p, 16), cudaErrorMemoryAllocation);
    OK(cudaMalloc(&p, 16));
    OK(cudaFree(p));
    unsetenv("SIMT_CUDA_FAIL_CALL");
    setenv("SIMT_CUDA_CAPABILITY", "7.5", 1);
    struct cudaDeviceProp prop;
    OK(cudaGetDeviceProperties(&prop, 0));
    assert_int_equal(10 * prop.major + prop.minor, 75);
    unsetenv("SIMT_CUDA_CAPABILITY");
    assert_string_equal(cudaGetErrorName(cudaErrorNoDevice), "cudaErrorNoDevice");
}

/* The driver's encoders make the maps that the emulator reads. */
static void test_tensor_maps(void **state)
{
    (void)state;
    int (*tiled)(SimtTensorMap *, int, unsigned, void *, const unsigned long long *,
                 const unsigned long long *, const unsigned *, const unsigned *, int, int, int,
                 int);
    enum cudaDriverEntryPointQueryResult result;
    void *p;
    SimtTensorMap map, expected;
    static _Alignas(16) char base[16];
    const unsigned long long dim[] = {64, 10}, stride[] = {128};
    const unsigned box[] = {32, 8}, step[] = {1, 1};
    SimtTensor t = {.base = base,
                    .rank = 2,
                    .element_bytes = 2,
                    .swizzle_bytes = 64,
                    .dim = {64, 10},
                    .stride = {128},
                    .box = {32, 8},
                    .step = {1, 1}};
    OK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &p, 12000, 0, &result));
    assert_int_equal(result, cudaDriverEntryPointSuccess);
    memcpy(&tiled, &p, sizeof p);
    assert_int_equal(tiled(&map, 9, 2, base, dim, stride, box, step, 0, 2, 0, 0), 0);
    assert_true(simt_tensor_map(&expected, &t));
    assert_memory_equal(&map, &expected, sizeof map);
    assert_int_equal(tiled(&map, 9, 2, base + 2, dim, stride, box, step, 0, 2, 0, 0), 1);
    OK(cudaGetDriverEntryPointByVersion("cuMystery", &p, 12000, 0, &result));
    assert_int_equal(result, cudaDriverEntryPointSymbolNotFound);
    assert_null(p);
}

/* In a process of its own: such an error stays. `say`: what stderr must hold. */
static void expect_broken(int (*run)(void), const char *say)
{
    int out[2], status;
    char text[4096] = "";
    assert_int_equal(pipe(out), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        dup2(out[1], 2);
        _exit(run());
    }
    close(out[1]);
    size_t n = 0;
    for (ssize_t got;
         n < sizeof text - 1 && (got = read(out[0], text + n, sizeof text - 1 - n)) > 0;)
        n += (size_t)got;
    close(out[0]);
    assert_true(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) || !strstr(text, say))
        fail_msg("status %x, said '%s'", (unsigned)status, text);
}

/* 0 when the sequence ends with that error, which then stays. */
static int outcome(cudaError_t e, cudaError_t expected)
{
    void *p;
    return e != expected || cudaMalloc(&p, 1) != expected || cudaGetLastError() != expected;
}

static int too_long(void)
{
    float *x, *y;
    if (cudaMalloc((void **)&x, N * sizeof(float)) || cudaMalloc((void **)&y, N * sizeof(float)) ||
        launch_axpy(x, y, 1, N + 1, NULL))
        return 1;
    return outcome(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
}

static int raced(void)
{
    float *x;
    if (cudaMalloc((void **)&x, (N + 1) * sizeof(float)) || launch_axpy(x, x + 1, 1, N - 1, NULL))
        return 1;
    return outcome(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
}

static int out_of_memory(void)
{
    void *p, *q;
    size_t left, total;
    setenv("SIMT_CUDA_MEMORY", "65536", 1);
    if (cudaMalloc(&p, 40000) || cudaMalloc(&q, 40000) != cudaErrorMemoryAllocation ||
        cudaMemGetInfo(&left, &total) || left != 25536 || total != 65536)
        return 1;
    if (cudaFree(p) || cudaMalloc(&p, 65536) || cudaMalloc(&q, 1) != cudaErrorMemoryAllocation)
        return 2;
    fputs("reported", stderr);
    return 0;
}

static void test_faults_of_kernels(void **state)
{
    (void)state;
    expect_broken(too_long, "out of bounds: kernel axpy, block (2,0,0), thread (44,0,0)");
    expect_broken(raced, "race: kernel axpy");
}

static void test_out_of_memory(void **state)
{
    (void)state;
    expect_broken(out_of_memory, "reported");
}

static void test_device_memory_is_not_the_hosts(void **state)
{
    (void)state;
    int status;
    float *x;
    OK(cudaMalloc((void **)&x, 4));
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile float *)x = 1;
        _exit(0);
    }
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status));
    OK(cudaFree(x));
}

int main(void)
{
    /* before there is any device memory */
    const struct CMUnitTest first[] = {cmocka_unit_test(test_out_of_memory),
                                       cmocka_unit_test(test_faults_on_demand)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_work_is_late),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_legacy_stream),
        cmocka_unit_test(test_graph),
        cmocka_unit_test(test_capture_rules),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_tensor_maps),
        cmocka_unit_test(test_faults_of_kernels),
        cmocka_unit_test(test_device_memory_is_not_the_hosts),
    };
    int failed = cmocka_run_group_tests_name("simt_cudart_demand", first, NULL, NULL);
    return failed + cmocka_run_group_tests_name("simt_cudart", tests, open_library, close_library);
}
