/* Tiles near a kernel's own, for those who measure them; and which tiles a kernel can have at all.
 */
#include "family/count.h"

enum {
    OCV_MOST = 4,      /* vectors of a convolution's register tile, as tile.c has it */
    PX_MOST = 28,      /* pixels of it */
    DENSE_VECTORS = 8, /* panels of a dense layer at a time */
    POOL_PX = 16,      /* pixels of a row at a time */
    DEPTHWISE_PX = 24, /* likewise */
    UNITS_WANTED = 14, /* as tile.c aims at */
    WINOGRAD_MOST = 98 /* output tiles of a unit */
};

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Pixels that register tiles are cut from. */
static int64_t row_pixels(const Kernel *k)
{
    if (k->tile.winograd > 0)
        return k->tile.winograd;
    if (k->tile.flat)
        return k->out.h * k->out.w;
    return k->family == FAM_CONVT ? ceil_div(k->out.w, max64(k->sw, 1)) : k->out.w;
}

/* Output vectors that tiles of several may not straddle; 12: no constraint. */
static int64_t whole_vectors(const Kernel *k, const Target *t)
{
    if (k->groups <= 1)
        return 12;
    int64_t per_out = k->out.c / k->groups, per_in = k->in.c / k->groups;
    return per_out % t->vl == 0 && per_in % t->vl == 0 ? per_out / t->vl : 1;
}

static bool registers_fit(const Kernel *k, const Target *t, int ocv, int64_t px)
{
    int64_t held = min64(ocv, px);
    return ocv >= 1 && px >= 1 && ocv <= OCV_MOST && px <= PX_MOST && px <= row_pixels(k) &&
           ocv <= map_blocks(k->out, t->vl) && whole_vectors(k, t) % ocv == 0 &&
           ocv * px + held + 1 <= t->regs;
}

static bool winograd_possible(const Kernel *k, const Target *t)
{
    return k->family == FAM_CONV && k->kh == 3 && k->kw == 3 && k->sh == 1 && k->sw == 1 &&
           k->dh == 1 && k->dw == 1 && k->groups <= 1 && k->gate_arg < 0 && !t->exact_conv &&
           k->in.layout == LAYOUT_BLOCKED && k->out.layout == LAYOUT_BLOCKED;
}

static bool flat_possible(const Kernel *k)
{
    return k->family == FAM_CONV && k->kh == 1 && k->kw == 1 && k->sh == 1 && k->sw == 1 &&
           k->pt == 0 && k->pl == 0 && k->in.h == k->out.h && k->in.w == k->out.w;
}

/* Nearly equal tiles of a row: the widest. */
static int64_t even_width(int64_t n, int64_t px)
{
    return ceil_div(n, ceil_div(n, max64(px, 1)));
}

static bool winograd_fits(const Kernel *k, const Target *t)
{
    const Tile *a = &k->tile;
    int64_t tiles = family_winograd_tiles(k);
    return winograd_possible(k, t) && a->winograd <= WINOGRAD_MOST && a->winograd <= tiles &&
           (!a->split_oc || a->winograd == tiles) && registers_fit(k, t, a->ocv, a->px) &&
           a->kc == 0 && !a->flat && !a->prefetch && a->rb == 0;
}

static bool direct_fits(const Kernel *k, const Target *t)
{
    const Tile *a = &k->tile;
    int64_t rows = family_rows(k);
    if (a->flat != flat_possible(k) || !registers_fit(k, t, a->ocv, a->px) || a->rb < 1 ||
        a->rb > rows || (a->split_oc && a->rb != rows))
        return false;
    if (a->flat && !a->split_oc && a->rb != rows && a->rb % even_width(rows, a->px) != 0)
        return false;
    if (a->prefetch && (!a->split_oc || k->family != FAM_CONV))
        return false;
    return a->kc == 0 || (k->family == FAM_CONV && a->split_oc && k->groups <= 1 && a->kc > 0 &&
                          a->kc < family_ic_blocks(k, t));
}

static bool windowed_fits(const Kernel *k, const Target *t)
{
    int64_t most = k->family == FAM_POOL ? POOL_PX : DEPTHWISE_PX;
    return k->tile.px >= 1 && k->tile.px <= min64(most, t->regs - 2) && k->tile.px <= k->out.w &&
           k->tile.rb >= 1 && k->tile.rb <= k->out.h;
}

/* Everything but the fields that may differ is as the rules have it. */
static bool same_but(const Kernel *k, const Target *t, bool px, bool ocv, bool rb)
{
    Kernel own = *k;
    family_choose_tile(&own, t);
    if (px)
        own.tile.px = k->tile.px;
    if (ocv)
        own.tile.ocv = k->tile.ocv;
    if (rb)
        own.tile.rb = k->tile.rb;
    return family_same_tile(&own.tile, &k->tile);
}

