/* Gradients of copies: a range of channels among zeros, upsampling turned around, and
 * space_to_depth undone. */
#include "codegen/cpu/copy.h"
#include "codegen/cpu/gather.h"

/* Channel blocks of the output when the range starts at a block in both maps: whole vectors. */
static void aligned_range(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t pixels = k->out.h * k->out.w, first = k->dst_c / e->vl;
    int64_t bounds[] = {0, first, first + k->count_c / e->vl,
                        first + (k->count_c + e->vl - 1) / e->vl, map_blocks(k->out, e->vl)};
    int lanes[] = {0, e->vl, (int)(k->count_c % e->vl), 0};
    LLVMValueRef args[EXPR_MAX_ARGS];
    for (int i = 0; i < 4; i++) {
        Loop lb, lp;
        if (bounds[i] == bounds[i + 1])
            continue;
        loop_begin(e, &lb, emit_imax(e, kn->begin, emit_int(e, bounds[i])),
                   emit_imin(e, kn->end, emit_int(e, bounds[i + 1])), 1, false, 0, NULL);
        kern_channel_args(kn, emit_mul(e, lb.iv, e->vl), args);
        loop_count(e, &lp, pixels);
        LLVMValueRef pixel = emit_add(e, emit_mul(e, lb.iv, pixels), lp.iv);
        LLVMValueRef at = emit_mul(e, pixel, e->vl), v = emit_real(e->vec, 0);
        if (lanes[i]) {
            LLVMValueRef from = emit_sub(e, at, emit_int(e, (k->dst_c - k->src_c) * pixels));
            v = emit_keep(e, emit_load(e, e->vec, emit_at(e, kn->in, from)), lanes[i], 0);
        }
        kern_store(kn, args, v, at, e->vl);
        loop_end(e, &lp, NULL);
        loop_end(e, &lb, NULL);
    }
}

static void zero_channel(Kern *kn, LLVMValueRef c)
{
    Emit *e = kn->e;
    Loop l;
    loop_count(e, &l, kn->k->out.h * kn->k->out.w);
    kern_store_one(kn, emit_real(e->f32, 0), kern_place(e, kn->k->out, c, l.iv), c);
    loop_end(e, &l, NULL);
}

static void any_range(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef c0 = emit_mul(e, kn->begin, e->vl), c1 = emit_mul(e, kn->end, e->vl);
    LLVMValueRef all = emit_int(e, k->out.c);
    Loop l;
    If f;
    loop_begin(e, &l, c0, emit_imin(e, c1, all), 1, false, 0, NULL);
    LLVMValueRef from = emit_sub(e, l.iv, emit_int(e, k->dst_c));
    /* As an unsigned number, a negative one is large. */
    if_begin(e, &f, LLVMBuildICmp(e->b, LLVMIntULT, from, emit_int(e, k->count_c), ""));
    copy_channel(kn, l.iv, emit_add(e, from, emit_int(e, k->src_c)), copy_same_pixel);
    if_else(e, &f);
    zero_channel(kn, l.iv);
    if_end(e, &f);
    loop_end(e, &l, NULL);
    if (k->out.layout == LAYOUT_BLOCKED && k->out.c % e->vl)
        copy_clear(kn, emit_imax(e, c0, all), c1);
}

static void channel_range(Kern *kn)
{
    const Kernel *k = kn->k;
    bool blocked = k->in.layout == LAYOUT_BLOCKED && k->out.layout == LAYOUT_BLOCKED;
    if (blocked && k->src_c % kn->e->vl == 0 && k->dst_c % kn->e->vl == 0)
        aligned_range(kn);
    else
        any_range(kn);
}

/* Channel c of the output from the by * by channels of the input that are its cells. */
static void join_cells(Kern *kn, LLVMValueRef c)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    Loop ly, lx, lr, lc;
    loop_count(e, &ly, k->by_h);
    loop_count(e, &lx, k->by_h);
    LLVMValueRef cell = emit_add(e, emit_mul(e, ly.iv, k->by_h), lx.iv);
    LLVMValueRef from = emit_add(e, emit_mul(e, c, k->by_h * k->by_h), cell);
    loop_count(e, &lr, k->in.h);
    loop_count(e, &lc, k->in.w);
    LLVMValueRef pixel = emit_add(e, emit_mul(e, lr.iv, k->in.w), lc.iv);
    LLVMValueRef y = emit_add(e, emit_mul(e, lr.iv, k->by_h), ly.iv);
    LLVMValueRef x = emit_add(e, emit_mul(e, lc.iv, k->by_h), lx.iv);
    LLVMValueRef v = emit_load(e, e->f32, emit_at(e, kn->in, kern_place(e, k->in, from, pixel)));
    LLVMValueRef to = kern_place(e, k->out, c, emit_add(e, emit_mul(e, y, k->out.w), x));
    kern_store_one(kn, v, to, c);
    loop_end(e, &lc, NULL);
    loop_end(e, &lr, NULL);
    loop_end(e, &lx, NULL);
    loop_end(e, &ly, NULL);
}

static void depth_to_space(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef c0 = emit_mul(e, kn->begin, e->vl), c1 = emit_mul(e, kn->end, e->vl);
    LLVMValueRef all = emit_int(e, k->out.c);
    Loop l;
    loop_begin(e, &l, c0, emit_imin(e, c1, all), 1, false, 0, NULL);
    join_cells(kn, l.iv);
    loop_end(e, &l, NULL);
    if (k->out.layout == LAYOUT_BLOCKED && k->out.c % e->vl)
        copy_clear(kn, emit_imax(e, c0, all), c1);
}

static GatherReads nearest_reads(const Kernel *k, bool vertical, int64_t i)
{
    int64_t at = i / (vertical ? k->by_h : k->by_w);
    return (GatherReads){at, at + 1, 1, 1};
}

/* The two source lines of COPY_BILINEAR; at the far border they are one. */
static GatherReads bilinear_reads(const Kernel *k, bool vertical, int64_t i)
{
    int64_t by = vertical ? k->by_h : k->by_w, n = vertical ? k->out.h : k->out.w;
    double pos = ((double)i + 0.5) / (double)by - 0.5;
    int64_t at = pos > 0 ? (int64_t)pos : 0;
    double part = pos > 0 ? pos - (double)at : 0;
    if (at + 1 >= n)
        return (GatherReads){n - 1, n, 1, 0};
    return (GatherReads){at, at + 2, 1 - part, part};
}

bool copy_dx(Kern *kn)
{
    switch (kn->k->copy) {
    case COPY_CHANNELS_DX: channel_range(kn); return true;
    case COPY_NEAREST_DX: return gather_emit(kn, nearest_reads);
    case COPY_BILINEAR_DX: return gather_emit(kn, bilinear_reads);
    case COPY_DEPTH_TO_SPACE: depth_to_space(kn); return true;
    default: return emit_fail(kn->e, "a copy without code");
    }
}
