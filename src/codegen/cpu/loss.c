/* Losses of one image and their gradients by the logits z: cross entropy over the channels of each
 * position with targets that are probabilities, binary cross entropy and squared difference of
 * every value. Targets of cross entropies are smoothed (Szegedy et al. 2016, section 7). Written so
 * that small results keep their digits, and so that a NaN among the logits comes out as NaN, which
 * math_exp would not do by itself. */
#include "codegen/cpu/kern.h"
#include "codegen/llvm/math.h"

/* What is summed before it is added to a larger sum: positions; blocks of channels, whose powers
 * are much the same before training, so that every rounding goes the same way. */
enum { LOSS_ROW = 256, LOSS_BLOCKS = 16 };

typedef struct Loss {
    Kern *kn;
    Emit *e;
    int64_t pixels, blocks, whole;
    int part; /* channels of the last block when it is not full */
    LLVMValueRef pixel, factor;
    /* Cross entropy, of one position, vectors: the largest logit, how many have it, the sum of
     * e^(z - top) over the others, log of the whole sum, sum of the targets. */
    LLVMValueRef top, count, others, log_sum, all;
} Loss;

/* Something of the channels of a block, of which `lanes` exist. */
typedef LLVMValueRef LossTerm(Loss *m, LLVMValueRef block, int lanes);

static LLVMValueRef load_z(Loss *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    if (m->kn->k->in.layout == LAYOUT_PLANAR)
        return emit_load_part(e, emit_at(e, m->kn->in, emit_mul(e, block, e->vl)), lanes);
    LLVMValueRef pixel = emit_add(e, emit_mul(e, block, m->pixels), m->pixel);
    return emit_load(e, e->vec, emit_at(e, m->kn->in, emit_mul(e, pixel, e->vl)));
}

/* Targets lie planar: the channels of a position are a plane apart. Smoothed; zero past the last.
 */
static LLVMValueRef load_target(Loss *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    const Kernel *k = m->kn->k;
    LLVMValueRef from = m->kn->extra[0], first = emit_mul(e, block, e->vl);
    LLVMValueRef v = emit_real(e->vec, 0);
    if (m->pixels == 1) {
        v = emit_load_part(e, emit_at(e, from, first), lanes);
    } else {
        from = emit_at(e, from, emit_add(e, emit_mul(e, first, m->pixels), m->pixel));
        for (int i = 0; i < lanes; i++) {
            LLVMValueRef at = emit_at_const(e, from, i * m->pixels);
            v = emit_set_lane(e, v, emit_load(e, e->f32, at), i);
        }
    }
    if (k->loss == LOSS_FORM_MSE || k->smoothing == 0)
        return v;
    double classes = k->loss == LOSS_FORM_CE ? (double)k->in.c : 2;
    LLVMValueRef even = emit_real(e->vec, k->smoothing / classes);
    return emit_keep(e, emit_fma(e, v, emit_real(e->vec, 1 - k->smoothing), even), lanes, 0);
}

static LLVMValueRef exp_or_nan(Emit *e, LLVMValueRef x)
{
    LLVMValueRef nan = LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, "");
    return emit_select(e, nan, x, math_exp(e, x));
}

/* The sum of a term over the channels of a position, lane by lane. */
static LLVMValueRef over_channels(Loss *m, LossTerm *term)
{
    Emit *e = m->e;
    LLVMValueRef sum = emit_real(e->vec, 0), end = emit_int(e, m->whole);
    if (m->whole) {
        Loop lr, l;
        loop_begin(e, &lr, emit_int(e, 0), end, LOSS_BLOCKS, true, 1, &sum);
        LLVMValueRef row = emit_real(e->vec, 0), past = emit_int(e, LOSS_BLOCKS);
        past = emit_imin(e, emit_add(e, lr.iv, past), end);
        loop_begin(e, &l, lr.iv, past, 1, true, 1, &row);
        row = emit_fadd(e, row, term(m, l.iv, e->vl));
        loop_end(e, &l, &row);
        sum = emit_fadd(e, sum, row);
        loop_end(e, &lr, &sum);
    }
    if (m->part) {
        LLVMValueRef v = term(m, emit_int(e, m->whole), m->part);
        sum = emit_fadd(e, sum, emit_keep(e, v, m->part, 0));
    }
    return sum;
}

static LLVMValueRef largest(Loss *m)
{
    Emit *e = m->e;
    LLVMValueRef top = emit_real(e->vec, -__builtin_inf());
    Loop l;
    loop_begin(e, &l, emit_int(e, 0), emit_int(e, m->whole), 1, false, 1, &top);
    top = emit_fmax(e, load_z(m, l.iv, e->vl), top);
    loop_end(e, &l, &top);
    if (m->part) {
        LLVMValueRef z = load_z(m, emit_int(e, m->whole), m->part);
        top = emit_fmax(e, emit_keep(e, z, m->part, -__builtin_inf()), top);
    }
    return emit_splat(e, emit_reduce_max(e, top));
}

