/* What differs between two texts, line by line. */
#ifndef CNNC_TEXTDIFF_H
#define CNNC_TEXTDIFF_H
#include "support/buf.h"
#include "support/vec.h"

/* Lines [old_at, old_at + old_len) of the old text became lines [new_at, new_at + new_len) of the
 * new one; numbers start at 0, and one of the lengths may be 0. */
typedef struct TextHunk {
    uint32_t old_at, old_len, new_at, new_len;
} TextHunk;

typedef struct TextHunks {
    VEC(TextHunk) all; /* in order, never touching each other */
} TextHunks;

/* A text of up to 2^31 bytes. A line ends with its newline; the last one may have none, and differs
 * then from the same line with one. */
typedef struct TextSide {
    const char *name; /* for the head of a unified diff */
    const char *at;
    size_t len;
} TextSide;

/* The smallest set of changed lines, as long as that is below 500 or so; a small one otherwise: the
 * time is linear in the lines. Hunks and work space come from the arena. */
void textdiff_lines(Arena *a, TextSide old, TextSide new, TextHunks *out);
/* The same as a unified diff with three lines of context; nothing when the texts are equal. */
void textdiff_unified(Arena *a, TextSide old, TextSide new, bool colour, Buf *out);
#endif
