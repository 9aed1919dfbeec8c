/* Networks on the emulator's CUDA runtime, through the functions that every program uses: loaded
 * into this process as the compiler does it, run with graphs, and without what they need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cnnrt.h"
#include "plan_bench.h"
#include "tune/limits.h"
#include "tune/trial.h"
#include "plan_nets.h"

extern const CnnrtBackend cnnrt_cuda_backend;
static const CodegenApi *api;
static Bench b;

typedef struct Net {
    Loaded *loaded;
    const CnnrtModel *model;
    Target host;
} Net;

/* The kernels as IR, which the emulator's driver takes in place of PTX; `arch` as the image says.
 */
static Net load_net(const PlanNet *net, int arch)
{
    Net x = {0};
    Target t;
    char err[1024] = "";
    const void *model = NULL;
    b = (Bench){.tolerance = 2e-5};
    assert_non_null(api);
    assert_true(api->target("sm_70", &t, err, sizeof err));
    assert_true(api->target(NULL, &x.host, err, sizeof err));
    if (setjmp(b.oom.env))
        fail_msg("out of memory");
    arena_init(&b.arena, &b.oom, 0);
    read_graph(&b, net->text);
    run_reference(&b);
    build_plan(&b, &t);
    EmitOptions o = {.prefix = "net", .net_name = "net", .max_batch = MAX_BATCH, .jobs = 1};
    EmitResult text = {0};
    if (!api->emit(&b.plan, EMIT_LLVM_IR, &o, &text, err, sizeof err))
        fail_msg("%s", err);
    static const char cubin[] = "\177ELF, for no emulator";
    const EmitImage images[] = {
        {.arch = arch, .cubin = true, .data = cubin, .len = sizeof cubin},
        {.arch = arch, .data = text.pieces[0].data, .len = text.pieces[0].len}};
    o.images = images;
    o.image_count = 2;
    o.host = &x.host;
    o.backend = &cnnrt_cuda_backend;
    x.loaded = api->load(&b.plan, &o, &model, err, sizeof err);
    if (x.loaded == NULL)
        fail_msg("%s", err);
    api->emit_free(&text);
    x.model = model;
    return x;
}

static void close_net(Net *x)
{
    api->unload(x->loaded);
    bench_close(&b);
}

static void check_outputs(float *const *out, int batch)
{
    for (uint32_t i = 0; i < b.g.outs.len; i++)
        assert_true(difference(out[i], b.want[i], b.out_floats[i] * batch) <= b.tolerance);
}

static void new_outputs(float **out)
{
    for (uint32_t i = 0; i < b.g.outs.len; i++) {
        out[i] = malloc((size_t)(b.out_floats[i] * MAX_BATCH) * sizeof(float));
        assert_non_null(out[i]);
        memset(out[i], 0xFF, (size_t)(b.out_floats[i] * MAX_BATCH) * sizeof(float));
    }
}

static void free_outputs(float **out)
{
    for (uint32_t i = 0; i < b.g.outs.len; i++)
        free(out[i]);
}

/* By the clock that counts work, a run takes what its steps do, which were profiled by it. */
static void check_times(CnnrtContext *c, const float *const *in, float **out, double *seconds)
{
    double whole = -1, sum = 0;
    int64_t steps = b.plan.steps.len;
    memset(seconds, 0, (size_t)steps * sizeof *seconds);
    assert_int_equal(setenv("SIMT_CUDA_CLOCK", "counted", 1), 0);
    assert_int_equal(cnnrt_profile(c, 1, in, out, seconds), CNNRT_OK);
    assert_int_equal(cnnrt_time_runs(c, &whole), CNNRT_OK);
    assert_int_equal(cnnrt_run(c, 1, in, out), CNNRT_OK);
    unsetenv("SIMT_CUDA_CLOCK");
    for (int64_t i = 0; i < steps; i++) {
        Launch l = family_launch(&b.plan.kernels.at[b.plan.steps.at[i].kernel].k, &b.plan.target);
        double threads = (double)((l.items + l.per_block - 1) / l.per_block * l.rows * l.threads);
        assert_true(fabs(seconds[i] - 1e-6 - 1e-9 * threads) < 1e-8);
        sum += seconds[i];
    }
    assert_true(fabs(whole - sum) < 1e-8 * (double)steps);
    assert_int_equal(cnnrt_time_runs(c, NULL), CNNRT_OK);
    whole = -1;
    assert_int_equal(cnnrt_run(c, 1, in, out), CNNRT_OK);
    assert_true(whole == -1);
}

