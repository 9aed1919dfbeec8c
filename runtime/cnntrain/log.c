#include "cnntrain/log.h"
#include "cnnrt/json.h"
#include "cnntrain/text.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JSONL, CSV, FILES, VALUE = 40, LINE = CNNTRAIN_FIELDS * 64 };

static const char *const endings[FILES] = {".jsonl", ".csv"};

typedef enum Kind { COUNT, SECONDS, REAL } Kind;

static const struct {
    const char *name;
    Kind kind;
} fields[CNNTRAIN_FIELDS] = {
#define FIELD(ID, NAME, KIND) {NAME, KIND},
#include "cnntrain/log.def"
};

struct CnntrainLog {
    int fd[FILES];
    char *path[FILES];
};

void cnntrain_record_set(CnntrainRecord *r, CnntrainField field, double value)
{
    r->set |= 1u << field;
    r->value[field] = value;
}

bool cnntrain_record_get(const CnntrainRecord *r, CnntrainField field, double *value)
{
    if ((r->set >> field & 1) == 0 || !isfinite(r->value[field]))
        return false;
    if (value != NULL)
        *value = r->value[field];
    return true;
}

const char *cnntrain_field_name(CnntrainField field)
{
    return fields[field].name;
}

static bool fail(char message[CNNTRAIN_MESSAGE], const char *path, const char *what)
{
    snprintf(message, CNNTRAIN_MESSAGE, "%.300s: %s", path, what != NULL ? what : strerror(errno));
    return false;
}

