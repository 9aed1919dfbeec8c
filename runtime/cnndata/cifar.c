/* The binary versions of CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html):
 * records of one or two label bytes and 32x32 pixels, colour by colour. Read into memory. */
#include "set.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, FILES_MAX = 5 };

typedef struct CifarForm {
    const char *train[FILES_MAX], *val, *names, *folder;
    int64_t labels; /* bytes before the pixels; the last one counts */
    int64_t classes;
    const char *const *usual; /* names when there is no file of them */
} CifarForm;

typedef struct Cifar {
    const CifarForm *form;
    char *folder;
    int files;
    const char *name[FILES_MAX];
    uint8_t *records[FILES_MAX];
    int64_t count[FILES_MAX];
} Cifar;

static const char *const names10[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                      "dog",      "frog",       "horse", "ship", "truck"};
static const char *const names100[] = {
    "apple",       "aquarium_fish", "baby",      "bear",       "beaver",       "bed",
    "bee",         "beetle",        "bicycle",   "bottle",     "bowl",         "boy",
    "bridge",      "bus",           "butterfly", "camel",      "can",          "castle",
    "caterpillar", "cattle",        "chair",     "chimpanzee", "clock",        "cloud",
    "cockroach",   "couch",         "crab",      "crocodile",  "cup",          "dinosaur",
    "dolphin",     "elephant",      "flatfish",  "forest",     "fox",          "girl",
    "hamster",     "house",         "kangaroo",  "keyboard",   "lamp",         "lawn_mower",
    "leopard",     "lion",          "lizard",    "lobster",    "man",          "maple_tree",
    "motorcycle",  "mountain",      "mouse",     "mushroom",   "oak_tree",     "orange",
    "orchid",      "otter",         "palm_tree", "pear",       "pickup_truck", "pine_tree",
    "plain",       "plate",         "poppy",     "porcupine",  "possum",       "rabbit",
    "raccoon",     "ray",           "road",      "rocket",     "rose",         "sea",
    "seal",        "shark",         "shrew",     "skunk",      "skyscraper",   "snail",
    "snake",       "spider",        "squirrel",  "streetcar",  "sunflower",    "sweet_pepper",
    "table",       "tank",          "telephone", "television", "tiger",        "tractor",
    "train",       "trout",         "tulip",     "turtle",     "wardrobe",     "whale",
    "willow_tree", "wolf",          "woman",     "worm"};

static const CifarForm form10 = {
    .train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
              "data_batch_5.bin"},
    .val = "test_batch.bin",
    .names = "batches.meta.txt",
    .folder = "cifar-10-batches-bin",
    .labels = 1,
    .classes = 10,
    .usual = names10,
};
static const CifarForm form100 = {
    .train = {"train.bin"},
    .val = "test.bin",
    .names = "fine_label_names.txt",
    .folder = "cifar-100-binary",
    .labels = 2,
    .classes = 100,
    .usual = names100,
};
_Static_assert(sizeof names100 / sizeof names100[0] == 100, "100 names");

static int64_t record_bytes(const Cifar *x)
{
    return x->form->labels + 3 * PLANE;
}

static int read_records(CnndataSet *set, Cifar *x, const char *name, CnndataError e)
{
    const int64_t record = record_bytes(x);
    const int f = x->files;
    CnndataScratch bytes = {0};
    size_t len = 0;
    char *path = cnndata_text("%s/%s", x->folder, name);
    if (path == NULL)
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", name);
    int status = cnndata_read_file(path, INT64_C(1) << 32, &bytes, &len, e);
    x->records[f] = bytes.at;
    x->name[f] = name;
    x->files++;
    if (status == CNNDATA_OK && (len == 0 || (int64_t)len % record != 0))
        status = cnndata_fail(e, CNNDATA_DAMAGED,
                              "%s: %zu bytes are no multiple of the %" PRId64
                              " of a record: truncated, or not the binary version; get it again",
                              path, len, record);
    x->count[f] = status == CNNDATA_OK ? (int64_t)len / record : 0;
    for (int64_t i = 0; i < x->count[f] && status == CNNDATA_OK; i++) {
        int label = x->records[f][i * record + x->form->labels - 1];
        if (label >= x->form->classes)
            status = cnndata_fail(e, CNNDATA_DAMAGED,
                                  "%s: record %" PRId64 " has the label %d of %" PRId64
                                  " classes: damaged, or another data set",
                                  path, i, label, x->form->classes);
    }
    set->count += x->count[f];
    free(path);
    return status;
}

