/* What the planner and the emitters agree on: a kernel's description, its tile, its units of work
 * and how its weights are packed. Knows no LLVM. */
#ifndef CNNC_FAMILY_H
#define CNNC_FAMILY_H
#include "expr/expr.h"
#include "family/dtype.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum Family {
#define FAMILY(ID, NAME, DOC) FAM_##ID,
#include "family/family.def"
    FAM_COUNT
} Family;
extern const char *const family_name[FAM_COUNT];

/* CUDA: threads in place of vectors; maps are CHANNELS, vl is the floats of one access (4). */
typedef enum TargetKind { TARGET_CPU, TARGET_CUDA } TargetKind;

/* The machine code is made for. Filled by the code generator (codegen_target). */
typedef struct Target {
    TargetKind kind;
    char triple[128], cpu[64];
    char features[4096]; /* LLVM feature string */
    int vl;              /* float lanes of a vector: 4, 8, 16 */
    int regs;            /* vector registers: 16 or 32 */
    int64_t l1, l2;      /* bytes of data cache per core */
    bool exact_conv;     /* no Winograd convolutions: sums in their own order of magnitude */
    Dtype dtype;         /* CUDA: of contractions that suit matrix units */
    bool warp_groups;    /* CUDA: matrix units take operands from shared memory (sm_90a) */
    /* CUDA, bytes of shared memory: that a block can ask for on every GPU the code runs on, and of
     * a multiprocessor. 0: not known. */
    int64_t block_shared, shared;
} Target;

/* PLANAR [C][H][W]; BLOCKED [ceil(C/vl)][H][W][vl]; CHANNELS [H][W][C, up to a multiple of vl].
 * Lanes past C hold anything finite on input to contractions (their weights are zero) and must not
 * enter sums over channels. */
typedef enum Layout { LAYOUT_PLANAR, LAYOUT_BLOCKED, LAYOUT_CHANNELS } Layout;
typedef struct MapDesc {
    Layout layout;
    int64_t c, h, w;
} MapDesc;
int64_t map_blocks(MapDesc m, int vl); /* ceil(c / vl) */
int64_t map_floats(MapDesc m, int vl); /* floats of one image incl. padding lanes */
/* CHANNELS: floats from a position to the next; step: of a part of other channels, or 0. */
int64_t map_pixel(MapDesc m, int vl, int64_t step);
/* The layout of maps inside a network. */
Layout target_layout(const Target *t);

/* How the k-th extra operand of a kernel is read by its expression. */
typedef enum ArgKind {
    KARG_MAP,     /* same shape and layout as the output, element by element */
    KARG_CHANNEL, /* one float per (padded) channel, from the weights */
    KARG_GATE,    /* one float per channel of the current image: a C x 1 x 1 map, BLOCKED */
    /* Training: */
    KARG_SCALAR, /* one float in memory */
    KARG_HYPER,  /* CnnrtRun.hyper[hyper[k]]; no operand */
    KARG_TERM,   /* FINISH: sum number hyper[k] of the channel; no operand */
    KARG_COUNT,  /* FINISH: how many values were summed: the batch times `positions`; no operand */
    KARG_PIVOT,  /* the channel's value at position 0 of image 0 of the map that is the operand */
    KARG_SHARE,  /* SUMS of lines: how many positions the line stands for; no operand */
    KARG_RESULT, /* only written: where a root goes; of a contraction for CUDA, lines of sums over
                    the positions of each block: kernel_sums_arg */
    /* Inference: */
    KARG_AHEAD, /* weights of a later step, fetched (Kernel.fetch) */
} ArgKind;
enum { KERNEL_MAX_EXTRA = 11, KERNEL_MAX_ROOTS = 6 };

