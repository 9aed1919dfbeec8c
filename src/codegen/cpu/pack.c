/* Trained weights as a kernel reads them: what plan/pack.c does at compile time, in every training
 * step. The padding of packed weights is never written; it is zero from the start of the run. */
#include "codegen/cpu/conv.h"

enum { FILTER = 3, PATCH = 6 };

typedef struct Pack {
    Kern *kn;
    Emit *e;
    Kernel k; /* the kernel whose weights they are */
    int64_t o, i, taps, lanes, inputs;
    LLVMValueRef table; /* grouped: first input block by tile */
    /* the tile at hand */
    LLVMValueRef tile, to;
    int width;
} Pack;

/* Channels [o, o + vl) of a tap, `lanes` of them real: floats p, p + pack_o, ... */
static LLVMValueRef gather(Pack *s, LLVMValueRef p, int lanes)
{
    Emit *e = s->e;
    if (s->o == 1)
        return emit_load_part(e, p, lanes);
    LLVMValueRef v = emit_real(e->vec, 0);
    for (int l = 0; l < lanes; l++)
        v = emit_set_lane(e, v, emit_load(e, e->f32, emit_at_const(e, p, l * s->o)), l);
    return v;
}

/* The plain weight of the tile's vector v, input i: its first tap, lane 0. */
static LLVMValueRef plain(Pack *s, int v, LLVMValueRef i)
{
    Emit *e = s->e;
    int64_t per_vector = e->vl * s->o;
    LLVMValueRef at = emit_mul(e, s->tile, s->k.tile.ocv * per_vector);
    at = emit_add(e, at, emit_int(e, v * per_vector));
    return emit_at(e, s->kn->in, emit_add(e, at, emit_mul(e, i, s->i)));
}

/* All taps of input i for vector v of the tile. */
static void direct(Pack *s, int v, int lanes, LLVMValueRef i)
{
    Emit *e = s->e;
    LLVMValueRef from = plain(s, v, i);
    LLVMValueRef block = emit_div(e, i, s->lanes), lane = emit_rem(e, i, s->lanes);
    Loop l;
    loop_count(e, &l, s->taps);
    LLVMValueRef tap = l.iv;
    if (s->kn->k->pack_flip)
        tap = emit_sub(e, emit_int(e, s->taps - 1), l.iv);
    LLVMValueRef x = gather(s, emit_at(e, from, tap), lanes);
    LLVMValueRef at = emit_add(e, emit_mul(e, block, s->taps), l.iv);
    at = emit_add(e, emit_mul(e, at, s->lanes), lane);
    at = emit_add(e, emit_mul(e, at, s->width * e->vl), emit_int(e, v * e->vl));
    emit_store(e, x, emit_at(e, s->to, at));
    loop_end(e, &l, NULL);
}

/* Six of three values, after family_winograd_filter. */
static void transform(Emit *e, LLVMValueRef g0, LLVMValueRef g1, LLVMValueRef g2,
                      LLVMValueRef u[PATCH])
{
    LLVMTypeRef t = e->vec;
    LLVMValueRef ends = emit_fmul(e, emit_fadd(e, g0, g2), emit_real(t, -1.0 / 6));
    LLVMValueRef mid = emit_fmul(e, g1, emit_real(t, 1.0 / 6));
    LLVMValueRef wide = emit_fma(e, g2, emit_real(t, 4), g0);
    LLVMValueRef half = emit_fmul(e, g1, emit_real(t, 1.0 / 12));
    u[0] = emit_fmul(e, g0, emit_real(t, 1.0 / 4));
    u[1] = emit_fsub(e, ends, mid);
    u[2] = emit_fadd(e, ends, mid);
    u[3] = emit_fma(e, wide, emit_real(t, 1.0 / 24), half);
    u[4] = emit_fma(e, wide, emit_real(t, 1.0 / 24), emit_fsub(e, emit_real(t, 0), half));
    u[5] = g2;
}

static void winograd(Pack *s, int v, int lanes, LLVMValueRef i)
{
    Emit *e = s->e;
    LLVMValueRef from = plain(s, v, i), g[FILTER][FILTER], half[FILTER][PATCH], u[PATCH];
    for (int t = 0; t < FILTER * FILTER; t++) {
        int tap = s->kn->k->pack_flip ? FILTER * FILTER - 1 - t : t;
        g[t / FILTER][t % FILTER] = gather(s, emit_at_const(e, from, tap), lanes);
    }
    for (int y = 0; y < FILTER; y++)
        transform(e, g[y][0], g[y][1], g[y][2], half[y]);
    int64_t place = map_blocks(s->k.out, e->vl) * e->vl * s->inputs;
    LLVMValueRef at = emit_mul(e, i, s->width * e->vl);
    at = emit_at(e, s->to, emit_add(e, at, emit_int(e, v * e->vl)));
    for (int x = 0; x < PATCH; x++) {
        transform(e, half[0][x], half[1][x], half[2][x], u);
        for (int y = 0; y < PATCH; y++)
            emit_store(e, u[y], emit_at_const(e, at, (y * PATCH + x) * place));
    }
}

