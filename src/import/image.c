#include "import/image.h"
#include "import/decode.h"
#include "support/fs.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 256 * 1000 * 1000 };

void image_free(Image *im)
{
    free(im->rgb);
    *im = (Image){0};
}

bool decode_start(Decoded *d, uint64_t w, uint64_t h)
{
    uint64_t n;
    if (w == 0 || h == 0) {
        snprintf(d->message, sizeof d->message, "the picture is empty");
        return false;
    }
    if (__builtin_mul_overflow(w, h, &n) || n > DECODE_PIXELS_MAX) {
        snprintf(d->message, sizeof d->message,
                 "%" PRIu64 " x %" PRIu64 " pixels are more than %d megapixels", w, h,
                 DECODE_PIXELS_MAX / 1000000);
        return false;
    }
    d->image.rgb = malloc((size_t)n * 3);
    d->image.w = (int64_t)w;
    d->image.h = (int64_t)h;
    if (d->image.rgb == NULL)
        snprintf(d->message, sizeof d->message, "out of memory for %" PRIu64 " pixels", n);
    return d->image.rgb != NULL;
}

static uint32_t number(const unsigned char *p, int n, bool big)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | p[big ? i : n - 1 - i];
    return v;
}

int decode_orientation(const unsigned char *tiff, size_t len)
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
static bool turn(Decoded *d)
{
    Image *im = &d->image;
    int64_t w = d->orientation >= 5 ? im->h : im->w, h = d->orientation >= 5 ? im->w : im->h;
    bool flip_x =
        d->orientation == 2 || d->orientation == 3 || d->orientation == 7 || d->orientation == 8;
    bool flip_y =
        d->orientation == 3 || d->orientation == 4 || d->orientation == 6 || d->orientation == 7;
    if (d->orientation == 1)
        return true;
    uint8_t *out = malloc((size_t)w * (size_t)h * 3), *at = out;
    if (out == NULL) {
        snprintf(d->message, sizeof d->message, "out of memory to turn the picture");
        return false;
    }
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++, at += 3) {
            int64_t sx = d->orientation >= 5 ? y : x, sy = d->orientation >= 5 ? x : y;
            sx = flip_x ? im->w - 1 - sx : sx;
            sy = flip_y ? im->h - 1 - sy : sy;
            memcpy(at, im->rgb + (sy * im->w + sx) * 3, 3);
        }
    free(im->rgb);
    *im = (Image){out, w, h};
    return true;
}

bool image_decode(Image *out, const unsigned char *bytes, size_t len, Arena *a, const char **err)
{
    Decoded d = {.orientation = 1};
    bool ok = false;
    *out = (Image){0};
    if (len == 0)
        snprintf(d.message, sizeof d.message, "the file is empty");
    else if (len >= 2 && memcmp(bytes, "\xff\xd8", 2) == 0)
        ok = decode_jpeg(&d, bytes, len);
    else if (len >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        ok = decode_png(&d, bytes, len);
    else
        snprintf(d.message, sizeof d.message, "neither a JPEG nor a PNG picture");
    if (ok && turn(&d)) {
        *out = d.image;
        return true;
    }
    image_free(&d.image);
    *err = arena_strdup(a, d.message);
    return false;
}

bool image_read(Image *out, const char *path, Arena *a, const char **err)
{
    size_t len;
    *out = (Image){0};
    char *bytes = fs_read(path, FILE_MAX, &len, err);
    if (bytes == NULL) {
        *err = arena_strdup(a, *err);
        return false;
    }
    bool ok = image_decode(out, (const unsigned char *)bytes, len, a, err);
    free(bytes);
    return ok;
}
