/* Gradient of one filter per channel: lanes are channels. A row of the window at a time; `px`
 * columns of dy have sums of their own, so that no addition waits for the one before it. */
#include "codegen/cpu/sweep.h"
#include "family/train.h"

typedef struct Step {
    const Sweep *s;
    int taps;
} Step;

/* Each value of x is loaded once and meets every column and tap it belongs to. */
static void pixels(void *ctx, LLVMValueRef x, LLVMValueRef dy, int count, uint64_t mask,
                   LLVMValueRef *acc)
{
    const Step *s = ctx;
    Emit *e = s->s->e;
    LLVMValueRef held[16] = {NULL};
    for (int p = 0; p < count; p++)
        held[p] = emit_load(e, e->vec, emit_at_const(e, dy, p * s->s->dy_col));
    bool done[LOOP_MAX_VALUES] = {false};
    for (int i = 0; i < count * s->taps; i++) {
        int64_t at = i / s->taps * s->s->x_col + i % s->taps * s->s->tap_step;
        LLVMValueRef v = NULL;
        for (int j = i; j < count * s->taps; j++) {
            int p = j / s->taps, tap = j % s->taps;
            if (done[j] || p * s->s->x_col + tap * s->s->tap_step != at)
                continue;
            done[j] = true;
            if (!(mask >> tap & 1))
                continue;
            if (!v)
                v = emit_load(e, e->vec, emit_at_const(e, x, at));
            acc[j] = emit_fma(e, v, held[p], acc[j]);
        }
    }
}

typedef struct Unit {
    Kern *kn;
    Sweep s;
    LLVMValueRef x, dy;
    LLVMValueRef row, rows; /* window rows: the first, and how many */
} Unit;

static void part(void *ctx, const SweepPart *p)
{
    const Unit *u = ctx;
    const Kernel *k = u->kn->k;
    Emit *e = u->kn->e;
    int most = train_conv_taps(k, e->t), px = k->tile.px;
    Loop l;
    loop_begin(e, &l, emit_int(e, 0), u->rows, 1, true, 0, NULL);
    SweepTaps taps = {.y = emit_add(e, u->row, l.iv)};
    LLVMValueRef sums = emit_at(e, u->kn->scratch, emit_mul(e, l.iv, k->kw * e->vl));
    for (; taps.first < k->kw; taps.first += taps.count) {
        taps.count = sweep_tap_group(k->kw, most, taps.first);
        Step s = {.s = &u->s, .taps = taps.count};
        LLVMValueRef acc[LOOP_MAX_VALUES];
        for (int i = 0; i < px * taps.count; i++)
            acc[i] = emit_real(e->vec, 0);
        sweep_sum(&u->s, p, &taps, u->x, u->dy, px * taps.count, acc, px, pixels, &s);
        for (int i = 0; i < taps.count; i++) {
            LLVMValueRef at = emit_at_const(e, sums, (taps.first + i) * e->vl), sum = acc[i];
            for (int q = 1; q < px; q++)
                sum = emit_fadd(e, sum, acc[q * taps.count + i]);
            emit_store(e, emit_fadd(e, emit_load(e, e->vec, at), sum), at);
        }
    }
    loop_end(e, &l, NULL);
}

/* [window row][column][lane] to [channel][window row][column]. */
static void store(const Unit *u, LLVMValueRef block)
{
    Emit *e = u->kn->e;
    const Kernel *k = u->kn->k;
    LLVMValueRef chan = emit_mul(e, block, e->vl);
    LLVMValueRef left = emit_sub(e, emit_int(e, k->dy.c), chan);
    Loop ll, lt;
    loop_begin(e, &ll, emit_int(e, 0), emit_imin(e, left, emit_int(e, e->vl)), 1, true, 0, NULL);
    LLVMValueRef from = emit_at(e, u->kn->scratch, ll.iv);
    LLVMValueRef at = emit_mul(e, emit_add(e, chan, ll.iv), k->kh * k->kw);
    LLVMValueRef to = emit_at(e, u->kn->out, emit_add(e, at, emit_mul(e, u->row, k->kw)));
    loop_begin(e, &lt, emit_int(e, 0), emit_mul(e, u->rows, k->kw), 1, true, 0, NULL);
    LLVMValueRef v = emit_load(e, e->f32, emit_at(e, from, emit_mul(e, lt.iv, e->vl)));
    emit_store(e, v, emit_at(e, to, lt.iv));
    loop_end(e, &lt, NULL);
    loop_end(e, &ll, NULL);
}

bool cpu_depthwise_dw(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    bool ours = k->in.layout == LAYOUT_BLOCKED && k->dy.layout == LAYOUT_BLOCKED &&
                k->in.c == k->dy.c && k->extra_count >= 1 && k->root.v == 0;
    if (!ours)
        return emit_fail(e, "gradients of depthwise weights are made of blocked maps");
    if (k->tile.px < 1 || k->tile.px > 16 || k->tile.dw_rows < 1 ||
        k->tile.px * train_conv_taps(k, e->t) + 2 > LOOP_MAX_VALUES)
        return emit_fail(e, "depthwise tile of %d columns", k->tile.px);
    Unit u = {.kn = kn};
    sweep_init(&u.s, kn, e->vl, 1);
    int64_t rows = k->tile.dw_rows, parts = (k->kh + rows - 1) / rows;
    Loop l, lz;
    loop_begin(e, &l, kn->begin, kn->end, 1, false, 0, NULL);
    LLVMValueRef block = emit_div(e, l.iv, parts);
    u.row = emit_mul(e, emit_rem(e, l.iv, parts), rows);
    u.rows = emit_imin(e, emit_int(e, rows), emit_sub(e, emit_int(e, k->kh), u.row));
    u.x = emit_at(e, kn->in, emit_mul(e, block, k->in.h * k->in.w * e->vl));
    u.dy = emit_at(e, kn->extra[0], emit_mul(e, block, k->dy.h * k->dy.w * e->vl));
    loop_count(e, &lz, rows * k->kw);
    emit_store(e, emit_real(e->vec, 0), emit_at(e, kn->scratch, emit_mul(e, lz.iv, e->vl)));
    loop_end(e, &lz, NULL);
    sweep_parts(&u.s, part, &u);
    store(&u, block);
    loop_end(e, &l, NULL);
    return true;
}
