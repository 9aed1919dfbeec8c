#include "import/npy.h"
#include "support/fs.h"
#include <errno.h>
#include <npy.h> /* the one of the run-time library: quotes would find our own */
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof((NdArray){0}.dims) == sizeof((NpyHeader){0}.dims), "dimension counts differ");

bool npy_read(NdArray *out, const char *path, Arena *a, const char **err)
{
    NpyHeader h;
    size_t bytes;
    *out = (NdArray){0};
    FsMap map = fs_map(path, err);
    if (map.data == NULL) {
        *err = arena_strdup(a, *err);
        return false;
    }
    const char *wrong = cnnrt_npy_parse(map.data, map.len, &h);
    if (wrong == NULL && __builtin_mul_overflow((uint64_t)h.count, sizeof(float), &bytes))
        wrong = "the dimensions are too large";
    if (wrong == NULL && (out->data = malloc(bytes > 0 ? bytes : 1)) == NULL)
        wrong = "out of memory";
    if (wrong != NULL) {
        fs_unmap(&map);
        *err = wrong;
        return false;
    }
    if (h.type == NPY_F4 && bytes > 0)
        memcpy(out->data, map.data + h.data, bytes);
    else
        for (int64_t i = 0; i < h.count; i++)
            out->data[i] = cnnrt_npy_element(map.data, &h, i);
    memcpy(out->dims, h.dims, sizeof out->dims);
    out->ndim = h.ndim;
    out->count = h.count;
    fs_unmap(&map);
    return true;
}

static bool dims_count(const int64_t *dims, int ndim, size_t *count)
{
    size_t bytes;
    *count = 1;
    for (int i = 0; i < ndim; i++)
        if (dims[i] < 0 || __builtin_mul_overflow(*count, (uint64_t)dims[i], count))
            return false;
    return !__builtin_mul_overflow(*count, sizeof(float), &bytes);
}

bool npy_write(const char *path, const float *data, const int64_t *dims, int ndim, const char **err)
{
    char head[256];
    FsOut o;
    size_t count, n = cnnrt_npy_format_header(head, sizeof head, dims, ndim);
    if (n == 0 || !dims_count(dims, ndim, &count)) {
        *err = "the dimensions are no NumPy shape of at most 8";
        return false;
    }
    if (!fs_open_out(&o, path, err))
        return false;
    if (fwrite(head, 1, n, o.f) != n || fwrite(data, sizeof *data, count, o.f) != count) {
        static _Thread_local char message[128];
        snprintf(message, sizeof message, "%s", strerror(errno));
        *err = message;
        fs_abandon(&o);
        return false;
    }
    return fs_commit(&o, err);
}
