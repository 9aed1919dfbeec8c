/* Private: a checked chain of operations, and what applies it. */
#ifndef CNNDATA_AUGMENT_H
#define CNNDATA_AUGMENT_H
#include "draw.h"
#include "pixels.h"

enum { CNNDATA_OPS_MAX = 32 };

/* What happens to a sample, and to a batch, for one net's input. */
typedef struct CnndataChain {
    CnndataOp op[CNNDATA_OPS_MAX];
    int count;
    bool crops;           /* some op gives the size of the input */
    double mixup, cutmix; /* alpha; 0: not asked for */
    uint8_t fill[4];      /* per channel, where a turned picture has nothing: the mean */
    CnndataPrep prep;
    CnndataNorm norm;
} CnndataChain;

/* What one thread needs to make samples: zero it first, free it last. */
typedef struct CnndataWork {
    CnndataImage image, other;
    CnndataResizer resizer;
    CnndataScratch bytes;
} CnndataWork;
void cnndata_work_free(CnndataWork *w);

/* Checks ops and the preparation; NaN arguments become the usual ones. */
int cnndata_chain_make(CnndataChain *out, const CnndataOp *ops, int64_t count,
                       const CnndataPrep *prep, CnndataError e);
/* work->image, of 1 or 3 channels, through the chain (by chance `key`) into out[c][h][w]. The image
 * is changed. */
int cnndata_augment(const CnndataChain *c, uint64_t key, CnndataWork *work, float *out,
                    CnndataError e);
/* The same without chance: the preparation alone. */
int cnndata_prepare_sample(const CnndataChain *c, CnndataWork *work, float *out, CnndataError e);

/* The stream of sample `index`, of batch `number` and of the order of the samples of an epoch. */
uint64_t cnndata_sample_key(uint64_t seed, int64_t epoch, int64_t index);
uint64_t cnndata_batch_key(uint64_t seed, int64_t epoch, int64_t number);
/* The samples of an epoch in the order they are taken, Fisher & Yates. order[n] is filled. */
void cnndata_shuffle(int64_t *order, int64_t n, uint64_t seed, int64_t epoch);

/* Mixup or cutmix of a batch with itself in reverse order (timm's mode "batch"), images
 * [n][c][h][w] and targets [n][classes] in place. */
void cnndata_mix(const CnndataChain *c, uint64_t key, int64_t n, int64_t classes, float *images,
                 float *targets);
/* Beta(alpha, alpha). */
double cnndata_beta(CnndataDraw *d, double alpha);

/* ---- Colours: what Pillow's ImageEnhance and ImageOps do, bit for bit, in place ---- */

/* Towards black, grey or the image's own grey; 1 changes nothing. */
void cnndata_brightness(CnndataImage *im, double factor);
void cnndata_contrast(CnndataImage *im, double factor);
void cnndata_saturation(CnndataImage *im, double factor);
/* `other` is memory for the smoothed image. */
bool cnndata_sharpness(CnndataImage *im, double factor, CnndataImage *other);
void cnndata_autocontrast(CnndataImage *im);
void cnndata_equalize(CnndataImage *im);
void cnndata_invert(CnndataImage *im);
void cnndata_posterize(CnndataImage *im, int bits); /* 0 to 8 bits are kept */
void cnndata_solarize(CnndataImage *im, int threshold);
void cnndata_solarize_add(CnndataImage *im, int add);

/* ---- Geometry ---- */

/* Pillow's transform(AFFINE, BILINEAR): the value at (x, y) comes from (m0 x + m1 y + m2, m3 x + m4
 * y
 * + m5), coordinates counted in pixel centres; outside there is `fill`. The images change places.
 */
bool cnndata_affine(CnndataImage *im, CnndataImage *other, const double m[6],
                    const uint8_t fill[4]);
/* Counter-clockwise, as Pillow's rotate; over -360 and below 360 degrees. */
bool cnndata_rotate(CnndataImage *im, CnndataImage *other, double degrees, const uint8_t fill[4]);
void cnndata_hflip(CnndataImage *im);
/* A part of h x w at (y, x), which may lie outside: black there. The images change places. */
bool cnndata_cut(CnndataImage *im, CnndataImage *other, int64_t y, int64_t x, int64_t h, int64_t w);

/* ---- Policies ---- */

/* std: deviation of each operation's magnitude from the given one, within 0 to 10. */
bool cnndata_rand_augment(CnndataWork *w, double magnitude, double std, int ops, double p,
                          const uint8_t fill[4], CnndataDraw *d);
bool cnndata_auto_augment(CnndataWork *w, int policy, const uint8_t fill[4], CnndataDraw *d);
#endif
