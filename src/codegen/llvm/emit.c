#include "codegen/llvm/emit.h"
#include <llvm-c/Target.h>
#include <stdio.h>
#include <string.h>

static bool is_x86(const Emit *e)
{
    return strncmp(e->t->triple, "x86_64", 6) == 0;
}

/* Without a handler LLVM prints errors and ends the process. */
static void on_diagnostic(LLVMDiagnosticInfoRef info, void *e)
{
    if (LLVMGetDiagInfoSeverity(info) != LLVMDSError)
        return;
    char *text = LLVMGetDiagInfoDescription(info);
    emit_fail(e, "LLVM: %s", text);
    LLVMDisposeMessage(text);
}

void emit_open(Emit *e, const Target *t, const char *module, const char *layout)
{
    memset(e, 0, sizeof *e);
    e->ctx = LLVMContextCreate();
    LLVMContextSetDiagnosticHandler(e->ctx, on_diagnostic, e);
    e->mod = LLVMModuleCreateWithNameInContext(module, e->ctx);
    LLVMSetTarget(e->mod, t->triple);
    LLVMSetDataLayout(e->mod, layout);
    e->b = LLVMCreateBuilderInContext(e->ctx);
    e->t = t;
    e->vl = t->vl;
    e->gpu = t->kind == TARGET_CUDA;
    e->fma = e->gpu || t->vl >= 8 || strncmp(t->triple, "aarch64", 7) == 0;
    e->f32 = LLVMFloatTypeInContext(e->ctx);
    e->vec = LLVMVectorType(e->f32, (unsigned)t->vl);
    e->i1 = LLVMInt1TypeInContext(e->ctx);
    e->i32 = LLVMInt32TypeInContext(e->ctx);
    e->i64 = LLVMInt64TypeInContext(e->ctx);
    e->ptr = LLVMPointerTypeInContext(e->ctx, 0);
    e->none = LLVMVoidTypeInContext(e->ctx);
}

void emit_close(Emit *e)
{
    LLVMDisposeBuilder(e->b);
    LLVMDisposeModule(e->mod);
    LLVMContextDispose(e->ctx);
}

bool emit_fail(Emit *e, const char *fmt, ...)
{
    if (!e->err[0]) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(e->err, sizeof e->err, fmt, ap);
        va_end(ap);
    }
    return false;
}

LLVMValueRef emit_intrinsic(Emit *e, const char *name, LLVMTypeRef *over, unsigned over_count,
                            LLVMValueRef *args, unsigned count)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMTypeRef type = LLVMIntrinsicGetType(e->ctx, id, over, over_count);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->mod, id, over, over_count);
    return LLVMBuildCall2(e->b, type, fn, args, count, "");
}

LLVMValueRef emit_per_lane(Emit *e, const char *name, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef args[2] = {a, b};
    unsigned count = b != NULL ? 2 : 1;
    if (LLVMGetTypeKind(LLVMTypeOf(a)) != LLVMVectorTypeKind)
        return emit_intrinsic(e, name, NULL, 0, args, count);
    LLVMValueRef all = LLVMGetPoison(LLVMTypeOf(a));
    for (unsigned i = 0; i < LLVMGetVectorSize(LLVMTypeOf(a)); i++) {
        args[0] = emit_lane(e, a, (int)i);
        args[1] = b != NULL ? emit_lane(e, b, (int)i) : NULL;
        all = emit_set_lane(e, all, emit_intrinsic(e, name, NULL, 0, args, count), (int)i);
    }
    return all;
}

