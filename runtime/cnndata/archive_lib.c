#define _GNU_SOURCE
#include "archive_lib.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

/* The version that its header and Debian's package have had since 2013. */
static const char file[] = "libarchive.so.13";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static CnndataArchiveLib lib;
static int opened;

static int find(void *handle, const char *name, void *to)
{
    *(void **)to = dlsym(handle, name);
    return *(void **)to != NULL;
}

static int open_lib(void)
{
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return 0;
    int all = 1;
#define FIND(NAME) all = all && find(handle, #NAME, &lib.NAME);
    CNNDATA_ARCHIVE_FUNCTIONS(FIND)
#undef FIND
    if (!all)
        dlclose(handle);
    return all;
}

const CnndataArchiveLib *cnndata_archive_lib(const char **why)
{
    pthread_mutex_lock(&lock);
    if (!opened)
        opened = open_lib();
    int found = opened;
    pthread_mutex_unlock(&lock);
    *why = found ? NULL : dlerror();
    if (!found && *why == NULL)
        *why = "libarchive.so.13 lacks a function";
    return found ? &lib : NULL;
}
