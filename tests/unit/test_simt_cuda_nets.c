/* From the text of a graph to a network for GPUs: planned, compiled, and all its launches run on
 * the emulator, against the reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cuda_device.h"
#include "plan_bench.h"
#include "plan_nets.h"
#include "plan_random.h"

static const CodegenApi *api;

static int run_batch(CudaDevice *d, const Bench *b, int batch, const char *what)
{
    char err[512];
    int failures = 0;
    cuda_device_open(d, batch, b->blob, (const float *const *)b->in);
    if (!cuda_device_run(d, err, sizeof err))
        fail_msg("%s: %s", what, err);
    for (uint32_t i = 0; i < b->g.outs.len; i++) {
        double worst = difference(d->out[i], b->want[i], b->out_floats[i] * batch);
        if (worst > b->tolerance) {
            fprintf(stderr, "# %s, batch %d: output %u is off by %g\n", what, batch, i, worst);
            failures++;
        }
    }
    failures += !cuda_clean(what);
    cuda_device_close(d);
    return failures;
}

static int check_net(const PlanNet *net, Dtype dtype, double tolerance)
{
    static Bench b;
    Target t;
    char err[1024] = "";
    b = (Bench){.tolerance = tolerance};
    assert_non_null(api);
    assert_true(api->target(dtype == DTYPE_FP32 ? "sm_70" : "sm_80", &t, err, sizeof err));
    t.dtype = dtype;
    if (setjmp(b.oom.env))
        fail_msg("out of memory");
    arena_init(&b.arena, &b.oom, 0);
    read_graph(&b, net->text);
    run_reference(&b);
    build_plan(&b, &t);
    CudaDevice d = {.p = &b.plan, .code = cuda_load(api, &b.plan, err, sizeof err)};
    if (!d.code)
        fail_msg("%s: %s", net->name, err);
    int failures = 0;
    for (int batch = MAX_BATCH; batch >= 1; batch -= 2)
        failures += run_batch(&d, &b, batch, net->name);
    simt_unload(d.code);
    bench_close(&b);
    return failures;
}

/* Rounding to fewer bits is part of what verify allows; that it is done as it should be is the
 * business of test_simt_mma.c. */
static void test_net(void **state)
{
    int failures = 0;
    for (int d = 0; d < DTYPE_COUNT; d++)
        failures += check_net(*state, (Dtype)d, d == DTYPE_FP32 ? 2e-5 : dtype_info[d].error);
    assert_int_equal(failures, 0);
}

/* As on processors: only what is plainly wrong counts. */
static void test_random_nets(void **state)
{
    (void)state;
    enum { SEEDS = 40 };
    const char *few = getenv("CNNC_TEST_SEEDS");
    int failures = 0, seeds = few ? atoi(few) : SEEDS;
    for (int seed = 0; seed < seeds; seed++) {
        RandomNet r;
        char name[32];
        random_net(&r, (uint64_t)seed);
        assert_true(buf_ok(&r.text));
        snprintf(name, sizeof name, "random net %d", seed);
        PlanNet net = {name, r.text.at};
        int bad = check_net(&net, DTYPE_FP32, 1e-3);
        if (bad)
            fprintf(stderr, "%s", r.text.at);
        failures += bad;
        buf_free(&r.text);
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    api = suite_api();
    return plan_nets_run("cuda nets", test_net, test_random_nets);
}
