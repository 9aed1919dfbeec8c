/* One map kernel of training against its reference: as kernel_case.h, for kernels whose operands
 * have shapes of their own. */
#ifndef CNNC_TEST_TRAIN_MAP_CASE_H
#define CNNC_TEST_TRAIN_MAP_CASE_H
#include "kernel_suite.h"
#include "train_map_reference.h"

/* What the operands hold, and how close the result must come. */
typedef struct MapData {
    int64_t batch; /* 0: 3 */
    float scale;   /* of dy or logits; 0: 1 */
    bool ties;     /* x has few values, and -infinity in the first rows */
    bool nan;      /* some x, or logits, are NaN */
    bool one_hot;  /* targets: the rest is probabilities that do not add up to 1 */
    bool digits;   /* small results must be right to the last digits, too */
} MapData;

enum { MAP_BATCH_MOST = 8 };

typedef struct MapCase {
    const Kernel *k;
    const Target *t;
    const MapData *d;
    CnnrtKernel code;
    char message[256];
    int64_t images, batch;
    MapDesc x; /* of extra operand 0, when it is the family's own */
    float *dy, *other, *logical[KERNEL_MAX_EXTRA];
    double *want;
    Guarded in, scratch, extra[KERNEL_MAX_EXTRA];
} MapCase;

static inline int64_t logical_count(MapDesc m)
{
    return m.c * m.h * m.w;
}

/* Extra operands that are not the epilogue's. */
static inline int own_extras(const Kernel *k)
{
    if (k->family == FAM_COPY || (k->family == FAM_POOL_DX && k->pool != POOL_MAX))
        return 0;
    return k->family == FAM_LN_DX && k->extra_count > 1 ? 2 : 1;
}

static inline int64_t out_floats(const MapCase *c)
{
    const Kernel *k = c->k;
    if (k->family == FAM_LOSS)
        return 1;
    return map_floats(k->out, c->t->vl) * (k->family == FAM_LN_DW ? k->slices : 1);
}

static inline float *random_floats(int64_t n, const char *stream, float lo, float hi)
{
    float *p = malloc(sizeof(float) * (size_t)n);
    if (!p)
        abort();
    fill_random(p, (size_t)n, stream, lo, hi);
    return p;
}

static inline void spoil_values(MapCase *c)
{
    bool loss = c->k->family == FAM_LOSS || c->k->family == FAM_LOSS_DX;
    int64_t n = c->images * logical_count(c->x);
    for (int64_t i = 0; i < n && c->d->ties; i++)
        c->other[i] = i < 3 * c->x.w ? -INFINITY : floorf(c->other[i] * 2.0f) / 2;
    for (int64_t i = 2; i < n && c->d->nan; i += 41)
        (loss ? c->dy : c->other)[i] = NAN;
    int64_t plane = c->x.h * c->x.w;
    for (int64_t i = 0; i < n && c->d->one_hot; i++)
        c->other[i] = i / plane % c->x.c == (i % plane * 7 + 3) % c->x.c;
}

/* Images `step` floats apart, padding lanes and gaps poisoned. */
static inline Guarded map_images(MapDesc m, int vl, const float *logical, int64_t images,
                                 int64_t step, Side side)
{
    int64_t n = map_floats(m, vl);
    Guarded g = guarded_new((size_t)((images - 1) * step + n), side);
    if (!g.at)
        abort();
    fill_random(g.at, g.floats, "padding", 50, 100);
    for (int64_t i = 0; i < images; i++)
        for (int64_t c = 0; c < m.c; c++)
            for (int64_t p = 0; p < m.h * m.w; p++)
                g.at[i * step + place_of(m, vl, c, p)] =
                    logical[i * logical_count(m) + c * m.h * m.w + p];
    return g;
}

