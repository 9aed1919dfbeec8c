/* Variables of a module. Those in shared memory get their place in the arena: what several kernels
 * use first, then each kernel's own, all kernels' at the same place; then dynamic shared memory.
 * Between variables nothing is valid, so that an index past the end of one does not reach the
 * next. */
#include "memory.h"
#include "module.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 64, DYNAMIC_ALIGN = 1024, MANY = -2, NONE = -1 };

static int kernel_of(const Rewrite *r, LLVMValueRef function)
{
    for (int i = 0; i < r->m->kernels; i++)
        if (r->m->kernel[i].function == function)
            return i;
    return MANY;
}

/* The kernel that alone uses a value, NONE, or MANY (also for a function that kernels may call). */
static int owner(const Rewrite *r, LLVMValueRef value)
{
    int found = NONE;
    for (LLVMUseRef u = LLVMGetFirstUse(value); u; u = LLVMGetNextUse(u)) {
        LLVMValueRef user = LLVMGetUser(u);
        int who;
        if (LLVMIsAInstruction(user))
            who = kernel_of(r, LLVMGetBasicBlockParent(LLVMGetInstructionParent(user)));
        else
            who = owner(r, user);
        if (found == NONE)
            found = who;
        else if (who != NONE && who != found)
            found = MANY;
    }
    return found;
}

static uint32_t aligned(uint32_t at, uint32_t align)
{
    return (at + align - 1) / align * align;
}

/* Gives `kernel` a window; false when it has too many variables. */
static bool window(Kernel *k, uint32_t begin, uint32_t bytes)
{
    if (k->windows == WINDOW_LIMIT - 1)
        return false;
    k->window[k->windows][0] = begin;
    k->window[k->windows++][1] = begin + bytes;
    k->known.static_shared += bytes;
    return true;
}

static void replace(Rewrite *r, LLVMValueRef global, uint32_t offset)
{
    LLVMValueRef address =
        LLVMConstInt(LLVMInt64TypeInContext(r->c), (uintptr_t)shared_arena() + offset, 0);
    LLVMReplaceAllUsesWith(global, LLVMConstIntToPtr(address, LLVMTypeOf(global)));
    LLVMDeleteGlobal(global);
}

/* The next place for a variable of `who`. `own[i]`: where the i-th kernel's end, `common`: where
 * those of several do. */
static bool place(Rewrite *r, LLVMValueRef global, int who, uint32_t *common, uint32_t *own,
                  uint32_t *offset)
{
    SimtModule *m = r->m;
    size_t len;
    uint64_t bytes = LLVMABISizeOfType(r->layout, LLVMGlobalGetValueType(global));
    uint32_t align = LLVMGetAlignment(global) > 16 ? LLVMGetAlignment(global) : 16;
    uint32_t *end = who == MANY ? common : &own[who];
    uint32_t begin = aligned(*end + GAP, align);
    if (bytes > SHARED_LIMIT || begin + bytes > SHARED_LIMIT)
        return rewrite_fail(r, "%s needs more shared memory than a block can have",
                            LLVMGetValueName2(global, &len));
    for (int i = 0; i < m->kernels; i++)
        if ((who == MANY || i == who) && !window(&m->kernel[i], begin, (uint32_t)bytes))
            return rewrite_fail(r, "kernel %s has too many shared variables",
                                m->kernel[i].known.name);
    *end = begin + (uint32_t)bytes;
    *offset = begin;
    return true;
}

static bool is_dynamic(LLVMValueRef global)
{
    LLVMTypeRef type = LLVMGlobalGetValueType(global);
    return LLVMIsDeclaration(global) && LLVMGetTypeKind(type) == LLVMArrayTypeKind &&
           LLVMGetArrayLength2(type) == 0;
}

/* Those of one kind: of several kernels, of one, or dynamic. */
static bool place_shared(Rewrite *r, int kind, uint32_t *common, uint32_t *own)
{
    LLVMValueRef next;
    for (LLVMValueRef g = LLVMGetFirstGlobal(r->mod); g; g = next) {
        next = LLVMGetNextGlobal(g);
        if (LLVMGetPointerAddressSpace(LLVMTypeOf(g)) != SPACE_SHARED || is_dynamic(g))
            continue;
        int who = owner(r, g);
        uint32_t offset = 0;
        if ((who == MANY) != (kind == MANY))
            continue;
        if (who != NONE && !place(r, g, who, common, own, &offset))
            return false;
        replace(r, g, offset);
    }
    return true;
}

static bool name_variable(Rewrite *r, LLVMValueRef g)
{
    SimtModule *m = r->m;
    size_t len;
    char name[32];
    if (LLVMIsDeclaration(g))
        return rewrite_fail(r, "variable %s is not defined", LLVMGetValueName2(g, &len));
    snprintf(name, sizeof name, "simt.variable.%d", m->variables);
    LLVMSetValueName2(g, name, strlen(name));
    LLVMSetLinkage(g, LLVMExternalLinkage);
    LLVMSetVisibility(g, LLVMDefaultVisibility);
    Variable v = {.symbol = strdup(name),
                  .bytes = (size_t)LLVMABISizeOfType(r->layout, LLVMGlobalGetValueType(g)),
                  .constant = LLVMIsGlobalConstant(g)};
    m->variable[m->variables++] = v;
    return v.symbol || rewrite_fail(r, "out of memory");
}

static bool name_others(Rewrite *r)
{
    LLVMValueRef next;
    size_t n = 0, len;
    for (LLVMValueRef g = LLVMGetFirstGlobal(r->mod); g; g = LLVMGetNextGlobal(g))
        n++;
    r->m->variable = calloc(n + 1, sizeof *r->m->variable);
    if (!r->m->variable)
        return rewrite_fail(r, "out of memory");
    for (LLVMValueRef g = LLVMGetFirstGlobal(r->mod); g; g = next) {
        next = LLVMGetNextGlobal(g);
        if (!strncmp(LLVMGetValueName2(g, &len), "llvm.", 5))
            LLVMDeleteGlobal(g);
        else if (is_dynamic(g) && LLVMGetPointerAddressSpace(LLVMTypeOf(g)) == SPACE_SHARED)
            replace(r, g, r->m->dynamic);
        else if (!name_variable(r, g))
            return false;
    }
    return true;
}

bool variables_place(Rewrite *r)
{
    SimtModule *m = r->m;
    uint32_t common = 0, *own = calloc((size_t)m->kernels + 1, sizeof *own);
    if (!own)
        return rewrite_fail(r, "out of memory");
    bool ok = place_shared(r, MANY, &common, own);
    uint32_t last = common;
    for (int i = 0; i < m->kernels; i++)
        own[i] = common;
    ok = ok && place_shared(r, NONE, &common, own);
    for (int i = 0; i < m->kernels; i++)
        last = own[i] > last ? own[i] : last;
    m->dynamic = aligned(last + (last ? GAP : 0), DYNAMIC_ALIGN);
    free(own);
    return ok && name_others(r);
}
