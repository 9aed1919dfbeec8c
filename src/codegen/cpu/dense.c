/* Matrix times vector. Every weight is used once, so the work is streaming them: several output
 * vectors at a time, each with several sums over interleaved inputs to hide the adder's latency. */
#include "codegen/cpu/kern.h"

enum { DENSE_MOST = 32, /* accumulators */ DENSE_AHEAD = 64 /* vectors prefetched ahead */ };

typedef struct Dense {
    Kern *kn;
    Emit *e;
    int64_t inputs; /* floats */
    int sums;       /* per output vector */
    int vectors;    /* output vectors at a time */
    LLVMValueRef v[DENSE_MOST];
} Dense;

/* Inputs i .. i + n of all vectors; x and w point at input i. Input i + s adds to sum s. */
static void inputs(Dense *d, LLVMValueRef x, LLVMValueRef w, int n, bool ahead)
{
    Emit *e = d->e;
    for (int s = 0; s < n; s++) {
        LLVMValueRef xv = emit_load_splat(e, emit_at_const(e, x, s));
        for (int o = 0; o < d->vectors; o++) {
            LLVMValueRef row = emit_at_const(e, w, (o * d->inputs + s) * e->vl);
            if (ahead && s * e->vl % 16 == 0)
                emit_prefetch(e, emit_at_const(e, row, DENSE_AHEAD * e->vl));
            LLVMValueRef *sum = &d->v[o * d->sums + s];
            *sum = emit_fma(e, xv, emit_load(e, e->vec, row), *sum);
        }
    }
}

/* `vectors` output vectors from vector `first` on, the last of `lanes` channels. The order of the
 * additions into an output does not depend on how many vectors go together. */
static void panel(Dense *d, LLVMValueRef first, int lanes)
{
    Emit *e = d->e;
    Kern *kn = d->kn;
    int n = d->vectors * d->sums;
    int64_t whole = d->inputs / d->sums * d->sums;
    LLVMValueRef chan = emit_mul(e, first, e->vl), args[EXPR_MAX_ARGS];
    LLVMValueRef w = emit_at(e, kn->w, emit_mul(e, chan, d->inputs));
    for (int i = 0; i < n; i++)
        d->v[i] = emit_real(e->vec, 0);
    for (int o = 0; kn->k->has_bias && o < d->vectors; o++) {
        LLVMValueRef at = emit_add(e, chan, emit_int(e, o * e->vl));
        d->v[o * d->sums] = emit_load(e, e->vec, emit_at(e, kn->bias, at));
    }
    if (whole) {
        Loop l;
        loop_begin(e, &l, emit_int(e, 0), emit_int(e, whole), d->sums, false, n, d->v);
        LLVMValueRef at = emit_at(e, w, emit_mul(e, l.iv, e->vl));
        inputs(d, emit_at(e, kn->in, l.iv), at, d->sums, true);
        loop_end(e, &l, d->v);
    }
    inputs(d, emit_at_const(e, kn->in, whole), emit_at_const(e, w, whole * e->vl),
           (int)(d->inputs - whole), false);
    for (int o = 0; o < d->vectors; o++) {
        LLVMValueRef *s = d->v + o * d->sums, at = emit_add(e, chan, emit_int(e, o * e->vl));
        for (int left = d->sums; left > 1; left = (left + 1) / 2)
            for (int i = 0; i < left / 2; i++)
                s[i] = emit_fadd(e, s[i], s[i + (left + 1) / 2]);
        kern_channel_args(kn, at, args);
        kern_store(kn, args, s[0], at, o == d->vectors - 1 ? lanes : e->vl);
    }
}

bool cpu_dense(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    if (k->out.h * k->out.w != 1)
        return emit_fail(e, "dense layers make one value per channel");
    Dense d = {.kn = kn, .e = e, .inputs = map_floats(k->in, e->vl), .vectors = k->tile.ocv};
    d.sums = k->tile.px;
    if (d.sums < 1 || d.vectors < 1 || d.sums * d.vectors > DENSE_MOST)
        return emit_fail(e, "dense tile of %d x %d", d.vectors, d.sums);
    int64_t tiles = family_oc_tiles(k, e->t);
    int part = k->out.layout == LAYOUT_PLANAR ? (int)(k->out.c % e->vl) : 0;
    int last = family_oc_tile_width(k, e->t, tiles - 1);
    bool odd = part || last != k->tile.ocv;
    LLVMValueRef whole = emit_int(e, tiles - odd);
    Loop l;
    loop_begin(e, &l, kn->begin, emit_imin(e, kn->end, whole), 1, false, 0, NULL);
    panel(&d, emit_mul(e, l.iv, k->tile.ocv), e->vl);
    loop_end(e, &l, NULL);
    if (odd) {
        d.vectors = last;
        loop_begin(e, &l, emit_imax(e, kn->begin, whole), kn->end, 1, false, 0, NULL);
        panel(&d, emit_int(e, (tiles - 1) * k->tile.ocv), part ? part : e->vl);
        loop_end(e, &l, NULL);
    }
    return true;
}
