/* Receptive fields against an enumeration of all paths, verdicts at their boundaries. */
#include "graph_build.h"
#include <math.h>
#include "rng.h"

/* The oracle: every path to a node, one by one, as the definitions have it. Jumps are powers of two
 * here, so doubles hold them exactly. */
typedef struct PathEnd {
    double s, r;
} PathEnd;

typedef struct Paths {
    PathEnd at[20000];
    size_t n;
    bool global;
} Paths;

static double side(Size2 s, int axis)
{
    return (double)(axis == 0 ? s.h : s.w);
}

static PathEnd through(const Graph *g, NodeId id, int axis, PathEnd e)
{
    Window w = graph_window(g, id);
    switch (graph_node(g, id)->op) {
    case OP_CONV:
    case OP_MAXPOOL:
    case OP_AVGPOOL:
        e.r += (side(w.k, axis) - 1) * side(w.dilation, axis) * e.s;
        e.s *= side(w.stride, axis);
        break;
    case OP_CONVT:
        e.r += ceil((ceil(side(w.k, axis) / side(w.stride, axis)) - 1) * e.s);
        e.s /= side(w.stride, axis);
        break;
    case OP_UPSAMPLE:
        if (graph_attr(g, id, AT_UPSAMPLE_bilinear)->i &&
            side(graph_attr(g, id, AT_UPSAMPLE_by)->size, axis) > 1)
            e.r += ceil(e.s);
        e.s /= side(graph_attr(g, id, AT_UPSAMPLE_by)->size, axis);
        break;
    default: break;
    }
    e.r = ceil(e.r); /* a part of a pixel that is seen is a pixel that is seen */
    return e;
}

static void all_paths(const Graph *g, NodeId id, int axis, Paths *out)
{
    const Node *node = graph_node(g, id);
    size_t before = out->n;
    if (node->op == OP_GAP) {
        out->global = true;
        return;
    }
    if (node->op == OP_INPUT)
        out->at[out->n++] = (PathEnd){1, 1};
    for (uint32_t i = 0; i < node->in_count; i++)
        all_paths(g, graph_in(g, id, i), axis, out);
    assert_true(out->n < 15000);
    for (size_t i = before; i < out->n; i++)
        out->at[i] = through(g, id, axis, out->at[i]);
}

static int64_t smallest(const Paths *p)
{
    double r = 0;
    for (size_t i = 0; i < p->n; i++)
        r = i == 0 || p->at[i].r < r ? p->at[i].r : r;
    return (int64_t)r;
}

static void expect_entries(const RfAxis *got, const Paths *p)
{
    size_t covered = 0;
    int64_t most = 0;
    for (uint32_t k = 0; k < got->n; k++) {
        const RfEntry *e = &got->e[k];
        double s = (double)e->s_num / (double)e->s_den, lo = INFINITY, hi = 0;
        for (size_t i = 0; i < p->n; i++)
            if (p->at[i].s == s) {
                lo = fmin(lo, p->at[i].r);
                hi = fmax(hi, p->at[i].r);
                covered++;
            }
        assert_true((double)e->r_min == lo && (double)e->r_max == hi);
        most = e->r_max > most ? e->r_max : most;
        if (k > 0)
            assert_true((double)got->e[k - 1].s_num / (double)got->e[k - 1].s_den < s);
    }
    assert_int_equal(covered, p->n);
    assert_int_equal(got->r_min, smallest(p));
    assert_int_equal(got->r_max, most);
    assert_int_equal(got->global, p->global);
}

typedef struct Draw {
    uint64_t seed, turn;
} Draw;

static uint64_t draw(Draw *d, uint64_t n)
{
    return rng_mix(d->seed, d->turn++) % n;
}

static void shape_of(const Graph *g, NodeId n, Shape *shape)
{
    const Node *node = graph_node(g, n);
    Shape ins[2];
    ShapeError err;
    for (uint32_t i = 0; i < node->in_count; i++)
        ins[i] = shape[graph_in(g, n, i).v];
    if (!shape_infer(node->op, graph_attr(g, n, 0), ins, node->in_count, &shape[n.v], &err))
        fail_msg("%s", err.text);
}

