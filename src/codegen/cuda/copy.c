/* Data movement: layouts, ranges of channels, borders, upsampling, rearrangements. A thread per
 * vector of the output. */
#include "codegen/cuda/copy.h"

/* `off` elements of the input after p. */
static LLVMValueRef copy_at(const Copy *c, LLVMValueRef p, LLVMValueRef off)
{
    return cuda_map_at(c->kn, KERNEL_ARG_IN, p, off);
}

static LLVMValueRef copy_place(const Copy *c, LLVMValueRef y, LLVMValueRef x)
{
    Emit *e = c->e;
    LLVMValueRef pixel = emit_add(e, emit_mul(e, y, c->k->in.w), x);
    return copy_at(c, c->in, emit_mul(e, pixel, c->kn->in_pixel));
}

LLVMValueRef copy_load(const Copy *c, LLVMValueRef y, LLVMValueRef x)
{
    return cuda_map_load(c->kn, KERNEL_ARG_IN, copy_at(c, copy_place(c, y, x), c->s.chan));
}

LLVMValueRef copy_float_at(const Copy *c, LLVMValueRef chan, LLVMValueRef pixel)
{
    Emit *e = c->e;
    bool planar = c->k->in.layout == LAYOUT_PLANAR;
    LLVMValueRef at =
        planar ? emit_mul(e, chan, c->k->in.h * c->k->in.w) : emit_mul(e, pixel, c->kn->in_pixel);
    return copy_at(c, c->in, emit_add(e, at, planar ? pixel : chan));
}

/* A vector made of channels of its own each, 0 past the last channel. */
static LLVMValueRef gathered(const Copy *c, CopySource *source)
{
    Emit *e = c->e;
    LLVMValueRef v = LLVMGetPoison(e->vec);
    for (int i = 0; i < e->vl; i++) {
        LLVMValueRef chan = emit_add(e, c->s.chan, cuda_int(c->kn, i)), there = NULL;
        if (c->k->out.c % e->vl)
            there = emit_less(e, chan, cuda_int(c->kn, c->k->out.c));
        LLVMValueRef from = source(c, chan, &there);
        LLVMValueRef one = cuda_map_load_if(c->kn, KERNEL_ARG_IN, e->f32, there, from, c->in, 0);
        v = emit_set_lane(e, v, one, i);
    }
    return v;
}

static LLVMValueRef same_place(const Copy *c, LLVMValueRef chan, LLVMValueRef *there)
{
    (void)there;
    return copy_float_at(c, chan, c->s.pixel);
}

static LLVMValueRef unshuffled(const Copy *c, LLVMValueRef chan, LLVMValueRef *there)
{
    (void)there;
    Emit *e = c->e;
    int64_t by = c->k->by_h;
    LLVMValueRef cell, row, column, from = cuda_split(c->kn, chan, by * by, &cell);
    row = cuda_split(c->kn, cell, by, &column);
    LLVMValueRef y = emit_add(e, emit_mul(e, c->y, by), row);
    LLVMValueRef x = emit_add(e, emit_mul(e, c->x, by), column);
    return copy_float_at(c, from, emit_add(e, emit_mul(e, y, c->k->in.w), x));
}

static LLVMValueRef shuffled(const Copy *c, LLVMValueRef chan, LLVMValueRef *there)
{
    (void)there;
    Emit *e = c->e;
    LLVMValueRef group, within = cuda_split(c->kn, chan, c->k->groups, &group);
    LLVMValueRef from = emit_mul(e, group, c->k->in.c / c->k->groups);
    return copy_float_at(c, emit_add(e, from, within), c->s.pixel);
}

