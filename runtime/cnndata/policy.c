/* RandAugment (Cubuk et al. 2020) and AutoAugment (Cubuk et al. 2019) with the operations, levels
 * and policies of timm (timm/data/auto_augment.py): rand-mM-mstdS-nN-pP-inc1, v0 and original,
 * bilinear. */
#include "augment.h"
#include <math.h>
#include <string.h>

typedef enum Act {
    AUTO_CONTRAST,
    EQUALIZE,
    INVERT,
    ROTATE,
    POSTERIZE,
    SOLARIZE,
    SOLARIZE_ADD,
    COLOR,
    CONTRAST,
    BRIGHTNESS,
    SHARPNESS,
    SHEAR_X,
    SHEAR_Y,
    TRANSLATE_X,
    TRANSLATE_Y,
    RAND_ACTS, /* those before are what rand_augment draws from */
    POSTERIZE_ORIGINAL = RAND_ACTS
} Act;

typedef struct Part {
    Act act;
    double p;
    int level;
} Part;

enum { SUB_POLICIES = 25 };

static const Part v0[SUB_POLICIES][2] = {
    {{EQUALIZE, 0.8, 1}, {SHEAR_Y, 0.8, 4}},
    {{COLOR, 0.4, 9}, {EQUALIZE, 0.6, 3}},
    {{COLOR, 0.4, 1}, {ROTATE, 0.6, 8}},
    {{SOLARIZE, 0.8, 3}, {EQUALIZE, 0.4, 7}},
    {{SOLARIZE, 0.4, 2}, {SOLARIZE, 0.6, 2}},
    {{COLOR, 0.2, 0}, {EQUALIZE, 0.8, 8}},
    {{EQUALIZE, 0.4, 8}, {SOLARIZE_ADD, 0.8, 3}},
    {{SHEAR_X, 0.2, 9}, {ROTATE, 0.6, 8}},
    {{COLOR, 0.6, 1}, {EQUALIZE, 1.0, 2}},
    {{INVERT, 0.4, 9}, {ROTATE, 0.6, 0}},
    {{EQUALIZE, 1.0, 9}, {SHEAR_Y, 0.6, 3}},
    {{COLOR, 0.4, 7}, {EQUALIZE, 0.6, 0}},
    {{POSTERIZE, 0.4, 6}, {AUTO_CONTRAST, 0.4, 7}},
    {{SOLARIZE, 0.6, 8}, {COLOR, 0.6, 9}},
    {{SOLARIZE, 0.2, 4}, {ROTATE, 0.8, 9}},
    {{ROTATE, 1.0, 7}, {TRANSLATE_Y, 0.8, 9}},
    {{SHEAR_X, 0.0, 0}, {SOLARIZE, 0.8, 4}},
    {{SHEAR_Y, 0.8, 0}, {COLOR, 0.6, 4}},
    {{COLOR, 1.0, 0}, {ROTATE, 0.6, 2}},
    {{EQUALIZE, 0.8, 4}, {EQUALIZE, 0.0, 8}},
    {{EQUALIZE, 1.0, 4}, {AUTO_CONTRAST, 0.6, 2}},
    {{SHEAR_Y, 0.4, 7}, {SOLARIZE_ADD, 0.6, 7}},
    {{POSTERIZE, 0.8, 2}, {SOLARIZE, 0.6, 10}},
    {{SOLARIZE, 0.6, 8}, {EQUALIZE, 0.6, 1}},
    {{COLOR, 0.8, 6}, {ROTATE, 0.4, 5}},
};

static const Part original[SUB_POLICIES][2] = {
    {{POSTERIZE_ORIGINAL, 0.4, 8}, {ROTATE, 0.6, 9}},
    {{SOLARIZE, 0.6, 5}, {AUTO_CONTRAST, 0.6, 5}},
    {{EQUALIZE, 0.8, 8}, {EQUALIZE, 0.6, 3}},
    {{POSTERIZE_ORIGINAL, 0.6, 7}, {POSTERIZE_ORIGINAL, 0.6, 6}},
    {{EQUALIZE, 0.4, 7}, {SOLARIZE, 0.2, 4}},
    {{EQUALIZE, 0.4, 4}, {ROTATE, 0.8, 8}},
    {{SOLARIZE, 0.6, 3}, {EQUALIZE, 0.6, 7}},
    {{POSTERIZE_ORIGINAL, 0.8, 5}, {EQUALIZE, 1.0, 2}},
    {{ROTATE, 0.2, 3}, {SOLARIZE, 0.6, 8}},
    {{EQUALIZE, 0.6, 8}, {POSTERIZE_ORIGINAL, 0.4, 6}},
    {{ROTATE, 0.8, 8}, {COLOR, 0.4, 0}},
    {{ROTATE, 0.4, 9}, {EQUALIZE, 0.6, 2}},
    {{EQUALIZE, 0.0, 7}, {EQUALIZE, 0.8, 8}},
    {{INVERT, 0.6, 4}, {EQUALIZE, 1.0, 8}},
    {{COLOR, 0.6, 4}, {CONTRAST, 1.0, 8}},
    {{ROTATE, 0.8, 8}, {COLOR, 1.0, 2}},
    {{COLOR, 0.8, 8}, {SOLARIZE, 0.8, 7}},
    {{SHARPNESS, 0.4, 7}, {INVERT, 0.6, 8}},
    {{SHEAR_X, 0.6, 5}, {EQUALIZE, 1.0, 9}},
    {{COLOR, 0.4, 0}, {EQUALIZE, 0.6, 3}},
    {{EQUALIZE, 0.4, 7}, {SOLARIZE, 0.2, 4}},
    {{SOLARIZE, 0.6, 5}, {AUTO_CONTRAST, 0.6, 5}},
    {{INVERT, 0.6, 4}, {EQUALIZE, 1.0, 8}},
    {{COLOR, 0.6, 4}, {CONTRAST, 1.0, 8}},
    {{EQUALIZE, 0.8, 8}, {EQUALIZE, 0.6, 3}},
};

