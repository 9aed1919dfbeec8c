/* Two compiled networks, run by many contexts at once, each buffer beside a page that cannot be
 * touched. host after|before CONTEXTS THREADS A.packed B.packed after: every buffer ends where the
 * forbidden page begins; before: it begins where one ends. Inputs, weights and what is around
 * workspaces cannot be written either. All contexts of a network see the same input and must give
 * the same bytes. */
#define _GNU_SOURCE
#include "cnnrt.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const CnnrtModel *a_model(void);
const CnnrtModel *b_model(void);

enum { MODELS = 2, CONTEXTS_MAX = 16, BATCH_MAX = 3 };

static int after, threads;
static const float *weights[MODELS];
static float *want[MODELS][BATCH_MAX + 1];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what)
{
    fprintf(stderr, "host: %s\n", what);
    exit(1);
}

/* `bytes` between forbidden pages, at one or the other end, aligned to `align`; never given back.
 */
static void *guarded(size_t bytes, size_t align)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + align + page - 1) / page * page;
    char *p = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + page, inner, PROT_READ | PROT_WRITE) != 0)
        die("no memory");
    return after ? p + page + (inner - bytes) / align * align : p + page;
}

static void freeze(const void *p, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), from = (size_t)p / page * page;
    if (mprotect((void *)from, ((size_t)p + bytes - from + page - 1) / page * page, PROT_READ) != 0)
        die("mprotect");
}

static size_t floats(const CnnrtTensor *t)
{
    return (size_t)(t->c * t->h * t->w);
}

static const float *read_weights(const CnnrtModel *m, const char *path)
{
    size_t bytes = (size_t)m->weight_floats * sizeof(float), got = 0;
    int fd = open(path, O_RDONLY);
    char *p = guarded(bytes, 64);
    for (ssize_t n; got < bytes && (n = read(fd, p + got, bytes - got)) > 0;)
        got += (size_t)n;
    close(fd);
    if (got != bytes || cnnrt_hash(p, bytes) != m->weights_hash)
        die("wrong weights");
    freeze(p, bytes);
    return (const float *)(void *)p;
}

/* The first answer is what all others must be. */
static void compare(int k, int batch, const float *out, size_t n)
{
    pthread_mutex_lock(&lock);
    if (want[k][batch] == NULL) {
        want[k][batch] = malloc(n * sizeof *out);
        memcpy(want[k][batch], out, n * sizeof *out);
    } else if (memcmp(want[k][batch], out, n * sizeof *out) != 0) {
        die("contexts disagree");
    }
    pthread_mutex_unlock(&lock);
}

static void run_batch(CnnrtContext *c, const CnnrtModel *m, int k, int batch)
{
    size_t n = floats(&m->inputs[0]) * (size_t)batch, wide = floats(&m->outputs[0]) * (size_t)batch;
    float *in = guarded(n * sizeof *in, sizeof *in);
    float *out = guarded(wide * sizeof *out, sizeof *out);
    for (size_t i = 0; i < n; i++)
        in[i] = (float)(i % 251) / 125.0f - 1.0f;
    freeze(in, n * sizeof *in);
    for (int times = 0; times < 2; times++) {
        memset(out, 0xff, wide * sizeof *out);
        if (cnnrt_run(c, batch, (const float *const *)&in, &out) != CNNRT_OK)
            die("run failed");
        compare(k, batch, out, wide);
    }
}

static void *work(void *arg)
{
    int id = (int)(size_t)arg, k = id % MODELS;
    const CnnrtModel *m = k == 0 ? a_model() : b_model();
    int most = m->max_batch < BATCH_MAX ? m->max_batch : BATCH_MAX;
    size_t bytes = cnnrt_workspace_size(m, most, threads);
    CnnrtContext *c = NULL;
    void *space = guarded(bytes, 64);
    memset(space, 0xff, bytes);
    if (cnnrt_create(&c, m, weights[k], threads, id % 3 == 2 ? NULL : space,
                     id % 3 == 2 ? 0 : bytes) != CNNRT_OK)
        die("create failed");
    for (int batch = most; batch >= 1; batch--)
        run_batch(c, m, k, batch);
    cnnrt_destroy(c);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t t[CONTEXTS_MAX];
    if (argc != 6)
        die("usage: host after|before CONTEXTS THREADS A.packed B.packed");
    after = strcmp(argv[1], "after") == 0;
    int contexts = atoi(argv[2]);
    threads = atoi(argv[3]);
    weights[0] = read_weights(a_model(), argv[4]);
    weights[1] = read_weights(b_model(), argv[5]);
    for (int i = 0; i < contexts && i < CONTEXTS_MAX; i++)
        if (pthread_create(&t[i], NULL, work, (void *)(size_t)i) != 0)
            die("no thread");
    for (int i = 0; i < contexts && i < CONTEXTS_MAX; i++)
        pthread_join(t[i], NULL);
    for (int k = 0; k < MODELS; k++)
        for (int b = 0; b <= BATCH_MAX; b++)
            free(want[k][b]);
    puts("the same");
    return 0;
}
