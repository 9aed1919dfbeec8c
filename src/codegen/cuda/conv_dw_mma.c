/* Gradients of weights on matrix units. Both operands lie in shared memory as they do in global
 * memory, [position][channel], so that the reduction runs across rows: of elements of 16 bits
 * ldmatrix turns matrices over; of 32 bits words are read one by one. Two steps are in shared
 * memory: while one is multiplied, the next is on its way through registers, where it is rounded;
 * or it is copied, of maps that lie in memory as bf16. */
#include "codegen/cuda/conv_dw.h"
#include "codegen/cuda/round.h"
#include "codegen/llvm/nvptx_matrix.h"
#include <stddef.h>

enum { MOST_LOADS = 8, MOST_HIGH = 4, MOST_WIDE = 2, HIGH = 16, WIDE = 16, PIECE = 16 };

/* An operand in shared memory. */
typedef struct Side {
    LLVMValueRef at;   /* first of two steps */
    LLVMValueRef from; /* bytes to what a lane reads of its warp's first matrices */
    LLVMValueRef to;   /* bytes to where this thread's first vector goes */
    int line;          /* bytes from a position to the next */
} Side;

typedef struct DwMma {
    ConvDw *c;
    CudaKern *kn;
    Emit *e;
    CudaTile t;
    bool turned; /* elements of 16 bits */
    bool copied; /* pieces of 16 bytes */
    int bytes, loads;
    int channels; /* of a load */
    int high, wide;
    Side dy, x;
    LLVMValueRef row, column; /* of this thread's first load: position in a step, load */
    LLVMValueRef warp_o, warp_i, lane;
    LLVMValueRef acc[MOST_HIGH * MOST_WIDE * 8];
} DwMma;

/* Positions whose rows are read together differ in the last three bits, and lie apart by them:
 * pieces of 16 bytes are exchanged by the position's number; of words, lines are longer than
 * their channels by eight. */
static int line_bytes(const DwMma *g, int channels)
{
    enum { PADDING = 8 };
    return (g->turned ? channels : channels + PADDING) * g->bytes;
}

static LLVMValueRef place(const DwMma *g, const Side *s, LLVMValueRef position, LLVMValueRef piece)
{
    Emit *e = g->e;
    if (g->turned)
        piece = cuda_xor(g->kn, piece, emit_rem(e, position, 8));
    return emit_add(e, emit_mul(e, position, s->line), emit_mul(e, piece, PIECE));
}

/* Bytes to what a lane reads: `channel` is its warp's first. Turned, that is a row of one of four
 * matrices: of dy those of channels 0, 8 and then of positions 8, 12 ..., of x the other way. */
static LLVMValueRef read_from(const DwMma *g, const Side *s, LLVMValueRef channel, bool dy)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    LLVMValueRef rest;
    if (!g->turned) {
        LLVMValueRef column = cuda_split(kn, g->lane, 4, &rest);
        LLVMValueRef at = emit_mul(e, emit_add(e, channel, column), g->bytes);
        return emit_add(e, emit_mul(e, rest, s->line), at);
    }
    LLVMValueRef matrix = cuda_split(kn, g->lane, 8, &rest), low;
    LLVMValueRef upper = cuda_split(kn, matrix, 2, &low);
    LLVMValueRef piece = emit_add(e, emit_div(e, channel, 8), dy ? low : upper);
    return place(g, s, emit_add(e, emit_mul(e, dy ? upper : low, 8), rest), piece);
}

static void open_side(DwMma *g, Side *s, int channels, LLVMValueRef at)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    int per_piece = PIECE / (g->channels * g->bytes); /* loads */
    s->line = line_bytes(g, channels);
    s->at = at;
    LLVMValueRef half, piece = cuda_split(kn, g->column, per_piece, &half);
    s->to =
        emit_add(e, place(g, s, g->row, piece), emit_mul(e, half, (int64_t)g->channels * g->bytes));
}

static void open_tile(DwMma *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    LLVMValueRef base = nvptx_shared(e, kn->launch.shared / 4), warp;
    cuda_dw_open(g->c, g->t.m, g->t.n);
    g->row = cuda_split(kn, kn->thread, g->t.m / g->channels, &g->column);
    open_side(g, &g->dy, g->t.m, base);
    open_side(g, &g->x, g->t.n,
              emit_at_const(e, base, (int64_t)2 * g->t.k * line_bytes(g, g->t.m) / 4));
    warp = cuda_split(kn, kn->thread, NVPTX_WARP, &g->lane);
    warp = cuda_split(kn, warp, g->t.n / g->t.tn, &g->warp_i);
    g->warp_o = emit_mul(e, warp, g->t.tm);
    g->warp_i = emit_mul(e, g->warp_i, g->t.tn);
    g->dy.from = read_from(g, &g->dy, g->warp_o, true);
    g->x.from = read_from(g, &g->x, g->warp_i, false);
}

