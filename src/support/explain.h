/* The pages of docs/diagnostics, embedded: what a code means, an example that gives it and one that
 * does not. A page is Markdown; its first line is "# CODE: title". */
#ifndef CNNC_EXPLAIN_H
#define CNNC_EXPLAIN_H
#include "support/diag.h"

typedef struct ExplainFile {
    const char *name; /* "E0412.md" */
    const unsigned char *text;
    unsigned len;
} ExplainFile;
extern const ExplainFile explain_files[];
extern const unsigned explain_file_count;

/* NUL-terminated; NULL when there is none. */
const char *explain_page(DiagCode code);
/* What follows the code in the first line. */
void explain_title(DiagCode code, Buf *out);
/* The first paragraph in one line, without Markdown's marks. */
void explain_summary(DiagCode code, Buf *out);
/* The page for a terminal or any other reader of plain text: examples are indented. */
void explain_text(DiagCode code, bool colour, Buf *out);
#endif
