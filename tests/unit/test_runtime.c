/* The runtime: the team of threads, contexts over a hand-made model, the NumPy parser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cnnrt.h"
#include "npy.h"
#include "pool.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEAM = 4, ROUNDS = 2000 };

typedef struct Meeting {
    Pool *pool;
    atomic_int here[ROUNDS];
    atomic_int early;
} Meeting;

static void meet(void *arg, int thread)
{
    Meeting *m = arg;
    (void)thread;
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&m->here[i], 1);
        cnnrt_pool_barrier(m->pool);
        if (atomic_load(&m->here[i]) != TEAM)
            atomic_fetch_add(&m->early, 1);
    }
}

static void test_barrier_waits_for_all(void **state)
{
    (void)state;
    static Meeting m;
    m.pool = cnnrt_pool_new(TEAM);
    assert_non_null(m.pool);
    cnnrt_pool_run(m.pool, meet, &m);
    assert_int_equal(atomic_load(&m.early), 0);
    cnnrt_pool_free(m.pool);
}

static void count(void *arg, int thread)
{
    atomic_int *seen = arg;
    atomic_fetch_add(&seen[thread], 1);
}

static void test_every_thread_runs_every_round(void **state)
{
    (void)state;
    atomic_int seen[TEAM] = {0};
    Pool *p = cnnrt_pool_new(TEAM);
    assert_non_null(p);
    for (int i = 0; i < ROUNDS; i++)
        cnnrt_pool_run(p, count, seen);
    cnnrt_pool_free(p);
    for (int i = 0; i < TEAM; i++)
        assert_int_equal(atomic_load(&seen[i]), ROUNDS);
}

typedef struct Crowd {
    int cpu, apart;
} Crowd;

/* The worker says whether it began away from the caller's processor, and then goes there. */
static void crowd(void *arg, int thread)
{
    Crowd *c = arg;
    cpu_set_t all, one;
    if (thread == 0)
        return;
    c->apart += sched_getcpu() != c->cpu;
    CPU_ZERO(&one);
    CPU_SET((size_t)c->cpu, &one);
    if (sched_getaffinity(0, sizeof all, &all) == 0 && sched_setaffinity(0, sizeof one, &one) == 0)
        sched_setaffinity(0, sizeof all, &all);
}

static void test_threads_leave_a_shared_processor(void **state)
{
    (void)state;
    enum { TIMES = 200 };
    cpu_set_t all, one;
    Crowd c = {.cpu = sched_getcpu()};
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    if (CPU_COUNT(&all) < 2)
        skip();
    Pool *p = cnnrt_pool_new(2);
    assert_non_null(p);
    CPU_ZERO(&one);
    CPU_SET((size_t)c.cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    for (int i = 0; i < TIMES; i++)
        cnnrt_pool_run(p, crowd, &c);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    cnnrt_pool_free(p);
    /* other load may bring it back between its start and the question */
    assert_true(c.apart > TIMES * 3 / 4);
}

/* Two steps: arena = 2 * input, output = arena + weight[0]. A unit is one value. */
enum { VALUES = 37, MAX_BATCH = 5 };

static void k_double(float *const *a, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        a[0][i] = 2 * a[1][i];
}

static void k_add(float *const *a, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        a[0][i] = a[1][i] + a[2][0];
}

static const CnnrtStep steps[] = {
    {k_double,
     "double",
     VALUES,
     0,
     {{CNNRT_ARENA, 0, 16, 48, 0}, {CNNRT_INPUT, 0, 0, VALUES, 0}},
     0,
     CNNRT_BY_STEP},
    {k_add,
     "add",
     VALUES,
     0,
     {{CNNRT_OUTPUT, 0, 0, VALUES, 0}, {CNNRT_ARENA, 0, 16, 48, 0}, {CNNRT_WEIGHTS, 0, 1, 0, 0}},
     0,
     CNNRT_BY_STEP},
};
static const CnnrtTensor tensor = {.name = "x", .c = VALUES, .h = 1, .w = 1, .flat = 1};
static _Alignas(64) const float weights[16] = {0, 0.5f};
static const CnnrtModel model = {.abi = CNNRT_ABI_VERSION,
                                 .max_batch = MAX_BATCH,
                                 .name = "two",
                                 .steps = steps,
                                 .inputs = &tensor,
                                 .outputs = &tensor,
                                 .step_count = 2,
                                 .input_count = 1,
                                 .output_count = 1,
                                 .arena_floats = 64,
                                 .weight_floats = 16,
                                 .weights = weights};

static void run_this(const CnnrtModel *m, int threads, int batch, void *workspace, size_t len)
{
    CnnrtContext *c;
    float in[VALUES * MAX_BATCH], out[VALUES * MAX_BATCH + 1];
    const float *const ins[] = {in};
    float *const outs[] = {out};
    for (int i = 0; i < VALUES * MAX_BATCH; i++)
        in[i] = (float)i;
    out[VALUES * batch] = -7;
    assert_int_equal(cnnrt_create(&c, m, NULL, threads, workspace, len), CNNRT_OK);
    assert_int_equal(cnnrt_run(c, batch, ins, outs), CNNRT_OK);
    for (int i = 0; i < VALUES * batch; i++)
        assert_true(out[i] == 2 * (float)i + 0.5f);
    assert_true(out[VALUES * batch] == -7);
    cnnrt_destroy(c);
}

static void run_model(int threads, int batch, void *workspace, size_t len)
{
    run_this(&model, threads, batch, workspace, len);
}

static void test_batches_and_threads_agree(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads++)
        for (int batch = 1; batch <= MAX_BATCH; batch++)
            run_model(threads, batch, NULL, 0);
}