static void test_nets(void **state)
{
    (void)state;
    for (int i = 0; i < PLAN_NETS; i += 3) {
        Net x = load_net(&plan_nets[i], 70);
        CnnrtContext *c = NULL;
        float *out[MOST_PORTS];
        double *seconds = calloc((size_t)x.model->step_count, sizeof *seconds);
        const float *const *in = (const float *const *)b.in;
        assert_non_null(seconds);
        if (cnnrt_create(&c, x.model, b.blob, 0, NULL, 0) != CNNRT_OK)
            fail_msg("%s: %s", plan_nets[i].name, cnnrt_detail(x.model));
        for (int run = 0; run < 4; run++) { /* the later ones by graphs that are there */
            int batch = run % 2 == 0 ? MAX_BATCH : 1;
            new_outputs(out);
            if (cnnrt_run(c, batch, in, out) != CNNRT_OK)
                fail_msg("%s: %s", plan_nets[i].name, cnnrt_detail(x.model));
            check_outputs(out, batch);
            free_outputs(out);
        }
        new_outputs(out);
        assert_int_equal(cnnrt_profile(c, 1, in, out, seconds), CNNRT_OK);
        check_outputs(out, 1);
        check_times(c, in, out, seconds);
        free_outputs(out);
        free(seconds);
        cnnrt_destroy(c);
        close_net(&x);
    }
}

typedef struct Lack {
    const char *name, *value; /* of the environment */
    int status;
    const char *says;
} Lack;

static void test_lacks(void **state)
{
    (void)state;
    static const Lack lacks[] = {
        {"SIMT_CUDA_FAIL", "no-driver", CNNRT_NO_DEVICE, "no CUDA driver"},
        {"SIMT_CUDA_FAIL", "old-driver", CNNRT_NO_DEVICE, "a newer driver is needed"},
        {"SIMT_CUDA_FAIL", "no-device", CNNRT_NO_DEVICE, "no device"},
        {"SIMT_CUDA_CAPABILITY", "6.1", CNNRT_NO_DEVICE,
         "needs compute capability 7.0 or newer, and the device has 6.1"},
        {"SIMT_CUDA_MEMORY", "2048", CNNRT_DEVICE_MEMORY, "are free"},
        {"CNNC_CUDA_DEVICE", "7", CNNRT_NO_DEVICE, "numbered from 0"},
        {"CNNC_CUDA_DEVICE", "zero", CNNRT_NO_DEVICE, "numbered from 0"},
    };
    Net x = load_net(&plan_nets[0], 70);
    CnnrtModel processor = *x.model;
    processor.code = NULL;
    processor.cpu = NULL;
    const CnnrtModel *both[] = {x.model, &processor};
    CnnrtContext *c = NULL;
    assert_ptr_equal(cnnrt_choose(both, 2), x.model);
    for (size_t i = 0; i < sizeof lacks / sizeof *lacks; i++) {
        const Lack *l = &lacks[i];
        assert_int_equal(setenv(l->name, l->value, 1), 0);
        assert_int_equal(cnnrt_create(&c, x.model, b.blob, 0, NULL, 0), l->status);
        assert_null(c);
        if (strstr(cnnrt_detail(x.model), l->says) == NULL)
            fail_msg("%s=%s: %s", l->name, l->value, cnnrt_detail(x.model));
        if (l->status == CNNRT_NO_DEVICE)
            assert_ptr_equal(cnnrt_choose(both, 2), &processor);
        unsetenv(l->name);
    }
    assert_int_equal(cnnrt_create(&c, x.model, b.blob, 0, NULL, 0), CNNRT_OK);
    cnnrt_destroy(c);
    close_net(&x);
}

