#include "safetensors.h"
#include "json.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* brackets and commas of a header: bounds the memory that its tensors take */
    MARKS_MAX = 4 * 1000 * 1000,
    DEPTH_MAX = 3,
};

static const struct StType {
    const char *name;
    CnnrtStKind kind;
    int size;
} types[] = {
    {"F32", CNNRT_ST_F32, 4},      {"F16", CNNRT_ST_F16, 2},     {"BF16", CNNRT_ST_BF16, 2},
    {"F64", CNNRT_ST_F64, 8},      {"I64", CNNRT_ST_INTEGER, 8}, {"I32", CNNRT_ST_INTEGER, 4},
    {"I16", CNNRT_ST_INTEGER, 2},  {"I8", CNNRT_ST_INTEGER, 1},  {"U64", CNNRT_ST_INTEGER, 8},
    {"U32", CNNRT_ST_INTEGER, 4},  {"U16", CNNRT_ST_INTEGER, 2}, {"U8", CNNRT_ST_INTEGER, 1},
    {"BOOL", CNNRT_ST_INTEGER, 1},
};

typedef struct Reader {
    CnnrtSt *s;
    CnnrtJson at;
    char *text; /* where the next name goes */
    size_t tensor_cap, pair_cap;
    uint64_t data_len;
    int has_metadata;
    char shown[2][CNNRT_ST_SHOWN];
    char *message;
} Reader;

#define FAIL(r, ...) (snprintf((r)->message, CNNRT_ST_MESSAGE, __VA_ARGS__), 0)

char *cnnrt_st_shown(char out[CNNRT_ST_SHOWN], const char *name)
{
    size_t n = strnlen(name, 81);
    int cut = n > 80;
    /* not within a character */
    for (n = cut ? 80 : n; cut && n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80;)
        n--;
    snprintf(out, CNNRT_ST_SHOWN, "'%.*s'%s", (int)n, name, cut ? "..." : "");
    for (char *p = out; *p != '\0'; p++)
        if ((unsigned char)*p < 32 || *p == 127)
            *p = '?';
    return out;
}

static const char *shown(Reader *r, int which, const char *name)
{
    return cnnrt_st_shown(r->shown[which], name);
}

/* Room for one more element; the array as it is now, or NULL. */
static void *grow(void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return array;
    size_t want = *cap < 16 ? 16 : *cap * 2;
    void *p = want > SIZE_MAX / size ? NULL : realloc(array, want * size);
    if (p != NULL)
        *cap = want;
    return p;
}

static int read_shape(Reader *r, CnnrtStTensor *t, const char *name)
{
    if (cnnrt_json_kind(&r->at) != '[')
        return FAIL(r, "tensor %s: 'shape' is no list", name);
    cnnrt_json_enter(&r->at);
    t->count = 1;
    for (size_t n = 1; cnnrt_json_more(&r->at); n++) {
        int64_t d;
        if (!cnnrt_json_integer(&r->at, &d) || d < 0)
            return FAIL(r, "tensor %s: dimension %zu is no whole number", name, n);
        if (n > CNNRT_ST_MAX_DIMS)
            return FAIL(r, "tensor %s: %zu dimensions, at most %d are read", name, n,
                        CNNRT_ST_MAX_DIMS);
        t->dims[t->ndim++] = d;
        if (__builtin_mul_overflow(t->count, d, &t->count))
            return FAIL(r, "tensor %s: the product of its dimensions is too large", name);
    }
    return 1;
}

static int read_offsets(Reader *r, CnnrtStTensor *t, const char *name)
{
    int64_t v[2] = {0, 0};
    size_t n = 0;
    int good = cnnrt_json_kind(&r->at) == '[';
    if (good)
        cnnrt_json_enter(&r->at);
    for (; good && cnnrt_json_more(&r->at); n++)
        good = n < 2 && cnnrt_json_integer(&r->at, &v[n]) && v[n] >= 0;
    if (!good || n != 2 || v[1] < v[0])
        return FAIL(r, "tensor %s: 'data_offsets' is not [begin, end]", name);
    t->begin = (uint64_t)v[0];
    t->end = (uint64_t)v[1];
    return 1;
}

static int read_type(Reader *r, CnnrtStTensor *t, const char **type, const char *name)
{
    if (cnnrt_json_kind(&r->at) != '"')
        return FAIL(r, "tensor %s: 'dtype', 'shape' or 'data_offsets' is missing", name);
    /* kept behind the names until the next one is read, which is at least as long */
    cnnrt_json_string(&r->at, r->text);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, r->text) == 0) {
            t->kind = types[i].kind;
            t->size = types[i].size;
            *type = types[i].name;
            return 1;
        }
    return FAIL(r, "tensor %s: elements of type %s are not read", name, shown(r, 1, r->text));
}

