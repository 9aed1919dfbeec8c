/* Weights and arrays from files: what is written is read back, every kind of damage is refused with
 * its reason, and random damage never crashes the readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>
#include <json.h>
#include "import/npy.h"
#include "import/weights.h"
#include "rng.h"

static OomHandler oom;
static Arena arena;
static char path[] = "/tmp/cnnc-import-XXXXXX";

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, &oom, 0);
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return unlink(path);
}

static void put_file(const void *bytes, size_t len)
{
    const char *err;
    assert_true(fs_write_all(path, bytes, len, false, &err));
}

/* A safetensors file in memory from its header and `data` bytes 0, 1, 2 ... */
static unsigned char *file_of(const char *header, size_t data, size_t *len)
{
    size_t n = strlen(header);
    *len = 8 + n + data;
    unsigned char *f = calloc(*len, 1);
    assert_non_null(f);
    for (int i = 0; i < 8; i++)
        f[i] = (unsigned char)(n >> (8 * i));
    memcpy(f + 8, header, n);
    for (size_t i = 0; i < data; i++)
        f[8 + n + i] = (unsigned char)i;
    return f;
}

static void refused(const char *header, size_t data, const char *reason)
{
    size_t len;
    Weights w;
    const char *err = "";
    unsigned char *f = file_of(header, data, &len);
    bool ok = weights_parse_safetensors(&w, &arena, f, len, &err);
    free(f);
    if (ok || strstr(err, reason) == NULL)
        fail_msg("%s\n  expected: %s\n  found: %s", header, reason, ok ? "(read)" : err);
    assert_null(w.all.at);
}

static void test_refusals(void **state)
{
    (void)state;
#define F32(SHAPE, FROM, TO)                                                                       \
    "{\"dtype\":\"F32\",\"shape\":" SHAPE ",\"data_offsets\":[" FROM "," TO "]}"
    refused("", 0, "does not begin with '{'");
    refused("[1]", 0, "does not begin with '{'");
    refused("{\"a\":", 0, "no valid JSON");
    refused("{\"a\\u0000b\":1}", 0, "no valid JSON (byte 11): a NUL in a string");
    refused("{\"a\\ud800b\":1}", 0, "half of a surrogate pair");
    refused("{\"a\\udc00\":1}", 0, "half of a surrogate pair");
    refused("{\"\xed\xa0\x80\":1}", 0, "not UTF-8");
    refused("{\"a\\x\":1}", 0, "an unknown escape");
    refused("{\"a\nb\":1}", 0, "a control character");
    refused("{\"a\":01}", 0, "a comma or a closing bracket");
    refused("{\"a\":1.}", 0, "no valid JSON");
    refused("{\"a\":-}", 0, "no valid JSON");
    refused("{\"a\":1e}", 0, "no valid JSON");
    refused("{\"a\":1,}", 0, "a string is expected");
    refused("{\"a\":nul}", 0, "a value is expected");
    refused("{} {}", 0, "something follows");
    refused("{\"a\":\"b", 0, "ends too early");
    refused("{\"a\":1}", 0, "no object");
    refused("{\"__metadata__\":{\"a\":1}}", 0, "no string");
    refused("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "name twice: 'a'");
    refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "name twice: '__metadata__'");
    refused("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0, "key twice");
    refused("{\"__metadata__\":1}", 0, "'__metadata__' is no object");
    refused("{\"a\":{\"b\":{\"c\":{}}}}", 0, "nested too deeply");
    refused("{\"a\":" F32("[2]", "0", "8") ",\"a\":" F32("[2]", "0", "8") "}", 8, "name twice");
    refused("{\"a\":" F32("[2]", "0", "8") ",\"b\":" F32("[2]", "4", "12") "}", 12,
            "'b' overlaps tensor 'a'");
    refused("{\"b\":" F32("[2]", "0", "8") ",\"a\":" F32("[2]", "0", "8") "}", 8, "overlaps");
    refused("{\"a\":" F32("[1]", "0", "4") ",\"b\":" F32("[1]", "8", "12") "}", 12,
            "4 bytes before tensor 'b' belong to no tensor");
    refused("{\"a\":" F32("[1]", "4", "8") "}", 8, "4 bytes before tensor 'a'");
    refused("{\"a\":" F32("[1]", "0", "4") "}", 7, "3 bytes at the end");
    refused("{}", 1, "1 bytes at the end");
    refused("{\"a\":" F32("[2]", "0", "8") "}", 7, "truncated");
    refused("{\"a\":" F32("[3]", "0", "8") "}", 8, "takes 12 bytes of F32, its offsets span 8");
    refused("{\"a\":" F32("[2]", "8", "0") "}", 8, "not [begin, end]");
    refused("{\"a\":" F32("[2]", "-8", "0") "}", 8, "not [begin, end]");
    refused("{\"a\":" F32("[2]", "0", "8,8") "}", 8, "not [begin, end]");
    refused("{\"a\":" F32("[2]", "0", "9223372036854775807") "}", 8, "truncated");
    refused("{\"a\":" F32("[2]", "0", "9223372036854775808") "}", 8, "no valid JSON");
    refused("{\"a\":" F32("[-2]", "0", "8") "}", 8, "no whole number");
    refused("{\"a\":" F32("[2.0]", "0", "8") "}", 8, "no whole number");
    refused("{\"a\":" F32("2", "0", "8") "}", 8, "no list");
    refused("{\"a\":" F32("[1,1,1,1,1,1,1,1,2]", "0", "8") "}", 8, "9 dimensions");
    refused("{\"a\":" F32("[4294967296,4294967296]", "0", "0") "}", 0, "too large");
    refused("{\"a\":" F32("[4611686018427387904]", "0", "0") "}", 0, "too large");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 0, "is missing");
    refused("{\"a\":{\"dtype\":32,\"shape\":[],\"data_offsets\":[0,4]}}", 4, "is missing");
    refused("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4,
            "type 'F8_E4M3' are not read");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],\"x\":1}}", 4,
            "unknown key");
    refused("{\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
            "takes 8 bytes of I64");
    /* what a file puts into a message can neither flood a terminal nor drive it */
    refused("{\"\\u001b[2J\":1}", 0, "'?[2J'");
}

