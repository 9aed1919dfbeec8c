/* The safetensors format: 8 bytes of header length, a JSON header, the bytes of the tensors. */
#include "import/weights.h"
#include "support/buf.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIMS_MAX = sizeof((WeightTensor){0}.dims) / sizeof(int64_t),
    HEADER_MAX = 100 * 1000 * 1000,
    /* brackets and commas of a header: bounds the memory its JSON tree takes */
    MARKS_MAX = 4 * 1000 * 1000,
    DEPTH_MAX = 3,
};

typedef enum StKind { ST_INTEGER, ST_F32, ST_F16, ST_BF16, ST_F64 } StKind;

static const struct StType {
    const char *name;
    StKind kind;
    unsigned size;
} types[] = {
    {"F32", ST_F32, 4},      {"F16", ST_F16, 2},     {"BF16", ST_BF16, 2},   {"F64", ST_F64, 8},
    {"I64", ST_INTEGER, 8},  {"I32", ST_INTEGER, 4}, {"I16", ST_INTEGER, 2}, {"I8", ST_INTEGER, 1},
    {"U64", ST_INTEGER, 8},  {"U32", ST_INTEGER, 4}, {"U16", ST_INTEGER, 2}, {"U8", ST_INTEGER, 1},
    {"BOOL", ST_INTEGER, 1},
};

typedef struct Entry {
    WeightTensor t;
    const struct StType *type;
    uint64_t begin, end;
} Entry;

typedef struct Reader {
    Weights *w;
    Arena *a;
    const unsigned char *data; /* of the tensors */
    size_t len;
    Entry *entries;
    size_t count;
    const char *err;
} Reader;

/* A name from a file as it may be shown: of bounded length and without control characters. */
static const char *shown(Arena *a, const char *name)
{
    size_t n = strnlen(name, 81);
    bool cut = n > 80;
    for (n = cut ? 80 : n; cut && n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80;)
        n--;
    char *s = arena_printf(a, "'%.*s'%s", (int)n, name, cut ? "..." : "");
    for (char *p = s; *p != '\0'; p++)
        if ((unsigned char)*p < 32 || *p == 127)
            *p = '?';
    return s;
}

#define FAIL(r, ...) ((r)->err = arena_printf((r)->a, __VA_ARGS__), false)

/* Before a tree is built from the header: is it flat and of a size to be expected? */
static bool header_modest(Reader *r, const char *at, size_t n)
{
    size_t marks = 0, depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        char c = at[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        if (quoted)
            continue;
        if ((c == '{' || c == '[') && ++depth > DEPTH_MAX)
            return FAIL(r, "the header is nested too deeply (byte %zu)", i + 8);
        if ((c == '}' || c == ']') && depth > 0)
            depth--;
        if ((c == '{' || c == '[' || c == ',') && ++marks > MARKS_MAX)
            return FAIL(r, "the header has more than %d values", (int)MARKS_MAX);
    }
    return true;
}

static bool read_shape(Reader *r, Entry *e, const json_t *shape, const char *name)
{
    size_t n = json_array_size(shape);
    e->t.count = 1;
    if (!json_is_array(shape))
        return FAIL(r, "tensor %s: 'shape' is no list", name);
    if (n > DIMS_MAX)
        return FAIL(r, "tensor %s: %zu dimensions, at most %d are read", name, n, DIMS_MAX);
    e->t.ndim = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(shape, i);
        int64_t d = json_is_integer(v) ? json_integer_value(v) : -1;
        if (d < 0)
            return FAIL(r, "tensor %s: dimension %zu is no whole number", name, i + 1);
        e->t.dims[i] = d;
        if (__builtin_mul_overflow(e->t.count, d, &e->t.count))
            return FAIL(r, "tensor %s: the product of its dimensions is too large", name);
    }
    return true;
}

