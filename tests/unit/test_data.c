/* Data sets: every kind with data made here, what their names mean, and damage of every kind, which
 * ends in a message that names the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>
#include "data_files.h"
#include "rng.h"

static char error[CNNDATA_ERROR_MAX];

static CnndataSet *open_set(const char *text, CnndataSplit split)
{
    CnndataSet *set = NULL;
    if (cnndata_open(&set, text, split, error, sizeof error) != CNNDATA_OK)
        fail_msg("%s", error);
    assert_non_null(set);
    assert_string_equal(error, "");
    return set;
}

static void refused(const char *text, CnndataSplit split, int status, const char *message)
{
    CnndataSet *set = (CnndataSet *)(uintptr_t)1;
    assert_int_equal(cnndata_open(&set, text, split, error, sizeof error), status);
    assert_null(set);
    if (strstr(error, message) == NULL)
        fail_msg("'%s' lacks '%s'", error, message);
}

/* Opens what may be damaged and reads all of it: true when that goes. Whatever happens, a failure
 * has a message. */
static bool survives(const char *text, CnndataSplit split)
{
    CnndataSet *set = NULL;
    CnndataImage im = {0};
    int status = cnndata_open(&set, text, split, error, sizeof error);
    for (int64_t i = 0; status == CNNDATA_OK && i < cnndata_count(set); i++) {
        int32_t label = -1;
        status = cnndata_sample(set, i, &im, &label, error, sizeof error);
        if (status == CNNDATA_OK)
            assert_in_range(label, 0, cnndata_classes(set) - 1);
    }
    assert_true(status == CNNDATA_OK || strlen(error) > 10);
    cnndata_image_free(&im);
    cnndata_close(set);
    return status == CNNDATA_OK;
}

/* ---- IDX ---- */

static void put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static unsigned char idx_images[16 + 4 * 6], idx_labels[8 + 4];

/* Four pictures of 3 rows and 2 columns, values 0 to 23; labels 3 1 9 0. */
static void make_idx(void)
{
    put32(idx_images, 0x803);
    put32(idx_images + 4, 4);
    put32(idx_images + 8, 3);
    put32(idx_images + 12, 2);
    for (int i = 0; i < 24; i++)
        idx_images[16 + i] = (unsigned char)i;
    put32(idx_labels, 0x801);
    put32(idx_labels + 4, 4);
    memcpy(idx_labels + 8, "\3\1\11", 4);
}

