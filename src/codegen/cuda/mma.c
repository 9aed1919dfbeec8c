/* Convolutions and dense layers on matrix units: the product of gemm.c, rows and columns the same.
 * Shared memory is a ring of `stages` steps of the reduction: while one is multiplied, the others
 * are on their way. Rows of both operands lie [row][64 or 128 bytes], their pieces of 16 bytes
 * exchanged by the row's number (xor), so that the eight rows which are read or written together
 * never meet in a bank.
 *
 * Weights are packed in the operands' own type and are copied asynchronously. So are inputs that
 * lie as bf16 in memory, and those that are multiplied as tf32, which are rounded when they are
 * read from shared memory. Other inputs pass through registers and are rounded on their way: fp32
 * that is multiplied as bf16, and what is multiplied by a gate.
 *
 * Warp groups: weights are packed in panels, and one thread has a step's copied in bulk; inputs
 * whose rows are the product's come with them, in a box of a tensor. A barrier for each buffer of
 * the ring says when all of its bytes have come. */
#include "codegen/cuda/block.h"
#include "codegen/cuda/round.h"
#include "codegen/llvm/nvptx_bulk.h"
#include "codegen/llvm/nvptx_group.h"
#include "codegen/llvm/nvptx_matrix.h"
#include <stddef.h>

enum { MOST_LOADS = 16, MOST_HIGH = 4, MOST_WIDE = 4, MOST_STAGES = 4, MOST_SUMS = 128 };
enum { HIGH = 16, WIDE = 16, DEPTH = 32 /* bytes of one instruction */ };

typedef struct Mma {
    CudaKern *kn;
    Emit *e;
    const Kernel *k;
    CudaTile t;
    Patches left;
    bool through;          /* inputs pass through registers */
    bool boxes;            /* they come in bulk, as the weights do */
    bool rounds;           /* they are rounded after they are read from shared memory */
    bool overlaps;         /* the product of a step goes on while the next one is asked for */
    int ahead;             /* steps that loads are before products */
    int64_t per_out, line; /* channels of a group; bytes of weights per output channel */
    int64_t steps;         /* of the reduction */
    int row;               /* bytes in shared memory */
    int vectors, pieces;   /* of a row: of inputs that are brought together, of 16 bytes */
    int a_loads, b_loads;  /* that a thread brings in a step */
    int high, wide;        /* of a warp's part: 16 rows, 16 columns */
    LLVMValueRef first_row, first_column; /* of the block; the column in its group */
    LLVMValueRef a, b, a_to, b_to;        /* shared memory; where this thread's first loads go */
    LLVMValueRef full;                    /* groups: barriers that say when weights have come */
    LLVMValueRef a_from, b_from;          /* bytes to the row that a lane names (ldmatrix) */
    PatchRow in[MOST_LOADS];
    LLVMValueRef vector, piece; /* of the loads of this thread, in a step */
    LLVMValueRef w, column;     /* of its first weights; their output channel, in the block;
                                   groups: w is the block's first panel */
    LLVMValueRef warp_row, warp_column, lane; /* its part: rows and columns of the block */
    LLVMValueRef group_row;                   /* of the warp group's part */
    LLVMValueRef acc[MOST_SUMS];
} Mma;

/* The number that the pieces of a row are exchanged by; `eighth`: its place among the eight rows of
 * a matrix. Rows of 64 bytes pair up in the 128 of a line of banks. */
static LLVMValueRef swizzle(const Mma *g, LLVMValueRef eighth)
{
    return g->pieces == 4 ? emit_div(g->e, eighth, 2) : eighth;
}

/* Sixteen output channels are dealt to two matrices of eight so that a lane's sums are four
 * channels that lie together: 4 * q, 4 * q + 1 in the first, the two after them in the second. This
 * is the row of channel r in shared memory; *eighth: in its matrix. */
static LLVMValueRef dealt(const Mma *g, LLVMValueRef r, LLVMValueRef *eighth)
{
    Emit *e = g->e;
    LLVMValueRef of16, of4, wide = cuda_split(g->kn, r, WIDE, &of16);
    LLVMValueRef pair = cuda_split(g->kn, of16, 4, &of4), odd;
    LLVMValueRef second = cuda_split(g->kn, of4, 2, &odd);
    *eighth = emit_add(e, emit_mul(e, pair, 2), odd);
    return emit_add(e, emit_add(e, emit_mul(e, wide, WIDE), emit_mul(e, second, 8)), *eighth);
}

