/* External weights: a file of the packed floats and nothing else, mapped and compared with what the
 * model says of it. */
#define _GNU_SOURCE
#include "cnnrt.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t weight_bytes(const CnnrtModel *m)
{
    return (size_t)(m->training != NULL ? m->training->kept : m->weight_floats) * sizeof(float);
}

/* A regular file of the right size; O_NONBLOCK because opening a FIFO would wait. */
static int map_file(const char *path, size_t bytes, void **out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return CNNRT_WEIGHTS_FILE;
    int status = CNNRT_OK, why = 0;
    if (fstat(fd, &st) != 0) {
        status = CNNRT_WEIGHTS_FILE;
        why = errno;
    } else if (!S_ISREG(st.st_mode)) {
        status = CNNRT_WEIGHTS_FILE;
        why = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    } else if (st.st_size < 0 || (size_t)st.st_size != bytes) {
        status = CNNRT_WRONG_WEIGHTS;
    } else {
        *out = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (*out == MAP_FAILED) {
            status = CNNRT_WEIGHTS_FILE;
            why = errno;
        }
    }
    close(fd);
    errno = why;
    return status;
}

int cnnrt_weights_map(const CnnrtModel *m, const char *path, const float **out)
{
    if (out == NULL)
        return CNNRT_BAD_ARGUMENT;
    *out = NULL;
    if (m == NULL || path == NULL)
        return CNNRT_BAD_ARGUMENT;
    if (m->abi != CNNRT_ABI_VERSION)
        return CNNRT_BAD_MODEL;
    size_t bytes = weight_bytes(m);
    if (bytes == 0) /* nothing to map: create needs no weights either */
        return CNNRT_OK;
    void *map = NULL;
    int status = map_file(path, bytes, &map);
    if (status != CNNRT_OK)
        return status;
    if (cnnrt_hash(map, bytes) != m->weights_hash) {
        munmap(map, bytes);
        return CNNRT_WRONG_WEIGHTS;
    }
    *out = map;
    return CNNRT_OK;
}

void cnnrt_weights_unmap(const CnnrtModel *m, const float *weights)
{
    if (m != NULL && weights != NULL)
        munmap((void *)(uintptr_t)weights, weight_bytes(m));
}
