/* A sample through the chain: cuts and flips, colours, policies, then floats and erasing. The
 * semantics are those of torchvision's transforms and timm's RandomErasing. */
#include "augment.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define ARG(...)                                                                                   \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define AUGMENT(ID, NAME, COUNT, ...) [CNNDATA_##ID] = {NAME, COUNT, {__VA_ARGS__}},
static const CnndataOpInfo infos[CNNDATA_OP_KINDS] = {
#include "augment.def"
};
#define ARG(...)
#define AUGMENT(...) +1
_Static_assert(CNNDATA_OP_KINDS == 0
#include "augment.def"
               ,
               "every kind of operation has a row in augment.def");

const CnndataOpInfo *cnndata_op_info(int32_t kind)
{
    return kind >= 0 && kind < CNNDATA_OP_KINDS ? &infos[kind] : NULL;
}

int32_t cnndata_op_find(const char *name)
{
    for (int32_t k = 0; k < CNNDATA_OP_KINDS && name != NULL; k++)
        if (strcmp(infos[k].name, name) == 0)
            return k;
    return -1;
}

static int check_args(CnndataOp *op, CnndataError e)
{
    const CnndataOpInfo *info = &infos[op->kind];
    for (int i = 0; i < info->arg_count; i++) {
        const CnndataArgInfo *a = &info->arg[i];
        if (isnan(op->arg[i]))
            op->arg[i] = a->usual;
        if (isnan(op->arg[i]))
            return cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "%s needs its argument '%s'", info->name,
                                a->name);
        if (op->arg[i] < a->min || op->arg[i] > a->max ||
            (a->whole && op->arg[i] != floor(op->arg[i])))
            return cnndata_fail(
                e, CNNDATA_BAD_ARGUMENT, "%s: %s is %g and must be %s from %g to %g", info->name,
                a->name, op->arg[i], a->whole ? "a whole number" : "a number", a->min, a->max);
    }
    return CNNDATA_OK;
}

static int check_op(CnndataChain *c, CnndataOp *op, CnndataError e)
{
    if (op->kind < 0 || op->kind >= CNNDATA_OP_KINDS)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "there is no operation %d", (int)op->kind);
    int status = check_args(op, e);
    if (status != CNNDATA_OK)
        return status;
    double *alpha = op->kind == CNNDATA_MIXUP    ? &c->mixup
                    : op->kind == CNNDATA_CUTMIX ? &c->cutmix
                                                 : NULL;
    if (alpha != NULL && *alpha != 0)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "%s is given twice", infos[op->kind].name);
    if (alpha != NULL)
        *alpha = op->arg[0];
    if (op->kind == CNNDATA_RANDOM_CROP || op->kind == CNNDATA_RANDOM_RESIZED_CROP) {
        c->crops = true;
        if (op->arg[0] != (double)c->prep.h || op->arg[0] != (double)c->prep.w)
            return cnndata_fail(e, CNNDATA_BAD_ARGUMENT,
                                "%s of size %g does not give the %" PRId64 "x%" PRId64
                                " the net takes",
                                infos[op->kind].name, op->arg[0], c->prep.h, c->prep.w);
    }
    return CNNDATA_OK;
}

int cnndata_chain_make(CnndataChain *out, const CnndataOp *ops, int64_t count,
                       const CnndataPrep *prep, CnndataError e)
{
    *out = (CnndataChain){.prep = *prep};
    int status = cnndata_prepare_check(prep, e);
    if (count < 0 || count > CNNDATA_OPS_MAX)
        return cnndata_fail(e, CNNDATA_BAD_ARGUMENT, "over %d operations", (int)CNNDATA_OPS_MAX);
    for (int64_t i = 0; i < count && status == CNNDATA_OK; i++) {
        out->op[i] = ops[i];
        status = check_op(out, &out->op[i], e);
    }
    if (status != CNNDATA_OK)
        return status;
    out->count = (int)count;
    cnndata_norm(&out->norm, prep->has_norm, prep->mean, prep->std);
    for (int c = 0; c < 4; c++) {
        double mean = prep->has_norm ? rint(255 * prep->mean[c]) : 128;
        out->fill[c] = (uint8_t)fmin(fmax(mean, 0), 255);
    }
    return CNNDATA_OK;
}