static void add_text_attribute(Emit *e, LLVMValueRef fn, const char *name, const char *value)
{
    LLVMAttributeRef a = LLVMCreateStringAttribute(e->ctx, name, (unsigned)strlen(name), value,
                                                   (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

LLVMValueRef emit_function(Emit *e, const char *name, LLVMTypeRef type)
{
    e->fn = LLVMAddFunction(e->mod, name, type);
    unsigned kind = LLVMGetEnumAttributeKindForName("nounwind", 8);
    LLVMAddAttributeAtIndex(e->fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(e->ctx, kind, 0));
    add_text_attribute(e, e->fn, "target-cpu", e->t->cpu);
    if (e->t->features[0])
        add_text_attribute(e, e->fn, "target-features", e->t->features);
    if (e->vl == 16) {
        /* Tuning for many processors splits 16 lanes in halves unless told not to. */
        add_text_attribute(e, e->fn, "prefer-vector-width", "512");
        add_text_attribute(e, e->fn, "min-legal-vector-width", "512");
    }
    LLVMPositionBuilderAtEnd(e->b, emit_block(e, "entry"));
    return e->fn;
}

LLVMBasicBlockRef emit_block(Emit *e, const char *name)
{
    return LLVMAppendBasicBlockInContext(e->ctx, e->fn, name);
}

LLVMValueRef emit_stack(Emit *e, int n)
{
    LLVMTypeRef type = LLVMArrayType2(e->vec, (uint64_t)n);
    LLVMValueRef p = LLVMBuildAlloca(e->b, type, "");
    LLVMSetAlignment(p, (unsigned)e->vl * 4);
    return p;
}

LLVMValueRef emit_int(Emit *e, int64_t v)
{
    return LLVMConstInt(e->i64, (unsigned long long)v, 1);
}

static LLVMValueRef splat_constant(LLVMTypeRef type, LLVMValueRef scalar)
{
    LLVMValueRef lane[64];
    unsigned n = LLVMGetVectorSize(type);
    for (unsigned i = 0; i < n && i < 64; i++)
        lane[i] = scalar;
    return LLVMConstVector(lane, n);
}

LLVMValueRef emit_real(LLVMTypeRef type, double v)
{
    if (LLVMGetTypeKind(type) != LLVMVectorTypeKind)
        return LLVMConstReal(type, v);
    return splat_constant(type, LLVMConstReal(LLVMGetElementType(type), v));
}

LLVMTypeRef emit_int_type(Emit *e, LLVMTypeRef type)
{
    if (LLVMGetTypeKind(type) != LLVMVectorTypeKind)
        return e->i32;
    return LLVMVectorType(e->i32, LLVMGetVectorSize(type));
}

LLVMValueRef emit_bits(LLVMTypeRef int_type, int64_t v)
{
    if (LLVMGetTypeKind(int_type) != LLVMVectorTypeKind)
        return LLVMConstInt(int_type, (unsigned long long)v, 1);
    LLVMTypeRef scalar = LLVMGetElementType(int_type);
    return splat_constant(int_type, LLVMConstInt(scalar, (unsigned long long)v, 1));
}

LLVMValueRef emit_zero_memory(Emit *e)
{
    LLVMValueRef g = LLVMAddGlobal(e->mod, e->vec, "zeros");
    LLVMSetInitializer(g, LLVMConstNull(e->vec));
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetAlignment(g, 64);
    return g;
}

LLVMValueRef emit_add(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    int64_t k;
    if (emit_known(a, &k) && k == 0)
        return b;
    if (emit_known(b, &k) && k == 0)
        return a;
    return LLVMBuildAdd(e->b, a, b, "");
}

LLVMValueRef emit_sub(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildSub(e->b, a, b, "");
}

/* A constant of the type of a. */
static LLVMValueRef like(LLVMValueRef a, int64_t v)
{
    return LLVMConstInt(LLVMTypeOf(a), (unsigned long long)v, 1);
}

LLVMValueRef emit_mul(Emit *e, LLVMValueRef a, int64_t by)
{
    return by == 1 ? a : LLVMBuildMul(e->b, a, like(a, by), "");
}

LLVMValueRef emit_div(Emit *e, LLVMValueRef a, int64_t by)
{
    return by == 1 ? a : LLVMBuildUDiv(e->b, a, like(a, by), "");
}

LLVMValueRef emit_rem(Emit *e, LLVMValueRef a, int64_t by)
{
    return by == 1 ? like(a, 0) : LLVMBuildURem(e->b, a, like(a, by), "");
}

LLVMValueRef emit_imin(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    return emit_select(e, emit_less(e, a, b), a, b);
}

LLVMValueRef emit_imax(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    return emit_select(e, emit_less(e, a, b), b, a);
}

LLVMValueRef emit_less(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildICmp(e->b, LLVMIntSLT, a, b, "");
}

LLVMValueRef emit_select(Emit *e, LLVMValueRef c, LLVMValueRef a, LLVMValueRef b)
{
    if (LLVMIsAConstantInt(c))
        return LLVMConstIntGetZExtValue(c) ? a : b;
    return a == b ? a : LLVMBuildSelect(e->b, c, a, b, "");
}

bool emit_known(LLVMValueRef v, int64_t *out)
{
    if (!LLVMIsAConstantInt(v))
        return false;
    *out = LLVMConstIntGetSExtValue(v);
    return true;
}

LLVMValueRef emit_at(Emit *e, LLVMValueRef p, LLVMValueRef off)
{
    int64_t k;
    if (emit_known(off, &k) && k == 0)
        return p;
    return LLVMBuildGEP2(e->b, e->f32, p, &off, 1, "");
}

LLVMValueRef emit_at_const(Emit *e, LLVMValueRef p, int64_t off)
{
    return off ? emit_at(e, p, emit_int(e, off)) : p;
}

LLVMValueRef emit_launder(Emit *e, LLVMValueRef p)
{
    LLVMTypeRef type = LLVMFunctionType(e->ptr, &e->ptr, 1, 0);
    LLVMValueRef nothing =
        LLVMGetInlineAsm(type, "", 0, "=r,0", 4, 0, 0, LLVMInlineAsmDialectATT, 0);
    return LLVMBuildCall2(e->b, type, nothing, &p, 1, "");
}

void emit_prefetch(Emit *e, LLVMValueRef p)
{
    LLVMTypeRef params[4] = {e->ptr, e->i32, e->i32, e->i32};
    LLVMTypeRef type = LLVMFunctionType(e->none, params, 4, 0);
    unsigned id = LLVMLookupIntrinsicID("llvm.prefetch", 13);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->mod, id, &e->ptr, 1);
    LLVMValueRef args[4] = {p, LLVMConstInt(e->i32, 0, 0), LLVMConstInt(e->i32, 3, 0),
                            LLVMConstInt(e->i32, 1, 0)};
    LLVMBuildCall2(e->b, type, fn, args, 4, "");
}

LLVMValueRef emit_load(Emit *e, LLVMTypeRef type, LLVMValueRef p)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, type, p, "");
    LLVMSetAlignment(v, 4);
    return v;
}