/* A random graph of maps with two channels: chains, merges of equal maps, gates. */
static void random_dag(Graph *g, uint64_t seed, bool fractions)
{
    static const Op pools[] = {OP_MAXPOOL, OP_AVGPOOL};
    Shape shape[64] = {0};
    Draw d = {seed, 0};
    graph_init(g, &arena, "g");
    /* where maps shrink to a point, equal maps are reached over different strides */
    shape[1] = seed % 4 > 1 ? (Shape){2, 2, 3, false} : (Shape){2, 16, 24, false};
    input(g, 2, shape[1].h, shape[1].w);
    uint32_t want = 6 + (uint32_t)draw(&d, 12);
    while (g->nodes.len <= want) {
        NodeId in = {1 + (uint32_t)draw(&d, g->nodes.len - 1)}, n = {0}, mate = {0};
        if (draw(&d, 2))
            in.v = g->nodes.len - 1;
        if (graph_node(g, in)->op == OP_GAP && draw(&d, 3) != 0)
            in.v = 1;
        uint64_t what = draw(&d, fractions ? 9 : 6);
        if (what < 3) {
            for (uint32_t i = 1; i < g->nodes.len && mate.v == 0; i++)
                if (i != in.v && draw(&d, 2) && shape[i].c == 2 &&
                    (shape_equal(shape[i], shape[in.v]) ||
                     graph_node(g, (NodeId){i})->op == OP_GAP))
                    mate.v = i;
            if (mate.v == 0)
                continue;
            n = join(g, graph_node(g, mate)->op == OP_GAP ? OP_MUL : OP_ADD, in, mate);
        } else if (what == 3) {
            int64_t v[6];
            for (int i = 0; i < 6; i++)
                v[i] = i < 2 ? 1 + 2 * (int64_t)draw(&d, 3) : 1 + (int64_t)draw(&d, 2);
            n = conv(g, in, 2, (Size2){v[0], v[1]}, (Size2){v[2], v[3]}, (Size2){v[4], v[5]});
        } else if (what == 4) {
            n = draw(&d, 4) == 0 ? plain(g, OP_GAP, in) : plain(g, OP_RELU, in);
        } else if (what == 5) {
            n = shape[in.v].h < 4 || shape[in.v].w < 4
                    ? plain(g, OP_BN, in)
                    : pool(g, pools[draw(&d, 2)], in, 2 + (int64_t)draw(&d, 2), 2);
        } else if (shape[in.v].h > 64) {
            continue;
        } else if (what == 6) {
            n = convt(g, in, 2, 2 + 2 * (int64_t)draw(&d, 2), 2, 0);
        } else if (what == 8) {
            if (shape[in.v].h % 2 != 0 || shape[in.v].w % 2 != 0)
                continue;
            n = pool(g, OP_AVGPOOL, in, 2, 2);
        } else {
            int64_t wide = 1 + (int64_t)draw(&d, 2);
            AttrVal a[] = {attr_size(2, wide), attr_bool(draw(&d, 2))};
            n = put(g, OP_UPSAMPLE, a, &in, 1);
        }
        shape_of(g, n, shape);
        if (what != 8)
            continue;
        /* what is halved and doubled meets its origin */
        AttrVal twice[] = {attr_size(2, 2), attr_bool(draw(&d, 2))};
        n = put(g, OP_UPSAMPLE, twice, &n, 1);
        shape_of(g, n, shape);
        n = join(g, OP_ADD, in, n);
        shape_of(g, n, shape);
    }
    for (uint32_t i = g->nodes.len / 2; i < g->nodes.len; i++)
        head(g, "o", (NodeId){i}, i + 1 == g->nodes.len);
}

static Verdict expected_verdict(const int64_t r_in[2], const int64_t r[2], const int64_t size[2])
{
    Verdict worst = VERDICT_GLOBAL;
    for (int k = 0; k < 2; k++) {
        if (r_in[k] == 0)
            continue;
        Verdict v = VERDICT_PRODUCTIVE;
        if (r[k] == size[k])
            v = VERDICT_SATURATED;
        if (r[k] > size[k])
            v = VERDICT_UNDERUTILIZED;
        if (r_in[k] >= size[k])
            v = VERDICT_UNPRODUCTIVE;
        worst = worst == VERDICT_GLOBAL || v > worst ? v : worst;
    }
    return worst;
}

