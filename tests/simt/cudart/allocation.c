/* Device memory: an arena that the host cannot touch but while work is done, so that a program that
 * follows a device pointer fails here as it would on a device. Fresh memory is full of NaN. */
#include "cudart.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 256 };

typedef struct Range {
    char *p;
    size_t bytes;
    struct Range *next;
} Range;

static char *arena;
static size_t arena_bytes, used;
static size_t reach;  /* of the arena, whole pages: what was ever given out; the rest stays shut */
static Range *taken;  /* of the arena, by address */
static Range *pinned; /* host memory that copies read when they are done, not before */
static int opened;

/* Of the device, as it is set now. */
static size_t capacity(void)
{
    return (size_t)cudart_setting("SIMT_CUDA_MEMORY", 1ull << 30);
}

static bool make_arena(void)
{
    if (arena)
        return true;
    arena_bytes = capacity() > (size_t)1 << 30 ? capacity() : (size_t)1 << 30;
    void *p = mmap(NULL, arena_bytes + ALIGN, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    arena = p;
    return true;
}

void memory_open(void)
{
    if (arena && !opened++)
        mprotect(arena, reach, PROT_READ | PROT_WRITE);
}

void memory_close(void)
{
    if (arena && !--opened)
        mprotect(arena, reach, PROT_NONE);
}

bool memory_is_device(const void *p)
{
    return arena && (size_t)((const char *)p - arena) < arena_bytes;
}

static bool holds(const Range *r, const void *p, size_t bytes)
{
    size_t offset = (size_t)((const char *)p - r->p);
    return (const char *)p >= r->p && offset <= r->bytes && bytes <= r->bytes - offset;
}

bool memory_holds(const void *p, size_t bytes)
{
    for (const Range *r = taken; r; r = r->next)
        if (holds(r, p, bytes))
            return true;
    return false;
}

static size_t rounded(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static void open_up_to(size_t end)
{
    enum { PAGE = 1 << 16 }; /* or a part of one */
    size_t pages = (end + PAGE - 1) / PAGE * PAGE, all = (arena_bytes + ALIGN) / 4096 * 4096;
    if (pages > reach)
        reach = pages < all ? pages : all;
    if (opened)
        mprotect(arena, reach, PROT_READ | PROT_WRITE);
}

/* The first gap that is large enough. Between allocations one unit stays free, so that what runs
 * past the end of one is outside all. */
static cudaError_t allocate(void **out, size_t bytes)
{
    *out = NULL;
    if (!make_arena())
        return cudaErrorMemoryAllocation;
    size_t need = bytes <= arena_bytes ? rounded(bytes) + ALIGN : SIZE_MAX;
    if (need == SIZE_MAX || used + bytes > capacity())
        return cudaErrorMemoryAllocation;
    Range **at = &taken;
    char *p = arena;
    for (; *at && (size_t)((*at)->p - p) < need; at = &(*at)->next)
        p = (*at)->p + rounded((*at)->bytes) + ALIGN;
    Range *r = calloc(1, sizeof *r);
    if (!r || (size_t)(arena + arena_bytes + ALIGN - p) < need || !simt_buffer(p, bytes)) {
        free(r);
        return cudaErrorMemoryAllocation;
    }
    *r = (Range){p, bytes, *at};
    *at = r;
    used += bytes;
    open_up_to((size_t)(p - arena) + rounded(bytes));
    memory_open();
    memset(p, 0xff, bytes);
    memory_close();
    *out = p;
    return cudaSuccess;
}

static bool drop(Range **list, const void *p, size_t *bytes)
{
    for (; *list; list = &(*list)->next) {
        Range *r = *list;
        if (r->p != p)
            continue;
        *bytes = r->bytes;
        *list = r->next;
        free(r);
        return true;
    }
    return false;
}

static cudaError_t release(void *p)
{
    size_t bytes;
    cudaError_t e = stream_run_all();
    if (e || !p)
        return e;
    if (!drop(&taken, p, &bytes))
        return cudaErrorInvalidValue;
    used -= bytes;
    simt_buffer_gone(p);
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **p, size_t size)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : allocate(p, size));
}

