/* Convolution as a matrix product whose left matrix is never made: rows are output positions of all
 * images, the reduction runs over taps and input channels. A block keeps two steps of the reduction
 * in shared memory: while one is multiplied, the next is on its way from memory. */
#include "codegen/cuda/block.h"

enum { MOST_LOADS = 8, MOST_ROWS = 8, MOST_VECTORS = 2, ROW_PADDING = 4 };

typedef struct Gemm {
    CudaKern *kn;
    Emit *e;
    const Kernel *k;
    CudaTile t;
    Patches left;
    int64_t per_out, oc;                  /* of a group; floats from a row of weights to the next */
    int64_t steps;                        /* of the reduction */
    int a_loads, b_loads;                 /* vectors a thread brings in a step */
    int a_floats, b_floats;               /* of one step in shared memory */
    LLVMValueRef first_row, first_column; /* of the block; the column, in its group */
    LLVMValueRef a, b;                    /* shared memory */
    PatchRow row[MOST_LOADS];
    LLVMValueRef a_chunk, a_row; /* of the loads of this thread: vector in a step; first position */
    LLVMValueRef b_row, b_column; /* first row in a step; column in the group */
    LLVMValueRef tx, ty;          /* the thread in the block's tile */
    LLVMValueRef acc[MOST_ROWS * MOST_VECTORS];
} Gemm;

static void open_tile(Gemm *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    LLVMValueRef tile;
    int64_t tiles = (g->per_out + g->t.n - 1) / g->t.n;
    LLVMValueRef group = cuda_split(kn, kn->row, tiles, &tile);
    patches_open(&g->left, kn, group, e->vl);
    g->first_row = emit_mul(e, kn->block, g->t.m);
    g->first_column = emit_mul(e, tile, g->t.n);
    g->a = nvptx_shared(e, 2 * ((int64_t)g->a_floats + g->b_floats));
    g->b = emit_at_const(e, g->a, 2 * g->a_floats);
    g->ty = cuda_split(kn, kn->thread, g->t.n / g->t.tn, &g->tx);
}

static void open_loads(Gemm *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    int chunks = g->t.k / e->vl, across = g->t.n / e->vl;
    g->a_row = cuda_split(kn, kn->thread, chunks, &g->a_chunk);
    for (int j = 0; j < g->a_loads; j++) {
        LLVMValueRef i = emit_add(e, g->a_row, cuda_int(kn, (int64_t)j * g->t.threads / chunks));
        g->row[j] = patches_row(&g->left, emit_add(e, g->first_row, i));
    }
    g->b_row = cuda_split(kn, kn->thread, across, &g->b_column);
    g->b_column = emit_add(e, emit_mul(e, g->b_column, e->vl), g->first_column);
}

/* Whether the last step passes the end of the reduction. */
static bool cut(const Gemm *g)
{
    return g->left.all % (g->t.k / g->e->vl) != 0;
}

/* Step number `step`: what this thread brings of it. */
static void load_step(const Gemm *g, LLVMValueRef step, PatchLoad *a, PatchLoad *b)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    int64_t chunks = g->t.k / e->vl, across = g->t.n / e->vl;
    bool narrow = g->per_out % g->t.n != 0;
    LLVMValueRef at = emit_add(e, emit_mul(e, step, chunks), g->a_chunk);
    LLVMValueRef inside = cut(g) ? cuda_inside(kn, at, g->left.all) : NULL;
    PatchTap t = patches_tap(&g->left, at);
    for (int j = 0; j < g->a_loads; j++)
        a[j] = patches_load(&g->left, &g->row[j], &t, inside);
    for (int j = 0; j < g->b_loads; j++) {
        LLVMValueRef row = emit_add(e, emit_mul(e, step, g->t.k), g->b_row);
        row = emit_add(e, row, cuda_int(kn, (int64_t)j * g->t.threads / across));
        LLVMValueRef column = emit_add(e, emit_mul(e, g->left.group, g->per_out), g->b_column);
        LLVMValueRef p = emit_at(e, kn->w, emit_add(e, emit_mul(e, row, g->oc), column));
        LLVMValueRef valid = cut(g) ? cuda_inside(kn, row, g->left.all * e->vl) : NULL;
        if (narrow)
            valid = cuda_and(kn, valid, cuda_inside(kn, g->b_column, g->per_out));
        b[j] = patch_load(kn, valid, p, kn->w);
    }
}

