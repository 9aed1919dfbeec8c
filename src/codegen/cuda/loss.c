/* Losses of one image and their gradients by the logits, in the terms of docs/kernels.md: the
 * largest logits counted apart, so that small losses keep their digits; NaN comes out as NaN. */
#include "codegen/cuda/channels.h"
#include "codegen/llvm/math.h"

typedef struct Loss {
    LLVMValueRef top, count, others, log_sum, all, factor; /* vectors; of cross entropy */
} Loss;

/* Targets lie planar. Smoothed; zero past the last. */
static LLVMValueRef target(Channels *c)
{
    CudaKern *kn = c->kn;
    Emit *e = c->e;
    const Kernel *k = kn->k;
    LLVMValueRef from = cuda_image(kn, kn->extra[0], c->spot.image, k->extra_step[0]);
    LLVMValueRef v = LLVMGetPoison(e->vec);
    for (int i = 0; i < e->vl; i++) {
        LLVMValueRef chan = emit_add(e, c->spot.chan, cuda_int(kn, i)), there = NULL;
        if (k->in.c % e->vl)
            there = cuda_inside(kn, chan, k->in.c);
        LLVMValueRef at = emit_add(e, emit_mul(e, chan, k->in.h * k->in.w), c->spot.pixel);
        v = emit_set_lane(e, v, cuda_load_if(kn, e->f32, there, emit_at(e, from, at), from, 0), i);
    }
    if (k->loss == LOSS_FORM_MSE || k->smoothing == 0)
        return v;
    double classes = k->loss == LOSS_FORM_CE ? (double)k->in.c : 2;
    LLVMValueRef even = emit_real(e->vec, k->smoothing / classes);
    v = emit_fma(e, v, emit_real(e->vec, 1 - k->smoothing), even);
    return cuda_keep(kn, v, c->spot.chan, k->in.c, 0);
}

static LLVMValueRef exp_or_nan(Emit *e, LLVMValueRef x)
{
    LLVMValueRef nan = LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, "");
    return emit_select(e, nan, x, math_exp(e, x));
}

static LLVMValueRef is_top(Channels *c, LLVMValueRef z, const Loss *m)
{
    return LLVMBuildFCmp(c->e->b, LLVMRealOEQ, z, m->top, "");
}

static LLVMValueRef top_term(Channels *c, LLVMValueRef z, const void *m)
{
    LLVMTypeRef type = c->e->vec;
    return emit_select(c->e, is_top(c, z, m), emit_real(type, 1), emit_real(type, 0));
}

static LLVMValueRef other_term(Channels *c, LLVMValueRef z, const void *ctx)
{
    const Loss *m = ctx;
    LLVMValueRef power = exp_or_nan(c->e, emit_fsub(c->e, z, m->top));
    return emit_select(c->e, is_top(c, z, m), emit_real(c->e->vec, 0), power);
}

static LLVMValueRef target_term(Channels *c, LLVMValueRef z, const void *m)
{
    (void)z;
    (void)m;
    return target(c);
}

static LLVMValueRef summed(Channels *c, ChannelsValue *term, const Loss *m)
{
    return emit_splat(c->e, channels_sum(c, term, m));
}

/* Of a position, for cross entropy. */
static void position_sums(Channels *c, Loss *m)
{
    Emit *e = c->e;
    m->top = emit_splat(e, channels_max(c));
    m->count = summed(c, top_term, m);
    m->others = summed(c, other_term, m);
    LLVMValueRef sum = emit_fadd(e, m->count, m->others);
    LLVMValueRef lost = emit_fsub(e, m->others, emit_fsub(e, sum, m->count));
    m->log_sum = emit_fadd(e, math_log(e, sum), emit_fdiv(e, lost, sum));
}

static LLVMValueRef ce_term(Channels *c, LLVMValueRef z, const void *ctx)
{
    const Loss *m = ctx;
    Emit *e = c->e;
    return emit_fmul(e, target(c), emit_fadd(e, emit_fsub(e, m->top, z), m->log_sum));
}

/* max(z, 0) - z t + log(1 + e^-|z|). */
static LLVMValueRef bce_term(Channels *c, LLVMValueRef z, const void *m)
{
    (void)m;
    Emit *e = c->e;
    LLVMValueRef minus = LLVMBuildFNeg(e->b, z, ""), zero = emit_real(e->vec, 0);
    LLVMValueRef line = emit_fma(e, minus, target(c), emit_fmax(e, z, zero));
    return emit_fadd(e, line, math_log1p(e, exp_or_nan(e, emit_fmin(e, minus, z))));
}

static LLVMValueRef mse_term(Channels *c, LLVMValueRef z, const void *m)
{
    (void)m;
    LLVMValueRef d = emit_fsub(c->e, z, target(c));
    return emit_fmul(c->e, d, d);
}

