/* One GPU kernel under construction: its parameters, the thread's place, its epilogue. Integers are
 * of 32 bits; only the way to an image takes 64. A "vec" is vl = 4 floats, channels that lie
 * together. */
#ifndef CNNC_CUDA_KERN_H
#define CNNC_CUDA_KERN_H
#include "codegen/llvm/loop.h"
#include "codegen/llvm/nvptx.h"
#include "codegen/llvm/roots.h"

typedef struct CudaKern {
    Emit *e;
    const Kernel *k; /* strides, dilations, groups at least 1 */
    Launch launch;
    LLVMValueRef out, in, w, bias; /* at image 0; NULL when absent */
    LLVMValueRef extra[KERNEL_MAX_EXTRA];
    LLVMValueRef batch, thread, block, row; /* tid.x, ctaid.x, ctaid.y */
    int64_t in_pixel, out_pixel;            /* floats from a position to the next */
    ExprCode code;                          /* of k->root */
    /* Training: the run (CnnrtRun; NULL when it is not read), the code of each root of kernels that
     * have several results, and what any of them uses. */
    LLVMValueRef run;
    LLVMValueRef tensor; /* the input's tensor map; NULL: the launch has none */
    ExprCode root[KERNEL_MAX_ROOTS];
    bool uses[EXPR_MAX_ARGS];
} CudaKern;

/* Adds the kernel `name` for k to the module. False with e->err set when it cannot be compiled. */
bool cuda_emit(Emit *e, const Kernel *k, const char *name);

/* Where a value belongs: an image, a position y * w + x of the output, its first channel. */
typedef struct Spot {
    LLVMValueRef image, pixel, chan;
} Spot;

LLVMValueRef cuda_int(const CudaKern *kn, int64_t v);
LLVMValueRef cuda_and(const CudaKern *kn, LLVMValueRef a, LLVMValueRef b);
/* 0 <= i < n; NULL as a condition, here and below, is one that always holds. */
LLVMValueRef cuda_inside(const CudaKern *kn, LLVMValueRef i, int64_t n);
/* p, `step` floats further for every image. */
LLVMValueRef cuda_image(const CudaKern *kn, LLVMValueRef p, LLVMValueRef image, int64_t step);
/* Map operands (map.c), `arg` of them being KERNEL_ARG_...: their elements are floats or, of narrow
 * ones, bf16, and so are offsets and steps counted. Where image 0 lies; an image; an element
 * further; the channels of a place, in a map of `pixel` elements a position. */
LLVMValueRef cuda_map(const CudaKern *kn, int arg);
LLVMValueRef cuda_map_image(const CudaKern *kn, int arg, LLVMValueRef image);
LLVMValueRef cuda_map_at(const CudaKern *kn, int arg, LLVMValueRef p, LLVMValueRef off);
LLVMValueRef cuda_place(const CudaKern *kn, int arg, int64_t pixel, Spot s);
/* A vector there, as floats; a vector or a single element, by type; the same where `valid`, else
 * `other` (`base` can always be read). */
LLVMValueRef cuda_map_load(const CudaKern *kn, int arg, LLVMValueRef p);
LLVMValueRef cuda_map_load_as(const CudaKern *kn, int arg, LLVMTypeRef type, LLVMValueRef p);
LLVMValueRef cuda_map_load_if(const CudaKern *kn, int arg, LLVMTypeRef type, LLVMValueRef valid,
                              LLVMValueRef p, LLVMValueRef base, double other);
/* The vector at a place of extra operand i, a map. */
LLVMValueRef cuda_extra_map(const CudaKern *kn, int i, Spot s);
/* A vector or a single element of the output. */
void cuda_map_store(const CudaKern *kn, LLVMValueRef v, LLVMValueRef p);
/* i = q * by + *rest. */
LLVMValueRef cuda_split(const CudaKern *kn, LLVMValueRef i, int64_t by, LLVMValueRef *rest);
/* The number of this thread among all of the launch's; what follows, up to if_end, is for those
 * that stand for an item of the batch. */
LLVMValueRef cuda_item(const CudaKern *kn, If *guard);
/* The item as a spot: channel blocks first, of which there are `blocks`, then positions. */
Spot cuda_spot(const CudaKern *kn, LLVMValueRef item, int64_t blocks);

/* Vectors, aligned to 16 bytes. */
LLVMValueRef cuda_load(const CudaKern *kn, LLVMValueRef p);
void cuda_store(const CudaKern *kn, LLVMValueRef v, LLVMValueRef p);
/* The vector or float (by type) at p + off where `valid`, else `other`: reads `base`, which can
 * always be read, in place of what is not there. */
LLVMValueRef cuda_load_if(const CudaKern *kn, LLVMTypeRef type, LLVMValueRef valid, LLVMValueRef p,
                          LLVMValueRef base, double other);
/* The sum, or maximum, of all lanes of a warp, for all lanes. */
LLVMValueRef cuda_warp_sum(const CudaKern *kn, LLVMValueRef v);
LLVMValueRef cuda_warp_max(const CudaKern *kn, LLVMValueRef v);

/* Applies the epilogue to a vector and stores it; lanes past the map's channels are stored, too,
 * unless the output is planar. */
