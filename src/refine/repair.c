#include "refine/repair.h"
#include <stdlib.h>
#include <string.h>

/* One attempt: elaborate with overrides in an arena of its own. False when it does not elaborate.
 */
typedef struct Outcome {
    int64_t n[2], params, macs;
    bool feasible;
} Outcome;

static bool attempt(Session *s, NetRef net, const ElabOptions *opt, Outcome *out)
{
    Arena arena;
    uint32_t mark = s->diags.all.len;
    bool ok = false;
    arena_init(&arena, &s->oom, s->arena.limit);
    Elab *e = elab_net(s, &arena, net, opt);
    if (e != NULL) {
        Analysis a;
        NodeId at;
        ShapeError err;
        if (analysis_run(&arena, &e->graph, &a, &at, &err)) {
            *out = (Outcome){.n = {a.n[0], a.n[1]}, .params = a.params, .macs = a.macs};
            out->feasible = a.n[0] < a.input[0] && a.n[1] < a.input[1];
            ok = true;
        }
    }
    diag_rewind(&s->diags, mark);
    arena_free(&arena);
    return ok;
}

/* A literal and the first layer whose stride it feeds. */
typedef struct Site {
    uint32_t lit; /* index in Elab.lits */
    NodeId node;
} Site;
typedef VEC(Site) SiteList;

static int stride_attr(Op op)
{
    switch (op) {
    case OP_CONV: return AT_CONV_stride;
    case OP_MAXPOOL: return AT_MAXPOOL_stride;
    case OP_AVGPOOL: return AT_AVGPOOL_stride;
    default: return -1;
    }
}

static void add_sites(Arena *a, const Elab *e, NodeId n, uint32_t set, SiteList *out)
{
    for (uint32_t i = 0; i < e->litsets.at[set].n; i++) {
        uint32_t lit = e->litsets.at[set].at[i], k = 0;
        while (k < out->len && out->at[k].lit != lit)
            k++;
        if (k == out->len)
            vec_push(a, out, ((Site){lit, n}));
    }
}

static void find_sites(Arena *a, const Elab *e, const Analysis *an, SiteList *out)
{
    for (uint32_t v = 1; v < e->graph.nodes.len; v++) {
        const Node *n = &e->graph.nodes.at[v];
        int attr = stride_attr(n->op);
        if (attr < 0 || !an->extractor[v] || n->origin == 0)
            continue;
        Window w = graph_window(&e->graph, (NodeId){v});
        if (w.stride.h < 2 && w.stride.w < 2)
            continue;
        add_sites(a, e, (NodeId){v}, e->origins.at[n->origin].attrs[attr], out);
        /* a pooling's stride is its kernel unless given */
        if (n->op != OP_CONV && graph_attr(&e->graph, (NodeId){v}, attr)->size.h == 0)
            add_sites(a, e, (NodeId){v}, e->origins.at[n->origin].attrs[AT_MAXPOOL_k], out);
    }
}

/* The literal with its value halved; false when it is not a stride that can be taken back. */
static bool halve(const Session *s, LitRef ref, LitOverride *out, const char **text, Arena *a)
{
    const AstNode *n = elab_literal(s, ref);
    *out = (LitOverride){.lit = ref};
    if (n == NULL)
        return false;
    if (n->kind == AST_INT && n->i >= 2 && n->i % 2 == 0 && n->i <= 64) {
        out->i = n->i / 2;
        *text = arena_printf(a, "%ld", (long)out->i);
        return true;
    }
    if (n->kind == AST_SIZE && n->size[0] >= 1 && n->size[1] >= 1 &&
        (n->size[0] % 2 == 0 || n->size[1] % 2 == 0) && n->size[0] <= 64 && n->size[1] <= 64) {
        out->is_size = true;
        for (int i = 0; i < 2; i++)
            out->size[i] = n->size[i] % 2 == 0 ? n->size[i] / 2 : n->size[i];
        *text = arena_printf(a, "%ldx%ld", (long)out->size[0], (long)out->size[1]);
        return true;
    }
    return false;
}