static void check_path(const Analysis *an, NodeId n, int axis)
{
    RfStep *step;
    uint32_t len = analysis_min_path(&arena, an, n, axis, &step);
    const RfAxis *r = &an->rf[n.v].axis[axis];
    if (r->n == 0) {
        assert_int_equal(len, 0);
        return;
    }
    assert_int_equal(step[0].node.v, 1);
    assert_int_equal(step[0].r, 1);
    assert_int_equal(step[len - 1].node.v, n.v);
    assert_int_equal(step[len - 1].r, r->r_min);
    for (uint32_t i = 1; i < len; i++)
        assert_true(step[i].node.v > step[i - 1].node.v && step[i].r >= step[i - 1].r);
}

static void test_random_dags(void **state)
{
    (void)state;
    static Paths paths;
    int seen[6] = {0}, merged = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        Graph g;
        random_dag(&g, seed, seed % 2);
        Analysis an = analyse(&g);
        for (uint32_t i = 1; i < g.nodes.len; i++) {
            const Node *node = graph_node(&g, (NodeId){i});
            int64_t r[2], r_in[2] = {0, 0};
            for (int axis = 0; axis < 2; axis++) {
                paths.n = 0;
                paths.global = false;
                all_paths(&g, (NodeId){i}, axis, &paths);
                expect_entries(&an.rf[i].axis[axis], &paths);
                merged += an.rf[i].axis[axis].n > 1;
                r[axis] = smallest(&paths);
                for (uint32_t k = 0; k < node->in_count; k++) {
                    paths.n = 0;
                    all_paths(&g, graph_in(&g, (NodeId){i}, k), axis, &paths);
                    int64_t in = smallest(&paths);
                    r_in[axis] = r_in[axis] == 0 || (in > 0 && in < r_in[axis]) ? in : r_in[axis];
                }
                assert_int_equal(an.rf[i].r_in_min[axis], r_in[axis]);
                check_path(&an, (NodeId){i}, axis);
            }
            if (!(op_info[node->op].flags & OPF_COUNTED) || !an.live[i])
                assert_int_equal(an.verdict[i].v, VERDICT_NONE);
            else
                assert_int_equal(an.verdict[i].v, expected_verdict(r_in, r, an.input));
            seen[an.verdict[i].v]++;
        }
        arena_reset(&arena);
    }
    for (int i = 0; i < 6; i++)
        if (seen[i] < 2)
            fail_msg("only %d layers are %s", seen[i], verdict_name[i]);
    if (merged < 10)
        fail_msg("only %d layers are reached with several jumps", merged);
}

/* The same graph with a layer before the input: r grows by what the layer sees. */
static void copy_after(Graph *out, const Graph *g, int64_t k, int64_t s)
{
    Analysis a = analyse(g);
    graph_init(out, &arena, "after");
    NodeId x = input(out, 2, a.input[0] * s, a.input[1] * s);
    NodeId first = conv3(out, x, 2, k, s);
    for (uint32_t i = 2; i < g->nodes.len; i++) {
        const Node *n = graph_node(g, (NodeId){i});
        NodeId in[4];
        for (uint32_t j = 0; j < n->in_count; j++) {
            in[j] = graph_in(g, (NodeId){i}, j);
            in[j].v = in[j].v == 1 ? first.v : in[j].v + 1;
        }
        put(out, n->op, graph_attr(g, (NodeId){i}, 0), in, n->in_count);
    }
    head(out, "o", (NodeId){out->nodes.len - 1}, true);
}

static void test_layer_before(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        for (int64_t s = 1; s <= 2; s++) {
            Graph g, after;
            random_dag(&g, seed, false);
            copy_after(&after, &g, 5, s);
            Analysis a = analyse(&g), b = analyse(&after);
            for (uint32_t i = 2; i < g.nodes.len; i++)
                for (int axis = 0; axis < 2; axis++) {
                    const RfAxis *x = &a.rf[i].axis[axis], *y = &b.rf[i + 1].axis[axis];
                    assert_int_equal(x->n, y->n);
                    if (x->n == 0)
                        continue;
                    assert_int_equal(y->r_min, s * (x->r_min - 1) + 5);
                    assert_int_equal(y->r_max, s * (x->r_max - 1) + 5);
                }
            arena_reset(&arena);
        }
}

