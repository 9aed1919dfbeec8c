/* Data movement: layouts, ranges of channels, borders, upsampling, rearrangements. */
#include "codegen/cpu/copy.h"

static LLVMValueRef and_of(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildAnd(e->b, a, b, "");
}

static LLVMValueRef pixels_of(MapDesc m, Emit *e)
{
    return emit_int(e, m.h * m.w);
}

LLVMValueRef copy_same_pixel(Kern *kn, LLVMValueRef p, LLVMValueRef c)
{
    (void)kn;
    (void)c;
    return p;
}

void copy_channel(Kern *kn, LLVMValueRef c, LLVMValueRef from, CopySource *source)
{
    Emit *e = kn->e;
    Loop l;
    loop_begin(e, &l, emit_int(e, 0), pixels_of(kn->k->out, e), 1, true, 0, NULL);
    LLVMValueRef src = kern_place(e, kn->k->in, from, source(kn, l.iv, c));
    LLVMValueRef v = emit_load(e, e->f32, emit_at(e, kn->in, src));
    kern_store_one(kn, v, kern_place(e, kn->k->out, c, l.iv), c);
    loop_end(e, &l, NULL);
}

void copy_clear(Kern *kn, LLVMValueRef c, LLVMValueRef end)
{
    Emit *e = kn->e;
    Loop lc, lp;
    loop_begin(e, &lc, c, end, 1, false, 0, NULL);
    loop_begin(e, &lp, emit_int(e, 0), pixels_of(kn->k->out, e), 1, true, 0, NULL);
    LLVMValueRef at = kern_place(e, kn->k->out, lc.iv, lp.iv);
    emit_store(e, emit_real(e->f32, 0), emit_at(e, kn->out, at));
    loop_end(e, &lp, NULL);
    loop_end(e, &lc, NULL);
}

static LLVMValueRef unshuffled_pixel(Kern *kn, LLVMValueRef p, LLVMValueRef c)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef y = emit_mul(e, emit_div(e, p, k->out.w), k->by_h);
    LLVMValueRef x = emit_mul(e, emit_rem(e, p, k->out.w), k->by_h);
    LLVMValueRef cell = emit_rem(e, c, k->by_h * k->by_h);
    y = emit_add(e, y, emit_div(e, cell, k->by_h));
    x = emit_add(e, x, emit_rem(e, cell, k->by_h));
    return emit_add(e, emit_mul(e, y, k->in.w), x);
}

/* The channel of the input that channel c of the output comes from. */
static LLVMValueRef source_channel(Kern *kn, LLVMValueRef c)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    if (k->copy == COPY_SPACE_TO_DEPTH)
        return emit_div(e, c, k->by_h * k->by_h);
    if (k->copy == COPY_SHUFFLE) {
        LLVMValueRef group = emit_mul(e, emit_rem(e, c, k->groups), k->in.c / k->groups);
        return emit_add(e, group, emit_div(e, c, k->groups));
    }
    return c;
}

/* Channel blocks of the output, channel by channel. */
static void by_channel(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    CopySource *source = k->copy == COPY_SPACE_TO_DEPTH ? unshuffled_pixel : copy_same_pixel;
    LLVMValueRef c0 = emit_mul(e, kn->begin, e->vl), c1 = emit_mul(e, kn->end, e->vl);
    LLVMValueRef all = emit_int(e, k->out.c);
    Loop l;
    loop_begin(e, &l, c0, emit_imin(e, c1, all), 1, false, 0, NULL);
    copy_channel(kn, l.iv, source_channel(kn, l.iv), source);
    loop_end(e, &l, NULL);
    if (k->out.layout == LAYOUT_BLOCKED && k->out.c % e->vl)
        copy_clear(kn, emit_imax(e, c0, all), c1);
}

