/* Random networks as graph text: any operators in any order, values read several times. */
#ifndef CNNC_TEST_PLAN_RANDOM_H
#define CNNC_TEST_PLAN_RANDOM_H
#include "support/buf.h"
#include "rng.h"

enum { RANDOM_NODES = 28, RANDOM_HEADS = 4 };

typedef struct RandomNode {
    int c, h, w, flat, uses;
} RandomNode;

typedef struct RandomNet {
    uint64_t key, drawn;
    Buf text;
    RandomNode node[RANDOM_NODES + 1]; /* by id */
    int count;
} RandomNet;

static inline int draw(RandomNet *r, int n)
{
    return (int)(rng_mix(r->key, r->drawn++) >> 33) % n;
}

static inline int draw_node(RandomNet *r)
{
    int near = r->count > 5 && draw(r, 3) ? r->count - draw(r, 4) : 1 + draw(r, r->count);
    return near;
}

/* A node of the shape of `like` (or, `point`: one value per channel), else `like` itself. */
static inline int draw_same(RandomNet *r, int like, int point)
{
    const RandomNode *l = &r->node[like];
    for (int tries = 0; tries < 12; tries++) {
        int i = 1 + draw(r, r->count);
        const RandomNode *n = &r->node[i];
        int equal = n->h == l->h && n->w == l->w && n->flat == l->flat;
        if (n->c == l->c && (equal || (point && n->h * n->w == 1 && l->h * l->w > 1)))
            return i;
    }
    return like;
}

static inline void add_random(RandomNet *r, RandomNode shape)
{
    r->node[++r->count] = shape;
    r->node[r->count].uses = 0;
    buf_printf(&r->text, " : \"n%d\"\n", r->count);
}

static inline void begin_random(RandomNet *r, const char *op, int in)
{
    r->node[in].uses++;
    buf_printf(&r->text, "%%%d = %s(%%%d", r->count + 1, op, in);
}

static inline void random_conv(RandomNet *r, int in)
{
    RandomNode s = r->node[in];
    int k = 1 + 2 * draw(r, 3), stride = 1 + (draw(r, 3) == 0), c = 1 + draw(r, 50), groups = 1;
    if (draw(r, 4) == 0)
        groups = c = s.c;
    else if (s.c % 2 == 0 && draw(r, 4) == 0)
        groups = 2, c = 2 * (1 + c / 2);
    begin_random(r, "conv", in);
    buf_printf(&r->text, ") c=%d k=%dx%d stride=%dx%d groups=%d bias=%s", c, k, k, stride, stride,
               groups, draw(r, 2) ? "true" : "false");
    add_random(r, (RandomNode){.c = c, .h = (s.h - 1) / stride + 1, .w = (s.w - 1) / stride + 1});
}

static inline void random_unary(RandomNet *r, int in)
{
    static const char *const op[] = {"relu",    "relu6",       "silu",    "hswish", "gelu",
                                     "sigmoid", "tanh",        "leaky",   "bn",     "bn",
                                     "bn",      "layer_scale", "dropout", "ln",     "softmax"};
    begin_random(r, op[draw(r, sizeof op / sizeof *op)], in);
    buf_add(&r->text, ")");
    add_random(r, r->node[in]);
}

static inline void random_merge(RandomNet *r, int in)
{
    const char *op = draw(r, 3) ? "add" : "mul";
    int others = 1 + draw(r, 3), other = draw_same(r, in, 1);
    if (draw(r, 2)) {
        begin_random(r, op, in);
    } else { /* what is broadcast may come first */
        begin_random(r, op, other);
        other = in;
    }
    for (int n = others; n > 0; n--) {
        r->node[other].uses++;
        buf_printf(&r->text, ", %%%d", other);
        other = draw_same(r, in, 1);
    }
    buf_add(&r->text, ")");
    add_random(r, r->node[in]);
}

static inline void random_concat(RandomNet *r, int in)
{
    RandomNode s = r->node[in];
    begin_random(r, "concat", in);
    for (int i = 1, taken = 0; i <= r->count && taken < 3; i++) {
        const RandomNode *n = &r->node[i];
        if (n->h != s.h || n->w != s.w || n->flat != s.flat || s.c + n->c > 120 || draw(r, 2))
            continue;
        s.c += n->c;
        taken++;
        r->node[i].uses++;
        buf_printf(&r->text, ", %%%d", i);
    }
    buf_add(&r->text, ")");
    add_random(r, s);
}