/* Inputs are stored transposed: [float of the step][position]. */
static void store_step(const Gemm *g, LLVMValueRef buffer, const PatchLoad *a, const PatchLoad *b)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    int chunks = g->t.k / e->vl, across = g->t.n / e->vl, line = g->t.m + ROW_PADDING;
    LLVMValueRef to = emit_at(e, g->a, emit_mul(e, buffer, g->a_floats));
    to = emit_at(e, to, emit_add(e, emit_mul(e, g->a_chunk, (int64_t)e->vl * line), g->a_row));
    for (int j = 0; j < g->a_loads; j++) {
        LLVMValueRef v = patch_arrived(kn, &a[j]);
        for (int lane = 0; lane < e->vl; lane++) {
            int64_t at = (int64_t)lane * line + (int64_t)j * g->t.threads / chunks;
            emit_store(e, emit_lane(e, v, lane), emit_at_const(e, to, at));
        }
    }
    to = emit_at(e, g->b, emit_mul(e, buffer, g->b_floats));
    LLVMValueRef column = emit_sub(e, g->b_column, g->first_column);
    to = emit_at(e, to, emit_add(e, emit_mul(e, g->b_row, g->t.n), column));
    for (int j = 0; j < g->b_loads; j++)
        cuda_store(kn, patch_arrived(kn, &b[j]),
                   emit_at_const(e, to, (int64_t)j * g->t.threads / across * g->t.n));
}

/* One float of the reduction: a column of the left matrix times a row of the right one. Row and
 * column groups of a thread are spread over the tile, so that neighbours read neighbouring vectors
 * of shared memory. */
static void multiply(Gemm *g, LLVMValueRef a, LLVMValueRef b)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    int high = g->t.tm / 4, wide = g->t.tn / 4;
    LLVMValueRef right[MOST_VECTORS];
    for (int j = 0; j < wide; j++)
        right[j] = cuda_load(kn, emit_at_const(e, b, j * (g->t.n / wide)));
    for (int h = 0; h < high; h++) {
        LLVMValueRef left = cuda_load(kn, emit_at_const(e, a, h * (g->t.m / high)));
        for (int r = 0; r < 4; r++) {
            LLVMValueRef v = emit_splat(e, emit_lane(e, left, r));
            for (int j = 0; j < wide; j++) {
                LLVMValueRef *sum = &g->acc[(h * 4 + r) * wide + j];
                *sum = emit_fma(e, v, right[j], *sum);
            }
        }
    }
}

/* The step in a buffer, a few floats at a time: as many as leave registers for the sums. */
static void multiply_step(Gemm *g, LLVMValueRef buffer)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    int line = g->t.m + ROW_PADDING, few = g->t.tm + g->t.tn > 8 ? 2 : 4;
    LLVMValueRef a = emit_at(e, g->a, emit_mul(e, buffer, g->a_floats));
    LLVMValueRef b = emit_at(e, g->b, emit_mul(e, buffer, g->b_floats));
    a = emit_at(e, a, emit_mul(e, g->ty, 4));
    b = emit_at(e, b, emit_mul(e, g->tx, 4));
    Loop l;
    loop_begin(e, &l, cuda_int(kn, 0), cuda_int(kn, g->t.k), few, true, g->t.tm * (g->t.tn / 4),
               g->acc);
    a = emit_at(e, a, emit_mul(e, l.iv, line));
    b = emit_at(e, b, emit_mul(e, l.iv, g->t.n));
    for (int i = 0; i < few; i++)
        multiply(g, emit_at_const(e, a, i * line), emit_at_const(e, b, i * g->t.n));
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
    loop_end(e, &l, g->acc);
    nvptx_keep_rolled(e, latch);
}