static void test_prefix(void **state)
{
    (void)state;
    Weights w;
    const char *err;
    unsigned char f[16] = {3};
    assert_false(weights_parse_safetensors(&w, &arena, f, 7, &err));
    assert_non_null(strstr(err, "too few"));
    assert_false(weights_parse_safetensors(&w, &arena, f, 10, &err));
    assert_non_null(strstr(err, "ends inside its header"));
    memcpy(f, "\x01\xe1\xf5\x05\0\0\0\0", 8); /* 100 MB and one */
    assert_false(weights_parse_safetensors(&w, &arena, f, sizeof f, &err));
    assert_non_null(strstr(err, "header of 100000001 bytes"));
    memset(f, 255, 8);
    assert_false(weights_parse_safetensors(&w, &arena, f, sizeof f, &err));
    assert_non_null(strstr(err, "header of 18446744073709551615 bytes"));
}

static void test_many_values(void **state)
{
    (void)state;
    size_t n = 9 * 1000 * 1000;
    char *header = malloc(n + 1);
    assert_non_null(header);
    for (size_t i = 0; i < n; i++)
        header[i] = i % 2 ? '0' : ',';
    memcpy(header, "{\"a\":[ ", 7);
    header[n] = '\0';
    refused(header, 0, "more than 4000000 values");
    free(header);
}

static void test_types(void **state)
{
    (void)state;
    static const char header[] =
        "{\"h\":{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[0,12]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[12,16]},"
        "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[16,24]},"
        "\"d\":{\"dtype\":\"F64\",\"shape\":[1,1],\"data_offsets\":[24,32]},"
        "\"f\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[32,36]},"
        "\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[36,36]}} ";
    static const uint16_t half[6] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000, 0xfc00};
    static const float half_value[6] = {1, -2, 0x1p-24f, 65504, 0, -INFINITY};
    static const uint16_t brain[2] = {0x3f80, 0xc049};
    const double d = 0.1;
    const float f = 3.25f;
    size_t len;
    const char *err;
    Weights w;
    unsigned char *file = file_of(header, 36, &len), *data = file + len - 36;
    memcpy(data, half, 12);
    memcpy(data + 12, brain, 4);
    memcpy(data + 24, &d, 8);
    memcpy(data + 32, &f, 4);
    put_file(file, len);
    free(file);
    if (!weights_read_safetensors(&w, &arena, path, &err))
        fail_msg("%s", err);
    assert_int_equal(w.all.len, 5); /* the integers are not weights */
    assert_null(weights_find(&w, "n"));
    assert_null(weights_find(&w, "zz"));
    const WeightTensor *h = weights_find(&w, "h"), *b = weights_find(&w, "b");
    for (int i = 0; i < 6; i++)
        assert_true(h->data[i] == half_value[i]);
    assert_true(signbit(h->data[4]));
    assert_true(b->data[0] == 1.0f && b->data[1] == -3.140625f);
    assert_true(weights_find(&w, "d")->data[0] == 0.1f);
    assert_int_equal(weights_find(&w, "d")->ndim, 2);
    assert_true(weights_find(&w, "f")->data[0] == 3.25f);
    assert_int_equal(weights_find(&w, "f")->ndim, 0);
    assert_int_equal(weights_find(&w, "e")->count, 0);
    weights_free(&w);
}

