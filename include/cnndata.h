/* cnndata: data sets, decoding, augmentation and the loader that feed training. Needs libjpeg,
 * libpng, zlib, libarchive, libm and pthreads besides libcnndata.a.
 *
 * Functions that can fail return a CnndataStatus and write a message that names the file and what
 * to do about it into the caller's buffer (always terminated; CNNDATA_ERROR_MAX is long enough). */
#ifndef CNNDATA_H
#define CNNDATA_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { CNNDATA_ERROR_MAX = 512, CNNDATA_OP_ARGS = 4 };

typedef enum CnndataStatus {
    CNNDATA_OK = 0,
    CNNDATA_BAD_ARGUMENT = 1, /* a text or setting that cannot be */
    CNNDATA_NO_MEMORY = 2,
    CNNDATA_NO_THREADS = 3,
    CNNDATA_NO_FILE = 4, /* missing, or cannot be read */
    CNNDATA_DAMAGED = 5, /* the file is there and is not what it should be */
    CNNDATA_END = 6      /* the epoch has no more batches: not an error */
} CnndataStatus;

/* 8-bit pixels, [h][w][c], rows top down; c is 3 (RGB) or 1. Zero it before the first use;
 * functions that fill one make `pixels` (malloc'ed, `capacity` bytes) larger where that is needed,
 * so that one image can be used again and again. */
typedef struct CnndataImage {
    uint8_t *pixels;
    size_t capacity;
    int64_t h, w;
    int32_t c;
} CnndataImage;
void cnndata_image_free(CnndataImage *im);

/* ---- Data sets (docs/data.md) ---- */

typedef enum CnndataSplit { CNNDATA_TRAIN, CNNDATA_VAL } CnndataSplit;
typedef struct CnndataSet CnndataSet;

/* Opens "KIND:PATH": idx, cifar10, cifar100, folder or tar. *out is NULL on failure. An open set is
 * constant: any number of threads may read samples at once. */
int cnndata_open(CnndataSet **out, const char *text, CnndataSplit split, char *error,
                 size_t error_len);
void cnndata_close(CnndataSet *set); /* NULL is allowed */
int64_t cnndata_count(const CnndataSet *set);
int64_t cnndata_classes(const CnndataSet *set);
/* NULL when k is out of range; lives as long as the set. */
const char *cnndata_class_name(const CnndataSet *set, int64_t k);
/* Sample i in [0, count): decoded pixels as they are stored, and its class. */
int cnndata_sample(const CnndataSet *set, int64_t i, CnndataImage *out, int32_t *label, char *error,
                   size_t error_len);
/* What messages call sample i: a file's name, or that of the set's file and a number. */
void cnndata_sample_name(const CnndataSet *set, int64_t i, char *out, size_t out_len);

/* ---- Augmentation ---- */

/* Numbers are never reused. Arguments in the order of runtime/cnndata/augment.def. */
typedef enum CnndataOpKind {
    CNNDATA_RANDOM_RESIZED_CROP = 0,
    CNNDATA_RANDOM_CROP = 1,
    CNNDATA_HFLIP = 2,
    CNNDATA_COLOR_JITTER = 3,
    CNNDATA_RAND_AUGMENT = 4,
    CNNDATA_AUTO_AUGMENT = 5,
    CNNDATA_ERASE = 6,
    CNNDATA_MIXUP = 7,
    CNNDATA_CUTMIX = 8,
    CNNDATA_OP_KINDS
} CnndataOpKind;

/* arg[0] of CNNDATA_AUTO_AUGMENT */
enum { CNNDATA_POLICY_V0 = 0, CNNDATA_POLICY_ORIGINAL = 1 };

typedef struct CnndataOp {
    int32_t kind;
    double arg[CNNDATA_OP_ARGS];
} CnndataOp;

typedef struct CnndataArgInfo {
    const char *name;
    double usual;    /* what holds when it is not given; NaN: it must be given */
    double min, max; /* both allowed */
    int whole;       /* takes whole numbers only */
} CnndataArgInfo;

