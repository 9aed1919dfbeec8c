/* From a net and its arguments to a graph. */
#include "analysis/params.h"
#include "elab/elaborator.h"
#include <string.h>

/* Evaluated expressions; the largest published networks take a few hundred thousand. */
enum { FUEL = 4 * 1000 * 1000 };

static void start(Elaborator *el, Session *s, Arena *a, NetRef net, const ElabOptions *opt)
{
    Elab *e = arena_new(a, Elab);
    const Module *m = s->modules.at[net.module];
    *el = (Elaborator){.e = e, .s = s, .a = a, .opt = opt, .fuel = FUEL};
    e->session = s;
    e->arena = a;
    e->net_span = node_at(m, net.decl)->name_span;
    graph_init(&e->graph, a, net.name);
    vec_push(a, &e->origins, (Origin){0});
    vec_push(a, &e->lits, (LitRef){0});
    vec_push(a, &e->litsets, (LitSet){0});
    vec_push(a, &el->facts, (NodeFacts){0});
    inst_open(el, INST_NET, net.name, NULL, 0, 0, e->net_span, NODE_NONE);
}

/* Patterns that match no parameter; in library nets one list serves several sizes. */
static void warn_names(Elab *e, const Module *m)
{
    if (m->std)
        return;
    for (uint32_t k = 0; k < e->names.len; k++) {
        NameMap *map = &e->names.at[k];
        for (uint32_t v = 1; v < e->graph.nodes.len; v++) {
            ParamSpec spec[PARAM_MAX];
            int n = params_of(&e->graph, (NodeId){v}, e->shape, spec);
            for (int i = 0; i < n; i++)
                elab_name_theirs(
                    e->arena, map,
                    arena_printf(e->arena, "%s.%s", e->graph.nodes.at[v].name, spec[i].suffix));
        }
        for (uint32_t i = 0; i < map->rules.len; i++)
            if (map->rules.at[i].ours != NULL && !map->rules.at[i].used)
                diag(&e->session->diags, W_NAMES_UNUSED, map->rules.at[i].span,
                     map->rules.at[i].ours, map->name);
    }
}

Elab *elab_net(Session *s, Arena *net_arena, NetRef net, const ElabOptions *opt)
{
    static const ElabOptions none = {0};
    Elaborator el, first;
    OpenNet open;
    uint32_t mark = s->diags.all.len;
    opt = opt != NULL ? opt : &none;
    start(&el, s, net_arena, net, opt);
    el.counting = true;
    if (!net_open(&el, net, &open) || !net_build(&el, &open))
        return NULL;
    if (el.ordinal_used) {
        /* Now the number of instances of every block is known. */
        first = el;
        diag_rewind(&s->diags, mark);
        start(&el, s, net_arena, net, opt);
        el.counts.at = first.counts.at;
        el.counts.len = first.counts.len;
        el.counts.cap = first.counts.cap;
        for (uint32_t i = 0; i < el.counts.len; i++) {
            el.counts.at[i].total = el.counts.at[i].seen;
            el.counts.at[i].seen = 0;
        }
        if (!net_open(&el, net, &open) || !net_build(&el, &open))
            return NULL;
    }
    warn_names(el.e, open.module);
    return el.e;
}

const AstNode *elab_literal(const Session *s, LitRef l)
{
    if (l.module >= s->modules.len || l.node.v == 0 ||
        l.node.v >= s->modules.at[l.module]->ast->nodes.len)
        return NULL;
    return node_at(s->modules.at[l.module], l.node);
}

bool elab_stage_stride_literal(const Session *s, Span stage, LitRef *out)
{
    for (uint32_t k = 0; k < s->modules.len; k++) {
        const Module *m = s->modules.at[k];
        if (m->ast->src != stage.src)
            continue;
        for (uint32_t v = 1; v < m->ast->nodes.len; v++) {
            const AstNode *x = node_at(m, (AstId){v});
            if (x->kind != AST_STAGE || x->span.lo != stage.lo || x->span.hi != stage.hi)
                continue;
            AstId args = kid_at(m, (AstId){v}, 1);
            for (uint32_t i = 0; i < kid_count(m, args); i++) {
                AstId arg = kid_at(m, args, i), value = kid_at(m, arg, 0);
                int kind = node_at(m, value)->kind;
                if (node_at(m, arg)->sym == NULL || strcmp(node_at(m, arg)->sym, "stride") != 0 ||
                    (kind != AST_INT && kind != AST_SIZE))
                    continue;
                *out = (LitRef){m->index, value};
                return true;
            }
        }
    }
    return false;
}
