/* Measured tiles: the file they are kept in, what a plan makes of them, one-kernel plans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "family_kernels.h"
#include "graph_build.h"
#include "plan/plan.h"
#include "plan_nets.h"
#include "support/fs.h"
#include "tune/cache.h"
#include "tune/trial.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/cnnc-tune-XXXXXX", path[100];
static const TuneHow how = {.threads = 2, .far = true};

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a/b/tiles.txt", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"a/b/tiles.txt", "a/b/tiles.txt.lock"};
    static const char *const folders[] = {"a/b", "a", ""};
    char at[200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(at, sizeof at, "%s/%s", folder, names[i]);
        unlink(at);
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(at, sizeof at, "%s/%s", folder, folders[i]);
        if (rmdir(at) != 0)
            return -1;
    }
    return 0;
}

static TuneRow row_of(int number, const char *key)
{
    return (TuneRow){.key = key,
                     .tile = {.ocv = number, .px = 7, .rb = 3, .kc = 2, .split_oc = true},
                     .us = number + 0.5,
                     .rule_us = 99,
                     .tried = 12};
}

static void add(OomHandler *oom, const TuneRow *row)
{
    const char *err = NULL;
    if (!tune_add(path, row, how, oom, &err))
        fail_msg("%s", err);
}

static void read_all(TuneCache *c, Arena *a, uint32_t rows)
{
    const char *err = NULL;
    if (!tune_read(c, a, path, &err))
        fail_msg("%s", err);
    assert_int_equal(c->all.len, rows);
}

static void test_rows_come_back(void **state)
{
    Arena *a = &arena;
    (void)state;
    TuneCache c = {.how = how};
    unlink(path);
    read_all(&c, a, 0);
    TuneRow one = row_of(1, "a key, with = and spaces"), two = row_of(2, "another");
    add(a->oom, &one);
    add(a->oom, &two);
    one.tile.ocv = 4;
    one.tile.winograd = 5;
    add(a->oom, &one);
    read_all(&c, a, 2);
    assert_int_equal(c.how.threads, 2);
    const TuneRow *got = tune_find(&c, one.key);
    assert_non_null(got);
    assert_true(family_same_tile(&got->tile, &one.tile));
    assert_int_equal(got->tried, 12);
    assert_float_equal(got->us, 1.5, 1e-9);
    assert_float_equal(got->rule_us, 99, 1e-9);
    assert_int_equal(tune_find(&c, "another")->tile.ocv, 2);
    assert_null(tune_find(&c, "a key"));
}

/* Files of GPUs hold other tiles, and are not taken for those of processors. */
static void test_rows_of_gpus(void **state)
{
    Arena *a = &arena;
    (void)state;
    const TuneHow gpu = {.batch = 8};
    TuneCache c = {.how = gpu}, processor = {.how = how};
    const char *err = NULL;
    TuneRow row = {.key = "sm_70 batch=8 conv", .us = 2, .rule_us = 3, .tried = 7};
    row.tile = (Tile){
        .ocv = 1, .px = 2, .cuda = {.threads = 128, .m = 64, .n = 32, .k = 16, .tm = 4, .tn = 8}};
    unlink(path);
    assert_true(tune_add(path, &row, gpu, a->oom, &err));
    read_all(&c, a, 1);
    assert_true(family_same_tile(&tune_find(&c, row.key)->tile, &row.tile));
    TuneRow units = {.key = "sm_90a bf16 batch=8 conv", .us = 1, .rule_us = 3, .tried = 9};
    units.tile = row.tile;
    units.tile.cuda.dtype = DTYPE_BF16;
    units.tile.cuda.stages = 4;
    units.tile.cuda.group = true;
    assert_true(tune_add(path, &units, gpu, a->oom, &err));
    read_all(&c, a, 2);
    assert_true(family_same_tile(&tune_find(&c, row.key)->tile, &row.tile));
    assert_true(family_same_tile(&tune_find(&c, units.key)->tile, &units.tile));
    assert_false(tune_read(&processor, a, path, &err));
    assert_non_null(strstr(err, "begin"));
    unlink(path);
    TuneRow one = row_of(1, "first");
    add(a->oom, &one);
    assert_false(tune_read(&c, a, path, &err));
    assert_int_equal(c.all.len, 0);
}

