/* Direct convolution. The register tile is ocv vectors of output channels by P pixels of a row; the
 * reduction runs over input-channel blocks, window rows, window columns and the lanes of a block,
 * with the accumulators in phis. Padding costs nothing: window rows are bounded at run time, window
 * columns at compile time. */
#include "codegen/cpu/conv.h"

enum {
    UNROLLED_FMAS = 320, /* window columns are unrolled while one row of them has at most this */
    LOOSE_EPILOGUE = 160 /* instructions; longer epilogues run in a loop over the finished tile */
};

/* The part of the reduction a pass adds to the outputs of one tile of channels. */
typedef struct Pass {
    int ocv;
    int half;                 /* the vector that has no channels past its lower half, or -1 */
    LLVMValueRef in, w;       /* of the first input block of the chunk */
    LLVMValueRef chan;        /* first output channel */
    LLVMValueRef first, last; /* i1; NULL when the reduction is not cut in chunks */
    LLVMValueRef blocks;      /* input blocks, not counting a peeled one */
    LLVMValueRef ahead;       /* weights to prefetch while working, or NULL */
    int lines;                /* prefetched per window row */
    int64_t ahead_tile;       /* floats prefetched per register tile */
} Pass;

/* A register tile at work. */
typedef struct Work {
    const Segment *s;
    RowTaps taps;
    int n;                           /* accumulators, o * width + p */
    LLVMValueRef fetch;              /* from where on lines are fetched with the block */
    LLVMValueRef v[LOOP_MAX_VALUES]; /* accumulators, then the three pointers */
} Work;
enum { WORK_IN, WORK_W, WORK_AHEAD, WORK_POINTERS };

static LLVMValueRef output_at(Conv *c, const Pass *s, int o, LLVMValueRef pixel)
{
    Emit *e = c->e;
    LLVMValueRef block = emit_mul(e, s->chan, c->out_pixels);
    LLVMValueRef at = emit_add(e, block, emit_mul(e, pixel, c->vl));
    return emit_add(e, at, emit_int(e, o * c->out_pixels * c->vl));
}

/* Vectors of which only the lower half is output are added up as such. */
static LLVMTypeRef type_of(Conv *c, const Pass *s, int o)
{
    return o == s->half ? LLVMVectorType(c->e->f32, (unsigned)c->vl / 2) : c->e->vec;
}

static LLVMValueRef lanes_for(Conv *c, const Pass *s, int o, LLVMValueRef v)
{
    return o == s->half ? emit_lower_half(c->e, v) : v;
}

/* One lane of the input block: every weight vector times every pixel. The fewer operands are held
 * in registers, the others streamed. */
static void step(Conv *c, const Pass *s, Work *w, LLVMValueRef x, LLVMValueRef weights,
                 uint64_t mask)
{
    Emit *e = c->e;
    int px = w->s->width, ocv = s->ocv;
    LLVMValueRef held[32];
    if (ocv <= __builtin_popcountll(mask)) {
        for (int o = 0; o < ocv; o++)
            held[o] = emit_load(e, type_of(c, s, o), emit_at_const(e, weights, o * c->vl));
        for (int p = 0; p < px; p++) {
            if (!(mask >> p & 1))
                continue;
            LLVMValueRef v = emit_load_splat(e, emit_at_const(e, x, p * c->k.sw * c->blk));
            for (int o = 0; o < ocv; o++) {
                LLVMValueRef *sum = &w->v[o * px + p];
                *sum = emit_fma(e, lanes_for(c, s, o, v), held[o], *sum);
            }
        }
        return;
    }
    for (int p = 0; p < px; p++)
        if (mask >> p & 1)
            held[p] = emit_load_splat(e, emit_at_const(e, x, p * c->k.sw * c->blk));
    for (int o = 0; o < ocv; o++) {
        LLVMValueRef v = emit_load(e, type_of(c, s, o), emit_at_const(e, weights, o * c->vl));
        for (int p = 0; p < px; p++) {
            LLVMValueRef *sum = &w->v[o * px + p];
            if (mask >> p & 1)
                *sum = emit_fma(e, lanes_for(c, s, o, held[p]), v, *sum);
        }
    }
}

