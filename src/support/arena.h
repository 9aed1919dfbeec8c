/* Arenas: memory with a common lifetime, released whole.
 *
 * The compiler uses one arena per lifetime (session, net, scratch); no pass frees single objects.
 * In the single-threaded front end allocation never returns NULL: when memory runs out, or the
 * arena's byte limit is passed, control jumps to the handler the arena was made with. */
#ifndef CNNC_ARENA_H
#define CNNC_ARENA_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

/* Where an exhausted arena jumps. `over_limit` tells a limit (exit 4 with advice) from a NULL. */
typedef struct OomHandler {
    jmp_buf env;
    int over_limit;
} OomHandler;

typedef struct ArenaChunk ArenaChunk;

typedef struct Arena {
    ArenaChunk *head;
    size_t used;     /* bytes handed out since the last reset */
    size_t limit;    /* 0 = none */
    OomHandler *oom; /* must be set before the first allocation */
} Arena;

/* What happens when memory runs out, for those who run out of other memory: does not return. */
void arena_give_up(Arena *a, int over_limit) __attribute__((noreturn));
void arena_init(Arena *a, OomHandler *oom, size_t limit);
/* Zeroed memory aligned to 16 bytes; never NULL (see above). size 0 gives a valid pointer. */
void *arena_alloc(Arena *a, size_t size);
/* n * size bytes with the product checked. */
void *arena_array(Arena *a, size_t n, size_t size);
/* Grows an array made by arena_array from old_n to new_n elements; the old one stays valid. */
void *arena_regrow(Arena *a, void *old, size_t old_n, size_t new_n, size_t size);
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_strdup(Arena *a, const char *s);
char *arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(Arena *a, const char *fmt, va_list ap);
/* Forgets every object but keeps one chunk for reuse. */
void arena_reset(Arena *a);
void arena_free(Arena *a);

#define arena_new(a, T) ((T *)arena_alloc((a), sizeof(T)))
#define arena_new_n(a, T, n) ((T *)arena_array((a), (n), sizeof(T)))

/* Test hook: the k-th allocation from the system from now on fails (0 = never). */
void arena_fail_after(long k);
#endif
