/* Kernels for GPUs: launches, tiles, the order of weights. */
#include "family/cuda_choice.h"

enum {
    THREADS = 256,   /* of kernels whose threads work by themselves */
    GEMM_GROUP = 16, /* fewest channels of a group worth a tile of its own */
    BATCH_GUESS = 8  /* images that tiles are chosen for */
};

static int64_t padded(int64_t c, const Target *t)
{
    return mul(ceil_div(c, t->vl), t->vl);
}

static bool contraction(const Kernel *k)
{
    return k->family == FAM_CONV || k->family == FAM_CONVT;
}

/* Whether weights are packed for it, in lines on matrix units. */
static bool has_weights(const Kernel *k)
{
    return contraction(k) || k->family == FAM_DENSE;
}

bool cuda_contraction(const Kernel *k)
{
    return has_weights(k) || k->family == FAM_CONV_DW;
}

bool cuda_on_matrix_units(const Kernel *k)
{
    return k->tile.cuda.dtype != DTYPE_FP32;
}

int64_t cuda_weight_rows(const Kernel *k, const Target *t)
{
    return k->groups > 1 ? k->in.c / k->groups : padded(k->in.c, t);
}

int64_t cuda_weight_line(const Kernel *k, const Target *t)
{
    int64_t n = k->family == FAM_DENSE ? map_floats(k->in, t->vl)
                                       : mul(mul(k->kh, k->kw), cuda_weight_rows(k, t));
    int whole = 16 / dtype_info[k->tile.cuda.dtype].bytes;
    return mul(ceil_div(n, whole), whole);
}

bool cuda_is_narrow(const Kernel *k, int arg)
{
    return (k->narrow >> arg & 1) != 0;
}

/* Which operands of a family can be: those whose loads and epilogues are made for it. Losses take
 * logits, and means and statistics are kept, as they are computed. */
enum { READS = 1, STORES = 2 };

static int narrow_operands(const Kernel *k)
{
    switch (k->family) {
    case FAM_CONV:
    case FAM_CONVT:
        return cuda_on_matrix_units(k) && k->tile.cuda.dtype != DTYPE_BF16 ? 0 : READS | STORES;
    case FAM_DENSE: return k->tile.cuda.dtype == DTYPE_BF16 ? READS | STORES : 0;
    case FAM_DEPTHWISE:
    case FAM_DEPTHWISE_DX:
    case FAM_POOL:
    case FAM_POOL_DX:
    case FAM_ELEM:
    case FAM_LN:
    case FAM_LN_DX:
    case FAM_SOFTMAX:
    case FAM_SOFTMAX_DX:
    case FAM_LRN:
    case FAM_LRN_DX:
    case FAM_MASK:
    case FAM_COPY: return READS | STORES;
    case FAM_CONV_DW: return k->tile.cuda.dtype == DTYPE_TF32 ? 0 : READS;
    case FAM_DEPTHWISE_DW:
    case FAM_GAP:
    case FAM_LN_DW:
    case FAM_SUMS:
    case FAM_FINISH: return READS;
    default: return 0;
    }
}

bool cuda_may_be_narrow(const Kernel *k, int arg)
{
    int extra = arg - KERNEL_ARG_EXTRA, can = narrow_operands(k);
    bool copied = cuda_on_matrix_units(k) && has_weights(k); /* 16 bytes at a time */
    if (arg == KERNEL_ARG_OUT)
        return (can & STORES) != 0 && k->out.layout == LAYOUT_CHANNELS;
    if (arg == KERNEL_ARG_IN)
        return (can & READS) != 0 && k->in.layout == LAYOUT_CHANNELS &&
               !(copied && k->in.c / at_least_one(k->groups) % CUDA_NARROW);
    if (extra < 0 || extra >= k->extra_count || (can & READS) == 0 || k->family == FAM_GAP)
        return false;
    bool like_out = (can & STORES) != 0;
    return k->extra[extra] == KARG_PIVOT ||
           (k->extra[extra] == KARG_MAP && (!like_out || k->out.layout == LAYOUT_CHANNELS));
}

