/* The choice of tiles: within the registers, near the best the documented costs allow, units that
 * cover the work. */
#include "family_kernels.h"
#include "graph_build.h"
#include <math.h>

/* Cycles of a row of n pixels by the rule of docs/kernels.md, without its tie breakers. */
static double row_cycles(int w, int64_t n, int64_t px)
{
    int64_t tiles = up(n, px);
    double sum = 0;
    for (int64_t i = 0; i < tiles; i++) {
        double p = (double)(n / tiles + (i < n % tiles));
        sum += fmax(4, fmax(w * p / 2, (w + p) / 2));
    }
    return sum;
}

static double map_cycles(int64_t blocks, int ocv, int64_t n, int64_t px)
{
    double whole = (double)(blocks / ocv) * row_cycles(ocv, n, px);
    int rest = (int)(blocks % ocv);
    return whole + (rest ? row_cycles(rest, n, px) : 0);
}

static bool in_registers(const Target *t, int ocv, int px)
{
    return ocv * px + (ocv < px ? ocv : px) + 1 <= t->regs;
}

static void check_register_tile(const Kernel *k, const Target *t, int64_t n)
{
    int64_t blocks = map_blocks(k->out, t->vl);
    double best = INFINITY, have = map_cycles(blocks, k->tile.ocv, n, k->tile.px);
    assert_in_range(k->tile.ocv, 1, blocks < 4 ? blocks : 4);
    assert_in_range(k->tile.px, 1, n < 28 ? n : 28);
    assert_true(in_registers(t, k->tile.ocv, k->tile.px));
    int64_t per_out = k->out.c / k->groups, per_in = k->in.c / k->groups;
    bool whole = k->groups > 1 && per_out % t->vl == 0 && per_in % t->vl == 0;
    if (k->groups > 1 && !whole)
        assert_int_equal(k->tile.ocv, 1);
    for (int ocv = 1; ocv <= 4 && ocv <= blocks && (k->groups == 1 || whole); ocv++) {
        if (whole && per_out / t->vl % ocv != 0)
            continue;
        for (int px = 1; px <= 28 && px <= n && in_registers(t, ocv, px); px++)
            best = fmin(best, map_cycles(blocks, ocv, n, px));
    }
    if (whole)
        assert_int_equal(per_out / t->vl % k->tile.ocv, 0); /* no tile straddles two groups */
    if (best < INFINITY && have > best * 1.06)
        fail_msg("%s: %ld blocks of %ld pixels: %dx%d takes %g, possible is %g", t->cpu,
                 (long)blocks, (long)n, k->tile.ocv, k->tile.px, have, best);
}

/* Tile widths, unit counts and row blocks of a convolution add up to the whole output. */
static void check_conv_units(const Kernel *k, const Target *t)
{
    int64_t blocks = 0, tiles = family_oc_tiles(k, t), rows = family_rows(k);
    for (int64_t i = 0; i < tiles; i++) {
        int width = family_oc_tile_width(k, t, i);
        assert_in_range(width, 1, k->tile.ocv);
        assert_true(width == k->tile.ocv || i == tiles - 1);
        blocks += width;
    }
    assert_int_equal(blocks, map_blocks(k->out, t->vl));
    assert_int_equal(rows, k->tile.flat ? k->out.h * k->out.w : k->out.h);
    assert_true(!k->tile.flat || (k->kh == 1 && k->sh == 1 && k->pt == 0));
    if (k->tile.winograd > 0) {
        int64_t units = family_units(k, t), all = up(k->out.h, 4) * up(k->out.w, 4);
        assert_int_equal(family_winograd_tiles(k), all);
        if (k->tile.split_oc) { /* small maps: channels are what is divided */
            assert_int_equal(k->tile.winograd, all);
            assert_int_equal(units, tiles);
            assert_true(map_blocks(k->out, t->vl) >= 6 && all <= 49);
            return;
        }
        assert_true(units >= 4 && (units - 1) * k->tile.winograd < all);
        assert_true(units * k->tile.winograd >= all);
        assert_in_range(k->tile.winograd, 4, 49);
        return;
    }
    assert_in_range(k->tile.rb, 1, rows);
    assert_int_equal(family_row_blocks(k), up(rows, k->tile.rb));
    assert_int_equal(family_units(k, t), k->tile.split_oc ? tiles : family_row_blocks(k));
    if (k->tile.split_oc)
        assert_int_equal(k->tile.rb, rows);
    else
        assert_true(family_row_blocks(k) <= 16);
    if (k->tile.flat && !k->tile.split_oc) /* whole register tiles, all but the last block */
        assert_int_equal(k->tile.rb % up(rows, up(rows, k->tile.px)), 0);
    /* Fewer than 6 units only when the other way has no more, or by channels less than twice as
     * many; those of a gated input not by channels where there are rows for all threads. */
    int64_t by_rows = k->tile.flat ? up(rows, k->tile.px) : rows;
    if (k->tile.split_oc)
        assert_true((tiles >= 6 || by_rows < 2 * tiles) && (k->gate_arg < 0 || by_rows < 12));
    else
        assert_true(by_rows >= 6 || tiles <= by_rows);
}

