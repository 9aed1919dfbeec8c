/* Safetensors files as weights, over the parser of runtime/cnnrt; and their writing. */
#include "import/weights.h"
#include "support/buf.h"
#include <inttypes.h>
#include <safetensors.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof((WeightTensor){0}.dims) == sizeof((CnnrtStTensor){0}.dims),
               "dimension counts differ");

static bool take_tensor(Weights *w, Arena *a, const CnnrtStTensor *from, const unsigned char *data)
{
    const unsigned char *at = data + from->begin;
    if (from->kind == CNNRT_ST_INTEGER)
        return true;
    if (from->kind == CNNRT_ST_F32 && (uintptr_t)at % _Alignof(float) == 0) {
        WeightTensor t = {.name = from->name,
                          .ndim = from->ndim,
                          .data = (const float *)(const void *)at,
                          .count = from->count};
        memcpy(t.dims, from->dims, sizeof t.dims);
        vec_push(a, &w->all, t);
        return true;
    }
    float *out = weights_add(w, a, from->name, from->dims, from->ndim);
    if (out != NULL)
        cnnrt_st_convert(out, at, from->kind, from->count);
    return out != NULL;
}

/* The header is checked first and read then: of a file that someone writes meanwhile it has to be
 * a copy, or what is read is not what was checked. */
static bool parse_copy(CnnrtSt *out, const unsigned char *header, size_t n, uint64_t data_len,
                       char *message)
{
    char *copy = malloc(n > 0 ? n : 1);
    if (copy == NULL) {
        snprintf(message, CNNRT_ST_MESSAGE, "out of memory");
        return false;
    }
    memcpy(copy, header, n);
    bool good = cnnrt_st_parse(out, copy, n, data_len, message);
    free(copy);
    return good;
}

static bool read_all(Weights *w, Arena *a, const unsigned char *bytes, size_t len, char *message)
{
    size_t head;
    if (!cnnrt_st_prefix(bytes, len, len, &head, message))
        return false;
    const unsigned char *data = bytes + CNNRT_ST_PREFIX + head;
    size_t data_len = len - CNNRT_ST_PREFIX - head;
    /* it belongs to *w before the arena may jump away */
    w->file = calloc(1, sizeof *w->file);
    if (w->file == NULL) {
        snprintf(message, CNNRT_ST_MESSAGE, "out of memory");
        return false;
    }
    if (!parse_copy(w->file, bytes + CNNRT_ST_PREFIX, head, data_len, message))
        return false;
    for (size_t i = 0; i < w->file->count; i++)
        if (!take_tensor(w, a, &w->file->tensors[i], data)) {
            char name[CNNRT_ST_SHOWN];
            snprintf(message, CNNRT_ST_MESSAGE, "out of memory for tensor %s",
                     cnnrt_st_shown(name, w->file->tensors[i].name));
            return false;
        }
    weights_sort(w);
    return true;
}

bool weights_parse_safetensors(Weights *w, Arena *a, const unsigned char *bytes, size_t len,
                               const char **err)
{
    char message[CNNRT_ST_MESSAGE];
    *w = (Weights){.arena = a};
    if (read_all(w, a, bytes, len, message))
        return true;
    weights_free(w);
    *err = arena_strdup(a, message);
    return false;
}

bool weights_read_safetensors(Weights *w, Arena *a, const char *path, const char **err)
{
    *w = (Weights){0};
    FsMap map = fs_map(path, err);
    if (map.data == NULL) {
        *err = arena_strdup(a, *err);
        return false;
    }
    if (!weights_parse_safetensors(w, a, map.data, map.len, err)) {
        fs_unmap(&map);
        return false;
    }
    w->map = map;
    return true;
}

static const char *write_header(const Weights *w, Buf *b)
{
    uint64_t at = 0;
    buf_add(b, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (uint32_t i = 0; i < w->all.len; i++) {
        const WeightTensor *t = &w->all.at[i];
        if (i > 0 && strcmp(w->all.at[i - 1].name, t->name) >= 0)
            return "the tensors are not sorted, or two have the same name";
        buf_addc(b, ',');
        buf_json_string(b, t->name);
        buf_add(b, ":{\"dtype\":\"F32\",\"shape\":[");
        for (int d = 0; d < t->ndim; d++)
            buf_printf(b, "%s%" PRId64, d > 0 ? "," : "", t->dims[d]);
        uint64_t end = at + (uint64_t)t->count * sizeof(float);
        buf_printf(b, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, end);
        at = end;
    }
    buf_addc(b, '}');
    /* the data begins at a multiple of 8, so that readers may map it */
    while (b->len % 8 != 0 && buf_ok(b))
        buf_addc(b, ' ');
    if (!buf_ok(b))
        return "out of memory";
    return b->len > CNNRT_ST_MAX_HEADER ? "the names make a header of more than 100 MB" : NULL;
}

static bool put(FILE *f, const void *p, size_t n)
{
    return n == 0 || fwrite(p, 1, n, f) == n;
}

bool weights_write_safetensors(const Weights *w, const char *path, const char **err)
{
    Buf head = {0};
    FsOut o;
    unsigned char size[8];
    const char *wrong = write_header(w, &head);
    if (wrong != NULL || !fs_open_out(&o, path, err)) {
        if (wrong != NULL)
            *err = wrong;
        buf_free(&head);
        return false;
    }
    for (int i = 0; i < 8; i++)
        size[i] = (unsigned char)(head.len >> (8 * i));
    bool ok = put(o.f, size, sizeof size) && put(o.f, head.at, head.len);
    for (uint32_t i = 0; ok && i < w->all.len; i++) {
        const WeightTensor *t = &w->all.at[i];
        const float *data = weights_take(t);
        ok = data != NULL && put(o.f, data, (size_t)t->count * sizeof(float));
        weights_give_back(t, data);
    }
    buf_free(&head);
    if (ok)
        return fs_commit(&o, err);
    *err = fs_error();
    fs_abandon(&o);
    return false;
}