static inline void random_window(RandomNet *r, int in)
{
    RandomNode s = r->node[in];
    int mean = draw(r, 2);
    begin_random(r, mean ? "avgpool" : "maxpool", in);
    if (s.h >= 2 && s.w >= 2 && draw(r, 2)) {
        buf_add(&r->text, ") k=2x2");
        s.h /= 2;
        s.w /= 2;
    } else {
        buf_add(&r->text, ") k=3x3 stride=1x1 pad=same");
    }
    add_random(r, s);
}

static inline void random_move(RandomNet *r, int in)
{
    RandomNode s = r->node[in];
    int from = draw(r, s.c), to = from + 1 + draw(r, s.c - from);
    switch (draw(r, 6)) {
    case 0:
        begin_random(r, "slice", in);
        buf_printf(&r->text, ") from=%d to=%d", from, to);
        s.c = to - from;
        break;
    case 1:
        begin_random(r, "shuffle", in);
        buf_printf(&r->text, ") groups=%d", s.c % 3 ? s.c % 2 ? 1 : 2 : 3);
        break;
    case 2:
        begin_random(r, "zeropad", in);
        buf_add(&r->text, ") top=1 right=2");
        s.h++;
        s.w += 2;
        break;
    case 3:
        if (s.h * s.w > 100 || s.h * s.w == 1)
            return;
        begin_random(r, "upsample", in);
        buf_printf(&r->text, ") by=2x1 bilinear=%s", draw(r, 2) ? "true" : "false");
        s.h *= 2;
        break;
    case 4:
        if (s.h % 2 || s.w % 2 || s.c > 30)
            return;
        begin_random(r, "space_to_depth", in);
        buf_add(&r->text, ") by=2");
        s = (RandomNode){.c = s.c * 4, .h = s.h / 2, .w = s.w / 2};
        break;
    default:
        if (s.h < 3)
            return;
        begin_random(r, "crop", in);
        buf_add(&r->text, ") top=1 bottom=1");
        s.h -= 2;
        break;
    }
    add_random(r, s);
}

static inline void random_vector(RandomNet *r, int in)
{
    RandomNode s = r->node[in];
    int kind = draw(r, 3);
    begin_random(r, kind == 0 ? "dense" : kind == 1 ? "gap" : "flatten", in);
    buf_add(&r->text, ")");
    if (kind == 0) {
        s.c = 1 + draw(r, 60);
        buf_printf(&r->text, " c=%d", s.c);
    } else if (kind == 1) {
        s = (RandomNode){.c = s.c, .h = 1, .w = 1, .flat = 0};
    } else {
        s = (RandomNode){.c = s.c * s.h * s.w, .h = 1, .w = 1, .flat = 1};
    }
    add_random(r, s);
}

static inline void random_node(RandomNet *r)
{
    int in = draw_node(r);
    const RandomNode *n = &r->node[in];
    int vector = n->flat == 1;
    switch (draw(r, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (!vector)
            random_conv(r, in);
        break;
    case 4:
    case 5:
    case 6: random_unary(r, in); break;
    case 7: random_merge(r, in); break;
    case 8: random_concat(r, in); break;
    case 9:
        if (!vector)
            random_window(r, in);
        break;
    case 10:
        if (!vector)
            random_move(r, in);
        break;
    default:
        if (!vector && n->c * n->h * n->w < 2000)
            random_vector(r, in);
        break;
    }
}

/* The text stays valid until buf_free(&r->text). */
static inline void random_net(RandomNet *r, uint64_t seed)
{
    *r = (RandomNet){.key = rng_key("net", seed)};
    buf_add(&r->text, "graph \"random\"\n%1 = input()");
    int c = 1 + draw(r, 40), h = 3 + draw(r, 9), w = 3 + draw(r, 9);
    buf_printf(&r->text, " c=%d h=%d w=%d", c, h, w);
    add_random(r, (RandomNode){.c = c, .h = h, .w = w});
    while (r->count < RANDOM_NODES)
        random_node(r);
    buf_add(&r->text, "in \"x\" %1\n");
    int heads = 0;
    for (int i = r->count; i > 0 && heads < RANDOM_HEADS; i--)
        if (r->node[i].uses == 0 || (heads == 1 && draw(r, 4) == 0))
            buf_printf(&r->text, "out \"y%d\" %%%d from %%%d%s\n", i, i, i,
                       heads++ ? "" : " primary");
}
#endif
