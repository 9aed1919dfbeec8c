/* The gradient of a convolution's weights, in their plain order [o][i of the group][kh][kw]. A
 * block makes 64 output by 64 input channels of one tap, a thread 4 by 4 of them; 16 positions at a
 * time go through shared memory. */
#include "codegen/cuda/conv_dw.h"

enum { STEP = 16, THREADS = 256, DY = KERNEL_ARG_EXTRA };

/* Where x is read for the position of dy: valid is NULL or a condition. */
static LLVMValueRef place_x(const ConvDw *c, Spot s, LLVMValueRef chan, LLVMValueRef *valid)
{
    CudaKern *kn = c->kn;
    Emit *e = c->e;
    LLVMValueRef ox, oy = cuda_split(kn, s.pixel, c->k->dy.w, &ox), in_y, in_x;
    LLVMValueRef y = window_tap(kn, &c->rows, window_start(kn, &c->rows, oy), c->ky, &in_y);
    LLVMValueRef x = window_tap(kn, &c->columns, window_start(kn, &c->columns, ox), c->kx, &in_x);
    *valid = cuda_and(kn, in_y, in_x);
    s.pixel = emit_add(e, emit_mul(e, y, c->k->in.w), x);
    s.chan = chan;
    return cuda_place(kn, KERNEL_ARG_IN, kn->in_pixel, s);
}

static LLVMValueRef place_dy(const ConvDw *c, Spot s, LLVMValueRef chan)
{
    s.chan = chan;
    return cuda_place(c->kn, DY, c->dy_pixel, s);
}

static Spot position(const ConvDw *c, LLVMValueRef i)
{
    Spot s = {0};
    s.image = cuda_split(c->kn, i, c->k->dy.h * c->k->dy.w, &s.pixel);
    return s;
}

static LLVMValueRef weight_at(const ConvDw *c, LLVMValueRef o, LLVMValueRef i)
{
    Emit *e = c->e;
    LLVMValueRef at = emit_add(e, emit_mul(e, c->group, c->per_out), o);
    at = emit_add(e, emit_mul(e, at, c->per_in), i);
    at = emit_add(e, emit_mul(e, at, c->taps), c->tap);
    int64_t floats = c->k->out.c / (c->k->slices > 0 ? c->k->slices : 1);
    return emit_at(e, c->kn->out, emit_add(e, at, emit_mul(e, c->slice, floats)));
}

void cuda_dw_open(ConvDw *c, int64_t m, int64_t n)
{
    CudaKern *kn = c->kn;
    Emit *e = c->e;
    LLVMValueRef tile;
    int64_t across = (c->per_in + n - 1) / n, down = (c->per_out + m - 1) / m;
    c->group = cuda_split(kn, kn->row, c->taps, &c->tap);
    c->ky = cuda_split(kn, c->tap, c->k->kw, &c->kx);
    c->slice = cuda_split(kn, kn->block, across * down, &tile);
    c->first_o = emit_mul(e, cuda_split(kn, tile, across, &c->first_i), m);
    c->first_i = emit_mul(e, c->first_i, n);
    cuda_slice(kn, c->slice, c->k->dy.h * c->k->dy.w, &c->lo, &c->hi);
}

void cuda_dw_find(const ConvDw *c, LLVMValueRef i, LLVMValueRef at, DwPlace *dy, DwPlace *x)
{
    CudaKern *kn = c->kn;
    Emit *e = c->e;
    LLVMValueRef there = emit_less(e, i, c->hi), valid;
    Spot s = position(c, emit_select(e, there, i, c->lo));
    LLVMValueRef o = emit_add(e, c->first_o, at), in = emit_add(e, c->first_i, at);
    dy->p = place_dy(c, s, emit_add(e, emit_mul(e, c->group, c->per_out), o));
    dy->valid = cuda_and(kn, there, cuda_inside(kn, o, c->per_out));
    x->p = place_x(c, s, emit_add(e, emit_mul(e, c->group, c->per_in), in), &valid);
    x->valid = cuda_and(kn, cuda_and(kn, valid, there), cuda_inside(kn, in, c->per_in));
}

void cuda_dw_load(const ConvDw *c, LLVMValueRef i, LLVMValueRef column, DwLoad *dy, DwLoad *x)
{
    CudaKern *kn = c->kn;
    Emit *e = c->e;
    DwPlace from_dy, from_x;
    cuda_dw_find(c, i, emit_mul(e, column, e->vl), &from_dy, &from_x);
    LLVMValueRef p = emit_select(e, from_dy.valid, from_dy.p, kn->extra[0]);
    *dy = (DwLoad){cuda_map_load(kn, DY, p), from_dy.valid};
    p = emit_select(e, from_x.valid, from_x.p, kn->in);
    *x = (DwLoad){cuda_map_load(kn, KERNEL_ARG_IN, p), from_x.valid};
}

LLVMValueRef cuda_dw_arrived(const ConvDw *c, const DwLoad *l)
{
    return emit_select(c->e, l->valid, l->v, emit_real(c->e->vec, 0));
}

void cuda_dw_store(const ConvDw *c, LLVMValueRef o, LLVMValueRef i, LLVMValueRef sum)
{
    CudaKern *kn = c->kn;
    If f;
    o = emit_add(c->e, c->first_o, o);
    i = emit_add(c->e, c->first_i, i);
    if_begin(c->e, &f, cuda_and(kn, cuda_inside(kn, o, c->per_out), cuda_inside(kn, i, c->per_in)));
    emit_store(c->e, sum, weight_at(c, o, i));
    if_end(c->e, &f);
}