/* Where in the block this thread's warp, or warp group, multiplies. */
static void open_part(Mma *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    LLVMValueRef part, of4 = NULL, warp = cuda_split(kn, kn->thread, NVPTX_WARP, &g->lane);
    if (g->t.group)
        warp = cuda_split(kn, warp, NVPTX_GROUP / NVPTX_WARP, &of4);
    part = cuda_split(kn, warp, g->t.n / g->t.tn, &g->warp_column);
    g->warp_column = emit_mul(e, g->warp_column, g->t.tn);
    g->group_row = g->warp_row = emit_mul(e, part, g->t.tm);
    if (g->t.group)
        g->warp_row = emit_add(e, g->warp_row, emit_mul(e, of4, HIGH));
}

/* Of the weights of a step, as they lie in shared memory. */
static int64_t panel_bytes(const Mma *g)
{
    return (int64_t)g->t.n * g->row;
}

/* Whether this is the thread that asks for panels. */
static LLVMValueRef leads(const Mma *g)
{
    return emit_less(g->e, g->kn->thread, cuda_int(g->kn, 1));
}

static void open_tile(Mma *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    LLVMValueRef tile, group;
    int64_t a_bytes = (int64_t)g->t.m * g->row * g->t.stages;
    group = cuda_split(kn, kn->row, (g->per_out + g->t.n - 1) / g->t.n, &tile);
    patches_open(&g->left, kn, group, g->t.k / g->vectors);
    g->first_row = emit_mul(e, kn->block, g->t.m);
    g->first_column = emit_mul(e, tile, g->t.n);
    g->a = nvptx_shared(e, kn->launch.shared / 4);
    if (g->t.group) /* rows that are exchanged alike repeat within that */
        LLVMSetAlignment(g->a, 1024);
    g->b = emit_at_const(e, g->a, a_bytes / 4);
    if (g->t.group)
        g->full = emit_at_const(e, g->b, panel_bytes(g) * g->t.stages / 4);
}

/* Barriers for panels, and where these lie. */
static void open_panels(Mma *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    If lead;
    LLVMValueRef first = LLVMBuildSExt(e->b, kn->row, e->i64, ""); /* bytes may pass 2^31 */
    g->w = cuda_bytes(kn, kn->w, emit_mul(e, first, g->steps * panel_bytes(g)));
    if_begin(e, &lead, leads(g));
    nvptx_phases_open(e, g->full, g->t.stages);
    if_end(e, &lead);
}

/* Where loads come from and go to. All rows that a thread brings lie alike among their eight. */
static void open_loads(Mma *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    int bytes = g->row / g->vectors, apart = g->t.threads / g->vectors;
    LLVMValueRef row = cuda_split(kn, kn->thread, g->vectors, &g->vector), at, swapped;
    for (int j = 0; j < g->a_loads && !g->boxes; j++) {
        LLVMValueRef i = emit_add(e, row, cuda_int(kn, (int64_t)j * apart));
        g->in[j] = patches_row(&g->left, emit_add(e, g->first_row, i));
    }
    at = emit_mul(e, g->vector, bytes);
    swapped = emit_mul(e, swizzle(g, emit_rem(e, row, 8)), NVPTX_COPY);
    g->a_to =
        cuda_bytes(kn, g->a, emit_add(e, emit_mul(e, row, g->row), cuda_xor(kn, at, swapped)));
    if (g->t.group) {
        open_panels(g);
        return;
    }
    g->column = cuda_split(kn, kn->thread, g->pieces, &g->piece);
    row = dealt(g, g->column, &swapped);
    at = emit_mul(e, cuda_xor(kn, g->piece, swizzle(g, swapped)), NVPTX_COPY);
    g->b_to = cuda_bytes(kn, g->b, emit_add(e, emit_mul(e, row, g->row), at));
    LLVMValueRef o = emit_add(e, emit_mul(e, g->left.group, g->per_out), g->first_column);
    o = LLVMBuildSExt(e->b, emit_add(e, o, g->column), e->i64, ""); /* bytes may pass 2^31 */
    g->w = cuda_bytes(kn, kn->w, emit_mul(e, o, g->line));
    g->w = cuda_bytes(kn, g->w, emit_mul(e, g->piece, NVPTX_COPY));
}

