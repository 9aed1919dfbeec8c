#include "support/intern.h"
#include "support/vec.h"
#include <stdint.h>
#include <string.h>

/* Open addressing with linear probing; the table doubles at half load. */
struct Intern {
    Arena *arena;
    Sym *slot;
    uint32_t *hash;
    uint32_t size, used;
};

Intern *intern_new(Arena *a)
{
    Intern *in = arena_new(a, Intern);
    in->arena = a;
    in->size = 512;
    in->slot = arena_new_n(a, Sym, in->size);
    in->hash = arena_new_n(a, uint32_t, in->size);
    return in;
}

static uint32_t hash_bytes(const char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h;
}

static void grow(Intern *in)
{
    Sym *slot = in->slot;
    uint32_t *hash = in->hash, old = in->size;
    in->size *= 2;
    in->slot = arena_new_n(in->arena, Sym, in->size);
    in->hash = arena_new_n(in->arena, uint32_t, in->size);
    for (uint32_t i = 0; i < old; i++) {
        if (slot[i] == NULL)
            continue;
        uint32_t k = hash[i] & (in->size - 1);
        while (in->slot[k] != NULL)
            k = (k + 1) & (in->size - 1);
        in->slot[k] = slot[i];
        in->hash[k] = hash[i];
    }
}

Sym intern_n(Intern *in, const char *s, size_t n)
{
    uint32_t h = hash_bytes(s, n), k = h & (in->size - 1);
    for (; in->slot[k] != NULL; k = (k + 1) & (in->size - 1))
        if (in->hash[k] == h && strncmp(in->slot[k], s, n) == 0 && in->slot[k][n] == '\0')
            return in->slot[k];
    Sym sym = arena_strndup(in->arena, s, n);
    in->slot[k] = sym;
    in->hash[k] = h;
    if (++in->used > in->size / 2)
        grow(in);
    return sym;
}

Sym intern(Intern *in, const char *s)
{
    return intern_n(in, s, strlen(s));
}

/* Edit distance with transpositions (optimal string alignment), for words of up to 63 bytes. */
static unsigned edit_distance(const char *a, size_t n, const char *b, size_t m)
{
    enum { MOST = 64 };
    unsigned d[3][MOST];
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = up[j - 1] + (a[i - 1] != b[j - 1]);
            best = up[j] + 1 < best ? up[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            row[j] = best;
        }
    }
    return d[n % 3][m];
}

const char *intern_nearest_of(const char *want, const char *const *candidates, size_t n, bool *only)
{
    size_t len = strlen(want);
    unsigned limit = len < 3 ? 1 : (unsigned)(len / 3), best = limit + 1;
    const char *found = NULL;
    *only = true;
    if (len == 0 || len > 63)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t m = strlen(candidates[i]);
        if (m > 63 || m == 0 || m > len + limit || len > m + limit)
            continue;
        unsigned e = edit_distance(want, len, candidates[i], m);
        if (e == 0 || e > limit)
            continue;
        *only = *only && (found == NULL || strcmp(found, candidates[i]) == 0);
        if (e < best) {
            best = e;
            found = candidates[i];
        }
    }
    return found;
}

const char *intern_nearest(const char *want, const char *const *candidates, size_t n)
{
    bool only;
    return intern_nearest_of(want, candidates, n, &only);
}
