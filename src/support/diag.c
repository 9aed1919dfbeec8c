#include "support/diag.h"
#include "support/intern.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

const DiagInfo diag_info[DIAG_COUNT] = {
#define DIAG(ID, CODE, SEV, LINT, TEXT) [ID] = {#ID, CODE, SEV, LINT, TEXT},
#include "support/diag.def"
};

void diags_init(Diags *d, Arena *a, SourceMap *m)
{
    *d = (Diags){.arena = a, .sources = m, .error_limit = 20};
}

Severity diag_level(const Diags *d, DiagCode code)
{
    return d->lint_level[code] != 0 ? (Severity)(d->lint_level[code] - 1) : diag_info[code].level;
}

static bool same_lint(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++)
        if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b))
            return false;
    return *a == *b;
}

DiagCode diag_lint(const char *name)
{
    int i = 0;
    while (i < DIAG_COUNT &&
           (diag_info[i].lint == NULL ||
            (!same_lint(diag_info[i].lint, name) && strcasecmp(diag_info[i].code, name) != 0)))
        i++;
    return (DiagCode)i;
}

static void set_warnings(Diags *d, Severity level)
{
    for (int i = 0; i < DIAG_COUNT; i++) {
        bool hit = level == SEV_WARNING ? diag_info[i].level == SEV_WARNING
                                        : diag_level(d, (DiagCode)i) == SEV_WARNING;
        if (diag_info[i].lint != NULL && hit)
            d->lint_level[i] = (uint8_t)(level + 1);
    }
}

bool diag_set_level(Diags *d, const char *name, Severity level)
{
    DiagCode lint = diag_lint(name);
    if (strcmp(name, "warnings") == 0)
        set_warnings(d, level);
    else if (lint < DIAG_COUNT)
        d->lint_level[lint] = (uint8_t)(level + 1);
    else
        return false;
    return true;
}

static bool same(const Diag *a, const Diag *b)
{
    return a->hash == b->hash && a->code == b->code && a->span.src == b->span.src &&
           a->span.lo == b->span.lo && a->span.hi == b->span.hi && strcmp(a->text, b->text) == 0;
}

static uint32_t hash_of(const Diag *x)
{
    const uint32_t place[] = {(uint32_t)x->code, x->span.src, x->span.lo, x->span.hi};
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < sizeof place / sizeof *place; i++)
        h = (h ^ place[i]) * 16777619u;
    for (const char *c = x->text; *c != '\0'; c++)
        h = (h ^ (unsigned char)*c) * 16777619u;
    return h ^ h >> 15;
}

/* More messages than that are counted only. */
enum { TEXT_MAX = 16000, KEPT_MAX = 100000 };

/* Chains grow at their heads in the order of the messages, so that a rewind, which takes the last
 * message first, always finds it at the head of its chain. */
static void link_last(Diags *d, uint32_t at)
{
    uint32_t *head = &d->bucket[d->all.at[at].hash & (d->buckets - 1)];
    d->all.at[at].next = *head;
    *head = at + 1;
}

static void grow_buckets(Diags *d)
{
    uint32_t n = d->buckets == 0 ? 64 : d->buckets * 2;
    d->bucket = arena_new_n(d->arena, uint32_t, n); /* may leave by a jump */
    d->buckets = n;
    for (uint32_t i = 0; i < d->all.len; i++)
        link_last(d, i);
}

/* UINT32_MAX when it was said before. */
static uint32_t add(Diags *d, Diag x)
{
    x.hash = hash_of(&x);
    if (d->all.len >= d->buckets)
        grow_buckets(d);
    for (uint32_t i = d->bucket[x.hash & (d->buckets - 1)]; i != 0; i = d->all.at[i - 1].next)
        if (same(&d->all.at[i - 1], &x))
            return UINT32_MAX;
    d->errors += x.level == SEV_ERROR;
    d->warnings += x.level == SEV_WARNING;
    vec_push(d->arena, &d->all, x);
    link_last(d, d->all.len - 1);
    return d->all.len - 1;
}

static bool inside(Span s, Span of)
{
    return s.src == of.src && s.lo >= of.lo && s.hi <= of.hi;
}

/* The innermost @allow around a place, index + 1. */
static uint32_t allow_for(const Diags *d, DiagCode code, Span span)
{
    uint32_t found = 0;
    for (uint32_t i = 0; span.src != 0 && i < d->allows.len; i++)
        if (d->allows.at[i].code == code && inside(span, d->allows.at[i].covers) &&
            (found == 0 || inside(d->allows.at[i].covers, d->allows.at[found - 1].covers)))
            found = i + 1;
    return found;
}