/* Lane i's share of the lines fetched with a block, spread so that loads are not held up. */
static void fetch_ahead(Conv *c, Work *w, int i, int lanes)
{
    enum { LINE = 16 };
    Emit *e = c->e;
    if (!c->ahead)
        return;
    if (i == 0)
        w->fetch = LLVMBuildLoad2(e->b, e->ptr, c->ahead, "");
    for (int line = i * c->k.fetch / lanes; line < (i + 1) * c->k.fetch / lanes; line++)
        emit_prefetch(e, emit_at_const(e, w->fetch, line * LINE));
    if (i + 1 == lanes)
        LLVMBuildStore(e->b, emit_at_const(e, w->fetch, c->k.fetch * LINE), c->ahead);
}

/* Window columns [kw, end), which meet the same pixels. */
static void columns(Conv *c, const Pass *s, Work *w, int lanes, int64_t kw, int64_t end,
                    uint64_t mask, LLVMValueRef in, LLVMValueRef weights)
{
    Emit *e = c->e;
    int ocv = s->ocv;
    int64_t x_step = c->k.dw * c->blk, w_step = c->lanes * ocv * c->vl;
    LLVMValueRef x = emit_at_const(e, kw ? emit_launder(e, in) : in, kw * x_step);
    LLVMValueRef q = emit_at_const(e, weights, kw * w_step);
    int64_t unroll = end - kw;
    if (unroll * __builtin_popcountll(mask) * ocv * lanes > UNROLLED_FMAS)
        unroll = 1;
    Loop l;
    w->v[w->n] = x;
    w->v[w->n + 1] = q;
    loop_begin(e, &l, emit_int(e, kw), emit_int(e, end), unroll, true, w->n + 2, w->v);
    for (int64_t u = 0; u < unroll; u++) {
        x = u ? emit_launder(e, w->v[w->n]) : w->v[w->n];
        q = w->v[w->n + 1];
        for (int i = 0; i < lanes; i++) {
            fetch_ahead(c, w, i, lanes);
            step(c, s, w, emit_at_const(e, x, i), emit_at_const(e, q, i * ocv * c->vl), mask);
        }
        w->v[w->n] = emit_at_const(e, x, x_step);
        w->v[w->n + 1] = emit_at_const(e, q, w_step);
    }
    loop_end(e, &l, w->v);
}

/* All taps of one input block, `lanes` of whose channels exist. */
static void block(Conv *c, const Pass *s, Work *w, int lanes)
{
    Emit *e = c->e;
    int64_t row = c->k.dh * c->row, w_row = c->k.kw * c->lanes * s->ocv * c->vl;
    LLVMValueRef in = w->v[w->n + WORK_IN], q = w->v[w->n + WORK_W];
    LLVMValueRef ahead = w->v[w->n + WORK_AHEAD];
    w->v[w->n + WORK_IN] = emit_at(e, in, emit_mul(e, w->taps.lo, row));
    w->v[w->n + WORK_W] = emit_at(e, q, emit_mul(e, w->taps.lo, w_row));
    Loop l;
    int n = w->n + WORK_POINTERS - !s->ahead;
    loop_begin(e, &l, w->taps.lo, w->taps.hi, 1, w->taps.runs, n, w->v);
    LLVMValueRef in_row = w->v[w->n + WORK_IN], w_at = w->v[w->n + WORK_W];
    LLVMValueRef ahead_at = s->ahead ? w->v[w->n + WORK_AHEAD] : NULL;
    for (int i = 0; s->ahead && i < s->lines; i++)
        emit_prefetch(e, emit_at_const(e, ahead_at, i * 16));
    for (int64_t kw = 0; kw < c->k.kw;) {
        uint64_t mask = window_mask(&c->k, w->s, kw);
        int64_t end = kw + 1;
        while (end < c->k.kw && window_mask(&c->k, w->s, end) == mask)
            end++;
        if (mask)
            columns(c, s, w, lanes, kw, end, mask, in_row, w_at);
        kw = end;
    }
    w->v[w->n + WORK_IN] = emit_at_const(e, in_row, row);
    w->v[w->n + WORK_W] = emit_at_const(e, w_at, w_row);
    w->v[w->n + WORK_AHEAD] = s->ahead ? emit_at_const(e, ahead_at, s->lines * 16) : ahead;
    loop_end(e, &l, w->v);
    w->v[w->n + WORK_IN] = emit_at_const(e, in, c->plane);
    w->v[w->n + WORK_W] = emit_at_const(e, q, c->k.kh * w_row);
}

