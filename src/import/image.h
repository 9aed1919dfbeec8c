/* Pictures: JPEG and PNG (by content, not by name) to planar float RGB in [0, 1], and the resize,
 * crop and normalisation a net's `input` line declares, as torchvision does it. */
#ifndef CNNC_IMAGE_H
#define CNNC_IMAGE_H
#include "support/arena.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct Image {
    uint8_t *rgb; /* malloc'ed, h * w * 3, rows top down, EXIF orientation applied */
    int64_t w, h;
} Image;

/* Limits: 100 megapixels, 256 MB of file. Grey, palette, 16-bit and alpha (over white? no: dropped)
 * are converted; CMYK JPEG is converted; damaged files are refused with a reason. */
bool image_read(Image *out, const char *path, Arena *a, const char **err);
void image_free(Image *im);

typedef struct ImagePrep {
    int64_t c, h, w;       /* network input */
    int64_t resize, crop;  /* shorter side resized to `resize`, centre crop `crop`; 0: fit h, w */
    bool has_norm;
    double mean[4], std[4];
} ImagePrep;
/* Fills out[c*h*w]. Antialiased bilinear as Pillow's; c must be 3 or 1. */
bool image_prepare(const Image *im, const ImagePrep *p, float *out, Arena *a, const char **err);
#endif
