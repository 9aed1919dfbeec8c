#include "codegen/cpu/sweep.h"
#include "family/train.h"

/* Adjacent columns of dy that meet the same taps. */
typedef struct Run {
    int64_t first, count;
    uint64_t mask;
} Run;

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void sweep_init(Sweep *s, Kern *kn, int64_t x_pixel, int vectors)
{
    enum { POSITIONS = 256 }; /* summed in registers */
    Emit *e = kn->e;
    *s = (Sweep){.kn = kn, .e = e, .k = *kn->k};
    Kernel *k = &s->k;
    train_conv_rows(kn->k, &k->in, &k->dy);
    s->x_row = k->in.w * x_pixel;
    s->dy_row = k->dy.w * e->vl;
    s->tap_step = k->dw * x_pixel;
    s->x_col = k->sw * x_pixel;
    s->dy_col = e->vl;
    int64_t positions = k->dy.h * k->dy.w;
    s->rows = k->tile.rb > 0 ? min64(k->tile.rb, k->dy.h) : k->dy.h;
    s->by_image = positions == 1;
    s->images = 1;
    if (s->by_image) {
        s->x_col = k->in_step;
        s->dy_col = k->extra_step[0];
        s->images = POSITIONS;
    } else if (s->rows == k->dy.h) {
        int64_t bytes = 4 * e->vl * (positions * vectors + k->in.h * k->in.w);
        s->images = min64(POSITIONS / positions, e->t->l1 / bytes);
        s->images = s->images < 1 ? 1 : s->images;
    }
}

void sweep_parts(const Sweep *s, SweepBody *body, void *ctx)
{
    Emit *e = s->e;
    LLVMValueRef batch = kern_batch(s->kn), zero = emit_int(e, 0), h = emit_int(e, s->k.dy.h);
    Loop ln, lr;
    loop_begin(e, &ln, zero, batch, s->images, true, 0, NULL);
    SweepPart p = {.n0 = ln.iv};
    p.n1 = emit_add(e, ln.iv, emit_int(e, s->images));
    if (s->images > 1)
        p.n1 = emit_imin(e, p.n1, batch);
    loop_begin(e, &lr, zero, h, s->rows, true, 0, NULL);
    p.r0 = lr.iv;
    p.r1 = emit_imin(e, emit_add(e, lr.iv, emit_int(e, s->rows)), h);
    body(ctx, &p);
    loop_end(e, &lr, NULL);
    loop_end(e, &ln, NULL);
}

int sweep_tap_group(int64_t kw, int most, int64_t first)
{
    int64_t groups = (kw + most - 1) / most, base = kw / groups, wide = kw % groups;
    return (int)(base + (first < wide * (base + 1)));
}

static uint64_t column_mask(const Sweep *s, const SweepTaps *t, int64_t column)
{
    uint64_t mask = 0;
    for (int i = 0; i < t->count; i++) {
        int64_t x = column * s->k.sw - s->k.pl + (t->first + i) * s->k.dw;
        if (x >= 0 && x < s->k.in.w)
            mask |= (uint64_t)1 << i;
    }
    return mask;
}

static Run run_from(const Sweep *s, const SweepTaps *t, int64_t column)
{
    Run r = {.first = column, .count = 1, .mask = column_mask(s, t, column)};
    while (column + r.count < s->k.dy.w && column_mask(s, t, column + r.count) == r.mask)
        r.count++;
    return r;
}

typedef struct Inner {
    const Sweep *s;
    int n, unroll;
    SweepStep *step;
    void *ctx;
    LLVMValueRef v[LOOP_MAX_VALUES]; /* accumulators, then x and dy */
} Inner;

/* `times` steps of `pixels` columns each; x and dy move on. */
static void steps(Inner *in, LLVMValueRef times, int pixels, bool runs, uint64_t mask)
{
    Emit *e = in->s->e;
    Loop l;
    loop_begin(e, &l, emit_int(e, 0), times, 1, runs, in->n + 2, in->v);
    LLVMValueRef x = in->v[in->n], dy = in->v[in->n + 1];
    in->step(in->ctx, x, dy, pixels, mask, in->v);
    in->v[in->n] = emit_at_const(e, x, pixels * in->s->x_col);
    in->v[in->n + 1] = emit_at_const(e, dy, pixels * in->s->dy_col);
    loop_end(e, &l, in->v);
}

