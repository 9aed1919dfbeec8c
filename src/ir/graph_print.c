/* The text form of graphs: writing. */
#include "ir/graph.h"

static void quoted(Buf *out, const char *s)
{
    buf_addc(out, '"');
    for (; *s != 0; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            buf_addc(out, '\\');
        if (c < 0x20 || c == 0x7F)
            buf_printf(out, "\\x%02x", c);
        else
            buf_addc(out, *s);
    }
    buf_addc(out, '"');
}

static void attr_text(Buf *out, const AttrVal *v)
{
    switch (v->type) {
    case ATTR_INT: buf_printf(out, "%lld", (long long)v->i); break;
    case ATTR_BOOL: buf_add(out, v->i ? "true" : "false"); break;
    case ATTR_REAL: buf_real(out, v->r); break;
    case ATTR_SIZE: buf_printf(out, "%lldx%lld", (long long)v->size.h, (long long)v->size.w); break;
    case ATTR_PAD:
        if (v->pad.kind == PAD_SAME_SYM)
            buf_add(out, "same");
        else if (v->pad.kind == PAD_SAME_UP)
            buf_add(out, "same_upper");
        else
            buf_printf(out, "%lld,%lld,%lld,%lld", (long long)v->pad.top, (long long)v->pad.bottom,
                       (long long)v->pad.left, (long long)v->pad.right);
        break;
    case ATTR_STR: quoted(out, v->str); break;
    }
}

static void node_text(const Graph *g, uint32_t id, Buf *out)
{
    const Node *n = &g->nodes.at[id];
    const OpInfo *info = &op_info[n->op];
    buf_printf(out, "%%%u = %s(", id, info->name);
    for (uint32_t i = 0; i < n->in_count; i++)
        buf_printf(out, "%s%%%u", i ? ", " : "", g->inputs.at[n->in_first + i].v);
    buf_addc(out, ')');
    for (uint32_t i = 0; i < n->attr_count; i++) {
        const AttrVal *v = &g->attrs.at[n->attr_first + i];
        if (!info->attrs[i].required && attr_equal(v, &info->attrs[i].def))
            continue;
        buf_printf(out, " %s=", info->attrs[i].name);
        attr_text(out, v);
    }
    buf_add(out, " : ");
    quoted(out, n->name);
    buf_addc(out, '\n');
}

static void print_reals(const char *name, const double *v, int n, Buf *out)
{
    buf_add(out, name);
    for (int i = 0; i < n; i++) {
        buf_add(out, i ? "," : "");
        buf_real(out, v[i]);
    }
}

static void input_text(const GraphInput *in, Buf *out)
{
    buf_add(out, "in ");
    quoted(out, in->name);
    buf_printf(out, " %%%u", in->node.v);
    if (in->resize != 0)
        buf_printf(out, " resize=%lld", (long long)in->resize);
    if (in->crop != 0)
        buf_printf(out, " crop=%lld", (long long)in->crop);
    if (in->has_norm) {
        print_reals(" mean=", in->mean, 4, out);
        print_reals(" std=", in->std, 4, out);
    }
    buf_addc(out, '\n');
}

void graph_print(const Graph *g, Buf *out)
{
    buf_add(out, "graph ");
    quoted(out, g->name);
    buf_addc(out, '\n');
    for (uint32_t i = 1; i < g->nodes.len; i++)
        node_text(g, i, out);
    for (uint32_t i = 0; i < g->ins.len; i++)
        input_text(&g->ins.at[i], out);
    for (uint32_t i = 0; i < g->outs.len; i++) {
        const GraphOutput *o = &g->outs.at[i];
        buf_add(out, "out ");
        quoted(out, o->name);
        buf_printf(out, " %%%u from %%%u%s\n", o->node.v, o->source.v,
                   o->primary ? " primary" : "");
    }
}