static inline void map_open(MapCase *c, Side side)
{
    const Kernel *k = c->k;
    int vl = c->t->vl, own = own_extras(k);
    float scale = c->d->scale != 0 ? c->d->scale : 1;
    c->batch = c->d->batch ? c->d->batch : 3;
    c->images = k->whole ? c->batch : 1;
    c->x = k->family == FAM_POOL_DX ? k->out : k->in;
    if (k->family == FAM_LOSS || k->family == FAM_LOSS_DX)
        c->x.layout = LAYOUT_PLANAR;
    bool probability = c->x.layout == LAYOUT_PLANAR || k->family == FAM_SOFTMAX_DX;
    c->dy = random_floats(c->images * logical_count(k->in), "dy", -scale, scale);
    c->other = random_floats(c->images * logical_count(c->x), "x", probability ? 0 : -1.5f,
                             probability ? 1 : 2);
    spoil_values(c);
    c->in = map_images(k->in, vl, c->dy, c->images, k->in_step, side);
    c->scratch = guarded_new((size_t)family_scratch(k, c->t), side);
    for (int i = 0; i < k->extra_count; i++) {
        char stream[] = {'e', (char)('0' + i), 0};
        bool map = k->extra[i] == KARG_MAP;
        if (i == 0 && own > 0) {
            c->logical[i] = NULL;
            c->extra[i] = map_images(c->x, vl, c->other, c->images, k->extra_step[0], side);
            continue;
        }
        int64_t n = map ? logical_count(k->out) : k->out.c;
        c->logical[i] = random_floats(n, stream, 0.25f, 1.5f);
        c->extra[i] = map ? map_images(k->out, vl, c->logical[i], 1, 0, side)
                          : case_vector(n, vl, c->logical[i], 0, side);
    }
}

static inline void map_close(MapCase *c)
{
    free(c->dy);
    free(c->other);
    guarded_free(&c->in);
    guarded_free(&c->scratch);
    for (int i = 0; i < c->k->extra_count; i++) {
        free(c->logical[i]);
        guarded_free(&c->extra[i]);
    }
}

static inline double with_epilogue(const MapCase *c, double v, int64_t i)
{
    const Kernel *k = c->k;
    double args[1 + KERNEL_MAX_EXTRA] = {v};
    if (!k->root.v)
        return v;
    for (int e = own_extras(k); e < k->extra_count; e++)
        args[e + 1] = c->logical[e][k->extra[e] == KARG_MAP ? i : i / (k->out.h * k->out.w)];
    return expr_eval(k->pool_expr, k->root, args);
}

/* Values of the result: of LN_DW, slice by slice. */
static inline int64_t want_count(const MapCase *c)
{
    if (c->k->family == FAM_LOSS)
        return 1;
    return logical_count(c->k->out) * (c->k->family == FAM_LN_DW ? c->k->slices : 1);
}

static inline void map_reference(MapCase *c)
{
    const Kernel *k = c->k;
    int64_t n = want_count(c);
    c->want = calloc((size_t)n, sizeof *c->want);
    if (!c->want)
        abort();
    MapRef r = {k, c->dy, c->other, NULL, c->batch, c->want};
    if (k->family == FAM_LN_DX && k->extra_count > 1)
        r.weight = c->logical[1];
    if (k->family != FAM_LN_DW)
        ref_train_map(&r);
    for (int64_t i = 0; i < n && k->family != FAM_LN_DW; i++)
        c->want[i] = with_epilogue(c, c->want[i], i);
    for (int64_t s = 0; s < k->slices && k->family == FAM_LN_DW; s++)
        for (int64_t i = c->batch * s / k->slices; i < c->batch * (s + 1) / k->slices; i++) {
            r.dy = c->dy + i * logical_count(k->in);
            r.x = c->other + i * logical_count(c->x);
            r.out = c->want + s * k->out.c;
            ref_train_map(&r);
        }
}

static inline float map_got(const MapCase *c, const float *out, int64_t i)
{
    const Kernel *k = c->k;
    int64_t plane = k->out.h * k->out.w, vl = c->t->vl;
    if (k->family == FAM_LOSS)
        return out[0];
    if (k->family == FAM_LN_DW)
        return out[i / k->out.c * map_floats(k->out, c->t->vl) + i % k->out.c];
    return out[place_of(k->out, (int)vl, i / plane, i % plane)];
}