/* What the three say together. */
static int check_sizes(Reader *r, const CnnrtStTensor *t, const char *type, const char *name)
{
    int64_t size;
    if (t->end > r->data_len)
        return FAIL(r,
                    "tensor %s ends at byte %" PRIu64 " of the data, but the file has only %" PRIu64
                    ": it is truncated or its header is wrong",
                    name, t->end, r->data_len);
    if (__builtin_mul_overflow(t->count, (int64_t)t->size, &size))
        return FAIL(r, "tensor %s: the product of its dimensions is too large", name);
    if ((uint64_t)size != t->end - t->begin)
        return FAIL(r,
                    "tensor %s: its shape takes %" PRId64 " bytes of %s, its offsets span %" PRIu64,
                    name, size, type, t->end - t->begin);
    return 1;
}

static int read_tensor(Reader *r, const char *key)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    const char *name = shown(r, 0, key), *type = "";
    CnnrtStTensor t = {.name = key};
    unsigned seen = 0;
    if (cnnrt_json_kind(&r->at) != '{')
        return FAIL(r, "tensor %s: its description is no object", name);
    cnnrt_json_enter(&r->at);
    while (cnnrt_json_more(&r->at)) {
        unsigned which = 0;
        cnnrt_json_key(&r->at, r->text);
        while (which < 3 && strcmp(r->text, keys[which]) != 0)
            which++;
        if (which == 3)
            return FAIL(r, "tensor %s: its description has an unknown key", name);
        if (seen & 1u << which)
            return FAIL(r, "tensor %s: its description has a key twice", name);
        seen |= 1u << which;
        if (!(which == 0   ? read_type(r, &t, &type, name)
              : which == 1 ? read_shape(r, &t, name)
                           : read_offsets(r, &t, name)))
            return 0;
    }
    if (seen != 7)
        return FAIL(r, "tensor %s: 'dtype', 'shape' or 'data_offsets' is missing", name);
    if (!check_sizes(r, &t, type, name))
        return 0;
    CnnrtStTensor *all = grow(r->s->tensors, r->s->count, &r->tensor_cap, sizeof *all);
    if (all == NULL)
        return FAIL(r, "out of memory");
    r->s->tensors = all;
    all[r->s->count++] = t;
    return 1;
}

/* A string moved behind the names; it stays there. */
static const char *keep(Reader *r, size_t len)
{
    const char *kept = r->text;
    r->text += len + 1;
    return kept;
}

static int read_metadata(Reader *r)
{
    if (r->has_metadata)
        return FAIL(r, "the header has a name twice: '__metadata__'");
    r->has_metadata = 1;
    if (cnnrt_json_kind(&r->at) != '{')
        return FAIL(r, "'__metadata__' is no object");
    cnnrt_json_enter(&r->at);
    while (cnnrt_json_more(&r->at)) {
        CnnrtStPair p;
        size_t n = cnnrt_json_key(&r->at, r->text);
        p.key = keep(r, n);
        if (cnnrt_json_kind(&r->at) != '"')
            return FAIL(r, "'__metadata__' has a value that is no string: %s", shown(r, 0, p.key));
        n = cnnrt_json_string(&r->at, r->text);
        p.value = keep(r, n);
        CnnrtStPair *all = grow(r->s->pairs, r->s->pair_count, &r->pair_cap, sizeof *all);
        if (all == NULL)
            return FAIL(r, "out of memory");
        r->s->pairs = all;
        all[r->s->pair_count++] = p;
    }
    return 1;
}

static int by_text(const void *a, const void *b)
{
    const char *const *s = a, *const *t = b;
    return strcmp(*s, *t);
}

/* No name occurs twice, neither among tensors nor in the metadata. */
static int check_names(Reader *r)
{
    const CnnrtSt *s = r->s;
    size_t most = s->count > s->pair_count ? s->count : s->pair_count;
    if (most < 2)
        return 1;
    const char **name = malloc(most * sizeof *name);
    if (name == NULL)
        return FAIL(r, "out of memory");
    const char *twice = NULL;
    for (int which = 0; which < 2; which++) {
        size_t n = which == 0 ? s->count : s->pair_count;
        for (size_t i = 0; i < n; i++)
            name[i] = which == 0 ? s->tensors[i].name : s->pairs[i].key;
        if (n > 1)
            qsort((void *)name, n, sizeof *name, by_text);
        for (size_t i = 1; i < n && twice == NULL; i++)
            if (strcmp(name[i - 1], name[i]) == 0)
                twice = name[i];
    }
    free((void *)name);
    return twice == NULL ? 1 : FAIL(r, "the header has a name twice: %s", shown(r, 0, twice));
}

static int by_place(const void *pa, const void *pb)
{
    const CnnrtStTensor *a = pa, *b = pb;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->end == b->end ? 0 : a->end < b->end ? -1 : 1;
}