/* A range of channels that starts at a block in both maps: whole vectors. */
static void aligned_channels(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t pixels = k->out.h * k->out.w;
    bool ends = k->dst_c + k->count_c == k->out.c;
    int part = (int)(k->count_c % e->vl);
    LLVMValueRef whole = emit_int(e, k->count_c / e->vl);
    LLVMValueRef in = emit_at_const(e, kn->in, k->src_c * pixels);
    for (int last = 0; last < 1 + (part > 0); last++) {
        LLVMValueRef b0 = last ? emit_imax(e, kn->begin, whole) : kn->begin;
        LLVMValueRef b1 = last ? kn->end : emit_imin(e, kn->end, whole);
        Loop lb, lp;
        loop_begin(e, &lb, b0, b1, 1, false, 0, NULL);
        LLVMValueRef args[EXPR_MAX_ARGS], from = emit_mul(e, lb.iv, pixels * e->vl);
        kern_channel_args(kn, emit_add(e, emit_mul(e, lb.iv, e->vl), emit_int(e, k->dst_c)), args);
        loop_count(e, &lp, pixels);
        LLVMValueRef at = emit_add(e, from, emit_mul(e, lp.iv, e->vl));
        LLVMValueRef v = emit_load(e, e->vec, emit_at(e, in, at));
        if (last)
            v = emit_keep(e, v, part, 0);
        at = emit_add(e, at, emit_int(e, k->dst_c * pixels));
        kern_store(kn, args, v, at, last && !ends ? part : e->vl);
        loop_end(e, &lp, NULL);
        loop_end(e, &lb, NULL);
    }
}

static void some_channels(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    bool blocked = k->in.layout == LAYOUT_BLOCKED && k->out.layout == LAYOUT_BLOCKED;
    if (blocked && k->src_c % e->vl == 0 && k->dst_c % e->vl == 0) {
        aligned_channels(kn);
        return;
    }
    LLVMValueRef count = emit_int(e, k->count_c), c1 = emit_mul(e, kn->end, e->vl);
    Loop l;
    loop_begin(e, &l, emit_mul(e, kn->begin, e->vl), emit_imin(e, c1, count), 1, false, 0, NULL);
    LLVMValueRef to = emit_add(e, l.iv, emit_int(e, k->dst_c));
    copy_channel(kn, to, emit_add(e, l.iv, emit_int(e, k->src_c)), copy_same_pixel);
    loop_end(e, &l, NULL);
    int64_t end = k->dst_c + k->count_c;
    if (k->out.layout != LAYOUT_BLOCKED || end != k->out.c || end % e->vl == 0)
        return;
    /* The unit of the last channel also clears the lanes after it. */
    int64_t padded = map_blocks(k->out, e->vl) * e->vl;
    LLVMValueRef is_last = LLVMBuildICmp(e->b, LLVMIntSGE, c1, count, "");
    LLVMValueRef works = and_of(e, is_last, emit_less(e, kn->begin, kn->end));
    LLVMValueRef from = emit_select(e, works, emit_int(e, end), emit_int(e, padded));
    copy_clear(kn, from, emit_int(e, padded));
}

/* What a mapped row needs to know. */
typedef struct MapRow {
    LLVMValueRef in; /* the block's input */
    LLVMValueRef y;  /* output row */
} MapRow;

static LLVMValueRef pixel_vector(Kern *kn, LLVMValueRef in, LLVMValueRef y, LLVMValueRef x)
{
    Emit *e = kn->e;
    LLVMValueRef p = emit_add(e, emit_mul(e, y, kn->k->in.w), x);
    return emit_load(e, e->vec, emit_at(e, in, emit_mul(e, p, e->vl)));
}

/* Zeros outside: the address is moved inside the map and the value dropped. */
static LLVMValueRef border_value(Kern *kn, const MapRow *r, LLVMValueRef x)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef zero = emit_int(e, 0), h = emit_int(e, k->in.h), w = emit_int(e, k->in.w);
    LLVMValueRef iy = emit_sub(e, r->y, emit_int(e, k->pt));
    LLVMValueRef ix = emit_sub(e, x, emit_int(e, k->pl));
    /* As unsigned numbers, negative ones are large. */
    LLVMValueRef inside = and_of(e, LLVMBuildICmp(e->b, LLVMIntULT, iy, h, ""),
                                 LLVMBuildICmp(e->b, LLVMIntULT, ix, w, ""));
    LLVMValueRef v =
        pixel_vector(kn, r->in, emit_select(e, inside, iy, zero), emit_select(e, inside, ix, zero));
    return emit_select(e, inside, v, emit_real(e->vec, 0));
}

