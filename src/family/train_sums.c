/* Units of the reductions over a batch, of masks and of optimizer updates. None needs scratch or a
 * choice of tile. */
#include "family/train.h"

enum {
    PART = 4096,    /* least floats of a unit that works on a run of floats */
    SUM_UNITS = 64, /* most partial sums of a run */
    UPDATE_UNITS = 1024
};

/* Parts of a run of n floats. */
static int64_t parts(int64_t n, int64_t most)
{
    int64_t count = n / PART + (n % PART != 0);
    return count < 1 ? 1 : count > most ? most : count;
}

int64_t train_sums_units(const Kernel *k, const Target *t)
{
    switch (k->family) {
    case FAM_MASK:
    case FAM_FINISH: return map_blocks(k->out, t->vl);
    case FAM_SUMS: return map_blocks(k->in, t->vl) * (k->slices > 0 ? k->slices : 1);
    case FAM_FLAT_SUMS: return parts(k->in.c, SUM_UNITS);
    case FAM_UPDATE: return parts(k->in.c / 2, UPDATE_UNITS);
    default: return 1;
    }
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
