/* The reader of weights. Promise: every tensor it hands out can be read from end to end. */
#include "fuzz.h"

#include "import/weights.h"
#include <string.h>

enum { MEMORY = 256 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static OomHandler oom;
    static Arena a;
    static Weights w;
    memset(&a, 0, sizeof a);
    memset(&w, 0, sizeof w);
    if (setjmp(oom.env) == 0) {
        const char *err = NULL;
        float sum = 0;
        arena_init(&a, &oom, MEMORY);
        if (weights_parse_safetensors(&w, &a, data, size, &err)) {
            for (uint32_t i = 0; i < w.all.len; i++) {
                const WeightTensor *t = &w.all.at[i];
                int64_t n = 1;
                for (int k = 0; k < t->ndim; k++)
                    n *= t->dims[k];
                FUZZ_CHECK(n == t->count && t->name != NULL);
                for (int64_t k = 0; k < t->count; k++)
                    sum += t->data[k];
                FUZZ_CHECK(weights_find(&w, t->name) != NULL);
            }
        } else {
            FUZZ_CHECK(err != NULL);
        }
        FUZZ_CHECK(sum == sum || sum != sum); /* keeps the reads */
    }
    weights_free(&w);
    arena_free(&a);
    return 0;
}
