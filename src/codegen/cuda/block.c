#include "codegen/cuda/block.h"

enum { MOST_SUMS = 2 };

static LLVMValueRef row_of(const BlockTile *t, int r)
{
    return emit_add(t->kn->e, t->row, cuda_int(t->kn, t->row_at[r]));
}

/* Column c of the thread in its group, and in the block. */
static LLVMValueRef column_of(const BlockTile *t, int c)
{
    Emit *e = t->kn->e;
    return emit_add(e, emit_add(e, t->column, t->first_column), cuda_int(t->kn, t->column_at[c]));
}

static LLVMValueRef column_in_block(const BlockTile *t, int c)
{
    return emit_add(t->kn->e, t->column, cuda_int(t->kn, t->column_at[c]));
}

static LLVMValueRef channel_of(const BlockTile *t, LLVMValueRef column)
{
    Emit *e = t->kn->e;
    return emit_add(e, emit_mul(e, t->left->group, t->per_out), column);
}

static LLVMValueRef with_bias(const BlockTile *t, int i, LLVMValueRef chan)
{
    return emit_fadd(t->kn->e, t->v[i], cuda_bias(t->kn, chan));
}

static void store_at(const BlockTile *t, int r, int c, Spot s)
{
    CudaKern *kn = t->kn;
    bool tail = t->stored % kn->k->tile.cuda.n != 0;
    LLVMValueRef column = column_of(t, c);
    If inside;
    if (tail)
        if_begin(kn->e, &inside, cuda_inside(kn, column, t->stored));
    s.chan = channel_of(t, column);
    cuda_finish(kn, with_bias(t, r * t->columns + c, s.chan), s);
    if (tail)
        if_end(kn->e, &inside);
}

/* Where a thread has many columns, one is done with before the next: what epilogues read per
 * channel would be kept for all of them until the next row. */
static bool by_column(const BlockTile *t)
{
    return t->columns > t->rows;
}

static void store(const BlockTile *t)
{
    int together = by_column(t) ? 1 : t->columns;
    for (int c = 0; c < t->columns; c += together)
        for (int r = 0; r < t->rows; r++) {
            LLVMValueRef row = row_of(t, r);
            If stored;
            if_begin(t->kn->e, &stored, emit_less(t->kn->e, row, t->left->total));
            Spot s = patches_spot(t->left, row);
            for (int i = 0; i < together; i++)
                store_at(t, r, c + i, s);
            if_end(t->kn->e, &stored);
        }
}

/* Sums over the block's positions. Moments: of the distance to the value of its first position and
 * of the square of that; else of the kernel's roots. */
typedef struct BlockSums {
    const BlockTile *t;
    CudaKern *kn;
    Emit *e;
    bool moments;
    int count;
    LLVMValueRef valid[BLOCK_VECTORS], stored[BLOCK_VECTORS]; /* moments: once all are */
    LLVMValueRef sum[BLOCK_COLUMNS][MOST_SUMS];
} BlockSums;

/* Stores vector i, where there is such: what is stored or the roots of that, zeros where nothing
 * is. */
static void store_summed(BlockSums *s, int i, Spot at, LLVMValueRef column,
                         LLVMValueRef term[MOST_SUMS])
{
    CudaKern *kn = s->kn;
    Emit *e = s->e;
    LLVMBasicBlockRef from[2] = {LLVMGetInsertBlock(e->b)};
    LLVMValueRef args[EXPR_MAX_ARGS] = {0}, value[KERNEL_MAX_ROOTS];
    int terms = s->moments ? 1 : s->count;
    If f;
    if_begin(e, &f, s->valid[i]);
    at.chan = channel_of(s->t, column);
    value[0] = cuda_finish_with(kn, with_bias(s->t, i, at.chan), at, args);
    if (!s->moments) {
        args[0] = value[0];
        cuda_roots(kn, e->vec, args, value);
    }
    from[1] = LLVMGetInsertBlock(e->b);
    if_end(e, &f);
    for (int q = 0; q < terms; q++) {
        LLVMValueRef in[2] = {emit_real(e->vec, 0), value[q]};
        term[q] = LLVMBuildPhi(e->b, e->vec, "");
        LLVMAddIncoming(term[q], in, from, 2);
    }
}

