#include "import/image.h"
#include "support/fs.h"
#include <pixels.h> /* of runtime/cnndata */
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 256 * 1000 * 1000 };

void image_free(Image *im)
{
    free(im->rgb);
    *im = (Image){0};
}

bool image_decode(Image *out, const unsigned char *bytes, size_t len, Arena *a, const char **err)
{
    char text[CNNDATA_ERROR_MAX];
    CnndataImage im = {0};
    *out = (Image){0};
    if (cnndata_decode(&im, bytes, len, (CnndataError){text, sizeof text}) != CNNDATA_OK) {
        cnndata_image_free(&im);
        *err = arena_strdup(a, text);
        return false;
    }
    *out = (Image){im.pixels, im.w, im.h};
    return true;
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

bool image_resize(const uint8_t *in, int64_t in_w, int64_t in_h, int channels, ImageWindow to,
                  uint8_t *out)
{
    CnndataResizer r = {0};
    CnndataPixels from = {in, in_w, in_h, in_w * channels, channels};
    bool ok = cnndata_resize(&from, (CnndataWindow){to.w, to.h, to.x, to.y, to.ww, to.wh}, out, &r);
    cnndata_resizer_free(&r);
    return ok;
}

static bool grey_copy(const Image *im, CnndataImage *out)
{
    if (!cnndata_image_reserve(out, im->h, im->w, 3))
        return false;
    memcpy(out->pixels, im->rgb, (size_t)(im->h * im->w) * 3);
    cnndata_to_grey(out);
    return true;
}

bool image_prepare(const Image *im, const ImagePrep *p, float *out, Arena *a, const char **err)
{
    char text[CNNDATA_ERROR_MAX];
    const CnndataError e = {text, sizeof text};
    CnndataPrep prep = {p->c, p->h, p->w, p->resize, p->crop, p->has_norm, {0}, {0}};
    CnndataResizer r = {0};
    CnndataImage rgb = {im->rgb, 0, im->h, im->w, 3}, grey = {0}, pixels = {0};
    CnndataNorm norm;
    memcpy(prep.mean, p->mean, sizeof prep.mean);
    memcpy(prep.std, p->std, sizeof prep.std);
    int status = cnndata_prepare_check(&prep, e);
    if (status == CNNDATA_OK && (im->w < 1 || im->h < 1))
        status = cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "the size is out of range");
    if (status == CNNDATA_OK && p->c == 1 && !grey_copy(im, &grey))
        status = cnndata_fail(e, CNNDATA_NO_MEMORY, "out of memory to resize the picture");
    if (status == CNNDATA_OK) {
        cnndata_norm(&norm, prep.has_norm, prep.mean, prep.std);
        status = cnndata_prepare(p->c == 1 ? &grey : &rgb, &prep, &norm, &pixels, &r, out, e);
    }
    if (status != CNNDATA_OK)
        *err = arena_strdup(a, text);
    cnndata_image_free(&grey);
    cnndata_image_free(&pixels);
    cnndata_resizer_free(&r);
    return status == CNNDATA_OK;
}
