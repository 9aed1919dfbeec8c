#include "tune/cache.h"
#include "support/buf.h"
#include "support/fs.h"
#include "rng.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_LIMIT = 64 << 20, SUM_DIGITS = 16, TILE_FIELDS = 10, CPU_FIELDS = 8 };

static const char *heading(TuneHow how)
{
    return how.batch > 0 ? "cnnc tiles of GPUs 2\n" : "cnnc tiles 1\n";
}

/* How many numbers of a line are a tile. */
static int tile_fields(bool gpu)
{
    return gpu ? TILE_FIELDS : CPU_FIELDS;
}

/* A tile as those numbers, and back. */
static void tile_numbers(const Tile *t, bool gpu, int out[TILE_FIELDS])
{
    const CudaTile *c = &t->cuda;
    const int here[TILE_FIELDS] = {t->ocv,  t->px,       t->rb,       t->kc,
                                   t->flat, t->split_oc, t->prefetch, t->winograd};
    const int there[TILE_FIELDS] = {c->threads, c->m,  c->n,          c->k,      c->tm,
                                    c->tn,      t->px, (int)c->dtype, c->stages, c->group};
    for (int i = 0; i < TILE_FIELDS; i++)
        out[i] = gpu ? there[i] : here[i];
}

static Tile tile_of(const double v[TILE_FIELDS], bool gpu)
{
    int n[TILE_FIELDS];
    for (int i = 0; i < TILE_FIELDS; i++)
        n[i] = (int)v[i];
    if (gpu) /* what is no tile of the kernel's, no build will take */
        return (Tile){.ocv = 1,
                      .px = n[6],
                      .cuda = {.threads = n[0],
                               .m = n[1],
                               .n = n[2],
                               .k = n[3],
                               .tm = n[4],
                               .tn = n[5],
                               .dtype = (Dtype)n[7],
                               .stages = n[8],
                               .group = n[9] != 0}};
    return (Tile){.ocv = n[0],
                  .px = n[1],
                  .rb = n[2],
                  .kc = n[3],
                  .flat = n[4] != 0,
                  .split_oc = n[5] != 0,
                  .prefetch = n[6] != 0,
                  .winograd = n[7]};
}

void tune_key(const Kernel *k, const Target *t, TuneHow how, Buf *out)
{
    Kernel plain = *k;
    plain.tile = (Tile){0};
    if (how.batch > 0)
        buf_printf(out, "%s %s batch=%d ", t->cpu, dtype_info[t->dtype].name, how.batch);
    else
        buf_printf(out, "%s threads=%d %s%s ", t->cpu, how.threads, how.far ? "far" : "near",
                   t->exact_conv ? " exact" : "");
    if (plain.fetch > 0) { /* the planner's, after the tile is chosen */
        plain.fetch = 0;
        plain.extra_count--;
    }
    family_key(&plain, t, out);
}

const char *tune_path(Arena *a, const char *cpu, const char *compiler)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *name = arena_strdup(a, cpu);
    for (char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr(".-_", *c) == NULL)
            *c = '_';
    /* the specification of base directories has relative paths ignored */
    if (cache != NULL && cache[0] == '/')
        return arena_printf(a, "%s/cnnc/tiles-%s-%s.txt", cache, name, compiler);
    if (home != NULL && home[0] == '/')
        return arena_printf(a, "%s/.cache/cnnc/tiles-%s-%s.txt", home, name, compiler);
    return NULL;
}

static void print_row(const TuneRow *row, bool gpu, Buf *out)
{
    int n[TILE_FIELDS];
    Buf rest = {0};
    tile_numbers(&row->tile, gpu, n);
    for (int i = 0; i < tile_fields(gpu); i++)
        buf_printf(&rest, "%d ", n[i]);
    buf_printf(&rest, "%.3f %.3f %d %s", row->us, row->rule_us, row->tried, row->key);
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
    enum { TIMES = 3 };
    bool gpu = c->how.batch > 0;
    double v[TILE_FIELDS] = {0}, times[TIMES];
    char sum[SUM_DIGITS + 1];
    if (strlen(line) <= SUM_DIGITS || line[SUM_DIGITS] != ' ')
        return false;
    const char *at = line + SUM_DIGITS + 1;
    snprintf(sum, sizeof sum, "%016" PRIx64, rng_key(at, 1));
    if (memcmp(sum, line, SUM_DIGITS) != 0)
        return false;
    for (int i = 0; i < tile_fields(gpu); i++)
        if (!parse_number(&at, &v[i]))
            return false;
    for (int i = 0; i < TIMES; i++)
        if (!parse_number(&at, &times[i]))
            return false;
    TuneRow row = {.key = arena_strdup(c->arena, at),
                   .tile = tile_of(v, gpu),
                   .us = times[0],
                   .rule_us = times[1],
                   .tried = (int)times[2]};
    vec_push(c->arena, &c->all, row);
    return true;
}

static const char *parse(TuneCache *c, char *text, size_t len)
{
    size_t head = strlen(heading(c->how));
    if (len < head || memcmp(text, heading(c->how), head) != 0)
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

static bool rewrite(const char *path, const TuneRow *row, TuneHow how, OomHandler *oom,
                    const char **err)
{
    Arena a;
    TuneCache c = {.how = how};
    Buf text = {0};
    arena_init(&a, oom, 0);
    (void)tune_read(&c, &a, path, err); /* damaged: begun anew */
    buf_add(&text, heading(how));
    for (uint32_t i = 0; i < c.all.len; i++)
        if (strcmp(c.all.at[i].key, row->key) != 0)
            print_row(&c.all.at[i], how.batch > 0, &text);
    print_row(row, how.batch > 0, &text);
    bool ok = buf_ok(&text);
    if (!ok)
        *err = "out of memory";
    ok = ok && fs_write_all(path, text.at, text.len, false, err);
    buf_free(&text);
    arena_free(&a);
    return ok;
}

bool tune_add(const char *path, const TuneRow *row, TuneHow how, OomHandler *oom, const char **err)
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
    bool ok = fd >= 0 && rewrite(path, row, how, oom, err);
    if (fd >= 0)
        close(fd);
    free(lock);
    return ok;
}
