#include "codegen/llvm/nvptx_group.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_SUMS = NVPTX_GROUP_MOST / 2, TEXT = 2048 };

/* A text that is known to fit: at most MOST_SUMS operands of five characters, twice. */
typedef struct Text {
    char at[TEXT];
    size_t len;
} Text;

__attribute__((format(printf, 2, 3))) static void add(Text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->at + t->len, sizeof t->at - t->len, fmt, ap);
    va_end(ap);
    t->len += n > 0 ? (size_t)n : 0;
}

void nvptx_group_publish(Emit *e)
{
    nvptx_assembly(e, e->none, "fence.proxy.async.shared::cta;", "~{memory}", NULL, 0);
}

void nvptx_group_begin(Emit *e)
{
    nvptx_assembly(e, e->none, "wgmma.fence.sync.aligned;", "~{memory}", NULL, 0);
}

LLVMValueRef nvptx_group_operand(Emit *e, LLVMValueRef p, int row_bytes)
{
    /* in units of 16 bytes: the address; unused with exchanged pieces; eight rows; which exchange
     */
    uint64_t mode = row_bytes == 128 ? 1 : 2;
    uint64_t fixed = 1u << 16 | (uint64_t)row_bytes * 8 / 16 << 32 | mode << 62;
    LLVMValueRef at = LLVMBuildPtrToInt(e->b, p, e->i64, "");
    at = LLVMBuildAnd(e->b, at, LLVMConstInt(e->i64, 0x3FFFF, 0), "");
    at = LLVMBuildLShr(e->b, at, LLVMConstInt(e->i64, 4, 0), "");
    return LLVMBuildOr(e->b, at, LLVMConstInt(e->i64, fixed, 0), "");
}

LLVMValueRef nvptx_group_further(Emit *e, LLVMValueRef operand, int bytes)
{
    return LLVMBuildAdd(e->b, operand, LLVMConstInt(e->i64, (unsigned)bytes / 16, 0), "");
}

static LLVMTypeRef all_sums(Emit *e, int n)
{
    LLVMTypeRef types[MOST_SUMS];
    for (int i = 0; i < n / 2; i++)
        types[i] = e->f32;
    return LLVMStructTypeInContext(e->ctx, types, (unsigned)n / 2, 0);
}

/* Results, then the same registers as operands. */
static void tie(Text *t, int n)
{
    for (int i = 0; i < n / 2; i++)
        add(t, "%s=f", i ? "," : "");
    for (int i = 0; i < n / 2; i++)
        add(t, ",%d", i);
}

static void take(Emit *e, LLVMValueRef all, int n, LLVMValueRef *sums)
{
    for (int i = 0; i < n / 2; i++)
        sums[i] = LLVMBuildExtractValue(e->b, all, (unsigned)i, "");
}

void nvptx_group_multiply(Emit *e, Dtype d, int n, LLVMValueRef a, LLVMValueRef b,
                          LLVMValueRef *sums)
{
    Text code = {0}, constraints = {0};
    LLVMValueRef args[MOST_SUMS + 3];
    bool bf16 = d == DTYPE_BF16;
    const char *type = dtype_info[d].name;
    int half = n / 2;
    add(&code, "{ .reg .pred p; setp.ne.b32 p, $%d, 0; wgmma.mma_async.sync.aligned.m64n%dk%d.f32.",
        n + 2, n, bf16 ? 16 : 8);
    add(&code, "%s.%s {", type, type);
    for (int i = 0; i < half; i++)
        add(&code, "%s$%d", i ? "," : "", i);
    /* operands that are tied have numbers, too */
    add(&code, "}, $%d, $%d, p, 1, 1%s; }", n, n + 1, bf16 ? ", 0, 0" : "");
    tie(&constraints, n);
    add(&constraints, ",l,l,r");
    for (int i = 0; i < half; i++)
        args[i] = sums[i];
    args[half] = a;
    args[half + 1] = b;
    args[half + 2] = LLVMConstInt(e->i32, 1, 0);
    take(e, nvptx_assembly(e, all_sums(e, n), code.at, constraints.at, args, (unsigned)half + 3), n,
         sums);
}

void nvptx_group_end(Emit *e)
{
    nvptx_assembly(e, e->none, "wgmma.commit_group.sync.aligned;", "~{memory}", NULL, 0);
}

/* The sums pass through the wait, so that nothing that reads them is moved above it. */
void nvptx_group_wait(Emit *e, int steps, int n, LLVMValueRef *sums)
{
    Text code = {0}, constraints = {0};
    add(&code, "wgmma.wait_group.sync.aligned %d;", steps);
    tie(&constraints, n);
    add(&constraints, ",~{memory}");
    take(e, nvptx_assembly(e, all_sums(e, n), code.at, constraints.at, sums, (unsigned)n / 2), n,
         sums);
}