void emit_store(Emit *e, LLVMValueRef v, LLVMValueRef p)
{
    LLVMSetAlignment(LLVMBuildStore(e->b, v, p), 4);
}

LLVMValueRef emit_splat(Emit *e, LLVMValueRef scalar)
{
    LLVMValueRef none = LLVMGetPoison(e->vec);
    LLVMValueRef one = LLVMBuildInsertElement(e->b, none, scalar, LLVMConstInt(e->i32, 0, 0), "");
    LLVMValueRef zeros = LLVMConstNull(LLVMVectorType(e->i32, (unsigned)e->vl));
    return LLVMBuildShuffleVector(e->b, one, none, zeros, "");
}

LLVMValueRef emit_load_splat(Emit *e, LLVMValueRef p)
{
    return emit_splat(e, emit_load(e, e->f32, p));
}

static LLVMValueRef lane_mask(Emit *e, int lanes)
{
    LLVMValueRef bit[64];
    for (int i = 0; i < e->vl; i++)
        bit[i] = LLVMConstInt(e->i1, i < lanes, 0);
    return LLVMConstVector(bit, (unsigned)e->vl);
}

LLVMValueRef emit_load_part(Emit *e, LLVMValueRef p, int lanes)
{
    if (lanes >= e->vl)
        return emit_load(e, e->vec, p);
    LLVMTypeRef over[2] = {e->vec, e->ptr};
    LLVMTypeRef params[4] = {e->ptr, e->i32, LLVMVectorType(e->i1, (unsigned)e->vl), e->vec};
    unsigned id = LLVMLookupIntrinsicID("llvm.masked.load", 16);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->mod, id, over, 2);
    LLVMValueRef args[4] = {p, LLVMConstInt(e->i32, 4, 0), lane_mask(e, lanes),
                            LLVMConstNull(e->vec)};
    return LLVMBuildCall2(e->b, LLVMFunctionType(e->vec, params, 4, 0), fn, args, 4, "");
}

void emit_store_part(Emit *e, LLVMValueRef v, LLVMValueRef p, int lanes)
{
    if (lanes >= e->vl) {
        emit_store(e, v, p);
        return;
    }
    LLVMTypeRef over[2] = {e->vec, e->ptr};
    LLVMTypeRef params[4] = {e->vec, e->ptr, e->i32, LLVMVectorType(e->i1, (unsigned)e->vl)};
    unsigned id = LLVMLookupIntrinsicID("llvm.masked.store", 17);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->mod, id, over, 2);
    LLVMValueRef args[4] = {v, p, LLVMConstInt(e->i32, 4, 0), lane_mask(e, lanes)};
    LLVMBuildCall2(e->b, LLVMFunctionType(e->none, params, 4, 0), fn, args, 4, "");
}

LLVMValueRef emit_keep(Emit *e, LLVMValueRef v, int lanes, double other)
{
    if (lanes >= e->vl)
        return v;
    return LLVMBuildSelect(e->b, lane_mask(e, lanes), v, emit_real(e->vec, other), "");
}

