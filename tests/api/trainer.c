/* A library that trains, held against what its header says: built from examples/c_train with two
 * passes to an update and a running mean. `trainer FOLDER` leaves a checkpoint, an input and what
 * the network makes of it there; with a second argument, it goes on from that file instead. */
#include "bars.h"
#include "cnnrt.h"
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 8, PIXELS = bars_INPUT0_FLOATS, CLASSES = bars_OUTPUT0_FLOATS };

static float images[2][N * PIXELS], targets[2][N * CLASSES];
static int failed;

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            printf("line %d: %s\n", __LINE__, #what);                                              \
            failed = 1;                                                                            \
        }                                                                                          \
    } while (0)

static void make_data(void)
{
    unsigned seed = 7;
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < N * PIXELS; i++) {
            seed = seed * 1664525u + 1013904223u;
            images[b][i] = (float)(seed >> 8) / 8388608.0f - 1;
        }
    for (int b = 0; b < 2; b++)
        for (int n = 0; n < N; n++)
            targets[b][n * CLASSES + (n + b) % CLASSES] = 1;
}

static int pass(CnnrtTrainer *t, int b, double lr, double *loss)
{
    const float *const in[] = {images[b]};
    const float *const want[] = {targets[b]};
    return bars_train_step(t, N, in, want, lr, loss);
}

static double gradients(CnnrtTrainer *t, int b)
{
    const float *const in[] = {images[b]};
    const float *const want[] = {targets[b]};
    double loss = NAN;
    CHECK(bars_train_gradients(t, N, in, want, &loss) == CNNRT_OK);
    return loss;
}

static CnnrtTrainer *open_trainer(int threads)
{
    CnnrtTrainer *t = NULL;
    CHECK(bars_train_create(&t, NULL, threads) == CNNRT_OK);
    return t != NULL ? t : (exit(1), NULL);
}

static CnnrtValues find(CnnrtTrainer *t, const char *name)
{
    CnnrtValues v = {0};
    CHECK(bars_train_find(t, name, &v) == CNNRT_OK);
    return v;
}

static void misuse(CnnrtTrainer *t, const char *folder)
{
    const float *const none[] = {NULL};
    const float *const in[] = {images[0]};
    CnnrtTrainer *other = t;
    CnnrtContext *c = NULL;
    CnnrtValues v;
    CnnrtCounters at = {.updates = -1};
    char path[512], message[1024];
    CHECK(bars_train_create(NULL, NULL, 0) == CNNRT_BAD_ARGUMENT);
    CHECK(bars_train_create(&other, NULL, -1) == CNNRT_BAD_ARGUMENT && other == NULL);
    CHECK(bars_train_create(&other, images[0] + 1, 0) == CNNRT_BAD_WEIGHTS);
    CHECK(bars_create(&c, NULL, 1, NULL, 0) == CNNRT_NO_WEIGHTS && c == NULL);
    CHECK(bars_train_step(NULL, N, in, in, 0.1, NULL) == CNNRT_BAD_ARGUMENT);
    CHECK(bars_train_step(t, N, NULL, in, 0.1, NULL) == CNNRT_BAD_ARGUMENT);
    CHECK(bars_train_step(t, N, none, in, 0.1, NULL) == CNNRT_BAD_BUFFER);
    CHECK(bars_train_step(t, N, in, none, 0.1, NULL) == CNNRT_BAD_BUFFER);
    CHECK(bars_train_step(t, 0, in, in, 0.1, NULL) == CNNRT_BAD_BATCH);
    CHECK(bars_train_gradients(t, bars_MAX_BATCH + 1, in, in, NULL) == CNNRT_BAD_BATCH);
    CHECK(bars_train_run(t, bars_MAX_BATCH + 1, in, NULL, 0) == CNNRT_BAD_ARGUMENT);
    CHECK(bars_train_find(t, "nothing", &v) == CNNRT_NO_PARAMETER);
    CHECK(bars_train_set_counters(t, &at) == CNNRT_BAD_COUNTERS);
    CHECK(bars_train_output(t, 1) == NULL && bars_train_output(t, -1) == NULL);
    snprintf(path, sizeof path, "%s/no/folder", folder);
    CHECK(bars_train_save(t, path, message) == CNNRT_CHECKPOINT && strstr(message, path) != NULL);
    CHECK(bars_train_load(t, path, message) == CNNRT_CHECKPOINT && strstr(message, path) != NULL);
    CHECK(bars_train_load(t, "bars.h", NULL) == CNNRT_CHECKPOINT);
    CHECK(bars_train_counters(t, &at) == CNNRT_OK && at.updates == 0 && at.passes == 0);
    bars_train_destroy(NULL);
}

/* The largest gradient of the last layer's weights, against differences of the loss. */
static void slope(CnnrtTrainer *t)
{
    CnnrtValues w = find(t, "logits.dense.weight");
    CHECK(w.ndim == 2 && w.dims[0] == CLASSES && w.count == w.dims[0] * w.dims[1]);
    double loss = gradients(t, 0), step = 1e-2;
    int64_t k = 0;
    for (int64_t i = 0; i < w.count; i++)
        if (fabsf(w.gradient[i]) > fabsf(w.gradient[k]))
            k = i;
    float kept = w.value[k], g = w.gradient[k];
    w.value[k] = kept + (float)step;
    double up = gradients(t, 0);
    w.value[k] = kept - (float)step;
    double down = gradients(t, 0);
    w.value[k] = kept;
    CHECK(gradients(t, 0) == loss);
    CHECK(g != 0 && fabs((up - down) / (2 * step) - g) < 1e-3 * fabs(g) + 1e-5);
}