static inline bool map_compare(MapCase *c, const float *out)
{
    /* layer norm's values are what is left of differences of values around 1 */
    double largest = c->k->family == FAM_LN_DX ? 1 : 0;
    double relative = c->d->digits || c->k->family == FAM_LOSS ? 5e-6 : 1e-5;
    for (int64_t i = 0; i < want_count(c); i++)
        largest = fabs(c->want[i]) > largest ? fabs(c->want[i]) : largest;
    for (int64_t i = 0; i < want_count(c); i++) {
        double got = map_got(c, out, i), want = c->want[i];
        double allowed = relative * fabs(want) + (c->d->digits ? 1e-35 : 1e-6 * largest);
        if (isnan(want) ? isnan(got) : fabs(got - want) <= allowed)
            continue;
        snprintf(c->message, sizeof c->message, "value %d: %.9g, not %.9g", (int)i, got, want);
        return false;
    }
    for (int64_t i = 0; i < out_floats(c) && !c->d->nan; i++)
        if (!isfinite(out[i])) {
            snprintf(c->message, sizeof c->message, "float %d of the output is not finite", (int)i);
            return false;
        }
    return true;
}

static inline void map_run(const MapCase *c, float *out, Order order)
{
    const Kernel *k = c->k;
    CnnrtRun run = {.batch = c->batch};
    float *args[KERNEL_ARGS + 1] = {out, c->in.at};
    int64_t units = family_units(k, c->t);
    for (int i = 0; i < k->extra_count; i++)
        args[KERNEL_ARG_EXTRA + i] = c->extra[i].at;
    args[KERNEL_ARG_SCRATCH] = c->scratch.at;
    args[KERNEL_ARG_RUN] = (float *)&run;
    if (order == AT_ONCE)
        c->code(args, 0, units);
    for (int part = 0; part < 2 && order == IN_TWO; part++)
        c->code(args, part ? units / 3 : 0, part ? units : units / 3);
    for (int64_t u = units; u-- > 0 && order == ONE_BY_ONE_BACKWARDS;)
        c->code(args, u, u + 1);
}

static inline bool map_intact(const MapCase *c, const Guarded *out)
{
    bool ok = guarded_intact(out) && guarded_intact(&c->in) && guarded_intact(&c->scratch);
    for (int i = 0; i < c->k->extra_count; i++)
        ok = ok && guarded_intact(&c->extra[i]);
    return ok;
}

/* On fresh memory; `first` is filled by the first order. */
static inline bool map_order(MapCase *c, Order order, Side side, Guarded *first)
{
    Guarded out = guarded_new((size_t)out_floats(c), side);
    for (size_t i = 0; i < out.floats; i++)
        out.at[i] = (float)NAN;
    map_run(c, out.at, order);
    bool ok = map_compare(c, out.at);
    if (ok && !map_intact(c, &out)) {
        snprintf(c->message, sizeof c->message, "wrote outside of its buffers");
        ok = false;
    }
    if (ok && first->at && memcmp(out.at, first->at, out.floats * sizeof(float)) != 0) {
        snprintf(c->message, sizeof c->message, "another order of units gives other bits");
        ok = false;
    }
    if (first->at)
        guarded_free(&out);
    else
        *first = out;
    return ok;
}

/* The result in the memory of each map operand of its shape. */
static inline bool map_in_place(MapCase *c, Side side)
{
    const Kernel *k = c->k;
    bool ok = true;
    for (int i = 0; i < k->extra_count && ok && family_in_place(k); i++) {
        if (k->extra[i] != KARG_MAP || c->extra[i].floats != (size_t)out_floats(c))
            continue;
        map_run(c, c->extra[i].at, ONE_BY_ONE_BACKWARDS);
        ok = map_compare(c, c->extra[i].at);
        map_close(c);
        map_open(c, side);
    }
    return ok;
}

/* False with c->message set. */
static inline bool map_check(MapCase *c)
{
    bool ok = true;
    for (int side = AGAINST_END; side <= AGAINST_START && ok; side++) {
        Guarded first = {0};
        map_open(c, (Side)side);
        map_reference(c);
        for (int order = AT_ONCE; order <= IN_TWO && ok; order++)
            ok = map_order(c, (Order)order, (Side)side, &first);
        ok = ok && map_in_place(c, (Side)side);
        guarded_free(&first);
        map_close(c);
        free(c->want);
    }
    return ok;
}
#endif