/* Row r, column c of the thread: roots are summed as they come; of moments the pivot is not known
 * yet. */
static void store_vector(BlockSums *s, int r, int c)
{
    const BlockTile *t = s->t;
    Emit *e = s->e;
    int i = r * t->columns + c;
    LLVMValueRef row = row_of(t, r), column = column_of(t, c), inside = NULL;
    LLVMValueRef term[MOST_SUMS] = {NULL};
    if (t->stored % s->kn->k->tile.cuda.n != 0)
        inside = cuda_inside(s->kn, column, t->stored);
    s->valid[i] = cuda_and(s->kn, emit_less(e, row, t->left->total), inside);
    store_summed(s, i, patches_spot(t->left, row), column, term);
    s->stored[i] = term[0];
    for (int q = 0; q < s->count && !s->moments; q++)
        s->sum[c][q] = emit_fadd(e, s->sum[c][q], term[q]);
}

/* The first position's values, for all threads; blocks have a position at least. */
static void spread_pivot(const BlockSums *s)
{
    const BlockTile *t = s->t;
    Emit *e = s->e;
    If first;
    if_begin(e, &first, LLVMBuildICmp(e->b, LLVMIntEQ, t->row, t->first_row, ""));
    for (int c = 0; c < t->columns; c++)
        cuda_store(s->kn, s->stored[c], emit_at(e, t->shared, column_in_block(t, c)));
    if_end(e, &first);
    nvptx_barrier(e);
}

/* Over what the thread has of column c, row by row. */
static void sum_moments(BlockSums *s, int c)
{
    const BlockTile *t = s->t;
    Emit *e = s->e;
    LLVMValueRef *sum = s->sum[c];
    LLVMValueRef pivot = cuda_load(s->kn, emit_at(e, t->shared, column_in_block(t, c)));
    for (int r = 0; r < t->rows; r++) {
        int i = r * t->columns + c;
        LLVMValueRef far = emit_fsub(e, s->stored[i], pivot);
        far = emit_select(e, s->valid[i], far, emit_real(e->vec, 0));
        sum[0] = emit_fadd(e, sum[0], far);
        sum[1] = emit_fma(e, far, far, sum[1]);
    }
}

/* Where sum q of the warps of a line lies in shared memory, behind the pivots. */
static LLVMValueRef line_at(const BlockSums *s, LLVMValueRef line, int q, LLVMValueRef column)
{
    Emit *e = s->e;
    int n = s->kn->k->tile.cuda.n;
    LLVMValueRef at = emit_mul(e, line, (int64_t)s->count * n);
    at = emit_add(e, at, cuda_int(s->kn, (int64_t)(q + 1) * n));
    return emit_at(e, s->t->shared, emit_add(e, at, column));
}

/* Column c over the lanes of a warp, in a tree. */
static void sum_lanes(BlockSums *s, int c)
{
    const BlockTile *t = s->t;
    Emit *e = s->e;
    LLVMValueRef lane;
    If first;
    cuda_split(s->kn, s->kn->thread, NVPTX_WARP, &lane);
    for (int q = 0; q < s->count; q++)
        for (int lanes = t->apart; lanes < NVPTX_WARP; lanes *= 2)
            s->sum[c][q] = emit_fadd(e, s->sum[c][q], cuda_shuffle(s->kn, s->sum[c][q], lanes));
    if_begin(e, &first, cuda_inside(s->kn, lane, t->apart));
    for (int q = 0; q < s->count; q++)
        cuda_store(s->kn, s->sum[c][q], line_at(s, t->line, q, column_in_block(t, c)));
    if_end(e, &first);
}

