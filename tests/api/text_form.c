/* The same network from two libraries: the first made from text, with weights given at create, the
 * second by cnnc. Their answers must be the same bytes.
 *   text_form FROM_TEXT.so FROM_CNNC.so WEIGHTS */
#include "cnnrt.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const CnnrtModel *model_of(const char *path)
{
    const CnnrtModel *(*model)(void) = NULL;
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (lib != NULL)
        *(void **)&model = dlsym(lib, "other_model");
    else
        fprintf(stderr, "%s\n", dlerror());
    return model != NULL ? model() : NULL;
}

/* Through the library's own entry points, which it exports. */
static int answer(const char *path, const char *weights_path, float *out)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    int (*map)(const char *, const float **) = NULL;
    int (*create)(CnnrtContext **, const float *, int, void *, size_t) = NULL;
    int (*run)(CnnrtContext *, int, const float *const *, float *const *) = NULL;
    const CnnrtModel *m = model_of(path);
    if (m == NULL)
        return -1;
    *(void **)&map = dlsym(lib, "other_weights_map");
    *(void **)&create = dlsym(lib, "other_create");
    *(void **)&run = dlsym(lib, "other_run");
    if (map == NULL || create == NULL || run == NULL)
        return -1;
    size_t n = (size_t)(m->inputs[0].c * m->inputs[0].h * m->inputs[0].w);
    float *in = malloc(n * sizeof *in);
    const float *weights = NULL;
    CnnrtContext *c = NULL;
    for (size_t i = 0; in != NULL && i < n; i++)
        in[i] = (float)(i % 97) / 48.0f - 1.0f;
    int status = map(weights_path, &weights);
    if (status == CNNRT_OK)
        status = create(&c, weights, 1, NULL, 0);
    if (status == CNNRT_OK)
        status = run(c, 1, (const float *const[]){in}, (float *const[]){out});
    free(in);
    return status;
}

int main(int argc, char **argv)
{
    static float a[1000], b[1000];
    if (argc != 4)
        return 2;
    int first = answer(argv[1], argv[3], a), second = answer(argv[2], argv[3], b);
    double sum = 0;
    for (int i = 0; i < 1000; i++)
        sum += a[i] < 0 ? -a[i] : a[i];
    printf("statuses %d %d, sum of magnitudes %g, %s\n", first, second, sum,
           memcmp(a, b, sizeof a) == 0 ? "equal" : "different");
    return first != 0 || second != 0 || sum == 0 || memcmp(a, b, sizeof a) != 0;
}