typedef enum PoolKind { POOL_MAX, POOL_AVG, POOL_AVG_INCLUDE_PAD, POOL_ADAPTIVE_AVG } PoolKind;
typedef enum CopyKind {
    COPY_LAYOUT,   /* same logical map, other layout */
    COPY_CHANNELS, /* in's channels [src_c, src_c + n) to out's [dst_c, ...): concat and slice */
    COPY_BORDER,   /* out(y, x) = in(y - top, x - left) or 0: zeropad (top, left > 0), crop (< 0) */
    COPY_NEAREST,
    COPY_BILINEAR,       /* upsample by (by_h, by_w) */
    COPY_SPACE_TO_DEPTH, /* by_h, torch pixel_unshuffle order */
    COPY_SHUFFLE,        /* channel shuffle, groups */
    /* Training: gradients of the above */
    COPY_CHANNELS_DX,    /* in to out's channels [dst_c, dst_c + count_c), zeros elsewhere: slice */
    COPY_NEAREST_DX,     /* sums over (by_h, by_w) */
    COPY_BILINEAR_DX,    /* the transpose of COPY_BILINEAR */
    COPY_DEPTH_TO_SPACE, /* the inverse of COPY_SPACE_TO_DEPTH */
} CopyKind;

/* The losses of transform/grad.h, in its order. */
typedef enum LossForm { LOSS_FORM_CE, LOSS_FORM_BCE, LOSS_FORM_MSE } LossForm;

/* CUDA: threads of a block. Contractions: a block makes m positions by n output channels, a thread
 * tm by tn of them, k floats of the reduction at a time through shared memory; m = 0: a thread
 * makes vl channels of a position by itself. DENSE: n outputs of tm images, the reduction cut in k.
 * On matrix units (dtype is not FP32) tm by tn is the part of a warp or, with `group`, of four
 * warps, and `stages` steps of k elements are in shared memory. */
typedef struct CudaTile {
    int threads, m, n, k, tm, tn;
    Dtype dtype;
    int stages;
    bool group;
} CudaTile;

typedef struct Tile {
    int ocv;       /* output-channel vectors per register tile */
    int px;        /* most pixels per register tile; DENSE: partial sums per output vector;
                      CONV_DW: channels of x */
    int rb;        /* rows (or, flat, pixels) per unit block: see family_row_blocks */
    int kc;        /* input-channel blocks per chunk of the reduction; 0 = all at once */
    bool flat;     /* 1x1 stride 1: h*w is one row */
    bool split_oc; /* units are output-channel tiles (all rows inside); else row blocks (all
                      channels inside) */
    bool prefetch;
    int winograd; /* CONV: output tiles of 4 x 4 in a unit of F(4x4, 3x3), all of them with
                     split_oc; 0 = direct */
    int dw_tiles; /* CONV_DW: channel tiles of dy in a unit (kc: blocks of x) */
    int dw_rows;  /* CONV_DW, DEPTHWISE_DW: window rows in a unit */
    CudaTile cuda;
} Tile;

