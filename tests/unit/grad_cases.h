/* Training graphs of random attributes, and of small nets of the shapes that architectures are made
 * of; parameters that are made when first asked for. */
#ifndef CNNC_TEST_GRAD_CASES_H
#define CNNC_TEST_GRAD_CASES_H
#include "graph_build.h"
#include "ref/ref.h"
#include "rng.h"
#include "transform/grad.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMS_MAX = 64 };

/* What stands between a convolution, so that the gradient of its own input counts, and the loss.
 * $c: channels of %2, a multiple of 4. $k $s $d $p: window, stride, dilation, padding. */
static const char *const bodies[] = {
    "%3 = conv(%2) c=3 k=$kx$m stride=$sx$t dilation=$dx$e pad=$p,$q,$q,$p : \"n\"\n",
    "%3 = conv(%2) c=8 k=$kx$k stride=$sx$s groups=4 : \"n\"\n",
    "%3 = conv(%2) c=$c k=$kx$k stride=$sx$s groups=$c bias=false : \"n\"\n",
    "%3 = conv(%2) c=5 k=$kx$k stride=$sx$s pad=same_upper : \"n\"\n",
    "%3 = convt(%2) c=4 k=$kx$m stride=$sx$t pad=$r,$r,$r,$r : \"n\"\n",
    "%3 = convt(%2) c=8 k=$kx$k stride=$sx$s groups=4 bias=false : \"n\"\n",
    "%3 = dense(%2) c=7 : \"n\"\n",
    "%3 = flatten(%2) : \"f\"\n%4 = dense(%3) c=6 bias=false : \"n\"\n",
    "%3 = maxpool(%2) k=$kx$m stride=$sx$t pad=$r,$r,$r,$r ceil_mode=$b : \"n\"\n",
    "%3 = maxpool(%2) k=2x2 dilation=$dx$e : \"n\"\n",
    "%3 = avgpool(%2) k=$kx$m stride=$sx$t pad=$r,$r,$r,$r count_include_pad=$b ceil_mode=$o : "
    "\"n\"\n",
    "%3 = gap(%2) : \"n\"\n",
    "%3 = adaptive_avgpool(%2) k=$kx$m : \"n\"\n",
    "%3 = bn(%2) : \"n\"\n",
    "%3 = bn(%2) scale=false eps=0.01 : \"n\"\n",
    "%3 = ln(%2) : \"n\"\n",
    "%3 = lrn(%2) size=$m alpha=0.5 beta=0.75 k=2.0 : \"n\"\n",
    "%3 = relu(%2) : \"n\"\n",
    "%3 = scale(%2) by=4.0 : \"s\"\n%4 = relu6(%3) : \"n\"\n",
    "%3 = leaky(%2) slope=0.2 : \"n\"\n",
    "%3 = silu(%2) : \"n\"\n",
    "%3 = scale(%2) by=3.0 : \"s\"\n%4 = hswish(%3) : \"n\"\n",
    "%3 = scale(%2) by=3.0 : \"s\"\n%4 = hsigmoid(%3) : \"n\"\n",
    "%3 = gelu(%2) : \"n\"\n",
    "%3 = sigmoid(%2) : \"n\"\n",
    "%3 = tanh(%2) : \"n\"\n",
    "%3 = softmax(%2) : \"n\"\n",
    "%3 = conv(%1) c=$c k=1x1 : \"b\"\n%4 = add(%2, %3, %2) : \"n\"\n",
    "%3 = gap(%2) : \"g\"\n%4 = add(%3, %2) : \"n\"\n",
    "%3 = conv(%1) c=$c k=1x1 : \"b\"\n%4 = mul(%2, %3, %3) : \"n\"\n",
    "%3 = gap(%2) : \"g\"\n%4 = sigmoid(%3) : \"h\"\n%5 = mul(%2, %4) : \"n\"\n",
    "%3 = layer_scale(%2) init=0.5 : \"n\"\n",
    "%3 = conv(%1) c=3 k=1x1 : \"b\"\n%4 = concat(%2, %3, %2) : \"n\"\n",
    "%3 = slice(%2) from=1 to=3 : \"a\"\n%4 = slice(%2) from=2 to=4 : \"b\"\n%5 = mul(%3, %4) : "
    "\"n\"\n",
    "%3 = zeropad(%2) top=$p bottom=$q left=$q right=$p : \"n\"\n",
    "%3 = crop(%2) top=1 left=1 : \"n\"\n",
    "%3 = upsample(%2) by=$dx$e : \"n\"\n",
    "%3 = upsample(%2) by=$sx$t bilinear=true : \"n\"\n",
    "%3 = space_to_depth(%2) by=2 : \"n\"\n",
    "%3 = shuffle(%2) groups=2 : \"n\"\n",
    "%3 = dropout(%2) p=0.3 : \"n\"\n",
    "%3 = drop_path(%2) p=0.3 : \"n\"\n",
    /* a residual block with batch normalisation */
    "%3 = bn(%2) : \"a\"\n%4 = relu(%3) : \"b\"\n%5 = conv(%4) c=$c k=3x3 bias=false : \"d\"\n"
    "%6 = bn(%5) : \"e\"\n%7 = drop_path(%6) p=0.2 : \"f\"\n%8 = add(%7, %2) : \"g\"\n"
    "%9 = relu(%8) : \"n\"\n",
    /* an inverted residual with squeeze and excitation */
    "%3 = conv(%2) c=8 k=1x1 bias=false : \"a\"\n%4 = bn(%3) : \"b\"\n%5 = silu(%4) : \"d\"\n"
    "%6 = conv(%5) c=8 k=3x3 stride=2x2 groups=8 bias=false : \"e\"\n%7 = bn(%6) : \"f\"\n"
    "%8 = silu(%7) : \"g\"\n%9 = gap(%8) : \"h\"\n%10 = conv(%9) c=3 k=1x1 : \"i\"\n"
    "%11 = silu(%10) : \"j\"\n%12 = conv(%11) c=8 k=1x1 : \"k\"\n%13 = sigmoid(%12) : \"l\"\n"
    "%14 = mul(%8, %13) : \"m\"\n%15 = conv(%14) c=5 k=1x1 bias=false : \"o\"\n"
    "%16 = bn(%15) : \"n\"\n",
    /* ConvNeXt */
    "%3 = conv(%2) c=$c k=5x5 groups=$c : \"a\"\n%4 = ln(%3) : \"b\"\n%5 = dense(%4) c=9 : \"d\"\n"
    "%6 = gelu(%5) : \"e\"\n%7 = dense(%6) c=$c : \"f\"\n%8 = layer_scale(%7) init=0.7 : \"g\"\n"
    "%9 = add(%2, %8) : \"n\"\n",
    /* dense connections */
    "%3 = bn(%2) : \"a\"\n%4 = relu(%3) : \"b\"\n%5 = conv(%4) c=2 k=3x3 : \"d\"\n"
    "%6 = concat(%2, %5) : \"e\"\n%7 = bn(%6) : \"f\"\n%8 = relu(%7) : \"g\"\n"
    "%9 = conv(%8) c=2 k=3x3 : \"h\"\n%10 = concat(%6, %9) : \"i\"\n"
    "%11 = avgpool(%10) k=2x2 : \"n\"\n",
};
enum { BODIES = sizeof bodies / sizeof bodies[0] };