LLVMValueRef emit_lane(Emit *e, LLVMValueRef v, int lane)
{
    return LLVMBuildExtractElement(e->b, v, LLVMConstInt(e->i32, (unsigned)lane, 0), "");
}

LLVMValueRef emit_set_lane(Emit *e, LLVMValueRef v, LLVMValueRef scalar, int lane)
{
    return LLVMBuildInsertElement(e->b, v, scalar, LLVMConstInt(e->i32, (unsigned)lane, 0), "");
}

LLVMValueRef emit_fma(Emit *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c)
{
    if (!e->fma)
        return LLVMBuildFAdd(e->b, LLVMBuildFMul(e->b, a, b, ""), c, "");
    LLVMTypeRef type = LLVMTypeOf(a), params[3] = {type, type, type};
    unsigned id = LLVMLookupIntrinsicID("llvm.fma", 8);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->mod, id, &type, 1);
    LLVMValueRef args[3] = {a, b, c};
    return LLVMBuildCall2(e->b, LLVMFunctionType(type, params, 3, 0), fn, args, 3, "");
}

LLVMValueRef emit_fadd(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFAdd(e->b, a, b, "");
}

LLVMValueRef emit_fsub(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFSub(e->b, a, b, "");
}

LLVMValueRef emit_fmul(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFMul(e->b, a, b, "");
}

LLVMValueRef emit_fdiv(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    if (e->gpu)
        return emit_per_lane(e, "llvm.nvvm.div.approx.ftz.f", a, b);
    return LLVMBuildFDiv(e->b, a, b, "");
}

LLVMValueRef emit_fmax(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    if (e->gpu) { /* one instruction; differs only where b alone is NaN */
        LLVMTypeRef type = LLVMTypeOf(a);
        return emit_intrinsic(e, "llvm.maxnum", &type, 1, (LLVMValueRef[]){a, b}, 2);
    }
    return LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealOGT, a, b, ""), a, b, "");
}

LLVMValueRef emit_fmin(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    if (e->gpu) { /* one instruction; differs only where b alone is NaN */
        LLVMTypeRef type = LLVMTypeOf(a);
        return emit_intrinsic(e, "llvm.minnum", &type, 1, (LLVMValueRef[]){a, b}, 2);
    }
    return LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealOLT, a, b, ""), a, b, "");
}

LLVMValueRef emit_sqrt(Emit *e, LLVMValueRef a)
{
    LLVMTypeRef type = LLVMTypeOf(a);
    unsigned id = LLVMLookupIntrinsicID("llvm.sqrt", 9);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->mod, id, &type, 1);
    return LLVMBuildCall2(e->b, LLVMFunctionType(type, &type, 1, 0), fn, &a, 1, "");
}

static bool is_vector(LLVMTypeRef type)
{
    return LLVMGetTypeKind(type) == LLVMVectorTypeKind;
}

/* Lanes [first, first + n) of v; of two vectors, as if one followed the other. */
static LLVMValueRef lanes(Emit *e, LLVMValueRef v, LLVMValueRef w, unsigned first, unsigned n)
{
    LLVMValueRef lane[64];
    for (unsigned i = 0; i < n; i++)
        lane[i] = LLVMConstInt(e->i32, first + i, 0);
    return LLVMBuildShuffleVector(e->b, v, w ? w : LLVMGetPoison(LLVMTypeOf(v)),
                                  LLVMConstVector(lane, n), "");
}

bool emit_has_scale(const Emit *e, LLVMTypeRef type)
{
    return e->vl == 16 && is_vector(type) && is_x86(e);
}

static LLVMValueRef scale_vector(Emit *e, LLVMValueRef a, LLVMValueRef n)
{
    static const char name[] = "llvm.x86.avx512.mask.scalef.ps.512";
    enum { AS_ROUNDED = 4, ALL_LANES = 0xFFFF };
    LLVMTypeRef i16 = LLVMInt16TypeInContext(e->ctx);
    LLVMTypeRef params[5] = {e->vec, e->vec, e->vec, i16, e->i32};
    unsigned id = LLVMLookupIntrinsicID(name, sizeof name - 1);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->mod, id, NULL, 0);
    LLVMValueRef args[5] = {a, n, LLVMConstNull(e->vec), LLVMConstInt(i16, ALL_LANES, 0),
                            LLVMConstInt(e->i32, AS_ROUNDED, 0)};
    return LLVMBuildCall2(e->b, LLVMFunctionType(e->vec, params, 5, 0), fn, args, 5, "");
}

