/* Diagnostics: every message a user can get is a row of diag.def and is collected here, sorted by
 * place and rendered once. Lints have names and levels; errors do not. */
#ifndef CNNC_DIAG_H
#define CNNC_DIAG_H
#include "support/arena.h"
#include "support/buf.h"
#include "support/source.h"
#include "support/vec.h"
#include <stdbool.h>

typedef enum DiagCode {
#define DIAG(ID, CODE, SEV, LINT, TEXT) ID,
#include "support/diag.def"
    DIAG_COUNT
} DiagCode;

typedef enum Severity { SEV_ALLOW, SEV_WARNING, SEV_ERROR } Severity;

typedef struct DiagInfo {
    const char *code; /* "E0412", "W0203" */
    Severity level;   /* default level */
    const char *lint; /* lint name, or NULL for a plain error */
    const char *fmt;  /* printf format of the message */
} DiagInfo;
extern const DiagInfo diag_info[DIAG_COUNT];

typedef enum NoteKind { NOTE_NOTE, NOTE_HELP } NoteKind;

typedef struct DiagNote {
    NoteKind kind;
    Span span; /* src 0: no place */
    const char *text;
    /* Machine-applicable repair: replace `edit_span` by `edit_text` when edit_text is not NULL. */
    Span edit_span;
    const char *edit_text;
} DiagNote;

typedef struct Diag {
    DiagCode code;
    Severity level;
    Span span;
    const char *text;
    VEC(DiagNote) notes;
    uint32_t hash, next; /* of the chain it is found by: index + 1, 0 = end */
} Diag;

typedef struct Diags {
    Arena *arena; /* session arena: messages live here */
    SourceMap *sources;
    VEC(Diag) all;
    uint32_t *bucket; /* heads of chains by hash, index + 1: a repeated message is not added */
    uint32_t buckets; /* a power of two, or 0 */
    uint32_t errors, warnings;
    uint32_t error_limit;           /* 0 = 20 */
    uint8_t lint_level[DIAG_COUNT]; /* 0 = default, else Severity + 1 */
    bool deny_warnings;
} Diags;

void diags_init(Diags *d, Arena *a, SourceMap *m);
/* The format and its argument types come from diag.def. Returns the index of the diagnostic, to
 * hang notes on, or UINT32_MAX when its level is allow (notes on that are dropped). */
uint32_t diag(Diags *d, DiagCode code, Span span, ...);
void diag_note(Diags *d, uint32_t at, Span span, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void diag_help(Diags *d, uint32_t at, Span span, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A help with an edit: replace the bytes of `edit` by `text`. */
void diag_fix(Diags *d, uint32_t at, Span edit, const char *text, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Sets the level of the lint called name ("underutilized", or a code "W0203"); false = unknown.
 * "warnings" names all lints whose level is warning. */
bool diag_set_level(Diags *d, const char *name, Severity level);
Severity diag_level(const Diags *d, DiagCode code);
/* Forgets everything from index `mark` on (tentative work). */
void diag_rewind(Diags *d, uint32_t mark);
/* Forgets the messages, which were shown, but not their counts. */
void diag_forget_shown(Diags *d);
bool diag_failed(const Diags *d); /* any error so far */

typedef enum DiagFormat { DIAG_HUMAN, DIAG_SHORT, DIAG_JSON } DiagFormat;
/* Renders all, in order of place; human with caret ranges, colour on request. */
void diag_render(const Diags *d, Buf *out, DiagFormat f, bool colour);
#endif
