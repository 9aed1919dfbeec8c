/* Loading: a copy of the module is rewritten for the host, compiled, and linked into the process.
 */
#include "module.h"
#include "memory.h"
#include "operation.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/BitReader.h>
#include <llvm-c/BitWriter.h>
#include <llvm-c/Error.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rewrite_fail(Rewrite *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (r->err_len && !*r->err) /* the first is the cause */
        vsnprintf(r->err, r->err_len, fmt, args);
    va_end(args);
    return false;
}

static bool fail_error(Rewrite *r, const char *what, LLVMErrorRef e)
{
    if (!e)
        return true;
    char *text = LLVMGetErrorMessage(e);
    rewrite_fail(r, "%s: %s", what, text);
    LLVMDisposeErrorMessage(text);
    return false;
}

uint32_t rewrite_site(Rewrite *r, Site s)
{
    SimtModule *m = r->m;
    if (m->sites == m->site_room) {
        uint32_t room = m->site_room ? 2 * m->site_room : 256;
        Site *grown = realloc(m->site, room * sizeof *grown);
        if (!grown)
            return NO_SITE;
        m->site = grown;
        m->site_room = room;
    }
    m->site[m->sites] = s;
    return m->sites++;
}

void *rewrite_alloc(Rewrite *r, size_t bytes)
{
    Kept *k = malloc(sizeof *k + bytes);
    if (!k)
        return NULL;
    k->next = r->m->kept;
    r->m->kept = k;
    return k->what;
}

LLVMValueRef rewrite_call(Rewrite *r, void *function, LLVMTypeRef type, LLVMValueRef *args,
                          unsigned n)
{
    LLVMValueRef at = LLVMConstInt(LLVMInt64TypeInContext(r->c), (uintptr_t)function, 0);
    LLVMValueRef callee = LLVMConstIntToPtr(at, LLVMPointerTypeInContext(r->c, 0));
    return LLVMBuildCall2(r->b, type, callee, args, n, "");
}

unsigned module_flags(const SimtModule *m)
{
    return m->flags;
}

const Site *module_site(const SimtModule *m, uint32_t site)
{
    return &m->site[site];
}

Kernel *module_kernel(SimtModule *m, const char *name)
{
    for (int i = 0; i < m->kernels; i++)
        if (!strcmp(m->kernel[i].known.name, name))
            return &m->kernel[i];
    return NULL;
}

const SimtKernel *simt_kernel(const SimtModule *m, const char *name)
{
    for (int i = 0; i < m->kernels; i++)
        if (!strcmp(m->kernel[i].known.name, name))
            return &m->kernel[i].known;
    return NULL;
}

const SimtKernel *simt_kernel_at(const SimtModule *m, int i)
{
    return i >= 0 && i < m->kernels ? &m->kernel[i].known : NULL;
}

static LLVMTargetMachineRef host_machine(Rewrite *r)
{
    char *triple = LLVMGetDefaultTargetTriple(), *message = NULL;
    LLVMTargetRef target;
    LLVMTargetMachineRef machine = NULL;
    const char *cpu = "generic";
#if defined(__x86_64__)
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    cpu = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? "x86-64-v3" : "x86-64";
#elif defined(__aarch64__)
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
#endif
    if (LLVMGetTargetFromTriple(triple, &target, &message))
        rewrite_fail(r, "LLVM does not know this machine: %s", message);
    else
        machine = LLVMCreateTargetMachine(target, triple, cpu, "", LLVMCodeGenLevelLess,
                                          LLVMRelocPIC, LLVMCodeModelDefault);
    LLVMDisposeMessage(message);
    LLVMDisposeMessage(triple);
    return machine;
}

static void set_host(Rewrite *r, LLVMTargetMachineRef machine)
{
    static const char *const device[] = {"target-cpu", "target-features"};
    char *triple = LLVMGetTargetMachineTriple(machine);
    LLVMSetTarget(r->mod, triple);
    LLVMSetModuleDataLayout(r->mod, r->layout);
    LLVMDisposeMessage(triple);
    for (LLVMValueRef f = LLVMGetFirstFunction(r->mod); f; f = LLVMGetNextFunction(f))
        for (size_t i = 0; i < sizeof device / sizeof *device; i++)
            LLVMRemoveStringAttributeAtIndex(f, (unsigned)LLVMAttributeFunctionIndex, device[i],
                                             (unsigned)strlen(device[i]));
}

static bool rewrite_function(Rewrite *r, LLVMValueRef f, uint32_t index)
{
    uint32_t instruction = 0;
    r->words = NULL;
    for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(f); b; b = LLVMGetNextBasicBlock(b)) {
        LLVMValueRef next;
        for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = next) {
            Site s = {.function = index, .instruction = instruction};
            bool replaced = false;
            instruction++;
            next = LLVMGetNextInstruction(i);
            if (LLVMGetInstructionOpcode(i) == LLVMCall && !operation_replace(r, i, s, &replaced))
                return false;
            if (!replaced && r->m->flags & SIMT_CHECK && !access_check(r, i, s))
                return false;
        }
    }
    return true;
}

