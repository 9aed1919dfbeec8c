/* A network compiled for several processors, through the functions of its header.
 *   variants LIBRARY PREFIX FOLDER CPU...
 * FOLDER has the external weights, if any. Every CPU, forced by the environment, must be what is
 * chosen and give the same answers; unknown ones none; the first must be what is chosen without. */
#include "cnnrt.h"
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Lib {
    const CnnrtModel *(*model)(void);
    const char *(*weights_file)(void);
    size_t (*workspace_size)(int, int);
    int (*weights_map)(const char *, const float **);
    void (*weights_unmap)(const float *);
    int (*create)(CnnrtContext **, const float *, int, void *, size_t);
    int (*run)(CnnrtContext *, int, const float *const *, float *const *);
    void (*destroy)(CnnrtContext *);
} Lib;

static int wrong(const char *cpu, const char *what)
{
    printf("%s: %s\n", cpu, what);
    return 1;
}

static void *find(void *lib, const char *prefix, const char *what)
{
    char name[128];
    snprintf(name, sizeof name, "%s_%s", prefix, what);
    return dlsym(lib, name);
}

static int open_lib(Lib *l, const char *path, const char *prefix)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (lib == NULL)
        return wrong(path, dlerror());
    *(void **)&l->model = find(lib, prefix, "model");
    *(void **)&l->weights_file = find(lib, prefix, "weights_file");
    *(void **)&l->workspace_size = find(lib, prefix, "workspace_size");
    *(void **)&l->weights_map = find(lib, prefix, "weights_map");
    *(void **)&l->weights_unmap = find(lib, prefix, "weights_unmap");
    *(void **)&l->create = find(lib, prefix, "create");
    *(void **)&l->run = find(lib, prefix, "run");
    *(void **)&l->destroy = find(lib, prefix, "destroy");
    if (l->model == NULL || l->weights_file == NULL || l->workspace_size == NULL ||
        l->weights_map == NULL || l->weights_unmap == NULL || l->create == NULL || l->run == NULL ||
        l->destroy == NULL)
        return wrong(path, "a function is missing");
    return 0;
}

static size_t floats(const CnnrtTensor *t)
{
    return (size_t)(t->c * t->h * t->w);
}

/* The answer of the chosen variant, malloc'ed; NULL with a message printed. */
static float *answer(const Lib *l, const char *cpu, const char *folder)
{
    const CnnrtModel *m = l->model();
    const float *weights = NULL;
    CnnrtContext *c = NULL;
    char path[4096];
    int status = CNNRT_OK;
    size_t n = floats(&m->inputs[0]);
    float *in = malloc(n * sizeof *in), *out = malloc(floats(&m->outputs[0]) * sizeof *out);
    for (size_t i = 0; in != NULL && i < n; i++)
        in[i] = (float)(i * 7919 % 1000) / 500.0f - 1.0f;
    if (l->weights_file() != NULL) {
        snprintf(path, sizeof path, "%s/%s", folder, l->weights_file());
        status = l->weights_map(path, &weights);
    }
    if (status == CNNRT_OK)
        status = l->create(&c, weights, 2, NULL, 0);
    if (status == CNNRT_OK)
        status = l->run(c, 1, (const float *const[]){in}, (float *const[]){out});
    l->destroy(c);
    l->weights_unmap(weights);
    free(in);
    if (status == CNNRT_OK)
        return out;
    printf("%s: status %d\n", cpu, status);
    free(out);
    return NULL;
}

static int same(const float *a, const float *b, size_t n, const char *cpu)
{
    float scale = 0, off = 0;
    for (size_t i = 0; i < n; i++) {
        scale = fabsf(a[i]) > scale ? fabsf(a[i]) : scale;
        off = fabsf(a[i] - b[i]) > off ? fabsf(a[i] - b[i]) : off;
    }
    printf("%s: largest %g, largest difference %g\n", cpu, (double)scale, (double)off);
    return scale > 0 && off <= 1e-5f * scale ? 0 : wrong(cpu, "differs");
}

static int check_none(const Lib *l, const char *cpu)
{
    CnnrtContext *c = NULL;
    const float *weights = NULL;
    setenv("CNNC_CPU", cpu, 1);
    if (l->model() != NULL || l->workspace_size(1, 1) != 0 || l->weights_file() != NULL)
        return wrong(cpu, "something was chosen");
    if (l->create(&c, NULL, 1, NULL, 0) != CNNRT_CPU || c != NULL)
        return wrong(cpu, "create");
    if (l->weights_map("/dev/null", &weights) != CNNRT_CPU)
        return wrong(cpu, "weights_map");
    return 0;
}

int main(int argc, char **argv)
{
    Lib l;
    float *want = NULL;
    int bad = argc < 5 || open_lib(&l, argv[1], argv[2]);
    for (int i = 4; i < argc && !bad; i++) {
        setenv("CNNC_CPU", argv[i], 1);
        if (l.model() == NULL || strcmp(l.model()->cpu, argv[i]) != 0)
            return wrong(argv[i], "another one was chosen");
        float *got = answer(&l, argv[i], argv[3]);
        bad = got == NULL ||
              (want != NULL && same(want, got, floats(&l.model()->outputs[0]), argv[i]));
        if (want == NULL)
            want = got;
        else
            free(got);
    }
    free(want);
    bad = bad || check_none(&l, "x86-64") || check_none(&l, "z80");
    if (bad)
        return 1;
    setenv("CNNC_CPU", "", 1);
    if (strcmp(l.model()->cpu, argv[4]) != 0)
        return wrong(argv[4], "not chosen by itself");
    unsetenv("CNNC_CPU");
    return strcmp(l.model()->cpu, argv[4]) == 0 ? 0 : wrong(argv[4], "not chosen by itself");
}
