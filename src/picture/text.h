/* Text of pictures: how wide it may get, how it is escaped, and the colours and letters of
 * verdicts.
 */
#ifndef CNNC_PICTURE_TEXT_H
#define CNNC_PICTURE_TEXT_H
#include "analysis/analysis.h"

/* A colour and a letter say the same, so that neither is needed. */
typedef struct VerdictLook {
    char letter;
    const char *name;
    const char *colour; /* full, for the bar with the letter */
    const char *tint;   /* of the box, on white */
    const char *dark;   /* of the box, on a dark page */
} VerdictLook;
extern const VerdictLook verdict_look[VERDICT_GLOBAL + 1]; /* [VERDICT_NONE]: not judged */

/* Pixels that the text takes at most in a common sans-serif face of this size. */
int text_width(const char *text, int size, bool bold);
/* The text, or its beginning and an ellipsis, so that it takes at most `width` pixels. */
const char *text_fit(Arena *a, const char *text, int size, bool bold, int width);
/* For XML and HTML, in content and in attributes; what XML cannot hold becomes U+FFFD. */
void text_xml(Buf *out, const char *text);
/* For a quoted string of Graphviz. */
void text_dot(Buf *out, const char *text);
/* The text of a Buf, moved into the arena; frees the Buf. */
const char *text_take(Arena *a, Buf *b);
#endif
