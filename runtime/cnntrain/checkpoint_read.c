/* Opening, checking and finding of checkpoints. Files are read, not mapped: a disk that fails
 * midway is a message then and no signal. */
#include "cnnrt/hash.h"
#include "cnnrt.h"
#include "cnntrain/checkpoint_file.h"
#include "cnntrain/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 1 << 20 };

static bool refuse(char message[CNNTRAIN_MESSAGE], const char *path, const char *what)
{
    /* errno 0 from a read: the file was longer when it was opened */
    snprintf(message, CNNTRAIN_MESSAGE, "%.300s: %s", path,
             what != NULL ? what
             : errno == 0 ? "was cut while it was read"
                          : strerror(errno));
    return false;
}

/* Whether the header has checksums, and whether its own is right. */
static bool check_header(CnntrainCheckpoint *c, char *head, size_t n,
                         char message[CNNTRAIN_MESSAGE])
{
    const size_t start = strlen(CNNTRAIN_HEADER_START);
    char digits[CNNTRAIN_DIGITS + 1], was[CNNTRAIN_DIGITS];
    const char *data = cnnrt_st_pair(&c->st, CNNTRAIN_DATA_KEY);
    c->summed = n >= start + CNNTRAIN_DIGITS && data != NULL &&
                memcmp(head, CNNTRAIN_HEADER_START, start) == 0;
    if (!c->summed)
        return (data == NULL && cnnrt_st_pair(&c->st, "header_xxh64") == NULL) ||
               refuse(message, c->path, "is damaged: one of its two checksums is missing");
    memcpy(was, head + start, CNNTRAIN_DIGITS);
    memset(head + start, '0', CNNTRAIN_DIGITS);
    cnntrain_checkpoint_digits(digits, cnnrt_hash(head, n));
    return memcmp(was, digits, CNNTRAIN_DIGITS) == 0 ||
           refuse(message, c->path, "is damaged: the checksum of its header differs");
}

static bool read_header(CnntrainCheckpoint *c, uint64_t size, char message[CNNTRAIN_MESSAGE])
{
    unsigned char first[CNNRT_ST_PREFIX];
    char wrong[CNNRT_ST_MESSAGE];
    size_t n = 0, have = size < sizeof first ? (size_t)size : sizeof first;
    if (!cnntrain_file_pread(c->fd, first, have, 0))
        return refuse(message, c->path, NULL);
    if (!cnnrt_st_prefix(first, have, size, &n, wrong))
        return refuse(message, c->path, wrong);
    char *head = malloc(n + 1);
    if (head == NULL)
        return refuse(message, c->path, "out of memory");
    c->data_at = CNNRT_ST_PREFIX + n;
    c->data_len = size - c->data_at;
    bool good =
        cnntrain_file_pread(c->fd, head, n, CNNRT_ST_PREFIX) || refuse(message, c->path, NULL);
    if (good && !cnnrt_st_parse(&c->st, head, n, c->data_len, wrong))
        good = refuse(message, c->path, wrong);
    good = good && check_header(c, head, n, message);
    free(head);
    return good;
}

CnntrainCheckpoint *cnntrain_checkpoint_open(const char *path, char message[CNNTRAIN_MESSAGE])
{
    uint64_t size = 0;
    CnntrainCheckpoint *c = calloc(1, sizeof *c);
    if (c == NULL || (c->path = strdup(path)) == NULL) {
        free(c);
        refuse(message, path, "out of memory");
        return NULL;
    }
    c->fd = cnntrain_file_open(path, &size, NULL, message);
    if (c->fd >= 0 && read_header(c, size, message))
        return c;
    cnntrain_checkpoint_close(c);
    return NULL;
}

bool cnntrain_checkpoint_verify(CnntrainCheckpoint *c, char message[CNNTRAIN_MESSAGE])
{
    char digits[CNNTRAIN_DIGITS + 1];
    CnnrtHash hash;
    if (c->verified)
        return true;
    if (!c->summed)
        return refuse(message, c->path,
                      "has no checksums: it was not written by a training run, or changed since");
    unsigned char *buffer = malloc(BUFFER);
    if (buffer == NULL)
        return refuse(message, c->path, "out of memory");
    cnnrt_hash_begin(&hash);
    bool good = true;
    for (uint64_t at = 0; good && at < c->data_len; at += BUFFER) {
        size_t n = c->data_len - at < BUFFER ? (size_t)(c->data_len - at) : BUFFER;
        good = cnntrain_file_pread(c->fd, buffer, n, c->data_at + at) ||
               refuse(message, c->path, NULL);
        if (good)
            cnnrt_hash_add(&hash, buffer, n);
    }
    free(buffer);
    cnntrain_checkpoint_digits(digits, cnnrt_hash_value(&hash));
    if (good && strcmp(digits, cnnrt_st_pair(&c->st, CNNTRAIN_DATA_KEY)) != 0)
        good = refuse(message, c->path, "is damaged: the checksum of its data differs");
    c->verified = good;
    return good;
}

