/* Training graphs compiled for GPUs, and run on the emulator on random inputs: every head, loss,
 * gradient and running statistic against the reference in double. */
#include "cuda_device.h"
#include "train_check.h"
#include "kernel_suite.h"

enum { DRAWS = 2, TRIES = 400 };

static const CodegenApi *api;

typedef struct Compiled {
    Analysis an;
    Fusion fusion;
    Plan plan;
    CudaDevice device;
} Compiled;

static void compile(Compiled *c, Built *b, const Target *t, const char *what)
{
    char err[1024] = "";
    grad_analysis(&b->t, &arena, &b->an, &c->an);
    fuse_run(&c->fusion, &arena, &c->an);
    const char *bad = fuse_verify(&c->fusion);
    if (bad == NULL)
        bad = plan_build_training(&c->plan, &arena, &c->an, &c->fusion, t, &b->t, NULL);
    if (bad == NULL)
        bad = plan_verify(&c->plan);
    if (bad != NULL)
        fail_msg("%s\n%s", bad, what);
    c->device = (CudaDevice){.p = &c->plan, .code = cuda_load(api, &c->plan, err, sizeof err)};
    if (c->device.code == NULL)
        fail_msg("%s\n%s", err, what);
}

static void check_run(Worst *w, Compiled *c, const Built *b, double **want, const char *what)
{
    float *initial = first_state(&c->plan, b);
    CudaDevice *d = &c->device;
    CnnrtRun run = {.batch = b->batch, .seed = 5, .step = 3};
    char err[512];
    simt_buffer(&run, sizeof run);
    d->run = &run;
    cuda_device_open(d, (int)b->batch, initial, (const float *const *)b->in);
    free(initial);
    if (!cuda_device_run(d, err, sizeof err))
        fail_msg("%s\n%s", err, what);
    simt_buffer_gone(&run);
    assert_true(cuda_clean(what));
    check_results(w, &c->plan, b, d->out, d->weights, want, what);
    cuda_device_close(d);
}

static void try_body(Worst *w, const char *body, const Target *t)
{
    int done = 0;
    for (int tries = 0; done < DRAWS && tries < TRIES; tries++) {
        Built b = {0};
        Compiled c = {0};
        if (!build(&b, body, tries % 2 ? LOSS_BINARY : LOSS_CROSS_ENTROPY))
            continue;
        uint32_t outs = b.t.g.outs.len;
        double **want = run(&b);
        compile(&c, &b, t, body);
        check_run(w, &c, &b, want, body);
        simt_unload(c.device.code);
        for (uint32_t i = 0; i < outs; i++)
            free(want[i]);
        free(want);
        unbuild(&b);
        done++;
    }
    assert_int_equal(done, DRAWS);
}

static void test_gradients(void **state)
{
    (void)state;
    const char *only = getenv("CNNC_TEST_BODY");
    char err[256];
    Target t;
    Worst w = {0};
    assert_true(api->target("sm_70", &t, err, sizeof err));
    for (int i = 0; i < BODIES; i++)
        if (only == NULL || atoi(only) == i)
            try_body(&w, bodies[i], &t);
    printf("%d values, worst error %.1e of the largest\n", w.values, w.error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gradients, arena_up, arena_down),
    };
    api = suite_api();
    if (api == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
