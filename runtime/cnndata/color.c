/* Colours after Pillow: ImageEnhance blends with a degenerate image, ImageOps maps values through
 * tables that may depend on the histogram. */
#include "augment.h"
#include <string.h>

static size_t bytes_of(const CnndataImage *im)
{
    return (size_t)(im->h * im->w) * (size_t)im->c;
}

/* Pillow's blend: float arithmetic, truncated; outside 0..1 the result is clipped. */
static uint8_t blend(int from, int to, float factor)
{
    float v = (float)from + factor * (float)(to - from);
    return v <= 0.0f ? 0 : v >= 255.0f ? 255 : (uint8_t)v;
}

static uint8_t grey(const uint8_t *p)
{
    return (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
}

static void through(CnndataImage *im, const uint8_t *table, int32_t channel)
{
    const int64_t n = im->h * im->w;
    for (int64_t i = 0; i < n; i++)
        im->pixels[i * im->c + channel] = table[im->pixels[i * im->c + channel]];
}

static void all_through(CnndataImage *im, const uint8_t *table)
{
    const size_t n = bytes_of(im);
    for (size_t i = 0; i < n; i++)
        im->pixels[i] = table[im->pixels[i]];
}

static void blend_with(CnndataImage *im, int from, double factor)
{
    uint8_t table[256];
    for (int v = 0; v < 256; v++)
        table[v] = blend(from, v, (float)factor);
    all_through(im, table);
}

void cnndata_brightness(CnndataImage *im, double factor)
{
    blend_with(im, 0, factor);
}

void cnndata_contrast(CnndataImage *im, double factor)
{
    const int64_t n = im->h * im->w;
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += im->c == 3 ? grey(im->pixels + 3 * i) : im->pixels[i];
    blend_with(im, (int)((double)sum / (double)n + 0.5), factor);
}

void cnndata_saturation(CnndataImage *im, double factor)
{
    const int64_t n = im->h * im->w;
    for (int64_t i = 0; i < n && im->c == 3; i++) {
        uint8_t *p = im->pixels + 3 * i, g = grey(p);
        for (int c = 0; c < 3; c++)
            p[c] = blend(g, p[c], (float)factor);
    }
}

/* Smoothing by (1 1 1; 1 5 1; 1 1 1) / 13, rounded; the border stays as it is. The rounded value is
 * never a tie, so that whole numbers give what Pillow's floats do. */
bool cnndata_sharpness(CnndataImage *im, double factor, CnndataImage *other)
{
    const int64_t row = im->w * im->c;
    const int32_t c = im->c;
    if (!cnndata_image_reserve(other, im->h, im->w, c))
        return false;
    memcpy(other->pixels, im->pixels, bytes_of(im));
    for (int64_t y = 1; y < im->h - 1; y++)
        for (int64_t x = c; x < row - c; x++) {
            const uint8_t *p = other->pixels + y * row + x;
            int sum = 4 * p[0];
            for (int64_t dy = -row; dy <= row; dy += row)
                sum += p[dy - c] + p[dy] + p[dy + c];
            im->pixels[y * row + x] = blend((2 * sum + 13) / 26, p[0], (float)factor);
        }
    return true;
}

static void count_values(const CnndataImage *im, int32_t channel, int64_t count[256])
{
    const int64_t n = im->h * im->w;
    memset(count, 0, 256 * sizeof *count);
    for (int64_t i = 0; i < n; i++)
        count[im->pixels[i * im->c + channel]]++;
}

void cnndata_autocontrast(CnndataImage *im)
{
    for (int32_t c = 0; c < im->c; c++) {
        int64_t count[256];
        uint8_t table[256];
        int lo = 0, hi = 255;
        count_values(im, c, count);
        while (lo < 255 && count[lo] == 0)
            lo++;
        while (hi > 0 && count[hi] == 0)
            hi--;
        if (hi <= lo)
            continue;
        const double scale = 255.0 / (hi - lo), offset = -lo * scale;
        for (int v = 0; v < 256; v++) {
            int to = (int)(v * scale + offset);
            table[v] = (uint8_t)(to < 0 ? 0 : to > 255 ? 255 : to);
        }
        through(im, table, c);
    }
}

void cnndata_equalize(CnndataImage *im)
{
    for (int32_t c = 0; c < im->c; c++) {
        int64_t count[256], n = 0, last = 0;
        uint8_t table[256];
        count_values(im, c, count);
        for (int v = 0; v < 256; v++)
            if (count[v] > 0)
                last = count[v];
        const int64_t step = (im->h * im->w - last) / 255;
        if (step == 0)
            continue;
        n = step / 2;
        for (int v = 0; v < 256; v++) {
            int64_t to = n / step;
            table[v] = (uint8_t)(to > 255 ? 255 : to);
            n += count[v];
        }
        through(im, table, c);
    }
}

void cnndata_invert(CnndataImage *im)
{
    const size_t n = bytes_of(im);
    for (size_t i = 0; i < n; i++)
        im->pixels[i] = (uint8_t)(255 - im->pixels[i]);
}

void cnndata_posterize(CnndataImage *im, int bits)
{
    const size_t n = bytes_of(im);
    const uint8_t mask = (uint8_t)(0xff00 >> bits);
    for (size_t i = 0; i < n; i++)
        im->pixels[i] &= mask;
}

void cnndata_solarize(CnndataImage *im, int threshold)
{
    const size_t n = bytes_of(im);
    for (size_t i = 0; i < n; i++)
        if (im->pixels[i] >= threshold)
            im->pixels[i] = (uint8_t)(255 - im->pixels[i]);
}

void cnndata_solarize_add(CnndataImage *im, int add)
{
    uint8_t table[256];
    for (int v = 0; v < 256; v++)
        table[v] = (uint8_t)(v >= 128 ? v : v + add > 255 ? 255 : v + add);
    all_through(im, table);
}
