/* What a library that trains makes of a picture, after a few updates and a checkpoint.
 *   evaluate LIBRARY PREFIX CHECKPOINT AVERAGED
 * writes CHECKPOINT, CHECKPOINT.in.npy (one picture) and CHECKPOINT.out.npy (its first head), and
 * checks that the gradients' steps made a difference. */
#include "cnnrt.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 3, UPDATES = 3, MOST = 16 };

static void *lib;
static const char *prefix;

static void *find(const char *what)
{
    char name[128];
    snprintf(name, sizeof name, "%s_%s", prefix, what);
    void *at = dlsym(lib, name);
    if (at == NULL) {
        printf("no %s\n", name);
        exit(1);
    }
    return at;
}

static size_t floats(const CnnrtTensor *t)
{
    return (size_t)(t->c * t->h * t->w);
}

static int write_npy(const char *path, const char *suffix, const CnnrtTensor *t, const float *v)
{
    char name[512], shape[128], head[256];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    if (t->flat)
        snprintf(shape, sizeof shape, "(1, %d)", (int)t->c);
    else
        snprintf(shape, sizeof shape, "(1, %d, %d, %d)", (int)t->c, (int)t->h, (int)t->w);
    snprintf(head, sizeof head, "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape);
    FILE *f = fopen(name, "wb");
    if (f == NULL)
        return 1;
    fprintf(f, "\x93NUMPY\x01%c\x76%c%-117s\n", 0, 0, head);
    fwrite(v, sizeof *v, floats(t), f);
    return fclose(f) != 0;
}

/* Pictures of noise, targets of one class each in turn. */
static float *values(const CnnrtTensor *t, unsigned seed)
{
    size_t n = floats(t);
    float *v = calloc(n * BATCH, sizeof *v);
    if (v == NULL)
        exit(1);
    for (size_t i = 0; i < n * BATCH; i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i] = (float)(seed >> 8) / 8388608.0f - 1;
    }
    for (size_t k = 0; k < BATCH && strncmp(t->name, "target.", 7) == 0; k++)
        for (size_t i = 0; i < n; i++)
            v[k * n + i] = i == k % n;
    return v;
}

int main(int argc, char **argv)
{
    if (argc != 5 || (lib = dlopen(argv[1], RTLD_NOW)) == NULL)
        return 2;
    prefix = argv[2];
    int averaged = atoi(argv[4]);
    int (*create)(CnnrtTrainer **, const float *, int);
    int (*step)(CnnrtTrainer *, int, const float *const *, const float *const *, double, double *);
    int (*run)(CnnrtTrainer *, int, const float *const *, float *const *, int);
    int (*save)(CnnrtTrainer *, const char *, char *);
    const CnnrtModel *(*train_model)(void);
    *(void **)&create = find("train_create");
    *(void **)&step = find("train_step");
    *(void **)&run = find("train_run");
    *(void **)&save = find("train_save");
    *(void **)&train_model = find("train_model");
    const CnnrtModel *m = train_model();
    const float *in[MOST] = {0};
    float *out[MOST] = {0};
    for (int64_t i = 0; i < m->input_count; i++)
        in[i] = values(&m->inputs[i], (unsigned)i + 1);
    for (int64_t i = 0; i < m->training->heads; i++)
        out[i] = malloc(floats(&m->outputs[i]) * BATCH * sizeof *out[i]);
    CnnrtTrainer *t = NULL;
    double loss = 0;
    int status = create(&t, NULL, 2);
    for (int i = 0; i < UPDATES && status == CNNRT_OK; i++)
        status = step(t, BATCH, in, in + m->training->images, 0.01, &loss);
    if (status == CNNRT_OK)
        status = run(t, BATCH, in, out, averaged);
    if (status == CNNRT_OK)
        status = save(t, argv[3], NULL);
    if (status != CNNRT_OK)
        printf("%s\n", cnnrt_strerror(status));
    printf("loss %.4f\n", loss);
    return status != CNNRT_OK || write_npy(argv[3], ".in.npy", &m->inputs[0], in[0]) ||
           write_npy(argv[3], ".out.npy", &m->outputs[0], out[0]);
}
