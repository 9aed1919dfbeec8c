/* One GPU kernel against its reference: a batch of images whose maps may be parts of wider ones,
 * the result compared value by value, and what lies around it left as it was. */
#ifndef CNNC_TEST_CUDA_CASE_H
#define CNNC_TEST_CUDA_CASE_H
#include "cuda_run.h"
#include "kernel_suite.h"

enum { CUDA_IMAGES = 3 };

typedef struct CudaMap {
    MapDesc m;
    int64_t step, pixel; /* elements from image to image, from position to position */
    bool narrow;         /* elements are bf16 */
    float *at;
} CudaMap;

typedef struct CudaCase {
    const Plan *p;
    uint32_t index;
    int batch;
    Case c;                              /* logical operands of one image, packed weights */
    float *in, *extra[KERNEL_MAX_EXTRA]; /* logical, all images */
    CudaMap in_map, out_map, extra_map[KERNEL_MAX_EXTRA];
    float *vector[KERNEL_MAX_EXTRA], *weights, *bias;
} CudaCase;

static const float cuda_foreign = 776.0f; /* a bf16, too */

static inline float cuda_element(const CudaMap *m, int64_t i)
{
    uint16_t half;
    uint32_t word;
    float v;
    if (!m->narrow)
        return m->at[i];
    memcpy(&half, (const char *)m->at + 2 * i, sizeof half);
    word = (uint32_t)half << 16;
    memcpy(&v, &word, sizeof v);
    return v;
}

static inline void cuda_set_element(const CudaMap *m, int64_t i, float v)
{
    dtype_put(m->narrow ? DTYPE_BF16 : DTYPE_FP32, m->at, i, v);
}

static inline int64_t cuda_place(const CudaMap *m, int64_t image, int64_t c, int64_t pixel)
{
    int64_t at = m->m.layout == LAYOUT_PLANAR ? c * m->m.h * m->m.w + pixel : pixel * m->pixel + c;
    return image * m->step + at;
}

/* Padding lanes are finite; what lies between positions and images is another's. */
static inline CudaMap cuda_map_of(const CudaCase *c, int arg, MapDesc m, int64_t step,
                                  int64_t pixel)
{
    CudaMap map = {.m = m, .step = step, .pixel = map_pixel(m, 4, pixel)};
    map.narrow = cuda_is_narrow(c->c.k, arg);
    map.at = cuda_buffer(map.narrow ? (step * c->batch + 1) / 2 : step * c->batch);
    for (int64_t i = 0; i < step * c->batch; i++)
        cuda_set_element(&map, i, cuda_foreign);
    return map;
}

/* Values as operand arg can have them. */
static inline void cuda_round_logical(const CudaCase *c, int arg, float *v, int64_t n)
{
    for (int64_t i = 0; i < n && cuda_is_narrow(c->c.k, arg); i++)
        v[i] = dtype_round(DTYPE_BF16, v[i]);
}

static inline void cuda_fill(const CudaCase *c, CudaMap *map, const float *logical)
{
    int64_t lanes = map->m.layout == LAYOUT_PLANAR ? map->m.c : (map->m.c + 3) / 4 * 4;
    int64_t plane = map->m.h * map->m.w;
    for (int64_t n = 0; n < c->batch; n++)
        for (int64_t ch = 0; ch < lanes; ch++)
            for (int64_t p = 0; p < plane; p++)
                cuda_set_element(map, cuda_place(map, n, ch, p),
                                 ch < map->m.c ? logical[(n * map->m.c + ch) * plane + p]
                                               : 50.0f + (float)((ch + p) % 7));
}

