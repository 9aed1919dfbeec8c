/* The stride a stage declares, against what its layers do. */
#include "elab/elaborator.h"
#include <string.h>

static const RfEntry *jump_of(const Elaborator *el, NodeId n, int axis)
{
    const RfAxis *a = &el->e->rf[n.v].axis[axis];
    return a->n > 0 ? &a->e[a->min_entry] : NULL;
}

static const char *jump_text(Elaborator *el, NodeId n)
{
    const char *part[2];
    for (int i = 0; i < 2; i++) {
        const RfEntry *e = jump_of(el, n, i);
        part[i] = e == NULL ? "global"
                  : e->s_den == 1
                      ? arena_printf(el->a, "%lld", (long long)e->s_num)
                      : arena_printf(el->a, "%lld/%lld", (long long)e->s_num, (long long)e->s_den);
    }
    return strcmp(part[0], part[1]) == 0 ? part[0] : arena_printf(el->a, "%sx%s", part[0], part[1]);
}

/* Lists the strided layers among the nodes of a stage. */
static void note_strides(Elaborator *el, uint32_t d, uint32_t from)
{
    uint32_t shown = 0;
    for (uint32_t v = from; v < el->e->graph.nodes.len && shown < 8; v++) {
        const Node *n = &el->e->graph.nodes.at[v];
        int at = op_attr_index(n->op, "stride");
        if (at < 0)
            continue;
        Window w = graph_window(&el->e->graph, (NodeId){v});
        if (w.stride.h < 2 && w.stride.w < 2)
            continue;
        diag_note(&el->s->diags, d, el->e->origins.at[n->origin].span, "'%s' has stride %lldx%lld",
                  n->name, (long long)w.stride.h, (long long)w.stride.w);
        shown++;
    }
    if (shown == 0)
        diag_note(&el->s->diags, d, SPAN_NONE, "no layer of the stage has a stride");
}

bool contract_check(Elaborator *el, const AstNode *stage, const Value *stride, const Value *up,
                    NodeId in, uint32_t from, NodeId out)
{
    Size2 s = stride->size, u = up->size;
    bool kept = true;
    for (int axis = 0; axis < 2; axis++) {
        const RfEntry *a = jump_of(el, in, axis), *z = jump_of(el, out, axis);
        int64_t f = axis == 0 ? s.h : s.w, g = axis == 0 ? u.h : u.w;
        kept =
            kept &&
            (a == NULL || z == NULL ? a == z : z->s_num * a->s_den * g == a->s_num * f * z->s_den);
    }
    if (kept)
        return true;
    Buf text = {0};
    const Value *v =
        stride->lits != 0 || (s.h != 1 || s.w != 1) || (u.h == 1 && u.w == 1) ? stride : up;
    buf_add(&text, v == stride ? "stride=" : "up=");
    if (v->size.h == v->size.w)
        buf_printf(&text, "%lld", (long long)v->size.h);
    else
        buf_printf(&text, "%lldx%lld", (long long)v->size.h, (long long)v->size.w);
    uint32_t d = diag(&el->s->diags, E_STAGE_STRIDE, stage->name_span, stage->sym,
                      buf_ok(&text) ? text.at : "", jump_text(el, in), jump_text(el, out));
    buf_free(&text);
    note_strides(el, d, from);
    return false;
}