static bool rewrite_functions(Rewrite *r)
{
    uint32_t index = 0;
    for (LLVMValueRef f = LLVMGetFirstFunction(r->mod); f; f = LLVMGetNextFunction(f), index++)
        if (!rewrite_function(r, f, index))
            return false;
    return true;
}

/* Conversions that x86 leaves to functions; they hold their narrow side in the low bits of a vector
 * register, as a float does. */
static float narrow(uint16_t h)
{
    uint32_t u = h;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint16_t low_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return (uint16_t)u;
}

static float to_bf16(float f)
{
    return narrow(float_to_bf16(f));
}

static float to_half(float f)
{
    return narrow(float_to_half(f));
}

static float from_half(float f)
{
    return half_to_float(low_bits(f));
}

static bool define_conversions(Rewrite *r, LLVMOrcJITDylibRef lib)
{
    static const struct {
        const char *name;
        float (*function)(float);
    } table[] = {
        {"__truncsfbf2", to_bf16}, {"__truncsfhf2", to_half}, {"__extendhfsf2", from_half}};
    enum { N = sizeof table / sizeof *table };
    LLVMOrcCSymbolMapPair pair[N];
    for (int i = 0; i < N; i++) {
        pair[i].Name = LLVMOrcLLJITMangleAndIntern(r->m->jit, table[i].name);
        pair[i].Sym.Address = (uintptr_t)table[i].function;
        pair[i].Sym.Flags = (LLVMJITSymbolFlags){LLVMJITSymbolGenericFlagsExported, 0};
    }
    return fail_error(r, "linking", LLVMOrcJITDylibDefine(lib, LLVMOrcAbsoluteSymbols(pair, N)));
}

static bool link_object(Rewrite *r, LLVMMemoryBufferRef object)
{
    LLVMOrcDefinitionGeneratorRef process = NULL;
    if (!fail_error(r, "linking", LLVMOrcCreateLLJIT(&r->m->jit, NULL))) {
        r->m->jit = NULL;
        LLVMDisposeMemoryBuffer(object);
        return false;
    }
    LLVMOrcJITDylibRef lib = LLVMOrcLLJITGetMainJITDylib(r->m->jit);
    char prefix = LLVMOrcLLJITGetGlobalPrefix(r->m->jit);
    bool ok = fail_error(r, "linking", LLVMOrcLLJITAddObjectFile(r->m->jit, lib, object)) &&
              define_conversions(r, lib) &&
              fail_error(r, "linking",
                         LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(&process, prefix,
                                                                              NULL, NULL));
    if (ok)
        LLVMOrcJITDylibAddGenerator(lib, process);
    return ok;
}

static bool look_up(Rewrite *r, const char *name, uintptr_t *address)
{
    LLVMOrcExecutorAddress at = 0;
    bool ok = fail_error(r, "linking", LLVMOrcLLJITLookup(r->m->jit, &at, name));
    *address = (uintptr_t)at;
    return ok;
}

static bool look_up_all(Rewrite *r)
{
    SimtModule *m = r->m;
    char name[32];
    uintptr_t at;
    for (int i = 0; i < m->kernels; i++) {
        snprintf(name, sizeof name, "simt.entry.%d", i);
        if (!look_up(r, name, &at))
            return false;
        m->kernel[i].entry = (void (*)(void *const *))at;
        m->kernel[i].function = NULL;
    }
    for (int i = 0; i < m->variables; i++) {
        Variable *v = &m->variable[i];
        if (!look_up(r, v->symbol, &at))
            return false;
        v->address = (void *)at;
        if (!region_add(v->address, v->bytes, v->constant))
            return rewrite_fail(r, "out of memory");
    }
    return true;
}

static bool compile(Rewrite *r, LLVMTargetMachineRef machine)
{
    LLVMMemoryBufferRef object = NULL;
    char *message = NULL;
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    bool ok =
        fail_error(r, "optimising",
                   LLVMRunPasses(r->mod, "function(sroa,early-cse,simplifycfg)", machine, options));
    LLVMDisposePassBuilderOptions(options);
    if (ok &&
        LLVMTargetMachineEmitToMemoryBuffer(machine, r->mod, LLVMObjectFile, &message, &object))
        ok = rewrite_fail(r, "compiling: %s", message);
    LLVMDisposeMessage(message);
    return ok && link_object(r, object) && look_up_all(r);
}

