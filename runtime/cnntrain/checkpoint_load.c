/* From a checkpoint into the tensors of a run: all of them, or what fits. */
#include "cnntrain/checkpoint_file.h"
#include "cnntrain/file.h"
#include "cnntrain/text.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 20, PIECE = 1 << 16, SHAPE = 160 };

typedef const CnnrtStTensor *Theirs;

/* The file's tensors by name. */
typedef struct Index {
    Theirs *at;
    bool *used;
    size_t count;
} Index;

typedef struct Table {
    CnntrainText text;
    size_t rows;
} Table;

static bool refuse(char message[CNNTRAIN_MESSAGE], const CnntrainCheckpoint *c, const char *what)
{
    snprintf(message, CNNTRAIN_MESSAGE, "%.300s: %s", c->path, what);
    return false;
}

static int by_name(const void *pa, const void *pb)
{
    return strcmp((*(const Theirs *)pa)->name, (*(const Theirs *)pb)->name);
}

static bool index_make(Index *x, const CnntrainCheckpoint *c, char message[CNNTRAIN_MESSAGE])
{
    x->count = c->st.count;
    x->at = malloc((x->count + 1) * sizeof(Theirs));
    x->used = calloc(x->count + 1, sizeof *x->used);
    if (x->at == NULL || x->used == NULL)
        return refuse(message, c, "out of memory");
    for (size_t i = 0; i < x->count; i++)
        x->at[i] = &c->st.tensors[i];
    if (x->count > 1)
        qsort((void *)x->at, x->count, sizeof(Theirs), by_name);
    return true;
}

static void index_free(Index *x)
{
    free((void *)x->at);
    free(x->used);
}

