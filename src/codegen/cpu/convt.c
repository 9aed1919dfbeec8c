/* Transposed convolution as a gather, phase by phase. */
#include "codegen/cpu/conv.h"
#include "codegen/cpu/phase.h"

enum { CONVT_MOST = 32 };

typedef struct Gather {
    Kern *kn;
    Emit *e;
    const Kernel *k;
    int64_t vl, icb, row, plane, out_plane;
    int ocv;
    LLVMValueRef in, w, chan, y, table;
    LLVMValueRef v[CONVT_MOST + 2];
} Gather;

/* One tap of one input block for the pixels it meets. */
static void tap(Gather *g, const Strip *s, int64_t kw, LLVMValueRef in, LLVMValueRef w)
{
    Emit *e = g->e;
    int64_t shift;
    if (!phase_tap(g->k, s->phase, kw, &shift))
        return;
    for (int64_t lane = 0; lane < g->vl; lane++) {
        LLVMValueRef held[CONVT_MOST];
        for (int o = 0; o < g->ocv; o++) {
            int64_t at = ((kw * g->vl + lane) * g->ocv + o) * g->vl;
            held[o] = emit_load(e, e->vec, emit_at_const(e, w, at));
        }
        for (int p = 0; p < s->width; p++) {
            int64_t x = s->j + p + shift;
            if (s->edge && (x < 0 || x >= g->k->in.w))
                continue;
            int64_t off = (p + shift) * g->vl + lane;
            LLVMValueRef xv = emit_load_splat(e, emit_at_const(e, in, off));
            for (int o = 0; o < g->ocv; o++)
                g->v[o * s->width + p] = emit_fma(e, xv, held[o], g->v[o * s->width + p]);
        }
    }
}

/* All taps: a loop over window rows, of which only those of the row's phase that lie in the map do
 * anything, around a loop over input blocks. in0 is input (0, j). */
static void gather(Gather *g, const Strip *s, LLVMValueRef in0)
{
    Emit *e = g->e;
    const Kernel *k = g->k;
    int n = g->ocv * s->width;
    LLVMValueRef zero = emit_int(e, 0), one = emit_int(e, 1);
    Loop lk, lif, lb;
    loop_begin(e, &lk, zero, emit_int(e, k->kh), 1, true, n, g->v);
    LLVMValueRef d = emit_sub(e, emit_add(e, g->y, emit_int(e, k->pt)), emit_mul(e, lk.iv, k->dh));
    LLVMValueRef iy = LLVMBuildSDiv(e->b, d, emit_int(e, k->sh), "");
    LLVMValueRef whole = LLVMBuildICmp(e->b, LLVMIntEQ, emit_mul(e, iy, k->sh), d, "");
    LLVMValueRef inside = LLVMBuildICmp(e->b, LLVMIntULT, iy, emit_int(e, k->in.h), "");
    LLVMValueRef works = emit_select(e, LLVMBuildAnd(e->b, whole, inside, ""), one, zero);
    loop_begin(e, &lif, zero, works, 1, false, n, g->v);
    g->v[n] = emit_at(e, in0, emit_mul(e, iy, g->row));
    int64_t w_row = k->kw * g->vl * g->ocv * g->vl;
    g->v[n + 1] = emit_at(e, g->w, emit_mul(e, lk.iv, w_row));
    loop_begin(e, &lb, zero, emit_int(e, g->icb), 1, true, n + 2, g->v);
    for (int64_t kw = 0; kw < k->kw; kw++)
        tap(g, s, kw, g->v[n], g->v[n + 1]);
    g->v[n] = emit_at_const(e, g->v[n], g->plane);
    g->v[n + 1] = emit_at_const(e, g->v[n + 1], k->kh * w_row);
    loop_end(e, &lb, g->v);
    loop_end(e, &lif, g->v);
    loop_end(e, &lk, g->v);
}

static void strip(Gather *g, const Strip *s, LLVMValueRef j)
{
    Emit *e = g->e;
    const Kernel *k = g->k;
    for (int o = 0; o < g->ocv; o++) {
        LLVMValueRef at = emit_add(e, g->chan, emit_int(e, o * g->vl));
        LLVMValueRef b =
            k->has_bias ? emit_load(e, e->vec, emit_at(e, g->kn->bias, at)) : emit_real(e->vec, 0);
        for (int p = 0; p < s->width; p++)
            g->v[o * s->width + p] = b;
    }
    gather(g, s, emit_at(e, g->in, emit_mul(e, j, g->vl)));
    LLVMValueRef x = emit_add(e, emit_mul(e, j, k->sw), emit_int(e, s->phase));
    LLVMValueRef pixel = emit_add(e, emit_mul(e, g->y, k->out.w), x);
    for (int o = 0; o < g->ocv; o++) {
        LLVMValueRef args[EXPR_MAX_ARGS], chan = emit_add(e, g->chan, emit_int(e, o * g->vl));
        kern_channel_args(g->kn, chan, args);
        LLVMValueRef at = emit_mul(e, chan, g->out_plane / g->vl);
        at = emit_add(e, at, emit_mul(e, pixel, g->vl));
        for (int p = 0; p < s->width; p++)
            kern_store(g->kn, args, g->v[o * s->width + p],
                       emit_add(e, at, emit_int(e, p * k->sw * g->vl)), (int)g->vl);
    }
}

