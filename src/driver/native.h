/* From an analysed net to native code: fuse, plan, open the code generator, pack weights. Shared by
 * build, run, verify and bench. */
#ifndef CNNC_NATIVE_H
#define CNNC_NATIVE_H
#include "cnnrt.h"
#include "codegen/codegen.h"
#include "driver/parameters.h"
#include "plan/plan.h"

typedef struct Native {
    void *handle; /* of the code generator's shared object; stays open until exit */
    const CodegenApi *api;
    Fusion fusion;
    Plan plan;
    Target host; /* of a CUDA plan: who launches its kernels */
    float *blob; /* packed weights, 64-byte aligned; malloc'ed; NULL when they went elsewhere */
    Loaded *loaded;
    const CnnrtModel *model;
} Native;

/* Opens the code generator and asks it what `cpu` is (NULL = native). Returns an exit code. */
int native_open(Native *x, Run *r, const char *cpu, Target *target);
/* Whether --target names cuda, and whether it names cpu; neither: cpu. */
bool native_wants_cuda(const Run *r);
bool native_wants_cpu(const Run *r);
/* What --dtype names; and the architecture of --target=cuda that has it, unless --target-cpu does.
 */
Dtype native_dtype(const Run *r);
const char *native_usual_gpu(const Run *r);
/* Notes how many contractions of the plan matrix units could not take. */
void native_say_units(Run *r, const Plan *p, const char *label);
/* The machine that a plan's objects are for: the target, or of a CUDA plan the host. */
const Target *native_host(const Native *x);
/* The architecture of a target that this machine is not, "aarch64"; NULL when it is this one. */
const char *native_foreign(const Target *t);
/* Opens the code generator and plans the net for --target-cpu, or for `cpu`; dumps of stages bear
 * the label. Returns an exit code. */
int native_plan(Native *x, Run *r, const Net *n);
int native_plan_for(Native *x, Run *r, const Net *n, const char *cpu, const char *label);
/* Plans the net for inference on the state of its training, which has been planned. */
int native_plan_evaluation(Native *x, Run *r, const Net *n, const Native *training);
/* Packs the weights into `to` (plan.weight_floats, 64-byte aligned), or, when that is NULL, into a
 * blob of x's own. */
int native_pack(Native *x, Run *r, const Net *n, Parameters *p, float *to);
/* Compiles into this process with batches up to max_batch. */
int native_load(Native *x, Run *r, const Net *n, int max_batch);
/* The same of any plan of x's, as o says. */
int native_load_plan(Native *x, Run *r, EmitOptions *o);
/* Says what a status of the runtime is, for the model; returns the exit code. */
int native_failure(Run *r, const CnnrtModel *m, int status);
void native_close(Native *x);
EmitOptions native_emit_options(const Run *r, const Net *n, int max_batch);
/* Path of a library that was installed with the running binary; malloc'ed, or NULL. When there is
 * none the path where it was looked for last, so that messages can name it. */
char *native_library(const char *name);
#endif
