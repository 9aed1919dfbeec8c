/* Trained weights as a kernel reads them: what plan/pack.c does at compile time, in every training
 * step. A thread per vector, of output channels or, for matrix units, of a line of weights. */
#include "codegen/cuda/round.h"

typedef struct Pack {
    CudaKern *kn;
    Emit *e;
    Kernel k; /* the kernel whose weights they are */
    bool one; /* one filter per channel */
    LLVMValueRef tap;
} Pack;

/* Where the plain weight of output channel o, input channel i of its group lies. */
static LLVMValueRef plain(const Pack *s, LLVMValueRef o, LLVMValueRef i)
{
    Emit *e = s->e;
    const Kernel *k = &s->k;
    LLVMValueRef at = s->tap;
    if (s->one)
        return emit_add(e, at, emit_mul(e, o, k->pack_o));
    at = emit_add(e, at, emit_mul(e, i, k->pack_i));
    if (k->groups <= 1)
        return emit_add(e, at, emit_mul(e, o, k->pack_o));
    int64_t per_out = k->out.c / k->groups, per_in = k->in.c / k->groups;
    LLVMValueRef rest, group = cuda_split(s->kn, o, per_out, &rest);
    at = emit_add(e, at, emit_mul(e, group, per_out * per_in * k->kh * k->kw));
    return emit_add(e, at, emit_mul(e, rest, k->pack_o));
}

/* Four weights: of output channels from o on, or of input channels from i on. */
static LLVMValueRef gather(const Pack *s, LLVMValueRef o, LLVMValueRef i, bool outputs,
                           LLVMValueRef there)
{
    CudaKern *kn = s->kn;
    Emit *e = s->e;
    int64_t inputs = s->k.groups > 1 ? s->k.in.c / s->k.groups : s->k.in.c;
    int64_t lanes = outputs ? s->k.out.c : inputs;
    LLVMValueRef v = LLVMGetPoison(e->vec);
    for (int lane = 0; lane < e->vl; lane++) {
        LLVMValueRef exists = there, at = emit_add(e, outputs ? o : i, cuda_int(kn, lane));
        if (lanes % e->vl)
            exists = cuda_and(kn, exists, cuda_inside(kn, at, lanes));
        LLVMValueRef p = emit_at(e, kn->in, plain(s, outputs ? at : o, outputs ? i : at));
        v = emit_set_lane(e, v, cuda_load_if(kn, e->f32, exists, p, kn->in, 0), lane);
    }
    return v;
}

static void turn(Pack *s)
{
    int64_t taps = s->k.kh * s->k.kw;
    if (s->k.pack_flip)
        s->tap = emit_sub(s->e, cuda_int(s->kn, taps - 1), s->tap);
}

static void by_outputs(Pack *s, LLVMValueRef item)
{
    CudaKern *kn = s->kn;
    Emit *e = s->e;
    const Kernel *k = &s->k;
    int64_t rows = s->one ? 1 : cuda_weight_rows(k, e->t);
    int64_t inputs = k->groups > 1 ? k->in.c / k->groups : k->in.c;
    LLVMValueRef block, i, row = cuda_split(kn, item, map_blocks(k->out, e->vl), &block);
    s->tap = cuda_split(kn, row, rows, &i);
    turn(s);
    LLVMValueRef there = s->one || rows == inputs ? NULL : cuda_inside(kn, i, inputs);
    LLVMValueRef v = gather(s, emit_mul(e, block, e->vl), i, true, there);
    cuda_store(kn, v, emit_at(e, kn->out, emit_mul(e, item, e->vl)));
}

/* Of a vector of panels (cuda_panels): its output channel and its place in that one's line; whether
 * there is such a channel, NULL for yes. */