/* Two passes make one update, by the mean of their gradients (the first step of SGD: momentum has
 * nothing yet, and a bias is not decayed). */
static void accumulation(CnnrtTrainer *t)
{
    CnnrtValues b = find(t, "logits.dense.bias"), mean = find(t, "stem.0.bn.running_mean");
    float g[2][CLASSES], before[CLASSES], share = (float)(1 - cnnrt_average_decay(0.9, 0));
    double loss;
    CnnrtCounters at;
    CHECK(b.trained && b.average != NULL && !mean.trained && mean.gradient == NULL);
    for (int k = 0; k < 2; k++) {
        gradients(t, k);
        memcpy(g[k], b.gradient, sizeof g[k]);
    }
    memcpy(before, b.value, sizeof before);
    CHECK(pass(t, 0, 0.5, &loss) == CNNRT_OK && isfinite(loss));
    CHECK(memcmp(before, b.value, sizeof before) == 0);
    CHECK(bars_train_counters(t, &at) == CNNRT_OK && at.updates == 0 && at.passes == 1);
    CHECK(pass(t, 1, 0.5, NULL) == CNNRT_OK);
    CHECK(bars_train_counters(t, &at) == CNNRT_OK && at.updates == 1 && at.passes == 2);
    for (int c = 0; c < CLASSES; c++) {
        float want = before[c] - 0.5f * (g[0][c] + g[1][c]) / 2;
        CHECK(fabsf(b.value[c] - want) < 1e-6f);
        CHECK(fabsf(b.average[c] - (before[c] + share * (want - before[c]))) < 1e-6f);
        CHECK(b.value[c] != before[c]);
    }
}

/* Inference: through the trainer, and from a context of one's own, gives the same bits. */
static void inference(CnnrtTrainer *t)
{
    static float out[3][N * CLASSES];
    const float *const in[] = {images[0]};
    float *const to[3][1] = {{out[0]}, {out[1]}, {out[2]}};
    for (int averaged = 0; averaged < 2; averaged++) {
        CnnrtContext *c = NULL;
        CHECK(bars_train_run(t, N, in, to[averaged], averaged) == CNNRT_OK);
        CHECK(bars_create(&c, bars_train_parameters(t, averaged), 2, NULL, 0) == CNNRT_OK);
        CHECK(bars_run(c, N, in, to[2]) == CNNRT_OK);
        CHECK(memcmp(out[averaged], out[2], sizeof out[2]) == 0);
        bars_destroy(c);
    }
    CHECK(memcmp(out[0], out[1], sizeof out[0]) != 0);
}

static int same_state(CnnrtTrainer *a, CnnrtTrainer *b)
{
    const CnnrtTraining *g = bars_train_model()->training;
    for (int64_t i = 0; i < g->parameter_count; i++) {
        CnnrtValues x = find(a, g->parameters[i].name), y = find(b, g->parameters[i].name);
        size_t bytes = (size_t)x.count * sizeof(float);
        if (memcmp(x.value, y.value, bytes) != 0 || memcmp(x.average, y.average, bytes) != 0 ||
            (x.trained && memcmp(x.slot[0], y.slot[0], bytes) != 0))
            return 0;
    }
    return 1;
}

/* A run that is saved and taken up by another trainer, with other threads, gives the same bits. */
static void resumption(CnnrtTrainer *t, const char *path)
{
    CnnrtTrainer *other = open_trainer(3);
    CnnrtCounters at, read;
    CHECK(bars_train_counters(t, &at) == CNNRT_OK);
    at.epoch = 2;
    at.seed = 5;
    CHECK(bars_train_set_counters(t, &at) == CNNRT_OK);
    CHECK(bars_train_save(t, path, NULL) == CNNRT_OK);
    CHECK(!same_state(t, other));
    CHECK(bars_train_load(other, path, NULL) == CNNRT_OK);
    CHECK(bars_train_counters(other, &read) == CNNRT_OK && memcmp(&at, &read, sizeof at) == 0);
    for (int i = 0; i < 4; i++) {
        CHECK(pass(t, i % 2, 0.1, NULL) == CNNRT_OK);
        CHECK(pass(other, i % 2, 0.1, NULL) == CNNRT_OK);
    }
    CHECK(same_state(t, other));
    bars_train_destroy(other);
}

static void allocates_nothing(CnnrtTrainer *t)
{
    static float out[N * CLASSES];
    const float *const in[] = {images[0]};
    float *const to[] = {out};
    size_t before = mallinfo2().uordblks;
    CHECK(pass(t, 0, 0.01, NULL) == CNNRT_OK && pass(t, 1, 0.01, NULL) == CNNRT_OK);
    CHECK(bars_train_run(t, N, in, to, 0) == CNNRT_OK);
    CHECK(mallinfo2().uordblks == before);
}

int main(int argc, char **argv)
{
    char path[512];
    if (argc < 2)
        return 2;
    make_data();
    CnnrtTrainer *t = open_trainer(2);
    if (argc > 2) {
        char message[1024] = "";
        CnnrtCounters at = {0};
        int status = bars_train_load(t, argv[2], message);
        bars_train_counters(t, &at);
        printf("%s %s %d %d\n", bars_strerror(status), message, (int)at.updates, (int)at.epoch);
        bars_train_destroy(t);
        return status;
    }
    snprintf(path, sizeof path, "%s/bars.safetensors", argv[1]);
    misuse(t, argv[1]);
    slope(t);
    accumulation(t);
    inference(t);
    resumption(t, path);
    allocates_nothing(t);
    bars_train_destroy(t);
    return failed;
}