typedef struct Param {
    char name[64];
    float *data;
    int64_t count;
} Param;

static Param params[PARAMS_MAX];
static int param_total;
static uint64_t draws;
static int64_t channel_unit = 4; /* $c is that, or twice as much */

static inline int64_t draw(int64_t lo, int64_t hi)
{
    return lo + (int64_t)(rng_mix(77, draws++) % (uint64_t)(hi - lo + 1));
}

/* Parameters are made when first asked for: anything but the constants they start as. */
static inline const float *get_param(void *ctx, const char *name, const ParamSpec *spec)
{
    (void)ctx;
    for (int i = 0; i < param_total; i++)
        if (strcmp(params[i].name, name) == 0)
            return params[i].data;
    assert_true(param_total < PARAMS_MAX);
    Param *p = &params[param_total++];
    snprintf(p->name, sizeof p->name, "%s", name);
    p->count = param_count(spec);
    p->data = malloc((size_t)p->count * sizeof *p->data);
    assert_non_null(p->data);
    uint64_t key = rng_key(name, draws);
    for (int64_t i = 0; i < p->count; i++)
        p->data[i] = 1.6f * rng_uniform(key, (uint64_t)i) - 0.8f;
    return p->data;
}

static inline void forget_params(void)
{
    for (int i = 0; i < param_total; i++)
        free(params[i].data);
    param_total = 0;
}

