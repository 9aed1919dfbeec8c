#include "driver/native.h"
#include "driver/gpu.h"
#include "driver/tuned.h"
#include "support/temp.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder above the one that the running binary is in, and what is found below it. */
char *native_library(const char *name)
{
    static const char *const folders[] = {"lib", "lib64", "lib/x86_64-linux-gnu",
                                          "lib/aarch64-linux-gnu"};
    char self[4096], *out = NULL;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return NULL;
    self[n] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(self, '/');
        if (slash == NULL)
            return NULL;
        *slash = '\0';
    }
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        free(out);
        if (asprintf(&out, "%s/%s/%s", self, folders[i], name) < 0)
            return NULL;
        if (access(out, R_OK) == 0)
            return out;
    }
    return out;
}

/* As triples and cross compilers begin. */
static const char *const architectures[] = {"x86_64", "aarch64"};

/* For a handler that knows of no run. */
static const char *last_words;

static void no_memory(void)
{
    temp_give_up(EXIT_LIMIT, last_words, "", "");
}

static int open_codegen(Native *x, Run *r)
{
    char *path = native_library("libcnnc_codegen.so");
    if (path == NULL)
        return front_fail(r, EXIT_FILE, "cannot tell where cnnc is installed");
    double t = front_seconds();
    /* The code generator is never closed: LLVM registers handlers that outlive it. */
    x->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (x->handle == NULL) {
        int code =
            front_fail(r, EXIT_FILE, "cannot open the code generator %s: %s", path, dlerror());
        free(path);
        return code;
    }
    free(path);
    CodegenEntry *entry;
    *(void **)&entry = dlsym(x->handle, "cnnc_codegen_entry");
    x->api = entry != NULL ? entry() : NULL;
    if (x->api == NULL || x->api->abi != CODEGEN_ABI)
        return front_fail(r, EXIT_FILE, "the code generator belongs to another version of cnnc");
    last_words = front_last_words(r->message_format);
    x->api->no_memory(no_memory);
    stage_time(r, "open code generator", t);
    return EXIT_FINE;
}

/* Whether --target's list has the word. */
static bool wants(const Run *r, const char *word)
{
    const char *list = cli_get(r->cli, OPT_TARGET);
    for (size_t n = strlen(word); list != NULL && *list != '\0'; list += *list == ',') {
        size_t len = strcspn(list, ",");
        if (len == n && strncmp(list, word, n) == 0)
            return true;
        list += len;
    }
    return false;
}

bool native_wants_cuda(const Run *r)
{
    return wants(r, "cuda");
}

bool native_wants_cpu(const Run *r)
{
    return !native_wants_cuda(r) || wants(r, "cpu");
}

const Target *native_host(const Native *x)
{
    return x->plan.target.kind == TARGET_CUDA ? &x->host : &x->plan.target;
}

Dtype native_dtype(const Run *r)
{
    Dtype d = DTYPE_FP32;
    const char *name = cli_get(r->cli, OPT_DTYPE);
    if (name != NULL)
        dtype_read(name, &d); /* the table of options has them all */
    return d;
}

const char *native_usual_gpu(const Run *r)
{
    return dtype_info[native_dtype(r)].arch > 0 ? "sm_80" : "sm_70";
}

/* 80 of "sm_80,..."; 0: it begins with no GPU. */
static long arch_of(const char *cpu)
{
    return strncmp(cpu, "sm_", 3) == 0 ? strtol(cpu + 3, NULL, 10) : 0;
}

/* Whether the list of processors names a GPU that has d. */
static bool names_one_with(const char *list, Dtype d)
{
    for (; list != NULL && *list != '\0'; list += *list == ',') {
        if (arch_of(list) >= dtype_info[d].arch)
            return true;
        list += strcspn(list, ",");
    }
    return false;
}

/* Processors know fp32 alone. So do older GPUs: beside one that can do more, they fall back. */
static int choose_dtype(Run *r, Target *t)
{
    Dtype d = native_dtype(r);
    t->dtype = DTYPE_FP32;
    if (d == DTYPE_FP32)
        return EXIT_FINE;
    if (!native_wants_cuda(r))
        return front_fail(r, EXIT_USAGE, "--dtype=%s is for --target=cuda: processors have fp32",
                          dtype_info[d].name);
    if (t->kind != TARGET_CUDA)
        return EXIT_FINE;
    if (arch_of(t->cpu) >= dtype_info[d].arch)
        t->dtype = d;
    else if (!names_one_with(cli_get(r->cli, OPT_TARGET_CPU), d))
        return front_fail(r, EXIT_USAGE, "--dtype=%s takes --target-cpu=sm_%d or newer, not %s",
                          dtype_info[d].name, dtype_info[d].arch, t->cpu);
    return EXIT_FINE;
}

