/* The loader: the same bytes for any number of workers and from any batch on, every sample once,
 * and damaged samples that are named, or counted and left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "augment.h"
#include "data_files.h"
#include "import/image.h"

enum { SIDE = 32, EACH = 3 * SIDE * SIDE, BATCH = 6, SAMPLES = 20 };

static char error[CNNDATA_ERROR_MAX];
static CnndataSet *cifar;

static int loader_setup(void **state)
{
    if (data_setup(state) != 0)
        return -1;
    data_cifar10("c", SAMPLES / 5);
    return cnndata_open(&cifar, data_text("cifar10", "c"), CNNDATA_TRAIN, error, sizeof error);
}

static int loader_teardown(void **state)
{
    cnndata_close(cifar);
    return data_teardown(state);
}

static const CnndataOp all_ops[] = {
    {CNNDATA_RANDOM_CROP, {SIDE, 4}},
    {CNNDATA_HFLIP, {0.5}},
    {CNNDATA_RAND_AUGMENT, {9, 0.5, 2, 0.5}},
    {CNNDATA_COLOR_JITTER, {0.4, 0.4, 0.4}},
    {CNNDATA_AUTO_AUGMENT, {0}},
    {CNNDATA_RANDOM_RESIZED_CROP, {SIDE, 0.3}},
    {CNNDATA_ERASE, {0.5}},
    {CNNDATA_MIXUP, {0.4}},
    {CNNDATA_CUTMIX, {1}},
};

static CnndataLoaderConfig settings(int workers)
{
    return (CnndataLoaderConfig){.set = cifar,
                                 .ops = all_ops,
                                 .op_count = sizeof all_ops / sizeof all_ops[0],
                                 .batch = BATCH,
                                 .c = 3,
                                 .h = SIDE,
                                 .w = SIDE,
                                 .classes = 10,
                                 .has_norm = 1,
                                 .mean = {0.5, 0.4, 0.3},
                                 .std = {0.2, 0.3, 0.4},
                                 .seed = 7,
                                 .workers = workers,
                                 .shuffle = 1};
}

static CnndataLoader *create(const CnndataLoaderConfig *c)
{
    CnndataLoader *l = NULL;
    if (cnndata_loader_create(&l, c, error, sizeof error) != CNNDATA_OK)
        fail_msg("%s", error);
    assert_non_null(l);
    return l;
}

static uint32_t batch_sum(const CnndataBatch *b, size_t each, size_t classes)
{
    const size_t n = (size_t)b->n;
    uint32_t h = data_sum(2166136261u, b->images, n * each * sizeof(float));
    h = data_sum(h, b->targets, n * classes * sizeof(float));
    h = data_sum(h, b->labels, n * sizeof *b->labels);
    return data_sum(data_sum(h, &b->number, sizeof b->number), &b->epoch, sizeof b->epoch);
}

/* Sums of the batches of an epoch from one on; how many there were. */
static int run_epoch(CnndataLoader *l, int64_t epoch, int64_t first, uint32_t *sums)
{
    CnndataBatch b;
    int n = 0, status;
    assert_int_equal(cnndata_loader_start_epoch(l, epoch, first), CNNDATA_OK);
    while ((status = cnndata_loader_next(l, &b)) == CNNDATA_OK) {
        assert_int_equal(b.epoch, epoch);
        assert_int_equal(b.number, first + n);
        assert_int_equal((uintptr_t)b.images % 64, 0);
        sums[n++] = batch_sum(&b, EACH, 10);
    }
    assert_int_equal(status, CNNDATA_END);
    assert_int_equal(cnndata_loader_next(l, &b), CNNDATA_END);
    return n;
}

static void test_workers_do_not_show(void **state)
{
    (void)state;
    static const int workers[] = {0, 1, 3, 8};
    uint32_t want[2][8], got[8];
    for (int k = 0; k < 4; k++) {
        CnndataLoaderConfig c = settings(workers[k]);
        c.prefetch = k == 3 ? 2 : 0;
        CnndataLoader *l = create(&c);
        assert_int_equal(cnndata_loader_batches(l), 4);
        for (int epoch = 0; epoch < 2; epoch++) {
            uint32_t *sums = k == 0 ? want[epoch] : got;
            assert_int_equal(run_epoch(l, epoch, 0, sums), 4);
            assert_memory_equal(sums, want[epoch], 4 * sizeof *sums);
        }
        cnndata_loader_free(l);
    }
    assert_memory_not_equal(want[0], want[1], 4 * sizeof want[0][0]);
}

