/* Gradients of pooling, gathered: a thread per vector of dx looks at every window that holds its
 * position. dy of a maximum goes to the first of equal values of the window, in row order, and a
 * NaN counts as larger, the last one wins, as in PyTorch. */
#include "codegen/cuda/window.h"

typedef struct PoolDx {
    CudaKern *kn;
    Emit *e;
    const Kernel *k;
    Axis forward[2]; /* rows and columns of the forward window */
    Spot s;
    LLVMValueRef at[2];  /* row and column of dx */
    LLVMValueRef tap[2]; /* of the window at hand */
    LLVMValueRef cell[2];
    LLVMValueRef dy; /* the image and channels */
} PoolDx;

static LLVMTypeRef places(const PoolDx *m)
{
    return LLVMVectorType(m->e->i32, (unsigned)m->e->vl);
}

static LLVMValueRef splat_int(const PoolDx *m, LLVMValueRef i)
{
    Emit *e = m->e;
    LLVMValueRef none = LLVMGetPoison(places(m)), zero = LLVMConstInt(e->i32, 0, 0);
    LLVMValueRef one = LLVMBuildInsertElement(e->b, none, i, zero, "");
    return LLVMBuildShuffleVector(e->b, one, none, LLVMConstNull(places(m)), "");
}

/* The number of the tap with the maximum of the window at cell, for every lane. */
static LLVMValueRef find_place(PoolDx *m)
{
    CudaKern *kn = m->kn;
    Emit *e = m->e;
    const Kernel *k = m->k;
    /* what is carried: the maximum, its place, and whether a tap has been inside */
    LLVMValueRef v[3] = {emit_real(e->vec, -__builtin_inf()), LLVMConstNull(places(m)),
                         cuda_int(kn, 0)};
    LLVMValueRef y0 = window_start(kn, &m->forward[0], m->cell[0]);
    LLVMValueRef x0 = window_start(kn, &m->forward[1], m->cell[1]);
    Loop ly, lx;
    loop_begin(e, &ly, cuda_int(kn, 0), cuda_int(kn, k->kh), 1, true, 3, v);
    loop_begin(e, &lx, cuda_int(kn, 0), cuda_int(kn, k->kw), 1, true, 3, v);
    LLVMValueRef y = emit_add(e, y0, emit_mul(e, ly.iv, k->dh));
    LLVMValueRef x = emit_add(e, x0, emit_mul(e, lx.iv, k->dw));
    LLVMValueRef inside = cuda_and(kn, cuda_inside(kn, y, k->out.h), cuda_inside(kn, x, k->out.w));
    Spot s = m->s;
    s.pixel = emit_add(e, emit_mul(e, y, k->out.w), x);
    s.pixel = emit_select(e, inside, s.pixel, m->s.pixel);
    LLVMValueRef value = cuda_extra_map(kn, 0, s);
    LLVMValueRef more = LLVMBuildFCmp(e->b, LLVMRealOGT, value, v[0], "");
    more = LLVMBuildOr(e->b, more, LLVMBuildFCmp(e->b, LLVMRealUNO, value, value, ""), "");
    LLVMValueRef none_yet = LLVMBuildICmp(e->b, LLVMIntEQ, v[2], cuda_int(kn, 0), "");
    LLVMTypeRef flags = LLVMVectorType(e->i1, (unsigned)e->vl);
    LLVMValueRef all = LLVMConstAllOnes(flags), no = LLVMConstNull(flags);
    more = LLVMBuildSelect(e->b, none_yet, all, more, "");
    more = LLVMBuildSelect(e->b, inside, more, no, "");
    LLVMValueRef tap = emit_add(e, emit_mul(e, ly.iv, k->kw), lx.iv);
    v[0] = emit_select(e, more, value, v[0]);
    v[1] = emit_select(e, more, splat_int(m, tap), v[1]);
    v[2] = emit_select(e, inside, cuda_int(kn, 1), v[2]);
    loop_end(e, &lx, v);
    loop_end(e, &ly, v);
    return v[1];
}

static LLVMValueRef load_dy(const PoolDx *m)
{
    Emit *e = m->e;
    LLVMValueRef pixel = emit_add(e, emit_mul(e, m->cell[0], m->k->in.w), m->cell[1]);
    LLVMValueRef at = emit_mul(e, pixel, m->kn->in_pixel);
    return cuda_map_load(m->kn, KERNEL_ARG_IN, cuda_map_at(m->kn, KERNEL_ARG_IN, m->dy, at));
}

static LLVMValueRef max_share(PoolDx *m)
{
    Emit *e = m->e;
    LLVMValueRef tap = emit_add(e, emit_mul(e, m->tap[0], m->k->kw), m->tap[1]);
    LLVMValueRef hit = LLVMBuildICmp(e->b, LLVMIntEQ, find_place(m), splat_int(m, tap), "");
    return emit_select(e, hit, load_dy(m), emit_real(e->vec, 0));
}

/* Cells of an axis that the mean of output i is taken over. */
static LLVMValueRef cells(const PoolDx *m, int axis)
{
    CudaKern *kn = m->kn;
    Emit *e = m->e;
    const Axis *a = &m->forward[axis];
    LLVMValueRef lo = window_start(kn, a, m->cell[axis]), hi = emit_add(e, lo, cuda_int(kn, a->k));
    int64_t after = axis ? m->k->pr : m->k->pb;
    if (m->k->pool == POOL_AVG_INCLUDE_PAD)
        return emit_sub(e, emit_imin(e, hi, cuda_int(kn, a->in + after)), lo);
    hi = emit_imin(e, hi, cuda_int(kn, a->in));
    return emit_sub(e, hi, emit_imax(e, lo, cuda_int(kn, 0)));
}

