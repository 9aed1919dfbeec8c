/* Trains a network from C, without cnnc at hand: the library holds the training step, the optimizer
 * and the network for inference. The data are bars of four directions under noise, made up here.
 *   cnnc build bars.cnn --init=1 --mode=train --emit=so,header,pkg-config
 *   cc train.c $(pkg-config --cflags --libs ./bars.pc) -lm -o train && ./train bars.safetensors */
#include "bars.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 32,
    UPDATES = 60,
    TESTS = 8,
    SIDE = bars_INPUT0_H,
    PIXELS = bars_INPUT0_FLOATS,
    CLASSES = bars_OUTPUT0_FLOATS
};

static float images[BATCH * PIXELS], targets[BATCH * CLASSES], logits[BATCH * CLASSES];
static int labels[BATCH];

/* Uniform in [0, 1): a linear congruential generator, as good as bars need. */
static float draw(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / 16777216.0f;
}

static void make_batch(unsigned *seed)
{
    static const float pi = 3.14159265f;
    memset(targets, 0, sizeof targets);
    for (int n = 0; n < BATCH; n++) {
        int label = (int)(draw(seed) * CLASSES);
        float angle = pi * (float)label / CLASSES, at = (draw(seed) - 0.5f) * SIDE / 2;
        labels[n] = label;
        targets[n * CLASSES + label] = 1;
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                float across =
                    (float)(x - SIDE / 2) * cosf(angle) + (float)(y - SIDE / 2) * sinf(angle) - at;
                float bar = fabsf(across) < 1.5f ? 1.0f : 0.0f;
                images[n * PIXELS + y * SIDE + x] = bar + 0.8f * (draw(seed) - 0.5f);
            }
    }
}

static int right_ones(void)
{
    int right = 0;
    for (int n = 0; n < BATCH; n++) {
        int best = 0;
        for (int c = 1; c < CLASSES; c++)
            if (logits[n * CLASSES + c] > logits[n * CLASSES + best])
                best = c;
        right += best == labels[n];
    }
    return right;
}

static int train(CnnrtTrainer *t)
{
    const float *const in[] = {images};
    const float *const wanted[] = {targets};
    unsigned seed = 1;
    for (int i = 0; i < UPDATES; i++) {
        double loss, rate = 0.05 * (1 + cos(3.14159265 * i / UPDATES)); /* a cosine from 0.1 */
        make_batch(&seed);
        int status = bars_train_step(t, BATCH, in, wanted, rate, &loss);
        if (status != CNNRT_OK)
            return status;
        if (i % 10 == 0 || i == UPDATES - 1)
            printf("update %2d: loss %.4f\n", i + 1, loss);
    }
    return CNNRT_OK;
}

/* Accuracy on bars that were not seen before. */
static int test(CnnrtTrainer *t, double *accuracy)
{
    const float *const in[] = {images};
    float *const out[] = {logits};
    unsigned seed = 2;
    int right = 0;
    for (int i = 0; i < TESTS; i++) {
        make_batch(&seed);
        int status = bars_train_run(t, BATCH, in, out, 0);
        if (status != CNNRT_OK)
            return status;
        right += right_ones();
    }
    *accuracy = (double)right / (TESTS * BATCH);
    return CNNRT_OK;
}

int main(int argc, char **argv)
{
    CnnrtTrainer *t = NULL;
    char message[1024] = "";
    double accuracy = 0;
    int status = bars_train_create(&t, NULL, 0);
    if (status == CNNRT_OK)
        status = train(t);
    if (status == CNNRT_OK)
        status = test(t, &accuracy);
    if (status == CNNRT_OK && argc > 1)
        status = bars_train_save(t, argv[1], message);
    bars_train_destroy(t);
    if (status != CNNRT_OK) {
        fprintf(stderr, "%s %s\n", bars_strerror(status), message);
        return 1;
    }
    printf("right on %.1f %% of %d new pictures\n", 100 * accuracy, TESTS * BATCH);
    return 0;
}
