#include "support/fs.h"
#include "support/temp.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static _Thread_local char message[128];

const char *fs_error(void)
{
    /* the kernel could not read what was to be written: it lies in a mapped file */
    snprintf(message, sizeof message, "%s",
             errno == ENOMEM   ? "out of memory"
             : errno == EFAULT ? "an input was cut while it was read"
                               : strerror(errno));
    return message;
}

/* Opens a regular file; a FIFO or device would block or never end. */
static int open_regular(const char *path, struct stat *st, const char **err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        *err = fs_error();
        return -1;
    }
    *err = NULL;
    if (fstat(fd, st) != 0)
        *err = fs_error();
    else if (S_ISDIR(st->st_mode))
        *err = "is a directory";
    else if (!S_ISREG(st->st_mode))
        *err = "is not a regular file";
    if (*err == NULL)
        return fd;
    close(fd);
    return -1;
}

static char *read_stream(int fd, size_t hint, size_t limit, size_t *len, const char **err)
{
    *len = 0;
    size_t cap = hint < 4096 ? 4096 : hint + 1, used = 0;
    char *data = malloc(cap + 1);
    while (data != NULL) {
        ssize_t got = read(fd, data + used, cap - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            *err = fs_error();
            free(data);
            return NULL;
        }
        if (got == 0) {
            data[used] = '\0';
            *len = used;
            return data;
        }
        used += (size_t)got;
        if (used > limit) {
            *len = limit + 1;
            snprintf(message, sizeof message, "is larger than %zu bytes", limit);
            *err = message;
            free(data);
            return NULL;
        }
        if (used == cap) {
            char *grown = cap > SIZE_MAX / 2 - 1 ? NULL : realloc(data, cap * 2 + 1);
            if (grown == NULL)
                break;
            data = grown;
            cap *= 2;
        }
    }
    free(data);
    *err = "out of memory";
    return NULL;
}

char *fs_read(const char *path, size_t limit, size_t *len, const char **err)
{
    struct stat st;
    *len = 0;
    if (strcmp(path, "-") == 0)
        return read_stream(STDIN_FILENO, 0, limit, len, err);
    int fd = open_regular(path, &st, err);
    if (fd < 0)
        return NULL;
    if ((uintmax_t)st.st_size > limit) {
        *len = limit + 1;
        snprintf(message, sizeof message, "is larger than %zu bytes", limit);
        *err = message;
        close(fd);
        return NULL;
    }
    char *data = read_stream(fd, (size_t)st.st_size, limit, len, err);
    close(fd);
    return data;
}

FsMap fs_map(const char *path, const char **err)
{
    /* An empty file cannot be mapped; it is this one byte with length 0. */
    static const unsigned char empty[1];
    FsMap m = {0};
    struct stat st;
    int fd = open_regular(path, &st, err);
    if (fd < 0)
        return m;
    if (st.st_size == 0) {
        m.data = empty;
    } else {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            *err = fs_error();
        else
            m = (FsMap){p, (size_t)st.st_size};
        if (m.data != NULL)
            temp_map_add(m.data, m.len, path);
    }
    close(fd);
    return m;
}

void fs_unmap(FsMap *m)
{
    if (m->data != NULL && m->len > 0) {
        temp_map_drop(m->data);
        munmap((void *)(uintptr_t)m->data, m->len);
    }
    *m = (FsMap){0};
}

/* Permissions a new file would get. umask can only be read by setting it. */
static mode_t default_mode(void)
{
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

static bool open_in_place(FsOut *o, const char *path, const char **err)
{
    o->f = fopen(path, "wb");
    if (o->f == NULL)
        *err = fs_error();
    return o->f != NULL;
}

bool fs_open_out(FsOut *o, const char *path, const char **err)
{
    struct stat st;
    *o = (FsOut){0};
    if (strcmp(path, "-") == 0) {
        o->f = stdout;
        return true;
    }
    bool exists = stat(path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode)) {
        *err = "is a directory";
        return false;
    }
    if (exists && !S_ISREG(st.st_mode))
        return open_in_place(o, path, err);
    /* the file a link points to is replaced, not the link */
    char *real = exists ? realpath(path, NULL) : NULL;
    o->path = real != NULL ? real : strdup(path);
    if (o->path == NULL || asprintf(&o->tmp, "%s.XXXXXX", o->path) < 0) {
        o->tmp = NULL;
        *err = "out of memory";
        fs_abandon(o);
        return false;
    }
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): fs_abandon frees o->path */
    int fd = temp_file(o->tmp);
    if (fd < 0) {
        *err = fs_error();
        free(o->tmp);
        o->tmp = NULL;
        fs_abandon(o);
        return false;
    }
    if (fchmod(fd, exists ? st.st_mode & 07777 : default_mode()) != 0 ||
        (o->f = fdopen(fd, "wb")) == NULL) {
        *err = fs_error();
        close(fd);
        fs_abandon(o);
        return false;
    }
    return true;
}