static void row(Gather *g, int px)
{
    Emit *e = g->e;
    const Kernel *k = g->k;
    for (int64_t phase = 0; phase < k->sw && phase < k->out.w; phase++) {
        int64_t n = phase_columns(k, phase);
        for (int64_t j = 0; j < n;) {
            Strip s = phase_strip(k, phase, j, px);
            Loop l;
            loop_count(e, &l, s.count);
            strip(g, &s, emit_add(e, emit_int(e, j), emit_mul(e, l.iv, s.width)));
            loop_end(e, &l, NULL);
            j += s.count * s.width;
        }
    }
}

/* Channel tile `index` of `ocv` vectors, rows [r0, r1). */
static void channel_tile(Gather *g, int ocv, LLVMValueRef index, LLVMValueRef r0, LLVMValueRef r1)
{
    Emit *e = g->e;
    const Kernel *k = g->k;
    g->ocv = ocv;
    g->chan = emit_mul(e, index, k->tile.ocv * g->vl);
    g->w = emit_at(e, g->kn->w, emit_mul(e, index, family_tile_weights(k, e->t, 1)));
    g->in = g->kn->in;
    if (g->table)
        g->in = emit_at(e, g->in, emit_mul(e, conv_first_block(e, g->table, index), g->plane));
    Loop l;
    loop_begin(e, &l, r0, r1, 1, true, 0, NULL);
    g->y = l.iv;
    row(g, k->tile.px);
    loop_end(e, &l, NULL);
}

static void channel_tiles(Gather *g, LLVMValueRef t0, LLVMValueRef t1, LLVMValueRef r0,
                          LLVMValueRef r1)
{
    Emit *e = g->e;
    int64_t tiles = family_oc_tiles(g->k, e->t);
    int last = family_oc_tile_width(g->k, e->t, tiles - 1);
    bool odd = last != g->k->tile.ocv;
    LLVMValueRef whole = emit_int(e, tiles - odd);
    Loop l;
    loop_begin(e, &l, t0, emit_imin(e, t1, whole), 1, false, 0, NULL);
    channel_tile(g, g->k->tile.ocv, l.iv, r0, r1);
    loop_end(e, &l, NULL);
    if (odd) {
        loop_begin(e, &l, emit_imax(e, t0, whole), t1, 1, false, 0, NULL);
        channel_tile(g, last, whole, r0, r1);
        loop_end(e, &l, NULL);
    }
}

bool cpu_convt(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    if (k->in.layout != LAYOUT_BLOCKED || k->out.layout != LAYOUT_BLOCKED)
        return emit_fail(e, "transposed convolutions work on blocked maps");
    if (k->tile.ocv < 1 || k->tile.px < 1 || k->tile.ocv * k->tile.px > CONVT_MOST)
        return emit_fail(e, "transposed convolution tile of %d x %d", k->tile.ocv, k->tile.px);
    Gather g = {.kn = kn, .e = e, .k = k, .vl = e->vl, .icb = family_ic_blocks(k, e->t)};
    g.row = k->in.w * g.vl;
    g.plane = k->in.h * g.row;
    g.out_plane = k->out.h * k->out.w * g.vl;
    if (k->groups > 1 && !(g.table = conv_first_blocks(e, k)))
        return false;
    LLVMValueRef h = emit_int(e, k->out.h), zero = emit_int(e, 0);
    if (k->tile.split_oc) {
        channel_tiles(&g, kn->begin, kn->end, zero, h);
        return true;
    }
    int64_t rb = k->tile.rb > 0 ? k->tile.rb : k->out.h;
    LLVMValueRef tiles = emit_int(e, family_oc_tiles(k, e->t));
    Loop l;
    loop_begin(e, &l, kn->begin, kn->end, 1, false, 0, NULL);
    LLVMValueRef r0 = emit_mul(e, l.iv, rb);
    LLVMValueRef r1 = emit_imin(e, emit_add(e, r0, emit_int(e, rb)), h);
    channel_tiles(&g, zero, tiles, r0, r1);
    loop_end(e, &l, NULL);
    return true;
}