static LLVMValueRef is_top(Loss *m, LLVMValueRef z)
{
    return LLVMBuildFCmp(m->e->b, LLVMRealOEQ, z, m->top, "");
}

static LLVMValueRef top_term(Loss *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    LLVMValueRef one = emit_real(e->vec, 1), zero = emit_real(e->vec, 0);
    return emit_select(e, is_top(m, load_z(m, block, lanes)), one, zero);
}

static LLVMValueRef other_term(Loss *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    LLVMValueRef z = load_z(m, block, lanes);
    LLVMValueRef power = exp_or_nan(e, emit_fsub(e, z, m->top));
    return emit_select(e, is_top(m, z), emit_real(e->vec, 0), power);
}

static LLVMValueRef summed(Loss *m, LossTerm *term)
{
    return emit_splat(m->e, emit_reduce_add(m->e, over_channels(m, term)));
}

/* The largest logits are counted apart: where one is far above the others the sum is 1 and what
 * was rounded off of it is the loss. */
static void position_sums(Loss *m)
{
    Emit *e = m->e;
    m->top = largest(m);
    m->count = summed(m, top_term);
    m->others = summed(m, other_term);
    LLVMValueRef sum = emit_fadd(e, m->count, m->others);
    LLVMValueRef lost = emit_fsub(e, m->others, emit_fsub(e, sum, m->count));
    m->log_sum = emit_fadd(e, math_log(e, sum), emit_fdiv(e, lost, sum));
}

static LLVMValueRef ce_term(Loss *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    LLVMValueRef below = emit_fsub(e, m->top, load_z(m, block, lanes));
    return emit_fmul(e, load_target(m, block, lanes), emit_fadd(e, below, m->log_sum));
}

/* max(z, 0) - z t + log(1 + e^-|z|). */
static LLVMValueRef bce_term(Loss *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    LLVMValueRef z = load_z(m, block, lanes), minus = LLVMBuildFNeg(e->b, z, "");
    LLVMValueRef line =
        emit_fma(e, minus, load_target(m, block, lanes), emit_fmax(e, z, emit_real(e->vec, 0)));
    return emit_fadd(e, line, math_log1p(e, math_exp(e, emit_fmin(e, minus, z))));
}

static LLVMValueRef mse_term(Loss *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    LLVMValueRef d = emit_fsub(e, load_z(m, block, lanes), load_target(m, block, lanes));
    return emit_fmul(e, d, d);
}

static bool loss_open(Kern *kn, Loss *m)
{
    const Kernel *k = kn->k;
    *m = (Loss){.kn = kn, .e = kn->e, .pixels = k->in.h * k->in.w};
    m->blocks = map_blocks(k->in, kn->e->vl);
    m->part = (int)(k->in.c % kn->e->vl);
    m->whole = m->blocks - (m->part > 0);
    return k->extra_count > 0 && (k->in.layout == LAYOUT_BLOCKED || m->pixels == 1);
}

/* Values the mean is taken over. */
static double loss_count(const Kernel *k)
{
    double positions = (double)(k->in.h * k->in.w);
    return k->loss == LOSS_FORM_CE ? positions : positions * (double)k->in.c;
}

bool cpu_loss(Kern *kn)
{
    static LossTerm *const term[] = {
        [LOSS_FORM_CE] = ce_term, [LOSS_FORM_BCE] = bce_term, [LOSS_FORM_MSE] = mse_term};
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    Loss m;
    Loop lu, lr, lp;
    if (!loss_open(kn, &m))
        return emit_fail(e, "a loss needs targets, and logits in a blocked map or a vector");
    LLVMValueRef total = emit_real(e->vec, 0), row, all = emit_int(e, m.pixels);
    loop_begin(e, &lu, kn->begin, kn->end, 1, false, 0, NULL);
    loop_begin(e, &lr, emit_int(e, 0), all, LOSS_ROW, true, 1, &total);
    row = emit_real(e->vec, 0);
    LLVMValueRef end = emit_imin(e, emit_add(e, lr.iv, emit_int(e, LOSS_ROW)), all);
    loop_begin(e, &lp, lr.iv, end, 1, true, 1, &row);
    m.pixel = lp.iv;
    if (k->loss == LOSS_FORM_CE)
        position_sums(&m);
    row = emit_fadd(e, row, over_channels(&m, term[k->loss]));
    loop_end(e, &lp, &row);
    total = emit_fadd(e, total, row);
    loop_end(e, &lr, &total);
    LLVMValueRef share = emit_real(e->f32, k->weight / loss_count(k));
    emit_store(e, emit_fmul(e, emit_reduce_add(e, total), share), kn->out);
    loop_end(e, &lu, NULL);
    return true;
}

