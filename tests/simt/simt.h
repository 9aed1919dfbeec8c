/* A SIMT emulator: runs kernels written for NVPTX (LLVM modules with its address spaces, intrinsics
 * and inline assembly) on the CPU, one fiber per thread, and says what is wrong with them.
 *
 * The state is the process's: one launch at a time, from one thread. Device memory is host memory
 * that was announced with simt_buffer; what a kernel touches beside it is a fault. A faulty access
 * does not reach memory: loads give NaN patterns, stores are dropped, and the kernel goes on. */
#ifndef SIMT_H
#define SIMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct LLVMOpaqueModule; /* what LLVMModuleRef points to */

typedef enum SimtFault {
#define FAULT(NAME, name, text) SIMT_##NAME,
#include "fault.def"
#undef FAULT
    SIMT_FAULTS
} SimtFault;

/* The name of a kind, as in fault.def. */
const char *simt_fault_name(SimtFault kind);

typedef struct SimtModule SimtModule;

enum {
    SIMT_CHECK = 1,     /* check every access; without it a kernel runs several times faster */
    SIMT_CONFLICTS = 2, /* count bank conflicts; needs SIMT_CHECK */
};

/* Takes a copy of `module`, whose context and content stay the caller's, or bitcode or text of
 * `len` bytes. `flags`: SIMT_CHECK | SIMT_CONFLICTS. NULL with a message in `err` for a module that
 * does not verify, or calls what neither the emulator nor LLVM's NVPTX back end knows. */
SimtModule *simt_load(struct LLVMOpaqueModule *module, unsigned flags, char *err, size_t err_len);
SimtModule *simt_load_text(const void *data, size_t len, unsigned flags, char *err, size_t err_len);
void simt_unload(SimtModule *m); /* NULL is fine */

/* What is known of a kernel. Sizes in bytes. */
typedef struct SimtKernel {
    const char *name;
    int params;                /* of its parameters: how many, */
    const size_t *param_bytes; /* and the size of each */
    size_t static_shared;      /* shared memory it declares */
    unsigned max_threads;      /* its launch bound, or 1024 */
} SimtKernel;

/* NULL when there is none of that name. simt_kernel_at: NULL past the last. */
const SimtKernel *simt_kernel(const SimtModule *m, const char *name);
const SimtKernel *simt_kernel_at(const SimtModule *m, int i);

typedef struct SimtLaunch {
    unsigned grid[3], block[3]; /* x, y, z; a 0 counts as 1 */
    size_t shared;              /* dynamic shared memory in bytes */
} SimtLaunch;

/* Runs a kernel to its end. args[i] points to the value of parameter i, as for cudaLaunchKernel.
 * false, with a message, when it cannot be launched so (no such kernel, block or shared memory over
 * a limit). Faults do not count as failures here: they are in the report. After a deadlock the
 * remaining blocks are not run. */
bool simt_launch(SimtModule *m, const char *kernel, const SimtLaunch *how, void *const *args,
                 char *err, size_t err_len);

/* Announces `bytes` of global memory at `p`, or ends that, for one buffer or for all. Buffers must
 * not overlap; an announcement at the start of one that exists replaces it. */
bool simt_buffer(void *p, size_t bytes);
void simt_buffer_gone(void *p);
void simt_buffers_clear(void);

/* Everything since the last simt_report_clear. */
typedef struct SimtReport {
    uint64_t faults[SIMT_FAULTS]; /* accesses or events, by kind */
    uint64_t total;               /* their sum */
    uint64_t launches, blocks, threads;
    uint64_t barriers; /* of blocks */
    uint64_t accesses; /* checked loads and stores of shared and global memory */
    uint64_t
        shared_requests; /* warp-wide accesses of shared memory, in wavefronts without conflict */
    uint64_t conflicts;  /* wavefronts more than that: bank conflicts */
    uint64_t matrix_ops; /* mma of a warp, or wgmma of a warp group */
    int messages;        /* one per kind and instruction, at most SIMT_MESSAGES */
    const char *const *message;
} SimtReport;

enum { SIMT_MESSAGES = 64 };

const SimtReport *simt_report(void);
void simt_report_clear(void);

/* A tensor map, as a kernel takes it in constant memory: what cuTensorMapEncodeTiled and
 * cuTensorMapEncodeIm2col make of these, but for the emulator alone. */
typedef struct SimtTensorMap {
    _Alignas(64) unsigned char opaque[128];
} SimtTensorMap;

typedef struct SimtTensor {
    void *base;
    int rank;          /* 1 .. 5, the innermost dimension first */
    int element_bytes; /* 2 or 4 */
    int swizzle_bytes; /* 0, 32, 64 or 128 */
    bool round_tf32;   /* elements are rounded on their way */
    uint32_t dim[5];
    uint64_t stride[4]; /* bytes, from dimension 1 on */
    uint32_t box[5];    /* elements; im2col: channels and pixels of a column */
    uint32_t step[5];   /* traversal strides; a 0 counts as 1 */
    bool im2col;
    int lower[3], upper[3]; /* corners of the bounding box, innermost first */
} SimtTensor;

/* False for what the device's encoder would refuse: addresses and strides that are no multiples of
 * 16, boxes that are too large. */
bool simt_tensor_map(SimtTensorMap *out, const SimtTensor *t);

/* Threads of a block run in the order of their numbers (0), or in one drawn from the seed. */
void simt_shuffle(uint64_t seed);

#endif