/* Any byte changed, any number of bytes missing: refused, or whole lines fewer. */
static void test_damage_is_seen(void **state)
{
    Arena *a = &arena;
    (void)state;
    TuneCache c = {0};
    const char *err = NULL;
    size_t len = 0;
    unlink(path);
    TuneRow one = row_of(1, "first"), two = row_of(2, "second");
    add(a->oom, &one);
    add(a->oom, &two);
    char *whole = fs_read(path, 1 << 20, &len, &err);
    assert_non_null(whole);
    for (size_t i = 0; i < len; i++) {
        char *bad = malloc(len);
        assert_non_null(bad);
        memcpy(bad, whole, len);
        bad[i] ^= 1 << i % 7;
        assert_true(fs_write_all(path, bad, len, false, &err));
        err = NULL;
        if (tune_read(&c, a, path, &err) || c.all.len > 0 || !err)
            fail_msg("byte %zu", i);
        free(bad);
    }
    uint32_t good = 0;
    for (size_t n = 0; n < len; n++) {
        assert_true(fs_write_all(path, whole, n, false, &err));
        if (!tune_read(&c, a, path, &err))
            continue;
        assert_int_equal(whole[n - 1], '\n');
        good++;
    }
    assert_int_equal(good, 2); /* the heading, and a line */
    add(a->oom, &two);         /* what is damaged is begun anew */
    assert_true(fs_write_all(path, "junk", 4, false, &err));
    add(a->oom, &two);
    read_all(&c, a, 1);
    free(whole);
}

static void test_several_at_once(void **state)
{
    enum { WRITERS = 6, ROWS = 15 };
    Arena *a = &arena;
    (void)state;
    TuneCache c = {0};
    pid_t pid[WRITERS];
    char key[32];
    unlink(path);
    for (int w = 0; w < WRITERS; w++) {
        pid[w] = fork();
        assert_true(pid[w] >= 0);
        for (int i = 0; i < ROWS && pid[w] == 0; i++) {
            const char *err = NULL;
            snprintf(key, sizeof key, "w%d r%d", w, i);
            TuneRow row = row_of(1 + i, key);
            if (!tune_add(path, &row, how, a->oom, &err))
                _exit(1);
        }
        if (pid[w] == 0)
            _exit(0);
    }
    for (int w = 0; w < WRITERS; w++) {
        int status = 1;
        assert_int_equal(waitpid(pid[w], &status, 0), pid[w]);
        assert_int_equal(status, 0);
    }
    read_all(&c, a, WRITERS * ROWS);
    for (int w = 0; w < WRITERS; w++)
        for (int i = 0; i < ROWS; i++) {
            snprintf(key, sizeof key, "w%d r%d", w, i);
            assert_non_null(tune_find(&c, key));
        }
}

static void test_a_key_is_all_that_matters(void **state)
{
    (void)state;
    Target t = targets[2], exact = t, other = targets[3];
    Kernel k = conv_kernel(64, 64, 28, 3, 1), tiled = k, wider = k;
    exact.exact_conv = true;
    wider.out.c++;
    family_choose_tile(&tiled, &t);
    Buf key[8] = {{0}};
    tune_key(&k, &t, how, &key[0]);
    tune_key(&tiled, &t, how, &key[1]);
    assert_string_equal(key[0].at, key[1].at);
    tune_key(&wider, &t, how, &key[2]);
    tune_key(&k, &exact, how, &key[3]);
    tune_key(&k, &other, how, &key[4]);
    tune_key(&k, &t, (TuneHow){.threads = 1, .far = true}, &key[5]);
    tune_key(&k, &t, (TuneHow){.threads = 2}, &key[6]);
    for (int i = 2; i < 7; i++)
        assert_string_not_equal(key[0].at, key[i].at);
    for (int i = 0; i < 8; i++)
        buf_free(&key[i]);
}