/* Roots are summed as soon as a column, or all of them, are complete. */
static void store_all(BlockSums *s)
{
    const BlockTile *t = s->t;
    int together = by_column(t) ? 1 : t->columns;
    for (int c = 0; c < t->columns; c += together) {
        for (int r = 0; r < t->rows; r++)
            for (int i = 0; i < together; i++)
                store_vector(s, r, c + i);
        for (int i = 0; i < together && !s->moments; i++)
            sum_lanes(s, c + i);
    }
}

/* The mean and the sum of squared distances to it, of a block's n positions. */
static void mean_and_squares(const BlockSums *s, LLVMValueRef column, LLVMValueRef sum[MOST_SUMS])
{
    Emit *e = s->e;
    LLVMValueRef rows = emit_sub(e, s->t->left->total, s->t->first_row);
    rows = emit_imin(e, rows, cuda_int(s->kn, s->kn->k->tile.cuda.m));
    LLVMValueRef share = emit_fdiv(e, emit_real(e->f32, 1), emit_to_float(e, rows));
    LLVMValueRef shift = emit_fmul(e, sum[0], emit_splat(e, share));
    LLVMValueRef least = emit_real(e->vec, 0), lost = emit_fmul(e, sum[0], shift);
    sum[1] = emit_fmax(e, emit_fsub(e, sum[1], lost), least);
    sum[0] = emit_fadd(e, cuda_load(s->kn, emit_at(e, s->t->shared, column)), shift);
}

/* Over the warps, in their order, to the block's line. */
static void sum_lines(BlockSums *s)
{
    const BlockTile *t = s->t;
    CudaKern *kn = s->kn;
    Emit *e = s->e;
    int arg = kernel_sums_arg(kn->k);
    int64_t padded = map_pixel(kn->k->out, e->vl, 0);
    LLVMValueRef column = emit_mul(e, kn->thread, e->vl), sum[MOST_SUMS];
    LLVMValueRef in_group = emit_add(e, t->first_column, column);
    If mine;
    LLVMValueRef there = cuda_inside(kn, column, kn->k->tile.cuda.n);
    if_begin(e, &mine, cuda_and(kn, there, cuda_inside(kn, in_group, t->stored)));
    for (int q = 0; q < s->count; q++) {
        sum[q] = cuda_load(kn, line_at(s, cuda_int(kn, 0), q, column));
        for (int line = 1; line < t->lines; line++) {
            LLVMValueRef part = cuda_load(kn, line_at(s, cuda_int(kn, line), q, column));
            sum[q] = emit_fadd(e, sum[q], part);
        }
    }
    if (s->moments)
        mean_and_squares(s, column, sum);
    LLVMValueRef to =
        cuda_image(kn, kn->extra[arg - KERNEL_ARG_EXTRA], kn->block, s->count * padded);
    to = emit_at(e, to, channel_of(t, in_group));
    for (int q = 0; q < s->count; q++)
        cuda_store(kn, sum[q], emit_at_const(e, to, q * padded));
    if_end(e, &mine);
}

void block_finish(const BlockTile *t)
{
    CudaKern *kn = t->kn;
    const Kernel *k = kn->k;
    BlockSums s = {.t = t, .kn = kn, .e = kn->e, .moments = k->root_count == 0};
    s.count = kernel_line_sums(k);
    if (kernel_sums_arg(k) < 0) {
        store(t);
        return;
    }
    int64_t floats = (int64_t)k->tile.cuda.n * (1 + t->lines * s.count);
    if (s.count > MOST_SUMS || 4 * floats > kn->launch.shared) {
        emit_fail(kn->e, "%d sums of a block's positions", s.count);
        return;
    }
    for (int i = 0; i < t->columns * MOST_SUMS; i++)
        s.sum[i / MOST_SUMS][i % MOST_SUMS] = emit_real(kn->e->vec, 0);
    nvptx_barrier(kn->e); /* the last step of the reduction has been read by all */
    store_all(&s);
    if (s.moments)
        spread_pivot(&s);
    for (int c = 0; c < t->columns && s.moments; c++) {
        sum_moments(&s, c);
        sum_lanes(&s, c);
    }
    nvptx_barrier(kn->e);
    sum_lines(&s);
}