static LLVMValueRef bordered(const Copy *c)
{
    Emit *e = c->e;
    const Kernel *k = c->k;
    LLVMValueRef y = emit_sub(e, c->y, cuda_int(c->kn, k->pt));
    LLVMValueRef x = emit_sub(e, c->x, cuda_int(c->kn, k->pl));
    LLVMValueRef inside =
        cuda_and(c->kn, cuda_inside(c->kn, y, k->in.h), cuda_inside(c->kn, x, k->in.w));
    LLVMValueRef p = copy_at(c, copy_place(c, y, x), c->s.chan);
    LLVMValueRef base = copy_at(c, c->in, c->s.chan);
    return cuda_map_load_if(c->kn, KERNEL_ARG_IN, e->vec, inside, p, base, 0);
}

static LLVMValueRef nearest(const Copy *c)
{
    LLVMValueRef y = emit_div(c->e, c->y, c->k->by_h), x = emit_div(c->e, c->x, c->k->by_w);
    return copy_load(c, y, x);
}

void copy_between(const Copy *c, LLVMValueRef i, int64_t by, int64_t size, LLVMValueRef line[2],
                  LLVMValueRef *part)
{
    Emit *e = c->e;
    LLVMValueRef half = emit_real(e->f32, 0.5), share = emit_real(e->f32, 1.0 / (double)by);
    LLVMValueRef at = emit_fmul(e, emit_fadd(e, emit_to_float(e, i), half), share);
    at = emit_fmax(e, emit_fsub(e, at, half), emit_real(e->f32, 0));
    line[0] = LLVMBuildFPToSI(e->b, at, e->i32, "");
    line[1] = emit_imin(e, emit_add(e, line[0], cuda_int(c->kn, 1)), cuda_int(c->kn, size - 1));
    *part = emit_splat(e, emit_fsub(e, at, emit_to_float(e, line[0])));
}

static LLVMValueRef bilinear(const Copy *c)
{
    Emit *e = c->e;
    LLVMValueRef y[2], x[2], fy, fx, row[2];
    copy_between(c, c->y, c->k->by_h, c->k->in.h, y, &fy);
    copy_between(c, c->x, c->k->by_w, c->k->in.w, x, &fx);
    for (int i = 0; i < 2; i++) {
        LLVMValueRef a = copy_load(c, y[i], x[0]);
        LLVMValueRef b = copy_load(c, y[i], x[1]);
        row[i] = emit_fma(e, emit_fsub(e, b, a), fx, a);
    }
    return emit_fma(e, emit_fsub(e, row[1], row[0]), fy, row[0]);
}

static LLVMValueRef moved(const Copy *c)
{
    switch (c->k->copy) {
    case COPY_LAYOUT: return gathered(c, same_place);
    case COPY_SPACE_TO_DEPTH: return gathered(c, unshuffled);
    case COPY_SHUFFLE: return gathered(c, shuffled);
    case COPY_BORDER: return bordered(c);
    case COPY_NEAREST: return nearest(c);
    case COPY_BILINEAR: return bilinear(c);
    case COPY_CHANNELS_DX: return gathered(c, copy_among_zeros);
    case COPY_DEPTH_TO_SPACE: return gathered(c, copy_joined);
    case COPY_NEAREST_DX: return copy_nearest_dx(c);
    case COPY_BILINEAR_DX: return copy_bilinear_dx(c);
    default: emit_fail(c->e, "a copy without code"); return emit_real(c->e->vec, 0);
    }
}

/* Of a vector of a range of channels, the first `lanes`: those after it are another part's. */
static void finish_lanes(const Copy *c, LLVMValueRef v, int lanes)
{
    Spot s = c->s;
    for (int i = 0; i < lanes; i++) {
        s.chan = emit_add(c->e, c->s.chan, cuda_int(c->kn, i));
        cuda_finish_one(c->kn, emit_lane(c->e, v, i), s);
    }
}

