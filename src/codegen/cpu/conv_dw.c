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

/* A channel tile of dy at work. */
typedef struct DwTile {
    const DwUnit *u;
    int ocv;
    LLVMValueRef dy, sums; /* its first vector's; sums: of the unit's first block of x */
} DwTile;

/* One group of window columns, and the px channels of x at x; `sums`: where theirs wait. */
static void register_tile(const ConvDw *c, const DwTile *d, const SweepPart *p,
                          const SweepTaps *taps, int px, LLVMValueRef x, LLVMValueRef sums)
{
    Emit *e = c->e;
    Step s = {.c = c, .ocv = d->ocv, .px = px, .taps = taps->count};
    LLVMValueRef acc[LOOP_MAX_VALUES];
    int n = s.ocv * s.px * s.taps;
    for (int i = 0; i < n; i++)
        acc[i] = emit_real(e->vec, 0);
    int unroll = UNROLLED_FMAS / n < 1 ? 1 : UNROLLED_FMAS / n;
    sweep_sum(&c->s, p, taps, x, d->dy, n, acc, unroll, pixels, &s);
    for (int i = 0; i < n; i++) {
        int64_t tap = i / s.ocv / s.taps * c->taps + i / s.ocv % s.taps;
        LLVMValueRef at = emit_at_const(e, sums, i % s.ocv * c->plane + tap * c->vl);
        emit_store(e, emit_fadd(e, emit_load(e, e->vec, at), acc[i]), at);
    }
}

/* Channels [lo, hi) of a block of x, px at a time, over one window row. */
static void channels(const ConvDw *c, const DwTile *d, const SweepPart *p, LLVMValueRef y, int px,
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
        register_tile(c, d, p, &taps, px, x_at, emit_at_const(e, to, taps.first * c->vl));
    }
    loop_end(e, &l, NULL);
}

/* The float of x at which a block begins; it may be a part of a vector. */
static LLVMValueRef block_place(const ConvDw *c, LLVMValueRef block)
{
    Emit *e = c->e;
    int64_t per_vector = c->k->in.layout == LAYOUT_BLOCKED ? c->vl / c->lanes : 1;
    LLVMValueRef vector = emit_mul(e, emit_div(e, block, per_vector), c->x_block * per_vector);
    return emit_add(e, vector, emit_mul(e, emit_rem(e, block, per_vector), c->lanes));
}

/* All of the unit's blocks of x, window rows and channels against one channel tile. Padding lanes
 * of a blocked x are left out as far as whole register tiles allow; their sums are not stored. */
static void channel_tile(const ConvDw *c, const DwTile *d, const SweepPart *p)
{
    Emit *e = c->e;
    int px = c->k->tile.px;
    Loop lb, ly;
    loop_begin(e, &lb, emit_int(e, 0), d->u->blocks, 1, true, 0, NULL);
    LLVMValueRef block = emit_add(e, d->u->block, lb.iv);
    LLVMValueRef x = emit_at(e, c->kn->in, block_place(c, block));
    LLVMValueRef sums = emit_at(e, d->sums, emit_mul(e, lb.iv, c->lanes * c->taps * c->vl));
    LLVMValueRef n = emit_int(e, c->lanes), whole = n;
    if (c->k->in.c % c->lanes) {
        n = emit_imin(e, n, emit_sub(e, emit_int(e, c->k->in.c), emit_mul(e, block, c->lanes)));
        whole = c->k->in.layout == LAYOUT_BLOCKED ? n : emit_mul(e, emit_div(e, n, px), px);
    }
    loop_begin(e, &ly, emit_int(e, 0), d->u->rows, 1, true, 0, NULL);
    LLVMValueRef y = emit_add(e, d->u->row, ly.iv);
    LLVMValueRef row = emit_at(e, sums, emit_mul(e, ly.iv, c->k->kw * c->vl));
    channels(c, d, p, y, px, emit_int(e, 0), whole, x, row);
    if (whole != n && px > 1)
        channels(c, d, p, y, 1, whole, n, x, row);
    loop_end(e, &ly, NULL);
    loop_end(e, &lb, NULL);
}

typedef struct PartOf {
    const ConvDw *c;
    const DwUnit *u;
} PartOf;