/* Where each lane's rows of the first matrices lie. Of A: rows 0 to 7 and 8 to 15, then their
 * second halves. Of B: both halves of the first matrix, then of the second. */
static void open_reads(Mma *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    LLVMValueRef row, half, eighth, matrix = cuda_split(kn, g->lane, 8, &eighth), at;
    half = cuda_split(kn, g->lane, HIGH, &row);
    at = emit_mul(e, cuda_xor(kn, half, swizzle(g, eighth)), NVPTX_COPY);
    row = emit_mul(e, emit_add(e, g->warp_row, row), g->row);
    g->a_from = emit_add(e, row, at);
    LLVMValueRef second = cuda_split(kn, matrix, 2, &half);
    at = emit_mul(e, cuda_xor(kn, half, swizzle(g, eighth)), NVPTX_COPY);
    row = emit_add(e, emit_add(e, emit_mul(e, second, 8), eighth), g->warp_column);
    g->b_from = emit_add(e, emit_mul(e, row, g->row), at);
}

/* Whether the last step passes the end of a line of weights. */
static bool cut(const Mma *g)
{
    return g->line % g->row != 0;
}

static LLVMValueRef into(const Mma *g, LLVMValueRef p, LLVMValueRef buffer, int rows)
{
    return cuda_bytes(g->kn, p, emit_mul(g->e, buffer, (int64_t)rows * g->row));
}

static LLVMValueRef full_of(const Mma *g, LLVMValueRef buffer)
{
    return cuda_bytes(g->kn, g->full, emit_mul(g->e, buffer, NVPTX_PHASES));
}

static void copy_panel(const Mma *g, LLVMValueRef step, LLVMValueRef buffer)
{
    Emit *e = g->e;
    int64_t bytes = panel_bytes(g), box = g->boxes ? (int64_t)g->t.m * g->row : 0;
    LLVMValueRef from = cuda_bytes(g->kn, g->w, emit_mul(e, step, bytes));
    If lead;
    if_begin(e, &lead, leads(g));
    nvptx_phase_expect(e, full_of(g, buffer), bytes + box);
    nvptx_bulk(e, into(g, g->b, buffer, g->t.n), from, bytes, full_of(g, buffer));
    if (g->boxes)
        nvptx_bulk_box(e, into(g, g->a, buffer, g->t.m), g->kn->tensor, emit_mul(e, step, g->t.k),
                       g->first_row, full_of(g, buffer));
    if_end(e, &lead);
}

static void copy_weights(const Mma *g, LLVMValueRef step, LLVMValueRef buffer)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    if (g->t.group) {
        copy_panel(g, step, buffer);
        return;
    }
    int apart = g->t.threads / g->pieces;
    LLVMValueRef to = into(g, g->b_to, buffer, g->t.n), valid = NULL;
    LLVMValueRef from = cuda_bytes(kn, g->w, emit_mul(e, step, g->row));
    if (cut(g)) {
        LLVMValueRef at = emit_add(e, emit_mul(e, step, g->pieces), g->piece);
        valid = cuda_inside(kn, at, g->line / NVPTX_COPY);
    }
    for (int j = 0; j < g->b_loads; j++) {
        LLVMValueRef o = emit_add(e, g->column, cuda_int(kn, (int64_t)j * apart)), there = valid;
        o = emit_add(e, o, g->first_column);
        if (g->per_out % g->t.n)
            there = cuda_and(kn, there, cuda_inside(kn, o, g->per_out));
        nvptx_copy(e, cuda_bytes(kn, to, cuda_int(kn, (int64_t)j * apart * g->row)),
                   cuda_bytes(kn, from, cuda_int(kn, (int64_t)j * apart * g->line)), there);
    }
}

/* The vector of inputs of this thread in a step, and whether there is one; `passes`: the step may
 * be past the last. */
static PatchTap tap_of(const Mma *g, LLVMValueRef step, bool passes, LLVMValueRef *among)
{
    LLVMValueRef at = emit_add(g->e, emit_mul(g->e, step, g->vectors), g->vector);
    passes = passes || g->left.all % g->vectors != 0;
    *among = passes ? cuda_inside(g->kn, at, g->left.all) : NULL;
    return patches_tap(&g->left, at);
}

