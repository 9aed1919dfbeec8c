/* Gradient of a convolution's weights. The register tile is ocv vectors of dy's channels by px
 * channels of x by some columns of the window; the sum over positions and images runs with the
 * accumulators in phis, part by part, and the parts are added in scratch. */
#include "codegen/cpu/conv.h"
#include "codegen/cpu/conv_dw.h"
#include "family/train.h"

enum { UNROLLED_FMAS = 48 };

typedef struct Step {
    const ConvDw *c;
    int ocv, px, taps; /* accumulator (n, tap, o) is number (n * taps + tap) * ocv + o */
} Step;

static LLVMValueRef x_value(const Step *s, LLVMValueRef x, int i)
{
    Emit *e = s->c->e;
    int64_t off = i / s->taps * s->c->lane_step + i % s->taps * s->c->s.tap_step;
    return emit_load_splat(e, emit_at_const(e, x, off));
}

/* The fewer operands are held in registers, the others streamed. */
static void one_pixel(const Step *s, LLVMValueRef x, LLVMValueRef dy, uint64_t mask,
                      LLVMValueRef *acc)
{
    Emit *e = s->c->e;
    LLVMValueRef held[32];
    int n = s->px * s->taps, ocv = s->ocv;
    bool hold_x = n < ocv;
    for (int i = 0; hold_x && i < n; i++)
        held[i] = mask >> (i % s->taps) & 1 ? x_value(s, x, i) : NULL;
    for (int o = 0; !hold_x && o < ocv; o++)
        held[o] = emit_load(e, e->vec, emit_at_const(e, dy, o * s->c->dy_block));
    for (int i = 0; !hold_x && i < n; i++) {
        if (!(mask >> (i % s->taps) & 1))
            continue;
        LLVMValueRef v = x_value(s, x, i);
        for (int o = 0; o < ocv; o++)
            acc[i * ocv + o] = emit_fma(e, v, held[o], acc[i * ocv + o]);
    }
    for (int o = 0; hold_x && o < ocv; o++) {
        LLVMValueRef v = emit_load(e, e->vec, emit_at_const(e, dy, o * s->c->dy_block));
        for (int i = 0; i < n; i++)
            if (held[i])
                acc[i * ocv + o] = emit_fma(e, held[i], v, acc[i * ocv + o]);
    }
}

static void pixels(void *ctx, LLVMValueRef x, LLVMValueRef dy, int count, uint64_t mask,
                   LLVMValueRef *acc)
{
    const Step *s = ctx;
    Emit *e = s->c->e;
    for (int p = 0; p < count; p++) {
        /* opaque, or the loads of all pixels are gathered at the first */
        LLVMValueRef x_at = emit_at_const(e, p ? emit_launder(e, x) : x, p * s->c->s.x_col);
        LLVMValueRef dy_at = emit_at_const(e, p ? emit_launder(e, dy) : dy, p * s->c->s.dy_col);
        one_pixel(s, x_at, dy_at, mask, acc);
    }
}

/* One group of window columns, and the px channels of x at x; `sums`: where theirs wait. */
static void register_tile(const ConvDw *c, const DwUnit *u, const SweepPart *p,
                          const SweepTaps *taps, int px, LLVMValueRef x, LLVMValueRef sums)
{
    Emit *e = c->e;
    Step s = {.c = c, .ocv = u->ocv, .px = px, .taps = taps->count};
    LLVMValueRef acc[LOOP_MAX_VALUES];
    int n = s.ocv * s.px * s.taps;
    for (int i = 0; i < n; i++)
        acc[i] = emit_real(e->vec, 0);
    int unroll = UNROLLED_FMAS / n < 1 ? 1 : UNROLLED_FMAS / n;
    sweep_sum(&c->s, p, taps, x, u->dy, n, acc, unroll, pixels, &s);
    for (int i = 0; i < n; i++) {
        int64_t tap = i / s.ocv / s.taps * c->taps + i / s.ocv % s.taps;
        LLVMValueRef at = emit_at_const(e, sums, i % s.ocv * c->plane + tap * c->vl);
        emit_store(e, emit_fadd(e, emit_load(e, e->vec, at), acc[i]), at);
    }
}

/* Channels [lo, hi) of a block of x, px at a time, over one window row. */
static void channels(const ConvDw *c, const DwUnit *u, const SweepPart *p, LLVMValueRef y, int px,
                     LLVMValueRef lo, LLVMValueRef hi, LLVMValueRef x, LLVMValueRef sums)
{
    Emit *e = c->e;
    int most = train_conv_taps(c->k, e->t);
    Loop l;
    loop_begin(e, &l, lo, hi, px, false, 0, NULL);
    LLVMValueRef x_at = emit_at(e, x, emit_mul(e, l.iv, c->lane_step));
    LLVMValueRef to = emit_at(e, sums, emit_mul(e, l.iv, c->taps * c->vl));
    SweepTaps taps = {.y = y};
    for (; taps.first < c->k->kw; taps.first += taps.count) {
        taps.count = sweep_tap_group(c->k->kw, most, taps.first);
        register_tile(c, u, p, &taps, px, x_at, emit_at_const(e, to, taps.first * c->vl));
    }
    loop_end(e, &l, NULL);
}

typedef struct PartOf {
    const ConvDw *c;
    const DwUnit *u;
} PartOf;

/* All blocks of x, window rows and channels of the unit, over one part of the batch. Padding lanes
 * of a blocked x are left out as far as whole register tiles allow; their sums are not stored. */
