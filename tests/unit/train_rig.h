/* Kernels of training steps made by hand and loaded for every vector width this machine has.
 * Include after cmocka.h. */
#ifndef CNNC_TEST_TRAIN_RIG_H
#define CNNC_TEST_TRAIN_RIG_H
#include "train_case.h"
#include <setjmp.h>

static const CodegenApi *api;

/* Kernels of one target, and the batches they are tried with. */
typedef struct Rig {
    Suite s;
    Loaded *code;
    const CnnrtModel *model;
} Rig;

static const char *const cpus[] = {"native", "x86-64-v4", "x86-64-v3", "x86-64-v2"};
enum { CPUS = sizeof cpus / sizeof *cpus };

/* False where this machine does not run code for cpu i. */
static inline bool rig_open(Rig *rig, int i)
{
    Target t;
    char err[1024] = "";
    if (i > 0 && !suite_runs_here(cpus[i]))
        return false;
    assert_non_null(api);
    assert_true(api->target(cpus[i], &t, err, sizeof err));
    suite_open(&rig->s, &t);
    return true;
}

static inline void rig_load(Rig *rig)
{
    char err[4096] = "";
    EmitOptions o = {.prefix = "rig", .net_name = "rig", .max_batch = 1, .jobs = 2};
    const void *model = NULL;
    rig->code = api->load(&rig->s.plan, &o, &model, err, sizeof err);
    if (!rig->code)
        fail_msg("%s: %s", rig->s.plan.target.cpu, err);
    rig->model = model;
}

static inline void rig_close(Rig *rig)
{
    if (rig->code)
        api->unload(rig->code);
    rig->code = NULL;
    suite_close(&rig->s);
}

static inline CnnrtRun run_of(int64_t batch)
{
    CnnrtRun run = {.batch = batch, .seed = 0x9E3779B97F4A7C15u, .step = 3};
    for (int i = 0; i < CNNRT_HYPER; i++)
        run.hyper[i] = 0.125f * (float)(i + 1) + 0.01f;
    return run;
}

typedef void Body(Rig *rig, const char *cpu);

static inline void on_target(int i, Body *body)
{
    static Rig rig;
    if (setjmp(rig.s.oom.env))
        fail_msg("out of memory");
    if (!rig_open(&rig, i))
        return;
    body(&rig, cpus[i]);
    rig_close(&rig);
}

static inline MapDesc run_map(int64_t n)
{
    return (MapDesc){LAYOUT_PLANAR, n, 1, 1};
}

static inline Kernel whole_kernel(Rig *rig, Family f, MapDesc in, MapDesc out)
{
    Kernel k = kernel(f, in, out);
    k.whole = true;
    k.pool_expr = &rig->s.pool;
    return k;
}

/* Adds an extra operand; its argument. */
static inline ExprId extra(Rig *rig, Kernel *k, ArgKind kind, int hyper)
{
    k->extra[k->extra_count] = kind;
    k->hyper[k->extra_count] = hyper;
    return expr_arg(&rig->s.pool, (uint32_t)++k->extra_count);
}

static inline void root(Kernel *k, ExprId e, int to)
{
    k->root_of[k->root_count] = e;
    k->root_to[k->root_count++] = to;
}

static inline ExprId binary(Rig *rig, ExprOp op, ExprId a, ExprId b)
{
    return expr_binary(&rig->s.pool, op, a, b);
}

static inline ExprId square(Rig *rig, ExprId a)
{
    return binary(rig, EX_MUL, a, a);
}

static inline ExprId real(Rig *rig, double v)
{
    return expr_const(&rig->s.pool, v);
}
#endif
