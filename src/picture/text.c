#include "picture/text.h"
#include "support/utf8.h"
#include <string.h>

/* The colours of Okabe and Ito (2008), which people with any colour vision can tell apart. Layers
 * that want attention have the stronger tints. */
const VerdictLook verdict_look[VERDICT_GLOBAL + 1] = {
    [VERDICT_NONE] = {'-', "not judged", "#bbbbbb", "#f2f2f2", "#2c2c2e"},
    [VERDICT_PRODUCTIVE] = {'P', "productive", "#009e73", "#e3f4ee", "#12362c"},
    [VERDICT_SATURATED] = {'S', "saturated", "#f0e442", "#faf6b8", "#57521a"},
    [VERDICT_UNDERUTILIZED] = {'U', "underutilized", "#e69f00", "#f8dc9f", "#6b4a00"},
    [VERDICT_UNPRODUCTIVE] = {'X', "unproductive", "#d55e00", "#f4bd95", "#7a3600"},
    [VERDICT_GLOBAL] = {'G', "global", "#56b4e9", "#e4f2fb", "#16344a"},
};

/* Advances of DejaVu Sans, in hundredths of its size: the widest of the faces that usually stand
 * behind "sans-serif", so that what fits here fits everywhere. */
static const unsigned char advance[95] = {
    32, 40, 46, 84, 64, 95, 78, 27, 39,  39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79,
    60, 79, 69, 63, 61, 73, 68, 99, 69,  61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63,
    63, 28, 28, 58, 28, 97, 63, 61, 63,  63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84};

/* Bytes of the character at s, at least 1, and its advance. */
static int step(const char *s, const char *end, int *hundredths)
{
    unsigned char c = (unsigned char)*s;
    if (c < 0x80) {
        *hundredths = c >= 32 && c < 127 ? advance[c - 32] : 100;
        return 1;
    }
    int n = utf8_len(s, end);
    uint32_t code = n > 0 ? utf8_code(s, n) : 0;
    *hundredths = code == 0xb7 ? 32 : code == 0x2013 ? 50 : code == 0xd7 ? 84 : 100;
    return n > 0 ? n : 1;
}

int text_width(const char *text, int size, bool bold)
{
    const char *end = text + strlen(text);
    long sum = 0;
    int w;
    for (const char *s = text; s < end;) {
        s += step(s, end, &w);
        sum += w;
    }
    if (bold)
        sum = sum * 112 / 100;
    sum = (sum * size + 99) / 100;
    return sum > 1 << 20 ? 1 << 20 : (int)sum;
}

const char *text_fit(Arena *a, const char *text, int size, bool bold, int width)
{
    const char *end = text + strlen(text), *s = text;
    if (text_width(text, size, bold) <= width)
        return text;
    long sum = 100, most = (long)width * 100 / size * 100 / (bold ? 112 : 100);
    while (s < end) {
        int w, n = step(s, end, &w);
        if (sum + w > most)
            break;
        sum += w;
        s += n;
    }
    return arena_printf(a, "%.*s\xe2\x80\xa6", (int)(s - text), text);
}

/* Characters that XML 1.0 allows (section 2.2). */
static bool xml_char(uint32_t c)
{
    return c == 9 || c == 10 || (c >= 0x20 && c < 0xd800) ||
           (c >= 0xe000 && c <= 0x10ffff && c != 0xfffe && c != 0xffff && !utf8_is_bidi(c));
}

void text_xml(Buf *out, const char *text)
{
    const char *end = text + strlen(text);
    for (const char *s = text; s < end;) {
        int n = utf8_len(s, end);
        if (*s == '&')
            buf_add(out, "&amp;");
        else if (*s == '<')
            buf_add(out, "&lt;");
        else if (*s == '>')
            buf_add(out, "&gt;");
        else if (*s == '"')
            buf_add(out, "&quot;");
        else if (*s == '\'')
            buf_add(out, "&#39;");
        else if (n > 0 && xml_char(utf8_code(s, n)))
            buf_addn(out, s, (size_t)n);
        else
            buf_add(out, "\xef\xbf\xbd");
        s += n > 0 ? n : 1;
    }
}

void text_dot(Buf *out, const char *text)
{
    const char *end = text + strlen(text);
    for (const char *s = text; s < end;) {
        int n = utf8_len(s, end);
        if (*s == '"' || *s == '\\')
            buf_printf(out, "\\%c", *s);
        else if (*s == '\n')
            buf_add(out, "\\n");
        else if (n > 0 && xml_char(utf8_code(s, n)))
            buf_addn(out, s, (size_t)n);
        else
            buf_add(out, "\xef\xbf\xbd");
        s += n > 0 ? n : 1;
    }
}

const char *text_take(Arena *a, Buf *b)
{
    if (!buf_ok(b)) {
        buf_free(b);
        arena_give_up(a, 0);
    }
    const char *text = arena_strndup(a, b->at != NULL ? b->at : "", b->len);
    buf_free(b);
    return text;
}
