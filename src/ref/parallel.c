/* Which thread does what has no influence on results: every index computes its values alone and in
 * a fixed order. */
#include "ref/ref_ops.h"
#include "support/parallel.h"

#define WORK_MIN 1e6 /* below, starting threads takes longer than the loop */

void ref_parallel(int64_t n, double work, void (*body)(void *ctx, int64_t i), void *ctx)
{
    parallel_for(work < WORK_MIN ? 1 : 0, n, body, ctx);
}