bool family_same_tile(const Tile *a, const Tile *b)
{
    return a->ocv == b->ocv && a->px == b->px && a->rb == b->rb && a->kc == b->kc &&
           a->flat == b->flat && a->split_oc == b->split_oc && a->prefetch == b->prefetch &&
           a->winograd == b->winograd && a->dw_tiles == b->dw_tiles && a->dw_rows == b->dw_rows &&
           a->cuda.threads == b->cuda.threads && a->cuda.m == b->cuda.m && a->cuda.n == b->cuda.n &&
           a->cuda.k == b->cuda.k && a->cuda.tm == b->cuda.tm && a->cuda.tn == b->cuda.tn &&
           a->cuda.dtype == b->cuda.dtype && a->cuda.stages == b->cuda.stages &&
           a->cuda.group == b->cuda.group;
}

bool family_tile_fits(const Kernel *k, const Target *t)
{
    const Tile *a = &k->tile;
    if (t->kind == TARGET_CUDA) {
        Tile all[FAMILY_CANDIDATES];
        int n = k->family < FAM_PACK ? cuda_tiles(k, t, all, FAMILY_CANDIDATES) : 0;
        while (n > 0 && !family_same_tile(&all[n - 1], a))
            n--;
        return n > 0;
    }
    switch (k->family) {
    case FAM_CONV:
    case FAM_CONVT: return a->winograd != 0 ? winograd_fits(k, t) : direct_fits(k, t);
    case FAM_DENSE:
        return same_but(k, t, true, true, false) && a->ocv >= 1 && a->px >= 1 &&
               a->ocv <= DENSE_VECTORS && a->ocv <= map_blocks(k->out, t->vl) && a->px <= t->regs &&
               a->ocv * a->px <= t->regs - t->regs / 4;
    case FAM_DEPTHWISE:
    case FAM_POOL: return same_but(k, t, true, false, true) && windowed_fits(k, t);
    case FAM_ELEM:
    case FAM_LN:
    case FAM_SOFTMAX:
    case FAM_LRN:
        return same_but(k, t, false, false, true) && a->rb >= 1 && a->rb <= family_rows(k);
    case FAM_COPY: return same_but(k, t, false, false, true) && a->rb >= 1 && a->rb <= k->out.h;
    case FAM_GAP: return same_but(k, t, false, false, false);
    default: return false; /* of training */
    }
}

/* The list under construction. */
typedef struct List {
    Kernel k; /* with the tile that neighbours are sought of */
    const Target *t;
    Tile *at;
    int count, most;
} List;

static void add(List *l, Tile tile)
{
    Kernel k = l->k;
    k.tile = tile;
    if (l->count >= l->most || !family_tile_fits(&k, l->t))
        return;
    for (int i = 0; i < l->count; i++)
        if (family_same_tile(&l->at[i], &tile))
            return;
    l->at[l->count++] = tile;
}

/* Rows of a block so that `units` nearly equal ones result; flat: whole register tiles. */
static int rows_for(const Kernel *k, const Tile *tile, int64_t units)
{
    Kernel with = *k;
    with.tile = *tile;
    int64_t rows = family_rows(&with), step = tile->flat ? even_width(rows, tile->px) : 1;
    int64_t pieces = ceil_div(rows, step);
    return (int)min64(min64(step * ceil_div(pieces, max64(1, min64(units, pieces))), rows),
                      INT32_MAX);
}

static int64_t units_of(const Kernel *k, const Tile *tile)
{
    Kernel with = *k;
    with.tile = *tile;
    return family_row_blocks(&with);
}

/* Input blocks of a chunk whose weights fill half the first-level cache; 0 when all do. */
static int chunk_of(const List *l, const Tile *tile)
{
    Kernel with = l->k;
    with.tile = *tile;
    int64_t blocks = family_ic_blocks(&with, l->t);
    int64_t bytes =
        4 * (int64_t)family_ic_lanes(&with, l->t) * with.kh * with.kw * tile->ocv * l->t->vl;
    int64_t kc = max64(1, l->t->l1 / 2 / max64(bytes, 1));
    return kc >= blocks ? 0 : (int)ceil_div(blocks, ceil_div(blocks, kc));
}

/* The same division of work with other register tiles: for every width of channels the most pixels
 * that fit, and widths that divide the row more evenly. */
static void add_registers(List *l, Tile from)
{
    Kernel k = l->k;
    k.tile = from;
    int64_t n = row_pixels(&k), units = from.rb > 0 ? units_of(&l->k, &from) : 0;
    for (int ocv = 1; ocv <= OCV_MOST; ocv++) {
        int64_t px = min64(n, PX_MOST);
        while (px > 0 && !registers_fit(&k, l->t, ocv, px))
            px--;
        for (int less = 0; less < 3 && px > 0; less++) {
            int64_t even = even_width(n, px);
            Tile tile = from;
            tile.ocv = ocv;
            tile.px = (int)even;
            if (from.rb > 0 && !from.split_oc)
                tile.rb = rows_for(&l->k, &tile, units);
            if (from.kc > 0)
                tile.kc = chunk_of(l, &tile);
            add(l, tile);
            px = even - 1; /* one tile more in a row */
        }
    }
}

