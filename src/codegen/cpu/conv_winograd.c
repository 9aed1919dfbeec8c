/* Winograd convolution F(4x4, 3x3): a unit is a run of output tiles of 4 x 4. Its input patches of
 * 6 x 6 are transformed into the scratch, position by position; the 36 positions are pointwise
 * convolutions of their own, done by the direct emitter; what they give is transformed back. */
#include "codegen/cpu/conv.h"

enum { PATCH = 6, SIDE = 4, POSITIONS = PATCH * PATCH, LOOSE = 160 };

typedef struct Winograd {
    Kern *kn;
    Emit *e;
    const Kernel *k;
    int64_t vl, run, across, tiles;   /* tiles of a unit, of a row, of the map */
    int64_t icb, ocb, v_step, m_step; /* blocks; floats from position to position */
    LLVMValueRef zeros, stack;
    LLVMValueRef v, m; /* scratch: patches and products, [position][block][tile] */
} Winograd;

static LLVMValueRef times(Emit *e, double by, LLVMValueRef a, LLVMValueRef plus)
{
    return emit_fma(e, a, emit_real(e->vec, by), plus);
}

/* One column or row of a patch. */
static void forward(Emit *e, LLVMValueRef d[PATCH])
{
    LLVMValueRef even = times(e, -4, d[2], d[4]), odd = times(e, -4, d[1], d[3]);
    LLVMValueRef near = emit_fsub(e, d[4], d[2]), far = emit_fsub(e, d[3], d[1]);
    LLVMValueRef first = times(e, 4, d[0], times(e, -5, d[2], d[4]));
    LLVMValueRef last = times(e, 4, d[1], times(e, -5, d[3], d[5]));
    d[0] = first;
    d[1] = emit_fadd(e, even, odd);
    d[2] = emit_fsub(e, even, odd);
    d[3] = times(e, 2, far, near);
    d[4] = times(e, -2, far, near);
    d[5] = last;
}

/* One column or row of products, to the first four of m. */
static void backward(Emit *e, LLVMValueRef m[PATCH])
{
    LLVMValueRef a = emit_fadd(e, m[1], m[2]), b = emit_fsub(e, m[1], m[2]);
    LLVMValueRef c = emit_fadd(e, m[3], m[4]), d = emit_fsub(e, m[3], m[4]);
    m[0] = emit_fadd(e, m[0], emit_fadd(e, a, c));
    m[1] = times(e, 2, d, b);
    m[2] = times(e, 4, c, a);
    m[3] = emit_fadd(e, times(e, 8, d, b), m[5]);
}

static LLVMValueRef slot(Winograd *g, int i)
{
    return emit_at_const(g->e, g->stack, i * g->vl);
}

static LLVMValueRef both(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildAnd(e->b, a, b, "");
}

/* As unsigned numbers, negative ones are large. */
static LLVMValueRef inside(Emit *e, LLVMValueRef i, int64_t size)
{
    return LLVMBuildICmp(e->b, LLVMIntULT, i, emit_int(e, size), "");
}

/* Columns of the patch at (y, x), transformed, to the stack. `whole`: it lies in the map; else
 * what is outside is read from a vector of zeros. */
static void columns(Winograd *g, LLVMValueRef in, LLVMValueRef y, LLVMValueRef x, bool whole)
{
    Emit *e = g->e;
    int64_t w = g->k->in.w;
    LLVMValueRef at = emit_mul(e, emit_add(e, LLVMBuildMul(e->b, y, emit_int(e, w), ""), x), g->vl);
    LLVMValueRef p = emit_at(e, in, at), row[PATCH];
    for (int i = 0; i < PATCH && !whole; i++)
        row[i] = inside(e, emit_add(e, y, emit_int(e, i)), g->k->in.h);
    for (int j = 0; j < PATCH; j++) {
        LLVMValueRef d[PATCH], column = NULL;
        if (!whole)
            column = inside(e, emit_add(e, x, emit_int(e, j)), w);
        for (int i = 0; i < PATCH; i++) {
            LLVMValueRef q = emit_at_const(e, p, (i * w + j) * g->vl);
            if (!whole)
                q = emit_select(e, both(e, row[i], column), q, g->zeros);
            d[i] = emit_load(e, e->vec, q);
        }
        forward(e, d);
        for (int i = 0; i < PATCH; i++)
            emit_store(e, d[i], slot(g, i * PATCH + j));
    }
}