static void fill(Weights *w)
{
    static const char *const names[] = {"z.weight", "a/../b", "\xc3\xa9\"\\\n", "m"};
    static const int64_t dims[][3] = {{2, 3, 5}, {7, 1, 1}, {1, 1, 1}, {0, 4, 4}};
    for (int k = 0; k < 4; k++) {
        float *v = weights_add(w, &arena, names[k], dims[k], k == 2 ? 0 : 3);
        assert_non_null(v);
        for (int64_t i = 0; i < w->all.at[k].count; i++)
            v[i] = i == 1 ? NAN : (float)(k * 100 + i);
    }
    weights_sort(w);
}

static void test_round_trip(void **state)
{
    (void)state;
    Weights w = {0}, back;
    const char *err;
    fill(&w);
    if (!weights_write_safetensors(&w, path, &err) ||
        !weights_read_safetensors(&back, &arena, path, &err))
        fail_msg("%s", err);
    assert_int_equal(back.all.len, 4);
    assert_int_equal(back.owned.len, 0); /* aligned: used where it lies */
    for (uint32_t i = 0; i < 4; i++) {
        const WeightTensor *x = &w.all.at[i], *y = &back.all.at[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->ndim, y->ndim);
        assert_memory_equal(x->dims, y->dims, sizeof x->dims);
        assert_int_equal(x->count, y->count);
        if (x->count > 0)
            assert_memory_equal(x->data, y->data, (size_t)x->count * 4);
    }
    weights_free(&back);
    weights_free(&w);
}

static void test_write_refusals(void **state)
{
    (void)state;
    Weights w = {0};
    const char *err = "";
    const int64_t one = 1, huge[2] = {INT64_MAX, 2}, big = INT64_MAX, negative = -1;
    assert_null(weights_add(&w, &arena, "x", huge, 2));
    assert_null(weights_add(&w, &arena, "x", &big, 1));
    assert_null(weights_add(&w, &arena, "x", &negative, 1));
    assert_int_equal(w.all.len, 0);
    *weights_add(&w, &arena, "x", &one, 1) = 1;
    put_file("before", 6);
    assert_false(weights_write_safetensors(&w, "/nonexistent/x", &err));
    *weights_add(&w, &arena, "x", &one, 1) = 2;
    assert_false(weights_write_safetensors(&w, path, &err));
    assert_non_null(strstr(err, "same name"));
    size_t len;
    char *kept = fs_read(path, 100, &len, &err);
    assert_string_equal(kept, "before");
    free(kept);
    weights_free(&w);
    assert_false(weights_read_safetensors(&w, &arena, "/nonexistent", &err));
    assert_string_equal(err, strerror(ENOENT));
    assert_false(weights_read_safetensors(&w, &arena, "/tmp", &err));
    assert_string_equal(err, "is a directory");
}

static void test_npy(void **state)
{
    (void)state;
    const int64_t dims[8] = {2, 1, 3, 1, 1, 1, 1, 1}, bad = -1;
    const float v[6] = {1, -2, 0.5f, INFINITY, 1e-40f, 7};
    NdArray back;
    const char *err;
    for (int ndim = 0; ndim <= 8; ndim++) {
        assert_true(npy_write(path, v, dims, ndim, &err));
        if (!npy_read(&back, path, &arena, &err))
            fail_msg("%s", err);
        assert_int_equal(back.ndim, ndim);
        assert_int_equal(back.count, ndim == 0 ? 1 : ndim < 3 ? 2 : 6);
        assert_memory_equal(back.dims, dims, (size_t)ndim * sizeof *dims);
        assert_memory_equal(back.data, v, (size_t)back.count * sizeof *v);
        free(back.data);
    }
    assert_false(npy_write(path, v, dims, 9, &err));
    assert_false(npy_write(path, v, &bad, 1, &err));
    assert_false(npy_read(&back, "/nonexistent", &arena, &err));
    put_file("", 0);
    assert_false(npy_read(&back, path, &arena, &err));
    assert_string_equal(err, "not a NumPy array file");
}