/* The tensors must cover the data without holes and without overlap. */
static int check_cover(Reader *r)
{
    CnnrtSt *s = r->s;
    uint64_t at = 0;
    if (s->count > 1)
        qsort(s->tensors, s->count, sizeof *s->tensors, by_place);
    for (size_t i = 0; i < s->count; i++) {
        const CnnrtStTensor *t = &s->tensors[i];
        if (t->begin < at)
            return FAIL(r, "tensor %s overlaps tensor %s", shown(r, 0, t->name),
                        shown(r, 1, s->tensors[i - 1].name));
        if (t->begin > at)
            return FAIL(r, "%" PRIu64 " bytes before tensor %s belong to no tensor", t->begin - at,
                        shown(r, 0, t->name));
        at = t->end;
    }
    if (at != r->data_len)
        return FAIL(r, "%" PRIu64 " bytes at the end belong to no tensor", r->data_len - at);
    return 1;
}

static int check_json(Reader *r, const char *header, size_t n)
{
    size_t where = 0;
    const char *why = NULL;
    switch (cnnrt_json_check(header, n, DEPTH_MAX, MARKS_MAX, &where, &why)) {
    case CNNRT_JSON_INVALID:
        return FAIL(r, "the header is no valid JSON (byte %zu): %s", where + CNNRT_ST_PREFIX, why);
    case CNNRT_JSON_DEEP:
        return FAIL(r, "the header is nested too deeply (byte %zu)", where + CNNRT_ST_PREFIX);
    case CNNRT_JSON_MANY: return FAIL(r, "the header has more than %d values", (int)MARKS_MAX);
    case CNNRT_JSON_FINE: break;
    }
    return 1;
}

static int read_header(Reader *r, const char *header, size_t n)
{
    if (n == 0 || header[0] != '{')
        return FAIL(r, "the header does not begin with '{': not a safetensors file");
    if (!check_json(r, header, n))
        return 0;
    /* strings without their quotes, each with a NUL, are never longer than the text they came in */
    r->s->text = r->text = malloc(n);
    if (r->text == NULL)
        return FAIL(r, "out of memory");
    r->at = (CnnrtJson){header, header + n};
    cnnrt_json_enter(&r->at);
    while (cnnrt_json_more(&r->at)) {
        size_t len = cnnrt_json_key(&r->at, r->text);
        const char *key = keep(r, len);
        if (!(strcmp(key, "__metadata__") == 0 ? read_metadata(r) : read_tensor(r, key)))
            return 0;
    }
    return check_names(r) && check_cover(r);
}

int cnnrt_st_parse(CnnrtSt *out, const char *header, size_t n, uint64_t data_len,
                   char message[CNNRT_ST_MESSAGE])
{
    Reader r = {.s = out, .data_len = data_len, .message = message};
    *out = (CnnrtSt){0};
    if (read_header(&r, header, n))
        return 1;
    cnnrt_st_free(out);
    return 0;
}

void cnnrt_st_free(CnnrtSt *s)
{
    free(s->tensors);
    free(s->pairs);
    free(s->text);
    *s = (CnnrtSt){0};
}

const char *cnnrt_st_pair(const CnnrtSt *s, const char *key)
{
    for (size_t i = 0; i < s->pair_count; i++)
        if (strcmp(s->pairs[i].key, key) == 0)
            return s->pairs[i].value;
    return NULL;
}

int cnnrt_st_prefix(const unsigned char *bytes, size_t len, uint64_t file_len, size_t *header_len,
                    char message[CNNRT_ST_MESSAGE])
{
    Reader r = {.message = message};
    uint64_t head = 0;
    if (len < CNNRT_ST_PREFIX || file_len < CNNRT_ST_PREFIX)
        return FAIL(&r, "%zu bytes are too few for a safetensors file", len);
    for (int i = CNNRT_ST_PREFIX - 1; i >= 0; i--)
        head = head << 8 | bytes[i];
    if (head > CNNRT_ST_MAX_HEADER)
        return FAIL(&r, "a header of %" PRIu64 " bytes (at most %d): not a safetensors file", head,
                    (int)CNNRT_ST_MAX_HEADER);
    if (head > file_len - CNNRT_ST_PREFIX)
        return FAIL(&r,
                    "the file ends inside its header (%" PRIu64 " bytes, %" PRIu64 " are there)",
                    head, file_len - CNNRT_ST_PREFIX);
    *header_len = (size_t)head;
    return 1;
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

void cnnrt_st_convert(float *out, const unsigned char *from, CnnrtStKind kind, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        uint32_t bits;
        double d;
        switch (kind) {
        case CNNRT_ST_F16:
            memcpy(&half, from + 2 * i, sizeof half);
            out[i] = half_to_float(half);
            break;
        case CNNRT_ST_BF16:
            memcpy(&half, from + 2 * i, sizeof half);
            bits = (uint32_t)half << 16;
            memcpy(&out[i], &bits, sizeof bits);
            break;
        case CNNRT_ST_F64:
            memcpy(&d, from + 8 * i, sizeof d);
            out[i] = (float)d;
            break;
        case CNNRT_ST_F32:
        case CNNRT_ST_INTEGER: memcpy(&out[i], from + 4 * i, sizeof out[i]); break;
        }
    }
}
