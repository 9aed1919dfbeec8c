#include "cnntrain/text.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(CnntrainText *t, size_t more)
{
    if (t->failed || more > SIZE_MAX / 2 - t->len - 1) {
        t->failed = true;
        return false;
    }
    size_t need = t->len + more + 1, cap = t->cap < 128 ? 128 : t->cap;
    if (need <= t->cap)
        return true;
    while (cap < need)
        cap *= 2;
    char *p = realloc(t->at, cap);
    if (p == NULL) {
        t->failed = true;
        return false;
    }
    t->at = p;
    t->cap = cap;
    return true;
}

void cnntrain_text_addn(CnntrainText *t, const char *s, size_t n)
{
    if (!reserve(t, n))
        return;
    memcpy(t->at + t->len, s, n);
    t->len += n;
    t->at[t->len] = '\0';
}

void cnntrain_text_add(CnntrainText *t, const char *s)
{
    cnntrain_text_addn(t, s, strlen(s));
}

void cnntrain_text_printf(CnntrainText *t, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0)
        t->failed = true;
    else if (reserve(t, (size_t)n)) {
        vsnprintf(t->at + t->len, (size_t)n + 1, fmt, again);
        t->len += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

void cnntrain_text_json(CnntrainText *t, const char *s)
{
    cnntrain_text_add(t, "\"");
    for (; *s != '\0'; s++)
        if (*s == '"' || *s == '\\')
            cnntrain_text_printf(t, "\\%c", *s);
        else if ((unsigned char)*s < 0x20 || *s == 0x7f)
            cnntrain_text_printf(t, "\\u%04x", (unsigned char)*s);
        else
            cnntrain_text_addn(t, s, 1);
    cnntrain_text_add(t, "\"");
}

void cnntrain_text_html(CnntrainText *t, const char *s)
{
    for (; *s != '\0'; s++)
        switch (*s) {
        case '&': cnntrain_text_add(t, "&amp;"); break;
        case '<': cnntrain_text_add(t, "&lt;"); break;
        case '>': cnntrain_text_add(t, "&gt;"); break;
        case '"': cnntrain_text_add(t, "&quot;"); break;
        case '\'': cnntrain_text_add(t, "&#39;"); break;
        default: cnntrain_text_addn(t, (unsigned char)*s < 0x20 || *s == 0x7f ? " " : s, 1); break;
        }
}

void cnntrain_text_free(CnntrainText *t)
{
    free(t->at);
    *t = (CnntrainText){0};
}
