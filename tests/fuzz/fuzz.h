/* What the fuzz targets share: bytes as a file that readers can open. */
#ifndef CNNC_FUZZ_H
#define CNNC_FUZZ_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A broken promise of the code under test: seen by libFuzzer and by the replay as a crash. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static char fuzz_path[] = "/dev/shm/cnnc-fuzz-XXXXXX.cnn";

static inline void fuzz_remove(void)
{
    unlink(fuzz_path);
}

/* The path of a file that holds the bytes; the same path at every call. */
static inline const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0) {
        fd = mkstemps(fuzz_path, 4);
        FUZZ_CHECK(fd >= 0 && atexit(fuzz_remove) == 0);
    }
    FUZZ_CHECK(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        FUZZ_CHECK(n > 0);
        data += n;
        size -= (size_t)n;
    }
    return fuzz_path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif
