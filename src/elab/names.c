/* names { }: patterns from our parameter paths to a public checkpoint's. A `*` stands for any text
 * within one dotted component; the captures are put into the other side's stars in order. */
#include "elab/elab.h"
#include <string.h>

enum { CAPTURES = 16 };

typedef struct Capture {
    const char *at;
    size_t n;
} Capture;

/* Matches a prefix of text that ends at a component's end; returns its length, or -1. */
static int64_t match(const char *pattern, const char *text, Capture *cap, int n)
{
    const char *start = text;
    while (*pattern != '\0') {
        if (*pattern != '*') {
            if (*pattern++ != *text++)
                return -1;
            continue;
        }
        if (n == CAPTURES)
            return -1;
        size_t room = strcspn(text, ".");
        for (size_t len = 1; len <= room; len++) {
            cap[n] = (Capture){text, len};
            int64_t rest = match(pattern + 1, text + len, cap, n + 1);
            if (rest >= 0)
                return (int64_t)(text - start) + (int64_t)len + rest;
        }
        return -1;
    }
    return *text == '\0' || *text == '.' ? text - start : -1;
}

static const char *substitute(Arena *a, const char *pattern, const Capture *cap, const char *rest)
{
    Buf out = {0};
    int k = 0;
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '*' && k < CAPTURES && cap[k].at != NULL) {
            buf_addn(&out, cap[k].at, cap[k].n);
            k++;
        } else {
            buf_addc(&out, *pattern);
        }
    }
    buf_add(&out, rest);
    const char *text = buf_ok(&out) ? arena_strdup(a, out.at) : NULL;
    buf_free(&out);
    return text;
}

const char *elab_name_theirs(Arena *a, const NameMap *m, const char *ours)
{
    for (uint32_t i = 0; i < m->rules.len; i++) {
        NameRule *r = &m->rules.at[i];
        Capture cap[CAPTURES] = {{0}};
        if (r->ours == NULL)
            continue;
        int64_t n = match(r->ours, ours, cap, 0);
        if (n < 0)
            continue;
        r->used = true;
        return substitute(a, r->theirs, cap, ours + n);
    }
    return NULL;
}

/* In `ignore` a star stands for any text, dots included. */
static bool glob(const char *pattern, const char *text)
{
    const char *star = NULL, *retry = text;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            retry = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool elab_name_ignored(const NameMap *m, const char *theirs)
{
    for (uint32_t i = 0; i < m->rules.len; i++)
        if (m->rules.at[i].ours == NULL && glob(m->rules.at[i].theirs, theirs))
            return true;
    return false;
}
