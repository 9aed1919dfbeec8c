/* Text and invariants of a fusion. */
#include "transform/fuse.h"

static const char *const fill_name[] = {
    [FILL_BN_SCALE] = "bn_scale",     [FILL_BN_SHIFT] = "bn_shift",
    [FILL_LN_WEIGHT] = "ln_weight",   [FILL_LN_BIAS] = "ln_bias",
    [FILL_GAMMA] = "gamma",           [FILL_NORM_SCALE] = "norm_scale",
    [FILL_NORM_SHIFT] = "norm_shift", [FILL_BACK_A] = "back_a",
    [FILL_BACK_B] = "back_b",         [FILL_BACK_C] = "back_c"};

static void print_operand(const FuseOperand *o, Buf *out)
{
    switch (o->kind) {
    case OPERAND_MAP: buf_printf(out, " map %%%u", (unsigned)o->node.v); break;
    case OPERAND_GATE: buf_printf(out, " gate %%%u", (unsigned)o->node.v); break;
    case OPERAND_MASK: buf_printf(out, " mask %%%u", (unsigned)o->node.v); break;
    case OPERAND_CHANNEL:
        buf_printf(out, " %s %%%u", fill_name[o->fill], (unsigned)o->node.v);
        break;
    }
}

void fuse_print(const Fusion *f, Buf *out)
{
    for (uint32_t i = 0; i < f->groups.len; i++) {
        const FuseGroup *g = &f->groups.at[i];
        buf_printf(out, "%%%u = ", (unsigned)g->result.v);
        if (g->anchor.v != 0)
            buf_printf(out, "%s %%%u", op_info[graph_node(f->g, g->anchor)->op].name,
                       (unsigned)g->anchor.v);
        else
            buf_add(out, "elem");
        buf_printf(out, "(%%%u", (unsigned)g->in.v);
        if (g->gate.v != 0)
            buf_printf(out, " * %%%u", (unsigned)g->gate.v);
        buf_addc(out, ')');
        if (g->fold_bn.v != 0)
            buf_printf(out, " bn %%%u", (unsigned)g->fold_bn.v);
        for (uint32_t k = 0; k < g->operands.len; k++)
            print_operand(&g->operands.at[k], out);
        if (g->root.v != 0) {
            buf_add(out, " : ");
            expr_print(&f->exprs, g->root, out);
        }
        buf_addc(out, '\n');
    }
}

typedef struct Check {
    const Fusion *f;
    bool *stored;
} Check;

static bool available(const Check *c, NodeId n)
{
    if (n.v == 0 || n.v >= c->f->g->nodes.len || c->f->alias[n.v].v != n.v)
        return false;
    Op op = graph_node(c->f->g, n)->op;
    if (op == OP_FLATTEN)
        return available(c, c->f->alias[graph_in(c->f->g, n, 0).v]);
    return op == OP_INPUT || c->stored[n.v];
}

static const char *check_group(const Check *c, const FuseGroup *g)
{
    const Fusion *f = c->f;
    const Node *anchor = graph_node(f->g, g->anchor);
    if (g->result.v == 0 || g->result.v >= f->g->nodes.len || g->anchor.v > g->result.v)
        return "has no valid result";
    if (g->in.v == 0 ? g->anchor.v != 0 : !available(c, g->in))
        return "reads a value that is not stored before";
    if (g->gate.v != 0 && !available(c, g->gate))
        return "has a gate that is not stored before";
    if (g->anchor.v != 0 && anchor->op == OP_CONCAT)
        for (uint32_t i = 0; i < anchor->in_count; i++)
            if (!available(c, f->alias[graph_in(f->g, g->anchor, i).v]))
                return "joins a value that is not stored before";
    if (g->operands.len > FUSE_MAX_OPERANDS)
        return "has too many operands";
    for (uint32_t k = 0; k < g->operands.len; k++) {
        const FuseOperand *o = &g->operands.at[k];
        bool value = o->kind == OPERAND_MAP || o->kind == OPERAND_GATE;
        if (value ? !available(c, o->node) : o->node.v == 0)
            return "has an operand that is not stored before";
    }
    if (g->root.v >= f->exprs.nodes.len || expr_arg_count(&f->exprs, g->root) > g->operands.len + 1)
        return "has an expression over operands that are not there";
    if (g->fold_bn.v != 0 && (g->anchor.v == 0 || graph_node(f->g, g->fold_bn)->op != OP_BN))
        return "folds something that is no batch normalisation";
    return NULL;
}

const char *fuse_verify(const Fusion *f)
{
    Check c = {f, arena_new_n(f->arena, bool, f->g->nodes.len)};
    for (uint32_t i = 0; i < f->groups.len; i++) {
        const FuseGroup *g = &f->groups.at[i];
        const char *why = check_group(&c, g);
        if (why != NULL)
            return arena_printf(f->arena, "group %u (%%%u) %s", (unsigned)i, (unsigned)g->result.v,
                                why);
        c.stored[g->result.v] = true;
    }
    for (uint32_t i = 0; i < f->g->outs.len; i++)
        if (!available(&c, f->alias[f->g->outs.at[i].node.v]))
            return arena_printf(f->arena, "head '%s' is not stored", f->g->outs.at[i].name);
    return NULL;
}
