/* Tar shards in the layout of WebDataset: the files of a sample stand together and share the name
 * up to the first dot; NAME.jpg (jpeg, png) is the picture and NAME.cls its label in decimal. The
 * shards are read through once for an index; samples are then read where they lie, in any order. */
#include "archive_lib.h"
#include "set.h"
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHARDS_MAX = 1000 * 1000 };

typedef struct TarSample {
    size_t name; /* in texts */
    int64_t at, size;
    int32_t shard, label;
} TarSample;

typedef struct Shard {
    char *path;
    int64_t size;
} Shard;

typedef struct Tar {
    Shard *shards;
    int64_t shard_count, shard_capacity;
    CnndataTexts texts;
    TarSample *samples;
    int64_t capacity;
} Tar;

/* The sample whose files are being met. */
typedef struct Pending {
    CnndataTexts key, picture; /* name up to the dot; the picture's own name */
    bool has_picture, has_label, any;
    int64_t at, size;
    int64_t label;
} Pending;

typedef struct Scan {
    CnndataSet *set;
    Tar *tar;
    int32_t shard;
    int fd;
    const CnndataArchiveLib *lib;
    struct archive *archive;
    Pending now;
    CnndataError e;
} Scan;

static const char *path_of(const Scan *s)
{
    return s->tar->shards[s->shard].path;
}

static int no_memory(const Scan *s)
{
    return cnndata_fail(s->e, CNNDATA_NO_MEMORY, "%s: out of memory", path_of(s));
}

/* Ends the sample that was being met. */
static int finish(Scan *s)
{
    Pending *p = &s->now;
    Tar *x = s->tar;
    bool picture = p->has_picture, label = p->has_label;
    p->has_picture = p->has_label = p->any = false;
    if (!picture && !label)
        return CNNDATA_OK;
    if (!picture || !label)
        return cnndata_fail(s->e, CNNDATA_DAMAGED,
                            "%s: '%s' has no %s beside it; a sample is NAME.jpg (or png) followed "
                            "by NAME.cls",
                            path_of(s), p->key.at, picture ? "label (.cls)" : "picture");
    TarSample *more = cnndata_grow(x->samples, s->set->count, &x->capacity, sizeof *more);
    if (more == NULL)
        return no_memory(s);
    x->samples = more;
    TarSample *t = &x->samples[s->set->count];
    *t = (TarSample){0, p->at, p->size, s->shard, (int32_t)p->label};
    if (!cnndata_texts_add(&x->texts, p->picture.at, &t->name))
        return no_memory(s);
    s->set->count++;
    if (p->label >= s->set->classes)
        s->set->classes = p->label + 1;
    return CNNDATA_OK;
}

static int read_label(Scan *s, const char *name, int64_t at, int64_t size)
{
    char text[32], seen[sizeof text], *end = text;
    if (size < 1 || size >= (int64_t)sizeof text)
        return cnndata_fail(s->e, CNNDATA_DAMAGED, "%s: %s is no label: %" PRId64 " bytes",
                            path_of(s), name, size);
    if (!cnndata_read_at(s->fd, text, (size_t)size, at))
        return cnndata_fail(s->e, CNNDATA_DAMAGED, "%s: truncated at %s", path_of(s), name);
    /* what the archive library reads must be what lies where we shall read later */
    if (s->lib->archive_read_data(s->archive, seen, (size_t)size) != size ||
        memcmp(text, seen, (size_t)size) != 0)
        return cnndata_fail(s->e, CNNDATA_DAMAGED,
                            "%s: %s is not stored in one piece; make the archive anew with plain "
                            "tar",
                            path_of(s), name);
    text[size] = '\0';
    long label = strtol(text, &end, 10);
    if (end == text || end[strspn(end, " \t\r\n")] != '\0' || label < 0 ||
        label >= CNNDATA_CLASSES_MAX)
        return cnndata_fail(s->e, CNNDATA_DAMAGED, "%s: %s is no label from 0 to %d", path_of(s),
                            name, (int)CNNDATA_CLASSES_MAX - 1);
    s->now.label = label;
    s->now.has_label = true;
    return CNNDATA_OK;
}

/* Starts another sample when the name up to the dot is another one. */
static int turn_to(Scan *s, const char *name, size_t stem)
{
    Pending *p = &s->now;
    size_t at;
    int status = CNNDATA_OK;
    if (p->any && strncmp(p->key.at, name, stem) == 0 && p->key.at[stem] == '\0')
        return status;
    status = finish(s);
    p->key.len = 0;
    if (status == CNNDATA_OK && !cnndata_texts_add(&p->key, name, &at))
        status = no_memory(s);
    if (status == CNNDATA_OK)
        p->key.at[stem] = '\0';
    p->any = status == CNNDATA_OK;
    return status;
}