static LLVMValueRef step_of(const DwMma *g, const Side *s, LLVMValueRef buffer)
{
    return cuda_bytes(g->kn, s->at, emit_mul(g->e, buffer, (int64_t)g->t.k * s->line));
}

static int apart(const DwMma *g)
{
    return g->t.threads / (g->t.m / g->channels);
}

static void load(const DwMma *g, LLVMValueRef from, DwLoad *dy, DwLoad *x)
{
    for (int j = 0; j < g->loads; j++) {
        LLVMValueRef i = emit_add(g->e, from, g->row);
        i = emit_add(g->e, i, cuda_int(g->kn, (int64_t)j * apart(g)));
        cuda_dw_load(g->c, i, g->column, &dy[j], &x[j]);
    }
}

static void store_side(const DwMma *g, const Side *s, LLVMValueRef buffer, const DwLoad *loads)
{
    LLVMValueRef to = cuda_bytes(g->kn, step_of(g, s, buffer), s->to);
    for (int j = 0; j < g->loads; j++)
        cuda_store_rounded(g->kn, g->t.dtype, cuda_dw_arrived(g->c, &loads[j]),
                           cuda_bytes(g->kn, to, cuda_int(g->kn, (int64_t)j * apart(g) * s->line)));
}

/* The next step, from position `from` on: asked for, and there once it has been put. */
static void bring(const DwMma *g, LLVMValueRef from, LLVMValueRef buffer, DwLoad *dy, DwLoad *x)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    if (!g->copied) {
        load(g, from, dy, x);
        return;
    }
    LLVMValueRef to_dy = cuda_bytes(kn, step_of(g, &g->dy, buffer), g->dy.to);
    LLVMValueRef to_x = cuda_bytes(kn, step_of(g, &g->x, buffer), g->x.to);
    for (int j = 0; j < g->loads; j++) {
        DwPlace of_dy, of_x;
        int64_t at = (int64_t)j * apart(g);
        LLVMValueRef i = emit_add(e, emit_add(e, from, g->row), cuda_int(kn, at));
        cuda_dw_find(g->c, i, emit_mul(e, g->column, g->channels), &of_dy, &of_x);
        nvptx_copy(e, cuda_bytes(kn, to_dy, cuda_int(kn, at * g->dy.line)), of_dy.p, of_dy.valid);
        nvptx_copy(e, cuda_bytes(kn, to_x, cuda_int(kn, at * g->x.line)), of_x.p, of_x.valid);
    }
    nvptx_copy_close(e);
}

static void put(const DwMma *g, LLVMValueRef buffer, const DwLoad *dy, const DwLoad *x)
{
    if (g->copied) {
        nvptx_copy_wait(g->e, 0);
        return;
    }
    store_side(g, &g->dy, buffer, dy);
    store_side(g, &g->x, buffer, x);
}

/* Words `row` positions and `channel` channels from what the lane reads first. */
static LLVMValueRef word(const DwMma *g, const Side *s, LLVMValueRef p, int row, int channel)
{
    LLVMValueRef at = cuda_int(g->kn, (int64_t)row * s->line + (int64_t)channel * g->bytes);
    return LLVMBuildLoad2(g->e->b, g->e->i32, cuda_bytes(g->kn, p, at), "");
}

/* Four words of 16 channels from `channel` on, from `position` of the step on: of dy as A has them,
 * of x as two B do. */
static void read(const DwMma *g, const Side *s, LLVMValueRef step, int position, int channel,
                 bool dy, LLVMValueRef words[4])
{
    CudaKern *kn = g->kn;
    if (g->turned) { /* 16 channels further are two pieces: a bit that the exchange may change */
        LLVMValueRef at = cuda_xor(kn, s->from, cuda_int(kn, (int64_t)channel * g->bytes));
        at = emit_add(g->e, at, cuda_int(kn, (int64_t)position * s->line));
        nvptx_read_matrices(g->e, cuda_bytes(kn, step, at), true, words);
        return;
    }
    LLVMValueRef p = cuda_bytes(kn, step, s->from);
    for (int w = 0; w < 4; w++) {
        int across = dy ? w % 2 : w / 2, down = dy ? w / 2 : w % 2;
        words[w] = word(g, s, p, position + 4 * down, channel + 8 * across);
    }
}