static void write_gz(const char *name, const void *bytes, unsigned len)
{
    gzFile f = gzopen(data_path(name), "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, bytes, len), (int)len);
    assert_int_equal(gzclose(f), Z_OK);
}

static void idx_folder(const char *folder)
{
    char name[128];
    make_idx();
    data_folder(folder);
    snprintf(name, sizeof name, "%s/train-images-idx3-ubyte", folder);
    data_write(name, idx_images, sizeof idx_images);
    snprintf(name, sizeof name, "%s/train-labels-idx1-ubyte", folder);
    data_write(name, idx_labels, sizeof idx_labels);
    put32(idx_images + 4, 1);
    put32(idx_labels + 4, 1);
    snprintf(name, sizeof name, "%s/t10k-images.idx3-ubyte.gz", folder);
    write_gz(name, idx_images, 16 + 6);
    snprintf(name, sizeof name, "%s/t10k-labels-idx1-ubyte.gz", folder);
    write_gz(name, idx_labels, 8 + 1);
    make_idx();
}

static void test_idx(void **state)
{
    (void)state;
    CnndataImage im = {0};
    int32_t label;
    char name[600];
    idx_folder("mnist");
    CnndataSet *set = open_set(data_text("idx", "mnist"), CNNDATA_TRAIN);
    assert_int_equal(cnndata_count(set), 4);
    assert_int_equal(cnndata_classes(set), 10);
    assert_string_equal(cnndata_class_name(set, 9), "9");
    assert_null(cnndata_class_name(set, 10));
    assert_int_equal(cnndata_sample(set, 2, &im, &label, error, sizeof error), CNNDATA_OK);
    assert_int_equal(label, 9);
    assert_true(im.h == 3 && im.w == 2 && im.c == 1);
    for (int i = 0; i < 6; i++)
        assert_int_equal(im.pixels[i], 12 + i);
    cnndata_sample_name(set, 2, name, sizeof name);
    assert_non_null(strstr(name, "mnist/train-images-idx3-ubyte: picture 2"));
    assert_int_equal(cnndata_sample(set, 4, &im, &label, error, sizeof error),
                     CNNDATA_BAD_ARGUMENT);
    assert_int_equal(cnndata_sample(set, -1, &im, &label, error, sizeof error),
                     CNNDATA_BAD_ARGUMENT);
    cnndata_close(set);
    set = open_set(data_text("idx", "mnist"), CNNDATA_VAL); /* compressed, one sample of class 3 */
    assert_int_equal(cnndata_count(set), 1);
    assert_int_equal(cnndata_classes(set), 10);
    assert_int_equal(cnndata_sample(set, 0, &im, &label, error, sizeof error), CNNDATA_OK);
    assert_true(label == 3 && im.pixels[5] == 5);
    cnndata_close(set);
    set = open_set(data_text("idx", "mnist/train-images-idx3-ubyte"), CNNDATA_VAL);
    assert_int_equal(cnndata_count(set), 4);
    cnndata_close(set);
    cnndata_image_free(&im);
}

static void test_idx_classes(void **state)
{
    (void)state;
    idx_folder("Fashion-MNIST");
    CnndataSet *set = open_set(data_text("idx", "Fashion-MNIST"), CNNDATA_TRAIN);
    assert_string_equal(cnndata_class_name(set, 9), "Ankle boot");
    cnndata_close(set);
    /* more classes in one split than in the other */
    idx_folder("letters");
    idx_labels[9] = 25;
    data_write("letters/train-labels-idx1-ubyte", idx_labels, sizeof idx_labels);
    for (int split = 0; split < 2; split++) {
        set = open_set(data_text("idx", "letters"), split == 0 ? CNNDATA_TRAIN : CNNDATA_VAL);
        assert_int_equal(cnndata_classes(set), 26);
        assert_string_equal(cnndata_class_name(set, 25), "25");
        cnndata_close(set);
    }
}

static void test_idx_refusals(void **state)
{
    (void)state;
    const char *images = "bad/train-images-idx3-ubyte";
    idx_folder("bad");
    const char *text = data_text("idx", "bad");
    refused(data_text("idx", "none"), CNNDATA_TRAIN, CNNDATA_NO_FILE, "none: no such file");
    data_write("x-images-idx3-ubyte", idx_images, sizeof idx_images);
    refused(data_text("idx", "x-images-idx3-ubyte"), CNNDATA_TRAIN, CNNDATA_NO_FILE,
            "x-labels-idx1-ubyte: No such");
    data_write("pictures", idx_images, sizeof idx_images);
    refused(data_text("idx", "pictures"), CNNDATA_TRAIN, CNNDATA_BAD_ARGUMENT,
            "not named ...images-idx3-ubyte");
    data_folder("empty");
    refused(data_text("idx", "empty"), CNNDATA_TRAIN, CNNDATA_NO_FILE, "train-images-idx3-ubyte");
    data_write(images, idx_labels, sizeof idx_labels);
    refused(text, CNNDATA_TRAIN, CNNDATA_DAMAGED, "too short");
    put32(idx_images, 0xd03);
    data_write(images, idx_images, sizeof idx_images);
    refused(text, CNNDATA_TRAIN, CNNDATA_DAMAGED, "00000d03 instead of 00000803");
    make_idx();
    static const uint32_t sizes[][3] = {{0, 3, 2},
                                        {4, 0, 2},
                                        {4, 3, 0},
                                        {4, 0xffffffff, 0xffffffff},
                                        {0xffffffff, 0xffffffff, 0xffffffff}};
    for (int i = 0; i < 5; i++) {
        for (int d = 0; d < 3; d++)
            put32(idx_images + 4 + 4 * d, sizes[i][d]);
        data_write(images, idx_images, sizeof idx_images);
        refused(text, CNNDATA_TRAIN, CNNDATA_DAMAGED, "out of range");
    }
    make_idx();
    put32(idx_images + 4, 0xffffffff); /* 25 gigabytes that are not there */
    data_write(images, idx_images, sizeof idx_images);
    refused(text, CNNDATA_TRAIN, CNNDATA_DAMAGED, "truncated");
    make_idx();
    put32(idx_images + 4, 3);
    data_write(images, idx_images, sizeof idx_images);
    refused(text, CNNDATA_TRAIN, CNNDATA_DAMAGED, "longer than its header says");
    data_write(images, idx_images, sizeof idx_images - 6);
    refused(text, CNNDATA_TRAIN, CNNDATA_DAMAGED, "do not belong together");
    make_idx();
    for (size_t n = 0; n < sizeof idx_images; n++) {
        data_write(images, idx_images, n);
        refused(text, CNNDATA_TRAIN, CNNDATA_DAMAGED, "bad/train-images-idx3-ubyte");
    }
}

static void test_idx_gzip(void **state)
{
    (void)state;
    size_t len;
    const char *labels = "gz/t10k-labels-idx1-ubyte.gz";
    idx_folder("gz");
    unsigned char *bytes = data_read(labels, &len);
    for (size_t n = 0; n < len; n++) {
        data_write(labels, bytes, n);
        assert_false(survives(data_text("idx", "gz"), CNNDATA_VAL));
        assert_non_null(strstr(error, "t10k-labels"));
    }
    int accepted = 0;
    for (size_t i = 0; i < len; i++) { /* the header of gzip has bytes that nothing depends on */
        bytes[i] ^= 0x55;
        data_write(labels, bytes, len);
        accepted += survives(data_text("idx", "gz"), CNNDATA_VAL);
        bytes[i] ^= 0x55;
    }
    assert_in_range(accepted, 0, 10);
    free(bytes);
}

/* ---- CIFAR ---- */

static void check_cifar(CnndataSet *set, int i, int expect, int labels, int classes)
{
    unsigned char record[2 + 3072];
    CnndataImage im = {0};
    int32_t label;
    data_cifar_record(record, labels, expect, classes);
    assert_int_equal(cnndata_sample(set, i, &im, &label, error, sizeof error), CNNDATA_OK);
    assert_true(im.h == 32 && im.w == 32 && im.c == 3);
    assert_int_equal(label, record[labels - 1]);
    for (int p = 0; p < 1024; p++)
        for (int c = 0; c < 3; c++)
            assert_int_equal(im.pixels[3 * p + c], record[labels + 1024 * c + p]);
    cnndata_image_free(&im);
}

static void test_cifar(void **state)
{
    (void)state;
    char name[600];
    data_cifar10("c10", 4);
    CnndataSet *set = open_set(data_text("cifar10", "c10"), CNNDATA_TRAIN);
    assert_int_equal(cnndata_count(set), 20);
    assert_int_equal(cnndata_classes(set), 10);
    assert_string_equal(cnndata_class_name(set, 9), "truck");
    for (int i = 0; i < 20; i++)
        check_cifar(set, i, i, 1, 10);
    cnndata_sample_name(set, 9, name, sizeof name);
    assert_non_null(strstr(name, "c10/data_batch_3.bin: record 1"));
    cnndata_close(set);
    data_write("c10/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\njay", 22);
    set = open_set(data_text("cifar10", "c10"), CNNDATA_VAL);
    assert_int_equal(cnndata_count(set), 4);
    check_cifar(set, 3, 1003, 1, 10);
    assert_string_equal(cnndata_class_name(set, 9), "jay");
    cnndata_close(set);
    data_folder("c100");
    data_folder("c100/cifar-100-binary");
    data_cifar("c100/cifar-100-binary/train.bin", 2, 0, 6, 100);
    data_cifar("c100/cifar-100-binary/test.bin", 2, 50, 2, 100);
    set = open_set(data_text("cifar100", "c100"), CNNDATA_TRAIN);
    assert_int_equal(cnndata_classes(set), 100);
    assert_string_equal(cnndata_class_name(set, 99), "worm");
    check_cifar(set, 5, 5, 2, 100);
    cnndata_close(set);
}

static void test_cifar_refusals(void **state)
{
    (void)state;
    data_cifar10("b10", 2);
    const char *text = data_text("cifar10", "b10");
    refused(data_text("cifar10", "none"), CNNDATA_TRAIN, CNNDATA_NO_FILE, "not a folder");
    refused(data_text("cifar100", "b10"), CNNDATA_TRAIN, CNNDATA_NO_FILE, "b10/train.bin");
    size_t len;
    unsigned char *bytes = data_read("b10/data_batch_4.bin", &len);
    for (size_t n = 0; n < len; n += n < 8 ? 1 : 509) {
        data_write("b10/data_batch_4.bin", bytes, n);
        assert_int_equal(survives(text, CNNDATA_TRAIN), n == 3073);
        assert_true(n == 3073 || strstr(error, "data_batch_4.bin") != NULL);
    }
    bytes[3073] = 10;
    data_write("b10/data_batch_4.bin", bytes, len);
    refused(text, CNNDATA_TRAIN, CNNDATA_DAMAGED, "record 1 has the label 10");
    free(bytes);
    unlink(data_path("b10/data_batch_4.bin"));
    refused(text, CNNDATA_TRAIN, CNNDATA_NO_FILE, "data_batch_4.bin");
}

/* ---- Folders of classes ---- */

static void test_folder(void **state)
{
    (void)state;
    CnndataImage im = {0}, want = {0};
    int32_t label;
    char name[600];
    static const char *const folders[] = {"f",           "f/train", "f/train/dog", "f/train/cat",
                                          "f/train/ant", "f/val",   "f/val/dog",   "f/train/.x"};
    for (int i = 0; i < 8; i++)
        data_folder(folders[i]);
    data_write_png("f/train/dog/b.png", 5, 4, 3);
    data_write_png("f/train/dog/a.PNG", 3, 3, 1);
    data_write_png("f/train/cat/z.jpeg", 6, 2, 3); /* by content, not by name */
    data_write_png("f/train/ant/1.jpg", 2, 2, 3);
    data_write("f/train/ant/notes.txt", "x", 1);
    data_write("f/train/ant/.hidden.png", "x", 1);
    data_write_png("f/val/dog/v.png", 4, 4, 3);
    CnndataSet *set = open_set(data_text("folder", "f"), CNNDATA_TRAIN);
    assert_int_equal(cnndata_count(set), 4);
    assert_int_equal(cnndata_classes(set), 3);
    assert_string_equal(cnndata_class_name(set, 0), "ant");
    assert_string_equal(cnndata_class_name(set, 2), "dog");
    static const char *const files[] = {"ant/1.jpg", "cat/z.jpeg", "dog/a.PNG", "dog/b.png"};
    static const int labels[] = {0, 1, 2, 2};
    for (int i = 0; i < 4; i++) {
        cnndata_sample_name(set, i, name, sizeof name);
        assert_non_null(strstr(name, files[i]));
        assert_int_equal(cnndata_sample(set, i, &im, &label, error, sizeof error), CNNDATA_OK);
        assert_int_equal(label, labels[i]);
    }
    data_picture(&want, 5, 4, 3, false);
    assert_true(im.w == 5 && im.h == 4 && im.c == 3);
    assert_memory_equal(im.pixels, want.pixels, 60);
    cnndata_close(set);
    set = open_set(data_text("folder", "f"), CNNDATA_VAL); /* numbers as in train */
    assert_int_equal(cnndata_count(set), 1);
    assert_int_equal(cnndata_classes(set), 3);
    assert_int_equal(cnndata_sample(set, 0, &im, &label, error, sizeof error), CNNDATA_OK);
    assert_int_equal(label, 2);
    cnndata_close(set);
    set = open_set(data_text("folder", "f/train"), CNNDATA_VAL); /* no splits in it: itself */
    assert_int_equal(cnndata_count(set), 4);
    cnndata_close(set);
    cnndata_image_free(&im);
    cnndata_image_free(&want);
}

static void test_folder_refusals(void **state)
{
    (void)state;
    CnndataImage im = {0};
    int32_t label;
    refused(data_text("folder", "none"), CNNDATA_TRAIN, CNNDATA_NO_FILE, "none: No such file");
    data_folder("g");
    refused(data_text("folder", "g"), CNNDATA_TRAIN, CNNDATA_DAMAGED, "has no subfolders");
    data_folder("g/train");
    data_folder("g/train/a");
    refused(data_text("folder", "g"), CNNDATA_TRAIN, CNNDATA_DAMAGED, "g/train/a: no .jpg");
    data_write("g/train/a/x.png", "not a picture", 13);
    refused(data_text("folder", "g"), CNNDATA_VAL, CNNDATA_NO_FILE, "none named val or test");
    data_folder("g/test");
    data_folder("g/test/b");
    refused(data_text("folder", "g"), CNNDATA_VAL, CNNDATA_DAMAGED, "g/test/b: not a class");
    CnndataSet *set = open_set(data_text("folder", "g"), CNNDATA_TRAIN);
    assert_int_equal(cnndata_sample(set, 0, &im, &label, error, sizeof error), CNNDATA_DAMAGED);
    assert_non_null(strstr(error, "g/train/a/x.png: neither a JPEG nor a PNG"));
    assert_int_equal(truncate(data_path("g/train/a/x.png"), 300 * 1000 * 1000), 0);
    assert_int_equal(cnndata_sample(set, 0, &im, &label, error, sizeof error), CNNDATA_DAMAGED);
    assert_non_null(strstr(error, "g/train/a/x.png: larger than 256000000 bytes"));
    unlink(data_path("g/train/a/x.png"));
    assert_int_equal(cnndata_sample(set, 0, &im, &label, error, sizeof error), CNNDATA_NO_FILE);
    assert_non_null(strstr(error, "g/train/a/x.png"));
    assert_int_equal(mkfifo(data_path("g/train/a/x.png"), 0600), 0); /* must not wait */
    assert_int_equal(cnndata_sample(set, 0, &im, &label, error, sizeof error), CNNDATA_NO_FILE);
    assert_non_null(strstr(error, "not a regular file"));
    cnndata_close(set);
    cnndata_image_free(&im);
}

/* ---- Tar shards ---- */

static void tar_add(struct archive *a, const char *name, const void *bytes, size_t len)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_size(e, (la_int64_t)len);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, bytes, len), (la_ssize_t)len);
    archive_entry_free(e);
}

