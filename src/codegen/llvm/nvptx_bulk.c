#include "codegen/llvm/nvptx_bulk.h"

/* Instructions take addresses in shared memory in 32 bits. */
static LLVMValueRef address(Emit *e, LLVMValueRef p)
{
    return LLVMBuildPtrToInt(e->b, p, e->i32, "");
}

static LLVMValueRef number(Emit *e, int64_t v)
{
    return LLVMConstInt(e->i32, (unsigned long long)v, 0);
}

void nvptx_phases_open(Emit *e, LLVMValueRef p, int count)
{
    for (int i = 0; i < count; i++) {
        LLVMValueRef args[2] = {emit_at_const(e, p, (int64_t)i * NVPTX_PHASES / 4), number(e, 1)};
        emit_intrinsic(e, "llvm.nvvm.mbarrier.init.shared", NULL, 0, args, 2);
    }
    /* for what completes them: copies are not ordered with the threads' own writes */
    nvptx_assembly(e, e->none, "fence.mbarrier_init.release.cluster;", "~{memory}", NULL, 0);
    nvptx_assembly(e, e->none, "fence.proxy.async.shared::cta;", "~{memory}", NULL, 0);
}

void nvptx_phase_expect(Emit *e, LLVMValueRef barrier, int64_t bytes)
{
    LLVMValueRef args[2] = {address(e, barrier), number(e, bytes)};
    nvptx_assembly(e, e->none, "mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1;",
                   "r,r,~{memory}", args, 2);
}

void nvptx_phase_wait(Emit *e, LLVMValueRef barrier, LLVMValueRef parity)
{
    LLVMValueRef args[2] = {address(e, barrier), parity};
    nvptx_assembly(e, e->none,
                   "{ .reg .pred p; again: mbarrier.try_wait.parity.shared::cta.b64 p, [$0], $1; "
                   "@!p bra again; }",
                   "r,r,~{memory}", args, 2);
}

void nvptx_bulk(Emit *e, LLVMValueRef to, LLVMValueRef from, int64_t bytes, LLVMValueRef barrier)
{
    LLVMValueRef args[4] = {address(e, to), LLVMBuildPtrToInt(e->b, from, e->i64, ""),
                            number(e, bytes), address(e, barrier)};
    nvptx_assembly(e, e->none,
                   "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [$0], [$1], "
                   "$2, [$3];",
                   "r,l,r,r,~{memory}", args, 4);
}

void nvptx_bulk_box(Emit *e, LLVMValueRef to, LLVMValueRef map, LLVMValueRef column,
                    LLVMValueRef row, LLVMValueRef barrier)
{
    LLVMValueRef args[5] = {address(e, to), LLVMBuildPtrToInt(e->b, map, e->i64, ""), column, row,
                            address(e, barrier)};
    nvptx_assembly(
        e, e->none,
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
        "[$0], [$1, {$2, $3}], [$4];",
        "r,l,r,r,r,~{memory}", args, 5);
}
