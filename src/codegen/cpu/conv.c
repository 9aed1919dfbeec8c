#include "codegen/cpu/conv.h"
#include <stdlib.h>

static void set_channels(Conv *c)
{
    const Kernel *k = &c->k;
    const Target *t = c->e->t;
    int64_t vl = c->vl, tiles = family_oc_tiles(k, t);
    bool planar_out = k->out.layout == LAYOUT_PLANAR;
    int last = family_oc_tile_width(k, t, tiles - 1);
    c->lanes = family_ic_lanes(k, t);
    c->icb = family_ic_blocks(k, t);
    c->kc = k->tile.kc > 0 && k->tile.kc < c->icb ? k->tile.kc : c->icb;
    if (planar_out) /* partial sums wait in the output as vectors */
        c->kc = c->icb;
    c->chunks = (c->icb + c->kc - 1) / c->kc;
    c->half = vl == 16 && c->chunks == 1 && k->out.c % vl != 0 && k->out.c % vl <= vl / 2;
    bool odd = c->half || last != c->ocv || (planar_out && k->out.c % vl != 0);
    c->whole_tiles = tiles - odd;
    c->last_ocv = odd ? last : 0;
    int tail = k->groups > 1 ? 0 : (int)(k->in.c % c->lanes);
    if (c->chunks == 1 && tail && (c->icb == 1 || (vl - tail) * 20 > c->icb * vl))
        c->tail = tail;
}