static int take_entry(Scan *s, struct archive_entry *entry)
{
    const char *name = s->lib->archive_entry_pathname(entry);
    if (name == NULL) /* not to be said in the current locale */
        name = s->lib->archive_entry_pathname_utf8(entry);
    const int64_t at = s->lib->archive_filter_bytes(s->archive, 0),
                  size = s->lib->archive_entry_size(entry);
    const char *base = name == NULL ? NULL : strrchr(name, '/');
    base = base == NULL ? name : base + 1;
    const char *dot = base == NULL ? NULL : strchr(base, '.');
    if (dot == NULL || s->lib->archive_entry_filetype(entry) != AE_IFREG ||
        s->lib->archive_entry_hardlink(entry) != NULL)
        return CNNDATA_OK;
    bool label = strcasecmp(dot, ".cls") == 0;
    if (!label && strcasecmp(dot, ".jpg") != 0 && strcasecmp(dot, ".jpeg") != 0 &&
        strcasecmp(dot, ".png") != 0)
        return CNNDATA_OK;
    int status = turn_to(s, name, (size_t)(dot - name));
    if (status != CNNDATA_OK)
        return status;
    if (at < 0 || size < 0 || size > CNNDATA_FILE_MAX || at > s->tar->shards[s->shard].size - size)
        return cnndata_fail(s->e, CNNDATA_DAMAGED,
                            "%s: truncated: %s goes beyond its end, or is too large", path_of(s),
                            name);
    if (label ? s->now.has_label : s->now.has_picture)
        return cnndata_fail(s->e, CNNDATA_DAMAGED, "%s: '%s' has two %s", path_of(s), s->now.key.at,
                            label ? "labels" : "pictures");
    if (s->lib->archive_entry_sparse_count(entry) > 0)
        return cnndata_fail(s->e, CNNDATA_DAMAGED,
                            "%s: %s is stored with holes; make the archive anew with plain tar",
                            path_of(s), name);
    if (label)
        return read_label(s, name, at, size);
    size_t zero;
    s->now.picture.len = 0;
    if (!cnndata_texts_add(&s->now.picture, name, &zero))
        return no_memory(s);
    s->now.has_picture = true;
    s->now.at = at;
    s->now.size = size;
    return CNNDATA_OK;
}

static int refuse(const Scan *s)
{
    static const struct {
        const char *magic, *by;
    } packed[] = {{"\x1f\x8b", "gunzip"},
                  {"BZh", "bunzip2"},
                  {"\xfd"
                   "7z",
                   "unxz"},
                  {"\x28\xb5\x2f", "unzstd"}};
    char head[4] = "";
    const char *why = s->lib->archive_error_string(s->archive);
    if (s->lib->archive_errno(s->archive) == ENOMEM)
        return no_memory(s);
    for (size_t i = 0; cnndata_read_at(s->fd, head, 3, 0) && i < sizeof packed / sizeof packed[0];
         i++)
        if (strncmp(head, packed[i].magic, strlen(packed[i].magic)) == 0)
            return cnndata_fail(s->e, CNNDATA_DAMAGED,
                                "%s: compressed, so that samples cannot be read at random; unpack "
                                "it with %s",
                                path_of(s), packed[i].by);
    return cnndata_fail(s->e, CNNDATA_DAMAGED, "%s: not a tar archive, or damaged: %s", path_of(s),
                        why == NULL ? "it ends too early" : why);
}

static int scan_entries(Scan *s)
{
    struct archive_entry *entry;
    int status = CNNDATA_OK, r = ARCHIVE_OK;
    if (s->lib->archive_read_support_format_tar(s->archive) != ARCHIVE_OK)
        return no_memory(s);
    if (s->lib->archive_read_open_filename(s->archive, path_of(s), 1 << 16) != ARCHIVE_OK)
        return refuse(s);
    while (status == CNNDATA_OK &&
           ((r = s->lib->archive_read_next_header(s->archive, &entry)) == ARCHIVE_OK ||
            r == ARCHIVE_WARN))
        status = take_entry(s, entry);
    if (status == CNNDATA_OK && r != ARCHIVE_EOF)
        status = refuse(s);
    return status == CNNDATA_OK ? finish(s) : status;
}

static int scan_shard(CnndataSet *set, int32_t shard, CnndataError e)
{
    Scan s = {.set = set, .tar = set->own, .shard = shard, .e = e};
    Shard *of = &s.tar->shards[shard];
    int status = CNNDATA_OK;
    const char *why;
    s.fd = cnndata_open_file(of->path, &of->size, &status, e);
    if (s.fd < 0)
        return status;
    s.lib = cnndata_archive_lib(&why);
    if (s.lib == NULL) {
        close(s.fd);
        return cnndata_fail(
            e, CNNDATA_NO_FILE,
            "%s: tar shards need libarchive, which cannot be opened: %s; install it "
            "(Debian: libarchive13), or unpack the shards into folders",
            of->path, why);
    }
    s.archive = s.lib->archive_read_new();
    status = s.archive == NULL ? no_memory(&s) : scan_entries(&s);
    s.lib->archive_read_free(s.archive);
    free(s.now.key.at);
    free(s.now.picture.at);
    close(s.fd);
    return status;
}