/* One kernel: everything its code depends on. Two steps with equal keys share code. */
typedef struct Kernel {
    Family family;
    MapDesc in, out;
    int64_t kh, kw, sh, sw, dh, dw; /* window, stride, dilation */
    int64_t pt, pl;                 /* padding above and to the left; the rest follows from sizes */
    int64_t pb, pr;                 /* POOL_AVG_INCLUDE_PAD: padding below and to the right, which
                                       the divisor counts */
    int64_t groups;                 /* CONV: as declared; packed block-diagonally unless the groups
                                       are whole vectors */
    PoolKind pool;
    CopyKind copy;
    int64_t src_c, dst_c, count_c; /* COPY_CHANNELS */
    int64_t by_h, by_w;            /* upsampling, space_to_depth */
    int64_t lrn_size;
    double eps, alpha, beta, bias_k; /* LN eps; LRN alpha, beta, k */
    bool has_bias;                   /* accumulators start from args[3] */
    /* epilogue: value stored = root(arg 0 = the family's result, arg i = extra operand i-1).
     * root 0 = store arg 0. ELEM: arg 0 is args[1]'s element. */
    const ExprPool *pool_expr;
    ExprId root;
    /* CONV only: input element is replaced by input * gate (operand `gate_arg`, 0-based extra, -1 =
     * none) before use; 1x1 stride 1 only. Not an argument of root. */
    int gate_arg;
    int extra_count;
    ArgKind extra[KERNEL_MAX_EXTRA];
    /* DEPTHWISE: the last extra operand, a KARG_RESULT, gets the sum over the positions of each
     * unit of what is stored: a BLOCKED map of family_row_blocks x 1. */
    bool summed;
    /* CONV, CONVT for CUDA: lines of sums are wanted of it (kernel_sums_arg), for which its tile
     * leaves registers. Says nothing of the code beyond that. */
    bool lines;
    /* CONV, pointwise and direct: lines of the last extra operand, a KARG_AHEAD, that are fetched
     * with every block of the reduction of a register tile. Unit u begins at line
     * u * fetch * family_fetch_blocks. */
    int fetch;
    Tile tile;
    /* Training, and CUDA (docs/kernels.md). A whole kernel runs once for the batch and loops over
     * its images; one for CUDA has threads for all of them. Image n of an operand lies n * step
     * floats on; a step of 0: one value for the batch. */
    bool whole;
    int64_t in_step, out_step, extra_step[KERNEL_MAX_EXTRA];
    /* CHANNELS: floats from a position to the next where a map is a part of another's channels; 0:
     * its own. */
    int64_t in_pixel, out_pixel, extra_pixel[KERNEL_MAX_EXTRA];
    /* CUDA: bit a: map operand a lies in memory as bf16. Its steps and pixels count elements. */
    uint32_t narrow;
    MapDesc dy;                  /* CONV_DW, DEPTHWISE_DW: the map of extra operand 0 */
    int hyper[KERNEL_MAX_EXTRA]; /* KARG_HYPER, KARG_TERM: which */
    int slices;                  /* SUMS, LN_DW, FINISH: parts of the batch that are summed apart */
    int64_t positions;           /* FINISH, SUMS of lines: of one image; GAP: what sums are divided
                                    by, where the input has them in parts; 0: its positions */
    int64_t part;                /* SUMS: the input is lines of sums over so many positions each,
                                    instead of a map's (kernel_sums_arg) */
    int root_count;              /* SUMS, FLAT_SUMS, FINISH, FLAT_FINISH, UPDATE, CONV, CONVT */
    ExprId root_of[KERNEL_MAX_ROOTS];
    int root_to[KERNEL_MAX_ROOTS]; /* FINISH, UPDATE: KERNEL_ARG_OUT or _EXTRA + k */
    Family packs;                  /* PACK: the family whose order the weights are brought into */
    int64_t pack_o, pack_i;        /* PACK: floats from one output, one input channel to the next */
    bool pack_flip;                /* PACK: taps in reverse */
    LossForm loss;
    double weight, smoothing; /* LOSS, LOSS_DX */
    double p;                 /* MASK */
    int64_t mask_key;
    bool per_image;
} Kernel;

/* Calling convention: void k(float *const *args, int64_t begin, int64_t end), units [begin, end) of
 * one image. args[0] out, [1] in, [2] packed weights, [3] bias, [4 + i] extra operand i,
 * [KERNEL_ARG_SCRATCH] the thread's scratch. Absent ones are NULL. A MAP operand, and the input of
 * an ELEM kernel, may be the very buffer of the output (element by element in place) unless
 * family_in_place says no; others never alias it. */
enum {
    KERNEL_ARG_OUT,
    KERNEL_ARG_IN,
    KERNEL_ARG_W,
    KERNEL_ARG_BIAS,
    KERNEL_ARG_EXTRA,
    KERNEL_ARG_SCRATCH = KERNEL_ARG_EXTRA + KERNEL_MAX_EXTRA,
    KERNEL_ARGS,
    KERNEL_ARG_RUN = KERNEL_ARGS /* the run's CnnrtRun (cnnrt.h): given by the runtime, always */
};