static void test_npy_types(void **state)
{
    (void)state;
    static const struct {
        const char *descr;
        unsigned char bytes[16];
        size_t len;
        const char *err;
    } cases[] = {
        {"'<f8'", {0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0}, 16, NULL},
        {"'|u1'", {1, 254}, 2, NULL},
        {"'<i4'", {1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff}, 8, NULL},
        {"'<i8'", {1, 0, 0, 0, 0, 0, 0, 0, 0xfe, 255, 255, 255, 255, 255, 255, 255}, 16, NULL},
        {"'<i8'", {1}, 15, "shorter than its shape says"},
        {"'<i4'", {1}, 9, "longer than its shape says"},
        {"'>f4'", {1}, 8, "element type"},
    };
    static const float want[][2] = {{1.5f, -2}, {1, 254}, {1, -2}, {1, -2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char f[256] = "\x93NUMPY\x01";
        NdArray back;
        const char *err = NULL;
        int n =
            snprintf((char *)f + 10, sizeof f - 10,
                     "{'descr': %s, 'fortran_order': False, 'shape': (2,), }\n", cases[i].descr);
        f[8] = (unsigned char)n;
        memcpy(f + 10 + n, cases[i].bytes, sizeof cases[i].bytes);
        put_file(f, 10 + (size_t)n + cases[i].len);
        bool ok = npy_read(&back, path, &arena, &err);
        assert_true(ok == (cases[i].err == NULL));
        if (ok)
            assert_memory_equal(back.data, want[i], sizeof want[i]);
        else
            assert_non_null(strstr(err, cases[i].err));
        free(back.data);
    }
}

/* Changes, cuts or moves a few bytes of f, which has room for len; returns the new length. */
static size_t damage(unsigned char *f, size_t len, uint64_t key, uint64_t round)
{
    uint64_t r = rng_mix(key, 8 * round);
    for (uint64_t k = 0; k <= r % 4; k++) {
        uint64_t bits = rng_mix(key, 8 * round + 1 + k);
        static const char often[] = "0123456789{}[],:\"-e. ";
        f[(bits >> 16) % len] =
            bits & 1 ? (unsigned char)often[bits % (sizeof often - 1)] : (unsigned char)(bits >> 8);
    }
    return r & 16 ? (r >> 8) % len : len;
}

/* Keeps the reads of every value, which a sanitizer is to watch. */
static volatile float touched;

static void test_damaged_weights(void **state)
{
    (void)state;
    Weights w = {0};
    const char *err;
    size_t len, read = 0, refused_count = 0;
    fill(&w);
    assert_true(weights_write_safetensors(&w, path, &err));
    weights_free(&w);
    unsigned char *good = (unsigned char *)fs_read(path, 1 << 20, &len, &err);
    assert_non_null(good);
    for (size_t i = 0; i < 6000; i++) {
        unsigned char *f = malloc(len); /* as large as it is, so that a sanitizer sees the end */
        assert_non_null(f);
        memcpy(f, good, len);
        size_t n = i < len ? i : damage(f, len, 11, i);
        f = n > 0 ? realloc(f, n) : f;
        err = NULL;
        if (weights_parse_safetensors(&w, &arena, f, n, &err)) {
            float sum = 0;
            for (uint32_t k = 0; k < w.all.len; k++)
                for (int64_t at = 0; at < w.all.at[k].count; at++)
                    sum += w.all.at[k].data[at];
            touched = sum;
            read++;
            assert_true(i >= len); /* every cut is noticed */
        } else {
            assert_non_null(err);
            refused_count++;
        }
        weights_free(&w);
        free(f);
        arena_reset(&arena);
    }
    free(good);
    assert_true(read > 100 && refused_count > 2000);
}

/* What is JSON and what is not, by another's opinion: damaged texts, and the integers they hold. */
static void test_json_agrees(void **state)
{
    (void)state;
    static const char good[] =
        "{\"a\":[1,-2,0,[],{},9223372036854775807],\"\\u00e9\\ud83d\\ude00\\n\":{\"b\": true},"
        " \"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\" :\t[null,false,\"x\\\\y\\\"\",1.5,-0.25e-3]}\n";
    size_t len = sizeof good - 1, read = 0, wrong = 0;
    for (size_t i = 0; i < 200000; i++) {
        unsigned char f[sizeof good];
        memcpy(f, good, sizeof good);
        size_t n = i <= len ? i : damage(f, len, 13, i), where = SIZE_MAX;
        const char *why = NULL;
        json_error_t je;
        CnnrtJsonFault fault = cnnrt_json_check((const char *)f, n, 9, 1000, &where, &why);
        if (memchr(f, 0, n) != NULL) { /* jansson 2.14 skips a NUL between tokens */
            assert_true(fault != CNNRT_JSON_FINE);
            continue;
        }
        json_t *theirs = json_loadb((const char *)f, n, JSON_DECODE_ANY, &je);
        if (theirs == NULL && json_error_code(&je) == json_error_numeric_overflow &&
            fault == CNNRT_JSON_FINE)
            continue; /* 1e400 is a number for us */
        if ((theirs != NULL) != (fault == CNNRT_JSON_FINE))
            fail_msg("%.*s\n  %s at %zu\n  jansson: %s", (int)n, f, why ? why : "accepted", where,
                     theirs != NULL ? "accepted" : je.text);
        assert_true(where <= n && (fault == CNNRT_JSON_FINE) == (why == NULL));
        read += theirs != NULL;
        wrong += theirs == NULL;
        json_decref(theirs);
    }
    if (read < 3000 || wrong < 10000)
        fail_msg("%zu read, %zu refused", read, wrong);
}

/* Strings decoded and integers read as another reads them. */
static void test_json_values(void **state)
{
    (void)state;
    static const char text[] =
        "[\"\\u00e9\\ud83d\\ude00\\n\\/\\u007f\\u07ff\\uffff\", -9223372036854775808,\"\", 12e1]";
    char out[64];
    int64_t v;
    size_t where;
    const char *why;
    assert_int_equal(cnnrt_json_check(text, sizeof text - 1, 1, 4, &where, &why), CNNRT_JSON_FINE);
    assert_int_equal(cnnrt_json_check(text, sizeof text - 1, 0, 4, &where, &why), CNNRT_JSON_DEEP);
    assert_int_equal(cnnrt_json_check(text, sizeof text - 1, 1, 3, &where, &why), CNNRT_JSON_MANY);
    CnnrtJson c = {text, text + sizeof text - 1};
    json_t *theirs = json_loadb(text, sizeof text - 1, 0, NULL);
    cnnrt_json_enter(&c);
    assert_true(cnnrt_json_more(&c) && cnnrt_json_kind(&c) == '"');
    size_t n = cnnrt_json_string(&c, out);
    assert_int_equal(n, strlen(out));
    assert_string_equal(out, json_string_value(json_array_get(theirs, 0)));
    assert_true(cnnrt_json_more(&c) && cnnrt_json_integer(&c, &v));
    assert_true(v == INT64_MIN && json_integer_value(json_array_get(theirs, 1)) == v);
    assert_true(cnnrt_json_more(&c) && cnnrt_json_string(&c, out) == 0);
    assert_true(cnnrt_json_more(&c) && !cnnrt_json_integer(&c, &v));
    assert_true(!cnnrt_json_more(&c) && c.at == c.end);
    json_decref(theirs);
}

static void test_damaged_npy(void **state)
{
    (void)state;
    const int64_t dims[2] = {3, 5};
    const float v[15] = {1, 2, 3};
    const char *err;
    size_t len, read = 0;
    assert_true(npy_write(path, v, dims, 2, &err));
    unsigned char *good = (unsigned char *)fs_read(path, 1 << 20, &len, &err);
    assert_non_null(good);
    for (size_t i = 0; i < 3000; i++) {
        NdArray a;
        unsigned char f[512];
        assert_true(len <= sizeof f);
        memcpy(f, good, len);
        size_t n = i < len ? i : damage(f, len, 12, i);
        FILE *out = fopen(path, "wb");
        assert_non_null(out);
        assert_int_equal(fwrite(f, 1, n, out), n);
        assert_int_equal(fclose(out), 0);
        err = NULL;
        if (npy_read(&a, path, &arena, &err)) {
            assert_true(i >= len && a.count >= 0 && a.ndim <= 8);
            read++;
        } else {
            assert_non_null(err);
        }
        free(a.data);
        arena_reset(&arena);
    }
    free(good);
    assert_true(read > 100 && read < 2500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_many_values),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_write_refusals),
        cmocka_unit_test(test_npy),
        cmocka_unit_test(test_npy_types),
        cmocka_unit_test(test_damaged_weights),
        cmocka_unit_test(test_json_agrees),
        cmocka_unit_test(test_json_values),
        cmocka_unit_test(test_damaged_npy),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
