/* Several compiled networks in one process, opened and closed again and again, run by many threads.
 *   many THREADS ROUNDS LIBRARY:PREFIX...
 * All contexts of a model see the same input and must give the same bytes. */
#include "cnnrt.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODELS_MAX = 4, THREADS_MAX = 32, RUNS = 3 };

typedef struct Model {
    char path[256], prefix[64];
    void *lib;
    const CnnrtModel *model;
    int (*create)(CnnrtContext **, const float *, int, void *, size_t);
    int (*run)(CnnrtContext *, int, const float *const *, float *const *);
    void (*destroy)(CnnrtContext *);
    float *want;
} Model;

static Model models[MODELS_MAX];
static int count;

static size_t floats(const CnnrtTensor *t)
{
    return (size_t)(t->c * t->h * t->w);
}

static void *find(const Model *m, const char *what)
{
    char name[128];
    snprintf(name, sizeof name, "%s_%s", m->prefix, what);
    return dlsym(m->lib, name);
}

static int open_model(Model *m)
{
    const CnnrtModel *(*model)(void);
    m->lib = dlopen(m->path, RTLD_NOW | RTLD_LOCAL);
    if (m->lib == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 0;
    }
    *(void **)&m->create = find(m, "create");
    *(void **)&m->run = find(m, "run");
    *(void **)&m->destroy = find(m, "destroy");
    *(void **)&model = find(m, "model");
    if (m->create == NULL || m->run == NULL || m->destroy == NULL || model == NULL)
        return 0;
    m->model = model();
    return 1;
}

/* One context, RUNS runs; the answer of the last in out. */
static int use(const Model *m, int threads, float *out)
{
    size_t n = floats(&m->model->inputs[0]);
    float *in = malloc(n * sizeof *in);
    CnnrtContext *c = NULL;
    int status = in == NULL ? CNNRT_NO_MEMORY : m->create(&c, NULL, threads, NULL, 0);
    for (size_t i = 0; in != NULL && i < n; i++)
        in[i] = (float)(i * 7919 % 1000) / 500.0f - 1.0f;
    for (int i = 0; i < RUNS && status == CNNRT_OK; i++)
        status = m->run(c, 1, (const float *const[]){in}, (float *const[]){out});
    m->destroy(c);
    free(in);
    return status;
}

static void *work(void *arg)
{
    size_t first = (size_t)(uintptr_t)arg;
    for (int k = 0; k < count; k++) {
        const Model *m = &models[(first + (size_t)k) % (size_t)count];
        size_t bytes = floats(&m->model->outputs[0]) * sizeof(float);
        float *out = malloc(bytes);
        int bad = out == NULL || use(m, 1 + (int)(first % 2), out) != CNNRT_OK ||
                  memcmp(out, m->want, bytes) != 0;
        free(out);
        if (bad)
            return "differs";
    }
    return NULL;
}

static int round_of(int threads)
{
    pthread_t t[THREADS_MAX];
    int bad = 0;
    for (int k = 0; k < count; k++)
        if (!open_model(&models[k]))
            return 1;
    for (int k = 0; k < count; k++) {
        if (models[k].want != NULL)
            continue;
        models[k].want = malloc(floats(&models[k].model->outputs[0]) * sizeof(float));
        if (models[k].want == NULL || use(&models[k], 1, models[k].want) != CNNRT_OK)
            return 1;
    }
    for (int i = 0; i < threads; i++)
        if (pthread_create(&t[i], NULL, work, (void *)(uintptr_t)i) != 0)
            return 1;
    for (int i = 0; i < threads; i++) {
        void *what = NULL;
        pthread_join(t[i], &what);
        bad += what != NULL;
    }
    for (int k = 0; k < count; k++)
        dlclose(models[k].lib);
    return bad;
}

int main(int argc, char **argv)
{
    int threads = argc > 3 ? atoi(argv[1]) : 0, rounds = argc > 3 ? atoi(argv[2]) : 0;
    if (threads < 1 || threads > THREADS_MAX || rounds < 1 || argc - 3 > MODELS_MAX)
        return 2;
    for (int i = 3; i < argc; i++)
        if (sscanf(argv[i], "%255[^:]:%63s", models[count].path, models[count].prefix) == 2)
            count++;
    /* one busy round, then loading and unloading with one thread each */
    int bad = round_of(threads);
    for (int i = 1; i < rounds && bad == 0; i++)
        bad = round_of(1);
    printf("%d models, %d threads, %d rounds: %d bad\n", count, threads, rounds, bad);
    for (int k = 0; k < count; k++)
        free(models[k].want);
    return bad != 0;
}
