#include "codegen/cuda/patch.h"

void patches_open(Patches *p, CudaKern *kn, LLVMValueRef group, int width)
{
    const Kernel *k = kn->k;
    *p = (Patches){.kn = kn, .rows = window_rows(k), .columns = window_columns(k), .group = group};
    p->width = width;
    p->per_tap = cuda_weight_rows(k, kn->e->t) / width;
    p->all = p->per_tap * k->kh * k->kw;
    p->total = emit_mul(kn->e, kn->batch, k->out.h * k->out.w);
}

Spot patches_spot(const Patches *p, LLVMValueRef i)
{
    const Kernel *k = p->kn->k;
    Spot s = {0};
    s.image = cuda_split(p->kn, i, k->out.h * k->out.w, &s.pixel);
    return s;
}

PatchRow patches_row(const Patches *p, LLVMValueRef i)
{
    CudaKern *kn = p->kn;
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    PatchRow r = {0};
    LLVMValueRef there = emit_less(e, i, p->total);
    Spot s = patches_spot(p, emit_select(e, there, i, cuda_int(kn, 0)));
    LLVMValueRef x, y = cuda_split(kn, s.pixel, k->out.w, &x);
    LLVMValueRef from = emit_mul(e, p->group, p->per_tap * p->width);
    r.y = window_start(kn, &p->rows, y);
    r.x = window_start(kn, &p->columns, x);
    r.in = cuda_map_at(kn, KERNEL_ARG_IN, cuda_map_image(kn, KERNEL_ARG_IN, s.image), from);
    if (k->family != FAM_CONVT) {
        LLVMValueRef pixel = emit_add(e, emit_mul(e, r.y, k->in.w), r.x);
        r.in = cuda_map_at(kn, KERNEL_ARG_IN, r.in, emit_mul(e, pixel, kn->in_pixel));
    }
    if (k->gate_arg >= 0) {
        LLVMValueRef gate = kn->extra[k->gate_arg];
        gate = cuda_image(kn, gate, s.image, k->extra_step[k->gate_arg]);
        r.gate = emit_at(e, gate, from);
    }
    return r;
}

PatchTap patches_tap(const Patches *p, LLVMValueRef vector)
{
    CudaKern *kn = p->kn;
    PatchTap t;
    LLVMValueRef rest, tap = cuda_split(kn, vector, p->per_tap, &rest);
    if (kn->k->kh * kn->k->kw == 1) {
        tap = cuda_int(kn, 0);
        rest = vector;
    }
    t.y = cuda_split(kn, tap, kn->k->kw, &t.x);
    t.chan = emit_mul(kn->e, rest, p->width);
    return t;
}

LLVMValueRef patches_at(const Patches *p, const PatchRow *r, const PatchTap *t,
                        LLVMValueRef *inside)
{
    CudaKern *kn = p->kn;
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef in_y, in_x, y, x, at;
    y = window_tap(kn, &p->rows, r->y, t->y, &in_y);
    x = window_tap(kn, &p->columns, r->x, t->x, &in_x);
    if (k->family == FAM_CONVT) {
        at = emit_add(e, emit_mul(e, y, k->in.w), x);
    } else { /* the same for every row */
        at = emit_add(e, emit_mul(e, t->y, k->dh * k->in.w), emit_mul(e, t->x, k->dw));
    }
    at = emit_add(e, emit_mul(e, at, kn->in_pixel), t->chan);
    *inside = cuda_and(kn, in_y, in_x);
    return cuda_map_at(kn, KERNEL_ARG_IN, r->in, at);
}

PatchLoad patch_load(const CudaKern *kn, LLVMValueRef valid, LLVMValueRef p, LLVMValueRef base)
{
    if (valid)
        p = emit_select(kn->e, valid, p, base);
    return (PatchLoad){.v = cuda_load(kn, p), .valid = valid};
}

PatchLoad patches_load(const Patches *p, const PatchRow *r, const PatchTap *t, LLVMValueRef among)
{
    CudaKern *kn = p->kn;
    Emit *e = kn->e;
    LLVMValueRef inside, at = patches_at(p, r, t, &inside);
    inside = cuda_and(kn, among, inside);
    if (inside)
        at = emit_select(e, inside, at, kn->in);
    PatchLoad l = {.v = cuda_map_load(kn, KERNEL_ARG_IN, at), .valid = inside};
    if (r->gate)
        l.gate =
            emit_at(e, r->gate, among ? emit_select(e, inside, t->chan, cuda_int(kn, 0)) : t->chan);
    return l;
}

LLVMValueRef patch_arrived(const CudaKern *kn, const PatchLoad *l)
{
    Emit *e = kn->e;
    LLVMValueRef v = l->v;
    if (l->gate)
        v = emit_fmul(e, v, cuda_load(kn, l->gate));
    return l->valid ? emit_select(e, l->valid, v, emit_real(e->vec, 0)) : v;
}