/* PEAK: independent chains of multiply-adds, a vector each; enough for two units of five cycles.
 * STREAM: vectors read in a step. Both store a vector for each unit. */
enum { PEAK_CHAINS = 12, STREAM_AT_ONCE = 8 };

/* How a kernel's work is cut. What a unit is, per family (docs/kernels.md has the pictures):
 *   CONV CONVT       split_oc: unit = output-channel tile; else unit = row block
 *   DENSE            unit = output-channel tile of ocv vectors (each a panel of its own)
 *   CONV_DW          unit = rectangle of output by input channels (train.h)
 *   DEPTHWISE DEPTHWISE_DX POOL ELEM COPY_BORDER COPY_NEAREST COPY_BILINEAR
 *                    unit = channel block * family_row_blocks + row block
 *   LN SOFTMAX LRN   unit = row block (flat: rb positions)
 *   GAP, COPY_LAYOUT COPY_SPACE_TO_DEPTH COPY_SHUFFLE   unit = channel block of the output
 *   COPY_CHANNELS    unit = vl consecutive channels of the range
 *   Training: see the files that train.h names
 * Row blocks are [r * rb, min((r + 1) * rb, family_rows)). */
int64_t family_rows(const Kernel *k);       /* output rows; flat: output positions h * w */
int64_t family_row_blocks(const Kernel *k); /* ceil(family_rows / rb) */
int64_t family_oc_tiles(const Kernel *k, const Target *t);
/* Vectors of an oc tile; tile i starts at vector i * ocv, only the last may be narrower. */
int family_oc_tile_width(const Kernel *k, const Target *t, int64_t tile);
/* Input-channel blocks the weights of one oc tile cover: the same number for every tile, starting
 * at family_ic_first. groups = 1: all, from 0. Other groups: those the tile's groups read. A
 * planar input has blocks of one channel (family_ic_lanes = 1, else vl). */
int family_ic_lanes(const Kernel *k, const Target *t);
int64_t family_ic_blocks(const Kernel *k, const Target *t);
int64_t family_ic_first(const Kernel *k, const Target *t, int64_t tile);
/* Winograd convolutions: output tiles of 4 x 4, row by row. */
int64_t family_winograd_tiles(const Kernel *k);
/* Floats of scratch from one of the 36 positions of a map to the next: a line more than it takes,
 * so that positions do not fall on the same lines of the cache. */
int64_t family_winograd_step(const Kernel *k, const Target *t, MapDesc m);
/* Their filters: the 6 x 6 values u that stand for the 3 x 3 window g. */
void family_winograd_filter(const double g[9], double u[36]);
/* Whether a MAP operand (ELEM: also the input) may share the output's buffer. Not when partial sums
 * pass through it (tile.kc). */
bool family_in_place(const Kernel *k);
/* Independent units of work of one image; splitting [0, units) anywhere gives the same bits. */
int64_t family_units(const Kernel *k, const Target *t);
/* CUDA: how a kernel is launched. For a batch b grid.x = ceil(b * items / per_block), grid.y =
 * rows; blocks of `threads`; one that works on the batch as a whole (once) with b = 1. Parameters
 * are the operands the kernel has, in the order of KERNEL_ARG_..., at image 0 (kernel_has_arg),
 * then the batch, an i32, then, of kernels that read it, the run. b * items must stay below 2^31.
 */
enum { CUDA_IMAGE_LIMIT = 1 << 30, CUDA_ROWS_LIMIT = 65535 }; /* floats of an image; grid.y */
/* Bytes of shared memory that every GPU gives without being asked: what a kernel can declare. */
enum {
    CUDA_DECLARED_SHARED = 48 << 10,
    CUDA_SYSTEM_SHARED = 1 << 10 /* of a block, beside its own */
};
/* A map that is copied to shared memory by the hardware, as a tensor of rows of elements of 16
 * bits: rows * b of them, `step` elements from one to the next. A copy brings the tile's m rows by
 * k elements; elements past the rows' end are zeros. */