static void test_paths(void **state)
{
    Arena *a = &arena;
    (void)state;
    setenv("XDG_CACHE_HOME", "/x/cache", 1);
    setenv("HOME", "/home/me", 1);
    assert_string_equal(tune_path(a, "znver4", "0.1-19"), "/x/cache/cnnc/tiles-znver4-0.1-19.txt");
    setenv("XDG_CACHE_HOME", "relative", 1);
    assert_string_equal(tune_path(a, "c", "v"), "/home/me/.cache/cnnc/tiles-c-v.txt");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_null(tune_path(a, "c", "v"));
}

typedef struct Offer {
    Tile tile;
    int asked;
} Offer;

/* For convolutions: the second candidate, or a tile that fits none. */
static bool offer(void *ctx, const Kernel *k, const Target *t, Tile *out)
{
    Offer *o = ctx;
    Tile near[2];
    o->asked++;
    *out = o->tile;
    if (k->family != FAM_CONV || o->tile.ocv != 0)
        return k->family == FAM_CONV;
    if (family_candidates(k, t, near, 2) == 2)
        *out = near[1];
    return true;
}

static void plan_with(Plan *p, Arena *a, Fusion *f, const PlanTiles *tiles)
{
    NodeId at;
    ShapeError why;
    Graph *g = arena_new(a, Graph);
    Analysis *an = arena_new(a, Analysis);
    assert_null(graph_read(g, a, plan_nets[0].text, strlen(plan_nets[0].text)));
    assert_true(analysis_run(a, g, an, &at, &why));
    fuse_run(f, a, an);
    assert_null(plan_build_tuned(p, a, an, f, &targets[3], tiles));
    assert_null(plan_verify(p));
}

static void test_plans_use_tiles_that_fit(void **state)
{
    Arena *a = &arena;
    (void)state;
    Plan rules, tuned, misfit;
    Fusion f[3];
    Offer second = {0}, none = {.tile = {.ocv = 3, .px = 28, .rb = 1 << 20, .kc = 77}};
    plan_with(&rules, a, &f[0], NULL);
    plan_with(&tuned, a, &f[1], &(PlanTiles){offer, &second});
    plan_with(&misfit, a, &f[2], &(PlanTiles){offer, &none});
    assert_true(second.asked > 3 && none.asked == second.asked);
    uint32_t found = 0;
    assert_int_equal(rules.kernels.len, tuned.kernels.len);
    for (uint32_t i = 0; i < rules.kernels.len; i++) {
        const PlanKernel *r = &rules.kernels.at[i], *u = &tuned.kernels.at[i];
        assert_false(r->tuned || misfit.kernels.at[i].tuned);
        assert_string_equal(r->key, misfit.kernels.at[i].key);
        assert_int_equal(u->tuned, u->k.family == FAM_CONV);
        found += !family_same_tile(&r->k.tile, &u->k.tile);
    }
    assert_true(found > 2);
    Buf text = {0};
    plan_print(&tuned, &text);
    assert_non_null(strstr(text.at, "(tuned)"));
    buf_free(&text);
    plan_print(&rules, &text);
    assert_null(strstr(text.at, "(tuned)"));
    buf_free(&text);
}