LLVMValueRef emit_scale(Emit *e, LLVMValueRef a, LLVMValueRef n)
{
    unsigned all = LLVMGetVectorSize(LLVMTypeOf(a)), half = all / 2;
    if (all == (unsigned)e->vl)
        return scale_vector(e, a, n);
    LLVMValueRef low = emit_scale(e, lanes(e, a, NULL, 0, half), lanes(e, n, NULL, 0, half));
    LLVMValueRef high = emit_scale(e, lanes(e, a, NULL, half, half), lanes(e, n, NULL, half, half));
    return emit_concat(e, low, high);
}

int emit_lookup_bits(const Emit *e, LLVMTypeRef type)
{
    if (e->vl < 8 || !is_vector(type) || !is_x86(e))
        return 0;
    return e->vl == 16 ? 5 : 3;
}

static LLVMValueRef table_part(Emit *e, const float *table)
{
    LLVMValueRef lane[16];
    for (int i = 0; i < e->vl; i++)
        lane[i] = emit_real(e->f32, table[i]);
    return LLVMConstVector(lane, (unsigned)e->vl);
}

static LLVMValueRef lookup_vector(Emit *e, const float *table, LLVMValueRef index)
{
    LLVMValueRef low = table_part(e, table);
    if (e->vl == 8)
        return emit_intrinsic(e, "llvm.x86.avx2.permps", NULL, 0, (LLVMValueRef[]){low, index}, 2);
    LLVMValueRef args[3] = {low, index, table_part(e, table + 16)};
    return emit_intrinsic(e, "llvm.x86.avx512.vpermi2var.ps.512", NULL, 0, args, 3);
}

LLVMValueRef emit_lookup(Emit *e, const float *table, LLVMValueRef index)
{
    unsigned all = LLVMGetVectorSize(LLVMTypeOf(index)), half = all / 2;
    if (all == (unsigned)e->vl)
        return lookup_vector(e, table, index);
    LLVMValueRef low = emit_lookup(e, table, lanes(e, index, NULL, 0, half));
    LLVMValueRef high = emit_lookup(e, table, lanes(e, index, NULL, half, half));
    return emit_concat(e, low, high);
}

LLVMValueRef emit_concat(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    return lanes(e, a, b, 0, 2 * LLVMGetVectorSize(LLVMTypeOf(a)));
}

LLVMValueRef emit_lower_half(Emit *e, LLVMValueRef v)
{
    if (e->vl == 16) {
        LLVMTypeRef of = LLVMTypeOf(v), type = LLVMFunctionType(of, &of, 1, 0);
        LLVMValueRef nothing =
            LLVMGetInlineAsm(type, "", 0, "=v,0", 4, 0, 0, LLVMInlineAsmDialectATT, 0);
        v = LLVMBuildCall2(e->b, type, nothing, &v, 1, "");
    }
    return lanes(e, v, NULL, 0, LLVMGetVectorSize(LLVMTypeOf(v)) / 2);
}

LLVMValueRef emit_to_float(Emit *e, LLVMValueRef i)
{
    return LLVMBuildSIToFP(e->b, i, e->f32, "");
}

typedef LLVMValueRef Combine(Emit *e, LLVMValueRef a, LLVMValueRef b);

/* Halves the vector until one lane is left: lane i meets lane i + n/2. */
static LLVMValueRef reduce(Emit *e, LLVMValueRef v, Combine *combine)
{
    for (int n = e->vl; n > 1; n /= 2) {
        LLVMValueRef lo[32], hi[32];
        for (int i = 0; i < n / 2; i++) {
            lo[i] = LLVMConstInt(e->i32, (unsigned)i, 0);
            hi[i] = LLVMConstInt(e->i32, (unsigned)(i + n / 2), 0);
        }
        LLVMValueRef none = LLVMGetPoison(LLVMTypeOf(v));
        unsigned half = (unsigned)n / 2;
        LLVMValueRef a = LLVMBuildShuffleVector(e->b, v, none, LLVMConstVector(lo, half), "");
        LLVMValueRef b = LLVMBuildShuffleVector(e->b, v, none, LLVMConstVector(hi, half), "");
        v = combine(e, a, b);
    }
    return emit_lane(e, v, 0);
}

LLVMValueRef emit_reduce_add(Emit *e, LLVMValueRef v)
{
    return reduce(e, v, emit_fadd);
}

LLVMValueRef emit_reduce_max(Emit *e, LLVMValueRef v)
{
    return reduce(e, v, emit_fmax);
}
