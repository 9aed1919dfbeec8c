/* Sizes, units and packing of kernels: what planner, packer and emitters must agree on. */
#include "family/count.h"

const char *const family_name[FAM_COUNT] = {
#define FAMILY(ID, NAME, DOC) [FAM_##ID] = NAME,
#include "family/family.def"
};

int64_t map_blocks(MapDesc m, int vl)
{
    return ceil_div(m.c, vl);
}

int64_t map_floats(MapDesc m, int vl)
{
    int64_t c = m.layout == LAYOUT_PLANAR ? m.c : mul(map_blocks(m, vl), vl);
    return mul(mul(c, m.h), m.w);
}

int64_t map_pixel(MapDesc m, int vl, int64_t step)
{
    return step > 0 ? step : mul(map_blocks(m, vl), vl);
}

Layout target_layout(const Target *t)
{
    return t->kind == TARGET_CUDA ? LAYOUT_CHANNELS : LAYOUT_BLOCKED;
}

static bool by_position(const Kernel *k)
{
    return k->family == FAM_ELEM || k->family == FAM_LN || k->family == FAM_SOFTMAX ||
           k->family == FAM_LRN || k->tile.flat;
}

int64_t family_rows(const Kernel *k)
{
    return by_position(k) ? mul(k->out.h, k->out.w) : k->out.h;
}

int64_t family_row_blocks(const Kernel *k)
{
    return k->tile.rb > 0 ? ceil_div(family_rows(k), k->tile.rb) : 1;
}

int64_t family_oc_tiles(const Kernel *k, const Target *t)
{
    return ceil_div(map_blocks(k->out, t->vl), k->tile.ocv > 0 ? k->tile.ocv : 1);
}

int family_oc_tile_width(const Kernel *k, const Target *t, int64_t tile)
{
    int64_t left = map_blocks(k->out, t->vl) - tile * k->tile.ocv;
    return left < k->tile.ocv ? (int)left : k->tile.ocv;
}

int family_ic_lanes(const Kernel *k, const Target *t)
{
    return k->in.layout == LAYOUT_PLANAR ? 1 : t->vl;
}

/* Input-channel blocks [*lo, *hi) that the groups of an oc tile read. */
static void ic_range(const Kernel *k, const Target *t, int64_t tile, int64_t *lo, int64_t *hi)
{
    int64_t groups = k->groups > 0 ? k->groups : 1;
    int64_t per_out = k->out.c / groups, per_in = k->in.c / groups;
    int64_t first = tile * k->tile.ocv * t->vl;
    int64_t last = first + (int64_t)k->tile.ocv * t->vl - 1;
    if (last >= k->out.c)
        last = k->out.c - 1;
    int lanes = family_ic_lanes(k, t);
    *lo = first / per_out * per_in / lanes;
    *hi = ceil_div((last / per_out + 1) * per_in, lanes);
}

int64_t family_ic_blocks(const Kernel *k, const Target *t)
{
    int64_t all = ceil_div(k->in.c, family_ic_lanes(k, t));
    if (k->groups <= 1)
        return all;
    int64_t most = 0, tiles = family_oc_tiles(k, t);
    for (int64_t i = 0; i < tiles; i++) {
        int64_t lo, hi;
        ic_range(k, t, i, &lo, &hi);
        if (hi - lo > most)
            most = hi - lo;
    }
    return most;
}

int64_t family_ic_first(const Kernel *k, const Target *t, int64_t tile)
{
    if (k->groups <= 1)
        return 0;
    int64_t lo, hi;
    ic_range(k, t, tile, &lo, &hi);
    /* Every tile has as many blocks as the one with most; the window is moved inside the map. */
    int64_t limit = ceil_div(k->in.c, family_ic_lanes(k, t)) - family_ic_blocks(k, t);
    return lo < limit ? lo : limit;
}

