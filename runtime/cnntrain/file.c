#include "cnntrain/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 30, NAME = 300 };

static bool fail(char message[CNNTRAIN_MESSAGE], const char *path, const char *what)
{
    int why = errno;
    snprintf(message, CNNTRAIN_MESSAGE, "%.*s: %s%s%s", NAME, path, what,
             why == ENOMEM ? "out of memory" : strerror(why),
             why == ENOSPC || why == EDQUOT || why == EFBIG
                 ? "; nothing was changed: free space or choose another folder"
                 : "");
    return false;
}

bool cnntrain_file_create(CnntrainFile *f, const char *path, char message[CNNTRAIN_MESSAGE])
{
    struct stat st;
    *f = (CnntrainFile){.fd = -1};
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        snprintf(message, CNNTRAIN_MESSAGE, "%.*s: is not a regular file", NAME, path);
        return false;
    }
    f->path = strdup(path);
    if (asprintf(&f->tmp, "%s.tmp", path) < 0)
        f->tmp = NULL;
    if (f->path != NULL && f->tmp != NULL) {
        /* what a killed process left, or a link somebody has put there */
        unlink(f->tmp);
        f->fd = open(f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } else {
        errno = ENOMEM;
    }
    if (f->fd >= 0)
        return true;
    fail(message, path, "");
    free(f->path);
    free(f->tmp);
    *f = (CnntrainFile){.fd = -1};
    return false;
}

bool cnntrain_file_write(CnntrainFile *f, const void *data, size_t n,
                         char message[CNNTRAIN_MESSAGE])
{
    const char *p = data;
    while (n > 0) {
        ssize_t put = write(f->fd, p, n < PIECE ? n : PIECE);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail(message, f->path, "");
        p += put;
        n -= (size_t)put;
    }
    return true;
}

static bool sync_folder(const char *path)
{
    char *dir = strdup(path);
    if (dir == NULL) {
        errno = ENOMEM;
        return false;
    }
    char *slash = strrchr(dir, '/');
    if (slash != NULL)
        slash[slash == dir ? 1 : 0] = '\0';
    int fd = open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(dir);
    if (fd < 0)
        return false;
    /* some file systems cannot, and need not */
    bool good = fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
    int why = errno;
    close(fd);
    errno = why;
    return good;
}

/* Renames tmp to path; the old file, if there is one, becomes prev afterwards by its second name
 * `old`. Where files can have but one name, it is moved away before: prev is complete meanwhile. */
static bool rotate(const CnntrainFile *f, const char *old, const char *prev,
                   char message[CNNTRAIN_MESSAGE])
{
    unlink(old);
    if (link(f->path, old) == 0) {
        if (rename(f->tmp, f->path) != 0) {
            fail(message, f->path, "");
            unlink(old);
            return false;
        }
        if (rename(old, prev) == 0)
            return true;
        fail(message, f->path, "is new, but the previous one could not be kept: ");
        unlink(old);
        return false;
    }
    if (errno == ENOENT)
        return rename(f->tmp, f->path) == 0 || fail(message, f->path, "");
    if (rename(f->path, prev) != 0)
        return fail(message, f->path, "");
    if (rename(f->tmp, f->path) == 0)
        return true;
    fail(message, f->path, "");
    (void)!rename(prev, f->path);
    return false;
}

bool cnntrain_file_commit(CnntrainFile *f, bool keep, char message[CNNTRAIN_MESSAGE])
{
    char *old = NULL, *prev = NULL;
    bool good = fsync(f->fd) == 0 || fail(message, f->path, "");
    int fd = f->fd;
    f->fd = -1;
    if (close(fd) != 0 && good)
        good = fail(message, f->path, "");
    if (good && keep) {
        if (asprintf(&old, "%s.old", f->path) < 0)
            old = NULL;
        if (asprintf(&prev, "%s.prev", f->path) < 0)
            prev = NULL;
        errno = ENOMEM;
        good = old != NULL && prev != NULL ? rotate(f, old, prev, message)
                                           : fail(message, f->path, "");
        free(old);
        free(prev);
    } else if (good) {
        good = rename(f->tmp, f->path) == 0 || fail(message, f->path, "");
    }
    if (good && !sync_folder(f->path))
        good = fail(message, f->path, "is new, but its folder could not be made safe: ");
    cnntrain_file_abandon(f);
    return good;
}

void cnntrain_file_abandon(CnntrainFile *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->tmp != NULL)
        unlink(f->tmp);
    free(f->tmp);
    free(f->path);
    *f = (CnntrainFile){.fd = -1};
}

int cnntrain_file_open(const char *path, uint64_t *size, bool *missing,
                       char message[CNNTRAIN_MESSAGE])
{
    struct stat st;
    /* opening a FIFO would wait */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (missing != NULL)
        *missing = fd < 0 && (errno == ENOENT || errno == ENOTDIR);
    if (fd < 0 || fstat(fd, &st) != 0) {
        fail(message, path, "");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    if (S_ISREG(st.st_mode)) {
        *size = (uint64_t)st.st_size;
        return fd;
    }
    snprintf(message, CNNTRAIN_MESSAGE, "%.*s: is not a regular file", NAME, path);
    close(fd);
    return -1;
}

bool cnntrain_file_pread(int fd, void *to, size_t n, uint64_t offset)
{
    char *p = to;
    while (n > 0) {
        ssize_t got = pread(fd, p, n < PIECE ? n : PIECE, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got < 0 ? errno : 0;
            return false;
        }
        p += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return true;
}
