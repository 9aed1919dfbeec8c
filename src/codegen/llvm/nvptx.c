#include "codegen/llvm/nvptx.h"
#include <llvm-c/DebugInfo.h>
#include <llvm/Config/llvm-config.h>
#include <stdio.h>
#include <string.h>

enum { PTX_KERNEL = 71 /* LLVM's calling convention of kernels */ };

LLVMTypeRef nvptx_pointer(Emit *e, int space)
{
    return LLVMPointerTypeInContext(e->ctx, (unsigned)space);
}

static void function_text(Emit *e, LLVMValueRef fn, const char *name, const char *value)
{
    LLVMAttributeRef a = LLVMCreateStringAttribute(e->ctx, name, (unsigned)strlen(name), value,
                                                   (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

/* Up to LLVM 19 launch bounds are metadata of the module, later attributes of the function. */
static void launch_bound(Emit *e, LLVMValueRef fn, const char *annotation, const char *attribute,
                         int value)
{
#if LLVM_VERSION_MAJOR < 20
    (void)attribute;
    LLVMMetadataRef ops[3] = {
        LLVMValueAsMetadata(fn), LLVMMDStringInContext2(e->ctx, annotation, strlen(annotation)),
        LLVMValueAsMetadata(LLVMConstInt(e->i32, (unsigned long long)value, 0))};
    LLVMMetadataRef node = LLVMMDNodeInContext2(e->ctx, ops, 3);
    LLVMAddNamedMetadataOperand(e->mod, "nvvm.annotations", LLVMMetadataAsValue(e->ctx, node));
#else
    char text[16];
    (void)annotation;
    snprintf(text, sizeof text, "%d", value);
    function_text(e, fn, attribute, text);
#endif
}

LLVMValueRef nvptx_kernel(Emit *e, const char *name, LLVMTypeRef *params, unsigned count,
                          int threads, int blocks)
{
    LLVMValueRef fn = emit_function(e, name, LLVMFunctionType(e->none, params, count, 0));
    LLVMSetFunctionCallConv(fn, PTX_KERNEL);
    launch_bound(e, fn, "maxntidx", "nvvm.maxntid", threads);
    if (blocks > 0)
        launch_bound(e, fn, "minctasm", "nvvm.minctasm", blocks);
    /* subnormal numbers are zero, as the special function units have it */
    function_text(e, fn, "denormal-fp-math-f32", "preserve-sign,preserve-sign");
    return fn;
}

static void add_param_attribute(Emit *e, LLVMValueRef fn, unsigned i, const char *name,
                                uint64_t value)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(fn, i + 1, LLVMCreateEnumAttribute(e->ctx, kind, value));
}

void nvptx_param(Emit *e, LLVMValueRef fn, unsigned i, unsigned align, bool read_only)
{
    add_param_attribute(e, fn, i, "align", align);
    if (read_only) {
        add_param_attribute(e, fn, i, "noalias", 0);
        add_param_attribute(e, fn, i, "readonly", 0);
    }
}

/* Without being a constant of the grid it would be copied to the thread's own memory. */
void nvptx_param_constant(Emit *e, LLVMValueRef fn, unsigned i, unsigned bytes, unsigned align)
{
    unsigned kind = LLVMGetEnumAttributeKindForName("byval", strlen("byval"));
    LLVMTypeRef type = LLVMArrayType2(LLVMInt8TypeInContext(e->ctx), bytes);
    LLVMAddAttributeAtIndex(fn, i + 1, LLVMCreateTypeAttribute(e->ctx, kind, type));
    add_param_attribute(e, fn, i, "align", align);
#if LLVM_VERSION_MAJOR < 21
    static const char name[] = "grid_constant";
    LLVMMetadataRef index = LLVMValueAsMetadata(LLVMConstInt(e->i32, i + 1, 0));
    LLVMMetadataRef ops[3] = {LLVMValueAsMetadata(fn),
                              LLVMMDStringInContext2(e->ctx, name, sizeof name - 1),
                              LLVMMDNodeInContext2(e->ctx, &index, 1)};
    LLVMMetadataRef node = LLVMMDNodeInContext2(e->ctx, ops, 3);
    LLVMAddNamedMetadataOperand(e->mod, "nvvm.annotations", LLVMMetadataAsValue(e->ctx, node));
#else
    LLVMAttributeRef a = LLVMCreateStringAttribute(e->ctx, "nvvm.grid_constant", 18, "", 0);
    LLVMAddAttributeAtIndex(fn, i + 1, a);
#endif
}

/* Of all kernels of a module: where it begins is the same for each. */
static LLVMValueRef shared_at_launch(Emit *e)
{
    static const char name[] = "shared_at_launch";
    enum { ALIGN = 1024 /* what exchanged rows repeat within */ };
    LLVMValueRef g = LLVMGetNamedGlobal(e->mod, name);
    if (!g)
        g = LLVMAddGlobalInAddressSpace(e->mod, LLVMArrayType2(e->f32, 0), name, NVPTX_SHARED);
    LLVMSetAlignment(g, ALIGN);
    return g;
}

LLVMValueRef nvptx_shared(Emit *e, int64_t floats)
{
    char name[320];
    size_t len;
    if (floats * (int64_t)sizeof(float) > CUDA_DECLARED_SHARED)
        return shared_at_launch(e);
    snprintf(name, sizeof name, "%s_shared", LLVMGetValueName2(e->fn, &len));
    LLVMTypeRef type = LLVMArrayType2(e->f32, (uint64_t)floats);
    LLVMValueRef g = LLVMAddGlobalInAddressSpace(e->mod, type, name, NVPTX_SHARED);
    LLVMSetInitializer(g, LLVMGetUndef(type));
    LLVMSetLinkage(g, LLVMInternalLinkage);
    LLVMSetAlignment(g, 128);
    return g;
}

LLVMValueRef nvptx_register(Emit *e, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "llvm.nvvm.read.ptx.sreg.%s", name);
    return emit_intrinsic(e, full, NULL, 0, NULL, 0);
}

/* Loop metadata names itself first. */
void nvptx_keep_rolled(Emit *e, LLVMBasicBlockRef latch)
{
    static const char how[] = "llvm.loop.unroll.disable";
    LLVMMetadataRef text = LLVMMDStringInContext2(e->ctx, how, sizeof how - 1);
    LLVMMetadataRef self = LLVMTemporaryMDNode(e->ctx, NULL, 0);
    LLVMMetadataRef ops[2] = {self, LLVMMDNodeInContext2(e->ctx, &text, 1)};
    LLVMMetadataRef loop = LLVMMDNodeInContext2(e->ctx, ops, 2);
    LLVMMetadataReplaceAllUsesWith(self, loop);
    LLVMSetMetadata(LLVMGetBasicBlockTerminator(latch),
                    LLVMGetMDKindIDInContext(e->ctx, "llvm.loop", 9),
                    LLVMMetadataAsValue(e->ctx, loop));
}

LLVMValueRef nvptx_assembly(Emit *e, LLVMTypeRef result, const char *code, const char *constraints,
                            LLVMValueRef *args, unsigned count)
{
    LLVMTypeRef types[NVPTX_OPERANDS] = {NULL};
    for (unsigned i = 0; i < count; i++)
        types[i] = LLVMTypeOf(args[i]);
    LLVMTypeRef type = LLVMFunctionType(result, types, count, 0);
    LLVMValueRef fn = LLVMGetInlineAsm(type, code, strlen(code), constraints, strlen(constraints),
                                       1, 0, LLVMInlineAsmDialectATT, 0);
    LLVMValueRef v = LLVMBuildCall2(e->b, type, fn, args, count, "");
    unsigned kind = LLVMGetEnumAttributeKindForName("convergent", strlen("convergent"));
    LLVMAddCallSiteAttribute(v, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                             LLVMCreateEnumAttribute(e->ctx, kind, 0));
    return v;
}

void nvptx_barrier(Emit *e)
{
    emit_intrinsic(e, "llvm.nvvm.barrier0", NULL, 0, NULL, 0);
}

LLVMValueRef nvptx_shuffle_xor(Emit *e, LLVMValueRef v, int lanes)
{
    LLVMValueRef args[4] = {LLVMConstInt(e->i32, 0xFFFFFFFF, 0), v,
                            LLVMConstInt(e->i32, (unsigned)lanes, 0),
                            LLVMConstInt(e->i32, NVPTX_WARP - 1, 0)};
    return emit_intrinsic(e, "llvm.nvvm.shfl.sync.bfly.f32", NULL, 0, args, 4);
}
