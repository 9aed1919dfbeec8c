#include "cnntrain/progress.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    PARTS = 6,
    PART = 96,
    WORD = 20,
    BAR_LEAST = 8,
    BAR_MOST = 30,
    WIDTH = 80,
    WIDTH_MOST = 240,
    GAP = 2
};

/* In the order of the line; which go first when there is no room says `drop`. */
enum { HEAD, PERCENT, LOSS, ACCURACY, SPEED, LEFT };

char *cnntrain_seconds_text(char out[24], double seconds)
{
    enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
    long long s = seconds < 0 ? 0 : seconds < 1e14 ? llround(seconds) : 0;
    if (!(seconds < 1e14))
        snprintf(out, 24, "unknown");
    else if (s < MINUTE)
        snprintf(out, 24, "%lld s", s);
    else if (s < HOUR)
        snprintf(out, 24, "%lld min %02lld s", s / MINUTE, s % MINUTE);
    else if (s < DAY)
        snprintf(out, 24, "%lld h %02lld min", s / HOUR, s % HOUR / MINUTE);
    else
        snprintf(out, 24, "%lld d %02lld h", s / DAY, s % DAY / HOUR);
    return out;
}

/* A rate in at most 6 characters, for a column that does not jump. */
static void speed_text(char out[PART], double v)
{
    snprintf(out, PART, v < 9.95 ? "%.1f img/s" : v < 999999.5 ? "%.0f img/s" : "%.2g img/s", v);
}

static double part_done(const CnntrainProgress *p)
{
    double part = p->total > 0 ? (double)p->done / (double)p->total : 0;
    return part < 0 ? 0 : part > 1 ? 1 : part;
}

static void make_parts(char part[PARTS][PART], const CnntrainProgress *p)
{
    char left[24];
    memset(part, 0, PARTS * sizeof part[0]);
    if (p->number > 0 && p->of > 0) {
        char number[24], of[24];
        snprintf(of, sizeof of, "%lld", (long long)p->of);
        snprintf(number, sizeof number, "%lld", (long long)p->number);
        size_t pad = strlen(of) > strlen(number) ? strlen(of) - strlen(number) : 0;
        snprintf(part[HEAD], PART, "%.*s %.*s%s/%s", WORD, p->what, (int)pad, "                   ",
                 number, of);
    } else {
        snprintf(part[HEAD], PART, "%.*s", WORD, p->what);
    }
    /* rounded down: 100 % is the end */
    if (p->total > 0)
        snprintf(part[PERCENT], PART, "%3.0f %%", floor(100 * part_done(p)));
    if (!isnan(p->loss))
        snprintf(part[LOSS], PART, fabs(p->loss) < 1000 ? "loss %.4f" : "loss %.4g", p->loss);
    if (!isnan(p->accuracy))
        snprintf(part[ACCURACY], PART, "top-1 %.1f %%", 100 * p->accuracy);
    if (p->images_per_second >= 0)
        speed_text(part[SPEED], p->images_per_second);
    if (p->seconds_left >= 0)
        snprintf(part[LEFT], PART, "%s left", cnntrain_seconds_text(left, p->seconds_left));
}

/* Length of the line without a bar. */
static int line_length(char part[PARTS][PART])
{
    int n = 0;
    for (int i = 0; i < PARTS; i++)
        if (part[i][0] != '\0')
            n += (int)strlen(part[i]) + (n > 0 ? GAP : 0);
    return n;
}

typedef struct Line {
    char *out;
    size_t cap, at, seen;
} Line;

static void put(Line *l, const char *s, bool visible)
{
    size_t n = strlen(s);
    if (l->at + n >= l->cap)
        return;
    memcpy(l->out + l->at, s, n + 1);
    l->at += n;
    l->seen += visible ? n : 0;
}

static void put_bar(Line *l, double part, int width, bool colour)
{
    char done[BAR_MOST + 1] = "", rest[BAR_MOST + 1] = "";
    int inner = width - 2, full = (int)(part * inner);
    memset(done, '=', (size_t)full);
    if (full < inner && full > 0)
        done[full - 1] = '>';
    memset(rest, ' ', (size_t)(inner - full));
    put(l, "[", true);
    put(l, colour ? "\x1b[34m" : "", false);
    put(l, done, true);
    put(l, colour ? "\x1b[0m" : "", false);
    put(l, rest, true);
    put(l, "]", true);
}

