/* Models with code for a device, on one that is a block of memory: what contexts and trainers ask
 * of a backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cnnrt.h"
#include <stdlib.h>
#include <string.h>

/* The state: a parameter of two values at 0, its gradient at 16, what inference packs at 32. */
enum { PARAMETER = 0, GRADIENT = 16, PACKED = 32, STATE = 32, WITH_PACKED = 48 };

typedef struct Device {
    const CnnrtModel *model;
    float *weights; /* its own memory, or the owner's */
    int owned;
} Device;

static struct {
    int absent, out_of_memory, loads, stores, open;
} world;

static int present(const CnnrtModel *m)
{
    (void)m;
    return world.absent ? CNNRT_NO_DEVICE : CNNRT_OK;
}

static int create(void **out, const CnnrtModel *m, const float *weights, int64_t floats,
                  void *owner, int64_t offset)
{
    const Device *from = owner;
    *out = NULL;
    if (present(m) != CNNRT_OK)
        return CNNRT_NO_DEVICE;
    if (world.out_of_memory)
        return CNNRT_DEVICE_MEMORY;
    Device *d = calloc(1, sizeof *d);
    assert_non_null(d);
    d->model = m;
    d->owned = from == NULL;
    d->weights = from != NULL ? from->weights + offset : calloc((size_t)floats, sizeof(float));
    if (d->owned && m->weight_floats > 0)
        memcpy(d->weights, weights, (size_t)floats * sizeof(float));
    world.open++;
    *out = d;
    return CNNRT_OK;
}

static void destroy(void *device)
{
    Device *d = device;
    if (d->owned)
        free(d->weights);
    free(d);
    world.open--;
}

/* Step 0 of the training model is the pass: the gradient is the input plus the target; its step 1
 * the update. Inference packs twice the parameter and adds it to the input. */
static int run(void *device, const CnnrtRun *r, const float *const *in, float *const *out,
               int64_t first, int64_t last, double *step_seconds, double *seconds)
{
    Device *d = device;
    float *w = d->weights;
    for (int64_t i = first; i < last; i++) {
        if (step_seconds != NULL)
            step_seconds[i] += 1;
        if (seconds != NULL)
            *seconds = (double)(last - first) / 2;
        for (int k = 0; k < 2; k++)
            if (d->model->training == NULL)
                out[0][k] = in[0][k] + (w[PACKED + k] = 2 * w[PARAMETER + k]);
            else if (i == 0)
                w[GRADIENT + k] = in[0][k] + in[1][0];
            else
                w[PARAMETER + k] -= r->hyper[CNNRT_LR] * w[GRADIENT + k];
        if (d->model->training != NULL && i == 0)
            out[0][0] = 7;
    }
    return CNNRT_OK;
}

static int load(void *device, float *to, int64_t first, int64_t count)
{
    world.loads++;
    memcpy(to, ((Device *)device)->weights + first, (size_t)count * sizeof(float));
    return CNNRT_OK;
}

static int store(void *device, const float *from, int64_t first, int64_t count)
{
    world.stores++;
    memcpy(((Device *)device)->weights + first, from, (size_t)count * sizeof(float));
    return CNNRT_OK;
}

static const char *detail(void)
{
    return world.absent ? "nobody is at home" : "";
}

static const CnnrtBackend backend = {
    CNNRT_ABI_VERSION, "toy", present, NULL, create, run, load, store, destroy, detail};
static const CnnrtBackend old_backend = {.abi = CNNRT_ABI_VERSION - 1, .name = "old"};
static const CnnrtCode code = {.backend = &backend}, old_code = {.backend = &old_backend};
static const CnnrtStep steps[2];
static const CnnrtTensor pair = {.name = "x", .c = 2, .h = 1, .w = 1};
static const CnnrtTensor one = {.name = "y", .c = 1, .h = 1, .w = 1};
static const CnnrtTensor inputs[2] = {{.name = "x", .c = 2, .h = 1, .w = 1},
                                      {.name = "t", .c = 1, .h = 1, .w = 1}};
_Alignas(64) static const float initial[STATE] = {1, 2};

static const CnnrtModel plain = {.abi = CNNRT_ABI_VERSION,
                                 .max_batch = 1,
                                 .name = "toy",
                                 .steps = steps,
                                 .inputs = &pair,
                                 .outputs = &pair,
                                 .step_count = 1,
                                 .input_count = 1,
                                 .output_count = 1,
                                 .weight_floats = WITH_PACKED,
                                 .cpu = "toy",
                                 .code = &code};

static const CnnrtModel *inference(void)
{
    return &plain;
}

static const CnnrtParameter parameter = {
    .name = "w", .count = 2, .flags = CNNRT_TRAINED, .ndim = 1, .dims = {2}};
static const CnnrtTraining training = {.parameters = &parameter,
                                       .parameter_count = 1,
                                       .trained = 16,
                                       .kept = 16,
                                       .saved = 16,
                                       .grad = GRADIENT,
                                       .sum = -1,
                                       .average = -1,
                                       .forward = 0,
                                       .backward = 0,
                                       .update = 1,
                                       .images = 1,
                                       .optimizer = {.accumulate = 1},
                                       .initial = initial,
                                       .inference = inference};
static const CnnrtModel trained = {.abi = CNNRT_ABI_VERSION,
                                   .max_batch = 1,
                                   .name = "toy",
                                   .steps = steps,
                                   .inputs = inputs,
                                   .outputs = &one,
                                   .step_count = 2,
                                   .input_count = 2,
                                   .output_count = 1,
                                   .weight_floats = STATE,
                                   .cpu = "toy",
                                   .training = &training,
                                   .code = &code};

