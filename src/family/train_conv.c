/* Gradients of convolutions: units, scratch, tiles. */
#include "family/count.h"
#include "family/train.h"

enum {
    UNITS_WANTED = 14, /* per kernel: 2 to 8 threads divide it well */
    UNITS_FEW = 8,
    ACC_MAX = 30,
    COLUMNS_MAX = 256,  /* of several rows seen as one */
    POSITIONS_MAX = 512 /* summed in registers */
};

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* `n` items in parts of nearly equal size, at most `most` each: the size of the largest. */
static int64_t even(int64_t n, int64_t most)
{
    return ceil_div(n, ceil_div(n, max64(most, 1)));
}

void train_conv_rows(const Kernel *k, MapDesc *x, MapDesc *dy)
{
    *x = k->in;
    *dy = k->dy;
    bool pointwise = k->kh == 1 && k->kw == 1 && k->sh == 1 && k->sw == 1 && k->pt == 0 &&
                     k->pl == 0 && x->h == dy->h && x->w == dy->w;
    if (!pointwise)
        return;
    int64_t by = 1;
    for (int64_t rows = 2; rows <= dy->h && mul(rows, dy->w) <= COLUMNS_MAX; rows++)
        by = dy->h % rows == 0 ? rows : by;
    x->h = dy->h = dy->h / by;
    x->w = dy->w = dy->w * by;
}

Kernel train_dw_forward(const Kernel *k)
{
    Kernel f = *k;
    f.family = FAM_CONV;
    f.out = k->dy;
    f.tile.winograd = 0;
    return f;
}

int64_t train_dw_lanes(const Kernel *k, const Target *t)
{
    if (k->in.layout == LAYOUT_PLANAR)
        return k->in.c <= 16 ? k->in.c : t->vl;
    int64_t pairs = mul(train_dw_tiles(k, t), map_blocks(k->in, t->vl));
    bool few = k->groups <= 1 && mul(pairs, k->kh) < UNITS_FEW;
    return few && k->tile.px > 0 && t->vl % k->tile.px == 0 ? k->tile.px : t->vl;
}

int64_t train_dw_blocks(const Kernel *k, const Target *t)
{
    if (k->groups <= 1 || k->in.layout == LAYOUT_PLANAR)
        return ceil_div(k->in.c, train_dw_lanes(k, t));
    Kernel f = train_dw_forward(k);
    return family_ic_blocks(&f, t);
}

int64_t train_dw_tiles(const Kernel *k, const Target *t)
{
    return ceil_div(map_blocks(k->dy, t->vl), k->tile.ocv > 0 ? k->tile.ocv : 1);
}

/* Registers for w vectors of dy, each against p values of x. */
static bool fits(const Target *t, int64_t w, int64_t p)
{
    return w * p <= ACC_MAX && w * p + min64(w, p) + 1 <= t->regs;
}

/* The most of the window's columns that fit beside ocv vectors and px inputs; 0 = not even one. */
static int64_t taps_beside(const Target *t, int64_t ocv, int64_t px, int64_t kw)
{
    int64_t taps = 0;
    while (taps < kw && fits(t, ocv, px * (taps + 1)))
        taps++;
    return taps ? even(kw, taps) : 0;
}

int train_conv_taps(const Kernel *k, const Target *t)
{
    if (k->family == FAM_CONV_DW)
        return (int)max64(1, taps_beside(t, k->tile.ocv, k->tile.px, k->kw));
    int64_t most = (t->regs - 1) / max64(k->tile.px, 1) - 1;
    return (int)even(k->kw, max64(1, min64(k->kw, most)));
}

/* Cycles of one position: w vectors of dy, each against p values of x. */
static double step_cost(int64_t w, int64_t p)
{
    /* of a multiply-add 4, and not every one is issued the moment it could be */
    const double latency = 4.5;
    double fma = (double)(w * p) / 2, load = (double)(w + p) / 2;
    double busy = fma > load ? fma : load;
    if (busy < latency)
        busy = latency;
    return busy + 0.08 * (double)w + 0.03 * (double)p;
}