static void check_chunks(const Kernel *k, const Target *t)
{
    assert_int_equal(family_in_place(k), k->tile.kc == 0);
    assert_int_equal(k->tile.prefetch, k->tile.kc != 0);
    int64_t blocks = family_ic_blocks(k, t), steps = family_ic_lanes(k, t) * k->kh * k->kw;
    int64_t bytes = 4 * steps * k->tile.ocv * t->vl;
    if (k->tile.kc == 0) { /* all at once only when that fits, or is one chunk, or for one tile */
        int64_t pixels = family_rows(k) * (k->tile.flat ? 1 : k->out.w);
        assert_true(!k->tile.split_oc || k->groups > 1 || k->tile.winograd > 0 ||
                    bytes * blocks <= t->l1 / 2 || pixels / k->tile.px < 2 ||
                    t->l1 / 2 / bytes >= blocks || (blocks - 1) * steps < 64);
        return;
    }
    assert_true(k->tile.split_oc && k->groups == 1 && k->tile.kc < blocks);
    assert_true(bytes * blocks > t->l1 / 2);
    assert_true(bytes * k->tile.kc <= t->l1 / 2 || (k->tile.kc - 1) * steps < 64);
    int64_t chunks = up(blocks, k->tile.kc); /* nearly equal */
    assert_int_equal(k->tile.kc, up(blocks, chunks));
}

static void test_conv_tiles(void **state)
{
    (void)state;
    uint32_t chunked = 0, wino = 0, split = 0, flat = 0;
    for (int round = 0; round < 6000; round++) {
        const Target *t = &targets[round % TARGETS];
        Kernel k = random_conv_kernel();
        if (round % 5 == 0) { /* small maps of many channels: where reductions are cut */
            k.in.c *= 1 + 7 * (k.in.layout == LAYOUT_BLOCKED);
            k.in.h = k.in.w = draw(7, 14);
            k.out.c *= 8;
            k.out.h = k.out.w = (k.in.h - 1) / k.sh + 1;
        }
        family_choose_tile(&k, t);
        check_register_tile(&k, t,
                            k.tile.winograd ? k.tile.winograd
                            : k.tile.flat   ? k.out.h * k.out.w
                                            : k.out.w);
        check_conv_units(&k, t);
        check_chunks(&k, t);
        chunked += k.tile.kc > 0;
        wino += k.tile.winograd > 0;
        split += k.tile.split_oc;
        flat += k.tile.flat;
    }
    assert_true(chunked > 50 && wino > 50 && split > 300 && flat > 300);
}

/* By hand: 2 x 14 with two inputs and a weight take 31 of 32 registers, 2 x 6 take 15 of 16; where
 * there is one output vector or one pixel, the tile is as wide. */
