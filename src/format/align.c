/* Columns that neighbouring lines share. */
#include "format/doc.h"

static DocLineMark *find(DocLine *l, DocMark m)
{
    for (int i = 0; i < l->marks; i++)
        if (l->mark[i].mark == m)
            return &l->mark[i];
    return NULL;
}

/* Whether two lines belong to one table with the mark. */
static bool fellows(DocLine *a, DocLine *b, DocMark m)
{
    const DocLineMark *x = find(a, m), *y = find(b, m);
    return x != NULL && y != NULL && x->key == y->key && a->indent == b->indent;
}

/* The last line of the run of lines that have the mark, from `first` on. Rows of a table may go on
 * in lines that are indented further. */
static uint32_t run_end(DocLines *lines, uint32_t first, DocMark m)
{
    uint32_t last = first, i = first + 1;
    for (; i < lines->len; i++) {
        DocLine *l = &lines->at[i];
        bool more =
            m == MARK_PAIR && l->starts && l->len > 0 && l->indent > lines->at[first].indent;
        if (fellows(&lines->at[first], l, m))
            last = i;
        else if (!more)
            break;
    }
    return last;
}

/* Moves what follows the mark in every row to the rightmost one's column, unless a row would become
 * too long. */
static void align_run(DocLines *lines, uint32_t first, uint32_t last, DocMark m)
{
    uint32_t column = 0;
    for (uint32_t i = first; i <= last; i++) {
        const DocLineMark *k = find(&lines->at[i], m);
        if (k != NULL && k->column > column)
            column = k->column;
    }
    for (uint32_t i = first; i <= last; i++) {
        DocLine *l = &lines->at[i];
        const DocLineMark *k = find(l, m);
        if (k != NULL && m != MARK_COMMENT && column > k->column &&
            l->width + column - k->column > DOC_WIDTH)
            return;
    }
    for (uint32_t i = first; i <= last; i++) {
        DocLine *l = &lines->at[i];
        DocLineMark *k = find(l, m);
        if (k == NULL)
            continue;
        uint32_t by = column - k->column;
        l->width += m == MARK_COMMENT ? 0 : by;
        for (DocLineMark *later = k; later < l->mark + l->marks; later++)
            later->column += by;
    }
}

static void add_line(const char *text, const DocLine *l, Buf *out)
{
    const char *at = text + l->from;
    uint32_t byte = 0, column = 0;
    for (int i = 0; i < l->marks; i++) {
        const DocLineMark *m = &l->mark[i];
        buf_addn(out, at + byte, m->byte - byte);
        column += doc_width(at + byte, m->byte - byte);
        buf_pad(out, ' ', (int)(m->column - column));
        column = m->column;
        byte = m->byte;
    }
    buf_addn(out, at + byte, l->len - byte);
    buf_addc(out, '\n');
}

void doc_align(const char *text, DocLines *lines, Buf *out)
{
    for (int m = 0; m < MARK_COUNT; m++)
        for (uint32_t i = 0; i < lines->len; i++) {
            if (find(&lines->at[i], (DocMark)m) == NULL)
                continue;
            uint32_t last = run_end(lines, i, (DocMark)m);
            if (last > i)
                align_run(lines, i, last, (DocMark)m);
            i = last;
        }
    for (uint32_t i = 0; i < lines->len; i++)
        add_line(text, &lines->at[i], out);
}
