#include "pixels.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int cnndata_fail(CnndataError e, int status, const char *format, ...)
{
    if (e.text != NULL && e.cap > 0) {
        va_list args;
        va_start(args, format);
        vsnprintf(e.text, e.cap, format, args);
        va_end(args);
    }
    return status;
}

void *cnndata_scratch(CnndataScratch *s, size_t bytes)
{
    if (bytes <= s->capacity && s->at != NULL)
        return s->at;
    void *at = malloc(bytes > 0 ? bytes : 1);
    if (at == NULL)
        return NULL;
    free(s->at);
    *s = (CnndataScratch){at, bytes};
    return at;
}

void cnndata_scratch_free(CnndataScratch *s)
{
    free(s->at);
    *s = (CnndataScratch){0};
}

void cnndata_image_free(CnndataImage *im)
{
    free(im->pixels);
    *im = (CnndataImage){0};
}

bool cnndata_image_reserve(CnndataImage *im, int64_t h, int64_t w, int32_t c)
{
    CnndataScratch s = {im->pixels, im->capacity};
    size_t n;
    if (h < 1 || w < 1 || c < 1 || __builtin_mul_overflow((size_t)h, (size_t)w, &n) ||
        __builtin_mul_overflow(n, (size_t)c, &n) || n > PTRDIFF_MAX ||
        cnndata_scratch(&s, n) == NULL)
        return false;
    *im = (CnndataImage){s.at, s.capacity, h, w, c};
    return true;
}

void cnndata_to_grey(CnndataImage *im)
{
    if (im->c != 3)
        return;
    for (int64_t i = 0; i < im->h * im->w; i++) {
        const uint8_t *p = im->pixels + 3 * i;
        im->pixels[i] = (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
    }
    im->c = 1;
}

bool cnndata_to_rgb(CnndataImage *im)
{
    const size_t n = (size_t)(im->h * im->w);
    size_t wide;
    if (im->c != 1)
        return true;
    if (__builtin_mul_overflow(n, 3, &wide))
        return false;
    if (wide > im->capacity) {
        uint8_t *more = realloc(im->pixels, wide);
        if (more == NULL)
            return false;
        im->pixels = more;
        im->capacity = wide;
    }
    for (size_t i = n; i-- > 0;) {
        uint8_t v = im->pixels[i];
        im->pixels[3 * i] = im->pixels[3 * i + 1] = im->pixels[3 * i + 2] = v;
    }
    im->c = 3;
    return true;
}

void cnndata_norm(CnndataNorm *n, bool has_norm, const double mean[4], const double std[4])
{
    for (int c = 0; c < 4; c++)
        for (int v = 0; v < 256; v++) {
            float x = (float)v / 255.0f;
            n->value[c][v] = has_norm ? (x - (float)mean[c]) / (float)std[c] : x;
        }
}
