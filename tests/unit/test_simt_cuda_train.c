/* Training graphs compiled for GPUs, and run on the emulator on random inputs: every head, loss,
 * gradient and running statistic against the reference in double. */
#include "cuda_device.h"
#include "train_check.h"
#include "kernel_suite.h"
#include "plan/recompute.h"

enum { DRAWS = 2, TRIES = 400, NETS = 4 /* bodies at the end that are parts of networks */ };

static const CodegenApi *api;

typedef struct Compiled {
    Analysis an;
    Fusion fusion;
    Plan plan;
    CudaDevice device;
    int64_t batch;
    bool *narrow; /* by node: its value is stored as bf16 */
} Compiled;

/* Of all plans: maps as bf16, sums over lines in place of maps, steps that are done again. */
static int narrow_tensors, line_sums, repeated;

static void count_steps(const Plan *p)
{
    for (uint32_t i = 0; i < p->steps.len; i++) {
        line_sums += p->kernels.at[p->steps.at[i].kernel].k.part > 0;
        repeated += p->steps.at[i].repeats != 0;
    }
}

/* A value's tensor has its node, or is a concatenation that the value is a part of. */
static void find_narrow(Compiled *c, uint32_t nodes)
{
    const Plan *p = &c->plan;
    c->narrow = arena_new_n(&arena, bool, nodes);
    for (uint32_t i = 0; i < p->tensors.len; i++) {
        const PlanTensor *t = &p->tensors.at[i];
        c->narrow[t->node.v] |= t->narrow;
        narrow_tensors += t->narrow;
    }
    for (uint32_t i = 0; i < p->steps.len; i++) {
        const PlanStep *s = &p->steps.at[i];
        uint32_t to = s->args[KERNEL_ARG_OUT].tensor;
        if (s->group != UINT32_MAX && to != 0)
            c->narrow[c->fusion.groups.at[s->group].result.v] |= p->tensors.at[to - 1].narrow;
    }
}

static void compile(Compiled *c, Built *b, const Target *t, PlanRecompute level, const char *what)
{
    char err[1024] = "";
    grad_analysis(&b->t, &arena, &b->an, &c->an);
    fuse_run(&c->fusion, &arena, &c->an);
    const char *bad = fuse_verify(&c->fusion);
    if (bad == NULL)
        bad = plan_build_training(&c->plan, &arena, &c->an, &c->fusion, t, &b->t, NULL);
    if (bad == NULL)
        plan_recompute(&c->plan, level);
    if (bad == NULL)
        bad = plan_verify(&c->plan);
    if (bad != NULL)
        fail_msg("%s\n%s", bad, what);
    c->batch = b->batch;
    find_narrow(c, b->t.g.nodes.len);
    count_steps(&c->plan);
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

/* As the kernels of the node's steps take it. */
static double operand(void *ctx, NodeId n, double v)
{
    const Plan *p = &((const Compiled *)ctx)->plan;
    const char *name = graph_node(p->an->g, n)->name;
    for (uint32_t i = 0; i < p->steps.len; i++) {
        const Kernel *k = &p->kernels.at[p->steps.at[i].kernel].k;
        if (cuda_contraction(k) && strcmp(p->steps.at[i].name, name) == 0)
            return dtype_round(k->tile.cuda.dtype, (float)v);
    }
    return v;
}

static bool stored(void *ctx, NodeId n, const RefTensor *value)
{
    const Compiled *c = ctx;
    int64_t count = c->batch * shape_count(value->shape);
    for (int64_t i = 0; i < count && c->narrow[n.v]; i++)
        value->data[i] = dtype_round(DTYPE_BF16, (float)value->data[i]);
    return true;
}

static void try_body(Worst *w, const char *body, const Target *t, PlanRecompute level)
{
    int done = 0;
    for (int tries = 0; done < DRAWS && tries < TRIES; tries++) {
        Built b = {0};
        Compiled c = {0};
        if (!build(&b, body, tries % 2 ? LOSS_BINARY : LOSS_CROSS_ENTROPY))
            continue;
        uint32_t outs = b.t.g.outs.len;
        compile(&c, &b, t, level, body);
        uint32_t planned = b.t.g.outs.len; /* gradients are none of a plan's outputs */
        b.t.g.outs.len = outs;
        double **want = run_rounded(&b, operand, stored, &c);
        b.t.g.outs.len = planned;
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

/* Where a value lies between two operands, the last bit of single precision decides which of them
 * it becomes, and they are two errors of rounding apart: one of them is allowed for all the
 * products of a sum. */
static void check_all(Dtype d)
{
    const char *only = getenv("CNNC_TEST_BODY");
    char err[256];
    Target t;
    Worst w = {.allowed = d == DTYPE_FP32 ? 0 : ldexp(1, -dtype_info[d].bits)};
    assert_true(api->target("sm_80", &t, err, sizeof err));
    t.dtype = d;
    narrow_tensors = line_sums = repeated = 0;
    channel_unit = d == DTYPE_BF16 ? CUDA_NARROW : 4;
    for (int i = 0; i < BODIES; i++)
        if (only == NULL || atoi(only) == i)
            try_body(&w, bodies[i], &t, RECOMPUTE_NONE);
    for (int i = BODIES - NETS; i < BODIES && only == NULL; i++)
        try_body(&w, bodies[i], &t, RECOMPUTE_ALL);
    printf("%s: %d values, worst error %.1e of the largest, %.1e on average; %d maps as bf16, %d "
           "sums over lines\n",
           dtype_info[d].name, w.values, w.error, w.sum / w.values, narrow_tensors, line_sums);
    assert_true(w.sum < 1e-5 * w.values); /* a rounding at the wrong place counts more */
    assert_true((d == DTYPE_BF16) == (narrow_tensors > 0) || only != NULL);
    assert_true((line_sums > 0 && repeated > 0) || only != NULL);
}

static void test_gradients(void **state)
{
    (void)state;
    check_all(DTYPE_FP32);
}

static void test_gradients_tf32(void **state)
{
    (void)state;
    check_all(DTYPE_TF32);
}

static void test_gradients_bf16(void **state)
{
    (void)state;
    check_all(DTYPE_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gradients, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(test_gradients_tf32, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(test_gradients_bf16, arena_up, arena_down),
    };
    api = suite_api();
    if (api == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