/* --target and --target-cpu have to be of one kind. */
static int choose_cpu(Run *r, const char **cpu)
{
    bool gpu = *cpu != NULL && strncmp(*cpu, "sm_", 3) == 0;
    if (!native_wants_cpu(r) && *cpu == NULL)
        *cpu = native_usual_gpu(r);
    else if (!native_wants_cpu(r) && !gpu)
        return front_fail(
            r, EXIT_USAGE,
            "'%s' is no GPU: --target=cuda takes sm_70, sm_80, ...; --target=cuda,cpu "
            "processors, too",
            *cpu);
    else if (gpu && !native_wants_cuda(r))
        return front_fail(r, EXIT_USAGE, "'%s' is a GPU: say --target=cuda, with build or pass",
                          *cpu);
    return EXIT_FINE;
}

int native_open(Native *x, Run *r, const char *cpu, Target *target)
{
    char err[1024] = "";
    int code = choose_cpu(r, &cpu);
    if (code == EXIT_FINE)
        code = open_codegen(x, r);
    if (code != EXIT_FINE)
        return code;
    if (cpu != NULL && strchr(cpu, ',') != NULL)
        return front_fail(r, EXIT_USAGE, "'%s' works for one processor; 'build' takes several",
                          cli_command_name(r->cli->command));
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): open_codegen has set it */
    if (!x->api->target(cpu, target, err, sizeof err))
        return front_fail(r, EXIT_FILE, "target '%s': %s", cpu != NULL ? cpu : "native", err);
    if (target->kind == TARGET_CUDA && !x->api->target(NULL, &x->host, err, sizeof err))
        return front_fail(r, EXIT_FILE, "%s", err);
    return choose_dtype(r, target);
}

const char *native_foreign(const Target *t)
{
#if defined(__aarch64__)
    static const char host[] = "aarch64";
#else
    static const char host[] = "x86_64";
#endif
    for (size_t i = 0; i < sizeof architectures / sizeof architectures[0]; i++)
        if (strncmp(t->triple, architectures[i], strlen(architectures[i])) == 0)
            return strcmp(architectures[i], host) == 0 ? NULL : architectures[i];
    return NULL;
}

/* LLVM IR is made anew for this: the generator keeps none. */
static int show_llvm(const Native *x, Run *r, const Net *n, const char *label)
{
    EmitOptions o = native_emit_options(r, n, 1);
    EmitResult out = {0};
    char err[512] = "";
    Buf text = {0};
    if (stage_wanted(r, STAGE_LLVM)) {
        if (!x->api->emit(&x->plan, EMIT_LLVM_IR, &o, &out, err, sizeof err))
            return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
        for (int i = 0; i < out.count; i++)
            buf_addn(&text, out.pieces[i].data, out.pieces[i].len);
        x->api->emit_free(&out);
    }
    return stage_show(r, STAGE_LLVM, label, &text);
}

void native_say_units(Run *r, const Plan *p, const char *label)
{
    PlanContractions c = plan_contractions(p);
    if (p->target.dtype != DTYPE_FP32 && c.units < c.all && !r->quiet)
        front_note(r, "'%s': %u of %u contractions are fp32: their groups do not suit matrix units",
                   label, (unsigned)(c.all - c.units), (unsigned)c.all);
}

int native_plan(Native *x, Run *r, const Net *n)
{
    return native_plan_for(x, r, n, cli_get(r->cli, OPT_TARGET_CPU), n->elab->graph.name);
}

int native_plan_for(Native *x, Run *r, const Net *n, const char *cpu, const char *label)
{
    Target target;
    *x = (Native){0};
    int code = native_open(x, r, cpu, &target);
    if (code != EXIT_FINE)
        return code;
    target.exact_conv = cli_has(r->cli, OPT_EXACT_CONV);
    double t = front_seconds();
    fuse_run(&x->fusion, &r->net_arena, &n->an);
    const char *bad = fuse_verify(&x->fusion);
    if (bad != NULL)
        return front_fail(r, front_blame(EXIT_INTERNAL, bad), "fusion made an invalid grouping: %s",
                          bad);
    stage_time(r, "fuse", t);
    Buf text = {0};
    if (stage_wanted(r, STAGE_FUSE))
        fuse_print(&x->fusion, &text);
    code = stage_show(r, STAGE_FUSE, label, &text);
    if (code != EXIT_FINE)
        return code;
    t = front_seconds();
    Tuned tuned;
    const PlanTiles *tiles = tuned_tiles(&tuned, r, x->api, n, &target);
    bad = plan_build_tuned(&x->plan, &r->net_arena, &n->an, &x->fusion, &target, tiles);
    if (bad != NULL)
        return front_fail(r, EXIT_LIMIT, "'%s' cannot be planned: %s", n->elab->graph.name, bad);
    bad = plan_verify(&x->plan);
    if (bad != NULL)
        return front_fail(r, front_blame(EXIT_INTERNAL, bad), "planning made an invalid plan: %s",
                          bad);
    stage_time(r, "plan", t);
    tuned_report(&tuned, r, &x->plan, label);
    native_say_units(r, &x->plan, label);
    text = (Buf){0};
    if (stage_wanted(r, STAGE_PLAN))
        plan_print(&x->plan, &text);
    code = stage_show(r, STAGE_PLAN, label, &text);
    return code == EXIT_FINE ? show_llvm(x, r, n, label) : code;
}

