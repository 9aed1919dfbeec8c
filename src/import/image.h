/* Pictures: JPEG and PNG (by content, not by name) to 8-bit RGB, and the resize, crop and
 * normalisation a net's `input` line declares, as torchvision does it. The work is done by
 * runtime/cnndata, as in training. */
#ifndef CNNC_IMAGE_H
#define CNNC_IMAGE_H
#include "support/arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Image {
    uint8_t *rgb; /* malloc'ed, h * w * 3, rows top down, EXIF orientation applied */
    int64_t w, h;
} Image;

/* Limits: 100 megapixels, 256 MB of file. Grey, palette, 16-bit and CMYK are converted, alpha is
 * dropped; damaged and truncated files are refused. false with *err in the arena or constant, and
 * *out empty. */
bool image_read(Image *out, const char *path, Arena *a, const char **err);
/* The same from bytes in memory. */
bool image_decode(Image *out, const unsigned char *bytes, size_t len, Arena *a, const char **err);
void image_free(Image *im);

/* Antialiased bilinear resize to w x h of which only the window of ww x wh at (x, y) is made; out
 * takes ww * wh * channels bytes. Bit for bit what Pillow's resize(BILINEAR) gives. The window must
 * lie inside; false when out of memory or the target is over 100 megapixels a side. */
typedef struct ImageWindow {
    int64_t w, h, x, y, ww, wh;
} ImageWindow;
bool image_resize(const uint8_t *in, int64_t in_w, int64_t in_h, int channels, ImageWindow to,
                  uint8_t *out);

typedef struct ImagePrep {
    int64_t c, h, w;      /* network input */
    int64_t resize, crop; /* shorter side resized to `resize`, centre crop `crop`; 0: fit h, w */
    bool has_norm;
    double mean[4], std[4];
} ImagePrep;
/* Fills out[c*h*w]. c must be 3 or 1 (grey as Pillow's convert("L"), made before the resize); a
 * crop larger than the resized picture is filled with black. */
bool image_prepare(const Image *im, const ImagePrep *p, float *out, Arena *a, const char **err);
#endif