/* out = 2 in + 0.5 in three steps, of which the middle one reads what the first has left in another
 * tensor of the arena. Whatever way images go through them, values are the same; and the caller's
 * workspace suffices. */
static void test_orders_agree(void **state)
{
    (void)state;
    enum { STEPS = 3, ORDERS = CNNRT_BY_UNIT + 1 };
    CnnrtStep some[STEPS] = {steps[0], steps[0], steps[1]};
    const CnnrtOperand one = {CNNRT_ARENA, 0, 64, 48, 0}, other = {CNNRT_ARENA, 0, 16, 48, 0};
    CnnrtModel m = model;
    m.steps = some;
    m.step_count = STEPS;
    m.arena_floats = 112;
    some[0].kernel = k_add;
    some[0].args[0] = some[1].args[1] = one;
    some[0].args[2] = (CnnrtOperand){CNNRT_WEIGHTS, 0, 0, 0, 0};
    some[1].args[0] = some[2].args[1] = other;
    for (int way = 0; way < ORDERS * ORDERS * ORDERS; way++) {
        some[0].order = way % ORDERS;
        some[1].order = way / ORDERS % ORDERS;
        some[2].order = way / ORDERS / ORDERS;
        for (int threads = 1; threads <= TEAM; threads++)
            for (int batch = 1; batch <= MAX_BATCH; batch++) {
                size_t len = cnnrt_workspace_size(&m, batch, threads);
                void *w = aligned_alloc(64, len);
                assert_non_null(w);
                run_this(&m, threads, batch, w, len);
                free(w);
            }
    }
}

/* Calls of the first kernel: in all, and before the first of the second. */
static atomic_int taken[2];

static void k_count_first(float *const *a, int64_t begin, int64_t end)
{
    k_double(a, begin, end);
    atomic_fetch_add(&taken[0], 1);
}

static void k_note(float *const *a, int64_t begin, int64_t end)
{
    int none = 0;
    atomic_compare_exchange_strong(&taken[1], &none, atomic_load(&taken[0]));
    k_add(a, begin, end);
}

/* Image by image the second step begins after one image of the first, and step by step after all.
 */
static void test_orders_are_followed(void **state)
{
    (void)state;
    for (int order = CNNRT_BY_STEP; order <= CNNRT_BY_UNIT; order++) {
        CnnrtStep some[] = {steps[0], steps[1]};
        CnnrtModel m = model;
        m.steps = some;
        some[0].kernel = k_count_first;
        some[1].kernel = k_note;
        some[0].order = some[1].order = order;
        atomic_store(&taken[0], 0);
        atomic_store(&taken[1], 0);
        run_this(&m, 1, MAX_BATCH, NULL, 0);
        int calls = order == CNNRT_BY_UNIT ? VALUES * MAX_BATCH : MAX_BATCH;
        assert_int_equal(atomic_load(&taken[0]), calls);
        assert_int_equal(atomic_load(&taken[1]), order == CNNRT_BY_IMAGE ? 1 : calls);
    }
}

