/* Before each load and store of memory that is not the thread's own, a call that checks it and says
 * where to do it. */
#include "memory.h"
#include "module.h"
#include <string.h>

static void *check(const void *p, uint64_t site)
{
    const Site *s = module_site(block.module, (uint32_t)site);
    memory_align(p, s->align, (uint32_t)site);
    if ((uintptr_t)p - (uintptr_t)shared_arena() < SHARED_ARENA)
        bank_note(shared_offset((uintptr_t)p), s->bytes, s->align, (uint32_t)site);
    return memory_access(p, s->bytes, s->access, s->space, (uint32_t)site);
}

/* memcpy, memmove and memset, whose length is known only here. */
static void copy(void *to, const void *from, uint64_t bytes, uint64_t site)
{
    if (!bytes)
        return;
    char *d = memory_access(to, bytes, ACCESS_STORE, SPACE_GENERIC, (uint32_t)site);
    const char *s = memory_access(from, bytes, ACCESS_LOAD, SPACE_GENERIC, (uint32_t)site);
    if (d == to && s == from)
        memmove(d, s, bytes);
}

static void fill(void *to, uint64_t value, uint64_t bytes, uint64_t site)
{
    if (bytes && memory_access(to, bytes, ACCESS_STORE, SPACE_GENERIC, (uint32_t)site) == to)
        memset(to, (int)value, bytes);
}

/* A pointer into what the thread has on its stack. */
static bool is_local(LLVMValueRef p)
{
    for (;;) {
        if (LLVMGetPointerAddressSpace(LLVMTypeOf(p)) == SPACE_LOCAL || LLVMIsAAllocaInst(p))
            return true;
        if (!LLVMIsAGetElementPtrInst(p) && !LLVMIsAAddrSpaceCastInst(p))
            return false;
        p = LLVMGetOperand(p, 0);
    }
}

static LLVMTypeRef pointer(Rewrite *r)
{
    return LLVMPointerTypeInContext(r->c, 0);
}

static LLVMValueRef number(Rewrite *r, uint64_t n)
{
    return LLVMConstInt(LLVMInt64TypeInContext(r->c), n, 0);
}

static LLVMValueRef plain(Rewrite *r, LLVMValueRef p)
{
    return LLVMGetPointerAddressSpace(LLVMTypeOf(p)) == SPACE_GENERIC
               ? p
               : LLVMBuildAddrSpaceCast(r->b, p, pointer(r), "");
}

/* What `inst` touches: its type, through which operand; false for other instructions. */
static bool memory_operand(LLVMValueRef inst, LLVMTypeRef *type, unsigned *operand, Site *s)
{
    switch (LLVMGetInstructionOpcode(inst)) {
    case LLVMLoad:
        *type = LLVMTypeOf(inst);
        *operand = 0;
        s->access = ACCESS_LOAD;
        break;
    case LLVMStore:
        *type = LLVMTypeOf(LLVMGetOperand(inst, 0));
        *operand = 1;
        s->access = ACCESS_STORE;
        break;
    case LLVMAtomicRMW:
    case LLVMAtomicCmpXchg:
        *type = LLVMTypeOf(LLVMGetOperand(inst, 1));
        *operand = 0;
        s->access = ACCESS_ATOMIC;
        break;
    default: return false;
    }
    if (s->access != ACCESS_ATOMIC && LLVMGetOrdering(inst) != LLVMAtomicOrderingNotAtomic)
        s->access = ACCESS_ATOMIC;
    return true;
}

static bool check_instruction(Rewrite *r, LLVMValueRef inst, Site s)
{
    LLVMTypeRef type, arg[2] = {pointer(r), LLVMInt64TypeInContext(r->c)};
    unsigned operand;
    if (!memory_operand(inst, &type, &operand, &s))
        return true;
    LLVMValueRef p = LLVMGetOperand(inst, operand);
    if (is_local(p))
        return true;
    s.bytes = (uint32_t)LLVMStoreSizeOfType(r->layout, type);
    s.align = LLVMGetAlignment(inst);
    s.space = (uint8_t)LLVMGetPointerAddressSpace(LLVMTypeOf(p));
    uint32_t site = rewrite_site(r, s);
    if (site == NO_SITE)
        return rewrite_fail(r, "out of memory");
    LLVMPositionBuilderBefore(r->b, inst);
    LLVMValueRef args[2] = {plain(r, p), number(r, site)};
    LLVMTypeRef ft = LLVMFunctionType(pointer(r), arg, 2, 0);
    LLVMValueRef at = rewrite_call(r, (void *)(uintptr_t)check, ft, args, 2);
    LLVMSetOperand(inst, operand, at);
    /* the host must bear what the device would not; atomic operations must stay aligned there */
    if (s.access != ACCESS_ATOMIC)
        LLVMSetAlignment(inst, 1);
    return true;
}

static bool begins(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

static bool check_block(Rewrite *r, LLVMValueRef call, Site s)
{
    size_t len;
    const char *name = LLVMGetValueName2(LLVMGetCalledValue(call), &len);
    bool moves = begins(name, "llvm.memcpy.") || begins(name, "llvm.memmove.");
    if (!moves && !begins(name, "llvm.memset."))
        return true;
    if (is_local(LLVMGetOperand(call, 0)) && (!moves || is_local(LLVMGetOperand(call, 1))))
        return true;
    uint32_t site = rewrite_site(r, s);
    if (site == NO_SITE)
        return rewrite_fail(r, "out of memory");
    LLVMTypeRef i64 = LLVMInt64TypeInContext(r->c);
    LLVMTypeRef arg[4] = {pointer(r), moves ? pointer(r) : i64, i64, i64};
    LLVMPositionBuilderBefore(r->b, call);
    LLVMValueRef args[4] = {plain(r, LLVMGetOperand(call, 0)), LLVMGetOperand(call, 1),
                            LLVMBuildZExt(r->b, LLVMGetOperand(call, 2), i64, ""), number(r, site)};
    args[1] = moves ? plain(r, args[1]) : LLVMBuildZExt(r->b, args[1], i64, "");
    LLVMTypeRef ft = LLVMFunctionType(LLVMVoidTypeInContext(r->c), arg, 4, 0);
    rewrite_call(r, moves ? (void *)(uintptr_t)copy : (void *)(uintptr_t)fill, ft, args, 4);
    LLVMInstructionEraseFromParent(call);
    return true;
}

bool access_check(Rewrite *r, LLVMValueRef inst, Site s)
{
    return LLVMGetInstructionOpcode(inst) == LLVMCall ? check_block(r, inst, s)
                                                      : check_instruction(r, inst, s);
}