/* The same of all columns of the window. */
static double window_cost(int64_t w, int64_t px, int64_t kw, int64_t taps)
{
    int64_t groups = ceil_div(kw, taps), wide = kw % groups, width = kw / groups;
    return (double)wide * step_cost(w, px * (width + 1)) +
           (double)(groups - wide) * step_cost(w, px * width);
}

/* Register tile: ocv vectors of dy, px inputs and as many columns of the window as fit. Vectors of
 * different groups never meet. */
static void choose_registers(Kernel *k, const Target *t, int64_t blocks, int64_t whole)
{
    enum { OCV_MAX = 6, PX_MAX = 8 };
    k->tile.px = 0; /* whole blocks of x */
    int64_t lanes = train_dw_lanes(k, t);
    double best = 0;
    for (int ocv = 1; ocv <= OCV_MAX && ocv <= blocks; ocv++)
        for (int px = 1; px <= PX_MAX && px <= lanes && whole % ocv == 0; px++) {
            int64_t taps = taps_beside(t, ocv, px, k->kw);
            if (lanes % px != 0 || !taps)
                continue;
            int64_t tiles = blocks / ocv;
            double cost = (double)tiles * window_cost(ocv, px, k->kw, taps);
            if (blocks % ocv != 0)
                cost = cost * 1.01 + window_cost(blocks % ocv, px, k->kw, taps);
            cost *= (double)ceil_div(min64(k->in.c, lanes), px);
            if (best == 0 || cost < best * 0.9999) {
                best = cost;
                k->tile.ocv = ocv;
                k->tile.px = px;
            }
        }
}

/* Rows summed in registers: those of dy and x stay in the first-level cache while all taps and
 * inputs pass over them. */
static int rows_at_once(const Kernel *k, const Target *t, int64_t dy_lanes, int64_t x_lanes)
{
    MapDesc x, dy;
    train_conv_rows(k, &x, &dy);
    int64_t halo = mul(mul((k->kh - 1) * k->dh + 1 - k->sh, x.w), x_lanes * 4);
    int64_t row = mul(dy.w, dy_lanes * 4) + mul(mul(k->sh, x.w), x_lanes * 4);
    int64_t rows = max64(1, (t->l1 * 7 / 8 - max64(halo, 0)) / max64(row, 1));
    rows = min64(rows, max64(1, POSITIONS_MAX / dy.w));
    return (int)min64(even(dy.h, rows), INT32_MAX);
}

/* Window rows in a unit: as many as leave enough units. */
static void choose_window_rows(Kernel *k, int64_t others)
{
    int64_t parts = min64(k->kh, ceil_div(UNITS_FEW, others));
    k->tile.dw_rows = (int)ceil_div(k->kh, parts);
}

/* Floats read from beyond the first-level cache when a unit is `tiles` channel tiles by `run`
 * blocks of x. */
static double unit_traffic(const Kernel *k, const Target *t, int64_t tiles, int64_t run)
{
    double units = (double)ceil_div(train_dw_tiles(k, t), tiles) *
                   (double)ceil_div(train_dw_blocks(k, t), run);
    double dy = (double)(k->tile.ocv * t->vl) * (double)(k->dy.h * k->dy.w);
    double x = (double)train_dw_lanes(k, t) * (double)(k->in.h * k->in.w);
    return units * ((double)tiles * dy + (double)run * x);
}

/* Units as rectangles of output by input channels: the fewer times each operand is read the
 * better, while the sums of a unit fit the second-level cache and there are units enough. */
static void choose_units(Kernel *k, const Target *t)
{
    int64_t all_tiles = train_dw_tiles(k, t), all_blocks = train_dw_blocks(k, t);
    int64_t window = ceil_div(k->kh, k->tile.dw_rows);
    int64_t bytes = mul(mul(train_dw_lanes(k, t), mul(k->tile.dw_rows, k->kw)),
                        (int64_t)k->tile.ocv * t->vl * 4);
    int64_t pairs = max64(1, t->l2 / 4 / bytes);
    /* pointwise windows do little with what they read */
    int64_t most = mul(mul(all_tiles, all_blocks), window);
    int64_t wanted = min64(most, k->kh * k->kw > 1 ? UNITS_WANTED : UNITS_FEW);
    double best = 0;
    k->tile.dw_tiles = k->tile.kc = 1;
    for (int64_t tiles = 1; tiles <= all_tiles && tiles <= pairs; tiles++) {
        if (k->groups > 1 && tiles > 1) /* each tile has blocks of its own */
            break;
        for (int64_t run = 1; run <= all_blocks && run <= pairs / tiles; run++) {
            int64_t units = ceil_div(all_tiles, tiles) * ceil_div(all_blocks, run) * window;
            double cost = unit_traffic(k, t, tiles, run);
            if (units < wanted || (best > 0 && cost >= best))
                continue;
            best = cost;
            k->tile.dw_tiles = (int)tiles;
            k->tile.kc = (int)run;
        }
    }
}