void cnndata_work_free(CnndataWork *w)
{
    cnndata_image_free(&w->image);
    cnndata_image_free(&w->other);
    cnndata_resizer_free(&w->resizer);
    cnndata_scratch_free(&w->bytes);
}

static void swap_images(CnndataWork *w)
{
    CnndataImage t = w->image;
    w->image = w->other;
    w->other = t;
}

/* The part of hh x ww at (y, x) of the image, resized to h x w. */
static bool resize_part(CnndataWork *w, int64_t y, int64_t x, int64_t hh, int64_t ww, int64_t to_h,
                        int64_t to_w)
{
    const CnndataImage *im = &w->image;
    const CnndataPixels part = {im->pixels + (y * im->w + x) * im->c, ww, hh, im->w * im->c, im->c};
    if (!cnndata_image_reserve(&w->other, to_h, to_w, im->c) ||
        !cnndata_resize(&part, (CnndataWindow){to_w, to_h, 0, 0, to_w, to_h}, w->other.pixels,
                        &w->resizer))
        return false;
    swap_images(w);
    return true;
}

static int64_t rounded(double v)
{
    return (int64_t)rint(v); /* ties to even, as Python rounds */
}

/* torchvision's RandomResizedCrop: ten tries for an area and an aspect that fit, then the centre.
 */
static bool random_resized_crop(CnndataWork *work, int64_t size, double scale_min, CnndataDraw *d)
{
    const double lo = 3.0 / 4.0, hi = 4.0 / 3.0;
    const int64_t w = work->image.w, h = work->image.h;
    const double area = (double)w * (double)h, in = (double)w / (double)h;
    for (int i = 0; i < 10; i++) {
        double target = area * draw_between(d, scale_min, 1);
        double aspect = exp(draw_between(d, log(lo), log(hi)));
        int64_t cw = rounded(sqrt(target * aspect)), ch = rounded(sqrt(target / aspect));
        if (cw > 0 && cw <= w && ch > 0 && ch <= h) {
            int64_t y = draw_below(d, h - ch + 1), x = draw_below(d, w - cw + 1);
            return resize_part(work, y, x, ch, cw, size, size);
        }
    }
    int64_t cw = in > hi ? rounded((double)h * hi) : w, ch = in < lo ? rounded((double)w / lo) : h;
    return resize_part(work, (h - ch) / 2, (w - cw) / 2, ch, cw, size, size);
}

/* torchvision's RandomCrop with padding and pad_if_needed: a side that is too short even so gets as
 * much as it lacks on both ends. */
static bool random_crop(CnndataWork *work, int64_t size, int64_t pad, CnndataDraw *d)
{
    int64_t w = work->image.w + 2 * pad, h = work->image.h + 2 * pad;
    int64_t pad_x = pad + (w < size ? size - w : 0), pad_y = pad + (h < size ? size - h : 0);
    h = work->image.h + 2 * pad_y;
    w = work->image.w + 2 * pad_x;
    int64_t y = draw_below(d, h - size + 1), x = draw_below(d, w - size + 1);
    return cnndata_cut(&work->image, &work->other, y - pad_y, x - pad_x, size, size);
}

