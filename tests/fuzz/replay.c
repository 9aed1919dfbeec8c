/* Runs a fuzz target over files: how the corpus is replayed where there is no libFuzzer. */
#include "fuzz.h"

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (f == NULL) {
            perror(argv[i]);
            return 3;
        }
        uint8_t *data = NULL;
        size_t size = 0, cap = 0;
        for (size_t n = 1; n > 0; size += n) {
            if (cap - size < 4096)
                data = realloc(data, cap = cap * 2 + 8192);
            if (data == NULL)
                return 4;
            n = fread(data + size, 1, cap - size, f);
        }
        fclose(f);
        /* an exact allocation, so that sanitizers see the byte after the end */
        uint8_t *exact = malloc(size > 0 ? size : 1);
        if (exact == NULL)
            return 4;
        for (size_t k = 0; k < size; k++)
            exact[k] = data[k];
        free(data);
        fprintf(stderr, "%s\n", argv[i]); /* the last one named is the one that crashed */
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    return 0;
}
