#include "support/buf.h"
#include "support/utf8.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(Buf *b, size_t more)
{
    if (b->failed || more > SIZE_MAX / 2 - b->len - 1) {
        b->failed = true;
        return false;
    }
    size_t need = b->len + more + 1;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap < 128 ? 128 : b->cap;
    while (cap < need)
        cap *= 2;
    char *p = realloc(b->at, cap);
    if (p == NULL) {
        b->failed = true;
        return false;
    }
    b->at = p;
    b->cap = cap;
    return true;
}

void buf_addn(Buf *b, const char *s, size_t n)
{
    if (!reserve(b, n))
        return;
    memcpy(b->at + b->len, s, n);
    b->len += n;
    b->at[b->len] = '\0';
}

void buf_add(Buf *b, const char *s)
{
    buf_addn(b, s, strlen(s));
}

void buf_addc(Buf *b, char c)
{
    buf_addn(b, &c, 1);
}

void buf_pad(Buf *b, char c, int n)
{
    for (int i = 0; i < n; i++)
        buf_addc(b, c);
}

void buf_vprintf(Buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0)
        b->failed = true;
    else if (reserve(b, (size_t)n)) {
        vsnprintf(b->at + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_printf(Buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_real(Buf *b, double v)
{
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_add(b, text);
}

void buf_json_string(Buf *b, const char *s)
{
    buf_addc(b, '"');
    for (const char *end = s + strlen(s); s < end;) {
        int n = utf8_len(s, end);
        unsigned char c = (unsigned char)*s;
        if (n == 0)
            buf_add(b, "\xEF\xBF\xBD");
        else if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (utf8_code(s, n) < 0x20 || (utf8_code(s, n) >= 0x7f && utf8_code(s, n) < 0xa0))
            buf_printf(b, "\\u%04x", (unsigned)utf8_code(s, n)); /* also what steers terminals */
        else
            buf_addn(b, s, (size_t)n);
        s += n > 0 ? n : 1;
    }
    buf_addc(b, '"');
}

bool buf_ok(const Buf *b)
{
    return !b->failed;
}

void buf_free(Buf *b)
{
    free(b->at);
    *b = (Buf){0};
}
