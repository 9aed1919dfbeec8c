/* Convolutions whose groups are too small for tiles: a thread per vector of output channels, or per
 * channel where groups are not whole vectors. */
#include "codegen/cuda/window.h"

enum { UNROLL_INPUTS = 8 };

typedef struct Direct {
    CudaKern *kn;
    Emit *e;
    Axis rows, columns;
    int64_t per_in, oc;
    LLVMTypeRef type;         /* of what a thread makes: a vector or a float */
    LLVMValueRef in, w, gate; /* of the image, group and channel */
    LLVMValueRef y, x;
    LLVMValueRef acc;
} Direct;

/* One input channel of a tap: its value times the weights `at` floats on. */
static void multiply(Direct *d, LLVMValueRef v, LLVMValueRef w)
{
    Emit *e = d->e;
    bool one = d->type == e->f32;
    LLVMValueRef weights = one ? emit_load(e, e->f32, w) : cuda_load(d->kn, w);
    d->acc = emit_fma(e, one ? v : emit_splat(e, v), weights, d->acc);
}

/* Inputs i, ... of a tap: a vector of them, or a single one. */
static void inputs(Direct *d, LLVMValueRef i, LLVMValueRef p, LLVMValueRef inside, LLVMValueRef w)
{
    Emit *e = d->e;
    p = cuda_map_at(d->kn, KERNEL_ARG_IN, p, i);
    LLVMValueRef v = cuda_map_load_if(d->kn, KERNEL_ARG_IN, d->type, inside, p, d->in, 0);
    w = emit_at(e, w, emit_mul(e, i, d->oc));
    if (d->gate) {
        LLVMValueRef at = emit_at(e, d->gate, i);
        v = emit_fmul(e, v, d->type == e->f32 ? emit_load(e, e->f32, at) : cuda_load(d->kn, at));
    }
    if (d->type == e->f32) {
        multiply(d, v, w);
        return;
    }
    for (int lane = 0; lane < e->vl; lane++)
        multiply(d, emit_lane(e, v, lane), emit_at_const(e, w, lane * d->oc));
}

static void tap(Direct *d, LLVMValueRef row, LLVMValueRef row_inside, LLVMValueRef ky, int64_t kx)
{
    CudaKern *kn = d->kn;
    Emit *e = d->e;
    const Kernel *k = kn->k;
    int step = d->type == e->f32 ? 1 : e->vl;
    LLVMValueRef inside, column = window_tap(kn, &d->columns, d->x, cuda_int(kn, kx), &inside);
    inside = cuda_and(kn, row_inside, inside);
    LLVMValueRef pixel = emit_add(e, emit_mul(e, row, k->in.w), column);
    LLVMValueRef p = cuda_map_at(kn, KERNEL_ARG_IN, d->in, emit_mul(e, pixel, kn->in_pixel));
    LLVMValueRef tap_at = emit_add(e, emit_mul(e, ky, k->kw), cuda_int(kn, kx));
    LLVMValueRef w = emit_at(e, d->w, emit_mul(e, tap_at, d->per_in * d->oc));
    if (d->per_in / step <= UNROLL_INPUTS) {
        for (int64_t i = 0; i < d->per_in; i += step)
            inputs(d, cuda_int(kn, i), p, inside, w);
        return;
    }
    Loop l;
    loop_begin(e, &l, cuda_int(kn, 0), cuda_int(kn, d->per_in), step, true, 1, &d->acc);
    inputs(d, l.iv, p, inside, w);
    loop_end(e, &l, &d->acc);
}

static void window(Direct *d)
{
    CudaKern *kn = d->kn;
    Emit *e = d->e;
    Loop l;
    loop_begin(e, &l, cuda_int(kn, 0), cuda_int(kn, kn->k->kh), 1, true, 1, &d->acc);
    LLVMValueRef inside, row = window_tap(kn, &d->rows, d->y, l.iv, &inside);
    for (int64_t kx = 0; kx < kn->k->kw; kx++)
        tap(d, row, inside, l.iv, kx);
    loop_end(e, &l, &d->acc);
}

/* Channels past the last are stored, too: of the last group, with weights of zero. */
static LLVMValueRef group_of(const CudaKern *kn, LLVMValueRef chan)
{
    LLVMValueRef group = emit_div(kn->e, chan, kn->k->out.c / kn->k->groups);
    return emit_imin(kn->e, group, cuda_int(kn, kn->k->groups - 1));
}

static void direct(CudaKern *kn, bool vectors)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    If guard;
    LLVMValueRef item = cuda_item(kn, &guard), y, x;
    Spot s = cuda_spot(kn, item, kn->launch.items / (k->out.h * k->out.w));
    if (!vectors)
        cuda_split(kn, item, kn->launch.items / (k->out.h * k->out.w), &s.chan);
    Direct d = {.kn = kn,
                .e = e,
                .rows = window_rows(k),
                .columns = window_columns(k),
                .per_in = cuda_weight_rows(k, e->t),
                .oc = map_pixel(k->out, e->vl, 0),
                .type = vectors ? e->vec : e->f32};
    LLVMValueRef from = emit_mul(e, group_of(kn, s.chan), d.per_in);
    y = cuda_split(kn, s.pixel, k->out.w, &x);
    d.y = window_start(kn, &d.rows, y);
    d.x = window_start(kn, &d.columns, x);
    d.in = cuda_map_at(kn, KERNEL_ARG_IN, cuda_map_image(kn, KERNEL_ARG_IN, s.image), from);
    d.w = emit_at(e, kn->w, s.chan);
    if (k->gate_arg >= 0)
        d.gate = emit_at(
            e, cuda_image(kn, kn->extra[k->gate_arg], s.image, k->extra_step[k->gate_arg]), from);
    if (vectors)
        d.acc = cuda_bias(kn, s.chan);
    else
        d.acc =
            kn->bias ? emit_load(e, e->f32, emit_at(e, kn->bias, s.chan)) : emit_real(e->f32, 0);
    window(&d);
    if (vectors)
        cuda_finish(kn, d.acc, s);
    else
        cuda_finish_one(kn, d.acc, s);
    if_end(e, &guard);
}

bool cuda_conv(CudaKern *kn)
{
    const Kernel *k = kn->k;
    if (k->in.layout != LAYOUT_CHANNELS || k->out.layout != LAYOUT_CHANNELS)
        return emit_fail(kn->e, "convolutions work on maps of channels");
    if (k->tile.cuda.m > 0)
        return cuda_gemm(kn);
    direct(kn, k->in.c / k->groups % kn->e->vl == 0 && k->out.c / k->groups % kn->e->vl == 0);
    return true;
}