static void color_jitter(CnndataImage *im, const double strength[3], CnndataDraw *d)
{
    int order[3] = {0, 1, 2};
    double factor[3];
    for (int i = 2; i > 0; i--) {
        int64_t j = draw_below(d, i + 1);
        int t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (int i = 0; i < 3; i++)
        factor[i] = draw_between(d, fmax(0, 1 - strength[i]), 1 + strength[i]);
    for (int i = 0; i < 3; i++)
        if (strength[order[i]] > 0) {
            if (order[i] == 0)
                cnndata_brightness(im, factor[0]);
            else if (order[i] == 1)
                cnndata_contrast(im, factor[1]);
            else
                cnndata_saturation(im, factor[2]);
        }
}

static bool apply(const CnndataChain *c, const CnndataOp *op, CnndataWork *w, CnndataDraw d)
{
    switch ((CnndataOpKind)op->kind) {
    case CNNDATA_RANDOM_RESIZED_CROP:
        return random_resized_crop(w, (int64_t)op->arg[0], op->arg[1], &d);
    case CNNDATA_RANDOM_CROP: return random_crop(w, (int64_t)op->arg[0], (int64_t)op->arg[1], &d);
    case CNNDATA_HFLIP:
        if (draw_unit(&d) < op->arg[0])
            cnndata_hflip(&w->image);
        return true;
    case CNNDATA_COLOR_JITTER: color_jitter(&w->image, op->arg, &d); return true;
    case CNNDATA_RAND_AUGMENT:
        return cnndata_rand_augment(w, op->arg[0], op->arg[1], (int)op->arg[2], op->arg[3], c->fill,
                                    &d);
    case CNNDATA_AUTO_AUGMENT: return cnndata_auto_augment(w, (int)op->arg[0], c->fill, &d);
    case CNNDATA_ERASE:
    case CNNDATA_MIXUP:
    case CNNDATA_CUTMIX:
    case CNNDATA_OP_KINDS: break; /* not on pixels */
    }
    return true;
}

static void to_floats(const CnndataChain *c, const CnndataImage *im, float *out)
{
    const int64_t n = im->h * im->w;
    for (int32_t k = 0; k < im->c; k++)
        for (int64_t i = 0; i < n; i++)
            out[k * n + i] = c->norm.value[k][im->pixels[i * im->c + k]];
}

/* timm's RandomErasing in its mode "const": a rectangle of zeros, which is the mean. */
static void erase(const CnndataPrep *p, double probability, float *out, CnndataDraw d)
{
    const double aspect = log(0.3);
    const double area = (double)p->h * (double)p->w;
    if (draw_unit(&d) > probability)
        return;
    for (int i = 0; i < 10; i++) {
        double target = area * draw_between(&d, 0.02, 1.0 / 3.0);
        double ratio = exp(draw_between(&d, aspect, -aspect));
        int64_t h = rounded(sqrt(target * ratio)), w = rounded(sqrt(target / ratio));
        if (h >= p->h || w >= p->w)
            continue;
        int64_t y = draw_below(&d, p->h - h + 1), x = draw_below(&d, p->w - w + 1);
        for (int64_t c = 0; c < p->c; c++)
            for (int64_t r = y; r < y + h; r++)
                memset(out + (c * p->h + r) * p->w + x, 0, (size_t)w * sizeof *out);
        return;
    }
}

static int no_memory(CnndataError e)
{
    return cnndata_fail(e, CNNDATA_NO_MEMORY, "out of memory to augment a picture");
}

static bool channels(const CnndataChain *c, CnndataImage *im)
{
    if (c->prep.c == 1)
        cnndata_to_grey(im);
    return c->prep.c == 1 || cnndata_to_rgb(im);
}

int cnndata_augment(const CnndataChain *c, uint64_t key, CnndataWork *w, float *out, CnndataError e)
{
    const CnndataPrep *p = &c->prep;
    if (!channels(c, &w->image))
        return no_memory(e);
    if (!c->crops && (w->image.h != p->h || w->image.w != p->w) &&
        !resize_part(w, 0, 0, w->image.h, w->image.w, p->h, p->w))
        return no_memory(e);
    for (int i = 0; i < c->count; i++)
        if (!apply(c, &c->op[i], w, (CnndataDraw){rng_mix(key, (uint64_t)i), 0}))
            return no_memory(e);
    to_floats(c, &w->image, out);
    for (int i = 0; i < c->count; i++)
        if (c->op[i].kind == CNNDATA_ERASE)
            erase(p, c->op[i].arg[0], out, (CnndataDraw){rng_mix(key, (uint64_t)i), 0});
    return CNNDATA_OK;
}

int cnndata_prepare_sample(const CnndataChain *c, CnndataWork *w, float *out, CnndataError e)
{
    const CnndataPrep *p = &c->prep;
    if (!channels(c, &w->image))
        return no_memory(e);
    if (w->image.h == p->h && w->image.w == p->w) {
        to_floats(c, &w->image, out);
        return CNNDATA_OK;
    }
    return cnndata_prepare(&w->image, p, &c->norm, &w->other, &w->resizer, out, e);
}