static void some_tiles(const PartOf *of, int ocv, LLVMValueRef t0, LLVMValueRef t1,
                       const SweepPart *p)
{
    const ConvDw *c = of->c;
    Emit *e = c->e;
    int64_t full = c->k->tile.ocv;
    Loop l;
    loop_begin(e, &l, t0, t1, 1, false, 0, NULL);
    DwTile d = {.u = of->u, .ocv = ocv};
    d.dy = emit_at(e, c->kn->extra[0], emit_mul(e, l.iv, full * c->dy_block));
    LLVMValueRef nth = emit_sub(e, l.iv, of->u->tile);
    d.sums = emit_at(e, c->kn->scratch, emit_mul(e, nth, full * c->plane));
    channel_tile(c, &d, p);
    loop_end(e, &l, NULL);
}

static void part(void *ctx, const SweepPart *p)
{
    const PartOf *of = ctx;
    const Kernel *k = of->c->k;
    Emit *e = of->c->e;
    int64_t vectors = map_blocks(k->dy, e->vl), narrow = vectors % k->tile.ocv;
    LLVMValueRef whole = emit_int(e, vectors / k->tile.ocv);
    some_tiles(of, k->tile.ocv, of->u->tile, emit_imin(e, of->u->tiles, whole), p);
    if (narrow)
        some_tiles(of, (int)narrow, emit_imax(e, of->u->tile, whole), of->u->tiles, p);
}

static void clear(const ConvDw *c)
{
    Emit *e = c->e;
    Loop l;
    loop_count(e, &l, c->k->tile.dw_tiles * c->k->tile.ocv * c->plane / c->vl);
    emit_store(e, emit_real(e->vec, 0), emit_at(e, c->kn->scratch, emit_mul(e, l.iv, c->vl)));
    loop_end(e, &l, NULL);
}

/* `first` of the n-th part of `all` things in parts of `size`, and how many there are in it. */
static LLVMValueRef share(Emit *e, LLVMValueRef n, int64_t all, int64_t size, LLVMValueRef *count)
{
    LLVMValueRef first = emit_mul(e, n, size), left = emit_sub(e, emit_int(e, all), first);
    *count = all % size ? emit_imin(e, emit_int(e, size), left) : emit_int(e, size);
    return first;
}

static void unit(const ConvDw *c, LLVMValueRef index)
{
    Emit *e = c->e;
    const Tile *t = &c->k->tile;
    int64_t parts = (c->k->kh + t->dw_rows - 1) / t->dw_rows;
    int64_t runs = (c->blocks + t->kc - 1) / t->kc;
    LLVMValueRef rest = emit_div(e, index, parts), count;
    DwUnit u = {0};
    u.row = share(e, emit_rem(e, index, parts), c->k->kh, t->dw_rows, &u.rows);
    u.block = share(e, emit_rem(e, rest, runs), c->blocks, t->kc, &u.blocks);
    u.tile = share(e, emit_div(e, rest, runs), train_dw_tiles(c->k, e->t), t->dw_tiles, &count);
    u.tiles = emit_add(e, u.tile, count);
    if (c->first_blocks)
        u.block = emit_add(e, u.block, conv_first_block(e, c->first_blocks, u.tile));
    clear(c);
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
    c->taps = k->tile.dw_rows * k->kw;
    c->plane = k->tile.kc * c->lanes * c->taps * c->vl;
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
    const Tile *t = &k->tile;
    if (t->ocv < 1 || t->px < 1 || t->kc < 1 || t->dw_tiles < 1 || t->dw_rows < 1 ||
        t->ocv * t->px * train_conv_taps(k, e->t) + 2 > LOOP_MAX_VALUES ||
        train_dw_lanes(k, e->t) % t->px != 0 || (k->groups > 1 && t->dw_tiles > 1))
        return emit_fail(e, "tile of %d x %d, %d blocks", t->ocv, t->px, t->kc);
    set_geometry(&c);
    if (k->groups > 1 && k->in.layout == LAYOUT_BLOCKED) {
        Kernel forward = train_dw_forward(k);
        if (!(c.first_blocks = conv_first_blocks(e, &forward)))
            return false;
    }
    Loop l;
    loop_begin(e, &l, kn->begin, kn->end, 1, false, 0, NULL);
    unit(&c, l.iv);
    loop_end(e, &l, NULL);
    return true;
}
