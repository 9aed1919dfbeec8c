#include "assembly.h"
#include "module.h"
#include "operation.h"
#include <stdlib.h>
#include <string.h>

enum { WORDS = ASM_OPERANDS };

static const struct Row {
    const char *name;
    Operation *run;
    int variant;
} rows[] = {
#define OP(name, function, variant) {name, op_##function, variant},
#include "op.def"
#undef OP
};

/* What LLVM's NVPTX back end makes code for, beside its own intrinsics. Others it compiles to calls
 * of functions that do not exist, some without a word. */
static const char *const portable[] = {"fma.",
                                       "fmuladd.",
                                       "fabs.",
                                       "sqrt.",
                                       "floor.",
                                       "ceil.",
                                       "trunc.",
                                       "rint.",
                                       "nearbyint.",
                                       "round.",
                                       "roundeven.",
                                       "minnum.",
                                       "maxnum.",
                                       "minimum.",
                                       "maximum.",
                                       "copysign.",
                                       "smin.",
                                       "smax.",
                                       "umin.",
                                       "umax.",
                                       "abs.",
                                       "ctpop.",
                                       "ctlz.",
                                       "cttz.",
                                       "bswap.",
                                       "bitreverse.",
                                       "fshl.",
                                       "fshr.",
                                       "memcpy.",
                                       "memmove.",
                                       "memset.",
                                       "assume",
                                       "lifetime.",
                                       "expect.",
                                       "dbg.",
                                       "experimental.noalias.scope.decl",
                                       "umul.with.overflow.",
                                       "uadd.with.overflow.",
                                       "usub.sat.",
                                       "uadd.sat.",
                                       "ssub.sat.",
                                       "sadd.sat.",
                                       "trap",
                                       "vector.reduce.",
                                       "is.fpclass."};

static bool begins(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

/* The row of an intrinsic; overloads add the pointer's kind to the name. */
static const struct Row *find(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i].name);
        if (strncmp(name, rows[i].name, n) != 0)
            continue;
        if (!name[n] || (name[n] == '.' && name[n + 1] == 'p' &&
                         strspn(name + n + 2, "0123456789") == strlen(name + n + 2)))
            return &rows[i];
    }
    return NULL;
}

static LLVMTypeRef i64(Rewrite *r)
{
    return LLVMInt64TypeInContext(r->c);
}

static unsigned bit_width(Rewrite *r, LLVMTypeRef t)
{
    return (unsigned)LLVMSizeOfTypeInBits(r->layout, t);
}

static LLVMValueRef to_word(Rewrite *r, LLVMValueRef v)
{
    LLVMTypeRef t = LLVMTypeOf(v);
    if (LLVMGetTypeKind(t) == LLVMPointerTypeKind)
        return LLVMBuildPtrToInt(r->b, v, i64(r), "");
    if (LLVMGetTypeKind(t) != LLVMIntegerTypeKind)
        v = LLVMBuildBitCast(r->b, v, LLVMIntTypeInContext(r->c, bit_width(r, t)), "");
    return LLVMBuildZExtOrBitCast(r->b, v, i64(r), "");
}

static LLVMValueRef from_word(Rewrite *r, LLVMValueRef v, LLVMTypeRef t)
{
    if (LLVMGetTypeKind(t) == LLVMPointerTypeKind)
        return LLVMBuildIntToPtr(r->b, v, t, "");
    v = LLVMBuildTruncOrBitCast(r->b, v, LLVMIntTypeInContext(r->c, bit_width(r, t)), "");
    return LLVMBuildBitCast(r->b, v, t, "");
}

/* Word i of the function's operands, or behind them of its results. */
static LLVMValueRef word(Rewrite *r, unsigned i)
{
    LLVMValueRef index = LLVMConstInt(i64(r), i, 0);
    return LLVMBuildGEP2(r->b, i64(r), r->words, &index, 1, "");
}

static LLVMValueRef load_result(Rewrite *r, unsigned i, LLVMTypeRef t)
{
    return from_word(r, LLVMBuildLoad2(r->b, i64(r), word(r, WORDS + i), ""), t);
}

static LLVMValueRef load_results(Rewrite *r, LLVMTypeRef t)
{
    if (LLVMGetTypeKind(t) != LLVMStructTypeKind)
        return load_result(r, 0, t);
    LLVMValueRef all = LLVMGetPoison(t);
    for (unsigned i = 0; i < LLVMCountStructElementTypes(t); i++)
        all = LLVMBuildInsertValue(r->b, all, load_result(r, i, LLVMStructGetTypeAtIndex(t, i)), i,
                                   "");
    return all;
}

