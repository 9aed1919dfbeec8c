/* Checkpoints: what is saved is loaded bit by bit, every damage is found, and whatever a disk or a
 * signal does while one is written, a complete one is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "cnnrt.h"
#include "cnnrt/hash.h"
#include "cnntrain/checkpoint.h"
#include "rng.h"

/* The library's calls come here: a disk that fails, and a process that is killed at its n-th call.
 */
static struct Faults {
    long room; /* bytes until the disk is full; -1: never */
    bool piecemeal, no_sync, no_link;
    int rename_fails; /* the n-th call from now */
    int die_at;
} faults = {.room = -1};

static void step_towards_death(void)
{
    if (faults.die_at > 0 && --faults.die_at == 0)
        kill(getpid(), SIGKILL);
}

static int failed(int why)
{
    errno = why;
    return -1;
}

ssize_t write(int fd, const void *from, size_t n)
{
    step_towards_death();
    if (fd > 2 && faults.piecemeal && n > 3)
        n = 3;
    if (fd > 2 && faults.room >= 0) {
        if (faults.room == 0)
            return failed(ENOSPC);
        n = n < (size_t)faults.room ? n : (size_t)faults.room;
        faults.room -= (long)n;
    }
    return syscall(SYS_write, fd, from, n);
}

int fsync(int fd)
{
    step_towards_death();
    return faults.no_sync ? failed(EIO) : (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
    step_towards_death();
    if (faults.rename_fails > 0 && --faults.rename_fails == 0)
        return failed(EIO);
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int link(const char *from, const char *to)
{
    step_towards_death();
    if (faults.no_link && access(from, F_OK) == 0)
        return failed(EPERM);
    return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path)
{
    step_towards_death();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

static char dir[32], last[64], message[CNNTRAIN_MESSAGE];

static int setup(void **state)
{
    (void)state;
    faults = (struct Faults){.room = -1};
    strcpy(dir, "/tmp/cnnc-ckpt-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(last, sizeof last, "%s/" CNNTRAIN_LAST, dir);
    return 0;
}

/* Names in the folder, sorted, each followed by a blank. */
static const char *listing(void)
{
    static char text[512];
    struct dirent **e;
    int n = scandir(dir, &e, NULL, alphasort);
    text[0] = '\0';
    for (int i = 0; i < n; i++) {
        if (e[i]->d_name[0] != '.')
            strcat(strcat(text, e[i]->d_name), " ");
        free(e[i]);
    }
    free(e);
    return text;
}

static int teardown(void **state)
{
    (void)state;
    faults = (struct Faults){.room = -1};
    for (char *name = strtok((char *)(uintptr_t)listing(), " "); name; name = strtok(NULL, " ")) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", dir, name);
        unlink(path);
    }
    return rmdir(dir);
}

static unsigned char *slurp(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    unsigned char *p = malloc(1 << 20);
    assert_non_null(f);
    assert_non_null(p);
    *len = fread(p, 1, 1 << 20, f);
    fclose(f);
    return p;
}

static void spill(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

enum { TENSORS = 5 };
static float weight[6], bias[1], empty[1], slot[6], average[6];
static const CnntrainTensor tensors[TENSORS] = {
    {"conv.weight", 2, {2, 3}, weight},      {"conv.\xc3\xa9\"\\\n", 0, {0}, bias},
    {"none", 3, {4, 0, 2}, empty},           {"optimizer.momentum.conv.weight", 2, {2, 3}, slot},
    {"ema.conv.weight", 2, {2, 3}, average},
};

static void fill(float v)
{
    for (int i = 0; i < 6; i++) {
        weight[i] = v;
        slot[i] = v + 1;
        average[i] = v + 2;
    }
    bias[0] = v;
}

static bool save(const char *path, int step, bool keep)
{
    char number[16];
    snprintf(number, sizeof number, "%d", step);
    const CnntrainPair pairs[] = {
        {"step", number}, {"best", "nan"}, {"note", "\"\x01\xf0\x9f\x98\x80"}};
    return cnntrain_checkpoint_save(path, tensors, TENSORS, pairs, 3, keep, message);
}

static void must_save(const char *path, int step, bool keep)
{
    fill((float)step);
    if (!save(path, step, keep))
        fail_msg("%s", message);
}

static void test_round_trip(void **state)
{
    (void)state;
    float before[6], v[6] = {0};
    int64_t step = 0;
    double best = 0;
    fill(1.5f);
    weight[0] = -0.0f;
    weight[5] = nanf("77");
    weight[2] = 0x1p-149f;
    memcpy(before, weight, sizeof weight);
    faults.piecemeal = true;
    assert_true(save(last, 41, true));
    assert_string_equal(listing(), "last.safetensors ");
    CnntrainCheckpoint *c = cnntrain_checkpoint_open(last, message);
    assert_non_null(c);
    fill(0);
    assert_true(cnntrain_checkpoint_load(c, tensors, TENSORS, NULL, message));
    assert_memory_equal(weight, before, sizeof weight);
    assert_true(bias[0] == 1.5f && slot[5] == 2.5f && average[0] == 3.5f);
    assert_true(cnntrain_checkpoint_integer(c, "step", &step) && step == 41);
    assert_true(cnntrain_checkpoint_real(c, "best", &best) && isnan(best));
    assert_false(cnntrain_checkpoint_integer(c, "best", &step));
    assert_false(cnntrain_checkpoint_integer(c, "epoch", &step));
    assert_string_equal(cnntrain_checkpoint_pair(c, "note"), "\"\x01\xf0\x9f\x98\x80");
    assert_string_equal(cnntrain_checkpoint_pair(c, "format"), "pt");
    assert_null(cnntrain_checkpoint_pair(c, "x"));
    assert_true(cnntrain_checkpoint_has(c, "none"));
    assert_false(cnntrain_checkpoint_has(c, "conv"));
    assert_string_equal(cnntrain_checkpoint_path(c), last);
    /* the open one stays what it was when its file is replaced, and the old file stays */
    must_save(last, 42, true);
    assert_string_equal(listing(), "last.safetensors last.safetensors.prev ");
    assert_true(cnntrain_checkpoint_load(c, tensors, TENSORS, NULL, message));
    assert_memory_equal(weight, before, sizeof weight);
    cnntrain_checkpoint_close(c);
    CnntrainTensor one = {"conv.weight", 2, {2, 3}, v};
    CnntrainFit fit;
    assert_non_null(c = cnntrain_checkpoint_open(last, message));
    assert_true(cnntrain_checkpoint_fit(c, "ema.", &one, 1, &fit, NULL, message));
    assert_true(v[0] == 44 && fit.copied == 1 && fit.left == 0);
    cnntrain_checkpoint_close(c);
    cnntrain_checkpoint_close(NULL);
}

static void refused(const CnntrainTensor *t, size_t n, CnntrainPair p, const char *path,
                    const char *reason)
{
    message[0] = '\0';
    if (cnntrain_checkpoint_save(path, t, n, &p, 1, true, message) ||
        strstr(message, reason) == NULL)
        fail_msg("expected: %s\n  found: %s", reason, message);
    assert_string_equal(listing(), "last.safetensors ");
}

static void test_save_refusals(void **state)
{
    (void)state;
    const CnntrainPair fine = {"step", "1"};
    const CnntrainTensor twice[2] = {tensors[0], tensors[0]}, bad_name = {"\xff", 0, {0}, bias},
                         deep = {"x", 5, {1, 1, 1, 1}, bias}, minus = {"x", 1, {-1}, bias},
                         huge = {"x", 2, {INT64_MAX, 8}, bias}, nothing = {"x", 1, {1}, NULL},
                         metadata = {"__metadata__", 0, {0}, bias};
    must_save(last, 1, true);
    refused(twice, 2, fine, last, "a name twice: 'conv.weight'");
    refused(&bad_name, 1, fine, last, "not UTF-8");
    refused(&deep, 1, fine, last, "no valid name, shape or data");
    refused(&minus, 1, fine, last, "no valid name, shape or data");
    refused(&huge, 1, fine, last, "no valid name, shape or data");
    refused(&nothing, 1, fine, last, "no valid name, shape or data");
    refused(&metadata, 1, fine, last, "twice");
    refused(tensors, 1, (CnntrainPair){"format", "tf"}, last, "'format' is reserved");
    refused(tensors, 1, (CnntrainPair){"header_xxh64", "0"}, last, "reserved");
    refused(tensors, 1, fine, "/nonexistent/x", strerror(ENOENT));
    refused(tensors, 1, fine, dir, "not a regular file");
    refused(tensors, 1, fine, "/dev/null", "not a regular file");
}

/* One that is good, and of this step. */
static void expect_found(int64_t step)
{
    CnntrainCheckpoint *c = NULL;
    int64_t got = -1;
    CnntrainFound found = cnntrain_checkpoint_find(dir, &c, NULL, NULL, message);
    if (found != CNNTRAIN_FOUND)
        fail_msg("nothing found: %s", message);
    fill(-1);
    assert_true(cnntrain_checkpoint_integer(c, "step", &got));
    assert_true(cnntrain_checkpoint_load(c, tensors, TENSORS, NULL, message));
    cnntrain_checkpoint_close(c);
    assert_int_equal(got, step);
    assert_true(weight[5] == (float)step && average[5] == (float)step + 2);
}

static void test_full_disk(void **state)
{
    (void)state;
    size_t len, now;
    must_save(last, 1, true);
    must_save(last, 2, true);
    unsigned char *old = slurp(last, &len);
    for (size_t room = 0; room < len; room++) {
        faults.room = (long)room;
        fill(3);
        assert_false(save(last, 3, true));
        assert_non_null(strstr(message, "free space or choose another folder"));
        unsigned char *is = slurp(last, &now);
        assert_int_equal(now, len);
        assert_memory_equal(is, old, len);
        free(is);
        assert_string_equal(listing(), "last.safetensors last.safetensors.prev ");
    }
    free(old);
    expect_found(2);
    faults.room = (long)len;
    fill(3);
    assert_true(save(last, 3, true));
    expect_found(3);
}

/* The kernel's own refusal in the middle of a file. */
static void test_file_size_limit(void **state)
{
    (void)state;
    int status;
    must_save(last, 1, true);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {200, 200};
        signal(SIGXFSZ, SIG_IGN);
        fill(2);
        bool fine = setrlimit(RLIMIT_FSIZE, &limit) == 0 && !save(last, 2, true) &&
                    strstr(message, strerror(EFBIG)) != NULL;
        _exit(fine ? 0 : 1);
    }
    assert_true(waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
    assert_string_equal(listing(), "last.safetensors ");
    expect_found(1);
}

static void test_failing_calls(void **state)
{
    (void)state;
    must_save(last, 1, true);
    must_save(last, 2, true);
    faults.no_sync = true;
    fill(3);
    assert_false(save(last, 3, true));
    assert_non_null(strstr(message, strerror(EIO)));
    faults.no_sync = false;
    expect_found(2);
    /* the new file could not take its place */
    faults.rename_fails = 1;
    fill(3);
    assert_false(save(last, 3, true));
    assert_string_equal(listing(), "last.safetensors last.safetensors.prev ");
    expect_found(2);
    /* it has, but the old one could not be kept */
    faults.rename_fails = 2;
    fill(3);
    assert_false(save(last, 3, true));
    assert_non_null(strstr(message, "could not be kept"));
    assert_string_equal(listing(), "last.safetensors last.safetensors.prev ");
    expect_found(3);
    /* where a file has one name only */
    faults.no_link = true;
    must_save(last, 4, true);
    expect_found(4);
    assert_string_equal(listing(), "last.safetensors last.safetensors.prev ");
    for (int n = 1; n <= 2; n++) {
        faults.rename_fails = n;
        fill(5);
        assert_false(save(last, 5, true));
        expect_found(4);
    }
    faults.rename_fails = 0;
    faults.no_link = false;
    must_save(last, 6, false);
    expect_found(6);
    assert_string_equal(listing(), "last.safetensors ");
}

static void test_truncations(void **state)
{
    (void)state;
    size_t len;
    must_save(last, 7, true);
    unsigned char *good = slurp(last, &len);
    for (size_t n = 0; n < len; n++) {
        spill(last, good, n);
        CnntrainCheckpoint *c = cnntrain_checkpoint_open(last, message);
        if (c != NULL)
            fail_msg("%zu of %zu bytes were taken for a checkpoint", n, len);
    }
    good = realloc(good, len + 1);
    good[len] = ' ';
    spill(last, good, len + 1);
    assert_null(cnntrain_checkpoint_open(last, message));
    free(good);
}

static void test_flipped_bits(void **state)
{
    (void)state;
    size_t len, in_data = 0;
    must_save(last, 7, true);
    unsigned char *good = slurp(last, &len);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        good[bit / 8] ^= (unsigned char)(1u << bit % 8);
        spill(last, good, len);
        good[bit / 8] ^= (unsigned char)(1u << bit % 8);
        CnntrainCheckpoint *c = cnntrain_checkpoint_open(last, message);
        if (c == NULL)
            continue;
        fill(9);
        if (cnntrain_checkpoint_verify(c, message))
            fail_msg("bit %zu of %zu is not missed", bit, 8 * len);
        assert_false(cnntrain_checkpoint_load(c, tensors, TENSORS, NULL, message));
        assert_true(weight[0] == 9 && average[5] == 11);
        CnntrainFit fit;
        if (strstr(message, "no checksums") == NULL)
            assert_false(cnntrain_checkpoint_fit(c, "", tensors, TENSORS, &fit, NULL, message));
        in_data++;
        cnntrain_checkpoint_close(c);
    }
    free(good);
    assert_int_equal(in_data, 8 * 4 * (6 + 1 + 6 + 6)); /* all others are seen in the header */
}

static void on_notice(void *ctx, const char *text)
{
    strcat(strcat(ctx, strrchr(text, '/') + 1), "\n");
}

static void test_find(void **state)
{
    (void)state;
    char seen[2048] = "", best[64], prev[64];
    CnntrainCheckpoint *c;
    snprintf(best, sizeof best, "%s/" CNNTRAIN_BEST, dir);
    snprintf(prev, sizeof prev, "%s/" CNNTRAIN_LAST ".prev", dir);
    assert_int_equal(cnntrain_checkpoint_find(dir, &c, NULL, NULL, message), CNNTRAIN_NONE);
    assert_null(c);
    assert_int_equal(cnntrain_checkpoint_find("/nonexistent", &c, NULL, NULL, message),
                     CNNTRAIN_NONE);
    must_save(last, 10, true);
    must_save(last, 30, true);
    must_save(best, 20, false);
    expect_found(30);
    /* a byte in the data of last, then the header of best, then prev is cut */
    size_t len;
    unsigned char *f = slurp(last, &len);
    f[len - 1] ^= 1;
    spill(last, f, len);
    assert_int_equal(cnntrain_checkpoint_find(dir, &c, on_notice, seen, message), CNNTRAIN_FOUND);
    assert_string_equal(cnntrain_checkpoint_path(c), best);
    cnntrain_checkpoint_close(c);
    assert_string_equal(seen, "last.safetensors: is damaged: the checksum of its data differs\n");
    expect_found(20);
    spill(best, f, 100);
    expect_found(10);
    free(f);
    assert_int_equal(truncate(prev, 7), 0);
    seen[0] = '\0';
    assert_int_equal(cnntrain_checkpoint_find(dir, &c, on_notice, seen, message), CNNTRAIN_DAMAGED);
    assert_null(c);
    assert_string_equal(seen, "last.safetensors.prev: 7 bytes are too few for a safetensors file\n"
                              "best.safetensors: the file ends inside its header (504 bytes, 92 "
                              "are there)\n"
                              "last.safetensors: is damaged: the checksum of its data differs\n");
    assert_int_equal(unlink(best), 0);
    assert_int_equal(unlink(last), 0);
    assert_int_equal(cnntrain_checkpoint_find(dir, &c, NULL, NULL, message), CNNTRAIN_DAMAGED);
    assert_non_null(strstr(message, "too few"));
}

/* Killed before each of the calls that change the disk. */
static void test_killed_at_every_call(void **state)
{
    (void)state;
    for (int no_link = 0; no_link < 2; no_link++) {
        int calls = 0, kills = 0;
        for (bool killed = true; killed; calls++) {
            int status;
            must_save(last, 1, true);
            must_save(last, 2, true);
            pid_t child = fork();
            if (child == 0) {
                fill(3);
                faults.no_link = no_link;
                faults.die_at = calls + 1;
                bool fine = save(last, 3, true);
                _exit(fine ? 0 : 1);
            }
            assert_true(waitpid(child, &status, 0) == child);
            killed = WIFSIGNALED(status);
            kills += killed;
            assert_true(killed || status == 0);
            CnntrainCheckpoint *c;
            int64_t step = 0;
            if (cnntrain_checkpoint_find(dir, &c, NULL, NULL, message) != CNNTRAIN_FOUND)
                fail_msg("killed at call %d: %s", calls + 1, message);
            assert_true(cnntrain_checkpoint_integer(c, "step", &step) && (step == 2 || step == 3));
            assert_true(killed || step == 3);
            cnntrain_checkpoint_close(c);
            expect_found(step);
        }
        assert_in_range(kills, 10, 20);
    }
    must_save(last, 4, true);
    assert_string_equal(listing(), "last.safetensors last.safetensors.prev ");
}

static void test_killed_at_random(void **state)
{
    (void)state;
    int64_t most = 0;
    must_save(last, 0, true);
    for (uint64_t k = 0; k < 50; k++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            for (int step = (int)most + 1;; step++) {
                fill((float)step);
                if (!save(last, step, true))
                    _exit(1);
            }
        }
        const struct timespec moment = {.tv_nsec = (long)(rng_mix(5, k) % 8000000)};
        nanosleep(&moment, NULL);
        kill(child, SIGKILL);
        assert_true(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        CnntrainCheckpoint *c;
        int64_t step = -1;
        if (cnntrain_checkpoint_find(dir, &c, NULL, NULL, message) != CNNTRAIN_FOUND)
            fail_msg("kill %d: %s", (int)k, message);
        cnntrain_checkpoint_integer(c, "step", &step);
        cnntrain_checkpoint_close(c);
        assert_true(step >= most);
        most = step;
        expect_found(most);
    }
    assert_true(most > 0);
}

static void test_another_network(void **state)
{
    (void)state;
    float v[64];
    char *report = NULL;
    const CnntrainTensor others[] = {{"conv.weight", 2, {3, 2}, v},
                                     {"conv.\xc3\xa9\"\\\n", 1, {1}, v},
                                     {"none", 3, {4, 0, 2}, v},
                                     {"head.weight", 4, {1, 2, 3, 4}, v},
                                     {"ema.conv.weight", 2, {2, 3}, v}};
    must_save(last, 1, true);
    CnntrainCheckpoint *c = cnntrain_checkpoint_open(last, message);
    for (int i = 0; i < 64; i++)
        v[i] = 7;
    assert_false(cnntrain_checkpoint_load(c, others, 5, &report, message));
    assert_non_null(strstr(message, "is of another network or optimizer: 4 tensors differ"));
    assert_string_equal(
        report, "  tensor                                    here                in the file\n"
                "  'conv.weight'                             3x2                 2x3\n"
                "  'conv.\xc3\xa9\"\\?'                               1                   scalar\n"
                "  'head.weight'                             1x2x3x4             none\n"
                "  'optimizer.momentum.conv.weight'          none                2x3\n");
    free(report);
    for (int i = 0; i < 64; i++)
        assert_true(v[i] == 7);
    CnntrainTensor many[60];
    char name[60][16];
    for (int i = 0; i < 60; i++) {
        snprintf(name[i], sizeof name[i], "w%d", i);
        many[i] = (CnntrainTensor){name[i], 0, {0}, v};
    }
    assert_false(cnntrain_checkpoint_load(c, many, 60, &report, message));
    assert_non_null(strstr(report, "\n  and 45 more\n"));
    free(report);
    assert_true(cnntrain_checkpoint_load(c, tensors, TENSORS, &report, message));
    assert_null(report);
    cnntrain_checkpoint_close(c);
}

static void test_fit(void **state)
{
    (void)state;
    float w[6] = {0}, head[2] = {5, 5}, half[2] = {0}, number[1] = {3};
    char *report = NULL;
    CnntrainFit fit;
    const CnntrainTensor ours[] = {
        {"conv.weight", 2, {2, 3}, w}, {"none", 1, {2}, head}, {"head.bias", 1, {2}, head}};
    must_save(last, 8, true);
    CnntrainCheckpoint *c = cnntrain_checkpoint_open(last, message);
    assert_true(cnntrain_checkpoint_fit(c, "", ours, 3, &fit, &report, message));
    assert_true(fit.copied == 1 && fit.missing == 1 && fit.different == 1 && fit.left == 1);
    assert_true(w[0] == 8 && w[5] == 8 && head[0] == 5);
    assert_string_equal(
        report,
        "  tensor                                    here                in the file\n"
        "  'none'                                    2                   4x0x2\n"
        "  'head.bias'                               2                   none\n"
        "  'conv.\xc3\xa9\"\\?'                               none                scalar\n");
    free(report);
    cnntrain_checkpoint_close(c);
    /* any safetensors file: without checksums, in other types */
    static const char foreign[] = "{\"h\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},"
                                  "\"n\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[4,8]}}";
    unsigned char file[sizeof foreign - 1 + 16] = {sizeof foreign - 1};
    memcpy(file + 8, foreign, sizeof foreign - 1);
    memcpy(file + sizeof file - 8, "\x00\x3c\x00\xc0\x01\x00\x00\x00", 8);
    spill(last, file, sizeof file);
    const CnntrainTensor two[] = {{"h", 1, {2}, half}, {"n", 0, {0}, number}};
    assert_non_null(c = cnntrain_checkpoint_open(last, message));
    assert_false(cnntrain_checkpoint_load(c, two, 2, &report, message));
    assert_non_null(strstr(message, "has no checksums"));
    assert_true(cnntrain_checkpoint_fit(c, "", two, 2, &fit, &report, message));
    assert_true(half[0] == 1 && half[1] == -2 && number[0] == 3);
    assert_true(fit.copied == 1 && fit.different == 1 && fit.left == 0);
    assert_non_null(strstr(report, "scalar integers"));
    free(report);
    assert_int_equal(truncate(last, (off_t)sizeof file - 7), 0); /* while it is open */
    assert_false(cnntrain_checkpoint_fit(c, "", two, 2, &fit, &report, message));
    assert_non_null(strstr(message, "was cut while it was read"));
    assert_null(report);
    cnntrain_checkpoint_close(c);
}

static void test_hash_in_parts(void **state)
{
    (void)state;
    unsigned char data[300];
    for (int i = 0; i < 300; i++)
        data[i] = (unsigned char)rng_mix(3, (uint64_t)i);
    for (size_t n = 0; n <= 140; n++)
        for (size_t cut = 0; cut <= n; cut++) {
            CnnrtHash h;
            cnnrt_hash_begin(&h);
            cnnrt_hash_add(&h, data, cut);
            cnnrt_hash_add(&h, data + cut, (n - cut) / 2);
            cnnrt_hash_add(&h, data + cut + (n - cut) / 2, n - cut - (n - cut) / 2);
            assert_true(cnnrt_hash_value(&h) == cnnrt_hash(data, n));
        }
    /* the values of xxhash's own sanity check begin so */
    assert_true(cnnrt_hash("", 0) == 0xEF46DB3751D8E999);
    assert_true(cnnrt_hash("abc", 3) == 0x44BC2CF5AD770999);
}

int main(void)
{
#define T(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_round_trip),
        T(test_save_refusals),
        T(test_full_disk),
        T(test_file_size_limit),
        T(test_failing_calls),
        T(test_truncations),
        T(test_flipped_bits),
        T(test_find),
        T(test_killed_at_every_call),
        T(test_killed_at_random),
        T(test_another_network),
        T(test_fit),
        T(test_hash_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