void cuda_finish(const CudaKern *kn, LLVMValueRef v, Spot s);
/* The same; returns what is stored, as a load finds it, and the epilogue's operands and those of
 * the kernel's roots in args. */
LLVMValueRef cuda_finish_with(const CudaKern *kn, LLVMValueRef v, Spot s,
                              LLVMValueRef args[EXPR_MAX_ARGS]);
/* The same as cuda_finish for the single channel s.chan. */
void cuda_finish_one(const CudaKern *kn, LLVMValueRef v, Spot s);
/* The bias of four channels, or zeros. */
LLVMValueRef cuda_bias(const CudaKern *kn, LLVMValueRef chan);

/* The vector of lane (own XOR `lanes`); all lanes of the warp take part. */
LLVMValueRef cuda_shuffle(const CudaKern *kn, LLVMValueRef v, int lanes);
/* Sums v[0, n) over the threads of a block that have the same tid % 8, in a fixed order: `shared`
 * has room for 8 * n vectors per warp. Afterwards thread t < 8 * n has the sum of v[t / 8] of class
 * t % 8, which is returned; others have nothing of meaning. */
LLVMValueRef cuda_block_sum(const CudaKern *kn, LLVMValueRef *v, int n);

/* Lanes of the vector at channel chan that are past the last of `channels` become `other`. */
LLVMValueRef cuda_keep(const CudaKern *kn, LLVMValueRef v, LLVMValueRef chan, int64_t channels,
                       double other);
/* The first floats of a run of n at p + at, and their store: none past the run's end. */
LLVMValueRef cuda_load_part(const CudaKern *kn, LLVMValueRef p, LLVMValueRef at, int64_t n);
void cuda_store_part(const CudaKern *kn, LLVMValueRef v, LLVMValueRef p, LLVMValueRef at,
                     int64_t n);

/* Training: a 64-bit field of the run, at byte `offset`. */
LLVMValueRef cuda_run_field(const CudaKern *kn, size_t offset);
/* Kernels of several results: arguments that are one value for all (SCALAR, HYPER, COUNT). */
void cuda_fixed_args(const CudaKern *kn, LLVMTypeRef type, LLVMValueRef args[EXPR_MAX_ARGS]);
/* All roots of args: every value is computed before any can be stored. */
void cuda_roots(const CudaKern *kn, LLVMTypeRef type, const LLVMValueRef args[EXPR_MAX_ARGS],
                LLVMValueRef value[KERNEL_MAX_ROOTS]);
/* The operand that root r is stored to; NULL (with a message) when it has none. */
LLVMValueRef cuda_root_target(const CudaKern *kn, int r);
/* Sums of many values (Kahan 1965): total[2 * i] and what it lacks, of sum number i. */
void cuda_total_clear(LLVMTypeRef type, int n, LLVMValueRef *total);
void cuda_total_add(const CudaKern *kn, LLVMValueRef *total, int i, LLVMValueRef v);
LLVMValueRef cuda_total(const CudaKern *kn, const LLVMValueRef *total, int i);
/* Positions [lo, hi) of the batch that part `slice` of k->slices is (cuda_slices). */
void cuda_slice(const CudaKern *kn, LLVMValueRef slice, int64_t pixels, LLVMValueRef *lo,
                LLVMValueRef *hi);

/* One per family. */
bool cuda_conv(CudaKern *kn);
bool cuda_gemm(CudaKern *kn);
bool cuda_mma(CudaKern *kn);
bool cuda_dw_copies(const Kernel *k);   /* conv_dw_mma.c: operands do not */
bool cuda_inputs_pass(const Kernel *k); /* mma.c: through registers on their way to shared memory */
bool cuda_depthwise(CudaKern *kn);
bool cuda_dense(CudaKern *kn);
bool cuda_pool(CudaKern *kn);
bool cuda_gap(CudaKern *kn);
bool cuda_elem(CudaKern *kn);
bool cuda_ln(CudaKern *kn);
bool cuda_softmax(CudaKern *kn);
bool cuda_lrn(CudaKern *kn);
bool cuda_copy(CudaKern *kn);
bool cuda_pack(CudaKern *kn);
bool cuda_conv_dw(CudaKern *kn);
bool cuda_depthwise_dw(CudaKern *kn);
bool cuda_depthwise_dx(CudaKern *kn);
bool cuda_pool_dx(CudaKern *kn);
bool cuda_ln_dx(CudaKern *kn);
bool cuda_ln_dw(CudaKern *kn);
bool cuda_lrn_dx(CudaKern *kn);
bool cuda_softmax_dx(CudaKern *kn);
bool cuda_loss(CudaKern *kn);
bool cuda_loss_dx(CudaKern *kn);
bool cuda_mask(CudaKern *kn);
bool cuda_sums(CudaKern *kn);
bool cuda_finish_sums(CudaKern *kn);
bool cuda_flat_sums(CudaKern *kn);
bool cuda_flat_finish(CudaKern *kn);
bool cuda_update(CudaKern *kn);
bool cuda_peak(CudaKern *kn);
bool cuda_stream(CudaKern *kn);
#endif
