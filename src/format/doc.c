#include "format/doc.h"
#include <string.h>

typedef enum Mode { FLAT, BROKEN, HUGGED } Mode;

typedef struct Printer {
    const Doc *d;
    Arena *a;
    Buf *out;
    DocLines *lines;
    DocLine line; /* under construction */
    VEC(uint8_t) modes;
    uint32_t indent; /* steps */
    uint32_t extra;  /* one more for a line that only a comment before it began */
    uint32_t column; /* of the next character */
    bool fresh;      /* nothing stands on the line yet */
    bool space;      /* a blank is due before the next text */
    bool must_end;   /* after a comment nothing may follow on the line */
    bool own;        /* that comment stands alone on it */
    bool after_open, any;
    DocLineMark due[2]; /* marks of the next text, when it comes on this line */
    int due_count;
} Printer;

uint32_t doc_width(const char *at, uint32_t len)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < len; i++)
        n += ((unsigned char)at[i] & 0xC0) != 0x80;
    return n;
}

static Mode mode(const Printer *p)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): len counts what at holds */
    return p->modes.len == 0 ? BROKEN : (Mode)p->modes.at[p->modes.len - 1];
}

static void end_line(Printer *p)
{
    if (p->fresh)
        return;
    p->line.len = (uint32_t)p->out->len - p->line.from;
    vec_push(p->a, p->lines, p->line);
    buf_addc(p->out, '\n');
    p->line = (DocLine){.from = (uint32_t)p->out->len};
    p->column = p->extra = 0;
    p->fresh = true;
    p->space = p->must_end = false;
    p->due_count = 0;
}

/* Ends a line where the document has no place for that, because of a comment: what follows is
 * indented further, as the comment was, unless it closes something. */
static void end_here(Printer *p, bool closes)
{
    uint32_t extra = p->own ? p->extra : 1;
    end_line(p);
    p->extra = closes ? 0 : extra;
}

/* Everything visible goes through here: the blanks due before it, empty lines, the indentation. */
static void put(Printer *p, const DocItem *x, bool comment)
{
    if (p->must_end)
        end_here(p, x->closes);
    if (p->fresh) {
        if (x->blank_before && p->any && !p->after_open && !x->closes) {
            vec_push(p->a, p->lines, p->line);
            buf_addc(p->out, '\n');
            p->line = (DocLine){.from = (uint32_t)p->out->len};
        }
        p->line.indent = (p->indent + p->extra) * DOC_STEP;
        p->line.starts = !comment;
        buf_pad(p->out, ' ', (int)p->line.indent);
        p->column = p->line.indent;
    } else if (p->space) {
        buf_addc(p->out, ' ');
        p->column++;
    }
    for (int i = 0; i < p->due_count && p->line.marks < DOC_LINE_MARKS; i++) {
        p->due[i].byte = (uint32_t)p->out->len - p->line.from;
        p->due[i].column = p->column;
        p->line.mark[p->line.marks++] = p->due[i];
    }
    p->due_count = 0;
    buf_addn(p->out, x->at, x->len);
    p->column += doc_width(x->at, x->len);
    if (!comment)
        p->line.width = p->column;
    p->fresh = p->space = false;
    p->any = true;
    p->after_open = x->opens;
}

/* Whether the items from `from` to `to`, part of a group that is about to be opened, fit flat into
 * `room` columns, with what follows them up to the next place where a line can end. */
static bool fits(const Printer *p, uint32_t from, uint32_t to, int64_t room)
{
    int64_t group = p->modes.len; /* among the open ones, that of the item */
    uint32_t inner = 0;           /* groups begun behind `to` */
    for (uint32_t i = from; i < p->d->len && room >= 0; i++) {
        const DocItem *x = &p->d->at[i];
        bool hugged =
            inner == 0 && group >= 0 && group < p->modes.len && p->modes.at[group] == HUGGED;
        switch (x->kind) {
        case DOC_TEXT: room -= doc_width(x->at, x->len); break;
        case DOC_SPACE: room--; break;
        case DOC_LINE:
        case DOC_SOFT:
            if (i >= to && !hugged)
                return true;
            room -= x->kind == DOC_LINE;
            break;
        case DOC_HARD:
        case DOC_OWN_COMMENT: return i >= to;
        case DOC_COMMENT:
            if (i >= to)
                return true;
            break;
        case DOC_BEGIN: inner += i >= to; break;
        case DOC_END:
            group -= i >= to && inner == 0;
            inner -= i >= to && inner > 0;
            break;
        default: break;
        }
    }
    return room >= 0;
}