static void part(void *ctx, const SweepPart *p)
{
    const ConvDw *c = ((const PartOf *)ctx)->c;
    const DwUnit *u = ((const PartOf *)ctx)->u;
    Emit *e = c->e;
    int px = c->k->tile.px;
    Loop lb, ly;
    loop_begin(e, &lb, emit_int(e, 0), u->blocks, 1, true, 0, NULL);
    LLVMValueRef x = emit_at(e, u->x, emit_mul(e, lb.iv, c->x_block));
    LLVMValueRef sums = emit_at(e, c->kn->scratch, emit_mul(e, lb.iv, c->lanes * c->taps * c->vl));
    LLVMValueRef n = emit_int(e, c->lanes), whole = n;
    if (c->k->in.c % c->lanes) {
        LLVMValueRef block = emit_add(e, u->first_block, lb.iv);
        n = emit_imin(e, n, emit_sub(e, emit_int(e, c->k->in.c), emit_mul(e, block, c->lanes)));
        whole = c->k->in.layout == LAYOUT_BLOCKED ? n : emit_mul(e, emit_div(e, n, px), px);
    }
    loop_count(e, &ly, c->rows);
    LLVMValueRef y = emit_add(e, u->row, ly.iv);
    LLVMValueRef row = emit_at(e, sums, emit_mul(e, ly.iv, c->k->kw * c->vl));
    channels(c, u, p, y, px, emit_int(e, 0), whole, x, row);
    if (whole != n && px > 1)
        channels(c, u, p, y, 1, whole, n, x, row);
    loop_end(e, &ly, NULL);
    loop_end(e, &lb, NULL);
}

static void clear(const ConvDw *c, const DwUnit *u)
{
    Emit *e = c->e;
    Loop l;
    loop_count(e, &l, u->ocv * c->plane / c->vl);
    emit_store(e, emit_real(e->vec, 0), emit_at(e, c->kn->scratch, emit_mul(e, l.iv, c->vl)));
    loop_end(e, &l, NULL);
}

static void unit(const ConvDw *c, int ocv, LLVMValueRef index)
{
    Emit *e = c->e;
    int64_t window_rows = c->k->kh / c->rows;
    DwUnit u = {.ocv = ocv, .row = emit_rem(e, index, window_rows)};
    LLVMValueRef rest = emit_div(e, index, window_rows), tile = emit_div(e, rest, c->parts);
    LLVMValueRef done = emit_mul(e, emit_rem(e, rest, c->parts), c->run);
    u.blocks = emit_imin(e, emit_int(e, c->run), emit_sub(e, emit_int(e, c->blocks), done));
    u.first_block = done;
    if (c->first_blocks)
        u.first_block = emit_add(e, done, conv_first_block(e, c->first_blocks, tile));
    u.out_block = emit_mul(e, tile, c->k->tile.ocv);
    u.x = emit_at(e, c->kn->in, emit_mul(e, u.first_block, c->x_block));
    u.dy = emit_at(e, c->kn->extra[0], emit_mul(e, u.out_block, c->dy_block));
    clear(c, &u);
    PartOf of = {c, &u};
    sweep_parts(&c->s, part, &of);
    conv_dw_store(c, &u);
}

static void set_geometry(ConvDw *c)
{
    const Kernel *k = c->k;
    const Target *t = c->e->t;
    bool planar = k->in.layout == LAYOUT_PLANAR;
    int64_t pixels_in = k->in.h * k->in.w;
    sweep_init(&c->s, c->kn, planar ? 1 : c->vl, k->tile.ocv);
    c->lanes = train_dw_lanes(k, t);
    c->lane_step = planar ? pixels_in : 1;
    c->x_block = pixels_in * c->lanes;
    c->dy_block = k->dy.h * k->dy.w * c->vl;
    c->blocks = train_dw_blocks(k, t);
    c->run = k->tile.kc;
    c->parts = (c->blocks + c->run - 1) / c->run;
    c->rows = train_dw_window_rows(k);
    c->taps = c->rows * k->kw;
    c->plane = c->run * c->lanes * c->taps * c->vl;
    c->per_out = k->dy.c / k->groups;
    c->per_in = k->in.c / k->groups;
}

bool cpu_conv_dw(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    if (k->dy.layout != LAYOUT_BLOCKED || k->extra_count < 1 || k->root.v != 0)
        return emit_fail(e, "gradients of weights are made of a blocked dy, without an expression");
    ConvDw c = {.kn = kn, .e = e, .k = k, .vl = e->vl};
    int acc = k->tile.ocv * k->tile.px * train_conv_taps(k, e->t);
    if (k->tile.ocv < 1 || k->tile.px < 1 || k->tile.kc < 1 || acc + 2 > LOOP_MAX_VALUES ||
        train_dw_lanes(k, e->t) % k->tile.px != 0)
        return emit_fail(e, "tile of %d x %d, %d blocks", k->tile.ocv, k->tile.px, k->tile.kc);
    set_geometry(&c);
    if (k->groups > 1 && k->in.layout == LAYOUT_BLOCKED) {
        Kernel forward = train_dw_forward(k);
        if (!(c.first_blocks = conv_first_blocks(e, &forward)))
            return false;
    }
    int64_t tiles = train_dw_tiles(k, e->t), per_tile = family_units(k, e->t) / tiles;
    int last = (int)(map_blocks(k->dy, e->vl) - (tiles - 1) * k->tile.ocv);
    LLVMValueRef whole = emit_int(e, (tiles - (last < k->tile.ocv)) * per_tile);
    Loop l;
    loop_begin(e, &l, kn->begin, emit_imin(e, kn->end, whole), 1, false, 0, NULL);
    unit(&c, k->tile.ocv, l.iv);
    loop_end(e, &l, NULL);
    if (last == k->tile.ocv)
        return true;
    loop_begin(e, &l, emit_imax(e, kn->begin, whole), kn->end, 1, false, 0, NULL);
    unit(&c, last, l.iv);
    loop_end(e, &l, NULL);
    return true;
}