static void conv_dw_tile(Kernel *k, const Target *t)
{
    int64_t blocks = map_blocks(k->dy, t->vl), whole = 60; /* no constraint: 1 to 6 divide it */
    if (k->groups > 1) {
        int64_t per_out = k->dy.c / k->groups, per_in = k->in.c / k->groups;
        whole = per_out % t->vl == 0 && per_in % t->vl == 0 ? per_out / t->vl : 1;
    }
    choose_registers(k, t, blocks, whole);
    bool planar = k->in.layout == LAYOUT_PLANAR;
    k->tile.rb = rows_at_once(k, t, (int64_t)k->tile.ocv * t->vl, planar ? k->tile.px : t->vl);
    choose_window_rows(k, mul(train_dw_blocks(k, t), train_dw_tiles(k, t)));
    choose_units(k, t);
}

static void depthwise_dw_tile(Kernel *k, const Target *t)
{
    int64_t px = (t->regs - 1) / (k->kw + 1);
    k->tile.px = (int)max64(1, min64(px, 6));
    k->tile.rb = rows_at_once(k, t, t->vl, t->vl);
    choose_window_rows(k, map_blocks(k->dy, t->vl));
}

static void depthwise_dx_tile(Kernel *k, const Target *t)
{
    int64_t sw = max64(k->sw, 1), n = ceil_div(k->out.w, sw), blocks = map_blocks(k->out, t->vl);
    int64_t room = t->regs - 1 - min64(ceil_div(k->kw, sw), t->regs / 2);
    k->tile.px = (int)even(n, min64(room, t->regs / 2));
    int64_t wanted = max64(1, ceil_div(UNITS_WANTED, blocks));
    int64_t parts = max64(1, min64(wanted, k->out.h / 2));
    k->tile.rb = (int)min64(ceil_div(k->out.h, parts), INT32_MAX);
}

void train_conv_tile(Kernel *k, const Target *t)
{
    if (k->family == FAM_CONV_DW)
        conv_dw_tile(k, t);
    else if (k->family == FAM_DEPTHWISE_DW)
        depthwise_dw_tile(k, t);
    else
        depthwise_dx_tile(k, t);
}

int64_t train_conv_units(const Kernel *k, const Target *t)
{
    if (k->family == FAM_DEPTHWISE_DX)
        return mul(map_blocks(k->out, t->vl), family_row_blocks(k));
    int64_t parts = ceil_div(max64(k->kh, 1), max64(k->tile.dw_rows, 1));
    if (k->family == FAM_DEPTHWISE_DW)
        return mul(map_blocks(k->dy, t->vl), parts);
    int64_t runs = ceil_div(train_dw_blocks(k, t), max64(k->tile.kc, 1));
    return mul(mul(ceil_div(train_dw_tiles(k, t), max64(k->tile.dw_tiles, 1)), runs), parts);
}

/* The sums of one unit: [vector of dy][x channel][window row][window column][lane]. */
int64_t train_conv_scratch(const Kernel *k, const Target *t)
{
    if (k->family == FAM_DEPTHWISE_DX)
        return 0;
    int64_t taps = mul(max64(k->tile.dw_rows, 1), max64(k->kw, 1));
    if (k->family == FAM_DEPTHWISE_DW)
        return mul(taps, t->vl);
    int64_t inputs = mul(max64(k->tile.kc, 1), train_dw_lanes(k, t));
    int64_t vectors = mul(max64(k->tile.dw_tiles, 1), k->tile.ocv);
    return mul(mul(taps, inputs), mul(vectors, t->vl));
}
