/* Kernels for GPUs on the emulator: a plan's kernels loaded as the text the code generator makes,
 * launched as its launches say. */
#ifndef CNNC_TEST_CUDA_RUN_H
#define CNNC_TEST_CUDA_RUN_H
#include "cnnrt.h"
#include "codegen/codegen.h"
#include "../simt/simt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUDA_PREFIX "gpu"

/* With checks `flags` of simt.h; NULL with a message in err. */
static inline SimtModule *cuda_load_for(const CodegenApi *api, const Plan *p, unsigned flags,
                                        char *err, size_t len)
{
    EmitOptions o = {.prefix = CUDA_PREFIX, .net_name = "gpu", .max_batch = 1, .jobs = 1};
    EmitResult r = {0};
    if (!api->emit(p, EMIT_LLVM_IR, &o, &r, err, len))
        return NULL;
    SimtModule *m = simt_load_text(r.pieces[0].data, r.pieces[0].len, flags, err, len);
    api->emit_free(&r);
    return m;
}

static inline SimtModule *cuda_load(const CodegenApi *api, const Plan *p, char *err, size_t len)
{
    return cuda_load_for(api, p, SIMT_CHECK, err, len);
}

/* Of a launch's input, as the runtime has the driver make it. */
static inline bool cuda_tensor_map(const Kernel *k, const Launch *l, float *in, int batch,
                                   SimtTensorMap *out)
{
    SimtTensor t = {.base = in, .rank = 2, .element_bytes = 2};
    t.dim[0] = (uint32_t)l->in.channels;
    t.dim[1] = (uint32_t)(l->in.rows * batch);
    t.stride[0] = (uint64_t)l->in.step * 2;
    t.box[0] = (uint32_t)k->tile.cuda.k;
    t.box[1] = (uint32_t)k->tile.cuda.m;
    t.swizzle_bytes = 2 * k->tile.cuda.k;
    return simt_tensor_map(out, &t);
}

/* Runs kernel number `index` on args[KERNEL_ARGS], of which it takes those it has, and on the run,
 * which may be NULL where nothing reads it. False with a
 * message when it cannot be launched, or needs other shared memory than its launch says. */
static inline bool cuda_launch(SimtModule *m, const Plan *p, uint32_t index, float *const *args,
                               int batch, const CnnrtRun *run, char *err, size_t len)
{
    const Kernel *k = &p->kernels.at[index].k;
    Launch l = family_launch(k, &p->target);
    void *param[KERNEL_ARGS + 3];
    SimtTensorMap map;
    int n = 0;
    char name[64];
    snprintf(name, sizeof name, CUDA_PREFIX "_k%u", (unsigned)index);
    for (int i = 0; i < KERNEL_ARGS; i++)
        if (kernel_has_arg(k, &p->target, i))
            param[n++] = (void *)&args[i];
    param[n++] = &batch;
    if (kernel_reads_run(k))
        param[n++] = (void *)&run;
    if (l.in.channels > 0)
        param[n++] = &map;
    if (l.in.channels > 0 && !cuda_tensor_map(k, &l, args[KERNEL_ARG_IN], batch, &map)) {
        snprintf(err, len, "%s: no tensor map", name);
        return false;
    }
    const SimtKernel *have = simt_kernel(m, name);
    int64_t asked = launch_shared(&l);
    if (have == NULL || have->params != n || (int64_t)have->static_shared + asked != l.shared ||
        have->max_threads != (unsigned)l.threads) {
        snprintf(err, len, "%s is not what its launch says (shared %zu, %lld)", name,
                 have ? have->static_shared : 0, (long long)l.shared);
        return false;
    }
    int64_t items = (l.once ? 1 : batch) * l.items;
    SimtLaunch how = {
        .grid = {(unsigned)((items + l.per_block - 1) / l.per_block), (unsigned)l.rows},
        .block = {(unsigned)l.threads},
        .shared = (size_t)asked};
    return simt_launch(m, name, &how, param, err, len);
}

/* Announced to the emulator; filled with NaN. */
static inline float *cuda_buffer(int64_t floats)
{
    void *p = NULL;
    size_t bytes = (size_t)(floats > 0 ? floats : 1) * sizeof(float);
    if (posix_memalign(&p, 64, bytes) != 0)
        abort();
    memset(p, 0xFF, bytes);
    simt_buffer(p, bytes);
    return p;
}

static inline void cuda_release(float *p)
{
    if (p)
        simt_buffer_gone(p);
    free(p);
}

/* Whether the emulator found nothing; prints what it did, and forgets it. */
static inline bool cuda_clean(const char *what)
{
    const SimtReport *r = simt_report();
    bool clean = r->total == 0;
    for (int i = 0; i < r->messages && i < 3; i++)
        fprintf(stderr, "# %s: %s\n", what, r->message[i]);
    simt_report_clear();
    return clean;
}
#endif