/* Names and numbers in it come from sources, and may be of any length. */
static const char *message(Arena *a, const char *fmt, va_list ap)
{
    char text[TEXT_MAX + 4];
    int n = vsnprintf(text, TEXT_MAX + 1, fmt, ap);
    if (n <= TEXT_MAX)
        return arena_strndup(a, text, n < 0 ? 0 : (size_t)n);
    n = TEXT_MAX;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    memcpy(text + n, "...", 4);
    return arena_strdup(a, text);
}

uint32_t diag(Diags *d, DiagCode code, Span span, ...)
{
    va_list ap;
    uint32_t allow = diag_info[code].lint != NULL ? allow_for(d, code, span) : 0;
    Severity level = diag_level(d, code);
    if (allow != 0)
        d->allows.at[allow - 1].used = true;
    if (level == SEV_ALLOW)
        return UINT32_MAX;
    if (d->all.len >= KEPT_MAX) {
        d->errors += allow == 0 && level == SEV_ERROR;
        d->warnings += allow == 0 && level == SEV_WARNING;
        return UINT32_MAX;
    }
    va_start(ap, span);
    Diag x = {.code = code, .level = level, .span = span, .allow = allow};
    if (allow != 0)
        x.level = SEV_ALLOW;
    x.text = message(d->arena, diag_info[code].fmt, ap);
    va_end(ap);
    return add(d, x);
}

void diag_allow(Diags *d, DiagAllow allow)
{
    vec_push(d->arena, &d->allows, allow);
}

uint32_t diag_allow_at(const Diags *d, Span at, DiagCode code)
{
    for (uint32_t i = 0; i < d->allows.len; i++)
        if (d->allows.at[i].at.src == at.src && d->allows.at[i].at.lo == at.lo &&
            d->allows.at[i].code == code)
            return i + 1;
    return 0;
}

uint32_t diag_silenced(Diags *d, DiagCode code, Span span, uint32_t allow, const char *text)
{
    d->allows.at[allow - 1].used = true;
    return add(d, (Diag){.code = code,
                         .level = SEV_ALLOW,
                         .allow = allow,
                         .span = span,
                         .text = arena_strdup(d->arena, text)});
}

void diag_message(Diags *d, Severity level, bool usage, const char *text)
{
    DiagMessage m = {level, usage, arena_strdup(d->arena, text)};
    vec_push(d->arena, &d->messages, m);
}

static void add_note(Diags *d, uint32_t at, DiagNote n)
{
    if (at < d->all.len)
        vec_push(d->arena, &d->all.at[at].notes, n);
}

void diag_note(Diags *d, uint32_t at, Span span, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_note(d, at,
             (DiagNote){.kind = NOTE_NOTE, .span = span, .text = message(d->arena, fmt, ap)});
    va_end(ap);
}

void diag_help(Diags *d, uint32_t at, Span span, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_note(d, at,
             (DiagNote){.kind = NOTE_HELP, .span = span, .text = message(d->arena, fmt, ap)});
    va_end(ap);
}

static void add_edit(Diags *d, uint32_t at, Span edit, const char *text, bool certain,
                     const char *help)
{
    const char *copy = edit.src != 0 ? arena_strdup(d->arena, text) : NULL;
    add_note(d, at, (DiagNote){NOTE_HELP, edit, help, edit, copy, copy != NULL && certain});
}

void diag_fix(Diags *d, uint32_t at, Span edit, const char *text, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_edit(d, at, edit, text, true, message(d->arena, fmt, ap));
    va_end(ap);
}

void diag_suggest(Diags *d, uint32_t at, Span edit, const char *text, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_edit(d, at, edit, text, false, message(d->arena, fmt, ap));
    va_end(ap);
}

bool diag_nearest(Diags *d, uint32_t at, Span edit, const char *want, const char *const *names,
                  size_t n)
{
    bool only;
    const char *near = intern_nearest_of(want, names, n, &only);
    if (near != NULL)
        add_edit(d, at, edit, near, only, arena_printf(d->arena, "did you mean '%s'?", near));
    return near != NULL;
}

void diag_rewind(Diags *d, uint32_t mark)
{
    while (d->all.len > mark) {
        const Diag *last = &vec_last(&d->all);
        d->bucket[last->hash & (d->buckets - 1)] = last->next;
        d->errors -= last->level == SEV_ERROR;
        d->warnings -= last->level == SEV_WARNING;
        d->all.len--;
    }
}

void diag_forget_shown(Diags *d)
{
    d->all.len = 0;
    if (d->buckets > 0)
        memset(d->bucket, 0, d->buckets * sizeof *d->bucket);
}

bool diag_failed(const Diags *d)
{
    return d->errors > 0;
}