CudaPanels cuda_panels(const Kernel *k, const Target *t)
{
    const CudaTile *c = &k->tile.cuda;
    int64_t groups = at_least_one(k->groups);
    CudaPanels p = {.tiles = ceil_div(k->out.c / groups, c->n),
                    .steps = ceil_div(cuda_weight_line(k, t), c->k),
                    .elements = (int64_t)c->n * c->k};
    p.count = mul(mul(groups, p.tiles), p.steps);
    return p;
}

/* Elements of packed weights for matrix units. */
static int64_t packed_elements(const Kernel *k, const Target *t)
{
    CudaPanels p;
    if (!k->tile.cuda.group)
        return mul(k->out.c, cuda_weight_line(k, t));
    p = cuda_panels(k, t);
    return mul(p.count, p.elements);
}

int64_t cuda_packed_vectors(const Kernel *k, const Target *t)
{
    if (!cuda_on_matrix_units(k))
        return cuda_weight_floats(k, t) / t->vl;
    return packed_elements(k, t) / t->vl;
}

int64_t cuda_weight_floats(const Kernel *k, const Target *t)
{
    int64_t oc = padded(k->out.c, t), taps = mul(k->kh, k->kw);
    if (cuda_on_matrix_units(k) && has_weights(k))
        return packed_elements(k, t) * dtype_info[k->tile.cuda.dtype].bytes / 4;
    switch (k->family) {
    case FAM_CONV:
    case FAM_CONVT: return mul(mul(taps, cuda_weight_rows(k, t)), oc);
    case FAM_DEPTHWISE:
    case FAM_DEPTHWISE_DX: return mul(taps, oc);
    case FAM_DENSE: return mul(map_floats(k->in, t->vl), oc);
    default: return 0;
    }
}

/* Of output channel o, element `at` of its line, in panels. Sixteen channels are dealt to two
 * matrices of eight, and pieces of 16 bytes exchanged by the row, as mma.c has both. */
static int64_t panel_index(const Kernel *k, const Target *t, int64_t o, int64_t at)
{
    enum { PIECE = 16 };
    const CudaTile *c = &k->tile.cuda;
    CudaPanels p = cuda_panels(k, t);
    int64_t per_out = k->out.c / at_least_one(k->groups), bytes = dtype_info[c->dtype].bytes;
    int64_t column = o % per_out % c->n, of16 = column % 16, elements = PIECE / bytes;
    int64_t row = column - of16 + of16 % 4 / 2 * 8 + of16 / 4 * 2 + of16 % 2;
    int64_t exchange = c->k * bytes == 64 ? row % 8 / 2 : row % 8;
    int64_t panel = (o / per_out * p.tiles + o % per_out / c->n) * p.steps + at / c->k;
    int64_t piece = at % c->k / elements ^ exchange;
    return panel * p.elements + row * c->k + piece * elements + at % elements;
}

int64_t cuda_weight_index(const Kernel *k, const Target *t, int64_t o, int64_t i, int64_t y,
                          int64_t x)
{
    int64_t oc = padded(k->out.c, t), rows = cuda_weight_rows(k, t);
    bool units = cuda_on_matrix_units(k);
    if (k->tile.cuda.group) {
        Kernel lines = *k;
        lines.tile.cuda.group = false;
        return panel_index(k, t, o, cuda_weight_index(&lines, t, 0, i, y, x));
    }
    int64_t line = units ? o * cuda_weight_line(k, t) : o, step = units ? 1 : oc;
    if (k->family == FAM_DEPTHWISE || k->family == FAM_DEPTHWISE_DX)
        return (y * k->kw + x) * oc + o;
    if (k->family == FAM_DENSE) {
        int64_t at = y * k->in.w + x;
        int64_t input = k->in.layout == LAYOUT_PLANAR ? i * k->in.h * k->in.w + at
                                                      : at * padded(k->in.c, t) + i;
        return input * step + line;
    }
    return ((y * k->kw + x) * rows + (k->groups > 1 ? i % rows : i)) * step + line;
}