static LLVMValueRef of_panel(const Pack *s, LLVMValueRef item, LLVMValueRef *o, LLVMValueRef *at)
{
    enum { EIGHT = 8, DEALT = 16, PIECE = 16 };
    CudaKern *kn = s->kn;
    Emit *e = s->e;
    const Kernel *k = &s->k;
    const CudaTile *c = &k->tile.cuda;
    CudaPanels p = cuda_panels(k, e->t);
    int bytes = dtype_info[c->dtype].bytes, per_piece = PIECE / bytes / e->vl;
    int64_t per_out = k->out.c / (k->groups > 1 ? k->groups : 1);
    LLVMValueRef vector, row, step, tile, rest, half, pair, odd, of16;
    LLVMValueRef panel = cuda_split(kn, cuda_split(kn, item, c->k / e->vl, &vector), c->n, &row);
    LLVMValueRef group = cuda_split(kn, cuda_split(kn, panel, p.steps, &step), p.tiles, &tile);
    LLVMValueRef first = emit_mul(e, cuda_split(kn, row, DEALT, &of16), DEALT);
    half = cuda_split(kn, of16, EIGHT, &rest);
    LLVMValueRef exchange = c->k * bytes == 64 ? emit_div(e, rest, 2) : rest;
    pair = cuda_split(kn, rest, 2, &odd);
    LLVMValueRef column = emit_add(e, emit_mul(e, pair, 4), emit_add(e, emit_mul(e, half, 2), odd));
    column = emit_add(e, emit_add(e, first, column), emit_mul(e, tile, c->n));
    LLVMValueRef piece = cuda_xor(kn, cuda_split(kn, vector, per_piece, &rest), exchange);
    *o = emit_add(e, emit_mul(e, group, per_out), column);
    *at = emit_add(e, emit_mul(e, piece, per_piece), rest);
    *at = emit_add(e, emit_mul(e, step, c->k / e->vl), *at);
    return per_out % c->n ? cuda_inside(kn, column, per_out) : NULL;
}

/* For matrix units: lines of an output channel, rounded. Vectors at their ends may be none. */
static void by_lines(Pack *s, LLVMValueRef item)
{
    CudaKern *kn = s->kn;
    Emit *e = s->e;
    const Kernel *k = &s->k;
    Dtype d = k->tile.cuda.dtype;
    int64_t per_tap = cuda_weight_rows(k, e->t) / e->vl, all = per_tap * k->kh * k->kw;
    int64_t line = cuda_weight_line(k, e->t) / e->vl;
    LLVMValueRef i, at, o, there = NULL;
    if (k->tile.cuda.group)
        there = of_panel(s, item, &o, &at);
    else
        o = cuda_split(kn, item, line, &at);
    if (line != all || k->tile.cuda.group)
        there = cuda_and(kn, there, cuda_inside(kn, at, all));
    if (there) {
        o = emit_select(e, there, o, cuda_int(kn, 0));
        at = emit_select(e, there, at, cuda_int(kn, 0));
    }
    s->tap = cuda_split(kn, at, per_tap, &i);
    turn(s);
    LLVMValueRef v = gather(s, o, emit_mul(e, i, e->vl), false, there);
    LLVMValueRef to = LLVMBuildSExt(e->b, item, e->i64, ""); /* bytes may pass 2^31 */
    to = emit_mul(e, to, (int64_t)e->vl * dtype_info[d].bytes);
    cuda_store_rounded(kn, d, v, cuda_bytes(kn, kn->out, to));
}

bool cuda_pack(CudaKern *kn)
{
    Emit *e = kn->e;
    Pack s = {.kn = kn, .e = e, .k = *kn->k};
    Kernel *k = &s.k;
    k->family = kn->k->packs;
    s.one = k->family == FAM_DEPTHWISE || k->family == FAM_DEPTHWISE_DX;
    if (!s.one && k->family != FAM_CONV && k->family != FAM_CONVT)
        return emit_fail(e, "no packing for %s", family_name[k->family]);
    If guard;
    LLVMValueRef item = emit_add(e, emit_mul(e, kn->block, kn->launch.threads), kn->thread);
    if_begin(e, &guard, cuda_inside(kn, item, kn->launch.items));
    if (cuda_on_matrix_units(k))
        by_lines(&s, item);
    else
        by_outputs(&s, item);
    if_end(e, &guard);
    return true;
}
