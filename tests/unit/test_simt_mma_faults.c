/* Faults planted into the text of kernels for matrix units: each is found, by a report of its kind,
 * by bank conflicts, or by wrong values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cuda_contractions.h"

static const CodegenApi *api;

typedef enum Finding { CLEAN, REPORTED, CONFLICTS, WRONG } Finding;

/* A convolution by warps; by warp groups; one whose inputs come by a tensor map. */
typedef enum Victim { BY_WARPS, BY_GROUPS, BY_BOXES } Victim;

/* Every `from` becomes `to`; a "%" that ends `from` stands for a register, which stays where `to`
 * has one, and the rest of its line goes. */
typedef struct Fault {
    const char *name, *from, *to;
    Finding found;
    SimtFault kind;
    Dtype dtype;
    Victim victim;
} Fault;

static const Fault faults[] = {
    {"none, tf32", "", "", CLEAN, 0, DTYPE_TF32, BY_WARPS},
    {"none, bf16", "", "", CLEAN, 0, DTYPE_BF16, BY_WARPS},
    {"waits for a group less", "wait.group(i32 2)", "wait.group(i32 3)", REPORTED, SIMT_WAIT,
     DTYPE_TF32, BY_WARPS},
    {"waits for a group less", "wait.group(i32 2)", "wait.group(i32 3)", REPORTED, SIMT_WAIT,
     DTYPE_BF16, BY_WARPS},
    {"copies in no group", "call void @llvm.nvvm.cp.async.commit.group()", "", REPORTED, SIMT_WAIT,
     DTYPE_TF32, BY_WARPS},
    {"no barrier", "call void @llvm.nvvm.barrier0()", "", REPORTED, SIMT_RACE, DTYPE_TF32,
     BY_WARPS},
    {"no barrier", "call void @llvm.nvvm.barrier0()", "", REPORTED, SIMT_RACE, DTYPE_BF16,
     BY_WARPS},
    {"nothing is zeros", ", i32 16, i32 0", ", i32 16, i32 16", REPORTED, SIMT_BOUNDS, DTYPE_TF32,
     BY_WARPS},
    {"pieces in their own places", "xor i32 %, %", "add i32 %, 0", CONFLICTS, 0, DTYPE_TF32,
     BY_WARPS},
    {"pieces in their own places", "xor i32 %, %", "add i32 %, 0", CONFLICTS, 0, DTYPE_BF16,
     BY_WARPS},
    {"inputs not rounded", "call i32 @llvm.nvvm.f2tf32.rna(float %)", "bitcast float % to i32",
     WRONG, 0, DTYPE_TF32, BY_WARPS},
    {"none", "", "", CLEAN, 0, DTYPE_TF32, BY_GROUPS},
    {"none", "", "", CLEAN, 0, DTYPE_BF16, BY_GROUPS},
    {"no bytes announced", "arrive.expect_tx.shared::cta.b64 _, [$0], $1",
     "arrive.shared::cta.b64 _, [$0]", REPORTED, SIMT_WAIT, DTYPE_BF16, BY_GROUPS},
    {"half of the bytes announced", "i32 4096)", "i32 2048)", REPORTED, SIMT_DEADLOCK, DTYPE_BF16,
     BY_GROUPS},
    {"waits for even phases alone", "p, [$0], $1", "p, [$0], 0", REPORTED, SIMT_WAIT, DTYPE_BF16,
     BY_GROUPS},
    {"waits for odd phases alone", "p, [$0], $1", "p, [$0], 1", REPORTED, SIMT_WAIT, DTYPE_TF32,
     BY_GROUPS},
    {"no barrier before a buffer is filled again", "call void @llvm.nvvm.barrier0()", "", REPORTED,
     SIMT_RACE, DTYPE_BF16, BY_GROUPS},
    {"no fence", "\"fence.proxy.async.shared::cta;\"", "\"griddepcontrol.wait;\"", REPORTED,
     SIMT_FENCE, DTYPE_BF16, BY_GROUPS},
    {"a product more under way", "wait_group.sync.aligned 1", "wait_group.sync.aligned 2", REPORTED,
     SIMT_RACE, DTYPE_BF16, BY_GROUPS},
    {"the last product not awaited", "wait_group.sync.aligned 0", "wait_group.sync.aligned 1",
     WRONG, 0, DTYPE_BF16, BY_GROUPS},
    {"none", "", "", CLEAN, 0, DTYPE_BF16, BY_BOXES},
    {"the panel's bytes alone announced", "i32 12288)", "i32 4096)", REPORTED, SIMT_DEADLOCK,
     DTYPE_BF16, BY_BOXES},
    {"waits for even phases alone", "p, [$0], $1", "p, [$0], 0", REPORTED, SIMT_WAIT, DTYPE_BF16,
     BY_BOXES},
    {"no barrier before a buffer is filled again", "call void @llvm.nvvm.barrier0()", "", REPORTED,
     SIMT_RACE, DTYPE_BF16, BY_BOXES},
    {"columns for rows", "{$2, $3}", "{$3, $2}", WRONG, 0, DTYPE_BF16, BY_BOXES},
};

static const char *register_end(const char *p)
{
    while ((*p >= '0' && *p <= '9') || *p == '.' || *p == '_')
        p++;
    return p;
}