static void reduce(Conv *c, const Pass *s, Work *w)
{
    Loop l;
    int64_t none;
    int n = w->n + WORK_POINTERS - !s->ahead;
    if (!emit_known(s->blocks, &none) || none > 0) {
        loop_begin(c->e, &l, emit_int(c->e, 0), s->blocks, 1, true, n, w->v);
        block(c, s, w, (int)c->lanes);
        loop_end(c->e, &l, w->v);
    }
    if (c->tail)
        block(c, s, w, c->tail);
}

/* Accumulators start from the bias, or from the partial sums a former chunk left in the output:
 * one code for both, the difference is where the pointer points and how far it steps. */
static void start(Conv *c, const Pass *s, Work *w, LLVMValueRef pixel)
{
    Emit *e = c->e;
    int px = w->s->width;
    LLVMValueRef from = c->k.has_bias ? emit_at(e, c->kn->bias, s->chan) : c->zeros;
    int64_t step_o = c->k.has_bias ? c->vl : 0;
    if (!s->first) {
        for (int o = 0; o < s->ocv; o++) {
            LLVMTypeRef type = type_of(c, s, o);
            LLVMValueRef b = c->k.has_bias ? emit_load(e, type, emit_at_const(e, from, o * step_o))
                                           : emit_real(type, 0);
            for (int p = 0; p < px; p++)
                w->v[o * px + p] = b;
        }
        return;
    }
    LLVMValueRef partial = emit_at(e, c->kn->out, output_at(c, s, 0, pixel));
    from = emit_select(e, s->first, from, partial);
    LLVMValueRef per_o =
        emit_select(e, s->first, emit_int(e, step_o), emit_int(e, c->out_pixels * c->vl));
    LLVMValueRef per_p = emit_select(e, s->first, emit_int(e, 0), emit_int(e, c->vl));
    for (int o = 0; o < s->ocv; o++)
        for (int p = 0; p < px; p++) {
            LLVMValueRef off = emit_add(e, emit_mul(e, per_o, o), emit_mul(e, per_p, p));
            w->v[o * px + p] = emit_load(e, e->vec, emit_at(e, from, off));
        }
}

/* Output lanes of vector o: fewer than all only in the last one of an unpadded output. */
static int lanes_of(const Conv *c, const Pass *s, int o)
{
    int64_t chan;
    if (c->k.out.layout == LAYOUT_BLOCKED || !emit_known(s->chan, &chan))
        return c->vl;
    int64_t left = c->k.out.c - chan - o * c->vl;
    return left < c->vl ? (int)left : c->vl;
}

static void store_planar(Conv *c, LLVMValueRef v, LLVMValueRef chan, LLVMValueRef pixel, int lanes)
{
    Emit *e = c->e;
    for (int i = 0; i < lanes; i++) {
        LLVMValueRef ch = emit_add(e, chan, emit_int(e, i));
        LLVMValueRef at = emit_add(e, emit_mul(e, ch, c->out_pixels), pixel);
        kern_store_one(c->kn, emit_lane(e, v, i), at, ch);
    }
}

/* The finished tile goes through the frame, and a loop over its pixels applies the epilogue: keeps
 * the code small where the epilogue is long. The output itself may not hold the sums meanwhile,
 * since a map operand may be the same buffer. */