/* The two source lines of output line i when enlarging by `by`, and the weight of the second. */
static void between(Emit *e, LLVMValueRef i, int64_t by, int64_t size, LLVMValueRef *a,
                    LLVMValueRef *b, LLVMValueRef *part)
{
    LLVMValueRef half = emit_real(e->f32, 0.5), zero = emit_real(e->f32, 0);
    LLVMValueRef at =
        emit_fmul(e, emit_fadd(e, emit_to_float(e, i), half), emit_real(e->f32, 1.0 / (double)by));
    at = emit_fmax(e, emit_fsub(e, at, half), zero);
    *a = LLVMBuildFPToSI(e->b, at, e->i64, "");
    *b = emit_imin(e, emit_add(e, *a, emit_int(e, 1)), emit_int(e, size - 1));
    *part = emit_splat(e, emit_fsub(e, at, emit_to_float(e, *a)));
}

static LLVMValueRef mix(Emit *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef part)
{
    return emit_fma(e, emit_fsub(e, b, a), part, a);
}

static LLVMValueRef bilinear_value(Kern *kn, const MapRow *r, LLVMValueRef x)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef y0, y1, fy, x0, x1, fx;
    between(e, r->y, k->by_h, k->in.h, &y0, &y1, &fy);
    between(e, x, k->by_w, k->in.w, &x0, &x1, &fx);
    LLVMValueRef above =
        mix(e, pixel_vector(kn, r->in, y0, x0), pixel_vector(kn, r->in, y0, x1), fx);
    LLVMValueRef below =
        mix(e, pixel_vector(kn, r->in, y1, x0), pixel_vector(kn, r->in, y1, x1), fx);
    return mix(e, above, below, fy);
}

static LLVMValueRef mapped_value(Kern *kn, const MapRow *r, LLVMValueRef x)
{
    const Kernel *k = kn->k;
    if (k->copy == COPY_BORDER)
        return border_value(kn, r, x);
    if (k->copy == COPY_BILINEAR)
        return bilinear_value(kn, r, x);
    return pixel_vector(kn, r->in, emit_div(kn->e, r->y, k->by_h), emit_div(kn->e, x, k->by_w));
}

/* Channel blocks times row blocks, vector by vector. */
static void mapped(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t row_blocks = family_row_blocks(k), rb = k->tile.rb > 0 ? k->tile.rb : k->out.h;
    Loop lu, ly, lx;
    loop_begin(e, &lu, kn->begin, kn->end, 1, false, 0, NULL);
    LLVMValueRef block = emit_div(e, lu.iv, row_blocks), args[EXPR_MAX_ARGS];
    LLVMValueRef r0 = emit_mul(e, emit_rem(e, lu.iv, row_blocks), rb);
    LLVMValueRef r1 = emit_imin(e, emit_add(e, r0, emit_int(e, rb)), emit_int(e, k->out.h));
    kern_channel_args(kn, emit_mul(e, block, e->vl), args);
    MapRow r = {.in = emit_at(e, kn->in, emit_mul(e, block, k->in.h * k->in.w * e->vl))};
    loop_begin(e, &ly, r0, r1, 1, true, 0, NULL);
    r.y = ly.iv;
    loop_count(e, &lx, k->out.w);
    LLVMValueRef pixel = emit_add(e, emit_mul(e, block, k->out.h), ly.iv);
    pixel = emit_add(e, emit_mul(e, pixel, k->out.w), lx.iv);
    kern_store(kn, args, mapped_value(kn, &r, lx.iv), emit_mul(e, pixel, e->vl), e->vl);
    loop_end(e, &lx, NULL);
    loop_end(e, &ly, NULL);
    loop_end(e, &lu, NULL);
}

bool cpu_copy(Kern *kn)
{
    const Kernel *k = kn->k;
    switch (k->copy) {
    case COPY_LAYOUT:
    case COPY_SPACE_TO_DEPTH:
    case COPY_SHUFFLE: by_channel(kn); return true;
    case COPY_CHANNELS: some_channels(kn); return true;
    case COPY_BORDER:
    case COPY_NEAREST:
    case COPY_BILINEAR: break;
    default: return copy_dx(kn);
    }
    if (k->in.layout != LAYOUT_BLOCKED || k->out.layout != LAYOUT_BLOCKED)
        return emit_fail(kn->e, "borders and upsampling work on blocked maps");
    mapped(kn);
    return true;
}