/* Whether a thread can take vl channels of a group at a time, and blocks of threads a tile. */
static bool whole_groups(const Kernel *k, const Target *t)
{
    int64_t groups = at_least_one(k->groups);
    return groups == 1 || (k->in.c / groups % t->vl == 0 && k->out.c / groups % t->vl == 0);
}

static bool tiled(const Kernel *k, const Target *t)
{
    int64_t groups = at_least_one(k->groups);
    return groups == 1 || (whole_groups(k, t) && k->out.c / groups >= GEMM_GROUP);
}

int64_t cuda_tile_shared(const CudaTile *c)
{
    if (c->dtype == DTYPE_FP32)
        return (int64_t)8 * c->k * (c->m + 4 + c->n);
    int64_t barriers = c->group ? (int64_t)c->stages * 8 : 0; /* that say when weights have come */
    return (int64_t)c->stages * (c->m + c->n) * c->k * dtype_info[c->dtype].bytes + barriers;
}

int64_t cuda_most_shared(const Target *t)
{
    return t->block_shared > CUDA_DECLARED_SHARED ? t->block_shared : CUDA_DECLARED_SHARED;
}

int64_t launch_shared(const Launch *l)
{
    return l->shared > CUDA_DECLARED_SHARED ? l->shared : 0;
}

/* Blocks of such a tile that a multiprocessor holds, of those that keep it busy: as far as their
 * sums, addresses and shared memory go. */
static int64_t resident(const CudaTile *c, const Target *t)
{
    enum { REGISTERS = 65536, BESIDE_SUMS = 64 };
    int64_t n = min64(CUDA_RESIDENT, REGISTERS / (c->m * c->n + BESIDE_SUMS * c->threads));
    if (t->shared > 0)
        n = min64(n, t->shared / (cuda_tile_shared(c) + CUDA_SYSTEM_SHARED));
    return at_least_one(n);
}

/* Steps of the reduction are whole; those of ordinary units are short. */
static double tile_depth(const Kernel *k, const Target *t, const CudaTile *c)
{
    Kernel own = *k;
    own.tile.cuda = *c;
    return c->dtype == DTYPE_FP32 ? 1
                                  : (double)mul(ceil_div(cuda_weight_line(&own, t), c->k), c->k);
}

/* Blocks of a launch are equal: what counts is how many a multiprocessor makes, at least those that
 * it holds, and what each does, also past the edges of the map. */
static double tile_cost(const Kernel *k, const Target *t, const CudaTile *c, double weight)
{
    int64_t groups = at_least_one(k->groups);
    int64_t positions = mul(mul(k->out.h, k->out.w), BATCH_GUESS);
    int64_t blocks = mul(ceil_div(positions, c->m), mul(groups, ceil_div(k->out.c / groups, c->n)));
    double made = (double)blocks / (double)CUDA_MULTIPROCESSORS, held = (double)resident(c, t);
    return (made > held ? made : held) * c->m * c->n * tile_depth(k, t, c) * weight;
}

/* Whether a thread's sums leave registers for what k does with them. */
static bool leaves_registers(const Kernel *k, const CudaTile *c)
{
    enum { MOST_WITH_LINES = 64 };
    return !k->lines || c->group || c->m * c->n <= MOST_WITH_LINES * c->threads;
}

static void best_tile(Kernel *k, const Target *t, CudaChoices all, Dtype d)
{
    double best = 0;
    for (int i = 0; i < all.count; i++) {
        CudaTile c = all.at[i].tile;
        if (d != DTYPE_FP32)
            cuda_on_units(&c, d);
        double cost = tile_cost(k, t, &c, all.at[i].weight);
        if (cuda_tile_shared(&c) > cuda_most_shared(t) || !leaves_registers(k, &c) ||
            (best > 0 && cost >= best))
            continue;
        best = cost;
        k->tile.cuda = c;
    }
}

