#include "npy.h"
#include <stdio.h>
#include <string.h>

typedef struct Cursor {
    const char *at, *end;
} Cursor;

static void skip_space(Cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t'))
        c->at++;
}

static int take(Cursor *c, char want)
{
    skip_space(c);
    if (c->at >= c->end || *c->at != want)
        return 0;
    c->at++;
    return 1;
}

/* A quoted word without escapes; NULL when there is none. */
static const char *take_string(Cursor *c, size_t *len)
{
    skip_space(c);
    if (c->at >= c->end || (*c->at != '\'' && *c->at != '"'))
        return NULL;
    char quote = *c->at++;
    const char *start = c->at;
    while (c->at < c->end && *c->at != quote && *c->at != '\\')
        c->at++;
    if (c->at >= c->end || *c->at != quote)
        return NULL;
    *len = (size_t)(c->at - start);
    c->at++;
    return start;
}

static int take_word(Cursor *c, const char *word)
{
    size_t n = strlen(word);
    skip_space(c);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
        return 0;
    c->at += n;
    return 1;
}

static const char *take_shape(Cursor *c, NpyHeader *h)
{
    static const char bad[] = "the shape is malformed";
    if (!take(c, '('))
        return bad;
    h->ndim = 0;
    while (!take(c, ')')) {
        int64_t v = 0;
        const char *start;
        skip_space(c);
        start = c->at;
        while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
            if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
                __builtin_add_overflow(v, (int64_t)(*c->at - '0'), &v))
                return "a dimension is too large";
            c->at++;
        }
        if (c->at == start)
            return bad;
        if (h->ndim == NPY_MAX_DIMS)
            return "more than 8 dimensions";
        h->dims[h->ndim++] = v;
        if (!take(c, ',')) {
            if (!take(c, ')'))
                return bad;
            break;
        }
    }
    return NULL;
}

static const struct {
    const char *descr;
    NpyType type;
    int size;
} types[] = {{"<f4", NPY_F4, 4},
             {"<f8", NPY_F8, 8},
             {"|u1", NPY_U1, 1},
             {"<i4", NPY_I4, 4},
             {"<i8", NPY_I8, 8}};

static const char *take_type(Cursor *c, NpyHeader *h)
{
    size_t n;
    const char *s = take_string(c, &n);
    for (size_t i = 0; s != NULL && i < sizeof types / sizeof types[0]; i++)
        if (n == strlen(types[i].descr) && memcmp(s, types[i].descr, n) == 0) {
            h->type = types[i].type;
            return NULL;
        }
    return "the element type is not one of float32, float64, uint8, int32, int64 (little endian)";
}

static const char *parse_dict(Cursor *c, NpyHeader *h)
{
    static const char bad[] = "the header is malformed";
    unsigned seen = 0;
    if (!take(c, '{'))
        return bad;
    while (!take(c, '}')) {
        size_t n;
        const char *key = take_string(c, &n), *err = NULL;
        unsigned bit;
        if (key == NULL || !take(c, ':'))
            return bad;
        if (n == 5 && memcmp(key, "descr", 5) == 0) {
            bit = 1;
            err = take_type(c, h);
        } else if (n == 13 && memcmp(key, "fortran_order", 13) == 0) {
            bit = 2;
            if (take_word(c, "True"))
                err = "the array is in Fortran order; save it with numpy.ascontiguousarray";
            else if (!take_word(c, "False"))
                err = bad;
        } else if (n == 5 && memcmp(key, "shape", 5) == 0) {
            bit = 4;
            err = take_shape(c, h);
        } else {
            return "the header has an unknown key";
        }
        if (err != NULL)
            return err;
        if (seen & bit)
            return "the header has a key twice";
        seen |= bit;
        if (!take(c, ',')) {
            if (!take(c, '}'))
                return bad;
            break;
        }
    }
    skip_space(c);
    return seen == 7 && c->at == c->end ? NULL : bad;
}

const char *cnnrt_npy_parse(const unsigned char *bytes, size_t len, NpyHeader *out)
{
    size_t head, prefix;
    memset(out, 0, sizeof *out);
    if (len < 10 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return "not a NumPy array file";
    if (bytes[6] == 1) {
        prefix = 10;
        head = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    } else if (bytes[6] == 2 || bytes[6] == 3) {
        if (len < 12)
            return "the file ends inside its header";
        prefix = 12;
        head = (size_t)bytes[8] | (size_t)bytes[9] << 8 | (size_t)bytes[10] << 16 |
               (size_t)bytes[11] << 24;
    } else {
        return "the format version is unknown";
    }
    if (head > len - prefix)
        return "the file ends inside its header";
    Cursor c = {(const char *)bytes + prefix, (const char *)bytes + prefix + head};
    const char *err = parse_dict(&c, out);
    if (err != NULL)
        return err;
    out->data = prefix + head;
    out->count = 1;
    int64_t bytes_needed;
    for (int i = 0; i < out->ndim; i++)
        if (__builtin_mul_overflow(out->count, out->dims[i], &out->count))
            return "the dimensions are too large";
    if (__builtin_mul_overflow(out->count, (int64_t)types[out->type].size, &bytes_needed))
        return "the dimensions are too large";
    if ((uint64_t)bytes_needed > len - out->data)
        return "the file is shorter than its shape says";
    if ((uint64_t)bytes_needed < len - out->data)
        return "the file is longer than its shape says";
    return NULL;
}

float cnnrt_npy_element(const unsigned char *bytes, const NpyHeader *h, int64_t i)
{
    const unsigned char *p = bytes + h->data + (size_t)i * (size_t)types[h->type].size;
    switch (h->type) {
    case NPY_F4: {
        float v;
        memcpy(&v, p, sizeof v);
        return v;
    }
    case NPY_F8: {
        double v;
        memcpy(&v, p, sizeof v);
        return (float)v;
    }
    case NPY_U1: return (float)*p;
    case NPY_I4: {
        int32_t v;
        memcpy(&v, p, sizeof v);
        return (float)v;
    }
    case NPY_I8: {
        int64_t v;
        memcpy(&v, p, sizeof v);
        return (float)v;
    }
    }
    return 0;
}

size_t cnnrt_npy_format_header(char *out, size_t cap, const int64_t *dims, int ndim)
{
    char shape[NPY_MAX_DIMS * 22 + 4];
    size_t at = 0;
    if (ndim < 0 || ndim > NPY_MAX_DIMS)
        return 0;
    shape[at++] = '(';
    for (int i = 0; i < ndim; i++)
        at += (size_t)snprintf(shape + at, sizeof shape - at, i == 0 ? "%lld," : " %lld,",
                               (long long)dims[i]);
    if (ndim > 1)
        at--; /* only a single dimension keeps its comma */
    shape[at++] = ')';
    shape[at] = '\0';
    char dict[NPY_MAX_DIMS * 22 + 80];
    int n = snprintf(dict, sizeof dict, "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }",
                     shape);
    /* data starts at a multiple of 64 (NEP 1) */
    size_t total = (10 + (size_t)n + 1 + 63) / 64 * 64;
    if (total > cap)
        return 0;
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)((total - 10) & 255);
    out[9] = (char)((total - 10) >> 8);
    memcpy(out + 10, dict, (size_t)n);
    memset(out + 10 + n, ' ', total - 10 - (size_t)n);
    out[total - 1] = '\n';
    return total;
}
