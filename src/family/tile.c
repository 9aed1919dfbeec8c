/* Choice of tiles: the rules of docs/kernels.md. A small cost model picks the register tile of
 * convolutions; everything else follows from sizes. Costs are cycles of a core with two
 * multiply-add and two load pipes, per step of the reduction. */
#include "family/count.h"

enum {
    LATENCY = 4,       /* of a multiply-add: so many times two accumulators keep the pipes busy */
    UNITS_WANTED = 14, /* per kernel: 2 to 8 threads divide it well */
    UNITS_FEW = 6,
    PX_MAX = 28,
    PANEL_STEPS = 64, /* fewest reduction steps worth a chunk of their own */
};

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* One reduction step of a w vectors x p pixels register tile. */
static double step_cost(int w, int64_t p)
{
    double fma = (double)w * (double)p / 2, load = ((double)w + (double)p) / 2;
    double busy = fma > load ? fma : load;
    if (busy < (double)LATENCY)
        busy = LATENCY;
    /* Weights come from the second-level cache about half the time: dearer than broadcasts. */
    return busy + 0.08 * w + 0.03 * (double)p;
}

/* A row of n pixels in ceil(n / px) tiles of nearly equal width. */
static double row_cost(int w, int64_t n, int px)
{
    int64_t tiles = ceil_div(n, px), wide = n % tiles, width = n / tiles;
    return (double)wide * step_cost(w, width + 1) + (double)(tiles - wide) * step_cost(w, width);
}

static bool fits_registers(const Target *t, int ocv, int px)
{
    int held = ocv < px ? ocv : px;
    return ocv * px + held + 1 <= t->regs;
}

/* Register tile for `blocks` output vectors over rows of n pixels; a multiple of `whole` vectors is
 * never straddled. */
static void choose_registers(Kernel *k, const Target *t, int64_t blocks, int64_t whole, int64_t n)
{
    double best = 0;
    for (int ocv = 1; ocv <= 4 && ocv <= blocks; ocv++) {
        if (whole % ocv != 0)
            continue;
        for (int px = 1; px <= PX_MAX && px <= n && fits_registers(t, ocv, px); px++) {
            int64_t tiles = blocks / ocv;
            double cost = (double)tiles * row_cost(ocv, n, px);
            if (blocks % ocv != 0) /* a narrower last tile is code of its own */
                cost = cost * 1.01 + row_cost((int)(blocks % ocv), n, px);
            if (best == 0 || cost < best * 0.9999) {
                best = cost;
                k->tile.ocv = ocv;
                k->tile.px = px;
            }
        }
    }
}

/* Rows (or pixels) per block so that about `wanted` nearly equal blocks result, at least `least`
 * rows each. */
static int block_rows(int64_t rows, int64_t wanted, int64_t least)
{
    int64_t blocks = max64(1, min64(wanted, rows / max64(least, 1)));
    return (int)min64(ceil_div(rows, blocks), INT32_MAX);
}

typedef struct ConvSizes {
    double weights, input, panel; /* bytes; panel: the weights of one oc tile */
    int64_t oc_tiles;
} ConvSizes;

static ConvSizes conv_sizes(const Kernel *k, const Target *t)
{
    double w = 4.0 * (double)family_weight_floats(k, t);
    int64_t tiles = family_oc_tiles(k, t);
    return (ConvSizes){.weights = w,
                       .input = 4.0 * (double)map_floats(k->in, t->vl),
                       .panel = w / (double)tiles,
                       .oc_tiles = tiles};
}

/* Time that 2, 4 and 8 threads have taken together when the last of them is done, in rows and added
 * up: each is dealt an equal run of `units` of `size` rows, the last of which may be shorter. */
static int64_t spent(int64_t units, int64_t size, int64_t rows)
{
    int64_t sum = 0;
    for (int64_t threads = 2; threads <= 8; threads *= 2) {
        int64_t most = 0;
        for (int64_t i = 0; i < threads; i++) {
            int64_t first = units * i / threads * size, end = units * (i + 1) / threads * size;
            most = max64(most, min64(end, rows) - min64(first, rows));
        }
        sum += most * threads;
    }
    return sum;
}

/* Flat blocks are whole register tiles, so that only the last one needs other widths. */
static int flat_block(const Kernel *k, int64_t wanted)
{
    enum { FEWER = 4, MORE = 2, WORTH = 50 /* of so many rows one must be saved */ };
    int64_t n = family_rows(k), tiles = ceil_div(n, k->tile.px), width = ceil_div(n, tiles);
    int64_t best = 0, least = 0;
    for (int64_t count = wanted + MORE; count >= max64(1, wanted - FEWER); count--) {
        int64_t rows = width * block_rows(tiles, count, 1), now = spent(ceil_div(n, rows), rows, n);
        if (best == 0 || WORTH * now < WORTH * least - n) {
            best = rows;
            least = now;
        }
    }
    return (int)min64(best, INT32_MAX);
}

/* Whether what is read again and again comes from beyond the second-level cache. */
static bool is_far(const Target *t, double bytes)
{
    return bytes > 0.6 * (double)t->l2;
}

