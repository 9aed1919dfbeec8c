/* The code generator's one door. It lives in a shared object of its own (libcnnc_codegen.so),
 * opened only by commands that generate code, so that checking starts in milliseconds. Nothing
 * else of cnnc links LLVM. Returns status and messages; never longjmps, never exits. */
#ifndef CNNC_CODEGEN_H
#define CNNC_CODEGEN_H
#include "plan/plan.h"

enum { CODEGEN_ABI = 6, CODEGEN_VARIANTS = 4 };

/* EMIT_ASM of a CUDA target is PTX; it has no objects. */
typedef enum EmitKind { EMIT_OBJECT, EMIT_LLVM_IR, EMIT_ASM } EmitKind;

typedef struct EmitOptions {
    const char *prefix; /* C identifier: exported symbols are <prefix>_... */
    const char *net_name;
    int max_batch;
    bool variant; /* one of several: objects have no functions but a hidden model (dispatch) */
    bool embed; /* objects refer to a weights object (training: of initial parameters); else weights
                   come at create */
    uint64_t weights_hash;    /* of the packed weights (cnnrt_hash); 0 = not known */
    const char *weights_file; /* name of the file the blob is in, for the model; may be NULL */
    const char *compiler;     /* who made it, for the model; may be NULL */
    const char *inference;    /* prefix of a training model's network for inference; may be NULL */
    /* CUDA, text: kernels of a training step in the same module, under a prefix of their own; NULL:
     * there are none. */
    const Plan *step;
    const char *step_prefix;
    int jobs; /* threads for kernel compilation; 0 = number of processors */
    void (*progress)(void *ctx, int done, int total); /* may be NULL */
    void *progress_ctx;
} EmitOptions;

/* A malloc'ed artefact. Objects may come in several pieces (kernels are compiled in parallel). */
typedef struct EmitPiece {
    char *data;
    size_t len;
} EmitPiece;
typedef struct EmitResult {
    EmitPiece *pieces;
    int count;
} EmitResult;

typedef struct Loaded Loaded; /* code loaded into this process */

typedef struct CodegenApi {
    int abi;
    const char *llvm_version;
    /* cpu "native" or NULL = this machine; else an LLVM cpu name such as "x86-64-v3", or a GPU's
     * architecture, "sm_80". */
    bool (*target)(const char *cpu, Target *out, char *err, size_t err_len);
    /* The processor this runs on, as LLVM calls it. */
    void (*host)(char *cpu, size_t cpu_len);
    /* The features that code for a target of ours may use, "avx2,fma": a constant text. */
    const char *(*features)(const Target *t);
    /* The bytes around `bytes` of packed weights that make them, in place, an ELF object for the
     * linker: symbol <prefix>_weights, aligned to 64. The head's length is a multiple of 64. */
    bool (*weights)(const Target *t, const char *prefix, size_t bytes, EmitPiece *head,
                    EmitPiece *tail, char *err, size_t err_len);
    /* Objects hold no weights, and text does not refer to any: its model takes them at create. */
    bool (*emit)(const Plan *p, EmitKind kind, const EmitOptions *o, EmitResult *out, char *err,
                 size_t err_len);
    void (*emit_free)(EmitResult *r);
    /* The object with the exported functions of a network of `count` variants (at most
     * CODEGEN_VARIANTS), given by their prefixes, best first; malloc'ed. */
    bool (*dispatch)(const Target *t, const char *prefix, const char *const *variants, int count,
                     EmitPiece *out, char *err, size_t err_len);
    /* Compiles and links into the running process; *model is a const CnnrtModel (cnnrt.h). */
    Loaded *(*load)(const Plan *p, const EmitOptions *o, const void **model, char *err,
                    size_t err_len);
    void (*unload)(Loaded *l);
    /* LLVM has no way to go on without memory: fn is called then, and must not return. */
    void (*no_memory)(void (*fn)(void));
} CodegenApi;

/* Exported by the shared object as "cnnc_codegen_entry". */
typedef const CodegenApi *CodegenEntry(void);
#endif
