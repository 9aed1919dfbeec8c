/* Bank conflicts. Shared memory has 32 banks of 4 bytes; lanes of a warp that touch different words
 * of one bank in the same instruction take turns. Fibers run one after another, so each lane keeps
 * a log, and where the warp meets, the logs are laid side by side: the n-th execution of an
 * instruction by one lane belongs to the n-th of the others. */
#include "memory.h"
#include <stdlib.h>
#include <string.h>

typedef struct Note {
    uint32_t site, turn; /* the instruction, and how many times this lane had executed it */
    uint32_t offset, bytes;
} Note;

typedef struct Log {
    Note *note;
    size_t count, room;
} Log;

enum { LOG_LIMIT = 1 << 18, BANKS = 32 };

static Log logs[MAX_THREADS];

static void append(Log *log, uint32_t offset, uint32_t bytes, uint32_t site)
{
    if (log->count == log->room) {
        size_t room = log->room ? 2 * log->room : 64;
        Note *grown = room <= LOG_LIMIT ? realloc(log->note, room * sizeof *grown) : NULL;
        if (!grown)
            return;
        log->note = grown;
        log->room = room;
    }
    log->note[log->count++] = (Note){.site = site, .offset = offset, .bytes = bytes};
}

void bank_note(uint32_t offset, uint32_t bytes, uint32_t align, uint32_t site)
{
    if (!(module_flags(block.module) & SIMT_CONFLICTS))
        return;
    /* what is wider, or less aligned, is several instructions */
    uint32_t step = align < bytes && align ? align : bytes;
    if (step > 16)
        step = 16;
    for (uint32_t at = 0; at < bytes; at += step)
        append(&logs[block.now->id], offset + at, step, site);
}

/* Wavefronts that n accesses take, beyond one. */
static void count_wavefronts(const uint32_t *offset, uint32_t bytes, int n)
{
    static uint32_t words[BANKS][LANES * 4];
    static int held[BANKS];
    int most = 1;
    memset(held, 0, sizeof held);
    for (int i = 0; i < n; i++)
        for (uint32_t at = 0; at < bytes; at += 4) {
            uint32_t word = (offset[i] + at) / 4, bank = word % BANKS;
            int k = 0;
            while (k < held[bank] && words[bank][k] != word)
                k++;
            if (k < held[bank])
                continue;
            words[bank][held[bank]++] = word;
            most = held[bank] > most ? held[bank] : most;
        }
    report.shared_requests++;
    report.conflicts += (uint64_t)(most - 1);
}

void bank_rows(const uint32_t offset[8])
{
    if (module_flags(block.module) & SIMT_CONFLICTS)
        count_wavefronts(offset, 16, 8);
}

/* One instruction of the warp: 8 bytes a lane go by half warps, 16 by quarters. */
static void count_request(const uint32_t *offset, const uint32_t *lane, uint32_t bytes, int n)
{
    uint32_t share = bytes > 8 ? LANES / 4 : bytes > 4 ? LANES / 2 : LANES;
    for (int i = 0; i < n;) {
        int begin = i;
        while (i < n && lane[i] / share == lane[begin] / share)
            i++;
        count_wavefronts(offset + begin, bytes, i - begin);
    }
}

static int by_site(const void *a, const void *b)
{
    const Note *x = a, *y = b;
    if (x->site != y->site)
        return x->site < y->site ? -1 : 1;
    return x->turn < y->turn ? -1 : x->turn > y->turn;
}

/* Lanes went different ways: bring what belongs together to the same place. */
static void order(Log *log)
{
    for (size_t i = 0; i < log->count; i++)
        log->note[i].turn = (uint32_t)i;
    if (!log->count)
        return;
    qsort(log->note, log->count, sizeof *log->note, by_site);
    for (size_t i = 0; i < log->count; i++) {
        bool same = i && log->note[i].site == log->note[i - 1].site;
        log->note[i].turn = same ? log->note[i - 1].turn + 1 : 0;
    }
}

static bool alike(const Warp *w)
{
    const Log *a = &logs[w->first];
    for (uint32_t l = 1; l < LANES; l++) {
        const Log *b = &logs[w->first + l];
        if (!(w->exists >> l & 1))
            continue;
        if (a->count != b->count)
            return false;
        for (size_t i = 0; i < a->count; i++)
            if (a->note[i].site != b->note[i].site)
                return false;
    }
    return true;
}

void bank_flush(Warp *w)
{
    uint32_t offset[LANES], lane[LANES];
    size_t at[LANES] = {0};
    bool together = alike(w);
    for (uint32_t l = 0; l < LANES; l++)
        if (!together && w->exists >> l & 1)
            order(&logs[w->first + l]);
    for (;;) {
        const Note *least = NULL;
        for (uint32_t l = 0; l < LANES; l++) {
            const Log *log = &logs[w->first + l];
            if (w->exists >> l & 1 && at[l] < log->count &&
                (!least || (!together && by_site(&log->note[at[l]], least) < 0)))
                least = &log->note[at[l]];
        }
        if (!least)
            break;
        Note now = *least;
        int n = 0;
        for (uint32_t l = 0; l < LANES; l++) {
            const Log *log = &logs[w->first + l];
            if (!(w->exists >> l & 1) || at[l] >= log->count ||
                (!together && by_site(&log->note[at[l]], &now)))
                continue;
            lane[n] = l;
            offset[n++] = log->note[at[l]++].offset;
        }
        count_request(offset, lane, now.bytes, n);
    }
    for (uint32_t l = 0; l < LANES; l++)
        if (w->exists >> l & 1)
            logs[w->first + l].count = 0;
}
