/* Sums over the positions of a batch, or over lines of partial sums of them, and what is made of
 * them per channel. */
#include "codegen/cuda/kern.h"

/* Arguments that are the same for all positions of a vector of channels. */
static void channel_args(const CudaKern *kn, LLVMValueRef chan, LLVMValueRef args[EXPR_MAX_ARGS])
{
    for (int i = 0; i < kn->k->extra_count; i++) {
        ArgKind kind = kn->k->extra[i];
        int arg = KERNEL_ARG_EXTRA + i;
        if (kn->uses[i + 1] && (kind == KARG_CHANNEL || kind == KARG_PIVOT))
            args[i + 1] = cuda_map_load(kn, arg, cuda_map_at(kn, arg, kn->extra[i], chan));
    }
}

static void position_args(const CudaKern *kn, Spot s, LLVMValueRef args[EXPR_MAX_ARGS])
{
    const Kernel *k = kn->k;
    if (kn->uses[0])
        args[0] = cuda_map_load(kn, KERNEL_ARG_IN, cuda_place(kn, KERNEL_ARG_IN, kn->in_pixel, s));
    for (int i = 0; i < k->extra_count; i++) {
        int arg = KERNEL_ARG_EXTRA + i;
        if (kn->uses[i + 1] && k->extra[i] == KARG_MAP)
            args[i + 1] = cuda_extra_map(kn, i, s);
        else if (kn->uses[i + 1] && k->extra[i] == KARG_GATE)
            args[i + 1] = cuda_load(kn, cuda_place(kn, arg, 0, s));
    }
}

/* How many positions line `row` stands for: all but the last for as many. */
static LLVMValueRef share_of(const CudaKern *kn, LLVMValueRef all, LLVMValueRef row)
{
    Emit *e = kn->e;
    LLVMValueRef rest = emit_sub(e, all, emit_mul(e, row, kn->k->part));
    return emit_to_float(e, emit_imin(e, rest, cuda_int(kn, kn->k->part)));
}

static void share_args(const CudaKern *kn, LLVMValueRef all, LLVMValueRef row,
                       LLVMValueRef args[EXPR_MAX_ARGS])
{
    for (int i = 0; i < kn->k->extra_count; i++)
        if (kn->uses[i + 1] && kn->k->extra[i] == KARG_SHARE)
            args[i + 1] = emit_splat(kn->e, share_of(kn, all, row));
}

/* A block sums CUDA_SUMMED vectors of one part of the batch, each by threads that are as far apart.
 */
bool cuda_sums(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int roots = k->root_count;
    int64_t pixels = k->in.h * k->in.w, blocks = map_blocks(k->in, e->vl);
    int64_t groups = (blocks + CUDA_SUMMED - 1) / CUDA_SUMMED;
    if (roots < 1 || k->slices < 1)
        return emit_fail(e, "sums over a batch are in one slice or more");
    LLVMValueRef all = emit_mul(e, kn->batch, k->part > 0 ? k->positions : 1);
    if (k->part > 0) /* a line is an image of one position */
        kn->batch = emit_div(e, emit_add(e, all, cuda_int(kn, k->part - 1)), k->part);
    LLVMValueRef group, lane, slice = cuda_split(kn, kn->block, groups, &group), lo, hi;
    LLVMValueRef first = cuda_split(kn, kn->thread, CUDA_SUMMED, &lane);
    LLVMValueRef block = emit_add(e, emit_mul(e, group, CUDA_SUMMED), lane);
    LLVMValueRef there = cuda_inside(kn, block, blocks);
    LLVMValueRef args[EXPR_MAX_ARGS] = {0}, value[KERNEL_MAX_ROOTS], total[2 * KERNEL_MAX_ROOTS];
    Spot s = {.chan = emit_mul(e, emit_select(e, there, block, cuda_int(kn, 0)), e->vl)};
    cuda_fixed_args(kn, e->vec, args);
    channel_args(kn, s.chan, args);
    cuda_slice(kn, slice, pixels, &lo, &hi);
    cuda_total_clear(e->vec, roots, total);
    Loop l;
    loop_begin(e, &l, emit_add(e, lo, first), hi, kn->launch.threads / CUDA_SUMMED, false,
               2 * roots, total);
    s.image = cuda_split(kn, l.iv, pixels, &s.pixel);
    position_args(kn, s, args);
    share_args(kn, all, s.image, args);
    cuda_roots(kn, e->vec, args, value);
    for (int r = 0; r < roots; r++)
        cuda_total_add(kn, total, r, value[r]);
    loop_end(e, &l, total);
    for (int r = 0; r < roots; r++)
        value[r] = cuda_total(kn, total, r);
    LLVMValueRef sum = cuda_block_sum(kn, value, roots), root = first;
    If mine;
    if_begin(e, &mine,
             cuda_and(kn, there, cuda_inside(kn, kn->thread, (int64_t)CUDA_SUMMED * roots)));
    LLVMValueRef row = emit_add(e, emit_mul(e, slice, roots), root);
    LLVMValueRef at = emit_add(e, emit_mul(e, row, blocks), block);
    cuda_store(kn, sum, emit_at(e, kn->out, emit_mul(e, at, e->vl)));
    if_end(e, &mine);
    return true;
}