static LLVMValueRef input_place(const Mma *g, LLVMValueRef to, int j)
{
    int apart = g->t.threads / g->vectors;
    return cuda_bytes(g->kn, to, cuda_int(g->kn, (int64_t)j * apart * g->row));
}

static void copy_inputs(const Mma *g, LLVMValueRef step, LLVMValueRef buffer)
{
    LLVMValueRef among, to = into(g, g->a_to, buffer, g->t.m);
    PatchTap t = tap_of(g, step, false, &among);
    for (int j = 0; j < g->a_loads; j++) {
        LLVMValueRef inside, from = patches_at(&g->left, &g->in[j], &t, &inside);
        nvptx_copy(g->e, input_place(g, to, j), from, cuda_and(g->kn, among, inside));
    }
}

static void load_inputs(const Mma *g, LLVMValueRef step, bool passes, PatchLoad *loads)
{
    LLVMValueRef among;
    PatchTap t = tap_of(g, step, passes, &among);
    for (int j = 0; j < g->a_loads; j++)
        loads[j] = patches_load(&g->left, &g->in[j], &t, among);
}

static void store_inputs(const Mma *g, LLVMValueRef buffer, const PatchLoad *loads)
{
    LLVMValueRef to = into(g, g->a_to, buffer, g->t.m);
    for (int j = 0; j < g->a_loads; j++) {
        LLVMValueRef v = patch_arrived(g->kn, &loads[j]);
        cuda_store_rounded(g->kn, g->t.dtype, v, input_place(g, to, j));
    }
}

/* 32 bytes of the reduction. */
static void multiply(Mma *g, LLVMValueRef a, LLVMValueRef b)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    LLVMValueRef left[MOST_HIGH][4], right[MOST_WIDE][4];
    for (int i = 0; i < g->high; i++) {
        nvptx_read_matrices(e, cuda_bytes(kn, a, cuda_int(kn, (int64_t)i * HIGH * g->row)), false,
                            left[i]);
        for (int w = 0; w < 4 && g->rounds; w++)
            left[i][w] = nvptx_round_tf32(e, LLVMBuildBitCast(e->b, left[i][w], e->f32, ""));
    }
    for (int j = 0; j < g->wide; j++)
        nvptx_read_matrices(e, cuda_bytes(kn, b, cuda_int(kn, (int64_t)j * WIDE * g->row)), false,
                            right[j]);
    for (int i = 0; i < g->high; i++)
        for (int j = 0; j < g->wide; j++)
            for (int half = 0; half < 2; half++)
                nvptx_multiply(e, g->t.dtype, left[i], right[j] + 2 * (ptrdiff_t)half,
                               g->acc + (ptrdiff_t)((i * g->wide + j) * 2 + half) * 4);
}

static void multiply_by_group(Mma *g, LLVMValueRef a, LLVMValueRef b)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    a = cuda_bytes(kn, a, emit_mul(e, g->group_row, g->row));
    b = cuda_bytes(kn, b, emit_mul(e, g->warp_column, g->row));
    a = nvptx_group_operand(e, a, g->row);
    b = nvptx_group_operand(e, b, g->row);
    nvptx_group_begin(e);
    for (int at = 0; at < g->row; at += DEPTH)
        nvptx_group_multiply(e, g->t.dtype, g->t.tn, nvptx_group_further(e, a, at),
                             nvptx_group_further(e, b, at), g->acc);
    nvptx_group_end(e);
}

/* Parts of a row are exchanged by the same number: where they lie differs in one bit. */
static void multiply_step(Mma *g, LLVMValueRef buffer)
{
    CudaKern *kn = g->kn;
    LLVMValueRef a = into(g, g->a, buffer, g->t.m), b = into(g, g->b, buffer, g->t.n);
    if (g->t.group) {
        multiply_by_group(g, a, b);
        return;
    }
    for (int64_t at = 0; at < g->row; at += DEPTH) {
        LLVMValueRef part = cuda_int(kn, at);
        multiply(g, cuda_bytes(kn, a, cuda_xor(kn, g->a_from, part)),
                 cuda_bytes(kn, b, cuda_xor(kn, g->b_from, part)));
    }
}