typedef struct LaunchTensor {
    int64_t channels; /* of a row; 0: there is none */
    int64_t rows, step;
} LaunchTensor;
typedef struct Launch {
    int64_t items, per_block, rows;
    int threads;
    bool once;
    int64_t shared;  /* bytes of shared memory: declared, or asked for at the launch */
    LaunchTensor in; /* the input, of kernels that take its tensor map behind all else */
} Launch;
Launch family_launch(const Kernel *k, const Target *t);
/* Bytes that the launch has to ask for: all of those that are too many to be declared. */
int64_t launch_shared(const Launch *l);
bool kernel_has_arg(const Kernel *k, const Target *t, int arg);
bool kernel_reads_run(const Kernel *k);
/* The operand of a CONV or CONVT that takes lines of sums over the positions of its blocks, tile.m
 * of them each, per channel of what is stored; -1: there is none. A line is the mean and the sum of
 * squared distances to it or, of a kernel with roots, the sum of each root, whose arg 0 is the
 * value stored; each takes as many floats as a position of the output has channels, padded. */
int kernel_sums_arg(const Kernel *k);
/* Of such a kernel: sums of a line, and lines that lie in the memory of an image. */
int kernel_line_sums(const Kernel *k);
int64_t kernel_lines(const Kernel *k);
/* The same of the kernels of training steps, cuda_train.c; false: k is none of them. */
bool cuda_train_launch(const Kernel *k, const Target *t, Launch *l);
/* Parts of the batch that sums are taken over apart, so that there are blocks enough. Part s of S
 * is the positions, of all images, [s * n, (s + 1) * n), n the S-th part of them rounded up. */
int cuda_slices(const Kernel *k, const Target *t);
/* Whether blocks of a CONV_DW make tiles of channels, CUDA_DW by CUDA_DW or, on matrix units, the
 * kernel's; else a thread a weight. */
bool cuda_dw_tiled(const Kernel *k, const Target *t);
/* Its tile, if it is one for matrix units. */
void cuda_choose_dw_tile(Kernel *k, const Target *t);
enum { CUDA_DW = 64, CUDA_SUMMED = 8 /* vectors of channels that a block sums */ };
/* What family_units and others say of kernels for CUDA; cuda.c. units: blocks of a batch of one. */
int64_t cuda_units(const Kernel *k, const Target *t);
int64_t cuda_weight_floats(const Kernel *k, const Target *t);
int64_t cuda_weight_index(const Kernel *k, const Target *t, int64_t o, int64_t i, int64_t y,
                          int64_t x);
void cuda_choose_tile(Kernel *k, const Target *t);
/* All tiles k can have, the rules' first: at most `most`; how many. FAMILY_CANDIDATES are enough.
 */
int cuda_tiles(const Kernel *k, const Target *t, Tile *out, int most);
/* Rows of the packed weights per tap: input channels of a group, of a single one padded. */
int64_t cuda_weight_rows(const Kernel *k, const Target *t);
/* Matrix units: elements of the packed weights per output channel, whole groups of 16 bytes. */
int64_t cuda_weight_line(const Kernel *k, const Target *t);
/* Warp groups: panels of n rows of k elements, each a step of the reduction of a tile of columns:
 * as they lie in shared memory, in one piece. */
typedef struct CudaPanels {
    int64_t tiles, steps; /* of a group's columns; of the reduction */
    int64_t count;        /* panels of all groups: [group][tile][step] */
    int64_t elements;     /* of a panel */
} CudaPanels;
CudaPanels cuda_panels(const Kernel *k, const Target *t);
/* Vectors of packed weights, of vl elements: of output channels or, on matrix units, of a line. */
int64_t cuda_packed_vectors(const Kernel *k, const Target *t);
/* Whether a kernel is a contraction, and whether it is one for matrix units; its tile is chosen. */
bool cuda_contraction(const Kernel *k);
/* Whether operand arg, a map of whole groups of CUDA_NARROW channels, may be narrow, and is. */
enum { CUDA_NARROW = 8 /* channels in 16 bytes */ };
bool cuda_may_be_narrow(const Kernel *k, int arg);
bool cuda_is_narrow(const Kernel *k, int arg);
bool cuda_on_matrix_units(const Kernel *k);
/* Blocks of the reduction, counted for every register tile, that a unit of a pointwise convolution
 * goes through. */