/* Marks it as used; NULL when there is none. */
static Theirs index_find(Index *x, const char *prefix, const char *name)
{
    size_t n = strlen(prefix), low = 0, high = x->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strncmp(prefix, x->at[mid]->name, n);
        if (order == 0)
            order = strcmp(name, x->at[mid]->name + n);
        if (order == 0) {
            x->used[mid] = true;
            return x->at[mid];
        }
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

static const char *shape_text(char out[SHAPE], const int64_t *dims, int ndim, CnnrtStKind kind)
{
    static const char *const kinds[] = {" integers", "", " F16", " BF16", " F64"};
    size_t at = (size_t)snprintf(out, SHAPE, "%s", ndim == 0 ? "scalar" : "");
    for (int i = 0; i < ndim && at < SHAPE; i++)
        at += (size_t)snprintf(out + at, SHAPE - at, "%s%" PRId64, i > 0 ? "x" : "", dims[i]);
    if (at < SHAPE)
        snprintf(out + at, SHAPE - at, "%s", kinds[kind]);
    return out;
}

static void add_row(Table *t, const char *name, const char *here, const char *there)
{
    char shown[CNNRT_ST_SHOWN];
    int width = 40; /* in characters, of which some take several bytes */
    for (const char *p = cnnrt_st_shown(shown, name); *p != '\0'; p++)
        width += ((unsigned char)*p & 0xc0) == 0x80;
    if (t->rows == 0)
        cnntrain_text_printf(&t->text, "  %-40s  %-18s  %s\n", "tensor", "here", "in the file");
    if (t->rows++ < ROWS)
        cnntrain_text_printf(&t->text, "  %-*s  %-18s  %s\n", width, shown, here, there);
}

static void add_misfit(Table *t, const CnntrainTensor *ours, Theirs theirs)
{
    char here[SHAPE], there[SHAPE];
    add_row(t, ours->name, shape_text(here, ours->dims, ours->ndim, CNNRT_ST_F32),
            theirs != NULL ? shape_text(there, theirs->dims, theirs->ndim, theirs->kind) : "none");
}

static void add_left(Table *t, Theirs theirs)
{
    char there[SHAPE];
    add_row(t, theirs->name, "none", shape_text(there, theirs->dims, theirs->ndim, theirs->kind));
}

/* Moves the table to *report (may be NULL); one without rows is NULL. */
static void give_table(Table *t, char **report)
{
    if (t->rows > ROWS)
        cnntrain_text_printf(&t->text, "  and %zu more\n", t->rows - ROWS);
    if (report != NULL)
        *report = t->text.failed ? NULL : t->text.at;
    if (report == NULL || t->text.failed)
        cnntrain_text_free(&t->text);
}

static bool same_shape(const CnntrainTensor *ours, Theirs theirs)
{
    if (theirs->ndim != ours->ndim)
        return false;
    for (int i = 0; i < ours->ndim; i++)
        if (ours->dims[i] != theirs->dims[i])
            return false;
    return true;
}

static bool read_tensor(CnntrainCheckpoint *c, Theirs t, float *out, char message[CNNTRAIN_MESSAGE])
{
    unsigned char piece[PIECE];
    const int64_t most = PIECE / t->size;
    bool good = true;
    if (t->kind == CNNRT_ST_F32)
        good = cnntrain_file_pread(c->fd, out, (size_t)(t->end - t->begin), c->data_at + t->begin);
    for (int64_t i = 0; good && t->kind != CNNRT_ST_F32 && i < t->count; i += most) {
        int64_t n = t->count - i < most ? t->count - i : most;
        good = cnntrain_file_pread(c->fd, piece, (size_t)(n * t->size),
                                   c->data_at + t->begin + (uint64_t)(i * t->size));
        if (good)
            cnnrt_st_convert(out + i, piece, t->kind, n);
    }
    return good || refuse(message, c, errno == 0 ? "was cut while it was read" : strerror(errno));
}

static bool load_all(CnntrainCheckpoint *c, Index *x, const CnntrainTensor *tensors, size_t count,
                     Table *table, char message[CNNTRAIN_MESSAGE])
{
    if (!index_make(x, c, message))
        return false;
    for (size_t i = 0; i < count; i++) {
        Theirs t = index_find(x, "", tensors[i].name);
        if (t == NULL || !same_shape(&tensors[i], t) || t->kind != CNNRT_ST_F32)
            add_misfit(table, &tensors[i], t);
    }
    for (size_t i = 0; i < x->count; i++)
        if (!x->used[i])
            add_left(table, x->at[i]);
    if (table->rows > 0) {
        char what[160];
        snprintf(what, sizeof what,
                 "is of another network or optimizer: %zu tensors differ (it can still be the "
                 "beginning of another run)",
                 table->rows);
        return refuse(message, c, what);
    }
    for (size_t i = 0; i < count; i++)
        if (!read_tensor(c, index_find(x, "", tensors[i].name), tensors[i].data, message))
            return false;
    return true;
}

bool cnntrain_checkpoint_load(CnntrainCheckpoint *c, const CnntrainTensor *tensors, size_t count,
                              char **report, char message[CNNTRAIN_MESSAGE])
{
    Index x = {0};
    Table table = {0};
    if (report != NULL)
        *report = NULL;
    bool good =
        cnntrain_checkpoint_verify(c, message) && load_all(c, &x, tensors, count, &table, message);
    index_free(&x);
    give_table(&table, report);
    return good;
}

static bool fit_all(CnntrainCheckpoint *c, Index *x, const char *prefix,
                    const CnntrainTensor *tensors, size_t count, CnntrainFit *fit, Table *table,
                    char message[CNNTRAIN_MESSAGE])
{
    if (!index_make(x, c, message))
        return false;
    for (size_t i = 0; i < count; i++) {
        Theirs t = index_find(x, prefix, tensors[i].name);
        bool fits = t != NULL && same_shape(&tensors[i], t) && t->kind != CNNRT_ST_INTEGER;
        if (fits && !read_tensor(c, t, tensors[i].data, message))
            return false;
        fit->copied += fits;
        fit->missing += t == NULL;
        fit->different += t != NULL && !fits;
        if (!fits)
            add_misfit(table, &tensors[i], t);
    }
    for (size_t i = 0; i < x->count; i++) {
        const char *name = x->at[i]->name;
        bool state = strncmp(name, "optimizer.", 10) == 0 || strncmp(name, "ema.", 4) == 0;
        /* with a prefix the plain values are the ones that were not wanted */
        if (x->used[i] || (*prefix == '\0' ? state : strncmp(name, prefix, strlen(prefix)) != 0))
            continue;
        fit->left++;
        add_left(table, x->at[i]);
    }
    return true;
}

bool cnntrain_checkpoint_fit(CnntrainCheckpoint *c, const char *prefix,
                             const CnntrainTensor *tensors, size_t count, CnntrainFit *fit,
                             char **report, char message[CNNTRAIN_MESSAGE])
{
    Index x = {0};
    Table table = {0};
    *fit = (CnntrainFit){0};
    if (report != NULL)
        *report = NULL;
    bool good = (!c->summed || cnntrain_checkpoint_verify(c, message)) &&
                fit_all(c, &x, prefix, tensors, count, fit, &table, message);
    index_free(&x);
    give_table(&table, report);
    return good;
}
