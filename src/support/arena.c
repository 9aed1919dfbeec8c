#include "support/arena.h"
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ArenaChunk {
    ArenaChunk *next;
    size_t size, used;
    alignas(16) unsigned char data[];
};

enum { ALIGN = 16, CHUNK = 64 * 1024 };

static long fail_after;

void arena_fail_after(long k)
{
    fail_after = k;
}

static void *system_alloc(size_t n)
{
    if (fail_after > 0 && --fail_after == 0)
        return NULL;
    return malloc(n);
}

void arena_init(Arena *a, OomHandler *oom, size_t limit)
{
    *a = (Arena){.limit = limit, .oom = oom};
}

void arena_give_up(Arena *a, int over_limit)
{
    a->oom->over_limit = over_limit;
    longjmp(a->oom->env, 1);
}

void *arena_alloc(Arena *a, size_t size)
{
    ArenaChunk *c = a->head;
    if (size > SIZE_MAX - CHUNK - sizeof *c)
        arena_give_up(a, 1);
    size = size == 0 ? ALIGN : (size + ALIGN - 1) / ALIGN * ALIGN;
    if (a->limit != 0 && size > a->limit - (a->used < a->limit ? a->used : a->limit))
        arena_give_up(a, 1);
    if (c == NULL || c->size - c->used < size) {
        size_t want = size > CHUNK / 4 ? size : CHUNK;
        c = system_alloc(sizeof *c + want);
        if (c == NULL)
            arena_give_up(a, 0);
        c->size = want;
        c->used = 0;
        /* a chunk made for one large object does not hide the rest of the current one */
        if (a->head != NULL && want == size && a->head->size > a->head->used) {
            c->next = a->head->next;
            a->head->next = c;
        } else {
            c->next = a->head;
            a->head = c;
        }
    }
    void *p = c->data + c->used;
    c->used += size;
    a->used += size;
    return memset(p, 0, size);
}

void *arena_array(Arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        arena_give_up(a, 1);
    return arena_alloc(a, bytes);
}

void *arena_regrow(Arena *a, void *old, size_t old_n, size_t new_n, size_t size)
{
    void *p = arena_array(a, new_n, size);
    if (old_n > 0)
        memcpy(p, old, old_n * size);
    return p;
}

char *arena_strndup(Arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    memcpy(p, s, n);
    return p;
}

char *arena_strdup(Arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(Arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = arena_alloc(a, n < 0 ? 1 : (size_t)n + 1);
    if (n > 0)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

char *arena_printf(Arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}

void arena_reset(Arena *a)
{
    ArenaChunk *keep = a->head;
    if (keep == NULL)
        return;
    for (ArenaChunk *c = keep->next, *next; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    keep->next = NULL;
    keep->used = 0;
    a->used = 0;
}

void arena_free(Arena *a)
{
    arena_reset(a);
    free(a->head);
    a->head = NULL;
}