/* Rows and columns are treated alike: exchanging them everywhere exchanges all results. */
static void test_transposed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        Graph g;
        random_dag(&g, seed, true);
        Analysis a = analyse(&g);
        for (uint32_t i = 0; i < g.attrs.len; i++)
            if (g.attrs.at[i].type == ATTR_SIZE)
                g.attrs.at[i].size = (Size2){g.attrs.at[i].size.w, g.attrs.at[i].size.h};
        AttrVal *in = &g.attrs.at[graph_node(&g, (NodeId){1})->attr_first];
        in[AT_INPUT_h] = attr_int(a.input[1]);
        in[AT_INPUT_w] = attr_int(a.input[0]);
        Analysis b = analyse(&g);
        for (uint32_t i = 1; i < g.nodes.len; i++) {
            assert_int_equal(a.shape[i].h, b.shape[i].w);
            assert_int_equal(a.rf[i].axis[0].r_min, b.rf[i].axis[1].r_min);
            assert_int_equal(a.rf[i].axis[1].r_max, b.rf[i].axis[0].r_max);
            assert_int_equal(a.verdict[i].v, b.verdict[i].v);
            assert_int_equal(a.verdict[i].axis[0], b.verdict[i].axis[1]);
            assert_int_equal(a.cost[i].macs, b.cost[i].macs);
        }
        assert_int_equal(a.n[0], b.n[1]);
        assert_int_equal(a.act_peak, b.act_peak);
        arena_reset(&arena);
    }
}

static Verdict last_verdict(int64_t h, int64_t w, bool axis[2], Analysis *an)
{
    Graph *g = arena_new(&arena, Graph);
    graph_init(g, &arena, "g");
    NodeId n = conv3(g, conv3(g, input(g, 3, h, w), 4, 7, 2), 4, 3, 1); /* r 7, then 11 */
    n = plain(g, OP_RELU, n);
    NodeId last = conv3(g, n, 4, 5, 1); /* 19 */
    head(g, "o", last, true);
    *an = analyse(g);
    axis[0] = an->verdict[last.v].axis[0];
    axis[1] = an->verdict[last.v].axis[1];
    assert_int_equal(an->rf[last.v].axis[0].r_min, 19);
    assert_int_equal(an->rf[last.v].r_in_min[0], 11);
    return an->verdict[last.v].v;
}

static void test_boundaries(void **state)
{
    (void)state;
    static const struct {
        int64_t size;
        Verdict v;
    } at[] = {{10, VERDICT_UNPRODUCTIVE},  {11, VERDICT_UNPRODUCTIVE}, {12, VERDICT_UNDERUTILIZED},
              {18, VERDICT_UNDERUTILIZED}, {19, VERDICT_SATURATED},    {20, VERDICT_PRODUCTIVE}};
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 6; k++) {
            bool axis[2];
            Analysis an;
            Verdict worst = at[i].v > at[k].v ? at[i].v : at[k].v;
            assert_int_equal(last_verdict(at[i].size, at[k].size, axis, &an), worst);
            assert_int_equal(axis[0], at[i].v == worst);
            assert_int_equal(axis[1], at[k].v == worst);
            assert_int_equal(an.n[0], 19);
            NodeId first = analysis_first(&an, VERDICT_SATURATED, false);
            assert_int_equal(first.v == 0, worst == VERDICT_PRODUCTIVE);
            assert_int_equal(analysis_first(&an, VERDICT_SATURATED, true).v, 0);
        }
}