/* One position and channel vector of both operands to shared memory, per thread. */
static void stage(const ConvDw *c, LLVMValueRef from, LLVMValueRef a, LLVMValueRef b)
{
    CudaKern *kn = c->kn;
    Emit *e = c->e;
    DwLoad dy, x;
    LLVMValueRef column, row = cuda_split(kn, kn->thread, CUDA_DW / 4, &column);
    LLVMValueRef at = emit_add(e, emit_mul(e, row, CUDA_DW), emit_mul(e, column, 4));
    cuda_dw_load(c, emit_add(e, from, row), column, &dy, &x);
    cuda_store(kn, cuda_dw_arrived(c, &dy), emit_at(e, a, at));
    cuda_store(kn, cuda_dw_arrived(c, &x), emit_at(e, b, at));
}

static void store(const ConvDw *c, LLVMValueRef ty, LLVMValueRef tx, const LLVMValueRef *acc)
{
    Emit *e = c->e;
    for (int r = 0; r < 4; r++)
        for (int lane = 0; lane < 4; lane++)
            cuda_dw_store(c, emit_add(e, emit_mul(e, ty, 4), cuda_int(c->kn, r)),
                          emit_add(e, emit_mul(e, tx, 4), cuda_int(c->kn, lane)),
                          emit_lane(e, acc[r], lane));
}

static void tiled(ConvDw *c)
{
    CudaKern *kn = c->kn;
    Emit *e = c->e;
    LLVMValueRef tx, acc[4], a = nvptx_shared(e, 2 * STEP * CUDA_DW);
    LLVMValueRef b = emit_at_const(e, a, STEP * CUDA_DW);
    cuda_dw_open(c, CUDA_DW, CUDA_DW);
    LLVMValueRef ty = cuda_split(kn, kn->thread, CUDA_DW / 4, &tx);
    for (int r = 0; r < 4; r++)
        acc[r] = emit_real(e->vec, 0);
    Loop l, ls;
    loop_begin(e, &l, c->lo, c->hi, STEP, false, 4, acc);
    stage(c, l.iv, a, b);
    nvptx_barrier(e);
    loop_begin(e, &ls, cuda_int(kn, 0), cuda_int(kn, STEP), 4, true, 4, acc);
    for (int i = 0; i < 4; i++) {
        LLVMValueRef line = emit_mul(e, emit_add(e, ls.iv, cuda_int(kn, i)), CUDA_DW);
        LLVMValueRef left = cuda_load(kn, emit_at(e, a, emit_add(e, line, emit_mul(e, ty, 4))));
        LLVMValueRef right = cuda_load(kn, emit_at(e, b, emit_add(e, line, emit_mul(e, tx, 4))));
        for (int r = 0; r < 4; r++)
            acc[r] = emit_fma(e, emit_splat(e, emit_lane(e, left, r)), right, acc[r]);
    }
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
    loop_end(e, &ls, acc);
    nvptx_keep_rolled(e, latch);
    nvptx_barrier(e);
    loop_end(e, &l, acc);
    store(c, ty, tx, acc);
}

/* A thread per weight, of groups that are not whole vectors. */
static void single(ConvDw *c)
{
    CudaKern *kn = c->kn;
    Emit *e = c->e;
    int64_t slices = c->k->slices > 0 ? c->k->slices : 1;
    int64_t blocks = kn->launch.items / slices, all = c->k->dy.c * c->per_in * c->taps;
    LLVMValueRef block, o, i, item, valid, sum = emit_real(e->f32, 0);
    c->slice = cuda_split(kn, kn->block, blocks, &block);
    item = emit_add(e, emit_mul(e, block, kn->launch.threads), kn->thread);
    cuda_slice(kn, c->slice, c->k->dy.h * c->k->dy.w, &c->lo, &c->hi);
    If guard;
    if_begin(e, &guard, cuda_inside(kn, item, all));
    LLVMValueRef rest = cuda_split(kn, item, c->taps, &c->tap);
    c->ky = cuda_split(kn, c->tap, c->k->kw, &c->kx);
    rest = cuda_split(kn, rest, c->per_in, &i);
    c->group = cuda_split(kn, rest, c->per_out, &o);
    LLVMValueRef chan_i = emit_add(e, emit_mul(e, c->group, c->per_in), i);
    Loop l;
    loop_begin(e, &l, c->lo, c->hi, 1, false, 1, &sum);
    Spot s = position(c, l.iv);
    LLVMValueRef p = place_x(c, s, chan_i, &valid);
    LLVMValueRef x = cuda_map_load_if(kn, KERNEL_ARG_IN, e->f32, valid, p, kn->in, 0);
    sum = emit_fma(e, x, cuda_map_load_as(kn, DY, e->f32, place_dy(c, s, rest)), sum);
    loop_end(e, &l, &sum);
    emit_store(e, sum, weight_at(c, o, i));
    if_end(e, &guard);
}

bool cuda_conv_dw(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    Kernel window = *k; /* the forward convolution's */
    window.family = FAM_CONV;
    window.out = k->dy;
    ConvDw c = {.kn = kn, .e = e, .k = k, .rows = window_rows(&window)};
    c.columns = window_columns(&window);
    c.taps = k->kh * k->kw;
    c.per_out = k->dy.c / k->groups;
    c.per_in = k->in.c / k->groups;
    c.dy_pixel = map_pixel(k->dy, e->vl, k->extra_pixel[0]);
    bool units = cuda_on_matrix_units(k);
    if (k->extra_count < 1 || (!units && kn->launch.threads != THREADS))
        return emit_fail(e, "the gradient of weights needs dy");
    if (units)
        return cuda_conv_dw_mma(&c);
    if (cuda_dw_tiled(k, e->t))
        tiled(&c);
    else
        single(&c);
    return true;
}