/* Every operand has its own room, enough for each of the tiles. */
static void test_trials(void **state)
{
    Arena *a = &arena;
    (void)state;
    static Trial x;
    Tile tiles[FAMILY_CANDIDATES];
    Kernel k = conv_kernel(64, 70, 28, 3, 1);
    k.has_bias = true;
    k.extra_count = 3;
    k.extra[0] = KARG_MAP;
    k.extra[1] = KARG_CHANNEL;
    k.extra[2] = KARG_GATE;
    const Target *t = &targets[2];
    family_choose_tile(&k, t);
    int n = family_candidates(&k, t, tiles, FAMILY_CANDIDATES);
    assert_null(trial_build(&x, a, &k, t, tiles, n, 1));
    assert_int_equal(x.plan.steps.len, n);
    for (int i = 0; i < n; i++) {
        const PlanKernel *p = &x.plan.kernels.at[i];
        assert_true(family_same_tile(&p->k.tile, &tiles[i]));
        assert_true(family_weight_floats(&p->k, t) <= x.weights);
        assert_true(family_scratch(&p->k, t) <= x.plan.scratch_floats);
        assert_int_equal(x.plan.steps.at[i].units, family_units(&p->k, t));
    }
    const PlanOperand *args = x.plan.steps.at[0].args;
    assert_int_equal(args[KERNEL_ARG_W].offset, 0);
    assert_true(args[KERNEL_ARG_BIAS].offset >= x.weights);
    assert_true(args[KERNEL_ARG_EXTRA + 1].offset >= args[KERNEL_ARG_BIAS].offset + 70);
    assert_true(x.plan.weight_floats >= args[KERNEL_ARG_EXTRA + 1].offset + 70);
    int64_t end = 0;
    for (uint32_t i = 0; i < x.plan.tensors.len; i++) {
        assert_int_equal(x.plan.tensors.at[i].offset, end);
        end += x.plan.tensors.at[i].floats;
    }
    assert_int_equal(x.plan.tensors.len, 4); /* out, in, map, gate */
    assert_int_equal(x.plan.arena_floats, end);
    k.in.c = k.out.c = (int64_t)1 << 50;
    assert_non_null(trial_build(&x, a, &k, t, &k.tile, 1, 1));
    float some[1000];
    trial_fill(some, 1000, 2);
    for (int i = 0; i < 1000; i++)
        assert_true(fabsf(some[i]) > 1e-3f && fabsf(some[i]) <= 2);
}

/* Operands of all images, among the weights, whose order is that of the kernel's arguments. */
static void test_trials_of_gpus(void **state)
{
    Arena *a = &arena;
    (void)state;
    static Trial x;
    Target t = targets[2];
    Tile tiles[FAMILY_CANDIDATES];
    enum { BATCH = 3 };
    t.kind = TARGET_CUDA;
    t.vl = 4;
    Kernel k = conv_kernel(64, 70, 28, 3, 1);
    k.in.layout = k.out.layout = LAYOUT_CHANNELS;
    k.in_step = map_floats(k.in, t.vl);
    k.out_step = map_floats(k.out, t.vl);
    k.extra_count = 1;
    k.extra[0] = KARG_MAP;
    k.extra_step[0] = k.out_step;
    k.gate_arg = -1;
    family_choose_tile(&k, &t);
    int n = family_candidates(&k, &t, tiles, FAMILY_CANDIDATES);
    assert_int_equal(n, 7); /* all of cuda_tile.def */
    assert_null(trial_build(&x, a, &k, &t, tiles, n, BATCH));
    assert_int_equal(x.plan.arena_floats, 0);
    const PlanOperand *args = x.plan.steps.at[n - 1].args;
    static const int order[] = {KERNEL_ARG_W, KERNEL_ARG_OUT, KERNEL_ARG_IN, KERNEL_ARG_EXTRA};
    const int64_t floats[] = {family_weight_floats(&k, &t), BATCH * k.out_step, BATCH * k.in_step,
                              BATCH * k.out_step};
    int64_t end = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(args[order[i]].space, SPACE_WEIGHTS);
        assert_true(args[order[i]].offset >= end);
        end = args[order[i]].offset + floats[i];
    }
    assert_true(x.plan.weight_floats >= end);
    assert_int_equal(args[KERNEL_ARG_BIAS].space, SPACE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_rows_come_back),  WITH_ARENA(test_damage_is_seen),
        WITH_ARENA(test_several_at_once), WITH_ARENA(test_a_key_is_all_that_matters),
        WITH_ARENA(test_paths),           WITH_ARENA(test_plans_use_tiles_that_fit),
        WITH_ARENA(test_trials),          WITH_ARENA(test_rows_of_gpus),
        WITH_ARENA(test_trials_of_gpus),
    };
    return cmocka_run_group_tests_name("tune", tests, make_folder, remove_folder);
}