/* Whether the items of a group up to its own first line end fit flat. */
static bool head_fits(const Printer *p, uint32_t begin, int64_t room)
{
    const Doc *d = p->d;
    uint32_t line = begin + 1, depth = 0;
    for (; line < d->at[begin].end && (depth > 0 || d->at[line].kind != DOC_LINE); line++) {
        const DocItem *x = &d->at[line];
        if (x->kind == DOC_BEGIN && x->broken)
            return false;
        depth += x->kind == DOC_BEGIN;
        depth -= x->kind == DOC_END;
    }
    return fits(p, begin + 1, line, room);
}

static bool starts_with_comment(const Doc *d, uint32_t at, uint32_t end)
{
    while (at < end && d->at[at].kind != DOC_TEXT && d->at[at].kind != DOC_OWN_COMMENT)
        at++;
    return at < end && d->at[at].kind == DOC_OWN_COMMENT;
}

static Mode choose(const Printer *p, uint32_t begin)
{
    const DocItem *g = &p->d->at[begin];
    uint32_t line = begin + 1;
    int64_t room = DOC_WIDTH;
    room -= p->fresh ? p->indent * DOC_STEP : p->column + p->space;
    if (p->modes.len > 0 && mode(p) == FLAT)
        return FLAT;
    if (!g->broken && fits(p, begin + 1, g->end, room))
        return FLAT;
    if (g->group == DOC_TAIL)
        return head_fits(p, begin, room) ? BROKEN : HUGGED;
    if (g->group != DOC_HUG)
        return BROKEN;
    while (line < g->end && p->d->at[line].kind != DOC_LINE)
        if (p->d->at[line++].kind == DOC_COMMENT)
            return BROKEN;
    if (starts_with_comment(p->d, line + 1, g->end))
        return BROKEN;
    bool starts = fits(p, begin + 1, line + 1, room);
    room = DOC_WIDTH - (int64_t)(p->indent + 1) * DOC_STEP;
    return !starts || (!g->broken && fits(p, line + 1, g->end, room)) ? BROKEN : HUGGED;
}

static void mark(Printer *p, DocMark m, uint32_t key)
{
    if (!p->fresh && p->due_count < 2)
        p->due[p->due_count++] = (DocLineMark){.mark = m, .key = key};
}

/* A mark belongs to a line that holds all of its group; a row of a chain, to one that begins with
 * its step. */
static bool counts(const Printer *p, const DocItem *x)
{
    uint32_t n = p->modes.len;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the same */
    return mode(p) == FLAT &&
           (x->row == 0 || (n > x->row && p->modes.at[n - 1 - x->row] == BROKEN));
}

static void line_or(Printer *p, bool blank)
{
    if (mode(p) == BROKEN || p->must_end)
        end_line(p);
    else if (blank)
        p->space = true;
}

void doc_print(const Doc *d, Arena *a, Buf *out, DocLines *lines)
{
    Printer p = {.d = d, .a = a, .out = out, .lines = lines, .fresh = true};
    for (uint32_t i = 0; i < d->len; i++) {
        const DocItem *x = &d->at[i];
        switch (x->kind) {
        case DOC_TEXT: put(&p, x, false); break;
        case DOC_SPACE: p.space = true; break;
        case DOC_LINE: line_or(&p, true); break;
        case DOC_SOFT: line_or(&p, false); break;
        case DOC_HARD: end_line(&p); break;
        case DOC_IN: p.indent++; break;
        case DOC_OUT: p.indent--; break;
        case DOC_IN_BROKEN: p.indent += mode(&p) == BROKEN; break;
        case DOC_OUT_BROKEN: p.indent -= mode(&p) == BROKEN; break;
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): pushed above what it reads */
        case DOC_BEGIN: vec_push(a, &p.modes, (uint8_t)choose(&p, i)); break;
        case DOC_END: p.modes.len--; break;
        case DOC_MARK:
            if (x->mark == MARK_PAIR || counts(&p, x))
                mark(&p, x->mark, x->key);
            break;
        case DOC_COMMENT:
            buf_add(out, p.fresh ? "" : "  ");
            p.column += p.fresh ? 0 : 2;
            p.space = false;
            mark(&p, MARK_COMMENT, 0);
            put(&p, x, true);
            p.must_end = true;
            p.own = false;
            break;
        case DOC_OWN_COMMENT:
            if (!p.fresh)
                end_here(&p, false);
            put(&p, x, true);
            p.must_end = p.own = true;
            break;
        }
    }
    end_line(&p);
}
