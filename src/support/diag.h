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
    const char *id;   /* "E_STAGE_STRIDE" */
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
    /* A repair: replace `edit_span` by `edit_text` when edit_text is not NULL. `certain`: what was
     * meant is beyond doubt, and `check --fix` applies it; else it is one of several ways out. */
    Span edit_span;
    const char *edit_text;
    bool certain;
} DiagNote;

typedef struct Diag {
    DiagCode code;
    Severity level; /* SEV_ALLOW: silenced in the source by the @allow below, kept for reports */
    uint32_t allow; /* index + 1 in Diags.allows, 0 = none */
    Span span;
    const char *text;
    VEC(DiagNote) notes;
    uint32_t hash, next; /* of the chain it is found by: index + 1, 0 = end */
} Diag;

/* An @allow of a source: it silences a lint. */
typedef struct DiagAllow {
    DiagCode code;
    Span at;     /* the annotation */
    Span covers; /* what it stands on */
    const char *reason;
    bool elaborated; /* whether it silences anything shows only when its part of a net is built */
    bool reached;    /* ... which has happened */
    bool used;
} DiagAllow;

/* What is said about the run itself and not about a source: usage, files, limits. */
typedef struct DiagMessage {
    Severity level;
    bool usage;
    const char *text;
} DiagMessage;

/* What a SARIF log says about the run. */
typedef struct DiagRun {
    const char *version;
    int exit_code;
    const char *exit_text; /* what that code means */
} DiagRun;

typedef struct Diags {
    Arena *arena; /* session arena: messages live here */
    SourceMap *sources;
    VEC(Diag) all;
    VEC(DiagAllow) allows;
    VEC(DiagMessage) messages;
    DiagRun run;
    uint32_t *bucket; /* heads of chains by hash, index + 1: a repeated message is not added */
    uint32_t buckets; /* a power of two, or 0 */
    uint32_t errors, warnings;
    uint32_t error_limit;           /* 0 = 20 */
    uint8_t lint_level[DIAG_COUNT]; /* 0 = default, else Severity + 1 */
} Diags;

void diags_init(Diags *d, Arena *a, SourceMap *m);
/* The format and its argument types come from diag.def. Returns the index of the diagnostic, to
 * hang notes on, or UINT32_MAX when its level is allow (notes on that are dropped). */
uint32_t diag(Diags *d, DiagCode code, Span span, ...);
void diag_note(Diags *d, uint32_t at, Span span, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void diag_help(Diags *d, uint32_t at, Span span, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A help with an edit: replace the bytes of `edit` by `text`. diag_fix: certainly meant;
 * diag_suggest: one way out. */
void diag_fix(Diags *d, uint32_t at, Span edit, const char *text, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void diag_suggest(Diags *d, uint32_t at, Span edit, const char *text, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* "did you mean ...?" with the edit, certain when only one of the names is near `want`. False when
 * none is. */
bool diag_nearest(Diags *d, uint32_t at, Span edit, const char *want, const char *const *names,
                  size_t n);

/* Declares an @allow; from then on it silences what is reported inside what it covers. */
void diag_allow(Diags *d, DiagAllow allow);
/* The @allow with this annotation, index + 1; 0 = none. */
uint32_t diag_allow_at(const Diags *d, Span at, DiagCode code);
/* Keeps what an @allow silenced, for reports that show it. Marks the @allow as used. */
uint32_t diag_silenced(Diags *d, DiagCode code, Span span, uint32_t allow, const char *text);

/* The lint of that name, with '-' for '_' or not, or of that code ("W0203"); DIAG_COUNT = none. */
DiagCode diag_lint(const char *name);
/* Sets the level of the lint that diag_lint finds; false = unknown. "warnings" names all lints
 * whose level is warning at that time; setting these to warning undoes that. */
bool diag_set_level(Diags *d, const char *name, Severity level);
Severity diag_level(const Diags *d, DiagCode code);
/* Says something about the run. */
void diag_message(Diags *d, Severity level, bool usage, const char *text);
/* Forgets everything from index `mark` on (tentative work). */
void diag_rewind(Diags *d, uint32_t mark);
/* Forgets the messages, which were shown, but not their counts. */
void diag_forget_shown(Diags *d);
bool diag_failed(const Diags *d); /* any error so far */

typedef enum DiagFormat { DIAG_HUMAN, DIAG_SHORT, DIAG_JSON, DIAG_SARIF } DiagFormat;
/* Renders all in order of place, errors up to the limit: human with caret ranges, colour on
 * request; JSON and SARIF are one whole document (docs/diagnostics.md). */
void diag_render(const Diags *d, Buf *out, DiagFormat f, bool colour);

/* For the renderers: those to show, in order of place, malloc'ed; NULL when memory runs out.
 * `hidden` counts the errors over the limit. Silenced ones come along only `with_silenced`. */
const Diag **diag_sorted(const Diags *d, bool with_silenced, uint32_t *n, uint32_t *hidden);
const char *diag_level_name(Severity s);
void diag_json(const Diags *d, const Diag *const *list, uint32_t n, uint32_t hidden, Buf *out);
void diag_sarif(const Diags *d, const Diag *const *list, uint32_t n, uint32_t hidden, Buf *out);
#endif