static void reduce(Gemm *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    PatchLoad a[MOST_LOADS], b[MOST_LOADS];
    LLVMValueRef zero = cuda_int(kn, 0), last = zero;
    int n = g->t.tm * (g->t.tn / 4);
    load_step(g, zero, a, b);
    store_step(g, zero, a, b);
    nvptx_barrier(e);
    if (g->steps > 1) {
        Loop l;
        loop_begin(e, &l, zero, cuda_int(kn, g->steps - 1), 1, true, n, g->acc);
        LLVMValueRef next = emit_add(e, l.iv, cuda_int(kn, 1));
        load_step(g, next, a, b);
        multiply_step(g, emit_rem(e, l.iv, 2));
        store_step(g, emit_rem(e, next, 2), a, b);
        nvptx_barrier(e);
        loop_end(e, &l, g->acc);
        last = cuda_int(kn, (g->steps - 1) % 2);
    }
    multiply_step(g, last);
}

static void finish(const Gemm *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    int high = g->t.tm / 4, wide = g->t.tn / 4, across = g->t.n / g->t.tn;
    LLVMValueRef lane;
    BlockTile t = {.kn = kn,
                   .left = &g->left,
                   .per_out = g->per_out,
                   .stored = g->per_out,
                   .first_row = g->first_row,
                   .first_column = g->first_column,
                   .rows = g->t.tm,
                   .columns = wide,
                   .apart = across,
                   .lines = g->t.threads / NVPTX_WARP,
                   .shared = g->a};
    t.line = cuda_split(kn, kn->thread, NVPTX_WARP, &lane);
    t.row = emit_add(e, g->first_row, emit_mul(e, g->ty, 4));
    t.column = emit_mul(e, g->tx, 4);
    for (int r = 0; r < t.rows; r++)
        t.row_at[r] = r / 4 * (g->t.m / high) + r % 4;
    for (int c = 0; c < wide; c++)
        t.column_at[c] = c * (g->t.n / wide);
    for (int i = 0; i < t.rows * wide; i++)
        t.v[i] = g->acc[i];
    block_finish(&t);
}

static bool fits(const Gemm *g)
{
    const CudaTile *t = &g->t;
    int chunks = t->k / 4, across = t->n / 4;
    return t->tm % 4 == 0 && t->tn % 4 == 0 && t->tm <= MOST_ROWS && t->tn <= 4 * MOST_VECTORS &&
           t->threads % chunks == 0 && t->threads % across == 0 &&
           t->m * chunks == g->a_loads * t->threads && t->k * across == g->b_loads * t->threads &&
           g->a_loads <= MOST_LOADS && g->b_loads <= MOST_LOADS;
}

bool cuda_gemm(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    Gemm g = {.kn = kn, .e = e, .k = k, .t = k->tile.cuda};
    g.oc = map_pixel(k->out, e->vl, 0);
    g.per_out = k->groups > 1 ? k->out.c / k->groups : g.oc;
    g.steps = (cuda_weight_rows(k, e->t) * k->kh * k->kw + g.t.k - 1) / g.t.k;
    g.a_loads = g.t.m * g.t.k / e->vl / g.t.threads;
    g.b_loads = g.t.n * g.t.k / e->vl / g.t.threads;
    g.a_floats = g.t.k * (g.t.m + ROW_PADDING);
    g.b_floats = g.t.k * g.t.n;
    if (!fits(&g))
        return emit_fail(e, "a tile of %d x %d x %d", g.t.m, g.t.n, g.t.k);
    for (int i = 0; i < MOST_ROWS * MOST_VECTORS; i++)
        g.acc[i] = emit_real(e->vec, 0);
    open_tile(&g);
    open_loads(&g);
    reduce(&g);
    finish(&g);
    return true;
}