static void position_of(Winograd *g, LLVMValueRef tile, LLVMValueRef *y, LLVMValueRef *x)
{
    *y = emit_mul(g->e, emit_div(g->e, tile, g->across), SIDE);
    *x = emit_mul(g->e, emit_rem(g->e, tile, g->across), SIDE);
}

static void transform_input(Winograd *g, LLVMValueRef first)
{
    Emit *e = g->e;
    const Kernel *k = g->k;
    LLVMValueRef y, x, zero = emit_int(e, -1);
    Loop lb, lt;
    If f;
    loop_count(e, &lb, g->icb);
    LLVMValueRef in = emit_at(e, g->kn->in, emit_mul(e, lb.iv, k->in.h * k->in.w * g->vl));
    loop_count(e, &lt, g->run);
    position_of(g, emit_add(e, first, lt.iv), &y, &x);
    y = emit_sub(e, y, emit_int(e, k->pt));
    x = emit_sub(e, x, emit_int(e, k->pl));
    LLVMValueRef down =
        both(e, emit_less(e, zero, y), emit_less(e, y, emit_int(e, k->in.h - PATCH + 1)));
    LLVMValueRef right =
        both(e, emit_less(e, zero, x), emit_less(e, x, emit_int(e, k->in.w - PATCH + 1)));
    if_begin(e, &f, both(e, down, right));
    columns(g, in, y, x, true);
    if_else(e, &f);
    columns(g, in, y, x, false);
    if_end(e, &f);
    LLVMValueRef at = emit_add(e, emit_mul(e, lb.iv, g->run), lt.iv);
    LLVMValueRef to = emit_at(e, g->v, emit_mul(e, at, g->vl));
    for (int i = 0; i < PATCH; i++) {
        LLVMValueRef d[PATCH];
        for (int j = 0; j < PATCH; j++)
            d[j] = emit_load(e, e->vec, slot(g, i * PATCH + j));
        forward(e, d);
        for (int j = 0; j < PATCH; j++)
            emit_store(e, d[j], emit_at_const(e, to, (i * PATCH + j) * g->v_step));
    }
    loop_end(e, &lt, NULL);
    loop_end(e, &lb, NULL);
}

/* Every position: a pointwise convolution of `run` pixels. */
static void multiply(Winograd *g, LLVMValueRef t0, LLVMValueRef t1)
{
    Emit *e = g->e;
    const Kernel *k = g->k;
    Kernel point = {.family = FAM_CONV,
                    .in = {LAYOUT_BLOCKED, k->in.c, 1, g->run},
                    .out = {LAYOUT_BLOCKED, k->out.c, 1, g->run},
                    .kh = 1,
                    .kw = 1,
                    .sh = 1,
                    .sw = 1,
                    .dh = 1,
                    .dw = 1,
                    .groups = 1,
                    .gate_arg = -1,
                    .tile = k->tile};
    point.tile.winograd = 0;
    point.tile.split_oc = false;
    point.tile.flat = true;
    point.tile.rb = (int)g->run;
    Kern kn = *g->kn;
    kn.k = &point;
    kn.code.n = kn.code.cost = 0;
    Loop l;
    loop_count(e, &l, POSITIONS);
    kn.in = emit_at(e, g->v, emit_mul(e, l.iv, g->v_step));
    kn.out = emit_at(e, g->m, emit_mul(e, l.iv, g->m_step));
    kn.w = emit_at(e, g->kn->w, emit_mul(e, l.iv, g->icb * g->ocb * g->vl * g->vl));
    conv_pointwise(&kn, t0, t1);
    loop_end(e, &l, NULL);
}

