#include "support/utf8.h"
#include <string.h>

int utf8_len(const char *text, const char *end)
{
    const unsigned char *s = (const unsigned char *)text;
    int n = s[0] < 0x80         ? 1
            : (s[0] >> 5) == 6  ? 2
            : (s[0] >> 4) == 14 ? 3
            : (s[0] >> 3) == 30 ? 4
                                : 0;
    if (n > end - text)
        return 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((n == 2 && s[0] < 0xC2) || (n == 3 && s[0] == 0xE0 && s[1] < 0xA0) ||
        (n == 3 && s[0] == 0xED && s[1] > 0x9F) || (n == 4 && s[0] == 0xF0 && s[1] < 0x90) ||
        (n == 4 && (s[0] > 0xF4 || (s[0] == 0xF4 && s[1] > 0x8F))))
        return 0;
    return n;
}

uint32_t utf8_code(const char *text, int n)
{
    const unsigned char *s = (const unsigned char *)text;
    uint32_t code = n == 1 ? s[0] : s[0] & (0x7Fu >> n);
    for (int i = 1; i < n; i++)
        code = code << 6 | (s[i] & 0x3F);
    return code;
}

uint32_t utf8_count(const char *s, size_t n)
{
    uint32_t count = 0;
    for (const char *end = s + n; s < end; count++) {
        int len = utf8_len(s, end);
        s += len > 0 ? len : 1;
    }
    return count;
}

bool utf8_is_bidi(uint32_t code)
{
    return (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0);
}

void utf8_add_shown(Buf *out, const char *s)
{
    for (const char *end = s + strlen(s); s < end;) {
        int len = utf8_len(s, end);
        uint32_t code = len > 0 ? utf8_code(s, len) : 0;
        if (len == 0 || (len == 1 && is_control(code)))
            buf_printf(out, "\\x%02x", (unsigned char)*s);
        else if (is_control(code) || utf8_is_bidi(code))
            buf_printf(out, "\\u{%04x}", code);
        else
            buf_addn(out, s, (size_t)len);
        s += len > 0 ? len : 1;
    }
}

void utf8_add_line(Buf *out, const char *s, size_t n)
{
    for (const char *end = s + n; s < end;) {
        int len = utf8_len(s, end);
        uint32_t code = len > 0 ? utf8_code(s, len) : 0;
        if (len == 1 && is_control(code))
            buf_addc(out, ' ');
        else if (len == 0 || is_control(code) || utf8_is_bidi(code))
            buf_add(out, "\xEF\xBF\xBD");
        else
            buf_addn(out, s, (size_t)len);
        s += len > 0 ? len : 1;
    }
}
