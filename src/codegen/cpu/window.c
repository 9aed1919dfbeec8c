#include "codegen/cpu/window.h"

RowCut window_cut(int64_t width, int64_t px)
{
    RowCut r = {.width = width, .tiles = (width + px - 1) / px};
    r.base = width / r.tiles;
    r.extra = width % r.tiles;
    return r;
}

static int64_t tile_start(const RowCut *r, int64_t t)
{
    return t * r->base + (t < r->extra ? t : r->extra);
}

static int64_t tile_width(const RowCut *r, int64_t t)
{
    return r->base + (t < r->extra);
}

static bool is_edge(const Kernel *k, int64_t pos, int64_t width)
{
    int64_t first = pos * k->sw - k->pl;
    int64_t last = (pos + width - 1) * k->sw - k->pl + (k->kw - 1) * k->dw;
    return first < 0 || last >= k->in.w;
}

Segment window_segment(const Kernel *k, const RowCut *cut, int64_t tile)
{
    Segment s = {.tile = tile,
                 .pos = tile_start(cut, tile),
                 .count = 1,
                 .width = (int)tile_width(cut, tile)};
    s.edge = is_edge(k, s.pos, s.width);
    while (!s.edge && tile + s.count < cut->tiles && tile_width(cut, tile + s.count) == s.width &&
           !is_edge(k, tile_start(cut, tile + s.count), s.width))
        s.count++;
    return s;
}

uint64_t window_mask(const Kernel *k, const Segment *s, int64_t kw)
{
    uint64_t mask = 0;
    for (int p = 0; p < s->width; p++) {
        int64_t x = (s->pos + p) * k->sw - k->pl + kw * k->dw;
        if (!s->edge || (x >= 0 && x < k->in.w))
            mask |= (uint64_t)1 << p;
    }
    return mask;
}

static int64_t taps_before(const Kernel *k, int64_t row)
{
    return row < 0 ? (-row + k->dh - 1) / k->dh : 0;
}

static int64_t taps_until(const Kernel *k, int64_t row)
{
    int64_t n = row < k->in.h ? (k->in.h - row + k->dh - 1) / k->dh : 0;
    return n < k->kh ? n : k->kh;
}

RowTaps window_taps(Emit *e, const Kernel *k, LLVMValueRef row)
{
    RowTaps t = {.lo = emit_int(e, 0), .hi = emit_int(e, k->kh), .runs = true};
    t.row = emit_sub(e, emit_mul(e, row, k->sh), emit_int(e, k->pt));
    bool above = false, below = false;
    for (int64_t y = 0; y < k->out.h; y++) {
        int64_t first = y * k->sh - k->pt;
        int64_t lo = taps_before(k, first), hi = taps_until(k, first);
        above |= lo > 0;
        below |= hi < k->kh;
        t.runs &= lo < hi;
    }
    LLVMValueRef zero = emit_int(e, 0), round = emit_int(e, k->dh - 1);
    if (above) {
        LLVMValueRef missing = emit_imax(e, emit_sub(e, zero, t.row), zero);
        t.lo = emit_div(e, emit_add(e, missing, round), k->dh);
    }
    if (below) {
        LLVMValueRef left = emit_imax(e, emit_sub(e, emit_int(e, k->in.h), t.row), zero);
        t.hi = emit_imin(e, emit_div(e, emit_add(e, left, round), k->dh), emit_int(e, k->kh));
    }
    return t;
}

static void walk_rows(Kern *kn, int px, WindowTile t, LLVMValueRef r0, LLVMValueRef r1,
                      WindowTileEmitter *emit, void *ctx)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    RowCut cut = window_cut(k->out.w, px);
    LLVMValueRef in = emit_at(e, kn->in, emit_mul(e, t.block, k->in.h * k->in.w * e->vl));
    LLVMValueRef out = emit_mul(e, t.block, k->out.h * k->out.w * e->vl);
    Loop lr, lt;
    loop_begin(e, &lr, r0, r1, 1, true, 0, NULL);
    t.row = lr.iv;
    t.taps = window_taps(e, k, lr.iv);
    LLVMValueRef in_row = emit_at(e, in, emit_mul(e, t.taps.row, k->in.w * e->vl));
    LLVMValueRef out_row = emit_add(e, out, emit_mul(e, lr.iv, k->out.w * e->vl));
    for (int64_t i = 0; i < cut.tiles;) {
        Segment seg = window_segment(k, &cut, i);
        loop_count(e, &lt, seg.count);
        t.seg = &seg;
        t.column = emit_add(e, emit_int(e, seg.pos), emit_mul(e, lt.iv, seg.width));
        LLVMValueRef x = emit_sub(e, emit_mul(e, t.column, k->sw), emit_int(e, k->pl));
        t.in = emit_at(e, in_row, emit_mul(e, x, e->vl));
        t.at = emit_add(e, out_row, emit_mul(e, t.column, e->vl));
        emit(kn, &t, ctx);
        loop_end(e, &lt, NULL);
        i += seg.count;
    }
    loop_end(e, &lr, NULL);
}

static void walk_units(Kern *kn, int px, LLVMValueRef u0, LLVMValueRef u1, int lanes,
                       WindowTileEmitter *emit, void *ctx)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t row_blocks = family_row_blocks(k), rb = k->tile.rb > 0 ? k->tile.rb : k->out.h;
    Loop l;
    loop_begin(e, &l, u0, u1, 1, false, 0, NULL);
    LLVMValueRef r0 = emit_mul(e, emit_rem(e, l.iv, row_blocks), rb);
    LLVMValueRef r1 = emit_imin(e, emit_add(e, r0, emit_int(e, rb)), emit_int(e, k->out.h));
    WindowTile t = {.block = emit_div(e, l.iv, row_blocks), .lanes = lanes};
    if (kn->sum)
        emit_store(e, emit_real(e->vec, 0), kn->sum);
    walk_rows(kn, px, t, r0, r1, emit, ctx);
    if (kn->sum) {
        LLVMValueRef to = emit_at(e, kn->extra[k->extra_count - 1], emit_mul(e, l.iv, e->vl));
        emit_store(e, emit_load(e, e->vec, kn->sum), to);
    }
    loop_end(e, &l, NULL);
}

void window_walk(Kern *kn, int px, WindowTileEmitter *emit, void *ctx)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int part = k->out.layout == LAYOUT_PLANAR ? (int)(k->out.c % e->vl) : 0;
    int64_t whole = (map_blocks(k->out, e->vl) - (part > 0)) * family_row_blocks(k);
    LLVMValueRef stop = emit_int(e, whole);
    if (whole)
        walk_units(kn, px, kn->begin, emit_imin(e, kn->end, stop), e->vl, emit, ctx);
    if (part)
        walk_units(kn, px, emit_imax(e, kn->begin, stop), kn->end, part, emit, ctx);
}