/* Whether every step of the reduction is vectors of input channels, of one group. */
static bool suits_matrix_units(const Kernel *k, const Target *t)
{
    if (t->dtype == DTYPE_FP32 || k->in.layout != LAYOUT_CHANNELS)
        return false;
    if (k->family == FAM_DENSE)
        return k->in_pixel == 0 || k->in.h * k->in.w == 1;
    return contraction(k) && tiled(k, t);
}

bool cuda_suits_groups(const Kernel *k, const Target *t)
{
    enum { LEAST_OF_GROUPS = 16 /* more columns than the least tile of warps has */ };
    return t->warp_groups && k->out.c / at_least_one(k->groups) > LEAST_OF_GROUPS;
}

void cuda_choose_tile(Kernel *k, const Target *t)
{
    CudaTile *c = &k->tile.cuda;
    *c = (CudaTile){.threads = THREADS};
    if (suits_matrix_units(k, t))
        best_tile(k, t, cuda_suits_groups(k, t) ? cuda_wgmma_choices : cuda_mma_choices, t->dtype);
    else if (contraction(k) && tiled(k, t))
        best_tile(k, t, cuda_tile_choices, DTYPE_FP32);
    else if (k->family == FAM_DENSE)
        *c = (CudaTile){.threads = THREADS, .m = 4, .n = 32, .tm = 4, .tn = 4};
    else if (k->family == FAM_CONV_DW)
        cuda_choose_dw_tile(k, t);
    else if (k->family == FAM_DEPTHWISE)
        k->tile.px = k->out.w >= 4 && k->sw <= 1 ? 4 : k->out.w >= 2 ? 2 : 1;
}

/* Channel blocks of what a COPY writes, or channels one by one where blocks do not meet. */
static int64_t copied(const Kernel *k, const Target *t)
{
    if (k->copy != COPY_CHANNELS)
        return map_blocks(k->out, t->vl);
    if (k->src_c % t->vl == 0 && k->dst_c % t->vl == 0)
        return ceil_div(k->count_c, t->vl);
    bool ends = k->dst_c + k->count_c == k->out.c; /* the lanes after it are zeroed */
    return ends ? padded(k->out.c, t) - k->dst_c : k->count_c;
}

/* Warp groups read inputs that lie as the units want them, and whose rows are the product's:
 * positions of all images, one after another. */
static LaunchTensor input_tensor(const Kernel *k, const Target *t)
{
    bool dense = k->family == FAM_DENSE;
    int64_t positions = dense ? 1 : mul(k->in.h, k->in.w),
            pixel = map_pixel(k->in, t->vl, k->in_pixel);
    bool same = dense || (k->family == FAM_CONV && k->kh == 1 && k->kw == 1 && k->sh <= 1 &&
                          k->sw <= 1 && k->pt == 0 && k->pl == 0 && k->in.h == k->out.h &&
                          k->in.w == k->out.w && k->groups <= 1);
    LaunchTensor in = {.channels = dense ? map_floats(k->in, t->vl) : k->in.c,
                       .rows = positions,
                       .step = positions == 1 ? k->in_step : pixel};
    bool together = positions == 1 || k->in_step == mul(positions, pixel);
    if (!k->tile.cuda.group || k->tile.cuda.dtype != DTYPE_BF16 || k->gate_arg >= 0 ||
        !cuda_is_narrow(k, KERNEL_ARG_IN) || !same || !together || in.step < in.channels ||
        in.step % CUDA_NARROW != 0)
        in = (LaunchTensor){0};
    return in;
}

static Launch tile_launch(const Kernel *k, const Target *t)
{
    const CudaTile *c = &k->tile.cuda;
    int64_t groups = at_least_one(k->groups);
    return (Launch){.items = mul(k->out.h, k->out.w),
                    .per_block = c->m,
                    .rows = mul(groups, ceil_div(k->out.c / groups, c->n)),
                    .threads = c->threads,
                    .shared = cuda_tile_shared(c),
                    .in = cuda_on_matrix_units(k) ? input_tensor(k, t) : (LaunchTensor){0}};
}