/* Says what batch would fit. */
static void test_smaller_batch(void **state)
{
    (void)state;
    Net x = load_net(&plan_nets[0], 70);
    CnnrtModel huge = *x.model;
    CnnrtContext *c = NULL;
    huge.max_batch = 1 << 20;
    assert_int_equal(setenv("SIMT_CUDA_MEMORY", "8000000", 1), 0);
    assert_int_equal(cnnrt_create(&c, &huge, b.blob, 0, NULL, 0), CNNRT_DEVICE_MEMORY);
    const char *says = strstr(cnnrt_detail(&huge), "a batch of ");
    assert_non_null(says);
    int batch = atoi(says + strlen("a batch of "));
    assert_true(batch > 0);
    huge.max_batch = batch;
    assert_int_equal(cnnrt_create(&c, &huge, b.blob, 0, NULL, 0), CNNRT_OK);
    cnnrt_destroy(c);
    unsetenv("SIMT_CUDA_MEMORY");
    close_net(&x);
}

/* Every call of the runtime fails once: a status with a text, and afterwards all is as before. */
static void test_failures(void **state)
{
    (void)state;
    static const char *const calls[] = {"cudaDriverGetVersion",
                                        "cudaGetDeviceCount",
                                        "cudaDeviceGetAttribute",
                                        "cudaSetDevice",
                                        "cudaStreamCreateWithFlags",
                                        "cudaLibraryLoadData",
                                        "cudaLibraryGetKernel",
                                        "cudaMalloc",
                                        "cudaMemcpy",
                                        "cudaMemcpyAsync",
                                        "cudaStreamBeginCapture",
                                        "cudaStreamEndCapture",
                                        "cudaLaunchKernelExC",
                                        "cudaGraphInstantiate",
                                        "cudaGraphLaunch",
                                        "cudaStreamSynchronize",
                                        "cudaEventCreate",
                                        "cudaEventRecord",
                                        "cudaEventSynchronize",
                                        "cudaEventElapsedTime"};
    enum { UNKNOWN = 999, TIMES = 2 };
    Net x = load_net(&plan_nets[0], 70);
    int failed = 0;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (int k = 1; k <= TIMES; k++) {
            char text[96];
            CnnrtContext *c = NULL;
            float *out[MOST_PORTS];
            double seconds[64] = {0};
            const float *const *in = (const float *const *)b.in;
            assert_true(x.model->step_count <= 64);
            new_outputs(out);
            snprintf(text, sizeof text, "%s:%d:%d", calls[i], k, UNKNOWN);
            assert_int_equal(setenv("SIMT_CUDA_FAIL_CALL", text, 1), 0);
            int status = cnnrt_create(&c, x.model, b.blob, 0, NULL, 0);
            if (status == CNNRT_OK && k == 1)
                cnnrt_time_runs(c, seconds);
            if (status == CNNRT_OK)
                status = cnnrt_run(c, 1, in, out);
            cnnrt_time_runs(c, NULL);
            if (status == CNNRT_OK)
                status = cnnrt_profile(c, 1, in, out, seconds);
            unsetenv("SIMT_CUDA_FAIL_CALL");
            if (status == CNNRT_OK)
                check_outputs(out, 1);
            else if (strlen(cnnrt_detail(x.model)) < 10)
                fail_msg("%s: says nothing", text);
            failed += status != CNNRT_OK;
            if (c != NULL) {
                status = cnnrt_run(c, 1, in, out);
                if (status != CNNRT_OK)
                    fail_msg("after %s: %s", text, cnnrt_detail(x.model));
                check_outputs(out, 1);
            }
            cnnrt_destroy(c);
            free_outputs(out);
        }
    assert_true(failed >= (int)(sizeof calls / sizeof *calls));
    close_net(&x);
}

/* Fetches what the device has after a step, into w. */
static void run_limit(CnnrtContext *c, const CnnrtModel *m, int64_t step)
{
    static const float *const no_in[1];
    static float *const no_out[1];
    if (cnnrt_run_steps(c, 1, no_in, no_out, step, step + 1, NULL) != CNNRT_OK ||
        cnnrt_fetch_weights(c, 0, m->weight_floats) != CNNRT_OK)
        fail_msg("%s", cnnrt_detail(m));
}

