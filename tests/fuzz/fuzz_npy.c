/* The reader of NumPy arrays. Promise: the array is as large as its dimensions say. */
#include "fuzz.h"

#include "import/npy.h"
#include <string.h>

enum { MEMORY = 256 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static OomHandler oom;
    static Arena a;
    const char *path = fuzz_file(data, size);
    memset(&a, 0, sizeof a);
    if (setjmp(oom.env) == 0) {
        const char *err = NULL;
        NdArray x = {0};
        volatile float last = 0;
        arena_init(&a, &oom, MEMORY);
        if (npy_read(&x, path, &a, &err)) {
            int64_t n = 1;
            for (int i = 0; i < x.ndim; i++)
                n *= x.dims[i];
            FUZZ_CHECK(n == x.count);
            for (int64_t i = 0; i < x.count; i++)
                last = x.data[i];
        } else {
            FUZZ_CHECK(err != NULL);
        }
        (void)last;
        free(x.data);
    }
    arena_free(&a);
    return 0;
}
