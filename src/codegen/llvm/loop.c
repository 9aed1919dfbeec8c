#include "codegen/llvm/loop.h"

void loop_begin(Emit *e, Loop *l, LLVMValueRef start, LLVMValueRef end, int64_t step, bool runs,
                int n, LLVMValueRef *values)
{
    int64_t lo, hi;
    bool known = emit_known(start, &lo) && emit_known(end, &hi);
    l->n = n;
    l->step = step;
    l->end = end;
    l->once = known && lo < hi && lo + step >= hi;
    l->guarded = known ? lo >= hi : !runs;
    if (l->once) {
        l->iv = start;
        return;
    }
    l->pre = LLVMGetInsertBlock(e->b);
    l->body = emit_block(e, "loop");
    l->exit = emit_block(e, "done");
    if (l->guarded)
        LLVMBuildCondBr(e->b, emit_less(e, start, end), l->body, l->exit);
    else
        LLVMBuildBr(e->b, l->body);
    LLVMPositionBuilderAtEnd(e->b, l->body);
    l->iv = LLVMBuildPhi(e->b, LLVMTypeOf(start), "i");
    LLVMAddIncoming(l->iv, &start, &l->pre, 1);
    for (int i = 0; i < n; i++) {
        l->first[i] = values[i];
        l->phi[i] = LLVMBuildPhi(e->b, LLVMTypeOf(values[i]), "");
        LLVMAddIncoming(l->phi[i], &l->first[i], &l->pre, 1);
        values[i] = l->phi[i];
    }
}

void loop_end(Emit *e, Loop *l, LLVMValueRef *values)
{
    if (l->once)
        return;
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
    LLVMValueRef step = LLVMConstInt(LLVMTypeOf(l->iv), (unsigned long long)l->step, 1);
    LLVMValueRef next = LLVMBuildNSWAdd(e->b, l->iv, step, "");
    LLVMBuildCondBr(e->b, emit_less(e, next, l->end), l->body, l->exit);
    LLVMAddIncoming(l->iv, &next, &latch, 1);
    for (int i = 0; i < l->n; i++)
        LLVMAddIncoming(l->phi[i], &values[i], &latch, 1);
    LLVMMoveBasicBlockAfter(l->exit, latch);
    LLVMPositionBuilderAtEnd(e->b, l->exit);
    for (int i = 0; l->guarded && i < l->n; i++) {
        LLVMValueRef after = LLVMBuildPhi(e->b, LLVMTypeOf(values[i]), "");
        LLVMAddIncoming(after, &l->first[i], &l->pre, 1);
        LLVMAddIncoming(after, &values[i], &latch, 1);
        values[i] = after;
    }
}

void loop_count(Emit *e, Loop *l, int64_t end)
{
    loop_begin(e, l, emit_int(e, 0), emit_int(e, end), 1, false, 0, NULL);
}

void if_begin(Emit *e, If *f, LLVMValueRef cond)
{
    LLVMBasicBlockRef then = emit_block(e, "then");
    f->other = emit_block(e, "else");
    f->join = NULL;
    LLVMBuildCondBr(e->b, cond, then, f->other);
    LLVMPositionBuilderAtEnd(e->b, then);
}

void if_else(Emit *e, If *f)
{
    f->join = emit_block(e, "join");
    LLVMBuildBr(e->b, f->join);
    LLVMMoveBasicBlockAfter(f->other, LLVMGetInsertBlock(e->b));
    LLVMPositionBuilderAtEnd(e->b, f->other);
}

void if_end(Emit *e, If *f)
{
    LLVMBasicBlockRef join = f->join ? f->join : f->other;
    LLVMBuildBr(e->b, join);
    LLVMMoveBasicBlockAfter(join, LLVMGetInsertBlock(e->b));
    LLVMPositionBuilderAtEnd(e->b, join);
}
