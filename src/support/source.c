#include "support/source.h"
#include "support/utf8.h"
#include <string.h>

uint32_t source_add(SourceMap *m, const char *path, const char *text, size_t len)
{
    Source s = {.path = arena_strdup(m->arena, path),
                .text = arena_strndup(m->arena, text, len),
                .len = (uint32_t)len};
    VEC(uint32_t) lines = {0};
    /* a byte order mark is not part of the first line */
    vec_push(m->arena, &lines, len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0);
    for (uint32_t i = 0; i < s.len; i++)
        if (text[i] == '\n')
            vec_push(m->arena, &lines, i + 1);
    s.line_start = lines.at;
    s.lines = lines.len;
    vec_push(m->arena, &m->all, s);
    return m->all.len;
}

const Source *source_get(const SourceMap *m, uint32_t src)
{
    return src == 0 || src > m->all.len ? NULL : &m->all.at[src - 1];
}

LineCol source_line_col(const Source *s, uint32_t offset)
{
    uint32_t lo = 0, hi = s->lines, col = 1;
    if (offset > s->len)
        offset = s->len;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (s->line_start[mid] <= offset)
            lo = mid;
        else
            hi = mid;
    }
    if (offset > s->line_start[lo])
        col += utf8_count(s->text + s->line_start[lo], offset - s->line_start[lo]);
    return (LineCol){lo + 1, col};
}

const char *source_line(const Source *s, uint32_t line, uint32_t *len)
{
    if (line == 0 || line > s->lines) {
        *len = 0;
        return "";
    }
    uint32_t lo = s->line_start[line - 1], hi = line < s->lines ? s->line_start[line] : s->len;
    while (hi > lo && (s->text[hi - 1] == '\n' || s->text[hi - 1] == '\r'))
        hi--;
    *len = hi - lo;
    return s->text + lo;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

Span source_removal(const Source *s, Span part)
{
    uint32_t lo = part.lo, hi = part.hi;
    while (hi < s->len && is_blank(s->text[hi]))
        hi++;
    while (lo > 0 && is_blank(s->text[lo - 1]))
        lo--;
    if ((lo > 0 && s->text[lo - 1] != '\n') || (hi < s->len && s->text[hi] != '\n'))
        return (Span){part.src, part.lo, hi};
    return (Span){part.src, lo, hi + (hi < s->len)};
}

Span span_join(Span a, Span b)
{
    if (a.src == 0)
        return b;
    if (b.src != a.src)
        return a;
    return (Span){a.src, a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
}