/* The terms of a vector of channels, over all slices in their order. */
static void term_sums(CudaKern *kn, int terms, LLVMValueRef chan, LLVMValueRef *total)
{
    Emit *e = kn->e;
    int64_t floats = map_pixel(kn->k->out, e->vl, 0);
    Loop l;
    cuda_total_clear(e->vec, terms, total);
    loop_begin(e, &l, cuda_int(kn, 0), cuda_int(kn, kn->k->slices), 1, true, 2 * terms, total);
    LLVMValueRef at = emit_add(e, emit_mul(e, l.iv, terms * floats), chan);
    for (int i = 0; i < terms; i++) {
        LLVMValueRef p = emit_at(e, kn->in, emit_add(e, at, cuda_int(kn, i * floats)));
        cuda_total_add(kn, total, i, cuda_load(kn, p));
    }
    loop_end(e, &l, total);
}

static void store_result(CudaKern *kn, LLVMValueRef v, LLVMValueRef to, LLVMValueRef chan)
{
    const MapDesc *m = &kn->k->out;
    if (m->layout == LAYOUT_PLANAR)
        cuda_store_part(kn, v, to, chan, m->c);
    else
        cuda_store(kn, cuda_keep(kn, v, chan, m->c, 0), emit_at(kn->e, to, chan));
}

bool cuda_finish_sums(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t floats = map_pixel(k->out, e->vl, 0);
    int64_t terms = k->slices > 0 ? k->in.c / (k->slices * floats) : 0;
    if (terms < 1 || terms > KERNEL_MAX_ROOTS || k->slices * terms * floats != k->in.c)
        return emit_fail(e, "these are not the sums of slices");
    LLVMValueRef item = emit_add(e, emit_mul(e, kn->block, kn->launch.threads), kn->thread);
    LLVMValueRef total[2 * KERNEL_MAX_ROOTS], value[KERNEL_MAX_ROOTS], args[EXPR_MAX_ARGS] = {0};
    If guard;
    if_begin(e, &guard, cuda_inside(kn, item, kn->launch.items));
    LLVMValueRef chan = emit_mul(e, item, e->vl);
    term_sums(kn, (int)terms, chan, total);
    cuda_fixed_args(kn, e->vec, args);
    channel_args(kn, chan, args);
    args[0] = cuda_total(kn, total, 0);
    for (int i = 0; i < k->extra_count; i++)
        if (kn->uses[i + 1] && k->extra[i] == KARG_TERM && (unsigned)k->hyper[i] < terms)
            args[i + 1] = cuda_total(kn, total, k->hyper[i]);
    cuda_roots(kn, e->vec, args, value);
    for (int r = 0; r < k->root_count; r++) {
        LLVMValueRef to = cuda_root_target(kn, r);
        if (to)
            store_result(kn, value[r], to, chan);
    }
    if_end(e, &guard);
    return true;
}
