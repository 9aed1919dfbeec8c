/* Interned strings: equal texts are equal pointers, so names are compared with ==. */
#ifndef CNNC_INTERN_H
#define CNNC_INTERN_H
#include "support/arena.h"
#include <stdbool.h>

typedef const char *Sym; /* NUL-terminated, lives as long as the Intern's arena */

typedef struct Intern Intern;

Intern *intern_new(Arena *a);
Sym intern(Intern *in, const char *s);
Sym intern_n(Intern *in, const char *s, size_t n);
/* The candidate nearest to `want` by edit distance (at most a third of its length, and >= 1 edit),
 * or NULL: the "did you mean" of every unknown name. */
const char *intern_nearest(const char *want, const char *const *candidates, size_t n);
/* The same; *only tells whether no other candidate is within that distance. */
const char *intern_nearest_of(const char *want, const char *const *candidates, size_t n,
                              bool *only);
#endif
