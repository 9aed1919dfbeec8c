/* Maximum and mean over windows: a thread per vector of the output; padding never takes part in a
 * maximum. */
#include "codegen/cuda/window.h"

enum { UNROLL_TAPS = 25 };

typedef struct Pool {
    CudaKern *kn;
    Emit *e;
    LLVMValueRef in; /* of the image and channels */
    Axis rows, columns;
    LLVMValueRef y, x;
    LLVMValueRef acc[2]; /* the maximum or sum; how many cells are inside */
} Pool;

static void tap(Pool *s, LLVMValueRef row, LLVMValueRef row_inside, int64_t kx)
{
    CudaKern *kn = s->kn;
    Emit *e = s->e;
    bool max = kn->k->pool == POOL_MAX;
    LLVMValueRef inside, column = window_tap(kn, &s->columns, s->x, cuda_int(kn, kx), &inside);
    inside = cuda_and(kn, row_inside, inside);
    LLVMValueRef pixel = emit_add(e, emit_mul(e, row, kn->k->in.w), column);
    LLVMValueRef p = cuda_map_at(kn, KERNEL_ARG_IN, s->in, emit_mul(e, pixel, kn->in_pixel));
    double none = max ? -__builtin_inf() : 0;
    LLVMValueRef v = cuda_map_load_if(kn, KERNEL_ARG_IN, e->vec, inside, p, s->in, none);
    s->acc[0] = max ? emit_fmax(e, v, s->acc[0]) : emit_fadd(e, s->acc[0], v);
    LLVMValueRef one = inside ? LLVMBuildZExt(e->b, inside, e->i32, "") : cuda_int(kn, 1);
    s->acc[1] = emit_add(e, s->acc[1], one);
}

static void window_row(Pool *s, LLVMValueRef ky)
{
    LLVMValueRef inside, row = window_tap(s->kn, &s->rows, s->y, ky, &inside);
    for (int64_t kx = 0; kx < s->kn->k->kw; kx++)
        tap(s, row, inside, kx);
}

/* 1 / the number of cells the mean is taken over: those in the map, or those in the padded map. */
static LLVMValueRef share(const Pool *s)
{
    Emit *e = s->e;
    const Kernel *k = s->kn->k;
    LLVMValueRef cells = s->acc[1];
    if (k->pool == POOL_AVG_INCLUDE_PAD) {
        LLVMValueRef below = emit_sub(e, cuda_int(s->kn, k->in.h + k->pb), s->y);
        LLVMValueRef right = emit_sub(e, cuda_int(s->kn, k->in.w + k->pr), s->x);
        cells = LLVMBuildMul(e->b, emit_imin(e, below, cuda_int(s->kn, k->kh)),
                             emit_imin(e, right, cuda_int(s->kn, k->kw)), "");
    }
    return emit_splat(e, emit_fdiv(e, emit_real(e->f32, 1), emit_to_float(e, cells)));
}

static void windowed(Pool *s)
{
    CudaKern *kn = s->kn;
    Emit *e = s->e;
    const Kernel *k = kn->k;
    s->y = window_start(kn, &s->rows, s->y);
    s->x = window_start(kn, &s->columns, s->x);
    if (k->kh * k->kw <= UNROLL_TAPS) {
        for (int64_t ky = 0; ky < k->kh; ky++)
            window_row(s, cuda_int(kn, ky));
        return;
    }
    Loop l;
    loop_begin(e, &l, cuda_int(kn, 0), cuda_int(kn, k->kh), 1, true, 2, s->acc);
    window_row(s, l.iv);
    loop_end(e, &l, s->acc);
}

/* Cell i of n covers [floor(i * size / n), ceil((i + 1) * size / n)). */
static void adaptive_range(CudaKern *kn, LLVMValueRef i, int64_t size, int64_t n, LLVMValueRef *lo,
                           LLVMValueRef *hi)
{
    Emit *e = kn->e;
    *lo = emit_div(e, emit_mul(e, i, size), n);
    LLVMValueRef past = emit_mul(e, emit_add(e, i, cuda_int(kn, 1)), size);
    *hi = emit_div(e, emit_add(e, past, cuda_int(kn, n - 1)), n);
}

static void adaptive(Pool *s)
{
    CudaKern *kn = s->kn;
    Emit *e = s->e;
    const Kernel *k = kn->k;
    LLVMValueRef y0, y1, x0, x1;
    adaptive_range(kn, s->y, k->in.h, k->out.h, &y0, &y1);
    adaptive_range(kn, s->x, k->in.w, k->out.w, &x0, &x1);
    Loop ly, lx;
    loop_begin(e, &ly, y0, y1, 1, true, 1, s->acc);
    loop_begin(e, &lx, x0, x1, 1, true, 1, s->acc);
    LLVMValueRef pixel = emit_add(e, emit_mul(e, ly.iv, k->in.w), lx.iv);
    LLVMValueRef p = cuda_map_at(kn, KERNEL_ARG_IN, s->in, emit_mul(e, pixel, kn->in_pixel));
    s->acc[0] = emit_fadd(e, s->acc[0], cuda_map_load(kn, KERNEL_ARG_IN, p));
    loop_end(e, &lx, s->acc);
    loop_end(e, &ly, s->acc);
    s->acc[1] = LLVMBuildMul(e->b, emit_sub(e, y1, y0), emit_sub(e, x1, x0), "");
}

bool cuda_pool(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    If guard;
    bool max = k->pool == POOL_MAX;
    Spot at = cuda_spot(kn, cuda_item(kn, &guard), map_blocks(k->out, e->vl));
    Pool s = {.kn = kn, .e = e, .rows = window_rows(k), .columns = window_columns(k)};
    s.y = cuda_split(kn, at.pixel, k->out.w, &s.x);
    s.in = cuda_map_at(kn, KERNEL_ARG_IN, cuda_map_image(kn, KERNEL_ARG_IN, at.image), at.chan);
    s.acc[0] = emit_real(e->vec, max ? -__builtin_inf() : 0);
    s.acc[1] = cuda_int(kn, 0);
    if (k->pool == POOL_ADAPTIVE_AVG)
        adaptive(&s);
    else
        windowed(&s);
    cuda_finish(kn, max ? s.acc[0] : emit_fmul(e, s.acc[0], share(&s)), at);
    if_end(e, &guard);
    return true;
}