int64_t family_winograd_tiles(const Kernel *k)
{
    return mul(ceil_div(k->out.h, 4), ceil_div(k->out.w, 4));
}

int64_t family_winograd_step(const Kernel *k, const Target *t, MapDesc m)
{
    enum { LINE = 16 };
    return mul(mul(map_blocks(m, t->vl), t->vl), k->tile.winograd) + LINE;
}

void family_winograd_filter(const double g[9], double u[36])
{
    static const double to[6][3] = {{1.0 / 4, 0, 0},
                                    {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                    {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                    {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                    {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                    {0, 0, 1}};
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++) {
            double sum = 0;
            for (int y = 0; y < 3; y++)
                for (int x = 0; x < 3; x++)
                    sum += to[i][y] * g[y * 3 + x] * to[j][x];
            u[i * 6 + j] = sum;
        }
}

bool family_in_place(const Kernel *k)
{
    return k->tile.kc == 0 && (k->family < FAM_PACK || k->family == FAM_DEPTHWISE_DX);
}

int64_t family_units(const Kernel *k, const Target *t)
{
    if (t->kind == TARGET_CUDA)
        return cuda_units(k, t);
    switch (k->family) {
    case FAM_CONV:
    case FAM_CONVT:
        if (k->tile.winograd > 0 && !k->tile.split_oc)
            return ceil_div(family_winograd_tiles(k), k->tile.winograd);
        return k->tile.split_oc ? family_oc_tiles(k, t) : family_row_blocks(k);
    case FAM_DENSE: return family_oc_tiles(k, t);
    case FAM_LN:
    case FAM_SOFTMAX:
    case FAM_LRN: return family_row_blocks(k);
    case FAM_DEPTHWISE:
    case FAM_POOL:
    case FAM_ELEM: return mul(map_blocks(k->out, t->vl), family_row_blocks(k));
    case FAM_GAP: return map_blocks(k->out, t->vl);
    case FAM_COPY:
        if (k->copy == COPY_CHANNELS)
            return ceil_div(k->count_c, t->vl);
        if (k->copy == COPY_BORDER || k->copy == COPY_NEAREST || k->copy == COPY_BILINEAR ||
            k->copy == COPY_NEAREST_DX || k->copy == COPY_BILINEAR_DX)
            return mul(map_blocks(k->out, t->vl), family_row_blocks(k));
        return map_blocks(k->out, t->vl);
    default: return family_train_units(k, t);
    }
}

bool family_gates_weights(const Kernel *k, const Target *t)
{
    return k->family == FAM_CONV && k->gate_arg >= 0 &&
           family_weight_floats(k, t) < map_floats(k->in, t->vl);
}

int64_t family_fetch_blocks(const Kernel *k, const Target *t)
{
    int64_t tiles = ceil_div(k->tile.split_oc ? family_rows(k) : k->tile.rb, k->tile.px);
    return tiles * family_ic_blocks(k, t) * (k->tile.split_oc ? 1 : family_oc_tiles(k, t));
}

int64_t family_scratch(const Kernel *k, const Target *t)
{
    if (t->kind == TARGET_CUDA)
        return 0;
    if (k->tile.winograd > 0) /* 36 positions of the unit's patches and of their products */
        return mul(36, family_winograd_step(k, t, k->in) + family_winograd_step(k, t, k->out));
    if (family_gates_weights(k, t))
        return family_weight_floats(k, t);
    if (k->family == FAM_CONV && k->gate_arg >= 0) /* the gated input of one unit's pixels */
        return mul(mul(map_blocks(k->in, t->vl), t->vl),
                   k->tile.split_oc ? family_rows(k) : k->tile.rb);
    if (k->family == FAM_LRN) /* squares of one position's channels, zeros at both ends */
        return mul(map_blocks(k->in, t->vl) + 2 * ceil_div(k->lrn_size, t->vl), t->vl);
    return family_train_scratch(k, t);
}

int64_t family_weight_floats(const Kernel *k, const Target *t)
{
    if (t->kind == TARGET_CUDA)
        return cuda_weight_floats(k, t);
    int64_t taps = mul(k->kh, k->kw), oc = mul(map_blocks(k->out, t->vl), t->vl);
    if (k->tile.winograd > 0)
        taps = 36;
    switch (k->family) {
    case FAM_CONV:
    case FAM_CONVT: return mul(mul(oc, taps), mul(family_ic_blocks(k, t), family_ic_lanes(k, t)));
    case FAM_DEPTHWISE:
    case FAM_DEPTHWISE_DX: return mul(oc, taps);
    case FAM_DENSE: return mul(oc, map_floats(k->in, t->vl));
    default: return 0;
    }
}

int64_t family_bias_floats(const Kernel *k, const Target *t)
{
    return k->has_bias ? mul(map_blocks(k->out, t->vl), t->vl) : 0;
}

int64_t family_tile_weights(const Kernel *k, const Target *t, int64_t tile)
{
    return tile * k->tile.ocv * t->vl * family_ic_blocks(k, t) * family_ic_lanes(k, t) * k->kh *
           k->kw;
}

int64_t family_weight_index(const Kernel *k, const Target *t, int64_t o, int64_t i, int64_t y,
                            int64_t x)
{
    if (t->kind == TARGET_CUDA)
        return cuda_weight_index(k, t, o, i, y, x);
    int64_t vl = t->vl, block = o / vl, lane = o % vl;
    if (k->family == FAM_DEPTHWISE || k->family == FAM_DEPTHWISE_DX)
        return ((block * k->kh + y) * k->kw + x) * vl + lane;
    if (k->family == FAM_DENSE) {
        int64_t plane = k->in.h * k->in.w, at = y * k->in.w + x;
        int64_t input =
            k->in.layout == LAYOUT_PLANAR ? i * plane + at : (i / vl * plane + at) * vl + i % vl;
        return (block * map_floats(k->in, t->vl) + input) * vl + lane;
    }
    int64_t lanes = family_ic_lanes(k, t), tile = block / k->tile.ocv;
    if (k->tile.winograd > 0) {
        int64_t inputs = family_ic_blocks(k, t) * lanes, first = tile * k->tile.ocv;
        int64_t at = (y * 6 + x) * map_blocks(k->out, t->vl) * vl * inputs + first * vl * inputs;
        return at + (i * family_oc_tile_width(k, t, tile) + block - first) * vl + lane;
    }
    int64_t row = i / lanes - family_ic_first(k, t, tile);
    int64_t step = ((row * k->kh + y) * k->kw + x) * lanes + i % lanes;
    int64_t width = family_oc_tile_width(k, t, tile);
    return family_tile_weights(k, t, tile) + (step * width + block - tile * k->tile.ocv) * vl +
           lane;
}

static void key_map(Buf *out, const char *name, MapDesc m)
{
    static const char letter[] = {
        [LAYOUT_PLANAR] = 'P', [LAYOUT_BLOCKED] = 'B', [LAYOUT_CHANNELS] = 'C'};
    buf_printf(out, " %s=%c%lldx%lldx%lld", name, letter[m.layout], (long long)m.c, (long long)m.h,
               (long long)m.w);
}

static void key_copy(const Kernel *k, Buf *out)
{
    static const char *const name[] = {[COPY_LAYOUT] = "layout",
                                       [COPY_CHANNELS] = "channels",
                                       [COPY_BORDER] = "border",
                                       [COPY_NEAREST] = "nearest",
                                       [COPY_BILINEAR] = "bilinear",
                                       [COPY_SPACE_TO_DEPTH] = "space_to_depth",
                                       [COPY_SHUFFLE] = "shuffle",
                                       [COPY_CHANNELS_DX] = "channels_dx",
                                       [COPY_NEAREST_DX] = "nearest_dx",
                                       [COPY_BILINEAR_DX] = "bilinear_dx",
                                       [COPY_DEPTH_TO_SPACE] = "depth_to_space"};
    buf_printf(out, " %s", name[k->copy]);
    if (k->copy == COPY_CHANNELS || k->copy == COPY_CHANNELS_DX)
        buf_printf(out, " c=%lld:%lld+%lld", (long long)k->src_c, (long long)k->dst_c,
                   (long long)k->count_c);
    if (k->copy == COPY_BORDER)
        buf_printf(out, " at=%lld,%lld", (long long)k->pt, (long long)k->pl);
    if (k->by_h != 0 || k->by_w != 0)
        buf_printf(out, " by=%lldx%lld", (long long)k->by_h, (long long)k->by_w);
    if (k->copy == COPY_SHUFFLE)
        buf_printf(out, " g=%lld", (long long)k->groups);
}

static void key_window(const Kernel *k, Buf *out)
{
    static const char *const pool[] = {[POOL_MAX] = "max",
                                       [POOL_AVG] = "avg",
                                       [POOL_AVG_INCLUDE_PAD] = "avg_pad",
                                       [POOL_ADAPTIVE_AVG] = "adaptive"};
    if (k->family == FAM_POOL || k->family == FAM_POOL_DX)
        buf_printf(out, " %s", pool[k->pool]);
    if (k->kh != 0 || k->kw != 0)
        buf_printf(out, " k=%lldx%lld s=%lldx%lld d=%lldx%lld p=%lld,%lld", (long long)k->kh,
                   (long long)k->kw, (long long)k->sh, (long long)k->sw, (long long)k->dh,
                   (long long)k->dw, (long long)k->pt, (long long)k->pl);
    if (k->pool == POOL_AVG_INCLUDE_PAD)
        buf_printf(out, ",%lld,%lld", (long long)k->pb, (long long)k->pr);
    if (k->groups > 1)
        buf_printf(out, " g=%lld", (long long)k->groups);
}

static void key_real(const char *name, double v, Buf *out)
{
    buf_add(out, name);
    buf_real(out, v);
}

static void key_roots(const Kernel *k, Buf *out)
{
    for (int i = 0; i < k->root_count; i++) {
        buf_printf(out, " to%d=", k->root_to[i]);
        expr_print(k->pool_expr, k->root_of[i], out);
    }
}

/* A tile, and how far apart images and positions are. */
static void key_cuda(const Kernel *k, Buf *out)
{
    const CudaTile *c = &k->tile.cuda;
    buf_printf(out, " threads=%d", c->threads);
    if (c->m > 0)
        buf_printf(out, " tile=%dx%dx%d/%dx%d", c->m, c->n, c->k, c->tm, c->tn);
    if (c->dtype != DTYPE_FP32)
        buf_printf(out, "%s*%d%s", dtype_info[c->dtype].name, c->stages, c->group ? "g" : "");
    buf_printf(out, " step=%lld,%lld", (long long)k->in_step, (long long)k->out_step);
    if (k->narrow != 0)
        buf_printf(out, " narrow=%x", (unsigned)k->narrow);
    if (k->in_pixel != 0 || k->out_pixel != 0)
        buf_printf(out, " pixel=%lld,%lld", (long long)k->in_pixel, (long long)k->out_pixel);
    for (int i = 0; i < k->extra_count; i++)
        if (k->extra_pixel[i] != 0)
            buf_printf(out, " pixel%d=%lld", i, (long long)k->extra_pixel[i]);
}

static void key_tile(const Kernel *k, Buf *out)
{
    buf_printf(out, " tile=%dx%d rb=%d kc=%d%s%s%s", k->tile.ocv, k->tile.px, k->tile.rb,
               k->tile.kc, k->tile.flat ? " flat" : "", k->tile.split_oc ? " oc" : "",
               k->tile.prefetch ? " pf" : "");
    if (k->tile.winograd > 0)
        buf_printf(out, " winograd=%d", k->tile.winograd);
    if (k->tile.dw_rows > 0)
        buf_printf(out, " dw=%dx%d", k->tile.dw_tiles, k->tile.dw_rows);
}

/* What only kernels of training steps have. */
static void key_training(const Kernel *k, Buf *out)
{
    if (k->whole)
        buf_printf(out, " whole=%lld,%lld", (long long)k->in_step, (long long)k->out_step);
    for (int i = 0; i < k->extra_count; i++)
        if (k->extra_step[i] != 0 || k->hyper[i] != 0)
            buf_printf(out, " e%d=%lld,%d", i, (long long)k->extra_step[i], k->hyper[i]);
    if (k->dy.c != 0)
        key_map(out, "dy", k->dy);
    if (k->slices != 0)
        buf_printf(out, " slices=%d", k->slices);
    if (k->part != 0)
        buf_printf(out, " part=%lld", (long long)k->part);
    if (k->positions != 0)
        buf_printf(out, " n=%lld", (long long)k->positions);
    if (k->family == FAM_PACK)
        buf_printf(out, " for=%s o=%lld i=%lld%s", family_name[k->packs], (long long)k->pack_o,
                   (long long)k->pack_i, k->pack_flip ? " flip" : "");
    if (k->family == FAM_LOSS || k->family == FAM_LOSS_DX) {
        buf_printf(out, " form=%d", (int)k->loss);
        key_real(" weight=", k->weight, out);
        key_real(" smoothing=", k->smoothing, out);
    }
    if (k->family == FAM_MASK) {
        buf_printf(out, " key=%lld%s", (long long)k->mask_key, k->per_image ? " image" : "");
        key_real(" p=", k->p, out);
    }
    key_roots(k, out);
}

void family_key(const Kernel *k, const Target *t, Buf *out)
{
    static const char arg_letter[] = {
        [KARG_MAP] = 'm',   [KARG_CHANNEL] = 'c', [KARG_GATE] = 'g',  [KARG_SCALAR] = 's',
        [KARG_HYPER] = 'h', [KARG_TERM] = 't',    [KARG_COUNT] = 'n', [KARG_PIVOT] = 'p',
        [KARG_SHARE] = 'w', [KARG_RESULT] = 'r',  [KARG_AHEAD] = 'a'};
    buf_printf(out, "%s vl=%d", family_name[k->family], t->vl);
    key_map(out, "in", k->in);
    key_map(out, "out", k->out);
    if (k->family == FAM_COPY)
        key_copy(k, out);
    else
        key_window(k, out);
    if (k->family == FAM_LN || k->family == FAM_LN_DX || k->family == FAM_LN_DW)
        key_real(" eps=", k->eps, out);
    if (k->family == FAM_LRN || k->family == FAM_LRN_DX) {
        buf_printf(out, " n=%lld", (long long)k->lrn_size);
        key_real(" alpha=", k->alpha, out);
        key_real(" beta=", k->beta, out);
        key_real(" k=", k->bias_k, out);
    }
    if (t->kind == TARGET_CUDA)
        key_cuda(k, out);
    else
        key_tile(k, out);
    if (k->has_bias)
        buf_add(out, " bias");
    if (k->gate_arg >= 0)
        buf_printf(out, " gate=%d", k->gate_arg);
    if (k->summed)
        buf_add(out, " summed");
    if (k->fetch > 0)
        buf_printf(out, " fetch=%d", k->fetch);
    if (k->extra_count > 0) {
        buf_add(out, " extra=");
        for (int i = 0; i < k->extra_count; i++)
            buf_addc(out, arg_letter[k->extra[i]]);
    }
    if (k->root.v != 0) {
        buf_add(out, " expr=");
        expr_print(k->pool_expr, k->root, out);
    }
    key_training(k, out);
}
