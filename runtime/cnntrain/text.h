/* Text that grows, with the escapes of JSON and HTML. Failure is sticky: after it `failed` is set
 * and further writes do nothing, so that only the end need be looked at. Private to cnntrain. */
#ifndef CNNTRAIN_TEXT_H
#define CNNTRAIN_TEXT_H
#include <stdbool.h>
#include <stddef.h>

typedef struct CnntrainText {
    char *at; /* NUL-terminated once anything was written; NULL before */
    size_t len, cap;
    bool failed; /* out of memory */
} CnntrainText;

void cnntrain_text_add(CnntrainText *t, const char *s);
void cnntrain_text_addn(CnntrainText *t, const char *s, size_t n);
void cnntrain_text_printf(CnntrainText *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes. Bytes above 0x7f are taken over: s should be UTF-8. */
void cnntrain_text_json(CnntrainText *t, const char *s);
/* For content and attributes of HTML; controls become blanks. */
void cnntrain_text_html(CnntrainText *t, const char *s);
void cnntrain_text_free(CnntrainText *t);
#endif