cudaError_t cudaFree(void *p)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : release(p));
}

static cudaError_t pin(void **out, size_t bytes)
{
    Range *r = calloc(1, sizeof *r);
    *out = malloc(bytes ? bytes : 1);
    if (!r || !*out) {
        free(r);
        free(*out);
        *out = NULL;
        return cudaErrorMemoryAllocation;
    }
    *r = (Range){*out, bytes, pinned};
    pinned = r;
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **p, size_t size, unsigned int flags)
{
    (void)flags;
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : pin(p, size));
}

cudaError_t cudaMallocHost(void **p, size_t size)
{
    return cudaHostAlloc(p, size, cudaHostAllocDefault);
}

static cudaError_t unpin(void *p)
{
    size_t bytes;
    cudaError_t e = stream_run_all();
    if (e || !p)
        return e;
    if (!drop(&pinned, p, &bytes))
        return cudaErrorInvalidValue;
    free(p);
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : unpin(p));
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    cudaError_t e = cudart_enter(__func__);
    if (!e && !make_arena())
        e = cudaErrorMemoryAllocation;
    *total = e ? 0 : capacity();
    *free_bytes = e || used > capacity() ? 0 : capacity() - used;
    return cudart_leave(e);
}

static bool is_pinned(const void *p, size_t bytes)
{
    for (const Range *r = pinned; r; r = r->next)
        if (holds(r, p, bytes))
            return true;
    return false;
}

static cudaError_t check_direction(const void *to, const void *from, size_t count,
                                   enum cudaMemcpyKind kind)
{
    bool to_device = memory_is_device(to), from_device = memory_is_device(from);
    if ((unsigned)kind > cudaMemcpyDefault)
        return cudaErrorInvalidMemcpyDirection;
    if (kind != cudaMemcpyDefault &&
        (to_device != (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice) ||
         from_device != (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice)))
        return cudaErrorInvalidValue;
    if ((to_device && !memory_holds(to, count)) || (from_device && !memory_holds(from, count)))
        return cudaErrorInvalidValue;
    return cudaSuccess;
}

/* Pageable memory is read at once, as the real one stages it; pinned memory when the copy is done.
 */
static cudaError_t copy(void *to, const void *from, size_t count, enum cudaMemcpyKind kind,
                        cudaStream_t stream)
{
    cudaError_t e = check_direction(to, from, count, kind);
    Work *w = e || !count ? NULL : work_new(WORK_COPY);
    if (e || !count)
        return e;
    if (!w)
        return cudaErrorMemoryAllocation;
    w->to = to;
    w->from = from;
    w->bytes = count;
    if (!memory_is_device(from) && !is_pinned(from, count)) {
        w->staged = malloc(count);
        if (!w->staged) {
            free(w);
            return cudaErrorMemoryAllocation;
        }
        memcpy(w->staged, from, count);
        w->from = w->staged;
    }
    return stream_add(stream, w);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t count, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : copy(to, from, count, kind, stream));
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t count, enum cudaMemcpyKind kind)
{
    cudaError_t e = cudart_enter(__func__);
    e = e ? e : copy(to, from, count, kind, NULL);
    return cudart_leave(e ? e : stream_run(stream_of(NULL)));
}

static cudaError_t fill(void *p, int value, size_t count, cudaStream_t stream)
{
    if (!memory_holds(p, count))
        return cudaErrorInvalidValue;
    Work *w = work_new(WORK_FILL);
    if (!w)
        return cudaErrorMemoryAllocation;
    w->to = p;
    w->value = value;
    w->bytes = count;
    return stream_add(stream, w);
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t count, cudaStream_t stream)
{
    cudaError_t e = cudart_enter(__func__);
    return cudart_leave(e ? e : fill(p, value, count, stream));
}

cudaError_t cudaMemset(void *p, int value, size_t count)
{
    return cudaMemsetAsync(p, value, count, NULL);
}