static int add_shard(Tar *x, const char *path, CnndataError e)
{
    Shard *more = cnndata_grow(x->shards, x->shard_count, &x->shard_capacity, sizeof *more);
    x->shards = more == NULL ? x->shards : more;
    if (more == NULL || (x->shards[x->shard_count].path = strdup(path)) == NULL)
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
    x->shard_count++;
    return CNNDATA_OK;
}

/* CNNDATA_NO_FILE without a message when nothing matches. */
static int add_matches(Tar *x, const char *pattern, CnndataError e)
{
    glob_t found = {0};
    errno = 0;
    int status = CNNDATA_OK, r = glob(pattern, GLOB_BRACE, NULL, &found);
    if (r == GLOB_NOSPACE || (r != 0 && errno == ENOMEM))
        status = cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", pattern);
    else if (r != 0 || found.gl_pathc == 0)
        status = CNNDATA_NO_FILE;
    else if (found.gl_pathc > SHARDS_MAX)
        status = cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "%s: matches over %d files", pattern,
                              (int)SHARDS_MAX);
    for (size_t i = 0; status == CNNDATA_OK && i < found.gl_pathc; i++)
        status = add_shard(x, found.gl_pathv[i], e);
    globfree(&found);
    return status;
}

/* The shards that a text means: a file, whatever its name contains; what a pattern matches, in the
 * order of names; of a folder those that are named after the split. */
static int find_shards(Tar *x, const char *path, CnndataSplit split, CnndataError e)
{
    static const char *const named[2][2] = {{"train", "train"}, {"val", "test"}};
    bool folder = cnndata_is_folder(path);
    int status = CNNDATA_NO_FILE;
    if (cnndata_is_file(path))
        return add_shard(x, path, e);
    if (!folder)
        status = add_matches(x, path, e);
    for (int i = 0; folder && i < 2 && status == CNNDATA_NO_FILE; i++) {
        char *pattern = cnndata_text("%s/%s*.tar", path, named[split == CNNDATA_VAL][i]);
        status = pattern == NULL ? cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path)
                                 : add_matches(x, pattern, e);
        free(pattern);
    }
    if (status == CNNDATA_NO_FILE)
        cnndata_fail(e, status,
                     "%s: %s; give a tar file, a pattern ('shards/train-*.tar'), or a folder with "
                     "train*.tar and val*.tar",
                     path,
                     !folder                ? "no such file, and no file matches it"
                     : split == CNNDATA_VAL ? "no val*.tar or test*.tar in this folder"
                                            : "no train*.tar in this folder");
    return status;
}

static int tar_open(CnndataSet *set, const char *path, CnndataSplit split, CnndataError e)
{
    Tar *x = set->own = calloc(1, sizeof *x);
    if (x == NULL)
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
    int status = find_shards(x, path, split, e);
    for (int32_t i = 0; status == CNNDATA_OK && i < (int32_t)x->shard_count; i++)
        status = scan_shard(set, i, e);
    if (status == CNNDATA_OK && set->count == 0)
        status = cnndata_fail(e, CNNDATA_DAMAGED,
                              "%s: no samples in it: pairs NAME.jpg (or png) and NAME.cls", path);
    return status;
}

static void tar_name_of(const CnndataSet *set, int64_t i, char *out, size_t len)
{
    const Tar *x = set->own;
    const TarSample *t = &x->samples[i];
    snprintf(out, len, "%s: %s", x->shards[t->shard].path, x->texts.at + t->name);
}

static int tar_sample(const CnndataSet *set, int64_t i, CnndataScratch *bytes, CnndataImage *out,
                      int32_t *label, CnndataError e)
{
    const Tar *x = set->own;
    const TarSample *t = &x->samples[i];
    const Shard *shard = &x->shards[t->shard];
    char name[1024], why[CNNDATA_ERROR_MAX];
    int64_t size = 0;
    int status = CNNDATA_OK, fd = cnndata_open_file(shard->path, &size, &status, e);
    if (fd < 0)
        return status;
    tar_name_of(set, i, name, sizeof name);
    if (size != shard->size)
        status =
            cnndata_fail(e, CNNDATA_DAMAGED, "%s: has changed since it was opened", shard->path);
    else if (cnndata_scratch(bytes, (size_t)t->size) == NULL)
        status = cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", name);
    else if (!cnndata_read_at(fd, bytes->at, (size_t)t->size, t->at))
        status = cnndata_fail(e, CNNDATA_NO_FILE, "%s: cannot be read", name);
    close(fd);
    if (status != CNNDATA_OK)
        return status;
    *label = t->label;
    status = cnndata_decode(out, bytes->at, (size_t)t->size, (CnndataError){why, sizeof why});
    return status == CNNDATA_OK ? status : cnndata_fail(e, status, "%s: %s", name, why);
}

static void tar_close(CnndataSet *set)
{
    Tar *x = set->own;
    for (int64_t i = 0; i < x->shard_count; i++)
        free(x->shards[i].path);
    free(x->shards);
    free(x->texts.at);
    free(x->samples);
    free(x);
}

const CnndataKind cnndata_tar = {"tar", tar_open, tar_sample, tar_name_of, tar_close};