static LLVMValueRef over(const PoolDx *m, LLVMValueRef dy, LLVMValueRef high, LLVMValueRef wide)
{
    Emit *e = m->e;
    LLVMValueRef count = emit_to_float(e, LLVMBuildMul(e->b, high, wide, ""));
    return emit_fmul(e, dy, emit_splat(e, emit_fdiv(e, emit_real(e->f32, 1), count)));
}

static LLVMValueRef mean_share(PoolDx *m)
{
    return over(m, load_dy(m), cells(m, 0), cells(m, 1));
}

/* All windows with a tap at the position. */
static LLVMValueRef windowed(PoolDx *m)
{
    CudaKern *kn = m->kn;
    Emit *e = m->e;
    const Kernel *k = m->k;
    Axis rows = window_rows(k), columns = window_columns(k);
    rows.turned = columns.turned = true;
    LLVMValueRef y0 = window_start(kn, &rows, m->at[0]), x0 = window_start(kn, &columns, m->at[1]);
    LLVMValueRef sum = emit_real(e->vec, 0), in_y, in_x, zero = cuda_int(kn, 0);
    Loop ly, lx;
    loop_begin(e, &ly, zero, cuda_int(kn, k->kh), 1, true, 1, &sum);
    loop_begin(e, &lx, zero, cuda_int(kn, k->kw), 1, true, 1, &sum);
    LLVMValueRef y = window_tap(kn, &rows, y0, ly.iv, &in_y);
    LLVMValueRef x = window_tap(kn, &columns, x0, lx.iv, &in_x);
    LLVMValueRef inside = cuda_and(kn, in_y, in_x);
    m->tap[0] = ly.iv;
    m->tap[1] = lx.iv;
    m->cell[0] = emit_select(e, inside, y, zero);
    m->cell[1] = emit_select(e, inside, x, zero);
    LLVMValueRef share = k->pool == POOL_MAX ? max_share(m) : mean_share(m);
    sum = emit_fadd(e, sum, emit_select(e, inside, share, emit_real(e->vec, 0)));
    loop_end(e, &lx, &sum);
    loop_end(e, &ly, &sum);
    return sum;
}

/* Whether cell i of n, [floor(i * size / n), ceil((i + 1) * size / n)), holds `at`; its length. */
static LLVMValueRef holds(const PoolDx *m, LLVMValueRef i, int64_t size, int64_t n, LLVMValueRef at,
                          LLVMValueRef *length)
{
    CudaKern *kn = m->kn;
    Emit *e = m->e;
    LLVMValueRef lo = emit_div(e, emit_mul(e, i, size), n);
    LLVMValueRef past = emit_mul(e, emit_add(e, i, cuda_int(kn, 1)), size);
    LLVMValueRef hi = emit_div(e, emit_add(e, past, cuda_int(kn, n - 1)), n);
    *length = emit_sub(e, hi, lo);
    LLVMValueRef before = emit_less(e, at, hi);
    return cuda_and(kn, before, LLVMBuildICmp(e->b, LLVMIntSGE, at, lo, ""));
}

static LLVMValueRef adaptive(PoolDx *m)
{
    CudaKern *kn = m->kn;
    Emit *e = m->e;
    const Kernel *k = m->k;
    LLVMValueRef sum = emit_real(e->vec, 0), high, wide, zero = cuda_int(kn, 0);
    Loop ly, lx;
    loop_begin(e, &ly, zero, cuda_int(kn, k->in.h), 1, true, 1, &sum);
    loop_begin(e, &lx, zero, cuda_int(kn, k->in.w), 1, true, 1, &sum);
    m->cell[0] = ly.iv;
    m->cell[1] = lx.iv;
    LLVMValueRef in_y = holds(m, ly.iv, k->out.h, k->in.h, m->at[0], &high);
    LLVMValueRef in_x = holds(m, lx.iv, k->out.w, k->in.w, m->at[1], &wide);
    LLVMValueRef share = over(m, load_dy(m), high, wide);
    share = emit_select(e, cuda_and(kn, in_y, in_x), share, emit_real(e->vec, 0));
    sum = emit_fadd(e, sum, share);
    loop_end(e, &lx, &sum);
    loop_end(e, &ly, &sum);
    return sum;
}

bool cuda_pool_dx(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    Kernel forward = *k;
    If guard;
    forward.family = FAM_POOL;
    forward.in = k->out;
    forward.out = k->in;
    PoolDx m = {.kn = kn, .e = e, .k = k};
    m.forward[0] = window_rows(&forward);
    m.forward[1] = window_columns(&forward);
    if (k->pool == POOL_MAX && k->extra_count < 1)
        return emit_fail(e, "the gradient of a maximum needs x");
    m.s = cuda_spot(kn, cuda_item(kn, &guard), map_blocks(k->out, e->vl));
    m.at[0] = cuda_split(kn, m.s.pixel, k->out.w, &m.at[1]);
    m.dy = cuda_map_at(kn, KERNEL_ARG_IN, cuda_map_image(kn, KERNEL_ARG_IN, m.s.image), m.s.chan);
    LLVMValueRef sum = k->pool == POOL_ADAPTIVE_AVG ? adaptive(&m) : windowed(&m);
    cuda_finish(kn, sum, m.s);
    if_end(e, &guard);
    return true;
}
