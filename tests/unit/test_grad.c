/* Training graphs: every gradient against central differences of the loss, in double, over random
 * attributes and over small nets of the shapes that architectures are made of. */
#include "graph_build.h"
#include "ref/ref.h"
#include "rng.h"
#include "transform/grad.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 8, PARAMS_MAX = 64, PROBES = 24, TRIES = 400 };

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

static int64_t draw(int64_t lo, int64_t hi)
{
    return lo + (int64_t)(rng_mix(77, draws++) % (uint64_t)(hi - lo + 1));
}

/* Parameters are made when first asked for: anything but the constants they start as. */
static const float *get_param(void *ctx, const char *name, const ParamSpec *spec)
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

static void forget_params(void)
{
    for (int i = 0; i < param_total; i++)
        free(params[i].data);
    param_total = 0;
}

static void fill(Buf *out, const char *body, int64_t c)
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

static uint32_t last_node(const char *text)
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
static bool build(Built *b, const char *body, LossKind kind)
{
    Buf text = {0};
    NodeId at;
    ShapeError err;
    int64_t c = 4 * draw(1, 2);
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

static void unbuild(Built *b)
{
    for (uint32_t i = 0; i < b->t.g.ins.len; i++)
        free(b->in[i]);
    forget_params();
}

static double **run(const Built *b)
{
    RefRun r = {.g = &b->t.g,
                .shape = b->t.shape,
                .params = {NULL, get_param, NULL},
                .batch = b->batch,
                .seed = 5,
                .step = 3};
    const char *err = NULL;
    double **out = calloc(b->t.g.outs.len, sizeof *out);
    if (!ref_run(&r, (const float *const *)b->in, out, &err))
        fail_msg("%s", err);
    return out;
}

static void drop(const Built *b, double **out)
{
    for (uint32_t i = 0; i < b->t.g.outs.len; i++)
        free(out[i]);
    free(out);
}

/* The loss alone: outputs after the losses are not asked for. */
static double loss_of(Built *b)
{
    uint32_t all = b->t.g.outs.len, heads = b->g.outs.len;
    b->t.g.outs.len = heads + b->t.losses.len;
    double **out = run(b), sum = 0;
    for (uint32_t i = heads; i < b->t.g.outs.len; i++)
        for (int64_t n = 0; n < b->batch; n++)
            sum += out[i][n] / (double)b->batch;
    drop(b, out);
    b->t.g.outs.len = all;
    return sum;
}

/* Differences at two distances; where they disagree there is a kink between, and NAN. */
static double difference(Built *b, float *at)
{
    double slope[3];
    float old = *at;
    for (int i = 0; i < 3; i++) {
        float h = 0x1p-9f / (float)(1 << i);
        *at = old + h;
        double above = loss_of(b), high = *at;
        *at = old - h;
        slope[i] = (above - loss_of(b)) / (high - *at);
        *at = old;
    }
    /* Richardson's extrapolation takes off the second and the fourth order */
    double coarse = (4 * slope[1] - slope[0]) / 3, fine = (4 * slope[2] - slope[1]) / 3;
    double scale = fabs(fine) + 1e-3;
    return fabs(coarse - fine) > 1e-6 * scale ? NAN : (16 * fine - coarse) / 15;
}

typedef struct Tally {
    int checked, kinks;
    double worst;
} Tally;

static void check_parameter(Built *b, const ParamGrad *g, const double *grad, Tally *t,
                            const char *what)
{
    ParamSpec spec[PARAM_MAX];
    params_of(&b->t.g, g->node, b->t.shape, spec);
    Buf name = {0};
    buf_printf(&name, "%s.%s", graph_node(&b->t.g, g->node)->name, spec[g->which].suffix);
    float *data = (float *)(uintptr_t)get_param(NULL, name.at, &spec[g->which]);
    int64_t count = param_count(&spec[g->which]);
    for (int i = 0; i < PROBES && i < count; i++) {
        int64_t k = count <= PROBES ? i : draw(0, count - 1);
        double want = difference(b, &data[k]);
        t->checked++;
        if (isnan(want)) {
            t->kinks++;
            continue;
        }
        double error = fabs(grad[k] - want) / (fabs(want) + 1e-2);
        t->worst = error > t->worst ? error : t->worst;
        if (!(error < 1e-6))
            fail_msg("%s: %s[%d]: %.12g, differences give %.12g\n%s", b->g.name, name.at, (int)k,
                     grad[k], want, what);
    }
    buf_free(&name);
}

static void check_gradients(Built *b, Tally *t, const char *what)
{
    double **out = run(b);
    uint32_t first = b->g.outs.len + b->t.losses.len;
    for (uint32_t i = 0; i < b->t.params.len; i++)
        check_parameter(b, &b->t.params.at[i], out[first + i], t, what);
    drop(b, out);
}

static void test_gradients_are_differences(void **state)
{
    Tally t = {0};
    (void)state;
    for (int i = 0; i < BODIES; i++) {
        int done = 0;
        for (int tries = 0; done < DRAWS && tries < TRIES; tries++) {
            Built b = {0};
            if (!build(&b, bodies[i], tries % 2 ? LOSS_BINARY : LOSS_CROSS_ENTROPY))
                continue;
            check_gradients(&b, &t, bodies[i]);
            unbuild(&b);
            done++;
        }
        if (done < DRAWS)
            fail_msg("too few graphs from\n%s", bodies[i]);
    }
    printf("%d gradients of %d graphs, worst relative error %.1e, %d at a kink\n", t.checked,
           BODIES * DRAWS, t.worst, t.kinks);
    assert_true(t.kinks * 20 < t.checked);
}

/* Every operator that the language knows is in some body. */
static void test_no_operator_is_left_out(void **state)
{
    (void)state;
    for (int op = OP_NONE + 1; op < OP_COUNT; op++) {
        char call[64];
        bool found = (op_info[op].flags & OPF_INTERNAL) != 0;
        snprintf(call, sizeof call, "= %s(", op_info[op].name);
        for (int i = 0; i < BODIES; i++)
            found |= strstr(bodies[i], call) != NULL;
        if (!found)
            fail_msg("%s", op_info[op].name);
    }
}

/* Masks are functions of seed, step and place; half of the values of p = 0.5 are dropped, the mean
 * stays. */
static void test_masks_are_reproducible(void **state)
{
    (void)state;
    Graph g;
    TrainGraph t;
    Analysis an;
    NodeId at;
    ShapeError err;
    const char *text = "graph \"g\"\n%1 = input() c=8 h=16 w=16 : \"x\"\n%2 = dropout(%1) p=0.5 : "
                       "\"d\"\n%3 = drop_path(%2) p=0.5 : \"e\"\n%4 = dense(%3) c=1 : \"f\"\nin "
                       "\"x\" %1\nout \"a\" %2 from %2\nout \"b\" %3 from %3\nout \"y\" %4 from %4 "
                       "primary\n";
    assert_null(graph_read(&g, &arena, text, strlen(text)));
    assert_true(analysis_run(&arena, &g, &an, &at, &err));
    assert_null(grad_build(&t, &arena, &an, &(TrainLoss){LOSS_SQUARED, 2, 1, 0}, 1));
    enum { BATCH = 64, COUNT = 8 * 16 * 16 };
    static float x[BATCH * COUNT], target[BATCH * COUNT];
    for (int i = 0; i < BATCH * COUNT; i++)
        x[i] = 1;
    Built b = {.g = g, .t = t, .batch = BATCH, .in = {x, target}};
    double **first = run(&b), **again = run(&b);
    int kept = 0, images = 0;
    for (int n = 0; n < BATCH; n++) {
        int left = 0;
        for (int i = n * COUNT; i < (n + 1) * COUNT; i++) {
            assert_true(first[0][i] == 0 || first[0][i] == 2);
            assert_true(first[0][i] == again[0][i]);
            assert_true(first[1][i] == 0 || first[1][i] == 2 * first[0][i]);
            kept += first[0][i] != 0;
            left += first[1][i] != 0;
        }
        images += left > 0;
    }
    assert_in_range(kept, BATCH * COUNT * 48 / 100, BATCH * COUNT * 52 / 100);
    assert_in_range(images, BATCH / 4, BATCH * 3 / 4);
    drop(&b, first);
    drop(&b, again);
    forget_params();
}

/* A head that no parameter reaches has no gradient, and no loss makes no step. */
static void test_what_cannot_be_trained_is_refused(void **state)
{
    (void)state;
    Graph g;
    TrainGraph t;
    Analysis an;
    NodeId at;
    ShapeError err;
    const char *text = "graph \"g\"\n%1 = input() c=2 h=2 w=2 : \"x\"\n%2 = relu(%1) : \"r\"\nin "
                       "\"x\" %1\nout \"y\" %2 from %2 primary\n";
    assert_null(graph_read(&g, &arena, text, strlen(text)));
    assert_true(analysis_run(&arena, &g, &an, &at, &err));
    const char *bad = grad_build(&t, &arena, &an, &(TrainLoss){LOSS_SQUARED, 0, 1, 0}, 1);
    assert_non_null(bad);
    assert_non_null(strstr(bad, "'y'"));
    assert_non_null(grad_build(&t, &arena, &an, NULL, 0));
}

/* The text of a training graph reads back as the same graph. */
static void test_training_graphs_have_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < BODIES; i++) {
        Built b = {0};
        while (!build(&b, bodies[i], LOSS_CROSS_ENTROPY))
            ;
        Buf text = {0}, again = {0};
        Graph g;
        graph_print(&b.t.g, &text);
        const char *bad = graph_read(&g, &arena, text.at, text.len);
        if (bad != NULL)
            fail_msg("%s\n%s", bad, text.at);
        graph_print(&g, &again);
        assert_string_equal(text.at, again.at);
        assert_null(graph_verify(&g));
        buf_free(&text);
        buf_free(&again);
        unbuild(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gradients_are_differences, arena_up, arena_down),
        cmocka_unit_test(test_no_operator_is_left_out),
        cmocka_unit_test_setup_teardown(test_masks_are_reproducible, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_trained_is_refused, arena_up,
                                        arena_down),
        cmocka_unit_test_setup_teardown(test_training_graphs_have_a_text, arena_up, arena_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