static void test_resume(void **state)
{
    (void)state;
    uint32_t want[3][8], got[8];
    CnndataLoaderConfig c = settings(2);
    CnndataLoader *l = create(&c);
    for (int epoch = 0; epoch < 3; epoch++)
        run_epoch(l, epoch, 0, want[epoch]);
    cnndata_loader_free(l);
    for (int workers = 0; workers < 3; workers += 2) {
        c = settings(workers);
        for (int first = 0; first <= 4; first++) {
            l = create(&c); /* as a new process would */
            assert_int_equal(run_epoch(l, 1, first, got), 4 - first);
            assert_memory_equal(got, want[1] + first, (size_t)(4 - first) * sizeof *got);
            assert_int_equal(run_epoch(l, 2, 0, got), 4);
            assert_memory_equal(got, want[2], 4 * sizeof *got);
            cnndata_loader_free(l);
        }
    }
    c = settings(0);
    c.seed++;
    l = create(&c);
    run_epoch(l, 1, 0, got);
    assert_memory_not_equal(got, want[1], 4 * sizeof *got);
    cnndata_loader_free(l);
}

/* Which sample an unaugmented image is: its first value names it. */
static int sample_of(const float *image)
{
    for (int i = 0; i < SAMPLES; i++)
        if (image[0] == (float)(uint8_t)(i * 31) / 255.0f)
            return i;
    return -1;
}

static void test_order(void **state)
{
    (void)state;
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        int64_t want[SAMPLES];
        CnndataBatch b;
        CnndataLoaderConfig c = settings(2);
        c.op_count = c.has_norm = 0;
        c.shuffle = shuffle;
        c.classes = 12; /* more than the set has */
        CnndataLoader *l = create(&c);
        cnndata_shuffle(want, SAMPLES, c.seed, 0);
        int at = 0, bigger = 0;
        while (cnndata_loader_next(l, &b) == CNNDATA_OK) {
            assert_int_equal(b.n, b.number < 3 ? BATCH : SAMPLES - 3 * BATCH);
            for (int64_t i = 0; i < b.n; i++, at++) {
                int s = sample_of(b.images + i * EACH);
                assert_int_equal(s, shuffle ? want[at] : at);
                assert_int_equal(b.labels[i], s * 7 % 10);
                for (int k = 0; k < 12; k++)
                    assert_true(b.targets[i * 12 + k] == (k == b.labels[i] ? 1.0f : 0.0f));
                bigger += s > at;
            }
        }
        assert_int_equal(at, SAMPLES);
        assert_int_equal(bigger > 0, shuffle);
        CnndataStats stats = cnndata_stats(l);
        assert_true(stats.batches == 4 && stats.samples == SAMPLES && stats.skipped == 0);
        assert_true(stats.wait_seconds > 0);
        cnndata_loader_free(l);
        c.drop_last = 1;
        l = create(&c);
        assert_int_equal(cnndata_loader_batches(l), 3);
        for (int i = 0; i < 3; i++)
            assert_int_equal(cnndata_loader_next(l, &b), CNNDATA_OK);
        assert_int_equal(cnndata_loader_next(l, &b), CNNDATA_END);
        cnndata_loader_free(l);
    }
}

/* What becomes of a sample does not depend on the batch it is in, and changes with the epoch. */
static void test_composition(void **state)
{
    (void)state;
    static float images[SAMPLES][EACH];
    for (int batch = BATCH; batch < BATCH + 2; batch++) {
        CnndataLoaderConfig c = settings(batch % 2 * 2);
        c.op_count = 7; /* without mixing */
        c.batch = batch;
        c.shuffle = 0;
        CnndataLoader *l = create(&c);
        CnndataBatch b;
        for (int epoch = 0; epoch < 2; epoch++) {
            int at = 0, same = 0;
            assert_int_equal(cnndata_loader_start_epoch(l, epoch, 0), CNNDATA_OK);
            while (cnndata_loader_next(l, &b) == CNNDATA_OK)
                for (int64_t i = 0; i < b.n; i++, at++) {
                    const float *image = b.images + i * EACH;
                    if (batch == BATCH && epoch == 0)
                        memcpy(images[at], image, sizeof images[at]);
                    same += memcmp(images[at], image, sizeof images[at]) == 0;
                }
            assert_int_equal(at, SAMPLES);
            assert_int_equal(same, epoch == 0 ? SAMPLES : 0);
        }
        cnndata_loader_free(l);
    }
}

/* The batch that the caller holds is left alone while workers go on. */
static void test_batch_is_kept(void **state)
{
    (void)state;
    CnndataLoaderConfig c = settings(3);
    c.prefetch = 2;
    CnndataLoader *l = create(&c);
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        CnndataBatch b;
        assert_int_equal(cnndata_loader_start_epoch(l, epoch, 0), CNNDATA_OK);
        while (cnndata_loader_next(l, &b) == CNNDATA_OK) {
            uint32_t before = batch_sum(&b, EACH, 10);
            usleep(3000);
            assert_int_equal(batch_sum(&b, EACH, 10), before);
        }
    }
    cnndata_loader_free(l);
}