static inline void fill(Buf *out, const char *body, int64_t c)
{
    const int64_t value[26] = {['c' - 'a'] = c,          ['k' - 'a'] = draw(1, 3),
                               ['m' - 'a'] = draw(1, 4), ['s' - 'a'] = draw(1, 3),
                               ['t' - 'a'] = draw(1, 4), ['d' - 'a'] = draw(1, 2),
                               ['e' - 'a'] = draw(1, 3), ['p' - 'a'] = draw(0, 2),
                               ['q' - 'a'] = draw(0, 3), ['r' - 'a'] = draw(0, 1)};
    for (; *body; body++)
        if (*body == '$' && (body[1] == 'b' || body[1] == 'o'))
            buf_add(out, draw(0, 1) ? "true" : "false"), body++;
        else if (*body == '$')
            buf_printf(out, "%lld", (long long)value[*++body - 'a']);
        else
            buf_addc(out, *body);
}

static inline uint32_t last_node(const char *text)
{
    uint32_t n = 0;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        n++;
    return n;
}

typedef struct Built {
    Graph g;
    Analysis an;
    TrainGraph t;
    int64_t batch;
    float *in[3];
} Built;

/* A graph of these attributes may not exist: false. */
static inline bool build(Built *b, const char *body, LossKind kind)
{
    Buf text = {0};
    NodeId at;
    ShapeError err;
    int64_t c = channel_unit * draw(1, 2);
    buf_printf(&text, "graph \"g\"\n%%1 = input() c=3 h=%lld w=%lld : \"x\"\n",
               (long long)draw(2, 7), (long long)draw(2, 7));
    buf_printf(&text, "%%2 = conv(%%1) c=%lld k=1x1 : \"stem\"\n", (long long)c);
    fill(&text, body, c);
    uint32_t last = last_node(text.at) - 1;
    buf_printf(&text, "in \"x\" %%1\nout \"y\" %%%u from %%%u primary\n", last, last);
    const char *bad = graph_read(&b->g, &arena, text.at, text.len);
    if (bad != NULL)
        fail_msg("%s\n%s", bad, text.at);
    buf_free(&text);
    if (!analysis_run(&arena, &b->g, &b->an, &at, &err))
        return false;
    TrainLoss loss[] = {{kind, 0, 0.75, 0.1}, {LOSS_SQUARED, 0, 0.5, 0}};
    bad = grad_build(&b->t, &arena, &b->an, loss, 2);
    if (bad != NULL)
        fail_msg("%s", bad);
    b->batch = draw(1, 3);
    for (uint32_t i = 0; i < b->t.g.ins.len; i++) {
        NodeId n = b->t.g.ins.at[i].node;
        int64_t count = b->batch * shape_count(b->t.shape[n.v]);
        b->in[i] = malloc((size_t)count * sizeof(float));
        uint64_t key = rng_key("in", draws++);
        for (int64_t k = 0; k < count; k++) /* targets lie between 0 and 1 */
            b->in[i][k] =
                i == 0 ? 2 * rng_uniform(key, (uint64_t)k) - 1 : rng_uniform(key, (uint64_t)k);
    }
    return true;
}

static inline void unbuild(Built *b)
{
    for (uint32_t i = 0; i < b->t.g.ins.len; i++)
        free(b->in[i]);
    forget_params();
}

typedef double Operand(void *ctx, NodeId n, double v);
typedef bool Stored(void *ctx, NodeId n, const RefTensor *value);

/* With their context: NULL, or what contractions, and what stores of values, round. */
static inline double **run_rounded(const Built *b, Operand *operand, Stored *stored, void *ctx)
{
    RefRun r = {.g = &b->t.g,
                .shape = b->t.shape,
                .params = {NULL, get_param, NULL},
                .batch = b->batch,
                .seed = 5,
                .step = 3,
                .after = stored,
                .after_ctx = ctx,
                .operand = operand,
                .operand_ctx = ctx};
    const char *err = NULL;
    double **out = calloc(b->t.g.outs.len, sizeof *out);
    if (!ref_run(&r, (const float *const *)b->in, out, &err))
        fail_msg("%s", err);
    return out;
}

static inline double **run(const Built *b)
{
    return run_rounded(b, NULL, NULL, NULL);
}

static inline void drop(const Built *b, double **out)
{
    for (uint32_t i = 0; i < b->t.g.outs.len; i++)
        free(out[i]);
    free(out);
}
#endif