/* The 4 x 4 values on the stack to the output, as far as the map goes. */
static void store_tile(Winograd *g, LLVMValueRef block, LLVMValueRef y, LLVMValueRef x)
{
    Emit *e = g->e;
    const Kernel *k = g->k;
    LLVMValueRef args[EXPR_MAX_ARGS], side = emit_int(e, SIDE);
    LLVMValueRef rows = emit_sub(e, emit_int(e, k->out.h), y);
    LLVMValueRef width = emit_sub(e, emit_int(e, k->out.w), x);
    LLVMValueRef row = emit_add(e, emit_mul(e, block, k->out.h), y);
    LLVMValueRef at = emit_mul(e, emit_add(e, emit_mul(e, row, k->out.w), x), g->vl);
    Loop ly, lx;
    kern_channel_args(g->kn, emit_mul(e, block, g->vl), args);
    loop_begin(e, &ly, emit_int(e, 0), emit_imin(e, rows, side), 1, true, 0, NULL);
    loop_begin(e, &lx, emit_int(e, 0), emit_imin(e, width, side), 1, true, 0, NULL);
    LLVMValueRef i = emit_add(e, emit_mul(e, ly.iv, SIDE), lx.iv);
    LLVMValueRef v = emit_load(e, e->vec, emit_at(e, g->stack, emit_mul(e, i, g->vl)));
    LLVMValueRef p = emit_add(e, emit_mul(e, ly.iv, k->out.w), lx.iv);
    kern_store(g->kn, args, v, emit_add(e, at, emit_mul(e, p, g->vl)), (int)g->vl);
    loop_end(e, &lx, NULL);
    loop_end(e, &ly, NULL);
}

/* The same for a tile that lies in the map, whose rows are still in registers. */
static void store_row(Winograd *g, LLVMValueRef block, LLVMValueRef at, LLVMValueRef *v)
{
    LLVMValueRef args[EXPR_MAX_ARGS];
    kern_channel_args(g->kn, emit_mul(g->e, block, g->vl), args);
    for (int j = 0; j < SIDE; j++)
        kern_store(g->kn, args, v[j], emit_add(g->e, at, emit_int(g->e, j * g->vl)), (int)g->vl);
}

static void row_back(Winograd *g, int i, LLVMValueRef bias, LLVMValueRef v[PATCH])
{
    Emit *e = g->e;
    for (int j = 0; j < PATCH; j++)
        v[j] = emit_load(e, e->vec, slot(g, 16 + i * PATCH + j));
    backward(e, v);
    for (int j = 0; j < SIDE && bias; j++)
        v[j] = emit_fadd(e, v[j], bias);
}

static void finish_tile(Winograd *g, LLVMValueRef block, LLVMValueRef tile, LLVMValueRef bias)
{
    Emit *e = g->e;
    const Kernel *k = g->k;
    LLVMValueRef y, x, v[PATCH];
    If f;
    bool tight = g->kn->code.cost * SIDE * SIDE <= LOOSE;
    position_of(g, tile, &y, &x);
    if (tight) {
        LLVMValueRef fits = both(e, emit_less(e, y, emit_int(e, k->out.h - SIDE + 1)),
                                 emit_less(e, x, emit_int(e, k->out.w - SIDE + 1)));
        if_begin(e, &f, fits);
        LLVMValueRef row = emit_add(e, emit_mul(e, block, k->out.h), y);
        LLVMValueRef at = emit_mul(e, emit_add(e, emit_mul(e, row, k->out.w), x), g->vl);
        for (int i = 0; i < SIDE; i++) {
            row_back(g, i, bias, v);
            store_row(g, block, emit_add(e, at, emit_int(e, i * k->out.w * g->vl)), v);
        }
        if_else(e, &f);
    }
    for (int i = 0; i < SIDE; i++) {
        row_back(g, i, bias, v);
        for (int j = 0; j < SIDE; j++)
            emit_store(e, v[j], slot(g, i * SIDE + j));
    }
    store_tile(g, block, y, x);
    if (tight)
        if_end(e, &f);
}

/* Channel blocks [b0, b1) of tiles [first + t0, first + t1): the others of the run belong to the
 * unit before. */