static void multiply_step(DwMma *g, LLVMValueRef buffer)
{
    LLVMValueRef dy = step_of(g, &g->dy, buffer), x = step_of(g, &g->x, buffer);
    int depth = 32 / g->bytes; /* positions of one instruction */
    for (int at = 0; at < g->t.k; at += depth) {
        LLVMValueRef left[MOST_HIGH][4], right[MOST_WIDE][4];
        for (int i = 0; i < g->high; i++)
            read(g, &g->dy, dy, at, i * HIGH, true, left[i]);
        for (int j = 0; j < g->wide; j++)
            read(g, &g->x, x, at, j * WIDE, false, right[j]);
        for (int i = 0; i < g->high; i++)
            for (int j = 0; j < g->wide; j++)
                for (int half = 0; half < 2; half++)
                    nvptx_multiply(g->e, g->t.dtype, left[i], right[j] + 2 * (ptrdiff_t)half,
                                   g->acc + (ptrdiff_t)((i * g->wide + j) * 2 + half) * 4);
    }
}

static void reduce(DwMma *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    DwLoad dy[MOST_LOADS], x[MOST_LOADS];
    int n = g->high * g->wide * 8;
    LLVMValueRef carried[MOST_HIGH * MOST_WIDE * 8 + 1], zero = cuda_int(kn, 0);
    bring(g, g->c->lo, zero, dy, x);
    put(g, zero, dy, x);
    nvptx_barrier(e);
    for (int i = 0; i < n; i++)
        carried[i] = g->acc[i];
    carried[n] = zero; /* the buffer */
    Loop l;
    loop_begin(e, &l, g->c->lo, g->c->hi, g->t.k, false, n + 1, carried);
    LLVMValueRef next = emit_sub(e, cuda_int(kn, 1), carried[n]);
    bring(g, emit_add(e, l.iv, cuda_int(kn, g->t.k)), next, dy, x);
    for (int i = 0; i < n; i++)
        g->acc[i] = carried[i];
    multiply_step(g, carried[n]);
    put(g, next, dy, x);
    nvptx_barrier(e);
    for (int i = 0; i < n; i++)
        carried[i] = g->acc[i];
    carried[n] = next;
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
    loop_end(e, &l, carried);
    nvptx_keep_rolled(e, latch);
    for (int i = 0; i < n; i++)
        g->acc[i] = carried[i];
}

static void finish(const DwMma *g)
{
    CudaKern *kn = g->kn;
    Emit *e = g->e;
    LLVMValueRef q, row = cuda_split(kn, g->lane, 4, &q);
    row = emit_add(e, g->warp_o, row);
    q = emit_add(e, g->warp_i, emit_mul(e, q, 2));
    for (int i = 0; i < g->high; i++)
        for (int j = 0; j < 2 * g->wide; j++)
            for (int s = 0; s < 4; s++)
                cuda_dw_store(g->c, emit_add(e, row, cuda_int(kn, (int64_t)i * HIGH + s / 2 * 8)),
                              emit_add(e, q, cuda_int(kn, (int64_t)j * 8 + s % 2)),
                              g->acc[(i * 2 * g->wide + j) * 4 + s]);
}

static bool fits(const DwMma *g)
{
    const CudaTile *t = &g->t;
    int warps = t->tm > 0 && t->tn > 0 ? t->m / t->tm * (t->n / t->tn) : 0;
    return t->m == t->n && t->threads == warps * NVPTX_WARP && t->m % t->tm == 0 &&
           t->n % t->tn == 0 && t->tm % HIGH == 0 && t->tn % WIDE == 0 && g->high <= MOST_HIGH &&
           g->wide <= MOST_WIDE && t->m * g->bytes >= 128 && g->loads <= MOST_LOADS &&
           g->loads > 0 && g->loads * apart(g) == t->k && t->k * g->bytes % 32 == 0 &&
           apart(g) % 8 == 0;
}

bool cuda_dw_copies(const Kernel *k)
{
    int64_t groups = k->groups > 0 ? k->groups : 1;
    return k->tile.cuda.dtype == DTYPE_BF16 && cuda_is_narrow(k, KERNEL_ARG_IN) &&
           cuda_is_narrow(k, KERNEL_ARG_EXTRA) && k->in.c / groups % CUDA_NARROW == 0 &&
           k->dy.c / groups % CUDA_NARROW == 0;
}

bool cuda_conv_dw_mma(ConvDw *c)
{
    DwMma g = {.c = c, .kn = c->kn, .e = c->e, .t = c->k->tile.cuda};
    g.bytes = dtype_info[g.t.dtype].bytes;
    g.turned = g.t.dtype == DTYPE_BF16;
    g.copied = cuda_dw_copies(c->k);
    g.channels = g.copied ? CUDA_NARROW : c->e->vl;
    g.loads = g.t.k / apart(&g);
    g.high = g.t.tm / HIGH;
    g.wide = g.t.tn / WIDE;
    if (!fits(&g))
        return emit_fail(c->e, "a gradient's tile of %d x %d x %d", g.t.m, g.t.n, g.t.k);
    for (int i = 0; i < MOST_HIGH * MOST_WIDE * 8; i++)
        g.acc[i] = emit_real(c->e->f32, 0);
    open_tile(&g);
    reduce(&g);
    finish(&g);
    return true;
}
