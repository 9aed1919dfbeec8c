/* What the tests of runtime/cnndata share: a folder of files made by the test, and pictures. */
#ifndef DATA_FILES_H
#define DATA_FILES_H
#include <ftw.h>
#include <png.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cnndata.h"

static char data_root[] = "/tmp/cnnc-data-XXXXXX";

static inline int data_setup(void **state)
{
    (void)state;
    strcpy(data_root + strlen(data_root) - 6, "XXXXXX");
    return mkdtemp(data_root) == NULL ? -1 : 0;
}

static inline int data_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline int data_teardown(void **state)
{
    (void)state;
    return nftw(data_root, data_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* A path in the folder; good until the eighth call from here. */
static inline const char *data_path(const char *name)
{
    static char path[8][512];
    static int at;
    at = (at + 1) % 8;
    snprintf(path[at], sizeof path[at], "%s/%s", data_root, name);
    return path[at];
}

/* "KIND:path", good as long. */
static inline const char *data_text(const char *kind, const char *name)
{
    static char text[8][600];
    static int at;
    at = (at + 1) % 8;
    snprintf(text[at], sizeof text[at], "%s:%s", kind, data_path(name));
    return text[at];
}

static inline void data_folder(const char *name)
{
    assert_int_equal(mkdir(data_path(name), 0700), 0);
}

static inline void data_write(const char *name, const void *bytes, size_t len)
{
    FILE *f = fopen(data_path(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static inline unsigned char *data_read(const char *name, size_t *len)
{
    unsigned char *bytes = malloc(1 << 20);
    FILE *f = fopen(data_path(name), "rb");
    assert_non_null(f);
    assert_non_null(bytes);
    *len = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    return bytes;
}

/* The picture of tests/tools/augment_values.py and test_pictures.c; flat: fewer values. */
static inline void data_picture(CnndataImage *im, int64_t w, int64_t h, int32_t c, bool flat)
{
    free(im->pixels);
    im->capacity = (size_t)(w * h * 3);
    im->pixels = malloc(im->capacity);
    assert_non_null(im->pixels);
    im->w = w;
    im->h = h;
    im->c = c;
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++) {
            int v[3];
            for (int64_t k = 0; k < 3; k++) {
                v[k] = (int)(x * 37 + y * 91 + k * 53 + x * y * 7) & 255;
                v[k] = flat ? v[k] / 2 + 40 + (int)k * 9 : v[k];
            }
            if (c == 1)
                im->pixels[y * w + x] =
                    (uint8_t)((v[0] * 19595 + v[1] * 38470 + v[2] * 7471 + 0x8000) >> 16);
            for (int64_t k = 0; c == 3 && k < 3; k++)
                im->pixels[(y * w + x) * 3 + k] = (uint8_t)v[k];
        }
}

static inline uint32_t data_sum(uint32_t h, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)p)[i]) * 16777619u;
    return h;
}

static inline size_t data_png(const CnndataImage *im, unsigned char *out, size_t cap)
{
    png_image p = {.version = PNG_IMAGE_VERSION,
                   .width = (png_uint_32)im->w,
                   .height = (png_uint_32)im->h,
                   .format = im->c == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY};
    png_alloc_size_t len = cap;
    assert_int_equal(png_image_write_to_memory(&p, out, &len, 0, im->pixels, 0, NULL), 1);
    return len;
}

static inline void data_write_png(const char *name, int64_t w, int64_t h, int32_t c)
{
    static unsigned char bytes[1 << 16];
    CnndataImage im = {0};
    data_picture(&im, w, h, c, false);
    data_write(name, bytes, data_png(&im, bytes, sizeof bytes));
    cnndata_image_free(&im);
}

/* Record i of a CIFAR file: its label, and pixels that name it. */
static inline void data_cifar_record(unsigned char *out, int labels, int i, int classes)
{
    out[0] = 7;
    out[labels - 1] = (unsigned char)(i * 7 % classes);
    for (int p = 0; p < 3072; p++)
        out[labels + p] = (unsigned char)(i * 31 + p * 7 + p / 1024 * 50);
}

static inline void data_cifar(const char *name, int labels, int first, int n, int classes)
{
    size_t record = (size_t)labels + 3072;
    unsigned char *bytes = malloc(record * (size_t)n);
    assert_non_null(bytes);
    for (int i = 0; i < n; i++)
        data_cifar_record(bytes + (size_t)i * record, labels, first + i, classes);
    data_write(name, bytes, record * (size_t)n);
    free(bytes);
}

/* The five files of CIFAR-10's training split, n records each, and the test split. */
static inline void data_cifar10(const char *folder, int n)
{
    char name[128];
    data_folder(folder);
    for (int f = 0; f < 5; f++) {
        snprintf(name, sizeof name, "%s/data_batch_%d.bin", folder, f + 1);
        data_cifar(name, 1, f * n, n, 10);
    }
    snprintf(name, sizeof name, "%s/test_batch.bin", folder);
    data_cifar(name, 1, 1000, n, 10);
}
#endif
