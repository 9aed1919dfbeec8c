/* UTF-8 as it comes: whatever is not well formed counts and shows as one character per byte. */
#ifndef CNNC_UTF8_H
#define CNNC_UTF8_H
#include "support/buf.h"
#include <stdint.h>

/* Bytes of the character at text, which ends before `end`; 0 when it is not well formed. */
int utf8_len(const char *text, const char *end);
/* The code point of a well-formed character of n bytes. */
uint32_t utf8_code(const char *text, int n);
/* Characters in n bytes. */
uint32_t utf8_count(const char *s, size_t n);
/* Whether a character reorders the text around it (embeddings, overrides, isolates). */
bool utf8_is_bidi(uint32_t code);
/* Text for a terminal, one column or more per character and never an escape sequence: controls,
 * characters that reorder text, and malformed bytes are written as \xNN or \u{NNNN}. */
void utf8_add_shown(Buf *out, const char *s);
/* A line of a source for a terminal: the same with exactly one character for each, a blank for a
 * control and U+FFFD for what cannot be shown. */
void utf8_add_line(Buf *out, const char *s, size_t n);
#endif
