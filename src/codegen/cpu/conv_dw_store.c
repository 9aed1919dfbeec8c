/* A unit's sums have output channels in their lanes; in the result those are the slowest index. */
#include "codegen/cpu/conv_dw.h"

enum { LANES_MAX = 16 };

/* What one vector of output channels gets of the unit's sums: `count` runs of `length` sums each.
 */
typedef struct Piece {
    LLVMValueRef from, to; /* first sum; where that of lane 0 goes */
    LLVMValueRef count, length;
    int64_t from_step, to_step; /* from run to run */
    int64_t row;                /* of the output, from channel to channel */
} Piece;

/* Eklundh's transposition: log2(vl) rounds exchange ever smaller off-diagonal squares. */
static void transpose(Emit *e, LLVMValueRef *row)
{
    for (int d = e->vl / 2; d > 0; d /= 2) {
        LLVMValueRef upper[LANES_MAX], lower[LANES_MAX];
        for (int j = 0; j < e->vl; j++) {
            int other = e->vl + j;
            upper[j] = LLVMConstInt(e->i32, (unsigned)(j & d ? other - d : j), 0);
            lower[j] = LLVMConstInt(e->i32, (unsigned)(j & d ? other : j + d), 0);
        }
        LLVMValueRef up = LLVMConstVector(upper, (unsigned)e->vl);
        LLVMValueRef low = LLVMConstVector(lower, (unsigned)e->vl);
        for (int i = 0; i < e->vl; i++) {
            if (i & d)
                continue;
            LLVMValueRef a = row[i], b = row[i + d];
            row[i] = LLVMBuildShuffleVector(e->b, a, b, up, "");
            row[i + d] = LLVMBuildShuffleVector(e->b, a, b, low, "");
        }
    }
}

/* Sums [lo, hi) of a run, one after the other: lanes [0, lanes), a constant. */
static void store_singly(Emit *e, const Piece *p, LLVMValueRef from, LLVMValueRef to,
                         LLVMValueRef lo, LLVMValueRef hi, int lanes)
{
    Loop l;
    loop_begin(e, &l, lo, hi, 1, false, 0, NULL);
    LLVMValueRef src = emit_at(e, from, emit_mul(e, l.iv, e->vl)), dst = emit_at(e, to, l.iv);
    for (int i = 0; i < lanes; i++)
        emit_store(e, emit_load(e, e->f32, emit_at_const(e, src, i)),
                   emit_at_const(e, dst, i * p->row));
    loop_end(e, &l, NULL);
}

/* All channels of a vector, squares of vl sums at a time. */
static void store_vectors(Emit *e, const Piece *p)
{
    Loop lr, l;
    loop_begin(e, &lr, emit_int(e, 0), p->count, 1, false, 0, NULL);
    LLVMValueRef from = emit_at(e, p->from, emit_mul(e, lr.iv, p->from_step));
    LLVMValueRef to = emit_at(e, p->to, emit_mul(e, lr.iv, p->to_step));
    LLVMValueRef squares = emit_div(e, p->length, e->vl), done = emit_mul(e, squares, e->vl);
    loop_begin(e, &l, emit_int(e, 0), squares, 1, false, 0, NULL);
    LLVMValueRef src = emit_at(e, from, emit_mul(e, l.iv, e->vl * e->vl));
    LLVMValueRef dst = emit_at(e, to, emit_mul(e, l.iv, e->vl));
    LLVMValueRef row[LANES_MAX] = {NULL};
    for (int i = 0; i < e->vl; i++)
        row[i] = emit_load(e, e->vec, emit_at_const(e, src, i * e->vl));
    transpose(e, row);
    for (int i = 0; i < e->vl; i++)
        emit_store(e, row[i], emit_at_const(e, dst, i * p->row));
    loop_end(e, &l, NULL);
    store_singly(e, p, from, to, done, p->length, e->vl);
    loop_end(e, &lr, NULL);
}