static void test_known_tiles(void **state)
{
    (void)state;
    static const struct {
        int target;
        int64_t ic, oc, h, k, s;
        int ocv, px;
        bool flat;
    } rows[] = {
        {3, 16, 64, 14, 3, 1, 2, 14, false}, {2, 16, 64, 12, 3, 1, 2, 6, false},
        {3, 16, 16, 14, 3, 1, 1, 14, false}, {2, 16, 8, 12, 3, 1, 1, 12, false},
        {3, 64, 32, 1, 1, 1, 2, 1, true},    {0, 64, 4, 1, 1, 1, 1, 1, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Kernel k = conv_kernel(rows[i].ic, rows[i].oc, rows[i].h, rows[i].k, rows[i].s);
        family_choose_tile(&k, &targets[rows[i].target]);
        if (k.tile.ocv != rows[i].ocv || k.tile.px != rows[i].px || k.tile.flat != rows[i].flat)
            fail_msg("%zu: %dx%d flat %d", i, k.tile.ocv, k.tile.px, k.tile.flat);
    }
}

static void test_winograd_choice(void **state)
{
    (void)state;
    const Target *t = &targets[2];
    Kernel good = conv_kernel(64, 64, 28, 3, 1), k = good;
    family_choose_tile(&k, t);
    assert_true(k.tile.winograd > 0 && !k.tile.split_oc && k.tile.kc == 0);
    int64_t step = 64 * k.tile.winograd + 16;
    assert_int_equal(family_winograd_step(&k, t, k.in), step);
    assert_int_equal(family_scratch(&k, t), 36 * 2 * step);
    assert_true(4 * family_scratch(&k, t) <= t->l2 * 3 / 4);
    assert_int_equal(family_weight_floats(&k, t), 36 * 64 * 64);
    /* 49 tiles in 7 units of 7; 16 in 4 of 4. Saved there: (9 * 14 * 14 - 36 * 16) / (2 * vl), 74
     * cycles or, with wide vectors, 37. Weights cost 17 + 3 * 2 from the second-level cache, and
     * 17 + 3 * 8 where it does not hold them. */
    static const int known[][3] = {{2, 28, 7}, {2, 14, 4}, {3, 14, 4}, {3, 16, 4}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        k = conv_kernel(64, 64, known[i][1], 3, 1);
        family_choose_tile(&k, &targets[known[i][0]]);
        assert_int_equal(k.tile.winograd, known[i][2]);
    }
    k = conv_kernel(256, 64, 14, 3, 1);
    family_choose_tile(&k, &targets[3]);
    assert_int_equal(k.tile.winograd, 0);
#define NO_WINOGRAD(CHANGE)                                                                        \
    k = good;                                                                                      \
    CHANGE;                                                                                        \
    family_choose_tile(&k, t);                                                                     \
    assert_int_equal(k.tile.winograd, 0)
    NO_WINOGRAD(k.sw = 2);
    NO_WINOGRAD(k.sh = 2);
    NO_WINOGRAD(k.kh = 5);
    NO_WINOGRAD(k.kw = 1);
    NO_WINOGRAD(k.dh = 2);
    NO_WINOGRAD(k.groups = 2);
    NO_WINOGRAD(k.gate_arg = 0);
    NO_WINOGRAD(k.family = FAM_CONVT);
    NO_WINOGRAD(k.in.layout = LAYOUT_PLANAR);
    NO_WINOGRAD(k.in.c = 31);
    NO_WINOGRAD(k.out.c = 31);
    NO_WINOGRAD(k.out.h = k.out.w = k.in.h = k.in.w = 4); /* one tile: nothing to save */
    k = good; /* nine tiles are less than 4 units of 4: divided by channels */
    k.out.h = k.out.w = k.in.h = k.in.w = 12;
    family_choose_tile(&k, t);
    assert_int_equal(k.tile.winograd, 9);
    assert_true(k.tile.split_oc);
    k = good; /* too few output channels to divide */
    k.out.h = k.out.w = k.in.h = k.in.w = 12;
    k.out.c = 32;
    family_choose_tile(&k, t);
    assert_int_equal(k.tile.winograd, 0);
}

/* Families that go row by row, position by position or block by block. */
static void test_other_tiles(void **state)
{
    (void)state;
    for (int round = 0; round < 4000; round++) {
        const Target *t = &targets[round % TARGETS];
        MapDesc m = map(LAYOUT_BLOCKED, draw(1, 300), draw(1, 70), draw(1, 70));
        Family f = (Family)(round / TARGETS % (FAM_CONVT + 1)); /* those of inference */
        Kernel k = kernel(f, m, m);
        int64_t blocks = map_blocks(m, t->vl), n = m.h * m.w;
        k.kh = k.kw = draw(1, 15);
        k.sh = k.sw = k.dh = k.dw = 1;
        if (f == FAM_CONV || f == FAM_CONVT)
            continue;
        if (f == FAM_DENSE || f == FAM_GAP)
            k.out = map(LAYOUT_PLANAR, m.c, 1, 1);
        family_choose_tile(&k, t);
        int64_t units = family_units(&k, t), rows = family_rows(&k);
        bool position = f == FAM_ELEM || f == FAM_LN || f == FAM_SOFTMAX || f == FAM_LRN;
        assert_int_equal(rows, position ? n : k.out.h);
        assert_int_equal(family_scratch(&k, t), f == FAM_LRN ? blocks * t->vl : 0);
        if (f == FAM_DENSE) {
            assert_int_equal(k.tile.ocv * k.tile.px, t->regs / 2);
            assert_int_equal(units, up(blocks, k.tile.ocv));
            assert_true(units >= 8 || k.tile.ocv == 1);
            assert_true(k.tile.ocv == 4 || blocks < 16 * k.tile.ocv);
            continue;
        }
        if (f == FAM_GAP) {
            assert_int_equal(units, blocks);
            continue;
        }
        assert_in_range(k.tile.rb, 1, rows);
        assert_in_range(k.tile.px, 1, f == FAM_COPY ? 1 : position ? 4 : t->regs / 2);
        int64_t cut = family_row_blocks(&k);
        assert_true(cut <= 14 && cut * k.tile.rb >= rows && (cut - 1) * k.tile.rb < rows);
        bool whole = f == FAM_LN || f == FAM_SOFTMAX || f == FAM_LRN || f == FAM_COPY;
        assert_int_equal(units, f == FAM_COPY ? blocks : whole ? cut : blocks * cut);
        assert_true(cut == 1 || whole || blocks < 14); /* channel blocks are units enough */
        if (f == FAM_DEPTHWISE) /* accumulators, one window row of weights, one input */
            assert_true(k.tile.px + (k.kw < t->regs / 2 ? k.kw : t->regs / 2) + 1 <= t->regs);
        if (f == FAM_ELEM)
            assert_true(cut == 1 || k.tile.rb >= 64);
    }
}

static void test_copies(void **state)
{
    (void)state;
    const Target *t = &targets[2];
    Kernel k = kernel(FAM_COPY, map(LAYOUT_BLOCKED, 24, 20, 6), map(LAYOUT_BLOCKED, 60, 20, 6));
    k.copy = COPY_CHANNELS;
    k.count_c = 17;
    family_choose_tile(&k, t);
    assert_int_equal(family_units(&k, t), 3);
    k.copy = COPY_SHUFFLE;
    assert_int_equal(family_units(&k, t), 8);
    k.copy = COPY_BILINEAR; /* 8 blocks: 14 / 8 row blocks are one */
    assert_int_equal(family_units(&k, t), 8);
    k.out.c = 16; /* 2 blocks: 7 row blocks of 3 rows */
    family_choose_tile(&k, t);
    assert_int_equal(k.tile.rb, 3);
    assert_int_equal(family_units(&k, t), 14);
}

/* Candidates fit, differ, start with the tile itself, and where there is a choice offer one. */
static void test_candidates(void **state)
{
    (void)state;
    static Tile tiles[FAMILY_CANDIDATES + 1];
    uint32_t kc = 0, wino = 0, other = 0, most = 0;
    for (int round = 0; round < 4000; round++) {
        const Target *t = &targets[round % TARGETS];
        Kernel k = random_conv_kernel();
        if (round % 3 == 0) {
            MapDesc m = map(LAYOUT_BLOCKED, draw(1, 300), draw(1, 70), draw(1, 70));
            k = kernel((Family)(round / TARGETS % (FAM_CONVT + 1)), m, m); /* those of inference */
            if (k.family == FAM_CONV || k.family == FAM_CONVT)
                continue;
            if (k.family == FAM_DENSE || k.family == FAM_GAP)
                k.out = map(LAYOUT_PLANAR, m.c, 1, 1);
            k.kh = k.kw = draw(1, 7);
            k.sh = k.sw = k.dh = k.dw = 1;
        }
        family_choose_tile(&k, t);
        Tile own = k.tile;
        int n = family_candidates(&k, t, tiles, FAMILY_CANDIDATES + 1);
        assert_in_range(n, 1, FAMILY_CANDIDATES);
        assert_true(family_same_tile(&tiles[0], &own));
        most = n > (int)most ? (uint32_t)n : most;
        for (int i = 0; i < n; i++) {
            k.tile = tiles[i];
            assert_true(family_tile_fits(&k, t));
            for (int j = 0; j < i; j++)
                assert_false(family_same_tile(&tiles[i], &tiles[j]));
            kc += tiles[i].kc != own.kc;
            wino += tiles[i].winograd != own.winograd;
            other += tiles[i].ocv != own.ocv || tiles[i].px != own.px || tiles[i].rb != own.rb;
        }
        k.tile = own;
        assert_int_equal(family_candidates(&k, t, tiles, 1), 1);
        assert_int_equal(family_candidates(&k, t, tiles, 0), 0);
        k.family = FAM_UPDATE; /* of training: no choice */
        assert_int_equal(family_candidates(&k, t, tiles, 2), 0);
    }
    assert_true(kc > 1000 && wino > 1000 && other > 10000 && most > 20);
}

/* For GPUs: the rules' tile, and the others of the table; strips of depthwise convolutions. */
static void test_candidates_for_gpus(void **state)
{
    (void)state;
    Tile tiles[FAMILY_CANDIDATES];
    Target t = targets[0];
    t.kind = TARGET_CUDA;
    t.vl = 4;
    for (int round = 0; round < 500; round++) {
        Kernel k = random_conv_kernel();
        k.in.layout = k.out.layout = LAYOUT_CHANNELS;
        if (round % 2 == 0) {
            k.family = FAM_DEPTHWISE;
            k.groups = k.in.c = k.out.c;
        }
        family_choose_tile(&k, &t);
        Tile own = k.tile;
        int n = family_candidates(&k, &t, tiles, FAMILY_CANDIDATES);
        assert_true(family_same_tile(&tiles[0], &own));
        if (k.family == FAM_DEPTHWISE)
            assert_int_equal(n, k.out.w < 2 ? 1 : k.out.w < 4 || k.sw > 1 ? 2 : 3);
        else
            assert_int_equal(n, own.cuda.m > 0 ? 7 : 1);
        for (int i = 0; i < n; i++) {
            k.tile = tiles[i];
            assert_true(family_tile_fits(&k, &t));
            for (int j = 0; j < i; j++)
                assert_false(family_same_tile(&tiles[i], &tiles[j]));
        }
        k.tile.cuda.m += 8;
        assert_false(family_tile_fits(&k, &t));
        k.tile = own;
        k.tile.px = 3;
        assert_false(family_tile_fits(&k, &t));
    }
}

/* On matrix units: tiles of warps and, where there are any, of groups, as shared memory allows. */
static void test_candidates_on_matrix_units(void **state)
{
    (void)state;
    Tile tiles[FAMILY_CANDIDATES];
    int most = 0;
    for (int round = 0; round < 400; round++) {
        Target t = targets[0];
        t.kind = TARGET_CUDA;
        t.dtype = round % 2 ? DTYPE_BF16 : DTYPE_TF32;
        t.warp_groups = round % 4 >= 2;
        t.block_shared = (int64_t)draw(0, 227) << 10;
        t.shared = t.block_shared + 1024;
        Kernel k = random_conv_kernel();
        k.in.layout = k.out.layout = LAYOUT_CHANNELS;
        family_choose_tile(&k, &t);
        int n = family_candidates(&k, &t, tiles, FAMILY_CANDIDATES);
        bool units = cuda_on_matrix_units(&k);
        assert_true(family_same_tile(&tiles[0], &k.tile));
        assert_true(!units || n > 1);
        for (int i = 0; i < n && units; i++) {
            k.tile = tiles[i];
            assert_int_equal(k.tile.cuda.dtype, t.dtype);
            assert_true(!k.tile.cuda.group || (t.warp_groups && k.out.c / k.groups > 16));
            int64_t room =
                t.block_shared > CUDA_DECLARED_SHARED ? t.block_shared : CUDA_DECLARED_SHARED;
            assert_in_range(family_launch(&k, &t).shared, 1, room);
            assert_true(family_tile_fits(&k, &t));
        }
        most = n > most ? n : most;
    }
    assert_true(most > 12);
}

/* What no code could be made for, or would pass a buffer's end. */
static void test_tiles_that_do_not_fit(void **state)
{
    (void)state;
    const Target *t = &targets[2];
    Kernel direct = conv_kernel(20, 40, 12, 5, 1), flat = conv_kernel(20, 40, 12, 1, 1), k;
    Kernel wino = conv_kernel(64, 64, 28, 3, 1), pool = direct, dense = direct;
    pool.family = FAM_POOL;
    dense.family = FAM_DENSE;
    dense.out = map(LAYOUT_PLANAR, 100, 1, 1);
    Kernel *const all[] = {&direct, &flat, &wino, &pool, &dense};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        family_choose_tile(all[i], t);
        assert_true(family_tile_fits(all[i], t));
    }
#define UNFIT(FROM, CHANGE)                                                                        \
    k = FROM;                                                                                      \
    CHANGE;                                                                                        \
    assert_false(family_tile_fits(&k, t))
    UNFIT(direct, k.tile.ocv = 0);
    UNFIT(direct, k.tile.ocv = 5);
    UNFIT(direct, k.tile.px = 0);
    UNFIT(direct, k.tile.px = 13);
    UNFIT(direct, k.tile.rb = 0);
    UNFIT(direct, k.tile.rb = 13);
    UNFIT(direct, k.tile.rb = -1);
    UNFIT(direct, k.tile.kc = 1);
    UNFIT(direct, k.tile.kc = -1);
    UNFIT(direct, k.tile.flat = true);
    UNFIT(direct, k.tile.winograd = 4);
    UNFIT(direct, k.tile.winograd = -4);
    UNFIT(direct, k.tile.split_oc = !k.tile.split_oc; k.tile.rb = 3);
    UNFIT(flat, k.tile.flat = false);
    UNFIT(flat, k.tile.split_oc = false; k.tile.px = 5; k.tile.rb = 7);
    UNFIT(wino, k.tile.winograd = 50000);
    UNFIT(wino, k.tile.rb = 1);
    UNFIT(wino, k.tile.split_oc = true);
    UNFIT(wino, k.gate_arg = 0);
    UNFIT(pool, k.tile.px = 17);
    UNFIT(pool, k.tile.ocv = 2);
    UNFIT(pool, k.tile.rb = 1000);
    UNFIT(dense, k.tile.ocv = 9);
    UNFIT(dense, k.tile.px = 16);
    UNFIT(dense, k.tile.winograd = 1);
    Target exact = *t;
    exact.exact_conv = true;
    assert_false(family_tile_fits(&wino, &exact));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_conv_tiles),
        WITH_ARENA(test_known_tiles),
        WITH_ARENA(test_winograd_choice),
        WITH_ARENA(test_other_tiles),
        WITH_ARENA(test_copies),
        WITH_ARENA(test_candidates),
        WITH_ARENA(test_candidates_for_gpus),
        WITH_ARENA(test_candidates_on_matrix_units),
        WITH_ARENA(test_tiles_that_do_not_fit),
    };
    return cmocka_run_group_tests_name("tile", tests, NULL, NULL);
}