static void finish_in_loop(Conv *c, const Pass *s, Work *w, LLVMValueRef pixel)
{
    Emit *e = c->e;
    int px = w->s->width;
    for (int i = 0; i < w->n; i++)
        emit_store(e, w->v[i], emit_at_const(e, c->stack, i * c->vl));
    for (int o = 0; o < s->ocv; o++) {
        LLVMValueRef args[EXPR_MAX_ARGS];
        LLVMValueRef chan = emit_add(e, s->chan, emit_int(e, o * c->vl));
        LLVMValueRef from = emit_at_const(e, c->stack, o * px * c->vl);
        if (!c->scatter && lanes_of(c, s, o) == c->vl) {
            kern_channel_args(c->kn, chan, args);
            kern_store_run(c->kn, args, from, output_at(c, s, o, pixel), px);
            continue;
        }
        if (!c->scatter)
            kern_channel_args(c->kn, chan, args);
        Loop l;
        loop_count(e, &l, px);
        LLVMValueRef v = emit_load(e, e->vec, emit_at(e, from, emit_mul(e, l.iv, c->vl)));
        LLVMValueRef at = emit_add(e, pixel, l.iv);
        if (c->scatter)
            store_planar(c, v, chan, at, lanes_of(c, s, o));
        else
            kern_store(c->kn, args, v, output_at(c, s, o, at), lanes_of(c, s, o));
        loop_end(e, &l, NULL);
    }
}

static void finish(Conv *c, const Pass *s, Work *w, LLVMValueRef pixel)
{
    Emit *e = c->e;
    int px = w->s->width;
    if (c->stack) {
        finish_in_loop(c, s, w, pixel);
        return;
    }
    for (int o = 0; o < s->ocv; o++) {
        LLVMValueRef args[EXPR_MAX_ARGS];
        kern_channel_args(c->kn, emit_add(e, s->chan, emit_int(e, o * c->vl)), args);
        LLVMValueRef at = output_at(c, s, o, pixel);
        for (int p = 0; p < px; p++)
            kern_store(c->kn, args, w->v[o * px + p], emit_add(e, at, emit_int(e, p * c->vl)),
                       lanes_of(c, s, o));
    }
}

/* `in` points at the input of tap (0, 0) of the first pixel; `ahead` at what to prefetch. */
static void register_tile(Conv *c, const Pass *s, const Segment *seg, RowTaps taps, LLVMValueRef in,
                          LLVMValueRef pixel, LLVMValueRef ahead)
{
    Emit *e = c->e;
    Work w = {.s = seg, .taps = taps, .n = s->ocv * seg->width};
    start(c, s, &w, pixel);
    w.v[w.n + WORK_IN] = in;
    w.v[w.n + WORK_W] = s->w;
    w.v[w.n + WORK_AHEAD] = ahead;
    reduce(c, s, &w);
    for (int p = 0; s->half >= 0 && p < seg->width; p++) {
        LLVMValueRef *sum = &w.v[s->half * seg->width + p];
        *sum = emit_concat(e, *sum, emit_real(LLVMTypeOf(*sum), 0));
    }
    if (!s->last) {
        finish(c, s, &w, pixel);
        return;
    }
    If f;
    if_begin(e, &f, s->last);
    finish(c, s, &w, pixel);
    if_else(e, &f);
    for (int o = 0; o < s->ocv; o++) {
        LLVMValueRef to = emit_at(e, c->kn->out, output_at(c, s, o, pixel));
        for (int p = 0; p < seg->width; p++)
            emit_store(e, w.v[o * seg->width + p], emit_at_const(e, to, p * c->vl));
    }
    if_end(e, &f);
}

static LLVMValueRef ahead_of(Conv *c, const Pass *s, LLVMValueRef tile)
{
    return s->ahead ? emit_at(c->e, s->ahead, emit_mul(c->e, tile, s->ahead_tile)) : NULL;
}

