/* Graphs built by hand in tests, node by node, in one arena. */
#ifndef CNNC_TEST_GRAPH_BUILD_H
#define CNNC_TEST_GRAPH_BUILD_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "analysis/analysis.h"

static OomHandler oom;
static Arena arena;

static inline int arena_up(void **state)
{
    (void)state;
    arena_init(&arena, &oom, 0);
    return 0;
}

static inline int arena_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* Small builders: a node with its defaults, and the attributes that differ from them. */
static inline NodeId put(Graph *g, Op op, const AttrVal *attrs, const NodeId *in, uint32_t nin)
{
    return graph_add(g, op, attrs, in, nin, arena_printf(&arena, "n%u", g->nodes.len), 0);
}

static inline void defaults(Op op, AttrVal out[OP_MAX_ATTRS])
{
    for (int i = 0; i < op_info[op].attr_count; i++)
        out[i] = op_info[op].attrs[i].def;
}

static inline NodeId input(Graph *g, int64_t c, int64_t h, int64_t w)
{
    AttrVal a[] = {attr_int(c), attr_int(h), attr_int(w)};
    NodeId n = put(g, OP_INPUT, a, NULL, 0);
    vec_push(&arena, &g->ins, ((GraphInput){.name = "x", .node = n}));
    return n;
}

static inline NodeId plain(Graph *g, Op op, NodeId in)
{
    AttrVal a[OP_MAX_ATTRS];
    defaults(op, a);
    return put(g, op, a, &in, 1);
}

static inline NodeId conv(Graph *g, NodeId in, int64_t c, Size2 k, Size2 stride, Size2 dilation)
{
    AttrVal a[OP_MAX_ATTRS];
    defaults(OP_CONV, a);
    a[AT_CONV_c] = attr_int(c);
    a[AT_CONV_k] = attr_size(k.h, k.w);
    a[AT_CONV_stride] = attr_size(stride.h, stride.w);
    a[AT_CONV_dilation] = attr_size(dilation.h, dilation.w);
    return put(g, OP_CONV, a, &in, 1);
}

static inline NodeId conv3(Graph *g, NodeId in, int64_t c, int64_t k, int64_t s)
{
    return conv(g, in, c, (Size2){k, k}, (Size2){s, s}, (Size2){1, 1});
}

static inline NodeId convt(Graph *g, NodeId in, int64_t c, int64_t k, int64_t s, int64_t pad)
{
    AttrVal a[OP_MAX_ATTRS];
    defaults(OP_CONVT, a);
    a[AT_CONVT_c] = attr_int(c);
    a[AT_CONVT_k] = attr_size(k, k);
    a[AT_CONVT_stride] = attr_size(s, s);
    a[AT_CONVT_pad] = attr_pad((Pad){PAD_EXPLICIT, pad, pad, pad, pad});
    return put(g, OP_CONVT, a, &in, 1);
}

static inline NodeId pool(Graph *g, Op op, NodeId in, int64_t k, int64_t s)
{
    AttrVal a[OP_MAX_ATTRS];
    defaults(op, a);
    a[op_attr_index(op, "k")] = attr_size(k, k);
    a[op_attr_index(op, "stride")] = attr_size(s, s);
    return put(g, op, a, &in, 1);
}

static inline NodeId join(Graph *g, Op op, NodeId a, NodeId b)
{
    return put(g, op, NULL, (NodeId[]){a, b}, 2);
}

static inline NodeId dense(Graph *g, NodeId in, int64_t c)
{
    AttrVal a[] = {attr_int(c), attr_bool(true)};
    return put(g, OP_DENSE, a, &in, 1);
}

static inline void head(Graph *g, const char *name, NodeId n, bool primary)
{
    vec_push(&arena, &g->outs, ((GraphOutput){name, n, n, primary}));
}

static inline Analysis analyse(const Graph *g)
{
    Analysis an;
    NodeId at;
    ShapeError err;
    const char *bad = graph_verify(g);
    if (bad != NULL)
        fail_msg("%s", bad);
    if (!analysis_run(&arena, g, &an, &at, &err))
        fail_msg("%%%u: %s", at.v, err.text);
    return an;
}

#define WITH_ARENA(F) cmocka_unit_test_setup_teardown(F, arena_up, arena_down)
#endif