static inline void cuda_open_extra(CudaCase *x, int i)
{
    const Kernel *k = x->c.k;
    int64_t n = extra_count_of(k, i);
    bool channel = k->extra[i] == KARG_CHANNEL;
    char stream[] = {'e', (char)('0' + i), 0};
    x->extra[i] = case_logical(&x->c, channel ? n : n * x->batch, stream, 0.25f, 1.5f);
    if (channel) {
        x->vector[i] = cuda_buffer((n + 3) / 4 * 4);
        for (int64_t c = 0; c < (n + 3) / 4 * 4; c++)
            x->vector[i][c] = c < n ? x->extra[i][c] : 0;
        return;
    }
    MapDesc m = k->out;
    m.layout = LAYOUT_CHANNELS;
    if (k->extra[i] == KARG_GATE)
        m = (MapDesc){LAYOUT_CHANNELS, n, 1, 1};
    x->extra_map[i] = cuda_map_of(x, KERNEL_ARG_EXTRA + i, m, k->extra_step[i], k->extra_pixel[i]);
    cuda_round_logical(x, KERNEL_ARG_EXTRA + i, x->extra[i], n * x->batch);
    cuda_fill(x, &x->extra_map[i], x->extra[i]);
}

static inline void cuda_open(CudaCase *x)
{
    const Kernel *k = x->c.k;
    x->c.logicals = 0;
    x->in = case_logical(&x->c, x->batch * k->in.c * k->in.h * k->in.w, "in", -1, 1);
    x->c.ops.weights = case_logical(&x->c, case_weight_count(k), "weights", -0.5f, 0.5f);
    x->c.ops.bias = case_logical(&x->c, k->out.c, "bias", -1, 1);
    int64_t weights = family_weight_floats(k, x->c.t), padded = (k->out.c + 3) / 4 * 4;
    x->weights = cuda_buffer(weights);
    memset(x->weights, 0, (size_t)weights * sizeof(float));
    x->c.weights = (Guarded){.at = x->weights, .floats = (size_t)weights};
    for (int64_t o = 0; o < k->out.c && case_weight_count(k); o++)
        pack_one_output(&x->c, o);
    x->bias = cuda_buffer(padded);
    for (int64_t o = 0; o < padded; o++)
        x->bias[o] = o < k->out.c ? x->c.ops.bias[o] : 0;
    x->in_map = cuda_map_of(x, KERNEL_ARG_IN, k->in, k->in_step, k->in_pixel);
    cuda_round_logical(x, KERNEL_ARG_IN, x->in, x->batch * k->in.c * k->in.h * k->in.w);
    cuda_fill(x, &x->in_map, x->in);
    x->out_map = cuda_map_of(x, KERNEL_ARG_OUT, k->out, k->out_step, k->out_pixel);
    for (int i = 0; i < k->extra_count; i++)
        cuda_open_extra(x, i);
}

static inline void cuda_close(CudaCase *x)
{
    cuda_release(x->in_map.at);
    cuda_release(x->out_map.at);
    cuda_release(x->weights);
    cuda_release(x->bias);
    for (int i = 0; i < x->c.k->extra_count; i++) {
        cuda_release(x->extra_map[i].at);
        cuda_release(x->vector[i]);
    }
    for (int i = 0; i < x->c.logicals; i++)
        free(x->c.logical[i]);
}

/* The sums of n products: 1e-6 times the root of n, with room for the epilogue. */
static inline double cuda_tolerance(const Kernel *k)
{
    double n = (double)(case_weight_count(k) / k->out.c);
    return 1e-6 * sqrt(n) + 4e-6;
}

/* What is stored as bf16 is the rounding of a value within the tolerance. */
static inline bool cuda_within(const CudaMap *out, double got, double want, double allowed)
{
    double most = allowed * (1 + fabs(want));
    if (!out->narrow)
        return fabs(got - want) <= most;
    return got >= dtype_round(DTYPE_BF16, (float)(want - most)) &&
           got <= dtype_round(DTYPE_BF16, (float)(want + most));
}

static inline bool cuda_wrong(CudaCase *x, int64_t n, int64_t ch, int64_t p, double got,
                              double want)
{
    int64_t w = x->c.k->out.w;
    snprintf(x->c.message, sizeof x->c.message,
             "image %d, channel %d, row %d, column %d: %g, not %g", (int)n, (int)ch, (int)(p / w),
             (int)(p % w), got, want);
    return false;
}

static inline void cuda_image_operands(CudaCase *x, int64_t n)
{
    const Kernel *k = x->c.k;
    x->c.ops.in = x->in + n * k->in.c * k->in.h * k->in.w;
    for (int i = 0; i < k->extra_count; i++) {
        int64_t step = k->extra[i] == KARG_CHANNEL ? 0 : extra_count_of(k, i);
        x->c.ops.extra[i] = x->extra[i] + n * step;
    }
}

