/* Where pixels go: affine maps after Pillow, flips and cuts. */
#include "augment.h"
#include <math.h>
#include <string.h>

static void swap(CnndataImage *a, CnndataImage *b)
{
    CnndataImage t = *a;
    *a = *b;
    *b = t;
}

static int64_t held(int64_t v, int64_t n)
{
    return v < 0 ? 0 : v >= n ? n - 1 : v;
}

/* Pillow's bilinear_filter: four neighbours, held at the border, truncated. */
static void sample_at(const CnndataImage *im, double x, double y, uint8_t *out)
{
    const double fx = floor(x - 0.5), fy = floor(y - 0.5), dx = x - 0.5 - fx, dy = y - 0.5 - fy;
    const int64_t c = im->c, x0 = held((int64_t)fx, im->w) * c,
                  x1 = held((int64_t)fx + 1, im->w) * c;
    const uint8_t *upper = im->pixels + held((int64_t)fy, im->h) * im->w * c;
    const uint8_t *lower = im->pixels + held((int64_t)fy + 1, im->h) * im->w * c;
    for (int64_t k = 0; k < c; k++) {
        double a = upper[x0 + k] + (upper[x1 + k] - upper[x0 + k]) * dx;
        double b = lower[x0 + k] + (lower[x1 + k] - lower[x0 + k]) * dx;
        out[k] = (uint8_t)(a + (b - a) * dy);
    }
}

bool cnndata_affine(CnndataImage *im, CnndataImage *other, const double m[6], const uint8_t fill[4])
{
    if (!cnndata_image_reserve(other, im->h, im->w, im->c))
        return false;
    uint8_t *to = other->pixels;
    for (int64_t y = 0; y < im->h; y++)
        for (int64_t x = 0; x < im->w; x++, to += im->c) {
            const double xc = (double)x + 0.5, yc = (double)y + 0.5;
            const double xi = m[0] * xc + m[1] * yc + m[2], yi = m[3] * xc + m[4] * yc + m[5];
            if (xi < 0.0 || xi >= (double)im->w || yi < 0.0 || yi >= (double)im->h)
                memcpy(to, fill, (size_t)im->c);
            else
                sample_at(im, xi, yi, to);
        }
    swap(im, other);
    return true;
}

/* Pillow rounds the matrix to 15 digits, so that right angles are exact. */
static double digits15(double v)
{
    return rint(v * 1e15) / 1e15;
}

bool cnndata_rotate(CnndataImage *im, CnndataImage *other, double degrees, const uint8_t fill[4])
{
    const double whole = degrees < 0 ? degrees + 360.0 : degrees; /* as Pillow, to the last bit */
    const double turn = -(whole * (3.14159265358979323846 / 180.0));
    const double c = digits15(cos(turn)), s = digits15(sin(turn));
    const double cx = (double)im->w / 2.0, cy = (double)im->h / 2.0;
    const double m[6] = {c, s, c * -cx + s * -cy + cx, -s, c, -s * -cx + c * -cy + cy};
    if (degrees == 0.0)
        return true;
    return cnndata_affine(im, other, m, fill);
}

void cnndata_hflip(CnndataImage *im)
{
    for (int64_t y = 0; y < im->h; y++) {
        uint8_t *a = im->pixels + y * im->w * im->c, *b = a + (im->w - 1) * im->c;
        for (; a < b; a += im->c, b -= im->c)
            for (int32_t k = 0; k < im->c; k++) {
                uint8_t t = a[k];
                a[k] = b[k];
                b[k] = t;
            }
    }
}

bool cnndata_cut(CnndataImage *im, CnndataImage *other, int64_t y, int64_t x, int64_t h, int64_t w)
{
    const int64_t c = im->c;
    const int64_t left = x < 0 ? -x : 0; /* columns of black before the picture */
    const int64_t from = x < 0 ? 0 : x;
    int64_t n = w - left < im->w - from ? w - left : im->w - from;
    n = n < 0 ? 0 : n;
    if (!cnndata_image_reserve(other, h, w, im->c))
        return false;
    for (int64_t r = 0; r < h; r++) {
        uint8_t *to = other->pixels + r * w * c;
        if (r + y < 0 || r + y >= im->h || n == 0) {
            memset(to, 0, (size_t)(w * c));
            continue;
        }
        memset(to, 0, (size_t)(left * c));
        memcpy(to + left * c, im->pixels + ((r + y) * im->w + from) * c, (size_t)(n * c));
        memset(to + (left + n) * c, 0, (size_t)((w - left - n) * c));
    }
    swap(im, other);
    return true;
}
