/* A compilation session: sources, names, diagnostics, loaded modules. One per run (or per library
 * user); nothing is global. */
#ifndef CNNC_SESSION_H
#define CNNC_SESSION_H
#include "support/diag.h"
#include "support/intern.h"
#include "syntax/ast.h"

typedef struct Module Module; /* one loaded file and its resolved top-level scope; sema/sema.h */

/* A text that stands for a file: an edit that is not written yet. */
typedef struct Overlay {
    const char *path; /* canonical */
    const char *text;
    size_t len;
} Overlay;

typedef struct Session {
    Arena arena;
    OomHandler oom;
    Intern *intern;
    SourceMap sources;
    Diags diags;
    VEC(Module *) modules;
    const char *std_path;    /* CNNC_PATH, or NULL for the embedded library */
    const char *tree;        /* the folder that imports stay in; set with the first file */
    const Overlay *overlays; /* the caller's; none after session_init */
    size_t overlay_count;
} Session;

/* The caller has set up s->oom.env (setjmp) before anything else is called. */
void session_init(Session *s, const char *std_path);
void session_free(Session *s);
#endif
