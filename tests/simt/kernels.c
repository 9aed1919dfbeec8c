/* Kernels: functions of that calling convention, or marked so in !nvvm.annotations, with what is
 * said there or in attributes of how they may be launched. */
#include "module.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PTX_KERNEL = 71 };

static LLVMAttributeRef enum_attribute(LLVMValueRef f, unsigned index, const char *name)
{
    return LLVMGetEnumAttributeAtIndex(f, index,
                                       LLVMGetEnumAttributeKindForName(name, strlen(name)));
}

static void note_bound(Kernel *k, int axis, uint64_t n, bool required, uint64_t *bound)
{
    *bound *= n ? n : 1;
    if (required && axis < 3)
        k->required[axis] = (uint32_t)n;
}

/* "256,1,1", as LLVM's later versions say it. */
static void note_attribute(Kernel *k, const char *name, bool required, uint64_t *bound)
{
    LLVMAttributeRef a = LLVMGetStringAttributeAtIndex(
        k->function, (unsigned)LLVMAttributeFunctionIndex, name, (unsigned)strlen(name));
    if (!a)
        return;
    unsigned len;
    const char *text = LLVMGetStringAttributeValue(a, &len);
    char copy[64];
    snprintf(copy, sizeof copy, "%.*s", (int)len, text);
    char *at = copy;
    for (int axis = 0; axis < 3 && *at; axis++) {
        note_bound(k, axis, strtoul(at, &at, 10), required, bound);
        at += *at == ',';
    }
}

/* !{ptr @f, !"key", i32 value, ...} */
static void note_annotation(Kernel *k, LLVMValueRef node, bool *is_kernel, uint64_t *max,
                            uint64_t *required)
{
    LLVMValueRef item[64];
    unsigned n = LLVMGetMDNodeNumOperands(node), len;
    if (n > sizeof item / sizeof *item)
        return;
    LLVMGetMDNodeOperands(node, item);
    if (!n || item[0] != k->function)
        return;
    for (unsigned i = 1; i + 1 < n; i += 2) {
        const char *key = LLVMGetMDString(item[i], &len);
        if (!key || !LLVMIsAConstantInt(item[i + 1]))
            continue;
        uint64_t v = LLVMConstIntGetZExtValue(item[i + 1]);
        int axis = key[len - 1] - 'x';
        if (len == 6 && !strncmp(key, "kernel", 6))
            *is_kernel = v == 1;
        else if (len == 8 && !strncmp(key, "maxntid", 7))
            note_bound(k, axis, v, false, max);
        else if (len == 8 && !strncmp(key, "reqntid", 7))
            note_bound(k, axis, v, true, required);
    }
}

static bool describe(Rewrite *r, Kernel *k)
{
    LLVMValueRef f = k->function;
    static const char name[] = "nvvm.annotations";
    bool is_kernel = LLVMGetFunctionCallConv(f) == PTX_KERNEL;
    uint64_t max = 1, required = 1;
    unsigned n = LLVMGetNamedMetadataNumOperands(r->mod, name);
    LLVMValueRef *node = calloc(n + 1, sizeof *node);
    if (!node)
        return rewrite_fail(r, "out of memory");
    LLVMGetNamedMetadataOperands(r->mod, name, node);
    for (unsigned i = 0; i < n; i++)
        note_annotation(k, node[i], &is_kernel, &max, &required);
    free(node);
    note_attribute(k, "nvvm.maxntid", false, &max);
    note_attribute(k, "nvvm.reqntid", true, &required);
    uint64_t bound = required > 1 ? required : max > 1 ? max : MAX_THREADS;
    k->known.max_threads = bound < MAX_THREADS ? (unsigned)bound : MAX_THREADS;
    if (!is_kernel)
        k->function = NULL;
    return true;
}

