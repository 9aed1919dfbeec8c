#include "codegen/target.h"
#include "codegen/llvm/machine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct CpuRow {
    const char *name, *llvm;
} CpuRow;

static const CpuRow x86[] = {
    {"x86-64", "x86-64"},
    {"x86-64-v2", "x86-64-v2"},
    {"x86-64-v3", "x86-64-v3"},
    {"x86-64-v4", "x86-64-v4"},
    {"nehalem", "x86-64-v2"},
    {"westmere", "x86-64-v2"},
    {"sandybridge", "x86-64-v2"},
    {"ivybridge", "x86-64-v2"},
    {"haswell", "x86-64-v3"},
    {"broadwell", "x86-64-v3"},
    {"skylake", "x86-64-v3"},
    {"alderlake", "x86-64-v3"},
    {"znver1", "x86-64-v3"},
    {"znver2", "x86-64-v3"},
    {"znver3", "x86-64-v3"},
    {"skylake-avx512", "x86-64-v4"},
    {"cascadelake", "x86-64-v4"},
    {"cooperlake", "x86-64-v4"},
    {"icelake-client", "x86-64-v4"},
    {"icelake-server", "x86-64-v4"},
    {"sapphirerapids", "x86-64-v4"},
    {"znver4", "x86-64-v4"},
    {"znver5", "x86-64-v4"},
};
static const CpuRow arm[] = {
    {"aarch64", "generic"},         {"generic", "generic"},         {"neoverse-n1", "neoverse-n1"},
    {"neoverse-n2", "neoverse-n2"}, {"neoverse-v1", "neoverse-v1"}, {"neoverse-v2", "neoverse-v2"},
    {"cortex-a53", "cortex-a53"},   {"cortex-a72", "cortex-a72"},   {"cortex-a76", "cortex-a76"},
    {"apple-m1", "apple-m1"},
};

typedef struct Arch {
    const char *triple; /* when it is not this machine's */
    const CpuRow *rows;
    size_t count;
    bool x86;
} Arch;
static const Arch archs[] = {
    {"x86_64-pc-linux-gnu", x86, sizeof x86 / sizeof *x86, true},
    {"aarch64-unknown-linux-gnu", arm, sizeof arm / sizeof *arm, false},
};

static const CpuRow *find(const Arch *a, const char *name)
{
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->rows[i].name, name) == 0)
            return &a->rows[i];
    return NULL;
}

/* LLVM's feature list is "+a,-b,+c". */
static bool has_feature(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; p && *p; p = strchr(p, ',')) {
        if (*p == ',')
            p++;
        if (*p == '+' && strncmp(p + 1, name, n) == 0 && (p[n + 1] == ',' || !p[n + 1]))
            return true;
    }
    return false;
}

/* What the levels of the x86-64 psABI add to the ones before, in LLVM's words. */
#define ADDS_V2 "cx16,popcnt,sahf,sse3,sse4.1,sse4.2,ssse3"
#define ADDS_V3 "avx,avx2,bmi,bmi2,f16c,fma,lzcnt,movbe"
#define ADDS_V4 "avx512bw,avx512cd,avx512dq,avx512f,avx512vl"

/* Whether all of the names "a,b,c" are in LLVM's list. */
static bool has_all(const char *list, const char *names)
{
    char name[32];
    while (*names) {
        size_t n = strcspn(names, ",");
        snprintf(name, sizeof name, "%.*s", (int)n, names);
        if (!has_feature(list, name))
            return false;
        names += n + (names[n] == ',');
    }
    return true;
}

static const char *native_level(void)
{
    char *features = LLVMGetHostCPUFeatures();
    const char *level = "x86-64";
    if (has_all(features, ADDS_V2))
        level = "x86-64-v2";
    if (has_all(features, ADDS_V2 "," ADDS_V3))
        level = has_all(features, ADDS_V4) ? "x86-64-v4" : "x86-64-v3";
    LLVMDisposeMessage(features);
    return level;
}

typedef struct GpuRow {
    const char *name;
    int ptx, block_shared, shared; /* KB */
} GpuRow;
static const GpuRow gpus[] = {
#define ARCH(NAME, PTX, BLOCK, ALL, DOC) {NAME, PTX, BLOCK, ALL},
#include "codegen/cuda/arch.def"
};

const char *target_features(const Target *t)
{
    if (t->kind == TARGET_CUDA)
        return t->features + 1; /* "+ptx63" */
    return strcmp(t->cpu, "x86-64-v4") == 0   ? ADDS_V4 "," ADDS_V3 "," ADDS_V2
           : strcmp(t->cpu, "x86-64-v3") == 0 ? ADDS_V3 "," ADDS_V2
           : strcmp(t->cpu, "x86-64-v2") == 0 ? ADDS_V2
                                              : "";
}

