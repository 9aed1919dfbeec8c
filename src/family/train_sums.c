#include "family/train.h"

int64_t train_sums_units(const Kernel *k, const Target *t)
{
    (void)k;
    (void)t;
    return 1;
}

int64_t train_sums_scratch(const Kernel *k, const Target *t)
{
    (void)k;
    (void)t;
    return 0;
}

void train_sums_tile(Kernel *k, const Target *t)
{
    (void)k;
    (void)t;
}
