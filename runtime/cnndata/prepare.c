/* The preparation of a picture without chance: shorter side resized, centre crop, floats. */
#include "pixels.h"
#include <inttypes.h>
#include <math.h>

/* Where a crop of `crop` begins in a side of `side`: half, ties to even, as Python rounds; negative
 * when the side is shorter and padding comes first. */
static int64_t crop_start(int64_t side, int64_t crop)
{
    if (crop > side)
        return -((crop - side) / 2);
    int64_t room = side - crop;
    return room % 2 == 0 ? room / 2 : room / 2 + (room / 2) % 2;
}

static void crop_axis(int64_t side, int64_t crop, int64_t *start, int64_t *len, int64_t *pad)
{
    int64_t at = crop_start(side, crop);
    *start = at < 0 ? 0 : at;
    *pad = at < 0 ? -at : 0;
    *len = crop > side ? side : crop;
}

/* The size the picture is resized to before the crop. */
static void target(const CnndataImage *im, const CnndataPrep *p, int64_t *w, int64_t *h)
{
    if (p->resize == 0) {
        *w = p->crop > 0 ? im->w : p->w;
        *h = p->crop > 0 ? im->h : p->h;
    } else if (im->w <= im->h) {
        *w = p->resize;
        *h = p->resize * im->h / im->w;
    } else {
        *h = p->resize;
        *w = p->resize * im->w / im->h;
    }
}

static void to_floats(const CnndataPrep *p, const CnndataNorm *n, const uint8_t *pixels,
                      CnndataWindow to, int64_t pad_x, int64_t pad_y, float *out)
{
    for (int64_t c = 0; c < p->c; c++) {
        float *plane = out + c * p->h * p->w;
        if (to.ww < p->w || to.wh < p->h)
            for (int64_t i = 0; i < p->h * p->w; i++)
                plane[i] = n->value[c][0];
        for (int64_t y = 0; y < to.wh; y++)
            for (int64_t x = 0; x < to.ww; x++)
                plane[(y + pad_y) * p->w + x + pad_x] =
                    n->value[c][pixels[(y * to.ww + x) * p->c + c]];
    }
}

int cnndata_prepare_check(const CnndataPrep *p, CnndataError e)
{
    if (p->c != 3 && p->c != 1)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT,
                            "a picture has 3 channels or 1, the input takes %" PRId64, p->c);
    if (p->h < 1 || p->w < 1 || p->h > CNNDATA_SIDE_MAX || p->w > CNNDATA_SIDE_MAX ||
        p->h * p->w > CNNDATA_SIDE_MAX)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "the size is out of range");
    if (p->resize < 0 || p->resize > CNNDATA_SIDE_MAX || p->crop < 0)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT,
                            "resize and crop must not be negative or huge");
    if (p->crop > 0 && (p->crop != p->h || p->crop != p->w))
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT,
                            "a crop of %" PRId64 " does not give %" PRId64 "x%" PRId64, p->crop,
                            p->h, p->w);
    for (int64_t c = 0; p->has_norm && c < p->c; c++)
        if (!isfinite(p->mean[c]) || !isfinite(p->std[c]) || (float)p->std[c] == 0.0f)
            return cnndata_fail(
                e, CNNDATA_BAD_ARGUMENT,
                "the normalisation has a deviation of 0 or a value that is no number");
    return CNNDATA_OK;
}

int cnndata_prepare(const CnndataImage *im, const CnndataPrep *p, const CnndataNorm *n,
                    CnndataImage *pixels, CnndataResizer *r, float *out, CnndataError e)
{
    CnndataWindow to = {0};
    int64_t pad_x, pad_y;
    target(im, p, &to.w, &to.h);
    if (to.w > CNNDATA_SIDE_MAX || to.h > CNNDATA_SIDE_MAX)
        return cnndata_fail(e, CNNDATA_DAMAGED,
                            "%" PRId64 "x%" PRId64 " is too narrow to be resized", im->w, im->h);
    crop_axis(to.w, p->w, &to.x, &to.ww, &pad_x);
    crop_axis(to.h, p->h, &to.y, &to.wh, &pad_y);
    CnndataPixels in = {im->pixels, im->w, im->h, im->w * im->c, im->c};
    if (!cnndata_image_reserve(pixels, to.wh, to.ww, im->c) ||
        !cnndata_resize(&in, to, pixels->pixels, r))
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "out of memory to resize the picture");
    to_floats(p, n, pixels->pixels, to, pad_x, pad_y, out);
    return CNNDATA_OK;
}