static const char *value_text(char out[VALUE], CnntrainField f, double v)
{
    if (!isfinite(v))
        snprintf(out, VALUE, "%s", isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
    else if (fields[f].kind != REAL && fabs(v) < 1e15)
        snprintf(out, VALUE, "%.*f", fields[f].kind == SECONDS ? 3 : 0, v);
    else
        snprintf(out, VALUE, "%.9g", v);
    return out;
}

static size_t format_line(char line[LINE], int file, const CnntrainRecord *r)
{
    char value[VALUE];
    size_t n = 0;
    const char *between = file == JSONL ? "{" : "";
    for (CnntrainField f = 0; f < CNNTRAIN_FIELDS; f++) {
        bool set = r->set >> f & 1;
        if (file == JSONL && set)
            n += (size_t)snprintf(line + n, LINE - n, "%s\"%s\":%s", between, fields[f].name,
                                  isfinite(r->value[f]) ? value_text(value, f, r->value[f])
                                                        : "null");
        if (file == CSV)
            n += (size_t)snprintf(line + n, LINE - n, "%s%s", between,
                                  set ? value_text(value, f, r->value[f]) : "");
        if (n > 0)
            between = ",";
        if (file == CSV)
            between = ",";
    }
    n += (size_t)snprintf(line + n, LINE - n, "%s", file == CSV ? "\n" : n == 0 ? "{}\n" : "}\n");
    return n;
}

static size_t format_header(char line[LINE])
{
    size_t n = 0;
    for (CnntrainField f = 0; f < CNNTRAIN_FIELDS; f++)
        n += (size_t)snprintf(line + n, LINE - n, "%s%s", f > 0 ? "," : "", fields[f].name);
    return n + (size_t)snprintf(line + n, LINE - n, "\n");
}

/* The step of a line that format_line wrote; -1 when it has none. */
static int64_t step_of(const char *line, int file)
{
    if (file == JSONL) {
        const char *at = strstr(line, "\"step\":");
        return at != NULL ? strtoll(at + 7, NULL, 10) : -1;
    }
    for (int f = 0; f < CNNTRAIN_LOG_STEP && line != NULL; f++) {
        line = strchr(line, ',');
        line += line != NULL;
    }
    return line != NULL && *line >= '0' && *line <= '9' ? strtoll(line, NULL, 10) : -1;
}

/* Where the part ends that stays: before the first line that is not whole, or of first_step and
 * later. false with a message. */
static bool find_end(FILE *in, const char *path, int file, int64_t first_step, off_t *end,
                     char message[CNNTRAIN_MESSAGE])
{
    char header[LINE], *line = NULL;
    size_t cap = 0;
    ssize_t n;
    bool good = true, cut = false;
    *end = 0;
    format_header(header);
    for (size_t row = 0; good && !cut && (n = getline(&line, &cap, in)) > 0; row++) {
        /* a crash can leave a part of a line, or zeros in its place */
        cut = line[n - 1] != '\n' || strlen(line) != (size_t)n;
        if (cut)
            break;
        if (file == CSV && row == 0)
            good = strcmp(line, header) == 0 || first_step <= 0;
        else
            cut = step_of(line, file) >= first_step;
        if (!cut)
            *end += n;
    }
    free(line);
    if (!good)
        return fail(message, path, "has other columns than this version writes: move it away");
    if (ferror(in))
        return fail(message, path, NULL);
    if (first_step <= 0)
        *end = 0;
    return true;
}

/* Cuts the file; makes it when there is none. */
static bool open_file(CnntrainLog *log, int file, int64_t first_step,
                      char message[CNNTRAIN_MESSAGE])
{
    const char *path = log->path[file];
    struct stat st;
    off_t end = 0;
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
    log->fd[file] = fd;
    if (fd < 0 || fstat(fd, &st) != 0)
        return fail(message, path, NULL);
    if (!S_ISREG(st.st_mode))
        return fail(message, path, "is not a regular file");
    int again = dup(fd);
    FILE *in = again >= 0 ? fdopen(again, "r") : NULL;
    if (in == NULL) {
        fail(message, path, NULL);
        if (again >= 0)
            close(again);
        return false;
    }
    bool good = find_end(in, path, file, first_step, &end, message);
    fclose(in);
    if (!good || (end < st.st_size && ftruncate(fd, end) != 0))
        return good ? fail(message, path, NULL) : false;
    return true;
}

/* Takes back what stands behind `end`. */
static void cut_back(const CnntrainLog *log, int file, off_t end)
{
    if (end >= 0)
        (void)!ftruncate(log->fd[file], end);
}

/* All or nothing; *end is where the file ended before. */
static bool append(const CnntrainLog *log, int file, const char *line, size_t n, off_t *end,
                   char message[CNNTRAIN_MESSAGE])
{
    ssize_t put;
    int fd = log->fd[file];
    *end = lseek(fd, 0, SEEK_END);
    do
        put = write(fd, line, n);
    while (put < 0 && errno == EINTR);
    if (put == (ssize_t)n)
        return true;
    if (put >= 0)
        errno = ENOSPC; /* the only reason for a part of a line */
    fail(message, log->path[file], NULL);
    if (put > 0)
        cut_back(log, file, *end);
    return false;
}

CnntrainLog *cnntrain_log_open(const char *name, int64_t first_step, char message[CNNTRAIN_MESSAGE])
{
    char header[LINE];
    off_t end;
    CnntrainLog *log = calloc(1, sizeof *log);
    bool good = log != NULL;
    for (int i = 0; good && i < FILES; i++)
        log->fd[i] = -1;
    for (int i = 0; good && i < FILES; i++)
        if (asprintf(&log->path[i], "%s%s", name, endings[i]) < 0) {
            log->path[i] = NULL;
            good = false;
        }
    if (!good) {
        fail(message, name, "out of memory");
        cnntrain_log_close(log);
        return NULL;
    }
    for (int i = 0; good && i < FILES; i++)
        good = open_file(log, i, first_step, message);
    if (good && lseek(log->fd[CSV], 0, SEEK_END) == 0)
        good = append(log, CSV, header, format_header(header), &end, message);
    if (good)
        return log;
    cnntrain_log_close(log);
    return NULL;
}

bool cnntrain_log_write(CnntrainLog *log, const CnntrainRecord *r, char message[CNNTRAIN_MESSAGE])
{
    char line[LINE];
    off_t end[FILES];
    for (int i = 0; i < FILES; i++) {
        if (append(log, i, line, format_line(line, i, r), &end[i], message))
            continue;
        /* both have it or none */
        while (i-- > 0)
            cut_back(log, i, end[i]);
        return false;
    }
    return true;
}

void cnntrain_log_close(CnntrainLog *log)
{
    if (log == NULL)
        return;
    for (int i = 0; i < FILES; i++) {
        if (log->fd[i] >= 0)
            close(log->fd[i]);
        free(log->path[i]);
    }
    free(log);
}

/* A line of JSON; null is NaN, and what is not known is left alone. */
static bool parse_record(const char *line, size_t n, CnntrainRecord *r)
{
    char key[64];
    const char *why;
    size_t where;
    *r = (CnntrainRecord){0};
    CnnrtJson c = {line, line + n};
    if (cnnrt_json_check(line, n, 1, 1000, &where, &why) != CNNRT_JSON_FINE ||
        cnnrt_json_kind(&c) != '{')
        return false;
    cnnrt_json_enter(&c);
    while (cnnrt_json_more(&c)) {
        CnnrtJson before = c;
        size_t len = cnnrt_json_key(&c, NULL);
        if (len < sizeof key) {
            c = before;
            cnnrt_json_key(&c, key);
        } else {
            key[0] = '\0';
        }
        char kind = cnnrt_json_kind(&c);
        for (CnntrainField f = 0; f < CNNTRAIN_FIELDS; f++)
            if (strcmp(key, fields[f].name) == 0 && (kind == '0' || kind == 'n'))
                cnntrain_record_set(r, f, kind == 'n' ? (double)NAN : strtod(c.at, NULL));
        cnnrt_json_skip(&c);
    }
    return true;
}

bool cnntrain_log_read(const char *path, CnntrainRecord **records, size_t *count, size_t *skipped,
                       char message[CNNTRAIN_MESSAGE])
{
    char *line = NULL;
    size_t cap = 0, room = 0;
    ssize_t n;
    bool good = true;
    *records = NULL;
    *count = *skipped = 0;
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return fail(message, path, NULL);
    while (good && (n = getline(&line, &cap, in)) > 0) {
        if (*count == room) {
            size_t want = room < 256 ? 256 : room * 2;
            CnntrainRecord *p =
                want > SIZE_MAX / sizeof *p ? NULL : realloc(*records, want * sizeof *p);
            good = p != NULL || fail(message, path, "out of memory");
            if (!good)
                break;
            *records = p;
            room = want;
        }
        if (parse_record(line, (size_t)n, *records + *count))
            (*count)++;
        else
            (*skipped)++;
    }
    free(line);
    if (good && ferror(in))
        good = fail(message, path, NULL);
    fclose(in);
    if (good)
        return true;
    free(*records);
    *records = NULL;
    *count = 0;
    return false;
}