int32_t cnndata_policy_find(const char *name)
{
    return name == NULL                    ? -1
           : strcmp(name, "v0") == 0       ? CNNDATA_POLICY_V0
           : strcmp(name, "original") == 0 ? CNNDATA_POLICY_ORIGINAL
                                           : -1;
}

static double either_sign(CnndataDraw *d, double v)
{
    return draw_unit(d) > 0.5 ? -v : v;
}

static bool move(CnndataWork *w, Act act, double by, const uint8_t fill[4])
{
    double m[6] = {1, 0, 0, 0, 1, 0};
    switch (act) {
    case SHEAR_X: m[1] = by; break;
    case SHEAR_Y: m[3] = by; break;
    case TRANSLATE_X: m[2] = by * (double)w->image.w; break;
    default: m[5] = by * (double)w->image.h; break;
    }
    return cnndata_affine(&w->image, &w->other, m, fill);
}

/* One operation at a level from 0 to 10. */
static bool act_on(CnndataWork *w, Act act, double level, const uint8_t fill[4], CnndataDraw *d)
{
    const double part = level / 10.0, enhance = part * 1.8 + 0.1;
    CnndataImage *im = &w->image;
    switch (act) {
    case AUTO_CONTRAST: cnndata_autocontrast(im); break;
    case EQUALIZE: cnndata_equalize(im); break;
    case INVERT: cnndata_invert(im); break;
    case ROTATE: return cnndata_rotate(im, &w->other, either_sign(d, part * 30.0), fill);
    case POSTERIZE: cnndata_posterize(im, (int)(part * 4)); break;
    case POSTERIZE_ORIGINAL: cnndata_posterize(im, (int)(part * 4) + 4); break;
    case SOLARIZE: cnndata_solarize(im, (int)(part * 256)); break;
    case SOLARIZE_ADD: cnndata_solarize_add(im, (int)(part * 110)); break;
    case COLOR: cnndata_saturation(im, enhance); break;
    case CONTRAST: cnndata_contrast(im, enhance); break;
    case BRIGHTNESS: cnndata_brightness(im, enhance); break;
    case SHARPNESS: return cnndata_sharpness(im, enhance, &w->other);
    case SHEAR_X:
    case SHEAR_Y: return move(w, act, either_sign(d, part * 0.3), fill);
    case TRANSLATE_X:
    case TRANSLATE_Y: return move(w, act, either_sign(d, part * 0.45), fill);
    }
    return true;
}

/* Whether chance lets an operation happen. */
static bool happens(double p, CnndataDraw *d)
{
    return p >= 1.0 || draw_unit(d) <= p;
}

/* A level with a deviation, within 0 to 10 as timm bounds it. */
static double draw_level(double magnitude, double std, CnndataDraw *d)
{
    return std > 0 ? fmin(fmax(magnitude + std * draw_normal(d), 0), 10) : magnitude;
}

bool cnndata_rand_augment(CnndataWork *w, double magnitude, double std, int ops, double p,
                          const uint8_t fill[4], CnndataDraw *d)
{
    bool ok = true;
    for (int i = 0; i < ops && ok; i++) {
        Act act = (Act)draw_below(d, RAND_ACTS);
        if (happens(p, d))
            ok = act_on(w, act, draw_level(magnitude, std, d), fill, d);
    }
    return ok;
}

bool cnndata_auto_augment(CnndataWork *w, int policy, const uint8_t fill[4], CnndataDraw *d)
{
    const Part *sub = (policy == CNNDATA_POLICY_V0 ? v0 : original)[draw_below(d, SUB_POLICIES)];
    bool ok = true;
    for (int i = 0; i < 2 && ok; i++)
        ok = !happens(sub[i].p, d) || act_on(w, sub[i].act, sub[i].level, fill, d);
    return ok;
}