/* The end of `from` at p, its first register to *reg; NULL: it is not there. */
static const char *match(const char *p, const char *from, const char **reg)
{
    *reg = NULL;
    for (; *from; from++) {
        if (*p++ != *from)
            return NULL;
        if (*from != '%')
            continue;
        if (register_end(p) == p)
            return NULL;
        *reg = *reg ? *reg : p;
        p = register_end(p);
    }
    return p;
}

static int plant(Buf *out, const char *text, const Fault *f)
{
    int planted = 0;
    while (*text) {
        const char *reg, *end = *f->from ? match(text, f->from, &reg) : NULL;
        bool declared = end && strncmp(text, "declare", 7) == 0;
        if (!end || declared) {
            buf_addc(out, *text++);
            continue;
        }
        planted++;
        for (const char *t = f->to; *t; t++) {
            buf_addc(out, *t);
            if (*t == '%')
                buf_addn(out, reg, (size_t)(register_end(reg) - reg));
        }
        text = end;
    }
    return planted;
}

/* Tails in every dimension, and more steps of the reduction than the ring has. */
static Kernel victim(Dtype d, Victim v)
{
    int k = 64 / dtype_info[d].bytes;
    const CudaTile groups = {.threads = 256,
                             .m = 128,
                             .n = 64,
                             .k = k,
                             .tm = 64,
                             .tn = 64,
                             .dtype = d,
                             .stages = 4,
                             .group = true};
    if (v == BY_GROUPS)
        return cuda_spread(
            biased(tiled(windowed(FAM_CONV, (Conv){36, 60, 9, 10, 3, 1, 1, 1, 1}), groups)), false);
    if (v == BY_BOXES) {
        Kernel b = tiled(windowed(FAM_CONV, (Conv){328, 60, 9, 10, 1, 1, 1, 0, 1}), groups);
        b = cuda_spread(biased(b), false);
        b.narrow = 1 << KERNEL_ARG_IN;
        b.in_step = b.in.h * b.in.w * b.in.c;
        return b;
    }
    CudaTile tile = {
        .threads = 128, .m = 64, .n = 64, .k = k, .tm = 32, .tn = 32, .dtype = d, .stages = 4};
    return cuda_spread(
        biased(tiled(windowed(FAM_CONV, (Conv){36, 60, 9, 10, 3, 1, 1, 1, 1}), tile)), false);
}

static SimtModule *load_with(const Suite *s, const Fault *f, char *err, size_t len)
{
    EmitOptions o = {.prefix = CUDA_PREFIX, .net_name = "gpu", .max_batch = 1, .jobs = 1};
    EmitResult r = {0};
    Buf text = {0}, changed = {0};
    if (!api->emit(&s->plan, EMIT_LLVM_IR, &o, &r, err, len))
        return NULL;
    buf_addn(&text, r.pieces[0].data, r.pieces[0].len);
    api->emit_free(&r);
    assert_true(buf_ok(&text));
    int planted = plant(&changed, text.at, f);
    assert_true(buf_ok(&changed));
    if (*f->from && planted == 0)
        fail_msg("%s: not in the text", f->name);
    SimtModule *m = simt_load_text(changed.at, changed.len, SIMT_CHECK | SIMT_CONFLICTS, err, len);
    buf_free(&text);
    buf_free(&changed);
    return m;
}

static Finding finding(const SimtReport *r, bool right, SimtFault kind)
{
    if (r->faults[kind] > 0)
        return REPORTED;
    return r->total > 0 ? REPORTED : r->conflicts > 0 ? CONFLICTS : right ? CLEAN : WRONG;
}

static void test_fault(void **state)
{
    const Fault *f = *state;
    static Suite s;
    Target t;
    char err[1024] = "";
    assert_non_null(api);
    assert_true(api->target(f->victim == BY_WARPS ? "sm_80" : "sm_90a", &t, err, sizeof err));
    t.dtype = f->dtype;
    if (setjmp(s.oom.env))
        fail_msg("out of memory");
    suite_open(&s, &t);
    suite_add(&s, victim(f->dtype, f->victim));
    SimtModule *m = load_with(&s, f, err, sizeof err);
    if (!m)
        fail_msg("%s", err);
    CudaCase x = {.p = &s.plan, .batch = 2};
    x.c.k = &s.plan.kernels.at[0].k;
    x.c.t = &s.plan.target;
    bool right = cuda_check(&x, m);
    const SimtReport *r = simt_report();
    assert_int_equal(finding(r, right, f->kind), f->found);
    if (f->found == REPORTED)
        assert_true(r->faults[f->kind] > 0);
    simt_report_clear();
    simt_unload(m);
    suite_close(&s);
}

int main(void)
{
    enum { COUNT = sizeof faults / sizeof *faults };
    struct CMUnitTest tests[COUNT];
    for (int i = 0; i < COUNT; i++)
        tests[i] = (struct CMUnitTest){.name = faults[i].name,
                                       .test_func = test_fault,
                                       .initial_state = (void *)(uintptr_t)&faults[i]};
    api = suite_api();
    return cmocka_run_group_tests_name("faults in matrix kernels", tests, NULL, NULL);
}