static bool verify(Rewrite *r, const char *when)
{
    char *message = NULL;
    bool ok = !LLVMVerifyModule(r->mod, LLVMReturnStatusAction, &message);
    if (!ok)
        rewrite_fail(r, "%s: %s", when, message);
    LLVMDisposeMessage(message);
    return ok;
}

static bool rewrite_module(Rewrite *r)
{
    LLVMTargetMachineRef machine = host_machine(r);
    if (!machine)
        return false;
    r->layout = LLVMCreateTargetDataLayout(machine);
    r->b = LLVMCreateBuilderInContext(r->c);
    set_host(r, machine);
    bool ok = shared_arena() || rewrite_fail(r, "out of memory");
    ok = ok && verify(r, "the module is not valid") && kernels_find(r) && rewrite_functions(r) &&
         variables_place(r) && kernels_entries(r) &&
         verify(r, "the rewritten module is not valid") && compile(r, machine);
    LLVMDisposeBuilder(r->b);
    LLVMDisposeTargetData(r->layout);
    LLVMDisposeTargetMachine(machine);
    return ok;
}

/* `origin` becomes the module's. */
static SimtModule *load(LLVMMemoryBufferRef origin, unsigned flags, char *err, size_t err_len)
{
    Rewrite r = {
        .m = calloc(1, sizeof *r.m), .c = LLVMContextCreate(), .err = err, .err_len = err_len};
    bool ok = r.m && origin;
    if (err_len)
        *err = 0;
    if (r.m)
        *r.m = (SimtModule){.flags = flags, .origin = origin};
    if (!ok)
        rewrite_fail(&r, "out of memory");
    else if (LLVMParseBitcodeInContext2(r.c, origin, &r.mod))
        ok = rewrite_fail(&r, "the module cannot be read back");
    else
        ok = rewrite_module(&r);
    if (r.mod)
        LLVMDisposeModule(r.mod);
    LLVMContextDispose(r.c);
    if (ok)
        return r.m;
    simt_unload(r.m);
    return NULL;
}

SimtModule *simt_load(struct LLVMOpaqueModule *module, unsigned flags, char *err, size_t err_len)
{
    return load(LLVMWriteBitcodeToMemoryBuffer(module), flags, err, err_len);
}

SimtModule *simt_load_text(const void *data, size_t len, unsigned flags, char *err, size_t err_len)
{
    LLVMContextRef c = LLVMContextCreate();
    LLVMModuleRef mod = NULL;
    char *message = NULL;
    SimtModule *m = NULL;
    /* the reader takes the buffer over */
    LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(data, len, "kernels");
    if (LLVMParseIRInContext(c, buffer, &mod, &message))
        snprintf(err, err_len, "%s", message ? message : "not a module");
    else
        m = simt_load(mod, flags, err, err_len);
    LLVMDisposeMessage(message);
    if (mod)
        LLVMDisposeModule(mod);
    LLVMContextDispose(c);
    return m;
}

void simt_unload(SimtModule *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->kernels; i++) {
        free((char *)(uintptr_t)m->kernel[i].known.name);
        free(m->kernel[i].param_bytes);
        free(m->kernel[i].param_align);
        free(m->kernel[i].by_value);
    }
    for (int i = 0; i < m->variables; i++) {
        if (m->variable[i].address)
            simt_buffer_gone(m->variable[i].address);
        free(m->variable[i].symbol);
    }
    for (Kept *k = m->kept, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    free(m->kernel);
    free(m->variable);
    free(m->site);
    if (m->jit)
        LLVMConsumeError(LLVMOrcDisposeLLJIT(m->jit));
    if (m->text)
        LLVMDisposeModule(m->text);
    if (m->text_context)
        LLVMContextDispose(m->text_context);
    if (m->origin)
        LLVMDisposeMemoryBuffer(m->origin);
    free(m);
}

static LLVMValueRef find_instruction(LLVMModuleRef mod, const Site *s)
{
    uint32_t left = s->function;
    LLVMValueRef f = LLVMGetFirstFunction(mod);
    while (f && left--)
        f = LLVMGetNextFunction(f);
    left = s->instruction;
    for (LLVMBasicBlockRef b = f ? LLVMGetFirstBasicBlock(f) : NULL; b;
         b = LLVMGetNextBasicBlock(b))
        for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i))
            if (!left--)
                return i;
    return NULL;
}

void module_site_text(SimtModule *m, uint32_t site, char *out, size_t len)
{
    snprintf(out, len, "?");
    if (!m->text_context)
        m->text_context = LLVMContextCreate();
    if (!m->text && LLVMParseBitcodeInContext2(m->text_context, m->origin, &m->text))
        return;
    LLVMValueRef i = find_instruction(m->text, &m->site[site]);
    if (!i)
        return;
    char *text = LLVMPrintValueToString(i);
    snprintf(out, len, "%s", text + strspn(text, " "));
    LLVMDisposeMessage(text);
}