/* Rows [r0, r1) of the output, tile by tile. */
static void rows(Conv *c, const Pass *s, LLVMValueRef r0, LLVMValueRef r1)
{
    Emit *e = c->e;
    Loop lr, lt;
    loop_begin(e, &lr, r0, r1, 1, true, 0, NULL);
    RowTaps taps = window_taps(e, &c->k, lr.iv);
    LLVMValueRef in_row = emit_at(e, s->in, emit_mul(e, taps.row, c->row));
    LLVMValueRef out_row = emit_mul(e, lr.iv, c->k.out.w);
    RowCut cut = window_cut(c->k.out.w, c->px);
    LLVMValueRef first_tile = emit_mul(e, emit_sub(e, lr.iv, r0), cut.tiles);
    for (int64_t t = 0; t < cut.tiles;) {
        Segment seg = window_segment(&c->k, &cut, t);
        loop_count(e, &lt, seg.count);
        LLVMValueRef x = emit_add(e, emit_int(e, seg.pos), emit_mul(e, lt.iv, seg.width));
        LLVMValueRef col = emit_sub(e, emit_mul(e, x, c->k.sw), emit_int(e, c->k.pl));
        LLVMValueRef in = emit_at(e, in_row, emit_mul(e, col, c->blk));
        LLVMValueRef tile = emit_add(e, first_tile, emit_add(e, emit_int(e, t), lt.iv));
        register_tile(c, s, &seg, taps, in, emit_add(e, out_row, x), ahead_of(c, s, tile));
        loop_end(e, &lt, NULL);
        t += seg.count;
    }
    loop_end(e, &lr, NULL);
}

/* Pixels [p0, p1) of a flat map whose first input pixel is `origin`: whole tiles, then the rest,
 * whose width is one of at most two numbers. */
static void flat_pixels(Conv *c, const Pass *s, LLVMValueRef p0, LLVMValueRef p1,
                        LLVMValueRef origin)
{
    Emit *e = c->e;
    RowTaps taps = {.lo = emit_int(e, 0), .hi = emit_int(e, 1), .runs = true};
    LLVMValueRef n = emit_sub(e, p1, p0), whole = emit_div(e, n, c->px);
    Segment seg = {.width = c->px};
    Loop l;
    loop_begin(e, &l, emit_int(e, 0), whole, 1, false, 0, NULL);
    LLVMValueRef p = emit_add(e, p0, emit_mul(e, l.iv, c->px));
    LLVMValueRef in = emit_at(e, s->in, emit_mul(e, emit_sub(e, p, origin), c->blk));
    register_tile(c, s, &seg, taps, in, p, ahead_of(c, s, l.iv));
    loop_end(e, &l, NULL);
    int64_t rest[2] = {c->rb % c->px, c->out_pixels % c->rb % c->px};
    LLVMValueRef left = emit_rem(e, n, c->px);
    for (int i = 0; i < 2; i++) {
        if (!rest[i] || (i && rest[1] == rest[0]))
            continue;
        If f;
        LLVMValueRef want = emit_int(e, rest[i]);
        if_begin(e, &f, LLVMBuildICmp(e->b, LLVMIntEQ, left, want, ""));
        seg.width = (int)rest[i];
        p = emit_sub(e, p1, want);
        in = emit_at(e, s->in, emit_mul(e, emit_sub(e, p, origin), c->blk));
        register_tile(c, s, &seg, taps, in, p, ahead_of(c, s, whole));
        if_end(e, &f);
    }
}

/* The whole flat map as one row. */
static void flat_map(Conv *c, const Pass *s)
{
    Emit *e = c->e;
    RowTaps taps = {.lo = emit_int(e, 0), .hi = emit_int(e, 1), .runs = true};
    RowCut cut = window_cut(c->out_pixels, c->px);
    for (int64_t t = 0; t < cut.tiles;) {
        Segment seg = {.tile = t, .width = (int)(cut.base + (t < cut.extra))};
        seg.count = t < cut.extra ? cut.extra : cut.tiles - t;
        seg.pos = t * cut.base + (t < cut.extra ? t : cut.extra);
        Loop l;
        loop_count(e, &l, seg.count);
        LLVMValueRef p = emit_add(e, emit_int(e, seg.pos), emit_mul(e, l.iv, seg.width));
        LLVMValueRef in = emit_at(e, s->in, emit_mul(e, p, c->blk));
        LLVMValueRef tile = emit_add(e, emit_int(e, t), l.iv);
        register_tile(c, s, &seg, taps, in, p, ahead_of(c, s, tile));
        loop_end(e, &l, NULL);
        t += seg.count;
    }
}

