/* A document to be laid out: texts, places where lines may end, and groups that stay on one line
 * when they fit. In the manner of P. Wadler: A prettier printer (2003), as one flat list of items.
 */
#ifndef CNNC_DOC_H
#define CNNC_DOC_H
#include "support/arena.h"
#include "support/buf.h"
#include "support/vec.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum DocKind {
    DOC_TEXT,
    DOC_SPACE,     /* one blank, never a line's end */
    DOC_LINE,      /* a blank in a flat group, a line's end in a broken one */
    DOC_SOFT,      /* nothing in a flat group, a line's end in a broken one */
    DOC_HARD,      /* a line's end */
    DOC_IN,        /* what follows is indented by one more step */
    DOC_OUT,       /* ends DOC_IN */
    DOC_IN_BROKEN, /* as DOC_IN and DOC_OUT, when the group they are in is broken */
    DOC_OUT_BROKEN,
    DOC_BEGIN, /* a group */
    DOC_END,
    DOC_MARK,       /* a column that rows one after another may share */
    DOC_COMMENT,    /* at the end of its line */
    DOC_OWN_COMMENT /* on a line of its own */
} DocKind;

/* GROUP: all on one line, or broken. ASSIGN: the line after an equals sign; the groups after it
 * decide for themselves. HUG: the same, but where the rest does not fit on the next line either, it
 * stays. TAIL: what is behind its line end stays, too, unless what is before it fits then. */
typedef enum DocGroup { DOC_GROUP, DOC_ASSIGN, DOC_HUG, DOC_TAIL } DocGroup;

/* Columns that align with those of the same kind in neighbouring lines; in the order in which a
 * line has them. */
typedef enum DocMark {
    MARK_BRACE,
    MARK_BIND,
    MARK_PAIR, /* a row of a table: it may go on in further lines */
    MARK_NET,
    MARK_LET,
    MARK_ARG, /* the second argument of a row; ARG + 1 ... for the next ones */
    MARK_STAR = MARK_ARG + 12,
    MARK_COMMENT,
    MARK_COUNT
} DocMark;
enum { MARK_ARGS = MARK_STAR - MARK_ARG };

typedef struct DocItem {
    DocKind kind;
    const char *at; /* TEXT, COMMENT */
    uint32_t len;
    bool blank_before;  /* an empty line stood before it */
    bool opens, closes; /* TEXT: a bracket */
    bool broken;        /* BEGIN: holds something that needs a line's end */
    DocGroup group;     /* BEGIN */
    DocMark mark;       /* MARK */
    uint32_t key;       /* MARK: aligns with marks of the same key */
    uint8_t row;        /* MARK: counts only where the group that many groups out is broken */
    uint32_t end;       /* BEGIN: index of its END */
} DocItem;

typedef VEC(DocItem) Doc;

enum { DOC_WIDTH = 100, DOC_STEP = 2 };

/* A line of the result, before columns are aligned. */
typedef struct DocLineMark {
    DocMark mark;
    uint32_t key;
    uint32_t byte, column; /* within the line */
} DocLineMark;
enum { DOC_LINE_MARKS = 16 };
typedef struct DocLine {
    uint32_t from, len;     /* bytes in the text */
    uint32_t indent, width; /* columns; width without a comment at its end */
    DocLineMark mark[DOC_LINE_MARKS];
    int marks;
    bool starts; /* with a text, not with a comment */
} DocLine;
typedef VEC(DocLine) DocLines;

/* Lays the document out. `out` gets the text without alignment, `lines` its lines. */
void doc_print(const Doc *d, Arena *a, Buf *out, DocLines *lines);
/* The same lines with their marks aligned. */
void doc_align(const char *text, DocLines *lines, Buf *out);
/* Columns that a UTF-8 text takes. */
uint32_t doc_width(const char *at, uint32_t len);
#endif
