/* Preloaded into cnnc: a kernel that keeps its promises and nothing beyond them. Chosen by
 * variables:
 *   HOSTILE_SHORT=1   read gives one byte, and writes take one
 *   HOSTILE_EINTR=N   every N-th call is interrupted
 *   HOSTILE_FULL=N    regular files take N bytes altogether, then the disk is full
 *   HOSTILE_SYNC=1    fsync fails: the disk is broken
 *   HOSTILE_SLOW=MS   fsync takes MS milliseconds more
 *   HOSTILE_RENAME=1  rename fails
 *   HOSTILE_CUT=FILE  FILE loses all but a page once it has been mapped
 *
 * Streams of the C library write by calls that cannot be replaced, so fdopen and fopen give streams
 * that come here; other programs (the linker) are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STREAMS = 64, PAGE = 4096 };
static int is_short, sync_fails, rename_fails;
static long interrupt_each, room = -1, slow;
static const char *cut;
static atomic_long calls;
static FILE *stream[STREAMS];
static int stream_fd[STREAMS];
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_fileno)(FILE *);
static int (*real_fsync)(int);
static int (*real_rename)(const char *, const char *);
static FILE *(*real_fdopen)(int, const char *);
static FILE *(*real_fopen)(const char *, const char *);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

static long number(const char *name, long none)
{
    const char *v = getenv(name);
    return v != NULL ? atol(v) : none;
}

__attribute__((constructor)) static void start(void)
{
    *(void **)&real_read = dlsym(RTLD_NEXT, "read");
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    *(void **)&real_fileno = dlsym(RTLD_NEXT, "fileno");
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real_rename = dlsym(RTLD_NEXT, "rename");
    *(void **)&real_fdopen = dlsym(RTLD_NEXT, "fdopen");
    *(void **)&real_fopen = dlsym(RTLD_NEXT, "fopen");
    *(void **)&real_mmap = dlsym(RTLD_NEXT, "mmap");
    if (strcmp(program_invocation_short_name, "cnnc") != 0)
        return;
    is_short = number("HOSTILE_SHORT", 0) != 0;
    sync_fails = number("HOSTILE_SYNC", 0) != 0;
    rename_fails = number("HOSTILE_RENAME", 0) != 0;
    interrupt_each = number("HOSTILE_EINTR", 0);
    room = number("HOSTILE_FULL", -1);
    slow = number("HOSTILE_SLOW", 0);
    cut = getenv("HOSTILE_CUT");
}

static int interrupted(void)
{
    if (interrupt_each == 0 || ++calls % interrupt_each != 0)
        return 0;
    errno = EINTR;
    return 1;
}

ssize_t read(int fd, void *to, size_t n)
{
    return interrupted() ? -1 : real_read(fd, to, is_short && n > 1 ? 1 : n);
}

ssize_t write(int fd, const void *from, size_t n)
{
    struct stat st;
    if (interrupted())
        return -1;
    if (room >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        if (room == 0) {
            errno = ENOSPC;
            return -1;
        }
        n = n > (size_t)room ? (size_t)room : n;
        room -= (long)n;
    }
    return real_write(fd, from, is_short && n > 1 ? 1 : n);
}

static ssize_t put(void *cookie, const char *from, size_t n)
{
    int fd = (int)(long)cookie;
    size_t done = 0;
    while (done < n) {
        ssize_t got = write(fd, from + done, n - done);
        if (got < 0 && errno == EINTR && interrupt_each != 0)
            continue; /* as the streams of other libraries do */
        if (got < 0)
            return 0;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static ssize_t get(void *cookie, char *to, size_t n)
{
    ssize_t got;
    do
        got = read((int)(long)cookie, to, n);
    while (got < 0 && errno == EINTR);
    return got;
}

static int end(void *cookie)
{
    for (int i = 0; i < STREAMS; i++)
        if (stream[i] != NULL && stream_fd[i] == (int)(long)cookie)
            stream[i] = NULL;
    return close((int)(long)cookie);
}

FILE *fdopen(int fd, const char *mode)
{
    if (!is_short && interrupt_each == 0 && room < 0)
        return real_fdopen(fd, mode);
    FILE *f = fopencookie((void *)(long)fd, mode, (cookie_io_functions_t){get, put, NULL, end});
    for (int i = 0; f != NULL && i < STREAMS; i++)
        if (stream[i] == NULL) {
            stream[i] = f;
            stream_fd[i] = fd;
            break;
        }
    return f;
}

int fileno(FILE *f)
{
    for (int i = 0; i < STREAMS; i++)
        if (f != NULL && stream[i] == f)
            return stream_fd[i];
    return real_fileno(f);
}

int fsync(int fd)
{
    if (slow > 0)
        nanosleep(&(struct timespec){slow / 1000, slow % 1000 * 1000000}, NULL);
    if (!sync_fails)
        return real_fsync(fd);
    errno = EIO;
    return -1;
}

int rename(const char *from, const char *to)
{
    if (!rename_fails)
        return real_rename(from, to);
    errno = EXDEV;
    return -1;
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
    void *p = real_mmap(at, n, prot, flags, fd, off);
    struct stat ours, theirs;
    if (p != MAP_FAILED && cut != NULL && fd >= 0 && stat(cut, &ours) == 0 &&
        fstat(fd, &theirs) == 0 && ours.st_ino == theirs.st_ino && truncate(cut, PAGE) != 0)
        abort();
    return p;
}
