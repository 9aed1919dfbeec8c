/* Private: what the kinds of data sets share. */
#ifndef CNNDATA_SET_H
#define CNNDATA_SET_H
#include "pixels.h"

/* Labels are checked to be below this, which bounds what is allocated per class. */
enum { CNNDATA_CLASSES_MAX = 1000 * 1000, CNNDATA_FILE_MAX = 256 * 1000 * 1000 };

/* A row per kind. open fills count and classes and, if it knows them, the class names; it leaves
 * what it has made in set->own even on failure, for close. sample and name_of get an index in
 * range; bytes is memory for the encoded file. */
typedef struct CnndataKind {
    const char *name;
    int (*open)(CnndataSet *set, const char *path, CnndataSplit split, CnndataError e);
    int (*sample)(const CnndataSet *set, int64_t i, CnndataScratch *bytes, CnndataImage *out,
                  int32_t *label, CnndataError e);
    void (*name_of)(const CnndataSet *set, int64_t i, char *out, size_t len);
    void (*close)(CnndataSet *set);
} CnndataKind;

extern const CnndataKind cnndata_idx, cnndata_cifar10, cnndata_cifar100, cnndata_folder,
    cnndata_tar;

struct CnndataSet {
    const CnndataKind *kind;
    void *own;
    int64_t count, classes;
    char **class_names; /* [classes], one malloc'ed block with the texts; NULL: not known */
};

/* Sets the names from constant or borrowed texts. */
bool cnndata_name_classes(CnndataSet *set, const char *const *names, int64_t n);
/* As cnndata_sample, into memory that is used again. */
int cnndata_sample_into(const CnndataSet *set, int64_t i, CnndataScratch *bytes, CnndataImage *out,
                        int32_t *label, CnndataError e);

/* A malloc'ed text; NULL when out of memory. */
__attribute__((format(printf, 1, 2))) char *cnndata_text(const char *format, ...);
/* What errno says of a file. */
int cnndata_fail_errno(CnndataError e, const char *path);
bool cnndata_is_folder(const char *path);
bool cnndata_is_file(const char *path);
/* Opens a regular file for reading and gives its size; -1 with the message (and *status). */
int cnndata_open_file(const char *path, int64_t *size, int *status, CnndataError e);
/* A whole regular file of at most `limit` bytes, and a zero after them. */
int cnndata_read_file(const char *path, int64_t limit, CnndataScratch *bytes, size_t *len,
                      CnndataError e);
/* Reads len bytes at an offset of an open file; false at its end or on failure. */
bool cnndata_read_at(int fd, void *out, size_t len, int64_t at);

/* Texts one after the other, ended by zeros; referred to by offset since the block moves. */
typedef struct CnndataTexts {
    char *at;
    size_t len, capacity;
} CnndataTexts;
bool cnndata_texts_add(CnndataTexts *t, const char *text, size_t *offset);
/* Room for one more element of an array that grows by doubling; NULL when out of memory. */
void *cnndata_grow(void *array, int64_t count, int64_t *capacity, size_t element);
#endif