static bool describe_parameters(Rewrite *r, Kernel *k)
{
    size_t n = LLVMCountParams(k->function);
    k->param_bytes = calloc(n + 1, sizeof *k->param_bytes);
    k->param_align = calloc(n + 1, sizeof *k->param_align);
    k->by_value = calloc(n + 1, sizeof *k->by_value);
    if (!k->param_bytes || !k->param_align || !k->by_value)
        return rewrite_fail(r, "out of memory");
    k->known.params = (int)n;
    k->known.param_bytes = k->param_bytes;
    for (unsigned i = 0; i < n; i++) {
        LLVMTypeRef type = LLVMTypeOf(LLVMGetParam(k->function, i));
        LLVMAttributeRef align = enum_attribute(k->function, i + 1, "align");
        LLVMAttributeRef by_value = enum_attribute(k->function, i + 1, "byval");
        k->by_value[i] = by_value;
        if (by_value) {
            type = LLVMGetTypeAttributeValue(by_value);
            LLVMRemoveEnumAttributeAtIndex(k->function, i + 1,
                                           LLVMGetEnumAttributeKindForName("byval", 5));
        }
        k->param_bytes[i] = (size_t)LLVMABISizeOfType(r->layout, type);
        k->param_align[i] = align ? (size_t)LLVMGetEnumAttributeValue(align) : 0;
    }
    return true;
}

/* Denormals are zero where the whole function says so. */
static bool flushes(LLVMValueRef f)
{
    static const char name[] = "denormal-fp-math-f32";
    LLVMAttributeRef a = LLVMGetStringAttributeAtIndex(f, (unsigned)LLVMAttributeFunctionIndex,
                                                       name, sizeof name - 1);
    unsigned len;
    return a && !strncmp(LLVMGetStringAttributeValue(a, &len), "preserve-sign", 13);
}

bool kernels_find(Rewrite *r)
{
    SimtModule *m = r->m;
    int room = 0;
    for (LLVMValueRef f = LLVMGetFirstFunction(r->mod); f; f = LLVMGetNextFunction(f))
        room += !LLVMIsDeclaration(f);
    m->kernel = calloc((size_t)room + 1, sizeof *m->kernel);
    if (!m->kernel)
        return rewrite_fail(r, "out of memory");
    for (LLVMValueRef f = LLVMGetFirstFunction(r->mod); f; f = LLVMGetNextFunction(f)) {
        size_t len;
        if (LLVMIsDeclaration(f))
            continue;
        Kernel *k = &m->kernel[m->kernels];
        *k = (Kernel){.function = f, .flush = flushes(f)};
        if (!describe(r, k))
            return false;
        if (!k->function)
            continue;
        m->kernels++;
        k->known.name = strdup(LLVMGetValueName2(f, &len));
        if (!k->known.name || !describe_parameters(r, k))
            return rewrite_fail(r, "out of memory");
    }
    return true;
}

/* void entry(ptr args): calls the kernel with what args[i] point to. */
static bool make_entry(Rewrite *r, const Kernel *k, int index)
{
    char name[32];
    snprintf(name, sizeof name, "simt.entry.%d", index);
    LLVMTypeRef pointer = LLVMPointerTypeInContext(r->c, 0);
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(r->c), &pointer, 1, 0);
    LLVMValueRef entry = LLVMAddFunction(r->mod, name, type);
    LLVMValueRef *value = calloc((size_t)k->known.params + 1, sizeof(LLVMValueRef));
    if (!value)
        return rewrite_fail(r, "out of memory");
    LLVMPositionBuilderAtEnd(r->b, LLVMAppendBasicBlockInContext(r->c, entry, ""));
    for (int i = 0; i < k->known.params; i++) {
        LLVMTypeRef t = LLVMTypeOf(LLVMGetParam(k->function, (unsigned)i));
        LLVMValueRef at = LLVMConstInt(LLVMInt32TypeInContext(r->c), (unsigned)i, 0);
        LLVMValueRef slot = LLVMBuildGEP2(r->b, pointer, LLVMGetParam(entry, 0), &at, 1, "");
        value[i] = LLVMBuildLoad2(r->b, pointer, slot, "");
        if (k->by_value[i]) {
            value[i] = LLVMBuildAddrSpaceCast(r->b, value[i], t, "");
        } else {
            value[i] = LLVMBuildLoad2(r->b, t, value[i], "");
            LLVMSetAlignment(value[i], 1);
        }
    }
    LLVMSetFunctionCallConv(k->function, LLVMCCallConv);
    LLVMBuildCall2(r->b, LLVMGlobalGetValueType(k->function), k->function, value,
                   (unsigned)k->known.params, "");
    LLVMBuildRetVoid(r->b);
    LLVMSetLinkage(k->function, LLVMInternalLinkage);
    free(value);
    return true;
}

bool kernels_entries(Rewrite *r)
{
    for (int i = 0; i < r->m->kernels; i++)
        if (!make_entry(r, &r->m->kernel[i], i))
            return false;
    return true;
}