static LLVMValueRef target_term(Loss *m, LLVMValueRef block, int lanes)
{
    return load_target(m, block, lanes);
}

/* With s the sum of the powers and T that of the targets: (T e^(z - top) - t s) / s, in an order
 * that loses nothing where both products are nearly the same. */
static LLVMValueRef ce_slope(Loss *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    LLVMValueRef t = LLVMBuildFNeg(e->b, load_target(m, block, lanes), "");
    LLVMValueRef power = exp_or_nan(e, emit_fsub(e, load_z(m, block, lanes), m->top));
    LLVMValueRef v = emit_fma(e, m->all, power, emit_fmul(e, t, m->count));
    v = emit_fma(e, t, m->others, v);
    return emit_fdiv(e, v, emit_fadd(e, m->count, m->others));
}

/* (1 - t) sigmoid(z) - t sigmoid(-z). */
static LLVMValueRef bce_slope(Loss *m, LLVMValueRef block, int lanes)
{
    Emit *e = m->e;
    LLVMValueRef z = load_z(m, block, lanes), t = load_target(m, block, lanes);
    LLVMValueRef one = emit_real(e->vec, 1), minus = LLVMBuildFNeg(e->b, z, "");
    LLVMValueRef power = exp_or_nan(e, emit_fmin(e, minus, z));
    LLVMValueRef large = emit_fdiv(e, one, emit_fadd(e, one, power));
    LLVMValueRef small = emit_fmul(e, power, large);
    LLVMValueRef up = LLVMBuildFCmp(e->b, LLVMRealOGT, z, emit_real(e->vec, 0), "");
    LLVMValueRef yes = emit_select(e, up, large, small), no = emit_select(e, up, small, large);
    return emit_fsub(e, emit_fmul(e, emit_fsub(e, one, t), yes), emit_fmul(e, t, no));
}

static LLVMValueRef mse_slope(Loss *m, LLVMValueRef block, int lanes)
{
    LLVMValueRef t = load_target(m, block, lanes);
    return emit_fsub(m->e, load_z(m, block, lanes), t);
}

static void store_slope(Loss *m, LLVMValueRef block, int lanes)
{
    static LossTerm *const slope[] = {
        [LOSS_FORM_CE] = ce_slope, [LOSS_FORM_BCE] = bce_slope, [LOSS_FORM_MSE] = mse_slope};
    Emit *e = m->e;
    const Kernel *k = m->kn->k;
    LLVMValueRef args[EXPR_MAX_ARGS];
    LLVMValueRef v = emit_fmul(e, m->factor, slope[k->loss](m, block, lanes));
    LLVMValueRef pixel = emit_add(e, emit_mul(e, block, m->pixels), m->pixel);
    kern_channel_args(m->kn, emit_mul(e, block, e->vl), args);
    kern_store(m->kn, args, emit_keep(e, v, lanes, 0), emit_mul(e, pixel, e->vl),
               k->out.layout == LAYOUT_PLANAR ? lanes : e->vl);
}

/* The weight over the batch and the values of an image. */
static LLVMValueRef slope_factor(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    double weight = k->loss == LOSS_FORM_MSE ? 2 * k->weight : k->weight;
    LLVMValueRef share = emit_real(e->f32, weight / loss_count(k));
    return emit_splat(e, emit_fdiv(e, share, emit_to_float(e, kern_batch(kn))));
}

bool cpu_loss_dx(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    Loss m;
    if (!loss_open(kn, &m) || !kern_vectors_out(k))
        return emit_fail(e, "a loss needs targets, and logits in a blocked map or a vector");
    LLVMValueRef lo, hi;
    Loop lp, lb;
    m.factor = slope_factor(kn);
    kern_positions(kn, &lo, &hi);
    loop_begin(e, &lp, lo, hi, 1, false, 0, NULL);
    m.pixel = lp.iv;
    if (k->loss == LOSS_FORM_CE) {
        position_sums(&m);
        m.all = summed(&m, target_term);
    }
    loop_count(e, &lb, m.whole);
    store_slope(&m, lb.iv, e->vl);
    loop_end(e, &lb, NULL);
    if (m.part)
        store_slope(&m, emit_int(e, m.whole), m.part);
    loop_end(e, &lp, NULL);
    return true;
}