/* Where the sums of output channel `chan` lie and go: those with channels of x of its own group. */
static Piece piece_of(const ConvDw *c, const DwUnit *u, LLVMValueRef chan, LLVMValueRef sums)
{
    Emit *e = c->e;
    int64_t window = c->k->kh * c->k->kw;
    LLVMValueRef start = emit_mul(e, u->block, c->lanes);
    LLVMValueRef end = emit_add(e, start, emit_mul(e, u->blocks, c->lanes));
    LLVMValueRef group = emit_mul(e, emit_div(e, chan, c->per_out), c->per_in);
    LLVMValueRef lo = emit_imax(e, start, group);
    LLVMValueRef hi = emit_imin(e, end, emit_add(e, group, emit_int(e, c->per_in)));
    LLVMValueRef n = emit_imax(e, emit_sub(e, hi, lo), emit_int(e, 0));
    Piece p = {.count = n, .length = emit_mul(e, u->rows, c->k->kw), .row = c->per_in * window};
    p.from = emit_at(e, sums, emit_mul(e, emit_sub(e, lo, start), c->taps * c->vl));
    LLVMValueRef at =
        emit_add(e, emit_mul(e, chan, p.row), emit_mul(e, emit_sub(e, lo, group), window));
    p.to = emit_at(e, c->kn->out, emit_add(e, at, emit_mul(e, u->row, c->k->kw)));
    p.from_step = c->taps * c->vl;
    p.to_step = window;
    if (c->taps == window) { /* the runs follow one another */
        p.length = emit_mul(e, n, c->taps);
        p.count = emit_int(e, 1);
    }
    return p;
}

/* Channels [chan, min(chan + vl, all)), one by one. */
static void store_channels(const ConvDw *c, const DwUnit *u, LLVMValueRef chan, LLVMValueRef sums)
{
    Emit *e = c->e;
    LLVMValueRef left = emit_sub(e, emit_int(e, c->k->dy.c), chan);
    Loop l, lr;
    loop_begin(e, &l, emit_int(e, 0), emit_imin(e, left, emit_int(e, c->vl)), 1, true, 0, NULL);
    Piece p = piece_of(c, u, emit_add(e, chan, l.iv), emit_at(e, sums, l.iv));
    loop_begin(e, &lr, emit_int(e, 0), p.count, 1, false, 0, NULL);
    LLVMValueRef from = emit_at(e, p.from, emit_mul(e, lr.iv, p.from_step));
    LLVMValueRef to = emit_at(e, p.to, emit_mul(e, lr.iv, p.to_step));
    store_singly(e, &p, from, to, emit_int(e, 0), p.length, 1);
    loop_end(e, &lr, NULL);
    loop_end(e, &l, NULL);
}

void conv_dw_store(const ConvDw *c, const DwUnit *u)
{
    Emit *e = c->e;
    bool together = c->k->groups <= 1 || c->per_out % c->vl == 0;
    int64_t partial = c->k->dy.c % c->vl;
    LLVMValueRef first = emit_mul(e, u->tile, c->k->tile.ocv);
    LLVMValueRef end = emit_mul(e, u->tiles, c->k->tile.ocv);
    Loop l;
    loop_begin(e, &l, first, emit_imin(e, end, emit_int(e, map_blocks(c->k->dy, e->vl))), 1, true,
               0, NULL);
    LLVMValueRef chan = emit_mul(e, l.iv, c->vl);
    LLVMValueRef sums = emit_mul(e, emit_sub(e, l.iv, first), c->plane);
    sums = emit_at(e, c->kn->scratch, sums);
    If f;
    if (together && partial) {
        LLVMValueRef last = emit_int(e, c->k->dy.c - partial);
        if_begin(e, &f, emit_less(e, chan, last));
    }
    if (together) {
        Piece p = piece_of(c, u, chan, sums);
        store_vectors(e, &p);
    }
    if (together && partial)
        if_else(e, &f);
    if (!together || partial)
        store_channels(c, u, chan, sums);
    if (together && partial)
        if_end(e, &f);
    loop_end(e, &l, NULL);
}