/* The steps before the first that is multiplied. */
static void fill_ring(const Mma *g)
{
    PatchLoad loads[MOST_STAGES][MOST_LOADS];
    for (int s = 0; s < g->ahead; s++) {
        LLVMValueRef step = cuda_int(g->kn, s);
        if (s < g->steps) {
            copy_weights(g, step, step);
            if (g->through)
                load_inputs(g, step, false, loads[s]);
            else if (!g->boxes)
                copy_inputs(g, step, step);
        }
        if (!g->boxes)
            nvptx_copy_close(g->e);
    }
    for (int s = 0; s < g->ahead && s < g->steps && g->through; s++)
        store_inputs(g, cuda_int(g->kn, s), loads[s]);
    if (g->t.group) /* barriers are open for all */
        nvptx_barrier(g->e);
}

/* Brings step `next`, if there is one, beside the product of step i; groups multiply beside the
 * threads, which therefore load after they have asked for the product. */
static void advance(Mma *g, LLVMValueRef i, LLVMValueRef next)
{
    Emit *e = g->e;
    PatchLoad loads[MOST_LOADS];
    bool more = g->steps > g->ahead;
    LLVMValueRef free = emit_rem(e, next, g->t.stages), at = emit_rem(e, i, g->t.stages);
    LLVMValueRef there = emit_less(e, next, cuda_int(g->kn, g->steps));
    If f;
    if (g->t.group)
        multiply_step(g, at);
    if (more) {
        if (g->through)
            load_inputs(g, next, true, loads);
        if_begin(e, &f, there);
        copy_weights(g, next, free);
        if (!g->through && !g->boxes)
            copy_inputs(g, next, free);
        if_end(e, &f);
    }
    if (!g->boxes)
        nvptx_copy_close(e);
    if (!g->t.group)
        multiply_step(g, at);
    if (more && g->through) {
        if_begin(e, &f, there);
        store_inputs(g, free, loads);
        if_end(e, &f);
    }
    if (g->t.group)
        nvptx_group_wait(e, g->overlaps, g->t.tn, g->acc);
}

/* What the threads, and the one that asks for panels, have brought for step i is there. */
static void await_step(const Mma *g, LLVMValueRef i)
{
    Emit *e = g->e;
    if (!g->boxes)
        nvptx_copy_wait(e, g->ahead - 1);
    if (!g->t.group)
        return;
    LLVMValueRef round = emit_div(e, i, g->t.stages), buffer = emit_rem(e, i, g->t.stages);
    nvptx_phase_wait(e, full_of(g, buffer), emit_rem(e, round, 2));
    if (!g->boxes)
        nvptx_group_publish(e);
}

/* One barrier a step: after it what this step reads has landed for all threads, and the buffer of
 * the step before is free; where products overlap, that of the step before that one. */
static void reduce(Mma *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    Loop l;
    fill_ring(g);
    loop_begin(e, &l, cuda_int(kn, 0), cuda_int(kn, g->steps), 1, true, g->high * g->wide * 8,
               g->acc);
    await_step(g, l.iv);
    nvptx_barrier(e);
    advance(g, l.iv, emit_add(e, l.iv, cuda_int(kn, g->ahead)));
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
    loop_end(e, &l, g->acc);
    if (g->steps > 1)
        nvptx_keep_rolled(e, latch);
    if (g->overlaps)
        nvptx_group_wait(e, 0, g->t.tn, g->acc);
}

/* Four channels of row i of the 8 that `half` names, of tile (high, wide). */
static LLVMValueRef sums_of(const Mma *g, int high, int half, int wide)
{
    const LLVMValueRef *acc = g->acc + (ptrdiff_t)(high * g->wide + wide) * 8 + 2 * (ptrdiff_t)half;
    LLVMValueRef v = LLVMGetPoison(g->e->vec);
    for (int i = 0; i < 4; i++)
        v = emit_set_lane(g->e, v, acc[i / 2 * 4 + i % 2], i);
    return v;
}

static void finish(const Mma *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    int rows = g->t.group ? HIGH : g->t.tm; /* of a warp */
    BlockTile t = {.kn = kn,
                   .left = &g->left,
                   .per_out = g->per_out,
                   .stored = (g->per_out + e->vl - 1) / e->vl * e->vl,
                   .first_row = g->first_row,
                   .first_column = g->first_column,
                   .rows = 2 * g->high,
                   .columns = g->wide,
                   .apart = 4,
                   .lines = g->t.m / rows,
                   .shared = g->a};
    t.line = emit_div(e, g->warp_row, rows);
    t.row = emit_add(e, emit_add(e, g->first_row, g->warp_row), emit_div(e, g->lane, 4));
    t.column = emit_add(e, g->warp_column, emit_mul(e, emit_rem(e, g->lane, 4), e->vl));
    for (int r = 0; r < t.rows; r++)
        t.row_at[r] = 8 * r;
    for (int c = 0; c < t.columns; c++)
        t.column_at[c] = WIDE * c;
    for (int i = 0; i < t.rows * t.columns; i++)
        t.v[i] = sums_of(g, i / t.columns / 2, i / t.columns % 2, i % t.columns);
    block_finish(&t);
}