static void transform_output(Winograd *g, LLVMValueRef b0, LLVMValueRef b1, LLVMValueRef first,
                             LLVMValueRef t0, LLVMValueRef t1)
{
    Emit *e = g->e;
    Loop lb, lt;
    loop_begin(e, &lb, b0, b1, 1, true, 0, NULL);
    LLVMValueRef bias = NULL;
    if (g->k->has_bias)
        bias = emit_load(e, e->vec, emit_at(e, g->kn->bias, emit_mul(e, lb.iv, g->vl)));
    loop_begin(e, &lt, t0, t1, 1, true, 0, NULL);
    LLVMValueRef at = emit_add(e, emit_mul(e, lb.iv, g->run), lt.iv);
    LLVMValueRef from = emit_at(e, g->m, emit_mul(e, at, g->vl));
    for (int j = 0; j < PATCH; j++) {
        LLVMValueRef m[PATCH];
        for (int i = 0; i < PATCH; i++) {
            int64_t off = (i * PATCH + j) * g->m_step;
            m[i] = emit_load(e, e->vec, emit_at_const(e, from, off));
        }
        backward(e, m);
        for (int i = 0; i < SIDE; i++)
            emit_store(e, m[i], slot(g, 16 + i * PATCH + j));
    }
    finish_tile(g, lb.iv, emit_add(e, first, lt.iv), bias);
    loop_end(e, &lt, NULL);
    loop_end(e, &lb, NULL);
}

/* The whole map for tiles [t0, t1) of output channels: nothing is done for an empty range. */
static void whole_map(Winograd *g, LLVMValueRef t0, LLVMValueRef t1)
{
    Emit *e = g->e;
    LLVMValueRef zero = emit_int(e, 0), blocks = emit_int(e, g->ocb);
    LLVMValueRef ocv = emit_int(e, g->k->tile.ocv);
    LLVMValueRef b0 = LLVMBuildMul(e->b, t0, ocv, ""), b1 = LLVMBuildMul(e->b, t1, ocv, "");
    If f;
    if_begin(e, &f, emit_less(e, t0, t1));
    transform_input(g, zero);
    multiply(g, t0, t1);
    transform_output(g, b0, emit_imin(e, b1, blocks), zero, zero, emit_int(e, g->tiles));
    if_end(e, &f);
}

bool conv_winograd(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    Winograd g = {.kn = kn,
                  .e = e,
                  .k = k,
                  .vl = e->vl,
                  .run = k->tile.winograd,
                  .across = (k->out.w + SIDE - 1) / SIDE,
                  .tiles = family_winograd_tiles(k),
                  .icb = map_blocks(k->in, e->vl),
                  .ocb = map_blocks(k->out, e->vl)};
    bool fits = k->kh == 3 && k->kw == 3 && k->sh == 1 && k->sw == 1 && k->dh == 1 && k->dw == 1 &&
                k->groups == 1 && k->gate_arg < 0 && k->in.layout == LAYOUT_BLOCKED &&
                k->out.layout == LAYOUT_BLOCKED && g.run <= g.tiles;
    if (!fits)
        return emit_fail(e, "a convolution of %d tiles of 4 x 4 a unit", k->tile.winograd);
    g.zeros = emit_zero_memory(e);
    g.stack = emit_stack(e, 16 + POSITIONS);
    g.v = kn->scratch;
    g.v_step = family_winograd_step(k, e->t, k->in);
    g.m_step = family_winograd_step(k, e->t, k->out);
    g.m = emit_at_const(e, g.v, POSITIONS * g.v_step);
    LLVMValueRef zero = emit_int(e, 0), blocks = emit_int(e, g.ocb);
    LLVMValueRef oc_tiles = emit_int(e, family_oc_tiles(k, e->t));
    if (k->tile.split_oc) {
        whole_map(&g, kn->begin, kn->end);
        return true;
    }
    Loop l;
    loop_begin(e, &l, kn->begin, kn->end, 1, false, 0, NULL);
    LLVMValueRef from = emit_mul(e, l.iv, g.run), all = emit_int(e, g.tiles);
    LLVMValueRef first = emit_imin(e, from, emit_int(e, g.tiles - g.run));
    LLVMValueRef end = emit_imin(e, emit_add(e, from, emit_int(e, g.run)), all);
    transform_input(&g, first);
    multiply(&g, zero, oc_tiles);
    transform_output(&g, zero, blocks, first, emit_sub(e, from, first), emit_sub(e, end, first));
    loop_end(e, &l, NULL);
    return true;
}