static void test_interrupted(void **state)
{
    (void)state;
    uint32_t want[8], got[8];
    CnndataLoaderConfig c = settings(3);
    CnndataLoader *l = create(&c);
    CnndataBatch b;
    run_epoch(l, 5, 0, want);
    for (int i = 0; i < 40; i++) { /* other epochs begun and left at once, or after a batch */
        assert_int_equal(cnndata_loader_start_epoch(l, i, i % 5), CNNDATA_OK);
        if (i % 3 == 0)
            cnndata_loader_next(l, &b);
    }
    run_epoch(l, 5, 0, got);
    assert_memory_equal(got, want, 4 * sizeof *got);
    assert_int_equal(cnndata_loader_start_epoch(l, 0, 5), CNNDATA_BAD_ARGUMENT);
    assert_non_null(strstr(cnndata_loader_error(l), "no batch 5"));
    assert_int_equal(cnndata_loader_start_epoch(l, -1, 0), CNNDATA_BAD_ARGUMENT);
    cnndata_loader_start_epoch(l, 6, 0);
    cnndata_loader_free(l); /* with workers busy */
    cnndata_loader_free(NULL);
}

/* ---- Folders: pictures of all sizes, and damaged ones ---- */

enum { FILES = 9 };

static void make_folder(const char *folder, bool damage)
{
    char name[128];
    data_folder(folder);
    for (int i = 0; i < FILES; i++) {
        if (i % 3 == 0) {
            snprintf(name, sizeof name, "%s/%d", folder, i / 3);
            data_folder(name);
        }
        snprintf(name, sizeof name, "%s/%d/p%d.png", folder, i / 3, i);
        data_write_png(name, 20 + 7 * i, 50 - 3 * i, i % 2 ? 1 : 3);
        if (damage && (i == 2 || i == 4 || i == 8)) {
            size_t len;
            unsigned char *bytes = data_read(name, &len);
            data_write(name, bytes, len / 2);
            free(bytes);
        }
    }
}

typedef struct Skips {
    char text[16][CNNDATA_ERROR_MAX];
    int count;
} Skips;

static void on_skip(void *user, const char *message)
{
    Skips *s = user;
    snprintf(s->text[s->count++ % 16], CNNDATA_ERROR_MAX, "%s", message);
}

static void test_damaged(void **state)
{
    (void)state;
    CnndataSet *set = NULL;
    make_folder("damaged", true);
    assert_int_equal(
        cnndata_open(&set, data_text("folder", "damaged"), CNNDATA_TRAIN, error, sizeof error),
        CNNDATA_OK);
    uint32_t want[8] = {0};
    static Skips skips, first;
    for (int workers = 0; workers < 4; workers += 3) {
        CnndataBatch b;
        CnndataLoaderConfig c = settings(workers);
        c.set = set;
        c.shuffle = 0;
        c.batch = 2;
        CnndataLoader *l = create(&c);
        assert_int_equal(cnndata_loader_next(l, &b), CNNDATA_OK);
        assert_int_equal(cnndata_loader_next(l, &b), CNNDATA_DAMAGED); /* sample 2 */
        assert_non_null(strstr(cnndata_loader_error(l), "damaged/0/p2.png: damaged PNG"));
        assert_int_equal(b.n, 0);
        assert_int_equal(cnndata_loader_next(l, &b), CNNDATA_DAMAGED); /* and stays so */
        assert_int_equal(cnndata_loader_start_epoch(l, 0, 0), CNNDATA_OK);
        assert_int_equal(cnndata_loader_next(l, &b), CNNDATA_OK);
        cnndata_loader_free(l);
        /* left out: 2 of batch 1, 4 of batch 2, all of batch 4 */
        c.skip_damaged = 1;
        c.on_skip = on_skip;
        c.user = &skips;
        memset(&skips, 0, sizeof skips);
        l = create(&c);
        static const int sizes[] = {2, 1, 1, 2};
        for (int i = 0; i < 4; i++) {
            assert_int_equal(cnndata_loader_next(l, &b), CNNDATA_OK);
            assert_int_equal(b.n, sizes[i]);
            assert_int_equal(b.number, i);
            assert_int_equal(b.labels[0], i == 0 ? 0 : i < 3 ? 1 : 2);
            uint32_t sum = batch_sum(&b, EACH, 10);
            assert_true(workers == 0 || want[i] == sum);
            want[i] = sum;
        }
        assert_int_equal(cnndata_loader_next(l, &b), CNNDATA_END);
        assert_int_equal(skips.count, 3);
        assert_non_null(strstr(skips.text[2], "damaged/2/p8.png"));
        CnndataStats stats = cnndata_stats(l);
        assert_true(stats.skipped == 3 && stats.samples == 6 && stats.batches == 4);
        cnndata_loader_free(l);
        if (workers == 0)
            first = skips;
        assert_memory_equal(&first, &skips, sizeof skips);
    }
    cnndata_close(set);
}

