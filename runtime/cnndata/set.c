/* Data sets: which kind, the class names, and what all kinds promise. */
#include "set.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const CnndataKind *const kinds[] = {&cnndata_idx, &cnndata_cifar10, &cnndata_cifar100,
                                           &cnndata_folder, &cnndata_tar};

static const CnndataKind *find_kind(const char *text, const char **path)
{
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        size_t n = strlen(kinds[k]->name);
        if (strncmp(text, kinds[k]->name, n) == 0 && text[n] == ':') {
            *path = text + n + 1;
            return kinds[k];
        }
    }
    return NULL;
}

bool cnndata_name_classes(CnndataSet *set, const char *const *names, int64_t n)
{
    size_t bytes = (size_t)n * sizeof(char *);
    for (int64_t k = 0; k < n; k++)
        bytes += strlen(names[k]) + 1;
    char **block = malloc(bytes > 0 ? bytes : 1);
    if (block == NULL)
        return false;
    char *to = (char *)(block + n);
    for (int64_t k = 0; k < n; k++) {
        block[k] = to;
        to = stpcpy(to, names[k]) + 1;
    }
    free(set->class_names);
    set->class_names = block;
    return true;
}

/* "0", "1", ... where the data set says nothing. */
static bool number_classes(CnndataSet *set)
{
    enum { DIGITS = 8 }; /* of CNNDATA_CLASSES_MAX, and the zero */
    if (set->class_names != NULL)
        return true;
    char **block = malloc((size_t)set->classes * (sizeof(char *) + DIGITS) + 1);
    if (block == NULL)
        return false;
    char *to = (char *)(block + set->classes);
    for (int64_t k = 0; k < set->classes; k++, to += DIGITS) {
        block[k] = to;
        snprintf(to, DIGITS, "%d", (int)k);
    }
    set->class_names = block;
    return true;
}

int cnndata_open(CnndataSet **out, const char *text, CnndataSplit split, char *error,
                 size_t error_len)
{
    const CnndataError e = {error, error_len};
    const char *path = NULL;
    if (error_len > 0)
        error[0] = '\0';
    if (out == NULL)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "no place for the data set");
    *out = NULL;
    const CnndataKind *kind = text == NULL ? NULL : find_kind(text, &path);
    if (kind == NULL || *path == '\0')
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT,
                            "'%s' names no data set: write idx:PATH, cifar10:PATH, cifar100:PATH, "
                            "folder:PATH or tar:PATH",
                            text == NULL ? "" : text);
    if (split != CNNDATA_TRAIN && split != CNNDATA_VAL)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "there is no such split");
    CnndataSet *set = calloc(1, sizeof *set);
    if (set == NULL)
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", text);
    set->kind = kind;
    int status = kind->open(set, path, split, e);
    if (status == CNNDATA_OK && set->count < 1)
        status = cnndata_fail(e, CNNDATA_DAMAGED, "%s: the data set is empty", text);
    if (status == CNNDATA_OK && !number_classes(set))
        status = cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", text);
    if (status != CNNDATA_OK) {
        cnndata_close(set);
        return status;
    }
    *out = set;
    return CNNDATA_OK;
}

void cnndata_close(CnndataSet *set)
{
    if (set == NULL)
        return;
    if (set->own != NULL)
        set->kind->close(set);
    free(set->class_names);
    free(set);
}

int64_t cnndata_count(const CnndataSet *set)
{
    return set->count;
}

int64_t cnndata_classes(const CnndataSet *set)
{
    return set->classes;
}

const char *cnndata_class_name(const CnndataSet *set, int64_t k)
{
    return k >= 0 && k < set->classes ? set->class_names[k] : NULL;
}

int cnndata_sample_into(const CnndataSet *set, int64_t i, CnndataScratch *bytes, CnndataImage *out,
                        int32_t *label, CnndataError e)
{
    if (i < 0 || i >= set->count)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT,
                            "the data set has no sample %" PRId64 ": it has %" PRId64, i,
                            set->count);
    return set->kind->sample(set, i, bytes, out, label, e);
}

int cnndata_sample(const CnndataSet *set, int64_t i, CnndataImage *out, int32_t *label, char *error,
                   size_t error_len)
{
    CnndataScratch bytes = {0};
    if (error_len > 0)
        error[0] = '\0';
    int status = cnndata_sample_into(set, i, &bytes, out, label, (CnndataError){error, error_len});
    cnndata_scratch_free(&bytes);
    return status;
}

void cnndata_sample_name(const CnndataSet *set, int64_t i, char *out, size_t out_len)
{
    if (out_len == 0)
        return;
    out[0] = '\0';
    if (i >= 0 && i < set->count)
        set->kind->name_of(set, i, out, out_len);
}
