/* The promises of include/cnnrt.h that a caller can break: every status is provoked, external
 * weights are checked, and a context survives fork. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cnnrt.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VALUES = 32, MAX_BATCH = 3 };

static atomic_int gate; /* 1: the kernel has begun; 2: it may go on */

static void k_add(float *const *a, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        a[0][i] = a[1][i] + a[2][i % 16];
}

static void k_wait(float *const *a, int64_t begin, int64_t end)
{
    (void)a, (void)begin, (void)end;
    atomic_store(&gate, 1);
    while (atomic_load(&gate) != 2)
        usleep(100);
}

static const CnnrtStep steps[] = {
    {k_add,
     "add",
     VALUES,
     0,
     {{CNNRT_OUTPUT, 0, 0, VALUES, 0}, {CNNRT_INPUT, 0, 0, VALUES, 0}, {CNNRT_WEIGHTS, 0, 0, 0, 0}},
     0,
     CNNRT_BY_STEP},
};
static const CnnrtStep waiting[] = {{.kernel = k_wait, .name = "wait", .units = 1}};
static const CnnrtTensor tensor = {.name = "x", .c = VALUES, .h = 1, .w = 1, .flat = 1};
static _Alignas(64) const float weights[16] = {1, 2, 3, 4};
static const CnnrtModel model = {.abi = CNNRT_ABI_VERSION,
                                 .max_batch = MAX_BATCH,
                                 .name = "add",
                                 .steps = steps,
                                 .inputs = &tensor,
                                 .outputs = &tensor,
                                 .step_count = 1,
                                 .input_count = 1,
                                 .output_count = 1,
                                 .arena_floats = 64,
                                 .weight_floats = 16,
                                 .weights = weights};
static _Alignas(64) float in[VALUES * MAX_BATCH], out[VALUES * MAX_BATCH];

static int run_on(CnnrtContext *c, int batch, const float *from, float *to)
{
    return cnnrt_run(c, batch, (const float *const[]){from}, (float *const[]){to});
}

