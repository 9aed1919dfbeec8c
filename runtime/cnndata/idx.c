/* The IDX format of MNIST and its kin (http://yann.lecun.com/exdb/mnist): big-endian sizes, then
 * bytes; plain or compressed with gzip. Everything is read into memory. */
#include "set.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { MAGIC_LABELS = 0x801, MAGIC_IMAGES = 0x803, CLASSES_AT_LEAST = 10 };

typedef struct IdxArray {
    uint8_t *data;
    int64_t dims[3];
} IdxArray;

typedef struct Idx {
    char *images_path, *labels_path;
    IdxArray images, labels;
} Idx;

static const char *const fashion[] = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                      "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

static int64_t big_endian(const unsigned char *p)
{
    return (int64_t)p[0] << 24 | (int64_t)p[1] << 16 | (int64_t)p[2] << 8 | (int64_t)p[3];
}

/* `want` bytes into malloc'ed memory that grows with what is there, not with what the header says;
 * false when the file ends before or is damaged, *memory when that was the reason. */
static bool read_growing(gzFile f, int64_t want, uint8_t **out, bool *memory)
{
    int64_t have = 0, capacity = 0;
    *memory = false;
    while (have < want) {
        if (have == capacity) {
            capacity = capacity > want / 2 ? want : capacity * 2 + (1 << 20);
            capacity = capacity > want ? want : capacity;
            uint8_t *more = realloc(*out, (size_t)capacity);
            if (more == NULL) {
                *memory = true;
                return false;
            }
            *out = more;
        }
        int64_t room = capacity - have;
        int n = gzread(f, *out + have, (unsigned)(room > 1 << 30 ? 1 << 30 : room));
        if (n <= 0)
            return false;
        have += n;
    }
    return true;
}

static bool ran_out(gzFile f)
{
    int code = Z_OK;
    gzerror(f, &code);
    return code == Z_MEM_ERROR;
}

static int read_header(gzFile f, const char *path, int magic, IdxArray *a, int64_t *bytes,
                       CnndataError e)
{
    const int ndim = magic & 0xff;
    unsigned char head[16];
    if (gzread(f, head, (unsigned)(4 + 4 * ndim)) != 4 + 4 * ndim)
        return ran_out(f) ? cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path)
                          : cnndata_fail(e, CNNDATA_DAMAGED,
                                         "%s: too short for an IDX file, or damaged gzip", path);
    if (big_endian(head) != magic)
        return cnndata_fail(
            e, CNNDATA_DAMAGED,
            "%s: not an IDX file of %s (its first bytes are %08" PRIx64 " instead of %08x)", path,
            ndim == 1 ? "labels" : "grey pictures", big_endian(head), (unsigned)magic);
    *bytes = 1;
    for (int i = 0; i < 3; i++) {
        a->dims[i] = i < ndim ? big_endian(head + 4 + 4 * i) : 1;
        if (a->dims[i] < 1 || __builtin_mul_overflow(*bytes, a->dims[i], bytes) ||
            (i == 2 && a->dims[1] * a->dims[2] > CNNDATA_PIXELS_MAX) || *bytes > PTRDIFF_MAX / 2)
            return cnndata_fail(e, CNNDATA_DAMAGED, "%s: the sizes in its header are out of range",
                                path);
    }
    return CNNDATA_OK;
}

static int read_array(gzFile f, const char *path, int magic, IdxArray *a, CnndataError e)
{
    int64_t bytes = 0;
    bool memory;
    char one;
    int status = read_header(f, path, magic, a, &bytes, e);
    if (status != CNNDATA_OK)
        return status;
    if (!read_growing(f, bytes, &a->data, &memory))
        return memory || ran_out(f)
                   ? cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path)
                   : cnndata_fail(e, CNNDATA_DAMAGED,
                                  "%s: truncated or damaged: its header announces %" PRId64
                                  " bytes; get the file again",
                                  path, bytes);
    int more = gzread(f, &one, 1);
    if (more != 0)
        return cnndata_fail(e, CNNDATA_DAMAGED,
                            more > 0 ? "%s: longer than its header says; get the file again"
                                     : "%s: damaged gzip; get the file again",
                            path);
    return CNNDATA_OK;
}

static int read_idx(const char *path, int magic, IdxArray *a, CnndataError e)
{
    int64_t size;
    int status = CNNDATA_OK, fd = cnndata_open_file(path, &size, &status, e);
    if (fd < 0)
        return status;
    gzFile f = gzdopen(fd, "rb");
    if (f == NULL) {
        close(fd);
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
    }
    status = read_array(f, path, magic, a, e);
    if (gzclose(f) != Z_OK && status == CNNDATA_OK)
        status = cnndata_fail(e, CNNDATA_DAMAGED, "%s: truncated gzip; get the file again", path);
    return status;
}

/* The file of a folder under the names it is distributed with; NULL with CNNDATA_NO_FILE, or when
 * out of memory. */
static char *find_in_folder(const char *folder, const char *stem, const char *what, int ndim,
                            int *status)
{
    *status = CNNDATA_OK;
    for (int form = 0; form < 4; form++) {
        char *path = cnndata_text("%s/%s-%s%cidx%d-ubyte%s", folder, stem, what,
                                  form & 1 ? '.' : '-', ndim, form & 2 ? ".gz" : "");
        if (path == NULL)
            *status = CNNDATA_NO_MEMORY;
        if (path == NULL || cnndata_is_file(path))
            return path;
        free(path);
    }
    *status = CNNDATA_NO_FILE;
    return NULL;
}