int native_plan_evaluation(Native *x, Run *r, const Net *n, const Native *training)
{
    Buf text = {0};
    double t = front_seconds();
    *x = (Native){.handle = training->handle, .api = training->api, .host = training->host};
    fuse_run_apart(&x->fusion, &r->net_arena, &n->an);
    const char *bad = fuse_verify(&x->fusion);
    if (bad == NULL)
        bad = plan_build_evaluation(&x->plan, &r->net_arena, &n->an, &x->fusion, &training->plan);
    if (bad != NULL)
        return front_fail(r, EXIT_LIMIT, "'%s' cannot be planned: %s", n->elab->graph.name, bad);
    bad = plan_verify(&x->plan);
    if (bad != NULL)
        return front_fail(r, front_blame(EXIT_INTERNAL, bad), "planning made an invalid plan: %s",
                          bad);
    stage_time(r, "plan inference", t);
    if (stage_wanted(r, STAGE_PLAN))
        plan_print(&x->plan, &text);
    return stage_show(r, STAGE_PLAN, arena_printf(&r->net_arena, "%s.run", n->elab->graph.name),
                      &text);
}

int native_pack(Native *x, Run *r, const Net *n, Parameters *p, float *to)
{
    double t = front_seconds();
    size_t bytes = (size_t)x->plan.weight_floats * sizeof(float);
    if (to == NULL) {
        if (posix_memalign((void **)&x->blob, 64, bytes > 0 ? bytes : 64) != 0) {
            x->blob = NULL;
            return front_fail(r, EXIT_LIMIT, "out of memory for %zu bytes of weights", bytes);
        }
        to = x->blob;
    }
    ParamSource source = parameters_source(p);
    const char *missing = plan_pack(&x->plan, &source, 0, to);
    if (missing != NULL && weights_find(&p->weights, missing) != NULL)
        return front_fail(r, EXIT_LIMIT, "out of memory for parameter '%s'", missing);
    if (missing != NULL)
        return front_fail(r, EXIT_REFUSED, "'%s' has no value for parameter '%s'",
                          n->elab->graph.name, missing);
    stage_time(r, "pack weights", t);
    return EXIT_FINE;
}

EmitOptions native_emit_options(const Run *r, const Net *n, int max_batch)
{
    (void)r;
    return (EmitOptions){
        .prefix = "cnnc_model", .net_name = n->elab->graph.name, .max_batch = max_batch};
}

int native_load(Native *x, Run *r, const Net *n, int max_batch)
{
    double t = front_seconds();
    EmitOptions o = native_emit_options(r, n, max_batch);
    if (x->plan.train != NULL) /* apart from the network's own kernels */
        o.prefix = "cnnc_model_train";
    int code = native_load_plan(x, r, &o);
    if (code == EXIT_FINE)
        stage_time(r, "generate code", t);
    return code;
}

int native_load_plan(Native *x, Run *r, EmitOptions *o)
{
    char err[512] = "";
    const void *model = NULL;
    const char *foreign = native_foreign(native_host(x));
    if (foreign != NULL)
        return front_fail(r, EXIT_FILE, "code for %s cannot run on this machine; 'build' makes it",
                          foreign);
    if (x->plan.target.kind == TARGET_CUDA) {
        int code = gpu_here(r, x, o);
        if (code != EXIT_FINE)
            return code;
    }
    x->loaded = x->api->load(&x->plan, o, &model, err, sizeof err);
    gpu_free(o);
    if (x->loaded == NULL)
        return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
    x->model = model;
    return EXIT_FINE;
}

void native_close(Native *x)
{
    if (x->loaded != NULL)
        x->api->unload(x->loaded);
    free(x->blob);
    *x = (Native){0};
}

int native_failure(Run *r, const CnnrtModel *m, int status)
{
    const char *detail = cnnrt_detail(m);
    int code = status == CNNRT_NO_MEMORY || status == CNNRT_DEVICE_MEMORY ? EXIT_LIMIT : EXIT_FILE;
    return front_fail(r, code, "%s%s%s", cnnrt_strerror(status), *detail != '\0' ? ": " : "",
                      detail);
}