/* Chains of x = x * a + b, all of them added up; sums and copies of what streams. */
static void check_limits(const Plan *p, CnnrtContext *c, const CnnrtModel *m, const float *w)
{
    const float *rows = w + p->steps.at[LIMIT_PEAK].args[KERNEL_ARG_OUT].offset;
    const float *all = w + p->steps.at[LIMIT_READ].args[KERNEL_ARG_IN].offset;
    int64_t half = p->kernels.at[LIMIT_COPY].k.in.c, count = p->kernels.at[LIMIT_PEAK].k.out.c;
    double want = 0, sum = 0, size = 0;
    float a = all[3], b = all[7];
    run_limit(c, m, LIMIT_PEAK);
    for (int chain = 0; chain < PEAK_CHAINS; chain++) {
        double v = chain;
        for (int64_t n = 0; n < p->kernels.at[LIMIT_PEAK].k.positions; n++)
            v = v * a + b;
        want += v;
    }
    assert_true(fabs(rows[3] - want) < 1e-4 && fabs(rows[count - 1] - want) < 1e-4);
    run_limit(c, m, LIMIT_READ);
    for (int64_t i = 0; i < 2 * half; i++) {
        sum += all[i];
        size += fabs(all[i]);
    }
    for (int64_t i = 0; i < count; i++)
        sum -= rows[i];
    assert_true(fabs(sum) < 1e-6 * size);
    assert_true(memcmp(all, all + half, (size_t)half * sizeof *all) != 0);
    run_limit(c, m, LIMIT_COPY);
    assert_memory_equal(all, all + half, (size_t)half * sizeof *all);
}

static void run_limits(const Plan *p, const CnnrtModel *model)
{
    static const CnnrtTraining changes; /* runs change the weights */
    CnnrtModel m = *model;
    CnnrtContext *c = NULL;
    void *w = NULL;
    m.training = &changes;
    assert_int_equal(posix_memalign(&w, 64, (size_t)m.weight_floats * sizeof(float)), 0);
    trial_fill(w, m.weight_floats, 1);
    assert_int_equal(cnnrt_create(&c, &m, w, 0, NULL, 0), CNNRT_OK);
    check_limits(p, c, &m, w);
    cnnrt_destroy(c);
    free(w);
}

static void test_limits(void **state)
{
    (void)state;
    LimitsPlan x;
    Target t, host;
    char err[512] = "";
    const void *model = NULL;
    EmitResult text = {0};
    EmitOptions o = {.prefix = "limits", .net_name = "limits", .max_batch = 1, .jobs = 1};
    b = (Bench){0};
    if (setjmp(b.oom.env))
        fail_msg("out of memory");
    arena_init(&b.arena, &b.oom, 0);
    assert_true(api->target("sm_70", &t, err, sizeof err));
    assert_true(api->target(NULL, &host, err, sizeof err));
    limits_build(&x, &b.arena, &t, 0);
    x.plan.kernels.at[LIMIT_PEAK].k.positions = 3; /* of many: the emulator is slow */
    assert_true(api->emit(&x.plan, EMIT_LLVM_IR, &o, &text, err, sizeof err));
    const EmitImage image = {.arch = 70, .data = text.pieces[0].data, .len = text.pieces[0].len};
    o.images = &image;
    o.image_count = 1;
    o.host = &host;
    o.backend = &cnnrt_cuda_backend;
    Loaded *code = api->load(&x.plan, &o, &model, err, sizeof err);
    assert_non_null(code);
    api->emit_free(&text);
    run_limits(&x.plan, model);
    api->unload(code);
    arena_free(&b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nets),          cmocka_unit_test(test_lacks),
        cmocka_unit_test(test_smaller_batch), cmocka_unit_test(test_failures),
        cmocka_unit_test(test_limits),
    };
    api = suite_api();
    return cmocka_run_group_tests_name("cuda runtime", tests, NULL, NULL);
}