/* Values the mean is taken over. */
static double loss_count(const Kernel *k)
{
    double positions = (double)(k->in.h * k->in.w);
    return k->loss == LOSS_FORM_CE ? positions : positions * (double)k->in.c;
}

static bool has_operands(const Kernel *k)
{
    return k->extra_count > 0 && k->in.layout == LAYOUT_CHANNELS;
}

/* A warp for an image. */
bool cuda_loss(CudaKern *kn)
{
    static ChannelsValue *const term[] = {
        [LOSS_FORM_CE] = ce_term, [LOSS_FORM_BCE] = bce_term, [LOSS_FORM_MSE] = mse_term};
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    Channels c = {0};
    Loss m = {0};
    Loop l;
    if (!has_operands(k))
        return emit_fail(e, "a loss needs targets, and logits in a map of channels");
    LLVMValueRef total[2], share = emit_real(e->f32, k->weight / loss_count(k));
    cuda_total_clear(e->f32, 1, total);
    loop_begin(e, &l, cuda_int(kn, 0), cuda_int(kn, k->in.h * k->in.w), 1, true, 2, total);
    channels_at(&c, kn, kn->block, l.iv);
    if (k->loss == LOSS_FORM_CE)
        position_sums(&c, &m);
    cuda_total_add(kn, total, 0, channels_sum(&c, term[k->loss], &m));
    loop_end(e, &l, total);
    If first;
    if_begin(e, &first, cuda_inside(kn, kn->thread, 1));
    LLVMValueRef to = cuda_image(kn, kn->out, kn->block, k->out_step);
    emit_store(e, emit_fmul(e, cuda_total(kn, total, 0), share), to);
    if_end(e, &first);
    return true;
}

/* With s the sum of the powers and T that of the targets: (T e^(z - top) - t s) / s, in an order
 * that loses nothing where both products are nearly the same. */
static LLVMValueRef ce_slope(Channels *c, LLVMValueRef z, const Loss *m)
{
    Emit *e = c->e;
    LLVMValueRef t = LLVMBuildFNeg(e->b, target(c), "");
    LLVMValueRef power = exp_or_nan(e, emit_fsub(e, z, m->top));
    LLVMValueRef v = emit_fma(e, m->all, power, emit_fmul(e, t, m->count));
    v = emit_fma(e, t, m->others, v);
    return emit_fdiv(e, v, emit_fadd(e, m->count, m->others));
}

/* (1 - t) sigmoid(z) - t sigmoid(-z). */
static LLVMValueRef bce_slope(Channels *c, LLVMValueRef z)
{
    Emit *e = c->e;
    LLVMValueRef t = target(c), one = emit_real(e->vec, 1), minus = LLVMBuildFNeg(e->b, z, "");
    LLVMValueRef power = exp_or_nan(e, emit_fmin(e, minus, z));
    LLVMValueRef large = emit_fdiv(e, one, emit_fadd(e, one, power));
    LLVMValueRef small = emit_fmul(e, power, large);
    LLVMValueRef up = LLVMBuildFCmp(e->b, LLVMRealOGT, z, emit_real(e->vec, 0), "");
    LLVMValueRef yes = emit_select(e, up, large, small), no = emit_select(e, up, small, large);
    return emit_fsub(e, emit_fmul(e, emit_fsub(e, one, t), yes), emit_fmul(e, t, no));
}

static LLVMValueRef slope(Channels *c, LLVMValueRef z, const void *ctx)
{
    const Loss *m = ctx;
    LossForm form = c->kn->k->loss;
    LLVMValueRef v = form == LOSS_FORM_CE    ? ce_slope(c, z, m)
                     : form == LOSS_FORM_BCE ? bce_slope(c, z)
                                             : emit_fsub(c->e, z, target(c));
    v = emit_fmul(c->e, m->factor, v);
    return cuda_keep(c->kn, v, c->spot.chan, c->kn->k->in.c, 0);
}

bool cuda_loss_dx(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    Channels c;
    Loss m = {0};
    if (!has_operands(k))
        return emit_fail(e, "a loss needs targets, and logits in a map of channels");
    double weight = k->loss == LOSS_FORM_MSE ? 2 * k->weight : k->weight;
    LLVMValueRef share = emit_real(e->f32, weight / loss_count(k));
    m.factor = emit_splat(e, emit_fdiv(e, share, emit_to_float(e, kn->batch)));
    channels_open(&c, kn);
    if (k->loss == LOSS_FORM_CE) {
        position_sums(&c, &m);
        m.all = summed(&c, target_term, &m);
    }
    channels_store(&c, slope, &m);
    channels_close(&c);
    return true;
}
