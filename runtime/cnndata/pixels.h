/* Pictures in memory: decoding, resampling, and the preparation a net's `input` line declares, as
 * torchvision does it. The one implementation of training, evaluation and `cnnc run`. */
#ifndef CNNDATA_PIXELS_H
#define CNNDATA_PIXELS_H
#include "cnndata.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a message goes: a buffer of cap bytes, which may be 0. */
typedef struct CnndataError {
    char *text;
    size_t cap;
} CnndataError;
/* Writes the message and returns status. */
__attribute__((format(printf, 3, 4))) int cnndata_fail(CnndataError e, int status,
                                                       const char *format, ...);

/* Memory that is kept for the next use; what is in it is lost when it grows. */
typedef struct CnndataScratch {
    void *at;
    size_t capacity;
} CnndataScratch;
/* NULL when out of memory; the old memory is kept then. */
void *cnndata_scratch(CnndataScratch *s, size_t bytes);
void cnndata_scratch_free(CnndataScratch *s);

/* Sets the size of an image, of pixels that are then undefined; false when out of memory or h * w *
 * c is too large to be one. */
bool cnndata_image_reserve(CnndataImage *im, int64_t h, int64_t w, int32_t c);

enum { CNNDATA_PIXELS_MAX = 100 * 1000 * 1000, CNNDATA_SIDE_MAX = 100 * 1000 * 1000 };

/* JPEG or PNG (by content, not by name) to RGB, EXIF orientation applied. Grey, palette, 16-bit and
 * CMYK are converted, alpha is dropped; over 100 megapixels, damaged or truncated is refused. out
 * is to be freed even on failure. */
int cnndata_decode(CnndataImage *out, const unsigned char *bytes, size_t len, CnndataError e);

/* Grey as ITU-R 601 in 16 bits, what Pillow's convert("L") gives, in place; and 1 channel to 3. */
void cnndata_to_grey(CnndataImage *im);
bool cnndata_to_rgb(CnndataImage *im);

/* Part of an image: `pitch` bytes from one row to the next. */
typedef struct CnndataPixels {
    const uint8_t *at;
    int64_t w, h, pitch;
    int32_t c;
} CnndataPixels;

/* A resize to w x h of which only the window of ww x wh at (x, y) is made. */
typedef struct CnndataWindow {
    int64_t w, h, x, y, ww, wh;
} CnndataWindow;

/* What resampling needs besides: zero it first, free it last. */
typedef struct CnndataResizer {
    CnndataScratch taps[2], row, middle;
} CnndataResizer;
void cnndata_resizer_free(CnndataResizer *r);

/* Antialiased bilinear resize; out takes ww * wh * c bytes. Bit for bit what Pillow's
 * resize(BILINEAR) gives. The window must lie inside; false when out of memory or the target is
 * over CNNDATA_SIDE_MAX a side. */
bool cnndata_resize(const CnndataPixels *in, CnndataWindow to, uint8_t *out, CnndataResizer *r);

typedef struct CnndataPrep {
    int64_t c, h, w;      /* network input */
    int64_t resize, crop; /* shorter side resized to `resize`, centre crop `crop`; 0: fit h, w */
    bool has_norm;
    double mean[4], std[4];
} CnndataPrep;

/* 8-bit values to floats, per channel: (v / 255 - mean) / std in float32. */
typedef struct CnndataNorm {
    float value[4][256];
} CnndataNorm;
void cnndata_norm(CnndataNorm *n, bool has_norm, const double mean[4], const double std[4]);

/* What is wrong with the settings alone. */
int cnndata_prepare_check(const CnndataPrep *p, CnndataError e);
/* Fills out[c*h*w] of a checked preparation. The image must have p->c channels; a crop larger than
 * the resized picture is filled with black. */
int cnndata_prepare(const CnndataImage *im, const CnndataPrep *p, const CnndataNorm *n,
                    CnndataImage *pixels, CnndataResizer *r, float *out, CnndataError e);
#endif