/* Bytes that cross the second-level cache when every unit reads `per_unit`. */
static double traffic(const Target *t, double per_unit, double units)
{
    return per_unit * units * (is_far(t, per_unit) ? 4 : 1);
}

static void conv_units(Kernel *k, const Target *t)
{
    ConvSizes s = conv_sizes(k, t);
    int64_t rows = family_rows(k);
    int64_t row_units =
        k->tile.flat ? min64(ceil_div(rows, k->tile.px), UNITS_WANTED) : min64(rows, UNITS_WANTED);
    bool gated = k->gate_arg >= 0;
    double by_row = traffic(t, s.weights, (double)row_units);
    double by_oc = traffic(t, s.input, (double)s.oc_tiles);
    bool oc = by_oc < by_row;
    if (oc && s.oc_tiles < UNITS_FEW && row_units >= 2 * s.oc_tiles)
        oc = false;
    if (!oc && row_units < UNITS_FEW && s.oc_tiles > row_units)
        oc = true;
    /* A gated input is scaled once per unit; a few wide units keep that cheap. */
    if (gated && oc && row_units >= 2 * UNITS_FEW)
        oc = false;
    k->tile.split_oc = oc;
    if (oc)
        k->tile.rb = (int)min64(rows, INT32_MAX);
    else if (k->tile.flat)
        k->tile.rb = flat_block(k, UNITS_WANTED);
    else
        k->tile.rb = block_rows(rows, UNITS_WANTED, rows >= 2 * UNITS_WANTED ? 2 : 1);
}

/* Large reductions over small maps: chunks whose weights stay in the first-level cache. */
static void conv_chunks(Kernel *k, const Target *t)
{
    k->tile.kc = 0;
    k->tile.prefetch = false;
    if (!k->tile.split_oc || k->groups > 1 || k->family != FAM_CONV)
        return;
    int64_t blocks = family_ic_blocks(k, t);
    int64_t steps = (int64_t)family_ic_lanes(k, t) * k->kh * k->kw;
    int64_t bytes = steps * k->tile.ocv * t->vl * 4;
    int64_t tiles = family_rows(k) * (k->tile.flat ? 1 : k->out.w) / max64(k->tile.px, 1);
    if (bytes * blocks <= t->l1 / 2 || tiles < 2)
        return;
    int64_t kc = max64(t->l1 / 2 / bytes, ceil_div(PANEL_STEPS, steps));
    kc = max64(kc, 1);
    if (kc >= blocks)
        return;
    kc = ceil_div(blocks, ceil_div(blocks, kc));
    k->tile.kc = (int)kc;
    k->tile.prefetch = true;
}

/* Cycles per pair of channels: what a Winograd convolution saves in multiplications when it works
 * on `tiles` output tiles, and what its weights cost, four times the direct ones from main memory,
 * and again for every unit after the first from the third-level cache or from the second. */
enum { WINOGRAD_WEIGHTS = 17, WINOGRAD_FAR = 8, WINOGRAD_NEAR = 2 };

static int64_t winograd_saves(const Kernel *k, const Target *t, int64_t tiles)
{
    return (9 * k->out.h * k->out.w - 36 * tiles) / (2 * t->vl);
}

/* Of runs of `least` to `most` output tiles the one that threads are done with first: units are
 * equal, and each costs a tile or so besides. */
static int64_t even_run(int64_t tiles, int64_t least, int64_t most)
{
    int64_t best = most, taken = INT64_MAX;
    for (int64_t run = most; run >= least; run--) {
        int64_t units = ceil_div(tiles, run), now = spent(units, run, units * run) + units;
        if (now < taken) {
            best = run;
            taken = now;
        }
    }
    return best;
}

/* Output tiles of a Winograd unit, or 0 where direct convolution is as good. The scratch of a unit
 * must leave room in the second-level cache, there must be units enough for several threads, and
 * reading the larger weights must not take longer than is saved. */
static int winograd_run(const Kernel *k, const Target *t, bool *split_oc)
{
    enum { LEAST_CHANNELS = 32, LEAST_RUN = 7, MOST_RUN = 49, SHORT_RUN = 4, UNITS_SHORT = 4 };
    bool fits = k->family == FAM_CONV && k->kh == 3 && k->kw == 3 && k->sh == 1 && k->sw == 1 &&
                k->dh == 1 && k->dw == 1 && k->groups <= 1 && k->gate_arg < 0 &&
                k->in.layout == LAYOUT_BLOCKED && k->out.layout == LAYOUT_BLOCKED;
    if (!fits || t->exact_conv || k->in.c < LEAST_CHANNELS || k->out.c < LEAST_CHANNELS)
        return 0;
    int64_t tiles = family_winograd_tiles(k);
    int64_t per_tile = 36 * 4 * (map_blocks(k->in, t->vl) + map_blocks(k->out, t->vl)) * t->vl;
    int64_t run = min64(MOST_RUN, max64(LEAST_RUN, t->l2 / 2 / per_tile));
    int64_t units = max64(UNITS_FEW, ceil_div(tiles, run));
    if (ceil_div(tiles, units) < LEAST_RUN)
        units = UNITS_SHORT;
    run = ceil_div(tiles, units);
    run = even_run(tiles, run < LEAST_RUN ? run : max64(LEAST_RUN, run - run / 4), run);
    units = ceil_div(tiles, run);
    double weights = 4.0 * 36 * (double)k->in.c * (double)k->out.c;
    int64_t again = is_far(t, weights) ? WINOGRAD_FAR : WINOGRAD_NEAR;
    if (run >= SHORT_RUN &&
        winograd_saves(k, t, run * units) > WINOGRAD_WEIGHTS + again * (units - 1))
        return (int)run;
    /* Small maps of many channels: every thread transforms the whole input, and the weights are
     * read once. */
    bool small = tiles <= MOST_RUN && per_tile * tiles <= 4 * t->l2 &&
                 map_blocks(k->out, t->vl) >= UNITS_FEW;
    *split_oc = small && winograd_saves(k, t, tiles) > WINOGRAD_WEIGHTS;
    return *split_oc ? (int)tiles : 0;
}