/* Evaluation prepares pictures as `cnnc run` does. */
static void test_validation(void **state)
{
    (void)state;
    static const int64_t forms[][3] = {{0, 0, 24}, {30, 24, 24}, {0, 40, 40}};
    CnndataSet *set = NULL;
    Arena arena;
    OomHandler oom;
    arena_init(&arena, &oom, 0);
    make_folder("val", false);
    assert_int_equal(
        cnndata_open(&set, data_text("folder", "val"), CNNDATA_VAL, error, sizeof error),
        CNNDATA_OK);
    for (int k = 0; k < 6; k++) {
        CnndataBatch b;
        CnndataLoaderConfig c = settings(k % 2 * 2);
        c.set = set;
        c.transform = CNNDATA_VAL; /* the ops are not looked at */
        c.shuffle = 0;
        c.c = k < 3 ? 3 : 1;
        c.resize = forms[k % 3][0];
        c.crop = forms[k % 3][1];
        c.h = c.w = forms[k % 3][2];
        const size_t each = (size_t)(c.c * c.h * c.w);
        ImagePrep prep = {c.c, c.h, c.w, c.resize, c.crop, true, {0}, {0}};
        memcpy(prep.mean, c.mean, sizeof prep.mean);
        memcpy(prep.std, c.std, sizeof prep.std);
        CnndataLoader *l = create(&c);
        float *want = malloc(each * sizeof *want);
        int at = 0;
        while (cnndata_loader_next(l, &b) == CNNDATA_OK)
            for (int64_t i = 0; i < b.n; i++, at++) {
                char name[600];
                const char *why = NULL;
                Image im;
                cnndata_sample_name(set, at, name, sizeof name);
                assert_true(image_read(&im, name, &arena, &why));
                assert_true(image_prepare(&im, &prep, want, &arena, &why));
                assert_memory_equal(b.images + (size_t)i * each, want, each * sizeof *want);
                assert_true(b.targets[i * 10 + at / 3] == 1.0f);
                image_free(&im);
            }
        assert_int_equal(at, FILES);
        free(want);
        cnndata_loader_free(l);
    }
    cnndata_close(set);
    arena_free(&arena);
}

static void refused(const CnndataLoaderConfig *c, const char *message)
{
    CnndataLoader *l = (CnndataLoader *)(uintptr_t)1;
    assert_int_equal(cnndata_loader_create(&l, c, error, sizeof error), CNNDATA_BAD_ARGUMENT);
    assert_null(l);
    if (strstr(error, message) == NULL)
        fail_msg("'%s' lacks '%s'", error, message);
}

static void test_refusals(void **state)
{
    (void)state;
    CnndataLoaderConfig c;
#define REFUSED(FIELD, VALUE, MESSAGE)                                                             \
    c = settings(0);                                                                               \
    c.FIELD = (VALUE);                                                                             \
    refused(&c, MESSAGE)
    REFUSED(set, NULL, "no data set");
    REFUSED(ops, NULL, "no operations");
    REFUSED(batch, 0, "batch of 0");
    REFUSED(batch, INT64_MAX, "batch of 9");
    REFUSED(workers, -1, "-1 workers");
    REFUSED(workers, 1025, "1025 workers");
    REFUSED(prefetch, -1, "-1 batches held");
    REFUSED(classes, 9, "has 10 classes, the net 9");
    REFUSED(classes, INT64_MAX, "classes");
    REFUSED(c, 2, "3 channels or 1");
    REFUSED(h, 0, "out of range");
    REFUSED(std[1], 0, "deviation of 0");
    REFUSED(h, 31, "does not give the 31x32");
    c = settings(2);
    c.prefetch = 1;
    refused(&c, "1 batches held");
    c = settings(0);
    c.drop_last = 1;
    c.batch = SAMPLES + 1;
    refused(&c, "less than one batch of 21");
    refused(NULL, "no settings");
    /* sizes whose product is past all memory */
    CnndataLoader *l = NULL;
    c = settings(0);
    c.op_count = 0;
    c.batch = 1 << 24;
    c.h = c.w = 10000;
    assert_int_equal(cnndata_loader_create(&l, &c, error, sizeof error), CNNDATA_NO_MEMORY);
    assert_non_null(strstr(error, "lower the batch"));
    assert_null(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_do_not_show),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_composition),
        cmocka_unit_test(test_batch_is_kept),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_validation),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, loader_setup, loader_teardown);
}