Launch family_launch(const Kernel *k, const Target *t)
{
    const CudaTile *c = &k->tile.cuda;
    int64_t pixels = mul(k->out.h, k->out.w), blocks = map_blocks(k->out, t->vl);
    Launch l = {
        .items = mul(pixels, blocks), .per_block = c->threads, .rows = 1, .threads = c->threads};
    if (cuda_train_launch(k, t, &l))
        return l;
    switch (k->family) {
    case FAM_CONV:
    case FAM_CONVT:
        if (c->m > 0)
            return tile_launch(k, t);
        if (!whole_groups(k, t))
            l.items = mul(pixels, padded(k->out.c, t));
        break;
    case FAM_DENSE:
        if (cuda_on_matrix_units(k))
            return tile_launch(k, t);
        l.items = 1;
        l.per_block = c->tm;
        l.rows = ceil_div(k->out.c, c->n);
        l.shared = (int64_t)c->threads / CUDA_WARP * (c->n / c->tn) * c->tm * 16;
        break;
    case FAM_DEPTHWISE:
        l.items = mul(mul(k->out.h, ceil_div(k->out.w, at_least_one(k->tile.px))), blocks);
        break;
    case FAM_GAP:
        l.items = ceil_div(blocks, CUDA_SUMMED);
        l.per_block = 1;
        l.shared = (int64_t)c->threads / CUDA_WARP * CUDA_SUMMED * 16;
        break;
    case FAM_LN:
    case FAM_SOFTMAX:
        l.items = pixels;
        l.per_block = c->threads / CUDA_WARP;
        break;
    case FAM_COPY: l.items = mul(pixels, copied(k, t)); break;
    default: break;
    }
    return l;
}

int64_t cuda_units(const Kernel *k, const Target *t)
{
    Launch l = family_launch(k, t);
    return mul(ceil_div(l.items, at_least_one(l.per_block)), l.rows);
}

/* Those of several results name where each goes. */
static bool stores_out(const Kernel *k)
{
    bool named = k->family == FAM_FINISH || k->family == FAM_UPDATE;
    for (int i = 0; named && i < k->root_count; i++)
        if (k->root_to[i] == KERNEL_ARG_OUT)
            return true;
    return !named;
}

int kernel_sums_arg(const Kernel *k)
{
    for (int i = 0; i < k->extra_count && contraction(k); i++)
        if (k->extra[i] == KARG_RESULT)
            return KERNEL_ARG_EXTRA + i;
    return -1;
}

int kernel_line_sums(const Kernel *k)
{
    enum { MOMENTS = 2 };
    return k->root_count > 0 ? k->root_count : MOMENTS;
}

int64_t kernel_lines(const Kernel *k)
{
    return ceil_div(k->out.h * k->out.w, k->tile.cuda.m);
}

bool kernel_reads_run(const Kernel *k)
{
    for (int i = 0; i < k->extra_count; i++)
        if (k->extra[i] == KARG_HYPER)
            return true;
    return k->family == FAM_MASK;
}

bool kernel_has_arg(const Kernel *k, const Target *t, int arg)
{
    int extra = arg - KERNEL_ARG_EXTRA;
    if (arg == KERNEL_ARG_OUT)
        return stores_out(k);
    if (extra >= 0 && extra < k->extra_count &&
        (k->extra[extra] == KARG_HYPER || k->extra[extra] == KARG_TERM ||
         k->extra[extra] == KARG_COUNT || k->extra[extra] == KARG_SHARE))
        return false;
    if (arg == KERNEL_ARG_IN)
        return k->in.c > 0;
    if (arg == KERNEL_ARG_W)
        return family_weight_floats(k, t) > 0;
    if (arg == KERNEL_ARG_BIAS)
        return k->has_bias;
    return arg >= KERNEL_ARG_EXTRA && arg < KERNEL_ARG_EXTRA + k->extra_count;
}
