/* From bytes to upright RGB: which format, size limits, EXIF orientation. */
#include "decode.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cnndata_decode_start(CnndataDecoded *d, uint64_t w, uint64_t h)
{
    uint64_t n;
    if (w == 0 || h == 0) {
        snprintf(d->message, sizeof d->message, "the picture is empty");
        return false;
    }
    if (__builtin_mul_overflow(w, h, &n) || n > CNNDATA_PIXELS_MAX) {
        snprintf(d->message, sizeof d->message,
                 "%" PRIu64 " x %" PRIu64 " pixels are more than %d megapixels", w, h,
                 CNNDATA_PIXELS_MAX / 1000000);
        return false;
    }
    if (cnndata_image_reserve(d->image, (int64_t)h, (int64_t)w, 3))
        return true;
    d->status = CNNDATA_NO_MEMORY;
    snprintf(d->message, sizeof d->message, "out of memory for %" PRIu64 " pixels", n);
    return false;
}

static uint32_t number(const unsigned char *p, int n, bool big)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | p[big ? i : n - 1 - i];
    return v;
}

int cnndata_decode_orientation(const unsigned char *tiff, size_t len)
{
    enum { TAG_ORIENTATION = 0x112, TYPE_SHORT = 3, ENTRY = 12 };
    if (len < 8 || (memcmp(tiff, "II*\0", 4) != 0 && memcmp(tiff, "MM\0*", 4) != 0))
        return 1;
    bool big = tiff[0] == 'M';
    size_t at = number(tiff + 4, 4, big);
    if (at > len || len - at < 2)
        return 1;
    uint32_t entries = number(tiff + at, 2, big);
    at += 2;
    for (; entries > 0 && len - at >= ENTRY; entries--, at += ENTRY) {
        const unsigned char *e = tiff + at;
        uint32_t value = number(e + 8, 2, big);
        if (number(e, 2, big) == TAG_ORIENTATION)
            return number(e + 2, 2, big) == TYPE_SHORT && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

/* Moves the pixels so that the picture stands upright. From 5 on the axes are swapped. */
static bool turn(CnndataDecoded *d)
{
    CnndataImage *im = d->image, turned = {0};
    int64_t w = d->orientation >= 5 ? im->h : im->w, h = d->orientation >= 5 ? im->w : im->h;
    bool flip_x =
        d->orientation == 2 || d->orientation == 3 || d->orientation == 7 || d->orientation == 8;
    bool flip_y =
        d->orientation == 3 || d->orientation == 4 || d->orientation == 6 || d->orientation == 7;
    if (d->orientation == 1)
        return true;
    if (!cnndata_image_reserve(&turned, h, w, 3)) {
        d->status = CNNDATA_NO_MEMORY;
        snprintf(d->message, sizeof d->message, "out of memory to turn the picture");
        return false;
    }
    uint8_t *at = turned.pixels;
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++, at += 3) {
            int64_t sx = d->orientation >= 5 ? y : x, sy = d->orientation >= 5 ? x : y;
            sx = flip_x ? im->w - 1 - sx : sx;
            sy = flip_y ? im->h - 1 - sy : sy;
            memcpy(at, im->pixels + (sy * im->w + sx) * 3, 3);
        }
    cnndata_image_free(im);
    *im = turned;
    return true;
}

int cnndata_decode(CnndataImage *out, const unsigned char *bytes, size_t len, CnndataError e)
{
    CnndataDecoded d = {.image = out, .orientation = 1, .status = CNNDATA_DAMAGED};
    bool ok = false;
    if (len == 0)
        snprintf(d.message, sizeof d.message, "the file is empty");
    else if (len >= 2 && memcmp(bytes, "\xff\xd8", 2) == 0)
        ok = cnndata_decode_jpeg(&d, bytes, len);
    else if (len >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        ok = cnndata_decode_png(&d, bytes, len);
    else
        snprintf(d.message, sizeof d.message, "neither a JPEG nor a PNG picture");
    return ok && turn(&d) ? CNNDATA_OK : cnndata_fail(e, d.status, "%s", d.message);
}