static bool read_offsets(Reader *r, Entry *e, const json_t *offsets, const char *name)
{
    const json_t *b = json_array_get(offsets, 0), *f = json_array_get(offsets, 1);
    int64_t size;
    if (json_array_size(offsets) != 2 || !json_is_integer(b) || !json_is_integer(f) ||
        json_integer_value(b) < 0 || json_integer_value(f) < json_integer_value(b))
        return FAIL(r, "tensor %s: 'data_offsets' is not [begin, end]", name);
    e->begin = (uint64_t)json_integer_value(b);
    e->end = (uint64_t)json_integer_value(f);
    if (e->end > r->len)
        return FAIL(r,
                    "tensor %s ends at byte %" PRIu64 " of the data, but the file has only %zu: "
                    "it is truncated or its header is wrong",
                    name, e->end, r->len);
    if (__builtin_mul_overflow(e->t.count, (int64_t)e->type->size, &size))
        return FAIL(r, "tensor %s: the product of its dimensions is too large", name);
    if ((uint64_t)size != e->end - e->begin)
        return FAIL(r,
                    "tensor %s: its shape takes %" PRId64 " bytes of %s, its offsets span %" PRIu64,
                    name, size, e->type->name, e->end - e->begin);
    return true;
}

static bool read_entry(Reader *r, const char *key, const json_t *v)
{
    Entry *e = &r->entries[r->count];
    const char *name = shown(r->a, key);
    const json_t *type = json_object_get(v, "dtype"), *shape = json_object_get(v, "shape");
    const json_t *offsets = json_object_get(v, "data_offsets");
    if (!json_is_object(v))
        return FAIL(r, "tensor %s: its description is no object", name);
    if (!json_is_string(type) || shape == NULL || offsets == NULL)
        return FAIL(r, "tensor %s: 'dtype', 'shape' or 'data_offsets' is missing", name);
    if (json_object_size(v) != 3)
        return FAIL(r, "tensor %s: its description has an unknown key", name);
    for (size_t i = 0; i < sizeof types / sizeof types[0] && e->type == NULL; i++)
        if (strcmp(types[i].name, json_string_value(type)) == 0)
            e->type = &types[i];
    if (e->type == NULL)
        return FAIL(r, "tensor %s: elements of type %s are not read", name,
                    shown(r->a, json_string_value(type)));
    e->t.name = arena_strdup(r->a, key);
    r->count++;
    return read_shape(r, e, shape, name) && read_offsets(r, e, offsets, name);
}

static bool read_metadata(Reader *r, const json_t *v)
{
    const char *key;
    json_t *text;
    if (!json_is_object(v))
        return FAIL(r, "'__metadata__' is no object");
    json_object_foreach((json_t *)(uintptr_t)v, key, text) if (!json_is_string(text)) return FAIL(
        r, "'__metadata__' has a value that is no string: %s", shown(r->a, key));
    return true;
}

static bool read_header(Reader *r, const char *at, size_t n)
{
    json_error_t je;
    bool ok = true;
    const char *key;
    json_t *v;
    if (n == 0 || at[0] != '{')
        return FAIL(r, "the header does not begin with '{': not a safetensors file");
    if (!header_modest(r, at, n))
        return false;
    json_t *root = json_loadb(at, n, JSON_REJECT_DUPLICATES, &je);
    if (root == NULL) {
        if (json_error_code(&je) == json_error_duplicate_key)
            return FAIL(r, "the header has a name twice (byte %d): %s", je.position + 8,
                        shown(r->a, je.text));
        return FAIL(r, "the header is no valid JSON (byte %d): %s", je.position + 8,
                    shown(r->a, je.text));
    }
    r->entries = arena_new_n(r->a, Entry, json_object_size(root) + 1);
    json_object_foreach(root, key, v)
    {
        ok = strcmp(key, "__metadata__") == 0 ? read_metadata(r, v) : read_entry(r, key, v);
        if (!ok)
            break;
    }
    json_decref(root);
    return ok;
}

static int by_place(const void *pa, const void *pb)
{
    const Entry *a = pa, *b = pb;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->end == b->end ? 0 : a->end < b->end ? -1 : 1;
}