static void tile_conv(Kernel *k, const Target *t)
{
    int64_t blocks = map_blocks(k->out, t->vl), whole;
    if (k->groups > 1) {
        int64_t per_out = k->out.c / k->groups, per_in = k->in.c / k->groups;
        if (per_out % t->vl == 0 && per_in % t->vl == 0)
            whole = per_out / t->vl;
        else
            whole = 1; /* each vector reads its own few input blocks */
    } else {
        whole = 12; /* no constraint: 1, 2, 3 and 4 divide it */
    }
    k->tile.winograd = winograd_run(k, t, &k->tile.split_oc);
    if (k->tile.winograd > 0) {
        choose_registers(k, t, blocks, whole, k->tile.winograd);
        return;
    }
    k->tile.flat = k->family == FAM_CONV && k->kh == 1 && k->kw == 1 && k->sh == 1 && k->sw == 1 &&
                   k->pt == 0 && k->pl == 0 && k->in.h == k->out.h && k->in.w == k->out.w;
    int64_t n = k->tile.flat ? k->out.h * k->out.w : k->out.w;
    if (k->family == FAM_CONVT)
        n = ceil_div(n, max64(k->sw, 1)); /* pixels of one phase share their taps */
    choose_registers(k, t, blocks, whole, n);
    conv_units(k, t);
    conv_chunks(k, t);
}

static void tile_dense(Kernel *k, const Target *t)
{
    int64_t blocks = map_blocks(k->out, t->vl);
    int ocv = 4;
    while (ocv > 1 && ceil_div(blocks, ocv) < 8)
        ocv /= 2;
    k->tile.ocv = ocv;
    k->tile.px = (t->regs >= 32 ? 16 : 8) / ocv;
}

/* Width of nearly equal tiles of a row of n pixels, at most `most` each. */
static int even_width(int64_t n, int64_t most)
{
    return (int)ceil_div(n, ceil_div(n, max64(most, 1)));
}

static void tile_windowed(Kernel *k, const Target *t)
{
    int64_t blocks = map_blocks(k->out, t->vl), room = t->regs - 1;
    if (k->family == FAM_DEPTHWISE)
        room -= min64(k->kw, t->regs / 2);
    k->tile.px = even_width(k->out.w, min64(room, t->regs / 2));
    k->tile.rb = block_rows(k->out.h, max64(1, ceil_div(UNITS_WANTED, blocks)), 2);
}

static void tile_positions(Kernel *k)
{
    int64_t n = k->out.h * k->out.w;
    k->tile.px = (int)min64(n, 4);
    k->tile.rb = block_rows(n, UNITS_WANTED, k->tile.px);
}

static void tile_elem(Kernel *k, const Target *t)
{
    enum { LEAST = 64 };
    int64_t blocks = map_blocks(k->out, t->vl), n = k->out.h * k->out.w;
    k->tile.px = (int)min64(n, 4);
    k->tile.rb = block_rows(n, max64(1, ceil_div(UNITS_WANTED, blocks)), LEAST);
}

void family_choose_tile(Kernel *k, const Target *t)
{
    k->tile = (Tile){.ocv = 1, .px = 1};
    if (t->kind == TARGET_CUDA) {
        cuda_choose_tile(k, t);
        return;
    }
    switch (k->family) {
    case FAM_CONV:
    case FAM_CONVT: tile_conv(k, t); break;
    case FAM_DENSE: tile_dense(k, t); break;
    case FAM_DEPTHWISE:
    case FAM_POOL: tile_windowed(k, t); break;
    case FAM_ELEM: tile_elem(k, t); break;
    case FAM_LN:
    case FAM_SOFTMAX:
    case FAM_LRN: tile_positions(k); break;
    case FAM_COPY:
        k->tile.rb = block_rows(k->out.h, max64(1, UNITS_WANTED / map_blocks(k->out, t->vl)), 1);
        break;
    case FAM_GAP: break;
    default: family_train_tile(k, t); break;
    }
}