/* Spreads the prefetch of the next chunk's weights over the window rows of this one's tiles. */
static void plan_prefetch(Conv *c, Pass *s, int64_t blocks)
{
    if (!c->k.tile.prefetch)
        return;
    int64_t chunk = blocks * c->k.kh * c->k.kw * c->lanes * s->ocv * c->vl;
    int64_t per_row = window_cut(c->flat ? c->rb : c->k.out.w, c->px).tiles;
    int64_t visits = per_row * (c->flat ? 1 : c->rb) * blocks * c->k.kh;
    int64_t lines = (chunk + 15) / 16;
    s->lines = (int)((lines + visits - 1) / visits);
    if (s->lines > 16)
        s->lines = 16;
    s->ahead_tile = blocks * c->k.kh * s->lines * 16;
    s->ahead = emit_at_const(c->e, s->w, chunk);
}

/* One tile of output channels over one block of rows or pixels. */
static void channel_tile(Conv *c, int ocv, bool half, LLVMValueRef index, const ConvBlock *b)
{
    Emit *e = c->e;
    int64_t whole = c->icb - (c->tail > 0);
    Pass s = {.ocv = ocv, .chan = emit_mul(e, index, (int64_t)c->ocv * c->vl)};
    s.half = half ? ocv - 1 : -1;
    LLVMValueRef in = b->in;
    if (c->first_blocks) {
        LLVMValueRef first = conv_first_block(e, c->first_blocks, index);
        in = emit_at(e, in, emit_mul(e, first, c->plane));
    }
    int64_t per_block = c->k.kh * c->k.kw * c->lanes * c->vl;
    LLVMValueRef w = emit_at(e, c->w, emit_mul(e, index, c->icb * per_block * c->ocv));
    Loop l;
    loop_count(e, &l, c->chunks);
    LLVMValueRef done = emit_mul(e, l.iv, c->kc);
    s.in = emit_at(e, in, emit_mul(e, done, c->plane));
    s.w = emit_at(e, w, emit_mul(e, done, per_block * ocv));
    s.blocks = emit_int(e, c->chunks > 1 ? c->kc : whole);
    if (c->chunks > 1) {
        s.first = LLVMBuildICmp(e->b, LLVMIntEQ, l.iv, emit_int(e, 0), "");
        s.last = LLVMBuildICmp(e->b, LLVMIntEQ, l.iv, emit_int(e, c->chunks - 1), "");
        if (c->icb % c->kc)
            s.blocks = emit_imin(e, s.blocks, emit_sub(e, emit_int(e, c->icb), done));
    }
    plan_prefetch(c, &s, c->chunks > 1 ? c->kc : c->icb);
    if (!c->flat)
        rows(c, &s, b->begin, b->end);
    else if (c->rb >= c->out_pixels)
        flat_map(c, &s);
    else
        flat_pixels(c, &s, b->begin, b->end, b->origin);
    loop_end(e, &l, NULL);
}

void conv_channel_tiles(Conv *c, LLVMValueRef t0, LLVMValueRef t1, const ConvBlock *b)
{
    Emit *e = c->e;
    LLVMValueRef whole = emit_int(e, c->whole_tiles);
    Loop l;
    if (c->whole_tiles) {
        loop_begin(e, &l, t0, emit_imin(e, t1, whole), 1, false, 0, NULL);
        if (c->k.tile.split_oc)
            conv_fetch_from(c, l.iv);
        channel_tile(c, c->ocv, false, l.iv, b);
        loop_end(e, &l, NULL);
    }
    if (!c->last_ocv)
        return;
    loop_begin(e, &l, whole, t1, 1, false, 0, NULL);
    channel_tile(c, c->last_ocv, c->half, whole, b);
    loop_end(e, &l, NULL);
}

void conv_init_stack(Conv *c)
{
    int n = c->ocv * c->px;
    c->scatter = c->k.out.layout == LAYOUT_PLANAR && c->out_pixels > 1;
    if (c->scatter || c->kn->code.cost * n > LOOSE_EPILOGUE)
        c->stack = emit_stack(c->e, n);
}
