/* Line differences after E. Myers, An O(ND) Difference Algorithm and Its Variations, Algorithmica
 * 1(2), 1986, in the form of section 4b: linear space, by a point in the middle of a shortest edit
 * script, found from both ends, and the two halves. The recursion is a list of boxes to be done. */
#include "support/textdiff.h"
#include <string.h>

enum { COST_LIMIT = 256, CONTEXT = 3, NOWHERE = INT32_MIN / 2 };

typedef struct Line {
    uint32_t at, len;
} Line;
typedef VEC(Line) Lines;

typedef struct Side {
    const char *text;
    Lines lines;
    int32_t *id;   /* by line: equal numbers for equal lines */
    bool *changed; /* by line */
} Side;

/* Lines [a, a_end) of the one against [b, b_end) of the other. */
typedef struct Box {
    int32_t a, a_end, b, b_end;
} Box;

typedef struct Work {
    Side old, new;
    int32_t *from_start, *from_end; /* how far one gets, by diagonal; both point at diagonal 0 */
    VEC(Box) boxes;
} Work;

static void split_lines(Arena *a, TextSide t, Side *s)
{
    s->text = t.at;
    for (uint32_t at = 0; at < t.len;) {
        const char *end = memchr(t.at + at, '\n', t.len - at);
        uint32_t len = end != NULL ? (uint32_t)(end - (t.at + at)) + 1 : (uint32_t)t.len - at;
        vec_push(a, &s->lines, ((Line){at, len}));
        at += len;
    }
    s->id = arena_new_n(a, int32_t, s->lines.len + (size_t)1);
    s->changed = arena_new_n(a, bool, s->lines.len + (size_t)1);
}

