/* A module in the process: its kernels as host code, and where its instructions came from. */
#ifndef SIMT_MODULE_H
#define SIMT_MODULE_H

#include "machine.h"
#include <llvm-c/Core.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/TargetMachine.h>

enum { WINDOW_LIMIT = 32 };

typedef struct Kernel {
    SimtKernel known;
    size_t *param_bytes;
    size_t *param_align;  /* what a pointer must be a multiple of; 0: nothing said */
    bool *by_value;       /* a structure in constant memory, handed over by its address */
    uint32_t required[3]; /* the block it was compiled for; 0: any */
    bool flush;           /* denormals are zero */
    uint32_t window[WINDOW_LIMIT][2]; /* its variables in shared memory */
    int windows;
    LLVMValueRef function; /* until the module is compiled */
    void (*entry)(void *const *args);
} Kernel;

/* A variable in global or constant memory. */
typedef struct Variable {
    char *symbol;
    size_t bytes;
    bool constant;
    void *address;
} Variable;

typedef struct Kept Kept; /* memory that goes with the module */
struct Kept {
    Kept *next;
    max_align_t what[];
};

struct SimtModule {
    Kept *kept;
    unsigned flags;
    Site *site;
    uint32_t sites, site_room;
    Kernel *kernel;
    int kernels;
    Variable *variable;
    int variables;
    uint32_t dynamic;            /* where dynamic shared memory begins */
    LLVMMemoryBufferRef origin;  /* the module as it came, as bitcode */
    LLVMContextRef text_context; /* it again, read when the first fault has to be put into words */
    LLVMModuleRef text;
    LLVMOrcLLJITRef jit;
};

/* What is being made of a module: its own copy, in its own context. */
typedef struct Rewrite {
    SimtModule *m;
    LLVMContextRef c;
    LLVMModuleRef mod;
    LLVMBuilderRef b;
    LLVMTargetDataRef layout;
    LLVMValueRef words; /* of the function that is being rewritten: room for operands and results */
    char *err;
    size_t err_len;
} Rewrite;

bool rewrite_fail(Rewrite *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A number for an instruction, NO_SITE when there is no memory. */
uint32_t rewrite_site(Rewrite *r, Site s);
/* Memory that is freed with the module; NULL when there is none. */
void *rewrite_alloc(Rewrite *r, size_t bytes);
/* A call of a C function at a fixed address of this process. */
LLVMValueRef rewrite_call(Rewrite *r, void *function, LLVMTypeRef type, LLVMValueRef *args,
                          unsigned n);

/* --- kernels.c: finds the kernels and what is said of them; later gives each an entry. */
bool kernels_find(Rewrite *r);
bool kernels_entries(Rewrite *r);
/* --- variables.c: places shared variables in the arena and gives the others symbols. */
bool variables_place(Rewrite *r);
/* --- operations.c: a call of an intrinsic or of inline assembly becomes one of a C function. */
bool operation_replace(Rewrite *r, LLVMValueRef call, Site s, bool *replaced);
/* --- accesses.c: what touches memory asks first. May erase `inst`. */
bool access_check(Rewrite *r, LLVMValueRef inst, Site s);

Kernel *module_kernel(SimtModule *m, const char *name);

#endif
