/* Windows over rows: how a row of outputs is cut in register tiles and which taps meet padding. */
#ifndef CNNC_WINDOW_H
#define CNNC_WINDOW_H
#include "codegen/cpu/kern.h"

/* A row of `width` outputs in nearly equal tiles: `extra` of base + 1, then the rest of base. */
typedef struct RowCut {
    int64_t width, tiles, base, extra;
} RowCut;
RowCut window_cut(int64_t width, int64_t px);

/* `count` adjacent tiles of equal width. Tiles with taps in the padding stand alone (edge): their
 * column is static and dead taps are left out of the code; the others share one loop. */
typedef struct Segment {
    int64_t pos; /* first column */
    int64_t tile;
    int64_t count;
    int width;
    bool edge;
} Segment;
Segment window_segment(const Kernel *k, const RowCut *cut, int64_t tile);
/* Bit p: tap kw of output column pos + p lies in the map. An interior tile has all bits set. */
uint64_t window_mask(const Kernel *k, const Segment *s, int64_t kw);

/* The taps [lo, hi) of output row `row` that lie in the map, and the input row of tap 0, which may
 * be negative. `runs`: no row of this kernel has an empty range. */
typedef struct RowTaps {
    LLVMValueRef row, lo, hi;
    bool runs;
} RowTaps;
RowTaps window_taps(Emit *e, const Kernel *k, LLVMValueRef row);

/* A register tile of a channel-wise window kernel; input blocked, output blocked or 1 x 1. */
typedef struct WindowTile {
    const Segment *seg;
    RowTaps taps;
    LLVMValueRef block;       /* channel block */
    LLVMValueRef in;          /* the input of tap (0, 0) of the first pixel */
    LLVMValueRef row, column; /* of the first output pixel */
    LLVMValueRef at;          /* float of the first output pixel */
    int lanes;                /* channels of the block that exist in the output's layout */
} WindowTile;
typedef void WindowTileEmitter(Kern *kn, const WindowTile *t, void *ctx);
/* Walks the units of a channel-wise kernel in register tiles of at most px pixels. */
void window_walk(Kern *kn, int px, WindowTileEmitter *emit, void *ctx);
#endif