/* Every float of the output's memory: values, finite padding, and what is not the kernel's. */
static inline bool cuda_compare(CudaCase *x, const CudaMap *out, bool around)
{
    const Kernel *k = x->c.k;
    int64_t plane = k->out.h * k->out.w, owned = 0;
    double allowed = cuda_tolerance(k);
    for (int64_t n = 0; n < x->batch; n++) {
        cuda_image_operands(x, n);
        for (int64_t ch = 0; ch < k->out.c; ch++)
            for (int64_t p = 0; p < plane; p++) {
                double got = cuda_element(out, cuda_place(out, n, ch, p));
                double want = cuda_foreign;
                if (!is_foreign(k, ch))
                    want = ref_kernel(k, &x->c.ops, ch, p / k->out.w, p % k->out.w);
                if (!cuda_within(out, got, want, allowed))
                    return cuda_wrong(x, n, ch, p, got, want);
            }
    }
    int64_t lanes = k->out.layout == LAYOUT_PLANAR ? k->out.c : (k->out.c + 3) / 4 * 4;
    for (int64_t i = 0; i < out->step * x->batch && around; i++)
        owned += cuda_element(out, i) != cuda_foreign;
    for (int64_t i = 0; i < out->step * x->batch; i++)
        if (!isfinite(cuda_element(out, i))) {
            snprintf(x->c.message, sizeof x->c.message, "float %d is not finite", (int)i);
            return false;
        }
    if (around && owned > lanes * plane * x->batch) {
        snprintf(x->c.message, sizeof x->c.message, "wrote outside of its channels");
        return false;
    }
    return true;
}

static inline bool cuda_run(CudaCase *x, SimtModule *m, float *out, float *in, float *const *extra)
{
    float *args[KERNEL_ARGS] = {out, in, x->weights, x->bias};
    const Kernel *k = x->c.k;
    for (int i = 0; i < k->extra_count; i++)
        args[KERNEL_ARG_EXTRA + i] = extra[i];
    return cuda_launch(m, x->p, x->index, args, x->batch, NULL, x->c.message, sizeof x->c.message);
}

/* A map operand (of ELEM: the input) in the very memory of the output. */
static inline bool cuda_in_place(CudaCase *x, SimtModule *m, float **extra)
{
    const Kernel *k = x->c.k;
    bool same = k->in.layout == k->out.layout && k->in_step == k->out_step &&
                k->in_pixel == k->out_pixel &&
                cuda_is_narrow(k, KERNEL_ARG_IN) == cuda_is_narrow(k, KERNEL_ARG_OUT);
    CudaMap *shared = k->family == FAM_ELEM && same ? &x->in_map : NULL;
    for (int i = 0; i < k->extra_count && !shared; i++)
        if (k->extra[i] == KARG_MAP && k->out.layout != LAYOUT_PLANAR &&
            k->extra_step[i] == k->out_step && k->extra_pixel[i] == k->out_pixel &&
            cuda_is_narrow(k, KERNEL_ARG_EXTRA + i) == cuda_is_narrow(k, KERNEL_ARG_OUT))
            shared = &x->extra_map[i];
    if (!shared || is_foreign(k, 0) || is_foreign(k, k->out.c - 1))
        return true;
    if (!cuda_run(x, m, shared->at, x->in_map.at, extra) || !cuda_compare(x, shared, false)) {
        char what[200];
        snprintf(what, sizeof what, "%.199s", x->c.message);
        snprintf(x->c.message, sizeof x->c.message, "in place: %s", what);
        return false;
    }
    return true;
}

/* False with a message. */
static inline bool cuda_check(CudaCase *x, SimtModule *m)
{
    float *extra[KERNEL_MAX_EXTRA];
    cuda_open(x);
    for (int i = 0; i < x->c.k->extra_count; i++)
        extra[i] = x->vector[i] ? x->vector[i] : x->extra_map[i].at;
    bool ok = cuda_run(x, m, x->out_map.at, x->in_map.at, extra) &&
              cuda_compare(x, &x->out_map, true) && cuda_in_place(x, m, extra);
    cuda_close(x);
    return ok;
}

