/* The readers of data sets. The first byte chooses the kind, the next two how many bytes the first
 * file has; the rest is cut in two files. Promise: what is refused has a message; what is opened
 * gives its samples, or says which is damaged, with labels below the number of classes. */
#include "fuzz.h"

#include "cnndata.h"
#include <string.h>
#include <sys/stat.h>

enum { KINDS = 4, PATH = 96, TRIED = 8 };

static const struct {
    const char *kind, *first, *second; /* second may be NULL */
} forms[KINDS] = {
    {"idx", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"},
    {"cifar10", "test_batch.bin", "batches.meta.txt"},
    {"cifar100", "test.bin", "fine_label_names.txt"},
    {"tar", "val-0.tar", "val-1.tar"},
};
static char root[] = "/dev/shm/cnnc-fuzz-XXXXXX";

static void remove_file(const char *name)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s", root, name);
    unlink(path);
}

static void remove_all(void)
{
    for (int i = 0; i < KINDS; i++) {
        remove_file(forms[i].first);
        remove_file(forms[i].second);
    }
    rmdir(root);
}

static void write_file(const char *name, const uint8_t *data, size_t size)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *f = fopen(path, "wb");
    FUZZ_CHECK(f != NULL);
    FUZZ_CHECK(fwrite(data, 1, size, f) == size && fclose(f) == 0);
}

static void read_samples(CnndataSet *set)
{
    static CnndataImage image;
    char error[CNNDATA_ERROR_MAX], name[CNNDATA_ERROR_MAX];
    int64_t count = cnndata_count(set), classes = cnndata_classes(set);
    FUZZ_CHECK(count > 0 && classes > 0);
    for (int64_t i = 0; i < count && i < TRIED; i++) {
        int32_t label = -1;
        error[0] = '\0';
        cnndata_sample_name(set, i, name, sizeof name);
        FUZZ_CHECK(name[0] != '\0');
        if (cnndata_sample(set, i, &image, &label, error, sizeof error) != CNNDATA_OK) {
            FUZZ_CHECK(error[0] != '\0');
            continue;
        }
        FUZZ_CHECK(label >= 0 && label < classes && cnndata_class_name(set, label) != NULL);
        FUZZ_CHECK(image.h > 0 && image.w > 0 && (image.c == 1 || image.c == 3));
        FUZZ_CHECK((uint64_t)image.h * (uint64_t)image.w * (uint64_t)image.c <= image.capacity);
    }
    FUZZ_CHECK(cnndata_class_name(set, classes) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int made;
    char text[PATH], error[CNNDATA_ERROR_MAX] = "";
    CnndataSet *set;
    if (!made) {
        FUZZ_CHECK(mkdtemp(root) != NULL && atexit(remove_all) == 0);
        made = 1;
    }
    if (size < 3)
        return 0;
    int kind = data[0] % KINDS;
    size_t first = (size_t)(data[1] << 8 | data[2]);
    data += 3;
    size -= 3;
    if (first > size)
        first = size;
    for (int i = 0; i < KINDS; i++) { /* the shards of an earlier input */
        remove_file(forms[i].first);
        remove_file(forms[i].second);
    }
    write_file(forms[kind].first, data, first);
    if (size > first || kind == 0)
        write_file(forms[kind].second, data + first, size - first);
    snprintf(text, sizeof text, "%s:%s", forms[kind].kind, root);
    if (cnndata_open(&set, text, CNNDATA_VAL, error, sizeof error) != CNNDATA_OK) {
        FUZZ_CHECK(set == NULL && error[0] != '\0');
        return 0;
    }
    read_samples(set);
    cnndata_close(set);
    return 0;
}