/* n of a graph is the resolution from which no layer is worse than saturated. */
static void test_feasible_resolution(void **state)
{
    (void)state;
    int met = 0;
    for (uint64_t seed = 1; seed <= 80; seed++) {
        Graph g;
        random_dag(&g, seed, false);
        Analysis an = analyse(&g);
        int64_t n = an.n[0] > an.n[1] ? an.n[0] : an.n[1];
        if (n < 4)
            continue;
        for (int64_t by = -1; by <= 1; by++) {
            AttrVal *in = &g.attrs.at[graph_node(&g, (NodeId){1})->attr_first];
            in[AT_INPUT_h] = in[AT_INPUT_w] = attr_int(n + by);
            Shape *shape;
            NodeId at;
            ShapeError err;
            if (!shape_all(&g, &arena, &shape, &at, &err))
                continue; /* an odd side that two branches round differently */
            Analysis b = analyse(&g);
            met++;
            assert_int_equal(b.n[0] > b.n[1] ? b.n[0] : b.n[1], n);
            uint32_t worse = b.count[VERDICT_UNDERUTILIZED] + b.count[VERDICT_UNPRODUCTIVE];
            if (by < 0)
                assert_true(worse > 0);
            if (by > 0)
                assert_int_equal(worse + b.count[VERDICT_SATURATED], 0);
            if (by == 0)
                assert_true(b.count[VERDICT_SATURATED] > 0);
        }
        arena_reset(&arena);
    }
    assert_true(met > 40);
}

/* Densely connected: about half a million edges and 2^500 paths. */
static void test_dense_connections(void **state)
{
    (void)state;
    enum { LAYERS = 500 };
    Graph g;
    graph_init(&g, &arena, "g");
    NodeId feature[LAYERS + 1], joined = {0};
    feature[0] = input(&g, 1, 9, 9);
    for (uint32_t i = 1; i <= LAYERS; i++) {
        joined = put(&g, OP_CONCAT, NULL, feature, i);
        feature[i] = conv3(&g, joined, 1, 3, 1);
    }
    head(&g, "o", feature[LAYERS], true);
    Analysis an = analyse(&g);
    assert_int_equal(g.nodes.len - 1, 2 * LAYERS + 1);
    assert_int_equal(an.rf[feature[LAYERS].v].axis[0].r_min, 3);
    assert_int_equal(an.rf[feature[LAYERS].v].axis[0].r_max, 1 + 2 * LAYERS);
    assert_int_equal(an.shape[joined.v].c, LAYERS);
    assert_int_equal(an.n[0], 3);
    assert_int_equal(an.n_max[0], 1 + 2 * LAYERS);
}

static void test_saturation(void **state)
{
    (void)state;
    Graph g;
    graph_init(&g, &arena, "g");
    NodeId n = input(&g, 1, 1, 1);
    for (int i = 0; i < 10000; i++)
        n = conv3(&g, n, 1, 3, 2);
    head(&g, "o", n, true);
    Analysis an = analyse(&g);
    assert_int_equal(an.rf[n.v].axis[0].r_min, RF_LIMIT);
    assert_int_equal(an.rf[n.v].axis[1].e[0].s_num, RF_LIMIT);
    assert_int_equal(an.verdict[n.v].v, VERDICT_UNPRODUCTIVE);
    assert_int_equal(an.rf[21].axis[0].r_min, (1 << 21) - 1); /* 20 layers: exact */
    assert_int_equal(an.count[VERDICT_UNPRODUCTIVE], 10000);
}

/* Jumps that multiply (2^a 3^b on a map of one point) stay bounded in number. */
static void test_many_jumps(void **state)
{
    (void)state;
    Graph g;
    graph_init(&g, &arena, "g");
    NodeId n = input(&g, 1, 1, 1);
    for (int i = 0; i < 30; i++)
        n = join(&g, OP_ADD, conv3(&g, n, 1, 1, 2), conv3(&g, n, 1, 3, 3));
    head(&g, "o", n, true);
    Analysis an = analyse(&g);
    const RfAxis *r = &an.rf[n.v].axis[0];
    assert_in_range(r->n, 31, 100);
    assert_int_equal(r->r_min, 1);
    int64_t most = 1, jump = 1;
    for (int i = 0; i < 30; i++) {
        most += 2 * jump;
        jump *= 3;
    }
    assert_int_equal(r->r_max, most);
}