/* The stage's own stride literal, when the layer is inside a stage that declares one. */
static bool stage_literal(const Session *s, const Elab *e, NodeId node, LitRef *out)
{
    uint32_t inst = e->origins.at[graph_node(&e->graph, node)->origin].inst;
    while (inst != 0 && e->insts.at[inst].kind != INST_STAGE)
        inst = e->insts.at[inst].parent;
    return inst != 0 && elab_stage_stride_literal(s, e->insts.at[inst].span, out);
}

static bool try_site(Session *s, NetRef net, const ElabOptions *opt, const Elab *e, Site site,
                     Repair *r)
{
    LitRef ref = e->lits.at[site.lit], contract;
    Outcome o = {0};
    ElabOptions trial = *opt;
    if (!halve(s, ref, &r->change[0], &r->text[0], &s->arena))
        return false;
    r->changes = 1;
    r->layer = arena_strdup(&s->arena, graph_node(&e->graph, site.node)->name);
    r->span[0] = elab_literal(s, ref)->span;
    trial.overrides = r->change;
    trial.override_count = 1;
    bool ok = attempt(s, net, &trial, &o);
    if (!ok && stage_literal(s, e, site.node, &contract) &&
        (contract.module != ref.module || contract.node.v != ref.node.v) &&
        halve(s, contract, &r->change[1], &r->text[1], &s->arena)) {
        r->changes = 2;
        r->span[1] = elab_literal(s, contract)->span;
        trial.override_count = 2;
        ok = attempt(s, net, &trial, &o);
    }
    if (!ok || !o.feasible)
        return false;
    memcpy(r->n, o.n, sizeof r->n);
    r->params = o.params;
    r->macs = o.macs;
    return true;
}

static int64_t distance(int64_t a, int64_t b)
{
    return a < b ? b - a : a - b;
}

static int better(const Repair *x, const Repair *y, int64_t params)
{
    int64_t nx = x->n[0] > x->n[1] ? x->n[0] : x->n[1], ny = y->n[0] > y->n[1] ? y->n[0] : y->n[1];
    if (nx != ny)
        return nx > ny ? -1 : 1;
    if (x->changes != y->changes)
        return x->changes < y->changes ? -1 : 1;
    int64_t px = distance(x->params, params), py = distance(y->params, params);
    if (px != py)
        return px < py ? -1 : 1;
    if (x->macs != y->macs)
        return x->macs < y->macs ? -1 : 1;
    return x->span[0].lo < y->span[0].lo ? -1 : x->span[0].lo > y->span[0].lo;
}

uint32_t repair_one_stride(Session *s, NetRef net, const ElabOptions *opt, const Elab *e,
                           const Analysis *a, Repair **out)
{
    SiteList sites = {0};
    VEC(Repair) found = {0};
    find_sites(&s->arena, e, a, &sites);
    for (uint32_t i = 0; i < sites.len; i++) {
        Repair r = {0};
        if (!try_site(s, net, opt, e, sites.at[i], &r))
            continue;
        /* insertion keeps the list ranked; there are at most a few dozen */
        vec_push(&s->arena, &found, r);
        for (uint32_t k = found.len - 1; k > 0; k--) {
            if (better(&found.at[k], &found.at[k - 1], a->params) >= 0)
                break;
            Repair t = found.at[k];
            found.at[k] = found.at[k - 1];
            found.at[k - 1] = t;
        }
    }
    *out = found.at;
    return found.len;
}

int64_t repair_resolution(Session *s, NetRef net, const ElabOptions *opt, const Analysis *a)
{
    enum { STEPS = 64 };
    int64_t start = (a->n[0] > a->n[1] ? a->n[0] : a->n[1]) + 1;
    Shape in = a->shape[a->g->ins.at[0].node.v];
    for (int64_t r = start; r < start + STEPS; r++) {
        ElabOptions trial = *opt;
        Outcome o;
        trial.input[0] = in.c;
        trial.input[1] = trial.input[2] = r;
        if (attempt(s, net, &trial, &o) && o.feasible)
            return r;
    }
    return 0;
}
