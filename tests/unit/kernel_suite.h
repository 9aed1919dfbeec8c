/* A set of hand-made kernels for one target, compiled and loaded the way a network is: as a plan
 * without a graph, through the door of the code generator. */
#ifndef CNNC_TEST_KERNEL_SUITE_H
#define CNNC_TEST_KERNEL_SUITE_H
#include "codegen/codegen.h"
#include "kernel_case.h"
#include <dlfcn.h>

typedef struct Suite {
    Arena arena;
    OomHandler oom;
    ExprPool pool;
    Graph graph;
    Analysis an;
    Plan plan;
    int failures;
} Suite;

typedef enum Epilogue { PLAIN, RELU, RESIDUAL, AFFINE, SILU, GELU, GATED_RESIDUAL } Epilogue;

/* The library stands beside the test programs: build/tests, build/lib. */
static inline const CodegenApi *suite_api(void)
{
    char path[4096], self[4000];
    const char *env = getenv("CNNC_CODEGEN");
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return NULL;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = 0;
    snprintf(path, sizeof path, "%s/../lib/libcnnc_codegen.so", self);
    void *lib = dlopen(env ? env : path, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    CodegenEntry *entry = (CodegenEntry *)dlsym(lib, "cnnc_codegen_entry");
    return entry ? entry() : NULL;
}

/* Whether this machine runs code for an x86-64 level; on other machines only "native" is tried. */
static inline bool suite_runs_here(const char *cpu)
{
#if defined(__x86_64__)
    if (strcmp(cpu, "x86-64-v4") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512cd");
    if (strcmp(cpu, "x86-64-v3") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return true;
#else
    return strcmp(cpu, "native") == 0;
#endif
}

/* s->oom.env has been set. */
static inline void suite_open(Suite *s, const Target *t)
{
    s->pool = (ExprPool){0};
    s->graph = (Graph){0};
    s->an = (Analysis){0};
    s->plan = (Plan){0};
    s->failures = 0;
    arena_init(&s->arena, &s->oom, 0);
    expr_init(&s->pool, &s->arena);
    s->an.g = &s->graph;
    s->plan.arena = &s->arena;
    s->plan.an = &s->an;
    s->plan.target = *t;
}

/* Chooses a tile unless k brings one, and adds k. */
static inline void suite_add(Suite *s, Kernel k)
{
    Plan *p = &s->plan;
    if (!k.tile.ocv)
        family_choose_tile(&k, &p->target);
    Buf key = {0};
    family_key(&k, &p->target, &key);
    PlanStep step = {.kernel = p->kernels.len, .units = family_units(&k, &p->target)};
    step.name = arena_strndup(&s->arena, key.at, key.len);
    PlanKernel entry = {.k = k, .key = step.name, .uses = 1};
    vec_push(&s->arena, &p->kernels, entry);
    vec_push(&s->arena, &p->steps, step);
    buf_free(&key);
}

static inline MapDesc blocked(int64_t c, int64_t h, int64_t w)
{
    return (MapDesc){LAYOUT_BLOCKED, c, h, w};
}

static inline MapDesc planar(int64_t c, int64_t h, int64_t w)
{
    return (MapDesc){LAYOUT_PLANAR, c, h, w};
}

static inline Kernel kernel(Family f, MapDesc in, MapDesc out)
{
    return (Kernel){.family = f, .in = in, .out = out, .groups = 1, .gate_arg = -1};
}

static inline ExprId sigmoid_of(ExprPool *p, ExprId x)
{
    ExprId one = expr_const(p, 1);
    ExprId e = expr_unary(p, EX_EXP, expr_unary(p, EX_NEG, x));
    return expr_binary(p, EX_DIV, one, expr_binary(p, EX_ADD, one, e));
}

static inline ExprId gelu_of(ExprPool *p, ExprId x)
{
    ExprId erf = expr_unary(p, EX_ERF, expr_binary(p, EX_MUL, x, expr_const(p, 0.70710678118)));
    ExprId half = expr_binary(p, EX_MUL, x, expr_const(p, 0.5));
    return expr_binary(p, EX_MUL, half, expr_binary(p, EX_ADD, erf, expr_const(p, 1)));
}

/* Gives k an epilogue; its operands come after those k has already. */
static inline Kernel with(Suite *s, Kernel k, Epilogue how)
{
    ExprPool *p = &s->pool;
    int first = k.extra_count;
    ExprId x = expr_arg(p, 0), zero = expr_const(p, 0);
    ExprId a = expr_arg(p, (uint32_t)first + 1), b = expr_arg(p, (uint32_t)first + 2);
    k.pool_expr = p;
    switch (how) {
    case PLAIN: break;
    case RELU: k.root = expr_binary(p, EX_MAX, x, zero); break;
    case RESIDUAL:
        k.extra[k.extra_count++] = KARG_MAP;
        k.root = expr_binary(p, EX_MAX, expr_binary(p, EX_ADD, x, a), zero);
        break;
    case AFFINE:
        k.extra[k.extra_count++] = KARG_CHANNEL;
        k.extra[k.extra_count++] = KARG_CHANNEL;
        k.root = expr_binary(p, EX_ADD, expr_binary(p, EX_MUL, x, a), b);
        break;
    case SILU: k.root = expr_binary(p, EX_MUL, x, sigmoid_of(p, x)); break;
    case GELU: k.root = gelu_of(p, x); break;
    case GATED_RESIDUAL:
        k.extra[k.extra_count++] = KARG_GATE;
        k.extra[k.extra_count++] = KARG_MAP;
        k.root = expr_select_gt0(p, x, expr_binary(p, EX_MUL, x, a),
                                 expr_binary(p, EX_MIN, expr_unary(p, EX_TANH, x), b));
        break;
    }
    return k;
}

typedef void SuiteFill(Suite *s);
/* Checks the code of kernel i; says what is wrong and counts it in s->failures. */
typedef void SuiteCheck(Suite *s, CnnrtKernel code, uint32_t i, const void *with);

/* Loads everything added and checks every kernel. */
static inline void suite_check(Suite *s, const CodegenApi *api, SuiteCheck *check, const void *with)
{
    char err[4096] = "";
    EmitOptions o = {.prefix = "suite", .net_name = "suite", .max_batch = 1, .jobs = 2};
    const void *model = NULL;
    Loaded *code = api->load(&s->plan, &o, &model, err, sizeof err);
    if (!code) {
        fprintf(stderr, "# %s: %s\n", s->plan.target.cpu, err);
        s->failures++;
        return;
    }
    const CnnrtModel *m = model;
    for (uint32_t i = 0; i < s->plan.kernels.len; i++) {
        if (getenv("CNNC_TEST_VERBOSE"))
            fprintf(stderr, "# %s: %s\n", s->plan.target.cpu, m->steps[i].name);
        check(s, m->steps[i].kernel, i, with);
    }
    api->unload(code);
}

static inline void suite_wrong(Suite *s, uint32_t i, const char *message)
{
    fprintf(stderr, "# %s: %s\n#   %s\n", s->plan.target.cpu, s->plan.kernels.at[i].key, message);
    s->failures++;
}

static inline void suite_close(Suite *s)
{
    arena_free(&s->arena);
}

/* Fills and checks a suite on every level of vector code that this machine runs, else on what it
 * is; the test fails when any kernel did. */
static inline void suite_on_levels(const CodegenApi *api, SuiteFill *fill, SuiteCheck *check,
                                   const void *with)
{
    static const char *const cpus[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2", "native"};
    static int ran, failures;
    ran = failures = 0;
    assert_non_null(api);
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        static Suite s;
        Target t;
        char err[1024];
        if (!suite_runs_here(cpus[i]) || (ran > 0 && strcmp(cpus[i], "native") == 0))
            continue;
        assert_true(api->target(cpus[i], &t, err, sizeof err));
        if (setjmp(s.oom.env))
            fail_msg("out of memory");
        suite_open(&s, &t);
        fill(&s);
        suite_check(&s, api, check, with);
        failures += s.failures;
        suite_close(&s);
        ran++;
    }
    assert_int_equal(failures, 0);
    if (!ran)
        skip();
}

/* All of it becomes code for 64-bit Arm, too: what this machine cannot run it can still compile. */
static inline void suite_compiles_for_arm(const CodegenApi *api, SuiteFill *const *fill, size_t n)
{
    enum { ELF_MACHINE = 18, AARCH64 = 183 };
    Target t = {.triple = "aarch64-unknown-linux-gnu",
                .cpu = "generic",
                .vl = 4,
                .regs = 32,
                .l1 = 64 << 10,
                .l2 = 512 << 10};
    static Suite s;
    char err[1024] = "";
    EmitResult r;
    EmitOptions o = {.prefix = "suite", .net_name = "suite", .max_batch = 1, .jobs = 2};
    assert_non_null(api);
    if (setjmp(s.oom.env))
        fail_msg("out of memory");
    suite_open(&s, &t);
    for (size_t i = 0; i < n; i++)
        fill[i](&s);
    if (!api->emit(&s.plan, EMIT_OBJECT, &o, &r, err, sizeof err))
        fail_msg("%s", err);
    assert_true(r.count > 0);
    for (int i = 0; i < r.count; i++) {
        assert_true(r.pieces[i].len > ELF_MACHINE);
        assert_int_equal((unsigned char)r.pieces[i].data[ELF_MACHINE], AARCH64);
    }
    api->emit_free(&r);
    suite_close(&s);
}
#endif
