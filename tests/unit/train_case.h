/* Kernels of training steps that work on a whole batch against plain loops in double: every float
 * of every operand is either held against what it should be or must not change. */
#ifndef CNNC_TEST_TRAIN_CASE_H
#define CNNC_TEST_TRAIN_CASE_H
#include "kernel_suite.h"

enum { CASE_OPERANDS = KERNEL_ARGS };

typedef struct TrainOperand {
    Guarded mem;
    float *initial;
    /* What each float should be and how far it may be off; off by 0: it keeps its bits; infinitely:
     * anything goes. */
    double *want, *slack;
} TrainOperand;

typedef struct TrainCase {
    const Kernel *k;
    const Target *t;
    CnnrtKernel code;
    CnnrtRun run;
    TrainOperand op[CASE_OPERANDS];
    bool same_bits; /* of want and result, where slack is not 0 */
    char message[256];
} TrainCase;

static inline void *case_memory(size_t n, size_t size)
{
    void *p = calloc(n > 0 ? n : 1, size);
    if (!p)
        abort();
    return p;
}

static inline int64_t padded(int64_t c, int vl)
{
    return (c + vl - 1) / vl * vl;
}

static inline int64_t images_floats(const TrainCase *c, int64_t step, int64_t floats)
{
    return (c->run.batch - 1) * step + floats;
}

static inline int64_t out_floats(const TrainCase *c)
{
    const Kernel *k = c->k;
    switch (k->family) {
    case FAM_SUMS: return k->slices * k->root_count * padded(k->in.c, c->t->vl);
    case FAM_FLAT_SUMS: return family_units(k, c->t) * k->root_count;
    case FAM_FLAT_FINISH: return k->root_count;
    case FAM_UPDATE: return k->in.c;
    case FAM_MASK: return images_floats(c, k->out_step, map_floats(k->out, c->t->vl));
    default: return map_floats(k->out, c->t->vl);
    }
}

static inline int64_t extra_floats(const TrainCase *c, int i)
{
    const Kernel *k = c->k;
    int vl = c->t->vl;
    bool flat = k->family != FAM_SUMS && k->family != FAM_FINISH;
    MapDesc m = k->family == FAM_FINISH ? k->dy : k->in;
    switch (k->extra[i]) {
    case KARG_MAP:
        return flat ? k->in.c : images_floats(c, k->extra_step[i], map_floats(k->in, vl));
    case KARG_CHANNEL: return padded(k->family == FAM_FINISH ? k->out.c : k->in.c, vl);
    case KARG_GATE: return images_floats(c, k->extra_step[i], padded(k->in.c, vl));
    case KARG_PIVOT: return map_floats(m, vl);
    case KARG_RESULT: return flat ? k->in.c : map_floats(k->out, vl);
    case KARG_SCALAR: return 1;
    default: return 0;
    }
}

static inline void operand_open(TrainOperand *o, int64_t floats, const char *stream, float lo,
                                Side side)
{
    o->mem = guarded_new((size_t)floats, side);
    if (!o->mem.at)
        abort();
    o->initial = case_memory((size_t)floats, sizeof *o->initial);
    o->want = case_memory((size_t)floats, sizeof *o->want);
    o->slack = case_memory((size_t)floats, sizeof *o->slack);
    fill_random(o->initial, (size_t)floats, stream, lo, 1.25f);
}

/* Lanes past the channels of `images` maps hold numbers that no sum may meet, and what lies between
 * images is not to be read at all. */
static inline void poison(float *p, MapDesc m, int vl, int64_t images, int64_t step)
{
    int64_t floats = map_floats(m, vl);
    for (int64_t n = 0; n < images && m.layout == LAYOUT_BLOCKED; n++) {
        for (int64_t c = m.c; c < padded(m.c, vl); c++)
            for (int64_t at = 0; at < m.h * m.w; at++)
                p[n * step + place_of(m, vl, c, at)] = 1e3f + (float)at;
        for (int64_t i = floats; i < step && n + 1 < images; i++)
            p[n * step + i] = NAN;
    }
}

static inline void case_poison(TrainCase *c)
{
    const Kernel *k = c->k;
    int vl = c->t->vl;
    int64_t batch = c->run.batch;
    if (k->family == FAM_SUMS || (k->family == FAM_MASK && !k->per_image))
        poison(c->op[KERNEL_ARG_IN].initial, k->in, vl, k->in_step ? batch : 1, k->in_step);
    int64_t width = padded(k->out.c, vl);
    for (int64_t i = 0; i < k->in.c && k->family == FAM_FINISH; i++)
        if (i % width >= k->out.c)
            c->op[KERNEL_ARG_IN].initial[i] = NAN;
    if (k->family != FAM_SUMS)
        return;
    MapDesc gate = {LAYOUT_BLOCKED, k->in.c, 1, 1};
    for (int i = 0; i < k->extra_count; i++) {
        float *p = c->op[KERNEL_ARG_EXTRA + i].initial;
        int64_t step = k->extra_step[i], images = step ? batch : 1;
        if (k->extra[i] == KARG_MAP)
            poison(p, k->in, vl, images, step);
        else if (k->extra[i] == KARG_GATE)
            poison(p, gate, vl, images, step);
    }
}