static bool fits(const Mma *g)
{
    const CudaTile *t = &g->t;
    int threads = t->group ? NVPTX_GROUP : NVPTX_WARP;
    int parts = t->tm > 0 && t->tn > 0 ? t->m / t->tm * (t->n / t->tn) : 0;
    bool part = t->group ? t->tm == NVPTX_GROUP_ROWS && t->tn <= NVPTX_GROUP_MOST
                         : g->high <= MOST_HIGH && g->wide <= MOST_WIDE;
    return part && t->threads == parts * threads && t->m % t->tm == 0 && t->n % t->tn == 0 &&
           t->tm % HIGH == 0 && t->tn % WIDE == 0 && t->stages > 1 && t->stages <= MOST_STAGES &&
           (g->row == 64 || g->row == 128) && g->a_loads <= MOST_LOADS &&
           g->a_loads * t->threads == t->m * g->vectors && t->threads / g->vectors % 8 == 0 &&
           (t->group ||
            (g->b_loads * t->threads == t->n * g->pieces && t->threads / g->pieces % WIDE == 0));
}

/* A dense layer is a convolution of maps of one position. */
static Kernel as_convolution(const Kernel *k, const Target *t)
{
    Kernel c = *k;
    if (k->family != FAM_DENSE)
        return c;
    c.family = FAM_CONV;
    c.in = (MapDesc){LAYOUT_CHANNELS, map_floats(k->in, t->vl), 1, 1};
    c.kh = c.kw = c.sh = c.sw = c.dh = c.dw = c.groups = 1;
    c.pt = c.pl = 0;
    return c;
}

bool cuda_inputs_pass(const Kernel *k)
{
    bool bf16 = k->tile.cuda.dtype == DTYPE_BF16;
    bool as_they_are = bf16 ? cuda_is_narrow(k, KERNEL_ARG_IN) : !k->tile.cuda.group;
    return k->gate_arg >= 0 || !as_they_are;
}

bool cuda_mma(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *dense = kn->k;
    Kernel k = as_convolution(dense, e->t);
    Mma g = {.kn = kn, .e = e, .k = &k, .t = k.tile.cuda};
    int bytes = dtype_info[g.t.dtype].bytes;
    kn->k = &k;
    g.through = cuda_inputs_pass(&k);
    g.boxes = kn->tensor != NULL;
    g.overlaps = g.t.group && g.t.stages > 3; /* else loads had to be too near */
    g.ahead = g.t.stages - 1 - g.overlaps;
    g.rounds = g.t.dtype == DTYPE_TF32 && !g.through;
    g.per_out = k.out.c / k.groups;
    g.line = cuda_weight_line(&k, e->t) * bytes;
    g.row = g.t.k * bytes;
    g.steps = (g.line + g.row - 1) / g.row;
    g.pieces = g.row / NVPTX_COPY;
    g.vectors = cuda_is_narrow(&k, KERNEL_ARG_IN) && !g.through ? g.pieces : g.t.k / e->vl;
    g.a_loads = g.t.m * g.vectors / g.t.threads;
    g.b_loads = g.t.n * g.pieces / g.t.threads;
    g.high = g.t.group ? 1 : g.t.tm / HIGH; /* a group's rows are its warps' */
    g.wide = g.t.tn / WIDE;
    bool ok = fits(&g);
    if (ok) {
        for (int i = 0; i < MOST_SUMS; i++)
            g.acc[i] = emit_real(e->f32, 0);
        open_tile(&g);
        open_part(&g);
        open_loads(&g);
        if (!g.t.group)
            open_reads(&g);
        reduce(&g);
        finish(&g);
    }
    kn->k = dense;
    return ok || emit_fail(e, "a tile of %d x %d x %d on matrix units", g.t.m, g.t.n, g.t.k);
}