void target_host(char *cpu, size_t cpu_len)
{
    char *name = LLVMGetHostCPUName();
    snprintf(cpu, cpu_len, "%s", name);
    LLVMDisposeMessage(name);
}

static int64_t cache_size(int name, int64_t otherwise)
{
    long n = sysconf(name);
    return n > 0 ? n : otherwise;
}

static void set_vectors(Target *t, bool is_x86)
{
    int level = is_x86 && strlen(t->cpu) > 8 ? t->cpu[8] - '0' : 1;
    t->vl = level >= 4 ? 16 : level == 3 ? 8 : 4;
    t->regs = level >= 4 || !is_x86 ? 32 : 16;
}

static bool unknown_cpu(const char *cpu, char *err, size_t err_len)
{
    int at = snprintf(err, err_len, "unknown processor '%s'; known are native", cpu);
    for (size_t k = 0; k < sizeof archs / sizeof *archs; k++)
        for (size_t i = 0; i < archs[k].count && at > 0 && (size_t)at < err_len; i++)
            at += snprintf(err + at, err_len - (size_t)at, ", %s", archs[k].rows[i].name);
    return false;
}

static bool describe_gpu(const char *name, Target *out, char *err, size_t err_len)
{
    enum { ACCESS = 4 /* floats */ };
    int at = snprintf(err, err_len, "unknown architecture '%s'; known are", name);
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++) {
        if (strcmp(gpus[i].name, name) == 0) {
            *out = (Target){.kind = TARGET_CUDA, .vl = ACCESS, .triple = "nvptx64-nvidia-cuda"};
            snprintf(out->cpu, sizeof out->cpu, "%s", name);
            snprintf(out->features, sizeof out->features, "+ptx%d", gpus[i].ptx);
            out->warp_groups = strcmp(name, "sm_90a") == 0;
            out->block_shared = (int64_t)gpus[i].block_shared << 10;
            out->shared = (int64_t)gpus[i].shared << 10;
            return true;
        }
        if (at > 0 && (size_t)at < err_len)
            at += snprintf(err + at, err_len - (size_t)at, "%s %s", i ? "," : "", gpus[i].name);
    }
    return false;
}

Target target_least(const Target *t)
{
    Target base = *t;
    snprintf(base.cpu, sizeof base.cpu, "%s",
             strncmp(t->triple, "x86_64", 6) == 0 ? "x86-64" : "generic");
    base.features[0] = '\0';
    base.vl = 4;
    return base;
}

/* Of this machine, which has the triple; NULL when nothing is known of it. */
static const Arch *host_arch(const char *triple)
{
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
        if (strncmp(triple, archs[i].triple, strcspn(archs[i].triple, "-") + 1) == 0)
            return &archs[i];
    return NULL;
}

bool target_describe(const char *cpu, Target *out, char *err, size_t err_len)
{
    machine_init();
    memset(out, 0, sizeof *out);
    if (cpu && strncmp(cpu, "sm_", 3) == 0)
        return describe_gpu(cpu, out, err, err_len);
    char *triple = LLVMGetDefaultTargetTriple();
    snprintf(out->triple, sizeof out->triple, "%s", triple);
    LLVMDisposeMessage(triple);
    const Arch *host = host_arch(out->triple), *arch = host;
    bool native = !cpu || strcmp(cpu, "native") == 0;
    if (native && !host) {
        snprintf(err, err_len, "no code generator for %s", out->triple);
        return false;
    }
    if (native)
        cpu = host->x86 ? native_level() : "generic";
    const CpuRow *row = host ? find(host, cpu) : NULL;
    for (size_t i = 0; !row && i < sizeof archs / sizeof *archs; i++)
        if ((row = find(&archs[i], cpu)) != NULL)
            arch = &archs[i];
    if (!row)
        return unknown_cpu(cpu, err, err_len);
    if (arch != host)
        snprintf(out->triple, sizeof out->triple, "%s", arch->triple);
    snprintf(out->cpu, sizeof out->cpu, "%s", row->llvm);
    set_vectors(out, arch->x86);
    out->l1 = 32 << 10;
    out->l2 = 512 << 10;
    if (native) {
        out->l1 = cache_size(_SC_LEVEL1_DCACHE_SIZE, out->l1);
        out->l2 = cache_size(_SC_LEVEL2_CACHE_SIZE, out->l2);
    }
    return true;
}