static void add_blocks(List *l, Tile from, int64_t units)
{
    Tile tile = from;
    tile.split_oc = tile.prefetch = false;
    tile.kc = 0;
    tile.rb = rows_for(&l->k, &tile, units);
    add(l, tile);
}

/* Other divisions of the work of a direct convolution, with the same register tile. */
static void add_divisions(List *l, Tile from)
{
    int64_t units = from.split_oc ? UNITS_WANTED : units_of(&l->k, &from);
    add_blocks(l, from, units);
    add_blocks(l, from, 2 * units);
    add_blocks(l, from, max64(1, units / 2));
    Tile tile = from;
    tile.split_oc = true;
    tile.rb = rows_for(&l->k, &tile, 1);
    const int chunks[] = {from.kc, 0, chunk_of(l, &tile), 2 * chunk_of(l, &tile),
                          chunk_of(l, &tile) / 2};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        tile.kc = chunks[i];
        for (int ahead = 0; ahead < 2; ahead++) {
            tile.prefetch = ahead != 0;
            add(l, tile);
        }
    }
}

/* A Winograd convolution of `run` output tiles a unit, with the largest register tile. */
static void add_winograd(List *l, int64_t run, bool split)
{
    Kernel k = l->k;
    Tile tile = {.winograd = (int)min64(run, WINOGRAD_MOST + 1), .split_oc = split};
    k.tile = tile;
    for (int ocv = 1; ocv <= OCV_MOST; ocv++)
        for (int px = 1; px <= PX_MOST; px++)
            if (registers_fit(&k, l->t, ocv, px) && ocv * px > tile.ocv * tile.px) {
                tile.ocv = ocv;
                tile.px = px;
            }
    add(l, tile);
}

static void add_convolutions(List *l, Tile from)
{
    int64_t tiles = family_winograd_tiles(&l->k);
    add_registers(l, from);
    if (from.winograd > 0) {
        Kernel direct = l->k;
        Target exact = *l->t;
        exact.exact_conv = true;
        family_choose_tile(&direct, &exact);
        add(l, direct.tile);
    } else {
        add_divisions(l, from);
    }
    if (winograd_possible(&l->k, l->t)) {
        for (int64_t units = 2; units <= 24; units += units < 8 ? 2 : 8)
            add_winograd(l, ceil_div(tiles, units), false);
        add_winograd(l, tiles, true);
    }
}

static void add_pixels(List *l, Tile from)
{
    int64_t width = l->k.out.w;
    for (int64_t px = min64(width, DEPTHWISE_PX); px > 0 && px >= from.px / 3;
         px = even_width(width, px) - 1) {
        Tile tile = from;
        tile.px = (int)even_width(width, px);
        add(l, tile);
    }
}

static void add_rows(List *l, Tile from)
{
    static const int by[] = {2, 4};
    for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
        Tile tile = from;
        tile.rb = from.rb / by[i];
        add(l, tile);
        tile.rb = (int)min64((int64_t)from.rb * by[i],
                             l->k.family == FAM_COPY ? l->k.out.h : family_rows(&l->k));
        add(l, tile);
    }
}

static void add_panels(List *l, Tile from)
{
    for (int ocv = 1; ocv <= DENSE_VECTORS; ocv *= 2)
        for (int sums = 4; sums <= 24; sums += sums < 16 ? sums : 8) {
            Tile tile = from;
            tile.ocv = ocv;
            tile.px = sums / ocv;
            add(l, tile);
        }
}

int family_candidates(const Kernel *k, const Target *t, Tile *out, int most)
{
    List l = {.k = *k, .t = t, .at = out, .most = most};
    Tile from = k->tile;
    add(&l, from);
    if (t->kind == TARGET_CUDA) {
        Tile all[FAMILY_CANDIDATES];
        int n = l.count > 0 ? cuda_tiles(k, t, all, FAMILY_CANDIDATES) : 0;
        for (int i = 0; i < n; i++)
            add(&l, all[i]);
        return l.count;
    }
    switch (k->family) {
    case FAM_CONV:
    case FAM_CONVT: add_convolutions(&l, from); break;
    case FAM_DENSE: add_panels(&l, from); break;
    case FAM_DEPTHWISE:
    case FAM_POOL:
        add_pixels(&l, from);
        add_rows(&l, from);
        break;
    case FAM_ELEM:
    case FAM_LN:
    case FAM_SOFTMAX:
    case FAM_LRN: add_rows(&l, from); break;
    case FAM_COPY:
        if (k->copy == COPY_BORDER || k->copy == COPY_NEAREST || k->copy == COPY_BILINEAR)
            add_rows(&l, from);
        break;
    default: break;
    }
    return l.count;
}