static void test_caller_owned_workspace(void **state)
{
    (void)state;
    size_t len = cnnrt_workspace_size(&model, 2, 3);
    void *w = aligned_alloc(64, (len + 63) / 64 * 64);
    assert_non_null(w);
    run_model(3, 2, w, len);
    CnnrtContext *c;
    float in[VALUES * 3] = {0}, out[VALUES * 3];
    const float *const ins[] = {in};
    float *const outs[] = {out};
    assert_int_equal(cnnrt_create(&c, &model, NULL, 3, w, len), CNNRT_OK);
    /* a larger batch than the workspace was made for */
    assert_int_equal(cnnrt_run(c, 3, ins, outs), CNNRT_BAD_WORKSPACE);
    double seconds = -1;
    assert_int_equal(cnnrt_time_runs(c, &seconds), CNNRT_OK);
    assert_int_equal(cnnrt_run(c, 2, ins, outs), CNNRT_OK);
    assert_true(seconds > 0 && seconds < 60);
    cnnrt_destroy(c);
    free(w);
}

static void test_bad_arguments_are_refused(void **state)
{
    (void)state;
    CnnrtContext *c;
    CnnrtModel other = model;
    float in[VALUES] = {0}, out[VALUES];
    const float *const ins[] = {in}, *const none[] = {NULL};
    float *const outs[] = {out};
    other.abi = 99;
    assert_int_equal(cnnrt_create(&c, &other, NULL, 1, NULL, 0), CNNRT_BAD_MODEL);
    other = model;
    other.weights = NULL;
    assert_int_equal(cnnrt_create(&c, &other, NULL, 1, NULL, 0), CNNRT_NO_WEIGHTS);
    assert_int_equal(cnnrt_create(&c, &model, NULL, -1, NULL, 0), CNNRT_BAD_ARGUMENT);
    assert_int_equal(cnnrt_create(&c, &model, NULL, 1, in, 4), CNNRT_BAD_WORKSPACE);
    assert_int_equal(cnnrt_create(NULL, &model, NULL, 1, NULL, 0), CNNRT_BAD_ARGUMENT);
    assert_int_equal(cnnrt_create(&c, &model, NULL, 1, NULL, 0), CNNRT_OK);
    assert_int_equal(cnnrt_run(c, 0, ins, outs), CNNRT_BAD_BATCH);
    assert_int_equal(cnnrt_run(c, MAX_BATCH + 1, ins, outs), CNNRT_BAD_BATCH);
    assert_int_equal(cnnrt_run(c, 1, none, outs), CNNRT_BAD_BUFFER);
    assert_int_equal(cnnrt_run(c, 1, NULL, outs), CNNRT_BAD_ARGUMENT);
    cnnrt_destroy(c);
    cnnrt_destroy(NULL);
}

/* A sum over images is a whole step: its units are counted once, from image 0. */
static void k_sum(float *const *a, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        for (int image = 0; image < MAX_BATCH; image++)
            a[0][i] += a[1][image * VALUES + i];
}

static void test_whole_steps_run_once_and_alone(void **state)
{
    (void)state;
    static const CnnrtStep whole[] = {
        {.kernel = k_double,
         .units = VALUES,
         .args = {{CNNRT_OUTPUT, 0, 0, VALUES, 0}, {CNNRT_INPUT, 0, 0, VALUES, 0}}},
        {.kernel = k_sum,
         .units = VALUES,
         .args = {{CNNRT_WEIGHTS, 0, 0, 0, 0}, {CNNRT_OUTPUT, 0, 0, VALUES, 0}},
         .whole = 1}};
    CnnrtModel m = model;
    m.steps = whole;
    float in[VALUES * MAX_BATCH], out[VALUES * MAX_BATCH];
    const float *const ins[] = {in};
    float *const outs[] = {out};
    for (int i = 0; i < VALUES * MAX_BATCH; i++)
        in[i] = (float)(i % VALUES);
    for (int threads = 1; threads <= 5; threads++) {
        static _Alignas(64) float sums[48];
        CnnrtContext *c;
        memset(sums, 0, sizeof sums);
        assert_int_equal(cnnrt_create(&c, &m, sums, threads, NULL, 0), CNNRT_OK);
        assert_int_equal(cnnrt_run_steps(c, MAX_BATCH, ins, outs, 0, 1, NULL), CNNRT_OK);
        assert_true(sums[3] == 0);
        assert_int_equal(cnnrt_run_steps(c, MAX_BATCH, ins, outs, 1, 2, NULL), CNNRT_OK);
        for (int i = 0; i < VALUES; i++)
            assert_true(sums[i] == 2.0f * (float)(i * MAX_BATCH));
        assert_int_equal(cnnrt_run_steps(c, MAX_BATCH, ins, outs, 1, 3, NULL), CNNRT_BAD_ARGUMENT);
        cnnrt_destroy(c);
    }
}

