/* Memory for arrays that are walked through again and again. */
#ifndef CNNRT_BIG_H
#define CNNRT_BIG_H
#define CNNRT_BIG_PAGE ((size_t)1 << 21)
#include <stdlib.h>
#include <sys/mman.h>

/* As posix_memalign, aligned to 64 bytes or, from a few pages of 2 MB on, to such a page, of which
 * the system is then asked to make it: address translation costs wide kernels up to a quarter of
 * their time otherwise. To be freed by free. */
static inline int cnnrt_big_alloc(void **out, size_t bytes)
{
    enum { ALIGNMENT = 64, PAGES = 2 };
    if (bytes < PAGES * CNNRT_BIG_PAGE)
        return posix_memalign(out, ALIGNMENT, bytes);
    int status = posix_memalign(out, CNNRT_BIG_PAGE, bytes);
#ifdef MADV_HUGEPAGE
    if (status == 0)
        (void)madvise(*out, bytes, MADV_HUGEPAGE); /* a wish */
#endif
    return status;
}
#endif