/* Groups: one channel after the other. */
static void grouped(Pack *s, int channels)
{
    Emit *e = s->e;
    const Kernel *k = &s->k;
    int64_t per_out = k->out.c / k->groups, per_in = k->in.c / k->groups;
    LLVMValueRef first = conv_first_block(e, s->table, s->tile);
    Loop lo, li, lt;
    loop_count(e, &lo, channels);
    LLVMValueRef o = emit_add(e, emit_mul(e, s->tile, k->tile.ocv * e->vl), lo.iv);
    LLVMValueRef group = emit_div(e, o, per_out);
    LLVMValueRef from = emit_mul(e, group, per_out * per_in * s->taps);
    from = emit_add(e, from, emit_mul(e, emit_rem(e, o, per_out), s->o));
    loop_count(e, &li, per_in);
    LLVMValueRef i = emit_add(e, emit_mul(e, group, per_in), li.iv);
    LLVMValueRef row = emit_sub(e, emit_div(e, i, s->lanes), first);
    loop_count(e, &lt, s->taps);
    LLVMValueRef tap = lt.iv;
    if (s->kn->k->pack_flip)
        tap = emit_sub(e, emit_int(e, s->taps - 1), tap);
    LLVMValueRef source = emit_add(e, emit_add(e, from, emit_mul(e, li.iv, s->i)), tap);
    LLVMValueRef at = emit_add(e, emit_mul(e, row, s->taps), lt.iv);
    at = emit_add(e, emit_mul(e, at, s->lanes), emit_rem(e, i, s->lanes));
    at = emit_add(e, emit_mul(e, at, s->width), emit_div(e, lo.iv, e->vl));
    at = emit_add(e, emit_mul(e, at, e->vl), emit_rem(e, lo.iv, e->vl));
    emit_store(e, emit_load(e, e->f32, emit_at(e, s->kn->in, source)), emit_at(e, s->to, at));
    loop_end(e, &lt, NULL);
    loop_end(e, &li, NULL);
    loop_end(e, &lo, NULL);
}

/* The tile `index` of `width` vectors that hold `channels` channels. */
static void tile(Pack *s, LLVMValueRef index, int width, int channels)
{
    Emit *e = s->e;
    s->tile = index;
    s->width = width;
    int64_t floats = s->k.tile.winograd > 0 ? s->k.tile.ocv * e->vl * s->inputs
                     : s->table             ? family_tile_weights(&s->k, e->t, 1)
                                            : s->k.tile.ocv * e->vl * s->inputs * s->taps;
    s->to = emit_at(e, s->kn->out, emit_mul(e, index, floats));
    if (s->table) {
        grouped(s, channels);
        return;
    }
    for (int v = 0; v < width; v++) {
        int left = channels - v * e->vl, lanes = left < e->vl ? left : e->vl;
        Loop l;
        loop_count(e, &l, s->k.family == FAM_CONV || s->k.family == FAM_CONVT ? s->k.in.c : 1);
        if (s->k.tile.winograd > 0)
            winograd(s, v, lanes, l.iv);
        else
            direct(s, v, lanes, l.iv);
        loop_end(e, &l, NULL);
    }
}

bool cpu_pack(Kern *kn)
{
    Emit *e = kn->e;
    Pack s = {.kn = kn, .e = e, .k = *kn->k, .o = kn->k->pack_o, .i = kn->k->pack_i};
    Kernel *k = &s.k;
    k->family = kn->k->packs;
    bool one = k->family == FAM_DEPTHWISE || k->family == FAM_DEPTHWISE_DX;
    if (!one && k->family != FAM_CONV && k->family != FAM_CONVT)
        return emit_fail(e, "no packing for %s", family_name[k->family]);
    s.taps = k->kh * k->kw;
    s.lanes = one ? 1 : family_ic_lanes(k, e->t);
    s.inputs = one ? 1 : family_ic_blocks(k, e->t) * s.lanes;
    if (!one && k->groups > 1 && !(s.table = conv_first_blocks(e, k)))
        return false;
    int64_t tiles = family_oc_tiles(k, e->t), whole = k->tile.ocv * e->vl;
    int last = (int)(k->out.c - (tiles - 1) * whole);
    bool odd = last != whole;
    LLVMValueRef split = emit_int(e, tiles - odd);
    Loop l;
    loop_begin(e, &l, kn->begin, emit_imin(e, kn->end, split), 1, false, 0, NULL);
    tile(&s, l.iv, k->tile.ocv, (int)whole);
    loop_end(e, &l, NULL);
    if (odd) {
        loop_begin(e, &l, emit_imax(e, kn->begin, split), kn->end, 1, false, 0, NULL);
        tile(&s, split, family_oc_tile_width(k, e->t, tiles - 1), last);
        loop_end(e, &l, NULL);
    }
    return true;
}
