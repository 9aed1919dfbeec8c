#include "cpu.h"
#include "cnnrt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The levels of the x86-64 psABI; code for this very machine carries the level it needs. */
bool cnnrt_cpu_suffices(const char *need)
{
#if defined(__x86_64__) && defined(__GNUC__)
    static const char prefix[] = "x86-64-v";
    if (need == NULL)
        return true;
    for (size_t i = 0; i < sizeof prefix - 1; i++)
        if (need[i] != prefix[i])
            return true;
    __builtin_cpu_init();
    switch (need[sizeof prefix - 1]) {
    case '2': return __builtin_cpu_supports("sse4.2") != 0;
    case '3': return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
    case '4':
        return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
               __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512bw") != 0;
    default: return true;
    }
#else
    (void)need;
    return true;
#endif
}

static bool runs_here(const CnnrtModel *m)
{
    if (m->code == NULL)
        return cnnrt_cpu_suffices(m->cpu);
    return m->code->backend->abi == CNNRT_ABI_VERSION && m->code->backend->present(m) == CNNRT_OK;
}

const CnnrtModel *cnnrt_choose(const CnnrtModel *const *variants, int64_t count)
{
    const char *forced = getenv("CNNC_CPU");
    if (variants == NULL)
        return NULL;
    for (int64_t i = 0; i < count; i++) {
        const char *cpu = variants[i]->cpu;
        bool any = forced == NULL || *forced == '\0';
        if (!any && (cpu == NULL || strcmp(forced, cpu) != 0))
            continue;
        if (runs_here(variants[i]))
            return variants[i];
        if (any && variants[i]->code != NULL)
            fprintf(stderr, "%s: not on %s: %s\n", variants[i]->name,
                    variants[i]->code->backend->name, cnnrt_detail(variants[i]));
    }
    return NULL;
}

const char *cnnrt_weights_file(const CnnrtModel *m)
{
    return m == NULL ? NULL : m->weights_file;
}
