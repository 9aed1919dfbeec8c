/* The NumPy array format, versions 1 to 3: the one parser of the compiler and of built programs.
 * Works on bytes in memory; every count is checked against the bytes that are there. */
#ifndef CNNRT_NPY_H
#define CNNRT_NPY_H
#include <stddef.h>
#include <stdint.h>

enum { NPY_MAX_DIMS = 8 };

typedef enum NpyType { NPY_F4, NPY_F8, NPY_U1, NPY_I4, NPY_I8 } NpyType;

typedef struct NpyHeader {
    NpyType type;
    int ndim;
    int64_t dims[NPY_MAX_DIMS];
    int64_t count; /* product of dims */
    size_t data;   /* offset of the first element */
} NpyHeader;

/* NULL, or what is wrong with the file (a constant string). Little endian, C order only. */
const char *cnnrt_npy_parse(const unsigned char *bytes, size_t len, NpyHeader *out);
/* Element i of a parsed file as float; i < count. */
float cnnrt_npy_element(const unsigned char *bytes, const NpyHeader *h, int64_t i);
/* Writes a version 1.0 header for float32 of these dimensions into out; returns its length, 0 when
 * cap (256 is always enough) is too small. */
size_t cnnrt_npy_format_header(char *out, size_t cap, const int64_t *dims, int ndim);
#endif