LLVMValueRef conv_first_blocks(Emit *e, const Kernel *k)
{
    int64_t n = family_oc_tiles(k, e->t);
    LLVMValueRef *at = malloc((size_t)n * sizeof *at);
    if (!at) {
        emit_fail(e, "out of memory");
        return NULL;
    }
    for (int64_t i = 0; i < n; i++)
        at[i] = emit_int(e, family_ic_first(k, e->t, i));
    LLVMValueRef table = LLVMAddGlobal(e->mod, LLVMArrayType2(e->i64, (uint64_t)n), "first_block");
    LLVMSetInitializer(table, LLVMConstArray2(e->i64, at, (uint64_t)n));
    LLVMSetLinkage(table, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(table, 1);
    free(at);
    return table;
}

LLVMValueRef conv_first_block(Emit *e, LLVMValueRef table, LLVMValueRef tile)
{
    LLVMValueRef slot = LLVMBuildGEP2(e->b, e->i64, table, &tile, 1, "");
    return LLVMBuildLoad2(e->b, e->i64, slot, "");
}

static void set_geometry(Conv *c)
{
    Kernel *k = &c->k;
    c->out_pixels = k->out.h * k->out.w;
    c->all = family_rows(k);
    c->rb = k->tile.split_oc || k->tile.rb <= 0 || k->tile.rb > c->all ? c->all : k->tile.rb;
    c->flat = k->tile.flat;
    c->blk = c->lanes;
    c->row = k->in.w * c->blk;
    c->plane = k->in.h * c->row;
}

/* Copies pixels [b->begin, b->end) times their channel's gate to the scratch and makes the block
 * read from there. */
static void apply_gate(Conv *c, ConvBlock *b)
{
    Emit *e = c->e;
    LLVMValueRef gates = c->kn->extra[c->k.gate_arg];
    int64_t from_plane = c->out_pixels * c->vl;
    Loop lb, lp;
    loop_count(e, &lb, c->icb);
    LLVMValueRef gate = emit_load(e, e->vec, emit_at(e, gates, emit_mul(e, lb.iv, c->vl)));
    LLVMValueRef from = emit_at(e, c->kn->in, emit_mul(e, lb.iv, from_plane));
    LLVMValueRef to = emit_at(e, c->kn->scratch, emit_mul(e, lb.iv, c->plane));
    loop_begin(e, &lp, b->begin, b->end, 1, true, 0, NULL);
    LLVMValueRef v = emit_load(e, e->vec, emit_at(e, from, emit_mul(e, lp.iv, c->vl)));
    LLVMValueRef at = emit_mul(e, emit_sub(e, lp.iv, b->begin), c->vl);
    emit_store(e, emit_fmul(e, v, gate), emit_at(e, to, at));
    loop_end(e, &lp, NULL);
    loop_end(e, &lb, NULL);
    b->in = c->kn->scratch;
    b->origin = b->begin;
}

/* The weights of a tile of `width` vectors times the gates of their input channels. */
static void gate_tile(Conv *c, LLVMValueRef tile, int width)
{
    enum { UNROLL = 4 };
    Emit *e = c->e;
    int64_t channels = c->icb * c->lanes, step = (int64_t)width * c->vl;
    LLVMValueRef at = emit_mul(e, tile, channels * c->ocv * c->vl);
    LLVMValueRef from = emit_at(e, c->kn->w, at), to = emit_at(e, c->kn->scratch, at);
    Loop l;
    loop_begin(e, &l, emit_int(e, 0), emit_int(e, channels), UNROLL, true, 0, NULL);
    LLVMValueRef gates = emit_at(e, c->kn->extra[c->k.gate_arg], l.iv),
                 off = emit_mul(e, l.iv, step);
    LLVMValueRef p = emit_at(e, from, off), q = emit_at(e, to, off);
    for (int i = 0; i < UNROLL; i++) {
        LLVMValueRef gate = emit_load_splat(e, emit_at_const(e, gates, i));
        for (int64_t o = i * step; o < (i + 1) * step; o += c->vl) {
            LLVMValueRef v = emit_load(e, e->vec, emit_at_const(e, p, o));
            emit_store(e, emit_fmul(e, v, gate), emit_at_const(e, q, o));
        }
    }
    loop_end(e, &l, NULL);
}

/* Tiles [t0, t1) of the weights, gated, to where they are in the scratch. */
static void gate_weights(Conv *c, LLVMValueRef t0, LLVMValueRef t1)
{
    Emit *e = c->e;
    LLVMValueRef whole = emit_int(e, c->whole_tiles);
    Loop l;
    if (c->whole_tiles) {
        loop_begin(e, &l, t0, emit_imin(e, t1, whole), 1, false, 0, NULL);
        gate_tile(c, l.iv, c->ocv);
        loop_end(e, &l, NULL);
    }
    if (c->last_ocv) {
        loop_begin(e, &l, whole, t1, 1, false, 0, NULL);
        gate_tile(c, whole, c->last_ocv);
        loop_end(e, &l, NULL);
    }
    c->w = c->kn->scratch;
}

void conv_fetch_from(Conv *c, LLVMValueRef unit)
{
    enum { LINE = 16 };
    Emit *e = c->e;
    if (!c->ahead)
        return;
    /* A batch shares weights: they are fetched for a single image. */
    LLVMValueRef single = LLVMBuildICmp(e->b, LLVMIntEQ, kern_batch(c->kn), emit_int(e, 1), "");
    LLVMValueRef from = emit_select(e, single, c->kn->extra[c->k.extra_count - 1], c->kn->w);
    int64_t step = c->k.fetch * LINE * family_fetch_blocks(&c->k, e->t);
    LLVMBuildStore(e->b, emit_at(e, from, emit_mul(e, unit, step)), c->ahead);
}

static void walk_units(Conv *c)
{
    Emit *e = c->e;
    bool on_weights = family_gates_weights(&c->k, e->t);
    bool gated = c->k.gate_arg >= 0 && !on_weights;
    LLVMValueRef tiles = emit_int(e, c->whole_tiles + (c->last_ocv > 0));
    ConvBlock b = {.in = c->kn->in, .origin = emit_int(e, 0)};
    if (gated)
        c->plane = c->rb * c->vl;
    if (on_weights && c->k.tile.split_oc)
        gate_weights(c, c->kn->begin, c->kn->end);
    else if (on_weights)
        gate_weights(c, emit_int(e, 0), tiles);
    if (c->k.tile.split_oc) {
        b.begin = emit_int(e, 0);
        b.end = emit_int(e, c->all);
        if (gated)
            apply_gate(c, &b);
        conv_channel_tiles(c, c->kn->begin, c->kn->end, &b);
        return;
    }
    Loop l;
    loop_begin(e, &l, c->kn->begin, c->kn->end, 1, false, 0, NULL);
    conv_fetch_from(c, l.iv);
    b.begin = emit_mul(e, l.iv, c->rb);
    b.end = emit_imin(e, emit_add(e, b.begin, emit_int(e, c->rb)), emit_int(e, c->all));
    if (gated)
        apply_gate(c, &b);
    conv_channel_tiles(c, emit_int(e, 0), tiles, &b);
    loop_end(e, &l, NULL);
}

void conv_pointwise(Kern *kn, LLVMValueRef t0, LLVMValueRef t1)
{
    Emit *e = kn->e;
    Conv c = {.kn = kn, .e = e, .k = *kn->k, .vl = e->vl, .w = kn->w};
    c.ocv = c.k.tile.ocv;
    c.px = c.k.tile.px;
    set_channels(&c);
    set_geometry(&c);
    ConvBlock b = {
        .in = kn->in, .begin = emit_int(e, 0), .end = emit_int(e, c.all), .origin = emit_int(e, 0)};
    conv_channel_tiles(&c, t0, t1, &b);
}

bool cpu_conv(Kern *kn)
{
    Emit *e = kn->e;
    if (kn->k->tile.winograd > 0)
        return conv_winograd(kn);
    Conv c = {.kn = kn, .e = e, .k = *kn->k, .vl = e->vl, .w = kn->w};
    c.ocv = c.k.tile.ocv;
    c.px = c.k.tile.px;
    if (c.ocv < 1 || c.px < 1 || c.ocv * c.px > 32)
        return emit_fail(e, "convolution tile of %d x %d", c.ocv, c.px);
    bool gated = c.k.gate_arg >= 0;
    set_channels(&c);
    set_geometry(&c);
    if (c.k.groups > 1 && !(c.first_blocks = conv_first_blocks(e, &c.k)))
        return false;
    if (gated && (!c.flat || c.lanes == 1 || c.k.gate_arg >= c.k.extra_count))
        return emit_fail(e, "only pointwise convolutions of blocked maps take a gate");
    c.zeros = c.k.has_bias ? NULL : emit_zero_memory(e);
    conv_init_stack(&c);
    if (c.k.fetch > 0 && (c.k.extra_count < 1 || c.k.kh != 1 || c.k.kw != 1))
        return emit_fail(e, "only pointwise convolutions fetch ahead, from an operand");
    if (c.k.fetch > 0)
        c.ahead = emit_stack(e, 1);
    walk_units(&c);
    return true;
}