static void test_context(void **state)
{
    (void)state;
    _Alignas(64) float w[WITH_PACKED] = {10, 20};
    float x[2] = {1, 2}, y[2] = {0};
    const float *in[1] = {x};
    float *out[1] = {y};
    double seconds[1] = {0};
    CnnrtContext *c = NULL;
    assert_true(cnnrt_workspace_size(&plain, 1, 0) > 0);
    assert_int_equal(cnnrt_create(&c, &plain, NULL, 0, NULL, 0), CNNRT_NO_WEIGHTS);
    assert_int_equal(cnnrt_create(&c, &plain, w, 0, NULL, 0), CNNRT_OK);
    assert_int_equal(cnnrt_threads(c), 1);
    w[0] = 0; /* it has its own copy */
    assert_int_equal(cnnrt_profile(c, 1, in, out, seconds), CNNRT_OK);
    assert_true(y[0] == 21 && y[1] == 42 && seconds[0] == 1);
    double whole = -1;
    assert_int_equal(cnnrt_time_runs(NULL, &whole), CNNRT_BAD_ARGUMENT);
    assert_int_equal(cnnrt_time_runs(c, &whole), CNNRT_OK);
    assert_int_equal(cnnrt_run(c, 1, in, out), CNNRT_OK);
    assert_true(whole == 0.5);
    assert_int_equal(cnnrt_time_runs(c, NULL), CNNRT_OK);
    assert_int_equal(cnnrt_run(c, 2, in, out), CNNRT_BAD_BATCH);
    out[0] = x;
    assert_int_equal(cnnrt_run(c, 1, in, out), CNNRT_BAD_BUFFER);
    cnnrt_destroy(c);
    assert_int_equal(world.open, 0);
    CnnrtModel other = plain;
    other.code = &old_code;
    assert_int_equal(cnnrt_create(&c, &other, w, 0, NULL, 0), CNNRT_BAD_MODEL);
    assert_null(c);
}

static void test_without_device(void **state)
{
    (void)state;
    _Alignas(64) static const float w[WITH_PACKED];
    CnnrtContext *c = NULL;
    CnnrtModel processor = plain;
    processor.code = NULL;
    processor.cpu = NULL;
    const CnnrtModel *both[2] = {&plain, &processor};
    assert_ptr_equal(cnnrt_choose(both, 2), &plain);
    world.absent = 1;
    assert_int_equal(cnnrt_create(&c, &plain, w, 0, NULL, 0), CNNRT_NO_DEVICE);
    assert_null(c);
    assert_string_equal(cnnrt_detail(&plain), "nobody is at home");
    assert_ptr_equal(cnnrt_choose(both, 2), &processor);
    assert_null(cnnrt_choose(both, 1));
    assert_int_equal(setenv("CNNC_CPU", "toy", 1), 0);
    assert_null(cnnrt_choose(both, 2));
    world.absent = 0;
    assert_ptr_equal(cnnrt_choose(both, 2), &plain);
    unsetenv("CNNC_CPU");
    world.out_of_memory = 1;
    assert_int_equal(cnnrt_create(&c, &plain, w, 0, NULL, 0), CNNRT_DEVICE_MEMORY);
    world.out_of_memory = 0;
    assert_int_equal(world.open, 0);
}

/* The state is on the device: it comes back when it is asked for, and goes there again with what
 * the caller made of it. */
static void test_trainer(void **state)
{
    (void)state;
    float x[2] = {1, 2}, target = 3, y[2];
    const float *in[1] = {x}, *targets[1] = {&target};
    float *out[1] = {y};
    double loss = 0;
    CnnrtTrainer *t = NULL;
    CnnrtValues v;
    world.loads = world.stores = 0;
    assert_int_equal(cnnrt_trainer_create(&t, &trained, NULL, 1), CNNRT_OK);
    assert_int_equal(cnnrt_trainer_step(t, 1, in, targets, 0.5, &loss), CNNRT_OK);
    assert_true(loss == 7 && world.loads == 0 && world.stores == 0);
    assert_int_equal(cnnrt_trainer_find(t, "w", &v), CNNRT_OK);
    assert_true(world.loads == 1 && v.value[0] == -1 && v.value[1] == -0.5f && v.gradient[0] == 4);
    assert_int_equal(cnnrt_trainer_find(t, "w", &v), CNNRT_OK);
    assert_int_equal(world.loads, 1);
    v.value[0] = 100;
    assert_int_equal(cnnrt_trainer_run(t, 1, in, out, 0), CNNRT_OK);
    assert_true(world.stores == 1 && y[0] == 201 && y[1] == 1);
    assert_int_equal(cnnrt_trainer_step(t, 1, in, targets, 0.5, NULL), CNNRT_OK);
    assert_int_equal(cnnrt_trainer_step(t, 1, in, targets, 0.5, NULL), CNNRT_OK);
    assert_int_equal(world.stores, 1);
    const float *w = cnnrt_trainer_parameters(t, 0);
    assert_true(world.loads == 2 && w != NULL && w[0] == 96 && w[1] == -5.5f);
    cnnrt_trainer_destroy(t);
    assert_int_equal(world.open, 0);
    world.absent = 1;
    assert_int_equal(cnnrt_trainer_create(&t, &trained, NULL, 1), CNNRT_NO_DEVICE);
    world.absent = 0;
    assert_int_equal(world.open, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_without_device),
        cmocka_unit_test(test_trainer),
    };
    return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