static void *run_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++)
        run_model(2, 3, NULL, 0);
    return NULL;
}

static void test_contexts_do_not_share_state(void **state)
{
    (void)state;
    pthread_t t[TEAM];
    for (int i = 0; i < TEAM; i++)
        assert_int_equal(pthread_create(&t[i], NULL, run_many, NULL), 0);
    for (int i = 0; i < TEAM; i++)
        pthread_join(t[i], NULL);
}

static size_t make_npy(unsigned char *out, size_t cap, const char *dict, size_t data)
{
    size_t n = strlen(dict);
    assert_true(n + 10 + data <= cap);
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (unsigned char)n;
    out[9] = (unsigned char)(n >> 8);
    memcpy(out + 10, dict, n);
    memset(out + 10 + n, 0, data);
    return 10 + n + data;
}

/* The first that runs here; forced, that one or none. */
static void test_variants_are_chosen(void **state)
{
    (void)state;
    CnnrtModel a = {.cpu = "any-a", .weights_file = "a.packed"}, b = {.cpu = "any-b"}, c = {0};
    const CnnrtModel *const all[] = {&a, &b, &c};
    unsetenv("CNNC_CPU");
    assert_ptr_equal(cnnrt_choose(all, 3), &a);
    assert_ptr_equal(cnnrt_choose(all + 2, 1), &c);
    assert_null(cnnrt_choose(all, 0));
    assert_null(cnnrt_choose(NULL, 3));
    setenv("CNNC_CPU", "any-b", 1);
    assert_ptr_equal(cnnrt_choose(all, 3), &b);
    assert_null(cnnrt_choose(all + 2, 1));
    setenv("CNNC_CPU", "any", 1);
    assert_null(cnnrt_choose(all, 3));
    setenv("CNNC_CPU", "", 1);
    assert_ptr_equal(cnnrt_choose(all, 3), &a);
    unsetenv("CNNC_CPU");
    assert_string_equal(cnnrt_weights_file(&a), "a.packed");
    assert_null(cnnrt_weights_file(&b));
    assert_null(cnnrt_weights_file(NULL));
}

static void test_npy_round_trip(void **state)
{
    (void)state;
    char head[256];
    int64_t dims[4] = {2, 3, 4, 5};
    NpyHeader h;
    for (int ndim = 0; ndim <= 4; ndim++) {
        unsigned char file[256 + 120 * 4];
        size_t n = cnnrt_npy_format_header(head, sizeof head, dims, ndim);
        assert_true(n > 0 && n % 64 == 0);
        size_t count = 1;
        for (int i = 0; i < ndim; i++)
            count *= (size_t)dims[i];
        memcpy(file, head, n);
        for (size_t i = 0; i < count; i++) {
            float v = (float)i - 3;
            memcpy(file + n + 4 * i, &v, 4);
        }
        assert_null(cnnrt_npy_parse(file, n + 4 * count, &h));
        assert_int_equal(h.ndim, ndim);
        assert_int_equal(h.count, count);
        assert_true(cnnrt_npy_element(file, &h, (int64_t)count - 1) == (float)count - 4);
        /* every truncation is refused */
        for (size_t cut = 0; cut < n + 4 * count; cut++)
            assert_non_null(cnnrt_npy_parse(file, cut, &h));
    }
}

static void test_npy_refuses_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "{}",
        "{'descr': '<f4'}",
        "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 2, }",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2), }",
    };
    unsigned char file[512];
    NpyHeader h;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(cnnrt_npy_parse(file, make_npy(file, sizeof file, bad[i], 8), &h));
    const char *good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
    assert_null(cnnrt_npy_parse(file, make_npy(file, sizeof file, good, 8), &h));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_barrier_waits_for_all),
        cmocka_unit_test(test_every_thread_runs_every_round),
        cmocka_unit_test(test_threads_leave_a_shared_processor),
        cmocka_unit_test(test_batches_and_threads_agree),
        cmocka_unit_test(test_orders_agree),
        cmocka_unit_test(test_orders_are_followed),
        cmocka_unit_test(test_caller_owned_workspace),
        cmocka_unit_test(test_bad_arguments_are_refused),
        cmocka_unit_test(test_whole_steps_run_once_and_alone),
        cmocka_unit_test(test_contexts_do_not_share_state),
        cmocka_unit_test(test_variants_are_chosen),
        cmocka_unit_test(test_npy_round_trip),
        cmocka_unit_test(test_npy_refuses_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