bool fs_commit(FsOut *o, const char **err)
{
    bool ok = fflush(o->f) == 0 && ferror(o->f) == 0;
    if (!ok)
        *err = fs_error();
    if (o->f != stdout) {
        if (ok && o->tmp != NULL && fsync(fileno(o->f)) != 0 && errno != EINVAL) {
            ok = false;
            *err = fs_error();
        }
        if (fclose(o->f) != 0 && ok) {
            ok = false;
            *err = fs_error();
        }
    }
    o->f = NULL;
    if (ok && o->tmp != NULL && rename(o->tmp, o->path) != 0) {
        ok = false;
        *err = fs_error();
    }
    if (ok && o->tmp != NULL) {
        temp_drop(o->tmp);
        free(o->tmp);
        o->tmp = NULL;
    }
    fs_abandon(o);
    return ok;
}

void fs_abandon(FsOut *o)
{
    if (o->f != NULL && o->f != stdout)
        fclose(o->f);
    if (o->tmp != NULL) {
        unlink(o->tmp);
        temp_drop(o->tmp);
    }
    free(o->tmp);
    free(o->path);
    *o = (FsOut){0};
}

static bool make_executable(const FsOut *o)
{
    mode_t mode = default_mode();
    return o->tmp == NULL || fchmod(fileno(o->f), mode | (mode & 0444) >> 2) == 0;
}

bool fs_take(FsOut *o, const char *scratch, bool exec, const char **err)
{
    bool ok;
    *err = NULL;
    if (o->tmp == NULL) {
        FsMap m = fs_map(scratch, err);
        ok = m.data != NULL && fwrite(m.data, 1, m.len, o->f) == m.len;
        fs_unmap(&m);
    } else {
        /* the file that was opened may have been replaced by name */
        struct stat st;
        FILE *f = fopen(o->tmp, "r+be");
        ok = f != NULL && fstat(fileno(o->f), &st) == 0 &&
             fchmod(fileno(f), st.st_mode & 07777) == 0;
        if (f != NULL) {
            fclose(o->f);
            o->f = f;
        }
        ok = ok && (!exec || make_executable(o));
    }
    if (ok)
        return fs_commit(o, err);
    if (*err == NULL)
        *err = fs_error();
    fs_abandon(o);
    return false;
}

bool fs_write_all(const char *path, const void *data, size_t len, bool exec, const char **err)
{
    FsOut o;
    if (!fs_open_out(&o, path, err))
        return false;
    if (len > 0 && fwrite(data, 1, len, o.f) != len) {
        *err = fs_error();
        fs_abandon(&o);
        return false;
    }
    if (exec && !make_executable(&o)) {
        *err = fs_error();
        fs_abandon(&o);
        return false;
    }
    return fs_commit(&o, err);
}

bool fs_map_out(FsMapOut *m, const char *path, size_t len, const char **err)
{
    *m = (FsMapOut){.len = len};
    if (!fs_open_out(&m->out, path, err))
        return false;
    if (m->out.tmp == NULL) {
        *err = "not a regular file";
        fs_abandon(&m->out);
        return false;
    }
    if (len == 0)
        return true;
    int fd = fileno(m->out.f), why;
    while ((why = posix_fallocate(fd, 0, (off_t)len)) == EINTR)
        ;
    void *p = MAP_FAILED;
    if (why == 0) {
        p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        why = errno;
    }
    if (p == MAP_FAILED) {
        errno = why;
        *err = fs_error();
        fs_abandon(&m->out);
        return false;
    }
    m->data = p;
    return true;
}

static void unmap_out(FsMapOut *m)
{
    if (m->data != NULL)
        munmap(m->data, m->len);
    m->data = NULL;
}

bool fs_map_commit(FsMapOut *m, const char **err)
{
    unmap_out(m);
    return fs_commit(&m->out, err);
}

void fs_map_abandon(FsMapOut *m)
{
    unmap_out(m);
    fs_abandon(&m->out);
}

/* This environment with another TMPDIR, its first entry, to be freed apart; NULL when memory is
 * gone. */
static char **with_tmpdir(const char *folder)
{
    size_t count = 0, n = 0;
    while (environ[count] != NULL)
        count++;
    char **env = malloc((count + 2) * sizeof *env);
    if (env == NULL)
        return NULL;
    if (asprintf(&env[n++], "TMPDIR=%s", folder) < 0) {
        free(env);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "TMPDIR=", 7) != 0)
            env[n++] = environ[i];
    env[n] = NULL;
    return env;
}

int fs_spawn(const char *const *argv, const char *folder, const char **err)
{
    char **env = with_tmpdir(folder);
    int status, e = env != NULL ? temp_spawn(argv, env) : ENOMEM;
    if (env != NULL)
        free(env[0]);
    free(env);
    *err = NULL;
    if (e != 0) {
        errno = e;
        *err = fs_error();
        return -1;
    }
    if (temp_reap(&status) < 0) {
        *err = fs_error();
        return -1;
    }
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    *err = "killed by a signal";
    return -1;
}

const char *fs_program(Arena *a, const char *name)
{
    if (strchr(name, '/') != NULL)
        return access(name, X_OK) == 0 ? name : NULL;
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        size_t n = strcspn(path, ":");
        const char *full = arena_printf(a, "%.*s/%s", (int)n, path, name);
        if (access(full, X_OK) == 0)
            return full;
        path += n + (path[n] == ':');
    }
    return NULL;
}