/* The tensors must cover the data without holes and without overlap. */
static bool check_cover(Reader *r)
{
    uint64_t at = 0;
    if (r->count > 1)
        qsort(r->entries, r->count, sizeof *r->entries, by_place);
    for (size_t i = 0; i < r->count; i++) {
        const Entry *e = &r->entries[i];
        if (e->begin < at)
            return FAIL(r, "tensor %s overlaps tensor %s", shown(r->a, e->t.name),
                        shown(r->a, r->entries[i - 1].t.name));
        if (e->begin > at)
            return FAIL(r, "%" PRIu64 " bytes before tensor %s belong to no tensor", e->begin - at,
                        shown(r->a, e->t.name));
        at = e->end;
    }
    if (at != r->len)
        return FAIL(r, "%" PRIu64 " bytes at the end belong to no tensor", r->len - at);
    return true;
}

static float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, frac = h & 1023, bits;
    float f;
    if (exp == 0) {
        f = (float)frac * 0x1p-24f;
        return sign ? -f : f;
    }
    bits = sign | (exp == 31 ? 0xffu : exp + 112) << 23 | frac << 13;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void convert(float *out, const unsigned char *from, StKind kind, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        uint32_t bits;
        double d;
        switch (kind) {
        case ST_F16:
            memcpy(&half, from + 2 * i, sizeof half);
            out[i] = half_to_float(half);
            break;
        case ST_BF16:
            memcpy(&half, from + 2 * i, sizeof half);
            bits = (uint32_t)half << 16;
            memcpy(&out[i], &bits, sizeof bits);
            break;
        case ST_F64:
            memcpy(&d, from + 8 * i, sizeof d);
            out[i] = (float)d;
            break;
        case ST_F32:
        case ST_INTEGER: memcpy(&out[i], from + 4 * i, sizeof out[i]); break;
        }
    }
}

static bool take_tensor(Reader *r, const Entry *e)
{
    const unsigned char *from = r->data + e->begin;
    if (e->type->kind == ST_INTEGER)
        return true;
    if (e->type->kind == ST_F32 && (uintptr_t)from % _Alignof(float) == 0) {
        WeightTensor t = e->t;
        t.data = (const float *)(const void *)from;
        vec_push(r->a, &r->w->all, t);
        return true;
    }
    float *out = weights_add(r->w, r->a, e->t.name, e->t.dims, e->t.ndim);
    if (out == NULL)
        return FAIL(r, "out of memory for tensor %s", shown(r->a, e->t.name));
    convert(out, from, e->type->kind, e->t.count);
    return true;
}

static bool read_all(Reader *r, const unsigned char *bytes, size_t len)
{
    uint64_t head = 0;
    if (len < 8)
        return FAIL(r, "%zu bytes are too few for a safetensors file", len);
    for (int i = 7; i >= 0; i--)
        head = head << 8 | bytes[i];
    if (head > HEADER_MAX)
        return FAIL(r, "a header of %" PRIu64 " bytes (at most %d): not a safetensors file", head,
                    (int)HEADER_MAX);
    if (head > len - 8)
        return FAIL(r, "the file ends inside its header (%" PRIu64 " bytes, %zu are there)", head,
                    len - 8);
    r->data = bytes + 8 + head;
    r->len = len - 8 - (size_t)head;
    if (!read_header(r, (const char *)bytes + 8, (size_t)head) || !check_cover(r))
        return false;
    for (size_t i = 0; i < r->count; i++)
        if (!take_tensor(r, &r->entries[i]))
            return false;
    weights_sort(r->w);
    return true;
}

bool weights_parse_safetensors(Weights *w, Arena *a, const unsigned char *bytes, size_t len,
                               const char **err)
{
    Reader r = {.w = w, .a = a};
    *w = (Weights){.arena = a};
    if (read_all(&r, bytes, len))
        return true;
    *err = r.err;
    weights_free(w);
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
    return b->len > HEADER_MAX ? "the names make a header of more than 100 MB" : NULL;
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
