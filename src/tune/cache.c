#include "tune/cache.h"
#include "support/buf.h"
#include "support/fs.h"
#include "rng.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char heading[] = "cnnc tiles 1\n";
enum { FILE_LIMIT = 64 << 20, SUM_DIGITS = 16 };

void tune_key(const Kernel *k, const Target *t, TuneHow how, Buf *out)
{
    Kernel plain = *k;
    plain.tile = (Tile){0};
    buf_printf(out, "%s threads=%d %s%s ", t->cpu, how.threads, how.far ? "far" : "near",
               t->exact_conv ? " exact" : "");
    family_key(&plain, t, out);
}

const char *tune_path(Arena *a, const char *cpu, const char *compiler)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    /* the specification of base directories has relative paths ignored */
    if (cache != NULL && cache[0] == '/')
        return arena_printf(a, "%s/cnnc/tiles-%s-%s.txt", cache, cpu, compiler);
    if (home != NULL && home[0] == '/')
        return arena_printf(a, "%s/.cache/cnnc/tiles-%s-%s.txt", home, cpu, compiler);
    return NULL;
}

static void print_row(const TuneRow *row, Buf *out)
{
    const Tile *t = &row->tile;
    Buf rest = {0};
    buf_printf(&rest, "%d %d %d %d %d %d %d %d %.3f %.3f %d %s", t->ocv, t->px, t->rb, t->kc,
               t->flat, t->split_oc, t->prefetch, t->winograd, row->us, row->rule_us, row->tried,
               row->key);
    if (buf_ok(&rest))
        buf_printf(out, "%016" PRIx64 " %s\n", rng_key(rest.at, 1), rest.at);
    out->failed = out->failed || !buf_ok(&rest);
    buf_free(&rest);
}

/* The number before the next blank, which is passed over; false when there is none. */
static bool parse_number(const char **at, double *out)
{
    char *end;
    *out = strtod(*at, &end);
    if (end == *at || *end != ' ' || *out != *out || *out < -INT32_MAX || *out > INT32_MAX)
        return false;
    *at = end + 1;
    return true;
}

/* A line without its end, which is NUL; false when it is damaged. */
static bool parse_row(TuneCache *c, const char *line)
{
    enum { FIELDS = 11 };
    double v[FIELDS];
    char sum[SUM_DIGITS + 1];
    if (strlen(line) <= SUM_DIGITS || line[SUM_DIGITS] != ' ')
        return false;
    const char *at = line + SUM_DIGITS + 1;
    snprintf(sum, sizeof sum, "%016" PRIx64, rng_key(at, 1));
    if (memcmp(sum, line, SUM_DIGITS) != 0)
        return false;
    for (int i = 0; i < FIELDS; i++)
        if (!parse_number(&at, &v[i]))
            return false;
    TuneRow row = {.key = arena_strdup(c->arena, at),
                   .tile = {.ocv = (int)v[0],
                            .px = (int)v[1],
                            .rb = (int)v[2],
                            .kc = (int)v[3],
                            .flat = v[4] != 0,
                            .split_oc = v[5] != 0,
                            .prefetch = v[6] != 0,
                            .winograd = (int)v[7]},
                   .us = v[8],
                   .rule_us = v[9],
                   .tried = (int)v[10]};
    vec_push(c->arena, &c->all, row);
    return true;
}

static const char *parse(TuneCache *c, char *text, size_t len)
{
    size_t head = sizeof heading - 1;
    if (len < head || memcmp(text, heading, head) != 0)
        return "it does not begin as such a file does";
    int number = 1;
    for (char *line = text + head; line < text + len;) {
        char *end = memchr(line, '\n', (size_t)(text + len - line));
        number++;
        if (end != NULL)
            *end = '\0';
        if (end == NULL || strlen(line) != (size_t)(end - line) || !parse_row(c, line))
            return arena_printf(c->arena, "line %d is damaged", number);
        line = end + 1;
    }
    return NULL;
}

bool tune_read(TuneCache *c, Arena *a, const char *path, const char **err)
{
    size_t len;
    *c = (TuneCache){.arena = a, .how = c->how};
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    char *text = fs_read(path, FILE_LIMIT, &len, err);
    if (text == NULL)
        return false;
    *err = parse(c, text, len);
    free(text);
    if (*err != NULL)
        c->all.len = 0;
    return *err == NULL;
}

const TuneRow *tune_find(const TuneCache *c, const char *key)
{
    for (uint32_t i = c->all.len; i-- > 0;)
        if (strcmp(c->all.at[i].key, key) == 0)
            return &c->all.at[i];
    return NULL;
}

bool tune_find_tile(void *cache, const Kernel *k, const Target *t, Tile *out)
{
    const TuneCache *c = cache;
    Buf key = {0};
    tune_key(k, t, c->how, &key);
    const TuneRow *row = buf_ok(&key) ? tune_find(c, key.at) : NULL;
    buf_free(&key);
    if (row != NULL)
        *out = row->tile;
    return row != NULL;
}

/* Every folder above the file. */
static bool make_folders(char *path)
{
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        int made = mkdir(path, 0700);
        *at = '/';
        if (made != 0 && errno != EEXIST)
            return false;
    }
    return true;
}

static bool rewrite(const char *path, const TuneRow *row, OomHandler *oom, const char **err)
{
    Arena a;
    TuneCache c = {0};
    Buf text = {0};
    arena_init(&a, oom, 0);
    (void)tune_read(&c, &a, path, err); /* damaged: begun anew */
    buf_add(&text, heading);
    for (uint32_t i = 0; i < c.all.len; i++)
        if (strcmp(c.all.at[i].key, row->key) != 0)
            print_row(&c.all.at[i], &text);
    print_row(row, &text);
    bool ok = buf_ok(&text);
    if (!ok)
        *err = "out of memory";
    ok = ok && fs_write_all(path, text.at, text.len, false, err);
    buf_free(&text);
    arena_free(&a);
    return ok;
}

bool tune_add(const char *path, const TuneRow *row, OomHandler *oom, const char **err)
{
    char *lock = NULL;
    if (asprintf(&lock, "%s.lock", path) < 0) {
        *err = "out of memory";
        return false;
    }
    int fd = -1;
    if (make_folders(lock))
        fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        if (errno == EINTR)
            continue;
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        *err = fs_error();
    bool ok = fd >= 0 && rewrite(path, row, oom, err);
    if (fd >= 0)
        close(fd);
    free(lock);
    return ok;
}
