/* The safetensors format (8 bytes of header length, a JSON header, the bytes of the tensors): the
 * one parser of the compiler and of training programs. Works on a header in memory; every size is
 * checked against the bytes that the file has. */
#ifndef CNNRT_SAFETENSORS_H
#define CNNRT_SAFETENSORS_H
#include <stddef.h>
#include <stdint.h>

enum {
    CNNRT_ST_MAX_DIMS = 8,
    CNNRT_ST_MAX_HEADER = 100 * 1000 * 1000,
    CNNRT_ST_MESSAGE = 512, /* bytes of a message, with its NUL */
    CNNRT_ST_PREFIX = 8     /* bytes before the header */
};

typedef enum CnnrtStKind {
    CNNRT_ST_INTEGER,
    CNNRT_ST_F32,
    CNNRT_ST_F16,
    CNNRT_ST_BF16,
    CNNRT_ST_F64
} CnnrtStKind;

typedef struct CnnrtStTensor {
    const char *name;
    CnnrtStKind kind;
    int size; /* bytes of an element */
    int ndim;
    int64_t dims[CNNRT_ST_MAX_DIMS];
    int64_t count;       /* product of dims */
    uint64_t begin, end; /* bytes [begin, end) of the data */
} CnnrtStTensor;

typedef struct CnnrtStPair {
    const char *key, *value;
} CnnrtStPair;

typedef struct CnnrtSt {
    CnnrtStTensor *tensors; /* in the order of their data, which they cover without holes */
    size_t count;
    CnnrtStPair *pairs; /* "__metadata__" */
    size_t pair_count;
    char *text; /* what names, keys and values point into */
} CnnrtSt;

/* Reads the first 8 bytes of a file of file_len bytes: *header_len is what the header takes. 0 with
 * a message when that cannot be. len: how many of the 8 there are. */
int cnnrt_st_prefix(const unsigned char *bytes, size_t len, uint64_t file_len, size_t *header_len,
                    char message[CNNRT_ST_MESSAGE]);
/* Parses a header of n bytes that data_len bytes of tensors follow. Unknown keys, names that occur
 * twice, overlaps, holes, trailing bytes and sizes that do not agree are refused. 0 with a message
 * ("out of memory" is one); *out is then empty, else it is freed with cnnrt_st_free. */
int cnnrt_st_parse(CnnrtSt *out, const char *header, size_t n, uint64_t data_len,
                   char message[CNNRT_ST_MESSAGE]);
void cnnrt_st_free(CnnrtSt *s);
/* The value of a key of "__metadata__"; NULL when there is none. */
const char *cnnrt_st_pair(const CnnrtSt *s, const char *key);
/* Elements as they lie in a file, little endian and without alignment, as float32. Integers are no
 * values of a network: kind must be another. */
void cnnrt_st_convert(float *out, const unsigned char *from, CnnrtStKind kind, int64_t count);
/* A name as it may be shown, in quotes: of bounded length and without control characters. Returns
 * out, which takes at most 96 bytes. */
enum { CNNRT_ST_SHOWN = 96 };
char *cnnrt_st_shown(char out[CNNRT_ST_SHOWN], const char *name);
#endif