/* One room for words in each function: operations never nest. */
static void make_words(Rewrite *r, LLVMValueRef call)
{
    if (r->words)
        return;
    LLVMValueRef f = LLVMGetBasicBlockParent(LLVMGetInstructionParent(call));
    LLVMPositionBuilderBefore(r->b, LLVMGetFirstInstruction(LLVMGetEntryBasicBlock(f)));
    r->words = LLVMBuildAlloca(r->b, LLVMArrayType2(i64(r), 2 * WORDS), "");
}

/* `operand` are of the call itself; run(call, in, out). */
static bool put_call(Rewrite *r, LLVMValueRef call, Operation *run, int variant, Site s,
                     const LLVMValueRef *operand, unsigned n)
{
    LLVMTypeRef type = LLVMTypeOf(call), pointer = LLVMPointerTypeInContext(r->c, 0);
    Call *c = rewrite_alloc(r, sizeof *c); /* the code knows its address */
    uint32_t site = rewrite_site(r, s);
    if (!c || site == NO_SITE || n > WORDS)
        return rewrite_fail(r, "out of memory");
    *c = (Call){site, variant, n};
    make_words(r, call);
    LLVMPositionBuilderBefore(r->b, call);
    for (unsigned i = 0; i < n; i++)
        LLVMBuildStore(r->b, to_word(r, operand[i]), word(r, i));
    LLVMTypeRef arg[3] = {pointer, pointer, pointer};
    LLVMValueRef args[3] = {LLVMConstIntToPtr(LLVMConstInt(i64(r), (uintptr_t)c, 0), pointer),
                            word(r, 0), word(r, WORDS)};
    LLVMTypeRef ft = LLVMFunctionType(LLVMVoidTypeInContext(r->c), arg, 3, 0);
    rewrite_call(r, (void *)(uintptr_t)run, ft, args, 3);
    if (LLVMGetTypeKind(type) != LLVMVoidTypeKind)
        LLVMReplaceAllUsesWith(call, load_results(r, type));
    LLVMInstructionEraseFromParent(call);
    return true;
}

static bool replace_assembly(Rewrite *r, LLVMValueRef call, LLVMValueRef text, Site s)
{
    Assembly a;
    size_t len, constraints_len;
    LLVMTypeRef type = LLVMTypeOf(call);
    LLVMValueRef operand[ASM_OPERANDS];
    bool several = LLVMGetTypeKind(type) == LLVMStructTypeKind;
    unsigned results =
        several ? LLVMCountStructElementTypes(type) : LLVMGetTypeKind(type) != LLVMVoidTypeKind;
    const char *source = LLVMGetInlineAsmAsmString(text, &len);
    const char *constraints = LLVMGetInlineAsmConstraintString(text, &constraints_len);
    if (!len)
        return true; /* a barrier for the compiler alone */
    if (!assembly_read(source, constraints, results, &a))
        return rewrite_fail(r, "inline assembly that the emulator does not know: %.*s", (int)len,
                            source);
    for (int i = 0; i < a.n; i++) {
        int64_t at = a.operand[i].value - (int64_t)results;
        if (!a.operand[i].literal && at >= (int64_t)LLVMGetNumArgOperands(call))
            return rewrite_fail(r, "inline assembly without its operand %lld: %s",
                                (long long)a.operand[i].value, source);
        operand[i] = a.operand[i].literal ? LLVMConstInt(i64(r), (uint64_t)a.operand[i].value, 1)
                                          : LLVMGetOperand(call, (unsigned)at);
    }
    return put_call(r, call, a.run, a.variant, s, operand, (unsigned)a.n);
}

static bool is_portable(const char *name)
{
    for (size_t i = 0; i < sizeof portable / sizeof *portable; i++)
        if (begins(name, portable[i]))
            return true;
    return false;
}

bool operation_replace(Rewrite *r, LLVMValueRef call, Site s, bool *replaced)
{
    LLVMValueRef f = LLVMGetCalledValue(call), operand[WORDS];
    size_t len;
    *replaced = true;
    if (LLVMIsAInlineAsm(f))
        return replace_assembly(r, call, f, s);
    const char *name = LLVMGetValueName2(f, &len);
    if (!begins(name, "llvm.nvvm.")) {
        *replaced = false;
        if (!LLVMIsAFunction(f) || (begins(name, "llvm.") && !is_portable(name + 5)))
            return rewrite_fail(r, "call of %s, which NVPTX has no code for",
                                len ? name : "a pointer");
        if (!begins(name, "llvm.") && LLVMIsDeclaration(f))
            return rewrite_fail(r, "call of %s, which is not defined", name);
        return true;
    }
    const struct Row *row = find(name + 10);
    unsigned n = LLVMGetNumArgOperands(call);
    if (!row)
        return rewrite_fail(r, "the emulator does not know %s", name);
    for (unsigned i = 0; i < n && i < WORDS; i++)
        operand[i] = LLVMGetOperand(call, i);
    return put_call(r, call, row->run, row->variant, s, operand, n);
}