static uint32_t hash_line(const char *s, uint32_t n)
{
    uint32_t h = 2166136261u;
    for (uint32_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h ^ h >> 15;
}

static bool same_line(const Side *s, uint32_t i, const Side *t, uint32_t k)
{
    const Line *x = &s->lines.at[i], *y = &t->lines.at[k];
    return x->len == y->len && memcmp(s->text + x->at, t->text + y->at, x->len) == 0;
}

/* Numbers the lines of both sides: a line is known by the first one of its text. */
static void number_lines(Arena *a, Side *old, Side *new)
{
    uint32_t n = old->lines.len, all = n + new->lines.len, size = 16;
    while (size < 2 * all)
        size *= 2;
    uint32_t *slot = arena_new_n(a, uint32_t, size); /* line + 1, the new ones after the old ones */
    for (uint32_t i = 0; i < all; i++) {
        Side *s = i < n ? old : new;
        uint32_t line = i < n ? i : i - n;
        const Line *x = &s->lines.at[line];
        uint32_t k = hash_line(s->text + x->at, x->len) & (size - 1);
        for (; slot[k] != 0; k = (k + 1) & (size - 1)) {
            uint32_t j = slot[k] - 1;
            if (same_line(s, line, j < n ? old : new, j < n ? j : j - n))
                break;
        }
        if (slot[k] == 0)
            slot[k] = i + 1;
        s->id[line] = (int32_t)(slot[k] - 1);
    }
}

/* Takes one more edit on every diagonal k = x - y of an n x m box: right along the old lines or
 * down along the new ones, then on through equal lines. `back` walks from the far corner. True when
 * the walk met the opposite one, and then *x, *y is where, from this walk's corner. */
static bool advance(const Work *w, Box box, bool back, int32_t d, int32_t *x_out, int32_t *y_out)
{
    int32_t n = box.a_end - box.a, m = box.b_end - box.b, delta = n - m;
    int32_t *here = back ? w->from_end : w->from_start, *there = back ? w->from_start : w->from_end;
    int32_t opposite = back ? d : d - 1; /* edits the other walk has taken */
    int32_t lo = d <= m ? -d : d - 2 * m, hi = d <= n ? d : 2 * n - d;
    for (int32_t k = lo; k <= hi; k += 2) {
        int32_t right = k > -d && k - 1 >= -m ? here[k - 1] + 1 : NOWHERE;
        int32_t down = k < d && k + 1 <= n ? here[k + 1] : NOWHERE;
        int32_t x = d == 0 ? 0 : NOWHERE;
        if (right >= 0 && right <= n)
            x = right;
        if (down >= 0 && down - k <= m && down > x)
            x = down;
        if (x >= 0)
            for (; x < n && x - k < m; x++) {
                int32_t i = back ? box.a_end - 1 - x : box.a + x;
                int32_t j = back ? box.b_end - 1 - (x - k) : box.b + x - k;
                if (w->old.id[i] != w->new.id[j])
                    break;
            }
        here[k] = x;
        int32_t other = delta - k;
        bool crossed = (back ? delta % 2 == 0 : delta % 2 != 0) && other >= -opposite &&
                       other <= opposite && other >= -m && other <= n;
        if (crossed && x >= 0 && there[other] >= 0 && x + there[other] >= n) {
            *x_out = x;
            *y_out = x - k;
            return true;
        }
    }
    return false;
}

/* A point that a short edit script of the box passes, neither of its corners. The box begins and
 * ends with lines that differ. */
static void find_middle(const Work *w, Box box, int32_t *a, int32_t *b)
{
    int32_t n = box.a_end - box.a, m = box.b_end - box.b, x, y;
    for (int32_t d = 0; d <= COST_LIMIT; d++) {
        if (advance(w, box, false, d, &x, &y)) {
            *a = box.a + x;
            *b = box.b + y;
            return;
        }
        if (advance(w, box, true, d, &x, &y)) {
            *a = box.a_end - x;
            *b = box.b_end - y;
            return;
        }
    }
    /* Too different: the farthest that was reached from the start has to do. */
    int32_t best = -1;
    for (int32_t k = -COST_LIMIT; k <= COST_LIMIT; k += 2)
        if (k >= -m && k <= n && w->from_start[k] >= 0 && 2 * w->from_start[k] - k > best) {
            best = 2 * w->from_start[k] - k;
            *a = box.a + w->from_start[k];
            *b = box.b + w->from_start[k] - k;
        }
}

static void mark_changes(Arena *a, Work *w)
{
    Box all = {0, (int32_t)w->old.lines.len, 0, (int32_t)w->new.lines.len};
    vec_push(a, &w->boxes, all);
    while (w->boxes.len > 0) {
        Box x = w->boxes.at[--w->boxes.len];
        while (x.a < x.a_end && x.b < x.b_end && w->old.id[x.a] == w->new.id[x.b]) {
            x.a++;
            x.b++;
        }
        while (x.a < x.a_end && x.b < x.b_end && w->old.id[x.a_end - 1] == w->new.id[x.b_end - 1]) {
            x.a_end--;
            x.b_end--;
        }
        if (x.a == x.a_end || x.b == x.b_end) {
            memset(w->old.changed + x.a, 1, (size_t)(x.a_end - x.a));
            memset(w->new.changed + x.b, 1, (size_t)(x.b_end - x.b));
            continue;
        }
        int32_t i = x.a, k = x.b;
        find_middle(w, x, &i, &k);
        vec_push(a, &w->boxes, ((Box){x.a, i, x.b, k}));
        vec_push(a, &w->boxes, ((Box){i, x.a_end, k, x.b_end}));
    }
}

static void collect_hunks(Arena *a, const Work *w, TextHunks *out)
{
    uint32_t i = 0, k = 0, n = w->old.lines.len, m = w->new.lines.len;
    while (i < n || k < m) {
        TextHunk h = {i, 0, k, 0};
        while (i < n && w->old.changed[i])
            i++;
        while (k < m && w->new.changed[k])
            k++;
        h.old_len = i - h.old_at;
        h.new_len = k - h.new_at;
        if (h.old_len > 0 || h.new_len > 0)
            vec_push(a, &out->all, h);
        while (i < n && k < m && !w->old.changed[i] && !w->new.changed[k]) {
            i++;
            k++;
        }
    }
}

static void compare(Arena *a, TextSide old, TextSide new, Work *w, TextHunks *out)
{
    *out = (TextHunks){0};
    split_lines(a, old, &w->old);
    split_lines(a, new, &w->new);
    number_lines(a, &w->old, &w->new);
    /* the diagonals that a walk of limited cost can reach, and their neighbours */
    int32_t *diagonals = arena_new_n(a, int32_t, (size_t)4 * (COST_LIMIT + 2));
    w->from_start = diagonals + COST_LIMIT + 2;
    w->from_end = w->from_start + 2 * (COST_LIMIT + 2);
    mark_changes(a, w);
    collect_hunks(a, w, out);
}

void textdiff_lines(Arena *a, TextSide old, TextSide new, TextHunks *out)
{
    Work w = {0};
    compare(a, old, new, &w, out);
}

static void put_line(const Side *s, uint32_t i, char sign, bool colour, Buf *out)
{
    const Line *x = &s->lines.at[i];
    uint32_t n = x->len - (s->text[x->at + x->len - 1] == '\n');
    buf_add(out, !colour || sign == ' ' ? "" : sign == '-' ? "\x1b[31m" : "\x1b[32m");
    buf_addc(out, sign);
    buf_addn(out, s->text + x->at, n);
    buf_add(out, colour && sign != ' ' ? "\x1b[0m\n" : "\n");
    if (n == x->len)
        buf_add(out, "\\ No newline at end of file\n");
}

/* "-3,2": lines count from 1; an empty range stands for the place after the line it names. */
static void put_range(char sign, uint32_t at, uint32_t len, Buf *out)
{
    buf_printf(out, "%c%u", sign, len > 0 ? at + 1 : at);
    if (len != 1)
        buf_printf(out, ",%u", len);
}

/* Hunks [first, last] with their context. */
static void put_hunks(const Work *w, const TextHunk *first, const TextHunk *last, bool colour,
                      Buf *out)
{
    uint32_t before = first->old_at < CONTEXT ? first->old_at : CONTEXT;
    uint32_t left = w->old.lines.len - last->old_at - last->old_len;
    uint32_t after = left < CONTEXT ? left : CONTEXT;
    uint32_t at = first->old_at - before, new_at = first->new_at - before;
    buf_add(out, colour ? "\x1b[36m@@ " : "@@ ");
    put_range('-', at, last->old_at + last->old_len + after - at, out);
    buf_addc(out, ' ');
    put_range('+', new_at, last->new_at + last->new_len + after - new_at, out);
    buf_add(out, colour ? " @@\x1b[0m\n" : " @@\n");
    for (const TextHunk *h = first; h <= last; h++) {
        for (; at < h->old_at; at++)
            put_line(&w->old, at, ' ', colour, out);
        for (; at < h->old_at + h->old_len; at++)
            put_line(&w->old, at, '-', colour, out);
        for (uint32_t k = 0; k < h->new_len; k++)
            put_line(&w->new, h->new_at + k, '+', colour, out);
    }
    for (uint32_t k = 0; k < after; k++)
        put_line(&w->old, at + k, ' ', colour, out);
}

void textdiff_unified(Arena *a, TextSide old, TextSide new, bool colour, Buf *out)
{
    Work w = {0};
    TextHunks hunks;
    compare(a, old, new, &w, &hunks);
    if (hunks.all.len == 0)
        return;
    buf_printf(out, colour ? "\x1b[1m--- %s\n+++ %s\x1b[0m\n" : "--- %s\n+++ %s\n", old.name,
               new.name);
    for (uint32_t i = 0, last; i < hunks.all.len; i = last + 1) {
        const TextHunk *h = hunks.all.at;
        last = i;
        while (last + 1 < hunks.all.len &&
               h[last + 1].old_at - (h[last].old_at + h[last].old_len) <= 2 * CONTEXT)
            last++;
        put_hunks(&w, h + i, h + last, colour, out);
    }
}
