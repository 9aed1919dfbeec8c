/* Runs of floats: their sums, what is made of them, and expressions stored in place: optimizer
 * steps. */
#include "codegen/cuda/kern.h"

static void run_args(const CudaKern *kn, LLVMValueRef at, LLVMValueRef args[EXPR_MAX_ARGS])
{
    int64_t n = kn->k->in.c;
    if (kn->uses[0])
        args[0] = cuda_load_part(kn, kn->in, at, n);
    for (int i = 0; i < kn->k->extra_count; i++)
        if (kn->uses[i + 1] && kn->k->extra[i] == KARG_MAP)
            args[i + 1] = cuda_load_part(kn, kn->extra[i], at, n);
}

/* A block sums a part of the run: nearly equal numbers of whole vectors. */
bool cuda_flat_sums(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int roots = k->root_count;
    if (roots < 1)
        return emit_fail(e, "nothing is to be summed");
    int64_t vectors = (k->in.c + e->vl - 1) / e->vl, parts = kn->launch.items;
    int64_t each = (vectors + parts - 1) / parts;
    LLVMValueRef lo = emit_mul(e, kn->block, each), all = cuda_int(kn, vectors);
    LLVMValueRef hi = emit_imin(e, emit_add(e, lo, cuda_int(kn, each)), all);
    LLVMValueRef args[EXPR_MAX_ARGS] = {0}, value[KERNEL_MAX_ROOTS], total[2 * KERNEL_MAX_ROOTS];
    cuda_fixed_args(kn, e->vec, args);
    cuda_total_clear(e->vec, roots, total);
    Loop l;
    loop_begin(e, &l, emit_add(e, lo, kn->thread), hi, kn->launch.threads, false, 2 * roots, total);
    LLVMValueRef at = emit_mul(e, l.iv, e->vl);
    run_args(kn, at, args);
    cuda_roots(kn, e->vec, args, value);
    for (int r = 0; r < roots; r++)
        cuda_total_add(kn, total, r, cuda_keep(kn, value[r], at, k->in.c, 0));
    loop_end(e, &l, total);
    for (int r = 0; r < roots; r++)
        value[r] = cuda_total(kn, total, r);
    LLVMValueRef sum = emit_reduce_add(e, cuda_block_sum(kn, value, roots)), lane;
    for (int lanes = 1; lanes < CUDA_SUMMED; lanes *= 2)
        sum = emit_fadd(e, sum, nvptx_shuffle_xor(e, sum, lanes));
    LLVMValueRef root = cuda_split(kn, kn->thread, CUDA_SUMMED, &lane);
    If mine;
    if_begin(e, &mine, cuda_and(kn, cuda_inside(kn, lane, 1), cuda_inside(kn, root, roots)));
    emit_store(e, sum, emit_at(e, kn->out, emit_add(e, emit_mul(e, kn->block, roots), root)));
    if_end(e, &mine);
    return true;
}

/* The sum of each term over all parts, in double and in their order. */
static void term_sums(CudaKern *kn, int terms, LLVMValueRef *sum)
{
    Emit *e = kn->e;
    LLVMTypeRef f64 = LLVMDoubleTypeInContext(e->ctx);
    Loop l;
    for (int i = 0; i < terms; i++)
        sum[i] = emit_real(f64, 0);
    loop_begin(e, &l, cuda_int(kn, 0), cuda_int(kn, kn->k->slices), 1, true, terms, sum);
    LLVMValueRef at = emit_at(e, kn->in, emit_mul(e, l.iv, terms));
    for (int i = 0; i < terms; i++) {
        LLVMValueRef v = emit_load(e, e->f32, emit_at_const(e, at, i));
        sum[i] = emit_fadd(e, sum[i], LLVMBuildFPExt(e->b, v, f64, ""));
    }
    loop_end(e, &l, sum);
    for (int i = 0; i < terms; i++)
        sum[i] = LLVMBuildFPTrunc(e->b, sum[i], e->f32, "");
}

/* One thread. */
bool cuda_flat_finish(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t terms = k->slices > 0 ? k->in.c / k->slices : 0;
    if (terms < 1 || terms > KERNEL_MAX_ROOTS || terms * k->slices != k->in.c)
        return emit_fail(e, "these are not the sums of parts");
    LLVMValueRef sum[KERNEL_MAX_ROOTS], value[KERNEL_MAX_ROOTS], args[EXPR_MAX_ARGS] = {0};
    If first;
    if_begin(e, &first, cuda_inside(kn, kn->thread, 1));
    term_sums(kn, (int)terms, sum);
    cuda_fixed_args(kn, e->f32, args);
    args[0] = sum[0];
    for (int i = 0; i < k->extra_count; i++)
        if (kn->uses[i + 1] && k->extra[i] == KARG_TERM && (unsigned)k->hyper[i] < terms)
            args[i + 1] = sum[k->hyper[i]];
    cuda_roots(kn, e->f32, args, value);
    for (int r = 0; r < k->root_count; r++) {
        LLVMValueRef to = cuda_root_target(kn, r);
        if (to)
            emit_store(e, value[r], emit_at_const(e, to, to == kn->out ? r : 0));
    }
    if_end(e, &first);
    return true;
}

bool cuda_update(CudaKern *kn)
{
    Emit *e = kn->e;
    LLVMValueRef args[EXPR_MAX_ARGS] = {0}, value[KERNEL_MAX_ROOTS];
    if (kn->k->root_count < 1)
        return emit_fail(e, "an update stores nothing");
    LLVMValueRef item = emit_add(e, emit_mul(e, kn->block, kn->launch.threads), kn->thread);
    If guard;
    if_begin(e, &guard, cuda_inside(kn, item, kn->launch.items));
    LLVMValueRef at = emit_mul(e, item, e->vl);
    cuda_fixed_args(kn, e->vec, args);
    run_args(kn, at, args);
    cuda_roots(kn, e->vec, args, value);
    for (int r = 0; r < kn->k->root_count; r++) {
        LLVMValueRef to = cuda_root_target(kn, r);
        if (to)
            cuda_store_part(kn, value[r], to, at, kn->k->in.c);
    }
    if_end(e, &guard);
    return true;
}
