/* Layer norm over the channels of each position: mean, then variance, then the result, each in a
 * pass of its own; neighbouring positions go together to hide latencies. */
#include "codegen/cpu/kern.h"

enum { LN_POSITIONS = 4 };

typedef struct Norm {
    Kern *kn;
    Emit *e;
    int64_t pixels, blocks;
    int part; /* channels of the last block when it is not full */
    int n;    /* positions together */
    LLVMValueRef first;
} Norm;

static LLVMValueRef place(Norm *m, LLVMValueRef block, int i)
{
    Emit *e = m->e;
    LLVMValueRef pixel = emit_add(e, emit_mul(e, block, m->pixels), m->first);
    return emit_mul(e, emit_add(e, pixel, emit_int(e, i)), e->vl);
}

static LLVMValueRef load(Norm *m, LLVMValueRef block, int i)
{
    return emit_load(m->e, m->e->vec, emit_at(m->e, m->kn->in, place(m, block, i)));
}

/* One block's share of the sums: of the values (mean NULL) or of squared differences. */
static void add_block(Norm *m, LLVMValueRef block, int lanes, const LLVMValueRef *mean,
                      LLVMValueRef *sum)
{
    Emit *e = m->e;
    for (int i = 0; i < m->n; i++) {
        LLVMValueRef v = load(m, block, i);
        if (mean)
            v = emit_fsub(e, v, mean[i]);
        v = emit_keep(e, v, lanes, 0);
        sum[i] = mean ? emit_fma(e, v, v, sum[i]) : emit_fadd(e, sum[i], v);
    }
}

/* out[i]: the sum over channels divided by their number, scalar. */
static void average(Norm *m, const LLVMValueRef *mean, LLVMValueRef *out)
{
    Emit *e = m->e;
    Loop l;
    int64_t whole = m->blocks - (m->part > 0);
    LLVMValueRef sum[LN_POSITIONS];
    for (int i = 0; i < m->n; i++)
        sum[i] = emit_real(e->vec, 0);
    if (whole) {
        loop_begin(e, &l, emit_int(e, 0), emit_int(e, whole), 1, true, m->n, sum);
        add_block(m, l.iv, e->vl, mean, sum);
        loop_end(e, &l, sum);
    }
    if (m->part)
        add_block(m, emit_int(e, whole), m->part, mean, sum);
    LLVMValueRef share = emit_real(e->f32, 1.0 / (double)m->kn->k->in.c);
    for (int i = 0; i < m->n; i++)
        out[i] = emit_fmul(e, emit_reduce_add(e, sum[i]), share);
}

static void store_block(Norm *m, LLVMValueRef block, int lanes, const LLVMValueRef *mean,
                        const LLVMValueRef *scale)
{
    Emit *e = m->e;
    LLVMValueRef args[EXPR_MAX_ARGS];
    kern_channel_args(m->kn, emit_mul(e, block, e->vl), args);
    for (int i = 0; i < m->n; i++) {
        LLVMValueRef v = emit_fmul(e, emit_fsub(e, load(m, block, i), mean[i]), scale[i]);
        kern_store(m->kn, args, v, place(m, block, i), lanes);
    }
}

static void positions(Norm *m)
{
    Emit *e = m->e;
    Loop l;
    bool planar = m->kn->k->out.layout == LAYOUT_PLANAR;
    LLVMValueRef mean[LN_POSITIONS], scale[LN_POSITIONS], one = emit_real(e->f32, 1);
    average(m, NULL, mean);
    for (int i = 0; i < m->n; i++)
        mean[i] = emit_splat(e, mean[i]);
    average(m, mean, scale);
    for (int i = 0; i < m->n; i++) {
        LLVMValueRef var = emit_fadd(e, scale[i], emit_real(e->f32, m->kn->k->eps));
        scale[i] = emit_splat(e, emit_fdiv(e, one, emit_sqrt(e, var)));
    }
    int64_t whole = m->blocks - (planar && m->part);
    loop_begin(e, &l, emit_int(e, 0), emit_int(e, whole), 1, false, 0, NULL);
    store_block(m, l.iv, e->vl, mean, scale);
    loop_end(e, &l, NULL);
    if (whole < m->blocks)
        store_block(m, emit_int(e, whole), m->part, mean, scale);
}

bool cpu_ln(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    if (k->in.layout != LAYOUT_BLOCKED || !kern_vectors_out(k))
        return emit_fail(e, "layer norm works on blocked maps");
    Norm m = {.kn = kn, .e = e, .pixels = k->in.h * k->in.w, .blocks = map_blocks(k->in, e->vl)};
    m.part = (int)(k->in.c % e->vl);
    LLVMValueRef lo, hi;
    kern_positions(kn, &lo, &hi);
    LLVMValueRef n = emit_imax(e, emit_sub(e, hi, lo), emit_int(e, 0));
    LLVMValueRef split = emit_sub(e, hi, emit_rem(e, n, LN_POSITIONS));
    for (int together = LN_POSITIONS; together; together = together > 1 ? 1 : 0) {
        bool many = together > 1;
        Loop l;
        loop_begin(e, &l, many ? lo : split, many ? split : hi, together, false, 0, NULL);
        m.n = together;
        m.first = l.iv;
        positions(&m);
        loop_end(e, &l, NULL);
    }
    return true;
}