int64_t family_fetch_blocks(const Kernel *k, const Target *t);
/* Whether a gated convolution multiplies its weights with the gate, once per call, because they are
 * fewer than the values of its input. */
bool family_gates_weights(const Kernel *k, const Target *t);
/* Floats of per-thread scratch the kernel needs. */
int64_t family_scratch(const Kernel *k, const Target *t);
/* Chooses the tile by the rules of docs/kernels.md. */
void family_choose_tile(Kernel *k, const Target *t);
/* Whether code can be made for k->tile, a kernel of inference: what was measured elsewhere, or read
 * from a file, is asked here first. */
bool family_tile_fits(const Kernel *k, const Target *t);
bool family_same_tile(const Tile *a, const Tile *b);
/* k->tile, then tiles that differ from it in a step or two and fit: at most `most` into out,
 * FAMILY_CANDIDATES are enough. Returns how many: none for a kernel of training. */
enum { FAMILY_CANDIDATES = 64 };
int family_candidates(const Kernel *k, const Target *t, Tile *out, int most);
/* Floats of packed weights (and of the bias vector: padded channels). */
int64_t family_weight_floats(const Kernel *k, const Target *t);
int64_t family_bias_floats(const Kernel *k, const Target *t);
/* Position, in the packed weights, of weight (o, i, y, x); i counts all input channels, except
 * depthwise (0). DENSE: (y, x) is the position in the input map, 0 for vectors.
 *   CONV, CONVT [oc tile][ic block][kh][kw][ic lane][ocv][oc lane]; ic blocks from family_ic_first.
 *          The last oc tile may be narrower: it has its own width in place of ocv.
 *          Winograd: [6 * y + x of the transformed filter], each as a 1 x 1 CONV.
 *   DEPTHWISE, DEPTHWISE_DX [c block][kh][kw][lane]
 *   DENSE  [o block][input float in its physical order][o lane]
 * CUDA, o up to a multiple of vl:
 *   CONV, CONVT [kh][kw][cuda_weight_rows][o]   DEPTHWISE [kh][kw][c]
 *   DENSE  [input float in its physical order][o]
 * CUDA, matrix units: [o][the above without o, up to cuda_weight_line], elements of the kernel's
 *   dtype (family_put_weight), whose positions these are; for warp groups in panels (cuda_panels).
 * Padding positions hold zero. All sizes saturate at FAMILY_LIMIT. */
#define FAMILY_LIMIT ((int64_t)1 << 60)
int64_t family_tile_weights(const Kernel *k, const Target *t, int64_t tile); /* offset of a tile */
int64_t family_weight_index(const Kernel *k, const Target *t, int64_t o, int64_t i, int64_t y,
                            int64_t x);
/* Stores a weight at its position. */
static inline void family_put_weight(const Kernel *k, float *weights, int64_t index, float v)
{
    if (k->tile.cuda.dtype == DTYPE_FP32)
        weights[index] = v;
    else
        dtype_put(k->tile.cuda.dtype, weights, index, v);
}
/* The same of the kernels of training steps (train.c), which units, scratch and tile choice end in.
 */
int64_t family_train_units(const Kernel *k, const Target *t);
int64_t family_train_scratch(const Kernel *k, const Target *t);
void family_train_tile(Kernel *k, const Target *t);
/* Canonical text of everything the code depends on. */
void family_key(const Kernel *k, const Target *t, Buf *out);
#endif