/* Ranges that begin at a vector in both maps. */
static void whole_channels(Copy *c, LLVMValueRef block)
{
    CudaKern *kn = c->kn;
    Emit *e = c->e;
    const Kernel *k = c->k;
    int part = (int)(k->count_c % e->vl);
    LLVMValueRef chan = emit_mul(e, block, e->vl);
    LLVMValueRef from = emit_add(e, emit_mul(e, c->s.pixel, kn->in_pixel), chan);
    from = copy_at(c, c->in, emit_add(e, from, cuda_int(kn, k->src_c)));
    LLVMValueRef v = cuda_map_load(kn, KERNEL_ARG_IN, from);
    c->s.chan = emit_add(e, chan, cuda_int(kn, k->dst_c));
    if (!part) {
        cuda_finish(kn, v, c->s);
        return;
    }
    If full;
    if_begin(e, &full, emit_less(e, block, cuda_int(kn, k->count_c / e->vl)));
    cuda_finish(kn, v, c->s);
    if_else(e, &full);
    if (k->dst_c + k->count_c == k->out.c)
        cuda_finish(kn, emit_keep(e, v, part, 0), c->s);
    else
        finish_lanes(c, v, part);
    if_end(e, &full);
}

/* Channel by channel; those after the map's last are its padding. */
static void single_channels(Copy *c, LLVMValueRef i)
{
    CudaKern *kn = c->kn;
    Emit *e = c->e;
    const Kernel *k = c->k;
    LLVMValueRef from = emit_add(e, i, cuda_int(kn, k->src_c)), there = NULL;
    if (k->dst_c + k->count_c == k->out.c && k->out.c % e->vl)
        there = emit_less(e, i, cuda_int(kn, k->count_c));
    from = copy_float_at(c, from, c->s.pixel);
    LLVMValueRef v = cuda_map_load_if(kn, KERNEL_ARG_IN, e->f32, there, from, c->in, 0);
    c->s.chan = emit_add(e, i, cuda_int(kn, k->dst_c));
    cuda_finish_one(kn, v, c->s);
}

static void some_channels(Copy *c, LLVMValueRef item)
{
    CudaKern *kn = c->kn;
    const Kernel *k = c->k;
    int64_t pixels = k->out.h * k->out.w;
    LLVMValueRef i, rest = cuda_split(kn, item, kn->launch.items / pixels, &i);
    c->s.image = cuda_split(kn, rest, pixels, &c->s.pixel);
    c->in = cuda_map_image(kn, KERNEL_ARG_IN, c->s.image);
    if (k->src_c % c->e->vl == 0 && k->dst_c % c->e->vl == 0)
        whole_channels(c, i);
    else
        single_channels(c, i);
}

/* Positions before channels: planes are read, or written, by threads side by side. */
static Spot planar_spot(const Copy *c, LLVMValueRef item)
{
    Spot s;
    LLVMValueRef block, rest = cuda_split(c->kn, item, c->k->out.h * c->k->out.w, &s.pixel);
    s.image = cuda_split(c->kn, rest, map_blocks(c->k->out, c->e->vl), &block);
    s.chan = emit_mul(c->e, block, c->e->vl);
    return s;
}

bool cuda_copy(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    If guard;
    Copy c = {.kn = kn, .e = e, .k = k};
    bool planar = k->in.layout == LAYOUT_PLANAR || k->out.layout == LAYOUT_PLANAR;
    LLVMValueRef item = cuda_item(kn, &guard);
    if (planar && k->copy != COPY_LAYOUT)
        return emit_fail(e, "only changes of layout work on planar maps");
    if (k->copy == COPY_CHANNELS) {
        some_channels(&c, item);
    } else {
        c.s = planar ? planar_spot(&c, item) : cuda_spot(kn, item, map_blocks(k->out, e->vl));
        c.y = cuda_split(kn, c.s.pixel, k->out.w, &c.x);
        c.in = cuda_map_image(kn, KERNEL_ARG_IN, c.s.image);
        cuda_finish(kn, moved(&c), c.s);
    }
    if_end(e, &guard);
    return true;
}
