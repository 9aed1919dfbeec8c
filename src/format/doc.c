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
    uint32_t column; /* of the next character */
    bool fresh;      /* nothing stands on the line yet */
    bool space;      /* a blank is due before the next text */
    bool must_end;   /* after a comment nothing may follow on the line */
    bool after_open, any;
    DocMark due[2]; /* marks of the next text, when it comes on this line */
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
    p->column = 0;
    p->fresh = true;
    p->space = p->must_end = false;
    p->due_count = 0;
}

/* Everything visible goes through here: the blanks due before it, empty lines, the indentation. */
static void put(Printer *p, const DocItem *x, bool comment)
{
    if (p->must_end)
        end_line(p);
    if (p->fresh) {
        if (x->blank_before && p->any && !p->after_open && !x->closes) {
            vec_push(p->a, p->lines, p->line);
            buf_addc(p->out, '\n');
            p->line = (DocLine){.from = (uint32_t)p->out->len};
        }
        p->line.indent = p->indent * DOC_STEP;
        p->line.starts = !comment;
        buf_pad(p->out, ' ', (int)p->line.indent);
        p->column = p->line.indent;
    } else if (p->space) {
        buf_addc(p->out, ' ');
        p->column++;
    }
    for (int i = 0; i < p->due_count && p->line.marks < DOC_LINE_MARKS; i++)
        p->line.mark[p->line.marks++] =
            (DocLineMark){p->due[i], (uint32_t)p->out->len - p->line.from, p->column};
    p->due_count = 0;
    buf_addn(p->out, x->at, x->len);
    p->column += doc_width(x->at, x->len);
    if (!comment)
        p->line.width = p->column;
    p->fresh = p->space = false;
    p->any = true;
    p->after_open = x->opens;
}

/* Whether the items from `from` to `to` fit flat into `room` columns, with what follows them up to
 * the next place where a line can end. */
static bool fits(const Doc *d, uint32_t from, uint32_t to, int64_t room)
{
    for (uint32_t i = from; i < d->len && room >= 0; i++) {
        const DocItem *x = &d->at[i];
        switch (x->kind) {
        case DOC_TEXT: room -= doc_width(x->at, x->len); break;
        case DOC_SPACE: room--; break;
        case DOC_LINE:
        case DOC_SOFT:
            if (i >= to)
                return true;
            room -= x->kind == DOC_LINE;
            break;
        case DOC_HARD:
        case DOC_OWN_COMMENT: return i >= to;
        default: break;
        }
    }
    return room >= 0;
}

static Mode choose(const Printer *p, uint32_t begin)
{
    const DocItem *g = &p->d->at[begin];
    uint32_t line = begin + 1;
    int64_t room = (int64_t)DOC_WIDTH - p->column - p->space;
    if (p->modes.len > 0 && mode(p) == FLAT)
        return FLAT;
    if (!g->broken && fits(p->d, begin + 1, g->end, room))
        return FLAT;
    if (g->group != DOC_HUG)
        return BROKEN;
    while (line < g->end && p->d->at[line].kind != DOC_LINE)
        if (p->d->at[line++].kind == DOC_COMMENT)
            return BROKEN;
    room = DOC_WIDTH - (int64_t)(p->indent + 1) * DOC_STEP;
    return !g->broken && fits(p->d, line + 1, g->end, room) ? BROKEN : HUGGED;
}

static void mark(Printer *p, DocMark m)
{
    if (!p->fresh && p->due_count < 2)
        p->due[p->due_count++] = m;
}

/* A mark belongs to a line that holds all of its group; a row of a chain, to one that begins and
 * ends with its step. */
static bool counts(const Printer *p, const DocItem *x)
{
    uint32_t n = p->modes.len;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the same */
    return mode(p) == FLAT && (!x->row || (n > 1 && p->modes.at[n - 2] == BROKEN));
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
                mark(&p, x->mark);
            break;
        case DOC_COMMENT:
            buf_add(out, p.fresh ? "" : "  ");
            p.column += p.fresh ? 0 : 2;
            p.space = false;
            mark(&p, MARK_COMMENT);
            put(&p, x, true);
            p.must_end = true;
            break;
        case DOC_OWN_COMMENT:
            end_line(&p);
            put(&p, x, true);
            p.must_end = true;
            break;
        }
    }
    end_line(&p);
}
