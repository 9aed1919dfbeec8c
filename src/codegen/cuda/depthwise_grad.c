/* Gradients of depthwise convolutions: of the filters, [c][kh][kw], of one part of the batch; of
 * the input, gathered. */
#include "codegen/cuda/window.h"

enum { DY = KERNEL_ARG_EXTRA };

/* A block sums one tap of CUDA_SUMMED vectors. */
bool cuda_depthwise_dw(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    Kernel window = *k;
    window.family = FAM_DEPTHWISE;
    window.out = k->dy;
    Axis rows = window_rows(&window), columns = window_columns(&window);
    int64_t pixels = k->dy.h * k->dy.w, blocks = map_blocks(k->dy, e->vl), taps = k->kh * k->kw;
    int64_t groups = (blocks + CUDA_SUMMED - 1) / CUDA_SUMMED;
    int64_t dy_pixel = map_pixel(k->dy, e->vl, k->extra_pixel[0]);
    int64_t floats = k->out.c / (k->slices > 0 ? k->slices : 1);
    LLVMValueRef group, lane, kx, lo, hi, ox, in_y, in_x, sum = emit_real(e->vec, 0);
    LLVMValueRef slice = cuda_split(kn, kn->block, groups, &group);
    LLVMValueRef first = cuda_split(kn, kn->thread, CUDA_SUMMED, &lane);
    LLVMValueRef block = emit_add(e, emit_mul(e, group, CUDA_SUMMED), lane);
    LLVMValueRef there = cuda_inside(kn, block, blocks), ky = cuda_split(kn, kn->row, k->kw, &kx);
    LLVMValueRef chan = emit_mul(e, emit_select(e, there, block, cuda_int(kn, 0)), e->vl);
    Spot s = {.chan = chan};
    cuda_slice(kn, slice, pixels, &lo, &hi);
    Loop l;
    loop_begin(e, &l, emit_add(e, lo, first), hi, kn->launch.threads / CUDA_SUMMED, false, 1, &sum);
    s.image = cuda_split(kn, l.iv, pixels, &s.pixel);
    LLVMValueRef oy = cuda_split(kn, s.pixel, k->dy.w, &ox);
    LLVMValueRef dy = cuda_map_load(kn, DY, cuda_place(kn, DY, dy_pixel, s));
    LLVMValueRef y = window_tap(kn, &rows, window_start(kn, &rows, oy), ky, &in_y);
    LLVMValueRef x = window_tap(kn, &columns, window_start(kn, &columns, ox), kx, &in_x);
    s.pixel = emit_add(e, emit_mul(e, y, k->in.w), x);
    LLVMValueRef p = cuda_place(kn, KERNEL_ARG_IN, kn->in_pixel, s), in = cuda_and(kn, in_y, in_x);
    LLVMValueRef v = cuda_map_load_if(kn, KERNEL_ARG_IN, e->vec, in, p, kn->in, 0);
    sum = emit_fma(e, v, dy, sum);
    loop_end(e, &l, &sum);
    sum = cuda_block_sum(kn, &sum, 1);
    If mine;
    if_begin(e, &mine, cuda_and(kn, there, cuda_inside(kn, kn->thread, CUDA_SUMMED)));
    for (int i = 0; i < e->vl; i++) {
        LLVMValueRef c = emit_add(e, chan, cuda_int(kn, i));
        LLVMValueRef at = emit_add(e, emit_mul(e, c, taps), kn->row);
        at = emit_add(e, at, emit_mul(e, slice, floats));
        If exists;
        if_begin(e, &exists, cuda_inside(kn, c, k->dy.c));
        emit_store(e, emit_lane(e, sum, i), emit_at(e, kn->out, at));
        if_end(e, &exists);
    }
    if_end(e, &mine);
    return true;
}

bool cuda_depthwise_dx(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    If guard;
    Axis rows = window_rows(k), columns = window_columns(k);
    rows.turned = columns.turned = true;
    Spot s = cuda_spot(kn, cuda_item(kn, &guard), map_blocks(k->out, e->vl)), at = s;
    LLVMValueRef x, y = cuda_split(kn, s.pixel, k->out.w, &x), sum = emit_real(e->vec, 0);
    int64_t oc = map_pixel(k->out, e->vl, 0);
    LLVMValueRef start_y = window_start(kn, &rows, y), start_x = window_start(kn, &columns, x);
    LLVMValueRef base = cuda_map_image(kn, KERNEL_ARG_IN, s.image);
    base = cuda_map_at(kn, KERNEL_ARG_IN, base, s.chan);
    Loop l;
    loop_begin(e, &l, cuda_int(kn, 0), cuda_int(kn, k->kh), 1, true, 1, &sum);
    LLVMValueRef in_y, row = window_tap(kn, &rows, start_y, l.iv, &in_y);
    for (int64_t kx = 0; kx < k->kw; kx++) {
        LLVMValueRef in_x, column = window_tap(kn, &columns, start_x, cuda_int(kn, kx), &in_x);
        at.pixel = emit_add(e, emit_mul(e, row, k->in.w), column);
        LLVMValueRef p = cuda_place(kn, KERNEL_ARG_IN, kn->in_pixel, at);
        LLVMValueRef in = cuda_and(kn, in_y, in_x);
        LLVMValueRef v = cuda_map_load_if(kn, KERNEL_ARG_IN, e->vec, in, p, base, 0);
        LLVMValueRef tap = emit_add(e, emit_mul(e, l.iv, k->kw), cuda_int(kn, kx));
        LLVMValueRef w = emit_at(e, kn->w, emit_add(e, emit_mul(e, tap, oc), s.chan));
        sum = emit_fma(e, v, cuda_load(kn, w), sum);
    }
    loop_end(e, &l, &sum);
    cuda_finish(kn, sum, s);
    if_end(e, &guard);
    return true;
}
