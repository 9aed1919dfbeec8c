/* Opens data sets ("KIND:PATH"), reads an epoch of each through the loader with every operation,
 * and prints a sum of the batches. Exit 4 with a message when memory ran out, 5 after another
 * failure. */
#include "cnndata.h"
#include <stdint.h>
#include <stdio.h>

static const CnndataOp ops[] = {
    {CNNDATA_RANDOM_RESIZED_CROP, {16, 0.3}},
    {CNNDATA_HFLIP, {0.5}},
    {CNNDATA_RAND_AUGMENT, {9, 0.5, 4, 1}},
    {CNNDATA_ERASE, {0.5}},
    {CNNDATA_MIXUP, {0.4}},
};

static int failed(const char *what, int status, const char *error)
{
    fprintf(stderr, "%s: %s\n", what, error);
    return status == CNNDATA_NO_MEMORY ? 4 : 5;
}

static int epoch(CnndataLoader *l, const char *what)
{
    uint64_t sum = 0;
    CnndataBatch b;
    int status;
    while ((status = cnndata_loader_next(l, &b)) == CNNDATA_OK)
        for (int64_t i = 0; i < b.n * 3 * 16 * 16; i++) {
            union {
                float f;
                uint32_t bits;
            } v = {b.images[i]};
            sum = sum * 31 + v.bits;
        }
    if (status != CNNDATA_END)
        return failed(what, status, cnndata_loader_error(l));
    printf("%s %llx\n", what, (unsigned long long)sum);
    return 0;
}

static int read_set(const char *text)
{
    char error[CNNDATA_ERROR_MAX];
    CnndataSet *set = NULL;
    CnndataLoader *l = NULL;
    int status = cnndata_open(&set, text, CNNDATA_TRAIN, error, sizeof error);
    if (status != CNNDATA_OK)
        return failed(text, status, error);
    const CnndataLoaderConfig c = {.set = set,
                                   .ops = ops,
                                   .op_count = sizeof ops / sizeof ops[0],
                                   .batch = 3,
                                   .c = 3,
                                   .h = 16,
                                   .w = 16,
                                   .classes = 10,
                                   .shuffle = 1};
    status = cnndata_loader_create(&l, &c, error, sizeof error);
    status = status == CNNDATA_OK ? epoch(l, text) : failed(text, status, error);
    cnndata_loader_free(l);
    cnndata_close(set);
    return status;
}

int main(int argc, char **argv)
{
    int status = 0;
    for (int i = 1; i < argc && status == 0; i++)
        status = read_set(argv[i]);
    return status;
}