size_t cnntrain_progress_format(char *out, size_t cap, const CnntrainProgress *p, int width,
                                bool colour)
{
    static const int drop[] = {SPEED, ACCURACY, LEFT, LOSS, PERCENT};
    char part[PARTS][PART];
    Line l = {.out = out, .cap = cap};
    if (cap > 0)
        out[0] = '\0';
    make_parts(part, p);
    for (size_t i = 0; i < sizeof drop / sizeof drop[0] && line_length(part) > width; i++)
        part[drop[i]][0] = '\0';
    if (line_length(part) > width)
        part[HEAD][width > 0 ? width : 0] = '\0';
    int bar = width - line_length(part) - GAP;
    bar = bar > BAR_MOST ? BAR_MOST : bar;
    for (int i = 0; i < PARTS; i++) {
        if (part[i][0] != '\0') {
            put(&l, l.seen > 0 ? "  " : "", true);
            put(&l, part[i], true);
        }
        if (i == HEAD && p->total > 0 && bar >= BAR_LEAST) {
            put(&l, l.seen > 0 ? "  " : "", true);
            put_bar(&l, part_done(p), bar, colour);
        }
    }
    return l.seen;
}

CnntrainVoice cnntrain_progress_voice(int fd, bool quiet)
{
    const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
    if (quiet)
        return CNNTRAIN_QUIET;
    if (!isatty(fd) || term == NULL || *term == '\0' || strcmp(term, "dumb") == 0)
        return CNNTRAIN_PLAIN;
    return plain != NULL && *plain != '\0' ? CNNTRAIN_DRAWN : CNNTRAIN_COLOURED;
}

CnntrainMeter cnntrain_meter(int fd, CnntrainVoice voice, double every)
{
    return (CnntrainMeter){.fd = fd, .voice = voice, .every = every, .last = -1};
}

/* A stream that takes no more is no reason to end a run: it gets nothing from then on. */
static void emit(CnntrainMeter *m, const char *s, size_t n)
{
    while (n > 0 && m->voice != CNNTRAIN_QUIET) {
        ssize_t put_now = write(m->fd, s, n);
        if (put_now < 0 && errno == EINTR)
            continue;
        if (put_now <= 0) {
            m->voice = CNNTRAIN_QUIET;
            return;
        }
        s += put_now;
        n -= (size_t)put_now;
    }
}

/* Columns of the terminal, one less: the last one would wrap in some. */
static int columns(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return WIDTH - 1;
    return size.ws_col > WIDTH_MOST ? WIDTH_MOST - 1 : size.ws_col - 1;
}

void cnntrain_meter_show(CnntrainMeter *m, const CnntrainProgress *p, double now, bool always)
{
    char line[2 * WIDTH_MOST + 64] = "\r", *text = line + 1;
    bool drawn = m->voice >= CNNTRAIN_DRAWN;
    if (m->voice == CNNTRAIN_QUIET ||
        (!always && m->last >= 0 && now - m->last < (drawn ? 0.1 : m->every)))
        return;
    m->last = now;
    int width = drawn ? columns(m->fd) : WIDTH_MOST;
    size_t seen = cnntrain_progress_format(text, sizeof line - WIDTH_MOST - 1, p, width,
                                           m->voice == CNNTRAIN_COLOURED);
    size_t n = strlen(text);
    if (!drawn) {
        text[n++] = '\n';
        emit(m, text, n);
        return;
    }
    /* blanks over what was longer: it works on every terminal */
    for (size_t i = seen; i < m->drawn && i < (size_t)width; i++)
        text[n++] = ' ';
    m->drawn = seen;
    emit(m, line, n + 1);
}

void cnntrain_meter_clear(CnntrainMeter *m)
{
    char line[WIDTH_MOST + 2];
    if (m->voice < CNNTRAIN_DRAWN || m->drawn == 0)
        return;
    size_t n = m->drawn < WIDTH_MOST ? m->drawn : WIDTH_MOST;
    line[0] = '\r';
    memset(line + 1, ' ', n);
    line[n + 1] = '\r';
    m->drawn = 0;
    emit(m, line, n + 2);
}
