#include "codegen/llvm/nvptx_matrix.h"

void nvptx_copy(Emit *e, LLVMValueRef to, LLVMValueRef from, LLVMValueRef valid)
{
    LLVMValueRef all = LLVMConstInt(e->i32, NVPTX_COPY, 0), none = LLVMConstInt(e->i32, 0, 0);
    LLVMValueRef args[3] = {to, from, valid ? emit_select(e, valid, all, none) : NULL};
    emit_intrinsic(e,
                   valid ? "llvm.nvvm.cp.async.cg.shared.global.16.s"
                         : "llvm.nvvm.cp.async.cg.shared.global.16",
                   NULL, 0, args, valid ? 3 : 2);
}

void nvptx_copy_close(Emit *e)
{
    emit_intrinsic(e, "llvm.nvvm.cp.async.commit.group", NULL, 0, NULL, 0);
}

void nvptx_copy_wait(Emit *e, int groups)
{
    LLVMValueRef n = LLVMConstInt(e->i32, (unsigned)groups, 0);
    emit_intrinsic(e, "llvm.nvvm.cp.async.wait.group", NULL, 0, &n, 1);
}

void nvptx_read_matrices(Emit *e, LLVMValueRef row, bool turned, LLVMValueRef word[4])
{
    LLVMTypeRef shared = nvptx_pointer(e, NVPTX_SHARED);
    LLVMValueRef all = emit_intrinsic(e,
                                      turned ? "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16"
                                             : "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16",
                                      &shared, 1, &row, 1);
    for (unsigned i = 0; i < 4; i++)
        word[i] = LLVMBuildExtractValue(e->b, all, i, "");
}

void nvptx_multiply(Emit *e, Dtype d, const LLVMValueRef a[4], const LLVMValueRef b[2],
                    LLVMValueRef sums[4])
{
    LLVMValueRef args[10] = {a[0], a[1],    a[2],    a[3],    b[0],
                             b[1], sums[0], sums[1], sums[2], sums[3]};
    LLVMValueRef all = emit_intrinsic(e,
                                      d == DTYPE_BF16 ? "llvm.nvvm.mma.m16n8k16.row.col.bf16"
                                                      : "llvm.nvvm.mma.m16n8k8.row.col.tf32",
                                      NULL, 0, args, 10);
    for (unsigned i = 0; i < 4; i++)
        sums[i] = LLVMBuildExtractValue(e->b, all, i, "");
}

LLVMValueRef nvptx_round_tf32(Emit *e, LLVMValueRef v)
{
    return emit_intrinsic(e, "llvm.nvvm.f2tf32.rna", NULL, 0, &v, 1);
}

LLVMValueRef nvptx_round_bf16(Emit *e, LLVMValueRef low, LLVMValueRef high)
{
    LLVMValueRef args[2] = {high, low}; /* the first is the upper half */
    LLVMValueRef both = emit_intrinsic(e, "llvm.nvvm.ff2bf16x2.rn", NULL, 0, args, 2);
    return LLVMBuildBitCast(e->b, both, e->i32, "");
}