/* The columns of one row; x points at tap `first` of column 0. */
static void columns(Inner *in, const SweepTaps *t, LLVMValueRef x, LLVMValueRef dy)
{
    const Sweep *s = in->s;
    Emit *e = s->e;
    for (int64_t at = 0; at < s->k.dy.w;) {
        Run r = run_from(s, t, at);
        at += r.count;
        if (!r.mask)
            continue;
        in->v[in->n] = emit_launder(e, emit_at_const(e, x, r.first * s->x_col));
        in->v[in->n + 1] = emit_at_const(e, dy, r.first * s->dy_col);
        int unroll = (int)min64(in->unroll, r.count);
        steps(in, emit_int(e, r.count / unroll), unroll, true, r.mask);
        if (r.count % unroll)
            steps(in, emit_int(e, 1), (int)(r.count % unroll), true, r.mask);
    }
}

/* The same where the columns are the images of the part. */
static void image_columns(Inner *in, const SweepTaps *t, const SweepPart *p, LLVMValueRef x,
                          LLVMValueRef dy)
{
    const Sweep *s = in->s;
    Emit *e = s->e;
    uint64_t mask = column_mask(s, t, 0);
    if (!mask)
        return;
    LLVMValueRef n = emit_sub(e, p->n1, p->n0);
    in->v[in->n] = emit_at(e, x, emit_mul(e, p->n0, s->x_col));
    in->v[in->n + 1] = emit_at(e, dy, emit_mul(e, p->n0, s->dy_col));
    steps(in, emit_div(e, n, in->unroll), in->unroll, false, mask);
    if (in->unroll > 1)
        steps(in, emit_rem(e, n, in->unroll), 1, false, mask);
}

/* Rows of the part whose input row for window row y lies in the map. */
static void row_range(const Sweep *s, const SweepPart *p, LLVMValueRef y, LLVMValueRef *lo,
                      LLVMValueRef *hi, bool *runs)
{
    Emit *e = s->e;
    const Kernel *k = &s->k;
    LLVMValueRef zero = emit_int(e, 0), tap = emit_mul(e, y, k->dh);
    *lo = p->r0;
    *hi = p->r1;
    *runs = true;
    if (k->pt > 0) {
        LLVMValueRef above = emit_sub(e, emit_int(e, k->pt + k->sh - 1), tap);
        *lo = emit_imax(e, *lo, emit_div(e, emit_imax(e, above, zero), k->sh));
        *runs = false;
    }
    if ((k->dy.h - 1) * k->sh - k->pt + (k->kh - 1) * k->dh >= k->in.h) {
        LLVMValueRef left = emit_sub(e, emit_int(e, k->in.h - 1 + k->pt + k->sh), tap);
        *hi = emit_imin(e, *hi, emit_div(e, emit_imax(e, left, zero), k->sh));
        *runs = false;
    }
}

static void sum_rows(Inner *in, const SweepPart *p, const SweepTaps *t, LLVMValueRef x,
                     LLVMValueRef dy)
{
    const Sweep *s = in->s;
    Emit *e = s->e;
    const Kernel *k = &s->k;
    LLVMValueRef lo, hi;
    bool runs;
    row_range(s, p, t->y, &lo, &hi, &runs);
    Loop l;
    loop_begin(e, &l, lo, hi, 1, runs, in->n, in->v);
    LLVMValueRef row = emit_add(e, emit_mul(e, l.iv, k->sh), emit_mul(e, t->y, k->dh));
    row = emit_sub(e, row, emit_int(e, k->pt));
    LLVMValueRef x_row = emit_at(e, x, emit_mul(e, row, s->x_row));
    x_row = emit_at_const(e, x_row, t->first * s->tap_step - k->pl * (s->tap_step / k->dw));
    LLVMValueRef dy_row = emit_at(e, dy, emit_mul(e, l.iv, s->dy_row));
    if (s->by_image)
        image_columns(in, t, p, x_row, dy_row);
    else
        columns(in, t, x_row, dy_row);
    loop_end(e, &l, in->v);
}

void sweep_sum(const Sweep *s, const SweepPart *part, const SweepTaps *taps, LLVMValueRef x,
               LLVMValueRef dy, int n, LLVMValueRef *acc, int unroll, SweepStep *step, void *ctx)
{
    Emit *e = s->e;
    Inner in = {.s = s, .n = n, .unroll = unroll, .step = step, .ctx = ctx};
    for (int i = 0; i < n; i++)
        in.v[i] = acc[i];
    if (s->by_image) {
        sum_rows(&in, part, taps, x, dy);
    } else {
        LLVMValueRef end = s->images > 1 ? part->n1 : NULL, at = part->n0;
        Loop l;
        if (end) {
            loop_begin(e, &l, part->n0, end, 1, true, n, in.v);
            at = l.iv;
        }
        LLVMValueRef xn = emit_at(e, x, emit_mul(e, at, s->k.in_step));
        sum_rows(&in, part, taps, xn, emit_at(e, dy, emit_mul(e, at, s->k.extra_step[0])));
        if (end)
            loop_end(e, &l, in.v);
    }
    for (int i = 0; i < n; i++)
        acc[i] = in.v[i];
}