static void test_texts(void **state)
{
    (void)state;
    int numbers[64], n = 0;
#define CHECK_TEXT(ID, NUMBER, TEXT)                                                               \
    assert_string_equal(cnnrt_strerror(CNNRT_##ID), TEXT);                                         \
    numbers[n++] = NUMBER;
    CNNRT_STATUSES(CHECK_TEXT)
    for (int i = 0; i < n; i++)
        assert_int_equal(numbers[i], i);
    assert_string_equal(cnnrt_strerror(-1), "unknown status");
    assert_string_equal(cnnrt_strerror(n), "unknown status");
}

static void test_creation_is_checked(void **state)
{
    (void)state;
    CnnrtContext *c = (CnnrtContext *)(void *)in;
    CnnrtModel other = model;
    assert_int_equal(cnnrt_create(&c, NULL, NULL, 1, NULL, 0), CNNRT_BAD_ARGUMENT);
    assert_null(c);
    assert_int_equal(cnnrt_create(&c, &model, NULL, 1025, NULL, 0), CNNRT_BAD_ARGUMENT);
    assert_int_equal(cnnrt_create(&c, &model, weights + 1, 1, NULL, 0), CNNRT_BAD_WEIGHTS);
    assert_int_equal(cnnrt_create(&c, &model, NULL, 1, (char *)in + 4, 1 << 20),
                     CNNRT_BAD_WORKSPACE);
    assert_int_equal(cnnrt_create(&c, &model, NULL, 1, in, 1), CNNRT_BAD_WORKSPACE);
    other.abi = CNNRT_ABI_VERSION - 1;
    assert_int_equal(cnnrt_create(&c, &other, NULL, 1, NULL, 0), CNNRT_BAD_MODEL);
    other = model;
    other.arena_floats = INT64_MAX / 16; /* more than there is */
    assert_int_equal(cnnrt_create(&c, &other, NULL, 1, NULL, 0), CNNRT_NO_MEMORY);
    other.arena_floats = INT64_MAX;
    assert_int_equal(cnnrt_workspace_size(&other, 1, 1), 0);
    assert_int_equal(cnnrt_create(&c, &other, NULL, 1, NULL, 0), CNNRT_NO_MEMORY);
#if defined(__x86_64__)
    other = model;
    other.cpu = "x86-64-v4";
    __builtin_cpu_init();
    assert_int_equal(cnnrt_create(&c, &other, NULL, 1, NULL, 0),
                     __builtin_cpu_supports("avx512f") ? CNNRT_OK : CNNRT_CPU);
    cnnrt_destroy(c);
#endif
    other = model;
    other.weights = NULL;
    assert_int_equal(cnnrt_create(&c, &other, NULL, 1, NULL, 0), CNNRT_NO_WEIGHTS);
    assert_null(c);
}

static void test_buffers_are_checked(void **state)
{
    (void)state;
    CnnrtContext *c;
    size_t len = (cnnrt_workspace_size(&model, MAX_BATCH, 1) + 63) / 64 * 64;
    float *w = aligned_alloc(64, len);
    assert_int_equal(cnnrt_create(&c, &model, NULL, 1, w, len), CNNRT_OK);
    assert_int_equal(run_on(c, 1, NULL, out), CNNRT_BAD_BUFFER);
    assert_int_equal(run_on(c, 1, in, NULL), CNNRT_BAD_BUFFER);
    assert_int_equal(run_on(c, 1, (float *)(void *)((char *)in + 1), out), CNNRT_BAD_BUFFER);
    assert_int_equal(run_on(c, 1, in, (float *)(void *)((char *)out + 2)), CNNRT_BAD_BUFFER);
    assert_int_equal(run_on(c, 1, in, in), CNNRT_BAD_BUFFER);
    assert_int_equal(run_on(c, 1, in, in + VALUES - 1), CNNRT_BAD_BUFFER);
    assert_int_equal(run_on(c, 1, in, in + VALUES), CNNRT_OK);
    assert_int_equal(run_on(c, 2, in, in + VALUES), CNNRT_BAD_BUFFER);
    assert_int_equal(run_on(c, 1, in, w), CNNRT_BAD_BUFFER);
    assert_int_equal(run_on(c, 1, w, out), CNNRT_BAD_BUFFER);
    assert_int_equal(run_on(c, 0, in, out), CNNRT_BAD_BATCH);
    assert_int_equal(run_on(NULL, 1, in, out), CNNRT_BAD_ARGUMENT);
    assert_int_equal(run_on(c, MAX_BATCH, in, out), CNNRT_OK);
    cnnrt_destroy(c);
    free(w);
}

static void *run_waiting(void *arg)
{
    return (void *)(intptr_t)run_on(arg, 1, in, out);
}

static void test_a_context_is_busy(void **state)
{
    (void)state;
    CnnrtModel other = model;
    CnnrtContext *c;
    pthread_t t;
    void *status = NULL;
    other.steps = waiting;
    assert_int_equal(cnnrt_create(&c, &other, NULL, 1, NULL, 0), CNNRT_OK);
    atomic_store(&gate, 0);
    assert_int_equal(pthread_create(&t, NULL, run_waiting, c), 0);
    while (atomic_load(&gate) != 1)
        usleep(100);
    assert_int_equal(run_on(c, 1, in, out), CNNRT_BUSY);
    atomic_store(&gate, 2);
    pthread_join(t, &status);
    assert_int_equal((intptr_t)status, CNNRT_OK);
    cnnrt_destroy(c);
}

/* Check values of the algorithm's specification and of its reference implementation. */
static void test_checksum(void **state)
{
    (void)state;
    char text[] = "Nobody inspects the spammish repetition";
    assert_true(cnnrt_hash("", 0) == 0xEF46DB3751D8E999);
    assert_true(cnnrt_hash("a", 1) == 0xD24EC4F1A98C6E5B);
    assert_true(cnnrt_hash("abc", 3) == 0x44BC2CF5AD770999);
    assert_true(cnnrt_hash(text, strlen(text)) == 0xFBCEA83C8A378BF1);
}

static void put_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void test_external_weights(void **state)
{
    (void)state;
    char folder[] = "/tmp/cnnrt-XXXXXX", path[64], fifo[64];
    CnnrtModel other = model;
    const float *got = in;
    CnnrtContext *c;
    float bad[16];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/w", folder);
    snprintf(fifo, sizeof fifo, "%s/f", folder);
    other.weights = NULL;
    other.weights_hash = cnnrt_hash(weights, sizeof weights);
    assert_int_equal(cnnrt_weights_map(&other, path, &got), CNNRT_WEIGHTS_FILE);
    assert_int_equal(errno, ENOENT);
    assert_null(got);
    assert_int_equal(cnnrt_weights_map(&other, folder, &got), CNNRT_WEIGHTS_FILE);
    assert_int_equal(errno, EISDIR);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(cnnrt_weights_map(&other, fifo, &got), CNNRT_WEIGHTS_FILE);
    put_file(path, weights, sizeof weights - 1);
    assert_int_equal(cnnrt_weights_map(&other, path, &got), CNNRT_WRONG_WEIGHTS);
    memcpy(bad, weights, sizeof bad);
    bad[15] = 1e-30f;
    put_file(path, bad, sizeof bad);
    assert_int_equal(cnnrt_weights_map(&other, path, &got), CNNRT_WRONG_WEIGHTS);
    put_file(path, weights, sizeof weights);
    assert_int_equal(cnnrt_weights_map(&other, path, &got), CNNRT_OK);
    assert_int_equal(cnnrt_create(&c, &other, got, 2, NULL, 0), CNNRT_OK);
    memset(in, 0, sizeof in);
    assert_int_equal(run_on(c, 1, in, out), CNNRT_OK);
    assert_true(out[1] == 2 && out[17] == 2);
    cnnrt_destroy(c);
    cnnrt_weights_unmap(&other, got);
    cnnrt_weights_unmap(&other, NULL);
    assert_int_equal(cnnrt_weights_map(NULL, path, &got), CNNRT_BAD_ARGUMENT);
    assert_int_equal(cnnrt_weights_map(&other, NULL, &got), CNNRT_BAD_ARGUMENT);
    assert_int_equal(cnnrt_weights_map(&other, path, NULL), CNNRT_BAD_ARGUMENT);
    other.abi = 1;
    assert_int_equal(cnnrt_weights_map(&other, path, &got), CNNRT_BAD_MODEL);
    unlink(path);
    unlink(fifo);
    rmdir(folder);
}

/* fork copies one thread: the child's runs must not wait for the others. */
static void test_fork(void **state)
{
    (void)state;
    CnnrtContext *c;
    int status;
    assert_int_equal(cnnrt_create(&c, &model, NULL, 3, NULL, 0), CNNRT_OK);
    assert_int_equal(run_on(c, 3, in, out), CNNRT_OK);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        bool ok = run_on(c, 3, in, out) == CNNRT_OK && out[VALUES + 3] == in[VALUES + 3] + 4;
        cnnrt_destroy(c);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(run_on(c, 3, in, out), CNNRT_OK);
    assert_int_equal(cnnrt_threads(c), 3);
    cnnrt_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_creation_is_checked),
        cmocka_unit_test(test_buffers_are_checked),
        cmocka_unit_test(test_a_context_is_busy),
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_external_weights),
        cmocka_unit_test(test_fork),
    };
    return cmocka_run_group_tests_name("statuses", tests, NULL, NULL);
}