/* "x/emnist-train-images-idx3-ubyte.gz" to "x/emnist-train-labels-idx1-ubyte.gz", in place; false
 * when it is not named so. */
static bool labels_of(char *path)
{
    char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash;
    char *what = strstr(name, "images"), *dims = strstr(name, "idx3");
    if (what == NULL || dims == NULL)
        return false;
    memcpy(what, "labels", 6);
    dims[3] = '1';
    return true;
}

static int no_memory(const char *path, CnndataError e)
{
    return cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
}

static int find_both(Idx *x, const char *folder, CnndataSplit split, CnndataError e)
{
    const char *stem = split == CNNDATA_TRAIN ? "train" : "t10k", *lacks = "images-idx3";
    int status;
    x->images_path = find_in_folder(folder, stem, "images", 3, &status);
    if (x->images_path != NULL) {
        lacks = "labels-idx1";
        x->labels_path = find_in_folder(folder, stem, "labels", 1, &status);
    }
    if (status == CNNDATA_NO_MEMORY)
        return no_memory(folder, e);
    if (status == CNNDATA_NO_FILE)
        cnndata_fail(e, status,
                     "%s: no %s-%s-ubyte (or .gz) in this folder; give the folder with the four "
                     "IDX files, or one file of pictures",
                     folder, stem, lacks);
    return status;
}

static int find_files(Idx *x, const char *path, CnndataSplit split, CnndataError e)
{
    if (cnndata_is_folder(path))
        return find_both(x, path, split, e);
    if (!cnndata_is_file(path))
        return cnndata_fail(e, CNNDATA_NO_FILE,
                            "%s: no such file or folder; give the folder with the four IDX files, "
                            "or one file of pictures",
                            path);
    x->images_path = strdup(path);
    x->labels_path = strdup(path);
    if (x->images_path == NULL || x->labels_path == NULL)
        return no_memory(path, e);
    if (!labels_of(x->labels_path))
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT,
                            "%s: not named ...images-idx3-ubyte, which tells the file of the "
                            "labels (...labels-idx1-ubyte)",
                            path);
    return CNNDATA_OK;
}

static void count_classes(CnndataSet *set, const IdxArray *labels)
{
    for (int64_t i = 0; i < labels->dims[0]; i++)
        if (labels->data[i] >= set->classes)
            set->classes = labels->data[i] + 1;
}

/* The other split may have classes that this one lacks: both must agree on their number. */
static int other_classes(CnndataSet *set, const char *path, CnndataSplit split, CnndataError e)
{
    IdxArray labels = {0};
    int status = CNNDATA_OK;
    if (!cnndata_is_folder(path))
        return status;
    char *other =
        find_in_folder(path, split == CNNDATA_TRAIN ? "t10k" : "train", "labels", 1, &status);
    if (status == CNNDATA_NO_MEMORY)
        return no_memory(path, e);
    status = CNNDATA_OK;
    if (other != NULL)
        status = read_idx(other, MAGIC_LABELS, &labels, e);
    if (other != NULL && status == CNNDATA_OK)
        count_classes(set, &labels);
    free(labels.data);
    free(other);
    return status;
}

static int idx_open(CnndataSet *set, const char *path, CnndataSplit split, CnndataError e)
{
    Idx *x = set->own = calloc(1, sizeof *x);
    if (x == NULL)
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
    int status = find_files(x, path, split, e);
    if (status == CNNDATA_OK)
        status = read_idx(x->images_path, MAGIC_IMAGES, &x->images, e);
    if (status == CNNDATA_OK)
        status = read_idx(x->labels_path, MAGIC_LABELS, &x->labels, e);
    if (status != CNNDATA_OK)
        return status;
    if (x->images.dims[0] != x->labels.dims[0])
        return cnndata_fail(e, CNNDATA_DAMAGED,
                            "%s has %" PRId64 " pictures, %s %" PRId64
                            " labels: they do not belong together",
                            x->images_path, x->images.dims[0], x->labels_path, x->labels.dims[0]);
    set->count = x->images.dims[0];
    set->classes = CLASSES_AT_LEAST;
    count_classes(set, &x->labels);
    status = other_classes(set, path, split, e);
    const bool of_fashion = x->images_path != NULL && strcasestr(x->images_path, "fashion") != NULL;
    if (status == CNNDATA_OK && set->classes == 10 && of_fashion &&
        !cnndata_name_classes(set, fashion, 10))
        status = cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
    return status;
}

static int idx_sample(const CnndataSet *set, int64_t i, CnndataScratch *bytes, CnndataImage *out,
                      int32_t *label, CnndataError e)
{
    const Idx *x = set->own;
    const int64_t n = x->images.dims[1] * x->images.dims[2];
    (void)bytes;
    if (!cnndata_image_reserve(out, x->images.dims[1], x->images.dims[2], 1))
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", x->images_path);
    memcpy(out->pixels, x->images.data + i * n, (size_t)n);
    *label = x->labels.data[i];
    return CNNDATA_OK;
}

static void idx_name_of(const CnndataSet *set, int64_t i, char *out, size_t len)
{
    snprintf(out, len, "%s: picture %" PRId64, ((const Idx *)set->own)->images_path, i);
}

static void idx_close(CnndataSet *set)
{
    Idx *x = set->own;
    free(x->images_path);
    free(x->labels_path);
    free(x->images.data);
    free(x->labels.data);
    free(x);
}

const CnndataKind cnndata_idx = {"idx", idx_open, idx_sample, idx_name_of, idx_close};
