/* Files and growing memory for the kinds of data sets. */
#include "set.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *cnndata_text(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    return n < 0 ? NULL : text;
}

int cnndata_fail_errno(CnndataError e, const char *path)
{
    char why[128];
    int code = errno;
    return cnndata_fail(e, code == ENOMEM ? CNNDATA_NO_MEMORY : CNNDATA_NO_FILE, "%s: %s", path,
                        strerror_r(code, why, sizeof why));
}

bool cnndata_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool cnndata_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* O_NONBLOCK because opening a FIFO would wait. */
int cnndata_open_file(const char *path, int64_t *size, int *status, CnndataError e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        *status = cnndata_fail_errno(e, path);
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        *status = cnndata_fail(e, CNNDATA_NO_FILE, "%s: not a regular file", path);
        return -1;
    }
    *size = st.st_size;
    return fd;
}

bool cnndata_read_at(int fd, void *out, size_t len, int64_t at)
{
    char *to = out;
    while (len > 0) {
        ssize_t n = pread(fd, to, len, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        to += n;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

int cnndata_read_file(const char *path, int64_t limit, CnndataScratch *bytes, size_t *len,
                      CnndataError e)
{
    int64_t size = 0;
    int status = CNNDATA_OK, fd = cnndata_open_file(path, &size, &status, e);
    if (fd < 0)
        return status;
    *len = (size_t)size;
    if (size > limit)
        status = cnndata_fail(e, CNNDATA_DAMAGED, "%s: larger than %" PRId64 " bytes", path, limit);
    else if (cnndata_scratch(bytes, (size_t)size + 1) == NULL)
        status = cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory for %" PRId64 " bytes", path,
                              size);
    else if (!cnndata_read_at(fd, bytes->at, (size_t)size, 0))
        status = cnndata_fail(e, CNNDATA_NO_FILE, "%s: cannot be read to its end", path);
    else
        ((char *)bytes->at)[size] = '\0';
    close(fd);
    return status;
}

bool cnndata_texts_add(CnndataTexts *t, const char *text, size_t *offset)
{
    size_t n = strlen(text) + 1;
    if (n > t->capacity - t->len) {
        size_t capacity = t->capacity * 2 + n + 4096;
        char *at = realloc(t->at, capacity);
        if (at == NULL)
            return false;
        t->at = at;
        t->capacity = capacity;
    }
    *offset = t->len;
    memcpy(t->at + t->len, text, n);
    t->len += n;
    return true;
}

void *cnndata_grow(void *array, int64_t count, int64_t *capacity, size_t element)
{
    if (count < *capacity)
        return array;
    int64_t more = *capacity * 2 + 64;
    void *at = reallocarray(array, (size_t)more, element);
    if (at != NULL)
        *capacity = more;
    return at;
}
