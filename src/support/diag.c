#include "support/diag.h"
#include <string.h>

const DiagInfo diag_info[DIAG_COUNT] = {
#define DIAG(ID, CODE, SEV, LINT, TEXT) [ID] = {CODE, SEV, LINT, TEXT},
#include "support/diag.def"
};

void diags_init(Diags *d, Arena *a, SourceMap *m)
{
    *d = (Diags){.arena = a, .sources = m, .error_limit = 20};
}

Severity diag_level(const Diags *d, DiagCode code)
{
    Severity level = diag_info[code].level;
    if (d->lint_level[code] != 0)
        level = (Severity)(d->lint_level[code] - 1);
    if (level == SEV_WARNING && d->deny_warnings)
        level = SEV_ERROR;
    return level;
}

bool diag_set_level(Diags *d, const char *name, Severity level)
{
    bool found = false;
    if (strcmp(name, "warnings") == 0) {
        if (level == SEV_ERROR) {
            d->deny_warnings = true;
            return true;
        }
        d->deny_warnings = false;
        for (int i = 0; i < DIAG_COUNT; i++)
            if (diag_info[i].lint != NULL && diag_info[i].level == SEV_WARNING)
                d->lint_level[i] = (uint8_t)(level + 1);
        return true;
    }
    for (int i = 0; i < DIAG_COUNT; i++)
        if (diag_info[i].lint != NULL &&
            (strcmp(diag_info[i].lint, name) == 0 || strcmp(diag_info[i].code, name) == 0)) {
            d->lint_level[i] = (uint8_t)(level + 1);
            found = true;
        }
    return found;
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

uint32_t diag(Diags *d, DiagCode code, Span span, ...)
{
    va_list ap;
    Severity level = diag_level(d, code);
    if (level == SEV_ALLOW)
        return UINT32_MAX;
    va_start(ap, span);
    Diag x = {.code = code, .level = level, .span = span};
    x.text = arena_vprintf(d->arena, diag_info[code].fmt, ap);
    va_end(ap);
    x.hash = hash_of(&x);
    if (d->all.len >= d->buckets)
        grow_buckets(d);
    for (uint32_t i = d->bucket[x.hash & (d->buckets - 1)]; i != 0; i = d->all.at[i - 1].next)
        if (same(&d->all.at[i - 1], &x))
            return UINT32_MAX;
    if (level == SEV_ERROR)
        d->errors++;
    else
        d->warnings++;
    vec_push(d->arena, &d->all, x);
    link_last(d, d->all.len - 1);
    return d->all.len - 1;
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
    add_note(d, at, (DiagNote){NOTE_NOTE, span, arena_vprintf(d->arena, fmt, ap), SPAN_NONE, NULL});
    va_end(ap);
}

void diag_help(Diags *d, uint32_t at, Span span, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_note(d, at, (DiagNote){NOTE_HELP, span, arena_vprintf(d->arena, fmt, ap), SPAN_NONE, NULL});
    va_end(ap);
}

void diag_fix(Diags *d, uint32_t at, Span edit, const char *text, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_note(d, at,
             (DiagNote){NOTE_HELP, edit, arena_vprintf(d->arena, fmt, ap), edit,
                        arena_strdup(d->arena, text)});
    va_end(ap);
}

void diag_rewind(Diags *d, uint32_t mark)
{
    while (d->all.len > mark) {
        const Diag *last = &vec_last(&d->all);
        d->bucket[last->hash & (d->buckets - 1)] = last->next;
        if (last->level == SEV_ERROR)
            d->errors--;
        else
            d->warnings--;
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
