/* Depthwise convolution: a thread makes a few neighbouring columns of one vector of channels; each
 * input vector is loaded once per window row and used for every tap and column it meets. */
#include "codegen/cuda/window.h"

enum { MOST_COLUMNS = 4, UNROLL_TAPS = 9, MOST_TAPS = 64 };

typedef struct Depthwise {
    CudaKern *kn;
    Emit *e;
    Axis rows, columns;
    int px;
    LLVMValueRef in, w; /* of the image and channels */
    LLVMValueRef y, x;  /* where the taps begin */
    LLVMValueRef acc[MOST_COLUMNS];
} Depthwise;

/* One row of the window, for all columns. */
static void window_row(Depthwise *d, LLVMValueRef ky)
{
    CudaKern *kn = d->kn;
    Emit *e = d->e;
    const Kernel *k = kn->k;
    int64_t oc = map_pixel(k->out, e->vl, 0), span = (d->px - 1) * k->sw + (k->kw - 1) * k->dw + 1;
    LLVMValueRef row_inside, row = window_tap(kn, &d->rows, d->y, ky, &row_inside);
    LLVMValueRef w[MOST_TAPS], in = emit_mul(e, row, k->in.w * kn->in_pixel);
    in = cuda_map_at(kn, KERNEL_ARG_IN, d->in, in);
    LLVMValueRef w_row = emit_at(e, d->w, emit_mul(e, ky, k->kw * oc));
    bool leaves = window_leaves(&d->columns) || k->out.w % d->px != 0;
    for (int64_t kx = 0; kx < k->kw; kx++)
        w[kx] = cuda_load(kn, emit_at_const(e, w_row, kx * oc));
    for (int64_t i = 0; i < span; i++) {
        LLVMValueRef v = NULL;
        for (int p = 0; p < d->px; p++) {
            int64_t off = i - p * k->sw;
            if (off < 0 || off % k->dw || off / k->dw >= k->kw)
                continue;
            if (!v) {
                LLVMValueRef x = emit_add(e, d->x, cuda_int(kn, i));
                LLVMValueRef inside = leaves ? cuda_inside(kn, x, k->in.w) : NULL;
                LLVMValueRef at = emit_mul(e, x, kn->in_pixel);
                at = cuda_map_at(kn, KERNEL_ARG_IN, in, at);
                inside = cuda_and(kn, row_inside, inside);
                v = cuda_map_load_if(kn, KERNEL_ARG_IN, e->vec, inside, at, d->in, 0);
            }
            d->acc[p] = emit_fma(e, v, w[off / k->dw], d->acc[p]);
        }
    }
}

static void window(Depthwise *d)
{
    CudaKern *kn = d->kn;
    const Kernel *k = kn->k;
    if (k->kh * k->kw <= UNROLL_TAPS) {
        for (int64_t ky = 0; ky < k->kh; ky++)
            window_row(d, cuda_int(kn, ky));
        return;
    }
    Loop l;
    loop_begin(d->e, &l, cuda_int(kn, 0), cuda_int(kn, k->kh), 1, true, d->px, d->acc);
    window_row(d, l.iv);
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(d->e->b);
    loop_end(d->e, &l, d->acc);
    nvptx_keep_rolled(d->e, latch);
}

bool cuda_depthwise(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int px = k->tile.px;
    if (px < 1 || px > MOST_COLUMNS || k->kw > MOST_TAPS)
        return emit_fail(e, "depthwise convolution of %lld columns", (long long)k->kw);
    If guard;
    LLVMValueRef block, strip, y, item = cuda_item(kn, &guard);
    Spot s;
    LLVMValueRef rest = cuda_split(kn, item, map_blocks(k->out, e->vl), &block);
    rest = cuda_split(kn, rest, (k->out.w + px - 1) / px, &strip);
    s.image = cuda_split(kn, rest, k->out.h, &y);
    s.chan = emit_mul(e, block, e->vl);
    LLVMValueRef x = emit_mul(e, strip, px);
    Depthwise d = {
        .kn = kn,
        .e = e,
        .px = px,
        .rows = window_rows(k),
        .columns = window_columns(k),
        .in = cuda_map_at(kn, KERNEL_ARG_IN, cuda_map_image(kn, KERNEL_ARG_IN, s.image), s.chan),
        .w = emit_at(e, kn->w, s.chan)};
    d.y = window_start(kn, &d.rows, y);
    d.x = window_start(kn, &d.columns, x);
    for (int p = 0; p < px; p++)
        d.acc[p] = cuda_bias(kn, s.chan);
    window(&d);
    for (int p = 0; p < px; p++) {
        LLVMValueRef column = emit_add(e, x, cuda_int(kn, p));
        If there;
        if (k->out.w % px)
            if_begin(e, &there, cuda_inside(kn, column, k->out.w));
        s.pixel = emit_add(e, emit_mul(e, y, k->out.w), column);
        cuda_finish(kn, d.acc[p], s);
        if (k->out.w % px)
            if_end(e, &there);
    }
    if_end(e, &guard);
    return true;
}
