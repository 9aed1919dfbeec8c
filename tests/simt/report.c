/* Faults are counted as they happen, and put into words when the launch is over: a fiber's stack is
 * no place for LLVM's printer. */
#include "machine.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 768, DETAIL = 128 };

typedef struct Found {
    SimtFault kind;
    uint32_t site, other;
    uint64_t count;
    uint32_t ctaid[3], tid[3];
    bool thread; /* false when the fault is the block's */
    char detail[DETAIL];
    char text[TEXT];
} Found;

static Found found[SIMT_MESSAGES];
static const char *message[SIMT_MESSAGES];
static int count, flushed;

SimtReport report;

static const char *const names[] = {
#define FAULT(NAME, name, text) name,
#include "fault.def"
#undef FAULT
};

static const char *const meanings[] = {
#define FAULT(NAME, name, text) text,
#include "fault.def"
#undef FAULT
};

const char *simt_fault_name(SimtFault kind)
{
    return names[kind];
}

void fault(SimtFault kind, uint32_t site, uint32_t other, const char *fmt, ...)
{
    report.faults[kind]++;
    report.total++;
    for (int i = flushed; i < count; i++)
        if (found[i].kind == kind && found[i].site == site) {
            found[i].count++;
            return;
        }
    if (count == SIMT_MESSAGES)
        return;
    Found *f = &found[count++];
    *f = (Found){.kind = kind, .site = site, .other = other, .count = 1, .thread = block.now};
    memcpy(f->ctaid, block.ctaid, sizeof f->ctaid);
    if (block.now)
        memcpy(f->tid, block.now->tid, sizeof f->tid);
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->detail, sizeof f->detail, fmt, args);
    va_end(args);
}

static void put(Found *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(Found *f, const char *fmt, ...)
{
    size_t had = strlen(f->text);
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->text + had, sizeof f->text - had, fmt, args);
    va_end(args);
}

static void put_into_words(Found *f)
{
    char text[256];
    put(f, "%s: kernel %s, block (%u,%u,%u)", names[f->kind], block.kernel->name, f->ctaid[0],
        f->ctaid[1], f->ctaid[2]);
    if (f->thread)
        put(f, ", thread (%u,%u,%u)", f->tid[0], f->tid[1], f->tid[2]);
    put(f, ": %s", f->detail);
    if (f->site != NO_SITE) {
        module_site_text(block.module, f->site, text, sizeof text);
        put(f, ", at '%s'", text);
    }
    if (f->other != NO_SITE) {
        module_site_text(block.module, f->other, text, sizeof text);
        put(f, ", against '%s'", text);
    }
    put(f, " (%s", meanings[f->kind]);
    if (f->count > 1)
        put(f, "; %llu times", (unsigned long long)f->count);
    put(f, ")");
}

void report_flush(void)
{
    for (; flushed < count; flushed++) {
        put_into_words(&found[flushed]);
        message[flushed] = found[flushed].text;
    }
}

const SimtReport *simt_report(void)
{
    report.messages = flushed;
    report.message = message;
    return &report;
}

void simt_report_clear(void)
{
    memset(&report, 0, sizeof report);
    count = flushed = 0;
}
