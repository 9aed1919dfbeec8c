/* names { }: patterns from our parameter paths to a public checkpoint's. A `*` stands for any text
 * within one dotted component; the captures are put into the other side's stars in order, as they
 * are or, between braces, counted with: "layer.{2*+1}". */
#include "elab/elab.h"
#include <inttypes.h>
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

/* What stands between braces on their side: factor * capture + shift. Returns its end, or NULL when
 * the text has another form. */
static const char *read_affine(const char *p, int *factor, int *shift)
{
    *factor = 1;
    *shift = 0;
    if (*p++ != '{')
        return NULL;
    if (*p >= '0' && *p <= '9') {
        for (*factor = 0; *p >= '0' && *p <= '9' && *factor < 1000; p++)
            *factor = *factor * 10 + (*p - '0');
    }
    if (*p++ != '*')
        return NULL;
    if (*p == '+' || *p == '-') {
        int sign = *p++ == '+' ? 1 : -1;
        if (*p < '0' || *p > '9')
            return NULL;
        for (; *p >= '0' && *p <= '9' && *shift < 10000; p++)
            *shift = *shift * 10 + (*p - '0');
        *shift *= sign;
    }
    return *p == '}' ? p + 1 : NULL;
}

static bool read_number(const Capture *c, int64_t *out)
{
    int64_t v = 0;
    if (c->n == 0 || c->n > 9)
        return false;
    for (size_t i = 0; i < c->n; i++) {
        if (c->at[i] < '0' || c->at[i] > '9')
            return false;
        v = v * 10 + (c->at[i] - '0');
    }
    *out = v;
    return true;
}

/* NULL when a capture that is counted with is no number. */
static const char *substitute(Arena *a, const char *pattern, const Capture *cap, const char *rest)
{
    Buf out = {0};
    bool fits = true;
    for (int k = 0; *pattern != '\0';) {
        int factor, shift;
        int64_t number = 0;
        const char *end = *pattern == '{' ? read_affine(pattern, &factor, &shift) : NULL;
        if (end != NULL && k < CAPTURES) {
            fits = fits && read_number(&cap[k++], &number);
            if (fits)
                buf_printf(&out, "%" PRId64, factor * number + shift);
            pattern = end;
        } else if (*pattern == '*' && k < CAPTURES && cap[k].at != NULL) {
            buf_addn(&out, cap[k].at, cap[k].n);
            k++;
            pattern++;
        } else {
            buf_addc(&out, *pattern++);
        }
    }
    buf_add(&out, rest);
    if (!buf_ok(&out)) {
        buf_free(&out);
        arena_give_up(a, 0);
    }
    const char *text = fits ? arena_strdup(a, out.at) : NULL;
    buf_free(&out);
    return text;
}

const char *elab_name_problem(const char *ours, const char *theirs)
{
    int stars = 0, used = 0, factor, shift;
    for (; *ours != '\0'; ours++)
        stars += *ours == '*';
    while (*theirs != '\0') {
        const char *end = theirs + 1;
        if (*theirs == '{' && (end = read_affine(theirs, &factor, &shift)) == NULL)
            return "braces hold a star, with a factor before it and a shift behind: {2*+1}";
        used += *theirs == '*' || *theirs == '{';
        theirs = end;
    }
    if (stars > CAPTURES)
        return "the pattern has too many stars";
    return used > stars ? "the right side has more stars than the left" : NULL;
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
        const char *theirs = substitute(a, r->theirs, cap, ours + n);
        if (theirs == NULL)
            continue;
        r->used = true;
        return theirs;
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