/* The file of names, one a line; the known ones when it is not there or not of so many names. */
static bool read_names(CnndataSet *set, const Cifar *x)
{
    const int64_t classes = x->form->classes;
    CnndataScratch bytes = {0};
    const char *names[100];
    int64_t n = 0;
    size_t len = 0;
    char *path = cnndata_text("%s/%s", x->folder, x->form->names), *state = NULL;
    if (path == NULL)
        return false;
    if (cnndata_read_file(path, 1 << 16, &bytes, &len, (CnndataError){0}) == CNNDATA_OK)
        for (char *w = strtok_r(bytes.at, "\r\n", &state); w != NULL;
             w = strtok_r(NULL, "\r\n", &state), n++)
            if (n < classes)
                names[n] = w;
    bool ok = cnndata_name_classes(set, n == classes ? names : x->form->usual, classes);
    cnndata_scratch_free(&bytes);
    free(path);
    return ok;
}

static char *find_folder(const char *path, const CifarForm *form)
{
    char *probe = cnndata_text("%s/%s", path, form->val);
    char *inner = cnndata_text("%s/%s", path, form->folder);
    bool here = probe != NULL && cnndata_is_file(probe);
    free(probe);
    if (!here && inner != NULL && cnndata_is_folder(inner))
        return inner;
    free(inner);
    return strdup(path);
}

static int cifar_open(CnndataSet *set, const char *path, CnndataSplit split, const CifarForm *form,
                      CnndataError e)
{
    Cifar *x = set->own = calloc(1, sizeof *x);
    if (x == NULL || (x->folder = find_folder(path, form)) == NULL)
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
    x->form = form;
    if (!cnndata_is_folder(x->folder))
        return cnndata_fail(e, CNNDATA_NO_FILE,
                            "%s: not a folder; give the one with %s, unpacked from the binary "
                            "version of the data set",
                            path, form->val);
    int status = CNNDATA_OK;
    if (split == CNNDATA_VAL)
        status = read_records(set, x, form->val, e);
    for (int f = 0; split == CNNDATA_TRAIN && f < FILES_MAX && form->train[f] != NULL; f++)
        if (status == CNNDATA_OK)
            status = read_records(set, x, form->train[f], e);
    if (status != CNNDATA_OK)
        return status;
    set->classes = form->classes;
    return read_names(set, x) ? CNNDATA_OK
                              : cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
}

static int cifar10_open(CnndataSet *set, const char *path, CnndataSplit split, CnndataError e)
{
    return cifar_open(set, path, split, &form10, e);
}

static int cifar100_open(CnndataSet *set, const char *path, CnndataSplit split, CnndataError e)
{
    return cifar_open(set, path, split, &form100, e);
}

static int find_record(const Cifar *x, int64_t *i)
{
    int f = 0;
    for (; f < x->files - 1 && *i >= x->count[f]; f++)
        *i -= x->count[f];
    return f;
}

static int cifar_sample(const CnndataSet *set, int64_t i, CnndataScratch *bytes, CnndataImage *out,
                        int32_t *label, CnndataError e)
{
    const Cifar *x = set->own;
    int f = find_record(x, &i);
    const uint8_t *at = x->records[f] + i * record_bytes(x) + x->form->labels;
    (void)bytes;
    if (!cnndata_image_reserve(out, SIDE, SIDE, 3))
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "%s/%s: out of memory", x->folder, x->name[f]);
    for (int p = 0; p < PLANE; p++)
        for (int c = 0; c < 3; c++)
            out->pixels[3 * p + c] = at[c * PLANE + p];
    *label = at[-1];
    return CNNDATA_OK;
}

static void cifar_name_of(const CnndataSet *set, int64_t i, char *out, size_t len)
{
    const Cifar *x = set->own;
    int f = find_record(x, &i);
    snprintf(out, len, "%s/%s: record %" PRId64, x->folder, x->name[f], i);
}

static void cifar_close(CnndataSet *set)
{
    Cifar *x = set->own;
    for (int f = 0; f < x->files; f++)
        free(x->records[f]);
    free(x->folder);
    free(x);
}

const CnndataKind cnndata_cifar10 = {"cifar10", cifar10_open, cifar_sample, cifar_name_of,
                                     cifar_close};
const CnndataKind cnndata_cifar100 = {"cifar100", cifar100_open, cifar_sample, cifar_name_of,
                                      cifar_close};