void cnntrain_checkpoint_close(CnntrainCheckpoint *c)
{
    if (c == NULL)
        return;
    if (c->fd >= 0)
        close(c->fd);
    cnnrt_st_free(&c->st);
    free(c->path);
    free(c);
}

const char *cnntrain_checkpoint_path(const CnntrainCheckpoint *c)
{
    return c->path;
}

const char *cnntrain_checkpoint_pair(const CnntrainCheckpoint *c, const char *key)
{
    return cnnrt_st_pair(&c->st, key);
}

bool cnntrain_checkpoint_integer(const CnntrainCheckpoint *c, const char *key, int64_t *v)
{
    char *end;
    const char *s = cnnrt_st_pair(&c->st, key);
    if (s == NULL || (*s != '-' && (*s < '0' || *s > '9')))
        return false;
    errno = 0;
    long long got = strtoll(s, &end, 10);
    if (*end != '\0' || end == s || errno != 0)
        return false;
    *v = got;
    return true;
}

bool cnntrain_checkpoint_real(const CnntrainCheckpoint *c, const char *key, double *v)
{
    char *end;
    const char *s = cnnrt_st_pair(&c->st, key);
    if (s == NULL || *s == '\0' || *s == ' ')
        return false;
    double got = strtod(s, &end);
    if (*end != '\0')
        return false;
    *v = got;
    return true;
}

bool cnntrain_checkpoint_has(const CnntrainCheckpoint *c, const char *tensor)
{
    for (size_t i = 0; i < c->st.count; i++)
        if (strcmp(c->st.tensors[i].name, tensor) == 0)
            return true;
    return false;
}

typedef struct Candidate {
    CnntrainCheckpoint *c;
    int64_t step;
} Candidate;

/* Opens one; 1: it may be good, 0: there is none, -1: damaged, with a message. */
static int open_candidate(Candidate *out, const char *folder, const char *name,
                          char message[CNNTRAIN_MESSAGE])
{
    char *path = NULL;
    uint64_t size;
    bool missing = false;
    *out = (Candidate){.step = -1};
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        refuse(message, folder, "out of memory");
        return -1;
    }
    int fd = cnntrain_file_open(path, &size, &missing, message);
    if (fd >= 0) {
        close(fd);
        out->c = cnntrain_checkpoint_open(path, message);
    }
    free(path);
    if (out->c != NULL)
        cnntrain_checkpoint_integer(out->c, "step", &out->step);
    return out->c != NULL ? 1 : missing ? 0 : -1;
}

CnntrainFound cnntrain_checkpoint_find(const char *folder, CnntrainCheckpoint **out,
                                       CnntrainNotice *notice, void *ctx,
                                       char message[CNNTRAIN_MESSAGE])
{
    static const char *const names[] = {CNNTRAIN_LAST, CNNTRAIN_LAST ".prev", CNNTRAIN_BEST};
    enum { NAMES = sizeof names / sizeof names[0] };
    Candidate all[NAMES];
    char wrong[CNNTRAIN_MESSAGE]; /* of a file that is missing, too, which is no news */
    bool damaged = false;
    *out = NULL;
    for (int i = 0; i < NAMES; i++)
        if (open_candidate(&all[i], folder, names[i], wrong) < 0) {
            damaged = true;
            memcpy(message, wrong, sizeof wrong);
            if (notice != NULL)
                notice(ctx, message);
        }
    /* only those are read to their end that may be the result */
    while (*out == NULL) {
        int newest = -1;
        for (int i = 0; i < NAMES; i++)
            if (all[i].c != NULL && (newest < 0 || all[i].step > all[newest].step))
                newest = i;
        if (newest < 0)
            break;
        CnntrainCheckpoint *c = all[newest].c;
        all[newest].c = NULL;
        if (cnntrain_checkpoint_verify(c, message)) {
            *out = c;
            break;
        }
        damaged = true;
        if (notice != NULL)
            notice(ctx, message);
        cnntrain_checkpoint_close(c);
    }
    for (int i = 0; i < NAMES; i++)
        cnntrain_checkpoint_close(all[i].c);
    if (*out != NULL)
        return CNNTRAIN_FOUND;
    if (damaged)
        return CNNTRAIN_DAMAGED;
    refuse(message, folder, "has no checkpoint (" CNNTRAIN_LAST ", " CNNTRAIN_BEST ")");
    return CNNTRAIN_NONE;
}
