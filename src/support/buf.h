/* A growable text buffer on the heap, for reports and generated text. Failure is sticky: after it
 * `buf_ok` is false and further writes do nothing, so that only the end need be checked. */
#ifndef CNNC_BUF_H
#define CNNC_BUF_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Buf {
    char *at; /* always NUL-terminated once anything was written; may be NULL when empty */
    size_t len, cap;
    bool failed;
} Buf;

void buf_add(Buf *b, const char *s);
void buf_addn(Buf *b, const char *s, size_t n);
void buf_addc(Buf *b, char c);
void buf_pad(Buf *b, char c, int n);
void buf_printf(Buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(Buf *b, const char *fmt, va_list ap);
/* A number in the fewest of 15 to 17 digits that read back as the same double. */
void buf_real(Buf *b, double v);
/* A JSON string literal with quotes; invalid UTF-8 bytes become U+FFFD. */
void buf_json_string(Buf *b, const char *s);
bool buf_ok(const Buf *b);
void buf_free(Buf *b);
#endif
