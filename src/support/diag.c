#include "support/diag.h"
#include <stdio.h>
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

static bool same_span(Span a, Span b)
{
    return a.src == b.src && a.lo == b.lo && a.hi == b.hi;
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
    for (uint32_t i = 0; i < d->all.len; i++) {
        const Diag *o = &d->all.at[i];
        if (o->code == code && same_span(o->span, span) && strcmp(o->text, x.text) == 0)
            return UINT32_MAX;
    }
    if (level == SEV_ERROR)
        d->errors++;
    else
        d->warnings++;
    vec_push(d->arena, &d->all, x);
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
    add_note(d, at, (DiagNote){NOTE_HELP, edit, arena_vprintf(d->arena, fmt, ap), edit,
                               arena_strdup(d->arena, text)});
    va_end(ap);
}

void diag_rewind(Diags *d, uint32_t mark)
{
    while (d->all.len > mark) {
        if (vec_last(&d->all).level == SEV_ERROR)
            d->errors--;
        else
            d->warnings--;
        d->all.len--;
    }
}

bool diag_failed(const Diags *d)
{
    return d->errors > 0;
}