typedef struct CnndataOpInfo {
    const char *name; /* as in `train { augment = ... }` */
    int arg_count;
    CnndataArgInfo arg[CNNDATA_OP_ARGS];
} CnndataOpInfo;
/* NULL when there is no such kind. */
const CnndataOpInfo *cnndata_op_info(int32_t kind);
/* The kind of this name, or -1. */
int32_t cnndata_op_find(const char *name);
/* The number of a policy's name ("v0", "original") for arg[0] of auto_augment, or -1. */
int32_t cnndata_policy_find(const char *name);

/* ---- Loader ---- */

typedef struct CnndataLoader CnndataLoader;

/* Zero what is not wanted. Arrays and the set are the caller's: ops are copied, the set must
 * outlive the loader. */
typedef struct CnndataLoaderConfig {
    const CnndataSet *set;
    /* CNNDATA_TRAIN: the ops; CNNDATA_VAL: shorter side resized to `resize`, centre crop `crop` (0
     * and 0: the whole picture fitted to h x w), and no ops. */
    CnndataSplit transform;
    const CnndataOp *ops;
    int32_t op_count;
    int64_t batch;   /* images of a batch */
    int64_t c, h, w; /* of the net's input; c is 1 or 3 */
    int64_t classes; /* of the net: at least the set's */
    int32_t has_norm;
    double mean[4], std[4]; /* per channel, of pixels scaled to 0..1 */
    int64_t resize, crop;
    uint64_t seed;
    int32_t workers;  /* threads, at most 1024; 0: everything in the caller of next */
    int32_t prefetch; /* batches held at most, the caller's included; 0: 4 */
    int32_t shuffle;
    int32_t drop_last;    /* leave out the last batch when it is not full */
    int32_t skip_damaged; /* leave out samples that cannot be read, and count them */
    /* Called from within next for each sample left out, in order; may be NULL. */
    void (*on_skip)(void *user, const char *message);
    void *user;
} CnndataLoaderConfig;

/* One batch, the loader's memory, valid until the next call of any function of the loader. */
typedef struct CnndataBatch {
    const float *images;   /* [n][c][h][w], normalised; 64-byte aligned */
    const float *targets;  /* [n][classes], each row sums to 1: one 1, or two parts after mixing */
    const int32_t *labels; /* [n] of the unmixed images */
    int64_t n;             /* at most config.batch; less at the end, or when samples were skipped */
    int64_t epoch, number; /* number counts from 0 in the epoch */
} CnndataBatch;

typedef struct CnndataStats {
    double wait_seconds; /* that next waited for workers, or worked itself when there are none */
    int64_t batches, samples, skipped; /* given out since creation */
} CnndataStats;

/* Checks the settings, takes all memory, starts the workers. *out is NULL on failure. */
int cnndata_loader_create(CnndataLoader **out, const CnndataLoaderConfig *config, char *error,
                          size_t error_len);
/* Stops the workers; NULL is allowed. */
void cnndata_loader_free(CnndataLoader *l);
/* Batches of an epoch. */
int64_t cnndata_loader_batches(const CnndataLoader *l);
/* Begins an epoch (from 0 on) at batch first_batch, in the middle of what went before or not. What
 * follows depends on the settings, the seed, epoch and batch number alone: not on the number of
 * workers, nor on whether the epoch was begun at 0. A run begins with epoch 0 by itself. */
int cnndata_loader_start_epoch(CnndataLoader *l, int64_t epoch, int64_t first_batch);
/* The next batch; CNNDATA_END after the last one, until another epoch is begun. A sample that
 * cannot be read ends the run (the same status again and again) unless skip_damaged. */
int cnndata_loader_next(CnndataLoader *l, CnndataBatch *out);
/* The message of the last failure of start_epoch or next; "" before. */
const char *cnndata_loader_error(const CnndataLoader *l);
CnndataStats cnndata_stats(const CnndataLoader *l);

#ifdef __cplusplus
}
#endif
#endif
