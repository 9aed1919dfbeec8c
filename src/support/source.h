/* Source texts and places in them. A Span is a half-open byte range of one source. */
#ifndef CNNC_SOURCE_H
#define CNNC_SOURCE_H
#include "support/arena.h"
#include "support/vec.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct Span {
    uint32_t src; /* index in SourceMap + 1; 0 = nowhere (built in, command line) */
    uint32_t lo, hi;
} Span;

typedef struct Source {
    const char *path; /* as shown to the user; "<std/blocks.cnn>"-like for embedded files */
    const char *text; /* NUL-terminated; may hold NUL bytes inside: use len */
    uint32_t len;
    uint32_t *line_start; /* byte offset of each line */
    uint32_t lines;
} Source;

typedef struct SourceMap {
    Arena *arena;
    VEC(Source) all;
} SourceMap;

typedef struct LineCol {
    uint32_t line, col; /* 1-based; columns count characters (UTF-8 code points; malformed bytes
                           count one each) */
} LineCol;

/* Copies the text into the arena; returns the index + 1 that Span.src holds. */
uint32_t source_add(SourceMap *m, const char *path, const char *text, size_t len);
const Source *source_get(const SourceMap *m, uint32_t src);
LineCol source_line_col(const Source *s, uint32_t offset);
/* The text of a 1-based line without its newline. */
const char *source_line(const Source *s, uint32_t line, uint32_t *len);
/* What to delete so that a part of a text is gone without a trace: its lines when nothing else
 * stands on them, else the part with the blanks behind it. */
Span source_removal(const Source *s, Span part);
Span span_join(Span a, Span b); /* the smallest span covering both; a nowhere span is ignored */
#define SPAN_NONE ((Span){0, 0, 0})
#endif