static inline void train_open(TrainCase *c, Side side)
{
    const Kernel *k = c->k;
    int64_t in = k->family == FAM_SUMS || (k->family == FAM_MASK && !k->per_image)
                     ? images_floats(c, k->in_step, map_floats(k->in, c->t->vl))
                 : k->per_image ? 0
                                : k->in.c;
    operand_open(&c->op[KERNEL_ARG_OUT], out_floats(c), "out", -0.75f, side);
    operand_open(&c->op[KERNEL_ARG_IN], in, "in", -0.75f, side);
    for (int i = 0; i < k->extra_count; i++) {
        char stream[] = {'e', (char)('0' + i), 0};
        operand_open(&c->op[KERNEL_ARG_EXTRA + i], extra_floats(c, i), stream,
                     k->extra[i] == KARG_CHANNEL ? 0.25f : -0.75f, side);
    }
    case_poison(c);
    for (int i = 0; i < CASE_OPERANDS; i++)
        for (size_t at = 0; at < c->op[i].mem.floats; at++)
            c->op[i].want[at] = c->op[i].initial[at];
}

static inline void train_close(TrainCase *c)
{
    for (int i = 0; i < CASE_OPERANDS; i++) {
        guarded_free(&c->op[i].mem);
        free(c->op[i].initial);
        free(c->op[i].want);
        free(c->op[i].slack);
        c->op[i] = (TrainOperand){0};
    }
}

static inline void units_in_order(CnnrtKernel code, float *const *args, int64_t units, Order order)
{
    if (order == AT_ONCE) {
        code(args, 0, units);
    } else if (order == IN_TWO) {
        code(args, 0, units / 3);
        code(args, units / 3, units);
    } else {
        for (int64_t u = units; u-- > 0;)
            code(args, u, u + 1);
    }
}

static inline void train_run(TrainCase *c, Order order)
{
    float *args[KERNEL_ARGS + 1] = {0};
    for (int i = 0; i < CASE_OPERANDS; i++) {
        TrainOperand *o = &c->op[i];
        args[i] = o->mem.at;
        if (o->mem.at)
            memcpy(o->mem.at, o->initial, o->mem.floats * sizeof(float));
    }
    args[KERNEL_ARG_RUN] = (float *)&c->run;
    units_in_order(c->code, args, family_units(c->k, c->t), order);
}

static inline bool float_right(const TrainCase *c, const TrainOperand *o, size_t at)
{
    double slack = o->slack[at];
    float got = o->mem.at[at], same = slack == 0 ? o->initial[at] : (float)o->want[at];
    if (slack == 0 || (c->same_bits && !isinf(slack)))
        return memcmp(&got, &same, sizeof got) == 0;
    return isinf(slack) || fabs(got - o->want[at]) <= slack;
}

static inline bool train_compare(TrainCase *c)
{
    for (int i = 0; i < CASE_OPERANDS; i++) {
        const TrainOperand *o = &c->op[i];
        for (size_t at = 0; at < o->mem.floats; at++)
            if (!float_right(c, o, at)) {
                snprintf(c->message, sizeof c->message, "operand %d, float %zu: %.9g, not %.9g", i,
                         at, (double)o->mem.at[at], o->want[at]);
                return false;
            }
        if (o->mem.at && !guarded_intact(&o->mem)) {
            snprintf(c->message, sizeof c->message, "wrote outside of operand %d", i);
            return false;
        }
    }
    return true;
}

typedef void Expect(TrainCase *c);

/* All orders of units, on both sides of guarded memory: right, and the same bits. */
static inline bool train_check(TrainCase *c, Expect *expect)
{
    bool ok = true;
    for (int side = AGAINST_END; side <= AGAINST_START && ok; side++) {
        float *first[CASE_OPERANDS] = {0};
        train_open(c, (Side)side);
        expect(c);
        for (int order = AT_ONCE; order <= IN_TWO && ok; order++) {
            train_run(c, (Order)order);
            ok = train_compare(c);
            for (int i = 0; i < CASE_OPERANDS && ok; i++) {
                size_t bytes = c->op[i].mem.floats * sizeof(float);
                if (order == AT_ONCE) {
                    first[i] = case_memory(bytes, 1);
                    memcpy(first[i], c->op[i].mem.at ? c->op[i].mem.at : first[i], bytes);
                } else if (bytes > 0 && memcmp(first[i], c->op[i].mem.at, bytes) != 0) {
                    snprintf(c->message, sizeof c->message, "another order gives other bits");
                    ok = false;
                }
            }
        }
        for (int i = 0; i < CASE_OPERANDS; i++)
            free(first[i]);
        train_close(c);
    }
    return ok;
}
#endif