static void expect_r(const Analysis *an, NodeId n, int64_t r, int64_t num, int64_t den)
{
    const RfAxis *a = &an->rf[n.v].axis[0];
    assert_int_equal(a->r_min, r);
    assert_int_equal(a->e[0].s_num, num);
    assert_int_equal(a->e[0].s_den, den);
}

static void test_decoder(void **state)
{
    (void)state;
    Graph g;
    graph_init(&g, &arena, "g");
    NodeId x = input(&g, 1, 32, 32), down = conv3(&g, x, 4, 3, 2); /* r 3, S 2 */
    NodeId up = convt(&g, down, 4, 2, 2, 0);                       /* r 3, S 1 */
    NodeId skip = join(&g, OP_ADD, up, conv3(&g, x, 4, 7, 1));     /* 3 and 7 */
    NodeId wide = convt(&g, skip, 4, 4, 2, 1);                     /* + 1 * 1, S 1/2 */
    NodeId fine = conv3(&g, wide, 4, 3, 1);                        /* + 2 * 1/2 */
    NodeId odd = conv3(&g, fine, 4, 2, 3);                         /* + 1/2, up; S 3/2 */
    head(&g, "o", odd, true);
    Analysis an = analyse(&g);
    assert_int_equal(an.shape[up.v].h, 32);
    assert_int_equal(an.shape[wide.v].h, 64);
    expect_r(&an, down, 3, 2, 1);
    expect_r(&an, up, 3, 1, 1);
    expect_r(&an, skip, 3, 1, 1);
    assert_int_equal(an.rf[skip.v].axis[0].r_max, 7);
    expect_r(&an, wide, 4, 1, 2);
    expect_r(&an, fine, 5, 1, 2);
    expect_r(&an, odd, 6, 3, 2);
}

static void test_heads(void **state)
{
    (void)state;
    Graph g;
    graph_init(&g, &arena, "g");
    NodeId x = input(&g, 3, 8, 8), trunk = conv3(&g, x, 4, 3, 1);
    NodeId aux = conv3(&g, trunk, 4, 9, 1), dead = conv3(&g, trunk, 4, 99, 1);
    NodeId vector = dense(&g, plain(&g, OP_FLATTEN, plain(&g, OP_GAP, trunk)), 10);
    NodeId gated = join(&g, OP_MUL, trunk, conv3(&g, plain(&g, OP_GAP, trunk), 4, 1, 1));
    NodeId late = conv3(&g, gated, 4, 3, 1);
    head(&g, "aux", aux, false);
    head(&g, "classes", vector, false);
    head(&g, "main", late, true);
    Analysis an = analyse(&g);
    assert_false(an.live[dead.v]);
    assert_int_equal(an.verdict[dead.v].v, VERDICT_NONE);
    assert_true(an.live[aux.v] && !an.extractor[aux.v] && an.extractor[trunk.v]);
    assert_int_equal(an.verdict[aux.v].v, VERDICT_UNDERUTILIZED);
    assert_true(an.verdict[aux.v].aux);
    assert_int_equal(an.verdict[vector.v].v, VERDICT_GLOBAL);
    assert_true(rf_global(&an.rf[vector.v]) && !rf_global(&an.rf[gated.v]));
    assert_true(an.rf[gated.v].axis[0].global);
    assert_int_equal(an.rf[late.v].axis[0].r_min, 5);
    assert_int_equal(an.n[0], 5); /* neither the auxiliary head nor dead code counts */
    assert_int_equal(an.count[VERDICT_PRODUCTIVE], 2);
    assert_int_equal(an.count[VERDICT_GLOBAL], 1); /* the gate's convolution */
    assert_int_equal(an.count[VERDICT_UNDERUTILIZED], 0);
    assert_int_equal(analysis_first(&an, VERDICT_UNDERUTILIZED, true).v, aux.v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_random_dags),
        WITH_ARENA(test_layer_before),
        WITH_ARENA(test_transposed),
        WITH_ARENA(test_boundaries),
        WITH_ARENA(test_feasible_resolution),
        WITH_ARENA(test_dense_connections),
        WITH_ARENA(test_saturation),
        WITH_ARENA(test_many_jumps),
        WITH_ARENA(test_decoder),
        WITH_ARENA(test_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