/* Gives k steps from image to image. `wide`: its maps are parts of others. */
static inline Kernel cuda_spread(Kernel k, bool wide)
{
    enum { LINE = 16, MORE = 8 };
    bool in = wide && k.in.layout == LAYOUT_CHANNELS && k.family != FAM_DENSE;
    bool out = wide && k.out.layout == LAYOUT_CHANNELS;
    int64_t own = map_pixel(k.out, 4, 0);
    k.in_pixel = in ? map_pixel(k.in, 4, 0) + MORE : 0;
    k.out_pixel = out ? own + MORE : 0;
    k.in_step = k.in.h * k.in.w *
                (k.in.layout == LAYOUT_PLANAR ? k.in.c : map_pixel(k.in, 4, k.in_pixel) + LINE);
    k.out_step = k.out.layout == LAYOUT_PLANAR
                     ? k.out.c * k.out.h * k.out.w
                     : k.out.h * k.out.w * map_pixel(k.out, 4, k.out_pixel) + LINE;
    for (int i = 0; i < k.extra_count; i++) {
        int64_t channels = ((i == k.gate_arg ? k.in.c : k.out.c) + 3) / 4 * 4;
        if (k.extra[i] == KARG_MAP) {
            k.extra_pixel[i] = out && i % 2 ? own + 2 * (int64_t)MORE : k.out_pixel;
            k.extra_step[i] = k.out.h * k.out.w * map_pixel(k.out, 4, k.extra_pixel[i]) + LINE;
        } else if (k.extra[i] == KARG_GATE) {
            k.extra_step[i] = channels + LINE;
        }
    }
    return k;
}

static inline void cuda_add(Suite *s, Kernel k)
{
    suite_add(s, cuda_spread(k, s->plan.kernels.len % 2 == 1));
}

/* With those of the operands `which` as bf16 that may be, channels permitting. */
static inline void cuda_add_narrow(Suite *s, Kernel k, uint32_t which)
{
    if (!k.tile.ocv)
        family_choose_tile(&k, &s->plan.target);
    for (int arg = 0; arg < KERNEL_ARGS; arg++) {
        int64_t c = arg == KERNEL_ARG_IN ? k.in.c : k.out.c;
        if ((which >> arg & 1) != 0 && cuda_may_be_narrow(&k, arg) && c % CUDA_NARROW == 0)
            k.narrow |= 1u << arg;
    }
    cuda_add(s, k);
}

/* Rings in shared memory are laid out so that no two threads wait for a bank. */
static inline bool cuda_without_conflicts(const Kernel *k)
{
    uint64_t n = simt_report()->conflicts;
    if (cuda_on_matrix_units(k) && n > 0)
        fprintf(stderr, "# %llu conflicts of banks\n", (unsigned long long)n);
    return !cuda_on_matrix_units(k) || n == 0;
}

/* Runs everything added; reports each kernel that is wrong. */
static inline void cuda_suite_check(Suite *s, const CodegenApi *api)
{
    char err[1024] = "";
    bool units = s->plan.target.dtype != DTYPE_FP32;
    SimtModule *m =
        cuda_load_for(api, &s->plan, SIMT_CHECK | (units ? SIMT_CONFLICTS : 0u), err, sizeof err);
    if (!m) {
        fprintf(stderr, "# %s\n", err);
        s->failures++;
        return;
    }
    for (uint32_t i = 0; i < s->plan.kernels.len; i++) {
        CudaCase x = {.p = &s->plan, .index = i, .batch = 1 + (int)i % CUDA_IMAGES};
        x.c.k = &s->plan.kernels.at[i].k;
        x.c.t = &s->plan.target;
        if (getenv("CNNC_TEST_VERBOSE"))
            fprintf(stderr, "# %s\n", s->plan.kernels.at[i].key);
        bool ok = cuda_check(&x, m);
        if (!ok)
            fprintf(stderr, "# %s\n#   %s\n", s->plan.kernels.at[i].key, x.c.message);
        ok = cuda_without_conflicts(x.c.k) && ok;
        ok = cuda_clean(s->plan.kernels.at[i].key) && ok;
        s->failures += !ok;
    }
    simt_unload(m);
}
#endif
