/* Preloaded: the K-th allocation of the process fails (FAIL_ALLOC=K), with FAIL_ALLOC_ALL=1 all
 * after it, too. Says how many there were in the file FAIL_ALLOC_COUNT at exit, when that is set.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_long seen;
static long fail_at = -1;
static int all;

__attribute__((constructor)) static void start(void)
{
    const char *k = getenv("FAIL_ALLOC");
    all = getenv("FAIL_ALLOC_ALL") != NULL;
    seen = 0;
    fail_at = k != NULL ? atol(k) : -1;
}

__attribute__((destructor)) static void stop(void)
{
    const char *path = getenv("FAIL_ALLOC_COUNT");
    long n = seen;
    fail_at = -1;
    FILE *f = path != NULL ? fopen(path, "w") : NULL;
    if (f != NULL) {
        fprintf(f, "%ld\n", n);
        fclose(f);
    }
}

static int fails(void)
{
    long n = ++seen;
    if (fail_at > 0 && (n == fail_at || (all && n > fail_at))) {
        errno = ENOMEM;
        return 1;
    }
    return 0;
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

void *malloc(size_t n)
{
    return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails() ? NULL : __libc_realloc(p, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    static int (*real)(void **, size_t, size_t);
    if (fails())
        return ENOMEM;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "posix_memalign");
    return real(out, align, n);
}