static struct archive *tar_begin(const char *name)
{
    struct archive *a = archive_write_new();
    archive_write_set_format_pax_restricted(a);
    archive_write_set_bytes_in_last_block(a, 512);
    assert_int_equal(archive_write_open_filename(a, data_path(name)), ARCHIVE_OK);
    return a;
}

static void tar_end(struct archive *a)
{
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

static void tar_picture(struct archive *a, const char *name, int w)
{
    static unsigned char bytes[1 << 16];
    CnndataImage im = {0};
    data_picture(&im, w, 3, 3, false);
    tar_add(a, name, bytes, data_png(&im, bytes, sizeof bytes));
    cnndata_image_free(&im);
}

/* Two samples, of 4 and 5 columns; the second has a name too long for the old format. */
static void make_tar(const char *name, const char *first_label)
{
    char longer[300] = "./deep/";
    struct archive *a = tar_begin(name);
    memset(longer + 7, 'n', 240);
    tar_picture(a, "0001.png", 4);
    tar_add(a, "0001.cls", first_label, strlen(first_label));
    tar_add(a, "0001.json", "{}", 2);
    tar_add(a, "README", "x", 1);
    strcpy(longer + 200, ".cls");
    tar_add(a, longer, " 2\n", 3);
    strcpy(longer + 200, ".jpg");
    tar_picture(a, longer, 5);
    tar_end(a);
}

static void test_tar(void **state)
{
    (void)state;
    CnndataImage im = {0}, want = {0};
    int32_t label;
    char name[2000];
    data_folder("t");
    make_tar("t/train-0.tar", "7");
    make_tar("t/train-1.tar", "1");
    make_tar("t/test.tar", "0");
    CnndataSet *set = open_set(data_text("tar", "t"), CNNDATA_TRAIN);
    assert_int_equal(cnndata_count(set), 4);
    assert_int_equal(cnndata_classes(set), 8);
    static const int labels[] = {7, 2, 1, 2};
    for (int i = 3; i >= 0; i--) {
        assert_int_equal(cnndata_sample(set, i, &im, &label, error, sizeof error), CNNDATA_OK);
        assert_int_equal(label, labels[i]);
        data_picture(&want, 4 + i % 2, 3, 3, false);
        assert_true(im.w == 4 + i % 2 && im.h == 3);
        assert_memory_equal(im.pixels, want.pixels, (size_t)(3 * im.w * im.h));
    }
    cnndata_sample_name(set, 2, name, sizeof name);
    assert_non_null(strstr(name, "t/train-1.tar: 0001.png"));
    cnndata_close(set);
    set = open_set(data_text("tar", "t"), CNNDATA_VAL);
    assert_int_equal(cnndata_count(set), 2);
    cnndata_close(set);
    set = open_set(data_text("tar", "t/{train-1,te*}.tar"), CNNDATA_VAL);
    assert_int_equal(cnndata_count(set), 4);
    cnndata_close(set);
    make_tar("t/odd[1]*.tar", "0"); /* the name of a file, whatever it looks like */
    set = open_set(data_text("tar", "t/odd[1]*.tar"), CNNDATA_TRAIN);
    assert_int_equal(cnndata_count(set), 2);
    make_tar("t/odd[1]*.tar", "0");
    assert_int_equal(truncate(data_path("t/odd[1]*.tar"), 2048), 0);
    assert_int_equal(cnndata_sample(set, 0, &im, &label, error, sizeof error), CNNDATA_DAMAGED);
    assert_non_null(strstr(error, "changed"));
    cnndata_close(set);
    cnndata_image_free(&im);
    cnndata_image_free(&want);
}

typedef struct TarFile {
    const char *name, *content; /* NULL: a picture */
} TarFile;

static void test_tar_refusals(void **state)
{
    (void)state;
    static const struct {
        TarFile files[4];
        const char *message;
    } cases[] = {
        {{{"a.png", NULL}}, "'a' has no label"},
        {{{"a.png", NULL}, {"b.cls", "1"}, {"b.png", NULL}}, "'a' has no label"},
        {{{"a.cls", "1"}}, "'a' has no picture"},
        {{{"a.cls", "1"}, {"a.png", NULL}, {"a.jpg", NULL}}, "'a' has two pictures"},
        {{{"a.cls", "1"}, {"a.cls", "1"}}, "'a' has two labels"},
        {{{"a.png", NULL}, {"a.cls", "-1"}}, "a.cls is no label from 0"},
        {{{"a.png", NULL}, {"a.cls", "cat"}}, "a.cls is no label from 0"},
        {{{"a.png", NULL}, {"a.cls", "1 2"}}, "a.cls is no label from 0"},
        {{{"a.png", NULL}, {"a.cls", "1000000"}}, "a.cls is no label from 0"},
        {{{"a.png", NULL}, {"a.cls", ""}}, "a.cls is no label"},
        {{{"a.txt", "x"}}, "no samples in it"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct archive *a = tar_begin("r.tar");
        for (const TarFile *f = cases[i].files; f < cases[i].files + 4 && f->name != NULL; f++) {
            if (f->content == NULL)
                tar_picture(a, f->name, 4);
            else
                tar_add(a, f->name, f->content, strlen(f->content));
        }
        tar_end(a);
        refused(data_text("tar", "r.tar"), CNNDATA_TRAIN, CNNDATA_DAMAGED, cases[i].message);
        assert_non_null(strstr(error, "r.tar"));
    }
    refused(data_text("tar", "none-*.tar"), CNNDATA_TRAIN, CNNDATA_NO_FILE, "no file matches");
    data_folder("no-shards");
    refused(data_text("tar", "no-shards"), CNNDATA_VAL, CNNDATA_NO_FILE, "no val*.tar");
    size_t len;
    make_tar("plain.tar", "1");
    unsigned char *bytes = data_read("plain.tar", &len);
    write_gz("packed.tar.gz", bytes, (unsigned)len);
    refused(data_text("tar", "packed.tar.gz"), CNNDATA_TRAIN, CNNDATA_DAMAGED, "with gunzip");
    free(bytes);
    data_write("text.tar", "This is not an archive at all.", 30);
    refused(data_text("tar", "text.tar"), CNNDATA_TRAIN, CNNDATA_DAMAGED, "not a tar archive");
}

static void test_tar_damage(void **state)
{
    (void)state;
    size_t len;
    make_tar("d.tar", "1");
    unsigned char *bytes = data_read("d.tar", &len);
    const size_t end = len - 1024; /* two blocks of zeros end it */
    for (size_t n = 0; n < end; n += 61) {
        data_write("d.tar", bytes, n);
        refused(data_text("tar", "d.tar"), CNNDATA_TRAIN, CNNDATA_DAMAGED, "d.tar");
    }
    for (uint64_t i = 0; i < 600; i++) { /* three bytes changed */
        unsigned char was[3];
        size_t at[3];
        for (uint64_t k = 0; k < 3; k++) {
            uint64_t r = rng_mix(i, k);
            at[k] = r % len;
            was[k] = bytes[at[k]];
            bytes[at[k]] = (unsigned char)(r >> 40);
        }
        data_write("d.tar", bytes, len);
        survives(data_text("tar", "d.tar"), CNNDATA_TRAIN);
        for (int k = 2; k >= 0; k--)
            bytes[at[k]] = was[k];
    }
    data_write("d.tar", bytes, len);
    assert_true(survives(data_text("tar", "d.tar"), CNNDATA_TRAIN));
    free(bytes);
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "cifar10", "cifar10:", "mnist:x", ":", "idx", "IDX:x"};
    for (int i = 0; i < 7; i++)
        refused(bad[i], CNNDATA_TRAIN, CNNDATA_BAD_ARGUMENT, "write idx:PATH, cifar10:PATH");
    refused(NULL, CNNDATA_TRAIN, CNNDATA_BAD_ARGUMENT, "names no data set");
    refused("idx:x", (CnndataSplit)7, CNNDATA_BAD_ARGUMENT, "no such split");
    char small[8];
    CnndataSet *set = NULL;
    assert_int_equal(cnndata_open(&set, "nothing", CNNDATA_TRAIN, small, sizeof small),
                     CNNDATA_BAD_ARGUMENT);
    assert_int_equal(strlen(small), 7);
    assert_int_equal(cnndata_open(&set, "nothing", CNNDATA_TRAIN, NULL, 0), CNNDATA_BAD_ARGUMENT);
    cnndata_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idx),          cmocka_unit_test(test_idx_classes),
        cmocka_unit_test(test_idx_refusals), cmocka_unit_test(test_idx_gzip),
        cmocka_unit_test(test_cifar),        cmocka_unit_test(test_cifar_refusals),
        cmocka_unit_test(test_folder),       cmocka_unit_test(test_folder_refusals),
        cmocka_unit_test(test_tar),          cmocka_unit_test(test_tar_refusals),
        cmocka_unit_test(test_tar_damage),   cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, data_setup, data_teardown);
}
